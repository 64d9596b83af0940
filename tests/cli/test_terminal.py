"""What a person at a terminal sees and types, on a pseudo-terminal of 80 columns."""

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


async def test_a_table_fits_and_says_what_it_left_out(terminal: Callable[..., Terminal]) -> None:
    shown = terminal("positions")
    assert await shown.end() == 0
    lines = shown.screen.splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(lines[-2:]).startswith("Not shown for lack of width: ")


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


@pytest.mark.parametrize("command", ["users", "stream", "poll"])
async def test_ctrl_c_at_a_prompt_ends_it(terminal: Callable[..., Terminal], command: str) -> None:
    shown = terminal(command, without="CONNECTTRADE_CLIENT_SECRET")
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
        assert sandbox.requests.count("POST", "/orders") == posted
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
    await shown.until("so read again: the connection was dropped\n")
    assert "The stream was lost: the connection was dropped.\nTrying again in " in shown.screen
    await shown.type("\x03")
    assert await shown.end() == 0
    assert "Traceback" not in shown.screen


async def test_polls_are_told_above_a_line_of_progress_that_leaves_no_trace(
    terminal: Callable[..., Terminal],
    sandbox: Sandbox,
) -> None:
    sandbox.clock.hold()
    shown = terminal("poll", "--every", "0.3", "--times", "4", "--all", "--what", "balances")
    await shown.until("polling: 1 users, 2 polls, 0 failing, 0 parked (")
    assert await shown.end() == 0
    # Whoever writes over a line goes to its beginning first.
    *lines, last = [line.rpartition("\r")[2] for line in shown.screen.split("\n")]
    assert len(lines) == 4
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d ada: \d+ balances(, as before)?", line) for line in lines)
    assert last == ""
    assert shown.came.endswith(b"\x1b[2K")
