from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings, strategies as st

from connecttrade_async import SlowConsumerError
from connecttrade_async.models.events import Gap, OrderUpdate
from connecttrade_async.models.orders import Order
from connecttrade_async.relay.fanout import MIN_PRUNED, PositionedFanout
from connecttrade_async.relay.log import LogPosition
from connecttrade_async.streaming.filters import EventFilter
from connecttrade_async.streaming.subscriptions import QueueCapacity
from manual_clock import BEGIN

if TYPE_CHECKING:
    from connecttrade_async.streaming.subscriptions import Subscription

PLENTY = QueueCapacity(100_000, 1 << 30)


def order(number: int) -> OrderUpdate:
    return OrderUpdate(user_id="u", account_id="a", order=Order(order_id="o", symbol=f"S{number}"), raw=b"{}")


def at(number: int) -> LogPosition:
    return LogPosition(7, number)


def fanout_of(*, start: int | None = 0) -> PositionedFanout:
    fanout = PositionedFanout(lambda: BEGIN)
    fanout.latest = None if start is None else at(start)
    return fanout


def subscribe(fanout: PositionedFanout, overflow: str = "close", capacity: QueueCapacity = PLENTY) -> Subscription:
    return fanout.subscribe(EventFilter(("orders",)), overflow, capacity)


def test_position_without_a_subscription_is_that_of_the_last_entry() -> None:
    fanout = fanout_of()
    fanout.publish_at(order(1), at(1))
    assert fanout.position == at(1)


def test_position_is_behind_the_events_that_are_queued() -> None:
    fanout = fanout_of()
    events = subscribe(fanout)
    for number in (1, 2, 3):
        fanout.publish_at(order(number), at(number))
    positions = [fanout.position]
    while events.receive_nowait() is not None:
        positions.append(fanout.position)
    assert positions == [at(0), at(1), at(2), at(3)]


def test_position_is_that_of_the_slowest_subscription() -> None:
    fanout = fanout_of()
    fast, slow = subscribe(fanout), subscribe(fanout)
    for number in (1, 2, 3):
        fanout.publish_at(order(number), at(number))
        fast.receive_nowait()
    slow.receive_nowait()
    assert fanout.position == at(1)


def test_position_before_the_first_entry_is_none() -> None:
    fanout = fanout_of(start=None)
    events = subscribe(fanout)
    assert fanout.position is None
    fanout.publish_at(order(1), at(1))
    assert fanout.position is None
    events.receive_nowait()
    assert fanout.position == at(1)


def test_gap_that_is_queued_is_found_again_after_a_restart() -> None:
    fanout = fanout_of()
    events = subscribe(fanout)
    fanout.publish_gap(Gap(cause="network", since=BEGIN, until=BEGIN))
    fanout.latest = at(9)
    assert fanout.position == at(0)
    assert type(events.receive_nowait()) is Gap
    assert fanout.position == at(9)


def test_entry_without_an_event_moves_the_position() -> None:
    fanout = fanout_of()
    subscribe(fanout)
    fanout.latest = at(4)
    assert fanout.position == at(4)


def test_latest_subscription_holds_the_position_before_its_oldest_event() -> None:
    fanout = fanout_of()
    events = subscribe(fanout, "latest")
    for number, name in enumerate((1, 2, 1), start=1):
        fanout.publish_at(order(name), at(number))
    assert fanout.position == at(1)  # the first event was replaced by the third one
    assert events.receive_nowait() is not None  # the latest event of the first symbol, at 3
    assert fanout.position == at(1)
    assert events.receive_nowait() is not None
    assert fanout.position == at(3)


def test_slow_consumer_holds_the_position_until_it_is_closed() -> None:
    fanout = fanout_of()
    slow = subscribe(fanout, capacity=QueueCapacity(2, 1 << 20))
    for number in range(1, 40):
        fanout.publish_at(order(number), at(number))
    assert fanout.position == at(0)
    received = [slow.receive_nowait() for _ in range(2)]
    assert len(received) == 2
    with pytest.raises(SlowConsumerError):
        slow.receive_nowait()
    assert fanout.position == at(2)
    slow.close()
    fanout.unsubscribe(slow)
    assert fanout.position == at(39)


def test_subscription_that_was_closed_holds_nothing() -> None:
    fanout = fanout_of()
    events = subscribe(fanout)
    fanout.publish_at(order(1), at(1))
    fanout.unsubscribe(events)
    events.close()
    assert fanout.position == at(1)


def test_memory_is_bounded_by_what_is_queued() -> None:
    fanout = fanout_of()
    events = subscribe(fanout)
    for number in range(1, 20 * MIN_PRUNED):
        fanout.publish_at(order(number), at(number))
        events.receive_nowait()
    assert len(fanout._published) <= 2 * MIN_PRUNED
    assert fanout.position == at(20 * MIN_PRUNED - 1)


@settings(max_examples=100)
@given(st.lists(st.integers(0, 4), max_size=60), st.data())
def test_everything_up_to_the_position_was_received(receives: list[int], data: Any) -> None:
    fanout = fanout_of()
    events: list[Subscription] = [subscribe(fanout) for _ in range(2)]
    received = [0, 0]
    for number, count in enumerate(receives, start=1):
        fanout.publish_at(order(number), at(number))
        which: int = data.draw(st.integers(0, 1))
        for _ in range(count):
            received[which] += events[which].receive_nowait() is not None
        assert fanout.position == at(min(received))
