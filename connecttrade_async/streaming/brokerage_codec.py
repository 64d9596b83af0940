"""The codec of the brokerage stream: decodes frames into messages and encodes commands into frames.

The form of these frames is (assumed) unless a docstring marks it otherwise. ``codec`` holds what the brokerage stream
and the market-data stream have in common.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from connecttrade_async.models.events import BalanceUpdate, OrderUpdate, PositionUpdate
from connecttrade_async.secret import Secret  # noqa: TC001 - as in every codec
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

    from connecttrade_async.models.events import UnknownMessage

__all__ = ["BrokerageCodec"]

PLURALS = {"orders": "order", "positions": "position", "balances": "balance"}

Update = OrderUpdate | PositionUpdate | BalanceUpdate
Message = Control | Update
UPDATES: dict[str, type[Update]] = {"order": OrderUpdate, "position": PositionUpdate, "balance": BalanceUpdate}
_MESSAGE: msgspec.json.Decoder[Message] = msgspec.json.Decoder(cast("type[Message]", Message))
_decode = _MESSAGE.decode
_USER = b"user_id"
_FIRST_SECOND_USER = 23  # the least offset of a second user id: ``{"data":{"user_id":1},"user_id"``


class Owned(msgspec.Struct, gc=False):
    """The ids in one object of a frame, undecoded, and the objects inside it that may hold more ids."""

    user_id: msgspec.Raw = msgspec.Raw()
    account_id: msgspec.Raw = msgspec.Raw()
    account: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.Raw()


_OWNED = msgspec.json.Decoder(Owned)
_ID: msgspec.json.Decoder[str | int | None] = msgspec.json.Decoder(str | int | None)


class BrokerageCodec(JsonCodec[Message]):
    """Encodes and decodes the frames of the brokerage stream.

    Args:
        client_id: the client's id.
        client_secret: the client's secret; only the login frame holds it in clear text.
    """

    __slots__ = ("_client_id",)

    decoder = _MESSAGE
    updates = frozenset(UPDATES.values())

    def __init__(self, client_id: str, client_secret: Secret) -> None:
        super().__init__(client_secret)
        self._client_id = client_id

    def authenticate(self) -> bytes:
        """Encode the login frame; its fields are (documented)."""
        return msgspec.json.encode(
            {
                "action": "authenticate",
                "client_id": self._client_id,
                "client_secret": str.__str__(self._secret.reveal()),
            },
        )

    def subscribe(self, topics: tuple[str, ...]) -> bytes:
        """Encode the subscription of topics; the topics are (documented)."""
        return msgspec.json.encode({"action": "subscribe", "topics": topics})

    def read(self, raw: bytes) -> Message | UnknownMessage:
        """Decode one frame, and set the owner of an update. This never raises.

        Args:
            raw: the frame.

        Returns:
            The message, or an ``UnknownMessage`` for a frame that cannot be decoded or names two owners.
        """
        # ``JsonCodec.read`` with the usual owner inline: its calls would add 0.15 us to the 0.3 us of decoding.
        try:
            _ = raw.isascii() or raw.decode()
            message = _decode(raw)
        except DECODE_ERRORS:
            return super().read(raw)
        if type(message) is OrderUpdate:
            inner = message.order.account_id
        elif type(message) is PositionUpdate:
            inner = message.position.account_id
        elif type(message) is BalanceUpdate:
            inner = message.balance.account_id
        else:
            return message
        keep(message, "raw", raw)
        account_id = message.account_id
        # No model holds the user id of a payload, and decoding the ids again costs as much as decoding the update. So
        # the text is searched: usually the last user id is so near the beginning that it is the only one.
        if account_id and message.user_id and (inner == account_id or inner is None):
            last = raw.rfind(_USER)
            if last < _FIRST_SECOND_USER or raw.find(_USER) == last:
                return message
        problem = self.set_owner(message)
        return self.unknown(raw, problem) if problem else message

    def set_owner(self, update: Update) -> str:
        """Set the owner of an update from its frame, its payload, or the account object in either.

        Filters, queues and books select by owner, so the owner is resolved here once.

        Args:
            update: the decoded update; its ``raw`` is set.

        Returns:
            Why the update cannot be delivered, or ``""``. A frame that names two owners is delivered to neither.
        """
        parts = tuple(_parts(update.raw))
        for name in ("account_id", "user_id"):
            named = {value for part in parts if (value := _id(getattr(part, name)))}
            if len(named) > 1:
                return f"the frame names more than one {name}: {', '.join(sorted(named))}"
            if named:
                keep(update, name, named.pop())
        return ""

    def decode_alternative(self, type_name: Any, frame: dict[str, Any]) -> Message:  # noqa: ANN401 - any JSON value
        """Build a message from a frame of another form."""
        name: Any = PLURALS.get(type_name, type_name)
        if name in CONTROLS:
            return decode_control(name, frame)
        # A payload may omit its account because the frame names it, or may name it inside an ``account`` object.
        payload = {"account_id": frame.get("account_id"), **frame.get("data", frame)}
        for account in (payload.get("account"), frame.get("account")):
            if payload["account_id"] is None and isinstance(account, dict):
                payload["account_id"] = cast("dict[str, Any]", account).get("account_id")
        fields = {key: frame.get(key) for key in ("user_id", "account_id", "timestamp")}
        update: Any = UPDATES[name]
        return cast("Update", msgspec.convert({**fields, "type": name, "data": payload}, update))


def _parts(raw: bytes | msgspec.Raw, depth: int = 2) -> Iterator[Owned]:
    """Yield the objects that may name the owner: the frame, its payload, and the account in either.

    An object that cannot be decoded is skipped.
    """
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
