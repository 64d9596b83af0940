"""Requests of market data feeds: subscribe, unsubscribe, and queries that await a reply.

A call that is cancelled or fails withdraws everything that it requested, unless another call requests the same.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from connecttrade_async.errors import (
    ClosedError,
    ConfigurationError,
    MalformedResponseError,
    MarketDataRefusedError,
    RequestTimeoutError,
)
from connecttrade_async.market_data.codec import BarSnapshot, SubscriptionList
from connecttrade_async.market_data.registry import PendingQuery, PendingSubscriptions
from connecttrade_async.models.market import SymbolRefused
from connecttrade_async.streaming.codec import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import msgspec

    from connecttrade_async.clock import Clock
    from connecttrade_async.market_data.encoder import RequestEncoder
    from connecttrade_async.market_data.fanout import MarketDataFanout
    from connecttrade_async.market_data.registry import Detail, SubscriptionKey, SubscriptionRegistry
    from connecttrade_async.market_data.subscription_sync import MarketDataSync
    from connecttrade_async.market_data.sync_events import ReplyReceived
    from connecttrade_async.streaming.filters import Predicate
    from connecttrade_async.streaming.subscriptions import Subscription
    from connecttrade_async.streaming.supervisor import Supervisor

__all__ = ["MarketDataRequests"]


class MarketDataRequests:
    """Sends the requests of feeds, and awaits their replies.

    Args:
        registry: the desired subscriptions.
        fanout: delivers events and replies.
        clock: measures time-outs.
        url: the stream's URL, for error messages.
        encoder: encodes the requests.

    Attributes:
        fanout: delivers events and replies.
        clock: measures time-outs.
        supervisor: holds the connection; None before the stream is opened.
    """

    def __init__(
        self,
        registry: SubscriptionRegistry,
        fanout: MarketDataFanout,
        clock: Clock,
        url: str,
        encoder: RequestEncoder,
    ) -> None:
        self._registry = registry
        self._encoder = encoder
        self._url = url
        self._claims: PendingSubscriptions[tuple[Subscription, SubscriptionKey]] = PendingSubscriptions()
        self.fanout = fanout
        self.clock = clock
        self.supervisor: Supervisor | None = None

    async def subscribe(
        self,
        subscription: Subscription,
        keys: Iterable[SubscriptionKey],
        detail: Detail,
        predicate: Predicate | None,
        backfill: int = 0,
    ) -> frozenset[SubscriptionKey]:
        """Request symbols for a subscription, and wait until the server acknowledges all of them.

        Args:
            subscription: the feed's queue.
            keys: the symbols.
            detail: the requested detail.
            predicate: selects events, or None for all.
            backfill: number of past bars to request with each symbol that the server does not hold yet.

        Returns:
            The symbols that the server acknowledged with that many past bars.

        Raises:
            MarketDataRefusedError: the server rejected one of them; then none is requested.
            ClosedError: the subscription has ended.
            ConnectTradeError: the stream has ended, with its cause.

        Cancelling withdraws the request.
        """
        self._check_is_open()
        self.fanout.check_is_open(subscription)
        keys, attached, claim = tuple(dict.fromkeys(keys)), self.fanout.keys_of(subscription), object()
        fresh = [(subscription, key) for key in keys if key not in attached or (subscription, key) in self._claims]
        self._claims.add(claim, fresh)
        for key in keys:
            if key not in attached:
                self.fanout.attach(subscription, key, predicate)
        self._registry.add(subscription, keys, detail)
        absent = [key for key in keys if not self._is_held(key, detail)]
        awaited = [self.fanout.replies.expect(subscription, key) for key in absent]
        if backfill:
            self._registry.backfills |= dict.fromkeys(absent, backfill)
        self._sync(keys)
        try:
            await _wait_all(awaited)
        except BaseException:
            # Another call of this feed may still await the same keys: only unclaimed ones are withdrawn. A rejected key
            # is withdrawn even where it was attached before this call.
            unclaimed = [key for _, key in self._claims.cancel(claim, fresh)]
            dropped = [key for key in keys if not self._registry.is_requested_by(subscription, key)]
            self.unsubscribe(subscription, [*unclaimed, *dropped])
            raise
        self._claims.confirm(claim, fresh)
        return frozenset(key for key in absent if backfill and self._registry.backfilled.get(key, 0) >= backfill)

    def unsubscribe(self, subscription: Subscription, keys: Iterable[SubscriptionKey]) -> None:
        """Withdraw symbols and drop their queued events; symbols that are not requested are ignored."""
        keys = tuple(keys)
        for key in keys:
            self.fanout.replies.cancel(subscription, key)
            self.fanout.detach(subscription, key)
        self._claims.clear((subscription, key) for key in keys)
        removed = {key.symbol for key in keys}
        subscription.discard(
            lambda event: getattr(event, "symbol", None) in removed and not isinstance(event, SymbolRefused)
        )
        self._registry.remove(subscription, keys)
        self._sync(keys)

    def unsubscribe_all(self, subscription: Subscription) -> None:
        """Withdraw every symbol of a subscription."""
        self.unsubscribe(subscription, self._registry.keys_of(subscription))

    async def history(self, symbol: str, options: Mapping[str, object], timeout: float) -> ReplyReceived:
        """Request past bars, and return the reply.

        Raises:
            ConfigurationError: the dialect has no such request.
            MarketDataRefusedError: the server rejected the request.
            RequestTimeoutError: no reply came within ``timeout`` seconds.
            MalformedResponseError: the reply is of another kind.
            ConnectTradeError: the stream has ended, with its cause.

        Cancelling drops the request.
        """
        encode = partial(self._encoder.snapshot, symbol=symbol, options=options)
        return await self._query("history", symbol, encode, timeout, BarSnapshot)

    async def list_subscriptions(self, timeout: float) -> ReplyReceived:
        """Request the server's list of subscriptions; raises as ``history`` does."""
        return await self._query("subscriptions", "", self._encoder.listing, timeout, SubscriptionList)

    async def _query(
        self, what: str, symbol: str, encode: Callable[[str], list[bytes]], timeout: float, kind: type[msgspec.Struct]
    ) -> ReplyReceived:
        self._check_is_open()
        request_id = next(self._registry.request_ids)
        frames = encode(request_id)
        if not frames:
            msg = f"dialect must have a template of the request for {what}, got an empty one"
            raise ConfigurationError(msg)
        reply = self.fanout.replies.expect(None, request_id)
        timer = self.clock.call_later(timeout, partial(self._give_up, request_id, what, timeout))
        [frame] = frames
        # Registered, so that a new connection sends it again.
        self._registry.queries[request_id] = PendingQuery(frame, "bars" if symbol else "", symbol)
        try:
            self._send(frame)
            found: Any = await reply
        finally:
            timer.cancel()
            self.fanout.replies.cancel(None, request_id)
            self._registry.queries.pop(request_id, None)
        if isinstance(found, Exception):
            raise found
        if isinstance(found.message, Refusal):
            refusal = found.message
            code = "" if refusal.code is None else str(refusal.code)
            cause = refusal.message or "no explanation given"
            raise MarketDataRefusedError(what=what, symbol=symbol, code=code, cause=cause)
        if not isinstance(found.message, kind):
            # Only the kind is named: the content of an unexpected frame may be anything, secrets included.
            problem = f"the reply has the id of this request and is of the kind {type(found.message).__name__}"
            raise MalformedResponseError(where=f"the reply to the request for {what}", problem=problem)
        return cast("ReplyReceived", found)

    def _give_up(self, request_id: str, what: str, timeout: float) -> None:
        """Resolve a query that has no reply in time, with the last frame that was not understood."""
        sync = self._subscription_sync()
        detail = f"the server did not answer the request for {what} within {timeout:g} s"
        detail += "" if sync is None else sync.unread
        late = RequestTimeoutError(method="STREAM", path=self._url, kind="timeout", detail=detail)
        self.fanout.replies.resolve(None, request_id, late)

    def _check_is_open(self) -> None:
        if self.supervisor is None:
            raise ClosedError("the stream")

    def _is_held(self, key: SubscriptionKey, detail: Detail) -> bool:
        sync = self._subscription_sync()
        return sync is not None and sync.holds(key, detail)

    def _send(self, frame: bytes) -> None:
        sync = self._subscription_sync()
        if self.supervisor is not None and sync is not None:
            sync.send(frame)
            self.supervisor.flush()

    def _sync(self, keys: tuple[SubscriptionKey, ...]) -> None:
        sync = self._subscription_sync()
        if self.supervisor is not None and sync is not None:
            sync.sync(keys, self.clock.now())
            self.supervisor.flush()

    def _subscription_sync(self) -> MarketDataSync | None:
        """Return the subscription state of the connection, or None without a connection."""
        connection = None if self.supervisor is None else self.supervisor.connection
        return None if connection is None else cast("MarketDataSync", connection.protocol.sync)


async def _wait_all(awaited: Iterable[asyncio.Future[Any]]) -> None:
    """Wait for all replies, then raise the first that is an error.

    The futures are shielded: another call may await the same ones.
    """
    results = [await asyncio.shield(future) for future in awaited]
    for error in results:
        if error is not None:
            raise error
