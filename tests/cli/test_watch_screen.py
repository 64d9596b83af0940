"""The screen of ``watch``: its first line, its tables, and what it leaves out."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from rich.console import Console
from rich.text import Text

from connecttrade_async.cli.watch_screen import WatchView, distribute, draw
from connecttrade_async.models import Position
from watch_fixtures import NOW, book

if TYPE_CHECKING:
    from connecttrade_async.books.book import Book


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
        "problem": "",
        "recovery": (0, 0),
        "recent": recent,
        **fields,
    }
    return WatchView(books, **facts)


def test_draw_of_current_books_says_so_first() -> None:
    lines = drawn(view(book(unrealized_pl_text="-617.25"), recent=(Text("14:30:05  news"),)))
    assert lines[0] == "CURRENT  1 account. Ctrl-C ends it."
    text = "\n".join(lines)
    for words in ("a1      current", "98,000.10", "-1,234.50", "1,234.5", "buy 10 AAPL", "working", "14:30:05  news"):
        assert words in text


def test_draw_of_stale_books_states_time_and_problem_first() -> None:
    lines = drawn(view(book(is_current=False), problem="the stream was lost: cut; trying again in 1.0 s"))
    assert lines[0].startswith("NOT CURRENT since 14:30:05 UTC")
    assert lines[1] == "the stream was lost: cut; trying again in 1.0 s"
    assert "since 14:30:05" in lines[4]
    assert drawn(view(book(is_current=False)))[1] == "reading the accounts again"


def test_draw_counts_the_stale_accounts() -> None:
    lines = drawn(view(book("a1"), book("a2", is_current=False)))
    assert lines[0].startswith("1 of 2: NOT CURRENT since 14:30:05 UTC")
    assert [line.split()[:2] for line in lines[4:6]] == [["a1", "current"], ["a2", "since"]]


def test_draw_states_gaps_and_recovered_changes() -> None:
    assert drawn(view(book(), recovery=(2, 5)))[1] == "Gaps so far: 2; changes recovered after gaps: 5."
    assert not drawn(view(book()))[1]


def test_draw_with_a_lost_stream_never_says_current() -> None:
    assert drawn(view(book(), problem="the stream was lost"))[0] == "NOT CURRENT"


def test_draw_of_an_unread_account_says_not_read() -> None:
    lines = drawn(view(book(), names={"a1": "a1", "a2": "12345"}))
    assert lines[0] == "1 of 2: NOT CURRENT"
    assert any(line.split()[:3] == ["12345", "not", "read"] for line in lines)
    assert "No accounts: `connecttrade connect` connects a broker." in drawn(view())


@pytest.mark.parametrize("height", [13, 16, 24, 50])
def test_draw_shortens_long_lists_and_counts_the_rest(height: int) -> None:
    recent = tuple(Text(f"{n:02}  change") for n in range(30))
    lines = drawn(view(book(positions=200, orders=90), recent=recent), height=height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= 80
    held = sum(line.startswith("S") for line in lines)
    ordered = sum(line.startswith("buy ") for line in lines)
    shown = sum(line.endswith("  change") for line in lines)
    more = [line for line in lines if line.startswith("and ")]
    assert more == [f"and {200 - held} more", f"and {90 - ordered} more", f"and {30 - shown} more"]


@pytest.mark.parametrize("height", [8, 10, 11])
def test_draw_on_a_terminal_that_is_too_small_says_so(height: int) -> None:
    low = drawn(view(book(is_current=False)), height=height)
    assert low[0].startswith("NOT CURRENT")
    assert low[2:] == ["The terminal is too low to show more."]
    narrow = drawn(view(book()), width=30)
    assert narrow[2] == "The terminal is too narrow …"
    assert max(map(len, narrow)) <= 30


def test_draw_never_cuts_within_a_word_or_number() -> None:
    line = Text("14:30:05  recovered  a1  " + "1,234.50 at 190.48, " * 5)
    shown = drawn(view(book(), recent=(line,)))[-1]
    assert len(shown) <= 80
    assert shown.endswith(" …")
    assert line.plain.split()[: len(shown.split()) - 1] == shown.split()[:-1]


def test_draw_states_missing_and_malformed_values_of_a_sum() -> None:
    assert "–" in drawn(view(book()))[4]  # noqa: RUF001 - the dash of a profit that a broker does not tell
    assert "unreadable" in drawn(view(book(unrealized_pl_text="much")))[4]
    some = msgspec.structs.replace(
        book(), positions={"A": Position(symbol="A", unrealized_pl_text="1000.5"), "B": Position(symbol="B")}
    )
    assert "1,000.5 (1 missing)" in drawn(view(some))[4]


def test_distribute_gives_lines_in_turn() -> None:
    assert distribute(10, [2, 9, 1, 9]) == [2, 4, 1, 3]
    assert distribute(100, [2, 9, 0]) == [2, 9, 0]
    assert distribute(-3, [1]) == [0]
