from __future__ import annotations

from typing import Any

import pytest

from connecttrade_async.books.order_tracker import OrderRetention
from connecttrade_async.errors import ConfigurationError
from connecttrade_async.live.status import LiveHealth, LiveSettings, LiveStatistics, SnapshotLimits

RIGHT: dict[str, Any] = {
    "sweep_every": 300.0,
    "concurrency": 50,
    "requests_per_second": 10,
    "keep_orders": OrderRetention(),
    "capacity": 1,
}


def test_budget_returns_the_snapshot_limits() -> None:
    assert LiveSettings(**RIGHT).budget == SnapshotLimits(50, 10)
    unbounded: dict[str, Any] = {**RIGHT, "sweep_every": None, "requests_per_second": None}
    assert LiveSettings(**unbounded).budget == SnapshotLimits(50, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("concurrency", 0),
        ("concurrency", True),
        ("capacity", 1.5),
        ("sweep_every", 0),
        ("sweep_every", True),
        ("requests_per_second", "many"),
        ("keep_orders", 500),
    ],
)
def test_invalid_setting_raises(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        LiveSettings(**{**RIGHT, name: value})


def test_live_health_is_immutable() -> None:
    statistics = LiveStatistics(*range(13))
    facts: dict[str, Any] = {"users": 1, "accounts": 2, "current": 2, "waiting": 0, "asking": 0, "failed": {}}
    health = LiveHealth(state="CURRENT", statistics=statistics, **facts)
    assert (health.state, health.statistics.frames, health.statistics.ignored) == ("CURRENT", 0, 12)
