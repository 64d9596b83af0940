"""Orders over a scripted end: what is sent, how often, and what is told. The sandbox's stories are in ``stories``."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, strategies as st

from connecttrade_async import (
    APIError,
    AuthenticationError,
    BadRequestError,
    Broker,
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
    tickets,
)
from connecttrade_async.ids import uuid7
from connecttrade_async.rest.order_lookup import SentOrder
from manual_clock import BEGIN, SteppedClock
from scripted_server import Act, ScriptedEnd, answer, drop, raw, reset, silence

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from connecttrade_async import OrderTicket, User
    from connecttrade_async.rest.resources import Orders

QUICK = Retry(base=0.001, cap=0.002)
NO = b'{"message": "not like this"}'
SOON: Any = {"timeouts": Timeouts(call=0.2, settle=0.02)}
LOST: dict[str, Act] = {
    "dropped": drop,
    "reset": reset,
    "cut in half": answer(200, b'{"order_id": "1"', declared=80),
    "not JSON": answer(200, b"<html>done</html>"),
    "empty": answer(200, b""),
    "500": answer(500, NO),
    "502": answer(502, b"<html>"),
    "503": answer(503, NO, retry_after="0"),
    "504": answer(504, NO),
    "silence": silence,
}


def ticket(cl_order_id: str | None = None) -> OrderTicket:
    options: Any = {} if cl_order_id is None else {"cl_order_id": cl_order_id}
    return tickets.limit("MSFT", "BUY", qty=1, price="410.50", account_id="a", broker="ALPACA", **options)


def order(status: str = "working", order_id: str = "o-1", **facts: Any) -> dict[str, Any]:
    least = {"order_id": order_id, "account_id": "a", "broker": "ALPACA", "status": status}
    # None leaves the time out; else the order was made just now.
    made = {"created_at": facts.pop("created_at", datetime.now(UTC).isoformat())}
    return least | {name: value for name, value in made.items() if value is not None} | facts


def listed(*orders: dict[str, Any], following: str | None = None) -> Act:
    return answer(200, json.dumps({"orders": orders, "next_cursor": following}))


def told(one: dict[str, Any]) -> Act:
    return answer(200, json.dumps(one))


class Desk:
    """A user whose API is a script."""

    def __init__(self, *acts: Act, **settings: Any) -> None:
        defaults: Any = {"retry": QUICK, "timeouts": Timeouts(call=0.2, settle=5)}
        self.end = ScriptedEnd(*acts)
        self._settings = defaults | settings

    async def __aenter__(self) -> Self:
        await self.end.__aenter__()
        self.ct = ConnectTrade("client", "hush", endpoints=Endpoints(self.end.url), **self._settings)
        self.user: User = self.ct.user("u", "whisper")
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.ct.aclose()
        await self.end.__aexit__()

    def sent(self, method: str) -> int:
        return sum(seen.method == method for seen in self.end.seen)

    def queries(self) -> list[dict[str, list[str]]]:
        return [parse_qs(urlsplit(seen.target).query) for seen in self.end.seen if seen.method == "GET"]


async def test_an_order_is_placed_and_told() -> None:
    one = ticket()
    async with Desk(told(order(cl_order_id=one.cl_order_id))) as desk:
        placed = await desk.user.orders.place(one)
    assert (placed.order_id, placed.cl_order_id, placed.status) == ("o-1", one.cl_order_id, "working")
    [seen] = desk.end.seen
    assert (seen.method, seen.target) == ("POST", "/orders")
    assert json.loads(seen.body) == one.payload()


async def test_the_least_answer_is_completed_from_what_was_sent() -> None:
    one = ticket()
    async with Desk(answer(200, b'{"order_id": "o-1", "status": "pending"}')) as desk:
        placed = await desk.user.orders.place(one)
    assert (placed.account_id, placed.broker, placed.cl_order_id) == ("a", "ALPACA", one.cl_order_id)


async def test_a_dry_run_sends_nothing_and_shows_the_exact_json() -> None:
    one = ticket()
    async with Desk(told(order(cl_order_id=one.cl_order_id))) as desk:
        shown = await desk.user.orders.place(one, dry_run=True)
        assert desk.end.seen == []
        await desk.user.orders.place(one)
    assert shown.encode() == desk.end.seen[0].body


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
async def test_a_lost_answer_is_looked_up_by_the_id_and_never_sent_again(lost: Act) -> None:
    one = ticket()
    found = listed(order(order_id="other", cl_order_id="x"), order(cl_order_id=one.cl_order_id, status="filled"))
    async with Desk(lost, listed(), found) as desk:
        placed = await desk.user.orders.place(one)
    assert (placed.order_id, placed.status) == ("o-1", "filled")
    assert (desk.sent("POST"), desk.sent("GET")) == (1, 2)
    [query, _] = desk.queries()
    assert query["status"] == ["all"]
    assert query["start_time"] < query["end_time"]


async def test_every_page_of_the_window_is_looked_at() -> None:
    one = ticket()
    last = listed(order(cl_order_id=one.cl_order_id))
    async with Desk(drop, listed(order(order_id="p"), following="b"), listed(following="c"), last) as desk:
        assert (await desk.user.orders.place(one)).order_id == "o-1"
    assert desk.sent("POST") == 1


async def test_a_look_up_that_fails_is_not_an_answer() -> None:
    one = ticket()
    circle = listed(order(order_id="p"), following="b")
    failing = [answer(500, NO), answer(401, NO), drop, answer(200, b"<html>"), circle, circle, circle]
    async with Desk(answer(504, NO), *failing, listed(order(cl_order_id=one.cl_order_id))) as desk:
        assert (await desk.user.orders.place(one)).order_id == "o-1"
    assert desk.sent("POST") == 1


async def test_when_the_budget_ends_the_outcome_is_unknown_and_can_be_resolved_later() -> None:
    one = ticket()
    clock = SteppedClock()
    settings: Any = {"clock": clock, "timeouts": Timeouts(settle=10), "retry": Retry(base=1, cap=4)}
    async with Desk(drop, listed(), **settings) as desk:
        placing = asyncio.create_task(desk.user.orders.place(one))
        while not placing.done():
            known = len(clock.asked)
            waiting = asyncio.ensure_future(clock.until_asked(known + 1))
            await asyncio.wait([placing, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if len(clock.asked) > known:
                clock.advance(clock.asked[-1])
        with pytest.raises(OrderOutcomeUnknownError, match="nobody can say yet whether the order was placed") as caught:
            await placing
        unknown = caught.value
        assert unknown.cl_order_id == one.cl_order_id
        assert unknown.last_error is None
        assert isinstance(unknown.__cause__, TransportError)
        assert clock.now() < 10
        pauses = clock.asked
        assert all(half <= pause <= 2 * half for pause, half in zip(pauses, (0.5, 1, 2, 2), strict=False))
        with pytest.raises(OrderOutcomeUnknownError):
            await unknown.resolve(timeout=0.001)
        desk.end.acts[:] = [listed(order(cl_order_id=one.cl_order_id, created_at=BEGIN.isoformat()))]
        assert (await unknown.resolve(timeout=1)).order_id == "o-1"
    assert desk.sent("POST") == 1


async def test_an_order_that_was_sent_through_a_view_can_be_looked_for_when_the_view_is_closed() -> None:
    one = ticket()
    async with Desk(drop, listed()) as desk:
        async with desk.ct.with_options(timeouts=Timeouts(settle=0.001)) as view:
            with pytest.raises(OrderOutcomeUnknownError) as caught:
                await view.user("ada", "whisper").orders.place(one)
        with pytest.raises(ClosedError):
            await view.users.list()
        desk.end.acts[:] = [listed(order(cl_order_id=one.cl_order_id))]
        assert (await caught.value.resolve(timeout=1)).order_id == "o-1"
    assert desk.sent("POST") == 1


async def test_an_unknown_outcome_names_why_the_last_look_failed_and_survives_a_pickle() -> None:
    settings: Any = {"timeouts": Timeouts(settle=0.3), "retry": Retry(base=1, cap=1)}
    why = r"looking it up failed \(GET /orders answered 500"
    async with Desk(drop, answer(500, NO), **settings) as desk:
        with pytest.raises(OrderOutcomeUnknownError, match=why) as caught:
            await desk.user.orders.place(ticket("mine"))
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert (again.cl_order_id, str(again)) == ("mine", str(caught.value))
    with pytest.raises(ClosedError):
        again.resolve()


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, BadRequestError), (401, AuthenticationError), (404, NotFoundError), (422, BadRequestError), (429, APIError)],
)
async def test_a_4xx_is_the_brokers_no_and_nothing_is_looked_up(status: int, kind: type[APIError]) -> None:
    async with Desk(answer(status, NO, retry_after="0")) as desk:
        with pytest.raises(kind, match="not like this"):
            await desk.user.orders.place(ticket())
    assert (desk.sent("POST"), desk.sent("GET")) == (1, 0)


async def test_a_conflict_over_our_own_id_means_that_it_lives() -> None:
    async with Desk(answer(409, NO), listed(order(cl_order_id="mine", status="filled"))) as desk:
        assert (await desk.user.orders.place(ticket("mine"))).status == "filled"
    assert desk.sent("POST") == 1


async def test_of_several_days_that_used_an_id_the_latest_counts() -> None:
    days = listed(
        order(order_id="old", cl_order_id="mine", created_at="2026-03-01T10:00:00Z"),
        order(order_id="new", cl_order_id="mine", created_at="2026-03-02T10:00:00Z"),
        order(order_id="undated", cl_order_id="mine", created_at=None),
    )
    async with Desk(days) as desk:
        found = await desk.user.orders.find("mine")
    assert found is not None
    assert found.order_id == "new"


async def test_what_never_left_may_be_sent_again() -> None:
    one = ticket()
    clock = SteppedClock()
    async with Desk(told(order(cl_order_id=one.cl_order_id)), clock=clock, retry=Retry()) as desk:
        server = desk.end._server
        host, port = server.sockets[0].getsockname()
        server.close()
        placing = asyncio.create_task(desk.user.orders.place(one))
        await clock.until_asked(1)
        desk.end._server = await asyncio.start_server(desk.end._meet, host, port)
        clock.advance(clock.asked[-1])
        assert (await placing).order_id == "o-1"
    assert desk.sent("POST") == 1


async def test_what_never_left_at_all_was_not_placed() -> None:
    async with ScriptedEnd() as end:
        url = end.url
    async with ConnectTrade("client", "hush", endpoints=Endpoints(url), retry=QUICK) as ct:
        with pytest.raises(TransportError, match="nothing listens"):
            await ct.user("u", "whisper").orders.place(ticket())
        assert ct.health().exchanges == QUICK.attempts


async def test_a_caller_who_is_cancelled_sends_nothing_more_and_can_find_out() -> None:
    one = ticket()
    async with Desk(silence, listed(order(cl_order_id=one.cl_order_id))) as desk:
        placing = asyncio.create_task(desk.user.orders.place(one))
        await desk.end.until_seen(1)
        placing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await placing
        assert (desk.sent("POST"), desk.sent("GET")) == (1, 0)
        found = await desk.user.orders.find(one.cl_order_id)
        assert found is not None
        assert found.order_id == "o-1"


async def test_a_client_that_is_closed_while_it_settles_cannot_say() -> None:
    clock = SteppedClock()
    async with Desk(drop, listed(), clock=clock) as desk:
        placing = asyncio.create_task(desk.user.orders.place(ticket("mine")))
        await clock.until_asked(1)
        await desk.ct.aclose()
        with pytest.raises(OrderOutcomeUnknownError, match="this client is closed") as caught:
            await placing
        assert caught.value.cl_order_id == "mine"
        with pytest.raises(OrderOutcomeUnknownError, match="this client is closed"):
            await caught.value.resolve(timeout=0)


async def test_a_client_that_is_closed_after_the_order_left_cannot_say() -> None:
    async with Desk(silence, timeouts=Timeouts()) as desk:
        placing = asyncio.create_task(desk.user.orders.place(ticket("mine")))
        await desk.end.until_seen(1)
        await desk.ct.aclose()
        with pytest.raises(OrderOutcomeUnknownError) as caught:
            await placing
        assert isinstance(caught.value.__cause__, ClosedError)


async def test_a_client_that_was_closed_before_placed_nothing() -> None:
    async with Desk() as desk:
        await desk.ct.aclose()
        with pytest.raises(ClosedError):
            await desk.user.orders.place(ticket())
    assert desk.end.seen == []


OTHERS: dict[str, dict[str, Any]] = {
    "account": {"account_id": "b"},
    "symbol": {"symbol": "AAPL"},
    "side": {"side": "SELL"},
    "type": {"order_type": "MKT"},
    "quantity": {"order_qty": "7"},
}


@pytest.mark.parametrize("facts", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("lost", [drop, answer(409, NO)])
async def test_an_id_that_belongs_to_another_order_is_not_taken_for_ours(lost: Act, facts: dict[str, Any]) -> None:
    async with Desk(lost, listed(order(cl_order_id="mine") | facts)) as desk:
        with pytest.raises(ConflictError, match="cl_order_id mine belongs to another order, o-1"):
            await desk.user.orders.place(ticket("mine"))
    assert desk.sent("POST") == 1


async def test_spellings_and_odd_numbers_of_a_broker_are_not_held_against_an_order() -> None:
    sent = tickets.limit("BRK/B", "BUY", qty=1, price="410.50", account_id="a", broker="ALPACA", cl_order_id="mine")
    brokers = {"symbol": "BRK.B", "side": "BUY", "order_qty": "many", "order_type": "LMT"}
    async with Desk(drop, listed(order(cl_order_id="mine", **brokers))) as desk:
        assert (await desk.user.orders.place(sent)).order_id == "o-1"


async def test_what_was_found_before_a_page_failed_is_found() -> None:
    for second in (answer(500, NO), listed(following="b"), answer(200, b"<html>")):
        async with Desk(drop, listed(order(cl_order_id="mine"), following="b"), second) as desk:
            assert (await desk.user.orders.place(ticket("mine"))).order_id == "o-1"


async def test_the_whole_look_is_bounded_however_many_pages_there_are() -> None:
    pages = [listed(order(order_id=f"p-{number}"), following=f"c-{number}") for number in range(3000)]
    async with Desk(drop, *pages, timeouts=Timeouts(settle=0.01)) as desk:
        with pytest.raises(OrderOutcomeUnknownError, match=r"no end within 1 s|c-2999"):
            await desk.user.orders.place(ticket("mine"))


async def test_what_a_server_asks_to_wait_is_waited_between_looks() -> None:
    clock = SteppedClock()
    busy = answer(429, NO, retry_after="7")
    found = listed(order(cl_order_id="mine", created_at=BEGIN.isoformat()))
    async with Desk(drop, busy, found, clock=clock, timeouts=Timeouts()) as desk:
        placing = asyncio.create_task(desk.user.orders.place(ticket("mine")))
        await clock.until_asked(1)
        assert clock.asked == [7]
        clock.advance(7)
        assert (await placing).order_id == "o-1"


@pytest.mark.parametrize("asked", ["0", "Sun, 06 Nov 1994 08:49:37 GMT"])
async def test_a_retry_after_of_nothing_does_not_switch_off_the_pauses_between_looks(asked: str) -> None:
    clock = SteppedClock()
    busy = answer(503, NO, retry_after=asked)
    async with Desk(drop, busy, clock=clock, retry=Retry(base=1, cap=4), timeouts=Timeouts(settle=9)) as desk:
        placing = asyncio.create_task(desk.user.orders.place(ticket("mine")))
        for looks in (1, 2, 3):
            await clock.until_asked(looks)
            clock.advance(clock.asked[-1])
        assert all(half <= pause for pause, half in zip(clock.asked, (0.5, 1, 2), strict=False))
        placing.cancel()


@pytest.mark.parametrize("asked", ["9" * 400, "31536000"])
async def test_a_retry_after_without_measure_ends_the_looks_within_their_time(asked: str) -> None:
    clock = SteppedClock()
    busy = answer(429, NO, retry_after=asked)
    async with Desk(drop, busy, clock=clock, timeouts=Timeouts()) as desk:
        with pytest.raises(OrderOutcomeUnknownError, match="looking it up failed"):
            await desk.user.orders.place(ticket("mine"))
    assert clock.asked == []


async def test_a_conflict_over_an_order_that_is_not_listed_says_so() -> None:
    settings: Any = {"timeouts": Timeouts(call=0.2, settle=0.01)}
    why = "the API said that it knows the id, and it is not listed yet"
    async with Desk(answer(409, NO), listed(), **settings) as desk:
        with pytest.raises(OrderOutcomeUnknownError, match=why) as caught:
            await desk.user.orders.place(ticket("mine"))
    assert caught.value.is_known


@pytest.mark.parametrize("odd", [order(cl_order_id="another"), order(order_id="", cl_order_id="mine")])
async def test_an_answer_with_another_order_is_no_answer(odd: dict[str, Any]) -> None:
    async with Desk(told(odd), listed(order(order_id="o-7", cl_order_id="mine"))) as desk:
        assert (await desk.user.orders.place(ticket("mine"))).order_id == "o-7"


@pytest.mark.parametrize("status", [302, 307, 408, 499])
async def test_what_somebody_on_the_way_answers_is_no_answer(status: int) -> None:
    lost = answer(status, NO, location="https://elsewhere.example/")
    async with Desk(lost, listed(order(cl_order_id="mine"))) as desk:
        assert (await desk.user.orders.place(ticket("mine"))).order_id == "o-1"
    assert desk.sent("POST") == 1


async def test_what_was_resolved_can_be_changed_like_what_was_placed() -> None:
    now = datetime.now(UTC).isoformat()
    least = {"order_id": "o-1", "cl_order_id": "mine", "status": "working", "created_at": now}
    async with Desk(drop, listed(), timeouts=Timeouts(call=0.2, settle=0.001)) as desk:
        with pytest.raises(OrderOutcomeUnknownError) as caught:
            await desk.user.orders.place(ticket("mine"))
        desk.end.acts[:] = [listed(least), told(order("cancelled"))]
        resolved = await caught.value.resolve(timeout=0)
        assert (resolved.account_id, resolved.broker) == ("a", "ALPACA")
        assert (await desk.user.orders.cancel(resolved)).status == "cancelled"
        for wrong in (-1, float("nan")):
            with pytest.raises(ConfigurationError, match="timeout must be seconds"):
                caught.value.resolve(timeout=wrong)


async def test_another_account_s_order_of_the_same_number_is_not_ours() -> None:
    theirs = order("filled") | {"account_id": "b"}
    async with Desk(answer(409, NO), listed(theirs)) as desk:
        with pytest.raises(ConflictError, match="not like this"):
            await desk.user.orders.cancel(WORKING)
    async with Desk(listed(theirs | {"cl_order_id": "mine"})) as desk:
        assert await desk.user.orders.find("mine", account_id="a") is None


async def test_an_order_with_an_odd_time_can_be_cancelled() -> None:
    odd = Order(order_id="o-1", account_id="a", created_at_text="soon")
    async with Desk(told(order("cancelled"))) as desk:
        assert (await desk.user.orders.cancel(odd)).status == "cancelled"


async def test_a_replacement_that_shows_a_moment_after_the_old_one_ended_is_found() -> None:
    ended, new = order("cancelled"), order(order_id="o-2", cl_order_id="n")
    async with Desk(drop, listed(), listed(ended), listed(ended, new)) as desk:
        replaced = await desk.user.orders.replace(WORKING, broker="ALPACA", qty=2, new_cl_order_id="n")
    assert replaced.order_id == "o-2"


async def test_finding_nothing_is_none_and_failing_is_an_error() -> None:
    async with Desk(listed(), answer(400, NO)) as desk:
        assert await desk.user.orders.find("nobody's") is None
        with pytest.raises(BadRequestError):
            await desk.user.orders.find("nobody's")


@pytest.mark.parametrize("name", ["", None, "  ", "a\ud800", "a\nb", "a\x1b[2J", "a\u202eb", "x" * 10_000])
async def test_no_id_is_nobodys_and_must_not_be_taken_for_not_placed(name: Any) -> None:
    async with Desk() as desk:
        with pytest.raises(ConfigurationError, match="the id of a ticket or of a replacement"):
            await desk.user.orders.find(name)
    assert desk.end.seen == []


async def test_how_far_back_an_id_is_looked_for() -> None:
    clock = SteppedClock()
    own, foreign = "019caed9-4300-7000-8000-000000000000", "0fffffff-ffff-7ab0-9233-7a89c1325f90"
    async with Desk(listed(), clock=clock) as desk:
        for name in (own, foreign, "mine"):
            await desk.user.orders.find(name)
        await desk.user.orders.find("mine", since=datetime(2026, 1, 1, tzinfo=UTC))
    assert [query["start_time"] for query in desk.queries()] == [
        ["2026-03-01T14:00:00Z"],
        ["2026-02-23T14:30:00Z"],
        ["2026-02-23T14:30:00Z"],
        ["2026-01-01T00:00:00Z"],
    ]


WORKING = Order(order_id="o-1", account_id="a", broker=None, created_at_text="2026-03-01T10:00:00Z")


async def test_replacing_sends_what_changes_under_an_id_of_its_own() -> None:
    async with Desk(told(order(order_id="o-2"))) as desk:
        replaced = await desk.user.orders.replace(WORKING, broker="ALPACA", qty=2, price="411.00", new_cl_order_id="n")
    assert (replaced.order_id, replaced.cl_order_id) == ("o-2", "n")
    [seen] = desk.end.seen
    assert (seen.method, seen.target) == ("PATCH", "/accounts/a/orders/o-1")
    assert json.loads(seen.body) == {
        "new_cl_order_id": "n",
        "broker": "ALPACA",
        "order_qty": "2",
        "order_limit_price": "411.00",
    }


async def test_replacing_by_ids_makes_the_id() -> None:
    async with Desk(told(order(order_id="o-2"))) as desk:
        orders = desk.user.orders
        first = await orders.replace(account_id="a/1", order_id="o 1", broker="ALPACA", notional="100", stop=1)
        second = await orders.replace(account_id="a/1", order_id="o 1", broker="ALPACA", notional="100", stop=1)
    assert first.cl_order_id != second.cl_order_id
    assert desk.end.seen[0].target == "/accounts/a%2F1/orders/o%201"


MEANINGLESS: dict[str, tuple[Callable[[Orders], Awaitable[Order]], type[Exception]]] = {
    "broker must be given": (lambda orders: orders.replace(WORKING, qty=1), ConfigurationError),
    "order must be given, or its ": (lambda orders: orders.replace(order_id="o", qty=1), ConfigurationError),
    "order must be given, or its account_id= and": (lambda orders: orders.cancel(account_id="a"), ConfigurationError),
    "order must be an Order, .* got str": (lambda orders: orders.cancel(cast("Any", "o-1")), ConfigurationError),
    "order must be an Order, or None with account_id= and order_id=, got dict": (
        lambda orders: orders.replace(cast("Any", {"order_id": "o-1"}), broker="ALPACA", qty=1),
        ConfigurationError,
    ),
    "ticket must be an OrderTicket, .* got Order": (
        lambda orders: orders.place(cast("Any", WORKING)),
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
    "not sent: ": (lambda orders: orders.replace(WORKING, broker="ALPACA"), TicketError),
    "zero": (lambda orders: orders.replace(WORKING, broker="ALPACA", qty=0), TicketError),
}


@pytest.mark.parametrize("why", MEANINGLESS)
async def test_what_cannot_be_meant_is_not_sent(why: str) -> None:
    call, kind = MEANINGLESS[why]
    async with Desk() as desk:
        with pytest.raises(kind, match=why):
            await call(desk.user.orders)
    assert desk.end.seen == []


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
async def test_a_lost_replacement_is_found_under_its_new_id(lost: Act) -> None:
    old, new = order("replaced"), order(order_id="o-2", cl_order_id="n")
    async with Desk(lost, listed(), listed(old), listed(old, new)) as desk:
        replaced = await desk.user.orders.replace(WORKING, broker="ALPACA", qty=2, new_cl_order_id="n")
    assert replaced.order_id == "o-2"
    assert desk.sent("PATCH") == 1


async def test_a_lost_replacement_of_an_order_that_ended_is_told_so() -> None:
    async with Desk(drop, listed(), listed(order("filled")), listed(order("filled"))) as desk:
        with pytest.raises(OrderNotReplacedError, match="order o-1 was not replaced: it is filled") as caught:
            await desk.user.orders.replace(WORKING, broker="ALPACA", qty=2)
    assert (caught.value.order_id, caught.value.status) == ("o-1", "filled")
    assert desk.sent("PATCH") == 1


async def test_a_lost_replacement_of_an_order_that_still_works_stays_unknown() -> None:
    settings: Any = {"timeouts": Timeouts(call=0.2, settle=0.02)}
    async with Desk(drop, listed(order("working")), **settings) as desk:
        with pytest.raises(OrderOutcomeUnknownError, match="whether order o-1 was replaced") as caught:
            await desk.user.orders.replace(WORKING, broker="ALPACA", qty=2, new_cl_order_id="n")
    assert (caught.value.cl_order_id, caught.value.order_id) == ("n", "o-1")
    assert desk.sent("PATCH") == 1


async def test_a_refused_replacement_is_the_brokers_no() -> None:
    for status in (400, 404, 409, 422):
        async with Desk(answer(status, NO)) as desk:
            with pytest.raises(APIError, match="not like this"):
                await desk.user.orders.replace(WORKING, broker="ALPACA", qty=2)
        assert (desk.sent("PATCH"), desk.sent("GET")) == (1, 0)


async def test_a_conflict_over_a_replacement_s_own_id_means_that_it_lives() -> None:
    async with Desk(answer(409, NO), listed(order(order_id="o-2", cl_order_id="n"))) as desk:
        replaced = await desk.user.orders.replace(WORKING, broker="ALPACA", qty=2, new_cl_order_id="n")
    assert replaced.order_id == "o-2"


async def test_cancelling_returns_the_order_as_it_then_stands() -> None:
    async with Desk(told(order("pending_cancel"))) as desk:
        assert (await desk.user.orders.cancel(WORKING)).status == "pending_cancel"
    [seen] = desk.end.seen
    assert (seen.method, seen.target) == ("DELETE", "/accounts/a/orders/o-1")


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
@pytest.mark.parametrize("state", ["pending_cancel", "cancelled", "filled", "expired", "replaced"])
async def test_a_lost_cancellation_is_settled_by_the_state_of_the_order(lost: Act, state: str) -> None:
    other = listed(order(order_id="o-9"), following="b")
    async with Desk(lost, listed(order("working")), listed(), other, listed(order(state))) as desk:
        ended = await desk.user.orders.cancel(WORKING)
    assert (ended.order_id, ended.status) == ("o-1", state)
    assert (desk.sent("DELETE"), desk.sent("GET")) == (1, 4)


EMPTY: dict[str, Act] = {
    "204": raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "200 without a body": answer(200, b""),
    "202 of white space": answer(202, b" \r\n"),
}


@pytest.mark.parametrize("empty", EMPTY.values(), ids=EMPTY)
@pytest.mark.parametrize("state", ["cancelled", "pending_cancel", "filled"])
async def test_an_empty_answer_to_a_cancellation_is_an_answer(
    empty: Act, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Desk(empty, listed(order("working")), listed(order(state))) as desk:
        cancelled = await desk.user.orders.cancel(WORKING)
    assert (cancelled.order_id, cancelled.status) == ("o-1", state)
    assert desk.sent("DELETE") == 1
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("empty", EMPTY.values(), ids=EMPTY)
async def test_an_empty_answer_to_a_cancellation_that_never_shows_is_unknown_and_says_so(empty: Act) -> None:
    why = "order o-1 was sent, the API accepted it with an empty answer, and order o-1 is listed as working"
    async with Desk(empty, listed(order("working")), **SOON) as desk:
        with pytest.raises(OrderOutcomeUnknownError, match=why) as caught:
            await desk.user.orders.cancel(WORKING)
        assert caught.value.answered == "the API accepted it with an empty answer"
        with pytest.raises(OrderOutcomeUnknownError, match=why):
            await caught.value.resolve(timeout=0)


@pytest.mark.parametrize(
    "body", [b"null", b"{}", b'"OK"', b"OK", b'{"success": true}', b"[]", b'{"status":"cancelled"}']
)
async def test_an_answer_to_a_cancellation_that_is_no_order_is_settled_by_looking(body: bytes) -> None:
    async with Desk(answer(200, body), listed(order("cancelled"))) as desk:
        assert (await desk.user.orders.cancel(WORKING)).status == "cancelled"
    async with Desk(answer(200, body), listed(order("working")), **SOON) as desk:
        with pytest.raises(OrderOutcomeUnknownError, match="its answer could not be read, and order o-1 is listed"):
            await desk.user.orders.cancel(WORKING)


async def test_an_empty_answer_to_an_order_or_a_replacement_is_settled_by_looking() -> None:
    one = ticket()
    async with Desk(answer(201, b""), listed(order(cl_order_id=one.cl_order_id))) as desk:
        assert (await desk.user.orders.place(one)).order_id == "o-1"
    async with Desk(answer(202, b""), listed(order(order_id="o-2", cl_order_id="n"))) as desk:
        replaced = await desk.user.orders.replace(WORKING, broker="ALPACA", qty=2, new_cl_order_id="n")
    assert replaced.order_id == "o-2"


async def test_a_lost_cancellation_of_an_order_that_goes_on_working_stays_unknown() -> None:
    settings: Any = {"timeouts": Timeouts(call=0.2, settle=0.02)}
    async with Desk(drop, listed(order("working")), **settings) as desk:
        with pytest.raises(OrderOutcomeUnknownError, match="whether order o-1 was cancelled") as caught:
            await desk.user.orders.cancel(WORKING)
        assert (caught.value.cl_order_id, caught.value.order_id) == (None, "o-1")
        desk.end.acts[:] = [listed(order("cancelled"))]
        assert (await caught.value.resolve(timeout=1)).status == "cancelled"
    assert desk.sent("DELETE") == 1


@pytest.mark.parametrize("status", [400, 404, 409, 422])
@pytest.mark.parametrize("state", ["filled", "cancelled", "rejected", "expired", "replaced"])
async def test_cancelling_what_has_ended_gives_the_truth(status: int, state: str) -> None:
    async with Desk(answer(status, NO), listed(order(state))) as desk:
        assert (await desk.user.orders.cancel(WORKING)).status == state
    assert desk.queries()[0]["start_time"] == ["2026-02-28T10:00:00Z"]


@pytest.mark.parametrize("look", [listed(order("working")), listed(), answer(400, NO), answer(200, b"<html>")])
async def test_a_refused_cancellation_of_what_goes_on_is_the_brokers_no(look: Act) -> None:
    async with Desk(answer(409, NO), look) as desk:
        with pytest.raises(ConflictError, match="not like this"):
            await desk.user.orders.cancel(WORKING)
    assert desk.sent("DELETE") == 1


async def test_a_cancellation_that_is_not_allowed_is_not_looked_up() -> None:
    async with Desk(answer(401, NO)) as desk:
        with pytest.raises(AuthenticationError):
            await desk.user.orders.cancel(WORKING)
    assert desk.sent("GET") == 0


def before_now(**ago: float) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).isoformat()


def id_drawn(**ago: float) -> str:
    """Return an id of our own making that was drawn some time ago."""
    milliseconds = int((datetime.now(UTC) - timedelta(**ago)).timestamp() * 1000)
    return uuid7(milliseconds << 12, 7)


@pytest.mark.parametrize("lost", [answer(504, NO), drop], ids=["504", "dropped"])
@pytest.mark.parametrize(
    ("made", "why"),
    [
        (before_now(hours=20), "o-1 with this id was created at .*, so another request created it"),
        (before_now(minutes=30), "so another request created it"),
        (before_now(hours=-20), "so another request created it"),
        (None, "has no time of creation, so it may be another day's"),
        ("soon", "has no time of creation"),
        ("", "has no time of creation"),
    ],
    ids=["20 hours old", "30 minutes old", "in 20 hours", "no time", "no readable time", "an empty time"],
)
async def test_place_with_an_order_of_another_time_listed_under_the_id_is_unknown(
    lost: Act, made: str | None, why: str
) -> None:
    async with Desk(lost, listed(order("filled", cl_order_id="mine", created_at=made)), **SOON) as desk:
        with pytest.raises(OrderOutcomeUnknownError, match=why) as caught:
            await desk.user.orders.place(ticket("mine"))
        assert (caught.value.is_known, caught.value.last_error) == (False, None)
        with pytest.raises(OrderOutcomeUnknownError, match=why):
            await caught.value.resolve(timeout=0)
        old = order("filled", cl_order_id="mine", created_at=made)
        desk.end.acts[:] = [listed(old, order(order_id="o-2", cl_order_id="mine"))]
        assert (await caught.value.resolve(timeout=0)).order_id == "o-2"
    assert desk.sent("POST") == 1


@pytest.mark.parametrize("minutes", [4, -4, 0])
async def test_place_accepts_an_order_whose_time_differs_by_minutes_of_clocks(minutes: int) -> None:
    made = before_now(minutes=minutes)
    async with Desk(drop, listed(order(cl_order_id="mine", created_at=made))) as desk:
        assert (await desk.user.orders.place(ticket("mine"))).order_id == "o-1"


@pytest.mark.parametrize("made", [None, "soon"])
async def test_place_accepts_an_order_without_a_time_only_under_an_id_drawn_just_now(made: str | None) -> None:
    fresh, old = id_drawn(minutes=1), id_drawn(hours=20)
    async with Desk(drop, listed(order(cl_order_id=fresh, created_at=made))) as desk:
        assert (await desk.user.orders.place(ticket(fresh))).order_id == "o-1"
    async with Desk(drop, listed(order(cl_order_id=old, created_at=made)), **SOON) as desk:
        with pytest.raises(OrderOutcomeUnknownError, match="it may be another day's"):
            await desk.user.orders.place(ticket(old))


@pytest.mark.parametrize("hours", [-5, 5, 13])
async def test_place_accepts_hours_of_difference_only_under_an_id_drawn_just_now(hours: int) -> None:
    one, made = ticket(), before_now(hours=hours)
    async with Desk(drop, listed(order(cl_order_id=one.cl_order_id, created_at=made))) as desk:
        assert (await desk.user.orders.place(one)).order_id == "o-1"
    async with Desk(drop, listed(order(cl_order_id="mine", created_at=made)), **SOON) as desk:
        with pytest.raises(OrderOutcomeUnknownError):
            await desk.user.orders.place(ticket("mine"))


async def test_place_does_not_return_an_order_older_than_its_id() -> None:
    one = ticket()
    stale = listed(order(cl_order_id=one.cl_order_id, created_at=before_now(hours=20)))
    async with Desk(answer(504, NO), stale, **SOON) as desk:
        with pytest.raises(OrderOutcomeUnknownError, match="another request created it"):
            await desk.user.orders.place(one)


async def test_place_with_a_ticket_of_yesterday_does_not_return_yesterdays_order() -> None:
    old = id_drawn(hours=21)
    async with Desk(answer(504, NO), listed(order(cl_order_id=old, created_at=before_now(hours=20))), **SOON) as desk:
        with pytest.raises(OrderOutcomeUnknownError, match="another request created it"):
            await desk.user.orders.place(ticket(old))


async def test_place_does_not_call_yesterdays_order_with_other_terms_a_conflict() -> None:
    other = order(cl_order_id="mine", created_at=before_now(hours=20), symbol="AAPL")
    async with Desk(drop, listed(other), **SOON) as desk:
        with pytest.raises(OrderOutcomeUnknownError):
            await desk.user.orders.place(ticket("mine"))


async def test_place_refused_as_a_duplicate_returns_the_order_of_the_same_utc_day_only() -> None:
    clock = SteppedClock()  # 14:30 UTC
    morning, evening = (
        listed(order(cl_order_id="mine", created_at=when)) for when in ("2026-03-02T00:10:00Z", "2026-03-01T23:50:00Z")
    )
    async with Desk(answer(409, NO), morning, clock=clock) as desk:
        assert (await desk.user.orders.place(ticket("mine"))).order_id == "o-1"
    async with Desk(answer(409, NO), evening, clock=clock, timeouts=Timeouts(settle=0.0001)) as desk:
        with pytest.raises(
            OrderOutcomeUnknownError, match="the API said that it knows the id, and order o-1"
        ) as caught:
            await desk.user.orders.place(ticket("mine"))
    assert caught.value.is_known


async def test_place_with_two_orders_of_the_id_at_that_time_is_unknown() -> None:
    two = listed(order(cl_order_id="mine"), order(order_id="o-2", cl_order_id="mine"))
    async with Desk(drop, two, **SOON) as desk:
        with pytest.raises(
            OrderOutcomeUnknownError, match="2 orders with this id were created around that time: o-1, o-2"
        ):
            await desk.user.orders.place(ticket("mine"))


async def test_place_takes_an_order_listed_on_two_pages_for_one() -> None:
    first, second = order(cl_order_id="mine"), order("filled", cl_order_id="mine")
    async with Desk(drop, listed(first, following="b"), listed(second, order())) as desk:
        assert (await desk.user.orders.place(ticket("mine"))).order_id == "o-1"


@pytest.mark.parametrize("status", [drop, answer(409, NO)])
async def test_replace_does_not_take_an_older_order_of_the_new_id_for_the_replacement(status: Act) -> None:
    old, stale = order("replaced"), order(order_id="o-2", cl_order_id="n", created_at=before_now(hours=30))
    async with Desk(status, listed(old, stale), **SOON) as desk:
        with pytest.raises(OrderOutcomeUnknownError, match="o-2 with this id was created at"):
            await desk.user.orders.replace(WORKING, broker="ALPACA", qty=2, new_cl_order_id="n")
    assert desk.sent("PATCH") == 1


@pytest.mark.parametrize("made", [None, before_now(hours=30)], ids=["no time", "30 hours old"])
async def test_replace_takes_the_order_that_names_the_replaced_one(made: str | None) -> None:
    new = order(order_id="o-2", cl_order_id="n", created_at=made, replaces="o-1")
    async with Desk(drop, listed(new)) as desk:
        replaced = await desk.user.orders.replace(WORKING, broker="ALPACA", qty=2, new_cl_order_id="n")
    assert replaced.order_id == "o-2"
    other = order(order_id="o-2", cl_order_id="n", replaces="o-7")
    async with Desk(drop, listed(other), **SOON) as desk:
        with pytest.raises(OrderOutcomeUnknownError):
            await desk.user.orders.replace(WORKING, broker="ALPACA", qty=2, new_cl_order_id="n")


async def test_find_with_since_ignores_orders_made_before() -> None:
    old = order(cl_order_id="mine", created_at=before_now(hours=20))
    async with Desk(listed(old)) as desk:
        assert await desk.user.orders.find("mine", since=datetime.now(UTC) - timedelta(hours=1)) is None
        found = await desk.user.orders.find("mine", since=datetime.now(UTC) - timedelta(hours=21))
    assert found is not None


@given(
    offset=st.timedeltas(timedelta(days=-3), timedelta(days=3)),
    is_known=st.booleans(),
    began=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_the_order_of_a_request_is_recognized_by_its_time_alone(
    offset: timedelta, *, is_known: bool, began: datetime
) -> None:
    made = began + offset
    listed_order = Order(order_id="o-1", cl_order_id="mine", created_at_text=made.isoformat())
    same_day = is_known and made.date() == began.date() and made <= began
    expected = same_day or timedelta(minutes=-5) <= offset <= timedelta(hours=1)
    assert SentOrder("mine", began).created(listed_order, is_known=is_known) is expected


@pytest.mark.parametrize("state", ["working", "partially_filled"])
async def test_an_unknown_cancellation_names_the_status_of_an_order_that_is_listed(state: str) -> None:
    async with Desk(drop, listed(order(state)), **SOON) as desk:
        with pytest.raises(OrderOutcomeUnknownError, match=f"and order o-1 is listed as {state}$") as caught:
            await desk.user.orders.cancel(WORKING)
        assert caught.value.listed == f"order o-1 is listed as {state}"
        desk.end.acts[:] = [listed()]
        with pytest.raises(OrderOutcomeUnknownError, match="it is not listed yet") as again:
            await caught.value.resolve(timeout=0)
        assert again.value.listed is None


async def test_an_unknown_replacement_names_the_status_of_the_old_order() -> None:
    async with Desk(drop, listed(order("working")), **SOON) as desk:
        with pytest.raises(OrderOutcomeUnknownError, match="and order o-1 is listed as working"):
            await desk.user.orders.replace(WORKING, broker="ALPACA", qty=2)


async def test_ids_given_beside_an_order_decide_which_order_is_meant() -> None:
    async with Desk(told(order("cancelled"))) as desk:
        orders = desk.user.orders
        await orders.cancel(WORKING, order_id="o-9")
        await orders.cancel(WORKING, account_id="b")
        await orders.cancel(Order(order_id="o-1"), account_id="b")
    assert [seen.target for seen in desk.end.seen] == [
        "/accounts/a/orders/o-9",
        "/accounts/b/orders/o-1",
        "/accounts/b/orders/o-1",
    ]


async def test_a_broker_given_beside_an_order_decides_where_it_is_replaced() -> None:
    known = Order(order_id="o-1", account_id="a", broker=Broker("ALPACA"))
    async with Desk(told(order(order_id="o-2"))) as desk:
        await desk.user.orders.replace(known, broker="WEBULL", qty=2)
        await desk.user.orders.replace(known, qty=2)
    assert [json.loads(seen.body)["broker"] for seen in desk.end.seen] == ["WEBULL", "ALPACA"]


async def test_cancel_does_not_take_an_older_order_of_the_same_number_for_the_order() -> None:
    older = order("filled", created_at="2025-03-01T10:00:00Z")
    async with Desk(drop, listed(older), **SOON) as desk:
        with pytest.raises(OrderOutcomeUnknownError, match="it is not listed yet"):
            await desk.user.orders.cancel(WORKING)
    async with Desk(answer(404, NO), listed(older)) as desk:
        with pytest.raises(NotFoundError):
            await desk.user.orders.cancel(WORKING)
    async with Desk(drop, listed(older, order("cancelled", created_at=WORKING.created_at_text))) as desk:
        assert (await desk.user.orders.cancel(WORKING)).status == "cancelled"
