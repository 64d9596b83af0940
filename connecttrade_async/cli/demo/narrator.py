"""The front door: where the demo is told. Chapters, lines of code, facts and tables, indented alike."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from rich.padding import Padding
from rich.text import Text

from connecttrade_async.cli.output import Column, fitting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType

__all__ = ["INDENT", "LogEcho", "Narrator"]

T = TypeVar("T")
INDENT = 4


class Narrator:
    """Where the story is told.

    Args:
        console: what it is told on.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._chapter = 0

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        self._chapter += 1
        self.console.print()
        self.console.print(Text.assemble((f"{self._chapter:>2}  ", "bold cyan"), (title, "bold")))

    def code(self, line: str) -> None:
        """Show a line of code that is about to run."""
        self._indented(Text(f">>> {line}", style="cyan"))

    def fact(self, line: str, style: str = "") -> None:
        """Tell what came of it."""
        self._indented(Text(line, style=style))

    def table(self, items: Sequence[T], columns: Sequence[Column[T]]) -> None:
        """Show some of what came."""
        table, _ = fitting(items, columns, self.console, indent=INDENT)
        self._indented(table)

    def _indented(self, what: RenderableType) -> None:
        self.console.print(Padding(what, (0, 0, 0, INDENT), expand=False))


class LogEcho(logging.Handler):
    """Reads the library's own log aloud, for as long as the block lasts.

    Args:
        stage: where to.
    """

    def __init__(self, stage: Narrator) -> None:
        super().__init__(logging.INFO)
        self._stage = stage
        self._log = logging.getLogger("connecttrade_async")
        self._level = self._log.level

    def emit(self, record: logging.LogRecord) -> None:
        """Read one line."""
        self._stage.fact(f"log: {record.getMessage()}", "yellow")

    def __enter__(self) -> None:
        self._log.addHandler(self)
        self._log.setLevel(logging.INFO)

    def __exit__(self, *_: object) -> None:
        self._log.setLevel(self._level)
        self._log.removeHandler(self)
