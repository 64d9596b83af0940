"""The relay's log, without I/O: ids, the form of entries, and the rules that find a gap.

The leader writes the id of each entry: ``<epoch>-<sequence>``. Redis refuses an id that is not above the top of the
log, so no entry of an old epoch follows one of a new epoch. After ``(e, n)`` only these entries continue the log:

- ``(e, n+1)``;
- an entry ``epoch`` of a later epoch that names ``(e, m)`` with ``m <= n`` as the entry after which it continues. Its
  leader held the session all along. It writes its buffer again, so ``(e, m+k)`` is ``(e', k)`` in the new epoch.

An entry that the reader has already received is skipped. Any other entry means that entries are missing.

An entry has one field: the name is the kind, the value is the time of the leader in milliseconds, a space, and the
payload. One field costs a reader the fewest elements to parse.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "EPOCH",
    "EVENTS",
    "FOREIGN",
    "LEFT",
    "LIVE",
    "LOST",
    "MARK",
    "ControlPayload",
    "LogEntry",
    "LogPosition",
    "LogReader",
    "LogSnapshot",
    "MissedEntries",
    "ReceivedEntry",
    "decode_entry",
    "encode_control",
    "encode_value",
]

EPOCH, LIVE, LOST, LEFT, MARK = b"epoch", b"live", b"lost", b"left", b"mark"
CONTROLS = frozenset({EPOCH, LIVE, LOST, LEFT, MARK})
EVENTS = frozenset({b"orders", b"positions", b"balances", b"unknown"})
FOREIGN = b""
"""The kind of an entry that the relay did not write."""

MAX_PART = (1 << 53) - 1  # Lua counts in doubles: above this, two numbers may compare as equal
_ID = re.compile(r"(0|[1-9][0-9]{0,19})-(0|[1-9][0-9]{0,19})")
NEW_LEADER = "the relay has a new leader"


class LogPosition(NamedTuple):
    """The id of an entry of the log.

    Attributes:
        epoch: the epoch of the leader that wrote the entry.
        sequence: the number of the entry in its epoch, counted from 0.
    """

    epoch: int
    sequence: int

    @classmethod
    def parse(cls, text: str | bytes) -> LogPosition | None:
        """Return the position that a text names, or None if it has another form."""
        found = _ID.fullmatch(text if isinstance(text, str) else text.decode("utf-8", "replace"))
        return None if found is None else cls(int(found[1]), int(found[2]))

    @property
    def is_usable(self) -> bool:
        """Whether the numbers are small enough for a script to compare them exactly."""
        return max(self) <= MAX_PART

    def __str__(self) -> str:
        return f"{self.epoch}-{self.sequence}"


class ControlPayload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The payload of an entry of the relay itself.

    Attributes:
        by: the worker that wrote it.
        after: the last acknowledged entry of the same leader's earlier epoch, if it held the session all along.
        is_live: whether the leader's session is live, in an entry ``epoch``.
        since: the start of the interval in which the leader may have missed events, in milliseconds, or None.
        cause: the reason, in words.
    """

    by: str = ""
    after: str | None = None
    is_live: bool = msgspec.field(default=False, name="live")
    since: int | None = None
    cause: str = ""


_CONTROL = msgspec.json.Decoder(ControlPayload)


class LogEntry(NamedTuple):
    """One entry of the log.

    Attributes:
        position: its id.
        kind: its kind, or ``FOREIGN``.
        at: the time of the leader when it received the event, in milliseconds since 1970; 0 if it is foreign.
        payload: the frame of an event; empty for other kinds.
        control: the payload of an entry of the relay itself.
    """

    position: LogPosition
    kind: bytes
    at: int = 0
    payload: bytes = b""
    control: ControlPayload = ControlPayload()


class LogSnapshot(NamedTuple):
    """The log and the lease at one moment, as one script returns them.

    Attributes:
        top: the last entry, or None if the log is empty.
        is_live: whether the latest entry of the relay itself says that the session is live.
        leader: the worker that holds the lease, or None.
        epoch: the epoch of the lease, or None.
        remaining: the milliseconds until the lease ends.
        standby: the milliseconds for which the whole relay stands by; 0 if it does not.
        now: the time of the server, in milliseconds since 1970.
        entries: the number of entries in the log.
        last_at: the time of the last entry, in milliseconds since 1970; 0 if it is unknown.
    """

    top: LogPosition | None
    is_live: bool = False
    leader: str | None = None
    epoch: int | None = None
    remaining: int = 0
    standby: int = 0
    now: int = 0
    entries: int = 0
    last_at: int = 0


