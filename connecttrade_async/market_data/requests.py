"""A loop: where consumers of market data ask, and wait until the server has answered.

Its vow: whoever gives up waiting, leaves nothing behind that is asked for in his name.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from connecttrade_async.errors import (
    ClosedError,
    MalformedResponseError,
    MarketDataRefusedError,
    RequestTimeoutError,
)
from connecttrade_async.market_data import codec
from connecttrade_async.market_data.registry import PendingClaims, Question
from connecttrade_async.models.market import SymbolRefused
from connecttrade_async.streaming.codec import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import msgspec

    from connecttrade_async.clock import Clock
    from connecttrade_async.market_data.fanout import MarketDataFanout
    from connecttrade_async.market_data.registry import Detail, SubscriptionKey, SubscriptionRegistry
    from connecttrade_async.market_data.subscription_sync import MarketDataSync
    from connecttrade_async.market_data.sync_events import ReplyReceived
    from connecttrade_async.streaming.filters import Predicate
    from connecttrade_async.streaming.subscriptions import Subscription
    from connecttrade_async.streaming.supervisor import Supervisor

__all__ = ["MarketDataRequests"]


class MarketDataRequests:
    """Asks in the name of consumers.

    Args:
        demands: what is wanted.
        routes: where it is delivered.
        clock: time.
        url: where it is asked, for what errors say.

    Attributes:
        routes: where events are delivered.
        clock: time.
        supervisor: keeps the stream alive, once it is open.
    """

    def __init__(self, demands: SubscriptionRegistry, routes: MarketDataFanout, clock: Clock, url: str) -> None:
        self._demands = demands
        self._url = url
        self._claims: PendingClaims[tuple[Subscription, SubscriptionKey]] = PendingClaims()
        self.routes = routes
        self.clock = clock
        self.supervisor: Supervisor | None = None

    async def subscribe(
        self,
        who: Subscription,
        items: Iterable[SubscriptionKey],
        width: Detail,
        choice: Predicate | None,
        backfill: int = 0,
    ) -> frozenset[SubscriptionKey]:
        """Ask for symbols; returns when the server has acknowledged them all.

        Args:
            who: the consumer.
            items: the symbols.
            width: in which form.
            choice: what the consumer takes of them, or None for all.
            backfill: how many bars of the past to ask for with those that the server does not hold.

        Returns:
            The symbols that the server acknowledged with so many bars of the past.

        Raises:
            MarketDataRefusedError: the server refuses one of them; then none is asked for.
            ClosedError: this consumer has ended.
            ConnectTradeError: the stream has ended, with why.

        Cancelling gives them up.
        """
        self._check_is_open()
        self.routes.check_is_open(who)
        items, had, claim = tuple(dict.fromkeys(items)), self.routes.items(who), object()
        fresh = [(who, item) for item in items if item not in had or (who, item) in self._claims]
        self._claims.add(claim, fresh)
        for item in items:
            if item not in had:
                self.routes.attach(who, item, choice)
        self._demands.add(who, items, width)
        absent = [item for item in items if not self._is_held(item, width)]
        awaited = [self.routes.expect(who, item) for item in absent]
        if backfill:
            self._demands.backfills |= dict.fromkeys(absent, backfill)
        self._sync(items)
        try:
            await _answered(awaited)
        except BaseException:
            # Others may wait for the same still; and what the server refused is held no more, though it was before.
            unclaimed = [item for _, item in self._claims.cancel(claim, fresh)]
            self.unsubscribe(who, [*unclaimed, *(item for item in items if not self._demands.is_wanted_by(who, item))])
            raise
        self._claims.confirm(claim, fresh)
        return frozenset(item for item in absent if backfill and self._demands.backfilled.get(item, 0) >= backfill)

    def unsubscribe(self, who: Subscription, items: Iterable[SubscriptionKey]) -> None:
        """Ask for symbols no more, and tell nothing more of them; harmless where nobody asks."""
        items = tuple(items)
        for item in items:
            self.routes.expect_no_more(who, item)
            self.routes.detach(who, item)
        self._claims.clear((who, item) for item in items)
        gone = {item.symbol for item in items}
        who.discard(lambda event: getattr(event, "symbol", None) in gone and not isinstance(event, SymbolRefused))
        self._demands.remove(who, items)
        self._sync(items)

    def unsubscribe_all(self, who: Subscription) -> None:
        """Ask for nothing any more in this name, whatever was delivered last."""
        self.unsubscribe(who, self._demands.wanted_by(who))

    async def history(self, symbol: str, interval: str, facts: Mapping[str, object], timeout: float) -> ReplyReceived:
        """Ask for bars of the past.

        Raises:
            MarketDataRefusedError: the server refuses.
            RequestTimeoutError: no answer in time.
            MalformedResponseError: the answer is of another kind.
            ConnectTradeError: the stream has ended, with why.
        """
        spell = partial(codec.encode_snapshot, symbol=symbol, interval=interval, facts=facts)
        return await self._request("history", symbol, spell, timeout, codec.Snapshot)

    async def list_subscriptions(self, timeout: float) -> ReplyReceived:
        """Ask for the server's list of subscriptions; raises as ``encode_snapshot``."""
        return await self._request("subscriptions", "", codec.encode_list, timeout, codec.Subscriptions)

    async def _request(
        self, what: str, symbol: str, spell: Callable[[str], bytes], timeout: float, kind: type[msgspec.Struct]
    ) -> ReplyReceived:
        self._check_is_open()
        number = next(self._demands.numbers)
        answer = self.routes.expect(None, number)
        detail = f"no answer to the question for {what} within {timeout:g} s"
        late = RequestTimeoutError(method="STREAM", path=self._url, kind="timeout", detail=detail)
        timer = self.clock.call_later(timeout, partial(self.routes.answer, None, number, late))
        frame = spell(number)
        self._demands.request_ids[number] = Question(frame, "bars" if symbol else "", symbol)
        try:
            self._send(frame)
            found: Any = await answer
        finally:
            timer.cancel()
            self.routes.expect_no_more(None, number)
            self._demands.request_ids.pop(number, None)
        if isinstance(found, Exception):
            raise found
        if isinstance(found.message, Refusal):
            refusal = found.message
            code = "" if refusal.code is None else str(refusal.code)
            cause = refusal.message or "no explanation given"
            raise MarketDataRefusedError(what=what, symbol=symbol, code=code, cause=cause)
        if not isinstance(found.message, kind):
            # By its kind alone: what stands in a frame that was not asked for may be anything.
            problem = f"the answer has the id of this request and is of the kind {type(found.message).__name__}"
            raise MalformedResponseError(where=f"the answer to the request for {what}", problem=problem)
        return cast("ReplyReceived", found)

    def _check_is_open(self) -> None:
        if self.supervisor is None:
            raise ClosedError("the stream")

    def _is_held(self, item: SubscriptionKey, width: Detail) -> bool:
        talk = self._subscription_sync()
        return talk is not None and talk.holds(item, width)

    def _send(self, frame: bytes) -> None:
        # On a link that takes over, too: the answer may be lost with the one that is left.
        if self.supervisor is not None:
            for voice in self.supervisor.connections:
                cast("MarketDataSync", voice.protocol.sync).send(frame)
            self.supervisor.flush()

    def _sync(self, items: tuple[SubscriptionKey, ...]) -> None:
        if self.supervisor is not None:
            for voice in self.supervisor.connections:
                cast("MarketDataSync", voice.protocol.sync).sync(items, self.clock.now())
            self.supervisor.flush()

    def _subscription_sync(self) -> MarketDataSync | None:
        """Return what is said on the link that counts."""
        voices = () if self.supervisor is None else self.supervisor.connections
        return cast("MarketDataSync", voices[0].protocol.sync) if voices else None


async def _answered(awaited: Iterable[asyncio.Future[Any]]) -> None:
    """Wait for all the answers, of which others may wait for some; raise the first that is an error."""
    answers = [await asyncio.shield(future) for future in awaited]
    for error in answers:
        if error is not None:
            raise error
