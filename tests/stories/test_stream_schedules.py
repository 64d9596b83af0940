"""Three hundred random schedules of faults, and the invariants of each.

Every event that the server sends on a live connection is delivered once and in order to each consumer with room. Every
interval in which an event may be lost lies inside a published gap. The message log of the sandbox has the sent events.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import count, takewhile
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async import Timeouts
from connecttrade_async.clock import SystemClock
from connecttrade_async.config import Reconnect
from connecttrade_async.errors import ClosedError, SlowConsumerError
from connecttrade_async.models.events import Gap, OrderUpdate, UnknownMessage
from connecttrade_async.sandbox import Sandbox
from connecttrade_async.sandbox.faults.stream import StreamFault, StreamKind
from connecttrade_async.secret import Secret
from connecttrade_async.streaming.brokerage_codec import BrokerageCodec
from connecttrade_async.streaming.brokerage_stream import BrokerageStream
from connecttrade_async.streaming.fast_connection import MAX_FRAME
from stream_fixtures import Forever, nothing_left, order

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async.models.events import Event
    from connecttrade_async.streaming.subscriptions import Subscription

PARTS = 10
SCHEDULES = 300
TOO_LARGE = MAX_FRAME + 1
TICK = timedelta(milliseconds=1)
ACCOUNTS = ("a0", "a1", "a2")
SWIFT: tuple[StreamKind, ...] = (
    "refuse_upgrade",
    "cut_upgrade",
    "cut_welcome",
    "cut_login",
    "cut_ack",
    "duplicate",
    "tear",
    "garble",
    "oversize",
    "unknown",
    "drop",
    "reset",
)
STALLING: tuple[StreamKind, ...] = ("hang_upgrade", "no_welcome", "no_login", "no_ack")


@pytest.fixture
def anyio_backend() -> Any:
    """Without asyncio's debugging: three hundred schedules are many."""
    return "asyncio"


