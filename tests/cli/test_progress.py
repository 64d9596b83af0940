from __future__ import annotations

import io

import anyio
import pytest
from rich.console import Console

from connecttrade_async import ConnectTrade, ConnectTradeError, Retry
from connecttrade_async.cli.progress import spinner
from connecttrade_async.sandbox import Fault, Sandbox


class Screen:
    """A terminal that keeps what it was sent."""

    def __init__(self, *, is_terminal: bool = True) -> None:
        self._file = io.StringIO()
        self.console = Console(file=self._file, force_terminal=is_terminal, width=80)

    @property
    def shown(self) -> str:
        return self._file.getvalue()

    async def until(self, words: str) -> None:
        with anyio.fail_after(5):
            while words not in self.shown:  # noqa: ASYNC110 - rich writes from a thread, which can set no event
                await anyio.sleep(0.005)


async def test_spinner_after_its_delay_shows_the_operation() -> None:
    screen = Screen()
    async with spinner("Asking for orders", console=screen.console, delay=0.001) as progress:
        await screen.until("Asking for orders")
        progress.text = "Asking for orders, 50 so far"
        await screen.until("50 so far")
    assert screen.shown.endswith("\x1b[2K")  # the line is wiped away


async def test_spinner_of_a_quick_operation_shows_nothing() -> None:
    screen = Screen()
    async with spinner("Asking", console=screen.console):
        pass
    assert screen.shown == ""


async def test_spinner_without_a_terminal_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(is_terminal=False)
    async with spinner("Asking", console=screen.console, delay=0.0), spinner("Asking", delay=0.0):
        await anyio.sleep(0.01)
    assert screen.shown == ""
    assert capsys.readouterr() == ("", "")


async def test_spinner_during_a_retry_shows_the_attempt(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("status", status=503, times=None))
    screen = Screen()
    retry = Retry(attempts=100, budget=5.0, base=0.01, cap=0.01)
    async with (
        ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints, retry=retry) as ct,
        anyio.create_task_group() as tasks,
    ):

        async def list_users() -> None:
            with pytest.raises(ConnectTradeError):
                await ct.users.list()

        tasks.start_soon(list_users)
        async with spinner("Asking for users", ct, console=screen.console, delay=0.001):
            await screen.until("attempt ")
        tasks.cancel_scope.cancel()
