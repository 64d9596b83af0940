from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from connecttrade_async.streaming.frames import FrameSplitter

LARGEST = 70_000
TEXT, BINARY, MORE, LAST, PING, CLOSE = 0x81, 0x82, 0x00, 0x80, 0x89, 0x88


def framed(first: int, payload: bytes, form: int | None = None) -> bytes:
    """Spell a frame, with its length in 7, 16 or 64 bits."""
    size = len(payload)
    form = form or (7 if size < 126 else 16 if size < 1 << 16 else 64)
    length = bytes([size]) if form == 7 else bytes([126 + (form == 64)]) + size.to_bytes(form // 8, "big")
    return bytes([first]) + length + payload


class Reader:
    """Whoever reads what is handed on."""

    def __init__(self, *, gives_up_after: int | None = None) -> None:
        self.handed: list[bytes] = []
        self.cut: list[bytes | None] = []
        self._gives_up_after = gives_up_after
        self.cutter = FrameSplitter(LARGEST, self._take)

    def _take(self, data: bytes) -> bool:
        self.handed.append(data)
        return self._gives_up_after is None or len(self.all) < self._gives_up_after

    @property
    def all(self) -> bytes:
        return b"".join(self.handed)

    def read(self, *chunks: bytes) -> Reader:
        for chunk in chunks:
            self.cutter.feed(chunk, self.cut)
        return self


SIZES = (0, 1, 125, 126, 127, 65_535, 65_536, LARGEST)
MOST = {7: 125, 16: 65_535, 64: LARGEST}


@pytest.mark.parametrize(("form", "size"), [(form, size) for form in MOST for size in SIZES if size <= MOST[form]])
def test_a_whole_text_is_cut_whatever_its_length_and_wherever_it_is_broken(form: int, size: int) -> None:
    frame = framed(TEXT, b"x" * size, form)
    for at in {*range(12), len(frame) // 2, len(frame) - 1}:
        reader = Reader().read((frame * 2)[:at], (frame * 2)[at:])
        assert reader.cut == [b"x" * size] * 2
        assert reader.handed == []


def test_a_large_text_comes_in_many_chunks() -> None:
    frame = framed(TEXT, b"y" * LARGEST)
    reader = Reader().read(*(frame[at : at + 7] for at in range(0, len(frame), 7)), framed(TEXT, b"next"))
    assert reader.cut == [b"y" * LARGEST, b"next"]
    assert all(type(text) is bytes for text in reader.cut)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_texts_that_come_byte_by_byte_are_cut_one_after_the_other(step: int) -> None:
    texts = [b"x" * 200, b"", b"y", b"z" * 126, b"w" * 300]
    data = b"".join(framed(TEXT, text) for text in texts)
    reader = Reader().read(*(data[at : at + step] for at in range(0, len(data), step)))
    assert reader.cut == texts
    assert reader.handed == []


@pytest.mark.parametrize("frame", [framed(0x83, b"z" * 200), b"\x81\xfe\x00\xc8abcd", b"\x81\xff\0\0\0\0\0\0\0\0abcd"])
def test_a_mistake_is_handed_on_as_soon_as_it_can_be_seen(frame: bytes) -> None:
    reader = Reader(gives_up_after=1).read(framed(TEXT, b"a") + frame[:1])
    assert reader.handed == []
    reader.read(frame[1:2])
    assert reader.all == frame[:2]


@pytest.mark.parametrize("first", [PING, CLOSE, 0x8A, 0xC1, 0xA1, 0x91])
def test_what_is_no_plain_text_is_handed_on_as_it_comes_and_no_message_is_awaited_of_it(first: int) -> None:
    frame = framed(first, b"12345")
    reader = Reader().read(framed(TEXT, b"a") + frame[:4], frame[4:5])
    assert reader.all == frame[:5]
    reader.read(frame[5:] + framed(TEXT, b"b"))
    assert reader.all == frame
    assert [text for text in reader.cut if text is not None] == [b"a", b"b"]


@pytest.mark.parametrize("frame", [framed(BINARY, b"123"), b"\x81\x83abcdxyz", framed(TEXT, b"z" * (LARGEST + 1))])
def test_a_message_that_others_read_has_its_place_marked(frame: bytes) -> None:
    reader = Reader(gives_up_after=1).read(framed(TEXT, b"a") + frame)
    assert reader.cut == [b"a", None]
    assert reader.all == frame


def test_nothing_is_cut_between_the_pieces_of_a_message() -> None:
    pieces = [
        framed(0x01, b"1"),
        framed(PING, b""),
        framed(TEXT, b"wrong here"),
        framed(MORE, b"2"),
        framed(LAST, b"3"),
    ]
    reader = Reader().read(framed(TEXT, b"a") + b"".join(pieces[:2]), *pieces[2:], framed(TEXT, b"b"))
    assert reader.all == b"".join(pieces)
    # One mark where the message begins that others read, and one for the text that does not belong there.
    assert reader.cut == [b"a", None, None, b"b"]


def test_once_others_say_so_nothing_is_cut_any_more() -> None:
    close = framed(CLOSE, b"")
    reader = Reader(gives_up_after=len(close)).read(framed(TEXT, b"a") + close + framed(TEXT, b"b"), framed(TEXT, b"c"))
    assert reader.cutter.is_stopped
    assert reader.cut == [b"a"]
    assert reader.all == close + framed(TEXT, b"b") + framed(TEXT, b"c")


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 100])
def test_whoever_leaves_hands_on_what_was_held_back(at: int) -> None:
    frame = framed(TEXT, b"x" * 200)
    reader = Reader().read(framed(TEXT, b"a") + frame[:at])
    assert reader.handed == []
    reader.cutter.stop()
    assert reader.read(frame[at:] + b"?").all == frame + b"?"
    assert reader.cut == [b"a"]


FRAMES = st.builds(
    framed,
    st.sampled_from([TEXT, TEXT, BINARY, 0x01, MORE, LAST, PING, CLOSE, 0xC1]),
    st.sampled_from([0, 1, 5, 125, 126, 300, 65_535, 65_536, LARGEST]).map(lambda size: b"p" * size),
)


@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(0, 70_000), max_size=12))
def test_how_the_bytes_are_broken_up_makes_no_difference(frames: list[bytes], cuts: list[int]) -> None:
    data = b"".join(frames)
    at = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    whole, broken = Reader().read(data), Reader().read(*(data[a:b] for a, b in pairwise(at)))
    whole.cutter.stop()
    broken.cutter.stop()
    assert broken.cut == whole.cut
    assert broken.all == whole.all
