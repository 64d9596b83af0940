"""Answers get lost. Whatever is lost, there is one order for one ticket, and what the client says of it is true."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Self

import pytest
from msgspec import structs

from connecttrade_async import (
    APIError,
    ConflictError,
    ConnectTrade,
    Limits,
    Order,
    OrderNotReplacedError,
    OrderOutcomeUnknownError,
    Retry,
    Timeouts,
    TransportError,
    tickets,
)
from connecttrade_async.ids import new_order_id
from connecttrade_async.sandbox import Fault, Sandbox

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from connecttrade_async import OrderTicket, User

BROKER = "ALPACA"
LOST_AFTER = [
    Fault("drop", when="after"),
    Fault("reset", when="after"),
    Fault("cut_body"),
    Fault("status", status=504, when="after"),
    Fault("status", status=500, when="after"),
    Fault("html", status=502, when="after"),
    Fault("html", status=200, when="after"),
    Fault("huge", size=100_000, when="after"),
]
LOST_BEFORE = [
    Fault("drop", when="before"),
    Fault("reset", when="before"),
    Fault("status", status=504, when="before"),
    Fault("html", status=502, when="before"),
    Fault("status", status=503, when="before", retry_after="0"),
]
REFUSED = [Fault("status", status=400), Fault("status", status=429, retry_after="0"), Fault("status", status=401)]
LOOK_UP = [
    Fault("status", status=500),
    Fault("status", status=503),
    Fault("status", status=401),
    Fault("html", status=200),
    Fault("drop", when="before"),
    Fault("reset", when="after"),
    Fault("cut_body"),
]


def name(fault: Fault) -> str:
    return f"{fault.kind} {fault.status or ''} {fault.when or ''}".strip()


def aimed(fault: Fault, method: str, path: str | None = "/orders", times: int = 1) -> Fault:
    """Return a fault that strikes one method on the orders."""
    return Fault(
        fault.kind,
        times=times,
        method=method,
        path=path,
        when=fault.when,
        status=fault.status,
        retry_after=fault.retry_after,
        size=fault.size,
    )


class OrderBench:
    """One user with one account that may trade, and the truth on the sandbox's side."""

    def __init__(self, seed: int = 1, settle: float = 2.0) -> None:
        self.sandbox = Sandbox(seed=seed)
        self._settle = settle

    async def __aenter__(self) -> Self:
        await self.sandbox.start()
        self.ct = ConnectTrade(
            self.sandbox.client_id,
            self.sandbox.client_secret,
            endpoints=self.sandbox.endpoints,
            retry=Retry(base=0.001, cap=0.004),
            timeouts=Timeouts(settle=self._settle),
            limits=Limits(connections=4),
        )
        new = await self.ct.users.create("u")
        self.user: User = self.ct.user("u", new.user_secret)
        request = await self.user.connections.create("trade", redirect_url="https://app.example/", broker=BROKER)
        await self.sandbox.approve(request.url)
        self.account_id = (await self.user.accounts.list())[0].account_id
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.ct.aclose()
        await self.sandbox.aclose()

    def ticket(self, price: str = "1.50") -> OrderTicket:
        """Return a ticket that is not filled at once."""
        return tickets.limit("MSFT", "BUY", qty=1, price=price, account_id=self.account_id, broker=BROKER)

    async def truth(self, cl_order_id: str) -> list[Order]:
        """Return every order of that id, with nothing in the way."""
        self.sandbox.faults.clear()
        orders = self.user.orders.list(status="all", account_id=self.account_id, limit=500)
        return [order async for order in orders if order.cl_order_id == cl_order_id]

    def sent(self, method: str) -> int:
        """Return how often a method on an order arrived, whatever became of it."""
        return sum(visit.method == method and "orders" in visit.path for visit in self.sandbox.requests)

    def worked(self, method: str) -> int:
        """Return how often the sandbox really did what a method on an order asks."""
        return sum(visit.worked for visit in self.sandbox.requests if visit.method == method and "orders" in visit.path)


@pytest.mark.parametrize("fault", LOST_AFTER, ids=name)
async def test_an_answer_lost_after_the_work_was_done_is_found(fault: Fault) -> None:
    async with OrderBench() as bench:
        bench.sandbox.faults.add(aimed(fault, "POST"))
        ticket = bench.ticket()
        placed = await bench.user.orders.place(ticket)
        assert [order.order_id for order in await bench.truth(ticket.cl_order_id)] == [placed.order_id]
        assert bench.worked("POST") == 1


