"""Below the waterline: one link's life, as a table. Frames and times in, frames and events out.

The theory. A link is born when the socket is open and dies once. Between, it moves down one ladder and never up::

    state           what is awaited         what moves it on      what is sent then
    WELCOMING       the welcome             welcome               authenticate
    AUTHENTICATING  the login's answer      authenticated         what the talk begins with: subscriptions
    SUBSCRIBING     their answers           the talk is settled   nothing: it is live
    LIVE            updates                 another's relief      what the talk wants to say, then its farewell
    LEAVING         the last updates        the farewell's answer nothing: it is over
    OVER            nothing

A link is LEAVING while another takes its place: what the server told before it answers the farewell is still read.

The talk is what a stream has to say once it is logged in. That of the brokerage stream is one wish and its answer,
``TopicSync``; where it has nothing to begin with, the link is live at once.

Three things end it from any state: the link is lost, a deadline passes, or the server refuses. Before it is live the
deadline is that of the login; while it is live it is that of silence, where one is set. An error frame before the link
is live refuses what was asked last; while it is live it ends the link only if its code says so. An error that carries
an id refuses only what had that id, which is the talk's affair. Once the link is logged in, an error that names a user,
an account, a connection, a topic, a channel or a symbol concerns only that, whatever its code: it never ends the link.
An error that ends nothing and answers no request becomes an ``UnknownMessage``. Which codes refuse for good is one
table, ``CODES``, that a caller can extend; everything else may be tried again on a new link.

A close says less than an error frame, so its code is read together with the state. While the login is awaited, a close
with 1008, with a code of the application, or with 1000 and a reason refuses the login: ``DENIED``. While the link is
live, a reason that speaks of another session means ``CONFLICT``, and a plain 1000 is ``CLOSED``: the supervisor
decides by
how often it happens.

So by construction: nothing is sent before the server spoke; the secret is sent at most once to one link, on the one
step that leads out of WELCOMING; after the end nothing is sent and nothing is told; and the end is told once.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from connecttrade_async.models.events import BalanceUpdate, OrderUpdate, PositionUpdate, UnknownMessage
from connecttrade_async.streaming.codec import Authenticated, Refusal, Subscribed, Unsubscribed, Welcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from connecttrade_async.models.events import Chosen
    from connecttrade_async.models.market import MarketUpdate

__all__ = ["CODES", "CloseReason", "Closed", "State", "StreamProtocol", "SubscriptionSync", "TopicSync"]


class State(Enum):
    """Where a link stands."""

    WELCOMING = "welcoming"
    AUTHENTICATING = "authenticating"
    SUBSCRIBING = "subscribing"
    LIVE = "live"
    LEAVING = "leaving"
    OVER = "over"


class CloseReason(Enum):
    """What an ending means for the stream."""

    AGAIN = "try again on a new link"
    REFUSED = "the login is refused, and would be again"
    DENIED = "the login is refused, in a form that may also mean a passing trouble"
    TAKEN = "somebody else has the one session"
    CLOSED = "the server closed a live link without naming a trouble"
    TOO_LARGE = "a frame was larger than the limit"
    RELIEVED = "another link of ours has taken over"


PROVING = frozenset({OrderUpdate, PositionUpdate, BalanceUpdate})
LIVING = frozenset({State.LIVE, State.LEAVING})
TRANSITIONS = frozenset({State.SUBSCRIBING, State.LIVE, State.LEAVING})
CODES: Mapping[str, CloseReason] = {
    "401": CloseReason.REFUSED,  # Assumed: as over REST
    "403": CloseReason.REFUSED,  # Assumed: as over REST
    "409": CloseReason.TAKEN,  # Assumed
    "4401": CloseReason.REFUSED,  # Assumed: close code
    "4403": CloseReason.REFUSED,  # Assumed: close code
    "4409": CloseReason.TAKEN,  # Assumed: close code
}
PASSING = frozenset({"429", "500", "502", "503", "504"})  # (assumed) as over REST: the login may succeed later
NORMAL, POLICY, APPLICATION = 1000, 1008, 3000  # close codes (RFC 6455); from 3000 on they belong to applications
PASSING_CLOSES = frozenset({3008, 4408, 4429})  # (assumed) a time-out or a rate limit, not a refusal
DISPLACED = re.compile(  # (assumed) no text of the vendor is known
    r"another (?:session|connection|client|login|device)|(?:session|connection|login) (?:was |is |has been )?"
    r"(?:taken|replaced|superseded|displaced|moved)|(?:logged|signed) in (?:elsewhere|again)"
    r"|(?:duplicate|newer|new) (?:session|connection|login)|(?:replaced|superseded|displaced) by",
    re.IGNORECASE,
)
QUOTED = 2000  # characters of a frame that are looked at; the message is shortened further


class Closed(NamedTuple):
    """How a link ended.

    Attributes:
        verdict: what it means for the stream.
        cause: why, in words.
    """

    reason: CloseReason
    cause: str


class Proof(NamedTuple):
    """An update that shows that the last topic awaited is subscribed."""

    update: OrderUpdate | PositionUpdate | BalanceUpdate


class Codec(Protocol):
    """How one of the vendor's streams is spelled."""

    def authenticate(self) -> bytes:
        """Spell the login."""
        ...

    def read(self, raw: bytes) -> Any:  # noqa: ANN401 - each dialect has messages of its own
        """Read one frame."""
        ...

    def presentable(self, text: str) -> str:
        """Return a text of the server's as a message can hold it, without secrets."""
        ...

    def unknown(self, raw: bytes, problem: str) -> UnknownMessage:
        """Return the event of a frame that is set aside, without secrets."""
        ...


