"""The desired market data subscriptions of all feeds, merged into what the server is asked for.

A *channel key* is a channel with the options that its messages carry: bars of one minute and bars of five minutes are
two channel keys. The other option of a channel is a *detail* that only widens it: trades of all hours contain those of
the regular hours, and ten levels of depth contain the first five. No message carries the detail it was sent for. So the
client subscribes once to each symbol of a channel key, with the widest requested detail, and each feed filters.

The server is asked for the union of all requests, counted by requester. A second requester of the same detail changes
nothing, and a symbol is unsubscribed only when its last requester removes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

__all__ = [
    "ChannelKey",
    "Detail",
    "PendingQuery",
    "PendingSubscriptions",
    "RequestIds",
    "SubscriptionKey",
    "SubscriptionRegistry",
    "covers",
    "options_of",
    "union",
]

T = TypeVar("T")


class PendingSubscriptions(Generic[T]):
    """Requests for keys that are not granted yet, by key and requester.

    Two calls may add the same symbol at once. The claims show which call may undo the subscription when it fails.
    """

    __slots__ = ("_claimants",)

    def __init__(self) -> None:
        self._claimants: dict[T, set[Hashable]] = {}

    def add(self, claimant: Hashable, keys: Iterable[T]) -> None:
        """Record that a claimant requests these keys."""
        for key in keys:
            self._claimants.setdefault(key, set()).add(claimant)

    def confirm(self, claimant: Hashable, keys: Iterable[T]) -> tuple[T, ...]:
        """Record that these keys are granted; return those that this claimant is the first to get."""
        granted = tuple(key for key in keys if claimant in self._claimants.get(key, ()))
        self.clear(granted)
        return granted

    def cancel(self, claimant: Hashable, keys: Iterable[T]) -> tuple[T, ...]:
        """Withdraw a claimant's requests; return the keys that are not granted and have no claimant left."""
        unclaimed: list[T] = []
        for key in keys:
            claimants = self._claimants.get(key, set())
            if claimant in claimants:
                claimants.discard(claimant)
                if not claimants:
                    del self._claimants[key]
                    unclaimed.append(key)
        return tuple(unclaimed)

    def clear(self, keys: Iterable[T]) -> None:
        """Drop every request for these keys; unknown keys are ignored."""
        for key in keys:
            self._claimants.pop(key, None)

    def __contains__(self, key: object) -> bool:
        return key in self._claimants


Detail = str | int | bool | None
WIDENING_OPTIONS = {"trades": "session", "depth": "levels", "options_chain": "greeks"}
ALL_HOURS = "all"
MAX_ID_DIGITS = 18
OVERSIZED_WINDOW = 600.0
"""Seconds within which two frames that were too large count as a repetition."""


class ChannelKey(NamedTuple):
    """A channel and the options that its messages carry.

    Attributes:
        channel: ``quotes``, ``trades``, ``bars``, ``depth`` or ``options_chain``.
        options: the options, as pairs of name and value.
    """

    channel: str
    options: tuple[tuple[str, str | None], ...] = ()


class SubscriptionKey(NamedTuple):
    """One symbol of one channel key: the unit of subscribing."""

    channel_key: ChannelKey
    symbol: str

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self.channel_key.channel


def union(channel: str, details: Iterable[Detail]) -> Detail:
    """Return the narrowest detail that contains all of these, of which there is at least one."""
    found = set(details)
    if channel == "trades" and len(found) > 1:
        return ALL_HOURS
    return max(found, key=lambda detail: detail or 0) if len(found) > 1 else found.pop()


def covers(channel: str, held: Detail, requested: Detail) -> bool:
    """Whether the held detail contains the requested one."""
    return union(channel, (held, requested)) == held


def options_of(channel_key: ChannelKey, detail: Detail) -> dict[str, object]:
    """Return the options of a channel key with this detail, by name."""
    options: dict[str, object] = dict(channel_key.options)
    if channel_key.channel in WIDENING_OPTIONS:
        options[WIDENING_OPTIONS[channel_key.channel]] = detail
    return options


class PendingQuery(NamedTuple):
    """A request other than a subscription that awaits its reply.

    Attributes:
        frame: the encoded request.
        channel: the channel that it names, or ``""``.
        symbol: the symbol that it names, or ``""``.
    """

    frame: bytes
    channel: str = ""
    symbol: str = ""


