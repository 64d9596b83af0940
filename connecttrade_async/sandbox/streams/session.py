"""One session of either stream: the upgrade, the welcome, the login and the close.

Documented: a welcome, and a login within 30 seconds. Assumed: every word of it, and the close codes: 4401 for a login
that is refused, 4408 for one that does not come, 4409 for a session that another one displaces.
"""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar, cast

from websockets.http11 import Request

from connecttrade_async.sandbox.clock import Clock
from connecttrade_async.sandbox.dialect.frames import FrameWriter
from connecttrade_async.sandbox.dialect.requests import RequestReader
from connecttrade_async.sandbox.dialect.streams import BrokerageForms, MarketForms, SessionEnding
from connecttrade_async.sandbox.dialect.templates import render
from connecttrade_async.sandbox.errors import BadRequestError, UnauthorizedError
from connecttrade_async.sandbox.faults.stream import StreamFault, StreamFaults
from connecttrade_async.sandbox.parameters import Fields
from connecttrade_async.sandbox.streams.delivery import Event, EventDelivery
from connecttrade_async.sandbox.streams.heartbeat import HeartbeatTimer
from connecttrade_async.sandbox.streams.message_log import MessageLog, SentMessage
from connecttrade_async.sandbox.streams.websocket import SandboxWebSocket

__all__ = ["Phase", "SessionHost", "StreamSession", "id_of"]

_ERRORS = frozenset({"refused", "displaced", "addressed_error"})
"""The templates of messages that the log has as errors."""
_LONGEST_REASON = 123
"""Bytes of a close reason, by RFC 6455."""

Phase = Literal["connecting", "welcomed", "authenticated", "over"]

_SessionT_contra = TypeVar("_SessionT_contra", bound="StreamSession[Any]", contravariant=True)


class SessionHost(Protocol[_SessionT_contra]):
    """The part of a stream that its sessions use."""

    clock: Clock
    faults: StreamFaults
    log: MessageLog
    frames: FrameWriter
    requests: RequestReader
    login_limit: float
    silent: bool

    @property
    def forms(self) -> BrokerageForms | MarketForms:
        """The dialect of the stream."""
        ...

    def accept(self, session: _SessionT_contra, /) -> None:
        """Register a session: its socket is open."""

    def remove(self, session: _SessionT_contra, /) -> None:
        """Forget a session: its socket is closed."""

    def claim_session(self, session: _SessionT_contra, name: str = "", /) -> bool:
        """Let a session hold an exclusive name; False if the session that holds it keeps it."""
        ...

    def release_session(self, session: _SessionT_contra, /) -> None:
        """Free the names that a session holds."""

    def publish_due(self) -> None:
        """Publish every event up to now."""


_HostT = TypeVar("_HostT", bound=SessionHost[Any])


