"""The command ``quotes``: as a table, lines and JSON, with reconnects and refusals."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest

from cli_runner import CommandProcess, Terminal
from connecttrade_async import ConnectTrade
from connecttrade_async.sandbox.faults.stream import StreamFault

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from subprocess import CompletedProcess

    from connecttrade_async.sandbox import Sandbox

    Run = Callable[..., Awaitable[CompletedProcess[bytes]]]

COMMAND = [sys.executable, "-W", "error", "-m", "connecttrade_async", "quotes"]
PRICES = {"bid_price": "189.98", "bid_size": "1200", "ask_price": "190.02", "ask_size": "300", "last_price": "190.00"}
AT = "2026-03-02T14:30:05Z"
LINE = "14:30:05  AAPL    189.98 x 1,200 / 190.02 x 300  last 190.00"

pytestmark = pytest.mark.usefixtures("connection")


@asynccontextmanager
async def followed(
    environment: dict[str, str], sandbox: Sandbox, *arguments: str, symbols: tuple[str, ...] = ("AAPL",)
) -> AsyncGenerator[CommandProcess]:
    """Run the command; inside the block it has printed the first quote of each symbol."""
    with anyio.fail_after(20):
        async with await anyio.open_process([*COMMAND, *symbols, *arguments], env=environment) as process:
            try:
                await sandbox.market.until_subscribed("quotes", *symbols)
                command = CommandProcess(process)
                for _ in symbols:
                    await command.read_line()
                yield command
            finally:
                with suppress(ProcessLookupError):
                    process.kill()


def publish(sandbox: Sandbox, symbol: str = "AAPL", **members: object) -> None:
    sandbox.market.publish("quotes", symbol, {**PRICES, "timestamp": AT, **members})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
async def test_quotes_print_a_line_for_each_update_until_a_signal(
    environment: dict[str, str], sandbox: Sandbox, number: signal.Signals
) -> None:
    async with followed(environment, sandbox, symbols=("AAPL", "MSFT")) as command:
        publish(sandbox)
        publish(sandbox, "MSFT", last_price="410.5")
        assert await command.read_line() == LINE
        assert await command.read_line() == "14:30:05  MSFT    189.98 x 1,200 / 190.02 x 300  last 410.5"
        assert await command.stop(number) == 0
    assert command.stderr == b"Following quotes of AAPL, MSFT. Ctrl-C ends it.\n"


async def test_quotes_after_a_reconnect_print_the_gap_and_note_the_lifecycle(
    environment: dict[str, str], sandbox: Sandbox
) -> None:
    async with followed(environment, sandbox) as command:
        sandbox.market.drop(1012, "deploying")
        gap = await command.read_line()
        assert gap[8:].startswith("  gap       something may have been missed from ")
        assert (await command.read_line())[8:].startswith("  AAPL    ")
        assert await command.stop() == 0
    asides = command.stderr.decode().splitlines()
    assert asides[1] == "The stream was lost: the server closed the connection with code 1012 (deploying)."
    assert asides[2].startswith("Trying again in ")
    assert asides[3:] == ["The stream is live again."]


async def test_quotes_with_json_print_the_text_of_the_wire_and_lifecycle_events(
    environment: dict[str, str], sandbox: Sandbox
) -> None:
    async with followed(environment, sandbox, "--json") as command:
        publish(sandbox, bid_price="189.9800", ask_price=None)
        assert await command.read_line() == (
            '{"type":"quote","symbol":"AAPL","bid_price":"189.9800","bid_size":"1200","ask_price":null,'
            '"ask_size":"300","last_price":"190.00","timestamp":"2026-03-02T14:30:05Z"}'
        )
        sandbox.market.send("what?")
        odd = await command.read_object()
        assert (odd["type"], odd["raw"]) == ("unknown", "what?")
        sandbox.market.reset()
        told: list[dict[str, Any]] = []
        while len(told) < 6:
            told.append(await command.read_object())
        kinds = [one["type"] for one in told]
        assert [kind for kind in kinds if kind in {"gap", "quote"}] == ["gap", "quote"]
        assert [kind for kind in kinds if kind not in {"gap", "quote"}] == ["lost", "retrying", "connecting", "live"]
        assert await command.stop() == 0
    assert command.stderr == b""


async def test_quotes_with_a_symbol_refused_later_keep_the_others(
    environment: dict[str, str], sandbox: Sandbox
) -> None:
    async with followed(environment, sandbox, "--json", symbols=("AAPL", "MSFT")) as command:
        sandbox.market.refuse("MSFT", "Not yours.")
        sandbox.market.reset()
        told: dict[str, Any] = {}
        while told.get("type") != "refused":
            told = await command.read_object()
        assert {name: told[name] for name in ("channel", "symbol", "cause")} == {
            "channel": "quotes",
            "symbol": "MSFT",
            "cause": "Not yours.",
        }
        publish(sandbox)
        while told.get("timestamp") != AT:
            told = await command.read_object()
        assert await command.stop() == 0


async def test_quotes_with_times_end_after_that_many_updates(environment: dict[str, str], sandbox: Sandbox) -> None:
    async with followed(environment, sandbox, "--times", "2") as command:
        publish(sandbox)
        publish(sandbox)
        assert await command.read_line() == LINE
        assert await command.wait() == 0
        assert [chunk async for chunk in command.process.stdout] == []


async def test_quotes_with_for_end_after_that_time(run: Run) -> None:
    ended = await run("quotes", "AAPL", "--for", "0.05", "--json")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.count(b"\n") == 1


async def test_quotes_with_connection_use_that_connection(run: Run, connection: str) -> None:
    ended = await run("quotes", "AAPL", "--times", "1", "--connection", connection)
    assert (ended.returncode, ended.stdout.count(b"\n")) == (0, 1)
    ended = await run("quotes", "AAPL", "--connection", "unknown")
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr.startswith(b"connecttrade: GET /connections/unknown/token answered 404: ")
    assert ended.stderr.count(b"\n") == 1


async def test_quotes_with_two_connections_list_them_and_open_none(
    run: Run, sandbox: Sandbox, environment: dict[str, str], connection: str
) -> None:
    secret = environment["CONNECTTRADE_USER_SECRET"]
    async with ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct:
        connections = ct.user("ada", secret).connections
        request = await connections.create("market_data", redirect_url="https://a.example")
        await sandbox.approve(request.url, broker="TASTYTRADE")
        ended = await run("quotes", "AAPL")
        assert (ended.returncode, ended.stdout) == (2, b"")
        assert b"--connection must name one of: " in ended.stderr
        assert f"{connection} (market_data at ALPACA), ".encode() in ended.stderr
        assert ended.stderr.count(b"\n") == 1
        assert sandbox.requests.count("GET", "/token") == 0
        for one in await connections.list():
            if one.connection_type == "market_data":
                await connections.delete(one.connection_id)
        ended = await run("quotes", "AAPL")
        assert (ended.returncode, ended.stdout) == (2, b"")
        assert b"there is no connection for market data: `connecttrade connect --type market_data`" in ended.stderr
        assert b"(trade at TASTYTRADE)" in ended.stderr
        for one in await connections.list():
            await connections.delete(one.connection_id)
    ended = await run("quotes", "AAPL")
    assert b"`connecttrade connect --type market_data` creates one. `connecttrade quotes --help`" in ended.stderr


@pytest.mark.parametrize("symbol", ["BTC/USD", "aapl", "IBM.B", "$SPX", "AAPL20260116C00100000"])
async def test_quotes_of_any_symbol_go_to_the_server_as_they_are(run: Run, sandbox: Sandbox, symbol: str) -> None:
    sandbox.market.refuse(symbol, "Not yours.")
    ended = await run("quotes", symbol)
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr == f"connecttrade: the server rejected quotes of {symbol}: Not yours. (403).\n".encode()


async def test_quotes_with_a_refused_symbol_print_one_sentence(run: Run, sandbox: Sandbox) -> None:
    sandbox.market.refuse("MSFT", "Not yours.")
    ended = await run("quotes", "AAPL", "MSFT")
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr == b"connecttrade: the server rejected quotes of MSFT: Not yours. (403).\n"


async def test_quotes_with_a_taken_session_say_what_to_do(environment: dict[str, str], sandbox: Sandbox) -> None:
    async with followed(environment, sandbox, "--json") as command:
        sandbox.market.displace()
        assert await command.wait() == 1
        told = [await command.read_object() for _ in range(2)]
    assert [one["type"] for one in told] == ["lost", "ended"]
    assert b"; end the other program that follows market data for this user, and run this again." in command.stderr
    assert command.stderr.count(b"\n") == 1


async def test_quotes_with_a_refused_login_say_what_to_do(run: Run, sandbox: Sandbox) -> None:
    sandbox.market.faults.add(StreamFault("refuse_login"))
    ended = await run("quotes", "AAPL")
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert b"; see with `connecttrade connections` whether the connection is still there." in ended.stderr
    assert ended.stderr.count(b"\n") == 1


async def test_quotes_with_an_unreachable_server_name_the_variable(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    ended = await run("quotes", "AAPL", CONNECTTRADE_MDSTREAM_URL=f"ws://127.0.0.1:{port}")
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert b"check the network, and CONNECTTRADE_MDSTREAM_URL if you set it." in ended.stderr
    assert ended.stderr.count(b"\n") == 1
    ended = await run("quotes", "AAPL", CONNECTTRADE_API_URL=f"http://127.0.0.1:{port}")
    assert b"check the network, and CONNECTTRADE_API_URL if you set it." in ended.stderr


async def test_quotes_with_a_closed_pipe_exit_with_141(environment: dict[str, str]) -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(  # noqa: S603, ASYNC220 - an end of a pipe is what this is about
        [*COMMAND, "AAPL"], env=environment, stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    os.close(reading)
    _, stderr = await anyio.to_thread.run_sync(process.communicate)
    assert process.returncode == 141
    assert stderr == b"Following quotes of AAPL. Ctrl-C ends it.\n"


@pytest.mark.parametrize(
    "arguments", [[], [" "], ["AAPL", "A\x85B"], ["AAPL", "--times", "0"], ["AAPL", "--connection", ""]], ids=" ".join
)
async def test_quotes_with_an_invalid_argument_send_nothing(run: Run, sandbox: Sandbox, arguments: list[str]) -> None:
    served = len(sandbox.requests)
    ended = await run("quotes", *arguments)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.startswith(b"connecttrade: ")
    assert ended.stderr.count(b"\n") == 1
    assert len(sandbox.requests) == served


async def test_quotes_on_a_terminal_redraw_a_table_until_ctrl_c(environment: dict[str, str], sandbox: Sandbox) -> None:
    seen = {name: value for name, value in environment.items() if name != "COLUMNS"}
    shown = Terminal(["quotes", "AAPL", "MSFT"], seen)
    try:
        await shown.until("LIVE  Ctrl-C ends it.")
        await sandbox.market.until_subscribed("quotes", "AAPL", "MSFT")
        publish(sandbox, last_price="500.00\x1b[2J")
        await shown.until("500.00")
        for last, moved in (("400.00", "400.00"), ("400.02", "▲ 400.02"), ("399.98", "▼ 399.98")):
            publish(sandbox, last_price=last)
            await shown.until(moved)
        assert b"\x1b[31m" in shown.output
        assert b"\x1b[2J" not in shown.output
        sandbox.market.refuse("MSFT", "Not yours.")
        await sandbox.market.aclose()
        await shown.until("NOT LIVE since ")
        await sandbox.market.start(again=True)
        await shown.until("Gaps so far: 1.")
        await shown.until("No more quotes of MSFT: Not yours.")
        await shown.type("\x03")
        assert await shown.end() == 0
        assert "Traceback" not in shown.screen
    finally:
        shown.close()


async def test_quotes_on_a_terminal_with_times_end_after_that_many_updates(environment: dict[str, str]) -> None:
    seen = {name: value for name, value in environment.items() if name != "COLUMNS"}
    shown = Terminal(["quotes", "AAPL", "--times", "1"], seen)
    try:
        assert await shown.end() == 0
        assert "AAPL" in shown.screen
    finally:
        shown.close()
