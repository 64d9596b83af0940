"""Settings of a relay."""

from __future__ import annotations

import msgspec

from connecttrade_async.errors import ConfigurationError
from connecttrade_async.validation import positive_int, positive_number

__all__ = ["Keep", "RelaySettings"]

MIN_LEASE = 0.1  # seconds: below it, one slow answer of the server ends the lease


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the log is kept, for followers that are slow or restart. Older entries become a ``Gap`` for them.

    Attributes:
        events: the number of entries, approximately.
        age: the age of an entry in seconds.
    """

    events: int = 100_000
    age: float = 900.0

    def __post_init__(self) -> None:
        """Reject values that are not counts or durations."""
        positive_int("Keep.events", self.events)
        positive_number("Keep.age", self.age, "seconds")


class RelaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a relay, which ``Relay`` documents."""

    lease: float
    keep: Keep
    lead: bool
    prefix: str

    def __post_init__(self) -> None:
        """Reject settings that no relay can have."""
        positive_number("lease", self.lease, "seconds")
        if self.lease < MIN_LEASE:
            raise ConfigurationError(f"lease must be at least {MIN_LEASE} seconds, got {self.lease!r}")
        if not isinstance(self.keep, Keep):  # pyright: ignore[reportUnnecessaryIsInstance] - callers pass anything
            raise ConfigurationError(f"keep must be Keep(...), got {type(self.keep).__name__}")
        if not isinstance(self.lead, bool):  # pyright: ignore[reportUnnecessaryIsInstance] - callers pass anything
            raise ConfigurationError(f"lead must be True or False, got {type(self.lead).__name__}")
        is_text = isinstance(self.prefix, str)  # pyright: ignore[reportUnnecessaryIsInstance] - callers pass anything
        if not is_text or not self.prefix.isprintable() or not self.prefix or set(self.prefix) & set("{} "):
            got = repr(self.prefix[:40]) if is_text else type(self.prefix).__name__
            raise ConfigurationError(f"prefix must be a non-empty text without braces and spaces, got {got}")

    @property
    def lease_ms(self) -> int:
        """The lease in milliseconds."""
        return max(1, round(self.lease * 1000))

    @property
    def keep_ms(self) -> int:
        """The time in milliseconds for which a key outlives the last leader."""
        return max(self.lease_ms, round(self.keep.age * 1000))
