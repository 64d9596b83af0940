"""Below the waterline: the dialect of the brokerage stream. Frames to messages, and commands to frames.

Its frames are ``Assumed:`` unless a docstring says otherwise; what both streams share is in ``messages``, and the rest
is spelled here and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from connecttrade_async.models.events import BalanceUpdate, OrderUpdate, PositionUpdate
from connecttrade_async.secret import Secret  # noqa: TC001 - as everywhere in the dialects
from connecttrade_async.streaming.codec import (
    CONTROLS,
    DECODE_ERRORS,
    Control,
    JsonCodec,
    decode_control,
    keep,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TOPICS", "BrokerageCodec"]

TOPICS = ("orders", "positions", "balances")
PLURALS = {"orders": "order", "positions": "position", "balances": "balance"}

Update = OrderUpdate | PositionUpdate | BalanceUpdate
Message = Control | Update
UPDATES: dict[str, type[Update]] = {"order": OrderUpdate, "position": PositionUpdate, "balance": BalanceUpdate}
_MESSAGE: msgspec.json.Decoder[Message] = msgspec.json.Decoder(cast("type[Message]", Message))
_USER = b"user_id"


class Owned(msgspec.Struct, gc=False):
    """The ids in one object of a frame, and where more of them may be, as they came."""

    user_id: msgspec.Raw = msgspec.Raw()
    account_id: msgspec.Raw = msgspec.Raw()
    account: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.Raw()


_OWNED = msgspec.json.Decoder(Owned)
_ID: msgspec.json.Decoder[str | int | None] = msgspec.json.Decoder(str | int | None)


class BrokerageCodec(JsonCodec[Message]):
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

    def settle(self, update: Update) -> str:
        """Give an update its owner, from the frame, or else the payload, or else the account in either.

        Filters, queues and books all go by the owner, so it is settled here, once.

        Returns:
            Why the update must be set aside, or ``""``: a frame that names two owners belongs to neither.
        """
        raw, account_id, inner = update.raw, update.account_id, _inner_account(update)
        # A second reading costs as much as the first, so it is only for frames that do not name their owner plainly.
        # No model has the user of a payload: searched from both ends, a frame that names one user costs 0.1 us.
        is_plain = account_id and update.user_id and (inner is None or inner == account_id)
        if is_plain and raw.find(_USER) == raw.rfind(_USER):
            return ""
        parts = tuple(_parts(raw))
        for name in ("account_id", "user_id"):
            named = {value for part in parts if (value := _id(getattr(part, name)))}
            if len(named) > 1:
                return f"the frame names more than one {name}: {', '.join(sorted(named))}"
            if named:
                keep(update, name, named.pop())
        return ""

    def decode_alternative(self, said: Any, frame: dict[str, Any]) -> Message:  # noqa: ANN401 - whatever the frame calls itself
        """Make a message of a frame in another spelling."""
        name: Any = PLURALS.get(said, said)
        if name in CONTROLS:
            return decode_control(name, frame)
        # A payload may leave out its account, since the frame names it, or may name it one level down.
        payload = {"account_id": frame.get("account_id"), **frame.get("data", frame)}
        for account in (payload.get("account"), frame.get("account")):
            if payload["account_id"] is None and isinstance(account, dict):
                payload["account_id"] = cast("dict[str, Any]", account).get("account_id")
        facts = {key: frame.get(key) for key in ("user_id", "account_id", "timestamp")}
        update: Any = UPDATES[name]
        return cast("Update", msgspec.convert({**facts, "type": name, "data": payload}, update))


def _inner_account(update: Update) -> str | None:
    """Return the account that the payload of an update names."""
    if type(update) is OrderUpdate:
        return update.order.account_id
    return update.position.account_id if type(update) is PositionUpdate else cast("Any", update).balance.account_id


def _parts(raw: bytes | msgspec.Raw, depth: int = 2) -> Iterator[Owned]:
    """Yield what may name the owner: the frame, its payload, and the account in either. An odd part names nothing."""
    try:
        part = _OWNED.decode(raw)
    except DECODE_ERRORS:
        return
    yield part
    for inner in (part.account, part.data):
        if inner and depth:
            yield from _parts(inner, depth - 1)


def _id(raw: msgspec.Raw) -> str:
    try:
        found = _ID.decode(raw) if raw else None
    except DECODE_ERRORS:
        return ""
    return "" if found is None else str(found)
