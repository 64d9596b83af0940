"""Below the waterline: the fast lane. Messages out of a server's bytes, where no parser is needed to find them.

The theory. Nearly all that a server sends is text in one frame, neither masked nor compressed: a byte that says so, one
to nine that say how long it is, and the text. Such frames are cut here. Every other frame, and every byte of it, is
handed on as it comes to whoever reads all of the protocol: pings, pongs, closes, bytes, messages in pieces, what is
larger than allowed, and what is no WebSocket at all. Each frame says how long it is, so it is known where the next one
begins, and whoever reads the others always stands between two frames when one is cut.

While a message comes in pieces no frame is cut, since a text between them is a mistake that others have to see. A None
among the messages marks where one begins that others read, so the order is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FrameSplitter"]

WHOLE_TEXT = 0x81
FINAL = 0x80
OPCODE = 0x0F
CONTINUATION = 0x0
BEGINNINGS = frozenset({0x1, 0x2})
OPCODES = frozenset({CONTINUATION, *BEGINNINGS, 0x8, 0x9, 0xA})
LENGTH = 0x7F
IN_TWO = 126
IN_EIGHT = 127
MAX_HEADER = 10
SHOWN = 4096


class FrameSplitter:
    """Cuts the frames of one link. It begins between two frames.

    Args:
        largest: the most bytes that a text may have, at least 65,535; a larger one is handed on.
        hand_on: takes bytes of other frames; says whether any frame after these may be cut.

    Attributes:
        is_over: whether nothing is cut any more; then all is handed on.
        oversized: how the last text began that was larger than allowed, as far as it had come; at most 4096 bytes.
    """

    __slots__ = (
        "_begins_at",
        "_in_pieces",
        "_largest",
        "_needed",
        "_part",
        "_pass_on",
        "_passthrough_bytes",
        "is_stopped",
        "oversized",
    )

    def __init__(self, largest: int, hand_on: Callable[[bytes], bool]) -> None:
        self._largest = largest
        self._pass_on = hand_on
        self._passthrough_bytes = 0  # bytes to come of a frame that others read
        self._part: bytes | bytearray = b""  # how a text begins that has not come whole, or a header
        self._begins_at = 0  # how many bytes its header has
        self._needed = 0  # how many bytes that text and its header have, if the header has come
        self._in_pieces = False
        self.is_stopped = False
        self.oversized = b""

    def feed(self, data: bytes, into: list[bytes | None]) -> None:
        """Take what came, and append the messages that are whole."""
        at = 0
        if self._passthrough_bytes or self._part or self.is_stopped:
            data, at = self._continue_message(data, into)
        while at < len(data):
            if not self._in_pieces:
                at = self._split_whole(data, at, into)
            if at < len(data):
                at = self._parse_header(data, at, into)

    def stop(self) -> None:
        """Cut no more: hand on what is held back, and whatever comes."""
        part, self._part = self._part, b""
        self.is_stopped = True
        if part:
            self._pass_on(bytes(part))

    def _split_whole(self, data: bytes, at: int, into: list[bytes | None]) -> int:
        """Cut texts, as many as there are; returns where something else begins, or a text that is not whole."""
        total = len(data)
        try:
            while data[at] == WHOLE_TEXT:
                size, begin = data[at + 1], at + 2
                if size == IN_TWO:
                    size, begin = data[at + 2] << 8 | data[at + 3], at + 4
                elif size >= IN_EIGHT:  # perhaps too large; or masked, which no server may do
                    break
                end = begin + size
                if end > total:
                    break
                into.append(data[begin:end])
                at = end
        except IndexError:
            return at  # at the end, or in the middle of a header
        return at

    def _parse_header(self, data: bytes, at: int, into: list[bytes | None]) -> int:
        """Take one frame that is not text, not small or not whole; returns where the next begins."""
        lengths = _lengths(data[at : at + MAX_HEADER])
        if lengths is None:
            self._part = data[at:]
            return len(data)
        header, size = lengths
        end = at + header + size
        if size > self._largest:
            self.oversized = bytes(data[at + header : at + header + SHOWN])
        if data[at] != WHOLE_TEXT or data[at + 1] > LENGTH or size > self._largest or self._in_pieces:
            return self._pass_through(data, at, end, into)
        if end > len(data):
            self._part, self._needed, self._begins_at = bytearray(data[at:]), header + size, header
            return len(data)
        into.append(data[at + header : end])
        return end

    def _pass_through(self, data: bytes, at: int, end: int, into: list[bytes | None]) -> int:
        opcode, is_final = data[at] & OPCODE, data[at] >= FINAL
        if opcode in BEGINNINGS:
            into.append(None)
        if opcode in BEGINNINGS or opcode == CONTINUATION:
            self._in_pieces = not is_final
        self._passthrough_bytes = max(end - len(data), 0)
        return self._pass_bytes(data, at, end)

    def _continue_message(self, data: bytes, into: list[bytes | None]) -> tuple[bytes, int]:
        """Go on with what has begun; returns what to look at, and from where on."""
        if self.is_stopped:
            return data, self._pass_bytes(data, 0, len(data))
        if self._passthrough_bytes:
            end = self._passthrough_bytes
            self._passthrough_bytes = max(end - len(data), 0)
            return data, self._pass_bytes(data, 0, end)
        if not self._needed:
            data, self._part = bytes(self._part) + data, b""
            return data, 0
        missing = self._needed - len(self._part)
        self._part += data[:missing]
        if missing <= len(data):
            into.append(bytes(memoryview(self._part)[self._begins_at :]))
            self._part, self._needed = b"", 0
        return data, missing

    def _pass_bytes(self, data: bytes, at: int, end: int) -> int:
        """Hand on some bytes, and the rest too if nothing may be cut after them; returns where to go on."""
        if self._pass_on(data[at:end]):
            return end
        self.is_stopped = True
        if end < len(data):
            self._pass_on(data[end:])
        return len(data)


def _lengths(header: bytes) -> tuple[int, int] | None:
    """Return how many bytes a frame's header has, and what it is the header of; None where it has not come whole."""
    if len(header) < 2:  # noqa: PLR2004 - what every header has
        return None
    size = header[1] & LENGTH
    if header[0] & OPCODE not in OPCODES or header[1] > LENGTH:
        return 2, 0  # a mistake, or masked, which no server may do: whoever reads it gives up at once
    if size < IN_TWO:
        return 2, size
    end = 4 if size == IN_TWO else MAX_HEADER
    return (end, int.from_bytes(header[2:end], "big")) if len(header) >= end else None
