"""Synchronize the subscriptions of one connection with the registry of desired subscriptions.

Each symbol of a channel key has a state on this connection::

    ABSENT     the server does not hold it
    REQUESTED  a subscribe request awaits its reply
    HELD       the server acknowledged it, with one detail
    RELEASING  an unsubscribe request awaits its reply

``sync`` compares the state of symbols with the registry, subscribes to the missing ones, and unsubscribes from the
surplus. It runs when the registry changes, and again for the symbols of each reply. It skips symbols that await
a reply. So the order of changes and replies does not matter: once every reply has come, both sides agree.

A reply belongs to the request with its id. A reply without an id belongs to the only open request that it fits; where
it fits several, it is applied to none, and the protocol delivers it as an ``UnknownMessage``. A request without a reply
in time is sent again with a new id, and a reply to the old id still counts. A rejection of many symbols does not name
the bad one, so each half is requested by itself, down to a single symbol; where the rejection has no id, one after the
other. A rejection without an id may mean an earlier request, so its symbol is requested once more; the second rejection
is final. A rejection that names channels or symbols concerns only these. Where it names a held subscription, the client
requests the server's list.

A symbol held with too little detail is unsubscribed and subscribed again. No message carries its detail, so holding
both for a while would deliver trades twice. Data may be missed between the two: each requester that had the narrower
detail receives a gap once the server holds the symbol again. The same holds for a symbol missing in the server's list.
"""

from __future__ import annotations

from collections import defaultdict, deque
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from connecttrade_async.errors import one_line
from connecttrade_async.market_data.codec import (
    AcceptedRequest,
    BarSnapshot,
    ListedSubscription,
    ProvenSubscription,
    SubscriptionList,
    channels_of,
    symbols_of,
)
from connecttrade_async.market_data.names import CHAIN, CHANNELS
from connecttrade_async.market_data.registry import ChannelKey, Detail, SubscriptionKey, covers, options_of
from connecttrade_async.market_data.sync_events import (
    DataMissed,
    ReplyReceived,
    SubscriptionConfirmed,
    SubscriptionDiff,
    SubscriptionRejected,
)
from connecttrade_async.models.market import Bar, OptionsChain
from connecttrade_async.streaming.codec import Refusal, Subscribed, Unsubscribed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from connecttrade_async.market_data.codec import MarketDataCodec
    from connecttrade_async.market_data.registry import SubscriptionRegistry
    from connecttrade_async.models.market import MarketUpdate

__all__ = ["MarketDataSync", "ReplyPolicy"]

NO_REPLY = "the server did not answer {} requests"
NOT_NAMED = "the server acknowledged only other symbols of the request"
TRANSIENT = frozenset({"429", "500", "502", "503", "504"})  # (assumed) as over REST, a retry may succeed
OVERSIZED = "1009"  # the close code for a message that is too big (RFC 6455)
TOO_LARGE = "the server's frame for it exceeded the size limit and ended the connection twice"
TOO_LARGE_FOR_ONE = "a frame that names no open query exceeded the size limit and ended the connection twice"
CALM = 600.0  # seconds without a repetition after which the pauses start over
MAX_PAUSE = 60.0
MAX_NAMED = 20  # symbols that an error text names


class ReplyPolicy(NamedTuple):
    """Time-out and attempts of subscription requests.

    Attributes:
        seconds: the time-out of one attempt.
        attempts: the number of attempts.
    """

    seconds: float = 3.0
    attempts: int = 3


class HoldState(Enum):
    """ConnectionState of a symbol that is not absent."""

    REQUESTED = "requested"
    HELD = "held"
    RELEASING = "releasing"


class SymbolSubscription(NamedTuple):
    """ConnectionState of a symbol, its detail, and since when, on the monotonic clock."""

    state: HoldState
    detail: Detail
    since: float


class RepetitionBackoff:
    """Growing pauses between repetitions: each doubles, up to ``MAX_PAUSE``; they start over after ``CALM`` seconds.

    Args:
        first: the first pause, in seconds.
    """

    __slots__ = ("_first", "_last_at", "_pause")

    def __init__(self, first: float) -> None:
        self._first = first
        self._pause = 0.0
        self._last_at: float | None = None

    def next_at(self, now: float) -> float:
        """Return the earliest time of the next repetition."""
        return now if self._last_at is None else max(now, self._last_at + self._pause)

    def record(self, now: float) -> None:
        """Record a repetition at this time."""
        is_calm = self._last_at is None or now - self._last_at > CALM
        self._pause = self._first if is_calm else min(self._pause * 2, MAX_PAUSE)
        self._last_at = now


