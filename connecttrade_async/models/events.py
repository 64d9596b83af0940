"""Events of the brokerage stream: updates, gaps, unknown messages and the stream's own lifecycle."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from functools import lru_cache
from typing import ClassVar

import msgspec
from msgspec import field

from connecttrade_async.dialect.names import FieldTable
from connecttrade_async.dialect.parts import FieldNames
from connecttrade_async.dialect.tolerance import TAG_FIELDS, fold_name
from connecttrade_async.errors import MalformedResponseError
from connecttrade_async.models.balances import Balance
from connecttrade_async.models.fields import Model, moment
from connecttrade_async.models.mentions import Mentions  # noqa: TC001 - msgspec reads the annotations
from connecttrade_async.models.orders import Order
from connecttrade_async.models.positions import Position

__all__ = [
    "BalanceUpdate",
    "Chosen",
    "Event",
    "Gap",
    "OrderUpdate",
    "PositionUpdate",
    "StreamConnecting",
    "StreamEnded",
    "StreamLive",
    "StreamLost",
    "StreamRetrying",
    "UnknownMessage",
]

_FIELDS = {
    "orders": Order.__struct_encode_fields__,
    "positions": Position.__struct_encode_fields__,
    "balances": Balance.__struct_encode_fields__,
}
# Where a payload stands beside the tag, the members of the frame are among its own.
_BESIDE = frozenset({*TAG_FIELDS, "timestamp", "time"})
_READ = {topic: _BESIDE.union(fields) for topic, fields in _FIELDS.items()}
_DIGITS, _SCALARS = b"-0123456789", b'"-0123456789'
# Values stay undecoded. The decoder of updates skips fields that no model has, and this one has to accept the same
# frames.
_NAMES = msgspec.json.Decoder(dict[str, msgspec.Raw])


class AccountUpdate(Model, frozen=True, kw_only=True, gc=False, tag_field="type"):
    """One change in one user's account (its frame is (assumed)).

    Attributes:
        user_id: the user's id, or None.
        account_id: the account's id, or None.
        time: the time of the change, aware, or None.
        raw: the frame as received; of a frame with several updates, the frame with this one alone.
        form: where ``raw`` has the payload, and other names of its fields; ``""`` for the assumed form.
    """

    topic: ClassVar[str]

    user_id: str | None = None
    account_id: str | None = None
    time_text: str | None = field(default=None, name="timestamp")
    raw: bytes = field(default=b"", name="_raw")
    form: str = field(default="", name="_form")

    time = moment("time_text")

    @property
    def given(self) -> frozenset[str]:
        """The names of the payload's fields. A field that is not among them was absent, not null.

        Each access parses ``raw``, so that only callers that need the names pay for them. A frame that decoded to an
        update always parses, whatever its unknown fields hold.

        Raises:
            MalformedResponseError: ``raw`` is not a frame with a payload, as in an update constructed by hand.
        """
        return frozenset(self._payload("given"))

    @property
    def unread(self) -> dict[str, str]:
        """The texts and numbers of the payload under names that no field reads, each as text; ids are left out.

        Each access parses ``raw``, like ``given``.

        Raises:
            MalformedResponseError: ``raw`` is not a frame with a payload, as in an update constructed by hand.
        """
        read = _READ[self.topic]
        members = {name: bytes(raw) for name, raw in self._payload("unread").items() if name not in read}
        return {
            name: raw.decode() if raw[0] in _DIGITS else msgspec.json.decode(raw, type=str)
            for name, raw in members.items()
            if raw[0] in _SCALARS and not fold_name(name).endswith("id")
        }

    def _payload(self, user: str) -> dict[str, msgspec.Raw]:
        """Return the payload's members by name, as the assumed form has them, and undecoded."""
        try:
            if self.form:
                return _members(self.raw, self.form, self.topic)
            frame = _NAMES.decode(self.raw)
            return _NAMES.decode(frame["data"]) if "data" in frame else frame
        except (msgspec.MsgspecError, LookupError, ValueError, RecursionError) as exc:
            where = f"{type(self).__name__}.{user}"
            raise MalformedResponseError(where=where, problem="the frame has no readable payload") from exc


@lru_cache(maxsize=64)
def _names_of(form: str, topic: str) -> tuple[tuple[str, ...], FieldTable]:
    """Return the path of the payload in frames of a form, and the table of its fields."""
    path, *pairs = form.split(";")
    aliases = {field: wire for field, _, wire in (pair.partition("=") for pair in pairs)}
    names = FieldNames(aliases={topic: aliases})
    return tuple(filter(None, path.split("."))), FieldTable(names, topic, _FIELDS[topic])


