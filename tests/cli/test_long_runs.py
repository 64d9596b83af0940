"""Commands that run until Ctrl-C: exit codes for signals and for a closed pipe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
from anyio.abc import SocketAttribute

from connecttrade_async.cli import connecttrade

if TYPE_CHECKING:
    from collections.abc import Mapping

    import click
    from anyio.abc import SocketStream

COMMAND = [sys.executable, "-W", "error", "-m", "connecttrade_async"]
LONG = {
    "poll": ["--every", "0.05", "--all"],
    "stream": [],
    "watch": [],
    "quotes": ["AAPL"],
    "depth": ["AAPL"],
    "bars": ["AAPL", "--follow"],
    "sandbox": ["--port", "0"],
}
OWN_TESTS = {"record", "relay"}  # one needs a new file each time, the other a server
COMMANDS: Mapping[str, click.Command] = connecttrade.commands


def test_long_commands_are_all_in_the_list() -> None:
    endless = {name for name, command in COMMANDS.items() if "until Ctrl-C" in " ".join((command.help or "").split())}
    assert "poll" in endless
    assert endless - OWN_TESTS <= LONG.keys()


async def until_running(process: Any) -> None:
    """Wait until the work of the command is under way: there is output, or the note how to end it."""
    begun = anyio.Event()

    async def read(stream: Any, sign: bytes) -> None:
        seen = b""
        async for chunk in stream:
            seen += chunk
            if sign in seen:
                begun.set()
                return

    async with anyio.create_task_group() as group:
        group.start_soon(read, process.stdout, b"\n")
        group.start_soon(read, process.stderr, b"Ctrl-C ends it")
        await begun.wait()
        group.cancel_scope.cancel()


@pytest.mark.usefixtures("connection")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("name", LONG)
async def test_long_command_with_a_signal_ends_with_zero(
    environment: dict[str, str], name: str, number: signal.Signals
) -> None:
    command = [*COMMAND, name, *LONG[name]]
    with anyio.fail_after(40):
        async with await anyio.open_process(command, env=environment) as process:
            try:
                await until_running(process)
                process.send_signal(number)
                said: list[bytes] = []
                output: list[bytes] = []
                async with anyio.create_task_group() as group:
                    group.start_soon(drain, process.stdout, output)
                    group.start_soon(drain, process.stderr, said)
                assert (await process.wait(), b"Traceback" in b"".join(said)) == (0, False)
            finally:
                with suppress(ProcessLookupError):
                    process.kill()


async def drain(stream: Any, into: list[bytes]) -> None:
    into += [chunk async for chunk in stream]


CONNECTING = [
    ("stream", "STREAM"),
    ("watch", "API"),
    ("watch", "STREAM"),
    ("quotes", "API"),
    ("quotes", "MDSTREAM"),
    ("depth", "MDSTREAM"),
    ("bars", "MDSTREAM"),
]


@pytest.mark.usefixtures("connection")
@pytest.mark.parametrize(("name", "server"), CONNECTING, ids="-".join)
async def test_long_command_with_sigterm_while_it_connects_ends_with_zero(
    environment: dict[str, str], name: str, server: str
) -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    scheme = "http" if server == "API" else "ws"
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - a socket's, not a query's
    url = f"{scheme}://127.0.0.1:{port}"
    connected = anyio.Event()

    async def keep_silent(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            connected.set()
            await anyio.sleep_forever()

    with anyio.fail_after(40):
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, keep_silent)
            command = [*COMMAND, name, *LONG[name]]
            ended = await anyio.open_process(command, env={**environment, f"CONNECTTRADE_{server}_URL": url})
            async with ended as process:
                try:
                    await connected.wait()
                    process.send_signal(signal.SIGTERM)
                    said: list[bytes] = []
                    await drain(process.stderr, said)
                    assert (await process.wait(), b"".join(said)) == (0, b"")
                finally:
                    with suppress(ProcessLookupError):
                        process.kill()
            group.cancel_scope.cancel()


@pytest.mark.usefixtures("connection")
@pytest.mark.parametrize("name", LONG)
async def test_long_command_with_a_closed_pipe_exits_with_141(environment: dict[str, str], name: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.Popen(  # noqa: S603, ASYNC220 - an end of a pipe is what this is about
        [*COMMAND, name, *LONG[name], "--json"], env=environment, stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    try:
        with anyio.fail_after(30):
            _, said = await anyio.to_thread.run_sync(process.communicate, abandon_on_cancel=True)
        assert (process.returncode, b"Traceback" in said) == (141, False), said
    finally:
        process.kill()
