"""The front door: open, own and wire the rooms, and close them. Nothing is decided here."""

# ruff: noqa: TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from ssl import SSLContext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeVar, overload

import msgspec

import connecttrade_async  # names of what is imported when it is used
from connecttrade_async import __version__
from connecttrade_async.clock import Clock, SystemClock
from connecttrade_async.config import (
    DialOptions,
    Endpoints,
    HasEndpoints,
    Limits,
    Reconnect,
    Retry,
    Timeouts,
    check_address,
    check_secure,
    from_environment,
)
from connecttrade_async.errors import ClosedError, ConfigurationError
from connecttrade_async.rest import resources, wire
from connecttrade_async.rest.limiter import RequestLimiter
from connecttrade_async.rest.sender import Api, RequestCounters, Sender
from connecttrade_async.rest.transport import ClientSession, TraceConfig, Transport
from connecttrade_async.secret import Secret, header_problem

if TYPE_CHECKING:
    from connecttrade_async.books.changes import Change
    from connecttrade_async.books.snapshots import UserApi
    from connecttrade_async.rest.digest_api import PolledApi, RateLimit, SnapshotApi

__all__ = ["ClientHealth", "ConnectTrade", "User"]

T = TypeVar("T")
log = logging.getLogger("connecttrade_async.rest")


class ClientHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How a client is doing, as plain values that a web backend can serve as JSON.

    Attributes:
        is_open: whether it can be asked.
        in_flight: requests under way.
        waiting: requests in line for a place.
        exchanges: requests sent over its life, each attempt counted.
        retries: of these, second and later attempts.
        failures: calls that ended in an error.
        troubles: retryable failures since the last good answer; 0 while all is well.
        last_error: the latest failure in words, or None.
    """

    is_open: bool
    in_flight: int
    waiting: int
    exchanges: int
    retries: int
    failures: int
    consecutive_failures: int
    last_error: str | None


class MarketDataShared(NamedTuple):
    """What a user's market data needs of the client: where it is, how it comes back, and which users have it open.

    ``dial`` and ``frame_bytes`` are those of both streams.
    """

    url: str
    reconnect: Reconnect
    taken: set[str]
    dial: DialOptions
    frame_bytes: int


class ConnectTrade:
    """A client of Connect Trade: one HTTP session for all users.

    Use it as ``async with``, or call ``aclose`` when done. It may be made anywhere; the session is made at the first
    call, in the running event loop, and belongs to that loop.

    Args:
        client_id: the client's id.
        client_secret: the client's secret; it is kept as a ``Secret``.
        endpoints: where the API is; anything with an ``api`` address will do, such as the sandbox's.
        timeouts: how long things may take.
        retry: how patiently harmless calls are asked again.
        reconnect: how a stream comes back when its link is lost.
        limits: how much may be asked at once, and how large an answer may be.
        http: an aiohttp session to borrow; it is left open. Its proxy and headers are its own. No cookie of its jar is
            sent, and none is stored. A connection of its pool on which data arrived while it was idle is dropped; where
            only the beginning of an answer had arrived and was read, the next request fails with a ``TransportError``.
        ssl: the TLS context of every connection; None for the system's certificates.
        proxy: the address of an HTTP proxy for every connection, ``http://user:password@host:port``; None for none. The
            environment's proxies are not read.
        allow_insecure: whether ``http://`` and ``ws://`` addresses of other hosts than this machine are taken. Secrets
            travel unencrypted there.
        trace_configs: aiohttp's own tracing, for the session that is made.
        clock: time; a test may hand in one that it steps.

    Raises:
        ConfigurationError: a credential, an address or a setting cannot be one.
    """

    def __init__(
        self,
        client_id: str,
        client_secret: str | Secret,
        *,
        endpoints: HasEndpoints | None = None,
        timeouts: Timeouts | None = None,
        retry: Retry | None = None,
        reconnect: Reconnect | None = None,
        limits: Limits | None = None,
        http: ClientSession | None = None,
        ssl: SSLContext | None = None,
        proxy: str | Secret | None = None,
        allow_insecure: bool = False,
        trace_configs: Sequence[TraceConfig] = (),
        clock: Clock | None = None,
    ) -> None:
        client_secret = Secret.wrap(client_secret)  # rebound before it is checked: tracebacks can print variables
        proxy = Secret.wrap(proxy) if proxy is not None else None
        client_secret.check("client secret")
        _check_id(client_id, "client id")
        _check_kinds(
            timeouts=(timeouts, Timeouts),
            retry=(retry, Retry),
            limits=(limits, Limits),
            reconnect=(reconnect, Reconnect),
        )
        _check_clock(clock)
        endpoints = Endpoints() if endpoints is None else endpoints
        dial = DialOptions.of(ssl, proxy)
        api, stream, market_data = _api_of(endpoints), _stream_of(endpoints), _stream_of(endpoints, "market_data")
        if not _is_yes(allow_insecure):
            for name, address in (("api", api), ("stream", stream), ("market_data", market_data)):
                check_secure(name, address, dial.proxy)
        transport = Transport(
            api,
            wire.client_headers(client_id, client_secret, __version__),
            client_secret=client_secret,
            http=http,
            dial=dial,
            limits=limits,
            trace_configs=trace_configs,
        )
        clock = SystemClock() if clock is None else clock
        caller = Sender(
            RequestLimiter(limits or Limits(), clock),
            transport,
            timeouts=timeouts or Timeouts(),
            retry=retry or Retry(),
            clock=clock,
            counters=RequestCounters(),
        )
        self._client_secret = client_secret
        self._stream_url = stream
        frame_bytes = (limits or Limits()).frame_bytes
        self._market = MarketDataShared(market_data, reconnect or Reconnect(), set(), dial, frame_bytes)
        self._reconnect = reconnect or Reconnect()
        self._init_view(client_id, caller, owns=True)

    def _init_view(self, client_id: str, caller: Sender, *, owns: bool) -> None:
        self.client_id = client_id
        self._caller = caller
        self._owns = owns
        self._requester = Api(caller, None, None)

    @classmethod
    def from_env(cls, **settings: Any) -> Self:  # noqa: ANN401 - as the constructor has them
        """Make a client from the environment.

        Reads ``CONNECTTRADE_CLIENT_ID`` and ``CONNECTTRADE_CLIENT_SECRET``, and where they are set
        ``CONNECTTRADE_API_URL``, ``CONNECTTRADE_STREAM_URL``, ``CONNECTTRADE_MDSTREAM_URL`` and
        ``CONNECTTRADE_ALLOW_INSECURE``, 1 or 0.

        Args:
            settings: any argument of the constructor by name; what is given is not looked for in the environment.

        Raises:
            ConfigurationError: a credential is missing, or something in the environment cannot be used.
        """
        return cls(**(from_environment(settings) | settings))

    @property
    def users(self) -> resources.Users:
        """The client's users: create, list, delete."""
        return resources.Users(self._requester)

    def user(self, user_id: str, user_secret: str | Secret) -> User:
        """Return a handle on one user. It costs some bytes and no I/O: make thousands.

        Raises:
            ConfigurationError: the id or the secret could not be sent.
        """
        user_secret = Secret.wrap(user_secret)  # rebound before it is checked: tracebacks can print variables
        user_secret.check("user secret")
        _check_id(user_id, "user id")
        return User(self._caller, self._market, user_id, user_secret)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json: object = None,
    ) -> connecttrade_async.Response:
        """Ask for anything in the client's own name. Only a GET is ever asked again.

        Args:
            method: ``GET``, ``POST``, ``PUT``, ``PATCH`` or ``DELETE``.
            path: beginning with a slash, quoted.
            params: the query, spelled as the resources spell it.
            json: the body; None for none.

        Returns:
            The answer as it came: ``.status``, ``.headers``, ``.body``, ``.json()``.

        Raises:
            ConfigurationError: the path or a parameter cannot be sent.
            TransportError: the wire failed.
            APIError: the API said no.

        Cancelling drops the call; what was sent may still be done.
        """
        return await self._requester.request(method, path, params=params, json=json)

    def brokerage_stream(
        self,
        topics: Sequence[str] = ("orders", "positions", "balances"),
        *,
        on_taken: Literal["stop", "standby", "retake"] = "stop",
        codes: Mapping[str, connecttrade_async.CloseReason] | None = None,
        watchdog: float | None = None,
    ) -> connecttrade_async.BrokerageStream:
        """Return the stream of all users of this client; ``async with`` opens it.

        Args:
            topics: what to ask the server for: ``orders``, ``positions``, ``balances`` (documented).
            on_taken: what to do when somebody else takes the one session (documented: there is one): ``stop`` ends
                with ``SessionTakenError``; ``standby`` tries again slowly; ``fight`` takes it back, at most three times
                in ten minutes.
            codes: what error codes and close codes mean, beside ``CODES``, should live traffic differ from what is
                assumed.
            watchdog: warn, by the logger ``connecttrade_async.streaming``, when the event loop was blocked for more
                than so many seconds, and by what. A blocked loop loses healthy links. It costs a thread; None for not.

        Raises:
            ConfigurationError: a topic or the policy cannot be one, or there is no address to dial.
        """
        if not self._stream_url:
            msg = "the endpoints that were given have no stream address"
            raise ConfigurationError(msg)
        # websockets is imported where a stream is wanted: it costs a tenth of a second.
        from connecttrade_async.streaming.brokerage_codec import BrokerageCodec  # noqa: PLC0415
        from connecttrade_async.streaming.stream import BrokerageStream  # noqa: PLC0415
        from connecttrade_async.streaming.websocket import ConnectOptions  # noqa: PLC0415

        return BrokerageStream(
            self._stream_url,
            BrokerageCodec(self.client_id, self._client_secret),
            topics=tuple(topics),
            timeouts=self._caller.timeouts,
            reconnect=self._reconnect,
            clock=self._caller.clock,
            on_taken=on_taken,
            codes=codes or {},
            owner=self._caller,
            watchdog=watchdog,
            dialing=ConnectOptions(self._market.frame_bytes, self._market.dial.ssl, self._market.dial.proxy),
        )

    def live(
        self,
        users: Iterable[User] = (),
        stream: connecttrade_async.BrokerageStream | None = None,
        *,
        sweep_every: float | None = 300.0,
        concurrency: int = 50,
        requests_per_second: float | None = None,
        keep_orders: connecttrade_async.OrderRetention | None = None,
        capacity: int = 100_000,
        snapshot_pages: int = 200,
        snapshot_timeout: float = 300.0,
    ) -> connecttrade_async.LiveAccounts:
        """Return the accounts of users, kept true; ``async with`` opens them.

        Args:
            users: whose; more can be added while it runs.
            stream: one to borrow, with all three topics; it is left open. None: one is opened and closed.
            sweep_every: seconds in which everybody is looked at once, to find what a broker's feed lost; None never.
            concurrency: requests in flight at once, for snapshots.
            requests_per_second: for snapshots; None for as fast as ``concurrency`` and the client's ``limits`` let it.
            keep_orders: how long orders that have ended stay in a book: 500 of an account, for a day.
            capacity: updates of the stream that may wait; if there are more, everybody is looked at again.
            snapshot_pages: pages of 500 orders that one snapshot of a user may take; a user of whom there are more is
                in ``failed``.
            snapshot_timeout: seconds that the requests of one snapshot may take together. ``async with`` returns when
                no user was read or failed, and no request was sent, for as long; the others are in ``failed``, and
                are still read.

        Raises:
            ConfigurationError: a setting cannot be one, a user is no handle, or there is no stream to follow.
        """
        from connecttrade_async.books.order_tracker import OrderRetention  # noqa: PLC0415
        from connecttrade_async.live.accounts import LiveAccounts  # noqa: PLC0415 - it knows the stream
        from connecttrade_async.live.status import LiveSettings  # noqa: PLC0415
        from connecttrade_async.rest.digest_api import SnapshotApi  # noqa: PLC0415

        settings = LiveSettings(
            sweep_every=sweep_every,
            concurrency=concurrency,
            requests_per_second=requests_per_second,
            keep_orders=keep_orders if keep_orders is not None else OrderRetention(),
            capacity=capacity,
            snapshot_pages=snapshot_pages,
            snapshot_timeout=snapshot_timeout,
        )
        return LiveAccounts(
            users,
            self.brokerage_stream() if stream is None else stream,
            settings,
            owns_stream=stream is None,
            reconnect=self._reconnect,
            clock=self._caller.clock,
            owner=self._caller,
            noting=partial(_noting, SnapshotApi),
        )

    @overload
    def poll(
        self,
        users: Iterable[User] | AsyncIterable[User],
        fetch: None = None,
        *,
        every: float | Callable[[User, connecttrade_async.PollResult[tuple[Change, ...]] | None], float] = ...,
        concurrency: int = ...,
        capacity: int = ...,
        only_changed: bool = ...,
        requests_per_second: float | None = ...,
        user_requests_per_second: float | None = ...,
        slowest: float = ...,
        keep_orders: connecttrade_async.OrderRetention | None = ...,
    ) -> connecttrade_async.Poller[tuple[Change, ...]]: ...
    @overload
    def poll(
        self,
        users: Iterable[User] | AsyncIterable[User],
        fetch: Callable[[User], Awaitable[T]],
        *,
        every: float | Callable[[User, connecttrade_async.PollResult[T] | None], float] = ...,
        concurrency: int = ...,
        capacity: int = ...,
        only_changed: bool = ...,
        requests_per_second: float | None = ...,
        user_requests_per_second: float | None = ...,
        slowest: float = ...,
    ) -> connecttrade_async.Poller[T]: ...
    def poll(
        self,
        users: Iterable[User] | AsyncIterable[User],
        fetch: Callable[[User], Awaitable[Any]] | None = None,
        *,
        every: float | Callable[[User, connecttrade_async.PollResult[Any] | None], float] = 5.0,
        concurrency: int = 100,
        capacity: int = 1000,
        only_changed: bool = False,
        requests_per_second: float | None = None,
        user_requests_per_second: float | None = None,
        slowest: float = 300.0,
        keep_orders: connecttrade_async.OrderRetention | None = None,
    ) -> connecttrade_async.Poller[Any]:
        """Return a poller: it asks for many users over and over, where no stream tells; ``async with`` starts it.

        Turns are spread evenly from the start and do not drift; a user whose poll still runs is not asked again. Each
        call is asked once, whatever ``Retry`` says: the next turn is the retry. A user that keeps failing is asked more
        and more rarely, and one that answers 401 again and again is parked: see ``Poller.parked``. A 429 lets everybody
        wait for what it asks, for ten minutes at most. When everything fails, one probe at a time stands for all.

        Args:
            users: handles, from anywhere; an async iterator is read while the others are polled already.
            fetch: asks for what is wanted of the handle that it is given, ``lambda user: user.positions.list()``. Where
                it returns a call of the library itself, an answer that has not changed is not even decoded, unless
                ``value`` is looked at. It may ask for any number of things, also at once in a task group: a 401 or a
                429 among its errors counts as if it came alone. None keeps books, as ``live`` does, of orders,
                positions and balances: ``book`` and ``changes`` of the poller serve them, and each ``value`` is what a
                poll has changed.
            every: seconds between the polls of one user; or a function of the user and its last result, which is None
                before the first.
            concurrency: polls under way at once; requests in flight are bounded by the client's ``Limits`` as well.
            capacity: results that may wait for the consumer. When so many do, nobody is asked until it takes some.
            only_changed: whether good results that are the same as last time are left out. Failures never are.
            requests_per_second: over all users of this poller; None for as fast as it goes.
            user_requests_per_second: for each user; None likewise.
            slowest: the longest that a failing user is left alone, in seconds.
            keep_orders: with books, how long orders that have ended stay in them: 500 of an account, for a day.

        Raises:
            ConfigurationError: an argument cannot be used.
        """
        # Whoever does not poll does not load it.
        from connecttrade_async.polling.config import PollConfig  # noqa: PLC0415
        from connecttrade_async.polling.fetcher import PollClient  # noqa: PLC0415
        from connecttrade_async.polling.poller import Poller  # noqa: PLC0415
        from connecttrade_async.rest.digest_api import PolledApi  # noqa: PLC0415
        from connecttrade_async.rest.resources.single_get import asks_once  # noqa: PLC0415

        plan = PollConfig(
            every=every,
            concurrency=concurrency,
            capacity=capacity,
            only_changed=only_changed,
            requests_per_second=requests_per_second,
            user_requests_per_second=user_requests_per_second,
            slowest=slowest,
        )
        house = PollClient(
            self._caller,
            sender_of=_caller_of,
            watched_api=partial(_watched, PolledApi),
            api_of=_requester_of,
            user_for=partial(_in_the_name_of, self._market),
            is_single_request=asks_once,
        )
        if fetch is not None:
            _check_fetch(fetch)
            return Poller(users, fetch, plan, house, is_handle=_is_handle)
        from connecttrade_async.books.order_tracker import OrderRetention  # noqa: PLC0415
        from connecttrade_async.polling.polled_books import PolledBooks  # noqa: PLC0415

        books = PolledBooks(house, keep_orders if keep_orders is not None else OrderRetention())
        return Poller(users, books.read, plan, house, books, is_handle=_is_handle)

    def with_options(self, *, timeouts: Timeouts | None = None, retry: Retry | None = None) -> ConnectTrade:
        """Return a view of this client with other patience. It shares the session, the limits and the counters.

        Closing the view closes only the view; closing this client closes both.

        Raises:
            ConfigurationError: what was given is no ``Timeouts`` or no ``Retry``.
        """
        _check_kinds(timeouts=(timeouts, Timeouts), retry=(retry, Retry))
        view = ConnectTrade.__new__(ConnectTrade)
        view._client_secret, view._stream_url, view._reconnect = self._client_secret, self._stream_url, self._reconnect  # noqa: SLF001 - its own kind
        view._market = self._market  # noqa: SLF001 - its own kind
        view._init_view(self.client_id, self._caller.with_options(timeouts, retry), owns=False)  # noqa: SLF001 - its own kind
        return view

    def health(self) -> ClientHealth:
        """Return how this client is doing, at once and without asking anybody."""
        gate, traffic = self._caller.limiter, self._caller.counters
        return ClientHealth(
            is_open=not (self._caller.is_closed or gate.is_closed),
            in_flight=gate.in_flight,
            waiting=gate.waiting,
            exchanges=traffic.exchanges,
            retries=traffic.retries,
            failures=traffic.failures,
            consecutive_failures=traffic.consecutive_failures,
            last_error=traffic.last_error,
        )

    async def aclose(self) -> None:
        """Close, within ``timeouts.close`` seconds. Calls under way, and later ones, raise ``ClosedError``.

        So do streams, live accounts and pollers that are entered later. Those that are open end at once: no book is
        current any more, iterating over a poller or receiving raises ``ClosedError``, and other iterating ends.

        Raises:
            ConfigurationError: the client belongs to another event loop, which still runs, or to another process.

        Closing twice is harmless. Cancelling leaves the session closing by itself, and so does a peer that is slow to
        hang up, with a warning.
        """
        if self._owns:
            self._caller.transport.check_closing()
        self._caller.close()
        if not self._owns:
            return
        self._caller.limiter.close()
        seconds = self._caller.timeouts.close
        try:
            async with asyncio.timeout(seconds):
                await self._caller.transport.aclose()
        except TimeoutError:
            log.warning("the client's connections did not all close within %.3g s", seconds)

    async def __aenter__(self) -> Self:
        if not self.health().is_open:
            raise ClosedError
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        if not hasattr(self, "_caller"):
            return "<ConnectTrade unmade>"
        health = self.health()
        state = "OPEN" if health.is_open else "CLOSED"
        return f"<ConnectTrade {self.client_id!r} {state} {health.in_flight} in flight, {health.waiting} waiting>"


