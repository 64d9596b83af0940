from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.protocol import State
from websockets.utils import accept_key

from connecttrade_async.secret import Secret
from connecttrade_async.streaming.fast_connection import (
    MAX_FRAME,
    MAX_PENDING,
    MAX_UNSENT,
    PEER_NOT_READING,
    FastClientConnection,
)
from connecttrade_async.streaming.websocket import ConnectionLostError, ConnectOptions, WebSocket, _alternating
from proxy import Proxy
from scripted_server import trusted, untrusted_end
from stream_fixtures import PATIENCE, end_that, nothing_left

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

    from websockets.asyncio.server import ServerConnection


class Dialled(Protocol):
    """Opens a link."""

    async def __call__(self, url: str, *, ping: float = 20.0, close_timeout: float = 0.2) -> WebSocket: ...


async def dialled(url: str, *, ping: float = 20.0, close_timeout: float = 0.2) -> WebSocket:
    return await WebSocket.connect(url, open_timeout=0.2, close_timeout=close_timeout, ping=ping)


class Unasked(FastClientConnection, asyncio.BufferedProtocol):
    """What a websockets would be that takes its chunks in some other way than by ``data_received``."""

    def get_buffer(self, sizehint: int) -> bytearray:
        self.buffer = bytearray(max(sizehint, 1024))
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        ClientConnection.data_received(self, bytes(self.buffer[:nbytes]))


class Late(FastClientConnection):
    """A ``websockets`` that processes the handshake response one loop iteration after its arrival."""

    def process_event(self, event: Any) -> None:
        self.loop.call_soon(super().process_event, event)


OTHERS = {"recv alone": ClientConnection, "unasked": Unasked, "late": Late}


@pytest.fixture(params=["fast", *OTHERS])
def dial(request: pytest.FixtureRequest) -> Dialled:
    """Every way in which a link may get its messages."""
    if request.param == "fast":
        return dialled

    async def dial_otherwise(url: str, *, ping: float = 20.0, close_timeout: float = 0.2) -> WebSocket:
        settings: dict[str, Any] = {"ping_interval": ping, "ping_timeout": ping, "close_timeout": close_timeout}
        settings |= {"compression": None, "max_size": MAX_FRAME, "create_connection": OTHERS[request.param]}
        return WebSocket(await connect(url, **settings), close_timeout)

    return dial_otherwise


async def received(link: WebSocket) -> list[bytes]:
    """Receive the next messages."""
    frames: list[bytes] = []

    def on_frames(received: list[bytes]) -> bool:
        assert received
        frames.extend(received)
        return True

    await link.receive_into(on_frames)
    return frames


async def echo(link: ServerConnection) -> None:
    async for message in link:
        await link.send(message)


async def until_closed(link: ServerConnection) -> None:
    await link.wait_closed()


async def lost(link: WebSocket) -> ConnectionLostError:
    """Listen until the link is gone."""
    with pytest.raises(ConnectionLostError) as caught:
        await heard(link)
    await link.aclose()
    return caught.value


async def heard(link: WebSocket) -> None:
    async with asyncio.timeout(PATIENCE):
        with link.errors_translated():
            while await received(link):
                pass


async def test_send_text_is_received_as_bytes(dial: Dialled) -> None:
    kinds: list[type] = []

    async def note(link: ServerConnection) -> None:
        async for message in link:
            kinds.append(type(message))
            await link.send(message)

    async with nothing_left(), end_that(note) as url:
        link = await dial(url)
        with link.errors_translated():
            await link.send(b'{"a": "\xc3\xa9"}')
            assert await received(link) == [b'{"a": "\xc3\xa9"}']
        await link.aclose()
        await link.aclose()
    assert kinds == [str]


@pytest.mark.parametrize(("kind", "is_fast"), [(FastClientConnection, True), (Late, False), (Unasked, False)])
async def test_is_fast_reports_whether_chunks_are_split(kind: type[FastClientConnection], *, is_fast: bool) -> None:
    async with nothing_left(), end_that(echo) as url:
        link = WebSocket(await connect(url, compression=None, create_connection=kind), 0.2)
        assert link.is_fast is is_fast
        await link.aclose()