class SubscriptionSync(Protocol):
    """What is said on one link once it is logged in.

    Attributes:
        kinds: the messages that are for it.
        has_ids: whether what it says is answered by id.
        outbox: what is to be sent, in order; whoever sends it empties it.
        news: what is to be told, in order; whoever tells it empties it. An ``UnknownMessage`` in it is published.
        missing: names of what is not confirmed yet, for the error of the deadline.
        broken: why the server no longer holds what it confirmed, in words; ``""`` while it does.
    """

    kinds: tuple[type, ...]
    has_ids: bool
    outbox: list[bytes]
    sync_events: list[Any]
    missing: tuple[str, ...]
    broken: str

    @property
    def is_settled(self) -> bool:
        """Whether all that it began with is answered."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether its farewell is answered."""
        ...

    def drain(self) -> None:
        """Say something whose answer comes after everything else."""
        ...

    @property
    def deadline(self) -> float | None:
        """When to call ``check``, or None for never."""
        ...

    def start(self, now: float) -> None:
        """Begin: the link is logged in."""
        ...

    def receive(self, message: Any, now: float) -> None:  # noqa: ANN401 - one of its kinds
        """Take an answer."""
        ...

    def refuse(self, refusal: Refusal, now: float) -> bool:
        """Take an error frame, where ``has_ids``; return whether it belongs to a request."""
        ...

    def outgrown(self, frame: bytes, now: float) -> bool:
        """Take note of a frame larger than the limit, of which the beginning is known; return whether it is refused."""
        ...

    def check(self, now: float) -> None:
        """See to what was not answered in time."""
        ...

    def end(self) -> None:
        """End: nothing can be said any more."""
        ...


class SubscriptionCodec(Protocol):
    """Whoever can spell a wish for topics."""

    def subscribe(self, topics: tuple[str, ...]) -> bytes:
        """Spell the wish."""
        ...


