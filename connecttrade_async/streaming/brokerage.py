"""Below the waterline: the dialect of the brokerage stream. Frames to messages, and commands to frames.

Its frames are ``Assumed:`` unless a docstring says otherwise; what both streams share is in ``messages``, and the rest
is spelled here and nowhere else.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from connecttrade_async.models.events import BalanceUpdate, OrderUpdate, PositionUpdate
from connecttrade_async.secret import Secret  # noqa: TC001 - as everywhere in the dialects
from connecttrade_async.streaming.messages import (
    CONTROLS,
    Control,
    Reader,
    control,
)

__all__ = ["TOPICS", "Brokerage"]

TOPICS = ("orders", "positions", "balances")
PLURALS = {"orders": "order", "positions": "position", "balances": "balance"}

Update = OrderUpdate | PositionUpdate | BalanceUpdate
Message = Control | Update
UPDATES: dict[str, type[Update]] = {"order": OrderUpdate, "position": PositionUpdate, "balance": BalanceUpdate}
_MESSAGE: msgspec.json.Decoder[Message] = msgspec.json.Decoder(cast("type[Message]", Message))


class Brokerage(Reader[Message]):
    """How to speak to the brokerage stream.

    Args:
        client_id: the client's id.
        client_secret: the client's secret; it is spelled out in one frame, and nowhere kept.
    """

    __slots__ = ("_client_id",)

    decoder = _MESSAGE
    updates = frozenset(UPDATES.values())

    def __init__(self, client_id: str, client_secret: Secret) -> None:
        super().__init__(client_secret)
        self._client_id = client_id

    def authenticate(self) -> bytes:
        """Spell the login (fields documented)."""
        return msgspec.json.encode(
            {
                "action": "authenticate",
                "client_id": self._client_id,
                "client_secret": str.__str__(self._secret.reveal()),
            },
        )

    def subscribe(self, topics: tuple[str, ...]) -> bytes:
        """Spell the wish for topics (topics documented)."""
        return msgspec.json.encode({"action": "subscribe", "topics": topics})

    def otherwise(self, said: Any, frame: dict[str, Any]) -> Message:  # noqa: ANN401 - whatever the frame calls itself
        """Make a message of a frame in another spelling."""
        name: Any = PLURALS.get(said, said)
        if name in CONTROLS:
            return control(name, frame)
        # A payload may leave out whose it is, since the frame says so.
        payload = {"account_id": frame.get("account_id"), **frame.get("data", frame)}
        facts = {key: frame.get(key) for key in ("user_id", "account_id", "timestamp")}
        update: Any = UPDATES[name]
        return cast("Update", msgspec.convert({**facts, "type": name, "data": payload}, update))