async def test_cancelling_receive_loses_no_frame(dial: Dialled) -> None:
    async with nothing_left(), end_that(echo) as url:
        link = await dial(url)
        with link.errors_translated():
            waiting = asyncio.ensure_future(received(link))
            await asyncio.sleep(0)
            await link.send(b"1")
            waiting.cancel()
            await asyncio.wait([waiting])
            assert await received(link) == [b"1"]
        await link.aclose()


async def count(link: WebSocket, wanted: int) -> list[bytes]:
    """Receive this number of frames."""
    frames: list[bytes] = []
    async with asyncio.timeout(PATIENCE):
        with link.errors_translated():
            while len(frames) < wanted:
                frames += await received(link)
    return frames


async def send_in_pieces(link: ServerConnection) -> None:
    for number in range(3):
        await link.send(f"before {number}")
    await link.send(["in ", "three ", "pieces"])
    await link.send([b"and ", b"again"])
    await link.send(b"bytes")
    await link.send("after")
    await link.wait_closed()


async def test_fragmented_messages_keep_their_order(dial: Dialled) -> None:
    async with nothing_left(), end_that(send_in_pieces) as url:
        link = await dial(url)
        assert await count(link, 7) == [
            *(b"before 0", b"before 1", b"before 2"),
            *(b"in three pieces", b"and again", b"bytes", b"after"),
        ]
        await link.aclose()


async def test_cancelling_inside_a_fragmented_message_loses_no_message(dial: Dialled) -> None:
    go_on = asyncio.Event()

    async def pieces() -> AsyncIterator[str]:
        yield "one "
        await asyncio.wait_for(go_on.wait(), PATIENCE)
        yield "two"

    async def send(link: ServerConnection) -> None:
        await link.send(pieces())
        await link.send("after")
        await link.wait_closed()

    async with nothing_left(), end_that(send) as url:
        link = await dial(url)
        with link.errors_translated():
            waiting = asyncio.ensure_future(received(link))
            await asyncio.wait([waiting], timeout=0.05)
            assert not waiting.done()
            waiting.cancel()
            await asyncio.wait([waiting])
            go_on.set()
        assert await count(link, 2) == [b"one two", b"after"]
        await link.aclose()


async def test_messages_before_a_close_are_received(dial: Dialled) -> None:
    async def send_and_close(link: ServerConnection) -> None:
        for number in range(3):
            await link.send(str(number))
        await link.close(4401, "why?")

    async with nothing_left(), end_that(send_and_close) as url:
        link = await dial(url)
        assert await count(link, 3) == [b"0", b"1", b"2"]
        assert (await lost(link)).code == 4401


async def test_invalid_utf_8_is_received_unchanged(dial: Dialled) -> None:
    async def send(link: ServerConnection) -> None:
        link.protocol.send_text(b"{\xff\xfe}")
        link.send_data()
        await link.send("after")
        await link.wait_closed()

    async with nothing_left(), end_that(send) as url:
        link = await dial(url)
        assert await count(link, 2) == [b"{\xff\xfe}", b"after"]
        await link.aclose()


async def test_receive_into_continues_with_the_remaining_messages(dial: Dialled) -> None:
    async with nothing_left(), end_that(echo) as url:
        link = await dial(url)
        for word in (b"one", b"two"):
            with link.errors_translated():
                await link.send(word)
                assert await received(link) == [word]
        await link.aclose()


async def test_exception_of_the_callback_is_raised_by_receive_into(dial: Dialled) -> None:
    def stumble(frames: list[bytes]) -> bool:
        raise ZeroDivisionError(frames)

    async with nothing_left(), end_that(echo) as url:
        link = await dial(url)
        with link.errors_translated():
            await link.send(b"1")
            with pytest.raises(ZeroDivisionError):
                await link.receive_into(stumble)
            await link.send(b"2")
            assert await received(link) == [b"2"]
        await link.aclose()


