"""Below the waterline: what both streams say alike, and how a frame in another spelling is read.

These frames are ``Assumed:`` unless a docstring says otherwise. A frame whose payload lies flat beside its type, or
that names its type under ``event`` or ``topic``, or that has bare numbers where text is documented, is understood too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

import msgspec

from connecttrade_async.models.events import UnknownMessage
from connecttrade_async.models.mentions import mentions_in
from connecttrade_async.rest.wire import Response
from connecttrade_async.secret import MASK, Secret

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

NAMES = ("type", "event", "topic")
SCOPES = ("user_id", "account_id", "connection_id", "topic", "topics", "channel", "symbol", "symbols", "underlying")
KEPT = 4096
DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
T = TypeVar("T")
M = TypeVar("M")
keep = msgspec.structs.force_setattr
UNTOUCHED = ("id", "code")
_ANYTHING: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=str)


class Welcome(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="welcome"):
    """The server is there (documented)."""

    message: str | None = None


class Authenticated(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="authenticated"):
    """The login was accepted."""


class Subscribed(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="subscribed"):
    """What was asked for is subscribed.

    Attributes:
        topics: which topics, on the brokerage stream.
        topic: which topic there, where it names one.
        id: whose answer it is, on the market data stream.
        channel: which channel there.
        symbols: of what there.
    """

    topics: tuple[str, ...] | None = None
    id: str | int | None = None
    channel: str | None = None
    symbols: tuple[str, ...] | None = None
    topic: str | None = None


class Unsubscribed(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="unsubscribed"):
    """What was named is subscribed no more; its attributes are those of ``Subscribed``."""

    topics: tuple[str, ...] | None = None
    id: str | int | None = None
    channel: str | None = None
    symbols: tuple[str, ...] | None = None
    topic: str | None = None


class Refusal(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="error"):
    """An error of the server (form assumed).

    Attributes:
        code: its code, ``401`` for a refused login, ``409`` for a session taken by another.
        message: its words.
        id: the request that it refuses, or None.
        user_id: the user that it names, or None.
        account_id: the account that it names, or None.
        connection_id: the broker connection that it names, or None.
        topic: the topic that it names, or None.
        topics: the topics that it names, or None.
        channel: the channel that it names, or None.
        symbol: the symbol that it names, or None.
        symbols: the symbols that it names, or None.
        underlying: the underlying of the options chain that it names, or None.
        data: its payload, which may hold the same names, or None.
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
        """What it concerns, by name of the field, from the frame or else its payload; empty where it names nothing."""
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
    """Read a control message of this name."""
    kind: Any = CONTROLS[name]
    return cast("Control", msgspec.convert({**frame, "type": name}, kind))


def decode_leniently(raw: bytes, trouble: Exception, build: Callable[[Any, dict[str, Any]], T]) -> T | UnknownMessage:
    """Read a frame once more, that is not spelled as expected.

    Args:
        raw: the frame.
        trouble: what was odd about it.
        build: makes the message of what the frame calls itself and of its fields, or raises.
    """
    try:
        frame = _ANYTHING.decode(raw)
        said: Any = next((frame[key] for key in NAMES if key in frame), "")
        return build(said, {key: value if key in UNTOUCHED else _problem_text(value) for key, value in frame.items()})
    except (*DECODE_ERRORS, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return UnknownMessage(raw=raw, problem=str(trouble))


class JsonCodec(ABC, Generic[M]):
    """Reads the frames of one stream, and shows its secret nowhere. Each dialect says what the messages are.

    Args:
        secret: what the login spells out.

    Attributes:
        decoder: reads a frame that is spelled as expected.
        updates: the messages that keep the frame they came in.
    """

    __slots__ = ("_secret",)

    decoder: ClassVar[msgspec.json.Decoder[Any]]
    updates: ClassVar[frozenset[type]]

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    @abstractmethod
    def decode_alternative(self, said: Any, frame: dict[str, Any]) -> M:  # noqa: ANN401 - whatever the frame calls itself
        """Make a message of a frame in another spelling, or raise one of those that ``decode_leniently`` knows."""

    def read(self, raw: bytes) -> M | UnknownMessage:
        """Read one frame; whatever it is, this returns."""
        try:
            # The decoder skips what no model has, so text that is not UTF-8 there would come out later, in ``raw``.
            _ = raw.isascii() or raw.decode()
            message = self.decoder.decode(raw)
        except DECODE_ERRORS as exc:
            otherwise = decode_leniently(raw, exc, self.decode_alternative)
            if isinstance(otherwise, UnknownMessage):
                return masked(otherwise, self._secret)
            message = cast("Any", otherwise)
        if type(message) in self.updates:
            keep(message, "raw", raw)
            problem = self.settle(message)
            if problem:
                return self.unknown(raw, problem)
        understood: M = message
        return understood

    def settle(self, update: Any) -> str:  # noqa: ANN401 - one of ``updates``
        """Complete an update that was read; returns why it must be set aside, or ``""``."""
        del update
        return ""

    def presentable(self, text: str) -> str:
        """Return a text of the server's on one line, shortened, with the secret masked if it is in it."""
        return presentable(text, self._secret)

    def unknown(self, raw: bytes, problem: str) -> UnknownMessage:
        """Return the event of a frame that is set aside, shortened and with the secret masked."""
        return masked(UnknownMessage(raw=raw, problem=problem), self._secret)


def _problem_text(value: Any) -> Any:  # noqa: ANN401 - JSON is anything
    # Numbers are documented to come as text. One that does not is still a fill: take it as it was written.
    match value:
        case bool() | None | str():
            return value
        case int():
            return str(value)
        case dict():
            fields = cast("dict[str, Any]", value)
            return {name: _problem_text(each) for name, each in fields.items()}
        case _:
            return [_problem_text(each) for each in cast("list[Any]", value)]


def masked(message: UnknownMessage, secret: Secret) -> UnknownMessage:
    """Return what was not understood, shortened and without the secret: a server may echo what it does not like."""
    # Masked before it is cut, which could leave half a secret.
    raw = message.raw
    for spelling in Response(0, {}, b"", (secret,)).spellings():
        raw = raw.replace(spelling.encode(), MASK.encode())
    # What is cut off may name accounts too, and these must not be taken for unaffected.
    mentions = mentions_in(message.raw) if len(raw) > KEPT else message.mentions
    return UnknownMessage(raw=raw[:KEPT], problem=presentable(message.problem, secret), mentions=mentions)


def presentable(text: str, secret: Secret) -> str:
    """Return a text of the server's on one line, shortened, with the secret masked if it is in it."""
    return Response(0, {}, b"", (secret,)).presentable(text)
