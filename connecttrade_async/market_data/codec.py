"""Below the waterline: the dialect of the market data stream. Frames to messages, and commands to frames.

Channels and actions are documented; how they are spelled is ``Assumed:``, here and, where both streams share it, in
``messages``. Counts are spelled as text, as everywhere in this API.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import msgspec

from connecttrade_async.errors import MalformedResponseError
from connecttrade_async.models.market import Bar, Depth, MarketUpdate, OptionsChain, Quote, Trade
from connecttrade_async.streaming.codec import CONTROLS, Control, JsonCodec, decode_control

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from connecttrade_async.streaming.codec import Refusal

__all__ = [
    "CHANNELS",
    "HOURS",
    "INTERVALS",
    "LENGTHS",
    "Entry",
    "MarketDataCodec",
    "Snapshot",
    "Subscriptions",
    "channels_among",
    "channels_of",
    "encode_change",
    "encode_list",
    "encode_snapshot",
    "named_in",
    "past_bars",
    "symbols_of",
    "wire_name",
]

CHANNELS = ("quotes", "trades", "bars", "depth", "options_chain")
HOURS = ("regular", "extended", "all")
LENGTHS = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
}
INTERVALS = tuple(LENGTHS)
CHAIN = "options_chain"
NAMED = re.compile(rb'"(type|id|symbol|underlying)"\s*:\s*"?([^",}\]\s]{1,64})')
UNDERLYING = "underlying"
UNKNOWN = datetime.min.replace(tzinfo=UTC)
PLURALS = {"quotes": "quote", "trades": "trade", "bars": "bar"}
SINGULARS = {singular: plural for plural, singular in PLURALS.items()}


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One line of the server's list of subscriptions.

    Attributes:
        channel: which channel.
        symbols: of what.
        options: with what else was asked for, as it came.
    """

    channel: str
    symbols: tuple[str, ...]
    options: dict[str, Any]