async def test_messages_are_delivered_in_the_loop_iteration_of_their_arrival() -> None:
    async with nothing_left(), end_that(echo) as url:
        link = await dialled(url)
        heard_by: list[asyncio.Task[None] | None] = []

        def on_frames(frames: list[bytes]) -> bool:
            heard_by.append(asyncio.current_task())
            return frames == [b"1"]

        with link.errors_translated():
            await link.send(b"1")
            await link.receive_into(on_frames)
        assert heard_by == [None]
        await link.aclose()


async def until_held_back(link: WebSocket) -> None:
    """Wait until the peer of a link is held back."""
    while link._socket.transport.is_reading():  # noqa: ASYNC110 - a transport tells nobody that it was paused
        await asyncio.sleep(0)


async def test_unread_messages_pause_reading(dial: Dialled) -> None:
    total = MAX_PENDING * 2
    asked, sent = asyncio.Event(), asyncio.Event()

    async def send(link: ServerConnection) -> None:
        await asyncio.wait_for(asked.wait(), PATIENCE)
        for number in range(total):
            await link.send(str(number))
        sent.set()
        await link.wait_closed()

    async with nothing_left(), end_that(send) as url:
        link = await dial(url)
        transport = link._socket.transport
        asked.set()
        async with asyncio.timeout(PATIENCE):
            await sent.wait()
            await until_held_back(link)
        assert await count(link, total) == [str(number).encode() for number in range(total)]
        assert transport.is_reading()
        await link.aclose()


async def test_upgrade_offers_no_compression_and_contains_no_secret() -> None:
    seen: dict[str, str] = {}

    async def note(link: ServerConnection) -> None:
        assert link.request is not None
        seen.update(link.request.headers.raw_items())

    async with nothing_left(), end_that(note, compression="deflate") as url:
        await lost(await dialled(url))
    assert "Sec-WebSocket-Extensions" not in seen
    assert seen["Upgrade"] == "websocket"


@pytest.mark.parametrize(
    ("code", "reason", "cause"),
    [
        (1000, "", "the server closed the connection with code 1000"),
        (4401, "why?", "the server closed the connection with code 4401 (why?)"),
        (4401, "a\r\nb\x1b[2J\x9b\u202ec", "the server closed the connection with code 4401 (a b [2J c)"),
    ],
)
async def test_close_error_has_code_and_reason(dial: Dialled, code: int, reason: str, cause: str) -> None:
    async def close(link: ServerConnection) -> None:
        await link.close(code, reason)

    async with nothing_left(), end_that(close) as url:
        error = await lost(await dial(url))
    assert (error.cause, error.code, error.status, error.retry_after) == (cause, code, None, None)
    assert str(error) == cause


async def test_dropped_connection_error_has_no_code(dial: Dialled) -> None:
    async def cut(link: ServerConnection) -> None:
        await link.recv()
        link.transport.abort()

    async with nothing_left(), end_that(cut) as url:
        link = await dial(url)
        with link.errors_translated():
            await link.send(b"cut")
        error = await lost(link)
    assert (error.cause, error.code) == ("the connection was dropped", None)


async def test_frame_above_the_limit_is_rejected_and_at_the_limit_accepted(dial: Dialled) -> None:
    async def send(link: ServerConnection) -> None:
        await link.send("x" * MAX_FRAME)
        await link.send("x" * (MAX_FRAME + 1))
        await link.wait_closed()

    async with nothing_left(), end_that(send) as url:
        link = await dial(url)
        with link.errors_translated():
            (frame,) = await received(link)
            assert len(frame) == MAX_FRAME
        error = await lost(link)
    assert "1009" in error.cause
    assert error.code is None  # it was ours


async def test_send_on_a_lost_connection_raises(dial: Dialled) -> None:
    async def close(link: ServerConnection) -> None:
        await link.close(1001)

    async with nothing_left(), end_that(close) as url:
        link = await dial(url)
        await lost(link)
        with pytest.raises(ConnectionLostError) as caught, link.errors_translated():
            await link.send(b"?")
    assert caught.value.code == 1001


