from __future__ import annotations

import asyncio
import itertools
import traceback
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings, strategies as st

from connecttrade_async import ClosedError, ConfigurationError
from connecttrade_async.errors import SessionTakenError, SlowConsumerError
from connecttrade_async.models.balances import Balance
from connecttrade_async.models.events import (
    BalanceUpdate,
    Gap,
    OrderUpdate,
    PositionUpdate,
    StreamLive,
    StreamLost,
    UnknownMessage,
)
from connecttrade_async.models.orders import Order
from connecttrade_async.models.positions import Position
from connecttrade_async.streaming.fanout import COMPACT_INTERVAL, Fanout
from connecttrade_async.streaming.filters import EventFilter
from connecttrade_async.streaming.subscriptions import LatestSubscription, QueueCapacity

if TYPE_CHECKING:
    from connecttrade_async.models.events import Event
    from connecttrade_async.streaming.subscriptions import Subscription

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=2)
WIDE = QueueCapacity(1000, 1 << 20)
ALL = EventFilter(("orders", "positions", "balances"))


def fanout() -> Fanout:
    return Fanout(lambda: NOON)


def order(number: int = 0, account: str = "a", user: str = "u", symbol: str = "MSFT", raw: bytes = b"") -> OrderUpdate:
    return OrderUpdate(order=Order(order_id=str(number), symbol=symbol), account_id=account, user_id=user, raw=raw)


def position(quantity: int, symbol: str = "MSFT", account: str = "a") -> PositionUpdate:
    return PositionUpdate(position=Position(symbol=symbol, quantity_text=str(quantity)), account_id=account, raw=b"xx")


def taken(subscription: Subscription) -> list[Event]:
    events: list[Event] = []
    while (event := subscription.receive_nowait()) is not None:
        events.append(event)
    return events


async def test_publish_delivers_events_in_order_to_every_subscription() -> None:
    hub = fanout()
    one, other = hub.subscribe(ALL, "close", WIDE), hub.subscribe(ALL, "close", WIDE)
    events = [order(number) for number in range(5)]
    for event in events:
        hub.publish(event)
    assert taken(one) == taken(other) == events


async def test_publish_delivers_only_matching_events_to_a_filtered_subscription() -> None:
    hub = fanout()
    wants = {
        "account": EventFilter(("orders",), account_id="a"),
        "user": EventFilter(("orders",), user_id="v"),
        "symbol": EventFilter(("orders",), symbol="AAPL"),
        "both": EventFilter(("orders",), account_id="a", symbol="AAPL"),
        "topic": EventFilter(("balances",)),
    }
    subscriptions = {name: hub.subscribe(interest, "close", WIDE) for name, interest in wants.items()}
    events = [order(1), order(2, account="b", user="v"), order(3, symbol="AAPL"), order(4, account="b", symbol="AAPL")]
    for event in events:
        hub.publish(event)
    balance = BalanceUpdate(balance=Balance(account_id="a"), account_id="a")
    hub.publish(balance)
    got = {name: taken(subscription) for name, subscription in subscriptions.items()}
    assert got == {
        "account": [events[0], events[2]],
        "user": [events[1]],
        "symbol": [events[2], events[3]],
        "both": [events[2]],
        "topic": [balance],
    }


@given(
    interests=st.lists(
        st.builds(
            EventFilter,
            st.sets(st.sampled_from(["orders", "positions"]), min_size=1).map(tuple),
            st.sampled_from([None, "a", "b"]),
            st.sampled_from([None, "u", "v"]),
            st.sampled_from([None, "X", "Y"]),
        ),
        max_size=6,
    ),
    events=st.lists(
        st.builds(order, st.integers(), st.sampled_from("ab"), st.sampled_from("uv"), st.sampled_from("XY")),
        max_size=12,
    ),
)
@settings(deadline=None)
async def test_index_delivers_the_same_events_as_matching_each_filter(
    interests: list[EventFilter], events: list[OrderUpdate]
) -> None:
    hub = fanout()
    subscriptions = [hub.subscribe(interest, "close", WIDE) for interest in interests]
    for event in events:
        hub.publish(event)
    for interest, subscription in zip(interests, subscriptions, strict=True):
        assert taken(subscription) == [
            event
            for event in events
            if "orders" in interest.topics
            and interest.account_id in {None, event.account_id}
            and interest.user_id in {None, event.user_id}
            and interest.symbol in {None, event.symbol}
        ]
        hub.unsubscribe(subscription)
        hub.unsubscribe(subscription)
    assert hub.members == ()
    assert not any(topic.by_account or topic.by_user or topic.by_symbol for topic in hub._topics.values())


