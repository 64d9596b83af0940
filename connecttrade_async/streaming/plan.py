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
    from connecttrade_async.streaming.link import Dialing
    from connecttrade_async.streaming.protocol import LinkLife

__all__ = ["Login", "OnTaken", "Owner", "Plan", "Tally"]

OnTaken = Literal["stop", "standby", "fight"]


class Tally(msgspec.Struct):
    """What a stream has seen so far."""

    state: str = "CONNECTING"
    live_since: datetime | None = None
    last_message: float | None = None
    links: int = 0
    gaps: int = 0
    set_aside: int = 0
    fast_path: bool = False


class Owner(Protocol):
    """Of what something was opened, and with what it ends: a client, or a view of one."""

    def check_open(self) -> None:
        """Raise ``ClosedError`` where it is closed."""
        ...

    def end_with(self, end: Callable[[ClosedError], None]) -> Callable[[], object]:
        """Have something ended when it is closed; returns what calls that off."""
        ...


class Login(Protocol):
    """Whatever has to be had before a link can log in.

    Attributes:
        got: how many were got so far.
    """

    got: int

    @property
    def renew_in(self) -> float | None:
        """In how many seconds a new one should be got; None for never."""
        ...

    async def prepare(self, *, is_renewal: bool) -> None:
        """Have it, or get it; for a renewal, get a new one.

        Raises:
            ConnectTradeError: it cannot be had.
        """
        ...

    def accepted(self) -> None:
        """Take note that the server took it."""
        ...

    def refused(self, cause: str) -> ConnectTradeError | None:
        """Take note that the server refused it; returns what that means, or None where a new one may do."""
        ...

    def taken(self, cause: str) -> ConnectTradeError:
        """Return what it means that somebody else has what this logs in to."""
        ...


class Plan(NamedTuple):
    """What a supervisor needs to know and to use."""

    url: str
    make_life: Callable[[float], LinkLife]
    fanout: Fanout
    clock: Clock
    timeouts: Timeouts
    reconnect: Reconnect
    on_taken: OnTaken
    login: Login | None = None
    dialing: Dialing | None = None
