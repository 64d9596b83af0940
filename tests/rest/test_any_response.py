"""For any response of a server, a call ends in a value of its type or in an error of the library."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from connecttrade_async import ConnectTrade, ConnectTradeError, Endpoints, Order, Retry, Timeouts, User, tickets
from scripted_server import Act, ScriptedEnd, answer, raw

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

NAMES = [
    *(
        "order_id",
        "cl_order_id",
        "account_id",
        "status",
        "created_at",
        "symbol",
        "order_qty",
        "broker",
        "fills",
        "legs",
    ),
    *("orders", "next_cursor", "prev_cursor", "message", "error", "errors", "detail", "user_id", "user_secret"),
    *("user-secret", "access_token", "expires_at", "connection_id", "accounts", "connection_request_url", "quantity"),
    *("cash", "type", "date", "transaction_id", "side", "replaces", "instrument"),
]
TEXTS = st.sampled_from(
    ["", "filled", "working", "MSFT", "BUY", "mine", "o-1", "a", "2026-03-01T10:00:00Z", "99999999999999999999", "-"],
) | st.text(max_size=12)
NUMBERS = st.integers() | st.floats()
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | TEXTS, inner, max_size=6),
    max_leaves=24,
)
ROWS = st.lists(st.dictionaries(st.sampled_from(NAMES), TEXTS | st.none(), max_size=8), max_size=3)
ENVELOPES = st.fixed_dictionaries({"orders": ROWS}, optional={"next_cursor": TEXTS | st.none(), "prev_cursor": JSON})
BODIES = st.one_of(
    JSON.map(lambda value: json.dumps(value).encode()),
    ROWS.map(lambda value: json.dumps(value).encode()),
    ENVELOPES.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(st.sampled_from(NAMES), TEXTS).map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=40),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
    JSON.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")[:-1]),
    st.sampled_from([b"[" * 5000, b'{"a":' * 5000, b"null", b"", b"1e999", b'{"order_id":"\\ud800"}', b"9" * 5000]),
)
STATUSES = st.sampled_from([200, 200, 200, 201, 202, 204, 206, 300, 302, 400, 401, 404, 409, 422, 429, 499, 500, 503])
HEADERS = st.dictionaries(
    st.sampled_from(["next_cursor", "prev_cursor", "retry_after", "location", "content_type", "x_request_id"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12),
    max_size=2,
)


def acting(status: int, body: bytes, headers: dict[str, str]) -> Act:
    fields: dict[str, Any] = headers
    return answer(status, b"" if status == 204 else body, **fields)


ANSWERS = st.builds(acting, STATUSES, BODIES, HEADERS)
WORKING = Order(order_id="o-1", account_id="a", broker=None, created_at_text="2026-03-01T10:00:00Z")
TICKET = tickets.limit("MSFT", "BUY", qty=1, price="1", account_id="a", broker="ALPACA", cl_order_id="mine")


async def every_order(user: User) -> list[Order]:
    return [order async for order in user.orders.list(status="all")]


async def by_hand(user: User) -> object:
    return (await user.request("GET", "/anything")).json()


CALLS: dict[str, Callable[[ConnectTrade, User], Awaitable[object]]] = {
    "users.create": lambda ct, _: ct.users.create("u"),
    "users.list": lambda ct, _: ct.users.list(),
    "users.delete": lambda ct, _: ct.users.delete("u"),
    "accounts.list": lambda _, user: user.accounts.list(),
    "balances.list": lambda _, user: user.balances.list(),
    "positions.list": lambda _, user: user.positions.list(),
    "transactions.list": lambda _, user: user.transactions.list(),
    "connections.create": lambda _, user: user.connections.create("trade", redirect_url="https://app.example/done"),
    "connections.list": lambda _, user: user.connections.list(),
    "connections.delete": lambda _, user: user.connections.delete("c"),
    "connections.token": lambda _, user: user.connections.token("c"),
    "tokens.create": lambda _, user: user.tokens.create("read"),
    "orders.list": lambda _, user: every_order(user),
    "orders.place": lambda _, user: user.orders.place(TICKET),
    "orders.replace": lambda _, user: user.orders.replace(WORKING, broker="ALPACA", qty=2, new_cl_order_id="n"),
    "orders.cancel": lambda _, user: user.orders.cancel(WORKING),
    "orders.find": lambda _, user: user.orders.find("mine"),
    "request": lambda _, user: by_hand(user),
}


async def outcome_of(call: Callable[[ConnectTrade, User], Awaitable[object]], acts: list[Act]) -> object:
    """Return the value of a call or the library's error; any other exception is raised."""
    value: object
    patience: Any = {"retry": Retry(attempts=2, base=0.0001, cap=0.0001), "timeouts": Timeouts(call=2, settle=0.0001)}
    async with (
        ScriptedEnd(*acts) as end,
        ConnectTrade("client", "hush", endpoints=Endpoints(end.url), **patience) as ct,
    ):
        try:
            async with asyncio.timeout(10):
                value = await call(ct, ct.user("u", "whisper"))
        except ConnectTradeError as exc:
            value = exc
    assert str(value).isprintable() or not isinstance(value, ConnectTradeError)
    assert not isinstance(value, Order) or value.order_id
    return value


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@given(acts=st.lists(ANSWERS, min_size=1, max_size=4))
@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_any_scripted_response_ends_in_a_value_or_a_library_error(
    call: Callable[[ConnectTrade, User], Awaitable[object]], acts: list[Act]
) -> None:
    await outcome_of(call, acts)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@given(lines=st.lists(st.binary(max_size=60), min_size=1, max_size=3))
@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_any_bytes_as_a_response_end_in_a_library_error(
    call: Callable[[ConnectTrade, User], Awaitable[object]], lines: list[bytes]
) -> None:
    await outcome_of(call, [raw(b"HTTP/1.1 200 OK\r\n" + line + b"\r\n\r\n" + line) for line in lines])
