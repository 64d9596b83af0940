"""The client: construction, the entry points of every product, and closing."""

# ruff: noqa: TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from os import PathLike
from ssl import SSLContext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeVar, cast, overload

import msgspec

import connecttrade_async  # names that are imported on first use
from connecttrade_async._version import __version__
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
from connecttrade_async.dialect.value import Dialect
from connecttrade_async.errors import ClosedError, ConfigurationError, shown
from connecttrade_async.rest import resources, wire
from connecttrade_async.rest.codec import RestCodec
from connecttrade_async.rest.limiter import RequestLimiter
from connecttrade_async.rest.sender import Api, RequestCounters, Sender
from connecttrade_async.rest.transport import ClientSession, TraceConfig, Transport
from connecttrade_async.secret import Secret, header_problem
from connecttrade_async.user import (
    MarketDataShared,
    User,
    polled_user,
    sender_of,
)

if TYPE_CHECKING:
    from connecttrade_async.books.changes import Change
    from connecttrade_async.recording.taps import StreamName, TapPoint
    from connecttrade_async.relay.relay import BoundRelay

__all__ = ["ClientHealth", "ConnectTrade"]

T = TypeVar("T")
log = logging.getLogger("connecttrade_async.rest")


class ClientHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The state and counters of a client, as plain values that a web backend can serve as JSON.

    Attributes:
        is_open: whether the client accepts calls.
        in_flight: requests in flight.
        waiting: requests that wait for the limiter.
        exchanges: requests sent since the client was made, counting each attempt.
        retries: of these, second and later attempts.
        failures: calls that ended in an error.
        consecutive_failures: retryable failures since the last successful response; 0 while all is well.
        last_error: the latest failure as text, or None.
        unread: names in responses that no field reads, by method and path, such as ``GET /orders``. The first responses
            of each path are compared; a name that may be a secret is shown as its length.
    """

    is_open: bool
    in_flight: int
    waiting: int
    exchanges: int
    retries: int
    failures: int
    consecutive_failures: int
    last_error: str | None
    unread: Mapping[str, tuple[str, ...]]


class ConnectTrade:
    """A client of Connect Trade: one HTTP session for all users.

    Use it as ``async with``, or call ``aclose`` when done. It may be constructed without an event loop. The session is
    opened at the first call, in the running event loop, and belongs to that loop.

    Args:
        client_id: the client's id.
        client_secret: the client's secret; it is stored as a ``Secret``.
        endpoints: the addresses of the API; any object with an ``api`` address, such as the sandbox's.
        timeouts: the time limits.
        retry: the retry policy of idempotent requests.
        reconnect: the reconnect policy of streams.
        limits: the limits of concurrency, rate and size.
        http: an aiohttp session to borrow; the client does not close it, and uses its proxy and headers. No cookie of
            its jar is sent, and none is stored. A connection of its pool on which data arrived while it was idle is
            dropped. Where aiohttp had already parsed the beginning of such data as a response, the next request fails
            with a ``TransportError``.
        ssl: the TLS context of every connection; None for the system's certificates.
        proxy: the address of an HTTP proxy for every connection, ``http://user:password@host:port``; None for none. The
            proxies of the environment are not used.
        allow_insecure: whether to accept ``http://`` and ``ws://`` addresses of other hosts than this machine. Secrets
            are sent to them unencrypted.
        trace_configs: aiohttp's tracing hooks, for the client's own session.
        clock: the source of time; a test may pass one that it controls.
        dialect: how the server speaks, where it differs from the assumed forms: a ``Dialect``, or the path of its file,
            which is read here. None for the assumed forms.

    Raises:
        ConfigurationError: a credential, an address, a setting or the dialect is invalid.
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
        dialect: Dialect | str | PathLike[str] | None = None,
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
        dialect = _dialect_of(dialect)
        endpoints = Endpoints() if endpoints is None else endpoints
        dial = DialOptions.of(ssl, proxy)
        api, stream, market_data = _api_of(endpoints), _stream_of(endpoints), _stream_of(endpoints, "market_data")
        if not _is_true(allow_insecure):
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
        sender = Sender(
            RequestLimiter(limits or Limits(), clock),
            transport,
            timeouts=timeouts or Timeouts(),
            retry=retry or Retry(),
            clock=clock,
            counters=RequestCounters(),
            codec=RestCodec(dialect),
        )
        self._client_secret = client_secret
        self._stream_url = stream
        frame_bytes = (limits or Limits()).frame_bytes
        self._market = MarketDataShared(market_data, reconnect or Reconnect(), set(), dial, frame_bytes, dialect)
        self._reconnect = reconnect or Reconnect()
        self._init_view(client_id, sender, owns=True)

    def _init_view(self, client_id: str, sender: Sender, *, owns: bool) -> None:
        self.client_id = client_id
        self._sender = sender
        self._owns = owns
        self._api = Api(sender, None, None)

    @classmethod
    def from_env(cls, **settings: Any) -> Self:  # noqa: ANN401 - as the constructor has them
        """Construct a client from environment variables.

        Reads ``CONNECTTRADE_CLIENT_ID`` and ``CONNECTTRADE_CLIENT_SECRET``, and where they are set
        ``CONNECTTRADE_API_URL``, ``CONNECTTRADE_STREAM_URL``, ``CONNECTTRADE_MDSTREAM_URL``,
        ``CONNECTTRADE_ALLOW_INSECURE``, 1 or 0, and ``CONNECTTRADE_DIALECT``, the path of a dialect's file.

        Args:
            settings: any arguments of the constructor by name. They take precedence over the environment.

        Raises:
            ConfigurationError: a credential is missing, or a variable is invalid.
        """
        return cls(**(from_environment(settings) | settings))

    @property
    def users(self) -> resources.Users:
        """The client's users: create, list, delete."""
        return resources.Users(self._api)

    def user(self, user_id: str, user_secret: str | Secret) -> User:
        """Return a handle on one user. A handle is small and needs no I/O, so thousands are fine.

        Raises:
            ConfigurationError: the id or the secret cannot be sent.
        """
        user_secret = Secret.wrap(user_secret)  # rebound before it is checked: tracebacks can print variables
        user_secret.check("user secret")
        _check_id(user_id, "user id")
        return User(self._sender, self._market, user_id, user_secret)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json: object = None,
    ) -> connecttrade_async.Response:
        """Send a request with the client's credentials. Only a GET is retried.

        Args:
            method: ``GET``, ``POST``, ``PUT``, ``PATCH`` or ``DELETE``.
            path: the path, percent-encoded, beginning with a slash.
            params: the query parameters, encoded as the resources encode theirs.
            json: the JSON body; None for none.

        Returns:
            The undecoded response: ``.status``, ``.headers``, ``.body``, ``.json()``.

        Raises:
            ConfigurationError: the path or a parameter is invalid.
            TransportError: the network failed.
            APIError: the API responded with an error status.

        Cancelling abandons the call; the server may still execute a request that was sent.
        """
        return await self._api.request(method, path, params=params, json=json)

    def brokerage_stream(
        self,
        topics: Sequence[str] = ("orders", "positions", "balances"),
        *,
        on_taken: Literal["stop", "standby", "retake"] = "stop",
        codes: Mapping[str, connecttrade_async.CloseReason] | None = None,
        watchdog: float | None = None,
        relay: connecttrade_async.Relay | None = None,
        since: str | None = None,
    ) -> connecttrade_async.BrokerageStream:
        """Return the stream of all users of this client; ``async with`` opens it.

        Args:
            topics: the topics to subscribe to: ``orders``, ``positions``, ``balances`` (documented).
            on_taken: the policy for when another client takes the one session that the API allows (documented).
                ``stop`` ends with ``SessionTakenError``; ``standby`` reconnects slowly; ``retake`` takes the session
                back, at most three times in ten minutes.
            codes: the meanings of error codes and close codes, in addition to ``CODES``, for a server that uses others
                than the (assumed) ones.
            watchdog: the seconds for which the event loop may be blocked before the logger
                ``connecttrade_async.streaming`` warns, with the blocking code. A blocked loop loses healthy
                connections. The watchdog uses a thread; None disables it.
            relay: the relay that shares one session among many processes; None opens a session of this stream's own.
                When a client outside the relay takes the session, the whole relay stands by, as with ``standby``.
            since: with a relay, the ``position`` behind which to continue; the events since then are replayed. A
                ``Gap`` takes the place of those that the relay does not have any more.

        Raises:
            ConfigurationError: a topic, the policy or the position is invalid, or the endpoints have no stream address.
        """
        if not self._stream_url:
            msg = "endpoints must have a stream address, got none"
            raise ConfigurationError(msg)
        # Imported on first use: importing websockets takes a tenth of a second.
        from connecttrade_async.streaming.brokerage_codec import BrokerageCodec  # noqa: PLC0415
        from connecttrade_async.streaming.brokerage_stream import BrokerageStream  # noqa: PLC0415
        from connecttrade_async.streaming.websocket import ConnectOptions  # noqa: PLC0415

        return BrokerageStream(
            self._stream_url,
            BrokerageCodec(self.client_id, self._client_secret, self._market.dialect),
            topics=tuple(topics),
            timeouts=self._sender.timeouts,
            reconnect=self._reconnect,
            clock=self._sender.clock,
            on_taken=on_taken,
            codes=codes or {},
            owner=self._sender,
            watchdog=watchdog,
            dialing=ConnectOptions(
                self._market.frame_bytes,
                self._market.dial.ssl,
                self._market.dial.proxy,
                self._sender.transport.tap_point.of_stream("brokerage"),
            ),
            relay=_bound(relay, self.client_id, self._client_secret, on_taken, since),
        )

    def live(
        self,
        users: Iterable[User] = (),
        stream: connecttrade_async.BrokerageStream | None = None,
        *,
        on_taken: Literal["stop", "standby", "retake"] = "stop",
        sweep_every: float | None = 300.0,
        concurrency: int = 50,
        requests_per_second: float | None = None,
        keep_orders: connecttrade_async.OrderRetention | None = None,
        capacity: int = 100_000,
        snapshot_pages: int = 200,
        snapshot_timeout: float = 300.0,
    ) -> connecttrade_async.LiveAccounts:
        """Return the accounts of users, kept current by the stream; ``async with`` opens them.

        Args:
            users: the users to follow; more can be added later.
            stream: a stream to borrow, with all three topics; it is not closed. None opens one and closes it.
            on_taken: the policy of the own stream for when another client takes the session, as for
                ``brokerage_stream``. With ``standby`` the books are not current until the session is free again.
            sweep_every: seconds in which every user is re-read once, to find updates that a broker's feed lost; None
                disables the sweep.
            concurrency: requests in flight at once, for snapshots.
            requests_per_second: the rate limit of snapshots; None for no limit besides ``concurrency`` and the client's
                ``limits``.
            keep_orders: the retention of ended orders in a book; by default 500 of an account, for a day.
            capacity: updates of the stream that may be queued; on overflow, every user is re-read.
            snapshot_pages: pages of 500 orders that one snapshot of a user may have; a user with more is in ``failed``.
            snapshot_timeout: seconds that the requests of one snapshot may take together. ``async with`` returns early
                when for as long no user was read or failed, and no request was sent. The remaining users are in
                ``failed``, and are still read.

        Raises:
            ConfigurationError: a setting is invalid, a user is not a handle, there is no stream to follow, or a policy
                is given for a borrowed stream.
        """
        if stream is not None and on_taken != "stop":
            msg = f"on_taken must be given to the borrowed stream itself, got {shown(on_taken)}"
            raise ConfigurationError(msg)
        from connecttrade_async.books.order_tracker import OrderRetention  # noqa: PLC0415
        from connecttrade_async.live.accounts import LiveAccounts  # noqa: PLC0415 - it knows the stream
        from connecttrade_async.live.status import LiveSettings  # noqa: PLC0415

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
            self.brokerage_stream(on_taken=on_taken) if stream is None else stream,
            settings,
            owns_stream=stream is None,
            reconnect=self._reconnect,
            clock=self._sender.clock,
            owner=self._sender,
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
        """Return a poller that fetches data of many users at an interval; ``async with`` starts it.

        Polls are spread evenly from the start and do not drift. A user is not polled again while its poll runs. No
        request is retried, whatever ``Retry`` says: the next poll is the retry. A failing user is polled at growing
        intervals, and one that gets 401 repeatedly is parked: see ``Poller.parked``. After a 429 every user waits for
        its ``Retry-After``, for ten minutes at most. While every poll fails, only one probe at a time is sent.

        Args:
            users: the handles; an async iterator is consumed while the first users are polled already.
            fetch: an async function of a handle, ``lambda user: user.positions.list()``. Where it returns a call of
                this library, an unchanged response is decoded only if ``value`` is read. It may send any number of
                requests, also concurrently in a task group: a 401 or a 429 among its errors counts as if it came
                alone. None keeps books of orders, positions and balances, as ``live`` does: ``book`` and ``changes``
                of the poller serve them, and each ``value`` has the changes of one poll.
            every: seconds between the polls of one user; or a function of the user and its last result, which is None
                before the first.
            concurrency: polls in progress at once; the client's ``Limits`` also bound the requests in flight.
            capacity: results that may be queued for the consumer. While the queue is full, no user is polled.
            only_changed: whether to omit successful results that equal the user's previous one.
            requests_per_second: the rate limit over all users of this poller; None for no limit.
            user_requests_per_second: the rate limit of each user; None for no limit.
            slowest: the longest interval of a failing user, in seconds.
            keep_orders: with books, the retention of ended orders; by default 500 of an account, for a day.

        Raises:
            ConfigurationError: an argument is invalid.
        """
        # Imported on first use, so that other programs do not load it.
        from connecttrade_async.polling.config import PollConfig  # noqa: PLC0415
        from connecttrade_async.polling.fetcher import PollClient  # noqa: PLC0415
        from connecttrade_async.polling.polled_api import PolledApi  # noqa: PLC0415
        from connecttrade_async.polling.poller import Poller  # noqa: PLC0415

        config = PollConfig(
            every=every,
            concurrency=concurrency,
            capacity=capacity,
            only_changed=only_changed,
            requests_per_second=requests_per_second,
            user_requests_per_second=user_requests_per_second,
            slowest=slowest,
        )
        poll_client = PollClient(self._sender, sender_of=sender_of, watched_api=partial(polled_user, PolledApi))
        if fetch is not None:
            _check_fetch(fetch)
            return Poller(users, fetch, config, poll_client, is_handle=_is_handle)
        from connecttrade_async.books.order_tracker import OrderRetention  # noqa: PLC0415
        from connecttrade_async.polling.polled_books import PolledBooks  # noqa: PLC0415

        books = PolledBooks(self._sender.clock, keep_orders if keep_orders is not None else OrderRetention())
        return Poller(users, books.read, config, poll_client, books, is_handle=_is_handle)

    def with_options(self, *, timeouts: Timeouts | None = None, retry: Retry | None = None) -> ConnectTrade:
        """Return a view of this client with other timeouts or another retry policy.

        The view shares the session, the limits and the counters. Closing the view closes only the view; closing this
        client closes both.

        Raises:
            ConfigurationError: an argument is not a ``Timeouts`` or a ``Retry``.
        """
        _check_kinds(timeouts=(timeouts, Timeouts), retry=(retry, Retry))
        view = ConnectTrade.__new__(ConnectTrade)
        view._client_secret, view._stream_url, view._reconnect = self._client_secret, self._stream_url, self._reconnect  # noqa: SLF001 - its own kind
        view._market = self._market  # noqa: SLF001 - its own kind
        view._init_view(self.client_id, self._sender.with_options(timeouts, retry), owns=False)  # noqa: SLF001 - its own kind
        return view

    def health(self) -> ClientHealth:
        """Return the state and counters of this client, without I/O."""
        limiter, counters = self._sender.limiter, self._sender.counters
        return ClientHealth(
            is_open=not (self._sender.is_closed or limiter.is_closed),
            in_flight=limiter.in_flight,
            waiting=limiter.waiting,
            exchanges=counters.exchanges,
            retries=counters.retries,
            failures=counters.failures,
            consecutive_failures=counters.consecutive_failures,
            last_error=counters.last_error,
            unread=self._sender.codec.census.unread,
        )

    async def aclose(self) -> None:
        """Close the client, within ``timeouts.close`` seconds. Calls in progress and later ones raise ``ClosedError``.

        Streams, live accounts and pollers that are entered later raise it too. Open ones end at once: every book is
        stale, iterating over a poller or receiving raises ``ClosedError``, and other iterators end.

        Raises:
            ConfigurationError: the client belongs to another event loop that still runs, or to another process.

        Closing twice does nothing. After cancellation the session continues to close in the background. After the
        timeout it does so too, and a warning is logged.
        """
        if self._owns:
            self._sender.transport.check_closing()
        self._sender.close()
        if not self._owns:
            return
        self._sender.limiter.close()
        seconds = self._sender.timeouts.close
        try:
            async with asyncio.timeout(seconds):
                await self._sender.transport.aclose()
        except TimeoutError:
            log.warning("client connections still open after the close timeout", extra={"timeout": seconds})

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
        if not hasattr(self, "_sender"):
            return "<ConnectTrade uninitialized>"
        health = self.health()
        state = "OPEN" if health.is_open else "CLOSED"
        return f"<ConnectTrade {self.client_id!r} {state} {health.in_flight} in flight, {health.waiting} waiting>"


