"""Below the waterline: what is said on one link of market data, until the server holds what is wanted.

The theory. Each symbol of a line stands somewhere on this link::

    ABSENT    the server does not hold it
    ASKED     it was asked for, and the answer is awaited
    HELD      the server said that it holds it, in one width
    LEAVING   it was given up, and the answer is awaited

``mend`` compares where it stands with what is wanted and asks for what is missing and gives up what is too much. It is
called when something is wanted or not any more, and again for each symbol whose answer has come, and only symbols that
await no answer are looked at. So it does not matter in which order wishes and answers arrive: once all is answered,
the server holds what is wanted.

An answer belongs to its request by id; one without an id belongs to the oldest request that it could answer. A request
that is not answered in time is asked again with a new id, and the old one still counts. A refusal of many symbols does
not say which of them it means, so each half is asked for by itself, down to the one: it is told, and harms no other.
A refusal without an id may mean something else, or nothing that was asked, so a symbol is asked for once more before it
is turned down for one: what is refused twice is refused. A refusal that names channels or symbols concerns only these;
where it names what the server holds, the server is asked for its list, after pauses that grow.

What is held and wanted in a wider form is given up and asked for anew. Nothing says for which of two forms a message
came, so to hold both for a while would tell trades twice; between the two some may be missed, and whoever had the
narrower one is told so once the server holds it again. So is whoever wants what the server held no more by its list.
"""

from __future__ import annotations

from collections import defaultdict
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from connecttrade_async.errors import one_line
from connecttrade_async.market_data import codec
from connecttrade_async.market_data.codec import Snapshot, Subscriptions
from connecttrade_async.market_data.registry import ChannelKey, Detail, SubscriptionKey, covers, options_of
from connecttrade_async.market_data.sync_events import (
    DataMissed,
    ReplyReceived,
    SubscriptionConfirmed,
    SubscriptionDiff,
    SubscriptionRejected,
)
from connecttrade_async.streaming.codec import Refusal, Subscribed, Unsubscribed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from connecttrade_async.market_data.registry import SubscriptionRegistry

__all__ = ["MarketDataSync", "ReplyPolicy"]

NO_REPLY = "it was asked for {} times, and no answer came"
TRANSIENT = frozenset({"429", "500", "502", "503", "504"})  # Assumed: as over REST, these may go better later
OVERSIZED = "1009"  # the close code for a message that is too big (RFC 6455)
TOO_LARGE = "what the server sends for it is larger than the limit of a frame, and ended the connection twice"
CALM = 600.0  # seconds without doubt after which pauses begin anew
LONGEST_PAUSE = 60.0
MOST_SYMBOLS = 1000  # of one frame: some 10 kB, where servers close a connection on a frame that is too large for them


class ReplyPolicy(NamedTuple):
    """How long answers are waited for.

    Attributes:
        seconds: for one.
        attempts: how often the same is asked.
    """

    seconds: float = 3.0
    attempts: int = 3


class HoldState(Enum):
    """Where a symbol stands that is not absent."""

    ASKED = "asked"
    HELD = "held"
    LEAVING = "leaving"


class HeldSubscription(NamedTuple):
    """Where a symbol stands, in which width, and since when."""

    state: HoldState
    width: Detail
    since: float


class GrowingInterval:
    """When the same may be asked again out of doubt: pauses double, and begin anew only after a calm.

    Args:
        first: the first pause, in seconds.
    """

    __slots__ = ("_asked_at", "_first", "_pause")

    def __init__(self, first: float) -> None:
        self._first = first
        self._pause = 0.0
        self._asked_at: float | None = None

    def next_at(self, now: float) -> float:
        """Return the earliest moment at which it may be asked."""
        return now if self._asked_at is None else max(now, self._asked_at + self._pause)

    def asked(self, now: float) -> None:
        """Note that it is asked now."""
        is_calm = self._asked_at is None or now - self._asked_at > CALM
        self._pause = self._first if is_calm else min(self._pause * 2, LONGEST_PAUSE)
        self._asked_at = now


class PendingRequest(msgspec.Struct, eq=False):
    """One frame whose answer is awaited."""

    action: str
    line: ChannelKey
    width: Detail
    symbols: tuple[str, ...]
    due: float
    is_first: bool
    backfill: int = 0
    asked: int = 0
    is_doubted: bool = False
    was_denied_backfill: bool = False
    attempt: int = 1
    code: str = ""
    cause: str = ""

    @property
    def items(self) -> tuple[SubscriptionKey, ...]:
        """What it is about."""
        return tuple(SubscriptionKey(self.line, symbol) for symbol in self.symbols)


