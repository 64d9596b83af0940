"""The sandbox's session: what is said over one link of the brokerage stream.

Documented: a welcome, a login within 30 seconds with ``client_id`` and ``client_secret``, topics, and one session per
credential pair. Assumed: every other word of it, and the close codes.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, cast

from websockets.http11 import Request

from .courier import Courier, Event
from .ledger import Sent
from .streamfault import StreamFault
from .wording import KINDS

if TYPE_CHECKING:
    from datetime import datetime

    from .broadcast import Broadcast
    from .link import Link
    from .parameters import Fields

__all__ = ["Phase", "Session"]

Phase = Literal["connecting", "welcomed", "authenticated", "over"]


class Session:
    """One session, from the upgrade to its end.

    Args:
        link: over which it is spoken.
        stream: whose session it is.

    Attributes:
        phase: how far it has come.
        topics: what it subscribed to.
    """

    def __init__(self, link: "Link", stream: "Broadcast") -> None:
        self.link = link
        self.phase: Phase = "connecting"
        self.topics: set[str] = set()
        self._stream = stream
        self._courier = Courier(link, stream.ledger)
        self._expires_at = stream.clock.now() + timedelta(seconds=stream.login_limit)
        self._limit: asyncio.TimerHandle | None = None
        self._actions: Mapping[object, Callable[[Fields], None]] = {
            "authenticate": self._authenticate,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
        }

    @property
    def is_live(self) -> bool:
        """Whether it is authenticated, subscribed to something, and not over."""
        return self.phase == "authenticated" and bool(self.topics) and self.link.is_open

    # What comes -------------------------------------------------------------------------------------------------------

    def begun(self) -> None:
        """The link is there; the time to log in runs."""
        self._limit = asyncio.get_running_loop().call_later(self._stream.login_limit, self._expire)
        self._stream.meet(self)

    def asked(self, request: Request) -> None:
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

    def heard(self, data: bytes) -> None:
        """Do what a message asks for; a session that is over does nothing more."""
        if self.phase == "over" or not self.link.is_open:
            return
        known = _members(data)
        if known is None:
            self._stream.ledger.count("unreadable")
            self._error(400, "A message must be a JSON object.")
            return
        action = known.get("action")
        act = self._actions.get(action) if isinstance(action, str) else None
        self._stream.ledger.count(str(action) if act is not None else "unknown")
        if self.phase != "authenticated" and act != self._authenticate:
            self._refuse("Authenticate first.")
        elif act is None:
            self._error(400, f"action must be one of {', '.join(map(str, self._actions))}.")
        else:
            act(known)

    def gone(self) -> None:
        """Be over, for the link is."""
        self._end()
        self._stream.forget(self)

    # What is told -----------------------------------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Send an event, if it subscribed to the topic and nothing befalls it."""
        if event.topic not in self.topics or self.phase != "authenticated":
            return
        if self._stream.silent:
            self._courier.lose(event)
        else:
            self._courier.carry(event, self._draw("event", event.account_id), self._stream.wording)

    def displace(self) -> None:
        """End, for another session has, or had, the credentials."""
        self._error(409, "There is another session with these credentials.")
        self.close(4409, "Another session.")

    def close(self, code: int, reason: str = "") -> None:
        """End, with a close frame."""
        self.link.close(code, reason)
        self._end()

    def expire_by(self, now: "datetime") -> None:
        """End, if the time to log in is over by the sandbox's clock."""
        if self.phase in {"connecting", "welcomed"} and now >= self._expires_at:
            self._expire()

    # The actions ------------------------------------------------------------------------------------------------------

    def _authenticate(self, members: "Fields") -> None:
        fault = self._draw("login")
        if fault is not None and fault.kind != "refuse_login":
            if fault.kind == "cut_login":
                self.link.reset()
        elif self.phase == "authenticated":
            self._error(400, "This session is authenticated already.")
        elif fault is not None or not self._stream.credentials.are(
            members.get("client_id"), members.get("client_secret")
        ):
            self._refuse("The client_id or the client_secret is wrong.")
        elif not self._stream.claim(self):
            self.displace()
        else:
            self.phase = "authenticated"
            self._stop_limit()
            self._say("authenticated")

    def _subscribe(self, members: "Fields") -> None:
        self._choose(members, "subscribed", self.topics.update)

    def _unsubscribe(self, members: "Fields") -> None:
        self._choose(members, "unsubscribed", self.topics.difference_update)

    def _choose(self, members: "Fields", answer: str, change: Callable[[list[str]], None]) -> None:
        topics = members.get("topics")
        names = cast("list[object]", topics) if isinstance(topics, list) else []
        if not names or not all(isinstance(name, str) and name in KINDS for name in names):
            self._error(400, f"topics must be some of {', '.join(KINDS)}.")
            return
        was_live = self.is_live
        self._stream.tell()
        change(cast("list[str]", names))
        fault = self._draw("ack")
        if fault is None:
            self._say(answer, topics=names)
        elif fault.kind == "cut_ack":
            self.link.reset()
            return
        if self.is_live and not was_live:
            self._stream.ledger.count_life()

    # What is said -----------------------------------------------------------------------------------------------------

    def _welcome(self) -> None:
        if not self.link.is_open:
            return
        self.phase = "welcomed"
        fault = self._draw("welcome")
        if fault is None:
            self._say("welcome", message="Welcome to the sandbox's brokerage data stream. Please authenticate.")
        elif fault.kind == "cut_welcome":
            self.link.reset()

    def _say(self, kind: str, **members: object) -> None:
        self.link.send(Sent(self.link.number, kind, 0, self._stream.wording.message(kind, **members)))

    def _error(self, code: int, message: str) -> None:
        self._say("error", code=str(code), message=message)

    def _refuse(self, message: str) -> None:
        self._error(401, message)
        self.close(4401, "Not authenticated.")

    def _expire(self) -> None:
        if self.phase == "connecting":
            self.link.cut()
        else:
            self.close(4408, "No login in time.")
        self._end()

    def _end(self) -> None:
        self.phase = "over"
        self._stop_limit()
        self._stream.leave(self)

    def _stop_limit(self) -> None:
        if self._limit is not None:
            self._limit.cancel()

    def _draw(self, moment: str, account_id: str = "") -> StreamFault | None:
        return self._stream.faults.draw(moment, account_id)


def _members(data: bytes) -> "Fields | None":
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return cast("Fields", value) if isinstance(value, dict) else None
