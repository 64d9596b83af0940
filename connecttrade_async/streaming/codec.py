"""Control messages and decoding that the brokerage stream and the market-data stream have in common.

The form of these frames is (assumed) unless a docstring marks it otherwise. The lenient decoder also accepts frames

- with the payload's fields beside the type instead of under ``data``,
- with the type under ``event`` or ``topic``,
- with numbers where text is documented.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

import msgspec

from connecttrade_async.models.events import UnknownMessage
from connecttrade_async.models.mentions import mentions_in
from connecttrade_async.secret import MASK, Secret, redact, secret_forms

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CONTROLS",
    "DECODE_ERRORS",
    "Authenticated",
    "Control",
    "JsonCodec",
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

TYPE_KEYS = ("type", "event", "topic")
SCOPES = ("user_id", "account_id", "connection_id", "topic", "topics", "channel", "symbol", "symbols", "underlying")
MAX_RAW = 4096  # bytes of a frame that an ``UnknownMessage`` keeps
DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
T = TypeVar("T")
M = TypeVar("M")
keep = msgspec.structs.force_setattr
UNCONVERTED = ("id", "code")  # fields in which a number stays a number
_ANYTHING: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=str)


class Welcome(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="welcome"):
    """The first frame of the server (documented)."""

    message: str | None = None


class Authenticated(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="authenticated"):
    """The reply to an accepted login."""


class Subscribed(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="subscribed"):
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


class Unsubscribed(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="unsubscribed"):
    """The end of a subscription, with the attributes of ``Subscribed``."""

    topics: tuple[str, ...] | None = None
    id: str | int | None = None
    channel: str | None = None
    symbols: tuple[str, ...] | None = None
    topic: str | None = None


class Refusal(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="error"):
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


Control = Welcome | Authenticated | Subscribed | Unsubscribed | Refusal
CONTROLS: dict[str, type[Control]] = {
    "welcome": Welcome,
    "authenticated": Authenticated,
    "subscribed": Subscribed,
    "unsubscribed": Unsubscribed,
    "error": Refusal,
}


def decode_control(name: str, frame: dict[str, Any]) -> Control:
    """Build the control message of this type from a frame.

    Args:
        name: the type, a key of ``CONTROLS``.
        frame: the fields of the frame.
    """
    kind: Any = CONTROLS[name]
    return cast("Control", msgspec.convert({**frame, "type": name}, kind))


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
        frame = _ANYTHING.decode(raw)
        type_name: Any = next((frame[key] for key in TYPE_KEYS if key in frame), "")
        fields = {key: value if key in UNCONVERTED else _numbers_as_text(value) for key, value in frame.items()}
        return build(type_name, fields)
    except (*DECODE_ERRORS, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return UnknownMessage(raw=raw, problem=str(error))


class JsonCodec(ABC, Generic[M]):
    """The base of the codecs: decodes the frames of one stream and masks its secret. A subclass defines the messages.

    Args:
        secret: the secret that the login frame holds.

    Attributes:
        decoder: decodes a frame of the expected form.
        updates: the classes of messages that keep their frame in ``raw``.
    """

    __slots__ = ("_secret",)

    decoder: ClassVar[msgspec.json.Decoder[Any]]
    updates: ClassVar[frozenset[type]]

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    @abstractmethod
    def decode_alternative(self, type_name: Any, frame: dict[str, Any], /) -> M:  # noqa: ANN401 - any JSON value
        """Build a message from a frame of another form, or raise an error that ``decode_leniently`` catches.

        Args:
            type_name: the type in the frame, or ``""``.
            frame: the fields of the frame.
        """

    def read(self, raw: bytes) -> M | UnknownMessage:
        """Decode one frame. A frame that cannot be decoded becomes an ``UnknownMessage``; this never raises."""
        try:
            # The decoder skips fields that no model has. Invalid UTF-8 in them would surface later, in ``raw``.
            _ = raw.isascii() or raw.decode()
            message = self.decoder.decode(raw)
        except DECODE_ERRORS as exc:
            alternative = decode_leniently(raw, exc, self.decode_alternative)
            if isinstance(alternative, UnknownMessage):
                return masked(alternative, self._secret)
            message = cast("Any", alternative)
        if type(message) in self.updates:
            keep(message, "raw", raw)
            problem = self.set_owner(message)
            if problem:
                return self.unknown(raw, problem)
        decoded: M = message
        return decoded

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


def _numbers_as_text(value: Any) -> Any:  # noqa: ANN401 - JSON is anything
    # Numbers are text on the wire (documented). A bare number may still be a fill, so it keeps its digits as written.
    match value:
        case bool() | None | str():
            return value
        case int():
            return str(value)
        case dict():
            fields = cast("dict[str, Any]", value)
            return {name: _numbers_as_text(each) for name, each in fields.items()}
        case _:
            return [_numbers_as_text(each) for each in cast("list[Any]", value)]


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
