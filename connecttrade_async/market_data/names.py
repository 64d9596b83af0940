"""The names of channels, options and their values on the wire, as the dialect has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connecttrade_async.dialect.names import camel
from connecttrade_async.dialect.tolerance import fold_tag
from connecttrade_async.dialect.value import Dialect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from connecttrade_async.dialect.parts import OptionName

__all__ = ["CHAIN", "CHANNELS", "HOURS", "INTERVALS", "MarketDataNames"]

CHAIN = "options_chain"
CHANNELS = ("quotes", "trades", "bars", "depth", CHAIN)
HOURS = ("regular", "extended", "all")
INTERVALS = ("1m", "5m", "15m", "30m", "1h", "1d")
COUNTS = frozenset({"backfill", "levels", "limit"})


class MarketDataNames:
    """Translates channels, options and their values between this library and the wire of one dialect.

    Args:
        dialect: how the server speaks.
    """

    __slots__ = ("_case", "_channels", "_folded", "_options", "_part", "_wire_options", "_words")

    def __init__(self, dialect: Dialect = Dialect.default) -> None:
        self._part = part = dialect.market_data
        self._case = dialect.names.case
        self._channels: dict[str, str] = {name: getattr(part.channels, name) for name in CHANNELS}
        # The dialect's own names come last, so that they win where a name could be another channel's.
        self._folded: dict[str, str] = {fold_tag(name): name for name in CHANNELS}
        self._folded |= {fold_tag(wire): name for name, wire in self._channels.items()}
        self._options: dict[str, OptionName] = {
            name: getattr(part.options, name) for name in part.options.__struct_fields__
        }
        self._wire_options = {self.option(name): name for name in self._options}
        self._words = {
            name: {wire.casefold(): word for word, wire in option.values.items()}
            for name, option in self._options.items()
        }

    def channel(self, name: str) -> str:
        """Return the name of a channel on the wire; a channel that is unknown keeps its name."""
        return self._channels.get(name, name)

    def channel_of(self, text: str) -> str | None:
        """Return the channel with this name on the wire, in any case and number, or None."""
        return self._folded.get(fold_tag(text))

    def channels_among(self, texts: Iterable[str]) -> frozenset[str]:
        """Return the channels that texts of the wire name."""
        return frozenset(channel for text in texts if (channel := self.channel_of(text)) is not None)

    def option(self, name: str) -> str:
        """Return the name of an option on the wire; an option that is unknown keeps its name."""
        option = self._options.get(name)
        if option is None:
            return name
        return option.name or (camel(name) if self._case == "camel" else name)

    def value(self, name: str, value: object) -> object:
        """Return the value of an option on the wire."""
        if isinstance(value, bool):
            text = str(value).lower()
        elif isinstance(value, int) and (name not in COUNTS or self._part.counts == "text"):
            text = value = str(value)
        else:
            text = str(value)
        option = self._options.get(name)
        return value if option is None else option.values.get(text, value)

    def word(self, name: str, value: object) -> Any:  # noqa: ANN401 - any JSON value
        """Return the word of this library for the value of an option on the wire; other values stay as they are."""
        return self._words.get(name, {}).get(str(value).casefold(), value)

    def has_words(self, name: str) -> bool:
        """Whether the dialect has other words for the values of an option."""
        return bool(self._words[name])

    def to_wire(self, options: Mapping[str, object]) -> dict[str, object]:
        """Return options by their names on the wire; those that are None are left out."""
        return {self.option(name): self.value(name, value) for name, value in options.items() if value is not None}

    def from_wire(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return options by the names of this library; those that are unknown stay as they are."""
        found: dict[str, Any] = {}
        for wire, value in options.items():
            name = self._wire_options.get(wire, wire)
            found[name] = self.word(name, value)
        return found
