"""Below the waterline: one link's life, as a table. Frames and times in, frames and events out.

The theory. A link is born when the socket is open and dies once. Between, it moves down one ladder and never up::

    state           what is awaited         what moves it on      what is sent then
    WELCOMING       the welcome             welcome               authenticate
    AUTHENTICATING  the login's answer      authenticated         subscribe
    SUBSCRIBING     the topics' answer      subscribed            nothing: it is live
    LIVE            updates                 nothing
    OVER            nothing

Three things end it from any state: the link is lost, a deadline passes, or the server refuses. Before it is live the
deadline is that of the login; while it is live it is that of silence, where one is set. An error frame before the link
is live refuses what was asked last; while it is live it ends the link only if its code says so. Which codes refuse for
good is one table, ``CODES``, that a caller can extend; everything else may be tried again on a new link.

So by construction: nothing is sent before the server spoke; the secret is sent at most once to one link, on the one
step that leads out of WELCOMING; after the end nothing is sent and nothing is told; and the end is told once.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from connecttrade_async.streaming.brokerage import Authenticated, Refusal, Subscribed, Unsubscribed, Welcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from connecttrade_async.models.events import UnknownMessage
    from connecttrade_async.streaming.brokerage import Message, Update

__all__ = ["CODES", "Ending", "LinkLife", "State", "Verdict"]


class State(Enum):
    """Where a link stands."""

    WELCOMING = "welcoming"
    AUTHENTICATING = "authenticating"
    SUBSCRIBING = "subscribing"
    LIVE = "live"
    OVER = "over"


class Verdict(Enum):
    """What an ending means for the stream."""

    AGAIN = "try again on a new link"
    REFUSED = "the login is refused, and would be again"
    TAKEN = "somebody else has the one session"


CODES: Mapping[str, Verdict] = {
    "401": Verdict.REFUSED,  # Assumed: as over REST
    "403": Verdict.REFUSED,  # Assumed: as over REST
    "409": Verdict.TAKEN,  # Assumed
    "4401": Verdict.REFUSED,  # Assumed: close code
    "4403": Verdict.REFUSED,  # Assumed: close code
    "4409": Verdict.TAKEN,  # Assumed: close code
}


class Ending(NamedTuple):
    """How a link ended.

    Attributes:
        verdict: what it means for the stream.
        cause: why, in words.
    """

    verdict: Verdict
    cause: str


class Dialect(Protocol):
    """How one of the vendor's streams is spelled."""

    def authenticate(self) -> bytes:
        """Spell the login."""
        ...

    def subscribe(self, topics: tuple[str, ...]) -> bytes:
        """Spell the wish for topics."""
        ...

    def read(self, raw: bytes) -> Message | UnknownMessage:
        """Read one frame."""
        ...

    def presentable(self, text: str) -> str:
        """Return a text of the server's as a message can hold it, without secrets."""
        ...


class LinkLife:
    """The life of one link. Made when its socket is open.

    Args:
        dialect: how it is spelled.
        topics: what to subscribe.
        now: the present, in seconds on the caller's clock.
        login: seconds until it must be live.
        silence: seconds without a frame after which a live link counts as dead; None for never.
        codes: what error codes and close codes mean.

    Attributes:
        state: where it stands.
        outbox: what is to be sent, in order; whoever sends it empties it.
        ending: how it ended, or None.
        deadline: when to call ``check``, or None for never.
    """

    __slots__ = (
        "_codes",
        "_dialect",
        "_moves",
        "_read",
        "_silence",
        "_topics",
        "deadline",
        "ending",
        "outbox",
        "state",
    )

    def __init__(
        self,
        dialect: Dialect,
        topics: tuple[str, ...],
        *,
        now: float,
        login: float,
        silence: float | None = None,
        codes: Mapping[str, Verdict] = CODES,
    ) -> None:
        self._dialect = dialect
        self._read: Callable[[bytes], Any] = dialect.read
        self._topics = topics
        self._silence = silence
        self._codes = codes
        self._moves: Mapping[type, Callable[[Message, float], None]] = {
            Welcome: self._welcomed,
            Authenticated: self._authenticated,
            Subscribed: self._subscribed,
            Unsubscribed: self._nothing,
            Refusal: self._refused,
        }
        self.state = State.WELCOMING
        self.outbox: list[bytes] = []
        self.ending: Ending | None = None
        self.deadline: float | None = now + login

    def receive(self, raw: bytes, now: float) -> Update | UnknownMessage | None:
        """Take a frame; returns what it tells, or None where it only moves the link on."""
        if self.ending is not None:
            return None
        if self._silence is not None and self.state is State.LIVE:
            self.deadline = now + self._silence
        message: Any = self._read(raw)
        # Updates are not in the table: one look-up tells them from what moves a link on.
        move = self._moves.get(message.__class__)
        if move is None:
            told: Update | UnknownMessage = message
            return told
        move(message, now)
        return None

    def check(self, now: float) -> None:
        """End the link if its deadline has passed."""
        if self.deadline is not None and now >= self.deadline:
            if self.state is State.LIVE:
                self._end(Verdict.AGAIN, "nothing came for too long")
            else:
                self._end(Verdict.AGAIN, f"no answer in time while {self.state.value}")

    def lost(self, cause: str, code: int | None = None) -> None:
        """Say that the link is gone, with its close code if it had one."""
        self._end(self._codes.get(str(code), Verdict.AGAIN), cause)

    def _welcomed(self, message: Message, now: float) -> None:
        del message, now
        if self.state is State.WELCOMING:
            self.state = State.AUTHENTICATING
            self.outbox.append(self._dialect.authenticate())

    def _authenticated(self, message: Message, now: float) -> None:
        del message, now
        if self.state is State.AUTHENTICATING:
            self.state = State.SUBSCRIBING
            self.outbox.append(self._dialect.subscribe(self._topics))

    def _subscribed(self, message: Message, now: float) -> None:
        del message
        if self.state is State.SUBSCRIBING:
            self.state = State.LIVE
            self.deadline = None if self._silence is None else now + self._silence

    def _refused(self, message: Message, now: float) -> None:
        del now
        refusal = cast("Refusal", message)
        verdict = self._codes.get(str(refusal.code), Verdict.AGAIN)
        if self.state is not State.LIVE or verdict is not Verdict.AGAIN:
            self._end(verdict, f"the server said {refusal.code}: {refusal.message or 'no explanation given'}")

    def _end(self, verdict: Verdict, cause: str) -> None:
        if self.ending is None:
            self.ending = Ending(verdict, self._dialect.presentable(cause))
            self.state = State.OVER
            self.deadline = None
            self.outbox.clear()

    def _nothing(self, message: Message, now: float) -> None:
        """An answer that moves nothing."""
