"""What a person at a terminal sees and types, on a pseudo-terminal of 80 columns."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

from connecttrade_async.sandbox import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from connecttrade_async.sandbox import Sandbox

STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A person's terminal with one command running in it."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "connecttrade_async", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**environment, "TERM": "xterm"},
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - this process has no other thread that could hold a lock in it
        )
        os.close(theirs)
        self.came = b""
        self.screen = ""

    async def until(self, words: str) -> None:
        """Read until the words are on the screen."""
        with anyio.fail_after(20):
            while words not in self.screen:
                if not await self._read():
                    raise AssertionError(self.screen)

    async def type(self, keys: str) -> None:
        await anyio.to_thread.run_sync(os.write, self._ours, keys.encode())

    async def end(self) -> int:
        """Read to the end, and return the exit code."""
        with anyio.fail_after(20):
            while await self._read():
                pass
            return await anyio.to_thread.run_sync(self._process.wait)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    async def _read(self) -> bool:
        try:
            await anyio.wait_readable(self._ours)
            more = os.read(self._ours, 4096)
        except OSError:  # Linux says so when the other end was closed
            return False
        # All of it anew: a chunk may end in the middle of a character, or of what steers the terminal.
        self.came += more
        self.screen = STEERING.sub("", self.came.decode("utf-8", "replace")).replace("\r\n", "\n")
        return bool(more)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminal(environment: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    with contextlib.ExitStack() as stack:

        def open_terminal(*arguments: str, without: str = "") -> Terminal:
            seen = {name: value for name, value in environment.items() if not without or without not in name}
            seen.pop("COLUMNS")
            opened = Terminal(list(arguments), seen)
            stack.callback(opened.close)
            return opened

        yield open_terminal


async def test_a_table_fits_and_says_what_it_left_out(terminal: Callable[..., Terminal]) -> None:
    shown = terminal("positions")
    assert await shown.end() == 0
    lines = shown.screen.splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(lines[-2:]).startswith("Not shown for want of room: ")


async def test_secrets_are_asked_for_and_not_shown(
    terminal: Callable[..., Terminal],
    environment: dict[str, str],
) -> None:
    shown = terminal("accounts", without="CONNECTTRADE_USER")
    await shown.until("User id: ")
    await shown.type("ada\n")
    await shown.until("User secret: ")
    await shown.type(environment["CONNECTTRADE_USER_SECRET"] + "\n")
    await shown.until("ALPACA")
    assert await shown.end() == 0
    assert environment["CONNECTTRADE_USER_SECRET"] not in shown.screen


async def test_ctrl_c_at_a_prompt_ends_it(terminal: Callable[..., Terminal]) -> None:
    shown = terminal("users", without="CONNECTTRADE_CLIENT_SECRET")
    await shown.until("Client secret: ")
    await shown.type("\x03")
    assert await shown.end() == 130
    assert "Traceback" not in shown.screen


async def test_who_waits_sees_a_line_and_can_leave(terminal: Callable[..., Terminal], sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("slow_headers", seconds=60))
    shown = terminal("orders")
    await shown.until("Asking for orders (1 s)")
    await shown.type("\x03")
    assert await shown.end() == 130
    assert "Traceback" not in shown.screen


async def test_deleting_is_asked_about(terminal: Callable[..., Terminal], sandbox: Sandbox) -> None:
    shown = terminal("users", "delete", "ada")
    await shown.until("Delete the user 'ada' with all its connections? [y/N]: ")
    await shown.type("n\n")
    assert await shown.end() == 0
    assert "ada" in sandbox.world.users


async def test_an_order_is_shown_and_asked_about(terminal: Callable[..., Terminal], sandbox: Sandbox) -> None:
    account = next(iter(sandbox.world.accounts(sandbox.world.users["ada"])))[1].account_id
    for answer, posted in (("n", 0), ("y", 1)):
        shown = terminal("buy", "AAPL", "1234", "--limit", "0.50", "--account", account)
        await shown.until("Send this order? [y/N]: ")
        assert shown.screen.startswith("Order      buy 1,234 AAPL\nPrice      at 0.50 or less\nWorks for  DAY\n")
        await shown.type(f"{answer}\n")
        assert await shown.end() == 0
        assert sandbox.served.count("POST", "/orders") == posted
        assert max(map(len, shown.screen.splitlines())) <= 80
        assert ("Nothing was sent." if answer == "n" else "Placed: buy 1,234 AAPL") in shown.screen


async def test_who_leaves_while_an_order_is_sent_is_told_how_to_look(
    terminal: Callable[..., Terminal],
    sandbox: Sandbox,
) -> None:
    account = next(iter(sandbox.world.accounts(sandbox.world.users["ada"])))[1].account_id
    armed = sandbox.faults.add(Fault("slow_headers", method="POST", seconds=60, when="after"))
    shown = terminal("buy", "AAPL", "1", "--account", account, "--yes")
    await shown.until("Placing the order (1 s)")
    assert armed.fired == 1
    await shown.type("\x03")
    assert await shown.end() == 130
    found = re.search(r"`connecttrade orders --find ([0-9a-f-]{36})`", " ".join(shown.screen.split()))
    assert found
    assert found[1] in {order.cl_order_id for order in sandbox.broker.orders(account)}


async def test_a_person_is_walked_through_connecting(terminal: Callable[..., Terminal], sandbox: Sandbox) -> None:
    shown = terminal("connect")
    await shown.until("choose later, at the login pages)")
    await shown.type("webull\n")
    await shown.until("What for")
    await shown.type("\n")
    await shown.until("where the person comes back to: ")
    await shown.type("https://app.example/done\n")
    await shown.until("paste the address you came back to: ")
    await shown.type("something else\n")
    await shown.until("Not yet: ")
    url = next(line for line in shown.screen.splitlines() if line.startswith(sandbox.url))
    await shown.type(f"{await sandbox.approve(url)}\n")
    await shown.until("Connected: ")
    assert await shown.end() == 0
    assert shown.screen.count("WEBULL") == 3  # the list of brokers, and two accounts


async def test_the_stream_is_followed_in_colour_until_ctrl_c(
    terminal: Callable[..., Terminal],
    sandbox: Sandbox,
) -> None:
    shown = terminal("stream")
    await shown.until("Following orders, positions, balances. Ctrl-C ends it.\n")
    sandbox.stream.publish("orders", "ada", "a1", {"order_id": "o1\x1b[2J", "status": "filled"})
    await shown.until("filled\n")
    assert b"\x1b[36morder" in shown.came
    assert b"\x1b[2J" not in shown.came
    sandbox.stream.reset()
    await shown.until("so look again: the link was dropped\n")
    assert "The stream was lost: the link was dropped.\nTrying again in " in shown.screen
    await shown.type("\x03")
    assert await shown.end() == 0
    assert "Traceback" not in shown.screen
