"""Draw books on one screen: money, positions, open orders and the last changes.

The first line says whether the books are current. Text is cut only between words and rows, and a mark shows the cut.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from rich.console import Group
from rich.measure import Measurement
from rich.text import Text

from connecttrade_async.analytics import total_unrealized_pl
from connecttrade_async.cli.event_text import utc_time
from connecttrade_async.cli.order_text import describe, filled_text, status_of
from connecttrade_async.cli.output import Column, figure, fit_table, plain
from connecttrade_async.errors import MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from rich.console import Console, RenderableType

    from connecttrade_async.books.book import Book
    from connecttrade_async.models import Balance, Order, Position

__all__ = ["WatchView", "distribute", "draw"]

T = TypeVar("T")
TOP = 2
HEAD = 2


class WatchView(NamedTuple):
    """The content of the screen.

    Attributes:
        books: the books.
        names: the display names by account id, also of accounts without a book.
        since: by account id, the time since which its book is not current.
        problem: why books are not current; empty if they are only being read again.
        recovery: the number of gaps so far, and of changes that were recovered after them.
        recent: the last changes, latest first, one line each.
    """

    books: tuple[Book, ...]
    names: Mapping[str, str]
    since: Mapping[str, datetime]
    problem: str
    recovery: tuple[int, int]
    recent: tuple[Text, ...]


class _BalanceLine(NamedTuple):
    name: str
    balance: Balance | None
    unrealized: str | None
    state: str


class _PositionLine(NamedTuple):
    name: str
    position: Position


class _OrderLine(NamedTuple):
    name: str
    order: Order


class _TableSection(NamedTuple, Generic[T]):
    """A table, and the sentence for a table without rows."""

    items: Sequence[T]
    columns: Sequence[Column[T]]
    none: str


BALANCE_COLUMNS: Sequence[Column[_BalanceLine]] = (
    Column[_BalanceLine]("Account", lambda row: row.name),
    Column[_BalanceLine]("State", lambda row: row.state),
    Column[_BalanceLine]("Currency", lambda row: row.balance and row.balance.currency, rank=3),
    Column[_BalanceLine]("Cash", lambda row: row.balance and row.balance.cash_text, "number"),
    Column[_BalanceLine]("Buying power", lambda row: row.balance and row.balance.buying_power_text, "number", rank=2),
    Column[_BalanceLine]("Equity", lambda row: row.balance and row.balance.equity_text, "number", rank=1),
    Column[_BalanceLine]("Unrealized", lambda row: row.unrealized, "gain"),
)
POSITION_COLUMNS: Sequence[Column[_PositionLine]] = (
    Column[_PositionLine]("Position", lambda row: row.position.symbol),
    Column[_PositionLine]("Account", lambda row: row.name),
    Column[_PositionLine]("Quantity", lambda row: row.position.quantity_text, "number"),
    Column[_PositionLine]("Average", lambda row: row.position.average_price_text, "number", rank=4),
    Column[_PositionLine]("Last", lambda row: row.position.last_price_text, "number", rank=2),
    Column[_PositionLine]("Value", lambda row: row.position.market_value_text, "number", rank=1),
    Column[_PositionLine]("Unrealized", lambda row: row.position.unrealized_pl_text, "gain"),
    Column[_PositionLine]("Today", lambda row: row.position.daily_pl_text, "gain", rank=3),
)
ORDER_COLUMNS: Sequence[Column[_OrderLine]] = (
    Column[_OrderLine]("Open order", lambda row: describe(row.order)),
    Column[_OrderLine]("Account", lambda row: row.name),
    Column[_OrderLine]("Status", lambda row: status_of(row.order)),
    Column[_OrderLine]("So far", lambda row: filled_text(row.order), rank=1),
    Column[_OrderLine]("For", lambda row: row.order.order_tif, rank=2),
)


def draw(view: WatchView, console: Console) -> RenderableType:
    """Render the screen, at most as high and wide as the console."""
    sections: tuple[_TableSection[Any], ...] = (
        _TableSection(
            tuple(_balance_rows(view)), BALANCE_COLUMNS, "No accounts: `connecttrade connect` connects a broker."
        ),
        _TableSection(tuple(_position_rows(view)), POSITION_COLUMNS, "No positions."),
        _TableSection(tuple(_order_rows(view)), ORDER_COLUMNS, "No open orders."),
    )
    heads = sum(HEAD if section.items else 1 for section in sections) + 1
    wanted = [*(len(section.items) for section in sections), len(view.recent)]
    room = console.height - TOP - heads
    top = [_cut(line, console.width) for line in _top(view)]
    if room < sum(map(bool, wanted)):
        return Group(*top, _cut(Text("The terminal is too low to show more."), console.width))
    rows = distribute(room, wanted)
    parts = [_table(section, count, console) for section, count in zip(sections, rows, strict=False)]
    return Group(*top, *parts, *_recent(view.recent, rows[-1], console.width))


def distribute(room: int, wanted: Sequence[int]) -> list[int]:
    """Distribute lines in turn, until each section has what it wants or no line is left."""
    given = [0] * len(wanted)
    while room > 0 and given != list(wanted):
        for section, want in enumerate(wanted):
            if given[section] < want and room > 0:
                given[section] += 1
                room -= 1
    return given


def _top(view: WatchView) -> tuple[Text, Text]:
    unread = [account_id for account_id in view.names if account_id not in {book.account_id for book in view.books}]
    count, bad = len(view.books) + len(unread), len(view.since) + len(unread)
    if not bad and not view.problem:
        accounts = "1 account" if count == 1 else f"{count} accounts"
        return Text.assemble(("CURRENT", "bold green"), f"  {accounts}. Ctrl-C ends it."), _recovery_line(
            *view.recovery
        )
    some = f"{bad} of {count}: " if 0 < bad < count else ""
    since = f" since {utc_time(min(view.since.values()))} UTC" if view.since else ""
    line = Text.assemble(
        (f"{some}NOT CURRENT{since}", "bold red"), "  The data below is from then." if view.since else ""
    )
    return line, Text(plain(view.problem or "reading the accounts again"), style="yellow")


def _recovery_line(gaps: int, recovered: int) -> Text:
    text = f"Gaps so far: {gaps}; changes recovered after gaps: {recovered}." if gaps else ""
    return Text(text, style="dim")


def _balance_rows(view: WatchView) -> Iterator[_BalanceLine]:
    for book in view.books:
        since = view.since.get(book.account_id)
        state = "current" if book.is_current else f"since {utc_time(since)}" if since else "not current"
        profit: str | None = _unrealized(book)
        for balance in tuple(book.balances.values()) or (None,):
            yield _BalanceLine(_name(view, book), balance, profit, state)
            profit = None  # the sum is of the whole account, so only its first row shows it
    read = {book.account_id for book in view.books}
    yield from (_BalanceLine(name, None, None, "not read") for key, name in view.names.items() if key not in read)


def _position_rows(view: WatchView) -> Iterator[_PositionLine]:
    for book in view.books:
        for symbol in sorted(book.positions):
            yield _PositionLine(_name(view, book), book.positions[symbol])


def _order_rows(view: WatchView) -> Iterator[_OrderLine]:
    for book in view.books:
        yield from (_OrderLine(_name(view, book), order) for order in reversed(book.open_orders))


def _name(view: WatchView, book: Book) -> str:
    return view.names.get(book.account_id, book.account_id)


def _unrealized(book: Book) -> str | None:
    try:
        sum_of = total_unrealized_pl(book.positions.values())
    except MalformedResponseError:
        return "unreadable"
    if not sum_of.counted and sum_of.missing:
        return None
    missing = f" ({sum_of.missing} missing)" if sum_of.missing else ""
    return f"{figure(f'{sum_of.total:f}')}{missing}"


def _table(section: _TableSection[T], count: int, console: Console) -> RenderableType:
    items = section.items
    if not items:
        return _cut(Text(section.none, style="dim"), console.width)
    shown = items if count == len(items) else items[: count - 1]
    # Measured on all rows, so that the columns do not move when another row fits.
    _, dropped = fit_table(items, section.columns, console)
    columns = [column for column in section.columns if column.title not in dropped]
    table, _ = fit_table(shown, columns, console)
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
    """Cut a line to a width between words, and mark the cut with an ellipsis."""
    if line.cell_len <= width:
        return line
    kept = textwrap.TextWrapper(width - 2, break_long_words=True, drop_whitespace=True).wrap(line.plain)[0]
    return Text.assemble(line[: len(kept)], " …")