class Schedule:
    """One schedule: the faults of a stream, and the events that it published."""

    def __init__(self, sandbox: Sandbox, seed: int) -> None:
        self.sandbox = sandbox
        self.dice = Random(f"schedule/{seed}")  # noqa: S311 - a test's dice
        self.is_patient = seed % 10 == 0
        self.numbers = count(1)
        self.published: dict[str, tuple[int, datetime]] = {}
        self.before = sandbox.stream.log.total
        self.told: list[Event] = []
        self.stream = BrokerageStream(
            sandbox.stream.url,
            BrokerageCodec(sandbox.client_id, Secret(sandbox.client_secret)),
            topics=("orders",),
            timeouts=Timeouts(login=0.05, connect=0.05, close=0.1, ping=0.02),
            reconnect=Reconnect(base=0.001, cap=0.002, standby=0.002),
            clock=SystemClock(),
            on_taken="standby",
            codes={},
            owner=Forever(),
        )

    async def play(self) -> None:
        """Let everything happen, and wait until the last event has come."""
        async with nothing_left(), self.stream, self.stream.subscribe() as everything:
            one_account = self.stream.subscribe("orders", account_id=ACCOUNTS[0])
            narrow = self.stream.subscribe("orders", capacity=3)
            kinds = SWIFT + STALLING if self.is_patient else SWIFT
            self.sandbox.stream.faults.schedule(
                self.dice.randrange(1 << 30),
                chances=12,
                share=0.5,
                among=[StreamFault(kind, size=TOO_LARGE if kind == "oversize" else None) for kind in kinds],
            )
            for _ in range(12):
                self.publish(self.dice.randrange(6))
                await self.misfortune()
                await self.a_while()
            self.sandbox.stream.faults.clear()
            self.sandbox.stream.thaw()
            async with asyncio.timeout(10):
                await self.until_all_is_well(everything)
        self.check(one_account, narrow)

    def publish(self, events: int) -> None:
        """Publish this number of events."""
        for _ in range(events):
            number = next(self.numbers)
            at = datetime.now(UTC)
            serial = self.sandbox.stream.publish("orders", "u", self.dice.choice(ACCOUNTS), order(number))
            self.published[f"o{number}"] = (serial, at)

    async def misfortune(self) -> None:
        """Let the link come to grief, or not."""
        stream = self.sandbox.stream
        acts: list[Callable[[], object]] = [
            *[lambda: None] * 6,
            stream.reset,
            stream.drop,
            lambda: stream.drop(None),
            lambda: stream.drop(1012, "restart"),
            stream.displace,
        ]
        if self.is_patient:
            acts += [stream.freeze, stream.thaw]
        self.dice.choice(acts)()
        if self.is_patient and stream.is_live and not self.dice.randrange(8):
            await stream.restart()

    async def a_while(self) -> None:
        """Let the loop turn for a while, and sometimes until the stream is live again."""
        for _ in range(self.dice.choice((0, 1, 3, 10, 30))):
            await asyncio.sleep(0)
        if not self.dice.randrange(3):
            await self.sandbox.stream.until_live()

    async def until_all_is_well(self, everything: Subscription) -> None:
        """Publish a last event on each link until one comes."""
        last = f"o{next(self.numbers)}"
        publishing = asyncio.create_task(self.publish_last(last))
        try:
            while True:
                event = await everything.receive()
                self.told.append(event)
                # An event may arrive on an unconfirmed connection too; the gap is published on the next one.
                is_live = self.stream.health().state == "LIVE"
                if is_live and isinstance(event, OrderUpdate) and event.order.order_id == last:
                    return
        finally:
            publishing.cancel()
            await asyncio.wait([publishing])

    async def publish_last(self, last: str) -> None:
        """Publish the last event on the link that there is, and on every later one."""
        stream = self.sandbox.stream
        while True:
            await stream.until_live()
            lives, at = stream.log.lives, datetime.now(UTC)
            serial = stream.publish("orders", "u", ACCOUNTS[0], order(int(last[1:])))
            self.published[last] = (serial, at)
            await stream.until_live(lives + 1)

    # What must be true ------------------------------------------------------------------------------------------------

    def check(self, one_account: Subscription, narrow: Subscription) -> None:
        """Compare the published events with the message log."""
        self.each_link_s_events_came_once_and_in_order()
        self.what_did_not_come_lies_in_a_gap()
        wanted = [
            event for event in self.told if isinstance(event, Gap) or getattr(event, "account_id", "") == ACCOUNTS[0]
        ]
        assert drained(one_account) == (wanted, ClosedError)
        orders = [event for event in self.told if not isinstance(event, UnknownMessage)]
        got, ending = drained(narrow)
        assert got == orders[: len(got)]
        assert ending is SlowConsumerError or got == orders
        gaps = [event for event in self.told if isinstance(event, Gap)]
        assert self.stream.health().gaps == len(gaps)

    def each_link_s_events_came_once_and_in_order(self) -> None:
        """Between two gaps there is the beginning of what one link was sent; after the last gap, all of it.

        Behind it there may be what a link was sent that was never acknowledged, and so never live: a gap follows.
        """
        sent: defaultdict[int, list[bytes]] = defaultdict(list)
        messages = list(self.sandbox.stream.log)[self.before - self.sandbox.stream.log.total :]
        for message in messages:
            if message.serial or message.kind == "weather":
                sent[message.link].append(message.text.encode())
        acknowledged = {message.link for message in messages if message.kind == "subscribed"}
        links = iter(sorted(sent))
        lives = self.lives()
        for life in lives:
            rest = life
            while rest:
                number = next(links, None)
                assert number is not None
                length = sum(
                    1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(rest, sent[number], strict=False))
                )
                assert not length or rest is life or number not in acknowledged
                rest = rest[length:] if length else rest
        assert lives[-1] == sent[max(sent)]

    def lives(self) -> list[list[bytes]]:
        """The published events, split at the gaps."""
        lives: list[list[bytes]] = [[]]
        for event in self.told:
            if isinstance(event, Gap):
                lives.append([])
            else:
                lives[-1].append(event.raw)
        return lives

    def what_did_not_come_lies_in_a_gap(self) -> None:
        """An event on its way when the last one before a gap was heard is not older than that one."""
        intervals: list[tuple[datetime, datetime]] = []
        came: set[str] = set()
        heard_of = datetime.max.replace(tzinfo=UTC)
        for event in self.told:
            if isinstance(event, Gap):
                assert event.since <= event.until
                intervals.append((min(event.since, heard_of) - TICK, event.until + TICK))
            elif isinstance(event, OrderUpdate):
                name = event.order.order_id or ""
                came.add(name)
                heard_of = self.published[name][1]
        garbled = {message.serial for message in self.sandbox.stream.log if message.fate == "torn"}
        for name, (serial, at) in self.published.items():
            if name not in came and serial not in garbled:
                assert any(since <= at <= until for since, until in intervals), name


def drained(events: Subscription) -> tuple[list[Event], type[Exception]]:
    """Take what waits, and meet the ending."""
    told: list[Event] = []
    try:
        while (event := events.receive_nowait()) is not None:
            told.append(event)
    except (ClosedError, SlowConsumerError) as exc:
        return told, type(exc)
    pytest.fail("it has not ended")


@pytest.mark.parametrize("part", range(PARTS))
async def test_events_on_live_connections_arrive_once_in_order_and_all_others_are_in_gaps(part: int) -> None:
    async with Sandbox(seed=part) as sandbox:
        for seed in range(part, SCHEDULES, PARTS):
            await Schedule(sandbox, seed).play()
