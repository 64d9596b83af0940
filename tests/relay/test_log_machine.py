"""The rules of ids and gaps against a model of the store that loses writes, answers and leases in every order.

The model does what the scripts do. ``fail_over`` reverts it to what it was some writes ago. Every event has a number,
so a reader that receives one twice, or skips one without a gap, is found by comparing numbers.
"""

from __future__ import annotations

import copy
import os
from typing import Any

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from connecttrade_async.relay.log import (
    EPOCH,
    LEFT,
    LIVE,
    LOST,
    MARK,
    ControlPayload,
    LogPosition,
    LogReader,
    LogSnapshot,
    decode_entry,
    encode_control,
    encode_value,
)
from connecttrade_async.relay.outbox import Outbox

EXAMPLES = {"nightly": 5000}.get(os.environ.get("HYPOTHESIS_PROFILE", ""), 300)
GAP = -1
Fields = tuple[bytes, bytes]


class Store:
    """What Redis holds: the log, the lease, and the clock, which a replica may have behind.

    An epoch is a time in milliseconds. That two leaders get the same one, because a replica is behind by exactly the
    milliseconds in between, is not modelled: ``used`` outlives every store.
    """

    def __init__(self, used: set[int]) -> None:
        self.used = used
        self.entries: list[tuple[LogPosition, Fields]] = []
        self.owner: str | None = None
        self.epoch = 0
        self.is_live = False
        self.clock = 100
        self.after = LogPosition(0, 0)

    @property
    def top(self) -> LogPosition | None:
        return self.entries[-1][0] if self.entries else None

    def view(self) -> LogSnapshot:
        epoch = None if self.owner is None else int(self.owner.rpartition(":")[2])
        return LogSnapshot(self.top, self.is_live, self.owner, epoch, now=self.clock)

    def acquire(self, worker: str, after: LogPosition | None, *, is_live: bool) -> int | None:
        if self.owner is not None and self.owner.rpartition(":")[0] != worker:
            return None
        self.clock += 1
        above = self.top.epoch + 1 if self.top is not None else 0
        self.epoch = max(self.clock, above, self.epoch + 1)
        while self.epoch in self.used:
            self.epoch += 1
        self.used.add(self.epoch)
        if after is not None:
            mine = [position for position, _ in self.entries if position.epoch == after.epoch]
            if mine and mine[-1] > after:
                after, is_live = mine[-1], self.is_live
            self.after = after
        self.owner, self.is_live = f"{worker}:{self.epoch}", is_live
        control = ControlPayload(by=worker, after=None if after is None else str(after), is_live=is_live)
        self.entries.append((LogPosition(self.epoch, 0), (EPOCH, encode_control(self.clock, control))))
        return self.epoch

    def append(self, owner: str, first: LogPosition, entries: tuple[Fields, ...], state: bytes | None) -> str:
        if self.owner != owner:
            return "fenced"
        top = self.top
        done = 0
        if top is not None and top.epoch > first.epoch:
            return "foreign"
        if top is not None and top.epoch == first.epoch:
            done = max(0, top.sequence - first.sequence + 1)
        if done > len(entries):
            return "foreign"
        for number, fields in list(enumerate(entries))[done:]:
            self.entries.append((LogPosition(first.epoch, first.sequence + number), fields))
        if state is not None:
            self.is_live = state == LIVE
        return "done"


