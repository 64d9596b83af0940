"""The state machine of one stream connection, without I/O: frames and times in, frames and events out.

A connection starts when its WebSocket is open and ends once. In between, its state only moves down this table::

    state           waits for                  leaves the state on     and then sends
    WELCOMING       the welcome                welcome                 the login
    AUTHENTICATING  the reply to the login     authenticated           the subscriptions of ``SubscriptionSync.start``
    SUBSCRIBING     the replies to these       all replies             nothing: the connection is live
    LIVE            updates                    its end                 what the sync sends
    OVER            nothing

``SubscriptionSync`` holds what a stream requests after the login. The brokerage stream has ``TopicSync``: one request
and its confirmations. A sync without requests is settled at once, and so the connection is live at once.

Three things end a connection in any state: the WebSocket is lost, a deadline passes, or the server refuses. Before the
connection is live, the deadline is that of the login. A live connection has a deadline for silence, if one is set.

An error frame before the connection is live refuses the last request. On a live connection it ends the connection only
if ``codes`` lists its code. Exceptions:

- An error with an id refuses only the request with that id; the sync processes it.
- After the login, an error that names a user, an account, a connection, a topic, a channel or a symbol concerns only
  that, whatever its code. It never ends the connection.

An error that ends nothing and refuses no request becomes an ``UnknownMessage``. The table ``CODES``, which a caller can
extend, lists the codes that end the stream. After any other code a new connection may succeed.

A close frame carries less than an error frame, so its code is evaluated together with the state. While the login is
pending, a close with 1008, with a code of the application, or with 1000 and a reason refuses the login: ``DENIED``. On
a live connection a reason that mentions another session means ``TAKEN``, and a plain 1000 means ``CLOSED``: the
supervisor decides by how often it happens.

Guarantees: nothing is sent before the welcome. The secret is sent at most once on one connection, on the only
transition out of WELCOMING. After the end nothing is sent and no event is returned. The end is reported once.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

import msgspec

from connecttrade_async.dialect.value import Dialect
from connecttrade_async.models.events import BalanceUpdate, OrderUpdate, PositionUpdate, UnknownMessage
from connecttrade_async.streaming.codec import (
    Authenticated,
    AwaitedReply,
    Heartbeat,
    Ping,
    Refusal,
    Subscribed,
    Unsubscribed,
    Welcome,
)
from connecttrade_async.streaming.signs import phrase_pattern, signs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from connecttrade_async.dialect.parts import ErrorMeanings, Handshake
    from connecttrade_async.models.events import Chosen
    from connecttrade_async.models.market import MarketUpdate

__all__ = [
    "CODES",
    "RENEWED",
    "CloseReason",
    "Closed",
    "ConnectionState",
    "StreamProtocol",
    "SubscriptionSync",
    "TopicSync",
    "codes_of",
]


class ConnectionState(Enum):
    """The state of a connection."""

    WELCOMING = "welcoming"
    AUTHENTICATING = "authenticating"
    SUBSCRIBING = "subscribing"
    LIVE = "live"
    OVER = "over"


class CloseReason(Enum):
    """Why a connection ended, as far as it decides what the stream does next."""

    AGAIN = "a new connection may succeed"
    REFUSED = "the login is refused, and would be refused again"
    DENIED = "the login is refused, in a form that may also mean a temporary problem"
    TAKEN = "another client has the only session"
    CLOSED = "the server closed a live connection without a reason"
    TOO_LARGE = "a frame was larger than the limit"
    RENEWED = "the login was renewed, and the stream reconnects with the new one"


CONFIRMING = frozenset({OrderUpdate, PositionUpdate, BalanceUpdate})  # an update confirms the topic it belongs to
LOGGED_IN = frozenset({ConnectionState.SUBSCRIBING, ConnectionState.LIVE})
NORMAL, POLICY, APPLICATION = 1000, 1008, 3000  # close codes (RFC 6455); from 3000 on they belong to applications
UNPLACED = "the server's reply does not say which of the open requests it answers, and is applied to none"
MAX_EXCERPT = 2000  # bytes of a frame that are decoded for an error text, which is shortened further


def codes_of(errors: ErrorMeanings) -> dict[str, CloseReason]:
    """Return the meanings of the error codes and close codes of a dialect that end a stream."""
    refused = dict.fromkeys(errors.refused, CloseReason.REFUSED)
    return refused | dict.fromkeys(errors.taken, CloseReason.TAKEN)


CODES: Mapping[str, CloseReason] = codes_of(Dialect.default.errors)


class Closed(NamedTuple):
    """The end of a connection.

    Attributes:
        reason: the reason, as far as it decides what the stream does next.
        cause: the reason in words.
    """

    reason: CloseReason
    cause: str


RENEWED = Closed(CloseReason.RENEWED, "token renewed")


class ConfirmingUpdate(NamedTuple):
    """An update that confirms the last unconfirmed topic."""

    update: OrderUpdate | PositionUpdate | BalanceUpdate


class FirstFrame(NamedTuple):
    """The first frame of a connection, which is the welcome whatever its form."""

    message: Any


class Codec(Protocol):
    """Encodes and decodes the frames of one connection."""

    @property
    def awaits(self) -> AwaitedReply:
        """What the connection waits for; the protocol sets it."""
        ...

    @awaits.setter
    def awaits(self, awaited: AwaitedReply, /) -> None: ...

    @property
    def updates(self) -> frozenset[type]:
        """The classes of updates."""
        ...

    @property
    def handshake(self) -> Handshake:
        """The steps until a connection is live."""
        ...

    @property
    def errors(self) -> ErrorMeanings:
        """The meanings of codes and words."""
        ...

    def pong(self, ping: Ping) -> bytes | None:
        """Encode the reply to a ping, or return None for none."""
        ...

    def read_again(self, message: Any) -> Any:  # noqa: ANN401 - each codec has messages of its own
        """Return the first update of its kind, read again if its frame has fields under other names."""
        ...

    def census(self, message: Any) -> Any:  # noqa: ANN401 - each codec has messages of its own
        """Compare the names in an update's frame with those of its model; None where the codec does not."""
        ...

    def authenticate(self) -> bytes:
        """Encode the login frame."""
        ...

    def read(self, raw: bytes) -> Any:  # noqa: ANN401 - each codec has messages of its own
        """Decode one frame."""
        ...

    def presentable(self, text: str) -> str:
        """Return a text of the server in a form for error texts, without secrets."""
        ...

    def unknown(self, raw: bytes, problem: str) -> UnknownMessage:
        """Return the event for a frame that is not delivered, without secrets."""
        ...


