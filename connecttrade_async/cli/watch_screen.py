"""The front door: books drawn as one screen: money, positions, open orders and what changed last.

Its vow: it says first whether it is current. Nothing is cut but between words and rows, and then it says so.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from rich.console import Group
from rich.measure import Measurement
from rich.text import Text

from connecttrade_async.analytics import total_unrealized_pl
from connecttrade_async.cli.event_text import clock
from connecttrade_async.cli.order_text import filled, in_words, status_of
from connecttrade_async.cli.output import Column, figure, fitting, plain
from connecttrade_async.errors import MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from rich.console import Console, RenderableType

    from connecttrade_async.books.book import Book
    from connecttrade_async.models import Balance, Order, Position

__all__ = ["WatchView", "draw", "shares"]

T = TypeVar("T")
TOP = 2
HEAD = 2


class WatchView(NamedTuple):
    """What there is to be seen.

    Attributes:
        books: as they are.
        names: by account, as people know it; also of accounts that have no book yet.
        since: by account, since when its book is not current.
        trouble: why something is not current, in words; empty where nobody knows better than that it is read again.
        healed: how many times something may have been missed so far, and how many changes were recovered.
        recent: what changed last, the latest first, a line each.
    """

    books: tuple[Book, ...]
    names: Mapping[str, str]
    since: Mapping[str, datetime]
    trouble: str
    healed: tuple[int, int]
    recent: tuple[Text, ...]


class _Money(NamedTuple):
    name: str
    balance: Balance | None
    unrealized: str | None
    state: str


class _Held(NamedTuple):
    name: str
    position: Position


class _Open(NamedTuple):
    name: str
    order: Order


class _Section(NamedTuple, Generic[T]):
    """A table, and what is said where it has no rows."""

    items: Sequence[T]
    columns: Sequence[Column[T]]
    none: str


MONEY: Sequence[Column[_Money]] = (
    Column[_Money]("Account", lambda row: row.name),
    Column[_Money]("State", lambda row: row.state),
    Column[_Money]("Currency", lambda row: row.balance and row.balance.currency, rank=3),
    Column[_Money]("Cash", lambda row: row.balance and row.balance.cash_text, "number"),
    Column[_Money]("Buying power", lambda row: row.balance and row.balance.buying_power_text, "number", rank=2),
    Column[_Money]("Equity", lambda row: row.balance and row.balance.equity_text, "number", rank=1),
    Column[_Money]("Unrealized", lambda row: row.unrealized, "gain"),
)
HELD: Sequence[Column[_Held]] = (
    Column[_Held]("Position", lambda row: row.position.symbol),
    Column[_Held]("Account", lambda row: row.name),
    Column[_Held]("Quantity", lambda row: row.position.quantity_text, "number"),
    Column[_Held]("Average", lambda row: row.position.average_price_text, "number", rank=4),
    Column[_Held]("Last", lambda row: row.position.last_price_text, "number", rank=2),
    Column[_Held]("Value", lambda row: row.position.market_value_text, "number", rank=1),
    Column[_Held]("Unrealized", lambda row: row.position.unrealized_pl_text, "gain"),
    Column[_Held]("Today", lambda row: row.position.daily_pl_text, "gain", rank=3),
)
OPEN: Sequence[Column[_Open]] = (
    Column[_Open]("Open order", lambda row: in_words(row.order)),
    Column[_Open]("Account", lambda row: row.name),
    Column[_Open]("Status", lambda row: status_of(row.order)),
    Column[_Open]("So far", lambda row: filled(row.order), rank=1),
    Column[_Open]("For", lambda row: row.order.order_tif, rank=2),
)


def draw(face: WatchView, console: Console) -> RenderableType:
    """Return the screen, of at most the console's height and width."""
    sections: tuple[_Section[Any], ...] = (
        _Section(tuple(_money(face)), MONEY, "No accounts: `connecttrade connect` links a broker."),
        _Section(tuple(_held(face)), HELD, "No positions."),
        _Section(tuple(_open(face)), OPEN, "No open orders."),
    )
    heads = sum(HEAD if section.items else 1 for section in sections) + 1
    wanted = [*(len(section.items) for section in sections), len(face.recent)]
    room = console.height - TOP - heads
    top = [_cut(line, console.width) for line in _top(face)]
    if room < sum(map(bool, wanted)):
        return Group(*top, _cut(Text("The terminal is too low to show more."), console.width))
    rows = shares(room, wanted)
    parts = [_table(section, count, console) for section, count in zip(sections, rows, strict=False)]
    return Group(*top, *parts, *_recent(face.recent, rows[-1], console.width))


