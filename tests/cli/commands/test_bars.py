"""The command ``bars``: past bars as a chart, CSV or JSON, and new bars."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import anyio
import pytest

from cli_runner import CommandProcess, Terminal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from subprocess import CompletedProcess

    from click.testing import Result

    from connecttrade_async.sandbox import Sandbox

    Call = Callable[..., Awaitable[Result]]
    Run = Callable[..., Awaitable[CompletedProcess[bytes]]]

COMMAND = [sys.executable, "-m", "connecttrade_async", "bars", "AAPL", "--follow", "--limit", "2"]
HEADER = "start_time,symbol,interval,open,high,low,close,volume"

pytestmark = pytest.mark.usefixtures("connection")


def world_closes(sandbox: Sandbox, interval: str, count: int) -> list[str]:
    bars = sandbox.world.bars.before("AAPL", interval, sandbox.clock.now(), count)
    return [str(bar.close) for bar in bars]


async def test_bars_in_a_pipe_draw_a_chart_of_eighty_columns(call: Call, sandbox: Sandbox) -> None:
    ended = await call("bars", "AAPL")
    assert (ended.exit_code, ended.stderr) == (0, "")
    title, *lines = ended.stdout.splitlines()
    assert title.startswith(f"AAPL 1m  {world_closes(sandbox, '1m', 1)[0]}  ")
    assert title.endswith(" of 120 bars")
    assert len(lines) == 20
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in ended.stdout


async def test_bars_with_csv_or_json_print_the_text_of_the_wire(call: Call, sandbox: Sandbox) -> None:
    ended = await call("bars", "AAPL", "--interval", "5m", "--limit", "3", "--csv")
    header, *rows = ended.stdout.splitlines()
    assert (ended.exit_code, header) == (0, HEADER)
    assert [row.split(",")[6] for row in rows] == world_closes(sandbox, "5m", 3)
    ended = await call("bars", "AAPL", "--interval", "5m", "--limit", "3", "--json")
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [",".join(one[name] for name in HEADER.split(",")) for one in told] == rows
    assert {(one["type"], one["closed"], one["is_backfill"]) for one in told} == {("bar", True, True)}


async def test_bars_refused_by_the_server_print_one_sentence(run: Run) -> None:
    ended = await run("bars", "AAPL", "--limit", "100000")
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr.startswith(b"connecttrade: the server rejected history of AAPL: limit must be ")
    assert ended.stderr.count(b"\n") == 1


async def test_bars_with_follow_print_closed_bars_as_lines(
    run: Run, environment: dict[str, str], sandbox: Sandbox
) -> None:
    with anyio.fail_after(20):
        arguments = [
            sys.executable,
            "-m",
            "connecttrade_async",
            "bars",
            "AAPL",
            "--follow",
            "--limit",
            "2",
            "--times",
            "1",
        ]
        async with await anyio.open_process(arguments, env=environment) as process:
            command = CommandProcess(process)
            past = [(await command.read_line()).split("close ")[1].split()[0] for _ in range(2)]
            assert past == world_closes(sandbox, "1m", 2)
            sandbox.clock.advance(60)
            line = await command.read_line()
            assert line.split("close ")[1].split()[0] == world_closes(sandbox, "1m", 1)[0]
            assert await command.wait() == 0
    assert command.stderr == b"Following bars of AAPL. Ctrl-C ends it.\n"
    ended = await run("bars", "AAPL", "--follow", "--limit", "2", "--for", "0.2", "--csv")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert [row.split(",")[6] for row in ended.stdout.decode().splitlines()[1:]] == world_closes(sandbox, "1m", 2)


async def test_bars_with_follow_and_csv_note_the_lifecycle_on_stderr(
    environment: dict[str, str], sandbox: Sandbox
) -> None:
    with anyio.fail_after(20):
        arguments = [*COMMAND, "--csv"]
        async with await anyio.open_process(arguments, env=environment) as process:
            command = CommandProcess(process)
            for _ in range(3):
                await command.read_line()
            sandbox.market.send("what?")
            sandbox.market.drop(1012, "deploying")
            sandbox.clock.advance(60)
            await sandbox.market.until_live(2)
            assert (await command.read_line()).split(",")[6] == world_closes(sandbox, "1m", 1)[0]
            assert await command.stop() == 0
    odd, lost, *_ = command.stderr.decode().splitlines()
    assert odd.endswith(": what?")
    assert lost.startswith("The stream was lost: ")


async def test_bars_with_follow_on_a_terminal_redraw_the_chart_until_ctrl_c(
    environment: dict[str, str], sandbox: Sandbox
) -> None:
    seen = {name: value for name, value in environment.items() if name != "COLUMNS"}
    shown = Terminal(["bars", "AAPL", "--follow"], seen)
    try:
        await shown.until("LIVE  Ctrl-C ends it.")
        await shown.until(" bars\n")
        sandbox.broker.set_price("AAPL", "1500.00")
        sandbox.clock.advance(60)
        await shown.until("┤ 1,5")
        await shown.type("\x03")
        assert await shown.end() == 0
        assert "Traceback" not in shown.screen
    finally:
        shown.close()


@pytest.mark.parametrize(
    "arguments",
    [["--csv", "--json"], ["--for", "1"], ["--times", "1"], ["--interval", "2m"], ["--limit", "0"]],
    ids=" ".join,
)
async def test_bars_with_an_invalid_argument_send_nothing(call: Call, sandbox: Sandbox, arguments: list[str]) -> None:
    served = len(sandbox.requests)
    ended = await call("bars", "AAPL", *arguments)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert len(sandbox.requests) == served