def _members(raw: bytes, form: str, topic: str) -> dict[str, msgspec.Raw]:
    """Return the payload's members in a frame of another form, by the names that the assumed form has."""
    path, table = _names_of(form, topic)
    payload = _NAMES.decode(raw)
    for name in path:
        payload = _NAMES.decode(payload[name])
    return {table.field_of(name) or name: value for name, value in payload.items()}


class OrderUpdate(AccountUpdate, frozen=True, kw_only=True, gc=False, tag="order"):
    """An order changed.

    Attributes:
        order: the order, with the fields that the frame carried; ``given`` has their names.
    """

    topic: ClassVar[str] = "orders"

    order: Order = field(name="data")

    @property
    def symbol(self) -> str | None:
        """The symbol of the order."""
        return self.order.symbol


class PositionUpdate(AccountUpdate, frozen=True, kw_only=True, gc=False, tag="position"):
    """A position changed.

    Attributes:
        position: the position, with the fields that the frame carried.
    """

    topic: ClassVar[str] = "positions"

    position: Position = field(name="data")

    @property
    def symbol(self) -> str | None:
        """The symbol of the position."""
        return self.position.symbol


class BalanceUpdate(AccountUpdate, frozen=True, kw_only=True, gc=False, tag="balance"):
    """A balance changed.

    Attributes:
        balance: the balance, with the fields that the frame carried.
    """

    topic: ClassVar[str] = "balances"

    balance: Balance = field(name="data")
    symbol: ClassVar[str | None] = None


class Gap(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Events may have been missed here: take a new snapshot of any state derived from the stream.

    Attributes:
        cause: the reason, as text.
        since: the start of the interval in which events may have been missed, aware.
        until: the end of that interval, aware.
        dropped: events dropped by the subscription's own queue; 0 where the stream was disconnected.
        could_send: whether the WebSocket stayed connected meanwhile, so that requests could be sent.
    """

    raw: ClassVar[bytes] = b""
    cause: str
    since: datetime
    until: datetime
    dropped: int = 0
    could_send: bool = True


class UnknownMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A frame that could not be decoded. The stream continues with the next frame.

    Attributes:
        raw: the beginning of the frame, at most 4096 bytes.
        problem: the reason why the frame could not be decoded.
        mentions: the identifiers in the whole frame where ``raw`` is only its beginning; otherwise None.
    """

    topic: ClassVar[str] = "unknown"
    account_id: ClassVar[str | None] = None
    user_id: ClassVar[str | None] = None
    symbol: ClassVar[str | None] = None

    raw: bytes
    problem: str
    mentions: Mentions | None = None


class Lifecycle(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A change of the stream's own state, under the topic ``lifecycle``."""

    raw: ClassVar[bytes] = b""
    topic: ClassVar[str] = "lifecycle"
    account_id: ClassVar[str | None] = None
    user_id: ClassVar[str | None] = None
    symbol: ClassVar[str | None] = None


class StreamConnecting(Lifecycle, frozen=True, kw_only=True, gc=False):
    """The stream is about to connect.

    Attributes:
        attempt: the number of the attempt since the stream was last live, counted from 1.
    """

    attempt: int


class StreamLive(Lifecycle, frozen=True, kw_only=True, gc=False):
    """The stream is logged in and subscribed."""


class StreamLost(Lifecycle, frozen=True, kw_only=True, gc=False):
    """The stream's connection was lost.

    Attributes:
        cause: the reason, as text.
    """

    cause: str


class StreamRetrying(Lifecycle, frozen=True, kw_only=True, gc=False):
    """The stream waits before it connects again.

    Attributes:
        delay: the wait, in seconds.
    """

    delay: float


class StreamEnded(Lifecycle, frozen=True, kw_only=True, gc=False):
    """The stream ended and does not reconnect.

    Attributes:
        error: the reason, as text; empty if the application closed the stream.
    """

    error: str


Chosen = (
    OrderUpdate
    | PositionUpdate
    | BalanceUpdate
    | UnknownMessage
    | StreamConnecting
    | StreamLive
    | StreamLost
    | StreamRetrying
    | StreamEnded
)
"""Events that have a topic; the fan-out delivers them to the subscriptions with a matching filter."""

Event = Chosen | Gap
"""Every event of a stream; a gap goes to every subscription that it concerns, whatever the filter."""