async def test_unanswered_ping_closes_the_connection(dial: Dialled) -> None:
    async def freeze(link: ServerConnection) -> None:
        link.transport.pause_reading()
        await asyncio.wait_for(thawed.wait(), PATIENCE)
        link.transport.abort()

    thawed = asyncio.Event()
    async with nothing_left(), end_that(freeze) as url:
        error = await lost(await dial(url, ping=0.03))
        thawed.set()
    assert "the client closed the connection with code 1011" in error.cause


async def test_paused_reading_requires_no_pong() -> None:
    total = MAX_PENDING * 2
    ping = 0.03
    asked = asyncio.Event()

    async def send(link: ServerConnection) -> None:
        await asyncio.wait_for(asked.wait(), PATIENCE)
        for number in range(total):
            await link.send(str(number))
        await link.wait_closed()

    async with nothing_left(), end_that(send) as url:
        link = await dialled(url, ping=ping)
        asked.set()
        async with asyncio.timeout(PATIENCE):
            await until_held_back(link)
            await asyncio.sleep(ping * 5)
        assert len(await count(link, total)) == total
        await link.aclose()


async def test_pending_ping_requires_no_pong_once_reading_is_paused() -> None:
    total, ping = MAX_PENDING * 2, 0.3
    is_pinged, is_held = asyncio.Event(), asyncio.Event()

    async def send(link: ServerConnection) -> None:
        link.transport.pause_reading()
        await asyncio.wait_for(is_pinged.wait(), PATIENCE)
        link.transport.write(b"\x81\x01x" * total)
        await asyncio.wait_for(is_held.wait(), PATIENCE)
        link.transport.resume_reading()
        await link.wait_closed()

    async with nothing_left(), end_that(send) as url:
        link = await dialled(url, ping=ping)
        gathering = link._socket
        assert isinstance(gathering, FastClientConnection)
        async with asyncio.timeout(PATIENCE):
            while gathering._pong is None:  # noqa: ASYNC110 - nobody is told of a ping
                await asyncio.sleep(0.001)
            is_pinged.set()
            await until_held_back(link)
        await asyncio.sleep(ping * 1.2)
        assert gathering.state is State.OPEN
        is_held.set()
        assert await count(link, total) == [b"x"] * total
        await link.aclose()


async def test_binary_message_is_received_while_waiting(dial: Dialled) -> None:
    async def answer(link: ServerConnection) -> None:
        async for message in link:
            await link.send(str(message).encode())

    async with nothing_left(), end_that(answer) as url:
        link = await dial(url)
        for word in (b"one", b"two"):
            with link.errors_translated():
                await link.send(word)
            assert await count(link, 1) == [word]
        await link.aclose()


async def test_unanswered_upgrade_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with nothing_left():
            with pytest.raises(ConnectionLostError, match="the connection was not opened in time"):
                await dialled("ws://{}:{}".format(*listener.getsockname()))


PLAIN = "if that port does not speak TLS, use a ws:// address instead of wss://"
SECURE = "if that port speaks TLS, use a wss:// address instead of ws://"
NO_WEB_SOCKET = "the server does not speak WebSocket"


