from __future__ import annotations

import pytest

from connecttrade_async import MalformedResponseError, RequestTimeoutError
from connecttrade_async.live.snapshot_limit import SnapshotLimit, UnendingError
from manual_clock import SteppedClock


def test_snapshot_limit_allows_its_pages_and_two_requests_beside_them() -> None:
    limit = SnapshotLimit(lambda: None, SteppedClock(), "ada", pages=3, seconds=10.0)
    assert [limit() for _ in range(5)] == [None] * 5
    with pytest.raises(UnendingError, match=r"no end after 3 pages; .* raise snapshot_pages") as caught:
        limit()
    assert isinstance(caught.value, MalformedResponseError)


def test_snapshot_limit_raises_when_its_requests_take_too_long() -> None:
    clock = SteppedClock()
    limit = SnapshotLimit(lambda: None, clock, "ada", pages=3, seconds=10.0)
    clock.advance(10.0)
    limit()
    clock.advance(0.1)
    with pytest.raises(RequestTimeoutError, match="the snapshot of user ada took longer than 10 s"):
        limit()


async def test_snapshot_limit_does_not_count_waits_for_turns() -> None:
    clock = SteppedClock()

    async def turn() -> None:
        clock.advance(60.0)

    limit = SnapshotLimit(turn, clock, "ada", pages=3, seconds=10.0)
    for _ in range(4):
        wait = limit()
        assert wait is not None
        await wait
    clock.advance(11.0)
    with pytest.raises(RequestTimeoutError):
        limit()
