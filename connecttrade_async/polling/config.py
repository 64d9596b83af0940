"""The checked settings of a poller."""

from __future__ import annotations

import math
from collections.abc import Callable  # noqa: TC003 - msgspec reads the types of fields, for help() and signature()
from typing import Any

import msgspec

from connecttrade_async.errors import ConfigurationError

__all__ = ["PollConfig", "validate_interval"]


class PollConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a poller; ``ConnectTrade.poll`` documents each of them.

    Raises:
        ConfigurationError: A setting is out of range.
    """

    every: float | Callable[[Any, Any], float]
    concurrency: int
    capacity: int
    only_changed: bool
    requests_per_second: float | None
    user_requests_per_second: float | None
    slowest: float

    def __post_init__(self) -> None:
        """Validate counts, durations and rates."""
        for name in ("concurrency", "capacity"):
            count = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                msg = f"{name} must be a positive whole number, got {count!r}"
                raise ConfigurationError(msg)
        if not callable(self.every):
            validate_interval(self.every)
        _positive_number(self.slowest, "slowest must be a positive number of seconds")
        for name in ("requests_per_second", "user_requests_per_second"):
            if getattr(self, name) is not None:
                _positive_number(getattr(self, name), f"{name} must be a positive number or None")

    @property
    def interval(self) -> float | None:
        """The interval that all users share, in seconds; None if ``every`` is a function."""
        return None if callable(self.every) else float(self.every)


def validate_interval(every: object) -> float:
    """Return an interval in seconds.

    Args:
        every: The setting ``every``, or what the function ``every`` returned.

    Raises:
        ConfigurationError: ``every`` is not a positive, finite number.
    """
    return _positive_number(every, "every must be a positive number of seconds, or a function that returns one")


def _positive_number(value: object, rule: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        msg = f"{rule}, got {value!r}"
        raise ConfigurationError(msg)
    return float(value)
