"""The front door: what goes to stdout. A table for people, or one JSON object a line for programs.

Its vow: in JSON a number is the wire's own text, and no secret is in anything that passes here. A model that holds
one cannot be encoded, so forgetting it is an error and never a leak.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import click
import msgspec

from connecttrade_async.cli.tables import Column, print_table
from connecttrade_async.cli.telling import echo_line, escaped
from connecttrade_async.models import Connection

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["print_items", "print_object", "print_objects"]

T = TypeVar("T")


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