class RequestIds:
    """Issue unique request ids as text; contains the ids issued so far."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        self._last += 1
        return str(self._last)

    def __contains__(self, request_id: object) -> bool:
        # The length is checked first: int() of a million digits takes seconds, and of more than 4,300 it raises.
        if not isinstance(request_id, str) or len(request_id) > MAX_ID_DIGITS:
            return False
        return request_id.isascii() and request_id.isdecimal() and 0 < int(request_id) <= self._last


class SubscriptionRegistry:
    """Desired subscriptions, by key and requester. One registry serves every connection of a stream in turn.

    Attributes:
        request_ids: issues the ids of all requests.
        queries: requests other than subscriptions that await their replies, by id.
        backfills: number of past bars to request with the next subscription, by key.
        backfilled: number of past bars with which the server acknowledged a key.
        takes_backfill: whether the server may accept a subscription that requests past bars.
    """

    __slots__ = (
        "_broken",
        "_oversized",
        "_requesters",
        "backfilled",
        "backfills",
        "queries",
        "request_ids",
        "takes_backfill",
    )

    def __init__(self) -> None:
        self._requesters: dict[SubscriptionKey, dict[Hashable, Detail]] = {}
        self._broken: dict[SubscriptionKey, dict[Hashable, float]] = {}
        self._oversized: dict[Hashable, float] = {}
        self.request_ids = RequestIds()
        self.queries: dict[str, PendingQuery] = {}
        self.backfills: dict[SubscriptionKey, int] = {}
        self.backfilled: dict[SubscriptionKey, int] = {}
        self.takes_backfill = True

    def add(self, requester: Hashable, keys: Iterable[SubscriptionKey], detail: Detail = None) -> None:
        """Request these keys for a requester; a repeated request replaces its detail."""
        for key in keys:
            self._requesters.setdefault(key, {})[requester] = detail

    def remove(self, requester: Hashable, keys: Iterable[SubscriptionKey]) -> None:
        """Withdraw a requester's requests; unknown keys are ignored."""
        for key in keys:
            details = self._requesters.get(key, {})
            details.pop(requester, None)
            if not details:
                self._requesters.pop(key, None)
                self.backfills.pop(key, None)
                self.backfilled.pop(key, None)
            self._broken.get(key, {}).pop(requester, None)

    def keys_of(self, requester: Hashable) -> tuple[SubscriptionKey, ...]:
        """Return the keys that a requester requests."""
        return tuple(key for key, details in self._requesters.items() if requester in details)

    def is_requested_by(self, requester: Hashable, key: SubscriptionKey) -> bool:
        """Whether this requester requests this key."""
        return requester in self._requesters.get(key, ())

    def drop_rejected(self, key: SubscriptionKey, detail: Detail) -> tuple[Hashable, ...]:
        """Drop the requests that made a rejected detail necessary; return their requesters.

        Requests for a narrower detail stay. Where no single request has this detail, it is the union of several, and
        the latest request is dropped.
        """
        details = self._requesters.get(key, {})
        dropped = tuple(each for each, requested in details.items() if requested == detail) or tuple(details)[-1:]
        for requester in dropped:
            self.remove(requester, [key])
        return dropped

    def mark_broken(self, key: SubscriptionKey, detail: Detail, since: float) -> None:
        """Record that the server no longer sends a key: requesters that its detail covers may miss data.

        Args:
            key: the key.
            detail: the detail that the server sent until now.
            since: when the server was last known to send it, in seconds on the monotonic clock.
        """
        broken = self._broken.setdefault(key, {})
        for requester, requested in self._requesters.get(key, {}).items():
            if covers(key.channel, detail, requested):
                broken.setdefault(requester, since)

    def mark_restored(self, keys: Iterable[SubscriptionKey]) -> dict[Hashable, tuple[float, tuple[str, ...]]]:
        """Record that the server sends these keys again.

        Returns:
            By requester that may have missed data: since when, on the monotonic clock, and of which symbols.
        """
        missed: dict[Hashable, tuple[float, tuple[str, ...]]] = {}
        for key in keys:
            for requester, since in self._broken.pop(key, {}).items():
                earliest, symbols = missed.get(requester, (since, ()))
                missed[requester] = (min(earliest, since), (*symbols, key.symbol))
        return missed

    def record_oversized(self, subject: Hashable, now: float) -> bool:
        """Record that a frame for this key or query id was too large.

        Returns:
            Whether a frame for the same subject was too large within the last ``OVERSIZED_WINDOW`` seconds.
        """
        self._oversized = {each: when for each, when in self._oversized.items() if now - when < OVERSIZED_WINDOW}
        is_repeated = subject in self._oversized
        self._oversized[subject] = now
        return is_repeated

    def detail(self, key: SubscriptionKey) -> Detail:
        """Return the widest detail requested for a key. Precondition: it is requested."""
        return union(key.channel, self._requesters[key].values())

    def __contains__(self, key: object) -> bool:
        return key in self._requesters

    @property
    def keys(self) -> tuple[SubscriptionKey, ...]:
        """Every requested key."""
        return tuple(self._requesters)