class SubscriptionSync(Protocol):
    """Keeps the subscriptions that the server holds on one connection equal to the desired ones, after the login.

    Attributes:
        kinds: the classes of messages that ``receive`` takes.
        has_ids: whether the requests have ids that replies repeat.
        outbox: the frames to send, in order; the sender removes them.
        sync_events: the events to process, in order; the supervisor removes them and publishes each
            ``UnknownMessage``.
        missing: the names of unconfirmed subscriptions, for the error of the login deadline.
        broken: why the server no longer holds confirmed subscriptions, in words, or ``""``.
    """

    kinds: tuple[type, ...]
    has_ids: bool
    outbox: list[bytes]
    sync_events: list[Any]
    missing: tuple[str, ...]
    broken: str

    @property
    def is_settled(self) -> bool:
        """Whether every request of ``start`` has its reply."""
        ...

    @property
    def deadline(self) -> float | None:
        """The time at which to call ``check``, or None for never."""
        ...

    def start(self, now: float) -> None:
        """Send the first requests: the login is accepted."""
        ...

    def receive(self, message: Any, now: float) -> bool:  # noqa: ANN401 - one of its kinds
        """Process a reply; return False for one that changed nothing, although it may answer an open request."""
        ...

    def refuse(self, refusal: Refusal, now: float) -> bool:
        """Process an error frame, if ``has_ids``; return whether it refuses a request of this sync."""
        ...

    def outgrown(self, frame: bytes, now: float) -> bool:
        """Process the beginning of a frame above the size limit.

        Returns:
            Whether the subscription of that frame is rejected, so that the next connection does not request it.
        """
        ...

    def check(self, now: float) -> None:
        """Process requests with an overdue reply."""
        ...

    def end(self) -> None:
        """End the sync: the connection is over."""
        ...


class SubscriptionCodec(Protocol):
    """Encodes the subscription of topics, and decodes its confirmations."""

    def subscribe(self, topics: tuple[str, ...]) -> list[bytes]:
        """Encode the subscription of topics."""
        ...

    def topics_of(self, message: Subscribed | Unsubscribed) -> frozenset[str] | None:
        """Return the topics that a confirmation names, or None for one that names no topic at all."""
        ...


