"""What a test does to the stream's links by hand, and an end within a second from wherever they are."""

import asyncio
import gc
import json
import socket
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import perf_counter
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect as connect_socket
from websockets.exceptions import ConnectionClosed

from connecttrade_async.sandbox import Sandbox, StreamFault

Dial = Callable[..., Awaitable[ClientConnection]]


async def read(link: ClientConnection) -> Any:
    async with asyncio.timeout(5):
        return json.loads(await link.recv())


async def is_silent(link: ClientConnection, seconds: float = 0.02) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await link.recv()
            return False
    return True


async def end_of(link: ClientConnection) -> int | None:
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionClosed):
            await link.recv()
    return link.protocol.close_code


def publish(sandbox: Sandbox, number: int) -> None:
    sandbox.stream.publish("orders", "jane", "a", {"number": number})


@pytest.mark.parametrize("code", [1000, 1001, 1012, 4000])
async def test_dropped_with_a_code(sandbox: Sandbox, listen: Dial, code: int) -> None:
    link = await listen()
    publish(sandbox, 1)
    sandbox.stream.drop(code, "because")
    publish(sandbox, 2)
    assert (await read(link))["data"] == {"number": 1}
    assert (await end_of(link), link.protocol.close_reason) == (code, "because")
    assert sandbox.stream.published == 2
    assert sandbox.stream.log.total == 4


async def test_dropped_without_a_word(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen()
    sandbox.stream.drop(None)
    assert await end_of(link) == 1006


async def test_close_code_outside_the_allowed_range_is_refused(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen()
    with pytest.raises(ValueError, match="1005 is no code to close with"):
        sandbox.stream.drop(1005)
    publish(sandbox, 1)
    assert (await read(link))["data"] == {"number": 1}


async def test_reset_breaks_every_connection(sandbox: Sandbox) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.stream.url.rpartition(":")[2]))
    await sandbox.stream.until_received("connect")
    sandbox.stream.reset()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    sandbox.stream.reset()