class PendingRequest(msgspec.Struct, eq=False):
    """A subscribe or unsubscribe request that awaits its reply; it may be pending under several ids.

    Attributes:
        action: ``subscribe`` or ``unsubscribe``.
        channel_key: the channel and its options.
        detail: the requested detail.
        symbols: the symbols.
        due_at: when the reply is overdue, on the monotonic clock.
        is_first: whether it was sent at the start of the connection.
        backfill: number of past bars to request with it.
        is_second_try: whether an error that may have meant another request was received before.
        was_denied_backfill: whether the server rejected it with a backfill.
        attempt: the number of this attempt, from 1 on.
        code: the code of the last error.
        cause: the text of the last error.
        widens: whether the server sent the symbols with less detail until now, so that events prove nothing.
        proven: the symbols of which events came since it was sent.
    """

    action: str
    channel_key: ChannelKey
    detail: Detail
    symbols: tuple[str, ...]
    due_at: float
    is_first: bool
    backfill: int = 0
    is_second_try: bool = False
    was_denied_backfill: bool = False
    attempt: int = 1
    code: str = ""
    cause: str = ""
    widens: bool = False
    proven: frozenset[str] = frozenset()

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self.channel_key.channel

    @property
    def keys(self) -> tuple[SubscriptionKey, ...]:
        """The subscriptions that it requests."""
        return tuple(SubscriptionKey(self.channel_key, symbol) for symbol in self.symbols)


