"""Results of synchronizing market data subscriptions with the server, as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable

    from connecttrade_async.market_data.codec import BarSnapshot, ListedSubscription, SubscriptionList
    from connecttrade_async.market_data.registry import SubscriptionKey
    from connecttrade_async.streaming.codec import Refusal, Subscribed, Unsubscribed

__all__ = ["DataMissed", "ReplyReceived", "SubscriptionConfirmed", "SubscriptionDiff", "SubscriptionRejected"]


class SubscriptionConfirmed(NamedTuple):
    """The server holds these subscriptions."""

    keys: tuple[SubscriptionKey, ...]


class DataMissed(NamedTuple):
    """A requester may have missed data before the server resumed sending it.

    Attributes:
        requester: the requester, as registered.
        seconds: the length of the interruption.
        cause: the reason, as text.
    """

    requester: Hashable
    seconds: float
    cause: str


class SubscriptionRejected(NamedTuple):
    """The server rejects a subscription.

    Attributes:
        key: the subscription.
        code: the server's error code, or ``""``.
        cause: the server's message.
        requesters: the requesters of the dropped requests.
    """

    key: SubscriptionKey
    code: str
    cause: str
    requesters: tuple[Hashable, ...]


class SubscriptionDiff(NamedTuple):
    """The differences between the server's list and this connection's state.

    Attributes:
        missing: subscriptions that the server lacks; they are requested again.
        extra: entries of the server's list that are not requested; they are unsubscribed.
    """

    missing: tuple[SubscriptionKey, ...]
    extra: tuple[ListedSubscription, ...]


class ReplyReceived(NamedTuple):
    """The reply to a request other than a subscription.

    Attributes:
        request_id: the id of the request.
        message: the reply.
        difference: the differences found, where the reply is the server's list of subscriptions.
    """

    request_id: str
    message: BarSnapshot | SubscriptionList | Subscribed | Unsubscribed | Refusal
    difference: SubscriptionDiff | None = None