class Worker:
    """A worker that leads, or believes that it does."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.outbox: Outbox | None = None
        self.has_session = False
        self.has_lapsed = False

    @property
    def owner(self) -> str:
        assert self.outbox is not None
        return f"{self.name}:{self.outbox.acknowledged.epoch}"

    def put(self, kind: bytes, control: ControlPayload) -> None:
        assert self.outbox is not None
        self.outbox.put(kind, encode_control(0, control), 0.0)


class Follower:
    """A reader with what it has received: the numbers of events, and gaps."""

    def __init__(self, position: LogPosition | None, received: list[int]) -> None:
        self.reader = LogReader(position)
        self.received = received
        self.cursor = LogPosition(0, 0)
        self.has_read = False

    def attach(self, view: LogSnapshot) -> None:
        self.cursor, missed = self.reader.attach(view)
        if missed is not None:
            self.received.append(GAP)

    def read(self, store: Store, count: int) -> None:
        if self.reader.is_reset(store.view()):
            self.attach(store.view())
        entries = [entry for entry in store.entries if entry[0] > self.cursor][:count]
        for position, fields in entries:
            self.cursor = position
            payload = self.reader.take(str(position).encode(), *fields)
            if payload is None:
                received = self.reader.receive(decode_entry(str(position).encode(), fields))
                if received.missed is not None:
                    self.received.append(GAP)
                payload = received.payload
            if payload is not None:
                self.received.append(int(payload))


class Relay(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = Store(set())
        self.before: list[Store] = []
        self.workers = [Worker(name) for name in "abc"]
        self.followers: list[Follower] = []
        self.emitted = 0

    def write(self) -> None:
        """Remember the store as it was before a write."""
        before = copy.copy(self.store)
        before.entries = self.store.entries.copy()
        self.before = [*self.before[-30:], before]

    @initialize()
    def begin(self) -> None:
        self.lead(0)
        self.flush(0, is_answered=True)
        for _ in range(3):
            self.followers.append(Follower(None, []))
            self.followers[-1].attach(self.store.view())

    @rule(number=st.integers(0, 2))
    def lead(self, number: int) -> None:
        """Acquire a lease that is free, log in, and end the session of another leader."""
        worker = self.workers[number]
        if worker.outbox is not None:
            return
        self.write()
        epoch = self.store.acquire(worker.name, None, is_live=False)
        if epoch is None:
            return
        worker.outbox, worker.has_lapsed = Outbox(epoch, max_bytes=1 << 20, max_seconds=1e9), False
        self.log_in(worker)

    def log_in(self, worker: Worker) -> None:
        for other in self.workers:
            if other.has_session:
                other.has_session = False
                other.put(LOST, ControlPayload(cause="taken", since=0))
        worker.has_session = True
        worker.put(LIVE, ControlPayload(since=0))

    @rule(number=st.integers(0, 2))
    def lose_session(self, number: int) -> None:
        worker = self.workers[number]
        if worker.has_session:
            worker.has_session = False
            worker.put(LOST, ControlPayload(cause="network", since=0))

    @rule(number=st.integers(0, 2))
    def log_in_again(self, number: int) -> None:
        worker = self.workers[number]
        if worker.outbox is not None and not worker.has_session and self.store.owner == worker.owner:
            self.log_in(worker)

    @rule(count=st.integers(1, 5))
    def emit(self, count: int) -> None:
        for _ in range(count):
            self.emitted += 1
            for worker in self.workers:
                if worker.has_session:
                    assert worker.outbox is not None
                    worker.outbox.put(b"orders", encode_value(0, b"%d" % self.emitted), 0.0)

    @rule(number=st.integers(0, 2), is_answered=st.booleans())
    def flush(self, number: int, *, is_answered: bool) -> None:
        """Append what waits; the answer may be lost."""
        worker = self.workers[number]
        if worker.has_lapsed:
            self.renew(number)
        if worker.outbox is None or (batch := worker.outbox.batch(3, 1 << 20)) is None:
            return
        self.write()
        answer = self.store.append(worker.owner, *batch)
        if not is_answered:
            return
        if answer == "done":
            worker.outbox.acknowledge(batch.last.sequence)
        else:
            self.renew(number)

    @rule(number=st.integers(0, 2))
    def renew(self, number: int) -> None:
        """Confirm the lease; begin a new epoch if it is free or the log is not ours; else stand down."""
        worker, top = self.workers[number], self.store.top
        if worker.outbox is None:
            return
        epoch = worker.outbox.acknowledged.epoch
        if worker.has_lapsed and not (worker.has_session and worker.outbox.is_unbroken):
            worker.outbox, worker.has_session = None, False
            return
        worker.has_lapsed = False
        if self.store.owner == worker.owner and (top is None or top.epoch <= epoch):
            if not worker.outbox and (top is None or top < worker.outbox.acknowledged):
                worker.put(MARK, ControlPayload())
            return
        self.write()
        after, is_live = worker.outbox.acknowledged, worker.outbox.is_live
        is_ours = self.store.owner == worker.owner
        may_continue = is_ours or (worker.has_session and worker.outbox.is_unbroken)
        acquired = self.store.acquire(worker.name, after, is_live=is_live) if may_continue else None
        if acquired is None:
            worker.outbox, worker.has_session = None, False
        else:
            worker.outbox.acknowledge(self.store.after.sequence)
            worker.outbox.begin_epoch(acquired)

    @rule(number=st.integers(0, 2))
    def release(self, number: int) -> None:
        worker = self.workers[number]
        if worker.outbox is None:
            return
        worker.put(LEFT, ControlPayload(cause="left"))
        worker.has_session = False
        for _ in range(len(worker.outbox)):
            self.flush(number, is_answered=True)
        self.end(worker)

    def end(self, worker: Worker) -> None:
        if worker.outbox is not None and self.store.owner == worker.owner:
            self.write()
            self.store.owner = None
        worker.outbox = None

    @rule()
    def expire(self) -> None:
        self.write()
        self.store.owner = None
        for worker in self.workers:
            worker.has_lapsed = True  # its own clock ends the lease before the server's

    @precondition(lambda self: self.before)
    @rule(writes=st.integers(1, 8), behind=st.integers(0, 50))
    def fail_over(self, writes: int, behind: int) -> None:
        """Continue on a replica without the last writes, with a clock that may be behind."""
        index = max(0, len(self.before) - writes)
        self.store, self.before = self.before[index], self.before[:index]
        self.store.clock = max(1, self.store.clock - behind)
        for follower in self.followers:
            follower.attach(self.store.view())

    @rule()
    def restart_with_nothing(self) -> None:
        self.write()
        clock, self.store = self.store.clock, Store(self.store.used)
        self.store.clock = clock + 1000
        for follower in self.followers:
            follower.attach(self.store.view())

    @rule(count=st.integers(1, 4))
    def trim(self, count: int) -> None:
        if len(self.store.entries) > count:
            self.write()
            del self.store.entries[:count]

    @rule(above=st.integers(1, 3))
    def write_foreign(self, above: int) -> None:
        self.write()
        top = self.store.top or LogPosition(1, 0)
        self.store.entries.append((LogPosition(top.epoch + above, 0), (b"", b"")))

    @rule(number=st.integers(0, 2), count=st.integers(1, 10))
    def read(self, number: int, count: int) -> None:
        self.followers[number].read(self.store, count)

    @rule(number=st.integers(0, 2))
    def reconnect(self, number: int) -> None:
        self.followers[number].attach(self.store.view())

    @rule(number=st.integers(0, 2))
    def resume(self, number: int) -> None:
        """Restart a follower at its own position."""
        before = self.followers[number]
        if before.reader.position is not None and before.received:
            self.followers[number] = Follower(before.reader.position, before.received)
            self.followers[number].attach(self.store.view())

    @invariant()
    def no_event_comes_twice_and_none_is_missing_outside_a_gap(self) -> None:
        for follower in self.followers:
            check(follower.received)

    def teardown(self) -> None:
        """Let a leader with a new session write one more event, and read everything."""
        for number in range(3):
            self.release(number)
        self.store.owner = None
        for worker in self.workers:
            worker.outbox, worker.has_session = None, False
        if self.followers:
            self.lead(0)
            self.emit(1)
            for _ in range(50):
                self.flush(0, is_answered=True)
            for follower in self.followers:
                follower.attach(self.store.view())
                follower.read(self.store, 10_000)
                assert follower.reader.is_live
                assert follower.received[-1] in (self.emitted, GAP)
                check(follower.received)


def check(received: list[Any]) -> None:
    latest, has_gap = None, False
    for number in received:
        if number == GAP:
            has_gap = True
            continue
        assert latest is None or number > latest, f"{number} came after {latest}: {received}"
        assert latest is None or number == latest + 1 or has_gap, f"no gap before {number}: {received}"
        latest, has_gap = number, False


TestRelay = Relay.TestCase
TestRelay.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
