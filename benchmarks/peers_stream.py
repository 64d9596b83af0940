"""How many stream messages a second, beside the peers' streams? Each on its own vendor's messages, of similar size.

    python benchmarks/venvs.py .peers
    python benchmarks/peers_stream.py --homes .peers [--rounds 5] [--messages 20000]

Each side is a new process on one core for each turn, and the feeder a process on another. All sides do the same work:
count typed events, from the first to the last. The feeder uses a fraction of the CPU of any side, so each side is as
fast as its own process. Messages for each CPU second are compared, which other load on the machine does not change. On
an idle machine "busy" is near 100 %.
"""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from interleave import Row, failed, parser, ratios, row, show, turns
from processes import FailedError, Spent, server, spent
from vendor_feeder import VENDORS
from venvs import python_of, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processes import Server


class Side(NamedTuple):
    """One side.

    Attributes:
        home: The environment that it needs, or None for the project's own.
        script: The program.
        case: The argument of the program.
        vendor: The vendor that the feeder imitates.
        goal: How much faster ours should be.
        beside: Which of our sides it is compared with.
    """

    home: str | None
    script: str
    case: str
    vendor: str
    goal: str = ""
    beside: str = "ours"


OURS = ("ours", "our quotes")
SIDES = {
    "ours": Side(None, "stream_subject.py", "orders", "ours"),
    "our quotes": Side(None, "stream_subject.py", "quotes", "ours-quotes"),
    "alpaca-py TradingStream": Side("alpaca", "peers/stream_alpaca.py", "orders", "alpaca", "at least 3"),
    "tastytrade AlertStreamer": Side("tastytrade", "peers/stream_tastytrade.py", "orders", "tastytrade", "at least 8"),
    "alpaca-py StockDataStream": Side(
        "alpaca", "peers/stream_alpaca.py", "quotes", "alpaca-quotes", "at least 2.5", "our quotes"
    ),
}
Found = dict[str, list[Spent]]


def measure(feeder: Server, homes: Path | None, rounds: int, messages: int) -> tuple[Found, dict[str, Row]]:
    """Return the costs of each side and round, and a row for each side that could not be measured."""
    found: Found = defaultdict(list)
    missing: dict[str, Row] = {}
    for name in turns(rounds, SIDES):
        side = SIDES[name]
        python = python_of(homes, side.home) if side.home else Path(sys.executable)
        if name in missing:
            continue
        if python is None:
            missing[name] = Row(name, figures=why_not(homes, side.home or ""))
            continue
        feeder.order(f"{side.vendor} {messages}")
        try:
            found[name].append(spent(feeder, python, side.script, side.case, messages))
        except FailedError as error:
            missing[name] = failed(name, str(error))
    return found, missing


def described(name: str, spent: list[Spent]) -> str:
    """Return the speed of one side as text, and how busy both processes were."""
    speed = statistics.median(1 / each.cpu for each in spent)
    busy = statistics.median(each.cpu / each.wall for each in spent)
    fed = statistics.median(each.server for each in spent)
    vendor = VENDORS[SIDES[name].vendor]
    size = len(vendor.encode(vendor.message(0)))
    return f"{name} {speed:,.0f}/s of {size} B, busy {busy:.0%} (feeder {fed * 1e6:.1f} us)"


def rows(found: Found, missing: dict[str, Row]) -> Iterator[Row]:
    """Yield one row for each of ours, and one for each peer."""
    for name in OURS:
        if name not in missing:
            speeds = [1 / each.cpu for each in found[name]]
            yield row(f"stream messages a second: {name}", speeds, unit="/s", figures=described(name, found[name]))
    for name, side in SIDES.items():
        if name in OURS:
            continue
        what, goal = f"stream messages a second: {side.beside} to {name}", side.goal
        absent = next((missing[each] for each in (name, side.beside) if each in missing), None)
        if absent is not None:
            yield absent.instead_of(what, goal)
        else:
            theirs, ours = ([each.cpu for each in found[which]] for which in (name, side.beside))
            figures = f"{described(side.beside, found[side.beside])}; {described(name, found[name])}"
            yield row(what, ratios(theirs, ours), goal=goal, figures=figures)


def main() -> None:
    """Start the feeder, measure, and print."""
    options = parser("Stream messages a second, beside the peers' streams.")
    options.add_argument("--homes", type=Path, help="the folder that venvs.py made")
    options.add_argument("--messages", type=int, default=20_000)
    chosen = options.parse_args()
    with server("vendor_feeder.py") as feeder:
        found, missing = measure(feeder, chosen.homes, chosen.rounds, chosen.messages)
    show(rows(found, missing), as_json=chosen.json)


if __name__ == "__main__":
    main()