class MissedEntries(NamedTuple):
    """Entries that the reader may have missed.

    Attributes:
        cause: the reason, in words.
        since: the start of the interval, in milliseconds since 1970.
        until: the end of the interval, in milliseconds since 1970.
    """

    cause: str
    since: int
    until: int


class ReceivedEntry(NamedTuple):
    """What an entry means to a reader.

    Attributes:
        missed: the gap before the entry, or None.
        payload: the frame of the event, or None if there is none to deliver.
    """

    missed: MissedEntries | None = None
    payload: bytes | None = None


NOTHING = ReceivedEntry()


def encode_value(at: int, payload: bytes) -> bytes:
    """Return the value of an entry.

    Args:
        at: the time of the leader, in milliseconds since 1970.
        payload: the frame of an event, or an encoded ``ControlPayload``.
    """
    return b"%d %b" % (at, payload)


def encode_control(at: int, control: ControlPayload) -> bytes:
    """Return the value of an entry of the relay itself."""
    return encode_value(at, msgspec.json.encode(control))


def decode_entry(entry_id: bytes, fields: Sequence[bytes]) -> LogEntry:
    """Return an entry of the log; its kind is ``FOREIGN`` unless the relay wrote it.

    Args:
        entry_id: the id, as Redis returns it.
        fields: the names and values of its fields, in turn.
    """
    position = LogPosition.parse(entry_id) or LogPosition(0, 0)
    kind, value = (fields[0], fields[1]) if len(fields) == 2 else (FOREIGN, b"")  # noqa: PLR2004 - one name, one value
    at, _, payload = value.partition(b" ")
    if not at.isdigit() or int(at) > MAX_PART or not position.is_usable:
        return LogEntry(position, FOREIGN)
    if kind in EVENTS:
        return LogEntry(position, kind, int(at), payload)
    try:
        control = _CONTROL.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return LogEntry(position, FOREIGN)
    if kind not in CONTROLS or (kind == EPOCH) != (position.sequence == 0):
        return LogEntry(position, FOREIGN)
    return LogEntry(position, kind, int(at), control=control)


