"""One stream session of a replay: sends recorded frames in their times, and awaits those of the client."""

import asyncio
import json
from contextlib import suppress
from itertools import groupby
from typing import cast

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from connecttrade_async.sandbox.replay.bindings import Bindings
from connecttrade_async.sandbox.replay.conversation import Conversation
from connecttrade_async.sandbox.replay.matcher import Comparison, compare
from connecttrade_async.sandbox.replay.records import Close, Frame, Session

__all__ = ["SessionPlayer"]

_MOST_WAITING = 1000
"""Frames of the client that may wait for their turn."""
_CLIENT_CLOSE = 1.0
"""Seconds that a client has to close by itself where the recorded code is 1000: its own close looks like that."""
_CLOSE_LIMIT = 1.0
"""Seconds that a client has to answer a close."""
_SENDABLE = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})


class SessionPlayer:
    """Plays one recorded session to one client.

    Args:
        session: the recorded session.
        socket: the connection of the client.
        conversation: the replay that the session is a part of. A frame that the recording does not have is added to
            its `unmatched`, without the content.
    """

    def __init__(self, session: Session, socket: ServerConnection, conversation: Conversation) -> None:
        self._session = session
        self._socket = socket
        self._conversation = conversation
        self._bindings = Bindings(shared=conversation.bindings)
        self._waiting: list[str | bytes] = []
        self._expected = [frame for frame in session.frames if frame.direction == "out"]
        self._arrived = asyncio.Event()
        self._over = asyncio.Event()
        # Recorded seconds and seconds of this run at one moment: the last frame that was sent or awaited.
        self._at = session.at
        self._anchor = asyncio.get_running_loop().time()

    async def play(self) -> None:
        """Play the session until it is over on either side. Cancelling it leaves the connection to the caller."""
        reading = asyncio.create_task(self._read())
        try:
            for direction, frames in groupby(self._session.frames, key=lambda frame: frame.direction):
                if direction == "out":
                    await self._await_frames(list(frames))
                else:
                    for frame in frames:
                        await self._send(frame)
            if self._session.close is not None:
                await self._close(self._session.close)
            await reading
        except ConnectionClosed:
            pass  # the client closed first
        finally:
            reading.cancel()
            for content in self._waiting:
                self._report_frame(content)

    async def _read(self) -> None:
        try:
            async for content in self._socket:
                if len(self._waiting) < _MOST_WAITING and any(self._compared(one, content) for one in self._expected):
                    self._waiting.append(content)
                    self._arrived.set()
                else:
                    self._report_frame(content)
        except ConnectionClosed:
            pass  # lost, which ends the session as a close does
        finally:
            self._over.set()
            self._arrived.set()

    async def _await_frames(self, frames: list[Frame]) -> None:
        """Wait until the client has sent all of these, in whatever order."""
        left = list(frames)
        while True:
            left = [frame for frame in left if not self._take(frame)]
            if not left or self._over.is_set():
                break
            self._arrived.clear()
            await self._arrived.wait()
        self._at, self._anchor = frames[-1].at, asyncio.get_running_loop().time()

    def _take(self, frame: Frame) -> bool:
        compared = ((content, self._compared(frame, content)) for content in self._waiting)
        found = [(comparison.difference, content, comparison) for content, comparison in compared if comparison]
        if not found:
            return False
        _, content, comparison = min(found, key=lambda each: each[0])
        self._bindings.bind(comparison.pairs)
        self._waiting.remove(content)
        self._expected.remove(frame)
        return True

    def _compared(self, frame: Frame, content: str | bytes) -> Comparison | None:
        found = Comparison()
        recorded = frame.payload
        if isinstance(recorded, bytes) or isinstance(content, bytes):
            return found if recorded == content else None
        compare(_json(recorded), _json(content), found, is_strict=True)
        return found if found.is_alike and self._bindings.can_bind(found.pairs) else None

    async def _send(self, frame: Frame) -> None:
        await self._wait_until(frame.at)
        payload = frame.payload
        await self._socket.send(payload if isinstance(payload, bytes) else self._bindings.rewrite(payload))

    async def _wait_until(self, at: float) -> None:
        seconds = self._anchor + self._conversation.delay(max(0.0, at - self._at)) - asyncio.get_running_loop().time()
        if seconds > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), seconds)
        if await self._conversation.until_asked(at):
            self._at, self._anchor = at, asyncio.get_running_loop().time()

    async def _close(self, close: Close) -> None:
        await self._wait_until(close.at)
        if close.code == 1000:  # noqa: PLR2004  the code of RFC 6455 for a normal end
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), _CLIENT_CLOSE)
        if close.code in _SENDABLE:
            await self._socket.close(close.code, close.reason)
        elif close.code == 1005:  # noqa: PLR2004  the code of RFC 6455 for a close frame without a code
            self._socket.protocol.send_close()
            self._socket.transport.write(b"".join(self._socket.protocol.data_to_send()))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), _CLOSE_LIMIT)
        else:
            # This sends what is buffered first, and no close frame: the client finds its connection lost.
            self._socket.transport.close()

    def _report_frame(self, content: str | bytes) -> None:
        value = None if isinstance(content, bytes) else _json(content)
        action = cast("dict[str, object]", value).get("action") if isinstance(value, dict) else None
        kind = f"a frame with the action {action!r}" if isinstance(action, str) else "a frame"
        self._conversation.unmatched.append(f"{self._session.stream} session {self._session.number}: {kind}")


def _json(text: str) -> object:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value
