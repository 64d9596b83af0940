"""The world's walk: how a price wanders from one day to the next, in steps of a quarter of a second.

A walk is fixed at one moment of every day, and between two such moments by its middle, and by the middles of the
halves, and so on down to a single step; each middle is moved by an amount that depends on the seed and on its place
alone, and by less on every level. So any moment can be asked for at once, in any order, and of any stretch it is known
how far the walk can stray from its ends, which is what makes it cheap to find when a price is first reached.
"""

import math
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from connecttrade_async.sandbox.world.seeded import salt_of, stir

__all__ = ["PricePath", "TickRange", "anchor", "first_tick", "moment_of", "tick_of"]

_TICK = timedelta(milliseconds=250)
_DAY = timedelta(days=1) // _TICK
"""Ticks of a day."""
_ZERO = datetime(1970, 1, 1, 20, tzinfo=UTC)
_ZERO_DAY = _ZERO.date()
_HEIGHT = 0.008
"""How far, as a share of the price, the middle of a day is moved at most."""
_SHRINK = 0.5**0.5
_STRAY = 2 / 3 / (1 - _SHRINK) + 1e-9
"""How far a walk may stray beyond its higher end, in heights: no place lies under every middle at once, and the best of
them, a third of the way along, has two thirds of each. A little more, for floats are not exact."""
_KEPT = 1 << 14


class TickRange(NamedTuple):
    """The ticks from `low` up to, not including, `high`, a stretch made by `depth` halvings of a day."""

    low: int
    high: int
    depth: int

    @property
    def reach(self) -> float:
        """How far a walk may stray in here from the stretch between its values at both ends."""
        return _HEIGHT * _SHRINK**self.depth / (1 - _SHRINK)

    def halves(self) -> tuple["TickRange", "TickRange"]:
        """Its two halves."""
        middle = (self.low + self.high) // 2
        return TickRange(self.low, middle, self.depth + 1), TickRange(middle, self.high, self.depth + 1)


def anchor(on: date) -> datetime:
    """The moment of a day at which every walk is where the day's price is: eight in the evening, UTC."""
    return _ZERO + (on - _ZERO_DAY)


def tick_of(at: datetime) -> int:
    """The tick that has begun last at a moment."""
    return (at - _ZERO) // _TICK


def moment_of(tick: int) -> datetime:
    """When a tick begins."""
    return _ZERO + tick * _TICK


class PricePath:
    """One symbol's walk.

    Args:
        seed: what makes it this one.
        daily: where it is at a day's anchor.
    """

    def __init__(self, seed: str, daily: Callable[[date], float]) -> None:
        self._salt = salt_of(seed)
        self._daily = daily
        self._known: dict[int, float] = {}

    def value(self, tick: int) -> float:
        """Where the walk is at a tick."""
        found = self._known.get(tick)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            found = self._known[tick] = self._find(tick)
        return found

    def bounds(self, cell: TickRange) -> tuple[float, float]:
        """Between which values the walk stays in a cell."""
        ends = self.value(cell.low), self.value(cell.high)
        return min(ends) - cell.reach, max(ends) + cell.reach

    def farthest(self, start: int, end: int, counts: Callable[[int], bool], *, sign: int) -> float | None:
        """The highest value (or the lowest, with a `sign` of -1) at the ticks of a stretch that count.

        Halves that cannot hold a better one than the best so far are not looked into.
        """
        best = -math.inf
        for day in range(start // _DAY, -(-end // _DAY)):
            ends = (self._daily(_ZERO_DAY + timedelta(days=day)), self._daily(_ZERO_DAY + timedelta(days=day + 1)))
            pending = [(day * _DAY, ends[0], (day + 1) * _DAY, ends[1], _HEIGHT)]
            while pending:
                low, at_low, high, at_high, height = pending.pop()
                hope = max(sign * at_low, sign * at_high) + height * _STRAY
                if high <= start or low >= end or hope <= best:
                    continue
                if high - low == 1:
                    best = sign * at_low if sign * at_low > best and counts(low) else best
                    continue
                middle = (low + high) // 2
                at_middle = (at_low + at_high) / 2 + height * self._noise(middle)
                halves = (
                    (low, at_low, middle, at_middle, height * _SHRINK),
                    (middle, at_middle, high, at_high, height * _SHRINK),
                )
                pending.extend(halves if sign * at_high > sign * at_low else reversed(halves))
        return None if best == -math.inf else sign * best

    def _find(self, tick: int) -> float:
        day, rest = divmod(tick, _DAY)
        on = _ZERO_DAY + timedelta(days=day)
        at_low = self._daily(on)
        if not rest:
            return at_low
        low, high, height, at_high = tick - rest, tick - rest + _DAY, _HEIGHT, self._daily(on + timedelta(days=1))
        while low != tick:
            middle = (low + high) // 2
            at_middle = (at_low + at_high) / 2 + height * self._noise(middle)
            if tick >= middle:
                low, at_low = middle, at_middle
            else:
                high, at_high = middle, at_middle
            height *= _SHRINK
        return at_low

    def _noise(self, tick: int) -> float:
        """Something from -1 to 1."""
        return stir(self._salt, tick) / (1 << 63) - 1


def first_tick(
    start: int, end: int, may: Callable[[TickRange], bool], does: Callable[[int], bool], *, every: int = 1
) -> int | None:
    """The first tick of a stretch at which something holds, found without looking at each.

    Args:
        start: the first tick.
        end: the tick after the last.
        may: whether it may hold anywhere in a cell; a yes need not be right, a no must be.
        does: whether it holds at a tick.
        every: how many ticks lie between two that count.
    """
    pending = list(_days(start, end))[::-1]
    while pending:
        cell = pending.pop()
        if cell.high <= start or cell.low >= end or -cell.low % every >= cell.high - cell.low or not may(cell):
            continue
        if cell.high - cell.low > 1:
            pending.extend(reversed(cell.halves()))
        elif does(cell.low):
            return cell.low
    return None


def _days(start: int, end: int) -> Iterator[TickRange]:
    for day in range(start // _DAY, (end - 1) // _DAY + 1) if start < end else ():
        yield TickRange(day * _DAY, (day + 1) * _DAY, 0)
