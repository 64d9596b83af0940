"""The words of the market data stream in every spelling, by the word of the wire contract."""

from collections.abc import Mapping

import msgspec

from connecttrade_async.sandbox.dialect.streams import MarketForms

__all__ = ["channel_words", "interval_words", "session_words"]

_INTERVALS: Mapping[str, tuple[str, ...]] = {
    "assumed": ("1m", "5m", "15m", "30m", "1h", "1d"),
    "min": ("1min", "5min", "15min", "30min", "1hour", "1day"),
    "Min": ("1Min", "5Min", "15Min", "30Min", "1Hour", "1Day"),
    "M1": ("M1", "M5", "M15", "M30", "H1", "D1"),
    "iso": ("PT1M", "PT5M", "PT15M", "PT30M", "PT1H", "P1D"),
    "seconds": ("60", "300", "900", "1800", "3600", "86400"),
}


def channel_words(forms: MarketForms) -> dict[str, str]:
    """Return the word for each channel."""
    return msgspec.structs.asdict(forms.channels)


def interval_words(forms: MarketForms) -> dict[str, str]:
    """Return the word for each interval."""
    return dict(zip(_INTERVALS["assumed"], _INTERVALS[forms.intervals], strict=True))


def session_words(forms: MarketForms) -> dict[str, str]:
    """Return the word for each kind of hours."""
    words = ("regular", "extended", "all")
    return {word: word if forms.sessions == "lower" else getattr(word, forms.sessions)() for word in words}
