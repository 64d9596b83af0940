"""Below the waterline: what a consumer takes of what comes for its symbols, since the server is asked for more.

Bars have a rule of their own: of each symbol they go up in time, each is told once when it is over, and before that as
often as it changes. So what a link that heals tells again, or what was fetched from the past, comes only once. Only the
end of a bar may come after the next has begun: without it the bar would be missing.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from connecttrade_async.models.market import Bar, OptionsChain, Trade

__all__ = ["OfExpiration", "OfHours", "OfInterval", "Upwards"]

LATE = 4  # bars of one symbol that may be open at once: more are none that end late, but of a server that ends none


class OfHours(NamedTuple):
    """Trades of some hours only: what does not say its hours is taken."""

    hours: str

    def is_met_by(self, trade: Trade) -> bool:
        """Whether a trade is wanted."""
        return trade.hours in {None, self.hours}


class OfInterval(NamedTuple):
    """Bars of one length."""

    interval: str

    def is_met_by(self, bar: Bar) -> bool:
        """Whether a bar is wanted."""
        return bar.interval == self.interval


class OfExpiration:
    """Chains of one day, or of all: what does not say its day is taken.

    Another consumer may want the same day without greeks, under a subscription of its own, and no message says for
    which it came. So once a day's chain has come with greeks, one without them is passed over by who wants them.
    """

    __slots__ = ("_expiration", "_greeks", "_with_greeks")

    def __init__(self, expiration: str | None, *, greeks: bool) -> None:
        self._expiration = expiration
        self._greeks = greeks
        self._with_greeks: set[tuple[str, str | None]] = set()

    def is_met_by(self, chain: OptionsChain) -> bool:
        """Whether a chain is wanted."""
        day = chain.expiration_text
        if self._expiration is not None and day not in {None, self._expiration}:
            return False
        if not self._greeks or not chain.contracts:
            return True
        if any(contract.greeks is not None for contract in chain.contracts):
            self._with_greeks.add((chain.underlying, day))
            return True
        return (chain.underlying, day) not in self._with_greeks


class Course(msgspec.Struct):
    """How far one symbol's bars have come.

    Attributes:
        last: when the latest that was told began.
        over: when the latest that was told as over began, or None.
        open: when those began that were told and not yet as over, the latest of them.
    """

    last: datetime
    over: datetime | None = None
    open: tuple[datetime, ...] = ()

    def leads_to(self, start: datetime, *, is_over: bool) -> bool:
        """Whether a bar that began then is to be told."""
        if start > self.last or (start == self.last and start in self.open):
            return True
        return is_over and (start in self.open or (self.over is not None and start > self.over))


class Upwards:
    """Bars, each symbol's going up in time; one that ends after the next has begun is told once more, when it does."""

    __slots__ = ("_courses",)

    def __init__(self) -> None:
        self._courses: dict[str, Course] = {}

    def takes(self, bar: Bar) -> bool:
        """Take a bar; returns whether it is to be told."""
        start, is_over = bar.start_time, bar.closed is True
        if start is None:
            return True
        course = self._courses.get(bar.symbol)
        if course is None:
            course = self._courses[bar.symbol] = Course(start)
        elif not course.leads_to(start, is_over=is_over):
            return False
        course.last = max(course.last, start)
        if is_over:
            course.over = start if course.over is None else max(course.over, start)
            course.open = tuple(each for each in course.open if each != start)
        elif start not in course.open:
            course.open = (*course.open, start)[-LATE:]
        return True

    def since(self, symbol: str) -> datetime | None:
        """From when on a symbol's bars may be missing or not yet over, or None where none was told."""
        course = self._courses.get(symbol)
        if course is None:
            return None
        return min((*course.open, course.last if course.over is None else course.over))

    def forget(self, symbol: str) -> None:
        """Forget a symbol."""
        self._courses.pop(symbol, None)
