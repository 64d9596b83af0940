"""The demo runs every chapter, and each line of code that it shows is a line that it runs."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from connecttrade_async.cli import demo

CHAPTERS = [
    "A user",
    "A broker",
    "Accounts and balances",
    "Positions",
    "Orders",
    "Transactions",
    "An order at the market's price",
    "A limit order, replaced",
    "An iron condor",
    "A lost response",
    "A ticket with mistakes",
    "The day in one value",
    "Market data",
    "The stream",
    "A fault",
    "A wrong secret",
    "A live book",
    "Clean up",
]


async def told(width: int) -> str:
    screen = io.StringIO()
    await demo.run_demo(console=Console(file=screen, width=width, highlight=False))
    return screen.getvalue()


async def test_demo_prints_every_chapter_and_its_results() -> None:
    story = await told(110)
    places = [story.index(f"{number:>2}  {title}") for number, title in enumerate(CHAPTERS, 1)]
    assert places == sorted(places)
    for milestone in (
        "Secret('***')",
        "a login page: 'Connect your broker'",
        "a login page: 'Log in to Alpaca'",
        "redirected to https://app.example/done?connection_id=",
        "TASTYTRADE",
        "cash in all: ",
        "IBM/WS",
        "–",  # noqa: RUF001 - the dash of a profit that a broker does not report
        "orders on 4 pages",
        "the spread's first fill: ",
        "dividend",
        "the broker has it: pending",
        "replaced      0",
        "first pending_cancel, and a second later cancelled",
        "a share, 1.50 was the least asked for",
        "log: outcome unknown, checking whether the order was placed: POST /orders",
        "the server saw POST /orders: done, no response",
        "the server saw GET /orders: not done, answered 503",
        "orders with this id at the broker: 1",
        "- the limit price must be positive, got -",
        "requests sent: 0",
        "symbols that moved most today",
        "Symbol    Bid ",
        "12 quotes arrived, and the order is filled at ",
        "OrderUpdate: partially filled, 100 of 300 filled",
        "log: the stream was lost: the connection was dropped",
        "log: the stream is live again; it was lost at",
        "Gap: the connection was dropped; something may have been missed",
        "partially_filled    200 ",
        "OrderUpdate: filled, 300 of 300 filled",
        "4 order updates arrived, over 2 connections, 1 gap",
        "log: request failed, retrying in 1 s: GET /positions answered 503",
        "faults that fired: 1, retries: 1",
        "AuthenticationError: GET /users answered 401",
        "stream: 4 at ",
        "the rest was filled while the stream was away; ",
        "NOT CURRENT",
        "recovered: 6 at ",
        "the book equals the server: True",
        "0 users left",
        "Next: README.md",
    ):
        assert milestone in story
    # The part that was filled while the link was gone is seen in what is looked up, and in no update.
    assert "200 of 300 filled" not in story
    assert "not-the-secret" in story  # the code that is shown; no other secret is


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_demo_with_another_seed_has_the_same_results(seed: int) -> None:
    screen = io.StringIO()
    await demo.run_demo(seed=seed, console=Console(file=screen, width=110, highlight=False))
    for milestone in (
        "a second later cancelled",
        "12 quotes arrived, and the order is filled at ",
        "a share, 1.50 was the least",
        "with this id at the broker: 1",
        "300 of 300 filled",
    ):
        assert milestone in screen.getvalue()


@pytest.mark.parametrize("width", [80, 120])
async def test_demo_fits_the_terminal(width: int) -> None:
    assert max(map(len, (await told(width)).splitlines())) <= width


def test_demo_shows_only_code_that_it_runs() -> None:
    trees = [ast.parse(path.read_text("utf-8")) for path in sorted(Path(demo.__file__).parent.glob("*.py"))]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    # Of a statement with a block, the head is shown.
    ran = {ast.unparse(node).partition(":\n")[0] for node in nodes if isinstance(node, ast.stmt)}
    shown = [
        node.args[0].value
        for node in nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "code"
        and isinstance(node.args[0], ast.Constant)
    ]
    assert len(shown) >= 35
    for line in shown:
        assert isinstance(line, str)
        whole = f"{line} pass" if line.endswith(":") else line
        assert ast.unparse(ast.parse(whole)).partition(":\n")[0] in ran


def test_demo_command_exits_with_zero() -> None:
    command = [sys.executable, "-W", "error", "-m", "connecttrade_async", "demo"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603 - our own
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Done: " in ended.stdout
    assert "\x1b" not in ended.stdout
