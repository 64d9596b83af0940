"""The state of one replay: what was asked for so far, what was not found, and how recorded time passes."""

import asyncio
from collections import deque
from collections.abc import Iterator

from connecttrade_async.sandbox.replay.bindings import Bindings
from connecttrade_async.sandbox.replay.matcher import ExchangeMatcher, Request
from connecttrade_async.sandbox.replay.records import Exchange, Recording, Session, StreamName

__all__ = ["Conversation"]

_PATIENCE = 1.0
"""Seconds that a frame waits for the requests that were recorded before it."""
_MOST_UNMATCHED = 10_000


class Conversation:
    """One run through a recording.

    Args:
        recording: what is played.
        speed: how many recorded seconds pass in one.

    Attributes:
        bindings: the ids of this run.
        unmatched: what the recording does not have, oldest first.
    """

    def __init__(self, recording: Recording, speed: float) -> None:
        self.bindings = Bindings(_texts(recording))
        self.unmatched: deque[str] = deque(maxlen=_MOST_UNMATCHED)
        self._speed = speed
        self._matcher = ExchangeMatcher(recording.exchanges, self.bindings)
        self._sessions = deque(recording.sessions)
        self._asked = asyncio.Event()
        self._patience = _PATIENCE

    @property
    def unused(self) -> tuple[str, ...]:
        """The recorded operations and sessions that no client has asked for."""
        sessions = (f"{session.stream} session {session.number}" for session in self._sessions)
        return (*self._matcher.left, *sessions)

    def delay(self, seconds: float) -> float:
        """Return the seconds of this run in which recorded seconds pass."""
        return seconds / self._speed

    def take(self, request: Request) -> Exchange | None:
        """Return the recorded exchange of a request, None if there is none; frames that wait for it go on."""
        exchange = self._matcher.take(request)
        if exchange is not None:
            self._patience = _PATIENCE
            self._asked.set()
        return exchange

    def take_session(self, name: StreamName) -> Session | None:
        """Return the next recorded session of a stream, None if there is none."""
        session = next((session for session in self._sessions if session.stream == name), None)
        if session is not None:
            self._sessions.remove(session)
        return session

    async def until_asked(self, at: float) -> bool:
        """Wait until the requests recorded before a time have come, so that no frame overtakes what it follows from.

        A client that does not send one of them costs a second; the next are not awaited until it sends some again.

        Returns:
            Whether there was something to wait for.
        """
        has_waited = self._matcher.next_at < at
        while self._matcher.next_at < at:
            self._asked.clear()
            try:
                await asyncio.wait_for(self._asked.wait(), self._patience)
            except TimeoutError:
                self._patience = 0.0
                self._matcher.stop_waiting(at)
        return has_waited


def _texts(recording: Recording) -> Iterator[str]:
    """Every text of a recording that may have an id in it which the client did not choose."""
    for exchange in recording.exchanges:
        yield exchange.response or ""
    for session in recording.sessions:
        for frame in session.frames:
            if frame.direction == "in":
                yield frame.text or ""
