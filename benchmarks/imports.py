"""How much longer than an empty interpreter does ``import connecttrade_async`` take to start?

    python benchmarks/imports.py [--rounds 15]

An interpreter is started for each turn of each side, and the time until its end is compared.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from interleave import parser, row, show, turns
from processes import pin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interleave import Row

SIDES = {
    "empty": "pass",
    "ours": "import connecttrade_async",
    "our client": "from connecttrade_async import ConnectTrade",
    "aiohttp": "import aiohttp",
}
GOALS = {"ours": "at most 60"}


def start(program: str) -> float:
    """Return the seconds that an interpreter takes to run a program."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)  # noqa: S603 - our own programs
    return time.perf_counter() - began


def rows(found: dict[str, list[float]]) -> Iterator[Row]:
    """Yield a row for each import."""
    empty = statistics.median(found["empty"]) * 1e3
    for name, program in SIDES.items():
        if name == "empty":
            continue
        more = [(with_it - without) * 1e3 for with_it, without in zip(found[name], found["empty"], strict=True)]
        figures = f"an empty interpreter takes {empty:.0f} ms"
        yield row(f"{program}, more than nothing", more, unit="ms", goal=GOALS.get(name, ""), figures=figures)


def main() -> None:
    """Measure, and print."""
    chosen = parser("Time to import.", rounds=15).parse_args()
    pin(0, last=False)
    for program in SIDES.values():
        start(program)  # writes the compiled files
    found: dict[str, list[float]] = defaultdict(list)
    for name in turns(chosen.rounds, SIDES):
        found[name].append(start(SIDES[name]))
    show(rows(found), as_json=chosen.json)


if __name__ == "__main__":
    main()
