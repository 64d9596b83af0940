"""``connecttrade watch``: books that say whether they are current, to people at a screen, in lines, and to programs."""

from __future__ import annotations

import io
import json
import signal
import sys
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest
from rich.console import Console
from rich.text import Text

from cli_runner import Following, Terminal
from connecttrade_async import ConnectTrade, tickets
from connecttrade_async.books.book import Book
from connecttrade_async.books.changes import BalanceChanged, OrderChanged, PositionChanged
from connecttrade_async.cli.event_text import book_object, change_line, change_object
from connecttrade_async.cli.watch_output import JsonWatchOutput, TextWatchOutput
from connecttrade_async.cli.watch_screen import WatchView, distribute, draw
from connecttrade_async.cli.watch_state import WatchUpdate
from connecttrade_async.models import Balance, Fill, Order, OrderStatus, Position
from connecttrade_async.sandbox import Fault
from connecttrade_async.sandbox.faults.stream import StreamFault

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
    from subprocess import CompletedProcess

    from connecttrade_async import User
    from connecttrade_async.sandbox import Sandbox

    Run = Callable[..., Awaitable[CompletedProcess[bytes]]]

COMMAND = [sys.executable, "-W", "error", "-m", "connecttrade_async", "watch"]
NOW = datetime(2026, 3, 2, 14, 30, 5, tzinfo=UTC)
WHOSE: dict[str, Any] = {"account_id": "a1", "user_id": "ada"}
ORDER: dict[str, Any] = {"order_id": "o1", "side": "BUY", "symbol": "AAPL", "order_qty_text": "10"}


def order(**fields: Any) -> Order:
    facts: dict[str, Any] = {**ORDER, "status": OrderStatus.WORKING, **fields}
    return Order(**facts)


def book(name: str = "a1", positions: int = 2, orders: int = 1, *, is_current: bool = True, **profit: Any) -> Book:
    held = [Position(symbol=f"S{n}", quantity_text="1234.5", **profit) for n in range(positions)]
    return Book(
        account_id=name,
        user_id="ada",
        orders={str(n): order(order_id=str(n)) for n in range(orders)},
        positions={each.symbol: each for each in held},
        balances={"USD": Balance(account_id=name, currency="USD", cash_text="98000.10", equity_text="1")},
        as_of=NOW,
        is_current=is_current,
    )


def drawn(view: WatchView, width: int = 80, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, highlight=False)
    with console.capture() as capture:
        console.print(draw(view, console))
    return capture.get().splitlines()


def view(*books: Book, recent: tuple[Text, ...] = (), **fields: Any) -> WatchView:
    since = {each.account_id: NOW for each in books if not each.is_current}
    names = {each.account_id: each.account_id for each in books}
    facts: dict[str, Any] = {
        "names": names,
        "since": since,
        "trouble": "",
        "healed": (0, 0),
        "recent": recent,
        **fields,
    }
    return WatchView(books, **facts)


# The screen, without a socket -----------------------------------------------------------------------------------------


def test_a_screen_that_is_current_says_so_first() -> None:
    lines = drawn(view(book(unrealized_pl_text="-617.25"), recent=(Text("14:30:05  news"),)))
    assert lines[0] == "CURRENT  1 account. Ctrl-C ends it."
    text = "\n".join(lines)
    for words in ("a1      current", "98,000.10", "-1,234.50", "1,234.5", "buy 10 AAPL", "working", "14:30:05  news"):
        assert words in text


def test_a_screen_that_is_not_current_says_so_first_and_since_when_and_why() -> None:
    lines = drawn(view(book(is_current=False), problem="the stream was lost: cut; trying again in 1.0 s"))
    assert lines[0].startswith("NOT CURRENT since 14:30:05 UTC")
    assert lines[1] == "the stream was lost: cut; trying again in 1.0 s"
    assert "since 14:30:05" in lines[4]
    assert drawn(view(book(is_current=False)))[1] == "reading the accounts again"


