"""The base of both stream servers: sockets, sessions, publishing, and what a test may do to a connection.

It listens, holds every session, and lets one session at a time hold an exclusive name. The two streams decide what is
sent and understood. Before an action on a connection, every event so far is sent on it.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from connecttrade_async.sandbox.clock import Clock
from connecttrade_async.sandbox.dialect.frames import FrameWriter
from connecttrade_async.sandbox.dialect.requests import RequestReader
from connecttrade_async.sandbox.dialect.streams import BrokerageForms, MarketForms
from connecttrade_async.sandbox.dialect.templates import encoded
from connecttrade_async.sandbox.faults.stream import StreamFaults
from connecttrade_async.sandbox.sockets import Sockets
from connecttrade_async.sandbox.streams.delivery import Event
from connecttrade_async.sandbox.streams.encoding import FrameEncoding
from connecttrade_async.sandbox.streams.message_log import MessageLog, SentMessage
from connecttrade_async.sandbox.streams.session import StreamSession
from connecttrade_async.sandbox.streams.ticker import Ticker
from connecttrade_async.sandbox.streams.websocket import SandboxWebSocket

__all__ = ["Displaces", "StreamServer"]

Displaces = Literal["older", "newer", "neither"]

_SessionT = TypeVar("_SessionT", bound=StreamSession[Any])
_FormsT = TypeVar("_FormsT", BrokerageForms, MarketForms)

_LONGEST = 3600
_NUMBER = "{number}"
"""Stands in the text of an event for its number."""
_TURNS = range(5, 50)
"""Turns of the loop in which everything that is closed ends: a peer that just arrives takes the fewest of them."""


class StreamServer(ABC, Generic[_SessionT, _FormsT]):
    """A stream server, apart from the content of its events.

    Args:
        clock: what time it is.
        address: host and port to listen on.
        forms: its dialect.
        login_limit: seconds in which a client has to log in (documented: 30), by the machine's clock and by the
            sandbox's, whichever is over first.

    Attributes:
        faults: what goes wrong; nothing until a fault is added.
        ledger: what was sent and received.
        frames: writes its frames in its dialect.
        requests: reads the frames of clients in its dialect.
        silent: whether it keeps every event to itself; pings and actions are still answered.
        displaces: which session ends when there is a second one where only one may be: the ``older`` one (Assumed), the
            ``newer``, or ``neither``.
        login_limit: as given; may be changed for links to come.
        published: how many events there were so far; events while no session is live are not counted.
    """

    frames: FrameWriter
    requests: RequestReader
    _forms: _FormsT

    def __init__(self, clock: Clock, forms: _FormsT, *, address: tuple[str, int], login_limit: float) -> None:
        self.clock = clock
        self.login_limit = login_limit
        self.faults = StreamFaults()
        self.log = MessageLog()
        self.forms = forms
        self.silent = False
        self.published: int = 0
        self.displaces: Displaces = "older"
        self._delay = 0.0
        self._sockets = Sockets(*address)
        self._ticker = Ticker(clock, self.publish_due, self._due)
        self._links = 0
        self._is_open = True
        self._sessions: dict[int, _SessionT] = {}
        self._holders: dict[str, _SessionT] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url or 'closed'} {len(self._sessions)} sessions, {self.published} events>"

    @property
    def url(self) -> str:
        """Where it is served, ``ws://127.0.0.1:port``; empty before it was started."""
        return f"ws://{self._sockets.authority}" if self._sockets.authority else ""

    @property
    def forms(self) -> _FormsT:
        """The dialect of the stream; assign another to change it for all frames that follow."""
        return self._forms

    @forms.setter
    def forms(self, forms: _FormsT) -> None:
        self._forms = forms
        self.frames, self.requests = self._compiled(forms)

    @property
    def wording(self) -> FrameEncoding:
        """Two choices of the dialect; assign another value to change them."""
        return FrameEncoding.of(self._forms)

    @wording.setter
    def wording(self, wording: FrameEncoding) -> None:
        self.forms = wording.applied_to(self._forms)

    @property
    def is_live(self) -> bool:
        """Whether a session is live."""
        return any(session.is_live for session in self._sessions.values())

    async def start(self, *, again: bool = False) -> None:
        """Listen, if `again` on the port that it had before. Cancelling it leaves nothing behind.

        Raises:
            OSError: the port is taken.
        """
        self._is_open = True
        await self._sockets.open(self._dial, again=again)
        self._ticker.start()

    async def aclose(self) -> None:
        """Stop listening and end every link at once, frozen or not. Twice is once."""
        self._is_open = False
        self._ticker.stop()
        await self._sockets.close()
        for session in tuple(self._sessions.values()):
            session.link.abandon()
        for turn in range(_TURNS.stop):
            await asyncio.sleep(0)
            if turn >= _TURNS.start and not self._sessions:
                break

    async def restart(self) -> None:
        """Close, and listen again on the same port.

        Raises:
            OSError: another program has taken the port.
        """
        await self.aclose()
        await self.start(again=True)

    # Publishing -------------------------------------------------------------------------------------------------------

    @abstractmethod
    def publish_due(self, now: datetime | None = None) -> None:
        """Publish what is new; sessions past their time-out end."""

    @abstractmethod
    def _compiled(self, forms: _FormsT) -> tuple[FrameWriter, RequestReader]:
        """Return the writer and the reader of a dialect."""

    @abstractmethod
    def _due(self) -> datetime | None:
        """Return when an event may be due by the clock alone."""

    @abstractmethod
    def _serve(self, link: SandboxWebSocket) -> _SessionT:
        """A session for a new link."""

    def _spread(self, kind: str, topics: tuple[object, ...], scope: str, text: str) -> None:
        self.published += 1
        event = Event(self.published, kind, scope, text)
        for session in tuple(self._sessions.values()):
            session.send_event(event, topics)

    def _complain(self, code: int, message: str, **address: str | None) -> None:
        self.publish_due()
        for session in tuple(self._sessions.values()):
            if session.is_live:
                session.complain(code, message, **address)

    def _numbered(self, write: Callable[[str], str]) -> Callable[[int], str]:
        """Return what writes the event of a number; in the assumed form, all but the number is written only once."""
        if not self.frames.is_assumed:
            return lambda number: write(str(number))
        parts = write(_NUMBER).split(_NUMBER)
        return lambda number: str(number).join(parts)

    def _flush(self) -> None:
        for session in tuple(self._sessions.values()):
            session.flush()

    def send(self, message: str | Mapping[str, object]) -> None:
        """Send any message to every live session: text as it is, an object as JSON."""
        text = message if isinstance(message, str) else encoded(message)
        for link in self._live():
            link.send(SentMessage(link.number, "by hand", 0, text))
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

    # The sessions' side -----------------------------------------------------------------------------------------------

    def accept(self, session: _SessionT) -> None:
        """There is a new link; a stream that closes lets go of it."""
        self._sessions[session.link.number] = session
        if not self._is_open:
            session.link.abandon()

    def remove(self, session: _SessionT) -> None:
        """A link is gone."""
        self._sessions.pop(session.link.number, None)

    def claim_session(self, session: _SessionT, name: str = "") -> bool:
        """Let a session have for itself what only one may have, as far as it displaces the one that had it.

        Args:
            session: the session.
            name: what only one session may hold; the brokerage stream has one such name,
                the market-data stream one per user.
        """
        holder = self._holders.get(name)
        if holder is not None and holder.link.is_open and self.displaces != "neither":
            if self.displaces == "newer":
                return False
            holder.displace()
        self._holders[name] = session
        return True

    def release_session(self, session: _SessionT) -> None:
        """A session is over; what it had for itself is free."""
        self._holders = {scope: holder for scope, holder in self._holders.items() if holder is not session}

    def _all(self) -> list[SandboxWebSocket]:
        self.publish_due()
        return [session.link for session in self._sessions.values()]

    def _live(self) -> list[SandboxWebSocket]:
        self.publish_due()
        return [session.link for session in self._sessions.values() if session.is_live]

    def _dial(self) -> SandboxWebSocket:
        self._links += 1
        link = SandboxWebSocket(self._links, self.log, self._delay)
        link.conversation = self._serve(link)
        return link
