"""Control messages and decoding that the brokerage stream and the market-data stream have in common.

A frame is decoded in one pass where it has the form of the dialect. Any other frame is read a second time, slowly: by
the rules of the dialect, then by the signs that mean one thing only, given what the connection awaits.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

import msgspec

from connecttrade_async.dialect.names import AmbiguousFrameError, FieldTable
from connecttrade_async.dialect.templates import encode_template
from connecttrade_async.dialect.tolerance import (
    ERROR_FIELDS,
    HEARTBEATS,
    MESSAGE_FIELDS,
    TAG_FIELDS,
    WRAPPERS,
    fold_name,
    fold_tag,
    words_in,
)
from connecttrade_async.dialect.value import Dialect
from connecttrade_async.models.events import UnknownMessage
from connecttrade_async.models.mentions import mentions_in
from connecttrade_async.secret import MASK, Secret, redact, secret_forms
from connecttrade_async.streaming.batches import split_frames
from connecttrade_async.streaming.digits import decode_exactly, number_text
from connecttrade_async.streaming.signs import code_of, matches_rule, message_of, signs_of, value_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async.dialect.parts import (
        BrokerageDialect,
        ControlKind,
        ErrorMeanings,
        Handshake,
        MarketDataDialect,
    )

__all__ = [
    "CONTROLS",
    "DECODE_ERRORS",
    "Authenticated",
    "AwaitedReply",
    "Control",
    "Heartbeat",
    "JsonCodec",
    "Ping",
    "Refusal",
    "Subscribed",
    "Unsubscribed",
    "Welcome",
    "decode_control",
    "decode_leniently",
    "keep",
    "masked",
    "presentable",
]

TYPE_KEYS = TAG_FIELDS[:3]
SCOPES = ("user_id", "account_id", "connection_id", "topic", "topics", "channel", "symbol", "symbols", "underlying")
INNER_PARTS = frozenset({*WRAPPERS, *ERROR_FIELDS})
MAX_RAW = 4096  # bytes of a frame that an ``UnknownMessage`` keeps
DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
T = TypeVar("T")
M = TypeVar("M")
keep = msgspec.structs.force_setattr
_ASSUMED = Dialect.default.brokerage
_CONTROLS = _ASSUMED.controls
UNCONVERTED = ("id", "code")  # fields in which a number stays a number


class Welcome(msgspec.Struct, frozen=True, gc=False, tag_field=_ASSUMED.tag, tag=_CONTROLS.welcome[0]):
    """The first frame of the server (documented)."""

    message: str | None = None


class Authenticated(msgspec.Struct, frozen=True, gc=False, tag_field=_ASSUMED.tag, tag=_CONTROLS.authenticated[0]):
    """The reply to an accepted login."""


class Subscribed(msgspec.Struct, frozen=True, gc=False, tag_field=_ASSUMED.tag, tag=_CONTROLS.subscribed[0]):
    """The confirmation of a subscription.

    Attributes:
        topics: the confirmed topics, on the brokerage stream.
        topic: the confirmed topic, where the brokerage stream names a single one.
        id: the id of the request, on the market-data stream.
        channel: the channel, on the market-data stream.
        symbols: the symbols, on the market-data stream.
    """

    topics: tuple[str, ...] | None = None
    id: str | int | None = None
    channel: str | None = None
    symbols: tuple[str, ...] | None = None
    topic: str | None = None


class Unsubscribed(msgspec.Struct, frozen=True, gc=False, tag_field=_ASSUMED.tag, tag=_CONTROLS.unsubscribed[0]):
    """The end of a subscription, with the attributes of ``Subscribed``."""

    topics: tuple[str, ...] | None = None
    id: str | int | None = None
    channel: str | None = None
    symbols: tuple[str, ...] | None = None
    topic: str | None = None


class Refusal(msgspec.Struct, frozen=True, gc=False, tag_field=_ASSUMED.tag, tag=_CONTROLS.error[0]):
    """An error frame of the server (assumed).

    Attributes:
        code: the error code: ``401`` for a refused login, ``409`` for a session taken by another client.
        message: the text of the error.
        id: the id of the refused request, or None.
        user_id: the user that the error concerns, or None.
        account_id: the account that the error concerns, or None.
        connection_id: the broker connection that the error concerns, or None.
        topic: the topic that the error concerns, or None.
        topics: the topics that the error concerns, or None.
        channel: the channel that the error concerns, or None.
        symbol: the symbol that the error concerns, or None.
        symbols: the symbols that the error concerns, or None.
        underlying: the underlying of the options chain that the error concerns, or None.
        data: the payload, which may hold the same fields, or None.
    """

    code: str | int | None = None
    message: str | None = None
    id: str | int | None = None
    user_id: Any = None
    account_id: Any = None
    connection_id: Any = None
    topic: Any = None
    topics: Any = None
    channel: Any = None
    symbol: Any = None
    symbols: Any = None
    underlying: Any = None
    data: Any = None

    @property
    def scope(self) -> dict[str, Any]:
        """What the error concerns, by field name, from the frame or else its payload; empty for the whole stream."""
        data: object = self.data
        inner = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
        named = {name: getattr(self, name) or inner.get(name) for name in SCOPES}
        return {name: value for name, value in named.items() if value}


class Ping(msgspec.Struct, frozen=True, gc=False, tag_field=_ASSUMED.tag, tag=_CONTROLS.ping[0]):
    """A request of the application for a pong.

    Attributes:
        id: the id that the pong repeats, or None.
    """

    id: str | int | None = None


class Heartbeat(msgspec.Struct, frozen=True, gc=False):
    """A frame that says only that the server is alive."""


class AwaitedReply(Enum):
    """What a connection waits for, which decides what a frame of an unknown form can mean."""

    WELCOME = "welcome"
    LOGIN = "login"
    SUBSCRIPTION = "subscription"
    NOTHING = "nothing"


Control = Welcome | Authenticated | Subscribed | Unsubscribed | Refusal | Ping
CONTROLS: dict[str, type[Control]] = {
    "welcome": Welcome,
    "authenticated": Authenticated,
    "subscribed": Subscribed,
    "unsubscribed": Unsubscribed,
    "error": Refusal,
    "ping": Ping,
}


def decode_control(name: str, frame: dict[str, Any]) -> Control:
    """Build the control message of this type from a frame.

    Args:
        name: the type, a key of ``CONTROLS``.
        frame: the fields of the frame.
    """
    kind: Any = CONTROLS[name]
    return cast("Control", msgspec.convert({**frame, kind.__struct_config__.tag_field: name}, kind))


def decode_leniently(raw: bytes, error: Exception, build: Callable[[Any, dict[str, Any]], T]) -> T | UnknownMessage:
    """Decode a frame that the strict decoder rejected.

    Args:
        raw: the frame.
        error: the error of the strict decoder.
        build: returns the message for a type and the fields of a frame, or raises.

    Returns:
        The message, or an ``UnknownMessage`` with ``error`` as its problem where ``build`` raises too.
    """
    try:
        frame = decode_exactly(raw)
        type_name: Any = next((frame[key] for key in TYPE_KEYS if key in frame), "")
        fields = {key: value if key in UNCONVERTED else number_text(value)[0] for key, value in frame.items()}
        return build(type_name, fields)
    except (*DECODE_ERRORS, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return UnknownMessage(raw=raw, problem=str(error))


class JsonCodec(Generic[M]):
    """The base of the codecs: decodes the frames of one connection and masks its secret.

    A subclass defines the messages.

    Args:
        secret: the secret that the login frame holds.
        dialect: how the server speaks.
        part: the part of the dialect for this stream; None for the market data.

    Attributes:
        decoder: decodes a frame of the assumed form.
        updates: the classes of messages that keep their frame in ``raw``.
        awaits: what the connection waits for.
        dialect: how the server speaks.
        has_lists: whether a frame held several, so that further ones may.
    """

    __slots__ = ("_controls", "_own_tags", "_part", "_secret", "_tables", "awaits", "dialect", "has_lists")

    decoder: ClassVar[msgspec.json.Decoder[Any]]
    updates: ClassVar[frozenset[type]]

    def __init__(
        self,
        secret: Secret,
        dialect: Dialect = Dialect.default,
        part: BrokerageDialect | MarketDataDialect | None = None,
    ) -> None:
        self._secret = secret
        self.dialect = dialect
        self._part = part or dialect.market_data
        self.awaits = AwaitedReply.NOTHING
        self.has_lists = False
        self._controls: dict[str, ControlKind] = dict.fromkeys(HEARTBEATS, "heartbeat")
        for name in CONTROLS:
            for tag in getattr(self._part.controls, name):
                self._controls[tag.casefold()] = self._controls[fold_tag(tag)] = cast("ControlKind", name)
        updates = self._part.updates
        self._own_tags = frozenset(
            fold_tag(tag) for name in updates.__struct_fields__ for tag in getattr(updates, name)
        )
        self._tables = {
            name: FieldTable(dialect.names, name, kind.__struct_encode_fields__) for name, kind in CONTROLS.items()
        }

    @property
    def handshake(self) -> Handshake:
        """The steps until a connection is live."""
        return self._part.handshake

    @property
    def errors(self) -> ErrorMeanings:
        """The meanings of codes and words."""
        return self.dialect.errors

    def decode_alternative(self, type_name: Any, frame: dict[str, Any], /) -> M:  # noqa: ANN401 - any JSON value
        """Build a message from a frame of another form, or raise an error that ``decode_leniently`` catches.

        Args:
            type_name: the type in the frame, or ``""``.
            frame: the fields of the frame.
        """
        raise NotImplementedError

    def read(self, raw: bytes) -> M | Heartbeat | UnknownMessage | list[M | Heartbeat | UnknownMessage]:
        """Decode one frame; this never raises.

        Args:
            raw: the frame.

        Returns:
            The message; an ``UnknownMessage`` for a frame that cannot be decoded; or a list of these, for a frame that
            holds several.
        """
        if self._part.rules and self.awaits is not AwaitedReply.NOTHING:
            return self.read_otherwise(raw, "")
        try:
            # The decoder skips fields that no model has. Invalid UTF-8 in them would surface later, in ``raw``.
            _ = raw.isascii() or raw.decode()
            message = self.decoder.decode(raw)
        except DECODE_ERRORS as exc:
            return self.read_otherwise(raw, str(exc))
        return self.finish(raw, message)

    def complete(self, raw: bytes, message: Any) -> Any:  # noqa: ANN401 - a control message
        """Return a control message with what its frame has under other names, such as the user of an error."""
        return self._completed(raw, "error") if type(message) is Refusal else message

    def _completed(self, raw: bytes, meaning: ControlKind) -> Any:  # noqa: ANN401 - a control message
        try:
            return self._control(meaning, decode_exactly(raw))
        except (*DECODE_ERRORS, AmbiguousFrameError) as exc:
            return self.unknown(raw, str(exc))

    def finish(self, raw: bytes, message: Any) -> M | UnknownMessage:  # noqa: ANN401 - a decoded message
        """Return a decoded message with its frame and its owner."""
        if type(message) in self.updates:
            keep(message, "raw", raw)
            problem = self.set_owner(message)
            if problem:
                return self.unknown(raw, problem)
        decoded: M = self.complete(raw, message)
        return decoded

    def read_otherwise(
        self, raw: bytes, problem: str
    ) -> M | Heartbeat | UnknownMessage | list[M | Heartbeat | UnknownMessage]:
        """Decode a frame that is not of the form of the dialect; this never raises.

        Args:
            raw: the frame.
            problem: why the decoder refused it, or ``""``.
        """
        frames = split_frames(raw)
        if frames is not None:
            self.has_lists = True
            found: list[Any] = []
            for each in frames:
                message = self.read(each)
                found.extend(cast("list[Any]", message) if isinstance(message, list) else [message])
            return found[0] if len(found) == 1 else found
        try:
            frame = decode_exactly(raw)
        except DECODE_ERRORS as exc:
            frame, problem = raw.decode(errors="replace"), problem or str(exc)
        try:
            control = self._control_of(frame)
            if control is not None:
                return cast("M", control)
            if isinstance(frame, dict):
                return cast("M", self.read_update(raw, cast("dict[str, Any]", frame), problem))
        except AmbiguousFrameError as exc:
            problem = str(exc)
        except (*DECODE_ERRORS, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as exc:
            problem = str(exc) or problem
        return self.unknown(raw, problem or "the frame is no JSON object")

    def read_update(self, raw: bytes, frame: dict[str, Any], problem: str) -> Any:  # noqa: ANN401 - one or several messages
        """Return the update in a frame that is no control message.

        Args:
            raw: the frame.
            frame: its members.
            problem: why the decoder refused it, or ``""``.

        Raises:
            AmbiguousFrameError: the frame can mean two things.
            ValueError: the frame has no update in it.
        """
        del frame
        message = decode_leniently(raw, ValueError(problem), self.decode_alternative)
        return masked(message, self._secret) if isinstance(message, UnknownMessage) else self.finish(raw, message)

    def is_update(self, frame: dict[str, Any]) -> bool:
        """Return whether a frame is an update of this stream, so that no word in it is a sign of anything else."""
        return any(fold_tag(tag) in self._own_tags for tag in _tags(frame, self._part.tag))

    def read_again(self, message: Any) -> Any:  # noqa: ANN401 - one of ``updates``
        """Return the first update of its kind, read again if its frame has fields under other names."""
        return message

    def census(self, message: Any) -> Any:  # noqa: ANN401 - one of ``updates``
        """Compare the names in an update's frame with those of its model; a codec without a census returns None."""
        del message

    def pong(self, ping: Ping) -> bytes | None:
        """Encode the reply to a ping, or return None if the dialect has none."""
        return encode_template(self._part.pong, {"id": ping.id}) if self._part.pong else None

    def _control_of(self, frame: Any) -> Control | Heartbeat | None:  # noqa: ANN401 - JSON is anything
        """Return the control message that a frame is, or None."""
        for rule in self._part.rules:
            if matches_rule(rule, frame):
                return self._control(rule.meaning, frame)
        if frame is None or (isinstance(frame, str | dict | list) and not _has_content(cast("Any", frame))):
            return Heartbeat()
        meaning = self._meaning_of(frame)
        return None if meaning is None else self._control(meaning, frame)

    def _meaning_of(self, frame: Any) -> ControlKind | None:  # noqa: ANN401 - JSON is anything
        tags = _tags(frame, self._part.tag)
        for tag in tags:
            known = self._controls.get(tag[:100].casefold()) or self._controls.get(fold_tag(tag))
            if known is not None:
                return known
        meanings = map(self._meaning_of_words, tags)
        meaning: ControlKind | None = next((found for found in meanings if found is not None), None)
        if meaning is None and isinstance(frame, dict) and self.is_update(cast("dict[str, Any]", frame)):
            return None
        if self.awaits is AwaitedReply.NOTHING:
            # Nothing is awaited, so words outside the tag mean nothing.
            untagged = cast("dict[str, Any]", frame) if isinstance(frame, dict) and not tags else {}
            has_error = any(value for name, value in untagged.items() if fold_name(name) in ERROR_FIELDS)
            return "error" if has_error else meaning
        if self.awaits is AwaitedReply.WELCOME:
            # The words of a welcome may mention errors and refusals; its other members do not.
            members = cast("dict[str, Any]", frame).items() if isinstance(frame, dict) else ()
            without_prose = {name: value for name, value in members if fold_name(name) not in MESSAGE_FIELDS}
            return "error" if signs_of(without_prose, self.errors).refuses else None
        return self._answer(frame)

    def _meaning_of_words(self, tag: str) -> ControlKind | None:
        """Return what the words of a tag mean, such as ``auth_failed`` or ``unsubscribe``."""
        words = words_in(tag[:100])
        is_about_subscriptions = any(word.startswith(("subscri", "unsubscri")) for word in words)
        if not is_about_subscriptions and self._own_tags.intersection(map(fold_tag, words)):
            return None  # ``order_rejected`` is an update, and no error; ``unsubscribe_orders`` is none
        if any(bad in word for bad in self.errors.refused_words for word in words):
            return "error"
        if any(word.startswith("unsubscri") for word in words):
            return "unsubscribed"
        return "subscribed" if any(word.startswith("subscri") for word in words) else None

    def _answer(self, frame: Any) -> ControlKind | None:  # noqa: ANN401 - JSON is anything
        """Return what a frame answers to the login or the subscription that is awaited."""
        signs = signs_of(frame, self.errors)
        if signs.refuses:
            return "error"
        if self.awaits is AwaitedReply.LOGIN:
            return "authenticated" if signs.accepts_login else None
        return "subscribed" if signs.confirms_subscription else None

    def _control(self, meaning: ControlKind, frame: Any) -> Control | Heartbeat | None:  # noqa: ANN401 - JSON
        """Return the control message of a meaning with what the frame says."""
        if meaning == "heartbeat":
            return Heartbeat()
        kind: Any = CONTROLS.get(meaning)
        if kind is None:
            return None
        members = cast("dict[str, Any]", frame) if isinstance(frame, dict) else {}
        fields, _ = self._tables[meaning].pick(members)
        if kind is Refusal:
            return self._refusal(frame, members)
        try:
            return cast("Control", msgspec.convert(fields, kind))
        except msgspec.ValidationError:
            return cast("Control", kind())

    def _refusal(self, frame: Any, members: dict[str, Any]) -> Refusal:  # noqa: ANN401 - JSON is anything
        """Return an error with what it concerns, which may stand in the frame or one level down."""
        table, fields = self._tables["error"], dict[str, Any]()
        inner = (value for name, value in members.items() if fold_name(name) in INNER_PARTS)
        for part in (members, *inner):
            picked, _ = table.pick(cast("dict[str, Any]", part) if isinstance(part, dict) else {})
            fields = {name: value for name, value in picked.items() if value} | {
                name: value for name, value in fields.items() if value
            }
        named = {name: fields[name] for name in SCOPES if name in fields}
        request_id = fields.get("id")
        # The dialect may have another name for the text or the code; the usual names are found without it.
        text, code = fields.get("message"), fields.get("code")
        return Refusal(
            message=text if isinstance(text, str) else message_of(frame),
            code=code if isinstance(code, str | int) and not isinstance(code, bool) else code_of(frame),
            id=request_id if isinstance(request_id, str | int) and not isinstance(request_id, bool) else None,
            **named,
        )

    def set_owner(self, update: Any) -> str:  # noqa: ANN401 - one of ``updates``
        """Set the owner of a decoded update; a codec overrides it if its frames name owners.

        Returns:
            Why the update cannot be delivered, or ``""``.
        """
        del update
        return ""

    def presentable(self, text: str) -> str:
        """Return a text of the server on one line, shortened and with the secret masked."""
        return presentable(text, self._secret)

    def unknown(self, raw: bytes, problem: str) -> UnknownMessage:
        """Return the event for a frame that is not delivered, shortened and with the secret masked."""
        return masked(UnknownMessage(raw=raw, problem=problem), self._secret)


