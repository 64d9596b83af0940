from __future__ import annotations

from typing import Any

import pytest

from connecttrade_async.errors import ConfigurationError
from connecttrade_async.polling.config import PollConfig, validate_interval
from connecttrade_async.rate_limiter import RateLimiter

GOOD: dict[str, Any] = {
    "every": 5.0,
    "concurrency": 100,
    "capacity": 1000,
    "only_changed": False,
    "requests_per_second": None,
    "user_requests_per_second": 0.5,
    "slowest": 300,
}


def test_an_interval_is_one_for_all_or_each_user_s_own() -> None:
    assert PollConfig(**GOOD).interval == 5.0
    own: dict[str, Any] = GOOD | {"every": lambda _user, _last: 3}  # pyright: ignore[reportUnknownLambdaType]
    assert PollConfig(**own).interval is None
    assert validate_interval(3) == 3.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("every", 0),
        ("every", "5"),
        ("every", float("nan")),
        ("every", float("inf")),
        ("every", True),
        ("concurrency", 0),
        ("concurrency", 1.5),
        ("concurrency", True),
        ("capacity", 0),
        ("slowest", -1),
        ("slowest", None),
        ("requests_per_second", 0),
        ("user_requests_per_second", "1"),
    ],
)
def test_what_cannot_be_used_is_said_by_name(name: str, value: object) -> None:
    bad: dict[str, Any] = GOOD | {name: value}
    with pytest.raises(ConfigurationError, match=f"^{name} must be .*{value!r}$"):
        PollConfig(**bad)


def test_without_a_limit_nobody_waits() -> None:
    pace = RateLimiter(None, None, 0.0)
    assert [pace.delay("u", 0.0) for _ in range(1000)] == [0.0] * 1000
    pace.refund()
    pace.forget("u")


def test_requests_a_second_over_all() -> None:
    pace = RateLimiter(2.0, None, 0.0)
    assert [pace.delay(f"u{number}", 0.0) for number in range(5)] == [0.0, 0.0, 0.5, 1.0, 1.5]
    pace.refund()
    assert pace.delay("u", 0.0) == 1.5


def test_requests_a_second_of_one_user_keep_their_distance() -> None:
    pace = RateLimiter(None, 0.5, 0.0)
    assert [pace.delay("u", 0.0) for _ in range(3)] == [0.0, 2.0, 4.0]
    assert pace.delay("other", 0.0) == 0.0
    assert pace.delay("u", 7.0) == 0.0
    pace.forget("u")
    assert pace.delay("u", 7.0) == 0.0


def test_nothing_is_sent_before_what_was_asked_for() -> None:
    pace = RateLimiter(1000.0, 1000.0, 0.0)
    pace.not_before = 5.0
    assert pace.delay("u", 2.0) == 3.0
    assert pace.delay("other", 6.0) == 0.0
