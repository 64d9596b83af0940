"""The sandbox's control path: everything that Python can set, over HTTP, for programs outside.

It needs no credentials; in return it answers loopback only, and no web page: a request with an ``Origin`` is refused,
and so is a request with a ``Host`` that is no loopback name: a page sends that after its name was rebound to loopback.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, fields as fields_of, replace
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from connecttrade_async.sandbox.clock import Clock
from connecttrade_async.sandbox.control.streams import BROKERAGE, MARKET_DATA, StreamControl
from connecttrade_async.sandbox.dialect import SandboxDialect, find_dialect
from connecttrade_async.sandbox.errors import BadRequestError, NotFoundError, RefusalError
from connecttrade_async.sandbox.faults.rest import Fault, Faults
from connecttrade_async.sandbox.login.consent import DECLINED
from connecttrade_async.sandbox.paper_broker import PaperBroker
from connecttrade_async.sandbox.parameters import Fields, amount, fields, moment, text
from connecttrade_async.sandbox.rest.endpoints import Entitlements
from connecttrade_async.sandbox.rest.request_log import RequestLog
from connecttrade_async.sandbox.rest.routes import json_response
from connecttrade_async.sandbox.settings import Spellings
from connecttrade_async.sandbox.world import Order, find_broker

__all__ = ["CONTROL", "control_routes"]

CONTROL = "/_sandbox"
"""Where the control path begins."""

_Setting = TypeVar("_Setting", Spellings, Entitlements)


class ControlTarget(Protocol):
    """What the control path reads and sets: the attributes of `Sandbox`."""

    clock: Clock
    broker: PaperBroker
    faults: Faults
    requests: RequestLog
    stream: Any
    market: Any

    @property
    def spellings(self) -> Spellings: ...
    @spellings.setter
    def spellings(self, spellings: Spellings) -> None: ...
    @property
    def strict(self) -> bool: ...
    @strict.setter
    def strict(self, strict: bool) -> None: ...
    @property
    def dialect(self) -> SandboxDialect: ...
    @dialect.setter
    def dialect(self, dialect: SandboxDialect) -> None: ...
    @property
    def entitlements(self) -> Entitlements: ...
    async def approve(self, url: str, broker: str | None = None, *, login: str = "") -> str: ...
    async def decline(self, url: str, error: str = ..., details: str = ...) -> str: ...


class Resource(msgspec.Struct, frozen=True):
    """One row of the control path.

    Attributes:
        path: below `CONTROL`.
        read: what ``GET`` answers, and every change after it; None for a command, which answers with its result.
        change: what ``POST`` does with the members of its JSON object.
        clear: what ``DELETE`` does.
    """

    path: str
    read: Callable[[ControlTarget], object] | None
    change: Callable[[ControlTarget, Fields], object] | None = None
    clear: Callable[[ControlTarget], object] | None = None


def control_routes(sandbox: ControlTarget) -> list[web.RouteDef]:
    """Every control path with its handler."""
    return [
        web.route(method, CONTROL + resource.path, _handler(sandbox, resource))
        for resource in (*_RESOURCES, *_stream("stream", BROKERAGE), *_stream("market", MARKET_DATA))
        for method, action in (("GET", resource.read), ("POST", resource.change), ("DELETE", resource.clear))
        if action is not None
    ]


def _stream(attribute: str, control: StreamControl) -> Iterator[Resource]:
    def stream(sandbox: ControlTarget) -> Any:  # noqa: ANN401  either stream; the table that is given with it knows which
        return getattr(sandbox, attribute)

    yield Resource(
        control.path,
        lambda sandbox: control.read(stream(sandbox)),
        lambda sandbox, members: control.act(stream(sandbox), members),
        lambda sandbox: stream(sandbox).faults.clear(),
    )
    yield Resource(f"{control.path}/sent", lambda sandbox: _entries(stream(sandbox).log, "messages"))


def _handler(sandbox: ControlTarget, resource: Resource) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            _check_visitor(request)
            done: object = None
            if request.method == "POST" and resource.change is not None:
                done = resource.change(sandbox, fields(await request.read()))
            elif request.method == "DELETE" and resource.clear is not None:
                done = resource.clear(sandbox)
            result = await cast("Awaitable[object]", done) if isinstance(done, Awaitable) else done
            return json_response(result if resource.read is None else resource.read(sandbox))
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
        raise NotFoundError("There is no such path.")


def _is_loopback_host(authority: str) -> bool:
    """Return whether a ``Host`` header names this machine, with or without a port."""
    try:
        host = urlsplit(f"//{authority}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _entries(log: Any, name: str) -> object:  # noqa: ANN401  a `RequestLog` or a `MessageLog`
    return {"total": log.total, name: [entry._asdict() for entry in log]}


def _read_faults(sandbox: ControlTarget) -> object:
    return [
        {**armed.fault.members, "seen": armed.seen, "fired": armed.fired, "is_spent": armed.is_spent}
        for armed in sandbox.faults.armed
    ]


def _set_clock(sandbox: ControlTarget, members: Fields) -> None:
    """``{"hold": true}`` or a time, ``{"advance": seconds}``, ``{"release": true}``."""
    match dict(members):
        case {"hold": True, **rest} if not rest:
            sandbox.clock.hold()
        case {"hold": str(at), **rest} if not rest:
            sandbox.clock.hold(moment("hold", at))
        case {"advance": int() | float() as seconds, **rest} if not rest:
            sandbox.clock.advance(seconds)
        case {"release": True, **rest} if not rest:
            sandbox.clock.release()
        case _:
            raise BadRequestError('Send {"hold": true or a time}, {"advance": seconds} or {"release": true}.')


def _set_strict(sandbox: ControlTarget, members: Fields) -> None:
    """``{"strict": true}`` or ``{"strict": false}``."""
    strict = members.get("strict")
    if len(members) != 1 or not isinstance(strict, bool):
        raise BadRequestError('Send {"strict": true} or {"strict": false}.')
    sandbox.strict = strict


def _set_dialect(sandbox: ControlTarget, members: Fields) -> None:
    """``{"name"}`` of a preset, or the fields of a dialect."""
    sandbox.dialect = find_dialect(members)


def _set_spellings(sandbox: ControlTarget, members: Fields) -> None:
    sandbox.spellings = _changed(sandbox.spellings, members)


def _set_entitlements(sandbox: ControlTarget, members: Fields) -> None:
    wrong = [name for name, value in members.items() if not isinstance(value, bool)]
    if wrong:
        raise BadRequestError(f"{', '.join(wrong)} must be true or false.")
    changed = _changed(sandbox.entitlements, members)
    sandbox.entitlements.trading, sandbox.entitlements.market_data = changed.trading, changed.market_data


def _changed(setting: _Setting, members: Fields) -> _Setting:
    known = [field.name for field in fields_of(setting)]
    unknown = [name for name in members if name not in known]
    if unknown:
        raise BadRequestError(f"There is no {', '.join(unknown)} here, only {', '.join(known)}.")
    return replace(setting, **cast("dict[str, Any]", members))


def _read_market(sandbox: ControlTarget) -> object:
    """Hours, latency, and what was set by hand; ``"halted": true`` is everything."""
    broker = sandbox.broker
    return {
        "hours": broker.hours,
        "latency": broker.latency,
        "prices": {symbol: str(price) for symbol, price in broker.pins.items()},
        "halted": True if broker.halted is None else list(broker.halted),
    }


def _set_market(sandbox: ControlTarget, members: Fields) -> None:
    """``{"symbol", "price"}``, ``{"halt"}`` or ``{"resume"}`` a symbol or true, ``{"latency"}``.

    A price of null lets it walk again.
    """
    broker = sandbox.broker
    match dict(members):
        case {"symbol": str(symbol), "price": None, **rest} if not rest:
            broker.free_price(symbol)
        case {"symbol": str(symbol), "price": str(), **rest} if not rest:
            broker.set_price(symbol, amount(members, "price") or 0)
        case {"halt": True | str() as symbol, **rest} if not rest:
            broker.halt(symbol if isinstance(symbol, str) else None)
        case {"resume": True | str() as symbol, **rest} if not rest:
            broker.resume(symbol if isinstance(symbol, str) else None)
        case {"latency": int() | float() as seconds, **rest} if not rest:
            broker.latency = seconds
        case _:
            raise BadRequestError(
                'Send {"symbol", "price"}, {"halt": symbol or true}, {"resume": symbol or true} or {"latency"}.'
            )


def _fill(sandbox: ControlTarget, members: Fields) -> object:
    """``{"order_id", "quantity"?, "price"?}``."""
    quantity, price = amount(members, "quantity"), amount(members, "price")
    return _summary(sandbox.broker.fill(text(members, "order_id"), quantity, price))


def _reject(sandbox: ControlTarget, members: Fields) -> object:
    """``{"order_id", "reason"}``."""
    return _summary(sandbox.broker.reject(text(members, "order_id"), text(members, "reason")))


def _summary(order: Order) -> object:
    return {"order_id": order.order_id, "status": order.status, "filled_qty": str(order.filled_qty)}


async def _approve(sandbox: ControlTarget, members: Fields) -> object:
    """``{"url", "broker"?, "login"?}``."""
    broker = find_broker(text(members, "broker")).code if members.get("broker") is not None else None
    login = text(members, "login") if members.get("login") is not None else ""
    return {"redirect_url": await sandbox.approve(text(members, "url"), broker, login=login)}


async def _decline(sandbox: ControlTarget, members: Fields) -> object:
    """``{"url", "error"?, "details"?}``."""
    given = dict(zip(("error", "details"), DECLINED, strict=True)) | dict(members)
    url, error, details = (text(given, name) for name in ("url", "error", "details"))
    return {"redirect_url": await sandbox.decline(url, error, details)}


_RESOURCES = (
    Resource(
        "/faults",
        _read_faults,
        lambda sandbox, members: sandbox.faults.add(Fault.read(members)),
        lambda sandbox: sandbox.faults.clear(),
    ),
    Resource(
        "/clock",
        lambda sandbox: {"now": sandbox.clock.now().isoformat(), "is_held": sandbox.clock.is_held},
        _set_clock,
    ),
    Resource("/spellings", lambda sandbox: asdict(sandbox.spellings), _set_spellings),
    Resource("/dialect", lambda sandbox: sandbox.dialect.to_dict(), _set_dialect),
    Resource("/strict", lambda sandbox: {"strict": sandbox.strict}, _set_strict),
    Resource("/entitlements", lambda sandbox: asdict(sandbox.entitlements), _set_entitlements),
    Resource(
        "/served",
        lambda sandbox: _entries(sandbox.requests, "requests"),
        clear=lambda sandbox: sandbox.requests.clear(),
    ),
    Resource("/market", _read_market, _set_market),
    Resource("/fill", None, _fill),
    Resource("/reject", None, _reject),
    Resource("/approve", None, _approve),
    Resource("/decline", None, _decline),
)
