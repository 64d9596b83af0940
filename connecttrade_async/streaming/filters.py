"""Filters: which events of a stream a subscription receives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from connecttrade_async.validation import non_empty_text

if TYPE_CHECKING:
    from connecttrade_async.models.events import Chosen
    from connecttrade_async.models.market import MarketUpdate

    Fact: TypeAlias = Chosen | MarketUpdate

__all__ = ["TOPICS", "EventFilter", "Predicate", "check_filter"]

TOPICS = ("orders", "positions", "balances")
"""The topics of the brokerage stream."""
UNKEYED = frozenset({"lifecycle"})
"""Topics without keys: their events concern the stream itself, so every subscriber to them receives all of them."""


class EventFilter(NamedTuple):
    """Selects events by topic, and of these the events that match every key that is not None.

    Attributes:
        topics: the topics. The topic ``lifecycle`` has no keys, so a subscription to it receives all its events.
        account_id: the account id, or None for all.
        user_id: the user id, or None for all.
        symbol: the symbol, or None for all.
    """

    topics: tuple[str, ...]
    account_id: str | None = None
    user_id: str | None = None
    symbol: str | None = None

    @property
    def keys(self) -> tuple[tuple[str, str | None], ...]:
        """Every key as name and value, the most selective first."""
        return (("account_id", self.account_id), ("user_id", self.user_id), ("symbol", self.symbol))

    def key_of(self, topic: str) -> tuple[str, str] | None:
        """Return the most selective key as name and value, or None for all events of a topic."""
        if topic in UNKEYED:
            return None
        return next(((name, value) for name, value in self.keys if value is not None), None)

    @property
    def has_one_key(self) -> bool:
        """Whether exactly one key is set."""
        return (self.account_id, self.user_id, self.symbol).count(None) == 2  # noqa: PLR2004 - of three

    def matches(self, event: Fact) -> bool:
        """Return whether an event has every key."""
        return (
            self.account_id in {None, event.account_id}
            and self.user_id in {None, event.user_id}
            and self.symbol in {None, event.symbol}
        )


class Predicate(Protocol):
    """A test that each event must pass before it is delivered to a subscription."""

    def matches(self, event: Any, /) -> bool:  # noqa: ANN401 - an Event or market data
        """Return whether an event is delivered."""
        ...


def check_filter(name: str, value: object) -> None:
    """Validate a key of a filter.

    Args:
        name: the name of the key.
        value: its value, or None.

    Raises:
        ConfigurationError: the value is neither None nor a non-empty text.
    """
    # Any other value matches no event, and a consumer would wait for fills without end.
    if value is not None:
        non_empty_text(name, value)
