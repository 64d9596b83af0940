"""Below the waterline: what comes of what is said on one link of market data."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable

    from connecttrade_async.market_data import codec
    from connecttrade_async.market_data.codec import Snapshot, Subscriptions
    from connecttrade_async.market_data.registry import SubscriptionKey
    from connecttrade_async.streaming.codec import Refusal, Subscribed, Unsubscribed

__all__ = ["DataMissed", "ReplyReceived", "SubscriptionConfirmed", "SubscriptionDiff", "SubscriptionRejected"]


class SubscriptionConfirmed(NamedTuple):
    """The server holds these."""

    items: tuple[SubscriptionKey, ...]


class DataMissed(NamedTuple):
    """Somebody may have missed something: the server tells it, and did not all the while.

    Attributes:
        who: whoever wants it.
        seconds: for how long.
        cause: why, in words.
    """

    requester: Hashable
    seconds: float
    cause: str


class SubscriptionRejected(NamedTuple):
    """The server does not give this.

    Attributes:
        item: what.
        code: its code, or ``""``.
        cause: its words.
        who: whoever wanted it.
    """

    item: SubscriptionKey
    code: str
    cause: str
    requester: tuple[Hashable, ...]


class SubscriptionDiff(NamedTuple):
    """Where the server's list was not what this link believed.

    Attributes:
        missing: what the server did not hold, and is asked for again.
        extra: what it held and nobody wants, and is given up.
    """

    missing: tuple[SubscriptionKey, ...]
    extra: tuple[codec.Entry, ...]


class ReplyReceived(NamedTuple):
    """An answer to a question that is no subscription.

    Attributes:
        number: the question's id.
        message: the answer.
        difference: what was not as believed, where the answer is the server's list.
    """

    number: str
    message: Snapshot | Subscriptions | Subscribed | Unsubscribed | Refusal
    difference: SubscriptionDiff | None = None
