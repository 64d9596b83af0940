"""Limit how often users are read again because some of their updates may have been missed.

A doubt is a frame that cannot be read, or that contradicts what is known. Its cause may last for hours. So neither the
pauses nor the overall rate start over while it lasts.
"""

from __future__ import annotations

import msgspec

from connecttrade_async.pacing import equal_jitter_delay

__all__ = ["DoubtBudget", "GrowingPauses"]

# The longest pause in seconds between two reads of one user because of doubt.
LONGEST_PAUSE = 60.0
# Seconds without a doubt after which its cause has gone, so that the pauses start over.
CALM = 600.0
# For all users together: a burst of one read each and `SPARE` more, then `SHARE` of the users in a minute.
SPARE = 10.0
SHARE = 0.1


class DoubtRecord(msgspec.Struct, gc=False, eq=False):
    """The doubts of one key.

    Attributes:
        noted_at: when the latest doubt came, in seconds.
        free_at: when the next read may begin, in seconds.
        taken_at: when the latest reserved turn begins, in seconds.
        turns: reads since the cause began.
    """

    noted_at: float
    free_at: float
    taken_at: float = 0.0
    turns: int = 0


class GrowingPauses:
    """Pauses between reads for each key, which double while the cause of the reads goes on.

    Args:
        base: the upper bound of the first pause, in seconds.
        cap: the upper bound of the longest, in seconds.
    """

    __slots__ = ("_base", "_cap", "_records")

    def __init__(self, base: float, cap: float) -> None:
        self._base = base
        self._cap = cap
        self._records: dict[str, DoubtRecord] = {}

    def note(self, key: str, now: float) -> None:
        """Note a cause to read. The pauses start over only after ten minutes without one."""
        record = self._records.get(key)
        if record is None or now - record.noted_at >= CALM:
            self._records[key] = DoubtRecord(now, now)
        else:
            record.noted_at = now

    def reserve(self, key: str, now: float, least: float = 0.0) -> float:
        """Reserve a turn for a key and return the seconds to wait for it, at least ``least``.

        Precondition: a cause was noted for the key.
        """
        record = self._records[key]
        delay = max(record.free_at - now, least)
        record.taken_at = now + delay
        record.free_at = record.taken_at + equal_jitter_delay(record.turns, self._base, self._cap)
        record.turns += 1
        return delay

    def refund(self, key: str) -> None:
        """Give back the latest turn, which was not used: the next turn may begin when that one did."""
        record = self._records.get(key)
        if record is not None:
            record.free_at = record.taken_at

    def forget(self, key: str) -> None:
        """Drop the record of a key."""
        self._records.pop(key, None)


class DoubtBudget:
    """Limits reads caused by doubt: growing pauses for each user, and one rate for all users together.

    Args:
        base: the upper bound of the first pause between two reads of one user, in seconds; it doubles up to a minute.
        now: the present, in seconds on the caller's clock.
    """

    __slots__ = ("_at", "_pauses", "_spent")

    def __init__(self, base: float, now: float) -> None:
        self._pauses = GrowingPauses(base, LONGEST_PAUSE)
        self._spent = 0.0
        self._at = now

    def note(self, user_id: str, now: float) -> None:
        """Note a doubt. The pauses start over only after ten minutes without one."""
        self._pauses.note(user_id, now)

    def reserve(self, user_id: str, users: int, now: float) -> float:
        """Reserve a turn for a user and return the seconds to wait for it.

        Args:
            user_id: the user; a doubt was noted for it.
            users: the number of followed users.
            now: the present, in seconds.
        """
        rate = min(users, SPARE + SHARE * users) / LONGEST_PAUSE
        self._spent = max(0.0, self._spent - (now - self._at) * rate) + 1.0
        self._at = now
        return self._pauses.reserve(user_id, now, max(0.0, (self._spent - users - SPARE) / rate))

    def refund(self, user_id: str) -> None:
        """Give back the latest turn of a user, which was not used."""
        self._pauses.refund(user_id)
        self._spent = max(0.0, self._spent - 1.0)

    def forget(self, user_id: str) -> None:
        """Drop the record of a user that is not followed any more."""
        self._pauses.forget(user_id)
