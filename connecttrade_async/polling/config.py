"""The checked settings of a poller."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 - msgspec reads the types of fields, for help() and signature()
from typing import Any

import msgspec

from connecttrade_async.validation import positive_int, positive_number

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
            positive_int(name, getattr(self, name))
        if not callable(self.every):
            validate_interval(self.every)
        positive_number("slowest", self.slowest, "seconds")
        for name in ("requests_per_second", "user_requests_per_second"):
            if getattr(self, name) is not None:
                positive_number(name, getattr(self, name), alternative="None")

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
    return float(positive_number("every", every, "seconds", alternative="a function that returns one"))
