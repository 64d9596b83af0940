"""The sandbox's steering: a test's hand on a stream, and every way in which a link can fail.

Before an action on a connection, every event so far is sent on it.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from connecttrade_async.sandbox.streams.encoding import encoded
from connecttrade_async.sandbox.streams.message_log import Sent
from connecttrade_async.sandbox.streams.server import StreamServer
from connecttrade_async.sandbox.streams.session import StreamSession
from connecttrade_async.sandbox.streams.websocket import SandboxWebSocket

__all__ = ["StreamActions"]

_LONGEST = 3600

_SessionT = TypeVar("_SessionT", bound=StreamSession[Any])


class StreamActions(StreamServer[_SessionT]):
    """What a test may do to a stream, whichever it is."""

    def send(self, message: str | Mapping[str, object]) -> None:
        """Send any message to every live session: text as it is, an object as JSON."""
        text = message if isinstance(message, str) else encoded(message)
        for link in self._live():
            link.send(Sent(link.number, "by hand", 0, text))
            link.flush()

    # How links fail ---------------------------------------------------------------------------------------------------

    def drop(self, code: int | None = 1001, reason: str = "") -> None:
        """Close every link: with a close frame, or for None without one.

        Raises:
            ValueError: no peer may be sent this code.
        """
        for link in self._all():
            if code is None:
                link.cut()
            else:
                link.close(code, reason)

    def reset(self) -> None:
        """Break every link with a TCP reset."""
        for link in self._all():
            link.reset()

    def freeze(self) -> None:
        """Leave every link half-open: it reads nothing, writes nothing, answers no ping and notices no end."""
        for link in self._all():
            link.freeze()

    def thaw(self) -> None:
        """Let frozen links go on; what they kept goes out first."""
        for link in self._all():
            link.thaw()

    def displace(self) -> None:
        """End every session that has something for itself, as if another one had arrived for it."""
        self.publish_due()
        for holder in tuple(self._holders.values()):
            holder.displace()

    @property
    def delay(self) -> float:
        """Seconds that everything takes on its way out, on links there are and links to come; order is kept.

        Raises:
            ValueError: it is set to less than nothing, or to more than an hour.
        """
        return self._delay

    @delay.setter
    def delay(self, seconds: float) -> None:
        if not 0 <= seconds <= _LONGEST:
            raise ValueError(f"delay must be a number of seconds from 0 to {_LONGEST}, not {seconds}")
        self._delay = seconds
        for link in self._all():
            link.delay(seconds)

    # What a test waits for --------------------------------------------------------------------------------------------

    async def until_live(self, n: int = 1) -> None:
        """Wait until a session is live, and it is the n-th, or a later one, since the sandbox was made.

        Cancelling it leaves nothing behind.
        """
        await self.log.until(lambda: self.is_live and self.log.lives >= n)

    async def until_received(self, action: str, times: int = 1) -> None:
        """Wait until an action came `count` times in all: ``authenticate``, ``subscribe``, ``upgrade``, ``ping``...

        Cancelling it leaves nothing behind.
        """
        await self.log.until(lambda: self.log.received[action] >= times)

    def _all(self) -> list[SandboxWebSocket]:
        self.publish_due()
        return [session.link for session in self._sessions.values()]

    def _live(self) -> list[SandboxWebSocket]:
        self.publish_due()
        return [session.link for session in self._sessions.values() if session.is_live]
