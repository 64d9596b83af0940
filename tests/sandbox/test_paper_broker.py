"""A hand on the market, from Python: prices, halts, fills and rejections at will."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from connecttrade_async.sandbox import RefusalError, Sandbox
from connecttrade_async.sandbox.world import Order, Ticket

Connect = Callable[..., Awaitable[str]]


@pytest.fixture
async def place(sandbox: Sandbox, connect: Connect) -> Callable[[str], Order]:
    await connect()
    account = next(sandbox.world.accounts(sandbox.world.users["jane"]))[1]

    def place(name: str) -> Order:
        ticket = Ticket(
            cl_order_id=name, side="BUY", order_type="MKT", order_tif="GTC", symbol="F", order_qty=Decimal(10)
        )
        return sandbox.world.floor.place(account, ticket, sandbox.clock.now())

    return place


async def test_set_price_pins_the_quote_until_it_is_freed(sandbox: Sandbox) -> None:
    walk = sandbox.broker.quote("AAPL")
    sandbox.broker.set_price("AAPL", "123.45")
    assert sandbox.broker.quote("AAPL") == (Decimal("123.44"), Decimal("123.46"), Decimal("123.45"))
    assert repr(sandbox.broker) == "<PaperBroker open hours, 1 prices pinned, 0 halted>"
    sandbox.broker.free_price("AAPL")
    assert sandbox.broker.quote("AAPL") == walk
    for wrong in (0, "-1", "NaN", "Infinity"):
        with pytest.raises(RefusalError, match="above 0"):
            sandbox.broker.set_price("AAPL", wrong)


async def test_an_order_is_kept_at_work_and_filled_by_hand(sandbox: Sandbox, place: Callable[[str], Order]) -> None:
    sandbox.broker.halt()
    assert "all halted" in repr(sandbox.broker)
    order = place("one")
    sandbox.clock.advance(3600)
    assert sandbox.broker.order(order.order_id).status == "working"
    half = sandbox.broker.fill(order.order_id, 4, "10.01")
    assert (half.status, half.filled_qty, half.avg_fill_price) == ("partially_filled", Decimal(4), Decimal("10.01"))
    assert sandbox.broker.fill(order.order_id).status == "filled"
    with pytest.raises(RefusalError, match="already filled"):
        sandbox.broker.fill(order.order_id)
    with pytest.raises(RefusalError, match="no order"):
        sandbox.broker.fill("none")
    assert sandbox.broker.orders(order.account_id)[-1].status == "filled"


async def test_an_order_is_rejected_by_hand(sandbox: Sandbox, place: Callable[[str], Order]) -> None:
    rejected = sandbox.broker.reject(place("one").order_id)
    assert (rejected.status, rejected.reject_reason) == ("rejected", "The exchange has turned it down.")


async def test_an_order_written_by_hand_is_filled_by_hand_alone(
    sandbox: Sandbox, place: Callable[[str], Order]
) -> None:
    account = place("one").account_id
    order = sandbox.world.add_order(account, sandbox.clock.now(), symbol="AAPL", qty=3)
    sandbox.clock.advance(86_400)
    assert sandbox.broker.order(order.order_id).status == "working"
    assert sandbox.broker.fill(order.order_id, price=1).status == "filled"


async def test_what_is_due_has_happened_when_the_clock_was_stepped(
    sandbox: Sandbox, place: Callable[[str], Order]
) -> None:
    order = place("one")
    sandbox.clock.advance(0.04)
    account = sandbox.world.books.account(order.account_id)
    done = account.order(order.order_id)
    assert (done.status, done.updated_at - order.created_at) == ("filled", timedelta(milliseconds=40))


async def test_latency_delays_the_fill_of_an_order(sandbox: Sandbox, place: Callable[[str], Order]) -> None:
    sandbox.broker.latency = 10
    order = place("one")
    sandbox.clock.advance(19.9)
    assert sandbox.broker.order(order.order_id).status == "working"
    sandbox.clock.advance(0.1)
    assert sandbox.broker.order(order.order_id).status == "filled"
    sandbox.broker.latency = 0
    assert sandbox.broker.order(place("two").order_id).status == "filled"
    with pytest.raises(ValueError, match="latency must be"):
        sandbox.broker.latency = -1


def test_hours_and_latency_may_be_chosen() -> None:
    sandbox = Sandbox(hours="real", latency=0.5)
    assert (sandbox.broker.hours, sandbox.broker.latency) == ("real", 0.5)
    wrong: Any = "never"
    with pytest.raises(ValueError, match="hours must be"):
        Sandbox(hours=wrong)