def test_one_account_of_two_is_told_apart() -> None:
    lines = drawn(view(book("a1"), book("a2", is_current=False)))
    assert lines[0].startswith("1 of 2: NOT CURRENT since 14:30:05 UTC")
    assert [line.split()[:2] for line in lines[4:6]] == [["a1", "current"], ["a2", "since"]]


def test_gaps_that_were_healed_are_told() -> None:
    assert drawn(view(book(), recovery=(2, 5)))[1] == "Gaps so far: 2; changes recovered after gaps: 5."
    assert not drawn(view(book()))[1]


def test_a_link_that_is_lost_is_never_called_current() -> None:
    assert drawn(view(book(), problem="the stream was lost"))[0] == "NOT CURRENT"


def test_an_account_that_was_not_read_is_not_an_empty_one() -> None:
    lines = drawn(view(book(), names={"a1": "a1", "a2": "12345"}))
    assert lines[0] == "1 of 2: NOT CURRENT"
    assert any(line.split()[:3] == ["12345", "not", "read"] for line in lines)
    assert "No accounts: `connecttrade connect` connects a broker." in drawn(view())


@pytest.mark.parametrize("height", [13, 16, 24, 50])
def test_long_lists_are_shortened_and_said_to_be(height: int) -> None:
    recent = tuple(Text(f"{n:02}  change") for n in range(30))
    lines = drawn(view(book(positions=200, orders=90), recent=recent), height=height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= 80
    held = sum(line.startswith("S") for line in lines)
    ordered = sum(line.startswith("buy ") for line in lines)
    told = sum(line.endswith("  change") for line in lines)
    more = [line for line in lines if line.startswith("and ")]
    assert more == [f"and {200 - held} more", f"and {90 - ordered} more", f"and {30 - told} more"]


@pytest.mark.parametrize("height", [8, 10, 11])
def test_a_terminal_that_is_too_small_says_so(height: int) -> None:
    low = drawn(view(book(is_current=False)), height=height)
    assert low[0].startswith("NOT CURRENT")
    assert low[2:] == ["The terminal is too low to show more."]
    narrow = drawn(view(book()), width=30)
    assert narrow[2] == "The terminal is too narrow …"
    assert max(map(len, narrow)) <= 30


def test_nothing_is_cut_within_a_word_or_a_number() -> None:
    line = Text("14:30:05  recovered  a1  " + "1,234.50 at 190.48, " * 5)
    shown = drawn(view(book(), recent=(line,)))[-1]
    assert len(shown) <= 80
    assert shown.endswith(" …")
    assert line.plain.split()[: len(shown.split()) - 1] == shown.split()[:-1]


def test_a_sum_says_what_is_missing_and_what_cannot_be_read() -> None:
    assert "–" in drawn(view(book()))[4]  # noqa: RUF001 - the dash of a profit that a broker does not tell
    assert "unreadable" in drawn(view(book(unrealized_pl_text="much")))[4]
    some = msgspec.structs.replace(
        book(), positions={"A": Position(symbol="A", unrealized_pl_text="1000.5"), "B": Position(symbol="B")}
    )
    assert "1,000.5 (1 missing)" in drawn(view(some))[4]


def test_lines_are_shared_out_fairly() -> None:
    assert distribute(10, [2, 9, 1, 9]) == [2, 4, 1, 3]
    assert distribute(100, [2, 9, 0]) == [2, 9, 0]
    assert distribute(-3, [1]) == [0]


# Changes, without a socket --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            OrderChanged(
                **WHOSE,
                cause="recovered",
                before=None,
                after=order(status=OrderStatus.PARTIALLY_FILLED, filled_qty_text="4", avg_fill_price_text="190.480"),
                fills=tuple(Fill(quantity_text="1", price_text=f"190.{n}0") for n in range(1, 5)),
            ),
            (
                "recovered  mine  1 at 190.10, 1 at 190.20, 1 at 190.30 and 1 more: "
                "buy 10 AAPL: partially filled, 4 filled at 190.48"
            ),
        ),
        (
            OrderChanged(**WHOSE, cause="stream", before=None, after=order(), fills=(Fill(),)),
            "stream     mine  ? at ?: buy 10 AAPL: working",
        ),
        (
            PositionChanged(
                **WHOSE,
                cause="sweep",
                before=Position(symbol="AAPL", quantity_text="1234"),
                after=Position(symbol="AAPL", quantity_text="0"),
            ),
            "sweep      mine  AAPL: 0 held, before 1,234",
        ),
        (
            PositionChanged(**WHOSE, cause="stream", before=None, after=Position(symbol="A\x1b[2J")),
            "stream     mine  A [2J: held",
        ),
        (
            BalanceChanged(
                **WHOSE,
                cause="stream",
                before=Balance(account_id="a1", cash_text="1"),
                after=Balance(account_id="a1", cash_text="98000.10", currency="USD"),
            ),
            "stream     mine  cash 98,000.10 USD, before 1",
        ),
        (
            BalanceChanged(**WHOSE, cause="stream", before=None, after=Balance(account_id="a1")),
            "stream     mine  cash unknown",
        ),
    ],
)
def test_a_change_is_one_line(change: Any, said: str) -> None:
    assert change_line(change, "mine", NOW).plain == f"14:30:05  {said}"