class MarketDataSync:
    """Subscription state of one connection.

    Args:
        registry: the desired subscriptions.
        codec: decodes the frames of this connection.
        policy: time-out and attempts of requests.

    Attributes:
        missing: the unconfirmed subscriptions of the start, for the error of the login deadline.
        outbox: frames to send, in order; the sender empties it.
        sync_events: results to apply, in order; the supervisor empties it.
    """

    kinds: tuple[type, ...] = (
        Subscribed,
        Unsubscribed,
        SubscriptionList,
        BarSnapshot,
        AcceptedRequest,
        ProvenSubscription,
    )
    has_ids = True
    broken = ""
    __slots__ = (
        "_codec",
        "_deferred",
        "_encoder",
        "_held",
        "_is_confirmed_by_events",
        "_is_open",
        "_list_backoff",
        "_list_due",
        "_missing_backoffs",
        "_pending",
        "_policy",
        "_proven",
        "_registry",
        "_unsolicited_backoff",
        "missing",
        "outbox",
        "sync_events",
    )

    def __init__(
        self,
        registry: SubscriptionRegistry,
        codec: MarketDataCodec,
        policy: ReplyPolicy = ReplyPolicy(),  # noqa: B008 - it is immutable
    ) -> None:
        self._registry = registry
        self._codec = codec
        self._encoder = codec.encoder
        self._policy = policy
        self._is_open = False
        self._list_due: float | None = None
        self._list_backoff = RepetitionBackoff(policy.seconds)
        self._unsolicited_backoff = RepetitionBackoff(policy.seconds)
        self._missing_backoffs: dict[SubscriptionKey, RepetitionBackoff] = {}
        self._held: dict[SubscriptionKey, SymbolSubscription] = {}
        self._pending: dict[str, PendingRequest] = {}
        self._deferred: deque[PendingRequest] = deque()
        self._proven: dict[str, PendingRequest] = {}
        self._is_confirmed_by_events = False
        self.missing: tuple[str, ...] = ()
        self.outbox: list[bytes] = []
        self.sync_events: list[SubscriptionConfirmed | DataMissed | SubscriptionRejected | ReplyReceived] = []

    @property
    def is_settled(self) -> bool:
        """Whether every request sent at the start is answered."""
        return not any(request.is_first for request in (*self._pending.values(), *self._deferred))

    @property
    def unread(self) -> str:
        """The last frame that was not understood, with words before it, or ``""``."""
        return f"; the last frame that was not understood: {self._codec.unread}" if self._codec.unread else ""

    @property
    def deadline(self) -> float | None:
        """When to call ``check``, on the monotonic clock, or None for never."""
        dues = [request.due_at for request in self._pending.values()]
        return min(dues if self._list_due is None else [*dues, self._list_due], default=None)

    def start(self, now: float) -> None:
        """Subscribe to every requested symbol, in few frames, and repeat the open queries of the last connection."""
        self._is_open = True
        self._sync(self._registry.keys, now, is_first=True)
        self.outbox += [query.frame for query in self._registry.queries.values()]
        self._update_awaited()

    def end(self) -> None:
        """Clear all state: the connection is closed, and the server has dropped its subscriptions."""
        self._is_open = False
        self._list_due = None
        self._held.clear()
        self._pending.clear()
        self._deferred.clear()
        self._proven.clear()
        self._update_awaited()

    def holds(self, key: SubscriptionKey, detail: Detail) -> bool:
        """Whether the server holds a symbol with at least this detail."""
        held = self._held.get(key)
        return held is not None and held.state is HoldState.HELD and covers(key.channel, held.detail, detail)

    def sync(self, keys: Iterable[SubscriptionKey], now: float) -> None:
        """Subscribe to those of these symbols that are missing, and unsubscribe from the surplus."""
        if self._is_open:
            self._sync(keys, now, is_first=not self.is_settled)
            self._update_awaited()

    def send(self, frame: bytes) -> None:
        """Send the frame of a query; its reply is a ``ReplyReceived`` event."""
        if self._is_open:
            self.outbox.append(frame)
            self._update_awaited()

    def _update_awaited(self) -> None:
        """Let the codec know what is awaited, which decides what a frame can mean."""
        self._codec.pending = bool(self._pending or self._registry.queries)
        unanswered = (*self._pending.values(), *self._deferred)
        first = {id(each): each for each in unanswered if each.is_first and each.action == "subscribe"}
        self.missing = tuple(f"{each.channel} of {_listed(each.symbols)}" for each in first.values())
        if not self._pending:
            # Symbols are added with their requests. One that is confirmed may stay until then: it is only looked up.
            self._codec.awaited.clear()

    def receive(self, message: Any, now: float) -> bool:  # noqa: ANN401 - one of its kinds
        """Apply a reply; return False for one that was applied to nothing, although it may answer an open request."""
        is_placed = self._receive(message, now)
        self._send_deferred(now)
        self._update_awaited()
        return is_placed

    def _receive(self, message: Any, now: float) -> bool:  # noqa: ANN401 - one of its kinds
        match message:
            case BarSnapshot():
                request_id = self._query_id(message.id, is_history=True, symbol=message.symbol)
                self.sync_events.append(ReplyReceived(request_id, message))
                return request_id in self._registry.queries or request_id in self._registry.request_ids
            case SubscriptionList():
                return self._on_list(message, now)
            case ProvenSubscription():
                self._on_proven(message.event, now)
                return True
            case AcceptedRequest():
                self._on_accepted(message, now)
                return True
            case _:
                return self._on_confirmed(message, now)

    def _send_deferred(self, now: float) -> None:
        """Send the next request that waits until no other is pending."""
        if self._deferred and not self._pending:
            self._send(self._deferred.popleft(), now)

    def _queries_of(self, *, is_history: bool, symbol: str | None = None) -> list[str]:
        """Return the ids of the open queries of a kind, and of a symbol if it is not None."""
        return [
            request_id
            for request_id, query in self._registry.queries.items()
            if bool(query.channel) is is_history and symbol in {None, query.symbol}
        ]

    def _query_id(self, reply_id: str | int | None, *, is_history: bool, symbol: str | None = None) -> str:
        """Return the id of the query that a reply belongs to: without an id, that of the only one that it fits."""
        if reply_id is not None:
            return str(reply_id)
        ids = self._queries_of(is_history=is_history, symbol=symbol)
        return ids[0] if len(ids) == 1 else str(None)

    def _on_list(self, message: SubscriptionList, now: float) -> bool:
        request_id = self._query_id(message.id, is_history=False)
        if message.id is None and request_id not in self._registry.queries:
            self._confirm_listed(message.entries, now)
        # Compared at this position in the order of replies, which is the order of the requests.
        may_compare = message.is_whole and self._may_compare(request_id, now)
        difference = self._compare(message.entries, now) if may_compare else None
        self.sync_events.append(ReplyReceived(request_id, message, difference))
        return message.id is not None or len(self._queries_of(is_history=False)) <= 1

    def _confirm_listed(self, entries: Iterable[ListedSubscription], now: float) -> None:
        """Confirm what a list without a request names: some servers answer a subscription with the whole list."""
        for entry in entries:
            for symbol in entry.symbols:
                requests = [
                    request
                    for request in self._awaiting(entry.channel, symbol)
                    if _matches_entry(
                        SubscriptionKey(request.channel_key, symbol),
                        SymbolSubscription(HoldState.REQUESTED, request.detail, now),
                        entry,
                    )
                ]
                if len(requests) == 1:
                    self._confirm(requests[0], (symbol,), now)

    def _awaiting(self, channel: str, symbol: str) -> list[PendingRequest]:
        """Return the pending subscriptions of a symbol that a sign other than a reply can confirm."""
        requests = {id(each): each for each in self._pending.values()}.values()
        return [
            each
            for each in requests
            if each.action == "subscribe" and each.channel == channel and symbol in each.symbols and not each.widens
        ]

    def _on_proven(self, event: MarketUpdate, now: float) -> None:
        """Confirm the subscription that an event belongs to."""
        requests = [each for each in self._awaiting(event.topic, event.symbol) if _may_belong(event, each.channel_key)]
        is_held = any(
            held.state is not HoldState.REQUESTED
            and (key.channel, key.symbol) == (event.topic, event.symbol)
            and _may_belong(event, key.channel_key)
            for key, held in self._held.items()
        )
        if len(requests) != 1 or is_held:
            return  # the event may belong to another subscription
        if self._is_confirmed_by_events:
            self._confirm_by_events(requests[0], (event.symbol,), now)
        else:
            # A refusal may still come: the server may send events before it answers. So the time-out decides.
            requests[0].proven |= {event.symbol}

    def _confirm_by_events(self, request: PendingRequest, symbols: tuple[str, ...], now: float) -> None:
        self._is_confirmed_by_events = True
        proven = msgspec.structs.replace(request, symbols=symbols)
        self._proven |= {request_id: proven for request_id, each in self._pending.items() if each is request}
        self._confirm(request, symbols, now)

    def _on_accepted(self, message: AcceptedRequest, now: float) -> None:
        request = self._pending.get(str(message.id))
        kind = Unsubscribed if request is not None and request.action == "unsubscribe" else Subscribed
        self._on_confirmed(kind(id=message.id), now)

    def refuse(self, refusal: Refusal, now: float) -> bool:
        """Apply an error frame; return whether it belongs to a request.

        An error that names channels or symbols never affects others. An error that fits several open requests affects
        none of them.
        """
        is_placed = self._place(refusal, now)
        self._send_deferred(now)
        self._update_awaited()
        return is_placed

    def _place(self, refusal: Refusal, now: float) -> bool:
        if refusal.id is not None:
            return self._refuse_by_id(refusal, str(refusal.id), now)
        if not refusal.scope:
            return self._refuse_only(self._open_requests(), list(self._registry.queries), refusal, now)
        if not (symbols_of(refusal) or channels_of(refusal)):
            return False  # a user, an account, or a topic of the other stream
        requests = [each for each in self._open_requests() if _names_any(refusal, each.channel, each.symbols)]
        queries = [
            request_id
            for request_id, query in self._registry.queries.items()
            if _names_any(refusal, query.channel, (query.symbol,))
        ]
        if not (requests or queries):
            self._verify_held(channels_of(refusal), symbols_of(refusal), now)
        return self._refuse_only(requests, queries, refusal, now)

    def _open_requests(self) -> list[PendingRequest]:
        return list({id(each): each for each in self._pending.values()}.values())

    def _refuse_only(self, requests: list[PendingRequest], queries: list[str], refusal: Refusal, now: float) -> bool:
        """Apply an error without an id where it may mean only one request or query; return whether it does."""
        if len(requests) + len(queries) != 1:
            return False
        for query in queries:
            self._reject_query(query, refusal)
        for request in requests:
            self._refuse_part(request, refusal, now, is_certain=bool(symbols_of(refusal)))
        return True

    def outgrown(self, frame: bytes, now: float) -> bool:
        """Record a frame that exceeded the size limit; reject its subscription or query the second time.

        Otherwise every new connection would request the same frame, and end. A frame that names no channel counts as
        the reply to the query that it names. Where it names none, each open query is rejected, since any of them may
        have caused it; no symbol is rejected for it.

        Args:
            frame: the beginning of the frame.
            now: the time on the monotonic clock.

        Returns:
            Whether a subscription or query was rejected.
        """
        named = self._codec.named_in(frame)
        request_id, kind = named.get("id"), named.get("kind", "")
        channels = self._encoder.names.channels_among([kind])
        if channels:
            symbol = named.get("symbol")
            keys = [key for key in self._held if key.channel in channels and key.symbol == symbol]
            refused = [key for key in keys if self._registry.record_oversized(key, now)]
            for key in refused:
                requesters = self._registry.drop_rejected(key, self._held.pop(key).detail)
                self.sync_events.append(SubscriptionRejected(key, OVERSIZED, TOO_LARGE, requesters))
            return bool(refused)
        open_ids = list(self._registry.queries)
        suspects = [request_id] if request_id in self._registry.queries else open_ids
        text = TOO_LARGE if len(suspects) == 1 else TOO_LARGE_FOR_ONE
        refused_ids = [each for each in suspects if self._registry.record_oversized(each, now)]
        for each in refused_ids:
            self._reject_query(each, Refusal(OVERSIZED, text, each))
        return bool(refused_ids)

    def check(self, now: float) -> None:
        """Repeat requests that were not answered in time; abandon them after the last attempt."""
        self._check(now)
        self._send_deferred(now)
        self._update_awaited()

    def _check(self, now: float) -> None:
        if self._list_due is not None and now >= self._list_due:
            self._request_list(now)
        for request in {id(each): each for each in self._pending.values() if now >= each.due_at}.values():
            if request.proven:
                self._confirm_by_events(request, tuple(each for each in request.symbols if each in request.proven), now)
                request.proven = frozenset()
            if request not in self._pending.values():
                continue
            if self._is_assumed(request):
                self._assume(request, now)
            # A request of the start is repeated until the login deadline: silence is no rejection.
            elif request.is_first or request.attempt < self._policy.attempts:
                request.attempt += 1
                request.backfill = 0  # a server may ignore a request with an option that it does not know
                self._send(request, now)
            else:
                self._abandon(request, now)

    def _sync(self, keys: Iterable[SubscriptionKey], now: float, *, is_first: bool) -> None:
        missing: defaultdict[tuple[ChannelKey, Detail, int, bool], list[str]] = defaultdict(list)
        surplus: defaultdict[tuple[ChannelKey, Detail], list[str]] = defaultdict(list)
        for key in dict.fromkeys(keys):
            held = self._held.get(key)
            if held is not None and held.state is not HoldState.HELD:
                continue
            if key not in self._registry:
                if held is not None:
                    surplus[key.channel_key, held.detail].append(key.symbol)
                continue
            detail = self._registry.detail(key)
            backfill = self._registry.backfills.get(key, 0) if self._registry.takes_backfill else 0
            if held is None:
                missing[key.channel_key, detail, backfill, False].append(key.symbol)
            elif not covers(key.channel, held.detail, detail):
                # Unsubscribe first: a server that keeps one detail of each symbol would otherwise drop the new one.
                self._send_unsubscribe(key.channel, [key.symbol], options_of(key.channel_key, held.detail))
                self._registry.mark_broken(key, held.detail, now)
                missing[key.channel_key, detail, backfill, True].append(key.symbol)
        for (channel_key, detail), symbols in surplus.items():
            self._request("unsubscribe", channel_key, detail, symbols, now, is_first=is_first)
        for (channel_key, detail, backfill, widens), symbols in missing.items():
            self._request(
                "subscribe", channel_key, detail, symbols, now, is_first=is_first, backfill=backfill, widens=widens
            )

    def _request(
        self,
        action: str,
        channel_key: ChannelKey,
        detail: Detail,
        symbols: Sequence[str],
        now: float,
        *,
        is_first: bool,
        backfill: int = 0,
        widens: bool = False,
    ) -> None:
        state = HoldState.REQUESTED if action == "subscribe" else HoldState.RELEASING
        for symbol in symbols:
            self._held[SubscriptionKey(channel_key, symbol)] = SymbolSubscription(state, detail, now)
        for batch in self._encoder.batches(channel_key.channel, symbols):
            request = PendingRequest(action, channel_key, detail, batch, 0.0, is_first, backfill, widens=widens)
            self._send(request, now)

    def _send(self, request: PendingRequest, now: float) -> None:
        request_id = next(self._registry.request_ids)
        request.due_at = now + self._policy.seconds
        self._pending[request_id] = request
        options = options_of(request.channel_key, request.detail)
        if request.action == "subscribe" and not request.widens and self._encoder.handshake.subscription != "wait":
            self._codec.awaited.update((request.channel, symbol) for symbol in request.symbols)
        if self._is_assumed(request):
            request.due_at = now + self._encoder.handshake.subscription_after
        if request.backfill:
            options["backfill"] = request.backfill
        encode = self._encoder.subscribe if request.action == "subscribe" else self._encoder.unsubscribe
        frames = encode(request_id, request.channel, request.symbols, options)
        self.outbox += frames
        if not frames:
            request.due_at = now  # the server has no such request, so nothing is awaited

    def _is_assumed(self, request: PendingRequest) -> bool:
        """Whether silence confirms a request: the dialect says so, or it was not sent since the server has none."""
        is_sent = request.action == "subscribe" or self._encoder.has_unsubscribe
        return not is_sent or self._encoder.handshake.subscription == "assume"

    def _assume(self, request: PendingRequest, now: float) -> None:
        if request.action == "subscribe":
            self._confirm(request, request.symbols, now)
        else:
            self._remove_pending(request)
            self._on_released(request, now)

    def _send_unsubscribe(self, channel: str, symbols: Sequence[str], options: dict[str, Any]) -> None:
        """Unsubscribe without awaiting the reply."""
        for batch in self._encoder.batches(channel, symbols):
            request_id = next(self._registry.request_ids)
            self.outbox += self._encoder.unsubscribe(request_id, channel, batch, options)

    def _compare(self, entries: Iterable[ListedSubscription], now: float) -> SubscriptionDiff:
        """Compare the server's list with this connection's state, and correct the differences.

        Symbols that await a reply are skipped: their state may have changed after the server wrote the list.
        """
        unseen = {key for key, held in self._held.items() if held.state is HoldState.HELD}
        known: defaultdict[tuple[str, str], list[SubscriptionKey]] = defaultdict(list)
        for key in self._held:
            known[key.channel, key.symbol].append(key)
        extra: list[ListedSubscription] = []
        for entry in entries:
            matched = {
                symbol: [key for key in known[entry.channel, symbol] if _matches_entry(key, self._held[key], entry)]
                for symbol in entry.symbols
            }
            unseen.difference_update(*matched.values())
            if surplus := tuple(symbol for symbol, keys in matched.items() if not keys):
                extra.append(ListedSubscription(entry.channel, surplus, entry.options))
                self._send_unsubscribe(entry.channel, surplus, entry.options)
        missing = tuple(sorted(unseen, key=str))
        # Limited: where the list never names a held symbol, each list would cause a resubscription and a gap.
        due = tuple(key for key in missing if self._may_resubscribe(key, now))
        for key in due:
            held = self._held.pop(key)
            self._registry.mark_broken(key, held.detail, held.since)
        self._sync(due, now, is_first=False)
        return SubscriptionDiff(missing, tuple(extra))

    def _may_compare(self, request_id: str, now: float) -> bool:
        """Whether to correct the differences that a list shows: for an unsolicited list, only after growing pauses."""
        if request_id in self._registry.request_ids:
            return True
        if self._unsolicited_backoff.next_at(now) > now:
            return False
        self._unsolicited_backoff.record(now)
        return True

    def _may_resubscribe(self, key: SubscriptionKey, now: float) -> bool:
        """Record that the list does not name a held symbol; return whether to subscribe to it again now."""
        backoff = self._missing_backoffs.setdefault(key, RepetitionBackoff(self._policy.seconds))
        if backoff.next_at(now) > now:
            return False
        backoff.record(now)
        return True

    def _on_confirmed(self, reply: Subscribed | Unsubscribed, now: float) -> bool:
        """Apply a confirmation; return False where it may answer an open request and was applied to nothing."""
        action = "subscribe" if type(reply) is Subscribed else "unsubscribe"
        if reply.id is not None:
            request = self._pending.get(str(reply.id))
            requests = [request] if request is not None and request.action == action else []
        else:
            requests = self._fitting(action, reply.channel, reply.symbols)
        if len(requests) > 1:
            return False
        if not requests:
            return self._on_unsolicited(reply, now)
        request = requests[0]
        if action == "unsubscribe":
            self._remove_pending(request)
            self._on_released(request, now)
            return True
        # An acknowledgement that names symbols leaves out the others; the symbols of a chain may be its contracts.
        named = None if request.channel == CHAIN else reply.symbols
        self._confirm(request, tuple(each for each in request.symbols if named is None or each in named), now)
        return True

    def _confirm(self, request: PendingRequest, held: tuple[str, ...], now: float) -> None:
        """Take symbols of a request as held; the others stay pending until their time-out."""
        others = tuple(symbol for symbol in request.symbols if symbol not in held)
        if others:
            request.symbols, request.cause = others, NOT_NAMED
        else:
            self._remove_pending(request)
        keys = tuple(SubscriptionKey(request.channel_key, symbol) for symbol in held)
        self._held |= dict.fromkeys(keys, SymbolSubscription(HoldState.HELD, request.detail, now))
        for key in keys:
            if self._registry.backfills.pop(key, None) is not None:
                self._registry.backfilled[key] = request.backfill
        self._registry.takes_backfill = self._registry.takes_backfill and not request.was_denied_backfill
        if keys:
            self.sync_events.append(SubscriptionConfirmed(keys))
        for requester, (since, symbols) in self._registry.mark_restored(keys).items():
            cause = f"{request.channel} of {', '.join(symbols)} was resubscribed"
            self.sync_events.append(DataMissed(requester, now - since, one_line(cause)))
        self._sync(keys, now, is_first=False)

    def _refuse_by_id(self, refusal: Refusal, request_id: str, now: float) -> bool:
        request = self._pending.get(request_id)
        if request is None and request_id in self._proven:
            self._refuse_proven(self._proven.pop(request_id), refusal, now)
            return True
        if request is None:
            self.sync_events.append(ReplyReceived(request_id, refusal))
            return request_id in self._registry.request_ids  # of a request that was answered or abandoned
        if not _names_any(refusal, request.channel, request.symbols):
            return False
        self._refuse_part(request, refusal, now, is_certain=True)
        return True

    def _refuse_proven(self, request: PendingRequest, refusal: Refusal, now: float) -> None:
        """Reject symbols that events had confirmed: the server answered after all, and refused them."""
        symbols = symbols_of(refusal)
        code, cause = "" if refusal.code is None else str(refusal.code), refusal.message or "no explanation given"
        for key in request.keys:
            held = self._held.get(key)
            if held is not None and held.state is HoldState.HELD and (not symbols or key.symbol in symbols):
                del self._held[key]
                requesters = self._registry.drop_rejected(key, request.detail)
                self.sync_events.append(SubscriptionRejected(key, code, cause, requesters))
                self._sync([key], now, is_first=False)

    def _verify_held(self, channels: frozenset[str], symbols: frozenset[str], now: float) -> bool:
        """Request the server's list, after growing pauses, where it should hold what a frame names; return whether."""
        is_held = any(
            held.state is HoldState.HELD and key.symbol in symbols and (not channels or key.channel in channels)
            for key, held in self._held.items()
        )
        if is_held and self._list_due is None:
            self._list_due = self._list_backoff.next_at(now)
            if self._list_due <= now:
                self._request_list(now)
        return is_held

    def _request_list(self, now: float) -> None:
        self._list_due = None
        self._list_backoff.record(now)
        self.outbox += self._encoder.listing(next(self._registry.request_ids))

    def _reject_query(self, query: str, refusal: Refusal) -> None:
        self.sync_events.append(ReplyReceived(query, refusal))
        del self._registry.queries[query]  # so that an error without an id does not mean it any more

    def _refuse_part(self, request: PendingRequest, refusal: Refusal, now: float, *, is_certain: bool) -> None:
        """Reject the symbols of a request that the error names, or all where it names none."""
        symbols = symbols_of(refusal)
        named = tuple(symbol for symbol in request.symbols if symbol in symbols)
        others = tuple(symbol for symbol in request.symbols if symbol not in symbols)
        refused = request
        if named and others:
            refused = msgspec.structs.replace(request, symbols=named)
            request.symbols = others
            self._send(request, now)  # the first id stays pending: the reply for these symbols may still come
        refused.code = "" if refusal.code is None else str(refusal.code)
        refused.cause = refusal.message or "no explanation given"
        self._refuse(refused, now, is_certain=is_certain, is_named=refused is not request)

    def _refuse(self, request: PendingRequest, now: float, *, is_certain: bool, is_named: bool) -> None:
        if request.action == "unsubscribe":
            # A rejected unsubscribe means that the server does not hold the symbols. Of several it may lack only one,
            # so the list is requested.
            self._remove_pending(request)
            self._on_released(request, now)
            self.outbox += self._encoder.listing(next(self._registry.request_ids))
        elif request.code in TRANSIENT:
            self._remove_pending(request)
            self._retry_later(request)
        elif request.backfill and not is_named:
            # The server may reject the backfill rather than the symbols.
            self._remove_pending(request)
            self._send(msgspec.structs.replace(request, backfill=0, was_denied_backfill=True), now)
        elif len(request.symbols) > 1 and not is_named:
            self._remove_pending(request)
            middle = len(request.symbols) // 2
            halves = [msgspec.structs.replace(request, symbols=request.symbols[:middle])]
            halves.append(msgspec.structs.replace(request, symbols=request.symbols[middle:]))
            if not is_certain:
                # Replies without an id are unambiguous only while one request is open.
                self._deferred.appendleft(halves.pop())
            for half in halves:
                self._send(half, now)
        elif is_certain or request.is_second_try:
            self._remove_pending(request)
            self._reject(request, now)
        else:
            # The first id stays pending: its reply may still come.
            request.is_second_try = True
            self._send(request, now)

    def _retry_later(self, request: PendingRequest) -> None:
        """Keep a request pending under a new id, so that its time-out repeats it."""
        self._pending[next(self._registry.request_ids)] = request

    def _abandon(self, request: PendingRequest, now: float) -> None:
        self._remove_pending(request)
        if request.action == "unsubscribe":
            self._on_released(request, now)
            return
        request.cause = (request.cause or NO_REPLY.format(request.attempt)) + self.unread
        self._reject(request, now)

    def _reject(self, request: PendingRequest, now: float) -> None:
        if request.attempt > 1:
            # An earlier request without a reply may have succeeded all the same.
            self._send_unsubscribe(request.channel, request.symbols, options_of(request.channel_key, request.detail))
        for key in request.keys:
            del self._held[key]
            requesters = self._registry.drop_rejected(key, request.detail)
            self.sync_events.append(SubscriptionRejected(key, request.code, request.cause, requesters))
        self._sync(request.keys, now, is_first=request.is_first)  # for requesters of a narrower detail

    def _on_released(self, request: PendingRequest, now: float) -> None:
        for key in request.keys:
            del self._held[key]
        # The server may have dropped other channel keys of the same symbols as well, so the list is requested.
        released = {(request.channel, symbol) for symbol in request.symbols}
        if any((key.channel, key.symbol) in released for key in self._held):
            self.outbox += self._encoder.listing(next(self._registry.request_ids))
        self._sync(request.keys, now, is_first=False)

    def _on_unsolicited(self, reply: Subscribed | Unsubscribed, now: float) -> bool:
        """Apply a reply that belongs to no pending subscription request; return False where it may be an answer."""
        request_id = str(reply.id)
        if request_id in self._registry.queries:
            self.sync_events.append(ReplyReceived(request_id, reply))
            return True
        if request_id in self._registry.request_ids:
            return True  # of a request that was answered or abandoned
        if type(reply) is Unsubscribed:
            channels = frozenset({reply.channel} if reply.channel in CHANNELS else ())
            if self._verify_held(channels, frozenset(reply.symbols or ()), now):
                return True
        return not self._pending

    def _fitting(self, action: str, channel: str | None, symbols: Sequence[str] | None) -> list[PendingRequest]:
        """Return the open requests that a confirmation without an id may answer."""
        return [
            request
            for request in self._open_requests()
            if action == request.action
            and channel in {None, request.channel}
            # A reply that names symbols belongs to a request for one of them; a chain may be named by its contracts.
            and (not symbols or request.channel == CHAIN or set(symbols).intersection(request.symbols))
        ]

    def _remove_pending(self, request: PendingRequest) -> None:
        for request_id in [request_id for request_id, each in self._pending.items() if each is request]:
            del self._pending[request_id]


