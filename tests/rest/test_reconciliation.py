"""Reconciliation over a scripted server: how long an outcome is checked, and what an unknown outcome reports."""

from __future__ import annotations

import asyncio
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from connecttrade_async import (
    ClosedError,
    ConfigurationError,
    OrderOutcomeUnknownError,
    Retry,
    Timeouts,
    TransportError,
)
from manual_clock import BEGIN, SteppedClock
from order_fixtures import (
    REFUSAL,
    SHORT_SETTLE,
    WORKING_ORDER,
    ScriptedUser,
    order,
    order_page,
    order_response,
    ticket,
)
from scripted_server import answer, drop, silence


async def test_reconcile_continues_after_a_failed_look_up() -> None:
    one = ticket()
    circle = order_page(order(order_id="p"), following="b")
    failing = [answer(500, REFUSAL), answer(401, REFUSAL), drop, answer(200, b"<html>"), circle, circle, circle]
    async with ScriptedUser(answer(504, REFUSAL), *failing, order_page(order(cl_order_id=one.cl_order_id))) as api:
        assert (await api.user.orders.place(one)).order_id == "o-1"
    assert api.sent("POST") == 1


async def test_reconcile_at_its_deadline_raises_an_error_that_resolves_later() -> None:
    one = ticket()
    clock = SteppedClock()
    settings: Any = {"clock": clock, "timeouts": Timeouts(settle=10), "retry": Retry(base=1, cap=4)}
    async with ScriptedUser(drop, order_page(), **settings) as api:
        placing = asyncio.create_task(api.user.orders.place(one))
        while not placing.done():
            known = len(clock.asked)
            waiting = asyncio.ensure_future(clock.until_asked(known + 1))
            await asyncio.wait([placing, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if len(clock.asked) > known:
                clock.advance(clock.asked[-1])
        with pytest.raises(OrderOutcomeUnknownError, match="whether the order was placed") as caught:
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
        api.end.acts[:] = [order_page(order(cl_order_id=one.cl_order_id, created_at=BEGIN.isoformat()))]
        assert (await unknown.resolve(timeout=1)).order_id == "o-1"
    assert api.sent("POST") == 1


async def test_resolve_after_the_close_of_a_view_still_finds_the_order() -> None:
    one = ticket()
    async with ScriptedUser(drop, order_page()) as api:
        async with api.ct.with_options(timeouts=Timeouts(settle=0.001)) as view:
            with pytest.raises(OrderOutcomeUnknownError) as caught:
                await view.user("ada", "whisper").orders.place(one)
        with pytest.raises(ClosedError):
            await view.users.list()
        api.end.acts[:] = [order_page(order(cl_order_id=one.cl_order_id))]
        assert (await caught.value.resolve(timeout=1)).order_id == "o-1"
    assert api.sent("POST") == 1


async def test_unknown_outcome_has_the_last_look_up_error_and_can_be_pickled() -> None:
    settings: Any = {"timeouts": Timeouts(settle=0.3), "retry": Retry(base=1, cap=1)}
    why = r"the look-up failed \(GET /orders answered 500"
    async with ScriptedUser(drop, answer(500, REFUSAL), **settings) as api:
        with pytest.raises(OrderOutcomeUnknownError, match=why) as caught:
            await api.user.orders.place(ticket("mine"))
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert (again.cl_order_id, str(again)) == ("mine", str(caught.value))
    with pytest.raises(ClosedError):
        again.resolve()


async def test_reconcile_ended_by_close_raises_outcome_unknown() -> None:
    clock = SteppedClock()
    async with ScriptedUser(drop, order_page(), clock=clock) as api:
        placing = asyncio.create_task(api.user.orders.place(ticket("mine")))
        await clock.until_asked(1)
        await api.ct.aclose()
        with pytest.raises(OrderOutcomeUnknownError, match="this client is closed") as caught:
            await placing
        assert caught.value.cl_order_id == "mine"
        with pytest.raises(OrderOutcomeUnknownError, match="this client is closed"):
            await caught.value.resolve(timeout=0)


async def test_place_ended_by_close_after_sending_raises_outcome_unknown() -> None:
    async with ScriptedUser(silence, timeouts=Timeouts()) as api:
        placing = asyncio.create_task(api.user.orders.place(ticket("mine")))
        await api.end.until_seen(1)
        await api.ct.aclose()
        with pytest.raises(OrderOutcomeUnknownError) as caught:
            await placing
        assert isinstance(caught.value.__cause__, ClosedError)


async def test_reconcile_bounds_a_look_up_with_endless_pages() -> None:
    pages = [order_page(order(order_id=f"p-{number}"), following=f"c-{number}") for number in range(3000)]
    async with ScriptedUser(drop, *pages, timeouts=Timeouts(settle=0.01)) as api:
        with pytest.raises(OrderOutcomeUnknownError, match=r"no end within 1 s|c-2999"):
            await api.user.orders.place(ticket("mine"))


async def test_reconcile_waits_for_retry_after_between_checks() -> None:
    clock = SteppedClock()
    busy = answer(429, REFUSAL, retry_after="7")
    found = order_page(order(cl_order_id="mine", created_at=BEGIN.isoformat()))
    async with ScriptedUser(drop, busy, found, clock=clock, timeouts=Timeouts()) as api:
        placing = asyncio.create_task(api.user.orders.place(ticket("mine")))
        await clock.until_asked(1)
        assert clock.asked == [7]
        clock.advance(7)
        assert (await placing).order_id == "o-1"


@pytest.mark.parametrize("asked", ["0", "Sun, 06 Nov 1994 08:49:37 GMT"])
async def test_reconcile_with_a_retry_after_of_zero_keeps_its_pauses(asked: str) -> None:
    clock = SteppedClock()
    busy = answer(503, REFUSAL, retry_after=asked)
    async with ScriptedUser(drop, busy, clock=clock, retry=Retry(base=1, cap=4), timeouts=Timeouts(settle=9)) as api:
        placing = asyncio.create_task(api.user.orders.place(ticket("mine")))
        for looks in (1, 2, 3):
            await clock.until_asked(looks)
            clock.advance(clock.asked[-1])
        assert all(half <= pause for pause, half in zip(clock.asked, (0.5, 1, 2), strict=False))
        placing.cancel()


@pytest.mark.parametrize("asked", ["9" * 400, "31536000"])
async def test_reconcile_with_a_huge_retry_after_ends_within_its_time(asked: str) -> None:
    clock = SteppedClock()
    busy = answer(429, REFUSAL, retry_after=asked)
    async with ScriptedUser(drop, busy, clock=clock, timeouts=Timeouts()) as api:
        with pytest.raises(OrderOutcomeUnknownError, match="the look-up failed"):
            await api.user.orders.place(ticket("mine"))
    assert clock.asked == []


async def test_reconcile_after_a_conflict_over_an_unlisted_order_reports_it_as_known() -> None:
    settings: Any = {"timeouts": Timeouts(call=0.2, settle=0.01)}
    why = "the API reported the id as known, and it is not listed yet"
    async with ScriptedUser(answer(409, REFUSAL), order_page(), **settings) as api:
        with pytest.raises(OrderOutcomeUnknownError, match=why) as caught:
            await api.user.orders.place(ticket("mine"))
    assert caught.value.is_known


async def test_resolved_order_can_be_replaced_and_cancelled() -> None:
    now = datetime.now(UTC).isoformat()
    least = {"order_id": "o-1", "cl_order_id": "mine", "status": "working", "created_at": now}
    async with ScriptedUser(drop, order_page(), timeouts=Timeouts(call=0.2, settle=0.001)) as api:
        with pytest.raises(OrderOutcomeUnknownError) as caught:
            await api.user.orders.place(ticket("mine"))
        api.end.acts[:] = [order_page(least), order_response(order("cancelled"))]
        resolved = await caught.value.resolve(timeout=0)
        assert (resolved.account_id, resolved.broker) == ("a", "ALPACA")
        assert (await api.user.orders.cancel(resolved)).status == "cancelled"
        for wrong in (-1, float("nan")):
            with pytest.raises(ConfigurationError, match="timeout must be 0 or a positive"):
                caught.value.resolve(timeout=wrong)


@pytest.mark.parametrize("state", ["working", "partially_filled"])
async def test_unknown_cancellation_names_the_listed_status(state: str) -> None:
    async with ScriptedUser(drop, order_page(order(state)), **SHORT_SETTLE) as api:
        with pytest.raises(OrderOutcomeUnknownError, match=f"and order o-1 is listed as {state}$") as caught:
            await api.user.orders.cancel(WORKING_ORDER)
        assert caught.value.listed == f"order o-1 is listed as {state}"
        api.end.acts[:] = [order_page()]
        with pytest.raises(OrderOutcomeUnknownError, match="it is not listed yet") as again:
            await caught.value.resolve(timeout=0)
        assert again.value.listed is None


async def test_unknown_replacement_names_the_status_of_the_old_order() -> None:
    async with ScriptedUser(drop, order_page(order("working")), **SHORT_SETTLE) as api:
        with pytest.raises(OrderOutcomeUnknownError, match="and order o-1 is listed as working"):
            await api.user.orders.replace(WORKING_ORDER, broker="ALPACA", qty=2)
