"""A recording as a value: its exchanges and its stream sessions, read from a file of JSON lines."""

import base64
import binascii
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec

__all__ = ["Close", "Exchange", "Frame", "Recording", "RecordingError", "Session", "StreamName", "read_recording"]

StreamName = Literal["brokerage", "market_data"]

_FORMAT = "connecttrade-recording"
_VERSION = 1
_MOST_LINES = 1_000_000
_LONGEST_LINE = 16 << 20
"""Bytes of one line."""

_T = TypeVar("_T")
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
_SessionNumber = Annotated[int, msgspec.Meta(ge=1)]


class RecordingError(ValueError):
    """A file is no recording. The message names the line, and what the line must be."""


class _Kind(msgspec.Struct, frozen=True):
    kind: str


class _Header(msgspec.Struct, frozen=True):
    format: str
    version: int


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One REST request with its answer.

    Attributes:
        at: seconds from the beginning of the recording to the request.
        took: seconds until the answer.
        method: upper case.
        path: the path, with pseudonyms for ids.
        query: the parameters in their order.
        user: the pseudonym of the user; None without one.
        request: the text of the body; None without one.
        status: of the answer; None if no answer came.
        headers: of the answer.
        response: the text of the answer's body.
        operation: the method and the template of the path, such as ``GET /connections/{connection_id}/token``.
    """

    at: _Seconds
    method: str
    path: str
    took: _Seconds = 0.0
    query: tuple[tuple[str, str], ...] = ()
    user: str | None = None
    request: str | None = None
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    headers: tuple[tuple[str, str], ...] | None = None
    response: str | None = None
    operation: str | None = None


class _Open(msgspec.Struct, frozen=True):
    at: _Seconds
    stream: StreamName
    session: _SessionNumber


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """One frame of a stream session.

    Attributes:
        at: seconds from the beginning of the recording.
        direction: ``in`` is from the server to the client.
        text: of a text frame.
        base64: of a binary frame.
    """

    at: _Seconds
    session: _SessionNumber
    direction: Literal["in", "out"]
    text: str | None = None
    base64: str | None = None

    @property
    def payload(self) -> str | bytes:
        """The content: text of a text frame, bytes of a binary one."""
        return base64.b64decode(self.base64 or "", validate=True) if self.text is None else self.text


class Close(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a stream session: its close code (1006 for a lost connection) and its reason."""

    at: _Seconds
    session: _SessionNumber
    code: int
    reason: str = ""


class Session(msgspec.Struct, frozen=True):
    """One connection of a stream. Without a close it was open when the recording ended."""

    number: int
    stream: StreamName
    at: float
    frames: list[Frame]
    close: Close | None = None


class Recording(msgspec.Struct, frozen=True):
    """All of a recording: exchanges by their times, and sessions in the order in which they were opened."""

    exchanges: tuple[Exchange, ...]
    sessions: tuple[Session, ...]


def read_recording(path: Path) -> Recording:
    """Read a recording from a file. It blocks.

    Raises:
        RecordingError: a line is malformed, too long, or the one too many.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        lines = iter(lambda: file.readline(_LONGEST_LINE + 1), b"")
        return _Reader(path.name).read(lines)


class _Reader:
    def __init__(self, name: str) -> None:
        self._name = name
        self._number = 0
        self._exchanges: list[Exchange] = []
        self._sessions: dict[int, Session] = {}

    def read(self, lines: Iterable[bytes]) -> Recording:
        for line in self._checked(lines):
            kind = self._decode(line, _Kind).kind
            if self._number == 1:
                self._check_header(kind, line)
            elif kind == "exchange":
                self._exchanges.append(self._exchange(line))
            elif kind == "open":
                self._open(self._decode(line, _Open))
            elif kind == "frame":
                frame = self._frame(line)
                self._session_of(frame).frames.append(frame)
            elif kind == "close":
                close = self._decode(line, Close)
                self._sessions[close.session] = msgspec.structs.replace(self._session_of(close), close=close)
        if self._number == 0:
            raise RecordingError(f"{self._name}, line 1: must be the header of a recording, got an empty file")
        exchanges = sorted(self._exchanges, key=lambda exchange: exchange.at)
        return Recording(tuple(exchanges), tuple(self._sessions.values()))

    def _checked(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for self._number, line in enumerate(lines, start=1):
            if len(line) > _LONGEST_LINE:
                raise self._error(f"must be at most {_LONGEST_LINE} bytes long")
            if self._number > _MOST_LINES:
                raise self._error(f"must be the last, a recording has at most {_MOST_LINES} lines")
            if line.strip():
                yield line
            elif self._number == 1:
                raise self._error("must be the header of a recording, got an empty line")

    def _check_header(self, kind: str, line: bytes) -> None:
        if kind != "header":
            raise self._error(f"must be the header of a recording, got a line of kind {kind!r}")
        header = self._decode(line, _Header)
        if header.format != _FORMAT:
            raise self._error(f"format must be {_FORMAT!r}, got {header.format!r}")
        if header.version != _VERSION:
            raise self._error(f"version must be {_VERSION}, got {header.version}")

    def _exchange(self, line: bytes) -> Exchange:
        exchange = self._decode(line, Exchange)
        texts = [exchange.method, exchange.path, *(text for pair in exchange.headers or () for text in pair)]
        if not all(text.isprintable() for text in texts):
            raise self._error("method, path and headers must be printable")
        if not exchange.path.startswith("/"):
            raise self._error(f"path must begin with a slash, got {exchange.path!r}")
        return exchange

    def _open(self, opened: _Open) -> None:
        if opened.session in self._sessions:
            raise self._error(f"session must be a new number, got {opened.session} again")
        self._sessions[opened.session] = Session(opened.session, opened.stream, opened.at, [])

    def _frame(self, line: bytes) -> Frame:
        frame = self._decode(line, Frame)
        if (frame.text is None) is (frame.base64 is None):
            raise self._error("a frame must have either text or base64")
        try:
            _ = frame.payload
        except (binascii.Error, ValueError):
            raise self._error("base64 must be base64") from None
        return frame

    def _session_of(self, line: Frame | Close) -> Session:
        session = self._sessions.get(line.session)
        if session is None:
            raise self._error(f"session must be opened before, got {line.session}")
        if session.close is not None:
            raise self._error(f"session must not be closed before, got {line.session}")
        return session

    def _decode(self, line: bytes, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(line, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._error(f"must be a JSON object of a recording: {error}") from None

    def _error(self, words: str) -> RecordingError:
        return RecordingError(f"{self._name}, line {self._number}: {words}")
