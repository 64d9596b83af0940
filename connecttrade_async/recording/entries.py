"""The lines of a recording: UTF-8 JSON, one object a line. Times are seconds since the recording began."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async.recording.redaction import Redactor
    from connecttrade_async.recording.taps import StreamName
    from connecttrade_async.rest.wire import Request, Response

__all__ = [
    "FORMAT",
    "VERSION",
    "Entry",
    "EntryEncoder",
    "Exchange",
    "FrameSeen",
    "SocketClosed",
    "SocketOpened",
    "SocketRefused",
]

FORMAT = "connecttrade-recording"
VERSION = 1
TEXTS = ("path", "user", "request", "response", "error", "text", "reason")
DECIMALS = 6  # of a second


class Exchange(NamedTuple):
    """A request and its response.

    Attributes:
        at: when the request was sent.
        took: seconds until the response, or the error.
        request: the request.
        response: the response, or None.
        error: why there is no response, in words, or None.
    """

    at: float
    took: float
    request: Request
    response: Response | None
    error: str | None


class SocketOpened(NamedTuple):
    """A WebSocket was opened."""

    at: float
    stream: StreamName
    session: int


class SocketRefused(NamedTuple):
    """A WebSocket could not be opened, for a reason in words."""

    at: float
    stream: StreamName
    error: str


class FrameSeen(NamedTuple):
    """A message of a WebSocket; it is outgoing where the client sent it."""

    at: float
    session: int
    is_outgoing: bool
    frame: bytes


class SocketClosed(NamedTuple):
    """A WebSocket ended."""

    at: float
    session: int
    code: int
    reason: str


Entry = Exchange | FrameSeen | SocketClosed | SocketOpened | SocketRefused


class EntryEncoder:
    """Encodes entries as redacted lines.

    Args:
        redactor: redacts what the entries hold.

    Attributes:
        withheld: the entries of which only the time was written, since a secret or an id was left in them.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self.withheld = 0

    def pause_with(self, pause: Callable[[], object]) -> None:
        """Call a function again and again during the work on a long entry."""
        self._redactor.pause = pause

    def header(self) -> bytes:
        """Encode the first line."""
        return _line({"kind": "header", "format": FORMAT, "version": VERSION})

    def end(self, at: float, reason: str) -> bytes:
        """Encode the last line.

        Args:
            at: the time.
            reason: why the recording ends.
        """
        return _line({"kind": "end", "at": round(at, DECIMALS), "reason": reason, "withheld": self.withheld})

    def encode(self, entry: Entry) -> bytes:
        """Encode an entry. Where a known secret, id or account number is left in it, only its time is written."""
        match entry:
            case Exchange():
                fields = self._exchange(entry)
            case SocketOpened():
                fields = {"kind": "open", "stream": entry.stream, "session": entry.session}
            case SocketRefused():
                error = self._redactor.words(entry.error)
                fields = {"kind": "refused", "stream": entry.stream, "error": error}
            case FrameSeen():
                fields = self._frame(entry)
            case _:
                reason = self._redactor.words(entry.reason)
                fields = {"kind": "close", "session": entry.session, "code": entry.code, "reason": reason}
        fields = {"kind": fields.pop("kind"), "at": round(entry.at, DECIMALS), **fields}
        if not self._redactor.is_clean("\n".join(_texts(fields))):
            self.withheld += 1
            session = {"session": fields["session"]} if "session" in fields else {}
            fields = {"kind": "withheld", "at": fields["at"], "of": fields["kind"], **session}
        return _line(fields)

    def _exchange(self, entry: Exchange) -> dict[str, Any]:
        redactor, request, response = self._redactor, entry.request, entry.response
        if request.user_secret is not None:
            redactor.add_secret(request.user_secret)
        if request.user_id:
            redactor.add_identity(request.user_id)
        target = redactor.target(request.path)
        fields: dict[str, Any] = {
            "kind": "exchange",
            "took": round(entry.took, DECIMALS),
            "operation": f"{request.method} {target.template}",
            "method": request.method,
            "path": target.path,
            "query": redactor.query(request.query),
            "user": redactor.value("user_id", request.user_id) if request.user_id else None,
            "request": self._body(request.body),
            "status": None,
            "headers": None,
            "response": None,
            "error": None if entry.error is None else redactor.words(entry.error),
        }
        if response is not None:
            fields["status"] = response.status
            fields["headers"] = redactor.headers(response.headers.items())
            fields["response"] = self._body(response.body)
        return fields

    def _body(self, body: bytes | None) -> str | None:
        return None if body is None else self._redactor.body(body.decode("utf-8", "replace"))

    def _frame(self, entry: FrameSeen) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "kind": "frame",
            "session": entry.session,
            "direction": "out" if entry.is_outgoing else "in",
        }
        try:
            return {**fields, "text": self._redactor.body(entry.frame.decode())}
        except UnicodeDecodeError:
            # Its form is unknown, so nothing in it can be replaced; its length stays.
            return {**fields, "base64": base64.b64encode(bytes(len(entry.frame))).decode()}


def _texts(fields: dict[str, Any]) -> list[str]:
    """Return the texts of an entry that came from the traffic."""
    texts = [fields[name] for name in TEXTS if fields.get(name)]
    return texts + [part for name in ("query", "headers") for pair in fields.get(name) or () for part in pair]


def _line(fields: dict[str, Any]) -> bytes:
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace") + b"\n"
