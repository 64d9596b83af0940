"""Below the waterline: the dialect of the brokerage stream. Frames to messages, and commands to frames.

Its frames are ``Assumed:`` unless a docstring says otherwise; this is the one place that spells them. A frame whose
payload lies flat beside its type, or that names its type under ``event`` or ``topic``, is understood too.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from connecttrade_async.models.events import BalanceUpdate, OrderUpdate, PositionUpdate, UnknownMessage
from connecttrade_async.rest.wire import Response
from connecttrade_async.secret import MASK, Secret

__all__ = ["TOPICS", "Authenticated", "Brokerage", "Refusal", "Subscribed", "Unsubscribed", "Welcome"]

TOPICS = ("orders", "positions", "balances")
NAMES = ("type", "event", "topic")
PLURALS = {"orders": "order", "positions": "position", "balances": "balance"}
KEPT = 4096


class Welcome(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="welcome"):
    """The server is there (documented)."""

    message: str | None = None


class Authenticated(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="authenticated"):
    """The login was accepted."""


class Subscribed(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="subscribed"):
    """Topics are subscribed."""

    topics: tuple[str, ...] | None = None


class Unsubscribed(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="unsubscribed"):
    """Topics are subscribed no more."""

    topics: tuple[str, ...] | None = None


class Refusal(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="error"):
    """The server said no.

    Attributes:
        code: its code, ``401`` for a refused login, ``409`` for a session taken by another.
        message: its words.
    """

    code: str | int | None = None
    message: str | None = None


Update = OrderUpdate | PositionUpdate | BalanceUpdate
Message = Welcome | Authenticated | Subscribed | Unsubscribed | Refusal | OrderUpdate | PositionUpdate | BalanceUpdate
UPDATES: dict[str, type[Update]] = {"order": OrderUpdate, "position": PositionUpdate, "balance": BalanceUpdate}
UPDATE_KINDS = frozenset(UPDATES.values())
CONTROLS: dict[str, type[Message]] = {
    "welcome": Welcome,
    "authenticated": Authenticated,
    "subscribed": Subscribed,
    "unsubscribed": Unsubscribed,
    "error": Refusal,
}
_MESSAGE: msgspec.json.Decoder[Message] = msgspec.json.Decoder(cast("type[Message]", Message))
_keep = msgspec.structs.force_setattr
_ANYTHING: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


class Brokerage:
    """How to speak to the brokerage stream.

    Args:
        client_id: the client's id.
        client_secret: the client's secret; it is spelled out in one frame, and nowhere kept.
    """

    __slots__ = ("_client_id", "_client_secret")

    def __init__(self, client_id: str, client_secret: Secret) -> None:
        self._client_id = client_id
        self._client_secret = client_secret

    def authenticate(self) -> bytes:
        """Spell the login (fields documented)."""
        return msgspec.json.encode(
            {
                "action": "authenticate",
                "client_id": self._client_id,
                "client_secret": str.__str__(self._client_secret.reveal()),
            },
        )

    def subscribe(self, topics: tuple[str, ...]) -> bytes:
        """Spell the wish for topics (topics documented)."""
        return msgspec.json.encode({"action": "subscribe", "topics": topics})

    def read(self, raw: bytes) -> Message | UnknownMessage:
        """Read one frame; whatever it is, this returns."""
        try:
            message = _MESSAGE.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            otherwise = _otherwise_spelled(raw, exc)
            return self._masked(otherwise) if type(otherwise) is UnknownMessage else otherwise
        if type(message) in UPDATE_KINDS:
            _keep(message, "raw", raw)
        return message

    def presentable(self, text: str) -> str:
        """Return a text of the server's on one line, shortened, with the secret masked if it is in it."""
        return Response(0, {}, b"", (self._client_secret,)).presentable(text)

    def _masked(self, message: UnknownMessage) -> UnknownMessage:
        # A server may echo what it does not like. Masked before it is cut, which could leave half a secret.
        raw = message.raw.replace(self._client_secret.reveal().encode(), MASK.encode())
        return UnknownMessage(raw=raw[:KEPT], problem=self.presentable(message.problem))


def _otherwise_spelled(raw: bytes, trouble: Exception) -> Message | UnknownMessage:
    try:
        frame = _ANYTHING.decode(raw)
        said: Any = next((frame[key] for key in NAMES if key in frame), "")
        name: Any = PLURALS.get(said, said)
        if name in CONTROLS:
            kind: Any = CONTROLS[name]
            return cast("Message", msgspec.convert({**frame, "type": name}, kind))
        # A payload may leave out whose it is, since the frame says so.
        payload = {"account_id": frame.get("account_id"), **frame.get("data", frame)}
        facts = {key: frame.get(key) for key in ("user_id", "account_id", "timestamp")}
        update: Any = UPDATES[name]
        message: Update = msgspec.convert({**facts, "type": name, "data": payload}, update)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, AttributeError, KeyError, TypeError):
        return UnknownMessage(raw=raw, problem=str(trouble))
    _keep(message, "raw", raw)
    return message
