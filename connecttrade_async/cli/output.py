"""Print tables for people, or JSON for programs, one object a line.

JSON holds numbers as the text of the wire. No secret is printed: a model that holds one cannot be encoded.
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
    "fit_table",
    "plain",
    "print_items",
    "print_object",
    "print_objects",
    "print_table",
]

T = TypeVar("T")


def plain(text: str) -> str:
    """Return a text on one line, with a space for each control character: the server may have written it."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def escaped(text: str) -> str:
    """Return an equal line of JSON in which every control character is escaped."""
    if text.isprintable():
        return text
    # The encoder escapes only what is below the space; C1 controls and bidirectional marks are above it.
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)


def echo_line(text: str) -> None:
    """Print a sentence on stderr, wrapped between words on a terminal."""
    text = "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)
    click.echo(_wrapped(text) if sys.stderr.isatty() else text, err=True)


def announce(text: str) -> None:
    """Print a sentence on stdout, wrapped between words on a terminal."""
    click.echo(_wrapped(plain(text)) if sys.stdout.isatty() else plain(text))


def _wrapped(text: str) -> str:
    width = shutil.get_terminal_size().columns
    # A command or an id that is broken across lines cannot be copied.
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


Kind = Literal["text", "number", "gain"]
DASH = "–"  # noqa: RUF001 - an en dash, on purpose: it is not a minus sign
UNLIMITED = 10_000
_FIGURE = re.compile(r"(?P<sign>-?)(?P<whole>[0-9]+)(?:\.(?P<rest>[0-9]*))?")
_CENTS = 2
_LONGEST_FIGURE = 2 * MOST_DIGITS + len("-.")


@dataclass(frozen=True)
class Column(Generic[T]):
    """One column of a table.

    Attributes:
        title: the text of its header.
        read: reads the value of an item; None for no value.
        kind: ``number`` is right aligned; ``gain`` is a number with a color for its sign.
        rank: 0 is always shown. On a narrow terminal the column of the highest rank is left out first.
    """

    title: str
    read: Callable[[T], object]
    kind: Kind = "text"
    rank: int = 0


def figure(text: str) -> str:
    """Format a number exactly: group thousands, and drop trailing zeros after the cents.

    A text that is not a plain number is returned unchanged.
    """
    found = _FIGURE.fullmatch(text)
    # Longer numbers are refused everywhere, and Python does not convert one of 4,301 digits.
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
    """Build a table of all columns."""
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


def fit_table(
    items: Sequence[T],
    columns: Sequence[Column[T]],
    console: Console,
    *,
    indent: int = 0,
) -> tuple[Table, list[str]]:
    """Build a table of the columns that fit the console, and return the titles of the other columns with it."""
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
    """Print a table on stdout; a file or pipe gets every column."""
    console = Console(width=None if sys.stdout.isatty() else UNLIMITED, highlight=False)
    table, dropped = fit_table(items, columns, console)
    with console.capture() as capture:
        # If even the columns of rank 0 do not fit, the terminal wraps the lines, and no value is cut.
        console.print(table, crop=False, width=None if dropped or console.width == UNLIMITED else UNLIMITED)
    lines = capture.get().split("\n")
    click.echo("\n".join(line.rstrip() for line in lines), nl=False)
    if dropped:
        titles = ", ".join(reversed(dropped)).lower()
        echo_line(f"Not shown for lack of width: {titles}. A wider terminal or --json has them.")


def print_object(item: object) -> None:
    """Print an object as one line of JSON, and flush it."""
    click.echo(escaped(msgspec.json.encode(item, enc_hook=_refuse).decode()))


def print_objects(items: Iterable[object]) -> None:
    """Print objects as JSON, one a line."""
    for item in items:
        print_object(_merged(item) if isinstance(item, Connection) else item)


def print_items(items: Sequence[T], columns: Sequence[Column[T]], *, as_json: bool, none: str) -> None:
    """Print a list, as a table or as JSON.

    Args:
        items: the list.
        columns: the columns of the table.
        as_json: whether to print JSON.
        none: the sentence for an empty list; JSON prints nothing then.
    """
    if as_json:
        print_objects(items)
    elif items:
        print_table(items, columns)
    else:
        echo_line(none)


def _merged(connection: Connection) -> object:
    """Return a connection with the same keys, whichever of two forms the wire used."""
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
