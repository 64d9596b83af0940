"""Codec of the market data stream: decodes frames into messages by the dialect, and by signs that mean one thing only.

Events in the form of the dialect are decoded in one pass. A frame of another form is read slowly once; where a dialect
has its form, that is compiled, and further frames of it are read fast. Replies are few, so they are always read slowly.
All messages have the channels, options and intervals of this library, whatever the wire calls them.
"""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import msgspec

from connecttrade_async.census import compare_names
from connecttrade_async.dialect.names import AmbiguousFrameError, FieldTable
from connecttrade_async.dialect.templates import placeholders_in
from connecttrade_async.dialect.tolerance import WRAPPERS, fold_name, fold_tag
from connecttrade_async.dialect.value import Dialect
from connecttrade_async.errors import MalformedResponseError
from connecttrade_async.market_data.encoder import RequestEncoder
from connecttrade_async.market_data.event_forms import ENVELOPE, KINDS, EventForms
from connecttrade_async.market_data.event_types import compiled_events, decode_event
from connecttrade_async.market_data.names import CHANNELS, HOURS, INTERVALS, MarketDataNames
from connecttrade_async.market_data.registry import SubscriptionRegistry
from connecttrade_async.models.market import Bar, Depth, MarketUpdate, OptionsChain, Quote, Trade
from connecttrade_async.streaming.batches import split_payload
from connecttrade_async.streaming.census import Census
from connecttrade_async.streaming.codec import (
    DECODE_ERRORS,
    AwaitedReply,
    Control,
    JsonCodec,
    Refusal,
    Subscribed,
    Unsubscribed,
    keep,
)
from connecttrade_async.streaming.digits import decode_exactly, number_text
from connecttrade_async.streaming.signs import signs_of, value_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async.dialect.parts import ControlKind
    from connecttrade_async.market_data.event_forms import MarketReading
    from connecttrade_async.market_data.event_types import CompiledEvents
    from connecttrade_async.models.events import UnknownMessage
    from connecttrade_async.secret import Secret

__all__ = [
    "AcceptedRequest",
    "BarSnapshot",
    "ListedSubscription",
    "MarketDataCodec",
    "ProvenSubscription",
    "SubscriptionList",
    "channels_of",
    "past_bars",
    "symbols_of",
]

UNKNOWN = datetime.min.replace(tzinfo=UTC)
MAX_LEARNED = 16  # attempts of one connection to compile another form: each costs milliseconds
MAX_SAID = 1000  # kept words of no known meaning; further ones are reported with each event
TRADE_HOURS = tuple(word for word in HOURS if word != "all")  # which names a choice, and no trade's hours
LISTS = ("subscriptions", "snapshot")
SYMBOLS = ("symbol", "symbols", "underlying")
NAMED = frozenset({*SYMBOLS, *LISTS, "channel", "bars"})  # members of which the texts are names, not words
_OWN_NAMES = MarketDataNames()
_HOURS_OR_NONE = (*TRADE_HOURS, None)  # last, since comparing None with a text is slow
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
log = logging.getLogger("connecttrade_async.streaming")


class ListedSubscription(msgspec.Struct, frozen=True, gc=False):
    """One entry of the server's list of subscriptions.

    Attributes:
        channel: the channel.
        symbols: the symbols.
        options: every other member of the entry; those that this library knows by its own names and words.
    """

    channel: str
    symbols: tuple[str, ...]
    options: dict[str, Any]


class SubscriptionList(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="subscriptions"):
    """The server's list of subscriptions.

    Attributes:
        id: the id of the request.
        subscriptions: the list, as received, with the names of this library.
        is_whole: whether each entry was understood. A list that is not whole must not be compared.
    """

    id: str | int | None = None
    subscriptions: tuple[dict[str, Any], ...] = ()
    is_whole: bool = True

    @property
    def entries(self) -> tuple[ListedSubscription, ...]:
        """The decoded list; malformed entries are left out."""
        return tuple(entry for line in self.subscriptions if (entry := _entry(line)) is not None)


class BarSnapshot(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="snapshot"):
    """Past bars.

    Attributes:
        id: the id of the request.
        symbol: the symbol.
        bars: the bars, as received, with the names of the model.
        problem: why the reply has no bars, or ``""``.
    """

    id: str | int | None = None
    symbol: str | None = None
    bars: tuple[dict[str, Any], ...] = ()
    problem: str = ""


