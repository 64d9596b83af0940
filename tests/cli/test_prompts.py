"""Prompts, tables and spinners on a pseudo-terminal of 80 columns."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest

from cli_runner import Terminal
from connecttrade_async.sandbox import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from connecttrade_async.sandbox import Sandbox


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


async def test_table_on_a_terminal_fits_and_names_the_columns_left_out(terminal: Callable[..., Terminal]) -> None:
    shown = terminal("positions")
    assert await shown.end() == 0
    lines = shown.screen.splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(lines[-2:]).startswith("Not shown for lack of width: ")


async def test_prompt_for_a_secret_does_not_echo_it(
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


@pytest.mark.parametrize("command", ["users", "stream", "poll"])
async def test_prompt_with_ctrl_c_exits_with_130(terminal: Callable[..., Terminal], command: str) -> None:
    shown = terminal(command, without="CONNECTTRADE_CLIENT_SECRET")
    await shown.until("Client secret: ")
    await shown.type("\x03")
    assert await shown.end() == 130
    assert "Traceback" not in shown.screen


async def test_spinner_with_ctrl_c_exits_with_130(terminal: Callable[..., Terminal], sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("slow_headers", seconds=60))
    shown = terminal("orders")
    await shown.until("Asking for orders (1 s)")
    await shown.type("\x03")
    assert await shown.end() == 130
    assert "Traceback" not in shown.screen


async def test_users_delete_asks_for_confirmation(terminal: Callable[..., Terminal], sandbox: Sandbox) -> None:
    shown = terminal("users", "delete", "ada")
    await shown.until("Delete the user 'ada' with all its connections? [y/N]: ")
    await shown.type("n\n")
    assert await shown.end() == 0
    assert "ada" in sandbox.world.users


async def test_buy_shows_the_order_and_asks_for_confirmation(
    terminal: Callable[..., Terminal], sandbox: Sandbox
) -> None:
    account = next(iter(sandbox.world.accounts(sandbox.world.users["ada"])))[1].account_id
    for answer, posted in (("n", 0), ("y", 1)):
        shown = terminal("buy", "AAPL", "1234", "--limit", "0.50", "--account", account)
        await shown.until("Send this order? [y/N]: ")
        assert shown.screen.startswith("Order      buy 1,234 AAPL\nPrice      at 0.50 or less\nWorks for  DAY\n")
        await shown.type(f"{answer}\n")
        assert await shown.end() == 0
        assert sandbox.requests.count("POST", "/orders") == posted
        assert max(map(len, shown.screen.splitlines())) <= 80
        assert ("Nothing was sent." if answer == "n" else "Placed: buy 1,234 AAPL") in shown.screen


async def test_buy_with_ctrl_c_while_sending_prints_the_lookup_command(
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


async def test_connect_prompts_for_each_missing_option(terminal: Callable[..., Terminal], sandbox: Sandbox) -> None:
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


async def test_stream_on_a_terminal_prints_colors_until_ctrl_c(
    terminal: Callable[..., Terminal],
    sandbox: Sandbox,
) -> None:
    shown = terminal("stream")
    await shown.until("Following orders, positions, balances. Ctrl-C ends it.\n")
    sandbox.stream.publish("orders", "ada", "a1", {"order_id": "o1\x1b[2J", "status": "filled"})
    await shown.until("filled\n")
    assert b"\x1b[36morder" in shown.output
    assert b"\x1b[2J" not in shown.output
    sandbox.stream.reset()
    await shown.until("so read again: the connection was dropped\n")
    assert "The stream was lost: the connection was dropped.\nTrying again in " in shown.screen
    await shown.type("\x03")
    assert await shown.end() == 0
    assert "Traceback" not in shown.screen


async def test_poll_on_a_terminal_prints_results_above_a_status_line(
    terminal: Callable[..., Terminal],
    sandbox: Sandbox,
) -> None:
    sandbox.clock.hold()
    shown = terminal("poll", "--every", "0.3", "--times", "4", "--all", "--what", "balances")
    await shown.until("polling: 1 users, 2 polls, 0 failing, 0 parked (")
    assert await shown.end() == 0
    # The status line is overwritten from its first column.
    *lines, last = [line.rpartition("\r")[2] for line in shown.screen.split("\n")]
    assert len(lines) == 4
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d ada: \d+ balances(, as before)?", line) for line in lines)
    assert last == ""
    assert shown.output.endswith(b"\x1b[2K")
