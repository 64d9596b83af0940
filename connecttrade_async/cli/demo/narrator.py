"""Print the demo: chapters, lines of code, facts and tables."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from rich.padding import Padding
from rich.text import Text

from connecttrade_async.cli.output import Column, fit_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType

__all__ = ["INDENT", "LogEcho", "Narrator"]

T = TypeVar("T")
INDENT = 4


class Narrator:
    """Prints the demo.

    Args:
        console: where to print.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._chapter = 0

    def chapter(self, title: str) -> None:
        """Print the title of a chapter."""
        self._chapter += 1
        self.console.print()
        self.console.print(Text.assemble((f"{self._chapter:>2}  ", "bold cyan"), (title, "bold")))

    def code(self, line: str) -> None:
        """Print a line of code that runs next."""
        self._indented(Text(f">>> {line}", style="cyan"))

    def fact(self, line: str, style: str = "") -> None:
        """Print a result."""
        self._indented(Text(line, style=style))

    def table(self, items: Sequence[T], columns: Sequence[Column[T]]) -> None:
        """Print a table of results."""
        table, _ = fit_table(items, columns, self.console, indent=INDENT)
        self._indented(table)

    def _indented(self, what: RenderableType) -> None:
        self.console.print(Padding(what, (0, 0, 0, INDENT), expand=False))


class LogEcho(logging.Handler):
    """Prints the log of the client inside a ``with`` block.

    Args:
        narrator: where to print.
    """

    def __init__(self, narrator: Narrator) -> None:
        super().__init__(logging.INFO)
        self._stage = narrator
        self._log = logging.getLogger("connecttrade_async")
        self._level = self._log.level

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        self._stage.fact(f"log: {record.getMessage()}", "yellow")

    def __enter__(self) -> None:
        self._log.addHandler(self)
        self._log.setLevel(logging.INFO)

    def __exit__(self, *_: object) -> None:
        self._log.setLevel(self._level)
        self._log.removeHandler(self)
