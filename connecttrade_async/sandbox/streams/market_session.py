"""One session of the market-data stream: its login, its subscriptions and their replies.

Documented: a login with the token of a connection, the actions, the channels, and one broker connection at a time per
user. Assumed: every other word of it. Assumed too: a token that expires during a session ends the session, with an
error of code 401 and close code 4401, as a login with it would. Any other error affects neither the session nor its
other subscriptions.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal, Protocol, cast

from connecttrade_async.sandbox.dialect.streams import MarketForms
from connecttrade_async.sandbox.errors import RefusalError, UnauthorizedError
from connecttrade_async.sandbox.parameters import Fields
from connecttrade_async.sandbox.streams.channels import History, Request, Subscription, read_history, read_request
from connecttrade_async.sandbox.streams.session import SessionHost, StreamSession, id_of
from connecttrade_async.sandbox.streams.websocket import SandboxWebSocket
from connecttrade_async.sandbox.world import Grant

__all__ = ["MarketDataHost", "MarketDataSession", "listing"]

_ENDED = {
    "expired": "This access_token has expired.",
    "revoked": "This access_token was revoked.",
    "replaced": "This access_token was replaced by a newer one.",
}


class MarketDataHost(SessionHost["MarketDataSession"], Protocol):
    """The part of the market-data stream that its sessions use."""

    replaced: Literal["stays", "ends"]
    takes: Literal["all", "some"]

    @property
    def forms(self) -> MarketForms:
        """The dialect of the stream."""
        ...

    def grant(self, token: object, /) -> Grant | None:
        """Return the token of this text, None if there never was one."""
        ...

    def problem(self, request: Request, symbol: str, /) -> RefusalError | None:
        """Return why a symbol cannot be subscribed to, or None."""
        ...

    def greet(self, session: "MarketDataSession", request: Request, /) -> None:
        """Send a session the present state of its new subscriptions."""

    def history(self, asked: History, /) -> list[Fields]:
        """Return the bars of a snapshot, oldest first."""
        ...


class MarketDataSession(StreamSession[MarketDataHost]):
    """One session of the market-data stream.

    Attributes:
        grant: the token that it logged in with, None before.
        subscriptions: what it listens to, oldest first.
    """

    NAME = "market data stream"
    STRANGER = "The access_token is wrong."

    def __init__(self, link: SandboxWebSocket, stream: MarketDataHost) -> None:
        super().__init__(link, stream)
        self.grant: Grant | None = None
        self.subscriptions: dict[Subscription, None] = {}

    @property
    def is_live(self) -> bool:
        """Whether it is authenticated and not over."""
        return self.phase == "authenticated" and self.link.is_open

    def inspect(self, now: datetime) -> None:
        """End, if the token is over by now."""
        state = "active" if self.grant is None or self.phase != "authenticated" else self.grant.state(now)
        if state in {"expired", "revoked"} or (state == "replaced" and self._stream.replaced == "ends"):
            ending = self._stream.forms.endings.refused
            self._end_by(ending, "refused", 401, _ENDED[state], "The token is over.")

    def _action_handlers(self) -> Mapping[str, Callable[[Fields], None]]:
        deeds = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "list_subscriptions": self._list,
            "snapshot": self._snapshot,
        }
        return {action: self._guarded(deed) for action, deed in deeds.items()}

    def _guarded(self, deed: Callable[[Fields], None]) -> Callable[[Fields], None]:
        def do(members: Fields) -> None:
            try:
                deed(members)
            except RefusalError as refusal:
                self._error(refusal.status, refusal.message, **id_of(members))

        return do

    def _recognize(self, members: Fields) -> str:
        grant = self._stream.grant(members.get("access_token"))
        if grant is None:
            raise UnauthorizedError(self.STRANGER)
        state = grant.state(self._stream.clock.now())
        if state != "active":
            raise UnauthorizedError(_ENDED[state])
        self.grant = grant
        return grant.connection.user_id

    def _entered(self) -> None:
        self._stream.log.count_life()
        self._stream.publish_due()

    def _wants(self, topics: tuple[object, ...]) -> bool:
        return any(topic in self.subscriptions for topic in topics)

    # The actions ------------------------------------------------------------------------------------------------------

    def _subscribe(self, members: Fields) -> None:
        request = read_request(members)
        wrong = {symbol: why for symbol in request.symbols if (why := self._stream.problem(request, symbol))}
        if wrong and (self._stream.takes == "all" or len(wrong) == len(request.symbols)):
            self._complain(wrong, members)
            return
        self._stream.publish_due()
        taken = request._replace(symbols=tuple(symbol for symbol in request.symbols if symbol not in wrong))
        if self._stream.forms.messages.acknowledges == "first":
            taken = taken._replace(symbols=taken.symbols[:1])
        self.subscriptions |= dict.fromkeys(taken.subscriptions())
        self._stream.log.wake_waiters()
        if self._acknowledge("subscribed", taken, members):
            self._complain(wrong, members)
            self._stream.greet(self, taken)

    def _unsubscribe(self, members: Fields) -> None:
        request = read_request(members)
        missing = [one.symbol for one in request.subscriptions() if one not in self.subscriptions]
        if missing:
            words = f"There is no subscription to {request.channel} of {', '.join(missing)} with these options."
            self._error(404, words, **id_of(members))
            return
        self._stream.publish_due()
        for one in request.subscriptions():
            del self.subscriptions[one]
        self._stream.log.wake_waiters()
        self._acknowledge("unsubscribed", request, members)

    def _list(self, members: Fields) -> None:
        self._answer("subscriptions", **id_of(members), subscriptions=listing(self.subscriptions))

    def _snapshot(self, members: Fields) -> None:
        history = read_history(members)
        why = self._stream.problem(Request("bars", (history.symbol,), ()), history.symbol)
        if why is not None:
            self._complain({history.symbol: why}, members)
            return
        bars, interval = self._stream.history(history), history.interval
        self._answer("snapshot", **id_of(members), symbol=history.symbol, interval=interval, bars=bars)

    def _acknowledge(self, kind: str, request: Request, members: Fields) -> bool:
        style, channel, options = self._stream.forms.messages.acknowledges, request.channel, request.options
        named = [list(request.symbols)]
        if style == "each":
            named = [[symbol] for symbol in request.symbols]
        elif style == "held" and kind == "subscribed":
            named = [[one.symbol for one in self.subscriptions if (one.channel, one.options) == (channel, options)]]
        return all(
            self._answer(
                kind, **id_of(members), channel=channel, symbols=part, symbol=part[0] if len(part) == 1 else None
            )
            for part in named
        )

    def _complain(self, wrong: Mapping[str, RefusalError], members: Fields) -> None:
        if wrong:
            words = " ".join(refusal.message for refusal in wrong.values())
            self._error(next(iter(wrong.values())).status, words, **id_of(members))


def listing(subscriptions: Mapping[Subscription, None]) -> list[dict[str, object]]:
    """Subscriptions as the wire lists them: the symbols of one channel with the same options together.

    Assumed: their options are said even where they were left out, and a chain names its underlying twice.
    """
    found: dict[tuple[object, ...], dict[str, object]] = {}
    for one in subscriptions:
        is_chain = one.channel == "options_chain"
        key = (one.channel, one.options, one.symbol if is_chain else None)
        named = {"underlying": one.symbol} if is_chain else {}
        entry = found.setdefault(key, {"channel": one.channel, "symbols": [], **named, **one.given})
        cast("list[str]", entry["symbols"]).append(one.symbol)
    return list(found.values())