class AcceptedRequest(msgspec.Struct, frozen=True, gc=False):
    """A sign of success that repeats the id of a request and says nothing more.

    Attributes:
        id: the id of the request.
    """

    id: str | int


class ProvenSubscription(msgspec.Struct, frozen=True, gc=False):
    """Market data of a symbol that is awaited, which proves its subscription.

    Attributes:
        event: the event.
    """

    event: MarketUpdate


Reply = SubscriptionList | BarSnapshot | AcceptedRequest | ProvenSubscription
Message = Control | Reply | MarketUpdate
Decoded = Control | SubscriptionList | BarSnapshot | MarketUpdate
_MESSAGE: msgspec.json.Decoder[Any] = msgspec.json.Decoder(cast("type[Any]", Decoded))
_decode = _MESSAGE.decode


class MarketDataCodec(JsonCodec[Message]):
    """Codec of one connection of the market data stream.

    Args:
        token: the stream token; its text is in the login frame only.
        dialect: how the server speaks.
        registry: the open queries, of which replies have the ids; by default there are none.
        encoder: encodes requests; by default in the same dialect.

    Attributes:
        encoder: encodes requests.
        learned: the dialect as given, with the forms that were learned from frames.
        awaited: channels and symbols of which an event proves the subscription; ``MarketDataSync`` keeps it.
        pending: whether a request awaits its reply, which decides what a frame can mean; ``MarketDataSync`` keeps it.
        unread: the last frame that was not understood, for an error text, or ``""``.
    """

    __slots__ = (
        "_attempts",
        "_compiled",
        "_forms",
        "_has_numbers",
        "_is_other",
        "_known",
        "_lists",
        "_names",
        "_registry",
        "_said",
        "awaited",
        "encoder",
        "learned",
        "pending",
        "unread",
    )

    decoder = _MESSAGE
    updates = frozenset(KINDS.values())

    def __init__(
        self,
        token: Secret,
        dialect: Dialect = Dialect.default,
        registry: SubscriptionRegistry | None = None,
        encoder: RequestEncoder | None = None,
    ) -> None:
        super().__init__(token, dialect, dialect.market_data)
        part, default = dialect.market_data, Dialect.default
        self._registry = registry or SubscriptionRegistry()
        self.encoder = encoder or RequestEncoder(dialect)
        self._names = self.encoder.names
        self._forms = EventForms(dialect, self._names)
        same = (part.tag, part.updates, part.payload) == (
            default.market_data.tag,
            default.market_data.updates,
            default.market_data.payload,
        )
        self._is_other = not same or dialect.names != default.names
        self._compiled: CompiledEvents | None = compiled_events(dialect) if self._is_other else None
        self._has_numbers = False
        self._known: dict[type, Callable[[Any], bool]] = {}
        self._attempts = 0
        self._said: set[tuple[str, str, str]] = set()
        self._lists = {
            kind: FieldTable(dialect.names, kind, model.__struct_encode_fields__)
            for kind, model in (("subscriptions", SubscriptionList), ("snapshot", BarSnapshot))
        }
        for kind in LISTS:
            for tag in getattr(part.updates, kind):
                self._controls[tag.casefold()] = self._controls[fold_tag(tag)] = cast("ControlKind", kind)
        self.learned = dialect
        self.awaited: set[tuple[str, str]] = set()
        self.pending = False
        self.unread = ""

    def authenticate(self) -> bytes:
        """Encode the login frame."""
        needs_id = "id" in placeholders_in(self.dialect.market_data.authenticate)
        request_id = next(self._registry.request_ids) if needs_id else "0"
        return self.encoder.authenticate(str.__str__(self._secret.reveal()), request_id)

    def read(self, raw: bytes) -> Any:  # noqa: ANN401 - a message, or a list of them
        """Decode one frame. This never raises.

        Args:
            raw: the frame.

        Returns:
            The message; an ``UnknownMessage`` for a frame that cannot be decoded or can mean two things; or a list of
            these, for a frame that holds several.
        """
        if self._is_other:
            return self._read_compiled(raw)
        try:
            _ = raw.isascii() or raw.decode()
            message = _decode(raw)
        except DECODE_ERRORS as exc:
            return self.read_otherwise(raw, str(exc))
        kind = message.__class__
        # Of each kind the first frame is read slowly too: all fields are optional, so that one with other names decodes
        # to an event without numbers. Later ones are read slowly if the numbers are missing.
        is_full = self._known.get(kind)
        if is_full is not None and is_full(message):
            keep(message, "raw", raw)
            return message if not self.awaited else self._proving(message)
        return self._read_checked(raw, message)

    def _read_checked(self, raw: bytes, message: Any) -> Any:  # noqa: ANN401 - a decoded message
        kind = message.__class__
        if kind not in self.updates:
            return self.read_otherwise(raw, "")  # a reply, which may have more to say under other names
        found = self.read_otherwise(raw, "")
        if found.__class__ is kind:
            keep(message, "raw", raw)
            if found == message:
                self._known[kind] = _CHECKS[kind]
        return found

    def _read_compiled(self, raw: bytes) -> Any:  # noqa: ANN401 - a message
        """Decode one frame of another form than the assumed one."""
        found = self._compiled
        if found is None or raw.startswith(b"["):
            return self.read_otherwise(raw, "")
        try:
            _ = raw.isascii() or raw.decode()
            event = decode_event(found, raw, has_numbers=self._has_numbers)
        except DECODE_ERRORS as exc:
            return self.read_otherwise(raw, str(exc))
        kind = event.__class__
        is_full = self._known.get(kind)
        if is_full is not None:
            try:
                event = self._forms.with_words(event)
            except AmbiguousFrameError as exc:
                return self.unknown(raw, str(exc))
            if is_full(event):
                keep(event, "raw", raw)
                return event if not self.awaited else self._proving(event)
        slow = self.read_otherwise(raw, "")
        if slow.__class__ is kind:
            self._known[kind] = _CHECKS[kind]
        return slow

    def _proving(self, event: Any) -> Any:  # noqa: ANN401 - market data
        """Return an event, with the proof of its subscription before it where that is awaited."""
        return [ProvenSubscription(event), event] if (event.topic, event.symbol) in self.awaited else event

    def unknown(self, raw: bytes, problem: str) -> UnknownMessage:
        """Return the event for a frame that is not delivered, and keep its text for errors."""
        message = super().unknown(raw, problem)
        self.unread = self.presentable(message.raw.decode(errors="replace"))
        return message

    def is_update(self, frame: dict[str, Any]) -> bool:
        """Return whether a frame is market data, so that no word in it is a sign of anything else."""
        form = self._forms.form_of(frame)
        return form is not None and self._forms.has_values(frame, form)

    def read_update(self, raw: bytes, frame: dict[str, Any], problem: str) -> Any:  # noqa: ANN401 - one or several messages
        """Return the event in a frame that is no reply, and learn its form."""
        form = self._forms.form_of(frame)
        if form is None:
            msg = problem or "the frame names no kind of market data"
            raise ValueError(msg)
        payload = value_at(frame, ".".join(form.path)) if form.path else frame
        if isinstance(payload, list):
            if not all(isinstance(item, dict) for item in cast("list[object]", payload)):
                msg = "the frame has a list of something else than market data"
                raise ValueError(msg)
            found: list[Any] = []
            for each in split_payload(raw, form.path):
                message = self.read(each)
                found.extend(cast("list[object]", message) if isinstance(message, list) else [message])
            return found[0] if len(found) == 1 else found
        reading = self._forms.read(frame, form)
        keep(reading.event, "raw", raw)
        self._learn(raw, reading)
        events: Any = self._proving(reading.event) if self.awaited else reading.event
        word = _strange_word(reading.event)
        if word is None or word in self._said:
            return events
        if len(self._said) < MAX_SAID:
            self._said.add(word)
        name, value, rule = word
        problem = f"{name} must be {rule}, got {value!r} for {reading.event.symbol}; feeds that select it by {name} do "
        message = self.unknown(raw, f"{problem}not receive it; a Dialect can say what the word means")
        log.warning("an event has a word of no known meaning: %s", message.problem)
        return [*events, message] if isinstance(events, list) else [events, message]

    def _learn(self, raw: bytes, reading: MarketReading) -> None:
        """Compile the form of a frame that only the slow reading understood, and use it from here on."""
        if self._attempts >= MAX_LEARNED or self._is_fast(raw, reading):
            return
        self._attempts += 1
        learned = self._forms.learned(reading)
        found = None if learned is None else compiled_events(learned)
        if learned is None or found is None:
            return
        has_numbers = self._has_numbers or reading.has_numbers
        if not self._reads(found, raw, reading, has_numbers=has_numbers):
            return
        self.learned, self._compiled, self._has_numbers, self._is_other = learned, found, has_numbers, True
        self._known.clear()
        self._forms = EventForms(learned, self._names)
        text = " ".join(learned.to_toml().split())
        log.info("frames of the kind %s have another form than expected; it is compiled: %s", reading.form.kind, text)

    def _is_fast(self, raw: bytes, reading: MarketReading) -> bool:
        """Whether the decoder in use reads a frame as the slow reading did."""
        if self._is_other:
            found = self._compiled
            return found is not None and self._reads(found, raw, reading, has_numbers=self._has_numbers)
        try:
            message = _decode(raw)
        except DECODE_ERRORS:
            return False
        return self._is_equal(raw, message, reading)

    def _reads(self, found: CompiledEvents, raw: bytes, reading: MarketReading, *, has_numbers: bool) -> bool:
        try:
            event = decode_event(found, raw, has_numbers=has_numbers)
        except DECODE_ERRORS:
            return False
        return self._is_equal(raw, event, reading)

    def _is_equal(self, raw: bytes, event: Any, reading: MarketReading) -> bool:  # noqa: ANN401 - a decoded message
        if event.__class__ is not reading.event.__class__:
            return False
        keep(event, "raw", raw)
        return bool(self._forms.with_words(event) == reading.event)

    def decode_alternative(self, type_name: Any, frame: dict[str, Any]) -> Message:  # noqa: ANN401 - any JSON value
        """Build an event from a frame of another form."""
        del type_name
        return cast("Message", self.read_update(msgspec.json.encode(frame), frame, ""))

    def census(self, message: Any) -> Census | None:  # noqa: ANN401 - one of ``updates``
        """Compare the names in an event's frame with those of its model."""
        try:
            frame = cast("dict[str, Any]", decode_exactly(message.raw))
            form = self._forms.form_of(frame)
            reading = None if form is None else self._forms.read(frame, form)
        except (*DECODE_ERRORS, AmbiguousFrameError):
            return None
        if reading is None:
            return None
        fields = {name: self._forms.inner_fields(name, value) for name, value in reading.fields.items()}
        report = compare_names([fields], KINDS[reading.form.kind], also_read=ENVELOPE)
        kind = reading.form.kind
        return Census(kind, tuple(sorted(report.unread)), report.absent, bool(report.numberless))

    def _meaning_of(self, frame: Any) -> Any:  # noqa: ANN401 - JSON is anything
        """Return what a frame is, if it is no market data."""
        members = cast("dict[str, Any]", frame) if isinstance(frame, dict) else {}
        request_id = self._id_of(members)
        query = None if request_id is None else self._registry.queries.get(str(request_id))
        if query is not None and self._awaits_reply():
            kind = "snapshot" if query.channel else "subscriptions"
            if self._list_of(kind, members) is not None and not self._refuses(members):
                return kind
        meaning: Any = super()._meaning_of(frame)
        if meaning == "snapshot" and query is None and self._is_event(members, but="bar"):
            return None  # the first quotes, trades or levels of a subscription
        if meaning == "subscriptions" and query is None and self._list_of("subscriptions", members) is None:
            meaning = "subscribed"  # an answer to a request, or a list by channel
        if meaning in {"subscribed", "unsubscribed", *LISTS} and self._refuses(members):
            return "error"
        if meaning is None and self._awaits_reply() and not self._is_event(members):
            return self._late_answer(members, request_id)
        return meaning

    def _awaits_reply(self) -> bool:
        return self.awaits in {AwaitedReply.SUBSCRIPTION, AwaitedReply.NOTHING}

    def _is_event(self, members: dict[str, Any], but: str = "") -> bool:
        form = self._forms.form_of(members)
        return form is not None and form.kind != but and self._forms.has_values(members, form)

    def _refuses(self, members: dict[str, Any]) -> bool:
        """Whether a frame has signs of an error, symbols aside: one of them may be ``FAIL``."""
        return signs_of(self._words_of(members), self.errors).refuses

    def _words_of(self, members: dict[str, Any]) -> dict[str, Any]:
        """Return the members of a frame that hold words, without symbols and lists of them."""
        found: dict[str, Any] = {}
        for name, value in members.items():
            if fold_name(name) in NAMED or (isinstance(value, list) and self._names.channel_of(name) is not None):
                continue
            is_inner = fold_name(name) in WRAPPERS and isinstance(value, dict)
            found[name] = self._words_of(cast("dict[str, Any]", value)) if is_inner else value
        return found

    def _late_answer(self, members: dict[str, Any], request_id: str | int | None) -> Any:  # noqa: ANN401 - a meaning
        """Return what a frame without a known tag answers, given that requests may be open at any time."""
        is_named = request_id is not None or any(fold_name(name) in SYMBOLS for name in members)
        if not is_named or not self.pending:
            return None
        if self._refuses(members):
            return "error"
        signs = signs_of(self._words_of(members), self.errors)
        if signs.is_bad or signs.is_negated:
            return None
        if signs.unsubscribes:
            return "unsubscribed"
        if signs.subscribes:
            return "subscribed"
        return "accepted" if signs.is_good and request_id is not None else None

    def _control(self, meaning: Any, frame: Any) -> Any:  # noqa: ANN401 - JSON
        """Return the reply of a meaning, in the words of this library."""
        members = cast("dict[str, Any]", frame) if isinstance(frame, dict) else {}
        if meaning == "accepted":
            return AcceptedRequest(cast("str | int", self._id_of(members)))
        if meaning == "subscriptions":
            return self._subscriptions(members)
        if meaning == "snapshot":
            return self._snapshot(members)
        control = super()._control(meaning, frame)
        if isinstance(control, Subscribed | Unsubscribed):
            return self._confirmation(type(control), members)
        if isinstance(control, Refusal):
            return self._own_words(control)
        return control

    def _own_words(self, refusal: Refusal) -> Refusal:
        """Return an error with the channels of this library."""
        fields = ("channel", "topic", "topics")
        return msgspec.structs.replace(
            refusal, **{name: self._channel_words(getattr(refusal, name)) for name in fields}
        )

    def _channel_words(self, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(value, list):
            return [self._channel_words(each) for each in cast("list[object]", value)]
        return (self._names.channel_of(value) or value) if isinstance(value, str) else value

    def _id_of(self, members: dict[str, Any]) -> str | int | None:
        """Return the id of the request that a reply repeats, or None."""
        table = self._tables["subscribed"]
        for part in _parts(members):
            for name, value in part.items():
                is_id = table.field_of(name) == "id" and isinstance(value, str | int) and not isinstance(value, bool)
                if is_id:
                    return cast("str | int", value)
        return None

    def _confirmation(self, kind: Any, members: dict[str, Any]) -> Any:  # noqa: ANN401 - a confirmation, or several
        """Return a confirmation with what it names, wherever it names it."""
        table, request_id = self._tables["subscribed"], self._id_of(members)
        channel: str | None = None
        symbols: list[str] | None = None
        for part in _parts(members):
            values, _ = table.pick({name: value for name, value in part.items() if name != self._part.tag})
            named = (values.get("channel"), values.get("topic"))
            channel = channel or next((each for each in map(self._channel_words, named) if each in CHANNELS), None)
            for name in ("symbols", "symbol", self._names.option("underlying")):
                found = values.get(name, part.get(name))
                if symbols is None and found is not None:
                    symbols = _symbols(found)
        by_channel = self._by_channel(members) if symbols is None else []
        if by_channel:
            found = [kind(id=request_id, channel=each, symbols=tuple(named)) for each, named in by_channel]
            return found[0] if len(found) == 1 else found
        return kind(id=request_id, channel=channel, symbols=None if symbols is None else tuple(symbols))

    def _by_channel(self, members: dict[str, Any]) -> list[tuple[str, list[str]]]:
        """Return the symbols by channel, where members are named like channels; empty ones are left out."""
        found: list[tuple[str, list[str]]] = []
        for part in _parts(members):
            for name, value in part.items():
                channel = self._names.channel_of(name)
                if channel is not None and isinstance(value, list) and value:
                    symbols = _symbols(value)
                    if symbols is not None:
                        found.append((channel, symbols))
        return found

    def _list_of(self, kind: str, members: dict[str, Any]) -> Any:  # noqa: ANN401 - a list, or None
        """Return the list of a reply: under its name, in a wrapper, or under the wrapper's own name."""
        table, field = self._lists[kind], "subscriptions" if kind == "subscriptions" else "bars"
        for part in _parts(members):
            values, _ = table.pick({name: value for name, value in part.items() if name != self._part.tag})
            if isinstance(values.get(field), list | dict):
                return values[field]
            if any(fold_name(name) == field and value is None for name, value in part.items()):
                return []
        inner: list[Any] = [value for name, value in members.items() if fold_name(name) in WRAPPERS]
        found: Any = inner[0] if len(inner) == 1 else None
        return cast("list[object]", found) if isinstance(found, list) else None

    def _subscriptions(self, members: dict[str, Any]) -> Any:  # noqa: ANN401 - a reply
        """Return the server's list; a list by channel is one entry for each."""
        found: Any = self._list_of("subscriptions", members)
        if isinstance(found, dict):
            by_channel = self._by_channel(cast("dict[str, Any]", found))
            found = [{"channel": channel, "symbols": symbols} for channel, symbols in by_channel]
        elif found is None:
            return SubscriptionList(self._id_of(members), (), is_whole=False)
        lines = [self._line(cast("dict[str, Any]", line)) if isinstance(line, dict) else None for line in found]
        known = tuple(line for line in lines if line is not None)
        is_whole = len(known) == len(lines) and all(_entry(line) is not None for line in known)
        return SubscriptionList(self._id_of(members), known, is_whole)

    def _line(self, line: dict[str, Any]) -> dict[str, Any]:
        """Return one entry of the list with the names of this library."""
        values, spelled = self._tables["subscribed"].pick(line)
        used = {spelled.get(name) for name in ("channel", "symbols", "symbol", "topic")}
        options = self._names.from_wire({name: value for name, value in line.items() if name not in used})
        channel = self._channel_words(values.get("channel", values.get("topic")))
        found = values.get("symbols", values.get("symbol", line.get("symbol")))
        symbols = options.pop("underlying", None) if found is None or found == [] else found
        options.pop("underlying", None)
        options.pop("symbol", None)
        return {"channel": channel, "symbols": None if symbols is None else _symbols(symbols), **options}

    def _snapshot(self, members: dict[str, Any]) -> BarSnapshot:
        """Return past bars with the names of the model, and their intervals in the words of this library."""
        request_id = self._id_of(members)
        symbol: Any = None
        for part in _parts(members):
            values, _ = self._lists["snapshot"].pick(
                {name: each for name, each in part.items() if name != self._part.tag}
            )
            symbol = symbol or values.get("symbol")
        symbol = symbol if isinstance(symbol, str) else None
        found = self._list_of("snapshot", members)
        if not isinstance(found, list):
            return BarSnapshot(request_id, symbol, (), "the reply has no list of bars")
        bars: list[Any] = []
        for bar in cast("list[object]", found):
            if not isinstance(bar, dict):
                return BarSnapshot(request_id, symbol, (), "an item of the list is no bar")
            values, _ = self._forms.fields("bar", cast("dict[str, Any]", bar))
            texts, _ = number_text(values)
            if isinstance(texts.get("interval"), str) and texts["interval"] not in INTERVALS:
                texts["interval"] = self._forms.interval(texts["interval"])
            bars.append(texts)
        numbers = ("open", "high", "low", "close", "volume")
        if bars and all(bar.get(name) is None for bar in bars for name in numbers):
            problem = "no number of its bars was found: their names may differ, see Dialect"
            return BarSnapshot(request_id, symbol, (), problem)
        return BarSnapshot(request_id, symbol, tuple(bars))

    def named_in(self, beginning: bytes) -> dict[str, str]:
        """Return the kind, id and symbol in the beginning of a frame that was too large to receive.

        Returns:
            The texts by ``kind``, ``id`` and ``symbol``; what was not found is absent.
        """
        names = {"id": "id", "symbol": "symbol", self._names.option("underlying"): "symbol", self._part.tag: "kind"}
        pattern = b'"(' + b"|".join(re.escape(name.encode()) for name in names) + rb')"\s*:\s*"?([^",}\]\s]{1,64})'
        found = re.findall(pattern, beginning)
        return {names[name.decode()]: value.decode(errors="replace") for name, value in reversed(found)}


def _is_full_quote(quote: Quote) -> bool:
    return quote.bid_price_text is not None or quote.ask_price_text is not None


def _is_full_trade(trade: Trade) -> bool:
    return trade.price_text is not None and trade.hours in _HOURS_OR_NONE


def _is_full_bar(bar: Bar) -> bool:
    return bar.close_text is not None and bar.start_time_text is not None and bar.interval in INTERVALS


def _is_full_depth(depth: Depth) -> bool:
    sides = depth.bids or depth.asks
    return sides[0].price_text is not None if sides else False


def _is_full_chain(chain: OptionsChain) -> bool:
    if not chain.contracts or _strange_word(chain) is not None:
        return False
    return chain.contracts[0].bid_price_text is not None


def _strange_word(event: MarketUpdate) -> tuple[str, str, str] | None:
    """Return an option of an event that no feed can select: its name, its word and the rule; or None."""
    if isinstance(event, Trade) and event.hours is not None and event.hours not in TRADE_HOURS:
        return "hours", event.hours, f"one of {', '.join(TRADE_HOURS)}"
    if isinstance(event, OptionsChain) and event.expiration_text is not None:
        is_day = _DAY.fullmatch(event.expiration_text) is not None
        return None if is_day else ("expiration", event.expiration_text, "a day as YYYY-MM-DD")
    return None


_CHECKS: dict[type, Callable[[Any], bool]] = {
    Quote: _is_full_quote,
    Trade: _is_full_trade,
    Bar: _is_full_bar,
    Depth: _is_full_depth,
    OptionsChain: _is_full_chain,
}
"""Whether an event has what a frame of its kind is expected to have, and its words are those of this library."""


def _parts(members: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a frame and the objects in its wrappers, which may name what it is about."""
    inner: list[Any] = [members[name] for name in members if fold_name(name) in WRAPPERS]
    return [members, *(each for each in inner if isinstance(each, dict))]


def _symbols(value: Any) -> list[str] | None:  # noqa: ANN401 - any JSON value
    """Return the symbols in a list, or in a text with commas between them."""
    if isinstance(value, str):
        return [each.strip() for each in value.split(",") if each.strip()] or None
    if not isinstance(value, list):
        return None
    items = cast("list[object]", value)
    return [item for item in items if isinstance(item, str)] if all(isinstance(each, str) for each in items) else None


def channels_of(refusal: Refusal) -> frozenset[str]:
    """Return the channels that an error names, which the codec has put into the words of this library."""
    scope = refusal.scope
    return _OWN_NAMES.channels_among(_texts(scope.get("topic"), scope.get("topics"), scope.get("channel")))


def symbols_of(refusal: Refusal) -> frozenset[str]:
    """Return the symbols that an error names."""
    scope = refusal.scope
    return frozenset(_texts(scope.get("symbol"), scope.get("symbols"), scope.get("underlying")))


def past_bars(snapshot: BarSnapshot, symbol: str, interval: str) -> tuple[Bar, ...]:
    """Return the bars of a snapshot, in order and marked ``is_backfill``.

    Raises:
        MalformedResponseError: one of them cannot be decoded, or the reply has none.
    """
    if snapshot.problem:
        raise MalformedResponseError(where="snapshot.bars", problem=snapshot.problem)
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


def _texts(*values: object) -> list[str]:
    found: list[object] = []
    for value in values:
        found.extend(cast("list[object]", value) if isinstance(value, list) else [value])
    return [each for each in found if isinstance(each, str) and each]


def _entry(line: dict[str, Any]) -> ListedSubscription | None:
    channel, symbols = line.get("channel"), line.get("symbols") or [line.get("underlying")]
    options = {name: value for name, value in line.items() if name not in {"channel", "symbols", "underlying"}}
    try:
        return msgspec.convert({"channel": channel, "symbols": symbols, "options": options}, ListedSubscription)
    except msgspec.ValidationError:
        return None