async def causes(answer: bytes, *schemes: str) -> list[str]:
    """Connect to a server that sends this response to any request and closes."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)
        writer.write(answer)
        writer.close()

    told: list[str] = []
    async with nothing_left(), await asyncio.start_server(meet, "127.0.0.1", 0) as server:
        for scheme in schemes:
            url = "{}://{}:{}".format(scheme, *server.sockets[0].getsockname())
            with pytest.raises(ConnectionLostError) as caught:
                await WebSocket.connect(url, open_timeout=PATIENCE, close_timeout=0.2, ping=20.0)
            told.append(caught.value.cause)
    return told


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-odd\r\n", b""])
async def test_connect_with_tls_to_a_plain_port_hints_at_ws(answer: bytes) -> None:
    for told in await causes(answer, "wss", "WSS"):
        assert told.startswith("no secure connection (")
        assert told.endswith(f"): {PLAIN}")


ALERT = b"\x15\x03\x01\x00\x02\x02\x46"  # TLS, fatal: the protocol's version
MOVED = "HTTP/1.1 301 Moved\r\nLocation: {}://b.example/\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", f"{NO_WEB_SOCKET}: {SECURE}"),
        (ALERT, f"{NO_WEB_SOCKET}: {SECURE}"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", f"the WebSocket upgrade was refused with HTTP status 400: {SECURE}"),
        (b"HTTP/1.0 400 Bad Request\r\n\r\nThis is HTTPS.\n", f"{NO_WEB_SOCKET}: {SECURE}"),
        (MOVED.format("https").encode(), f"the WebSocket upgrade was refused with HTTP status 301: {SECURE}"),
        (MOVED.format("WSS").encode(), f"the WebSocket upgrade was refused with HTTP status 301: {SECURE}"),
        (MOVED.format("http").encode(), "the WebSocket upgrade was refused with HTTP status 301"),
        (b"HTTP/1.1 503 Away\r\n\r\n", "the WebSocket upgrade was refused with HTTP status 503"),
        (b"220 mail.example ESMTP\r\n", NO_WEB_SOCKET),
    ],
)
async def test_connect_without_tls_to_a_tls_server_hints_at_wss(answer: bytes, told: str) -> None:
    assert await causes(answer, "ws") == [told]


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "localhost:{}"])
async def test_connect_to_a_closed_port_raises(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int, *args: object, **kwargs: object) -> list[Any]:
        del args, kwargs
        ends = ["127.0.0.1", "127.0.0.2"] if host == "localhost" else [host]
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (end, port)) for end in ends]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with socket.socket() as unheard:
        unheard.bind(("0.0.0.0", 0))  # noqa: S104 - it is never listened to
        where = address.format(unheard.getsockname()[1])
        with pytest.raises(ConnectionLostError) as caught:
            await dialled(f"ws://{where}")
    assert str(caught.value) == f"nothing listens at {where}: check the address"


async def test_connect_with_different_errors_per_address_lists_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int, *args: object, **kwargs: object) -> list[Any]:
        del host, args, kwargs
        # Of the second, the machine says that it is no address to connect to.
        ends = [("127.0.0.1", port), ("255.255.255.255", port)]
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", end) for end in ends]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(ConnectionLostError, match="no connection: no address answered: "):
        await dialled("ws://somewhere.example:1")


@pytest.mark.parametrize(("url", "host"), [("ws://api.example:9", "api.example"), ("wss://API.example", "api.example")])
async def test_connect_to_an_unknown_host_raises(url: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*args: object, **kwargs: object) -> list[Any]:
        del args, kwargs
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(ConnectionLostError) as caught:
        await dialled(url)
    assert str(caught.value) == f"the name {host} was not found: check the address and the network"


async def test_refused_upgrade_on_a_kept_connection_raises() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Away\r\nContent-Length: 9\r\n\r\n\x81\x07message")
        await reader.read()
        writer.close()

    async with nothing_left(), await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        with pytest.raises(ConnectionLostError, match="the WebSocket upgrade was refused with HTTP status 503"):
            await WebSocket.connect(
                "ws://{}:{}".format(*server.sockets[0].getsockname()),
                open_timeout=PATIENCE,
                close_timeout=0.2,
                ping=20.0,
            )


async def test_connect_without_tls_to_a_tls_port_hints_at_wss() -> None:
    async with nothing_left():
        with untrusted_end() as url, pytest.raises(ConnectionLostError, match=f"{NO_WEB_SOCKET}: {SECURE}"):
            await WebSocket.connect(url.replace("https:", "ws:"), open_timeout=PATIENCE, close_timeout=0.2, ping=20.0)


async def test_tls_alert_gives_no_hint_at_ws() -> None:
    [told] = await causes(ALERT, "wss")
    assert "ALERT" in told
    assert PLAIN not in told


@pytest.mark.parametrize("turns", range(12))
async def test_cancelling_connect_leaves_no_socket_open(turns: int) -> None:
    async with nothing_left(), end_that(until_closed) as url:
        dialling = asyncio.create_task(dialled(url))
        for _ in range(turns):
            await asyncio.sleep(0)
        dialling.cancel()
        await asyncio.wait([dialling])
        if not dialling.cancelled():
            await dialling.result().aclose()


async def test_close_is_bounded_when_the_peer_does_not_read(dial: Dialled) -> None:
    async def freeze(link: ServerConnection) -> None:
        link.transport.pause_reading()
        await asyncio.wait_for(thawed.wait(), PATIENCE)
        link.transport.abort()

    thawed = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with nothing_left(), end_that(freeze) as url:
        link = await dial(url, close_timeout=0.1)
        sending = asyncio.create_task(flood(link))
        done, _ = await asyncio.wait([sending], timeout=0.05)
        assert not done
        began = loop.time()
        await link.aclose()
        assert loop.time() - began < 0.3
        await asyncio.wait([sending])
        assert isinstance(sending.exception(), ConnectionLostError)
        thawed.set()


@pytest.mark.parametrize("way", ["plain", "pinged", "held back"])
async def test_close_does_not_wait_for_unread_messages(way: str) -> None:
    async def send(link: ServerConnection) -> None:
        await link.recv()
        for number in range(MAX_PENDING * 2 if way == "held back" else MAX_PENDING):
            await link.send("x" * 1000)
            if way == "pinged" and number == 1000:
                await link.ping()
        await link.wait_closed()

    async with nothing_left(), end_that(send) as url:
        link = await dialled(url, close_timeout=PATIENCE * 2)
        with link.errors_translated():
            await link.send(b"send")
            await link.receive_into(bool)
        async with asyncio.timeout(PATIENCE):
            if way == "held back":
                await until_held_back(link)
            await link.aclose()


async def flood(link: WebSocket) -> None:
    """Send until nothing more goes through."""
    with link.errors_translated():
        while True:
            await link.send(b"x" * (1 << 20))


async def test_cancelling_close_aborts_the_connection(dial: Dialled) -> None:
    async def freeze(link: ServerConnection) -> None:
        link.transport.pause_reading()
        await asyncio.wait_for(thawed.wait(), PATIENCE)
        link.transport.abort()

    thawed = asyncio.Event()
    async with nothing_left(), end_that(freeze) as url:
        link = await dial(url, close_timeout=30.0)
        closing = asyncio.create_task(link.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        thawed.set()
        await lost(link)


PING = b"\x89\x7d" + b"x" * 125


async def test_peer_that_sends_pings_and_reads_no_pong_is_disconnected() -> None:
    async def flood(link: ServerConnection) -> None:
        link.transport.pause_reading()
        with contextlib.suppress(ConnectionError):
            while not link.transport.is_closing():
                link.transport.write(PING * 500)
                await asyncio.sleep(0)
        link.transport.abort()

    async with nothing_left(), end_that(flood) as url:
        link = await dialled(url)
        error = await lost(link)
        assert (error.cause, error.code) == (PEER_NOT_READING, None)
        assert link._socket.transport.get_write_buffer_size() < 4 * MAX_UNSENT


async def test_ping_that_cannot_be_sent_closes_within_its_timeout() -> None:
    async def freeze(link: ServerConnection) -> None:
        link.transport.pause_reading()
        await asyncio.wait_for(left.wait(), PATIENCE)
        link.transport.abort()

    left = asyncio.Event()
    async with nothing_left(), end_that(freeze) as url:
        link = await dialled(url, ping=0.05)
        sending = asyncio.create_task(blocked(link))
        error = await lost(link)
        await sending
        left.set()
    assert error.cause == PEER_NOT_READING


async def blocked(link: WebSocket) -> None:
    """Send more than the sockets' buffers hold."""
    with contextlib.suppress(ConnectionLostError), link.errors_translated():
        await link.send(b"x" * (16 << 20))


