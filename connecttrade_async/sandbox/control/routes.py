"""The sandbox's control path: everything that Python can set, over HTTP, for programs outside.

It needs no credentials; in return it answers loopback only, and no web page: a request with an ``Origin`` is refused,
and so is a request with a ``Host`` that is no loopback name: a page sends that after its name was rebound to loopback.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, fields as fields_of, replace
from decimal import Decimal
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from aiohttp import web

from connecttrade_async.sandbox.clock import Clock
from connecttrade_async.sandbox.control.market_data import MarketDataControl
from connecttrade_async.sandbox.control.streams import BrokerageStreamControl
from connecttrade_async.sandbox.errors import BadRequestError, RefusalError, UnknownError
from connecttrade_async.sandbox.faults.rest import Fault, Faults
from connecttrade_async.sandbox.login import consent
from connecttrade_async.sandbox.paper_broker import PaperBroker
from connecttrade_async.sandbox.parameters import Fields, amount, fields, moment, text
from connecttrade_async.sandbox.rest.endpoints import Entitlements, RestContext
from connecttrade_async.sandbox.rest.request_log import RequestLog
from connecttrade_async.sandbox.rest.routes import json_response
from connecttrade_async.sandbox.settings import Spellings
from connecttrade_async.sandbox.streams.brokerage import BrokerageStream
from connecttrade_async.sandbox.streams.market_data import MarketDataStream
from connecttrade_async.sandbox.world import Order, find_broker

__all__ = ["CONTROL", "BrokerControl", "control_routes"]


class BrokerControl:
    """The switches. Each takes the members of a JSON object and answers with what the state is now."""

    def __init__(self, broker: PaperBroker) -> None:
        self._broker = broker

    def read_market(self, _: Fields) -> object:
        """Hours, latency, and what was set by hand; ``"halted": true`` is everything."""
        broker = self._broker
        return {
            "hours": broker.hours,
            "latency": broker.latency,
            "prices": {symbol: str(price) for symbol, price in broker.pins.items()},
            "halted": True if broker.halted is None else list(broker.halted),
        }

    def set_market(self, members: Fields) -> object:
        """``{"symbol", "price"}``, ``{"halt"}`` or ``{"resume"}`` a symbol or true, ``{"latency"}``.

        A price of null lets it walk again.
        """
        match dict(members):
            case {"symbol": str(symbol), "price": None, **rest} if not rest:
                self._broker.free_price(symbol)
            case {"symbol": str(symbol), "price": str(), **rest} if not rest:
                self._broker.set_price(symbol, _number(members, "price"))
            case {"halt": True | str() as symbol, **rest} if not rest:
                self._broker.halt(symbol if isinstance(symbol, str) else None)
            case {"resume": True | str() as symbol, **rest} if not rest:
                self._broker.resume(symbol if isinstance(symbol, str) else None)
            case {"latency": int() | float() as seconds, **rest} if not rest:
                self._broker.latency = seconds
            case _:
                raise BadRequestError(
                    'Send {"symbol", "price"}, {"halt": symbol or true}, {"resume": symbol or true} or {"latency"}.'
                )
        return self.read_market(members)

    def fill(self, members: Fields) -> object:
        """``{"order_id", "quantity"?, "price"?}``."""
        quantity, price = amount(members, "quantity"), amount(members, "price")
        return _told(self._broker.fill(text(members, "order_id"), quantity, price))

    def reject(self, members: Fields) -> object:
        """``{"order_id", "reason"}``."""
        return _told(self._broker.reject(text(members, "order_id"), text(members, "reason")))


def _told(order: Order) -> object:
    return {"order_id": order.order_id, "status": order.status, "filled_qty": str(order.filled_qty)}


def _number(members: Fields, name: str) -> Decimal:
    return amount(members, name) or Decimal(0)


CONTROL = "/_sandbox"
"""Where the control path begins."""

_Setting = TypeVar("_Setting", Spellings, Entitlements)


def control_routes(
    desk: RestContext,
    clock: Clock,
    faults: Faults,
    served: RequestLog,
    broker: PaperBroker,
    *,
    stream: BrokerageStream,
    market: MarketDataStream,
) -> list[web.RouteDef]:
    """Every control path with its handler."""
    panel, pit = Control(desk, clock, faults, served), BrokerControl(broker)
    boards: dict[str, BrokerageStreamControl | MarketDataControl] = {
        "stream": BrokerageStreamControl(stream),
        "market_data": MarketDataControl(market),
    }
    table: tuple[tuple[str, str, Callable[[Fields], object]], ...] = (
        ("GET", "/faults", panel.list_faults),
        ("POST", "/faults", panel.add_fault),
        ("DELETE", "/faults", panel.clear_faults),
        ("GET", "/clock", panel.read_clock),
        ("POST", "/clock", panel.set_clock),
        ("GET", "/spellings", panel.read_spellings),
        ("POST", "/spellings", panel.set_spellings),
        ("GET", "/strict", panel.read_strict),
        ("POST", "/strict", panel.set_strict),
        ("GET", "/entitlements", panel.read_entitlements),
        ("POST", "/entitlements", panel.set_entitlements),
        ("GET", "/served", panel.list_served),
        ("DELETE", "/served", panel.clear_served),
        ("GET", "/market", pit.read_market),
        ("POST", "/market", pit.set_market),
        ("POST", "/fill", pit.fill),
        ("POST", "/reject", pit.reject),
        *(entry for name, board in boards.items() for entry in _board_paths(name, board)),
        ("POST", "/approve", panel.approve),
        ("POST", "/decline", panel.decline),
    )
    return [web.route(method, f"{CONTROL}{path}", _handler(action)) for method, path, action in table]


def _board_paths(
    name: str, board: BrokerageStreamControl | MarketDataControl
) -> Iterator[tuple[str, str, Callable[[Fields], object]]]:
    yield "GET", f"/{name}", board.read
    yield "POST", f"/{name}", board.act
    yield "DELETE", f"/{name}", board.clear
    yield "GET", f"/{name}/sent", board.list_sent


class Control:
    """The switches. Each takes the members of a JSON object and answers with what the state is now."""

    def __init__(self, desk: RestContext, clock: Clock, faults: Faults, served: RequestLog) -> None:
        self._desk = desk
        self._clock = clock
        self._faults = faults
        self._served = served

    def list_faults(self, _: Fields) -> object:
        return [
            {**_given(armed.fault), "seen": armed.seen, "fired": armed.fired, "is_spent": armed.is_spent}
            for armed in self._faults.armed
        ]

    def add_fault(self, members: Fields) -> object:
        self._faults.add(Fault.read(members))
        return self.list_faults(members)

    def clear_faults(self, members: Fields) -> object:
        self._faults.clear()
        return self.list_faults(members)

    def read_clock(self, _: Fields) -> object:
        return {"now": self._clock.now().isoformat(), "is_held": self._clock.is_held}

    def set_clock(self, members: Fields) -> object:
        """``{"hold": true}`` or a time, ``{"advance": seconds}``, ``{"release": true}``."""
        match dict(members):
            case {"hold": True, **rest} if not rest:
                self._clock.hold()
            case {"hold": str(at), **rest} if not rest:
                self._clock.hold(moment("hold", at))
            case {"advance": int() | float() as seconds, **rest} if not rest:
                self._clock.advance(seconds)
            case {"release": True, **rest} if not rest:
                self._clock.release()
            case _:
                raise BadRequestError('Send {"hold": true or a time}, {"advance": seconds} or {"release": true}.')
        return self.read_clock(members)

    def read_spellings(self, _: Fields) -> object:
        return asdict(self._desk.spellings)

    def set_spellings(self, members: Fields) -> object:
        self._desk.spellings = _changed(self._desk.spellings, members)
        return self.read_spellings(members)

    def read_strict(self, _: Fields) -> object:
        return {"strict": self._desk.strict}

    def set_strict(self, members: Fields) -> object:
        """``{"strict": true}`` or ``{"strict": false}``."""
        strict = members.get("strict")
        if len(members) != 1 or not isinstance(strict, bool):
            raise BadRequestError('Send {"strict": true} or {"strict": false}.')
        self._desk.strict = strict
        return self.read_strict(members)

    def read_entitlements(self, _: Fields) -> object:
        return asdict(self._desk.entitlements)

    def set_entitlements(self, members: Fields) -> object:
        wrong = [name for name, value in members.items() if not isinstance(value, bool)]
        if wrong:
            raise BadRequestError(f"{', '.join(wrong)} must be true or false.")
        changed = _changed(self._desk.entitlements, members)
        self._desk.entitlements.trading = changed.trading
        self._desk.entitlements.market_data = changed.market_data
        return self.read_entitlements(members)

    def list_served(self, _: Fields) -> object:
        return {"total": self._served.total, "requests": [visit._asdict() for visit in self._served]}

    def clear_served(self, members: Fields) -> object:
        self._served.clear()
        return self.list_served(members)

    def approve(self, members: Fields) -> object:
        """``{"url", "broker"?, "login"?}``."""
        broker = find_broker(text(members, "broker")) if members.get("broker") is not None else None
        login = text(members, "login") if members.get("login") is not None else ""
        now = self._clock.now()
        link = self._desk.world.link(consent.token_of(text(members, "url")), now)
        return {"redirect_url": consent.approve(self._desk.world, link, now, broker, login)}

    def decline(self, members: Fields) -> object:
        """``{"url", "error"?, "details"?}``."""
        said = dict(zip(("error", "details"), consent.DECLINED, strict=True)) | dict(members)
        link = self._desk.world.link(consent.token_of(text(members, "url")), self._clock.now())
        return {"redirect_url": consent.decline(link, text(said, "error"), text(said, "details"))}


def _handler(action: Callable[[Fields], object]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            _check_visitor(request)
            done = action(fields(await request.read()) if request.method == "POST" else {})
            return json_response(await cast("Awaitable[object]", done) if isinstance(done, Awaitable) else done)
        except RefusalError as refusal:
            return json_response({"message": refusal.message}, status=refusal.status)
        except (ValueError, OverflowError) as error:
            return json_response({"message": f"{error}."}, status=BadRequestError.status)

    return handle


def _check_visitor(request: web.Request) -> None:
    """Let only programs of this machine pass; for all others the path does not exist."""
    address = (request.remote or "").partition("%")[0]
    where = ipaddress.ip_address(address or "::")
    is_local = (getattr(where, "ipv4_mapped", None) or where).is_loopback
    if not is_local or "Origin" in request.headers or not _is_loopback_host(request.host):
        raise UnknownError("There is no such path.")


def _is_loopback_host(authority: str) -> bool:
    """Return whether a ``Host`` header names this machine, with or without a port."""
    try:
        host = urlsplit(f"//{authority}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _given(fault: Fault) -> dict[str, object]:
    members: dict[str, object] = asdict(fault)
    return {name: value for name, value in members.items() if value is not None or name == "times"}


def _changed(setting: _Setting, members: Fields) -> _Setting:
    known = [field.name for field in fields_of(setting)]
    unknown = [name for name in members if name not in known]
    if unknown:
        raise BadRequestError(f"There is no {', '.join(unknown)} here, only {', '.join(known)}.")
    return replace(setting, **cast("dict[str, Any]", members))
