"""Orders over a scripted end: what is sent, how often, and what is told. The sandbox's stories are in ``stories``."""

from __future__ import annotations

import asyncio
import json
import pickle
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import parse_qs, urlsplit

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
    tickets,
)
from scripted import Act, ScriptedEnd, answer, drop, reset, silence
from stepped import SteppedClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from connecttrade_async import OrderTicket, User
    from connecttrade_async.rest.resources import Orders

QUICK = Retry(base=0.001, cap=0.002)
NO = b'{"message": "not like this"}'
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
    return {"order_id": order_id, "account_id": "a", "broker": "ALPACA", "status": status} | facts


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
        desk.end.acts[:] = [listed(order(cl_order_id=one.cl_order_id))]
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
        order(order_id="undated", cl_order_id="mine"),
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
    brokers = {"symbol": "BRK.B", "side": "BUY", "order_qty": "many", "created_at": "soon", "order_type": "LMT"}
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
    async with Desk(drop, busy, listed(order(cl_order_id="mine")), clock=clock, timeouts=Timeouts()) as desk:
        placing = asyncio.create_task(desk.user.orders.place(ticket("mine")))
        await clock.until_asked(1)
        assert clock.asked == [7]
        clock.advance(7)
        assert (await placing).order_id == "o-1"


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
    least = {"order_id": "o-1", "cl_order_id": "mine", "status": "working"}
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


@pytest.mark.parametrize("name", ["", None])
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
    "at which broker": (lambda orders: orders.replace(WORKING, qty=1), ConfigurationError),
    "say which order: ": (lambda orders: orders.replace(order_id="o", qty=1), ConfigurationError),
    "say which order": (lambda orders: orders.cancel(account_id="a"), ConfigurationError),
    "pass the order itself, not str": (lambda orders: orders.cancel(cast("Any", "o-1")), ConfigurationError),
    "not dict, or its account_id= and order_id=": (
        lambda orders: orders.replace(cast("Any", {"order_id": "o-1"}), broker="ALPACA", qty=1),
        ConfigurationError,
    ),
    "place takes a ticket, .* not Order": (lambda orders: orders.place(cast("Any", WORKING)), ConfigurationError),
    "pass the order, or its account_id= and order_id=": (
        lambda orders: orders.cancel(Order(order_id="o")),
        ConfigurationError,
    ),
    "order_id cannot be": (lambda orders: orders.cancel(account_id="a", order_id=".."), ConfigurationError),
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
