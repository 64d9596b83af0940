"""The front door: tables for people. A number is whole or not there: it is never cut, rounded or wrapped.

What does not fit goes column by column, the least wanted first, and the reader is told which.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from connecttrade_async.amounts import MOST_DIGITS
from connecttrade_async.cli.telling import echo_line, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Column", "build_table", "cell", "figure", "fitting", "print_table"]

T = TypeVar("T")
Kind = Literal["text", "number", "gain"]
DASH = "–"  # noqa: RUF001 - an en dash, on purpose: it is not a minus sign
UNLIMITED = 10_000
_FIGURE = re.compile(r"(?P<sign>-?)(?P<whole>[0-9]+)(?:\.(?P<rest>[0-9]*))?")
_CENTS = 2
_LONGEST_FIGURE = 2 * MOST_DIGITS + len("-.")


@dataclass(frozen=True)
class Column(Generic[T]):
    """One column.

    Attributes:
        title: what stands above it.
        read: takes the text out of an item; None where there is none.
        kind: ``number`` is right aligned, and ``gain`` is a number with a colour for its sign.
        rank: 0 is always shown; of the others the highest goes first where the terminal is too narrow.
    """

    title: str
    read: Callable[[T], object]
    kind: Kind = "text"
    rank: int = 0


def figure(text: str) -> str:
    """Return a number as people read it, exactly: thousands grouped, zeros that say nothing after the cents left out.

    A text that is no plain number comes back as it is.
    """
    found = _FIGURE.fullmatch(text)
    # A longer number is not read anywhere else either, and Python refuses to convert one of 4,301 digits.
    if found is None or len(text) > _LONGEST_FIGURE:
        return text
    rest = found["rest"] or ""
    if rest:
        rest = "." + rest[:_CENTS] + rest[_CENTS:].rstrip("0")
    return f"{found['sign']}{int(found['whole']):,}{rest}"


def cell(value: object, kind: Kind) -> Text:
    """Return what stands in the table for a value: a dash for none, and what has its own style as it is."""
    if isinstance(value, Text):
        return value
    text = "" if value is None else str(value)
    if not text:
        return Text(DASH, style="dim")
    if kind == "text":
        return Text("\n".join(plain(line) for line in text.split("\n")))
    shown = figure(plain(text))
    if kind == "number":
        return Text(shown)
    return Text(shown, style="red" if shown.startswith("-") else "green" if shown.strip("0.,") else "")


def build_table(items: Sequence[T], columns: Sequence[Column[T]]) -> Table:
    """Return the table of these columns."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0, header_style="bold")
    for column in columns:
        table.add_column(
            column.title,
            justify="left" if column.kind == "text" else "right",
            no_wrap=True,
            overflow="crop",
        )
    for item in items:
        table.add_row(*(cell(column.read(item), column.kind) for column in columns))
    return table


def fitting(
    items: Sequence[T],
    columns: Sequence[Column[T]],
    console: Console,
    *,
    indent: int = 0,
) -> tuple[Table, list[str]]:
    """Return the table of the columns for which the console has room, and the titles of the others."""
    room = console.width - indent
    kept, dropped = list(columns), list[str]()
    while True:
        table = build_table(items, kept)
        if Measurement.get(console, console.options.update(max_width=UNLIMITED), table).maximum <= room:
            return table, dropped
        least = max(kept, key=lambda column: column.rank)
        if not least.rank:
            return table, dropped
        kept.remove(least)
        dropped.append(least.title)


def print_table(items: Sequence[T], columns: Sequence[Column[T]]) -> None:
    """Print a table on stdout. Where that is no terminal, there is room for every column."""
    console = Console(width=None if sys.stdout.isatty() else UNLIMITED, highlight=False)
    table, dropped = fitting(items, columns, console)
    with console.capture() as capture:
        # A table that is too wide even so is better broken by the terminal than cut by us.
        console.print(table, crop=False, width=None if dropped or console.width == UNLIMITED else UNLIMITED)
    lines = capture.get().split("\n")
    click.echo("\n".join(line.rstrip() for line in lines), nl=False)
    if dropped:
        titles = ", ".join(reversed(dropped)).lower()
        echo_line(f"Not shown for want of room: {titles}. A wider terminal or --json has them.")
