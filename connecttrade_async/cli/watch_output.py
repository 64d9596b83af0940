"""The front door: what watched books have to tell, as lines for people or objects for programs.

Its vow: what is not current is told to be so before anything that changed, and what is again, after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import click
from rich.console import Console

from connecttrade_async.cli.event_text import change_line, spelled_book, spelled_change, turn_line
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
    """Where news is told."""

    def is_printed(self, change: Change) -> bool:
        """Say whether a change is told here."""
        ...

    def print(self, news: WatchUpdate) -> None:
        """Tell news, in the order in which it counts."""
        ...


class JsonWatchOutput:
    """Objects for programs: first each book whole, then what becomes of it."""

    def __init__(self, vigil: WatchState) -> None:
        self._vigil = vigil

    def is_printed(self, change: Change) -> bool:  # noqa: ARG002 - lines choose by it
        """Programs are told everything."""
        return True

    def print(self, news: WatchUpdate) -> None:
        """Print an object for each thing."""
        now = CLOCK.wall()
        for book in news.stale:
            print_object({**_turned("not_current", book, now), "cause": self._vigil.trouble})
        for change in news.changes:
            print_object(spelled_change(change, now))
        if news.dropped:
            print_object({"type": "gap", "time": now, "dropped": news.dropped})
        for book in news.fresh:
            print_object(spelled_book(book, now))
        for book in news.current:
            print_object(_turned("current", book, now))
        if news.failure:
            print_object({"type": "failed", "time": now, "cause": news.failure})


def _turned(kind: str, book: Book, now: datetime) -> dict[str, object]:
    return {"type": kind, "user_id": book.user_id, "account_id": book.account_id, "time": now}


class TextWatchOutput:
    """Lines for people: what changed on stdout, also whether it is current, and aside what becomes of the link."""

    def __init__(self, vigil: WatchState) -> None:
        self._vigil = vigil
        self._console = Console(highlight=False)
        self._has_begun = False

    def is_printed(self, change: Change) -> bool:
        """People are told what matters."""
        return change.is_material

    def print(self, news: WatchUpdate) -> None:
        """Print a line for each thing."""
        self._turn(news.stale, f"is not current: {self._vigil.trouble or 'it is read again'}")
        for change in news.changes:
            self._print(change_line(change, self._vigil.name(change.account_id), CLOCK.wall()))
        if news.dropped:
            echo_line(f"{news.dropped} changes were too many to tell.")
        self._turn(news.current, "is current again")
        if news.failure:
            echo_line(f"Not read, to be tried again: {plain(news.failure)}.")
        if not self._has_begun:
            self._has_begun = True
            names = ", ".join(self._vigil.name(book.account_id) for book in news.fresh)
            echo_line(f"Watching {plain(names) or 'no account yet'}. Ctrl-C ends it.")
        elif not news.dropped:
            self._turn(news.fresh, "is watched now")
        self._turn([book for book in news.fresh if not book.is_current], "is not current: it was not read yet")

    def _turn(self, books: Iterable[Book], words: str) -> None:
        for book in books:
            self._print(turn_line(words, self._vigil.name(book.account_id), CLOCK.wall()))

    def _print(self, text: Text) -> None:
        with self._console.capture() as capture:
            self._console.print(text, soft_wrap=True)
        click.echo(capture.get(), nl=False)