def test_an_object_has_the_wire_s_own_text() -> None:
    fill = Fill(fill_id="f1", quantity_text="1.500", price_text="190.480")
    change = OrderChanged(**WHOSE, cause="stream", before=order(), after=order(filled_qty_text="1.500"), fills=(fill,))
    told = json.loads(msgspec.json.encode(change_object(change, NOW)))
    assert list(told) == ["type", "user_id", "account_id", "time", "cause", "before", "after", "fills"]
    assert (told["type"], told["before"]["filled_qty"], told["after"]["filled_qty"]) == ("order", None, "1.500")
    assert told["fills"] == [{"fill_id": "f1", "time": None, "quantity": "1.500", "price": "190.480"}]
    paid = BalanceChanged(**WHOSE, cause="stream", before=None, after=Balance(account_id="a1"))
    assert "fills" not in change_object(paid, NOW)
    whole = json.loads(msgspec.json.encode(book_object(book(), NOW)))
    assert (whole["type"], whole["is_current"], whole["balances"][0]["cash"]) == ("book", True, "98000.10")


class Names:
    """What bulletins ask of a state."""

    trouble = "the stream was lost: cut"

    def name(self, account_id: str) -> str:
        return f"no. {account_id}"


NAMES: Any = Names()
NOTHING = WatchUpdate((), (), 0, (), (), None, None)


def test_lines_tell_what_turned_and_what_was_too_much(capsys: pytest.CaptureFixture[str]) -> None:
    lines = TextWatchOutput(NAMES)
    lines.print(NOTHING._replace(fresh=(book("a1"), book("a2", is_current=False))))
    moved = PositionChanged(**WHOSE, cause="recovered", before=None, after=Position(symbol="S", quantity_text="1"))
    stale, fresh = (book("a1", is_current=False),), (book("a3"),)
    lines.print(NOTHING._replace(stale=stale, changes=(moved,), fresh=fresh, current=(book("a2"),)))
    lines.print(NOTHING._replace(dropped=3, fresh=(book("a1"),), failure="GET /orders answered 503"))
    out, err = capsys.readouterr()
    assert [line[10:] for line in out.splitlines()] == [
        "no. a2 is not current: it was not read yet",
        "no. a1 is not current: the stream was lost: cut",
        "recovered  no. a1  S: 1 held",
        "no. a2 is current again",
        "no. a3 is watched now",
    ]
    assert err.splitlines() == [
        "Watching no. a1, no. a2. Ctrl-C ends it.",
        "3 changes were dropped; the books include them.",
        "A read failed and will be retried: GET /orders answered 503.",
    ]


