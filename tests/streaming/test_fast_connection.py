"""The fast connection delivers the same messages and errors as ``recv`` of ``websockets``, for any bytes and chunks."""

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


class Scenario(NamedTuple):
    """The behavior of a server.

    Attributes:
        data: the bytes behind the handshake response.
        cuts: the offsets at which response and data are split into chunks.
        is_heard: whether a consumer waits from the beginning, or only once all chunks have arrived.
        says_goodbye: whether the transport ends with EOF, or with an error.
        closes_at: the number of chunks after which the client closes; None for never.
        gives_up: whether the client then fails the connection, as after an unanswered ping.
    """

    data: bytes
    cuts: Sequence[int]
    is_heard: bool
    says_goodbye: bool
    closes_at: int | None = None
    gives_up: bool = False


class Result(NamedTuple):
    """The result of a scenario.

    Attributes:
        messages: the received messages.
        cause: the reason of the end, in words.
        code: the close code.
        answers: the frames that the client wrote.
    """

    messages: list[bytes]
    cause: str
    code: int | None
    answers: list[tuple[int, bytes]]


async def run_scenario(scenario: Scenario, kind: type[ClientConnection]) -> Result:
    """Run a scenario on a connection of a class."""
    protocol = ClientProtocol(parse_uri("ws://end/"), max_size=MAX_FRAME, logger=QUIET)
    connection = kind(protocol, ping_interval=None, max_queue=None, close_timeout=0.5)
    pipe, server = Pipe(connection), ServerProtocol(logger=QUIET)
    connection.connection_made(pipe)
    shaking = asyncio.create_task(connection.handshake())
    await turns()
    server.receive_data(bytes(pipe.written))
    (request,) = server.events_received()
    server.send_response(server.accept(request))  # type: ignore[arg-type]
    sent = b"".join(server.data_to_send()) + scenario.data
    pipe.written.clear()
    messages: list[bytes] = []
    listening: asyncio.Task[ConnectionLostError] | None = None
    closing: asyncio.Task[None] | None = None
    places = [0, *sorted(cut % (len(sent) + 1) for cut in scenario.cuts), len(sent)]
    for number, (begin, end) in enumerate(pairwise(places)):
        if begin < end:
            connection.data_received(sent[begin:end])
        if shaking.done() or connection.response is not None:
            await shaking
            if scenario.is_heard and listening is None:
                listening = asyncio.create_task(listen(connection, messages))
            if number == scenario.closes_at and scenario.gives_up:
                protocol.fail(1011, "no pong")
                connection.send_data()
            elif number == scenario.closes_at and closing is None:
                closing = asyncio.create_task(connection.close(4000, "enough"))
        await turns()
    if scenario.says_goodbye:
        connection.eof_received()
    pipe.end(None if scenario.says_goodbye else ConnectionResetError())
    async with asyncio.timeout(PATIENCE):
        error = await (listening or listen(connection, messages))
        if closing is not None:
            await closing
    assert not isinstance(connection, FastClientConnection) or connection.splitter is not None
    server.receive_data(bytes(pipe.written))
    answers = [(int(event.opcode), bytes(event.data)) for event in server.events_received()]  # type: ignore[union-attr]
    return Result(messages, error.cause, error.code, answers)


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def listen(connection: ClientConnection, messages: list[bytes]) -> ConnectionLostError:
    """Receive all messages up to the end."""

    def on_frames(frames: list[bytes]) -> bool:
        messages.extend(frames)
        return False

    link = WebSocket(connection, 0.2)
    try:
        with link.errors_translated():
            await link.receive_into(on_frames)
    except ConnectionLostError as exc:
        return exc
    raise AssertionError


def framed(first: int, size: int, form: int) -> bytes:
    """Encode a frame with its length in 7, 16 or 64 bits, or in more if it does not fit."""
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
    Scenario,
    data=st.lists(COMMON | COMMON | COMMON | RARE, max_size=12).map(b"".join),
    cuts=st.lists(st.integers(0, 1 << 20) | st.integers(0, 400), max_size=12),
    is_heard=st.booleans(),
    says_goodbye=st.booleans(),
    closes_at=st.none() | st.none() | st.integers(0, 12),
    gives_up=st.booleans(),
)


@settings(max_examples=300, deadline=None)
@given(STORIES)
def test_fast_connection_delivers_the_same_messages_as_recv(scenario: Scenario) -> None:
    ours, theirs = both(scenario)
    assert ours == theirs


def both(scenario: Scenario) -> tuple[Result, Result]:
    async def by_both() -> tuple[Result, Result]:
        return await run_scenario(scenario, FastClientConnection), await run_scenario(scenario, ClientConnection)

    return asyncio.run(by_both())


WORDS = framed(TEXT, 5, 7)


@pytest.mark.parametrize("at", range(-2, 9))
def test_handshake_response_may_be_split_at_any_offset(at: int) -> None:
    data = WORDS * 2
    # A negative cut counts from the end of response and data.
    ours, theirs = both(Scenario(data, [-len(data) - 1 - at], is_heard=True, says_goodbye=True))
    assert ours == theirs
    assert ours.messages == [WORDS[2:]] * 2


@pytest.mark.parametrize("rest", [b"\x81", b"\x81\x05par", b"\x81\x7e\x00"])
@pytest.mark.parametrize("says_goodbye", [False, True])
def test_connection_lost_inside_a_message_ends_as_with_recv(rest: bytes, *, says_goodbye: bool) -> None:
    ours, theirs = both(Scenario(WORDS + rest, [], is_heard=True, says_goodbye=says_goodbye))
    assert ours == theirs
    assert ours.messages == [WORDS[2:]]


def test_messages_after_a_failed_connection_are_not_delivered() -> None:
    scenario = Scenario(WORDS * 3, [-len(WORDS) * 2 - 1], is_heard=True, says_goodbye=True, closes_at=0, gives_up=True)
    ours, theirs = both(scenario)
    assert ours == theirs
    assert ours.messages == [WORDS[2:]]
