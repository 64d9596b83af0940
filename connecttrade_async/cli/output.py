"""The front door: what goes to stdout. A table for people, or one JSON object a line for programs.

Its vow: in JSON a number is the wire's own text, and no secret is in anything that passes here. A model that holds
one cannot be encoded, so forgetting it is an error and never a leak.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, cast

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from connecttrade_async.amounts import MOST_DIGITS
from connecttrade_async.models import Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = [
    "Column",
    "announce",
    "build_table",
    "cell",
    "echo_line",
    "escaped",
    "figure",
    "fitting",
    "plain",
    "print_items",
    "print_object",
    "print_objects",
    "print_table",
]

T = TypeVar("T")


def plain(text: str) -> str:
    """Return a text on one line without what could steer a terminal: it may come from the other side."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def escaped(text: str) -> str:
    """Return a line of JSON that reads the same, without a character that could steer a terminal."""
    if text.isprintable():
        return text
    # JSON's own escapes end below the space; C1 controls and changes of direction lie above it.
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)


def echo_line(text: str) -> None:
    """Say a sentence, broken between words where a terminal shows it."""
    text = "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)
    click.echo(_broken(text) if sys.stderr.isatty() else text, err=True)


def announce(text: str) -> None:
    """Say on stdout in one sentence what was done, broken between words where a terminal shows it."""
    click.echo(_broken(plain(text)) if sys.stdout.isatty() else plain(text))


def _broken(text: str) -> str:
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


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
    """Format a value for a table: a dash for no value, a line for each item of a tuple; a ``Text`` stays as it is.

    A line break inside a value is a space, so that no text of the server begins a row of its own.
    """
    if isinstance(value, Text):
        return value
    if isinstance(value, tuple):
        lines = cast("tuple[object, ...]", value)
        return Text("\n").join(cell(line, kind) for line in lines) if lines else cell(None, kind)
    text = "" if value is None else str(value)
    if not text:
        return Text(DASH, style="dim")
    if kind == "text":
        return Text(plain(text))
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


def print_object(item: object) -> None:
    """Print one thing as one line of JSON, and let whoever reads it have it at once."""
    click.echo(escaped(msgspec.json.encode(item, enc_hook=_refuse).decode()))


def print_objects(items: Iterable[object]) -> None:
    """Print things as JSON, one a line."""
    for item in items:
        print_object(_merged(item) if isinstance(item, Connection) else item)


def print_items(items: Sequence[T], columns: Sequence[Column[T]], *, as_json: bool, none: str) -> None:
    """Print what was found.

    Args:
        items: what was found.
        columns: what people see of it.
        as_json: whether a program reads.
        none: what people are told where nothing was found.
    """
    if as_json:
        print_objects(items)
    elif items:
        print_table(items, columns)
    else:
        echo_line(none)


def _merged(connection: Connection) -> object:
    """Spell a connection one way, whichever the wire took."""
    return {
        "connection_id": connection.connection_id,
        "broker": connection.broker,
        "connection_type": connection.connection_type,
        "status": connection.status,
        "accounts": connection.accounts,
    }


def _refuse(value: object) -> object:
    msg = f"{type(value).__name__} is not for output"
    raise NotImplementedError(msg)
