"""The command ``stream``: lines and JSON, with gaps, reconnects and refusals."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

from cli_runner import CommandProcess
from connecttrade_async.sandbox.faults.stream import StreamFault

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from subprocess import CompletedProcess

    from connecttrade_async.sandbox import Sandbox

    Run = Callable[..., Awaitable[CompletedProcess[bytes]]]

COMMAND = [sys.executable, "-W", "error", "-m", "connecttrade_async", "stream"]


@asynccontextmanager
async def followed(
    environment: dict[str, str],
    sandbox: Sandbox,
    *arguments: str,
) -> AsyncGenerator[CommandProcess]:
    with anyio.fail_after(20):
        async with await anyio.open_process([*COMMAND, *arguments], env=environment) as process:
            try:
                await sandbox.stream.until_live()
                yield CommandProcess(process)
            finally:
                with suppress(ProcessLookupError):
                    process.kill()


def order(name: str, **fields: object) -> dict[str, object]:
    return {"order_id": name, "side": "BUY", "symbol": "AAPL", "order_qty": "10", "status": "working", **fields}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
async def test_stream_prints_a_line_for_each_update_until_a_signal(
    environment: dict[str, str],
    sandbox: Sandbox,
    number: signal.Signals,
) -> None:
    async with followed(environment, sandbox) as command:
        at = "2026-03-02T14:30:05Z"
        part = order("o1", filled_qty="4", avg_fill_price="190.480", status="partially_filled")
        sandbox.stream.publish("orders", "ada", "a1", part, timestamp=at)
        sandbox.stream.publish("positions", "ada", "a1", {"symbol": "AAPL", "quantity": "1234"}, timestamp=at)
        sandbox.stream.publish("balances", "ada", "a1", {"cash": "98000.10", "equity": None}, timestamp=at)
        assert [await command.read_line() for _ in range(3)] == [
            "14:30:05  order     ada  a1  buy 10 AAPL: partially filled, 4 filled at 190.48",
            "14:30:05  position  ada  a1  AAPL: 1,234 held",
            "14:30:05  balance   ada  a1  cash 98,000.10",
        ]
        sandbox.stream.send("what?")
        assert re.fullmatch(r"  unknown   \S.*: what\?", (await command.read_line())[8:])
        assert await command.stop(number) == 0
    assert command.stderr == b"Following orders, positions, balances. Ctrl-C ends it.\n"


async def test_stream_after_a_reconnect_prints_the_gap_and_notes_the_lifecycle(
    environment: dict[str, str], sandbox: Sandbox
) -> None:
    async with followed(environment, sandbox, "--topic", "orders") as command:
        sandbox.stream.drop(1012, "deploying")
        gap = await command.read_line()
        assert gap[8:].startswith("  gap       something may have been missed from ")
        assert gap.endswith(", so read again: the server closed the connection with code 1012 (deploying)")
        sandbox.stream.publish("orders", "ada", "a1", {"order_id": "o1"})
        assert (await command.read_line()).endswith("order o1: in an unknown status")
        assert await command.stop() == 0
    asides = command.stderr.decode().splitlines()
    assert asides[1] == "The stream was lost: the server closed the connection with code 1012 (deploying)."
    assert asides[2].startswith("Trying again in ")
    assert asides[0] == asides[3] == "Following orders. Ctrl-C ends it."


async def test_stream_with_json_prints_the_text_of_the_wire_and_lifecycle_events(
    environment: dict[str, str],
    sandbox: Sandbox,
) -> None:
    async with followed(environment, sandbox, "--json") as command:
        assert [(await command.read_object())["type"] for _ in range(2)] == ["connecting", "live"]
        sandbox.stream.send(
            '{"type": "order", "user_id": "ada", "account_id": "a1", "timestamp": "soon",\n'
            ' "data": {"order_id": "o1",\n "order_qty": "1.500", "filled_qty": null, "new": 1e400}}'
        )
        assert await command.read_line() == (
            '{"type":"order","user_id":"ada","account_id":"a1","time":"soon",'
            '"data":{"order_id":"o1","order_qty":"1.500","filled_qty":null,"new":1e400}}'
        )
        sandbox.stream.send("what?")
        odd = await command.read_object()
        assert (odd["type"], odd["raw"]) == ("unknown", "what?")
        sandbox.stream.reset()
        told = [await command.read_object() for _ in range(5)]
        assert [one["type"] for one in told] == ["lost", "retrying", "connecting", "gap", "live"]
        assert told[3].keys() == {"type", "time", "cause", "since", "until", "dropped", "could_send"}
        assert await command.stop() == 0
    assert command.stderr == b""


async def test_stream_with_filters_and_times_prints_matching_updates_only(
    environment: dict[str, str], sandbox: Sandbox
) -> None:
    asked = ["--topic", "orders", "--topic", "positions", "--user", "ada", "--account", "a1", "--symbol", "AAPL"]
    async with followed(environment, sandbox, *asked, "--times", "2") as command:
        assert [talk.topics for talk in sandbox.stream.sessions] == [("orders", "positions")]
        sandbox.stream.publish("orders", "bob", "a1", order("o1"))
        sandbox.stream.publish("orders", "ada", "a2", order("o2"))
        sandbox.stream.publish("orders", "ada", "a1", order("o3", symbol="MSFT"))
        sandbox.stream.publish("orders", "ada", "a1", order("o4"))
        sandbox.stream.publish("balances", "ada", "a1", {"cash": "1"})
        sandbox.stream.publish("positions", "ada", "a1", {"symbol": "AAPL"})
        sandbox.stream.publish("orders", "ada", "a1", order("o5"))
        assert [(await command.read_line()).split()[1:4] for _ in range(2)] == [
            ["order", "ada", "a1"],
            ["position", "ada", "a1"],
        ]
        assert await command.wait() == 0
        assert [chunk async for chunk in command.process.stdout] == []


async def test_stream_with_for_ends_after_that_time(run: Run) -> None:
    ended = await run("stream", "--for", "0.05", "--json")
    assert ended.returncode == 0
    assert ended.stderr == b""
    assert ended.stdout.count(b"\n") == 2


async def test_stream_with_a_refused_login_says_what_to_do(run: Run, sandbox: Sandbox) -> None:
    ended = await run("stream", CONNECTTRADE_CLIENT_SECRET="wrong")
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert b"check CONNECTTRADE_CLIENT_ID and CONNECTTRADE_CLIENT_SECRET" in ended.stderr
    assert ended.stderr.count(b"\n") == 1
    assert sandbox.stream.log.received["authenticate"] == 1


async def test_stream_with_a_taken_session_says_what_to_do(
    environment: dict[str, str],
    sandbox: Sandbox,
) -> None:
    async with followed(environment, sandbox, "--json") as command:
        sandbox.stream.displace()
        assert await command.wait() == 1
        told = [await command.read_object() for _ in range(4)]
    assert [one["type"] for one in told] == ["connecting", "live", "lost", "ended"]
    assert b"end the other program that follows the stream" in command.stderr
    assert command.stderr.count(b"\n") == 1


async def test_stream_with_an_unreachable_server_names_the_variable(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    ended = await run("stream", CONNECTTRADE_STREAM_URL=f"ws://127.0.0.1:{port}")
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert b"check the network, and CONNECTTRADE_STREAM_URL" in ended.stderr
    assert ended.stderr.count(b"\n") == 1


async def test_stream_with_ctrl_c_before_it_is_live_exits_with_130(
    environment: dict[str, str], sandbox: Sandbox
) -> None:
    sandbox.stream.faults.add(StreamFault("no_welcome"))
    with anyio.fail_after(20):
        async with await anyio.open_process(COMMAND, env=environment) as process:
            await sandbox.stream.until_received("upgrade")
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 130
            assert process.stderr is not None
            assert [chunk async for chunk in process.stderr] == []


async def test_stream_with_a_closed_pipe_exits_with_141(environment: dict[str, str], sandbox: Sandbox) -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(  # noqa: S603, ASYNC220 - an end of a pipe is what this is about
        COMMAND,
        env=environment,
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    await sandbox.stream.until_live()
    os.close(reading)
    sandbox.stream.publish("orders", "ada", "a1", order("o1"))
    _, stderr = await anyio.to_thread.run_sync(process.communicate)
    assert process.returncode == 141
    assert stderr.startswith(b"Following ")
    assert stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--topic", "quotes"],
        ["--account", " "],
        ["--user", ""],
        ["--symbol", ""],
        ["--times", "0"],
        ["--for", "0"],
        ["--for", "nan"],
        ["--for", "inf"],
        ["--for", "soon"],
    ],
    ids=" ".join,
)
async def test_stream_with_an_invalid_argument_sends_nothing(run: Run, arguments: list[str]) -> None:
    ended = await run("stream", *arguments)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.startswith(b"connecttrade: ")
    assert ended.stderr.count(b"\n") == 1
    assert b"`connecttrade stream --help` shows more." in ended.stderr
