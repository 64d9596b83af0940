"""Order look-ups over a scripted server: which listed order counts as the one of a request."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from connecttrade_async import (
    Broker,
    ConflictError,
    NotFoundError,
    Order,
    OrderOutcomeUnknownError,
    Timeouts,
    tickets,
)
from connecttrade_async.rest.order_lookup import SentOrder
from manual_clock import SteppedClock
from order_fixtures import (
    REFUSAL,
    SHORT_SETTLE,
    WORKING_ORDER,
    ScriptedUser,
    order,
    order_page,
    order_response,
    own_id,
    ticket,
    time_before,
)
from scripted_server import Act, answer, drop


async def test_look_up_reads_every_page_of_the_time_window() -> None:
    one = ticket()
    last = order_page(order(cl_order_id=one.cl_order_id))
    async with ScriptedUser(
        drop, order_page(order(order_id="p"), following="b"), order_page(following="c"), last
    ) as api:
        assert (await api.user.orders.place(one)).order_id == "o-1"
    assert api.sent("POST") == 1


async def test_find_with_an_id_used_on_several_days_returns_the_latest_order() -> None:
    days = order_page(
        order(order_id="old", cl_order_id="mine", created_at="2026-03-01T10:00:00Z"),
        order(order_id="new", cl_order_id="mine", created_at="2026-03-02T10:00:00Z"),
        order(order_id="undated", cl_order_id="mine", created_at=None),
    )
    async with ScriptedUser(days) as api:
        found = await api.user.orders.find("mine")
    assert found is not None
    assert found.order_id == "new"


OTHERS: dict[str, dict[str, Any]] = {
    "account": {"account_id": "b"},
    "symbol": {"symbol": "AAPL"},
    "side": {"side": "SELL"},
    "type": {"order_type": "MKT"},
    "quantity": {"order_qty": "7"},
}


@pytest.mark.parametrize("facts", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("lost", [drop, answer(409, REFUSAL)])
async def test_check_placed_with_a_different_order_under_the_id_is_a_conflict(lost: Act, facts: dict[str, Any]) -> None:
    async with ScriptedUser(lost, order_page(order(cl_order_id="mine") | facts)) as api:
        with pytest.raises(ConflictError, match="cl_order_id mine belongs to another order, o-1"):
            await api.user.orders.place(ticket("mine"))
    assert api.sent("POST") == 1


async def test_check_placed_accepts_other_notation_and_unreadable_numbers() -> None:
    sent = tickets.limit("BRK/B", "BUY", qty=1, price="410.50", account_id="a", broker="ALPACA", cl_order_id="mine")
    brokers = {"symbol": "BRK.B", "side": "BUY", "order_qty": "many", "order_type": "LMT"}
    async with ScriptedUser(drop, order_page(order(cl_order_id="mine", **brokers))) as api:
        assert (await api.user.orders.place(sent)).order_id == "o-1"


async def test_find_returns_an_order_found_before_a_failed_page() -> None:
    for second in (answer(500, REFUSAL), order_page(following="b"), answer(200, b"<html>")):
        async with ScriptedUser(drop, order_page(order(cl_order_id="mine"), following="b"), second) as api:
            assert (await api.user.orders.place(ticket("mine"))).order_id == "o-1"


async def test_look_up_ignores_orders_of_another_account_with_the_same_id() -> None:
    theirs = order("filled") | {"account_id": "b"}
    async with ScriptedUser(answer(409, REFUSAL), order_page(theirs)) as api:
        with pytest.raises(ConflictError, match="not like this"):
            await api.user.orders.cancel(WORKING_ORDER)
    async with ScriptedUser(order_page(theirs | {"cl_order_id": "mine"})) as api:
        assert await api.user.orders.find("mine", account_id="a") is None


async def test_check_replaced_finds_a_successor_listed_after_the_old_order_ended() -> None:
    ended, new = order("cancelled"), order(order_id="o-2", cl_order_id="n")
    async with ScriptedUser(drop, order_page(), order_page(ended), order_page(ended, new)) as api:
        replaced = await api.user.orders.replace(WORKING_ORDER, broker="ALPACA", qty=2, new_cl_order_id="n")
    assert replaced.order_id == "o-2"


@pytest.mark.parametrize("lost", [answer(504, REFUSAL), drop], ids=["504", "dropped"])
@pytest.mark.parametrize(
    ("made", "why"),
    [
        (time_before(hours=20), "o-1 with this id was created at .*, so another request created it"),
        (time_before(minutes=30), "so another request created it"),
        (time_before(hours=-20), "so another request created it"),
        (None, "has no time of creation, so it may be another day's"),
        ("soon", "has no time of creation"),
        ("", "has no time of creation"),
    ],
    ids=["20 hours old", "30 minutes old", "in 20 hours", "no time", "no readable time", "an empty time"],
)
async def test_place_with_an_order_of_another_time_listed_under_the_id_is_unknown(
    lost: Act, made: str | None, why: str
) -> None:
    async with ScriptedUser(
        lost, order_page(order("filled", cl_order_id="mine", created_at=made)), **SHORT_SETTLE
    ) as api:
        with pytest.raises(OrderOutcomeUnknownError, match=why) as caught:
            await api.user.orders.place(ticket("mine"))
        assert (caught.value.is_known, caught.value.last_error) == (False, None)
        with pytest.raises(OrderOutcomeUnknownError, match=why):
            await caught.value.resolve(timeout=0)
        old = order("filled", cl_order_id="mine", created_at=made)
        api.end.acts[:] = [order_page(old, order(order_id="o-2", cl_order_id="mine"))]
        assert (await caught.value.resolve(timeout=0)).order_id == "o-2"
    assert api.sent("POST") == 1


@pytest.mark.parametrize("minutes", [4, -4, 0])
async def test_place_accepts_an_order_with_a_time_off_by_minutes(minutes: int) -> None:
    made = time_before(minutes=minutes)
    async with ScriptedUser(drop, order_page(order(cl_order_id="mine", created_at=made))) as api:
        assert (await api.user.orders.place(ticket("mine"))).order_id == "o-1"


@pytest.mark.parametrize("made", [None, "soon"])
async def test_place_accepts_an_order_without_a_time_only_under_a_fresh_id(made: str | None) -> None:
    fresh, old = own_id(minutes=1), own_id(hours=20)
    async with ScriptedUser(drop, order_page(order(cl_order_id=fresh, created_at=made))) as api:
        assert (await api.user.orders.place(ticket(fresh))).order_id == "o-1"
    async with ScriptedUser(drop, order_page(order(cl_order_id=old, created_at=made)), **SHORT_SETTLE) as api:
        with pytest.raises(OrderOutcomeUnknownError, match="it may be another day's"):
            await api.user.orders.place(ticket(old))


@pytest.mark.parametrize("hours", [-5, 5, 13])
async def test_place_accepts_a_time_off_by_hours_only_under_a_fresh_id(hours: int) -> None:
    one, made = ticket(), time_before(hours=hours)
    async with ScriptedUser(drop, order_page(order(cl_order_id=one.cl_order_id, created_at=made))) as api:
        assert (await api.user.orders.place(one)).order_id == "o-1"
    async with ScriptedUser(drop, order_page(order(cl_order_id="mine", created_at=made)), **SHORT_SETTLE) as api:
        with pytest.raises(OrderOutcomeUnknownError):
            await api.user.orders.place(ticket("mine"))


async def test_place_does_not_return_an_order_older_than_its_id() -> None:
    one = ticket()
    stale = order_page(order(cl_order_id=one.cl_order_id, created_at=time_before(hours=20)))
    async with ScriptedUser(answer(504, REFUSAL), stale, **SHORT_SETTLE) as api:
        with pytest.raises(OrderOutcomeUnknownError, match="another request created it"):
            await api.user.orders.place(one)


async def test_place_with_a_ticket_of_yesterday_does_not_return_yesterdays_order() -> None:
    old = own_id(hours=21)
    async with ScriptedUser(
        answer(504, REFUSAL), order_page(order(cl_order_id=old, created_at=time_before(hours=20))), **SHORT_SETTLE
    ) as api:
        with pytest.raises(OrderOutcomeUnknownError, match="another request created it"):
            await api.user.orders.place(ticket(old))


async def test_place_does_not_call_yesterdays_order_with_other_terms_a_conflict() -> None:
    other = order(cl_order_id="mine", created_at=time_before(hours=20), symbol="AAPL")
    async with ScriptedUser(drop, order_page(other), **SHORT_SETTLE) as api:
        with pytest.raises(OrderOutcomeUnknownError):
            await api.user.orders.place(ticket("mine"))


async def test_place_refused_as_a_duplicate_returns_the_order_of_the_same_utc_day_only() -> None:
    clock = SteppedClock()  # 14:30 UTC
    morning, evening = (
        order_page(order(cl_order_id="mine", created_at=when))
        for when in ("2026-03-02T00:10:00Z", "2026-03-01T23:50:00Z")
    )
    async with ScriptedUser(answer(409, REFUSAL), morning, clock=clock) as api:
        assert (await api.user.orders.place(ticket("mine"))).order_id == "o-1"
    async with ScriptedUser(answer(409, REFUSAL), evening, clock=clock, timeouts=Timeouts(settle=0.0001)) as api:
        with pytest.raises(OrderOutcomeUnknownError, match="the API reported the id as known, and order o-1") as caught:
            await api.user.orders.place(ticket("mine"))
    assert caught.value.is_known


async def test_place_with_two_orders_of_the_id_at_that_time_is_unknown() -> None:
    two = order_page(order(cl_order_id="mine"), order(order_id="o-2", cl_order_id="mine"))
    async with ScriptedUser(drop, two, **SHORT_SETTLE) as api:
        with pytest.raises(
            OrderOutcomeUnknownError, match="2 orders with this id were created around that time: o-1, o-2"
        ):
            await api.user.orders.place(ticket("mine"))


async def test_place_takes_an_order_listed_on_two_pages_for_one() -> None:
    first, second = order(cl_order_id="mine"), order("filled", cl_order_id="mine")
    async with ScriptedUser(drop, order_page(first, following="b"), order_page(second, order())) as api:
        assert (await api.user.orders.place(ticket("mine"))).order_id == "o-1"


@pytest.mark.parametrize("status", [drop, answer(409, REFUSAL)])
async def test_replace_does_not_take_an_older_order_of_the_new_id_for_the_replacement(status: Act) -> None:
    old, stale = order("replaced"), order(order_id="o-2", cl_order_id="n", created_at=time_before(hours=30))
    async with ScriptedUser(status, order_page(old, stale), **SHORT_SETTLE) as api:
        with pytest.raises(OrderOutcomeUnknownError, match="o-2 with this id was created at"):
            await api.user.orders.replace(WORKING_ORDER, broker="ALPACA", qty=2, new_cl_order_id="n")
    assert api.sent("PATCH") == 1


@pytest.mark.parametrize("made", [None, time_before(hours=30)], ids=["no time", "30 hours old"])
async def test_replace_takes_the_order_that_names_the_replaced_one(made: str | None) -> None:
    new = order(order_id="o-2", cl_order_id="n", created_at=made, replaces="o-1")
    async with ScriptedUser(drop, order_page(new)) as api:
        replaced = await api.user.orders.replace(WORKING_ORDER, broker="ALPACA", qty=2, new_cl_order_id="n")
    assert replaced.order_id == "o-2"
    other = order(order_id="o-2", cl_order_id="n", replaces="o-7")
    async with ScriptedUser(drop, order_page(other), **SHORT_SETTLE) as api:
        with pytest.raises(OrderOutcomeUnknownError):
            await api.user.orders.replace(WORKING_ORDER, broker="ALPACA", qty=2, new_cl_order_id="n")


async def test_find_with_since_ignores_older_orders() -> None:
    old = order(cl_order_id="mine", created_at=time_before(hours=20))
    async with ScriptedUser(order_page(old)) as api:
        assert await api.user.orders.find("mine", since=datetime.now(UTC) - timedelta(hours=1)) is None
        found = await api.user.orders.find("mine", since=datetime.now(UTC) - timedelta(hours=21))
    assert found is not None


@given(
    offset=st.timedeltas(timedelta(days=-3), timedelta(days=3)),
    is_known=st.booleans(),
    began=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_sent_order_with_a_foreign_id_is_matched_by_time_alone(
    offset: timedelta, *, is_known: bool, began: datetime
) -> None:
    made = began + offset
    listed_order = Order(order_id="o-1", cl_order_id="mine", created_at_text=made.isoformat())
    same_day = is_known and made.date() == began.date() and made <= began
    expected = same_day or timedelta(minutes=-5) <= offset <= timedelta(hours=1)
    assert SentOrder("mine", began).created(listed_order, is_known=is_known) is expected


async def test_order_ref_prefers_ids_given_beside_an_order() -> None:
    async with ScriptedUser(order_response(order("cancelled"))) as api:
        orders = api.user.orders
        await orders.cancel(WORKING_ORDER, order_id="o-9")
        await orders.cancel(WORKING_ORDER, account_id="b")
        await orders.cancel(Order(order_id="o-1"), account_id="b")
    assert [seen.target for seen in api.end.seen] == [
        "/accounts/a/orders/o-9",
        "/accounts/b/orders/o-1",
        "/accounts/b/orders/o-1",
    ]


async def test_order_ref_prefers_a_broker_given_beside_an_order() -> None:
    known = Order(order_id="o-1", account_id="a", broker=Broker("ALPACA"))
    async with ScriptedUser(order_response(order(order_id="o-2"))) as api:
        await api.user.orders.replace(known, broker="WEBULL", qty=2)
        await api.user.orders.replace(known, qty=2)
    assert [json.loads(seen.body)["broker"] for seen in api.end.seen] == ["WEBULL", "ALPACA"]


async def test_cancel_ignores_an_older_order_with_the_same_id() -> None:
    older = order("filled", created_at="2025-03-01T10:00:00Z")
    async with ScriptedUser(drop, order_page(older), **SHORT_SETTLE) as api:
        with pytest.raises(OrderOutcomeUnknownError, match="it is not listed yet"):
            await api.user.orders.cancel(WORKING_ORDER)
    async with ScriptedUser(answer(404, REFUSAL), order_page(older)) as api:
        with pytest.raises(NotFoundError):
            await api.user.orders.cancel(WORKING_ORDER)
    async with ScriptedUser(
        drop, order_page(older, order("cancelled", created_at=WORKING_ORDER.created_at_text))
    ) as api:
        assert (await api.user.orders.cancel(WORKING_ORDER)).status == "cancelled"