class Subscriptions(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="subscriptions"):
    """What the server says is subscribed.

    Attributes:
        id: whose answer it is.
        subscriptions: its list, as it came.
    """

    id: str | int | None = None
    subscriptions: tuple[dict[str, Any], ...] = ()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The list, read; what is no entry is left out."""
        return tuple(entry for line in self.subscriptions if (entry := _entry(line)) is not None)


class Snapshot(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="snapshot"):
    """Bars of the past.

    Attributes:
        id: whose answer it is.
        symbol: of what.
        bars: the bars, as they came.
    """

    id: str | int | None = None
    symbol: str | None = None
    bars: tuple[dict[str, Any], ...] = ()


Message = Control | Subscriptions | Snapshot | MarketUpdate
ANSWERS: dict[str, type[Subscriptions | Snapshot]] = {"subscriptions": Subscriptions, "snapshot": Snapshot}
UPDATES: dict[str, type[MarketUpdate]] = {
    "quote": Quote,
    "trade": Trade,
    "bar": Bar,
    "depth": Depth,
    "options_chain": OptionsChain,
}
_MESSAGE: msgspec.json.Decoder[Message] = msgspec.json.Decoder(cast("type[Message]", Message))


class MarketDataCodec(JsonCodec[Message]):
    """How to speak to the market data stream.

    Args:
        token: the token; it is spelled out in one frame, and nowhere kept.
    """

    __slots__ = ()

    decoder = _MESSAGE
    updates = frozenset(UPDATES.values())

    def authenticate(self) -> bytes:
        """Spell the login."""
        return msgspec.json.encode({"action": "authenticate", "access_token": str.__str__(self._secret.reveal())})

    def decode_alternative(self, said: Any, frame: dict[str, Any]) -> Message:  # noqa: ANN401 - whatever the frame calls itself
        """Make a message of a frame in another spelling."""
        name: Any = PLURALS.get(said, said)
        if name in CONTROLS:
            return decode_control(name, frame)
        kind: Any = ANSWERS[name] if name in ANSWERS else UPDATES[name]
        inner: Any = frame.get("data") or {}
        return cast("Message", msgspec.convert({**frame, **inner, "type": name}, kind))


def channels_among(names: Iterable[str]) -> frozenset[str]:
    """Return those of the names that are channels, in the spelling of ``CHANNELS``."""
    folded = (name.lower() for name in names)
    return frozenset(SINGULARS.get(name, name) for name in folded).intersection(CHANNELS)


def channels_of(refusal: Refusal) -> frozenset[str]:
    """Return the channels that an error names."""
    scope = refusal.scope
    return channels_among(_texts(scope.get("topic"), scope.get("topics"), scope.get("channel")))


def symbols_of(refusal: Refusal) -> frozenset[str]:
    """Return the symbols that an error names."""
    scope = refusal.scope
    return frozenset(_texts(scope.get("symbol"), scope.get("symbols"), scope.get(UNDERLYING)))


def named_in(beginning: bytes) -> dict[str, str]:
    """Return what the beginning of a frame names, by member, of a frame that is not there to be decoded."""
    found = NAMED.findall(beginning)
    return {name.decode(): value.decode(errors="replace") for name, value in reversed(found)}


def encode_change(
    action: str, number: str, channel: str, symbols: Sequence[str], options: Mapping[str, object]
) -> bytes:
    """Spell a subscription, or its end.

    Args:
        action: ``subscribe`` or ``unsubscribe``.
        number: the id.
        channel: which channel.
        symbols: of what; of a chain one underlying, which is named twice, since nobody knows where it is looked for.
        options: with what else; those that are None are left out.
    """
    underlying = {UNDERLYING: symbols[0]} if channel == CHAIN else {}
    return _encoded({"action": action, "id": number, "channel": channel, "symbols": symbols, **underlying, **options})


def encode_list(number: str) -> bytes:
    """Spell the question what is subscribed."""
    return _encoded({"action": "list_subscriptions", "id": number})


def encode_snapshot(number: str, symbol: str, interval: str, facts: Mapping[str, object]) -> bytes:
    """Spell the question for bars of the past; ``facts`` are ``start_time``, ``end_time`` and ``limit``, or None."""
    named = {"channel": "bars", "symbols": [symbol], "interval": interval}
    return _encoded({"action": "snapshot", "id": number, **named, **facts})


def wire_name(moment: datetime) -> str:
    """Spell a time, which knows its zone, as RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def past_bars(snapshot: Snapshot, symbol: str, interval: str) -> tuple[Bar, ...]:
    """Return the bars of a snapshot, in order and marked.

    Raises:
        MalformedResponseError: one of them cannot be read.
    """
    known = {"symbol": snapshot.symbol or symbol, "interval": interval}
    given = [{**known, **bar, "type": "bar", "_is_backfill": True} for bar in snapshot.bars]
    try:
        bars = msgspec.convert(given, tuple[Bar, ...])
    except msgspec.ValidationError as exc:
        raise MalformedResponseError(where="snapshot.bars", problem=str(exc)) from None
    return tuple(sorted(bars, key=_start))


def _start(bar: Bar) -> datetime:
    try:
        return bar.start_time or UNKNOWN
    except MalformedResponseError:
        return UNKNOWN  # one odd bar does not take the others away


def _encoded(fields: Mapping[str, object]) -> bytes:
    return msgspec.json.encode({name: _text(value) for name, value in fields.items() if value is not None})


def _text(value: object) -> object:
    return str(value) if type(value) is int else value


def _texts(*values: object) -> list[str]:
    found: list[object] = []
    for value in values:
        found.extend(cast("list[object]", value) if isinstance(value, list) else [value])
    return [each for each in found if isinstance(each, str) and each]


def _entry(line: dict[str, Any]) -> Entry | None:
    channel, symbols = line.get("channel"), line.get("symbols") or [line.get(UNDERLYING)]
    options = {name: value for name, value in line.items() if name not in {"channel", "symbols", UNDERLYING}}
    try:
        return msgspec.convert({"channel": channel, "symbols": symbols, "options": options}, Entry)
    except msgspec.ValidationError:
        return None