def shares(room: int, wanted: Sequence[int]) -> list[int]:
    """Share lines out, one to each in turn, until all have what they want or nothing is left."""
    given = [0] * len(wanted)
    while room > 0 and given != list(wanted):
        for place, want in enumerate(wanted):
            if given[place] < want and room > 0:
                given[place] += 1
                room -= 1
    return given


def _top(face: WatchView) -> tuple[Text, Text]:
    unread = [account_id for account_id in face.names if account_id not in {book.account_id for book in face.books}]
    count, bad = len(face.books) + len(unread), len(face.since) + len(unread)
    if not bad and not face.trouble:
        accounts = "1 account" if count == 1 else f"{count} accounts"
        return Text.assemble(("CURRENT", "bold green"), f"  {accounts}. Ctrl-C ends it."), _healed(*face.healed)
    some = f"{bad} of {count}: " if 0 < bad < count else ""
    since = f" since {clock(min(face.since.values()))} UTC" if face.since else ""
    said = Text.assemble(
        (f"{some}NOT CURRENT{since}", "bold red"), "  What is below was true then." if face.since else ""
    )
    return said, Text(plain(face.trouble or "reading the accounts again"), style="yellow")


def _healed(gaps: int, recovered: int) -> Text:
    said = f"Gaps healed so far: {gaps}; changes that were missed, and recovered: {recovered}." if gaps else ""
    return Text(said, style="dim")


def _money(face: WatchView) -> Iterator[_Money]:
    for book in face.books:
        since = face.since.get(book.account_id)
        state = "current" if book.is_current else f"since {clock(since)}" if since else "not current"
        profit: str | None = _unrealized(book)
        for balance in tuple(book.balances.values()) or (None,):
            yield _Money(_name(face, book), balance, profit, state)
            profit = None  # it is of the whole account, in whatever currencies
    read = {book.account_id for book in face.books}
    yield from (_Money(name, None, None, "not read") for key, name in face.names.items() if key not in read)


def _held(face: WatchView) -> Iterator[_Held]:
    for book in face.books:
        for symbol in sorted(book.positions):
            yield _Held(_name(face, book), book.positions[symbol])


def _open(face: WatchView) -> Iterator[_Open]:
    for book in face.books:
        yield from (_Open(_name(face, book), order) for order in reversed(book.open_orders))


def _name(face: WatchView, book: Book) -> str:
    return face.names.get(book.account_id, book.account_id)


def _unrealized(book: Book) -> str | None:
    try:
        sum_of = total_unrealized_pl(book.positions.values())
    except MalformedResponseError:
        return "unreadable"
    if not sum_of.counted and sum_of.missing:
        return None
    missing = f" ({sum_of.missing} missing)" if sum_of.missing else ""
    return f"{figure(f'{sum_of.total:f}')}{missing}"


def _table(section: _Section[T], count: int, console: Console) -> RenderableType:
    items = section.items
    if not items:
        return _cut(Text(section.none, style="dim"), console.width)
    shown = items if count == len(items) else items[: count - 1]
    # By all rows, so that columns stay where they are when another row fits.
    _, dropped = fitting(items, section.columns, console)
    columns = [column for column in section.columns if column.title not in dropped]
    table, _ = fitting(shown, columns, console)
    if Measurement.get(console, console.options.update(max_width=console.width * 100), table).maximum > console.width:
        return _cut(Text("The terminal is too narrow for this.", style="yellow"), console.width)
    return table if shown is items else Group(table, _more(len(items) - len(shown)))


def _recent(lines: Sequence[Text], count: int, width: int) -> Iterator[Text]:
    shown = lines if count == len(lines) else lines[: count - 1]
    yield _cut(Text("Last changes" if lines else "No changes yet.", style="bold" if lines else "dim"), width)
    yield from (_cut(line, width) for line in shown)
    if shown is not lines:
        yield _more(len(lines) - len(shown))


def _more(count: int) -> Text:
    return Text(f"and {count} more", style="dim")


def _cut(line: Text, width: int) -> Text:
    """Return a line that fits: what does not is left out in whole words, and said to be."""
    if line.cell_len <= width:
        return line
    kept = textwrap.TextWrapper(width - 2, break_long_words=True, drop_whitespace=True).wrap(line.plain)[0]
    return Text.assemble(line[: len(kept)], " …")
