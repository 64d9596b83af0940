"""Below the waterline: the facts that flow. What a stream tells, in the order in which it told it."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from typing import ClassVar

import msgspec
from msgspec import field

from connecttrade_async.errors import MalformedResponseError
from connecttrade_async.models.balances import Balance  # noqa: TC001 - msgspec reads the annotations
from connecttrade_async.models.fields import Model, moment
from connecttrade_async.models.mentions import Mentions  # noqa: TC001 - msgspec reads the annotations
from connecttrade_async.models.orders import Order  # noqa: TC001 - msgspec reads the annotations
from connecttrade_async.models.positions import Position  # noqa: TC001 - msgspec reads the annotations

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

# Values stay undecoded, as the decoder of updates leaves those that no model has: both read the same frames.
_NAMES = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Update(Model, frozen=True, kw_only=True, gc=False, tag_field="type"):
    """One change of one user's account (its frame is ``Assumed:``).

    Attributes:
        user_id: whose, or None.
        account_id: in which account, or None.
        time: when, aware, or None.
        raw: the frame as it came.
    """

    topic: ClassVar[str]

    user_id: str | None = None
    account_id: str | None = None
    time_text: str | None = field(default=None, name="timestamp")
    raw: bytes = field(default=b"", name="_raw")

    time = moment("time_text")

    @property
    def given(self) -> frozenset[str]:
        """The names of the fields that the payload carried: what is not among them was absent, and not null.

        Read from ``raw`` at each call, so that only callers that need it pay for it. Whatever the frame holds in fields
        that no model has, it is readable if the update was.

        Raises:
            MalformedResponseError: ``raw`` is no frame with a payload, as where the update was made by hand.
        """
        try:
            frame = _NAMES.decode(self.raw)
            payload = _NAMES.decode(frame["data"]) if "data" in frame else frame
        except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
            where = f"{type(self).__name__}.given"
            raise MalformedResponseError(where=where, problem="the frame has no readable payload") from exc
        return frozenset(payload)


class OrderUpdate(Update, frozen=True, kw_only=True, gc=False, tag="order"):
    """An order changed.

    Attributes:
        order: the order, with what the frame said of it; see ``given`` for what it did not say.
    """

    topic: ClassVar[str] = "orders"

    order: Order = field(name="data")

    @property
    def symbol(self) -> str | None:
        """The symbol of the order."""
        return self.order.symbol


class PositionUpdate(Update, frozen=True, kw_only=True, gc=False, tag="position"):
    """A position changed.

    Attributes:
        position: the position, with what the frame said of it.
    """

    topic: ClassVar[str] = "positions"

    position: Position = field(name="data")

    @property
    def symbol(self) -> str | None:
        """The symbol of the position."""
        return self.position.symbol


class BalanceUpdate(Update, frozen=True, kw_only=True, gc=False, tag="balance"):
    """A balance changed.

    Attributes:
        balance: the balance, with what the frame said of it.
    """

    topic: ClassVar[str] = "balances"

    balance: Balance = field(name="data")
    symbol: ClassVar[str | None] = None


class Gap(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """You may have missed something here: take a new snapshot of whatever you keep.

    Attributes:
        cause: why, in words.
        since: from when on something may have been missed, aware.
        until: up to when, aware.
        dropped: how many events your own queue dropped; 0 where the stream was away.
        could_send: whether the link stood meanwhile, so that the server could have been spoken to.
    """

    raw: ClassVar[bytes] = b""
    cause: str
    since: datetime
    until: datetime
    dropped: int = 0
    could_send: bool = True


class UnknownMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A frame that was not understood; the next ones are read as ever.

    Attributes:
        raw: how it begins, at most 4096 bytes.
        problem: what was odd about it.
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
    """What happens to the stream itself, under the topic ``lifecycle``."""

    raw: ClassVar[bytes] = b""
    topic: ClassVar[str] = "lifecycle"
    account_id: ClassVar[str | None] = None
    user_id: ClassVar[str | None] = None
    symbol: ClassVar[str | None] = None


class StreamConnecting(Lifecycle, frozen=True, kw_only=True, gc=False):
    """The stream is about to dial.

    Attributes:
        attempt: 1 for the first since it was last live.
    """

    attempt: int


class StreamLive(Lifecycle, frozen=True, kw_only=True, gc=False):
    """The stream is logged in and subscribed."""


class StreamLost(Lifecycle, frozen=True, kw_only=True, gc=False):
    """The link ended.

    Attributes:
        cause: why, in words.
    """

    cause: str


class StreamRetrying(Lifecycle, frozen=True, kw_only=True, gc=False):
    """The stream waits before it dials again.

    Attributes:
        delay: seconds.
    """

    delay: float


class StreamEnded(Lifecycle, frozen=True, kw_only=True, gc=False):
    """The stream is over and will not come back.

    Attributes:
        error: why, in words; empty if it was closed by its owner.
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
"""What has a topic, and is delivered to those who chose it."""

Event = Chosen | Gap
"""Everything that a stream tells; a gap is told to everybody."""
