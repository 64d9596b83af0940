"""How much memory do 100,000 orders take? Bytes for each, and a full garbage collection, beside pydantic.

    python benchmarks/venvs.py .peers
    python benchmarks/memory_orders.py --homes .peers [--rounds 5] [--orders 100000]

Each side is a process of its own that reads pages of 500 until it holds all orders. Bytes are the growth of the
process.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from interleave import Row, failed, parser, ratios, row, show, turns
from processes import HERE, FailedError, run
from venvs import python_of, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDES = {"ours": (None, "orders_subject.py"), "pydantic": ("plain", "peers/memory_plain.py")}
Found = dict[str, list[dict[str, float]]]


def measure(homes: Path | None, rounds: int, orders: int) -> tuple[Found, Row | None]:
    """Return the results of each side and round, and a row for the peer if it could not be measured."""
    found: Found = defaultdict(list)
    absent: Row | None = None
    for name in turns(rounds, SIDES):
        home, script = SIDES[name]
        python = python_of(homes, home) if home else Path(sys.executable)
        if python is None:
            absent = Row(name, figures=why_not(homes, home or ""))
            continue
        try:
            found[name].append(run([str(python), str(HERE / script), "-", "orders", str(orders)]))
        except FailedError as error:
            if name == "ours":
                raise
            absent = failed(name, str(error))
    return found, absent


def rows(found: Found, absent: Row | None, orders: int) -> Iterator[Row]:
    """Yield a row for each goal."""
    what = f"{orders:,} orders held"
    ours = [each["bytes"] for each in found["ours"]]
    collections = [each["collection"] * 1e3 for each in found["ours"]]
    yield row(f"{what}, each", ours, unit="B", goal="at most 2600")
    if absent is not None:
        yield absent.instead_of(f"{what}, memory: ours to pydantic", "at most 0.6")
    else:
        theirs = [each["bytes"] for each in found["pydantic"]]
        figures = f"pydantic {sorted(theirs)[len(theirs) // 2]:,.0f} B each"
        yield row(f"{what}, memory: ours to pydantic", ratios(ours, theirs), goal="at most 0.6", figures=figures)
    beside = sorted(each["collection"] * 1e3 for each in found["pydantic"])
    figures = absent.figures if absent is not None else f"pydantic {beside[len(beside) // 2]:,.0f} ms"
    yield row(f"{what}, a full garbage collection", collections, unit="ms", goal="at most 10", figures=figures)


def main() -> None:
    """Measure, and print."""
    options = parser("Bytes for each order held, and a full garbage collection.")
    options.add_argument("--homes", type=Path, help="the folder that venvs.py made")
    options.add_argument("--orders", type=int, default=100_000)
    chosen = options.parse_args()
    found, absent = measure(chosen.homes, chosen.rounds, chosen.orders)
    show(rows(found, absent, chosen.orders), as_json=chosen.json)


if __name__ == "__main__":
    main()