class StreamSession(ABC, Generic[_HostT]):
    """One session, from the upgrade to its end.

    Args:
        link: its WebSocket.
        stream: the server that accepted it.

    Attributes:
        phase: its progress.
    """

    NAME: ClassVar[str]
    """The name of the stream in its welcome."""
    STRANGER: ClassVar[str]
    """The message of a refused login."""

    def __init__(self, link: SandboxWebSocket, stream: _HostT) -> None:
        self.link = link
        self.phase: Phase = "connecting"
        self._stream = stream
        self._delivery = EventDelivery(link, stream.log)
        self._expires_at = stream.clock.now() + timedelta(seconds=stream.login_limit)
        self._limit: asyncio.TimerHandle | None = None
        self._heartbeat: HeartbeatTimer | None = None
        self._actions: Mapping[str, Callable[[Fields], None]] = {"authenticate": self._login, **self._action_handlers()}

    @property
    @abstractmethod
    def is_live(self) -> bool:
        """Whether events are sent to it."""

    @abstractmethod
    def _action_handlers(self) -> Mapping[str, Callable[[Fields], None]]:
        """The handlers of the actions that require a login, by action."""

    @abstractmethod
    def _recognize(self, members: Fields) -> str:
        """Return the exclusive name that this login claims.

        Raises:
            UnauthorizedError: the login is wrong.
        """

    @abstractmethod
    def _wants(self, topics: tuple[object, ...]) -> bool:
        """Whether it is subscribed to any of these topics."""

    # Receiving --------------------------------------------------------------------------------------------------------

    def opened(self) -> None:
        """Start the time limit of the login: the socket is open."""
        self._limit = asyncio.get_running_loop().call_later(self._stream.login_limit, self._expire)
        self._stream.accept(self)

    def requested(self, request: Request) -> None:
        """Answer the upgrade; the stream is served at the root path."""
        fault = self._draw("upgrade")
        if fault is not None and fault.kind == "cut_upgrade":
            self.link.reset()
        elif fault is not None and fault.kind == "refuse_upgrade":
            self.link.refuse(fault.status or 503, fault.retry_after)
        elif request.path.partition("?")[0] != "/":
            self.link.refuse(404)
        elif fault is None:
            self.link.accept(request)
            self._welcome()

    def received(self, data: bytes) -> None:
        """Handle a message; a session that is over ignores it."""
        if self.phase == "over" or not self.link.is_open:
            return
        known = _members(data)
        if known is None:
            self._stream.log.count("unreadable")
            self._error(400, "A message must be a JSON object.")
            return
        if self._heartbeat is not None and self._heartbeat.takes(known):
            self._stream.log.count("pong")
            return
        try:
            self._act(self._stream.requests.read(known))
        except BadRequestError as refusal:
            self._stream.log.count("unknown")
            if self.phase == "authenticated":
                self._error(400, refusal.message, **id_of(self._stream.requests.id_of(known)))
            else:
                self._refuse(refusal.message)
        self._delivery.flush()

    def _act(self, members: Fields) -> None:
        action = members.get("action")
        act = self._actions.get(action) if isinstance(action, str) else None
        self._stream.log.count("unknown" if act is None else str(action))
        # Compared with !=, since every access makes a new bound method.
        if self.phase != "authenticated" and act != self._login:
            self._refuse("Authenticate first.")
        elif act is None:
            self._error(400, self._stream.requests.rule, **id_of(members))
        else:
            act(members)

    def closed(self) -> None:
        """End the session: the socket is closed."""
        self._end()
        self._stream.remove(self)

    # Publishing -------------------------------------------------------------------------------------------------------

    def send_event(self, event: Event, topics: tuple[object, ...]) -> None:
        """Send an event, if it is subscribed to one of these topics and no fault strikes."""
        if self.phase != "authenticated" or not self._wants(topics):
            return
        if self._stream.silent:
            self._delivery.lose(event)
        else:
            self._delivery.carry(event, self._draw("event", event.scope), self._stream.frames)

    def flush(self) -> None:
        """Send what is enqueued: events that share a frame, and bytes."""
        self._delivery.flush()
        self.link.flush()

    def complain(self, code: int, message: str, **address: object) -> None:
        """Send an error about one user, account, topic, channel or symbol that is not a reply."""
        self._say("addressed_error", **address, status=code, code=str(code), message=message)
        self.flush()

    def displace(self) -> None:
        """End the session because another one has its exclusive name."""
        ending = self._stream.forms.endings.displaced
        self._end_by(ending, "displaced", 409, "There is another session with these credentials.", "Another session.")

    def close(self, code: int, reason: str = "") -> None:
        """End, with a close frame."""
        self._delivery.flush()
        self.link.close(code, reason)
        self._end()

    def expire_by(self, now: datetime) -> None:
        """End, if the time to log in is over by the sandbox's clock."""
        if self.phase in {"connecting", "welcomed"} and now >= self._expires_at:
            self._expire()

    # The login --------------------------------------------------------------------------------------------------------

    def _login(self, members: Fields) -> None:
        fault = self._draw("login")
        if fault is not None and fault.kind != "refuse_login":
            if fault.kind == "cut_login":
                self.link.reset()
        elif self.phase == "authenticated":
            self._error(400, "This session is authenticated already.")
        elif fault is not None:
            self._refuse(self.STRANGER)
        else:
            try:
                self._enter(self._recognize(members), members)
            except UnauthorizedError as refusal:
                self._refuse(refusal.message)

    def _enter(self, scope: str, members: Fields) -> None:
        if not self._stream.claim_session(self, scope):
            self.displace()
        else:
            self.phase = "authenticated"
            self._stop_limit()
            self._say("authenticated", **id_of(members))
            self._start_heartbeat("login")
            self._entered()

    def _entered(self) -> None:
        """React to the login; the base class does nothing."""

    # Sending ----------------------------------------------------------------------------------------------------------

    def _welcome(self) -> None:
        if not self.link.is_open:
            return
        self.phase = "welcomed"
        fault = self._draw("welcome")
        if fault is None:
            self._say("welcome", message=f"Welcome to the sandbox's {self.NAME}. Please authenticate.")
        elif fault.kind == "cut_welcome":
            self.link.reset()
        self._start_heartbeat("welcome")

    def _answer(self, kind: str, **members: object) -> bool:
        """Send a confirmation unless a fault strikes; False if the fault closed the socket."""
        fault = self._draw("ack")
        if fault is None:
            self._say(kind, **members)
        elif fault.kind == "cut_ack":
            self.link.reset()
            return False
        return True

    def _say(self, kind: str, **members: object) -> None:
        text = self._stream.frames.message(kind, time=self._stream.clock.now().isoformat(), **members)
        if text is not None:
            self._delivery.flush()  # an event comes before the message that is sent after it
            self.link.send(SentMessage(self.link.number, "error" if kind in _ERRORS else kind, 0, text))

    def _error(self, code: int, message: str, **members: object) -> None:
        self._say("error", **members, status=code, code=str(code), message=message)

    def _refuse(self, message: str) -> None:
        ending = self._stream.forms.endings.refused
        if ending.by == "frame":
            self._say("refused", status=401, code="401", message=message)
        else:
            self._end_by(ending, "refused", 401, message, "Not authenticated.")

    def _end_by(self, ending: SessionEnding, kind: str, code: int, message: str, sentence: str) -> None:
        """End as the dialect does, with a message, with a close frame, or with both."""
        if ending.by != "close":
            self._say(kind, status=code, code=str(code), message=message)
        if ending.by == "frame":
            self._delivery.flush()
            self.link.cut()
            self._end()
        else:
            reason = {"sentence": sentence, "message": message, "none": ""}[ending.reason]
            self.close(ending.code, reason.encode()[:_LONGEST_REASON].decode(errors="ignore"))

    def _start_heartbeat(self, moment: str) -> None:
        form = self._stream.forms.heartbeat
        if form.frame is not None and form.since == moment and self.link.is_open:
            self._heartbeat = HeartbeatTimer(form, self._beat, lambda: self.close(form.close_code, "No pong in time."))
            self._heartbeat.start()

    def _beat(self, number: int) -> None:
        values = {"id": str(number), "time": self._stream.clock.now().isoformat()}
        text = render(self._stream.forms.heartbeat.frame, values)
        if text is not None and self.link.is_open:
            self._delivery.flush()
            self.link.send(SentMessage(self.link.number, "heartbeat", 0, text))
            self.link.flush()

    def _expire(self) -> None:
        if self.phase == "connecting":
            self.link.cut()
        else:
            self.close(self._stream.forms.endings.late_code, "No login in time.")
        self._end()

    def _end(self) -> None:
        self.phase = "over"
        self._stop_limit()
        if self._heartbeat is not None:
            self._heartbeat.stop()
        self._stream.release_session(self)

    def _stop_limit(self) -> None:
        if self._limit is not None:
            self._limit.cancel()

    def _draw(self, moment: str, scope: str = "") -> StreamFault | None:
        return self._stream.faults.draw(moment, scope)


def _members(data: bytes) -> Fields | None:
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return cast("Fields", value) if isinstance(value, dict) else None


def id_of(members: Fields) -> dict[str, object]:
    """The id of a message, to be said again with its answer, if it has one that can be."""
    return {"id": members["id"]} if isinstance(members.get("id"), str | int) else {}
