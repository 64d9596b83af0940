"""Below the waterline: what a consumer wants of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from connecttrade_async.errors import ConfigurationError

if TYPE_CHECKING:
    from connecttrade_async.models.events import Chosen
    from connecttrade_async.models.market import MarketUpdate

    Fact: TypeAlias = Chosen | MarketUpdate

__all__ = ["EventFilter", "Predicate", "check_filter"]

UNKEYED = frozenset({"lifecycle"})
"""What happens to the stream itself happens to everybody who asked to hear of it, whatever else they want."""


class EventFilter(NamedTuple):
    """What a consumer wants: topics, and of these only what matches every key that is not None.

    The topic ``lifecycle`` has no keys: whoever asks for it hears all of it.
    """

    topics: tuple[str, ...]
    account_id: str | None = None
    user_id: str | None = None
    symbol: str | None = None

    @property
    def keys(self) -> tuple[tuple[str, str | None], ...]:
        """Every key, the most telling first, by name and value."""
        return (("account_id", self.account_id), ("user_id", self.user_id), ("symbol", self.symbol))

    def key_of(self, topic: str) -> tuple[str, str] | None:
        """Return the most telling key there is, by name and value; None where all of a topic is wanted."""
        if topic in UNKEYED:
            return None
        return next(((name, value) for name, value in self.keys if value is not None), None)

    @property
    def has_one_key(self) -> bool:
        """Whether there is just one key."""
        return (self.account_id, self.user_id, self.symbol).count(None) == 2  # noqa: PLR2004 - of three

    def matches(self, event: Fact) -> bool:
        """Whether an event has every key."""
        return (
            self.account_id in {None, event.account_id}
            and self.user_id in {None, event.user_id}
            and self.symbol in {None, event.symbol}
        )


class Predicate(Protocol):
    """What a consumer that looks closer wants."""

    def matches(self, event: Any, /) -> bool:  # noqa: ANN401 - whatever comes to the place where it looks
        """Whether an event is wanted."""
        ...


def check_filter(name: str, value: object) -> None:
    """Refuse a key that is no text.

    Raises:
        ConfigurationError: it is none, or empty.
    """
    # Anything else would match nothing, and whoever waits for fills would wait in vain.
    if value is not None and not (isinstance(value, str) and value):
        msg = f"{name} must be a text that is not empty, not {value!r}"
        raise ConfigurationError(msg)