async def test_received_frames_replace_a_missing_pong() -> None:
    ping, number = 0.05, 20
    is_over = asyncio.Event()

    async def send(link: ServerConnection) -> None:
        link.transport.pause_reading()
        for _ in range(number):
            link.transport.write(b"\x81\x01x")
            await asyncio.sleep(ping / 4)
        await asyncio.wait_for(is_over.wait(), PATIENCE)
        link.transport.abort()

    async with nothing_left(), end_that(send) as url:
        link = await dialled(url, ping=ping)
        assert await count(link, number) == [b"x"] * number
        assert len(pings_of(link)) < number / 2
        error = await lost(link)  # since nothing comes any more
        assert "code 1011" in error.cause
        is_over.set()


def pings_of(link: WebSocket) -> dict[bytes, Any]:
    return getattr(link._socket, "pending_pings", {})


async def test_connection_without_pings_stays_open_in_silence() -> None:
    async def freeze(link: ServerConnection) -> None:
        link.transport.pause_reading()
        await asyncio.wait_for(left.wait(), PATIENCE)
        link.transport.abort()

    left = asyncio.Event()
    async with nothing_left(), end_that(freeze) as url:
        link = await WebSocket.connect(url, open_timeout=PATIENCE, close_timeout=0.1, ping=None)
        waiting = asyncio.create_task(received(link))
        await asyncio.wait([waiting], timeout=0.2)
        assert not waiting.done()
        assert link._socket.ping_interval is None
        waiting.cancel()
        await asyncio.wait([waiting])
        await link.aclose()
        left.set()


