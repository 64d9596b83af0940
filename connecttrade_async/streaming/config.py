"""Configuration and counters of a stream, and the protocols of the objects that a stream depends on."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from connecttrade_async.clock import Clock
    from connecttrade_async.config import Reconnect, Timeouts
    from connecttrade_async.errors import ClosedError, ConnectTradeError
    from connecttrade_async.streaming.fanout import Fanout
    from connecttrade_async.streaming.protocol import StreamProtocol, TopicCodec
    from connecttrade_async.streaming.websocket import ConnectOptions

__all__ = [
    "Engine",
    "Lifetime",
    "LoginProvider",
    "OnTaken",
    "StreamConfig",
    "StreamCounters",
    "StreamLag",
    "StreamRelay",
    "Upstream",
]

OnTaken = Literal["stop", "standby", "retake"]


class StreamLag(NamedTuple):
    """How far a stream on a relay is behind the relay's log.

    Attributes:
        entries: the entries of the log that the stream has not read yet, as of its latest look at the log.
        seconds: the age of the latest entry that it read, if there are later ones; otherwise 0.
    """

    entries: int
    seconds: float


class StreamCounters(msgspec.Struct):
    """The state of a stream and its counters.

    Attributes:
        state: ``CONNECTING``, ``LIVE``, ``LOST``, ``RETRYING`` or ``ENDED``.
        live_since: the time since which the stream is live, aware, or None.
        last_message: when the last frame was received, in seconds on the clock of the stream, or None.
        connects: connections opened so far.
        gaps: gaps published so far.
        unknown: frames that could not be decoded or belong to no request.
        fast_path: whether the latest connection splits frames out of the chunks that the socket delivers.
        role: ``ALONE``, or on a relay ``LEADER`` or ``FOLLOWER``.
        leader: the worker that has the session, on a relay; None if it is unknown or there is none.
        epoch: the epoch of the latest entry that was read from the relay's log, or None.
        lag: how far the stream is behind the log, on a relay, or None.
        unread: names that the first frame of each kind had and no field has, by kind.
    """

    state: str = "CONNECTING"
    live_since: datetime | None = None
    last_message: float | None = None
    connects: int = 0
    gaps: int = 0
    unknown: int = 0
    fast_path: bool = False
    unread: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict[str, tuple[str, ...]])
    role: str = "ALONE"
    leader: str | None = None
    epoch: int | None = None
    lag: StreamLag | None = None


class Engine(Protocol):
    """Runs a stream: opens its source of events, publishes them and survives losses, until the stream ends."""

    @property
    def counters(self) -> StreamCounters:
        """The state and the counters of the stream."""
        ...

    @property
    def is_live(self) -> asyncio.Future[None]:
        """Done when the stream is live for the first time, or has ended before that."""
        ...

    async def run(self) -> None:
        """Run until the stream ends. Cancelling closes it."""
        ...

    def end(self, error: ConnectTradeError | None = None) -> None:
        """End the stream: publish its end and close all subscriptions. A second call does nothing.

        Args:
            error: the reason, or None if the stream was closed by its user.
        """
        ...


class Lifetime(Protocol):
    """The owner of a stream, with which the stream closes: a client, or a view of one."""

    def check_open(self) -> None:
        """Raise ``ClosedError`` if the owner is closed."""
        ...

    def on_close(self, callback: Callable[[ClosedError], None]) -> Callable[[], object]:
        """Register a callback for the close of the owner.

        Returns:
            A callable that removes the registration.
        """
        ...


class LoginProvider(Protocol):
    """Provides what a connection logs in with, for example a token."""

    @property
    def renew_in(self) -> float | None:
        """Seconds until the token is due for renewal, or None for never."""
        ...

    async def ensure(self, *, is_renewal: bool) -> None:
        """Fetch the token unless a valid one is held.

        Args:
            is_renewal: whether to fetch a new token in any case.

        Raises:
            ConnectTradeError: the token could not be fetched.
        """
        ...

    def mark_accepted(self) -> None:
        """Record that the server accepted the token."""
        ...

    def refused_error(self, cause: str) -> ConnectTradeError | None:
        """Record that the server refused the token.

        Args:
            cause: the reason, in words.

        Returns:
            The error that ends the stream, or None if a new token may be accepted.
        """
        ...

    def taken_error(self, cause: str) -> ConnectTradeError:
        """Return the error for a session that another client has taken.

        Args:
            cause: the reason, in words.
        """
        ...


class StreamConfig(NamedTuple):
    """The configuration of one stream.

    Attributes:
        url: the address of the WebSocket.
        make_protocol: returns the protocol of a new connection, opened at this moment of ``clock``.
        fanout: where events are published.
        clock: the time source.
        timeouts: seconds for connecting, the login, closing and so on.
        reconnect: delays and limits of reconnecting.
        on_taken: what to do when another client takes the session.
        login: provides the token of a login, or None if the codec holds the credentials.
        dialing: TLS context, proxy and largest frame, or None for the defaults.
    """

    url: str
    make_protocol: Callable[[float], StreamProtocol]
    fanout: Fanout
    clock: Clock
    timeouts: Timeouts
    reconnect: Reconnect
    on_taken: OnTaken
    login: LoginProvider | None = None
    dialing: ConnectOptions | None = None


class Upstream(NamedTuple):
    """What opens the session of a stream, for an engine that does so only while it may.

    Attributes:
        config: the configuration of the stream. Its protocol subscribes to the topics of this one stream.
        codec: decodes the frames.
        topics: the topics that this stream delivers.
        make_protocol: returns the protocol of a new connection with this codec, for all topics.
    """

    config: StreamConfig
    codec: TopicCodec
    topics: tuple[str, ...]
    make_protocol: Callable[[TopicCodec, float], StreamProtocol]


class StreamRelay(Protocol):
    """What a stream needs of a relay: its fan-out, its engine and its position."""

    @property
    def position(self) -> str | None:
        """The position up to which every subscription has received the log, or None before the first entry."""
        ...

    def make_fanout(self, wall: Callable[[], datetime]) -> Fanout:
        """Return the fan-out of the stream."""
        ...

    def make_engine(self, upstream: Upstream) -> Engine:
        """Return the engine of the stream."""
        ...
