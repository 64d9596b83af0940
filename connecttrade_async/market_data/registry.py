"""Below the waterline: what the consumers of market data want, all together.

The theory. A *line* is a channel with those of its options that tell its messages apart: bars of one minute and bars of
five are two lines. The other options only widen what comes: trades of all hours hold those of the regular ones, a book
ten levels deep holds the first five. No message says for which of these it came, so the server is asked for each symbol
of a line once, in the widest form that anybody wants, and each consumer takes of it what it asked for.

So what is wanted of the server is the union of what consumers want, counted by who wants it: a second consumer changes
nothing, and nothing is given up before the last one has left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

__all__ = [
    "ChannelKey",
    "Detail",
    "Numbers",
    "PendingClaims",
    "Question",
    "SubscriptionKey",
    "SubscriptionRegistry",
    "covers",
    "options_of",
    "union",
]

T = TypeVar("T")


class PendingClaims(Generic[T]):
    """Who asks for what nobody has yet."""

    __slots__ = ("_claimants",)

    def __init__(self) -> None:
        self._claimants: dict[T, set[Hashable]] = {}

    def add(self, claimant: Hashable, things: Iterable[T]) -> None:
        """Say that somebody asks for these."""
        for thing in things:
            self._claimants.setdefault(thing, set()).add(claimant)

    def confirm(self, claimant: Hashable, things: Iterable[T]) -> tuple[T, ...]:
        """Say that somebody got these; returns those that he is the first to get."""
        got = tuple(thing for thing in things if claimant in self._claimants.get(thing, ()))
        self.clear(got)
        return got

    def cancel(self, claimant: Hashable, things: Iterable[T]) -> tuple[T, ...]:
        """Say that somebody will not get these; returns those that nobody else claims, or has got."""
        left: list[T] = []
        for thing in things:
            claimants = self._claimants.get(thing, set())
            if claimant in claimants:
                claimants.discard(claimant)
                if not claimants:
                    del self._claimants[thing]
                    left.append(thing)
        return tuple(left)

    def clear(self, things: Iterable[T]) -> None:
        """Say that these are asked for no more, whoever did; harmless where nobody does."""
        for thing in things:
            self._claimants.pop(thing, None)

    def __contains__(self, thing: object) -> bool:
        return thing in self._claimants


Detail = str | int | bool | None
WIDENS = {"trades": "session", "depth": "levels", "options_chain": "greeks"}
EVERYTHING = "all"
LONGEST_NUMBER = 18
LONG = 600.0  # seconds between two frames that were too large, after which the second is the first again


class ChannelKey(NamedTuple):
    """What is asked for together.

    Attributes:
        channel: ``quotes``, ``trades``, ``bars``, ``depth`` or ``options_chain``.
        options: those that tell its messages apart, by name and value.
    """

    channel: str
    options: tuple[tuple[str, str | None], ...] = ()


class SubscriptionKey(NamedTuple):
    """One symbol of a line: the least that can be asked for."""

    line: ChannelKey
    symbol: str


def union(channel: str, widths: Iterable[Detail]) -> Detail:
    """Return the narrowest form that holds all of these, of which there is at least one."""
    found = set(widths)
    if channel == "trades" and len(found) > 1:
        return EVERYTHING
    return max(found, key=lambda width: width or 0) if len(found) > 1 else found.pop()


def covers(channel: str, held: Detail, wanted: Detail) -> bool:
    """Whether one form holds another."""
    return union(channel, (held, wanted)) == held


def options_of(line: ChannelKey, width: Detail) -> dict[str, object]:
    """Return the options of a line in this form, by name."""
    options: dict[str, object] = dict(line.options)
    if line.channel in WIDENS:
        options[WIDENS[line.channel]] = width
    return options


class Question(NamedTuple):
    """A request beside subscriptions whose answer is awaited.

    Attributes:
        frame: the request as it is sent.
        channel: the channel that it names, or ``""``.
        symbol: the symbol that it names, or ``""``.
    """

    frame: bytes
    channel: str = ""
    symbol: str = ""


class Numbers:
    """The ids of requests: an iterator of texts, none of them twice, and a container of those issued so far."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        self._last += 1
        return str(self._last)

    def __contains__(self, number: object) -> bool:
        # Bounded: an id of a million digits costs seconds to read, and one of 4,301 raises.
        if not isinstance(number, str) or len(number) > LONGEST_NUMBER:
            return False
        return number.isascii() and number.isdecimal() and 0 < int(number) <= self._last


