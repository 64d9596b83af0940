"""Probes to the streams of the sandbox in each dialect, and to servers that refuse."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async import HandshakeError, OrderUpdate, StreamRefusedError, Timeouts
from connecttrade_async.dialect.value import Dialect
from connecttrade_async.doctor.findings import FindingOutcome, is_all_understood
from connecttrade_async.doctor.stream_findings import dialect_of_probe, stream_findings
from connecttrade_async.doctor.stream_probe import ProbeOptions, probe_stream
from connecttrade_async.sandbox import Sandbox
from connecttrade_async.secret import Secret
from connecttrade_async.streaming.websocket import ConnectionLostError, ConnectOptions
from stream_fixtures import PRETEND, client, end_that

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from websockets.asyncio.server import ServerConnection

PRESETS = [
    *("assumed", "rest_object", "topic_data", "topic_list", "channel_payload", "type_update", "camel", "numbers"),
    *("messages", "no_acks", "silent_heartbeat", "event_heartbeat", "strict", "type_not_action"),
]
# What tolerance alone does not cover: these need the dialect.
NEEDS_DIALECT = ["no_acks", "type_not_action"]
ORDER = {"order_id": "o1", "symbol": "AAPL", "status": "working", "order_qty": "5"}
WANTED = [{"topics": ["orders", "positions", "balances"], "id": "2"}]


def options(url: str, client_id: str = "c", secret: str = PRETEND, **times: float) -> ProbeOptions:
    values: dict[str, str | Secret] = {"client_id": client_id, "client_secret": Secret(secret), "id": "1"}
    limits: dict[str, Any] = {"listen": 0.4, "wait": 0.2, "pause": 0.01} | times
    return ProbeOptions("brokerage", url, ConnectOptions(), values, WANTED, **limits)


@contextlib.asynccontextmanager
async def publishing(sandbox: Sandbox) -> AsyncGenerator[None]:
    """Publish an order as soon as each connection is live."""

    async def publish() -> None:
        while True:
            await sandbox.stream.until_live()
            sandbox.stream.publish("orders", "u", "a", ORDER)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(publish())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize("preset", PRESETS)
async def test_probe_stream_gets_events_in_each_dialect(preset: str) -> None:
    async with Sandbox(seed=7, dialect=preset) as sandbox, publishing(sandbox):
        chosen = options(sandbox.stream.url, sandbox.client_id, sandbox.client_secret)
        probe = await probe_stream(chosen, Dialect.default)
    findings = {each.subject: each for each in stream_findings(probe, Dialect.default)}
    assert findings["updates: order"].outcome in {FindingOutcome.OK, FindingOutcome.UNDERSTOOD}
    assert is_all_understood(findings.values()) is (preset not in NEEDS_DIALECT)
    written = dialect_of_probe(probe, Dialect.default)
    assert is_all_understood(stream_findings(probe, written)) or probe.is_configured is False
    assert sandbox.client_secret not in repr(chosen) + repr(probe)


async def first_order(sandbox: Sandbox, dialect: Dialect | str | Path) -> OrderUpdate:
    """Return the first order of a plain client with a dialect."""
    timeouts = Timeouts(close=1.0, login=2.0)
    async with client(sandbox, timeouts=timeouts, dialect=dialect) as ct:
        stream = ct.brokerage_stream()
        events = stream.subscribe("orders")
        async with asyncio.timeout(10), stream, publishing(sandbox):
            event = await events.receive()
    assert isinstance(event, OrderUpdate)
    return event


@pytest.mark.parametrize("preset", PRESETS)
async def test_the_written_dialect_makes_a_plain_client_work(preset: str, tmp_path: Path) -> None:
    path = tmp_path / "connecttrade-wire.toml"
    async with Sandbox(seed=7, dialect=preset) as sandbox:
        if preset in NEEDS_DIALECT:
            with pytest.raises((HandshakeError, StreamRefusedError)):
                await first_order(sandbox, Dialect.default)
        async with publishing(sandbox):
            chosen = options(sandbox.stream.url, sandbox.client_id, sandbox.client_secret)
            probe = await probe_stream(chosen, Dialect.default)
        dialect_of_probe(probe, Dialect.default).dump(path)
        event = await first_order(sandbox, path)
    assert event.order.symbol == "AAPL"
    assert event.order.order_qty == 5


async def test_probe_stream_stops_at_once_where_the_credentials_are_refused() -> None:
    async with Sandbox(seed=7) as sandbox:
        before = sandbox.stream.log.total
        probe = await probe_stream(options(sandbox.stream.url, sandbox.client_id, "wrong-secret-1"), Dialect.default)
        assert sandbox.stream.log.total - before <= 3
    assert probe.attempt is None
    assert "no other form was tried" in probe.refusal
    assert not is_all_understood(stream_findings(probe, Dialect.default))


async def refuse(words: str, seen: list[str], connection: ServerConnection) -> None:
    await connection.send('{"type":"welcome"}')
    async for frame in connection:
        seen.append(str(frame))
        await connection.send(words.replace("ECHO", str(frame).replace('"', "'")))


async def test_probe_stream_tries_at_most_ten_forms_and_shows_no_secret() -> None:
    seen: list[str] = []

    async def serve(connection: ServerConnection) -> None:
        await refuse('{"type":"error","message":"unknown action in ECHO"}', seen, connection)

    async with end_that(serve) as url:
        probe = await probe_stream(options(url), Dialect.default)
    assert len(seen) == 10
    assert probe.attempt is None
    assert "unknown action" in probe.refusal
    assert "pretend-secret" not in repr(probe) + str(stream_findings(probe, Dialect.default))


@pytest.mark.parametrize("code", [1000, 4400], ids=["closed", "closed with a code"])
async def test_probe_stream_takes_a_close_for_a_refusal_of_the_form(code: int) -> None:
    logins = 0

    async def serve(connection: ServerConnection) -> None:
        nonlocal logins
        await connection.send("hello")
        await connection.recv()
        logins += 1
        await connection.close(code, "")

    async with end_that(serve) as url:
        probe = await probe_stream(options(url), Dialect.default)
    assert logins == 10
    assert probe.attempt is None


async def test_probe_stream_reports_a_refused_subscription_and_a_connection_that_ends() -> None:
    async def serve(connection: ServerConnection) -> None:
        await connection.send("hello")
        await connection.recv()
        await connection.send('{"status":"ok"}')
        await connection.recv()
        await connection.send('{"error":"no such topic"}')
        await connection.close(4400, "bye")

    async with end_that(serve) as url:
        probe = await probe_stream(options(url), Dialect.default)
    assert probe.attempt is not None
    assert probe.login == b'{"status":"ok"}'
    assert "bye" in probe.refusal


async def test_probe_stream_raises_where_nothing_listens() -> None:
    with pytest.raises(ConnectionLostError):
        await probe_stream(options("ws://127.0.0.1:1"), Dialect.default)
