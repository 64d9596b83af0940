"""The points at which a recorder attaches to the traffic of a client.

The transport and each WebSocket check one attribute, and call a tap only where one is attached. A tap never raises and
never waits, so that no recorder changes the traffic that it records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connecttrade_async.rest.wire import Request, Response

__all__ = ["FrameTap", "StreamName", "StreamTapPoint", "Tap", "TapPoint"]

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

    def refused(self, stream: StreamName, reason: str) -> None:
        """Observe that a WebSocket could not be opened, and why."""
        ...


class TapPoint:
    """Holds the tap of a client, shared by its transport and its streams.

    Attributes:
        tap: the tap that is attached, or None.
    """

    __slots__ = ("tap",)

    def __init__(self) -> None:
        self.tap: Tap | None = None

    def of_stream(self, stream: StreamName) -> StreamTapPoint:
        """Return the point at which the WebSockets of one stream report."""
        return StreamTapPoint(self, stream)


class StreamTapPoint:
    """Reports the WebSockets of one stream to the tap of a client, where one is attached.

    Args:
        point: holds the tap.
        stream: the name of the stream.
    """

    __slots__ = ("_point", "_stream")

    def __init__(self, point: TapPoint, stream: StreamName) -> None:
        self._point = point
        self._stream: StreamName = stream

    def opened(self) -> FrameTap | None:
        """Report that a WebSocket was opened; return the observer of its messages, or None."""
        tap = self._point.tap
        return None if tap is None else tap.opened(self._stream)

    def refused(self, reason: str) -> None:
        """Report that a WebSocket could not be opened."""
        if self._point.tap is not None:
            self._point.tap.refused(self._stream, reason)
