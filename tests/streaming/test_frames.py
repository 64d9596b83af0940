from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from connecttrade_async.streaming.frames import FrameSplitter

LARGEST = 70_000
TEXT, BINARY, MORE, LAST, PING, CLOSE = 0x81, 0x82, 0x00, 0x80, 0x89, 0x88


def framed(first: int, payload: bytes, form: int | None = None) -> bytes:
    """Encode a frame with its length in 7, 16 or 64 bits."""
    size = len(payload)
    form = form or (7 if size < 126 else 16 if size < 1 << 16 else 64)
    length = bytes([size]) if form == 7 else bytes([126 + (form == 64)]) + size.to_bytes(form // 8, "big")
    return bytes([first]) + length + payload


class Parser:
    """Records the bytes that the splitter passes on."""

    def __init__(self, *, gives_up_after: int | None = None) -> None:
        self.passed: list[bytes] = []
        self.messages: list[bytes | None] = []
        self._gives_up_after = gives_up_after
        self.splitter = FrameSplitter(LARGEST, self._take)

    def _take(self, data: bytes) -> bool:
        self.passed.append(data)
        return self._gives_up_after is None or len(self.all) < self._gives_up_after

    @property
    def all(self) -> bytes:
        return b"".join(self.passed)

    def read(self, *chunks: bytes) -> Parser:
        for chunk in chunks:
            self.splitter.feed(chunk, self.messages)
        return self


SIZES = (0, 1, 125, 126, 127, 65_535, 65_536, LARGEST)
MOST = {7: 125, 16: 65_535, 64: LARGEST}


@pytest.mark.parametrize(("form", "size"), [(form, size) for form in MOST for size in SIZES if size <= MOST[form]])
def test_splitter_extracts_a_text_of_any_length_from_any_chunks(form: int, size: int) -> None:
    frame = framed(TEXT, b"x" * size, form)
    for at in {*range(12), len(frame) // 2, len(frame) - 1}:
        reader = Parser().read((frame * 2)[:at], (frame * 2)[at:])
        assert reader.messages == [b"x" * size] * 2
        assert reader.passed == []


def test_splitter_extracts_a_large_text_from_many_chunks() -> None:
    frame = framed(TEXT, b"y" * LARGEST)
    reader = Parser().read(*(frame[at : at + 7] for at in range(0, len(frame), 7)), framed(TEXT, b"next"))
    assert reader.messages == [b"y" * LARGEST, b"next"]
    assert all(type(text) is bytes for text in reader.messages)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_splitter_extracts_texts_that_arrive_byte_by_byte(step: int) -> None:
    texts = [b"x" * 200, b"", b"y", b"z" * 126, b"w" * 300]
    data = b"".join(framed(TEXT, text) for text in texts)
    reader = Parser().read(*(data[at : at + step] for at in range(0, len(data), step)))
    assert reader.messages == texts
    assert reader.passed == []


@pytest.mark.parametrize("frame", [framed(0x83, b"z" * 200), b"\x81\xfe\x00\xc8abcd", b"\x81\xff\0\0\0\0\0\0\0\0abcd"])
def test_splitter_passes_on_a_protocol_error_at_once(frame: bytes) -> None:
    reader = Parser(gives_up_after=1).read(framed(TEXT, b"a") + frame[:1])
    assert reader.passed == []
    reader.read(frame[1:2])
    assert reader.all == frame[:2]


@pytest.mark.parametrize("first", [PING, CLOSE, 0x8A, 0xC1, 0xA1, 0x91])
def test_splitter_passes_on_other_frames_as_they_arrive(first: int) -> None:
    frame = framed(first, b"12345")
    reader = Parser().read(framed(TEXT, b"a") + frame[:4], frame[4:5])
    assert reader.all == frame[:5]
    reader.read(frame[5:] + framed(TEXT, b"b"))
    assert reader.all == frame
    assert [text for text in reader.messages if text is not None] == [b"a", b"b"]


@pytest.mark.parametrize("frame", [framed(BINARY, b"123"), b"\x81\x83abcdxyz", framed(TEXT, b"z" * (LARGEST + 1))])
def test_splitter_marks_the_position_of_a_passed_message(frame: bytes) -> None:
    reader = Parser(gives_up_after=1).read(framed(TEXT, b"a") + frame)
    assert reader.messages == [b"a", None]
    assert reader.all == frame


def test_splitter_extracts_nothing_during_a_fragmented_message() -> None:
    pieces = [
        framed(0x01, b"1"),
        framed(PING, b""),
        framed(TEXT, b"wrong here"),
        framed(MORE, b"2"),
        framed(LAST, b"3"),
    ]
    reader = Parser().read(framed(TEXT, b"a") + b"".join(pieces[:2]), *pieces[2:], framed(TEXT, b"b"))
    assert reader.all == b"".join(pieces)
    # One mark where the message begins that others read, and one for the text that does not belong there.
    assert reader.messages == [b"a", None, None, b"b"]


def test_splitter_stops_when_the_parser_returns_false() -> None:
    close = framed(CLOSE, b"")
    reader = Parser(gives_up_after=len(close)).read(framed(TEXT, b"a") + close + framed(TEXT, b"b"), framed(TEXT, b"c"))
    assert reader.splitter.is_stopped
    assert reader.messages == [b"a"]
    assert reader.all == close + framed(TEXT, b"b") + framed(TEXT, b"c")


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 100])
def test_stop_passes_on_the_incomplete_frame(at: int) -> None:
    frame = framed(TEXT, b"x" * 200)
    reader = Parser().read(framed(TEXT, b"a") + frame[:at])
    assert reader.passed == []
    reader.splitter.stop()
    assert reader.read(frame[at:] + b"?").all == frame + b"?"
    assert reader.messages == [b"a"]


FRAMES = st.builds(
    framed,
    st.sampled_from([TEXT, TEXT, BINARY, 0x01, MORE, LAST, PING, CLOSE, 0xC1]),
    st.sampled_from([0, 1, 5, 125, 126, 300, 65_535, 65_536, LARGEST]).map(lambda size: b"p" * size),
)


@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(0, 70_000), max_size=12))
def test_splitter_result_does_not_depend_on_the_chunks(frames: list[bytes], cuts: list[int]) -> None:
    data = b"".join(frames)
    at = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    whole, broken = Parser().read(data), Parser().read(*(data[a:b] for a, b in pairwise(at)))
    whole.splitter.stop()
    broken.splitter.stop()
    assert broken.messages == whole.messages
    assert broken.all == whole.all
