"""A splitter for WebSocket frames (RFC 6455): extracts whole text messages, passes everything else to a full parser.

Nearly all frames of a server are text messages in one frame, neither masked nor compressed: one byte with opcode and
FIN bit, one to nine bytes with the length, then the text. The splitter extracts these. It passes every byte of all
other frames to the parser of ``websockets`` as they arrive: pings, pongs, closes, binary messages, fragmented messages,
messages above the size limit, and data that is not WebSocket at all.

Invariants:

- Each header contains the length of its frame, so the splitter always knows where the next frame begins. Between two
  frames that it passes on, the parser is at a frame boundary, so extracting a frame there does not confuse it.
- During a fragmented message no frame is extracted: a text frame between fragments is a protocol error that the parser
  has to detect.
- A None among the extracted messages marks the position of a message that the parser reads, so the order is preserved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FrameSplitter"]

WHOLE_TEXT = 0x81  # the first byte of an unfragmented text message
FIN = 0x80
OPCODE = 0x0F
CONTINUATION = 0x0
TEXT_OR_BINARY = frozenset({0x1, 0x2})  # the opcodes that begin a message
OPCODES = frozenset({CONTINUATION, *TEXT_OR_BINARY, 0x8, 0x9, 0xA})
LENGTH = 0x7F  # a second byte above it has the mask bit set
TWO_BYTE_LENGTH = 126
EIGHT_BYTE_LENGTH = 127
MAX_HEADER = 10  # bytes, without a mask
MAX_EXCERPT = 4096  # bytes


class FrameSplitter:
    """Splits the bytes of one connection into text messages. It starts at a frame boundary.

    Args:
        largest: the size limit of a text message in bytes, at least 65,535; a larger message is passed on.
        pass_on: takes bytes for the full parser; returns whether frames after these bytes may be extracted.

    Attributes:
        is_stopped: whether splitting has ended; then all bytes are passed on.
        oversized: the first bytes of the last message above the size limit, at most 4096, or ``b""``.
    """

    __slots__ = (
        "_header_bytes",
        "_is_fragmented",
        "_largest",
        "_needed",
        "_part",
        "_pass_on",
        "_passthrough_bytes",
        "is_stopped",
        "oversized",
    )

    def __init__(self, largest: int, pass_on: Callable[[bytes], bool]) -> None:
        self._largest = largest
        self._pass_on = pass_on
        self._passthrough_bytes = 0  # bytes still to receive of a frame that is passed on
        self._part: bytes | bytearray = b""  # the received part of an incomplete header or text message
        self._header_bytes = 0  # the size of the header in ``_part``
        self._needed = 0  # the size of header and message in ``_part``, or 0 while the header is incomplete
        self._is_fragmented = False
        self.is_stopped = False
        self.oversized = b""

    def feed(self, data: bytes, into: list[bytes | None]) -> None:
        """Split received bytes.

        Args:
            data: the bytes.
            into: where complete messages are appended; None for a message that the parser reads.
        """
        at = 0
        if self._passthrough_bytes or self._part or self.is_stopped:
            data, at = self._continue_message(data, into)
        while at < len(data):
            if not self._is_fragmented:
                at = self._split_whole(data, at, into)
            if at < len(data):
                at = self._parse_header(data, at, into)

    def stop(self) -> None:
        """Stop splitting: pass on the incomplete frame, and all bytes from now on."""
        part, self._part = self._part, b""
        self.is_stopped = True
        if part:
            self._pass_on(bytes(part))

    def _split_whole(self, data: bytes, at: int, into: list[bytes | None]) -> int:
        """Extract whole text messages; return the offset of the first frame that is something else or incomplete."""
        total = len(data)
        try:
            while data[at] == WHOLE_TEXT:
                size, begin = data[at + 1], at + 2
                if size == TWO_BYTE_LENGTH:
                    size, begin = data[at + 2] << 8 | data[at + 3], at + 4
                elif size >= EIGHT_BYTE_LENGTH:  # perhaps above the limit; or masked, a protocol error of a server
                    break
                end = begin + size
                if end > total:
                    break
                into.append(data[begin:end])
                at = end
        except IndexError:
            return at  # at the end of the data, or inside a header
        return at

    def _parse_header(self, data: bytes, at: int, into: list[bytes | None]) -> int:
        """Process one frame that is not text, large or incomplete; return the offset of the next frame."""
        lengths = _header_and_payload_sizes(data[at : at + MAX_HEADER])
        if lengths is None:
            self._part = data[at:]
            return len(data)
        header, size = lengths
        end = at + header + size
        if size > self._largest:
            self.oversized = bytes(data[at + header : at + header + MAX_EXCERPT])
        if data[at] != WHOLE_TEXT or data[at + 1] > LENGTH or size > self._largest or self._is_fragmented:
            return self._pass_through(data, at, end, into)
        if end > len(data):
            self._part, self._needed, self._header_bytes = bytearray(data[at:]), header + size, header
            return len(data)
        into.append(data[at + header : end])
        return end

    def _pass_through(self, data: bytes, at: int, end: int, into: list[bytes | None]) -> int:
        opcode, is_final = data[at] & OPCODE, data[at] >= FIN
        if opcode in TEXT_OR_BINARY:
            into.append(None)
        if opcode in TEXT_OR_BINARY or opcode == CONTINUATION:  # control frames may stand between fragments
            self._is_fragmented = not is_final
        self._passthrough_bytes = max(end - len(data), 0)
        return self._pass_bytes(data, at, end)

    def _continue_message(self, data: bytes, into: list[bytes | None]) -> tuple[bytes, int]:
        """Continue with the incomplete frame; return the data to split and the offset to split from."""
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
            into.append(bytes(memoryview(self._part)[self._header_bytes :]))
            self._part, self._needed = b"", 0
        return data, missing

    def _pass_bytes(self, data: bytes, at: int, end: int) -> int:
        """Pass bytes on, and the rest too if splitting ends after them; return the offset to continue at."""
        if self._pass_on(data[at:end]):
            return end
        self.is_stopped = True
        if end < len(data):
            self._pass_on(data[end:])
        return len(data)


def _header_and_payload_sizes(header: bytes) -> tuple[int, int] | None:
    """Return the sizes of a frame's header and payload in bytes, or None while the header is incomplete."""
    if len(header) < 2:  # noqa: PLR2004 - the size of the shortest header
        return None
    size = header[1] & LENGTH
    if header[0] & OPCODE not in OPCODES or header[1] > LENGTH:
        return 2, 0  # an unknown opcode or a mask: a protocol error, on which the parser closes the connection
    if size < TWO_BYTE_LENGTH:
        return 2, size
    end = 4 if size == TWO_BYTE_LENGTH else MAX_HEADER
    return (end, int.from_bytes(header[2:end], "big")) if len(header) >= end else None