class ClientTraffic(NamedTuple):
    """What a recorder and the doctor need of a client.

    Attributes:
        tap_point: where a recorder attaches.
        clock: the source of time.
        client_id: the client's id.
        client_secret: the client's secret, which must not be written.
        urls: the addresses of the streams, by name; ``""`` where there is none.
        dial: TLS context and proxy.
        frame_bytes: the largest frame.
        dialect: how the server speaks.
    """

    tap_point: TapPoint
    clock: Clock
    client_id: str
    client_secret: Secret
    urls: dict[StreamName, str]
    dial: DialOptions
    frame_bytes: int
    dialect: Dialect


def traffic_of(ct: ConnectTrade) -> ClientTraffic:
    """Return what a recorder and the doctor need of a client."""
    sender, market = ct._sender, ct._market  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - of this file
    secret, stream_url = ct._client_secret, ct._stream_url  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - of this file
    return ClientTraffic(
        sender.transport.tap_point,
        sender.clock,
        ct.client_id,
        secret,
        {"brokerage": stream_url, "market_data": market.url},
        market.dial,
        market.frame_bytes,
        market.dialect,
    )


def _bound(relay: object, client_id: str, client_secret: Secret, on_taken: str, since: str | None) -> BoundRelay | None:
    if relay is None:
        if since is not None:
            msg = f"since must be None without a relay, got {shown(since)}"
            raise ConfigurationError(msg)
        return None
    if not isinstance(relay, connecttrade_async.Relay):
        msg = f"relay must be Relay(...), got {type(relay).__name__}"
        raise ConfigurationError(msg)
    if on_taken == "retake":
        msg = "on_taken must be stop or standby with a relay, which stands by as a whole, got 'retake'"
        raise ConfigurationError(msg)
    return relay.bind(client_id, client_secret, since)


