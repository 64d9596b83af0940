"""Event filters of market data feeds: the server may send more than one feed requested.

Bars have stricter rules. The bars of a symbol advance in time; each is delivered once when it is closed, and before
that as often as it changes. So a bar that the server repeats after a reconnect, or that a backfill returns again, is
delivered once. Only a closed bar may be delivered after a later bar has started, since without it the bar would be
missing. A closed bar that comes again with other values is marked as a correction.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from connecttrade_async.errors import MalformedResponseError

if TYPE_CHECKING:
    from connecttrade_async.models.market import Bar, OptionsChain, Trade

__all__ = ["BarSequencer", "ExpirationFilter", "HoursFilter", "IntervalFilter", "start_of"]

MAX_CLOSED_BARS = 200  # kept hashes of one symbol, which distinguish a correction from a repetition
MAX_OPEN_BARS = 4  # open bars of one symbol: a server with more open bars never closes them


class HoursFilter(NamedTuple):
    """Trades of certain hours; a trade without hours passes."""

    hours: str

    def matches(self, trade: Trade) -> bool:
        """Whether a trade passes."""
        return trade.hours in {None, self.hours}


class IntervalFilter(NamedTuple):
    """Bars of one interval."""

    interval: str

    def matches(self, bar: Bar) -> bool:
        """Whether a bar passes."""
        return bar.interval == self.interval


class ExpirationFilter:
    """Option chains of one expiration, or of all; a chain without expiration passes.

    Another feed may request the same expiration without greeks, as a subscription of its own, and no message names its
    subscription. So once a chain of an expiration has come with greeks, chains of it without greeks are dropped.

    Args:
        expiration: the expiration as ``YYYY-MM-DD``, or None for all.
        greeks: whether the feed requests greeks.
    """

    __slots__ = ("_expiration", "_greeks", "_with_greeks")

    def __init__(self, expiration: str | None, *, greeks: bool) -> None:
        self._expiration = expiration
        self._greeks = greeks
        self._with_greeks: set[tuple[str, str | None]] = set()

    def matches(self, chain: OptionsChain) -> bool:
        """Whether a chain passes."""
        day = chain.expiration_text
        if self._expiration is not None and day not in {None, self._expiration}:
            return False
        if not self._greeks or not chain.contracts:
            return True
        if any(contract.greeks is not None for contract in chain.contracts):
            self._with_greeks.add((chain.underlying, day))
            return True
        return (chain.underlying, day) not in self._with_greeks


class BarProgress(msgspec.Struct):
    """The bars delivered so far of one symbol. Bars are named by their start times.

    Attributes:
        first: the first delivered bar.
        last: the latest delivered bar.
        last_closed: the latest bar delivered as closed, or None.
        open: bars delivered and not yet closed, at most ``MAX_OPEN_BARS``.
        closed: hashes of the values of closed bars, by start time, at most ``MAX_CLOSED_BARS``.
    """

    first: datetime
    last: datetime
    last_closed: datetime | None = None
    open: tuple[datetime, ...] = ()
    closed: dict[datetime, int] = {}

    def accepts(self, start: datetime, *, is_closed: bool) -> bool:
        """Whether a bar is the next one, or closes one that was delivered as open."""
        if start > self.last or (start == self.last and start in self.open):
            return True
        return is_closed and (start in self.open or (self.last_closed is not None and start > self.last_closed))

    def close(self, start: datetime, values: int) -> None:
        """Record a closed bar, with the hash of its values."""
        self.last_closed = start if self.last_closed is None else max(self.last_closed, start)
        self.open = tuple(each for each in self.open if each != start)
        self.closed[start] = values
        if len(self.closed) > MAX_CLOSED_BARS:
            del self.closed[min(self.closed)]


class BarSequencer:
    """Orders and deduplicates the bars of each symbol, and marks corrections."""

    __slots__ = ("_progress",)

    def __init__(self) -> None:
        self._progress: dict[str, BarProgress] = {}

    def accept(self, bar: Bar) -> Bar | None:
        """Return a bar as it is to be delivered, or None where it repeats or comes too late."""
        start, is_closed = start_of(bar), bar.closed is True
        if start is None:
            return bar
        progress = self._progress.get(bar.symbol)
        if progress is None:
            progress = self._progress[bar.symbol] = BarProgress(start, start)
        elif not progress.accepts(start, is_closed=is_closed):
            return _correction(progress, bar, start) if is_closed else None
        progress.last = max(progress.last, start)
        if is_closed:
            progress.close(start, _hash_values(bar))
        elif start not in progress.open:
            progress.open = (*progress.open, start)[-MAX_OPEN_BARS:]
        return bar

    def since(self, symbol: str) -> datetime | None:
        """Return the start of the first bar that may be missing or still open, or None before the first bar."""
        progress = self._progress.get(symbol)
        if progress is None:
            return None
        return min((*progress.open, progress.last if progress.last_closed is None else progress.last_closed))

    def forget(self, symbol: str) -> None:
        """Drop the state of a symbol."""
        self._progress.pop(symbol, None)


def _correction(progress: BarProgress, bar: Bar, start: datetime) -> Bar | None:
    """Return a closed bar that follows later ones as it is to be delivered, or None where it repeats."""
    if start < progress.first:
        return None
    values, known = _hash_values(bar), progress.closed.get(start)
    if known == values:
        return None
    # A bar older than every kept hash was most likely delivered as well, and comes again because its values changed.
    was_delivered = known is not None or start < min(progress.closed, default=start)
    progress.close(start, values)
    return msgspec.structs.replace(bar, is_correction=True) if was_delivered else bar


def start_of(bar: Bar) -> datetime | None:
    """Return the start time of a bar, or None where it is absent or malformed."""
    try:
        return bar.start_time
    except MalformedResponseError:
        return None


def _hash_values(bar: Bar) -> int:
    """Return a hash of the values of a bar, equal for ``1.0`` and ``1.00``."""
    return hash(tuple(_value(bar, name) for name in ("open", "high", "low", "close", "volume")))


def _value(bar: Bar, name: str) -> object:
    try:
        return getattr(bar, name)
    except MalformedResponseError:
        return getattr(bar, f"{name}_text")