class TopicCodec(Codec, SubscriptionCodec, Protocol):
    """Encodes and decodes the frames of a stream of topics."""

    def for_connection(self) -> Self:
        """Return a codec for a new connection, which has learned nothing yet."""
        ...


class TopicSync:
    """The subscription of the brokerage stream: one request for all topics, and its confirmations.

    A confirmation that names topics confirms only those; one without topics confirms all. An update of a topic
    confirms it too. When the server ends a topic without a request, the connection is closed, so that a new one
    subscribes again and reports the gap.

    Args:
        codec: encodes the request.
        topics: the topics to subscribe.

    Attributes:
        missing: the topics that are not confirmed yet.
        broken: the topics that the server ended, in words, or ``""``.
    """

    kinds: tuple[type, ...] = (Subscribed, Unsubscribed)
    has_ids = False
    deadline: float | None = None
    __slots__ = ("_codec", "_topics", "broken", "missing", "outbox", "sync_events")

    def __init__(self, codec: SubscriptionCodec, topics: tuple[str, ...]) -> None:
        self._codec = codec
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
        """Request the topics."""
        del now
        self.outbox.extend(self._codec.subscribe(self._topics))

    def receive(self, message: Any, now: float) -> bool:  # noqa: ANN401 - one of its kinds
        """Process a confirmation, or the end of a subscription; return True, as there is one request only."""
        del now
        named = self._codec.topics_of(message)
        if type(message) is Subscribed:
            self.missing = tuple(topic for topic in self.missing if named is not None and topic not in named)
        else:
            held = (topic for topic in self._topics if topic not in self.missing)
            lost = [topic for topic in held if named is None or topic in named]
            self.broken = f"the server ended the subscription of {', '.join(lost)}" if lost else ""
        return True

    def refuse(self, refusal: Refusal, now: float) -> bool:
        """Return False: the request has no id."""
        del refusal, now
        return False

    def outgrown(self, frame: bytes, now: float) -> bool:
        """Return False: a topic cannot be rejected on its own."""
        del frame, now
        return False

    def check(self, now: float) -> None:
        """Do nothing: the deadline of the login covers the subscription."""

    def end(self) -> None:
        """Do nothing."""