async def test_half_open_and_back(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen()
    sandbox.stream.freeze()
    assert sandbox.stream.sessions[0].is_frozen
    publish(sandbox, 1)
    pong = asyncio.ensure_future(await link.ping())
    assert await is_silent(link)
    assert not pong.done()
    assert sandbox.stream.log.total == 3
    sandbox.stream.thaw()
    assert (await read(link))["data"] == {"number": 1}
    async with asyncio.timeout(5):
        await pong
    assert sandbox.stream.log.total == 4
    sandbox.stream.thaw()


async def test_a_half_open_link_notices_no_end_and_is_displaced(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen()
    sandbox.stream.freeze()
    link.transport.abort()
    await asyncio.sleep(0.01)
    assert [talk.phase for talk in sandbox.stream.sessions] == ["authenticated"]
    other = await listen()
    assert [talk.phase for talk in sandbox.stream.sessions] == ["over", "authenticated"]
    sandbox.stream.thaw()
    publish(sandbox, 1)
    assert (await read(other))["data"] == {"number": 1}
    async with asyncio.timeout(5):
        await sandbox.stream.until_received("disconnect")


async def test_a_half_open_link_that_was_closed_says_so_when_it_comes_back(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen()
    sandbox.stream.freeze()
    sandbox.stream.drop(4000)
    assert await is_silent(link)
    sandbox.stream.thaw()
    assert await end_of(link) == 4000


async def test_silent_stream_answers_pings_and_loses_events(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen()
    sandbox.stream.silent = True
    publish(sandbox, 1)
    async with asyncio.timeout(5):
        await (await link.ping())
    sandbox.stream.silent = False
    publish(sandbox, 2)
    assert (await read(link))["data"] == {"number": 2}
    assert [message.fate for message in sandbox.stream.log][3:] == ["lost", "sent"]


async def test_delay_holds_events_back_in_order(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen()
    sandbox.stream.delay = 0.05
    begun = perf_counter()
    publish(sandbox, 1)
    sandbox.stream.delay = 0
    publish(sandbox, 2)
    assert [(await read(link))["data"]["number"] for _ in range(2)] == [1, 2]
    assert 0.045 < perf_counter() - begun < 1
    sandbox.stream.delay = 0.01
    assert sandbox.stream.delay == 0.01
    again = await listen()
    sandbox.stream.drop()
    assert await end_of(again) == 1001
    with pytest.raises(ValueError, match="delay must be"):
        sandbox.stream.delay = -1


async def test_burst_arrives_whole_and_in_order(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen()
    begun = perf_counter()
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        burst = tasks.create_task(sandbox.stream.burst(5_000, user_id="jane", account_id="a"))
        names = [json.loads(await link.recv())["data"]["order_id"] for _ in range(5_000)]
    assert names == [f"burst-{number}" for number in range(1, 5_001)]
    assert burst.result() == sandbox.stream.published == 5_000
    assert perf_counter() - begun < 10


async def test_fifty_thousand_events_take_well_under_two_seconds(sandbox: Sandbox, listen: Dial) -> None:
    await listen()
    begun = perf_counter()
    assert await sandbox.stream.burst(50_000) == 50_000
    assert perf_counter() - begun < 2


async def test_restart_on_the_same_ports(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen()
    endpoints = sandbox.endpoints
    await sandbox.restart()
    assert sandbox.endpoints == endpoints
    assert await end_of(link) == 1001
    link = await listen()
    await sandbox.stream.restart()
    assert await end_of(link) == 1001
    publish(sandbox, 1)
    assert (await is_silent(await listen()), sandbox.stream.published) == (True, 1)


async def test_a_port_of_your_choice_or_an_error(sandbox: Sandbox) -> None:
    port = int(sandbox.stream.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        await Sandbox(stream_port=port).start()
    await sandbox.aclose()
    async with Sandbox(stream_port=port) as other:
        assert other.endpoints.stream == f"ws://127.0.0.1:{port}"


async def _raw(sandbox: Sandbox) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", int(sandbox.stream.url.rpartition(":")[2])))
    await sandbox.stream.until_received("connect")
    return peer


async def _listening(sandbox: Sandbox) -> ClientConnection:
    link = await connect_socket(sandbox.endpoints.stream, compression=None, ping_interval=None, close_timeout=0.1)
    await link.send(
        json.dumps({"action": "authenticate", "client_id": sandbox.client_id, "client_secret": sandbox.client_secret})
    )
    await link.send('{"action": "subscribe", "topics": ["orders"]}')
    await sandbox.stream.until_live()
    return link


async def _frozen(sandbox: Sandbox) -> None:
    sandbox.stream.freeze()
    sandbox.stream.publish("orders", "jane", "a", {})


async def _delayed(sandbox: Sandbox) -> None:
    sandbox.stream.delay = 600
    sandbox.stream.publish("orders", "jane", "a", {})


async def _unread(sandbox: Sandbox) -> None:
    sandbox.stream.send("x" * (32 << 20))


async def _closing(sandbox: Sandbox) -> None:
    sandbox.stream.drop()


async def _closing_unheard(sandbox: Sandbox) -> None:
    sandbox.stream.freeze()
    sandbox.stream.drop()
    sandbox.stream.thaw()


@pytest.mark.parametrize("state", [None, _frozen, _delayed, _unread, _closing, _closing_unheard])
async def test_it_closes_at_once_from_every_state(state: Callable[[Sandbox], Awaitable[None]] | None) -> None:
    before = asyncio.all_tasks()
    sandbox = Sandbox()
    await sandbox.start()
    link, raw = await _listening(sandbox), await _raw(sandbox)
    if state is not None:
        await state(sandbox)
    begun = perf_counter()
    await sandbox.aclose()
    assert perf_counter() - begun < 1
    assert sandbox.stream.sessions == ()
    link.transport.abort()
    raw.close()
    await link.wait_closed()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_a_peer_that_does_not_answer_a_close_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connecttrade_async.sandbox.streams.websocket._PATIENCE", 0.02)
    async with Sandbox() as sandbox:
        link = await _listening(sandbox)
        link.transport.pause_reading()
        sandbox.stream.drop()
        async with asyncio.timeout(5):
            await sandbox.stream.until_received("disconnect")
        link.transport.abort()


async def test_a_peer_that_reads_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connecttrade_async.sandbox.streams.send_buffer._BACKLOG", 1 << 20)
    async with Sandbox() as sandbox:
        link = await _listening(sandbox)
        link.transport.pause_reading()
        sandbox.stream.send("x" * (32 << 20))
        async with asyncio.timeout(5):
            await sandbox.stream.until_received("disconnect")
        link.transport.abort()


async def test_a_peer_that_arrives_while_it_closes() -> None:
    before = asyncio.all_tasks()
    async with Sandbox() as sandbox:
        port = int(sandbox.stream.url.rpartition(":")[2])
        for turns in range(6):
            with socket.create_connection(("127.0.0.1", port)):
                for _ in range(turns):
                    await asyncio.sleep(0)
                await sandbox.restart()
        assert sandbox.stream.sessions == ()
    assert asyncio.all_tasks() == before


async def test_what_is_asked_while_it_closes_is_not_done(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen("orders")
    await link.send('{"action": "dance"}')
    sandbox.stream.drop()
    assert await end_of(link) == 1001
    assert sandbox.stream.log.received["unknown"] == 0


def test_before_the_start_it_is_nowhere() -> None:
    sandbox = Sandbox()
    assert (sandbox.endpoints.stream, repr(sandbox.stream)) == ("", "<BrokerageStream closed 0 sessions, 0 events>")


async def test_cancelling_the_start_leaves_nothing() -> None:
    before = asyncio.all_tasks()
    for turns in range(12):
        sandbox = Sandbox()
        starting = asyncio.create_task(sandbox.start())
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
        await sandbox.aclose()
    assert asyncio.all_tasks() == before


async def test_closed_sandbox_is_garbage_collected() -> None:
    async with Sandbox() as sandbox:
        sandbox.stream.faults.add(StreamFault("lose"))
        link = await _listening(sandbox)
        publish(sandbox, 1)
        gone = weakref.ref(sandbox.world)
    await link.close()
    del sandbox, link
    gc.collect()
    assert gone() is None
