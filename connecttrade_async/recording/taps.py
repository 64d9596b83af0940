"""The points at which a recorder attaches to the traffic of a client.

The transport and each WebSocket check one attribute, and call a tap only where one is attached. A tap never raises and
never waits, so that no recorder changes the traffic that it records.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from connecttrade_async.rest.wire import Request, Response

__all__ = ["FrameTap", "StreamName", "Tap", "TapPoint"]

StreamName = Literal["brokerage", "market_data"]


class FrameTap(Protocol):
    """Observes one WebSocket."""

    def received(self, frames: Sequence[bytes]) -> None:
        """Observe received messages, in order."""
        ...

    def sent(self, frame: bytes) -> None:
        """Observe a message that is sent."""
        ...

    def closed(self, code: int, reason: str) -> None:
        """Observe the end of the WebSocket; calls after the first do nothing.

        Args:
            code: the close code; 1006 where the connection ended without a close frame.
            reason: the reason in the close frame, or ``""``.
        """
        ...


class Tap(Protocol):
    """Observes the requests and the WebSockets of a client."""

    def began(self) -> float:
        """Return the moment at which a request is sent, in seconds on the tap's clock."""
        ...

    def exchanged(self, began: float, request: Request, response: Response | None, error: BaseException | None) -> None:
        """Observe a request and its response, or the error in place of one.

        Args:
            began: the result of ``began`` for this request.
            request: the request.
            response: the response, or None.
            error: the reason why there is no response, or None.
        """
        ...

    def opened(self, stream: StreamName) -> FrameTap:
        """Observe that a WebSocket was opened; return the observer of its messages."""
        ...


class TapPoint:
    """Holds the tap of a client, shared by its transport and its streams.

    Attributes:
        tap: the tap that is attached, or None.
    """

    __slots__ = ("tap",)

    def __init__(self) -> None:
        self.tap: Tap | None = None

    def opener(self, stream: StreamName) -> Callable[[], FrameTap | None]:
        """Return a function to call for each opened WebSocket of a stream: it returns its observer, or None."""
        return partial(self._opened, stream)

    def _opened(self, stream: StreamName) -> FrameTap | None:
        return None if self.tap is None else self.tap.opened(stream)