class SubscriptionRegistry:
    """Who wants what. It outlives every link.

    Attributes:
        numbers: the ids of what is asked, none of them twice.
        questions: what is asked beside subscriptions and not answered yet, by id.
        backfills: how many bars of the past to ask for with the next subscription of a symbol.
        backfilled: with how many bars of the past the server acknowledged a symbol.
        takes_backfill: whether the server may take a subscription that asks for the past.
    """

    __slots__ = (
        "_broken",
        "_requesters",
        "_strikes",
        "backfilled",
        "backfills",
        "numbers",
        "request_ids",
        "takes_backfill",
    )

    def __init__(self) -> None:
        self._requesters: dict[SubscriptionKey, dict[Hashable, Detail]] = {}
        self._broken: dict[SubscriptionKey, dict[Hashable, float]] = {}
        self._strikes: dict[Hashable, float] = {}
        self.numbers = Numbers()
        self.request_ids: dict[str, Question] = {}
        self.backfills: dict[SubscriptionKey, int] = {}
        self.backfilled: dict[SubscriptionKey, int] = {}
        self.takes_backfill = True

    def add(self, who: Hashable, items: Iterable[SubscriptionKey], width: Detail = None) -> None:
        """Say that somebody wants these."""
        for item in items:
            self._requesters.setdefault(item, {})[who] = width

    def remove(self, who: Hashable, items: Iterable[SubscriptionKey]) -> None:
        """Say that somebody wants these no more; harmless where that is known."""
        for item in items:
            wants = self._requesters.get(item, {})
            wants.pop(who, None)
            if not wants:
                self._requesters.pop(item, None)
                self.backfills.pop(item, None)
                self.backfilled.pop(item, None)
            self._broken.get(item, {}).pop(who, None)

    def wanted_by(self, who: Hashable) -> tuple[SubscriptionKey, ...]:
        """Return what somebody wants."""
        return tuple(item for item, wants in self._requesters.items() if who in wants)

    def is_wanted_by(self, who: Hashable, item: SubscriptionKey) -> bool:
        """Whether somebody wants this."""
        return who in self._requesters.get(item, ())

    def drop_rejected(self, item: SubscriptionKey, width: Detail) -> tuple[Hashable, ...]:
        """Say that it cannot be had in this form; returns who wanted it so, and wants it no more.

        Whoever is content with less still wants it. Where the form is only what several make together, the last is who
        asked for too much.
        """
        wants = self._requesters.get(item, {})
        who = tuple(each for each, wanted in wants.items() if wanted == width) or tuple(wants)[-1:]
        for each in who:
            self.remove(each, [item])
        return who

    def mark_broken(self, item: SubscriptionKey, width: Detail, since: float) -> None:
        """Say that the server tells this no more, which it told in a form: whoever was content with that may miss some.

        Args:
            item: what.
            width: in which form it was told.
            since: when that was known last.
        """
        broken = self._broken.setdefault(item, {})
        for who, wanted in self._requesters.get(item, {}).items():
            if covers(item.line.channel, width, wanted):
                broken.setdefault(who, since)

    def mark_restored(self, items: Iterable[SubscriptionKey]) -> dict[Hashable, tuple[float, tuple[str, ...]]]:
        """Say that the server tells these; returns who may have missed some, since when, and of which symbols."""
        missed: dict[Hashable, tuple[float, tuple[str, ...]]] = {}
        for item in items:
            for who, since in self._broken.pop(item, {}).items():
                earliest, symbols = missed.get(who, (since, ()))
                missed[who] = (min(earliest, since), (*symbols, item.symbol))
        return missed

    def strike(self, what: Hashable, now: float) -> bool:
        """Take note that an answer or an event was too large; return whether the one before was not long ago."""
        self._strikes = {each: when for each, when in self._strikes.items() if now - when < LONG}
        has_been = what in self._strikes
        self._strikes[what] = now
        return has_been

    def width(self, item: SubscriptionKey) -> Detail:
        """Return the form in which it is wanted, which it is."""
        return union(item.line.channel, self._requesters[item].values())

    def __contains__(self, item: object) -> bool:
        return item in self._requesters

    @property
    def items(self) -> tuple[SubscriptionKey, ...]:
        """All that is wanted."""
        return tuple(self._requesters)
