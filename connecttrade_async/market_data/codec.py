"""Codec of the market data stream: decodes frames to messages, and encodes requests to frames.

Channels and actions are (documented). The names of members are (assumed), here and, where both streams share them, in
``streaming.codec``. Counts are encoded as text, as everywhere in this API.
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
    "format_time",
    "named_in",
    "past_bars",
    "symbols_of",
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
    """One entry of the server's list of subscriptions.

    Attributes:
        channel: the channel.
        symbols: the symbols.
        options: every other member of the entry, as received.
    """

    channel: str
    symbols: tuple[str, ...]
    options: dict[str, Any]


class Subscriptions(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="subscriptions"):
    """The server's list of subscriptions.

    Attributes:
        id: the id of the request.
        subscriptions: the list, as received.
    """

    id: str | int | None = None
    subscriptions: tuple[dict[str, Any], ...] = ()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The decoded list; malformed entries are left out."""
        return tuple(entry for line in self.subscriptions if (entry := _entry(line)) is not None)


class Snapshot(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="snapshot"):
    """Past bars.

    Attributes:
        id: the id of the request.
        symbol: the symbol.
        bars: the bars, as received.
    """

    id: str | int | None = None
    symbol: str | None = None
    bars: tuple[dict[str, Any], ...] = ()


Message = Control | Subscriptions | Snapshot | MarketUpdate
REPLIES: dict[str, type[Subscriptions | Snapshot]] = {"subscriptions": Subscriptions, "snapshot": Snapshot}
UPDATES: dict[str, type[MarketUpdate]] = {
    "quote": Quote,
    "trade": Trade,
    "bar": Bar,
    "depth": Depth,
    "options_chain": OptionsChain,
}
_MESSAGE: msgspec.json.Decoder[Message] = msgspec.json.Decoder(cast("type[Message]", Message))


class MarketDataCodec(JsonCodec[Message]):
    """Codec of the market data stream.

    Args:
        token: the stream token; its text is in the login frame only.
    """

    __slots__ = ()

    decoder = _MESSAGE
    updates = frozenset(UPDATES.values())

    def authenticate(self) -> bytes:
        """Encode the login frame."""
        return msgspec.json.encode({"action": "authenticate", "access_token": str.__str__(self._secret.reveal())})

    def decode_alternative(self, said: Any, frame: dict[str, Any]) -> Message:  # noqa: ANN401 - the frame's ``type``, unchecked
        """Decode a frame with another spelling of its ``type`` or members."""
        name: Any = PLURALS.get(said, said)
        if name in CONTROLS:
            return decode_control(name, frame)
        kind: Any = REPLIES[name] if name in REPLIES else UPDATES[name]
        inner: Any = frame.get("data") or {}
        return cast("Message", msgspec.convert({**frame, **inner, "type": name}, kind))


def channels_among(names: Iterable[str]) -> frozenset[str]:
    """Return those of the names that are channels, spelled as in ``CHANNELS``."""
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
    """Return the type, id and symbol in the beginning of a frame that was too large to receive, by member."""
    found = NAMED.findall(beginning)
    return {name.decode(): value.decode(errors="replace") for name, value in reversed(found)}


def encode_change(
    action: str, request_id: str, channel: str, symbols: Sequence[str], options: Mapping[str, object]
) -> bytes:
    """Encode a subscription request.

    Args:
        action: ``subscribe`` or ``unsubscribe``.
        request_id: the id.
        channel: the channel.
        symbols: the symbols; for a chain one underlying, sent in both members since the right one is not known.
        options: further members; those that are None are left out.
    """
    underlying = {UNDERLYING: symbols[0]} if channel == CHAIN else {}
    return _encoded(
        {"action": action, "id": request_id, "channel": channel, "symbols": symbols, **underlying, **options}
    )


def encode_list(request_id: str) -> bytes:
    """Encode a request for the list of subscriptions."""
    return _encoded({"action": "list_subscriptions", "id": request_id})


def encode_snapshot(request_id: str, symbol: str, interval: str, fields: Mapping[str, object]) -> bytes:
    """Encode a request for past bars; ``fields`` are ``start_time``, ``end_time`` and ``limit``, or None."""
    named = {"channel": "bars", "symbols": [symbol], "interval": interval}
    return _encoded({"action": "snapshot", "id": request_id, **named, **fields})


def format_time(moment: datetime) -> str:
    """Format an aware time as RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def past_bars(snapshot: Snapshot, symbol: str, interval: str) -> tuple[Bar, ...]:
    """Return the bars of a snapshot, in order and marked ``is_backfill``.

    Raises:
        MalformedResponseError: one of them cannot be decoded.
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
        return UNKNOWN  # a malformed time must not lose the other bars


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