class MarketDataSync:
    """What is said on one link.

    Args:
        demands: what is wanted.
        patience: how long answers are waited for.

    Attributes:
        outbox: what is to be sent, in order; whoever sends it empties it.
        news: what is to be told, in order; whoever tells it empties it.
        is_over: whether its farewell is answered.
    """

    kinds: tuple[type, ...] = (Subscribed, Unsubscribed, Subscriptions, Snapshot)
    has_ids = True
    missing: tuple[str, ...] = ()
    broken = ""
    __slots__ = (
        "_demands",
        "_draining",
        "_held",
        "_is_open",
        "_list_due",
        "_list_interval",
        "_missing_intervals",
        "_pending",
        "_policy",
        "_unsolicited_interval",
        "is_over",
        "outbox",
        "sync_events",
    )

    def __init__(self, demands: SubscriptionRegistry, patience: ReplyPolicy = ReplyPolicy()) -> None:  # noqa: B008 - it is immutable
        self._demands = demands
        self._policy = patience
        self._is_open = False
        self._draining: str | None = None
        self._list_due: float | None = None
        self._list_interval = GrowingInterval(patience.seconds)
        self._unsolicited_interval = GrowingInterval(patience.seconds)
        self._missing_intervals: dict[SubscriptionKey, GrowingInterval] = {}
        self.is_over = False
        self._held: dict[SubscriptionKey, HeldSubscription] = {}
        self._pending: dict[str, PendingRequest] = {}
        self.outbox: list[bytes] = []
        self.sync_events: list[SubscriptionConfirmed | DataMissed | SubscriptionRejected | ReplyReceived] = []

    @property
    def is_settled(self) -> bool:
        """Whether all that it began with is answered."""
        return not any(request.is_first for request in self._pending.values())

    @property
    def deadline(self) -> float | None:
        """When to call ``check``, or None for never."""
        if self._draining is not None:
            return None
        dues = [request.due for request in self._pending.values()]
        return min(dues if self._list_due is None else [*dues, self._list_due], default=None)

    def start(self, now: float) -> None:
        """Ask for all that is wanted, in few frames, and again what another link left unanswered."""
        self._is_open = True
        self._sync(self._demands.items, now, is_first=True)
        self.outbox += [question.frame for question in self._demands.request_ids.values()]

    def end(self) -> None:
        """Forget the link: the server has."""
        self._is_open = False
        self._list_due = None
        self._held.clear()
        self._pending.clear()

    def holds(self, item: SubscriptionKey, width: Detail) -> bool:
        """Whether the server holds a symbol, at least in this width."""
        place = self._held.get(item)
        return place is not None and place.state is HoldState.HELD and covers(item.line.channel, place.width, width)

    def sync(self, items: Iterable[SubscriptionKey], now: float) -> None:
        """Ask for what of these is missing, and give up what is too much."""
        if self._is_open:
            self._sync(items, now, is_first=not self.is_settled)

    def send(self, frame: bytes) -> None:
        """Say something whose answer will be told as ``ReplyReceived``."""
        if self._is_open:
            self.outbox.append(frame)

    def drain(self) -> None:
        """Ask for the list: whatever the server tells comes before that answer, or also on the link that follows."""
        self._is_open = False
        self._draining = next(self._demands.numbers)
        self.outbox.append(codec.encode_list(self._draining))

    def receive(self, message: Any, now: float) -> None:  # noqa: ANN401 - one of its kinds
        """Take an answer."""
        if self._draining is not None:
            self.is_over = self.is_over or str(message.id) == self._draining
            return
        match message:
            case Snapshot():
                self.sync_events.append(ReplyReceived(str(message.id), message))
            case Subscriptions():
                # Compared where it stands in the order of answers, which is that of what was asked.
                number = str(message.id)
                difference = self._compare(message.entries, now) if self._may_compare(number, now) else None
                self.sync_events.append(ReplyReceived(number, message, difference))
            case _:
                self._on_confirmed(message, now)

    def refuse(self, refusal: Refusal, now: float) -> bool:
        """Take an error frame; return whether it belongs to a request.

        An error is never charged to a channel or symbol other than those that it names.
        """
        if self._draining is not None:
            self.is_over = self.is_over or str(refusal.id) == self._draining
            return True
        if refusal.id is not None:
            return self._refuse_by_id(refusal, str(refusal.id), now)
        if refusal.scope:
            return self._refuse_by_name(refusal, now)
        request = self._addressed(None, None, None)
        question = self._oldest_request(request)
        if question is not None:
            self._answer(question, refusal)
        elif request is not None:
            self._refuse_part(request, refusal, now, is_certain=False)
        return question is not None or request is not None

    def outgrown(self, frame: bytes, now: float) -> bool:
        """Take note of a frame larger than the limit: what it answers or tells is refused the second time.

        Returns whether something is refused.

        Otherwise the same would be asked for on each link, and end it. Where the frame does not name what it is, it is
        taken for the answer to the oldest question, if there is one; no symbol is charged with it.
        """
        named = codec.named_in(frame)
        number, kind = named.get("id"), named.get("type", "")
        channels = codec.channels_among([kind])
        if channels:
            symbol = named.get(codec.UNDERLYING, named.get("symbol"))
            items = [item for item in self._held if item.line.channel in channels and item.symbol == symbol]
            refused = [item for item in items if self._demands.strike(item, now)]
            for item in refused:
                who = self._demands.drop_rejected(item, self._held.pop(item).width)
                self.sync_events.append(SubscriptionRejected(item, OVERSIZED, TOO_LARGE, who))
            return bool(refused)
        if number not in self._demands.request_ids:
            number = min(self._demands.request_ids, key=int, default=None)
        is_refused = number is not None and self._demands.strike(number, now)
        if number is not None and is_refused:
            self._answer(number, Refusal(OVERSIZED, TOO_LARGE, number))
        return is_refused

    def check(self, now: float) -> None:
        """Ask again for what was not answered in time; give up on it after so many attempts."""
        if self._draining is not None:
            return
        if self._list_due is not None and now >= self._list_due:
            self._request_list(now)
        for request in {id(each): each for each in self._pending.values() if now >= each.due}.values():
            # What a link began with is asked for until the login's deadline ends that link: no word is no refusal.
            if request.is_first or request.attempt < self._policy.attempts:
                request.attempt += 1
                request.backfill = 0  # a server may be silent on what it does not know
                self._send(request, now)
            else:
                self._give_up(request, now)

    def _sync(self, items: Iterable[SubscriptionKey], now: float, *, is_first: bool) -> None:
        missing: defaultdict[tuple[ChannelKey, Detail, int], list[str]] = defaultdict(list)
        too_much: defaultdict[tuple[ChannelKey, Detail], list[str]] = defaultdict(list)
        for item in dict.fromkeys(items):
            place = self._held.get(item)
            if place is not None and place.state is not HoldState.HELD:
                continue
            if item not in self._demands:
                if place is not None:
                    too_much[item.line, place.width].append(item.symbol)
                continue
            width = self._demands.width(item)
            backfill = self._demands.backfills.get(item, 0) if self._demands.takes_backfill else 0
            if place is None:
                missing[item.line, width, backfill].append(item.symbol)
            elif not covers(item.line.channel, place.width, width):
                # Given up and asked for anew in one breath: a server that keeps one form of each would drop the new
                # one if it were told the other way round.
                self._drop(item.line.channel, [item.symbol], options_of(item.line, place.width))
                self._demands.mark_broken(item, place.width, now)
                missing[item.line, width, backfill].append(item.symbol)
        for (line, width), symbols in too_much.items():
            self._request("unsubscribe", line, width, symbols, now, is_first=is_first)
        for (line, width, backfill), symbols in missing.items():
            self._request("subscribe", line, width, symbols, now, is_first=is_first, backfill=backfill)

    def _request(
        self,
        action: str,
        line: ChannelKey,
        width: Detail,
        symbols: Sequence[str],
        now: float,
        *,
        is_first: bool,
        backfill: int = 0,
    ) -> None:
        standing = HoldState.ASKED if action == "subscribe" else HoldState.LEAVING
        for symbol in symbols:
            self._held[SubscriptionKey(line, symbol)] = HeldSubscription(standing, width, now)
        for some in _framed(line, symbols):
            self._send(PendingRequest(action, line, width, some, 0.0, is_first, backfill), now)

    def _send(self, request: PendingRequest, now: float) -> None:
        number = next(self._demands.numbers)
        request.asked = request.asked or int(number)
        request.due = now + self._policy.seconds
        self._pending[number] = request
        options = options_of(request.line, request.width)
        if request.backfill:
            options["backfill"] = request.backfill
        frame = codec.encode_change(request.action, number, request.line.channel, request.symbols, options)
        self.outbox.append(frame)

    def _drop(self, channel: str, symbols: Sequence[str], options: dict[str, Any]) -> None:
        """Give up what is asked for anew, or was never ours: nobody waits for the answer."""
        for some in _framed(ChannelKey(channel), symbols):
            number = next(self._demands.numbers)
            self.outbox.append(codec.encode_change("unsubscribe", number, channel, some, options))

    def _compare(self, entries: Iterable[codec.Entry], now: float) -> SubscriptionDiff:
        """Compare the server's list with what this link believes, and mend the difference.

        What awaits an answer is left out: it may change before the list is read.
        """
        unseen = {item for item, place in self._held.items() if place.state is HoldState.HELD}
        known: defaultdict[tuple[str, str], list[SubscriptionKey]] = defaultdict(list)
        for item in self._held:
            known[item.line.channel, item.symbol].append(item)
        extra: list[codec.Entry] = []
        for entry in entries:
            meant = {
                symbol: [item for item in known[entry.channel, symbol] if _is_addressed(item, self._held[item], entry)]
                for symbol in entry.symbols
            }
            unseen.difference_update(*meant.values())
            if too_much := tuple(symbol for symbol, items in meant.items() if not items):
                extra.append(codec.Entry(entry.channel, too_much, entry.options))
                self._drop(entry.channel, too_much, entry.options)
        missing = tuple(sorted(unseen, key=str))
        # A server whose list never names it would have it asked for again with each list, with a gap each time.
        due = tuple(item for item in missing if self._may_mend(item, now))
        for item in due:
            place = self._held.pop(item)
            self._demands.mark_broken(item, place.width, place.since)
        self._sync(due, now, is_first=False)
        return SubscriptionDiff(missing, tuple(extra))

    def _may_compare(self, number: str, now: float) -> bool:
        """Whether to mend what a list shows: one that was not asked for only after pauses that grow."""
        if number in self._demands.numbers:
            return True
        if self._unsolicited_interval.next_at(now) > now:
            return False
        self._unsolicited_interval.asked(now)
        return True

    def _may_mend(self, item: SubscriptionKey, now: float) -> bool:
        """Take note that the list did not name a symbol; return whether it is time to ask for that again."""
        pace = self._missing_intervals.setdefault(item, GrowingInterval(self._policy.seconds))
        if pace.next_at(now) > now:
            return False
        pace.asked(now)
        return True

    def _on_confirmed(self, answer: Subscribed | Unsubscribed, now: float) -> None:
        action = "subscribe" if type(answer) is Subscribed else "unsubscribe"
        request = self._addressed(answer.id, action, answer.channel, answer.symbols)
        if request is None:
            self._on_unsolicited(answer, now)
            return
        self._forget(request)
        if action == "unsubscribe":
            self._remaining(request, now)
            return
        # An acknowledgement that names some of the symbols leaves out the others; a chain may be named in any way.
        said = None if request.line.channel == codec.CHAIN else answer.symbols
        held = tuple(symbol for symbol in request.symbols if said is None or symbol in said)
        items = tuple(SubscriptionKey(request.line, symbol) for symbol in held)
        self._held |= dict.fromkeys(items, HeldSubscription(HoldState.HELD, request.width, now))
        for item in items:
            if self._demands.backfills.pop(item, None) is not None:
                self._demands.backfilled[item] = request.backfill
        self._demands.takes_backfill = self._demands.takes_backfill and not request.was_denied_backfill
        if items:
            self.sync_events.append(SubscriptionConfirmed(items))
        for who, (since, symbols) in self._demands.mark_restored(items).items():
            cause = f"{request.line.channel} of {', '.join(symbols)} was asked for anew"
            self.sync_events.append(DataMissed(who, now - since, one_line(cause)))
        self._sync(items, now, is_first=False)
        if rest := tuple(symbol for symbol in request.symbols if symbol not in held):
            request.symbols, request.cause = rest, "the server acknowledged others, and not this"
            self._retry_or_reject(request, now)

    def _refuse_by_id(self, refusal: Refusal, number: str, now: float) -> bool:
        request = self._pending.get(number)
        if request is None:
            self.sync_events.append(ReplyReceived(number, refusal))
            return number in self._demands.numbers  # perhaps late
        if not _concerns(refusal, request.line.channel, request.symbols):
            return False
        self._refuse_part(request, refusal, now, is_certain=True)
        return True

    def _refuse_by_name(self, refusal: Refusal, now: float) -> bool:
        """Take an error without an id that names something: it is charged to the oldest request for just that."""
        if not (codec.symbols_of(refusal) or codec.channels_of(refusal)):
            return False  # a user, an account, or a topic of the other stream
        requests = [
            request
            for request in {id(each): each for each in self._pending.values()}.values()
            if _concerns(refusal, request.line.channel, request.symbols)
        ]
        questions = [
            number
            for number, question in self._demands.request_ids.items()
            if _concerns(refusal, question.channel, (question.symbol,))
        ]
        request = min(requests, key=lambda each: each.asked, default=None)
        question = min(questions, key=int, default=None)
        if question is not None and (request is None or int(question) < request.asked):
            self._answer(question, refusal)
            return True
        if request is None:
            self._doubt(codec.channels_of(refusal), codec.symbols_of(refusal), now)
            return False
        is_certain = bool(codec.symbols_of(refusal)) and len(requests) + len(questions) == 1
        self._refuse_part(request, refusal, now, is_certain=is_certain)
        return True

    def _doubt(self, channels: frozenset[str], symbols: frozenset[str], now: float) -> None:
        """Ask for the server's list, within a budget, where it holds what something was said of."""
        is_held = any(
            place.state is HoldState.HELD and item.symbol in symbols and (not channels or item.line.channel in channels)
            for item, place in self._held.items()
        )
        if is_held and self._list_due is None:
            self._list_due = self._list_interval.next_at(now)
            if self._list_due <= now:
                self._request_list(now)

    def _request_list(self, now: float) -> None:
        self._list_due = None
        self._list_interval.asked(now)
        self.outbox.append(codec.encode_list(next(self._demands.numbers)))

    def _oldest_request(self, request: PendingRequest | None) -> str | None:
        """Return the oldest question where that is older than the request."""
        oldest = min(self._demands.request_ids, key=int, default=None)
        is_older = oldest is not None and (request is None or request.asked > int(oldest))
        return oldest if is_older else None

    def _answer(self, question: str, refusal: Refusal) -> None:
        self.sync_events.append(ReplyReceived(question, refusal))
        del self._demands.request_ids[question]  # another without an id is meant for another

    def _refuse_part(self, request: PendingRequest, refusal: Refusal, now: float, *, is_certain: bool) -> None:
        """Refuse those symbols of a request that the error names, or all where it names none, or all of them."""
        symbols = codec.symbols_of(refusal)
        named = tuple(symbol for symbol in request.symbols if symbol in symbols)
        rest = tuple(symbol for symbol in request.symbols if symbol not in symbols)
        refused = request
        if named and rest:
            refused = msgspec.structs.replace(request, symbols=named)
            request.symbols = rest
            self._send(request, now)  # under its first id too: the answer for the rest may come still
        refused.code = "" if refusal.code is None else str(refusal.code)
        refused.cause = refusal.message or "no explanation given"
        self._refuse(refused, now, is_certain=is_certain, is_traced=refused is not request)

    def _refuse(self, request: PendingRequest, now: float, *, is_certain: bool, is_traced: bool) -> None:
        if request.action == "unsubscribe":
            # What cannot be given up is not held; of many it may be one that is not, so the server is asked.
            self._forget(request)
            self._remaining(request, now)
            self.outbox.append(codec.encode_list(next(self._demands.numbers)))
        elif request.code in TRANSIENT:
            self._forget(request)
            self._retry_later(request)
        elif request.backfill and not is_traced:
            # Perhaps it is the past that is refused, and not the symbols.
            self._forget(request)
            self._send(msgspec.structs.replace(request, backfill=0, was_denied_backfill=True, asked=0), now)
        elif len(request.symbols) > 1 and not is_traced:
            self._forget(request)
            middle = len(request.symbols) // 2
            for some in (request.symbols[:middle], request.symbols[middle:]):
                self._send(msgspec.structs.replace(request, symbols=some, asked=0), now)
        elif is_certain or request.is_doubted:
            self._forget(request)
            self._turn_down(request, now)
        else:
            # Not forgotten: the answer to what was asked first may still come.
            request.is_doubted, request.asked = True, 0
            self._send(request, now)

    def _retry_or_reject(self, request: PendingRequest, now: float) -> None:
        if request.attempt < self._policy.attempts:
            request.attempt += 1
            self._send(request, now)
        else:
            self._turn_down(request, now)

    def _retry_later(self, request: PendingRequest) -> None:
        """Leave it pending until its time-out, which asks again."""
        self._pending[next(self._demands.numbers)] = request

    def _give_up(self, request: PendingRequest, now: float) -> None:
        self._forget(request)
        if request.action == "unsubscribe":
            self._remaining(request, now)
            return
        request.cause = request.cause or NO_REPLY.format(request.attempt)
        self._turn_down(request, now)

    def _turn_down(self, request: PendingRequest, now: float) -> None:
        if request.attempt > 1:
            # What was asked for before and not answered may be held all the same.
            self._drop(request.line.channel, request.symbols, options_of(request.line, request.width))
        for item in request.items:
            del self._held[item]
            who = self._demands.drop_rejected(item, request.width)
            self.sync_events.append(SubscriptionRejected(item, request.code, request.cause, who))
        self._sync(request.items, now, is_first=request.is_first)  # for whoever is content with less

    def _remaining(self, request: PendingRequest, now: float) -> None:
        for item in request.items:
            del self._held[item]
        # The answer does not say whether other lines of the same symbols went with it, so the server is asked.
        gone = {(request.line.channel, symbol) for symbol in request.symbols}
        if any((item.line.channel, item.symbol) in gone for item in self._held):
            self.outbox.append(codec.encode_list(next(self._demands.numbers)))
        self._sync(request.items, now, is_first=False)

    def _on_unsolicited(self, answer: Subscribed | Unsubscribed, now: float) -> None:
        """Take an answer that no request awaits."""
        number = str(answer.id)
        if number in self._demands.request_ids:
            self.sync_events.append(ReplyReceived(number, answer))
        elif type(answer) is Unsubscribed and number not in self._demands.numbers:
            channels = codec.channels_among([answer.channel] if answer.channel else ())
            self._doubt(channels, frozenset(answer.symbols or ()), now)

    def _addressed(
        self, number: str | int | None, action: str | None, channel: str | None, symbols: Sequence[str] | None = None
    ) -> PendingRequest | None:
        """Return the request that an answer belongs to."""
        if number is not None:
            request = self._pending.get(str(number))
            return request if request is not None and action in {None, request.action} else None
        could = [
            request
            for request in self._pending.values()
            if action in {None, request.action}
            and channel in {None, request.line.channel}
            # An answer that names symbols belongs to no request for others; a chain may be named in any way.
            and (not symbols or request.line.channel == codec.CHAIN or set(symbols).intersection(request.symbols))
        ]
        return min(could, key=lambda request: request.asked, default=None)

    def _forget(self, request: PendingRequest) -> None:
        for number in [number for number, each in self._pending.items() if each is request]:
            del self._pending[number]


def _framed(line: ChannelKey, symbols: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the symbols of each frame: as many as a server surely takes, and of chains one."""
    most = 1 if line.channel == codec.CHAIN else MOST_SYMBOLS
    return [tuple(symbols[at : at + most]) for at in range(0, len(symbols), most)]


def _concerns(refusal: Refusal, channel: str, symbols: Iterable[str]) -> bool:
    """Whether an error may mean one of these symbols of a channel, by all that it names."""
    channels, named = codec.channels_of(refusal), codec.symbols_of(refusal)
    return (not channels or channel in channels) and (not named or not named.isdisjoint(symbols))


def _is_addressed(item: SubscriptionKey, place: HeldSubscription, entry: codec.Entry) -> bool:
    """Whether a line of the server's list may mean this item, by those options that it names."""
    said = {name: str(value).lower() for name, value in entry.options.items()}
    ours = options_of(item.line, place.width)
    return all(said.get(name, word) == word for name, value in ours.items() if (word := str(value).lower()) != "none")