@pytest.mark.parametrize("kind", ["binary", "pieces", "text"])
async def test_close_behind_many_unread_messages_is_fast(kind: str, dial: Dialled) -> None:
    sent = asyncio.Event()

    async def send(link: ServerConnection) -> None:
        for _ in range(100):
            message: Any = {"binary": b"x", "pieces": ["a", "b"], "text": "x"}[kind]
            await link.send(message)
        sent.set()
        await link.wait_closed()

    async with nothing_left(), end_that(send) as url:
        link = await dial(url, close_timeout=PATIENCE)
        await asyncio.wait_for(sent.wait(), PATIENCE)
        async with asyncio.timeout(PATIENCE / 2):
            await asyncio.sleep(0.05)  # whatever is read ahead is read
            await link.aclose()


async def test_frame_size_limit_is_configurable() -> None:
    largest = 1 << 16

    async def send(link: ServerConnection) -> None:
        await link.send("x" * largest)
        await link.send("x" * (largest + 1))
        await link.wait_closed()

    async with nothing_left(), end_that(send) as url:
        link = await WebSocket.connect(
            url, open_timeout=1.0, close_timeout=0.2, ping=None, dialing=ConnectOptions(largest)
        )
        with link.errors_translated():
            assert [len(frame) for frame in await received(link)] == [largest]
        assert (await lost(link)).is_too_large


@contextlib.contextmanager
def deaf_port(address: str, port: int) -> Generator[None]:
    """Listen on a port with a full accept queue, so that no connection is accepted."""
    with socket.socket() as listener, contextlib.ExitStack() as callers:
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(4):
            caller = callers.enter_context(socket.socket())
            caller.settimeout(0)
            caller.connect_ex((address, port))
        yield


async def test_connect_uses_the_second_address_if_the_first_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with nothing_left(), end_that(echo) as url:
        port = int(url.rpartition(":")[2])
        ends = [("127.0.0.2", port), ("127.0.0.1", port)]

        def resolve(*_: object, **__: object) -> list[tuple[Any, ...]]:
            return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", end) for end in ends]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        with deaf_port("127.0.0.2", port):
            link = await WebSocket.connect(
                f"ws://two.example:{port}", open_timeout=PATIENCE, close_timeout=0.2, ping=None
            )
            with link.errors_translated():
                await link.send(b"1")
                assert await received(link) == [b"1"]
            await link.aclose()
            ends.pop()
            with pytest.raises(ConnectionLostError, match="the connection was not opened in time"):
                await dialled(f"ws://two.example:{port}")


async def test_addresses_alternate_between_families() -> None:
    six, four = socket.AF_INET6, socket.AF_INET
    found: list[Any] = [(six, 1, 6, "", "a"), (six, 1, 6, "", "b"), (four, 1, 6, "", "c"), (six, 1, 6, "", "d")]
    assert [info[4] for info in _alternating(found)] == ["a", "c", "b", "d"]