class StreamProtocol:
    """The state machine of one connection, created when its WebSocket is open.

    Args:
        codec: encodes and decodes the frames.
        sync: the subscriptions on this connection.
        now: the current time, in seconds on the caller's clock.
        login: the time limit until the connection is live, in seconds.
        silence: the time without a frame after which a live connection counts as lost, in seconds; None for never.
        codes: the meaning of error codes and close codes.

    Attributes:
        state: the state.
        sync: the subscriptions on this connection.
        outbox: the frames to send, in order; the sender removes them.
        sync_events: the events besides those that ``receive`` returns, in order; the supervisor removes them.
        closed: the end of the connection, or None.
    """

    __slots__ = (
        "_assume_at",
        "_codec",
        "_codes",
        "_due",
        "_errors",
        "_frame",
        "_handshake",
        "_is_assumed",
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
        codec: Codec,
        sync: SubscriptionSync,
        *,
        now: float,
        login: float,
        silence: float | None = None,
        codes: Mapping[str, CloseReason] = CODES,
    ) -> None:
        self._codec = codec
        self._errors = codec.errors
        self._handshake = codec.handshake
        self._is_assumed = False
        codec.awaits = AwaitedReply.WELCOME
        self._read: Callable[[bytes], Any] = self._read_before_live
        self._login = login
        self._last: tuple[bytes, bool] | None = None
        self._frame = b""
        self._is_displaced = False
        self._silence = silence
        self._codes = codes
        self._transitions: dict[type, Callable[[Any, float], Any]] = {
            **dict.fromkeys(codec.updates, self._on_first_update),
            **dict.fromkeys(sync.kinds, self._on_reply),
            Welcome: self._on_welcome,
            Authenticated: self._on_authenticated,
            Refusal: self._on_refusal,
            ConfirmingUpdate: self._on_confirming_update,
            FirstFrame: self._on_first_frame,
            Heartbeat: self._on_heartbeat,
            Ping: self._on_ping,
            list: self._on_batch,
        }
        self.state = ConnectionState.WELCOMING
        self.sync = sync
        self.outbox = sync.outbox
        self.sync_events = sync.sync_events
        self.closed: Closed | None = None
        self._due: float | None = now + login
        self._assume_at = now + self._handshake.welcome_after if self._handshake.welcome == "none" else None

    @property
    def deadline(self) -> float | None:
        """The time at which to call ``check``, or None for never."""
        if self.closed is not None:
            return self._due
        due = [moment for moment in (self._due, self.sync.deadline, self._assume_at) if moment is not None]
        return min(due, default=None)

    def receive(self, raw: bytes, now: float) -> Chosen | MarketUpdate | list[Any] | None:
        """Process one frame.

        Args:
            raw: the frame.
            now: the current time.

        Returns:
            The event to publish; a list of events, for a frame with several messages; or None if the frame only
            advances the state machine.
        """
        if self.closed is not None:
            return None
        if self._silence is not None and self.state is ConnectionState.LIVE:
            self._due = now + self._silence
        message: Any = self._read(raw)
        # Updates are not in the table, so one lookup by class separates them from control messages.
        transition = self._transitions.get(message.__class__)
        if transition is None:
            event: Chosen | MarketUpdate = message
            return event
        self._frame = raw
        found: Chosen | MarketUpdate | list[Any] | None = transition(message, now)
        return found

    def _read_before_live(self, raw: bytes) -> Any:  # noqa: ANN401 - each codec has messages of its own
        """Decode a frame before the connection is live, and keep it for the error of the login deadline."""
        message = self._codec.read(raw)
        meaning = message if message.__class__ is list else self._meaning_before_live(message)
        if self._last is None or self._last[1] or type(message) is not Heartbeat:
            # A heartbeat behind a frame that was not understood would hide the server's words.
            self._last = raw, type(meaning) is not UnknownMessage
        return meaning

    def _meaning_before_live(self, message: Any) -> Any:  # noqa: ANN401 - each codec has messages of its own
        if self.state is ConnectionState.WELCOMING:
            is_welcome = type(message) is not Refusal and self._handshake.welcome != "wait"
            return FirstFrame(message) if is_welcome else message
        if self.state is not ConnectionState.SUBSCRIBING or self._handshake.subscription == "wait":
            return message
        topic = getattr(message, "topic", None)
        if type(message) in CONFIRMING and topic in self.sync.missing:
            self.sync.missing = tuple(each for each in self.sync.missing if each != topic)
            return message if self.sync.missing else ConfirmingUpdate(message)
        return message

    def _on_batch(self, messages: list[Any], now: float) -> list[Any]:
        """Process the messages of one frame, in order; return its events."""
        if self.state is ConnectionState.LIVE and self._transitions.keys().isdisjoint(map(type, messages)):
            return messages
        events: list[Any] = []
        for each in self._read_behind_first(messages):
            message = each if self.state is ConnectionState.LIVE else self._meaning_before_live(each)
            transition = self._transitions.get(message.__class__)
            if transition is None:
                events.append(message)
            elif self.closed is None and (event := transition(message, now)) is not None:
                events.append(event)
        return events

    def _read_behind_first(self, messages: list[Any]) -> Iterator[Any]:
        """Yield messages; those behind the first of their kind are read again, in the form that was learned from it."""
        unseen = self._transitions.keys() & self._codec.updates
        for found in messages:
            # The first one of a kind leaves the table when it is processed, which is after it was yielded.
            kind: type = found.__class__
            if kind in unseen and kind not in self._transitions:
                again: Any = self._codec.read(found.raw)
                # A codec may read an update as the proof of a subscription and the update.
                yield from again if again.__class__ is list else (again,)
            else:
                yield found

    def _on_first_frame(self, first: FirstFrame, now: float) -> Any:  # noqa: ANN401 - each codec has messages of its own
        self._on_welcome(first.message, now)
        message = first.message
        if type(message) in self._codec.updates:
            return self._on_first_update(message, now)
        if type(message) is Ping:
            self._on_ping(message, now)
        return None

    def _on_first_update(self, update: Any, now: float) -> Any:  # noqa: ANN401 - each codec has messages of its own
        """Take the census of the first update of its kind; return the update."""
        del now
        if self._transitions.pop(update.__class__, None) is None:
            return update
        # The class is no key now, so further updates cost nothing.
        update = self._codec.read_again(update)
        census = self._codec.census(update) if type(update) in self._codec.updates else None
        if census is not None:
            self.sync_events.append(census)
        return update

    def _on_heartbeat(self, message: Heartbeat, now: float) -> None:
        """Do nothing: any frame is a sign of life."""

    def _on_ping(self, ping: Ping, now: float) -> None:
        del now
        pong = self._codec.pong(ping)
        if pong is not None:
            self.outbox.append(pong)

    def _on_confirming_update(self, confirming: ConfirmingUpdate, now: float) -> None:
        # Not returned: it has to be published after the gap.
        self.sync_events.append(self._on_first_update(confirming.update, now))
        self._advance(now)

    def check(self, now: float) -> None:
        """End the connection if its deadline has passed, and let the sync process overdue requests."""
        if self._assume_at is not None and now >= self._assume_at:
            self._assume(now)
        elif self._due is not None and now >= self._due:
            if self.state is ConnectionState.LIVE:
                self._end(CloseReason.AGAIN, f"no frame was received within {self._silence:g} s")
            else:
                self._end(CloseReason.AGAIN, self._login_timeout_text())
        elif self.closed is None:
            self.sync.check(now)
            self._advance(now)

    def _assume(self, now: float) -> None:
        """Take the next step without the server's word, as the dialect wants it."""
        self._assume_at = None
        if self.state is ConnectionState.WELCOMING:
            self._on_welcome(None, now)
        elif self.state is ConnectionState.AUTHENTICATING:
            self._is_assumed = True
            self._on_authenticated(None, now)
        elif not self.sync.has_ids:
            self.sync.missing = ()
            self._advance(now)

    def connection_lost(
        self, cause: str, code: int | None = None, *, reason: str = "", verdict: CloseReason | None = None
    ) -> None:
        """End the connection: the WebSocket is lost.

        Args:
            cause: the reason in words.
            code: the close code that the server sent, or None.
            reason: the reason in the server's close frame, or ``""``.
            verdict: the close reason if the caller knows it, else None: code and state decide.
        """
        self._end(verdict or self._codes.get(str(code)) or self._close_reason(code, reason), cause)

    def outgrown(self, frame: bytes, now: float) -> bool:
        """Process a frame above the size limit, which has ended the connection.

        Args:
            frame: the beginning of the frame, as far as it is known.
            now: the current time.

        Returns:
            Whether the subscription of that frame is rejected, so that the next connection does not request it.
        """
        return self.state in LOGGED_IN and self.sync.outgrown(frame, now)

    def _close_reason(self, code: int | None, reason: str) -> CloseReason:
        """Return the meaning of a close code that is not in the table."""
        if self.state is ConnectionState.LIVE:
            if self._is_displaced or (code is not None and self._is_taken(reason)):
                return CloseReason.TAKEN
            return CloseReason.CLOSED if code == NORMAL else CloseReason.AGAIN
        is_pending = self.state is ConnectionState.AUTHENTICATING or (
            self.state is ConnectionState.SUBSCRIBING and self._is_assumed
        )
        if not is_pending or code is None or self._is_temporary(code, reason):
            return CloseReason.AGAIN
        is_refusal = code == POLICY or code >= APPLICATION or (code == NORMAL and bool(reason))
        return CloseReason.DENIED if is_refusal or signs_of(reason, self._errors).refuses else CloseReason.AGAIN

    def _is_temporary(self, code: object, text: str) -> bool:
        """Return whether the same login may succeed after an error or a close."""
        known = {*self._errors.temporary, *self._errors.rate_limited}
        return str(code) in known or phrase_pattern(self._errors.rate_limited_words).search(text) is not None

    def _is_taken(self, text: str) -> bool:
        return phrase_pattern(self._errors.taken_words).search(text) is not None

    def _login_timeout_text(self) -> str:
        """Return the cause for an incomplete login, with the unconfirmed topics and the last frame."""
        missing = self.sync.missing if self.state is ConnectionState.SUBSCRIBING else ()
        unconfirmed = f"; not confirmed: {', '.join(missing)}" if missing else ""
        cause = f"no answer while {self.state.value} within {self._login:g} s{unconfirmed}"
        if self._last is None:
            return f"{cause}; no frame was received"
        raw, is_decoded = self._last
        excerpt = self._codec.presentable(raw[:MAX_EXCERPT].decode(errors="replace"))
        return f"{cause}; the last frame was{'' if is_decoded else ' not understood'}: {excerpt}"

    def renew(self) -> None:
        """End the connection, because its login was renewed."""
        self._end(*RENEWED)

    def _on_welcome(self, message: object, now: float) -> None:
        del message
        if self.state is ConnectionState.WELCOMING:
            self.state, self._codec.awaits = ConnectionState.AUTHENTICATING, AwaitedReply.LOGIN
            self._assume_at = now + self._handshake.login_after if self._handshake.login == "assume" else None
            self.outbox.append(self._codec.authenticate())

    def _on_authenticated(self, message: object, now: float) -> None:
        del message
        if self.state is ConnectionState.AUTHENTICATING:
            self.state, self._codec.awaits = ConnectionState.SUBSCRIBING, AwaitedReply.SUBSCRIPTION
            is_assumed = self._handshake.subscription == "assume"
            self._assume_at = now + self._handshake.subscription_after if is_assumed else None
            self.sync.start(now)
            self._advance(now)

    def _on_reply(self, message: object, now: float) -> None:
        if self.state in LOGGED_IN:
            if not self.sync.receive(message, now):
                self.sync_events.append(self._codec.unknown(self._frame, UNPLACED))
            if self.sync.broken:
                self._end(CloseReason.AGAIN, self.sync.broken)
            self._advance(now)

    def _advance(self, now: float) -> None:
        """Enter the next state if the sync has reached it."""
        if self.state is ConnectionState.SUBSCRIBING and self.sync.is_settled:
            self.state, self._codec.awaits, self._assume_at = ConnectionState.LIVE, AwaitedReply.NOTHING, None
            self._read, self._last = self._codec.read, None
            self._due = None if self._silence is None else now + self._silence

    def _on_refusal(self, refusal: Refusal, now: float) -> None:
        reason = self._codes.get(str(refusal.code), CloseReason.AGAIN)
        # Before the login is accepted only one request is pending, so an error refuses that, whatever it names.
        scope = refusal.scope if self.state in LOGGED_IN else {}
        ends_connection = refusal.id is None and not scope and reason is not CloseReason.AGAIN
        text = self._codec.presentable(refusal.message or "no explanation given")
        if ends_connection or self.state not in LOGGED_IN or (not self.sync.has_ids and self._is_refusal(scope)):
            is_pending = self.state is ConnectionState.AUTHENTICATING or self._is_assumed
            if reason is CloseReason.AGAIN and self._is_taken(refusal.message or ""):
                reason = CloseReason.TAKEN
            elif reason is CloseReason.AGAIN and is_pending:
                is_temporary = self._is_temporary(refusal.code, refusal.message or "")
                reason = CloseReason.AGAIN if is_temporary else CloseReason.DENIED
            self._end(reason, f"the server sent {_error_name(refusal)}: {text}")
        elif self.sync.has_ids:
            if not self.sync.refuse(msgspec.structs.replace(refusal, message=text), now):
                self.sync_events.append(self._unmatched_error(refusal, text))
            self._advance(now)
        else:
            self._is_displaced = not scope and self._is_taken(refusal.message or "")
            self.sync_events.append(self._unmatched_error(refusal, text))

    def _unmatched_error(self, refusal: Refusal, text: str) -> UnknownMessage:
        """Return the event for an error that refuses no request."""
        named = ", ".join(f"{name} {value}" for name, value in refusal.scope.items())
        problem = f"the server sent {_error_name(refusal)}{f' for {named}' if named else ''}: {text}"
        return self._codec.unknown(self._frame, problem)

    def _is_refusal(self, scope: dict[str, Any]) -> bool:
        """Return whether an error refuses the subscription of topics, which has no id."""
        return self.state is ConnectionState.SUBSCRIBING and not scope

    def _end(self, reason: CloseReason, cause: str) -> None:
        if self.closed is None:
            self.closed = Closed(reason, self._codec.presentable(cause))
            self.state = ConnectionState.OVER
            self._due = self._assume_at = None
            self.sync.end()
            self.outbox.clear()


def _error_name(refusal: Refusal) -> str:
    """Return the words for an error frame, which may have no code."""
    return "an error" if refusal.code is None else f"error {refusal.code}"
