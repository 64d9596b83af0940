"""A stream that cannot connect: refused, unanswered or no server, on the first connection and on later ones."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from connecttrade_async import ConnectError, ConnectTrade, ConnectTradeError, HandshakeError, Timeouts
from connecttrade_async.config import Reconnect
from connecttrade_async.errors import AuthenticationRefusedError, TransportError
from connecttrade_async.models.events import Gap, StreamConnecting, StreamEnded, StreamLost, StreamRetrying
from connecttrade_async.pacing import MAX_RETRY_AFTER
from connecttrade_async.sandbox import Sandbox
from connecttrade_async.sandbox.faults.stream import StreamFault, StreamKind
from manual_clock import BEGIN, SteppedClock
from stream_fixtures import HURRIED, client, client_at, end_that, nothing_left, publish, story, taken, until, waiting

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

IMPATIENT = Timeouts(login=0.1, connect=0.1, close=0.5)
UNANSWERED: dict[StreamKind, str] = {
    "no_welcome": "no answer while welcoming",
    "no_login": "no answer while authenticating",
    "no_ack": "no answer while subscribing",
    "hang_upgrade": "the connection was not opened in time",
}


async def test_refused_login_raises_after_one_attempt() -> None:
    async with Sandbox(seed=1) as sandbox, nothing_left():
        ct = ConnectTrade(sandbox.client_id, "mistyped", endpoints=sandbox.endpoints, reconnect=HURRIED)
        stream = ct.brokerage_stream()
        events = stream.subscribe("lifecycle")
        with pytest.raises(AuthenticationRefusedError, match="401: The client_id or the client_secret is wrong"):
            async with stream:
                pytest.fail("it was refused")
        assert story(waiting(events)) == ["StreamConnecting", "StreamLost", "StreamEnded"]
        with pytest.raises(AuthenticationRefusedError):
            await events.receive()
        with pytest.raises(AuthenticationRefusedError):
            stream.subscribe()
        received = sandbox.stream.log.received
        assert (received["connect"], received["authenticate"]) == (1, 1)
        await ct.aclose()


async def test_login_refused_later_ends_every_subscription() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        consumers = [stream.subscribe(), stream.subscribe("balances", user_id="u")]
        sandbox.stream.faults.add(StreamFault("refuse_login", times=None))
        publish(sandbox, 1)
        sandbox.stream.drop(1001)
        assert story(await taken(consumers[0], 1)) == ["o1"]
        for events in consumers:
            with pytest.raises(AuthenticationRefusedError):
                await events.receive()
        assert stream.health().state == "ENDED"
        assert sandbox.stream.log.received["authenticate"] == 2


async def test_close_code_alone_refuses_the_login() -> None:
    async def refuse(link: ServerConnection) -> None:
        await link.send('{"type": "welcome"}')
        await link.recv()
        await link.close(4401, "unknown client")

    async with nothing_left(), end_that(refuse) as url, client_at(url) as ct:
        with pytest.raises(AuthenticationRefusedError, match=r"code 4401 \(unknown client\)"):
            await ct.brokerage_stream().__aenter__()


@pytest.mark.parametrize(("kind", "cause"), UNANSWERED.items())
async def test_missing_reply_raises_on_the_first_connection(kind: StreamKind, cause: str) -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox, timeouts=IMPATIENT) as ct, nothing_left():
        sandbox.stream.faults.add(StreamFault(kind))
        error = ConnectError if kind == "hang_upgrade" else HandshakeError
        with pytest.raises(error, match=cause):
            await ct.brokerage_stream().__aenter__()
        assert sandbox.stream.log.received["authenticate"] <= 1


@pytest.mark.parametrize(("kind", "cause"), UNANSWERED.items())
async def test_missing_reply_is_retried_on_a_later_connection(kind: StreamKind, cause: str) -> None:
    async with (
        Sandbox(seed=1) as sandbox,
        client(sandbox, timeouts=IMPATIENT) as ct,
        nothing_left(),
        ct.brokerage_stream() as stream,
    ):
        events = stream.subscribe("orders", "lifecycle")
        sandbox.stream.faults.add(StreamFault(kind))
        sandbox.stream.reset()
        causes = [(await until(events, StreamLost)).cause for _ in range(2)]
        assert causes[0] == "the connection was dropped"
        assert causes[1].startswith(cause)
        assert (await until(events, Gap)).cause == "the connection was dropped"


async def test_closed_port_raises_connect_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken_port:
        port = taken_port.getsockname()[1]
    async with nothing_left(), client_at(f"ws://127.0.0.1:{port}") as ct:
        with pytest.raises(ConnectError, match=f"nothing listens at 127.0.0.1:{port}: check the address") as caught:
            await ct.brokerage_stream().__aenter__()
        assert caught.value.kind == "unreachable"


async def test_unknown_host_raises_connect_error() -> None:
    async with nothing_left(), client_at("wss://unknown.invalid") as ct:
        with pytest.raises(ConnectError, match=r"the name unknown\.invalid was not found"):
            await ct.brokerage_stream().__aenter__()


async def test_server_without_websocket_raises_connect_error() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    async with nothing_left(), await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with client_at(f"ws://{host}:{port}") as ct:
            with pytest.raises(ConnectError, match="does not speak WebSocket"):
                await ct.brokerage_stream().__aenter__()


async def test_redirect_is_not_followed() -> None:
    strangers: list[object] = []

    async def listen(link: ServerConnection) -> None:
        strangers.append(link)
        await link.send('{"type": "welcome"}')
        await link.recv()

    async def send_away(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    async with (
        nothing_left(),
        end_that(listen) as elsewhere,
        await asyncio.start_server(send_away, "127.0.0.1", 0) as server,
    ):
        host, port = server.sockets[0].getsockname()
        async with client_at(f"ws://{host}:{port}") as ct:
            with pytest.raises(ConnectError, match="HTTP status 302"):
                await ct.brokerage_stream().__aenter__()
    assert strangers == []


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_refused_upgrade_raises_at_first_and_is_retried_later(status: int) -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left():
        sandbox.stream.faults.add(StreamFault("refuse_upgrade", status=status))
        with pytest.raises(ConnectError, match=f"the WebSocket upgrade was refused with HTTP status {status}"):
            await ct.brokerage_stream().__aenter__()
        async with ct.brokerage_stream() as stream:
            events = stream.subscribe()
            sandbox.stream.faults.add(StreamFault("refuse_upgrade", status=status, times=3))
            sandbox.stream.reset()
            await until(events, Gap)
            assert sandbox.stream.log.received["upgrade"] == 6


@pytest.mark.parametrize("as_date", [False, True], ids=["seconds", "a date"])
async def test_429_delays_the_reconnect_by_its_retry_after(as_date: bool) -> None:  # noqa: FBT001 - a parameter
    clock = SteppedClock()
    asked = format_datetime(BEGIN + timedelta(seconds=120), usegmt=True) if as_date else "120"
    async with (
        Sandbox(seed=1) as sandbox,
        client(sandbox, clock=clock) as ct,
        nothing_left(),
        ct.brokerage_stream() as stream,
    ):
        events = stream.subscribe("orders", "lifecycle")
        sandbox.stream.faults.add(StreamFault("refuse_upgrade", status=429, retry_after=asked))
        sandbox.stream.reset()
        assert (await until(events, StreamRetrying)).delay <= 0.02
        clock.advance(0.02)
        assert 119.9 <= (await until(events, StreamRetrying)).delay <= 120
        clock.advance(119.9)
        assert stream.health().state == "RETRYING"
        clock.advance(0.1)
        await until(events, Gap)


@pytest.mark.parametrize("asked", ["86400", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
@pytest.mark.parametrize("cap", [0.02, 900.0])
async def test_retry_after_of_a_day_is_bounded(asked: str, cap: float) -> None:
    clock = SteppedClock()
    async with (
        Sandbox(seed=1) as sandbox,
        client(sandbox, clock=clock, reconnect=Reconnect(base=0.01, cap=cap)) as ct,
        nothing_left(),
        ct.brokerage_stream() as stream,
    ):
        events = stream.subscribe("orders", "lifecycle")
        sandbox.stream.faults.add(StreamFault("refuse_upgrade", status=429, retry_after=asked))
        sandbox.stream.reset()
        await until(events, StreamRetrying)
        clock.advance(0.02)
        delay = (await until(events, StreamRetrying)).delay
        assert MAX_RETRY_AFTER <= delay <= max(MAX_RETRY_AFTER, cap)
        clock.advance(delay)
        await until(events, Gap)


async def test_stream_ends_after_the_configured_attempts() -> None:
    reconnect = Reconnect(base=0.005, cap=0.01, attempts=3)
    async with (
        Sandbox(seed=1) as sandbox,
        client(sandbox, reconnect=reconnect) as ct,
        nothing_left(),
        ct.brokerage_stream() as stream,
    ):
        events, life = stream.subscribe(), stream.subscribe("lifecycle")
        sandbox.stream.faults.add(StreamFault("refuse_upgrade", times=None))
        sandbox.stream.reset()
        with pytest.raises(
            TransportError, match="given up after 3 attempts: the WebSocket upgrade was refused"
        ) as caught:
            await events.receive()
        assert not isinstance(caught.value, ConnectError)
        told = waiting(life)
        assert story(told) == ["StreamLost", *["StreamRetrying", "StreamConnecting", "StreamLost"] * 3, "StreamEnded"]
        assert isinstance(told[-1], StreamEnded)
        assert "given up" in told[-1].error
        with pytest.raises(ConnectTradeError, match="given up"):
            stream.subscribe()


async def test_delays_restart_only_after_a_settled_connection() -> None:
    clock = SteppedClock()
    reconnect = Reconnect(base=1.0, cap=1.0, settled=10.0, attempts=3)
    async with (
        Sandbox(seed=1) as sandbox,
        client(sandbox, clock=clock, reconnect=reconnect) as ct,
        nothing_left(),
        ct.brokerage_stream() as stream,
    ):
        life = stream.subscribe("lifecycle")

        async def lose_it_after(seconds: float) -> int:
            clock.advance(seconds)
            sandbox.stream.reset()
            await until(life, StreamRetrying)
            clock.advance(1.0)
            attempt = (await until(life, StreamConnecting)).attempt
            await until(life, Gap)
            return attempt

        assert [await lose_it_after(9.9) for _ in range(3)] == [2, 3, 4]
        assert [await lose_it_after(10.0) for _ in range(5)] == [2] * 5
        assert await lose_it_after(9.0) == 3


async def test_time_of_the_login_does_not_count_as_settled() -> None:
    clock = SteppedClock()
    reconnect = Reconnect(base=1.0, cap=1.0, settled=5.0)
    async with (
        Sandbox(seed=1) as sandbox,
        client(sandbox, clock=clock, reconnect=reconnect, timeouts=Timeouts(close=0.5)) as ct,
        nothing_left(),
        ct.brokerage_stream() as stream,
    ):
        life = stream.subscribe("lifecycle")
        for attempt in (2, 3):
            sandbox.stream.faults.add(StreamFault("no_ack"))
            sandbox.stream.reset()
            await until(life, StreamRetrying)
            clock.advance(1.0)
            assert (await until(life, StreamConnecting)).attempt == attempt
            await sandbox.stream.until_received("subscribe", attempt)
            clock.advance(9.0)
            sandbox.stream.send('{"type": "subscribed"}')
            await until(life, Gap)
            clock.advance(4.9)