class TopicSync:
    """The talk of the brokerage stream: one wish for topics, and its confirmations.

    A confirmation that names topics confirms only those; one that names none confirms all. An update of a topic
    confirms it too. A topic that the server ends without a request is lost: the link is given up, so that a new one
    subscribes again and reports the gap.

    Args:
        spelling: how it is spelled.
        topics: what to subscribe.

    Attributes:
        missing: the topics that are not confirmed yet.
        broken: which topic the server ended, in words, or ``""``.
    """

    kinds: tuple[type, ...] = (Subscribed, Unsubscribed)
    has_ids = False
    is_over = True
    deadline: float | None = None
    __slots__ = ("_codec", "_topics", "broken", "missing", "outbox", "sync_events")

    def __init__(self, spelling: SubscriptionCodec, topics: tuple[str, ...]) -> None:
        self._codec = spelling
        self._topics = topics
        self.missing = topics
        self.broken = ""
        self.outbox: list[bytes] = []
        self.sync_events: list[Any] = []

    @property
    def is_settled(self) -> bool:
        """Whether every topic is confirmed."""
        return not self.missing

    def start(self, now: float) -> None:
        """Ask for the topics."""
        del now
        self.outbox.append(self._codec.subscribe(self._topics))

    def receive(self, message: Any, now: float) -> None:  # noqa: ANN401 - one of its kinds
        """Take an answer."""
        del now
        named = _topics_of(message)
        if type(message) is Subscribed:
            self.missing = tuple(topic for topic in self.missing if named and _singular(topic) not in named)
        else:
            held = (topic for topic in self._topics if topic not in self.missing)
            lost = [topic for topic in held if not named or _singular(topic) in named]
            self.broken = f"the server ended the subscription of {', '.join(lost)}" if lost else ""

    def refuse(self, refusal: Refusal, now: float) -> bool:
        """Return False: no request has an id here."""
        del refusal, now
        return False

    def outgrown(self, frame: bytes, now: float) -> bool:
        """Return False: the topics are all that is asked for."""
        del frame, now
        return False

    def check(self, now: float) -> None:
        """Nothing: the deadline of the login is that of the wish too."""

    def drain(self) -> None:
        """Nothing: no other link takes the place of this one."""

    def end(self) -> None:
        """Nothing: whoever wants more makes a new link."""


def _topics_of(message: Subscribed | Unsubscribed) -> frozenset[str]:
    """Return the topics that a confirmation names, as ``_singular`` spells them."""
    named = message.topics or tuple(filter(None, (message.topic or message.channel,)))
    return frozenset(map(_singular, named))


def _singular(topic: str) -> str:
    return topic.strip().casefold().removesuffix("s")


