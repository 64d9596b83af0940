"""The trades of every symbol.

Which ticks of a minute have prints, and of what size, depends on seed, symbol and minute alone; what they cost is the
market's last price at that tick. So the trades of any stretch can be computed without those before it. Nothing trades
while the market is closed, or once an option has expired.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from connecttrade_async.sandbox.world.market import Market
from connecttrade_async.sandbox.world.price_path import anchor, moment_of, tick_of
from connecttrade_async.sandbox.world.seeded import salt_of, stir
from connecttrade_async.sandbox.world.symbols import parse_option

__all__ = ["MINUTE", "Trade", "Trades"]

MINUTE = 240
"""Ticks of a minute."""
_MOST = 64
"""More trades than any minute has."""
_MINUTES_KEPT, _HOURS_KEPT = 1 << 12, 1 << 16


class Trade(NamedTuple):
    """One trade. `session` is ``regular`` or ``extended``; `tick` is when."""

    tick: int
    price: Decimal
    size: int
    session: str

    @property
    def at(self) -> datetime:
        """When it was."""
        return moment_of(self.tick)


class Trades:
    """The prints of a market. Stretches of ticks begin with `start` and end before `end`.

    Args:
        market: what things cost, and when it is open.
        seed: tapes of one seed are the same.
    """

    def __init__(self, market: Market, seed: int) -> None:
        self.market = market
        self._seed = seed
        self._salts: dict[str, int] = {}
        self._hours: dict[tuple[str, int], int] = {}
        self._marks: dict[tuple[str, int], tuple[tuple[int, int], ...]] = {}

    def prints(self, symbol: str, start: int, end: int) -> Iterator[Trade]:
        """The prints of a stretch, in their order."""
        hours, cost = self.market.hours_of(symbol), self.market.while_open
        for low, high in self.open(symbol, start, end):
            for minute in range(low // MINUTE, -(-high // MINUTE)):
                is_regular = hours.is_open(moment_of(minute * MINUTE), extended=False)
                session = "regular" if is_regular else "extended"
                for tick, size in self.marks(symbol, minute):
                    if low <= tick < high:
                        yield Trade(tick, cost(symbol, moment_of(tick)), size, session)

    def first(self, symbol: str, start: int, end: int) -> int | None:
        """The tick of the first print of a stretch, None if there is none."""
        for low, high in self.open(symbol, start, end):
            for minute in range(low // MINUTE, -(-high // MINUTE)):
                found = [tick for tick, _ in self.marks(symbol, minute) if low <= tick < high]
                if found:
                    return found[0]
        return None

    def last(self, symbol: str, start: int, end: int) -> int | None:
        """The tick of the last print of a stretch, None if there is none."""
        for low, high in reversed(list(self.open(symbol, start, end))):
            for minute in range((high - 1) // MINUTE, low // MINUTE - 1, -1):
                found = [tick for tick, _ in self.marks(symbol, minute) if low <= tick < high]
                if found:
                    return found[-1]
        return None

    def open(self, symbol: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The stretches of ticks in which a symbol trades, extended hours counted."""
        option = parse_option(symbol)
        if option is not None:
            end = min(end, tick_of(anchor(option.expiry)))
        for low, high in self.market.hours_of(symbol).spans(moment_of(start), moment_of(end), extended=True):
            yield tick_of(low), tick_of(high)

    def marks(self, symbol: str, minute: int) -> tuple[tuple[int, int], ...]:
        """Tick and size of each print of a minute in which the market is open. Minutes count 240 ticks."""
        key = (symbol, minute)
        found = self._marks.get(key)
        if found is None:
            if len(self._marks) >= _MINUTES_KEPT:
                self._marks.clear()
            found = self._marks[key] = tuple(self._throw(symbol, minute))
        return found

    def volume(self, symbol: str, start: int, end: int) -> int:
        """How many shares or contracts the prints of a stretch are together."""
        total = 0
        for low, high in self.open(symbol, start, end):
            first, last = -(-low // MINUTE), high // MINUTE
            edges = {low // MINUTE, last} - set(range(first, last))
            total += self._whole(symbol, first, last)
            total += sum(size for edge in edges for tick, size in self.marks(symbol, edge) if low <= tick < high)
        return total

    def _whole(self, symbol: str, first: int, last: int) -> int:
        """The volume of whole minutes; that of whole hours is remembered."""
        total = 0
        while first < last:
            is_hour = first % 60 == 0 and first + 60 <= last
            total += self._hour(symbol, first) if is_hour else self._minute(symbol, first)[1]
            first += 60 if is_hour else 1
        return total

    def _hour(self, symbol: str, minute: int) -> int:
        key = (symbol, minute)
        found = self._hours.get(key)
        if found is None:
            if len(self._hours) >= _HOURS_KEPT:
                self._hours.clear()
            found = self._hours[key] = sum(self._minute(symbol, minute + place)[1] for place in range(60))
        return found

    def _throw(self, symbol: str, minute: int) -> Iterator[tuple[int, int]]:
        """Each print has a part of the minute for itself, and a share of the minute's volume; the last has the rest."""
        count, volume = self._minute(symbol, minute)
        throws = [stir(self._salt(symbol), minute * _MOST + place + 1) for place in range(count)]
        weights = [1 + (throw >> 32) % 8 for throw in throws]
        left, whole = volume, sum(weights)
        for place, (throw, weight) in enumerate(zip(throws, weights, strict=True)):
            low, high = place * MINUTE // count, (place + 1) * MINUTE // count
            size = volume * weight // whole if place < count - 1 else left
            left -= size
            yield minute * MINUTE + low + (throw & 0xFFFF) % (high - low), size

    def _minute(self, symbol: str, minute: int) -> tuple[int, int]:
        """How many prints a minute has, and their volume: a stock has 20 to 40 of them, an option one now and then."""
        thrown = stir(self._salt(symbol), minute * _MOST)
        if parse_option(symbol) is not None:
            count = (0, 0, 1)[thrown % 3]
            return count, count * (1 + (thrown >> 16) % 20)
        count = 20 + thrown % 21
        return count, count * (10 + (thrown >> 16) % 190)

    def _salt(self, symbol: str) -> int:
        found = self._salts.get(symbol)
        if found is None:
            found = self._salts[symbol] = salt_of(f"{self._seed}/tape/{symbol}")
        return found
