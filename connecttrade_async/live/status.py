"""Settings, counters and health of live accounts, as values."""

# ruff: noqa: TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from connecttrade_async.books.order_tracker import OrderRetention
from connecttrade_async.errors import ConfigurationError
from connecttrade_async.validation import positive_int, positive_number

__all__ = ["LiveHealth", "LiveSettings", "LiveStatistics", "SnapshotLimits"]


class SnapshotLimits(NamedTuple):
    """The bounds of the requests for snapshots.

    Attributes:
        concurrency: requests in flight at once.
        requests_per_second: the rate; None for no limit.
        pages: pages of orders that one snapshot may take.
        seconds: seconds that the requests of one snapshot may take, without the waits for their turn. Opening waits
            as long for any progress.
    """

    concurrency: int
    requests_per_second: float | None
    pages: int = 200
    seconds: float = 300.0


class LiveSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How books are kept; see ``ConnectTrade.live``."""

    sweep_every: float | None
    concurrency: int
    requests_per_second: float | None
    keep_orders: OrderRetention
    capacity: int
    snapshot_pages: int = 200
    snapshot_timeout: float = 300.0

    def __post_init__(self) -> None:
        """Validate every setting."""
        for name in ("concurrency", "capacity", "snapshot_pages"):
            positive_int(name, getattr(self, name))
        for name, unit in (("sweep_every", "seconds"), ("requests_per_second", "")):
            if getattr(self, name) is not None:
                positive_number(name, getattr(self, name), unit, alternative="None")
        positive_number("snapshot_timeout", self.snapshot_timeout, "seconds")
        _check_keep(self.keep_orders)

    @property
    def budget(self) -> SnapshotLimits:
        """The bounds of the requests for snapshots."""
        return SnapshotLimits(self.concurrency, self.requests_per_second, self.snapshot_pages, self.snapshot_timeout)


def _check_keep(value: object) -> None:
    if not isinstance(value, OrderRetention):
        raise ConfigurationError(f"keep_orders must be an OrderRetention, got {value!r}")


class LiveStatistics(NamedTuple):
    """Counters of a set of live accounts since it was opened.

    Attributes:
        frames: updates of the stream that were applied.
        changes: changes that were published.
        gaps: gaps of the stream; after each, all users are read again.
        snapshots: snapshots that were loaded.
        unchanged: of these, snapshots that equal the one before, so that nothing was decoded.
        outdated: snapshots that were discarded, because a gap came before their answer.
        failures: snapshots that failed.
        recovered: changes that the stream missed and a snapshot found; price changes do not count.
        swept: changes that the stream lost and the sweep found; price changes do not count.
        unlinked: accounts that no connection of their user opens any more, so that their books were dropped.
        conflicting: updates that were not applied, because they name a user that does not own the account; both users
            are read again.
        unknown: updates of unknown accounts.
        ignored: of these, updates of users that are not followed.
    """

    frames: int
    changes: int
    gaps: int
    snapshots: int
    unchanged: int
    outdated: int
    failures: int
    recovered: int
    swept: int
    unlinked: int
    conflicting: int
    unknown: int
    ignored: int


class LiveHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The state of live accounts, as plain values that a web backend can serve.

    Attributes:
        state: ``CURRENT`` if every book is current; ``RESYNCING`` while some are not; ``AWAY`` while the stream is not
            live; ``ENDED`` after the stream ended for good or the live accounts were closed.
        users: followed users.
        accounts: books.
        current: books that are current.
        waiting: users that wait for a snapshot.
        asking: snapshots under way.
        failed: by user id, why no snapshot counts, as text.
        statistics: the counters so far.
    """

    state: str
    users: int
    accounts: int
    current: int
    waiting: int
    asking: int
    failed: Mapping[str, str]
    statistics: LiveStatistics
