"""Below the waterline: the dialect of the brokerage stream. Frames to messages, and commands to frames.

Its frames are ``Assumed:`` unless a docstring says otherwise; what both streams share is in ``messages``, and the rest
is spelled here and nowhere else.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from connecttrade_async.models.events import BalanceUpdate, OrderUpdate, PositionUpdate, UnknownMessage
from connecttrade_async.secret import Secret  # noqa: TC001 - as everywhere in the dialects
from connecttrade_async.streaming.messages import (
    CONTROLS,
    TROUBLES,
    Control,
    control,
    masked,
    presentable,
    reread,
)

__all__ = ["TOPICS", "Brokerage"]

TOPICS = ("orders", "positions", "balances")
PLURALS = {"orders": "order", "positions": "position", "balances": "balance"}

Update = OrderUpdate | PositionUpdate | BalanceUpdate
Message = Control | Update
UPDATES: dict[str, type[Update]] = {"order": OrderUpdate, "position": PositionUpdate, "balance": BalanceUpdate}
UPDATE_KINDS = frozenset(UPDATES.values())
_MESSAGE: msgspec.json.Decoder[Message] = msgspec.json.Decoder(cast("type[Message]", Message))
_keep = msgspec.structs.force_setattr


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
        except TROUBLES as exc:
            otherwise = reread(raw, exc, _otherwise_spelled)
            if isinstance(otherwise, UnknownMessage):
                return masked(otherwise, self._client_secret)
            message = otherwise
        if type(message) in UPDATE_KINDS:
            _keep(message, "raw", raw)
        return message

    def presentable(self, text: str) -> str:
        """Return a text of the server's on one line, shortened, with the secret masked if it is in it."""
        return presentable(text, self._client_secret)


def _otherwise_spelled(said: Any, frame: dict[str, Any]) -> Message:  # noqa: ANN401 - whatever the frame calls itself
    name: Any = PLURALS.get(said, said)
    if name in CONTROLS:
        return control(name, frame)
    # A payload may leave out whose it is, since the frame says so.
    payload = {"account_id": frame.get("account_id"), **frame.get("data", frame)}
    facts = {key: frame.get(key) for key in ("user_id", "account_id", "timestamp")}
    update: Any = UPDATES[name]
    return cast("Update", msgspec.convert({**facts, "type": name, "data": payload}, update))
