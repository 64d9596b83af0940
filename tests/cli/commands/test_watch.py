"""The command ``watch``: live books on a screen, as lines and as JSON."""

from __future__ import annotations

import signal
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from cli_runner import CommandProcess, Terminal
from connecttrade_async import ConnectTrade, tickets
from connecttrade_async.sandbox import Fault
from connecttrade_async.sandbox.faults.stream import StreamFault

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
    from subprocess import CompletedProcess

    from connecttrade_async import User
    from connecttrade_async.models import Order
    from connecttrade_async.sandbox import Sandbox

    Run = Callable[..., Awaitable[CompletedProcess[bytes]]]

COMMAND = [sys.executable, "-W", "error", "-m", "connecttrade_async", "watch"]


@asynccontextmanager
async def watched(environment: dict[str, str], sandbox: Sandbox, *arguments: str) -> AsyncGenerator[CommandProcess]:
    with anyio.fail_after(20):
        async with await anyio.open_process([*COMMAND, *arguments], env=environment) as process:
            try:
                await sandbox.stream.until_live()
                yield CommandProcess(process)
            finally:
                with suppress(ProcessLookupError):
                    process.kill()


@pytest.fixture
def account(sandbox: Sandbox) -> Any:
    """The first account of ada."""
    return next(iter(sandbox.world.accounts(sandbox.world.users["ada"])))[1]


def open_client(sandbox: Sandbox, environment: dict[str, str]) -> tuple[ConnectTrade, User]:
    ct = ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints)
    return ct, ct.user("ada", environment["CONNECTTRADE_USER_SECRET"])


async def place(sandbox: Sandbox, environment: dict[str, str], account_id: str) -> Order:
    """Place an order that does not fill by itself."""
    ct, user = open_client(sandbox, environment)
    async with ct:
        ticket = tickets.limit("MSFT", "BUY", qty=300, price="1.00", account_id=account_id, broker="ALPACA")
        return await user.orders.place(ticket)


async def read_stderr_until(command: CommandProcess, words: bytes) -> None:
    """Read stderr until it holds some words."""
    while words not in command.stderr:
        command.stderr += await command.process.stderr.receive()


async def until(command: CommandProcess, kind: str, **facts: object) -> list[dict[str, Any]]:
    """Read objects until one of a kind has these members."""
    told: list[dict[str, Any]] = []
    while not told or told[-1]["type"] != kind or any(told[-1][name] != value for name, value in facts.items()):
        told.append(await command.read_object())
    return told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
async def test_watch_in_a_pipe_prints_lines(
    environment: dict[str, str],
    sandbox: Sandbox,
    account: Any,
    number: signal.Signals,
) -> None:
    async with watched(environment, sandbox, account.account_id) as command:
        await read_stderr_until(command, b"Ctrl-C ends it.\n")
        placed = await place(sandbox, environment, account.account_id)
        name = account.number
        assert (await command.read_line())[8:] == f"  stream     {name}  buy 300 MSFT at 1.00 or less: pending"
        sandbox.stream.reset()
        sandbox.broker.fill(placed.order_id, 100, "1.00")
        lines = [await command.read_line()]
        while not lines[-1].endswith("is current again"):
            lines.append(await command.read_line())
        stale = next(at for at, line in enumerate(lines) if f"  {name} is not current: the stream was lost: " in line)
        fill = next(at for at, line in enumerate(lines) if f"  recovered  {name}  100 at 1.00: buy 300 MSFT" in line)
        assert stale < fill < len(lines) - 1
        assert await command.stop(number) == 0
    assert command.stderr == f"Watching {name}. Ctrl-C ends it.\n".encode()


async def test_watch_with_json_prints_whole_books_and_then_changes(
    environment: dict[str, str],
    sandbox: Sandbox,
    account: Any,
) -> None:
    async with watched(environment, sandbox, "--json") as command:
        books = [await command.read_object() for _ in range(4)]
        assert {(told["type"], told["is_current"]) for told in books} == {("book", True)}
        placed = await place(sandbox, environment, account.account_id)
        whose = {"account_id": account.account_id}
        await until(command, "order", **whose)
        sandbox.stream.reset()
        sandbox.broker.fill(placed.order_id, 100, "1.00")
        stale = await until(command, "not_current", **whose)
        assert stale[-1]["cause"].startswith("the stream was lost: the connection was dropped")
        told = await until(command, "current", **whose)
        (found,) = [one for one in told if one["type"] == "order"]
        assert (found["cause"], found["after"]["filled_qty"]) == ("recovered", "100")
        assert [(fill["quantity"], fill["price"]) for fill in found["fills"]] == [("100", "1.00")]
        assert await command.stop() == 0
    assert command.stderr == b""