def test_objects_tell_what_turned_and_the_books_anew_after_too_much(capsys: pytest.CaptureFixture[str]) -> None:
    moved = PositionChanged(**WHOSE, cause="recovered", before=None, after=Position(symbol="S"))
    stale, fresh = (book("a1", is_current=False),), (book("a3"),)
    JsonWatchOutput(NAMES).print(WatchUpdate(stale, (moved,), 3, fresh, (book("a2"),), "answered 503", None))
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["type"] for one in told] == ["not_current", "position", "gap", "book", "current", "failed"]
    assert (told[0]["cause"], told[2]["dropped"], told[5]["cause"]) == ("the stream was lost: cut", 3, "answered 503")


def test_the_passing_of_prices_is_told_to_programs_only() -> None:
    before = Position(symbol="S", quantity_text="1", last_price_text="1")
    passed = PositionChanged(
        **WHOSE, cause="stream", before=before, after=msgspec.structs.replace(before, last_price_text="2")
    )
    assert not TextWatchOutput(NAMES).is_printed(passed)
    assert JsonWatchOutput(NAMES).is_printed(passed)


# The command ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def watched(environment: dict[str, str], sandbox: Sandbox, *arguments: str) -> AsyncGenerator[Following]:
    with anyio.fail_after(20):
        async with await anyio.open_process([*COMMAND, *arguments], env=environment) as process:
            try:
                await sandbox.stream.until_live()
                yield Following(process)
            finally:
                with suppress(ProcessLookupError):
                    process.kill()


@pytest.fixture
def account(sandbox: Sandbox) -> Any:
    """The first account of ada."""
    return next(iter(sandbox.world.accounts(sandbox.world.users["ada"])))[1]


def asking(sandbox: Sandbox, environment: dict[str, str]) -> tuple[ConnectTrade, User]:
    ct = ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints)
    return ct, ct.user("ada", environment["CONNECTTRADE_USER_SECRET"])


async def place(sandbox: Sandbox, environment: dict[str, str], account_id: str) -> Order:
    """Place an order that does not fill by itself."""
    ct, user = asking(sandbox, environment)
    async with ct:
        ticket = tickets.limit("MSFT", "BUY", qty=300, price="1.00", account_id=account_id, broker="ALPACA")
        return await user.orders.place(ticket)


async def lifecycle_text(watching: Following, words: bytes) -> None:
    """Read what is said aside, up to what is waited for."""
    while words not in watching.asides:
        watching.asides += await watching.process.stderr.receive()


async def until(watching: Following, kind: str, **facts: object) -> list[dict[str, Any]]:
    """Read objects, up to the first of a kind with these facts."""
    told: list[dict[str, Any]] = []
    while not told or told[-1]["type"] != kind or any(told[-1][name] != value for name, value in facts.items()):
        told.append(await watching.told())
    return told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
async def test_without_a_terminal_people_get_lines(
    environment: dict[str, str],
    sandbox: Sandbox,
    account: Any,
    number: signal.Signals,
) -> None:
    async with watched(environment, sandbox, account.account_id) as watching:
        await lifecycle_text(watching, b"Ctrl-C ends it.\n")
        placed = await place(sandbox, environment, account.account_id)
        name = account.number
        assert (await watching.line())[8:] == f"  stream     {name}  buy 300 MSFT at 1.00 or less: pending"
        sandbox.stream.reset()
        sandbox.broker.fill(placed.order_id, 100, "1.00")
        lines = [await watching.line()]
        while not lines[-1].endswith("is current again"):
            lines.append(await watching.line())
        stale = next(at for at, line in enumerate(lines) if f"  {name} is not current: the stream was lost: " in line)
        fill = next(at for at, line in enumerate(lines) if f"  recovered  {name}  100 at 1.00: buy 300 MSFT" in line)
        assert stale < fill < len(lines) - 1
        assert await watching.end(number) == 0
    assert watching.asides == f"Watching {name}. Ctrl-C ends it.\n".encode()


