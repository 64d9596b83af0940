"""The leader's queue of entries that the log has not acknowledged, without I/O, bounded in bytes and seconds."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import NamedTuple

from connecttrade_async.relay.log import LEFT, LIVE, LOST, LogPosition

__all__ = ["Batch", "Outbox"]

ENTRY_BYTES = 64  # what an entry costs besides its value, roughly


class Batch(NamedTuple):
    """Entries to append in one call.

    Attributes:
        first: the id of the first one; the others follow.
        entries: the kinds and values, in order.
        state: the last kind among them that says whether the session is live, or None.
    """

    first: LogPosition
    entries: tuple[tuple[bytes, bytes], ...]
    state: bytes | None

    @property
    def last(self) -> LogPosition:
        """The id of the last one."""
        return LogPosition(self.first.epoch, self.first.sequence + len(self.entries) - 1)


class Outbox:
    """Numbers entries, and keeps each until the log has acknowledged it.

    After a lost answer, the append is sent again unchanged, with the same ids.

    Args:
        epoch: the epoch of the leader.
        max_bytes: the greatest size of the entries together, in bytes.
        max_seconds: the longest time that an entry may wait.

    Attributes:
        acknowledged: the last entry that the log has.
        is_live: whether the entries up to that one say that the session is live.
    """

    __slots__ = ("_bytes", "_entries", "_has_dropped", "_max_bytes", "_max_seconds", "acknowledged", "is_live")

    def __init__(self, epoch: int, *, max_bytes: int, max_seconds: float) -> None:
        self.acknowledged = LogPosition(epoch, 0)
        self.is_live = False
        self._max_bytes, self._max_seconds = max_bytes, max_seconds
        self._entries: deque[tuple[bytes, bytes, float]] = deque()
        self._bytes = 0
        self._has_dropped = False

    def put(self, kind: bytes, value: bytes, now: float) -> None:
        """Add an entry, or drop it for good if the entries exceed their size: the leader must stand down then.

        A call of the server can last for seconds, and the session goes on meanwhile.

        Args:
            kind: its kind.
            value: its value.
            now: the current time, in seconds of a monotonic clock.
        """
        if self._has_dropped or self._bytes > self._max_bytes:
            self._has_dropped = True  # also later ones: a hole between entries would not be seen
            return
        self._entries.append((kind, value, now))
        self._bytes += len(value) + ENTRY_BYTES

    def batch(self, max_entries: int, max_bytes: int) -> Batch | None:
        """Return the next entries to append, at least one; None if there is none."""
        entries: list[tuple[bytes, bytes]] = []
        size, state = 0, None
        for kind, value, _ in islice(self._entries, max_entries):
            size += len(value) + ENTRY_BYTES
            if entries and size > max_bytes:
                break
            entries.append((kind, value))
            state = kind if kind in (LIVE, LOST, LEFT) else state
        if not entries:
            return None
        return Batch(LogPosition(self.acknowledged.epoch, self.acknowledged.sequence + 1), tuple(entries), state)

    def acknowledge(self, sequence: int) -> None:
        """Remove the entries up to this number: the log has them."""
        while self._entries and self.acknowledged.sequence < sequence:
            kind, value, _ = self._entries.popleft()
            self._bytes -= len(value) + ENTRY_BYTES
            if kind in (LIVE, LOST, LEFT):
                self.is_live = kind == LIVE
            self.acknowledged = LogPosition(self.acknowledged.epoch, self.acknowledged.sequence + 1)

    @property
    def is_unbroken(self) -> bool:
        """Whether the session was not lost since the acknowledged entries.

        Only then may a leader continue after its lease has ended: while it held the session, no other leader had
        events. After a loss, a later leader may have delivered newer events than those that still wait.
        """
        return not self._has_dropped and not any(kind in (LOST, LEFT) for kind, _, _ in self._entries)

    def begin_epoch(self, epoch: int) -> None:
        """Continue in a new epoch: the entries that are not acknowledged get the ids from ``(epoch, 1)`` on."""
        self.acknowledged = LogPosition(epoch, 0)

    def is_over(self, now: float) -> bool:
        """Return whether the entries exceed the bounds, or an entry was dropped."""
        if self._has_dropped:
            return True
        if not self._entries:
            return False
        return self._bytes > self._max_bytes or now - self._entries[0][2] > self._max_seconds

    def __len__(self) -> int:
        return len(self._entries)
