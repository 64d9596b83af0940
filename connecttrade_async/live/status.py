"""Below the waterline: how live accounts are set, and how they are doing, as values."""

# ruff: noqa: TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import NamedTuple

import msgspec

from connecttrade_async.books.order_tracker import OrderRetention
from connecttrade_async.errors import ConfigurationError

__all__ = ["LiveHealth", "LiveSettings", "LiveStatistics", "SnapshotLimits"]


class SnapshotLimits(NamedTuple):
    """How much may be asked.

    Attributes:
        concurrency: requests in flight at once.
        requests_per_second: None for as fast as it goes.
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
        """Refuse what is no duration, no count and no rate."""
        _check_counts(concurrency=self.concurrency, capacity=self.capacity, snapshot_pages=self.snapshot_pages)
        _check_numbers(sweep_every=self.sweep_every, requests_per_second=self.requests_per_second)
        _check_seconds(snapshot_timeout=self.snapshot_timeout)
        _check_keep(self.keep_orders)

    @property
    def budget(self) -> SnapshotLimits:
        """How much may be asked."""
        return SnapshotLimits(self.concurrency, self.requests_per_second, self.snapshot_pages, self.snapshot_timeout)


def _check_counts(**settings: object) -> None:
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigurationError(f"{name} must be a count of at least 1, not {value!r}")


def _check_numbers(**settings: object) -> None:
    for name, value in settings.items():
        is_right = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        if value is not None and not is_right:
            raise ConfigurationError(f"{name} must be above 0, or None, not {value!r}")


def _check_seconds(**settings: object) -> None:
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < inf:
            raise ConfigurationError(f"{name} must be a positive number of seconds, got {value!r}")


def _check_keep(value: object) -> None:
    if not isinstance(value, OrderRetention):
        raise ConfigurationError(f"keep_orders must be KeepOrders(...), not {value!r}")


class LiveStatistics(NamedTuple):
    """What following came to so far.

    Attributes:
        frames: updates of the stream that were applied.
        changes: changes that were told.
        gaps: times that something may have been missed, and everybody was looked at again.
        snapshots: snapshots that were loaded.
        unchanged: of these, those that were the same as the one before, and did not have to be read.
        outdated: snapshots that did not count, since a gap came before their answer.
        failures: snapshots that failed.
        recovered: changes that were missed, and found by a snapshot; the passing of prices does not count.
        swept: changes that the stream lost, and the sweep found; likewise.
        unlinked: accounts that their users' connections do not open any more, and whose books were let go.
        conflicting: updates that were not applied, since they name a user that does not own the account; both users
            are read again.
        unknown: updates of accounts that nobody knew.
        ignored: of these, updates of nobody who is followed.
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
    """How live accounts are doing, as plain values that a web backend can serve.

    Attributes:
        state: ``CURRENT`` if every book is; ``RESYNCING`` while some are not; ``AWAY`` while the stream is;
            ``ENDED`` when it will not come back.
        users: users who are followed.
        accounts: books there are.
        current: of these, books that are what the server has.
        waiting: users in line for a snapshot.
        asking: snapshots under way.
        failed: by user, why there is no snapshot that counts, in words.
        statistics: what it came to so far.
    """

    state: str
    users: int
    accounts: int
    current: int
    waiting: int
    asking: int
    failed: Mapping[str, str]
    statistics: LiveStatistics
