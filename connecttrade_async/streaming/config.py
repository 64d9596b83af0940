"""A loop's table: what a supervisor needs to know and to use, and what it has seen."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async.clock import Clock
    from connecttrade_async.config import Reconnect, Timeouts
    from connecttrade_async.errors import ClosedError, ConnectTradeError
    from connecttrade_async.streaming.fanout import Fanout
    from connecttrade_async.streaming.protocol import StreamProtocol
    from connecttrade_async.streaming.websocket import ConnectOptions

__all__ = ["Lifetime", "LoginProvider", "OnTaken", "StreamConfig", "StreamCounters"]

OnTaken = Literal["stop", "standby", "retake"]


class StreamCounters(msgspec.Struct):
    """What a stream has seen so far."""

    state: str = "CONNECTING"
    live_since: datetime | None = None
    last_message: float | None = None
    connects: int = 0
    gaps: int = 0
    unknown: int = 0
    fast_path: bool = False


class Lifetime(Protocol):
    """Of what something was opened, and with what it ends: a client, or a view of one."""

    def check_open(self) -> None:
        """Raise ``ClosedError`` where it is closed."""
        ...

    def on_close(self, end: Callable[[ClosedError], None]) -> Callable[[], object]:
        """Have something ended when it is closed; returns what calls that off."""
        ...


class LoginProvider(Protocol):
    """Whatever has to be had before a link can log in.

    Attributes:
        got: how many were got so far.
    """

    fetch_count: int

    @property
    def renew_in(self) -> float | None:
        """In how many seconds a new one should be got; None for never."""
        ...

    async def ensure(self, *, is_renewal: bool) -> None:
        """Have it, or get it; for a renewal, get a new one.

        Raises:
            ConnectTradeError: it cannot be had.
        """
        ...

    def mark_accepted(self) -> None:
        """Take note that the server took it."""
        ...

    def refused_error(self, cause: str) -> ConnectTradeError | None:
        """Take note that the server refused it; returns what that means, or None where a new one may do."""
        ...

    def taken_error(self, cause: str) -> ConnectTradeError:
        """Return what it means that somebody else has what this logs in to."""
        ...


class StreamConfig(NamedTuple):
    """What a supervisor needs to know and to use."""

    url: str
    make_protocol: Callable[[float], StreamProtocol]
    fanout: Fanout
    clock: Clock
    timeouts: Timeouts
    reconnect: Reconnect
    on_taken: OnTaken
    login: LoginProvider | None = None
    dialing: ConnectOptions | None = None
