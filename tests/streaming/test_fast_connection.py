"""Whatever a server sends, and however it is broken up: the fast lane tells what websockets' own ``recv`` tells."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings, strategies as st
from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from connecttrade_async.streaming.fast_connection import MAX_FRAME, FastClientConnection
from connecttrade_async.streaming.websocket import ConnectionLostError, WebSocket
from stream_fixtures import PATIENCE, QUIET

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXT, BINARY, BEGIN, MORE, LAST, PING, PONG, CLOSE = 0x81, 0x82, 0x01, 0x00, 0x80, 0x89, 0x8A, 0x88
ILL = (0xC1, 0xA2, 0x83, 0x8B, 0x09)
SIZES = (0, 1, 2, 7, 125, 126, 300, 65_535, 65_536)


class Pipe(asyncio.Transport):
    """A transport without a wire: what is written is kept."""

    def __init__(self, connection: ClientConnection) -> None:
        super().__init__()
        self.written = bytearray()
        self._connection = connection
        self._is_open = True

    def write(self, data: Any) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def is_closing(self) -> bool:
        return not self._is_open

    def close(self) -> None:
        self.end(None)

    def abort(self) -> None:
        self.end(None)

    def end(self, error: Exception | None) -> None:
        if self._is_open:
            self._is_open = False
            self._connection.connection_lost(error)


class Story(NamedTuple):
    """What a server does.

    Attributes:
        data: what it sends after its answer to the handshake.
        cuts: where that and the answer are broken up.
        is_heard: whether somebody listens all along, or only once everything has come.
        says_goodbye: whether the end is a clean one of the transport, or an abort.
        closes_at: after so many chunks we say that we close; None for never.
        gives_up: whether we then give up on the server, as on one that answers no ping.
    """

    data: bytes
    cuts: Sequence[int]
    is_heard: bool
    says_goodbye: bool
    closes_at: int | None = None
    gives_up: bool = False


class Told(NamedTuple):
    """What came of it.

    Attributes:
        messages: what was heard.
        cause: how it ended, in words.
        code: and as a close code.
        answers: the frames that were written.
    """

    messages: list[bytes]
    cause: str
    code: int | None
    answers: list[tuple[int, bytes]]


async def tell(story: Story, kind: type[ClientConnection]) -> Told:
    """Have a connection of a kind live through it."""
    protocol = ClientProtocol(parse_uri("ws://end/"), max_size=MAX_FRAME, logger=QUIET)
    connection = kind(protocol, ping_interval=None, max_queue=None, close_timeout=0.5)
    pipe, server = Pipe(connection), ServerProtocol(logger=QUIET)
    connection.connection_made(pipe)
    shaking = asyncio.create_task(connection.handshake())
    await turns()
    server.receive_data(bytes(pipe.written))
    (request,) = server.events_received()
    server.send_response(server.accept(request))  # type: ignore[arg-type]
    sent = b"".join(server.data_to_send()) + story.data
    pipe.written.clear()
    told: list[bytes] = []
    listening: asyncio.Task[ConnectionLostError] | None = None
    closing: asyncio.Task[None] | None = None
    places = [0, *sorted(cut % (len(sent) + 1) for cut in story.cuts), len(sent)]
    for number, (begin, end) in enumerate(pairwise(places)):
        if begin < end:
            connection.data_received(sent[begin:end])
        if shaking.done() or connection.response is not None:
            await shaking
            if story.is_heard and listening is None:
                listening = asyncio.create_task(listen(connection, told))
            if number == story.closes_at and story.gives_up:
                protocol.fail(1011, "no pong")
                connection.send_data()
            elif number == story.closes_at and closing is None:
                closing = asyncio.create_task(connection.close(4000, "enough"))
        await turns()
    if story.says_goodbye:
        connection.eof_received()
    pipe.end(None if story.says_goodbye else ConnectionResetError())
    async with asyncio.timeout(PATIENCE):
        error = await (listening or listen(connection, told))
        if closing is not None:
            await closing
    assert not isinstance(connection, FastClientConnection) or connection.splitter is not None
    server.receive_data(bytes(pipe.written))
    answers = [(int(event.opcode), bytes(event.data)) for event in server.events_received()]  # type: ignore[union-attr]
    return Told(told, error.cause, error.code, answers)


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def listen(connection: ClientConnection, told: list[bytes]) -> ConnectionLostError:
    """Hear everything, up to the end."""

    def hear(frames: list[bytes]) -> bool:
        told.extend(frames)
        return False

    link = WebSocket(connection, 0.2)
    try:
        with link.errors_translated():
            await link.receive_into(hear)
    except ConnectionLostError as exc:
        return exc
    raise AssertionError


def framed(first: int, size: int, form: int) -> bytes:
    """Spell a frame whose length is in 7, 16 or 64 bits, or in more where it does not fit."""
    payload = (b"\x03\xe8" + bytes(range(48, 58)) * (size // 10 + 1))[:size]
    if form == 7 and size < 126:
        return bytes([first, size]) + payload
    if form <= 16 and size < 1 << 16:
        return bytes([first, 126]) + size.to_bytes(2, "big") + payload
    return bytes([first, 127]) + size.to_bytes(8, "big") + payload


def masked(frame: bytes) -> bytes:
    return frame[:1] + bytes([frame[1] | 128]) + frame[2:]


def too_large(first: int) -> bytes:
    return bytes([first, 127]) + (MAX_FRAME + 1).to_bytes(8, "big") + b"begins"


FORMS, SMALL = st.sampled_from([7, 16, 64]), st.sampled_from(SIZES[:5])
TEXTS = st.builds(framed, st.just(TEXT), st.sampled_from(SIZES), FORMS)
CONTROLS = st.builds(framed, st.sampled_from([PING, PONG]), SMALL, FORMS)
PIECES = st.builds(
    lambda *pieces: b"".join(pieces),
    st.builds(framed, st.sampled_from([BEGIN, 0x02]), st.sampled_from(SIZES), FORMS),
    CONTROLS | st.builds(framed, st.just(MORE), SMALL, FORMS) | st.just(b""),
    st.builds(framed, st.just(LAST), SMALL, FORMS),
)
RARE = st.one_of(
    st.builds(framed, st.sampled_from([BEGIN, MORE, LAST, CLOSE, *ILL]), SMALL, FORMS),
    st.builds(framed, st.sampled_from([TEXT, PING]), SMALL, FORMS).map(masked),
    st.builds(framed, st.just(PING), st.just(126), FORMS),
    st.sampled_from([TEXT, BINARY, BEGIN, LAST]).map(too_large),
    st.just(framed(BEGIN, 3, 7) + framed(TEXT, 3, 7)),
    st.sampled_from([b"\x81", b"\x89", b"\xc1\x7e", b"\x81\xff\x00", b"\x83\x7e", b"\x81\x05par"]),
)
COMMON = TEXTS | TEXTS | CONTROLS | PIECES | st.builds(framed, st.just(BINARY), st.sampled_from(SIZES), FORMS)
STORIES = st.builds(
    Story,
    data=st.lists(COMMON | COMMON | COMMON | RARE, max_size=12).map(b"".join),
    cuts=st.lists(st.integers(0, 1 << 20) | st.integers(0, 400), max_size=12),
    is_heard=st.booleans(),
    says_goodbye=st.booleans(),
    closes_at=st.none() | st.none() | st.integers(0, 12),
    gives_up=st.booleans(),
)


@settings(max_examples=300, deadline=None)
@given(STORIES)
def test_every_story_is_told_as_by_recv(story: Story) -> None:
    ours, theirs = both(story)
    assert ours == theirs


def both(story: Story) -> tuple[Told, Told]:
    async def by_both() -> tuple[Told, Told]:
        return await tell(story, FastClientConnection), await tell(story, ClientConnection)

    return asyncio.run(by_both())


WORDS = framed(TEXT, 5, 7)


@pytest.mark.parametrize("at", range(-2, 9))
def test_the_answer_to_the_handshake_may_be_broken_up_at_its_end(at: int) -> None:
    data = WORDS * 2
    # Cuts are counted round the whole: so many bytes before the end of the answer.
    ours, theirs = both(Story(data, [-len(data) - 1 - at], is_heard=True, says_goodbye=True))
    assert ours == theirs
    assert ours.messages == [WORDS[2:]] * 2


@pytest.mark.parametrize("rest", [b"\x81", b"\x81\x05par", b"\x81\x7e\x00"])
@pytest.mark.parametrize("says_goodbye", [False, True])
def test_what_ends_in_the_middle_of_a_text_ends_as_by_recv(rest: bytes, *, says_goodbye: bool) -> None:
    ours, theirs = both(Story(WORDS + rest, [], is_heard=True, says_goodbye=says_goodbye))
    assert ours == theirs
    assert ours.messages == [WORDS[2:]]


def test_what_comes_after_we_have_given_up_is_not_told() -> None:
    story = Story(WORDS * 3, [-len(WORDS) * 2 - 1], is_heard=True, says_goodbye=True, closes_at=0, gives_up=True)
    ours, theirs = both(story)
    assert ours == theirs
    assert ours.messages == [WORDS[2:]]
