"""Rounds of a benchmark: the sides run in random order, and a ratio is taken within each round.

So a slow drift of the machine's speed favors no side.
"""

from __future__ import annotations

import argparse
import random
import statistics
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class Row(msgspec.Struct, frozen=True):
    """One row of the table.

    Attributes:
        what: The question, and the two sides that are compared.
        value: The median over the rounds; None if it could not be measured.
        low: The minimum over the rounds.
        high: The maximum over the rounds.
        unit: The unit of these three; "x" for a ratio.
        goal: "at most 1.15", "at least 3", or "" if there is no goal.
        figures: The absolute figures behind it as text, or the reason why there are none.
        has_failed: Whether a side failed that should have been measured.
    """

    what: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = "x"
    goal: str = ""
    figures: str = ""
    has_failed: bool = False

    @property
    def verdict(self) -> str:
        """Whether the goal is met: "yes", "no", "failed", or "" without a goal."""
        if self.has_failed:
            return "failed"
        if self.value is None or not self.goal:
            return ""
        sense, _, limit = self.goal.rpartition(" ")
        met = self.value <= float(limit) if sense == "at most" else self.value >= float(limit)
        return "yes" if met else "no"

    @property
    def spread(self) -> str:
        """The range from the minimum to the maximum."""
        return "" if self.low is None or self.high is None else f"[{number_text(self.low)} .. {number_text(self.high)}]"

    def instead_of(self, what: str, goal: str) -> Row:
        """Return the same row for another question."""
        return msgspec.structs.replace(self, what=what, goal=goal)


def number_text(number: float) -> str:
    """Return a number with as many digits as are worth reading."""
    if number >= 1000:  # noqa: PLR2004 - where thousands begin
        return f"{number:,.0f}"
    return f"{number:.3g}" if number < 1 else f"{number:.4g}"


def row(what: str, values: Sequence[float], *, unit: str = "x", goal: str = "", figures: str = "") -> Row:
    """Return the row for the values of all rounds."""
    median = statistics.median(values)
    return Row(what, median, min(values), max(values), unit=unit, goal=goal, figures=figures)


def failed(what: str, why: str) -> Row:
    """Return the row of a side that failed."""
    return Row(what, figures=f"{what} failed: {why}", has_failed=True)


def ratios(over: Iterable[float], under: Iterable[float]) -> list[float]:
    """Return the ratio of each round."""
    return [above / below for above, below in zip(over, under, strict=True)]


def turns(rounds: int, sides: Iterable[str]) -> Iterator[str]:
    """Yield each side once in each round, in random order."""
    for _ in range(rounds):
        names = list(sides)
        random.shuffle(names)
        yield from names


def parser(question: str, rounds: int = 5) -> argparse.ArgumentParser:
    """Return the options that all benchmarks have."""
    options = argparse.ArgumentParser(description=question)
    options.add_argument("--rounds", type=int, default=rounds)
    options.add_argument("--json", action="store_true", help="one JSON object a line, for the table")
    return options


def show(rows: Iterable[Row], *, as_json: bool) -> None:
    """Print the rows, ratio first."""
    for each in rows:
        if as_json:
            print(msgspec.json.encode(each).decode(), flush=True)
            continue
        value = "-" if each.value is None else f"{number_text(each.value)} {each.unit}"
        print(f"{value:>14} {each.spread:22}{each.what:66} {each.goal:16}{each.verdict:7}{each.figures}", flush=True)