class StreamProtocol:
    """The life of one link. Made when its socket is open.

    Args:
        dialect: how it is spelled.
        talk: what is said once it is logged in.
        now: the present, in seconds on the caller's clock.
        login: seconds until it must be live.
        silence: seconds without a frame after which a live link counts as dead; None for never.
        codes: what error codes and close codes mean.

    Attributes:
        state: where it stands.
        talk: what is said on it.
        outbox: what is to be sent, in order; whoever sends it empties it.
        news: what it tells beside what it receives, in order; whoever tells it empties it.
        ending: how it ended, or None.
    """

    __slots__ = (
        "_codes",
        "_dialect",
        "_due",
        "_frame",
        "_is_displaced",
        "_last",
        "_login",
        "_read",
        "_silence",
        "_transitions",
        "closed",
        "outbox",
        "state",
        "sync",
        "sync_events",
    )

    def __init__(
        self,
        dialect: Codec,
        talk: SubscriptionSync,
        *,
        now: float,
        login: float,
        silence: float | None = None,
        codes: Mapping[str, CloseReason] = CODES,
    ) -> None:
        self._dialect = dialect
        self._read: Callable[[bytes], Any] = self._read_early
        self._login = login
        self._last: tuple[bytes, bool] | None = None
        self._frame = b""
        self._is_displaced = False
        self._silence = silence
        self._codes = codes
        self._transitions: Mapping[type, Callable[[Any, float], None]] = {
            **dict.fromkeys(talk.kinds, self._on_reply),
            Welcome: self._on_welcome,
            Authenticated: self._on_authenticated,
            Refusal: self._on_refusal,
            Proof: self._proved,
        }
        self.state = State.WELCOMING
        self.sync = talk
        self.outbox = talk.outbox
        self.sync_events = talk.sync_events
        self.closed: Closed | None = None
        self._due: float | None = now + login

    @property
    def deadline(self) -> float | None:
        """When to call ``check``, or None for never."""
        due, theirs = self._due, self.sync.deadline
        if theirs is None or self.closed is not None:
            return due
        return theirs if due is None else min(due, theirs)

    def receive(self, raw: bytes, now: float) -> Chosen | MarketUpdate | None:
        """Take a frame; returns what it tells, or None where it only moves the link on."""
        if self.closed is not None:
            return None
        if self._silence is not None and self.state is State.LIVE:
            self._due = now + self._silence
        message: Any = self._read(raw)
        # Updates are not in the table: one look-up tells them from what moves a link on.
        move = self._transitions.get(message.__class__)
        if move is None:
            told: Chosen | MarketUpdate = message
            return told
        self._frame = raw
        move(message, now)
        return None

    def _read_early(self, raw: bytes) -> Any:  # noqa: ANN401 - each dialect has messages of its own
        """Read a frame before the link is live, and keep it for the error of the login."""
        message = self._dialect.read(raw)
        self._last = raw, type(message) is not UnknownMessage
        topic = getattr(message, "topic", None)
        if self.state is State.SUBSCRIBING and type(message) in PROVING and topic in self.sync.missing:
            self.sync.missing = tuple(each for each in self.sync.missing if each != topic)
            return message if self.sync.missing else Proof(message)
        return message

    def _proved(self, proof: Proof, now: float) -> None:
        self.sync_events.append(proof.update)
        self._start_sync(now)

    def check(self, now: float) -> None:
        """End the link if its deadline has passed, and see to what was not answered in time."""
        if self._due is not None and now >= self._due:
            if self.state is State.LIVE:
                self._end(CloseReason.AGAIN, "nothing came for too long")
            elif self.state is State.LEAVING:
                self.replace()
            else:
                self._end(CloseReason.AGAIN, self._unanswered())
        elif self.closed is None:
            self.sync.check(now)
            self._start_sync(now)

    def connection_lost(
        self, cause: str, code: int | None = None, *, reason: str = "", verdict: CloseReason | None = None
    ) -> None:
        """End the life: the link is gone.

        Args:
            cause: why, in words.
            code: the server's close code, or None where it sent none.
            reason: the words of the server's close frame.
            verdict: what it means, where the caller knows; else the code and the state decide.
        """
        self._end(verdict or self._codes.get(str(code)) or self._meaning(code, reason), cause)

    def outgrown(self, frame: bytes, now: float) -> bool:
        """Take note of a frame larger than the limit, which ends the link: perhaps it is what was asked for.

        Args:
            frame: how it began, as far as that is known.
            now: the present.

        Returns:
            Whether what it is of is refused, so that the next link is not asked for it.
        """
        return self.state in TRANSITIONS and self.sync.outgrown(frame, now)

    def _meaning(self, code: int | None, reason: str) -> CloseReason:
        """Return what a close code means that is not in the table."""
        if self.state in LIVING:
            if self._is_displaced or (code is not None and DISPLACED.search(reason)):
                return CloseReason.TAKEN
            return CloseReason.CLOSED if code == NORMAL else CloseReason.AGAIN
        if self.state is not State.AUTHENTICATING or code is None or code in PASSING_CLOSES:
            return CloseReason.AGAIN
        is_refusal = code == POLICY or code >= APPLICATION or (code == NORMAL and bool(reason))
        return CloseReason.DENIED if is_refusal else CloseReason.AGAIN

    def _unanswered(self) -> str:
        """Say that the login was not complete in time, what is missing, and what came last."""
        missing = self.sync.missing if self.state is State.SUBSCRIBING else ()
        lacking = f"; not confirmed: {', '.join(missing)}" if missing else ""
        cause = f"no answer in time while {self.state.value}, within {self._login:g} s{lacking}"
        if self._last is None:
            return f"{cause}; no frame came"
        raw, is_understood = self._last
        words = self._dialect.presentable(raw[:QUOTED].decode(errors="replace"))
        return f"{cause}; the last frame was{'' if is_understood else ' not understood'}: {words}"

    def drain(self, now: float, within: float) -> None:
        """Leave the link to another that took its place, once all is read, or after so many seconds."""
        if self.state is State.LIVE:
            self.state = State.LEAVING
            self._due = now + within
            self.sync.drain()

    def replace(self) -> None:
        """End the link because another takes its place."""
        self._end(CloseReason.RELIEVED, "another link takes its place")

    def _on_welcome(self, message: Welcome, now: float) -> None:
        del message, now
        if self.state is State.WELCOMING:
            self.state = State.AUTHENTICATING
            self.outbox.append(self._dialect.authenticate())

    def _on_authenticated(self, message: Authenticated, now: float) -> None:
        del message
        if self.state is State.AUTHENTICATING:
            self.state = State.SUBSCRIBING
            self.sync.start(now)
            self._start_sync(now)

    def _on_reply(self, message: object, now: float) -> None:
        if self.state in TRANSITIONS:
            self.sync.receive(message, now)
            if self.sync.broken:
                self._end(CloseReason.AGAIN, self.sync.broken)
            self._start_sync(now)

    def _start_sync(self, now: float) -> None:
        if self.state is State.SUBSCRIBING and self.sync.is_settled:
            self.state = State.LIVE
            self._read, self._last = self._dialect.read, None
            self._due = None if self._silence is None else now + self._silence
        elif self.state is State.LEAVING and self.sync.is_over:
            self.replace()

    def _on_refusal(self, refusal: Refusal, now: float) -> None:
        verdict = self._codes.get(str(refusal.code), CloseReason.AGAIN)
        # Before the login is accepted only one question is open, so an error answers that, whatever it names.
        scope = refusal.scope if self.state in TRANSITIONS else {}
        is_of_the_link = refusal.id is None and not scope and verdict is not CloseReason.AGAIN
        words = self._dialect.presentable(refusal.message or "no explanation given")
        if is_of_the_link or self.state not in TRANSITIONS or (not self.sync.has_ids and self._is_answer(scope)):
            if verdict is CloseReason.AGAIN and self.state is State.AUTHENTICATING and str(refusal.code) not in PASSING:
                verdict = CloseReason.DENIED
            self._end(verdict, f"the server said {refusal.code}: {words}")
        elif self.sync.has_ids:
            if not self.sync.refuse(msgspec.structs.replace(refusal, message=words), now):
                self.sync_events.append(self._unplaced(refusal, words))
            self._start_sync(now)
        else:
            self._is_displaced = not scope and DISPLACED.search(refusal.message or "") is not None
            self.sync_events.append(self._unplaced(refusal, words))

    def _unplaced(self, refusal: Refusal, words: str) -> UnknownMessage:
        """Return the event of an error that belongs to no request."""
        named = ", ".join(f"{name} {value}" for name, value in refusal.scope.items())
        problem = f"the server said {refusal.code}{f' of {named}' if named else ''}: {words}"
        return self._dialect.unknown(self._frame, problem)

    def _is_answer(self, scope: dict[str, Any]) -> bool:
        """Whether an error answers the wish for topics, which has no id."""
        return self.state is State.SUBSCRIBING and not scope

    def _end(self, verdict: CloseReason, cause: str) -> None:
        if self.closed is None:
            self.closed = Closed(verdict, self._dialect.presentable(cause))
            self.state = State.OVER
            self._due = None
            self.sync.end()
            self.outbox.clear()
