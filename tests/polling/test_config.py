from __future__ import annotations

from typing import Any

import pytest

from connecttrade_async.errors import ConfigurationError
from connecttrade_async.polling.config import PollConfig, validate_interval

GOOD: dict[str, Any] = {
    "every": 5.0,
    "concurrency": 100,
    "capacity": 1000,
    "only_changed": False,
    "requests_per_second": None,
    "user_requests_per_second": 0.5,
    "slowest": 300,
}


def test_poll_config_interval_is_none_where_each_user_has_its_own() -> None:
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
def test_poll_config_with_an_invalid_setting_names_it_in_the_error(name: str, value: object) -> None:
    bad: dict[str, Any] = GOOD | {name: value}
    with pytest.raises(ConfigurationError, match=f"^{name} must be .*{value!r}$"):
        PollConfig(**bad)