async def test_wss_connection_uses_the_given_context() -> None:
    server_side, client_side = trusted()
    async with nothing_left(), end_that(echo, ssl=server_side) as url:
        link = await WebSocket.connect(
            url.replace("ws:", "wss:"),
            open_timeout=PATIENCE,
            close_timeout=1.0,
            ping=20.0,
            dialing=ConnectOptions(ssl=client_side),
        )
        with link.errors_translated():
            await link.send(b"1")
            assert await received(link) == [b"1"]
        assert link.is_fast
        await link.aclose()


async def test_ws_connection_ignores_the_given_context() -> None:
    async with nothing_left(), end_that(echo) as url:
        dialing = ConnectOptions(ssl=ssl.create_default_context())
        link = await WebSocket.connect(url, open_timeout=PATIENCE, close_timeout=0.2, ping=20.0, dialing=dialing)
        await link.aclose()


async def test_connection_uses_the_given_proxy() -> None:
    async with end_that(echo) as url, Proxy() as proxy:
        address = Secret(proxy.url.replace("//", "//ann:hush@"))
        link = await WebSocket.connect(
            url, open_timeout=PATIENCE, close_timeout=1.0, ping=20.0, dialing=ConnectOptions(proxy=address)
        )
        with link.errors_translated():
            await link.send(b"1")
            assert await received(link) == [b"1"]
        await link.aclose()
    assert proxy.asked == [f"CONNECT {url.removeprefix('ws://')} HTTP/1.1"]
    assert len(proxy.logins) == 1


async def test_refusing_proxy_error_contains_no_credentials() -> None:
    async with Proxy("407 Proxy Authentication Required") as proxy:
        address = Secret(proxy.url.replace("//", "//ann:hush@"))
        with pytest.raises(ConnectionLostError, match="the proxy answered with HTTP status 407") as caught:
            await WebSocket.connect(
                "ws://127.0.0.1:9",
                open_timeout=PATIENCE,
                close_timeout=1.0,
                ping=20.0,
                dialing=ConnectOptions(proxy=address),
            )
    assert "hush" not in str(caught.value)


class SocketKeepingServer:
    """Completes the handshake, sends bytes, and neither reads on nor closes the socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._over = asyncio.Event()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return "ws://{}:{}".format(*self._server.sockets[0].getsockname())

    async def __aexit__(self, *exc: object) -> None:
        self._over.set()
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        [key] = [line.partition(": ")[2] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key")]
        headers = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept_key(key)}\r\n\r\n"
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n" + headers.encode() + self._data)
        await self._over.wait()
        writer.close()


@pytest.mark.parametrize("kind", [FastClientConnection, Late])
@pytest.mark.parametrize(
    ("data", "cause"),
    [
        pytest.param(
            b"\x88\x05\x03\xe9bye", r"the server closed the connection with code 1001 \(bye\)", id="close frame"
        ),
        pytest.param(
            b"\x81\x01x\x88\x02\x03\xe8", "the server closed the connection with code 1000", id="text before it"
        ),
        pytest.param(b"\x81\x7f" + (1 << 23).to_bytes(8, "big"), "code 1009", id="frame too large"),
        pytest.param(b"\xf1\x01x", "code 1002", id="reserved bits"),
        pytest.param(b"\x88\x01x", "code 1002", id="close frame too short"),
        pytest.param(b"\x81\x81\x01\x02\x03\x04x", "code 1002", id="masked frame"),
    ],
)
async def test_connection_ends_in_bounded_time_if_the_peer_never_closes_the_socket(
    data: bytes, cause: str, kind: type[FastClientConnection]
) -> None:
    async with nothing_left(), SocketKeepingServer(data) as url:
        settings: dict[str, Any] = {"ping_interval": None, "close_timeout": 0.1, "compression": None}
        connection = await connect(url, max_size=MAX_FRAME, create_connection=kind, **settings)
        websocket = WebSocket(connection, 0.1)
        with pytest.raises(ConnectionLostError, match=cause), websocket.errors_translated():
            async with asyncio.timeout(PATIENCE):
                await websocket.receive_into(lambda _: False)
        await websocket.aclose()