async def test_watch_with_times_ends_after_that_many_changes(
    environment: dict[str, str], sandbox: Sandbox, account: Any
) -> None:
    async with watched(environment, sandbox, "--json", "--times", "1", account.number) as command:
        assert (await command.read_object())["account_id"] == account.account_id
        await place(sandbox, environment, account.account_id)
        assert (await command.read_object())["type"] in {"order", "balance"}
        assert await command.wait() == 0
        assert [chunk async for chunk in command.process.stdout] == []


async def test_watch_with_for_ends_after_that_time(run: Run, account: Any) -> None:
    ended = await run("watch", "--for", "0.05", "--json", account.account_id)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.count(b"\n") == 1


async def test_watch_with_a_taken_session_reports_stale_books_and_one_sentence(
    environment: dict[str, str],
    sandbox: Sandbox,
    account: Any,
) -> None:
    async with watched(environment, sandbox, "--json", account.account_id) as command:
        await until(command, "book")
        sandbox.stream.displace()
        assert await command.wait() == 1
        assert (await command.read_object())["type"] == "not_current"
    assert b"end the other program that follows the stream" in command.stderr
    assert command.stderr.count(b"\n") == 1


async def test_watch_with_a_failed_read_notes_it_and_retries(environment: dict[str, str], sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("status", path="/orders", status=400))
    async with watched(environment, sandbox) as command:
        await read_stderr_until(command, b"A read failed and will be retried: GET /orders answered 400: ")
        assert (await command.read_line()).endswith(" is watched now")
        assert await command.stop() == 0


async def test_watch_with_an_unknown_account_is_refused(run: Run, account: Any) -> None:
    ended = await run("watch", account.account_id, "unknown")
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.startswith(b"connecttrade: there is no account 'unknown': ")


async def test_watch_with_refused_credentials_prints_one_sentence(run: Run) -> None:
    ended = await run("watch", CONNECTTRADE_USER_SECRET="wrong")
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert b"CONNECTTRADE_USER_SECRET" in ended.stderr
    assert ended.stderr.count(b"\n") == 1


@pytest.mark.parametrize("arguments", [["--times", "0"], ["--for", "0"], ["--for", "soon"]], ids=" ".join)
async def test_watch_with_an_invalid_argument_sends_nothing(run: Run, arguments: list[str]) -> None:
    ended = await run("watch", *arguments)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert b"`connecttrade watch --help` shows more." in ended.stderr


# At a terminal --------------------------------------------------------------------------------------------------------


@pytest.fixture
def terminal(environment: dict[str, str]) -> Iterator[Terminal]:
    environment.pop("COLUMNS")
    opened = Terminal(["watch"], environment)
    yield opened
    opened.close()


async def test_watch_on_a_terminal_shows_a_lost_stream_and_recovers(
    terminal: Terminal,
    environment: dict[str, str],
    sandbox: Sandbox,
    account: Any,
) -> None:
    await terminal.until("CURRENT  4 accounts. Ctrl-C ends it.")
    assert b"\x1b[?1049h" in terminal.output
    placed = await place(sandbox, environment, account.account_id)
    await terminal.until("buy 300 MSFT at 1.00 or less")
    sandbox.stream.faults.add(StreamFault("refuse_upgrade", times=None))
    sandbox.stream.reset()
    sandbox.broker.fill(placed.order_id, 100, "1.00")
    await terminal.until("NOT CURRENT since ")
    assert "recovered  " not in terminal.screen
    sandbox.stream.faults.clear()
    await terminal.until("recovered  ")
    await terminal.until("100 filled at 1.00")
    assert terminal.screen.rindex("CURRENT  4 accounts.") > terminal.screen.rindex("NOT CURRENT since ")
    await terminal.type("\x03")
    assert await terminal.end() == 0
    assert terminal.output.rindex(b"\x1b[?1049l") > terminal.output.rindex(b"\x1b[?1049h")
    assert terminal.output.rindex(b"\x1b[?25h") > terminal.output.rindex(b"\x1b[?25l")
    assert "Traceback" not in terminal.screen