def _check_id(text: object, name: str) -> None:
    problem = header_problem(text, name) if isinstance(text, str) else f"the {name} must be text, got {text!r}"
    if problem is not None:
        raise ConfigurationError(problem)


def _check_kinds(**settings: tuple[object, type]) -> None:
    for name, (value, kind) in settings.items():
        if value is not None and not isinstance(value, kind):
            msg = f"{name} must be {kind.__name__}(...), got {value!r}"
            raise ConfigurationError(msg)


def _is_true(allow_insecure: object) -> bool:
    if not isinstance(allow_insecure, bool):
        msg = f"allow_insecure must be True or False, got {type(allow_insecure).__name__}"
        raise ConfigurationError(msg)
    return allow_insecure


def _check_fetch(fetch: object) -> None:
    if not callable(fetch):
        msg = (
            f"fetch must be a function of a handle, such as lambda user: user.positions.list(), got "
            f"{type(fetch).__name__}: pass seconds as every="
        )
        raise ConfigurationError(msg)


def _is_handle(user: object) -> bool:
    return isinstance(user, User)


def _dialect_of(dialect: Dialect | str | PathLike[str] | None) -> Dialect:
    if isinstance(dialect, Dialect) or dialect is None:
        return dialect or Dialect.default
    if isinstance(cast("object", dialect), str | PathLike) and dialect != "":
        return Dialect.load(os.fsdecode(dialect))
    msg = f"dialect must be Dialect(...) or the path of a file, got {type(dialect).__name__}"
    raise ConfigurationError(msg)


def _check_clock(clock: object) -> None:
    if clock is not None and not all(callable(getattr(clock, name, None)) for name in ("now", "wall", "call_later")):
        msg = f"clock must have now(), wall() and call_later(), as a Clock has, got {type(clock).__name__}"
        raise ConfigurationError(msg)


def _api_of(endpoints: object) -> str:
    address = getattr(endpoints, "api", None)
    if not isinstance(address, str):
        # An address may contain a login, so the message does not show it.
        expected = (
            'Endpoints("https://...")' if isinstance(endpoints, str) else "Endpoints(...), or have an api address"
        )
        msg = f"endpoints must be {expected}, got {type(endpoints).__name__}"
        raise ConfigurationError(msg)
    return check_address("api", address, ("https", "http"))


def _stream_of(endpoints: object, name: str = "stream") -> str:
    # A server of only REST has no stream address: brokerage_stream() and market_data() raise then.
    address = getattr(endpoints, name, "")
    return check_address(name, address, ("wss", "ws")) if address else ""
