from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from connecttrade_async import ClosedError, ConfigurationError
from connecttrade_async.books.change_feed import TOPICS, ChangeFeed, filter_for
from connecttrade_async.books.changes import Change, OrderChanged, PositionChanged
from connecttrade_async.models import Position
from frame_factory import order
from manual_clock import SteppedClock

if TYPE_CHECKING:
    from connecttrade_async import Gap, Order


def order_change(status: str = "working", order_id: str = "o") -> OrderChanged:
    after = order(order_id=order_id, status=status, symbol="AAPL")
    return OrderChanged(account_id="a", user_id="u", cause="stream", before=None, after=after)


def position_change(account_id: str = "a") -> PositionChanged:
    after = Position(account_id=account_id, symbol="AAPL", quantity_text="1")
    return PositionChanged(account_id=account_id, user_id="u", cause="stream", before=None, after=after)


@pytest.mark.parametrize("topics", [("trades",), ("orders", "trades")])
def test_filter_for_an_unknown_topic_raises(topics: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match=r"topics must be some of orders, positions, balances, got .*trades"):
        filter_for(topics, None, None, None)


def test_filter_for_no_topic_has_all() -> None:
    assert filter_for((), None, None, None).topics == TOPICS


async def test_publish_reaches_matching_subscriptions_only() -> None:
    feed = ChangeFeed(SteppedClock())
    orders = feed.subscribe(filter_for(("orders",), None, None, None), "close", 10)
    of_b = feed.subscribe(filter_for((), "b", None, None), "close", 10)
    changes: list[Change] = [order_change(), position_change("b")]
    feed.publish(changes)
    assert (orders.receive_nowait(), orders.receive_nowait()) == (changes[0], None)
    assert (of_b.receive_nowait(), of_b.receive_nowait()) == (changes[1], None)
    assert (feed.published, [each.received for each in feed.consumers]) == (2, [1, 1])


def test_subscribe_with_latest_and_orders_raises() -> None:
    feed = ChangeFeed(SteppedClock())
    with pytest.raises(ConfigurationError, match="overflow must not be 'latest'"):
        feed.subscribe(filter_for((), None, None, None), "latest", 10)


@pytest.mark.parametrize("is_published", [True, False])
async def test_wait_order_done_returns_the_ended_order(*, is_published: bool) -> None:
    feed = ChangeFeed(SteppedClock())
    waiting = asyncio.create_task(feed.wait_order_done("o", None))
    await asyncio.sleep(0)
    feed.publish([order_change(), order_change("filled", "another")])
    await asyncio.sleep(0)
    assert not waiting.done()
    end = order_change("filled")
    (feed.publish if is_published else feed.wake_order_waiters)([end])
    assert await waiting is end.after
    assert feed.published == 2 + is_published


async def test_wait_order_done_times_out() -> None:
    clock = SteppedClock()
    feed = ChangeFeed(clock)
    waiting = asyncio.create_task(feed.wait_order_done("o", 5.0))
    await asyncio.sleep(0)
    clock.advance(5.0)
    with pytest.raises(TimeoutError, match="order o did not end within 5 s"):
        await waiting
    assert feed._orders == {}


async def test_wait_until_rechecks_its_condition_and_raises_its_error() -> None:
    feed, answers = ChangeFeed(SteppedClock()), [False, False, True]
    waiting = asyncio.create_task(feed.wait_until(lambda: answers.pop(0), None))
    await asyncio.sleep(0)
    feed.recheck()
    await asyncio.sleep(0)
    assert not waiting.done()
    feed.publish([position_change()])
    await waiting
    answers = [False]
    failing = asyncio.create_task(feed.wait_until(lambda: answers.pop(0), None))
    await asyncio.sleep(0)
    feed.recheck()
    with pytest.raises(IndexError):
        await failing


async def test_fail_waiters_raises_for_the_given_orders_only() -> None:
    feed = ChangeFeed(SteppedClock())
    one, other = (asyncio.create_task(feed.wait_order_done(name, None)) for name in ("o", "p"))
    await asyncio.sleep(0)
    feed.fail_waiters(lambda order_id: order_id == "o")
    with pytest.raises(ClosedError, match="its user is not followed any more"):
        await one
    assert not other.done()
    feed.close()
    with pytest.raises(ClosedError):
        await other


async def test_close_ends_subscriptions_after_queued_changes_and_fails_waiters() -> None:
    feed, error = ChangeFeed(SteppedClock()), LookupError("gone")
    subscription = feed.subscribe(filter_for((), None, None, None), "close", 10)
    waiters: list[asyncio.Task[Order] | asyncio.Task[None]] = [
        asyncio.create_task(feed.wait_order_done("o", None)),
        asyncio.create_task(feed.wait_until(lambda: False, None)),
    ]
    await asyncio.sleep(0)
    change = order_change()
    feed.publish([change])
    feed.close(error)
    feed.close()
    received: Change | Gap = await subscription.receive()
    assert received is change
    with pytest.raises(LookupError, match="gone"):
        await subscription.receive()
    for waiter in waiters:
        with pytest.raises(LookupError, match="gone"):
            await waiter
