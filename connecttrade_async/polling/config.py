"""Below the waterline: how a poller was asked to poll."""

from __future__ import annotations

import math
from collections.abc import Callable  # noqa: TC003 - msgspec reads the types of fields, for help() and signature()
from typing import Any

import msgspec

from connecttrade_async.errors import ConfigurationError

__all__ = ["PollConfig", "seconds_between"]


class PollConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How to poll; ``ConnectTrade.poll`` says what each means.

    Raises:
        ConfigurationError: one of them cannot be used.
    """

    every: float | Callable[[Any, Any], float]
    concurrency: int
    capacity: int
    only_changed: bool
    requests_per_second: float | None
    user_requests_per_second: float | None
    slowest: float

    def __post_init__(self) -> None:
        """Refuse what is no duration, no rate and no count."""
        for name in ("concurrency", "capacity"):
            count = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                msg = f"{name} must be a whole number from 1 on, not {count!r}"
                raise ConfigurationError(msg)
        if not callable(self.every):
            seconds_between(self.every)
        _check(self.slowest, "slowest must be a number of seconds above zero")
        for name in ("requests_per_second", "user_requests_per_second"):
            if getattr(self, name) is not None:
                _check(getattr(self, name), f"{name} must be a number above zero, or None")

    @property
    def interval(self) -> float | None:
        """The one interval, in seconds; None where each user has its own."""
        return None if callable(self.every) else float(self.every)


def seconds_between(every: object) -> float:
    """Return an interval in seconds.

    Raises:
        ConfigurationError: it is none.
    """
    return _check(every, "every must be a number of seconds above zero, or a function that returns one")


def _check(value: object, rule: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        msg = f"{rule}, not {value!r}"
        raise ConfigurationError(msg)
    return float(value)