class User(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A handle on one user of the client: who asks, and nothing else.

    Handles are not tracked by the garbage collector: there are thousands, and nothing that they hold leads back to one.
    """

    _caller: Sender
    _market: MarketDataShared
    _user_id: str | None
    _user_secret: Secret | None
    # Who asks instead, where what is asked is watched.
    _asker: Api | None = None

    @property
    def user_id(self) -> str:
        """The user's name."""
        return self._user_id or ""

    @property
    def _requester(self) -> Api:
        if self._asker is not None:
            return self._asker
        return Api(self._caller, self._user_id, self._user_secret)

    @property
    def accounts(self) -> resources.Accounts:
        """The accounts that the user's connections open."""
        return resources.Accounts(self._requester)

    @property
    def balances(self) -> resources.Balances:
        """Cash, buying power and margin."""
        return resources.Balances(self._requester)

    @property
    def connections(self) -> resources.Connections:
        """The user's authorised links to brokers."""
        return resources.Connections(self._requester)

    @property
    def orders(self) -> resources.Orders:
        """The user's orders."""
        return resources.Orders(self._requester)

    @property
    def positions(self) -> resources.Positions:
        """What the user holds."""
        return resources.Positions(self._requester)

    @property
    def tokens(self) -> resources.Tokens:
        """Tokens that act for the user elsewhere."""
        return resources.Tokens(self._requester)

    @property
    def transactions(self) -> resources.Transactions:
        """What moved in the user's accounts."""
        return resources.Transactions(self._requester)

    def market_data(
        self,
        connection_id: str,
        *,
        token_source: Callable[[], Awaitable[connecttrade_async.ConnectionToken | Secret | str]] | None = None,
        codes: Mapping[str, connecttrade_async.CloseReason] | None = None,
        watchdog: float | None = None,
    ) -> connecttrade_async.MarketDataStream:
        """Return the market data of one of the user's connections; ``async with`` opens it.

        A token is made for it, and made anew before it ends. Connect Trade allows one broker connection at a time per
        user, and all subscriptions of one from one address (documented); a second stream of a user in this client is
        refused here, and what others have open only the server can refuse.

        Args:
            connection_id: which connection, of type ``market_data``.
            token_source: an async callable that gives a token made elsewhere: a ``ConnectionToken``, a ``Secret`` or
                text. It is asked when the stream opens, before a token ends, and when one is refused that was good.
                It may take ``timeouts.call`` seconds, and is cancelled then. Where it fails after it gave one, or has
                no newer one yet, it is asked again later.
            codes: as for ``ConnectTrade.brokerage_stream``.
            watchdog: as for ``ConnectTrade.brokerage_stream``.

        Raises:
            ConfigurationError: the id cannot be one, or there is no address to dial.
        """
        if not self._market.url:
            msg = "the endpoints that were given have no market data address"
            raise ConfigurationError(msg)
        # websockets is imported where a stream is wanted: it costs a tenth of a second.
        from connecttrade_async.market_data.stream import MarketDataConfig, MarketDataStream  # noqa: PLC0415
        from connecttrade_async.streaming.websocket import ConnectOptions  # noqa: PLC0415

        caller, market = self._caller, self._market
        dialing = ConnectOptions(market.frame_bytes, market.dial.ssl, market.dial.proxy)
        return MarketDataStream(
            MarketDataConfig(
                market.url, caller.timeouts, market.reconnect, caller.clock, market.taken, caller, dialing
            ),
            self.user_id,
            token_source or partial(self.connections.token, connection_id),
            mints=token_source is None,
            codes=codes or {},
            watchdog=watchdog,
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json: object = None,
    ) -> connecttrade_async.Response:
        """Ask for anything in the user's name; see ``ConnectTrade.request``.

        Raises:
            ConfigurationError: the path or a parameter cannot be sent.
            TransportError: the wire failed.
            APIError: the API said no.

        Cancelling drops the call; what was sent may still be done.
        """
        return await self._requester.request(method, path, params=params, json=json)

    def __repr__(self) -> str:
        return f"<User {self.user_id!r}>"


def _requester_of(user: User) -> Api:
    return user._requester  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - of this file


def _caller_of(user: User) -> Sender:
    return user._caller  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - of this file


def _watched(watching: type[PolledApi], user: User, turnstile: RateLimit, last: int | None) -> tuple[PolledApi, User]:
    market, user_id, secret = user._market, user._user_id, user._user_secret  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - of this file
    caller = _caller_of(user).without_retries()
    asker = watching(caller, user_id, secret, turnstile, last)
    return asker, User(caller, market, user_id, secret, asker)


def _in_the_name_of(market: MarketDataShared, asker: Api) -> User:
    return User(asker.sender, market, asker.user_id, asker.user_secret, asker)


def _noting(asking: type[SnapshotApi], user: UserApi, known: Collection[int]) -> tuple[UserApi, Sequence[int]]:
    if type(user) is not User:
        return user, ()
    origin = _requester_of(user)
    asker = asking(origin.sender, origin.user_id, origin.user_secret, known)
    return _in_the_name_of(user._market, asker), asker.digests  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - of this file


def _check_id(text: object, name: str) -> None:
    problem = header_problem(text, name) if isinstance(text, str) else f"the {name} must be text, not {text!r}"
    if problem is not None:
        raise ConfigurationError(problem)


def _check_kinds(**settings: tuple[object, type]) -> None:
    for name, (value, kind) in settings.items():
        if value is not None and not isinstance(value, kind):
            msg = f"{name} must be {kind.__name__}(...), not {value!r}"
            raise ConfigurationError(msg)


def _is_yes(allow_insecure: object) -> bool:
    if not isinstance(allow_insecure, bool):
        msg = f"allow_insecure must be True or False, got {type(allow_insecure).__name__}"
        raise ConfigurationError(msg)
    return allow_insecure


def _check_fetch(fetch: object) -> None:
    if not callable(fetch):
        msg = (
            f"fetch must be a function of a handle, such as lambda user: user.positions.list(), not "
            f"{type(fetch).__name__}; seconds are given as every="
        )
        raise ConfigurationError(msg)


def _is_handle(user: object) -> bool:
    return isinstance(user, User)


def _check_clock(clock: object) -> None:
    if clock is not None and not all(callable(getattr(clock, name, None)) for name in ("now", "wall", "call_later")):
        msg = f"clock must have now(), wall() and call_later(), as a Clock has, unlike {type(clock).__name__}"
        raise ConfigurationError(msg)


def _api_of(endpoints: object) -> str:
    address = getattr(endpoints, "api", None)
    if not isinstance(address, str):
        # An address may have a login in it, so it is not shown.
        wanted = 'Endpoints("https://...")' if isinstance(endpoints, str) else "Endpoints(...), or have an api address"
        msg = f"endpoints must be {wanted}, not {type(endpoints).__name__}"
        raise ConfigurationError(msg)
    return check_address("api", address, ("https", "http"))


def _stream_of(endpoints: object, name: str = "stream") -> str:
    # Whoever serves only REST has no stream address; the stream itself says so when it is wanted.
    address = getattr(endpoints, name, "")
    return check_address(name, address, ("wss", "ws")) if address else ""