async def test_slow_subscription_is_closed_with_its_queued_events_and_others_continue() -> None:
    hub = fanout()
    slow, fast = hub.subscribe(ALL, "close", QueueCapacity(3, 1 << 20)), hub.subscribe(ALL, "close", WIDE)
    for number in range(10):
        hub.publish(order(number))
    assert [event.order.order_id for event in taken(fast) if isinstance(event, OrderUpdate)] == list("0123456789")
    got = [await slow.receive() for _ in range(3)]
    with pytest.raises(SlowConsumerError) as caught:
        await slow.receive()
    assert len(got) == caught.value.waiting
    with pytest.raises(SlowConsumerError):
        slow.receive_nowait()
    assert hub.members == (fast,)


async def test_capacity_in_bytes_closes_the_subscription() -> None:
    hub = fanout()
    slow = hub.subscribe(ALL, "close", QueueCapacity(100, 250))
    for _ in range(3):
        hub.publish(order(raw=b"x" * 100))
    assert slow.statistics() == (0, 2, 1, 200)
    assert hub.largest == 100
    assert len([await slow.receive(), await slow.receive()]) == 2
    assert slow.statistics() == (2, 0, 1, 0)
    with pytest.raises(SlowConsumerError, match="overflowed with 2 events of 200 bytes"):
        await slow.receive()


async def test_drop_oldest_puts_a_gap_in_place_of_dropped_events() -> None:
    hub = fanout()
    slow = hub.subscribe(ALL, "drop_oldest", QueueCapacity(2, 1 << 20))
    for number in range(5):
        hub.publish(order(number))
    gap, *rest = taken(slow)
    assert gap == Gap(cause="this consumer was too slow", since=NOON, until=NOON, dropped=3)
    assert [event.order.order_id for event in rest if isinstance(event, OrderUpdate)] == ["3", "4"]
    assert slow.statistics().dropped == 3


async def test_gap_of_dropped_events_begins_when_the_queue_was_last_empty() -> None:
    minute = itertools.count()
    hub = Fanout(lambda: NOON + timedelta(minutes=next(minute)))
    slow = hub.subscribe(ALL, "drop_oldest", QueueCapacity(1, 1 << 20))  # minute 0
    hub.publish(order(1))
    assert slow.receive_nowait() == order(1)
    assert slow.receive_nowait() is None  # minute 1
    hub.publish(order(2))
    hub.publish(order(3))
    gap = slow.receive_nowait()
    assert gap == Gap(cause="this consumer was too slow", since=NOON + timedelta(minutes=1), until=LATER, dropped=1)


async def test_gap_of_dropped_events_includes_a_dropped_stream_gap() -> None:
    hub = fanout()
    slow = hub.subscribe(ALL, "drop_oldest", QueueCapacity(2, 1 << 20))
    long_ago = NOON - timedelta(hours=1)
    hub.publish(order(1))
    hub.publish_to_all(Gap(cause="the link was lost", since=long_ago, until=NOON, could_send=False))
    for number in range(2, 6):
        hub.publish(order(number))
    assert taken(slow) == [
        Gap(cause="this consumer was too slow", since=long_ago, until=NOON, dropped=3, could_send=False),
        order(4),
        order(5),
    ]
    assert slow.statistics().dropped == 3


@pytest.mark.parametrize("overflow", ["close", "drop_oldest"])
@given(sizes=st.lists(st.integers(0, 400), max_size=60), looks=st.sets(st.integers(0, 60)))
@settings(deadline=None)
async def test_statistics_are_exact_at_every_access(overflow: str, sizes: list[int], looks: set[int]) -> None:
    hub = fanout()
    kept = 4
    slow = hub.subscribe(ALL, overflow, QueueCapacity(kept, 500))
    for number, size in enumerate(sizes):
        hub.publish(order(number, raw=b"x" * size))
        if number in looks:
            seen = slow.statistics()
            assert seen.waiting <= kept + (overflow == "drop_oldest")
            assert seen.bytes_waiting <= 500
            assert overflow != "drop_oldest" or seen.dropped + seen.waiting > number
    if sum(sizes) <= 500 and len(sizes) <= kept:
        assert slow.statistics() == (0, len(sizes), 0, sum(sizes))


