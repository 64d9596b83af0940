"""``user.orders`` over a scripted server: what is sent, how often, and what is returned or raised."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from connecttrade_async import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ClosedError,
    ConfigurationError,
    ConflictError,
    ConnectTrade,
    Endpoints,
    NotFoundError,
    Order,
    OrderNotReplacedError,
    OrderOutcomeUnknownError,
    Retry,
    TicketError,
    Timeouts,
    TransportError,
)
from manual_clock import SteppedClock
from order_fixtures import (
    FAST_RETRY,
    LOST_RESPONSES,
    REFUSAL,
    SHORT_SETTLE,
    WORKING_ORDER,
    ScriptedUser,
    order,
    order_page,
    order_response,
    ticket,
)
from scripted_server import Act, ScriptedEnd, answer, drop, raw, silence

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from connecttrade_async.rest.resources import Orders


async def test_place_sends_the_ticket_and_returns_the_order() -> None:
    one = ticket()
    async with ScriptedUser(order_response(order(cl_order_id=one.cl_order_id))) as api:
        placed = await api.user.orders.place(one)
    assert (placed.order_id, placed.cl_order_id, placed.status) == ("o-1", one.cl_order_id, "working")
    [seen] = api.end.seen
    assert (seen.method, seen.target) == ("POST", "/orders")
    assert json.loads(seen.body) == one.payload()


async def test_place_completes_a_minimal_response_with_the_sent_fields() -> None:
    one = ticket()
    async with ScriptedUser(answer(200, b'{"order_id": "o-1", "status": "pending"}')) as api:
        placed = await api.user.orders.place(one)
    assert (placed.account_id, placed.broker, placed.cl_order_id) == ("a", "ALPACA", one.cl_order_id)


async def test_place_with_dry_run_sends_nothing_and_returns_the_exact_json() -> None:
    one = ticket()
    async with ScriptedUser(order_response(order(cl_order_id=one.cl_order_id))) as api:
        shown = await api.user.orders.place(one, dry_run=True)
        assert api.end.seen == []
        await api.user.orders.place(one)
    assert shown.encode() == api.end.seen[0].body


@pytest.mark.parametrize("lost", LOST_RESPONSES.values(), ids=LOST_RESPONSES)
async def test_place_after_a_lost_response_looks_the_order_up_and_never_sends_again(lost: Act) -> None:
    one = ticket()
    found = order_page(order(order_id="other", cl_order_id="x"), order(cl_order_id=one.cl_order_id, status="filled"))
    async with ScriptedUser(lost, order_page(), found) as api:
        placed = await api.user.orders.place(one)
    assert (placed.order_id, placed.status) == ("o-1", "filled")
    assert (api.sent("POST"), api.sent("GET")) == (1, 2)
    [query, _] = api.queries()
    assert query["status"] == ["all"]
    assert query["start_time"] < query["end_time"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, BadRequestError), (401, AuthenticationError), (404, NotFoundError), (422, BadRequestError), (429, APIError)],
)
async def test_place_refused_with_a_4xx_raises_without_a_look_up(status: int, kind: type[APIError]) -> None:
    async with ScriptedUser(answer(status, REFUSAL, retry_after="0")) as api:
        with pytest.raises(kind, match="not like this"):
            await api.user.orders.place(ticket())
    assert (api.sent("POST"), api.sent("GET")) == (1, 0)


async def test_place_refused_as_a_duplicate_returns_the_existing_order() -> None:
    async with ScriptedUser(answer(409, REFUSAL), order_page(order(cl_order_id="mine", status="filled"))) as api:
        assert (await api.user.orders.place(ticket("mine"))).status == "filled"
    assert api.sent("POST") == 1


async def test_place_that_was_never_sent_is_sent_again() -> None:
    one = ticket()
    clock = SteppedClock()
    async with ScriptedUser(order_response(order(cl_order_id=one.cl_order_id)), clock=clock, retry=Retry()) as api:
        server = api.end._server
        host, port = server.sockets[0].getsockname()
        server.close()
        placing = asyncio.create_task(api.user.orders.place(one))
        await clock.until_asked(1)
        api.end._server = await asyncio.start_server(api.end._meet, host, port)
        clock.advance(clock.asked[-1])
        assert (await placing).order_id == "o-1"
    assert api.sent("POST") == 1


async def test_place_that_was_never_sent_in_any_attempt_raises_a_transport_error() -> None:
    async with ScriptedEnd() as end:
        url = end.url
    async with ConnectTrade("client", "hush", endpoints=Endpoints(url), retry=FAST_RETRY) as ct:
        with pytest.raises(TransportError, match="nothing listens"):
            await ct.user("u", "whisper").orders.place(ticket())
        assert ct.health().exchanges == FAST_RETRY.attempts


async def test_place_cancelled_sends_nothing_more_and_find_returns_the_order() -> None:
    one = ticket()
    async with ScriptedUser(silence, order_page(order(cl_order_id=one.cl_order_id))) as api:
        placing = asyncio.create_task(api.user.orders.place(one))
        await api.end.until_seen(1)
        placing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await placing
        assert (api.sent("POST"), api.sent("GET")) == (1, 0)
        found = await api.user.orders.find(one.cl_order_id)
        assert found is not None
        assert found.order_id == "o-1"


async def test_place_on_a_closed_client_raises_closed_and_sends_nothing() -> None:
    async with ScriptedUser() as api:
        await api.ct.aclose()
        with pytest.raises(ClosedError):
            await api.user.orders.place(ticket())
    assert api.end.seen == []


@pytest.mark.parametrize("odd", [order(cl_order_id="another"), order(order_id="", cl_order_id="mine")])
async def test_place_with_another_order_in_the_response_looks_the_order_up(odd: dict[str, Any]) -> None:
    async with ScriptedUser(order_response(odd), order_page(order(order_id="o-7", cl_order_id="mine"))) as api:
        assert (await api.user.orders.place(ticket("mine"))).order_id == "o-7"


@pytest.mark.parametrize("status", [302, 307, 408, 499])
async def test_place_answered_by_a_proxy_looks_the_order_up(status: int) -> None:
    lost = answer(status, REFUSAL, location="https://elsewhere.example/")
    async with ScriptedUser(lost, order_page(order(cl_order_id="mine"))) as api:
        assert (await api.user.orders.place(ticket("mine"))).order_id == "o-1"
    assert api.sent("POST") == 1


async def test_cancel_accepts_an_order_with_an_unreadable_time() -> None:
    odd = Order(order_id="o-1", account_id="a", created_at_text="soon")
    async with ScriptedUser(order_response(order("cancelled"))) as api:
        assert (await api.user.orders.cancel(odd)).status == "cancelled"


async def test_find_returns_none_if_unlisted_and_raises_on_failure() -> None:
    async with ScriptedUser(order_page(), answer(400, REFUSAL)) as api:
        assert await api.user.orders.find("nobody's") is None
        with pytest.raises(BadRequestError):
            await api.user.orders.find("nobody's")


@pytest.mark.parametrize("name", ["", None, "  ", "a\ud800", "a\nb", "a\x1b[2J", "a\u202eb", "x" * 10_000])
async def test_find_with_an_unusable_id_is_refused(name: Any) -> None:
    async with ScriptedUser() as api:
        with pytest.raises(ConfigurationError, match="the id of a ticket or of a replacement"):
            await api.user.orders.find(name)
    assert api.end.seen == []


async def test_find_derives_the_start_time_from_the_id() -> None:
    clock = SteppedClock()
    own, foreign = "019caed9-4300-7000-8000-000000000000", "0fffffff-ffff-7ab0-9233-7a89c1325f90"
    async with ScriptedUser(order_page(), clock=clock) as api:
        for name in (own, foreign, "mine"):
            await api.user.orders.find(name)
        await api.user.orders.find("mine", since=datetime(2026, 1, 1, tzinfo=UTC))
    assert [query["start_time"] for query in api.queries()] == [
        ["2026-03-01T14:00:00Z"],
        ["2026-02-23T14:30:00Z"],
        ["2026-02-23T14:30:00Z"],
        ["2026-01-01T00:00:00Z"],
    ]


async def test_replace_sends_the_changes_under_a_new_id() -> None:
    async with ScriptedUser(order_response(order(order_id="o-2"))) as api:
        replaced = await api.user.orders.replace(
            WORKING_ORDER, broker="ALPACA", qty=2, price="411.00", new_cl_order_id="n"
        )
    assert (replaced.order_id, replaced.cl_order_id) == ("o-2", "n")
    [seen] = api.end.seen
    assert (seen.method, seen.target) == ("PATCH", "/accounts/a/orders/o-1")
    assert json.loads(seen.body) == {
        "new_cl_order_id": "n",
        "broker": "ALPACA",
        "order_qty": "2",
        "order_limit_price": "411.00",
    }


async def test_replace_by_ids_generates_a_new_id() -> None:
    async with ScriptedUser(order_response(order(order_id="o-2"))) as api:
        orders = api.user.orders
        first = await orders.replace(account_id="a/1", order_id="o 1", broker="ALPACA", notional="100", stop=1)
        second = await orders.replace(account_id="a/1", order_id="o 1", broker="ALPACA", notional="100", stop=1)
    assert first.cl_order_id != second.cl_order_id
    assert api.end.seen[0].target == "/accounts/a%2F1/orders/o%201"


UNUSABLE_ARGUMENTS: dict[str, tuple[Callable[[Orders], Awaitable[Order]], type[Exception]]] = {
    "broker must be given": (lambda orders: orders.replace(WORKING_ORDER, qty=1), ConfigurationError),
    "order must be given, or its ": (lambda orders: orders.replace(order_id="o", qty=1), ConfigurationError),
    "order must be given, or its account_id= and": (lambda orders: orders.cancel(account_id="a"), ConfigurationError),
    "order must be an Order, .* got str": (lambda orders: orders.cancel(cast("Any", "o-1")), ConfigurationError),
    "order must be an Order, or None with account_id= and order_id=, got dict": (
        lambda orders: orders.replace(cast("Any", {"order_id": "o-1"}), broker="ALPACA", qty=1),
        ConfigurationError,
    ),
    "ticket must be an OrderTicket, .* got Order": (
        lambda orders: orders.place(cast("Any", WORKING_ORDER)),
        ConfigurationError,
    ),
    "order must be given, or its account_id= and order_id=": (
        lambda orders: orders.cancel(Order(order_id="o")),
        ConfigurationError,
    ),
    "order_id must be neither empty nor a dot segment": (
        lambda orders: orders.cancel(account_id="a", order_id=".."),
        ConfigurationError,
    ),
    "not sent: ": (lambda orders: orders.replace(WORKING_ORDER, broker="ALPACA"), TicketError),
    "positive": (lambda orders: orders.replace(WORKING_ORDER, broker="ALPACA", qty=0), TicketError),
}


@pytest.mark.parametrize("why", UNUSABLE_ARGUMENTS)
async def test_unusable_arguments_are_refused_before_anything_is_sent(why: str) -> None:
    call, kind = UNUSABLE_ARGUMENTS[why]
    async with ScriptedUser() as api:
        with pytest.raises(kind, match=why):
            await call(api.user.orders)
    assert api.end.seen == []


@pytest.mark.parametrize("lost", LOST_RESPONSES.values(), ids=LOST_RESPONSES)
async def test_replace_after_a_lost_response_finds_the_new_order(lost: Act) -> None:
    old, new = order("replaced"), order(order_id="o-2", cl_order_id="n")
    async with ScriptedUser(lost, order_page(), order_page(old), order_page(old, new)) as api:
        replaced = await api.user.orders.replace(WORKING_ORDER, broker="ALPACA", qty=2, new_cl_order_id="n")
    assert replaced.order_id == "o-2"
    assert api.sent("PATCH") == 1


async def test_replace_after_a_lost_response_raises_if_the_old_order_ended() -> None:
    async with ScriptedUser(drop, order_page(), order_page(order("filled")), order_page(order("filled"))) as api:
        with pytest.raises(OrderNotReplacedError, match="order o-1 was not replaced: it is filled") as caught:
            await api.user.orders.replace(WORKING_ORDER, broker="ALPACA", qty=2)
    assert (caught.value.order_id, caught.value.status) == ("o-1", "filled")
    assert api.sent("PATCH") == 1


async def test_replace_after_a_lost_response_is_unknown_if_the_old_order_works() -> None:
    settings: Any = {"timeouts": Timeouts(call=0.2, settle=0.02)}
    async with ScriptedUser(drop, order_page(order("working")), **settings) as api:
        with pytest.raises(OrderOutcomeUnknownError, match="whether order o-1 was replaced") as caught:
            await api.user.orders.replace(WORKING_ORDER, broker="ALPACA", qty=2, new_cl_order_id="n")
    assert (caught.value.cl_order_id, caught.value.order_id) == ("n", "o-1")
    assert api.sent("PATCH") == 1


async def test_replace_refused_raises_without_a_look_up() -> None:
    for status in (400, 404, 409, 422):
        async with ScriptedUser(answer(status, REFUSAL)) as api:
            with pytest.raises(APIError, match="not like this"):
                await api.user.orders.replace(WORKING_ORDER, broker="ALPACA", qty=2)
        assert (api.sent("PATCH"), api.sent("GET")) == (1, 0)


async def test_replace_refused_as_a_duplicate_returns_the_existing_order() -> None:
    async with ScriptedUser(answer(409, REFUSAL), order_page(order(order_id="o-2", cl_order_id="n"))) as api:
        replaced = await api.user.orders.replace(WORKING_ORDER, broker="ALPACA", qty=2, new_cl_order_id="n")
    assert replaced.order_id == "o-2"


async def test_cancel_returns_the_state_of_the_order_after_it() -> None:
    async with ScriptedUser(order_response(order("pending_cancel"))) as api:
        assert (await api.user.orders.cancel(WORKING_ORDER)).status == "pending_cancel"
    [seen] = api.end.seen
    assert (seen.method, seen.target) == ("DELETE", "/accounts/a/orders/o-1")


@pytest.mark.parametrize("lost", LOST_RESPONSES.values(), ids=LOST_RESPONSES)
@pytest.mark.parametrize("state", ["pending_cancel", "cancelled", "filled", "expired", "replaced"])
async def test_cancel_after_a_lost_response_returns_the_listed_state(lost: Act, state: str) -> None:
    other = order_page(order(order_id="o-9"), following="b")
    async with ScriptedUser(lost, order_page(order("working")), order_page(), other, order_page(order(state))) as api:
        ended = await api.user.orders.cancel(WORKING_ORDER)
    assert (ended.order_id, ended.status) == ("o-1", state)
    assert (api.sent("DELETE"), api.sent("GET")) == (1, 4)


EMPTY: dict[str, Act] = {
    "204": raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "200 without a body": answer(200, b""),
    "202 of white space": answer(202, b" \r\n"),
}


@pytest.mark.parametrize("empty", EMPTY.values(), ids=EMPTY)
@pytest.mark.parametrize("state", ["cancelled", "pending_cancel", "filled"])
async def test_cancel_with_an_empty_response_returns_the_listed_state(
    empty: Act, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with ScriptedUser(empty, order_page(order("working")), order_page(order(state))) as api:
        cancelled = await api.user.orders.cancel(WORKING_ORDER)
    assert (cancelled.order_id, cancelled.status) == ("o-1", state)
    assert api.sent("DELETE") == 1
    assert "outcome unknown" not in " ".join(
        each.getMessage() for each in caplog.records if each.levelname == "WARNING"
    )


@pytest.mark.parametrize("empty", EMPTY.values(), ids=EMPTY)
async def test_cancel_with_an_empty_response_that_never_shows_is_unknown(empty: Act) -> None:
    why = "order o-1 was sent, the API accepted it with an empty response, and order o-1 is listed as working"
    async with ScriptedUser(empty, order_page(order("working")), **SHORT_SETTLE) as api:
        with pytest.raises(OrderOutcomeUnknownError, match=why) as caught:
            await api.user.orders.cancel(WORKING_ORDER)
        assert caught.value.answered == "the API accepted it with an empty response"
        with pytest.raises(OrderOutcomeUnknownError, match=why):
            await caught.value.resolve(timeout=0)


@pytest.mark.parametrize(
    "body", [b"null", b"{}", b'"OK"', b"OK", b'{"success": true}', b"[]", b'{"status":"cancelled"}']
)
async def test_cancel_with_a_response_that_is_no_order_looks_the_order_up(body: bytes) -> None:
    async with ScriptedUser(answer(200, body), order_page(order("cancelled"))) as api:
        assert (await api.user.orders.cancel(WORKING_ORDER)).status == "cancelled"
    async with ScriptedUser(answer(200, body), order_page(order("working")), **SHORT_SETTLE) as api:
        with pytest.raises(OrderOutcomeUnknownError, match="could not be decoded, and order o-1 is listed"):
            await api.user.orders.cancel(WORKING_ORDER)


async def test_place_and_replace_with_an_empty_response_look_the_order_up() -> None:
    one = ticket()
    async with ScriptedUser(answer(201, b""), order_page(order(cl_order_id=one.cl_order_id))) as api:
        assert (await api.user.orders.place(one)).order_id == "o-1"
    async with ScriptedUser(answer(202, b""), order_page(order(order_id="o-2", cl_order_id="n"))) as api:
        replaced = await api.user.orders.replace(WORKING_ORDER, broker="ALPACA", qty=2, new_cl_order_id="n")
    assert replaced.order_id == "o-2"


async def test_cancel_after_a_lost_response_is_unknown_if_the_order_works() -> None:
    settings: Any = {"timeouts": Timeouts(call=0.2, settle=0.02)}
    async with ScriptedUser(drop, order_page(order("working")), **settings) as api:
        with pytest.raises(OrderOutcomeUnknownError, match="whether order o-1 was cancelled") as caught:
            await api.user.orders.cancel(WORKING_ORDER)
        assert (caught.value.cl_order_id, caught.value.order_id) == (None, "o-1")
        api.end.acts[:] = [order_page(order("cancelled"))]
        assert (await caught.value.resolve(timeout=1)).status == "cancelled"
    assert api.sent("DELETE") == 1


@pytest.mark.parametrize("status", [400, 404, 409, 422])
@pytest.mark.parametrize("state", ["filled", "cancelled", "rejected", "expired", "replaced"])
async def test_cancel_refused_for_an_ended_order_returns_its_final_state(status: int, state: str) -> None:
    async with ScriptedUser(answer(status, REFUSAL), order_page(order(state))) as api:
        assert (await api.user.orders.cancel(WORKING_ORDER)).status == state
    assert api.queries()[0]["start_time"] == ["2026-02-28T10:00:00Z"]


@pytest.mark.parametrize(
    "look", [order_page(order("working")), order_page(), answer(400, REFUSAL), answer(200, b"<html>")]
)
async def test_cancel_refused_for_a_working_order_raises(look: Act) -> None:
    async with ScriptedUser(answer(409, REFUSAL), look) as api:
        with pytest.raises(ConflictError, match="not like this"):
            await api.user.orders.cancel(WORKING_ORDER)
    assert api.sent("DELETE") == 1


async def test_cancel_without_permission_raises_without_a_look_up() -> None:
    async with ScriptedUser(answer(401, REFUSAL)) as api:
        with pytest.raises(AuthenticationError):
            await api.user.orders.cancel(WORKING_ORDER)
    assert api.sent("GET") == 0