def _has_content(frame: str | dict[str, Any] | list[Any]) -> bool:
    return bool(frame.strip() if isinstance(frame, str) else frame)


def _tags(frame: Any, own: str) -> list[str]:  # noqa: ANN401 - JSON is anything
    """Return the texts that may name the kind of a frame; that of the dialect's own field comes first."""
    if not isinstance(frame, dict):
        return []
    members = cast("dict[str, Any]", frame)
    found = [value_at(members, own), *(members.get(name) for name in TAG_FIELDS if name != own)]
    return [tag for tag in found if isinstance(tag, str)]


def masked(message: UnknownMessage, secret: Secret) -> UnknownMessage:
    """Return a message shortened and with the secret masked: a server may echo a frame that it rejects."""
    # Mask before cutting: a cut could leave half a secret, which no search finds.
    raw = message.raw
    for form in secret_forms((secret,)):
        raw = raw.replace(form.encode(), MASK.encode())
    # The part that is cut off may name accounts, and these are affected too.
    mentions = mentions_in(raw) if len(raw) > MAX_RAW else message.mentions
    return UnknownMessage(raw=raw[:MAX_RAW], problem=presentable(message.problem, secret), mentions=mentions)


def presentable(text: str, secret: Secret) -> str:
    """Return a text of the server on one line, shortened and with the secret masked."""
    return redact(text, (secret,))