class LogReader:
    """The position of one reader in the log, and the rules that find what it missed.

    Args:
        position: the entry behind which to continue, or None to begin at the top.

    Attributes:
        position: the last entry that was received, or None before the first.
        is_live: whether the entries up to the position say that the session is live.
        cause: why the session is not live, in words; empty if it is live or was not live before.
        last_at: the time of the last entry, in milliseconds since 1970; 0 if it is unknown.
    """

    __slots__ = ("_expected", "_has_history", "_missing", "cause", "is_live", "last_at", "position")

    def __init__(self, position: LogPosition | None = None) -> None:
        self.position = position
        self.is_live = False
        self.cause = ""
        self.last_at = 0
        # A reader without a position that was never live has nothing that could be out of date, so it misses nothing.
        self._has_history = position is not None
        self._missing: tuple[str, int] | None = None
        self._expected = b""
        self._move(position)

    def attach(self, view: LogSnapshot) -> tuple[LogPosition, MissedEntries | None]:
        """Begin to read, or continue after a lost connection.

        Args:
            view: the log and the lease now.

        Returns:
            The entry behind which to read, and the gap that the view alone shows, or None.
        """
        top = view.top
        if self.position is None:
            self._move(top)
            self._set_live(is_live=view.is_live)
            return top or LogPosition(0, 0), None
        if top is None or top >= self.position:
            if top == self.position and self._missing is None:
                self._set_live(is_live=view.is_live)
            return self.position if top is not None else LogPosition(0, 0), None
        if not self.is_reset(view):
            # The log lost entries that this reader has. Its leader continues behind them, so nothing is missing here.
            return top, None
        self._open_gap(f"the relay's log went back from {self.position} to {top}", self.last_at)
        self._move(top)
        self._set_live(is_live=view.is_live)
        return top, self._close_gap(view.now)

    def is_reset(self, view: LogSnapshot) -> bool:
        """Return whether the log ends below the position, under a leader of an earlier epoch."""
        if self.position is None or view.top is None or view.epoch is None:
            return False
        return view.top < self.position and view.epoch < self.position.epoch

    def take(self, entry_id: bytes, kind: bytes, value: bytes) -> bytes | None:
        """Receive an entry if it is the next event of a live session, which nearly all entries are.

        Returns:
            The frame of the event, or None if the entry is for ``receive``.
        """
        # ``decode_entry`` and ``receive`` inline, for the one form that comes thousands of times a second.
        if entry_id != self._expected or kind not in EVENTS or not self.is_live or self.position is None:
            return None
        at, space, payload = value.partition(b" ")
        if not space or not at.isdigit() or self._missing is not None:
            return None
        epoch, sequence = self.position
        self.position = LogPosition(epoch, sequence + 1)
        self._expected = b"%d-%d" % (epoch, sequence + 2)
        self.last_at = int(at)
        return payload

    def receive(self, entry: LogEntry) -> ReceivedEntry:
        """Receive an entry of any kind."""
        before, now = self.position, entry.position
        if before is not None and now.epoch == before.epoch and now.sequence <= before.sequence:
            return NOTHING
        if entry.kind == EPOCH:
            return self._on_epoch(entry)
        if before is not None and now != (before.epoch, before.sequence + 1):
            self._open_gap(f"entries of the relay's log are missing between {before} and {now}", self.last_at)
        self._move(now)
        if entry.kind == FOREIGN:
            self._open_gap(f"the relay's log has an entry that the relay did not write: {now}", self.last_at)
            if before is not None and now.epoch != before.epoch:
                self._set_live(is_live=False, cause="the relay's log has an entry that the relay did not write")
            return ReceivedEntry(self._close_gap(self.last_at))
        if entry.kind in (LOST, LEFT):
            self._set_live(is_live=False, cause=entry.control.cause)
            self._open_gap(entry.control.cause, self.last_at)
        elif entry.kind != MARK:
            self._set_live(is_live=True)
        if entry.control.since is not None and self._missing is not None:
            self._missing = (self._missing[0], min(self._missing[1], entry.control.since))
        self.last_at = entry.at
        return ReceivedEntry(self._close_gap(entry.at), entry.payload if entry.kind in EVENTS else None)

    def _on_epoch(self, entry: LogEntry) -> ReceivedEntry:
        before, control = self.position, entry.control
        after = None if control.after is None else LogPosition.parse(control.after)
        self.last_at, last_at = entry.at, self.last_at
        if before is not None and after is not None and before.epoch == after.epoch and before >= after:
            # Entries of the buffer that this reader had from the old epoch follow again: they are skipped by number.
            self._move(LogPosition(entry.position.epoch, before.sequence - after.sequence))
            return ReceivedEntry(self._close_gap(entry.at))
        self._move(entry.position)
        self._open_gap(NEW_LEADER, last_at)
        self._set_live(is_live=control.is_live, cause=NEW_LEADER)
        return ReceivedEntry(self._close_gap(entry.at))

    def _move(self, position: LogPosition | None) -> None:
        self.position = position
        if position is not None:
            self._expected = b"%d-%d" % (position.epoch, position.sequence + 1)

    def _set_live(self, *, is_live: bool, cause: str = "") -> None:
        self.is_live = is_live
        self.cause = cause
        self._has_history = self._has_history or is_live

    def _open_gap(self, cause: str, since: int) -> None:
        if self._has_history and self._missing is None:
            # The epoch is a time in milliseconds too, and no entry of it is older.
            since = since or (0 if self.position is None else self.position.epoch)
            self._missing = (cause, since)

    def _close_gap(self, until: int) -> MissedEntries | None:
        """Return the open gap if the session is live, so that nothing more can be missing."""
        if self._missing is None or not self.is_live:
            return None
        cause, since = self._missing
        self._missing = None
        return MissedEntries(cause, min(since, until), until)