def _listed(symbols: tuple[str, ...]) -> str:
    more = f" and {len(symbols) - MAX_NAMED} more" if len(symbols) > MAX_NAMED else ""
    return ", ".join(symbols[:MAX_NAMED]) + more


def _may_belong(event: MarketUpdate, channel_key: ChannelKey) -> bool:
    """Whether an event is of a channel key, by the options that it carries."""
    options = dict(channel_key.options)
    if isinstance(event, Bar):
        return event.interval == options.get("interval")
    if isinstance(event, OptionsChain):
        return options.get("expiration") in {None, event.expiration_text}
    return True


def _names_any(refusal: Refusal, channel: str, symbols: Iterable[str]) -> bool:
    """Whether an error may concern one of these symbols of a channel, by what it names."""
    channels, named = channels_of(refusal), symbols_of(refusal)
    return (not channels or channel in channels) and (not named or not named.isdisjoint(symbols))


def _matches_entry(key: SubscriptionKey, held: SymbolSubscription, entry: ListedSubscription) -> bool:
    """Whether an entry of the server's list may mean this subscription, by the options that it names."""
    named = {name: str(value).lower() for name, value in entry.options.items()}
    expected = options_of(key.channel_key, held.detail)
    return all(
        named.get(name, word) == word for name, value in expected.items() if (word := str(value).lower()) != "none"
    )