@pytest.mark.parametrize("fault", LOST_BEFORE, ids=name)
async def test_an_answer_lost_before_the_work_leaves_it_unknown_and_nothing_is_sent_again(fault: Fault) -> None:
    async with OrderBench(settle=0.05) as bench:
        bench.sandbox.faults.add(aimed(fault, "POST"))
        ticket = bench.ticket()
        with pytest.raises(OrderOutcomeUnknownError) as caught:
            await bench.user.orders.place(ticket)
        assert await bench.truth(ticket.cl_order_id) == []
        # The caller decides: the same ticket again is the same order, whatever happened to the first sending.
        placed = await bench.user.orders.place(ticket)
        assert (await caught.value.resolve(timeout=1)).order_id == placed.order_id
        assert bench.worked("POST") == 1


async def test_a_look_up_that_fails_three_times_and_then_works() -> None:
    async with OrderBench() as bench:
        bench.sandbox.faults.add(aimed(LOST_AFTER[0], "POST"))
        armed = bench.sandbox.faults.add(aimed(Fault("status", status=503), "GET", times=3))
        ticket = bench.ticket()
        placed = await bench.user.orders.place(ticket)
        assert armed.fired == 3
        assert [order.order_id for order in await bench.truth(ticket.cl_order_id)] == [placed.order_id]


async def test_the_same_ticket_placed_by_many_at_once_is_one_order() -> None:
    async with OrderBench() as bench:
        ticket = bench.ticket()
        placed = await asyncio.gather(*(bench.user.orders.place(ticket) for _ in range(10)))
        assert len({order.order_id for order in placed}) == 1
        assert len(await bench.truth(ticket.cl_order_id)) == 1


async def test_an_id_that_another_account_uses_is_not_taken_for_ours() -> None:
    async with OrderBench() as bench:
        other = (await bench.user.accounts.list())[1].account_id
        first = await bench.user.orders.place(bench.ticket())
        again = tickets.limit(
            "AAPL",
            "BUY",
            qty=1,
            price="1.50",
            account_id=other,
            broker=BROKER,
            cl_order_id=first.cl_order_id,
        )
        with pytest.raises(ConflictError, match=f"belongs to another order, {first.order_id}"):
            await bench.user.orders.place(again)
        assert len(await bench.truth(first.cl_order_id or "")) == 1


async def test_a_copied_ticket_with_other_terms_is_not_answered_with_the_first_order() -> None:
    async with OrderBench() as bench:
        ticket = bench.ticket()
        await bench.user.orders.place(ticket)
        with pytest.raises(ConflictError, match="make a new ticket"):
            await bench.user.orders.place(structs.replace(ticket, order_qty="7"))


@pytest.mark.parametrize("minutes", [-20, 20, 600])
async def test_clocks_that_disagree_do_not_hide_an_order(minutes: int) -> None:
    async with OrderBench() as bench:
        now = bench.sandbox.clock.now()
        bench.sandbox.clock.hold(now + timedelta(minutes=minutes))
        bench.sandbox.faults.add(aimed(LOST_AFTER[0], "POST"))
        ticket = bench.ticket()
        placed = await bench.user.orders.place(ticket)
        found = await bench.user.orders.find(ticket.cl_order_id)
        assert found is not None
        assert found.order_id == placed.order_id


async def test_cancelling_place_at_any_moment_never_makes_two_orders_and_find_finds_the_one() -> None:
    async with OrderBench() as bench:
        for steps in range(0, 60, 3):
            ticket = bench.ticket()
            placing = asyncio.create_task(bench.user.orders.place(ticket))
            for _ in range(steps):
                await asyncio.sleep(0)
            placing.cancel()
            outcome = (await asyncio.gather(placing, return_exceptions=True))[0]
            found = await bench.user.orders.find(ticket.cl_order_id)
            assert len(await bench.truth(ticket.cl_order_id)) == (found is not None)
            assert isinstance(outcome, Order | asyncio.CancelledError)
            if isinstance(outcome, Order):
                assert found is not None


@pytest.mark.parametrize("fault", LOST_AFTER, ids=name)
async def test_replace_finds_the_new_order_after_a_lost_response(fault: Fault) -> None:
    async with OrderBench() as bench:
        old = await bench.user.orders.place(bench.ticket())
        bench.sandbox.faults.add(aimed(fault, "PATCH", None))
        new = await bench.user.orders.replace(old, qty=2)
        assert new.order_id != old.order_id
        assert [order.order_id for order in await bench.truth(new.cl_order_id or "")] == [new.order_id]
        assert bench.worked("PATCH") == 1


@pytest.mark.parametrize("fault", LOST_AFTER, ids=name)
async def test_cancel_reconciles_after_a_lost_response(fault: Fault) -> None:
    async with OrderBench() as bench:
        order = await bench.user.orders.place(bench.ticket())
        bench.sandbox.faults.add(aimed(fault, "DELETE", None))
        assert (await bench.user.orders.cancel(order)).status in {"cancelled", "pending_cancel"}
        assert bench.worked("DELETE") == 1