async def test_programs_get_each_book_whole_and_then_each_change(
    environment: dict[str, str],
    sandbox: Sandbox,
    account: Any,
) -> None:
    async with watched(environment, sandbox, "--json") as watching:
        books = [await watching.told() for _ in range(4)]
        assert {(told["type"], told["is_current"]) for told in books} == {("book", True)}
        placed = await place(sandbox, environment, account.account_id)
        whose = {"account_id": account.account_id}
        await until(watching, "order", **whose)
        sandbox.stream.reset()
        sandbox.broker.fill(placed.order_id, 100, "1.00")
        stale = await until(watching, "not_current", **whose)
        assert stale[-1]["cause"].startswith("the stream was lost: the connection was dropped")
        told = await until(watching, "current", **whose)
        (found,) = [one for one in told if one["type"] == "order"]
        assert (found["cause"], found["after"]["filled_qty"]) == ("recovered", "100")
        assert [(fill["quantity"], fill["price"]) for fill in found["fills"]] == [("100", "1.00")]
        assert await watching.end() == 0
    assert watching.asides == b""


async def test_so_many_times(environment: dict[str, str], sandbox: Sandbox, account: Any) -> None:
    async with watched(environment, sandbox, "--json", "--times", "1", account.number) as watching:
        assert (await watching.told())["account_id"] == account.account_id
        await place(sandbox, environment, account.account_id)
        assert (await watching.told())["type"] in {"order", "balance"}
        assert await watching.left() == 0
        assert [chunk async for chunk in watching.process.stdout] == []


async def test_for_a_while(run: Run, account: Any) -> None:
    ended = await run("watch", "--for", "0.05", "--json", account.account_id)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.count(b"\n") == 1


async def test_a_session_that_is_taken_is_a_sentence_and_no_book_is_current(
    environment: dict[str, str],
    sandbox: Sandbox,
    account: Any,
) -> None:
    async with watched(environment, sandbox, "--json", account.account_id) as watching:
        await until(watching, "book")
        sandbox.stream.displace()
        assert await watching.left() == 1
        assert (await watching.told())["type"] == "not_current"
    assert b"end the other program that follows the stream" in watching.asides
    assert watching.asides.count(b"\n") == 1


async def test_a_read_that_fails_is_told_and_tried_again(environment: dict[str, str], sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("status", path="/orders", status=400))
    async with watched(environment, sandbox) as watching:
        await lifecycle_text(
            watching, b"A read failed and will be retried: GET /orders answered 400: The sandbox was told to fail.\n"
        )
        assert (await watching.line()).endswith(" is watched now")
        assert await watching.end() == 0


async def test_an_account_that_is_not_there_is_refused(run: Run, account: Any) -> None:
    ended = await run("watch", account.account_id, "nobody")
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.startswith(b"connecttrade: there is no account 'nobody': ")


async def test_refused_credentials_are_a_sentence(run: Run) -> None:
    ended = await run("watch", CONNECTTRADE_USER_SECRET="wrong")
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert b"CONNECTTRADE_USER_SECRET" in ended.stderr
    assert ended.stderr.count(b"\n") == 1


@pytest.mark.parametrize("arguments", [["--times", "0"], ["--for", "0"], ["--for", "soon"]], ids=" ".join)
async def test_what_cannot_be_meant_is_refused(run: Run, arguments: list[str]) -> None:
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


async def test_the_screen_says_that_it_is_not_current_and_is_right_again(
    terminal: Terminal,
    environment: dict[str, str],
    sandbox: Sandbox,
    account: Any,
) -> None:
    await terminal.until("CURRENT  4 accounts. Ctrl-C ends it.")
    assert b"\x1b[?1049h" in terminal.came
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
    assert terminal.came.rindex(b"\x1b[?1049l") > terminal.came.rindex(b"\x1b[?1049h")
    assert terminal.came.rindex(b"\x1b[?25h") > terminal.came.rindex(b"\x1b[?25l")
    assert "Traceback" not in terminal.screen
