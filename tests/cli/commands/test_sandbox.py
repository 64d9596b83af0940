from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from typing import Any

import anyio
import pytest

from connecttrade_async import ConnectTrade, Endpoints

COMMAND = [sys.executable, "-W", "error", "-m", "connecttrade_async", "sandbox"]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
async def test_sandbox_serves_until_a_signal(ending: signal.Signals) -> None:
    with anyio.fail_after(20):
        async with await anyio.open_process([*COMMAND, "--port", "0", "--json"]) as process:
            assert process.stdout is not None
            said: dict[str, Any] = json.loads(await process.stdout.receive())
            settings = said["environment"]
            names = ("CONNECTTRADE_API_URL", "CONNECTTRADE_STREAM_URL", "CONNECTTRADE_MDSTREAM_URL")
            endpoints = Endpoints(*(settings[name] for name in names))
            secret = settings["CONNECTTRADE_CLIENT_SECRET"]
            async with ConnectTrade(settings["CONNECTTRADE_CLIENT_ID"], secret, endpoints=endpoints) as ct:
                assert await ct.users.list() == []
                async with ct.brokerage_stream() as stream:
                    assert stream.health().state == "LIVE"
            assert said["control"].startswith(said["url"])
            process.send_signal(ending)
            assert await process.wait() == 0
            assert process.stderr is not None
            assert [chunk async for chunk in process.stderr] == []


async def test_sandbox_prints_lines_for_a_shell() -> None:
    with anyio.fail_after(20):
        async with await anyio.open_process(
            [*COMMAND, "--port", "0", "--seed", "9"], stderr=subprocess.STDOUT
        ) as process:
            assert process.stdout is not None
            text = ""
            async for chunk in process.stdout:
                text += chunk.decode()
                if "Ctrl-C" in text:
                    break
            process.terminate()
            assert await process.wait() == 0
    *exports, aside = text.splitlines()
    assert [line.partition("=")[0] for line in exports] == [
        "export CONNECTTRADE_API_URL",
        "export CONNECTTRADE_STREAM_URL",
        "export CONNECTTRADE_MDSTREAM_URL",
        "export CONNECTTRADE_CLIENT_ID",
        "export CONNECTTRADE_CLIENT_SECRET",
    ]
    assert "/_sandbox/faults" in aside


def test_sandbox_with_a_port_in_use_prints_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        for arguments in (
            ["--port", port],
            ["--port", "0", "--stream-port", port],
            ["--port", "0", "--market-port", port],
        ):
            ended = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - ours
            assert ended.returncode == 2
            assert ended.stdout == ""
            assert "cannot listen on 127.0.0.1:" in ended.stderr
            assert f"'127.0.0.1', {port})" in ended.stderr
            assert "choose others with --port, --stream-port or --market-port." in ended.stderr
            assert "Traceback" not in ended.stderr


def three_free_ports() -> int:
    """Return the first of three free ports in a row, below the ephemeral ports of the system."""
    for port in range(20_000, 30_000, 3):
        with suppress(OSError), ExitStack() as held:
            for each in range(port, port + 3):
                held.enter_context(socket.create_server(("127.0.0.1", each)))
            return port
    pytest.fail("there are no three free ports in a row")


async def test_sandbox_serves_the_streams_at_the_next_ports() -> None:
    port = three_free_ports()
    with anyio.fail_after(20):
        async with await anyio.open_process([*COMMAND, "--port", str(port), "--json"]) as process:
            assert process.stdout is not None
            settings = json.loads(await process.stdout.receive())["environment"]
            process.terminate()
            assert await process.wait() == 0
    assert settings["CONNECTTRADE_API_URL"] == f"http://127.0.0.1:{port}"
    assert settings["CONNECTTRADE_STREAM_URL"] == f"ws://127.0.0.1:{port + 1}"
    assert settings["CONNECTTRADE_MDSTREAM_URL"] == f"ws://127.0.0.1:{port + 2}"


def test_sandbox_with_a_malformed_host_prints_one_sentence() -> None:
    environment = {**os.environ, "LC_ALL": "C"}
    command = [*COMMAND, "--host", "no such host", "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603 - ours
    assert ended.returncode == 2
    assert "cannot listen on no such host" in ended.stderr
    assert "Traceback" not in ended.stderr