async def test_cancelling_what_was_filled_gives_the_truth() -> None:
    async with OrderBench() as bench:
        bench.sandbox.clock.hold()
        ticket = tickets.market("MSFT", "BUY", qty=1, account_id=bench.account_id, broker=BROKER)
        order = await bench.user.orders.place(ticket)
        bench.sandbox.clock.advance(60)
        ended = await bench.user.orders.cancel(order)
        assert ended.status == "filled"
        assert ended.filled_qty == 1
        with pytest.raises(APIError, match="filled"):
            await bench.user.orders.replace(order, qty=2)
        bench.sandbox.faults.add(aimed(Fault("status", status=504, when="after"), "PATCH", None))
        with pytest.raises(OrderNotReplacedError, match="it is filled"):
            await bench.user.orders.replace(order, qty=2)


def struck(bench: OrderBench, dice: Random, method: str, path: str | None) -> None:
    """Let a seeded schedule of misfortune strike one change of an order, and the look-ups after it."""
    faults = dice.choice([LOST_AFTER, LOST_AFTER, LOST_BEFORE, REFUSED, []])
    if faults:
        bench.sandbox.faults.add(aimed(dice.choice(faults), method, path))
    for _ in range(dice.randrange(4)):
        bench.sandbox.faults.add(aimed(dice.choice(LOOK_UP), "GET", times=dice.randint(1, 3)))


async def outcome_of(bench: OrderBench, call: Awaitable[Order], cl_order_id: str, method: str) -> str:
    """Await a call that makes an order, and compare its outcome with the sandbox."""
    before = bench.worked(method)
    try:
        order = await call
    except OrderOutcomeUnknownError as unknown:
        return await told_later(bench, unknown, cl_order_id)
    except (APIError, TransportError):
        assert await bench.truth(cl_order_id) == []
        return "refused"
    assert [each.order_id for each in await bench.truth(cl_order_id)] == [order.order_id]
    assert bench.worked(method) == before + 1
    return "done"


async def told_later(bench: OrderBench, unknown: OrderOutcomeUnknownError, cl_order_id: str) -> str:
    """Look again with nothing in the way: now an order that lives is found, and one that does not stays unknown."""
    orders = await bench.truth(cl_order_id)
    assert len(orders) <= 1
    try:
        resolved = await unknown.resolve(timeout=0.01)
    except OrderOutcomeUnknownError:
        assert orders == []
        return "unknown"
    assert [order.order_id for order in orders] == [resolved.order_id]
    return "resolved"


async def placed(bench: OrderBench, dice: Random) -> str:
    """Place an order in bad weather."""
    struck(bench, dice, "POST", "/orders")
    ticket = bench.ticket()
    return await outcome_of(bench, bench.user.orders.place(ticket), ticket.cl_order_id, "POST")


async def replaced(bench: OrderBench, dice: Random) -> str:
    """Place an order in good weather, and replace it in bad."""
    old = await bench.user.orders.place(bench.ticket())
    struck(bench, dice, "PATCH", None)
    new_id = new_order_id()
    ending = await outcome_of(bench, bench.user.orders.replace(old, qty=2, new_cl_order_id=new_id), new_id, "PATCH")
    [before] = await bench.truth(old.cl_order_id or "")
    is_replaced = before.status in {"replaced", "pending_replace"}
    assert is_replaced == (ending in {"done", "resolved"})
    return ending


async def cancelled(bench: OrderBench, dice: Random) -> str:
    """Place an order in good weather, and cancel it in bad."""
    old = await bench.user.orders.place(bench.ticket())
    struck(bench, dice, "DELETE", None)
    try:
        ended = await bench.user.orders.cancel(old)
        ending = "done"
        assert ended.status in {"cancelled", "pending_cancel"}
    except OrderOutcomeUnknownError:
        ending = "unknown"
    except (APIError, TransportError):
        ending = "refused"
    [after] = await bench.truth(old.cl_order_id or "")
    is_cancelled = after.status in {"cancelled", "pending_cancel"}
    assert ending == "unknown" or is_cancelled == (ending == "done")
    return ending


@pytest.mark.parametrize("part", range(12))
async def test_over_six_hundred_schedules_of_faults_every_reported_outcome_is_true(part: int) -> None:
    endings: set[str] = set()
    async with OrderBench(seed=part, settle=0.03) as bench:
        for turn in range(50):
            dice = Random(f"{part} {turn}")  # noqa: S311 - a schedule, to be had again
            bench.sandbox.faults.clear()
            action, method = dice.choice([(placed, "POST"), (replaced, "PATCH"), (cancelled, "DELETE")])
            sent = bench.sent(method)
            endings.add(await action(bench, dice))
            assert bench.sent(method) == sent + 1
    assert {"done", "refused", "unknown"} <= endings
