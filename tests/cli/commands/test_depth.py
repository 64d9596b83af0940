"""The command ``depth``: once, followed, and as JSON."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING

import anyio
import pytest

from cli_runner import CommandProcess, Terminal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from click.testing import Result

    from connecttrade_async.sandbox import Sandbox

    Call = Callable[..., Awaitable[Result]]

COMMAND = [sys.executable, "-W", "error", "-m", "connecttrade_async", "depth", "AAPL"]
BOOK = {
    "bids": [{"price": "189.98", "size": "800"}],
    "asks": [{"price": "190.02", "size": "400"}, {"price": "190.04", "size": "100"}],
    "timestamp": "2026-03-02T14:30:05Z",
}

pytestmark = pytest.mark.usefixtures("connection")


async def test_depth_once_prints_the_present_depth(call: Call, sandbox: Sandbox) -> None:
    ended = await call("depth", "AAPL", "--once", "--levels", "3")
    assert (ended.exit_code, ended.stderr) == (0, "")
    title, *lines = ended.stdout.splitlines()
    assert title.startswith("AAPL  ")
    quote = sandbox.broker.quote("AAPL")
    assert len(lines) == 7
    assert lines[2].startswith(f"{quote.ask}  ")
    assert lines[3].startswith("spread ")
    assert lines[4].startswith(f"{quote.bid}  ")
    ended = await call("depth", "AAPL", "--once", "--levels", "3", "--json")
    (told,) = (json.loads(line) for line in ended.stdout.splitlines())
    assert [told["type"], told["symbol"], len(told["bids"]), len(told["asks"])] == ["depth", "AAPL", 3, 3]
    assert told["bids"][0]["price"] == str(quote.bid)


async def test_depth_in_a_pipe_separates_updates_by_an_empty_line(
    environment: dict[str, str], sandbox: Sandbox
) -> None:
    with anyio.fail_after(20):
        async with await anyio.open_process([*COMMAND, "--levels", "1"], env=environment) as process:
            command = CommandProcess(process)
            while await command.read_line():
                pass
            sandbox.market.publish("depth", "AAPL", BOOK)
            assert [await command.read_line() for _ in range(5)] == [
                "AAPL  14:30:05 UTC",
                "190.02  400  ████████████████████",
                "spread 0.04, middle 190.00",
                "189.98  800  ████████████████████████████████████████",
                "",
            ]
            assert await command.stop(signal.SIGINT) == 0
    assert command.stderr == b"Following the depth of AAPL. Ctrl-C ends it.\n"


async def test_depth_with_json_and_times_ends_after_that_many_updates(
    environment: dict[str, str], sandbox: Sandbox
) -> None:
    with anyio.fail_after(20):
        async with await anyio.open_process([*COMMAND, "--json", "--times", "2"], env=environment) as process:
            command = CommandProcess(process)
            await command.read_line()
            sandbox.market.publish("depth", "AAPL", BOOK)
            assert await command.read_object() == {"type": "depth", "symbol": "AAPL", **BOOK}
            assert await command.wait() == 0
    assert command.stderr == b""


async def test_depth_on_a_terminal_redraws_until_ctrl_c(environment: dict[str, str], sandbox: Sandbox) -> None:
    seen = {name: value for name, value in environment.items() if name != "COLUMNS"}
    shown = Terminal(["depth", "AAPL"], seen)
    try:
        await shown.until("spread ")
        sandbox.market.publish("depth", "AAPL", BOOK)
        await shown.until("189.98  800  ████")
        assert "LIVE  Ctrl-C ends it." in shown.screen
        await shown.type("\x03")
        assert await shown.end() == 0
        assert "Traceback" not in shown.screen
    finally:
        shown.close()
