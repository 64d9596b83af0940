"""What this library sends and reads, found by calling its own request builders and reading its models.

Each method of each resource is called with an API that keeps the request instead of sending it. So a new filter or a
renamed member is compared without a second list of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from datetime import UTC, date, datetime
from types import UnionType
from typing import TYPE_CHECKING, Any, NoReturn, cast, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl, unquote

import msgspec

from connecttrade_async import tickets
from connecttrade_async.client import ConnectTrade
from connecttrade_async.doctor.contract import Member, Operation, Shape
from connecttrade_async.models import Connection, Order, Position
from connecttrade_async.models.enums import OpenEnum
from connecttrade_async.rest import resources
from connecttrade_async.rest.pagination import Listing
from connecttrade_async.rest.sender import Api
from connecttrade_async.secret import Secret
from connecttrade_async.user import sender_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from connecttrade_async.rest.wire import Request

__all__ = ["our_operations"]

RESOURCES = tuple(getattr(resources, name) for name in resources.__all__)
OMITTED = frozenset({"find", "without_retries"})  # they send what other methods send
PLACED_BY = "ticket"
SAMPLES: dict[str, Any] = {
    "limit": 2,
    "symbols": ["AAPL", "MSFT"],
    "start_time": datetime(2026, 1, 2, tzinfo=UTC),
    "end_time": datetime(2026, 1, 3, tzinfo=UTC),
    "start_date": date(2026, 1, 2),
    "end_date": date(2026, 1, 3),
    "qty": 1,
    "notional": 1,
    "price": 1,
    "stop": 1,
    "status": "all",
    "side": "BUY",
    "sort": "asc",
    "connection_type": "trade",
    "redirect_url": "https://app.example/done",
    "scopes": "read",
}
EITHER = (("next_cursor", "prev_cursor"), ("qty", "notional"))  # parameters that exclude each other
UNSENT = frozenset({"extra", "order", "dry_run"})


class _CapturedRequest(Exception):  # noqa: N818 - no error: it carries a request out of a method
    def __init__(self, request: Request) -> None:
        self.request = request
        super().__init__()


class CapturingApi(Api):
    """An API that sends nothing: the first request of a call is raised."""

    def send(self, request: Request) -> NoReturn:
        """Raise the request."""
        raise _CapturedRequest(request)


def our_operations() -> list[Operation]:
    """Return the operations that this library uses. No request is sent."""
    ct = ConnectTrade("doctor", "sends-nothing")
    api = CapturingApi(sender_of(ct.user("doctor", "sends-nothing")), "doctor", Secret("sends-nothing"))
    found: dict[tuple[str, str], Operation] = {}
    for resource in RESOURCES:
        for name, method in inspect.getmembers(resource, inspect.isfunction):
            if name.startswith("_") or name in OMITTED:
                continue
            requests = [_request_of(getattr(resource(api), name), call) for call in _calls(method)]
            operation = _operation(requests, _response_shape(method))
            found[operation.key] = operation
    return list(found.values())


def _calls(method: Callable[..., object]) -> Iterator[dict[str, Any]]:
    """Yield arguments that together set every parameter of a method, and those that set only the required ones."""
    parameters = inspect.signature(method).parameters
    names = [name for name in parameters if name != "self" and name not in UNSENT]
    required = [name for name in names if parameters[name].default is inspect.Parameter.empty]
    if PLACED_BY in names:
        yield from ({PLACED_BY: ticket} for ticket in _tickets())
        return
    excluded = [[other for pair in EITHER for other in pair if other != kept] for kept in ("", *EITHER[0], *EITHER[1])]
    for leaving_out in excluded[1:]:
        chosen = [name for name in names if name not in leaving_out or not _is_pair(name, names)]
        yield {name: _sample(name) for name in chosen}
    # The identity of an order is optional in the signature, since the order itself may be given instead.
    identity = [name for name in ("account_id", "order_id", "broker", "qty") if "order" in parameters and name in names]
    yield {name: _sample(name) for name in (*required, *identity)}


def _is_pair(name: str, names: list[str]) -> bool:
    return any(name in pair and set(pair) <= set(names) for pair in EITHER)


def _sample(name: str) -> Any:  # noqa: ANN401 - an argument of any method
    return SAMPLES.get(name, f"{{{name}}}")


def _tickets() -> list[tickets.OrderTicket]:
    account: dict[str, Any] = {"account_id": "{account_id}", "broker": "ALPACA"}
    legs = [
        tickets.TicketLeg(symbol="AAPL261218C00100000", action="BUY_TO_OPEN", ratio="1"),
        tickets.TicketLeg(symbol="AAPL261218C00110000", action="SELL_TO_OPEN", ratio="1"),
    ]
    return [
        tickets.market("AAPL", "BUY", qty=1, **account),
        tickets.market("AAPL", "BUY", notional=1, **account),
        tickets.stop_limit("AAPL", "BUY", qty=1, stop=1, price=1, **account),
        tickets.multi_leg(legs, "BUY_TO_OPEN", qty=1, price=1, **account),
    ]


def _request_of(method: Callable[..., object], arguments: dict[str, Any]) -> Request:
    positional = [arguments.pop("scopes")] if "scopes" in arguments else []
    try:
        started = cast("Awaitable[object]", method(*positional, **arguments)).__await__()
        next(iter(started))
    except _CapturedRequest as captured:
        return captured.request
    msg = f"{method!r} sent no request"
    raise AssertionError(msg)


def _operation(requests: list[Request], response: Shape | None) -> Operation:
    queries = [dict(parse_qsl(request.query.removeprefix("?"))) for request in requests]
    bodies = [msgspec.json.decode(request.body) for request in requests if request.body is not None]
    return Operation(
        method=requests[0].method,
        path=unquote(requests[0].path),
        query={
            name: Member(Shape(frozenset({"string"}), values=_values_of(name)), all(name in query for query in queries))
            for query in queries
            for name in query
        },
        body=_shape_of_all(bodies) if bodies else None,
        response=response,
    )


def _shape_of_all(values: list[Any], name: str = "") -> Shape:
    """Return the shape of all values of one place; each is text, a boolean, null, an array or an object."""
    objects = [cast("dict[str, Any]", value) for value in values if isinstance(value, dict)]
    arrays = [cast("list[object]", value) for value in values if isinstance(value, list)]
    items = [item for array in arrays for item in array]
    kinds = {JSON_KINDS[type(value)] for value in values if value is not None}
    by_name: dict[str, list[Any]] = {}
    for each in objects:
        for key, value in each.items():
            by_name.setdefault(key, []).append(value)
    members = {key: Member(_shape_of_all(found, key), len(found) == len(objects)) for key, found in by_name.items()}
    return Shape(frozenset(kinds), None in values, _values_of(name), members, _shape_of_all(items) if items else None)


JSON_KINDS: dict[type, str] = {str: "string", bool: "boolean", list: "array", dict: "object"}
CLASS_KINDS: dict[type, str] = {str: "string", Secret: "string", bool: "boolean"}


def _enums() -> dict[str, type[OpenEnum]]:
    return {
        field.encode_name: kind
        for model in (Order, Connection, Position)
        for field in msgspec.structs.fields(model)
        if (kind := _enum_in(field.type)) is not None
    }


def _enum_in(expected: Any) -> type[OpenEnum] | None:  # noqa: ANN401 - a type or a form of types
    for kind in (expected, *get_args(expected)):
        if isinstance(kind, type) and issubclass(kind, OpenEnum):
            return kind
    return None


def _values_of(name: str) -> frozenset[str]:
    kind = _ENUMS.get(name)
    return frozenset() if kind is None or name in OPEN_IN_REQUESTS else frozenset(member.value for member in kind)


OPEN_IN_REQUESTS = frozenset({"status", "type", "broker"})  # a filter has more words, and brokers are unpublished
_ENUMS = _enums()


def _response_shape(method: Callable[..., object]) -> Shape | None:
    kind = get_type_hints(method).get("return")
    kinds = get_args(kind) if get_origin(kind) is UnionType else (kind,)
    return next((shape for each in kinds if (shape := _shape_of_type(each)).kinds - {"string"}), None)


def _shape_of_type(expected: Any) -> Shape:  # noqa: ANN401 - a type or a form of types
    """Return the shape of what a decoder of this type accepts."""
    origin, arguments = get_origin(expected), get_args(expected)
    if origin is UnionType:
        shape = next(_shape_of_type(each) for each in arguments if each is not type(None))
        return msgspec.structs.replace(shape, is_nullable=type(None) in arguments)
    if origin is not None:
        # A list or a tuple of items, or a call or a listing that returns one.
        inner = _shape_of_type(arguments[0])
        is_array = issubclass(origin, Sequence | Listing)
        return Shape(frozenset({"array"}), items=inner) if is_array else inner
    return _shape_of_class(expected) if isinstance(expected, type) else Shape()


def _shape_of_class(expected: type) -> Shape:
    if issubclass(expected, OpenEnum):
        return Shape(frozenset({"string"}), values=frozenset(member.value for member in expected))
    if issubclass(expected, msgspec.Struct):
        fields = msgspec.structs.fields(expected)
        members = {field.encode_name: Member(_shape_of_type(field.type), field.required) for field in fields}
        return Shape(frozenset({"object"}), members=members)
    return Shape(frozenset(name for kind, name in CLASS_KINDS.items() if issubclass(expected, kind)))