async def test_capacity_in_bytes_is_enforced_while_frames_grow() -> None:
    hub = fanout()
    slow = hub.subscribe(ALL, "drop_oldest", QueueCapacity(10_000, 100_000))
    for number in range(3000):
        hub.publish(order(number, raw=b"x" * (number // 10)))
        assert sum(len(event.raw) for event in slow._items) <= 100_000 + COMPACT_INTERVAL * 300
    assert 99_000 < slow.statistics().bytes_waiting <= 100_000


async def test_capacity_is_enforced_without_access_to_the_queue() -> None:
    hub = fanout()
    kept, closed = (
        hub.subscribe(ALL, "drop_oldest", QueueCapacity(5, 1 << 20)),
        hub.subscribe(ALL, "close", QueueCapacity(5, 1 << 20)),
    )
    for number in range(100):
        hub.publish(order(number))
        assert len(kept._items) <= 5 + COMPACT_INTERVAL
        assert len(closed._items) <= 5 + COMPACT_INTERVAL
    assert hub.members == (kept,)


async def test_latest_replaces_the_queued_event_of_the_same_key() -> None:
    hub = fanout()
    slow = hub.subscribe(ALL, "latest", QueueCapacity(2, 1 << 20))
    hub.publish(position(1))
    hub.publish(position(1, symbol="AAPL"))
    hub.publish(position(2))
    assert taken(slow) == [position(2), position(1, symbol="AAPL")]
    assert slow.statistics() == (2, 0, 1, 0)
    for symbol in ("A", "B", "C"):
        hub.publish(position(1, symbol=symbol))
    assert len([await slow.receive(), await slow.receive()]) == 2
    with pytest.raises(SlowConsumerError):
        await slow.receive()


async def test_latest_replaces_only_updates_of_the_same_owner_and_symbol() -> None:
    hub = fanout()
    slow = hub.subscribe(EventFilter((*ALL.topics, "unknown")), "latest", WIDE)
    dollars, euros = (
        BalanceUpdate(balance=Balance(account_id="a", currency=each), account_id="a") for each in ("USD", "EUR")
    )
    apart: list[Any] = [
        *(position(1), position(1, account="b"), position(1, symbol="AAPL")),
        *(PositionUpdate(position=Position(symbol="MSFT", quantity_text=each)) for each in ("1", "2")),
        *(order(1), order(1, user="v"), order(1, account="b"), order(1, symbol="AAPL"), dollars, euros),
        *(UnknownMessage(raw=b"x", problem=each) for each in "xy"),
    ]
    for event in apart:
        hub.publish(event)
    hub.publish(position(3))
    assert taken(slow) == [position(3), *apart[1:]]


async def test_latest_beyond_its_capacity_in_bytes_is_closed() -> None:
    hub = fanout()
    slow = hub.subscribe(ALL, "latest", QueueCapacity(100, 25))
    for number in range(3):
        hub.publish(order(number, symbol=str(number), raw=b"x" * 8))
    hub.publish(order(0, symbol="0", raw=b"y" * 9))
    assert slow.statistics().bytes_waiting == 25
    hub.publish(order(3, symbol="3", raw=b"z"))
    assert [event.raw[:1] for event in taken_until_the_end(slow)] == [b"y", b"x", b"x"]
    again = hub.subscribe(ALL, "latest", QueueCapacity(100, 25))
    hub.publish(order(0, symbol="0", raw=b"x" * 9))
    hub.publish(order(0, symbol="0", raw=b"x" * 26))
    assert len(taken_until_the_end(again)) == 1


def taken_until_the_end(subscription: Subscription) -> list[Any]:
    """Take what waits in a queue that was too slow."""
    events: list[Any] = []
    while True:
        try:
            event = subscription.receive_nowait()
        except SlowConsumerError:
            return events
        assert event is not None
        events.append(event)


@given(
    steps=st.lists(
        st.one_of(st.tuples(st.integers(0, 4), st.integers(0, 12)), st.just(None), st.just("discard")), max_size=40
    )
)
def test_latest_counts_the_bytes_of_queued_events_only(steps: list[Any]) -> None:
    hub = fanout()
    slow = hub.subscribe(ALL, "latest", QueueCapacity(4, 30))
    waiting: dict[int, int] = {}
    for step in steps:
        if step is None:
            try:
                event: Any = slow.receive_nowait()
            except SlowConsumerError:
                return
            assert (event is None) == (not waiting)
            if event is not None:
                assert waiting.pop(int(event.order.order_id)) == len(event.raw)
        elif step == "discard":
            slow.discard(lambda event: event.order.order_id == "0")
            waiting.pop(0, None)
        else:
            number, size = step
            hub.publish(order(number, symbol=str(number), raw=b"x" * size))
            after = waiting | {number: size}
            if len(after) > 4 or sum(after.values()) > 30:
                assert slow not in hub.members
                return
            waiting = after
        assert slow.statistics()[1::2] == (len(waiting), sum(waiting.values()))


@pytest.mark.parametrize("overflow", ["close", "drop_oldest", "latest"])
async def test_publish_to_all_ignores_the_capacity(overflow: str) -> None:
    hub = fanout()
    full = hub.subscribe(EventFilter(("orders",), account_id="a"), overflow, QueueCapacity(1, 1 << 20))
    hub.publish(order(1))
    gap = Gap(cause="the link was lost", since=NOON, until=NOON)
    hub.publish_to_all(gap)
    assert taken(full) == [order(1), gap]


@pytest.mark.parametrize("overflow", ["close", "drop_oldest", "latest"])
async def test_waiting_consumer_is_woken_by_an_event_and_by_close(overflow: str) -> None:
    hub = fanout()
    subscription = hub.subscribe(ALL, overflow, WIDE)
    waiting = asyncio.create_task(subscription.receive())
    await asyncio.sleep(0)
    hub.publish(order(1))
    assert await waiting == order(1)
    waiting = asyncio.create_task(subscription.receive())
    await asyncio.sleep(0)
    hub.close(SessionTakenError(cause="another"))
    with pytest.raises(SessionTakenError):
        await waiting
    with pytest.raises(SessionTakenError):
        hub.subscribe(ALL, overflow, WIDE)


async def test_cancelling_receive_loses_no_event() -> None:
    hub = fanout()
    subscription = hub.subscribe(ALL, "close", WIDE)
    waiting = asyncio.create_task(subscription.receive())
    await asyncio.sleep(0)
    hub.publish(order(1))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await subscription.receive() == order(1)


async def test_receive_after_a_cancelled_receive_gets_the_next_event() -> None:
    hub = fanout()
    subscription = hub.subscribe(ALL, "close", WIDE)
    for wait in (subscription.receive, subscription.__anext__):
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    waiting = asyncio.create_task(subscription.receive())
    await asyncio.sleep(0)
    hub.publish(order(1))
    assert await waiting == order(1)


async def test_counts_include_topics_with_filtered_subscriptions_only() -> None:
    hub = fanout()
    picky = hub.subscribe(EventFilter(("orders",), account_id="a"), "close", WIDE)
    hub.publish(order(1))
    hub.publish(order(2, account="b"))
    assert hub.counts == {"orders": 2}
    assert taken(picky) == [order(1)]
    whole = hub.subscribe(EventFilter(("orders",)), "close", WIDE)
    hub.publish(order(3))
    hub.unsubscribe(whole)
    hub.publish(order(4))
    assert hub.counts == {"orders": 4}
    assert taken(whole) == [order(3)]


async def test_iteration_ends_on_close_and_raises_on_an_error() -> None:
    hub = fanout()
    quiet, loud = hub.subscribe(ALL, "close", WIDE), hub.subscribe(ALL, "close", WIDE)
    hub.publish(order(1))
    loud.close(SessionTakenError(cause="another"))
    hub.close()
    assert [event async for event in quiet] == [order(1)]
    assert await anext(loud) == order(1)
    with pytest.raises(SessionTakenError):
        await anext(loud)


async def test_exiting_a_subscription_unsubscribes_it() -> None:
    hub = fanout()
    async with hub.subscribe(ALL, "close", WIDE) as subscription:
        hub.publish(order(1))
        assert repr(subscription) == "<Subscription OPEN 1 waiting 0 dropped>"
    assert hub.members == ()
    hub.publish(order(2))
    with pytest.raises(ClosedError):
        await subscription.receive()
    with pytest.raises(ClosedError):
        subscription.receive_nowait()


@pytest.mark.parametrize(
    ("overflow", "bound", "rule"),
    [
        ("block", WIDE, "overflow must be one of close, drop_oldest, latest, got 'block'"),
        ([], WIDE, "overflow must be one of close, drop_oldest, latest, got list"),
        ("close", QueueCapacity(0, 1), "capacity must be a positive whole number, got 0"),
        ("close", QueueCapacity(1, 0), "max_bytes must be a positive whole number, got 0"),
    ],
)
async def test_subscribe_rejects_an_invalid_policy_or_capacity(overflow: Any, bound: QueueCapacity, rule: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{rule}$"):
        fanout().subscribe(ALL, overflow, bound)


async def test_full_subscription_is_removed_during_publish() -> None:
    hub = fanout()
    subscriptions = [hub.subscribe(ALL, "close", QueueCapacity(1, 1 << 20)) for _ in range(4)]
    last = hub.subscribe(ALL, "close", WIDE)
    hub.publish(order(1))
    hub.publish(order(2))
    assert hub.members == (last,)
    assert len(taken(last)) == 2
    for subscription in subscriptions:
        assert await subscription.receive() == order(1)


async def test_second_waiting_task_raises_and_the_first_continues() -> None:
    hub = fanout()
    subscription = hub.subscribe(ALL, "close", WIDE)
    first = asyncio.create_task(subscription.receive())
    await asyncio.sleep(0)
    with pytest.raises(ConfigurationError, match="only one task may wait on a subscription"):
        await subscription.receive()
    hub.publish(order(1))
    assert await first == order(1)


@pytest.mark.parametrize("key", ["account_id", "user_id", "symbol"])
@pytest.mark.parametrize("value", ["", 5, ["a"], b"a"], ids=repr)
def test_subscribe_rejects_an_invalid_key_and_adds_nothing(key: str, value: Any) -> None:
    hub, odd = fanout(), {key: value}
    with pytest.raises(ConfigurationError, match=f"{key} must be a non-empty text"):
        hub.subscribe(EventFilter(("orders",), **odd), "close", WIDE)
    assert hub.members == ()
    hub.close()


def test_lifecycle_events_reach_a_subscription_to_one_account() -> None:
    hub = fanout()
    one = hub.subscribe(EventFilter(("orders", "lifecycle"), account_id="a", symbol="MSFT"), "close", WIDE)
    for event in (StreamLive(), order(1), order(2, account="b"), order(3, symbol="AAPL"), StreamLost(cause="cut")):
        hub.publish(event)
    assert taken(one) == [StreamLive(), order(1), StreamLost(cause="cut")]
    hub.unsubscribe(one)
    hub.publish(StreamLive())
    assert one.receive_nowait() is None


def test_repeated_late_subscribes_do_not_extend_the_traceback() -> None:
    hub, ending = fanout(), SessionTakenError(cause="gone")
    hub.close(ending)
    depths: set[int] = set()
    for _ in range(3):
        with pytest.raises(SessionTakenError):
            hub.subscribe(ALL, "close", WIDE)
        depths.add(len(traceback.extract_tb(ending.__traceback__)))
    assert len(depths) == 1


@pytest.mark.parametrize("overflow", ["close", "drop_oldest", "latest"])
async def test_discard_removes_events_and_keeps_the_capacity(overflow: str) -> None:
    hub = fanout()
    subscription = hub.subscribe(ALL, overflow, QueueCapacity(100, 60))
    for number in range(20):
        hub.publish(position(number, symbol=f"S{number}"))
    assert subscription.statistics().bytes_waiting == 40
    subscription.discard(lambda event: event.symbol != "S7")
    assert subscription.statistics()[1:] == (1, 0, 2)
    for number in range(29):
        hub.publish(position(number, symbol=f"S{number}"))
    assert subscription.statistics()[1:] == ((29, 1, 58) if overflow == "latest" else (30, 0, 60))
    for number in range(30, 50):
        hub.publish(position(number, symbol=f"S{number}"))
    if overflow == "drop_oldest":
        assert subscription.statistics()[1:] == (31, 20, 60)  # and the gap that reports it
    elif overflow == "close":
        told = [subscription.receive_nowait() for _ in range(30)]
        assert told[0] == position(7, symbol="S7")
        with pytest.raises(SlowConsumerError):
            subscription.receive_nowait()


async def test_consumer_keeps_waiting_when_all_new_events_are_discarded() -> None:
    hub = fanout()
    subscription = hub.subscribe(ALL, "close", WIDE)
    waiting = asyncio.create_task(subscription.receive())
    await asyncio.sleep(0)
    hub.publish(order(1))
    subscription.discard(lambda _: True)
    await asyncio.sleep(0)
    assert not waiting.done()
    hub.publish(order(2))
    assert await waiting == order(2)


async def test_latest_delivers_an_event_with_none_as_key() -> None:
    latest = fanout().subscribe(EventFilter(("orders",)), "latest", QueueCapacity(2, 1000))
    assert isinstance(latest, LatestSubscription)
    latest.keep(None, order(1))
    latest.keep("", order(2))
    assert [await latest.receive(), await anext(latest)] == [order(1), order(2)]
    latest.keep(None, order(3))
    assert (latest.receive_nowait(), latest.receive_nowait()) == (order(3), None)


async def test_latest_with_a_gap_beyond_its_capacity_keeps_event_and_gap() -> None:
    hub = fanout()
    subscription = hub.subscribe(ALL, "latest", QueueCapacity(1, 1000))
    event, gap = position(1), Gap(cause="the connection was lost", since=NOON, until=NOON)
    hub.publish(event)
    hub.publish_to_all(gap)
    assert subscription.statistics().waiting == 2
    assert taken(subscription) == [event, gap]
