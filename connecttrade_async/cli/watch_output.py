"""Print the updates of watched books, as lines for people or JSON objects for programs.

A book that is not current is reported before the changes, and a book that is current again after them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import click
from rich.console import Console

from connecttrade_async.cli.event_text import book_object, book_state_line, change_line, change_object
from connecttrade_async.cli.output import echo_line, plain, print_object
from connecttrade_async.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from rich.text import Text

    from connecttrade_async.books.book import Book
    from connecttrade_async.books.changes import Change
    from connecttrade_async.cli.watch_state import WatchState, WatchUpdate

__all__ = ["JsonWatchOutput", "TextWatchOutput", "WatchOutput"]

CLOCK = SystemClock()


class WatchOutput(Protocol):
    """Prints updates of watched books."""

    def is_printed(self, change: Change) -> bool:
        """Return whether a change is printed in this format."""
        ...

    def print(self, update: WatchUpdate) -> None:
        """Print an update: stale books, changes, then current books."""
        ...


class JsonWatchOutput:
    """Prints JSON objects: first each whole book, then its changes."""

    def __init__(self, state: WatchState) -> None:
        self._state = state

    def is_printed(self, change: Change) -> bool:  # noqa: ARG002 - the lines for people select by it
        """Return True: programs get every change."""
        return True

    def print(self, update: WatchUpdate) -> None:
        """Print an object for each book and change."""
        now = CLOCK.wall()
        for book in update.stale:
            print_object({**_state_object("not_current", book, now), "cause": self._state.stream_problem})
        for change in update.changes:
            print_object(change_object(change, now))
        if update.dropped:
            print_object({"type": "gap", "time": now, "dropped": update.dropped})
        for book in update.fresh:
            print_object(book_object(book, now))
        for book in update.current:
            print_object(_state_object("current", book, now))
        if update.failure:
            print_object({"type": "failed", "time": now, "cause": update.failure})


def _state_object(kind: str, book: Book, now: datetime) -> dict[str, object]:
    return {"type": kind, "user_id": book.user_id, "account_id": book.account_id, "time": now}


class TextWatchOutput:
    """Prints lines: changes and whether books are current on stdout, failures on stderr."""

    def __init__(self, state: WatchState) -> None:
        self._state = state
        self._console = Console(highlight=False)
        self._has_printed = False

    def is_printed(self, change: Change) -> bool:
        """Return whether a change is more than a new price."""
        return change.is_material

    def print(self, update: WatchUpdate) -> None:
        """Print a line for each book and change."""
        self._print_states(update.stale, f"is not current: {self._state.stream_problem or 'it is being read again'}")
        for change in update.changes:
            self._print(change_line(change, self._state.name(change.account_id), CLOCK.wall()))
        if update.dropped:
            echo_line(f"{update.dropped} changes were dropped; the books include them.")
        self._print_states(update.current, "is current again")
        if update.failure:
            echo_line(f"A read failed and will be retried: {plain(update.failure)}.")
        if not self._has_printed:
            self._has_printed = True
            names = ", ".join(self._state.name(book.account_id) for book in update.fresh)
            echo_line(f"Watching {plain(names) or 'no account yet'}. Ctrl-C ends it.")
        elif not update.dropped:
            self._print_states(update.fresh, "is watched now")
        self._print_states(
            [book for book in update.fresh if not book.is_current], "is not current: it was not read yet"
        )

    def _print_states(self, books: Iterable[Book], state: str) -> None:
        for book in books:
            self._print(book_state_line(state, self._state.name(book.account_id), CLOCK.wall()))

    def _print(self, text: Text) -> None:
        with self._console.capture() as capture:
            self._console.print(text, soft_wrap=True)
        click.echo(capture.get(), nl=False)
