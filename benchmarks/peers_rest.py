"""What does a request cost, beside what others would use? CPU for each, and memory at its peak, 100 in flight.

    python benchmarks/homes.py .peers
    python benchmarks/peers_rest.py --homes .peers [--rounds 5] [--share 1.0]

Each side is a process of its own on one core, made anew for each turn, and the server one on another. Every side asks
the same server for the same balance, or for a page of 500 orders of like size as its own vendor spells them.
``--share`` scales how often each side asks.
"""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from interleave import Row, failed, parser, ratios, row, show, turns
from processes import FailedError, Spent, server, spent
from venvs import python_of, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processes import Server


class Side(NamedTuple):
    """Who asks, and how often in a turn.

    Attributes:
        home: the environment that it needs, or None for our own.
        script: the program.
        case: what to tell it.
        requests: how often to ask; fewer where each takes long.
    """

    home: str | None
    script: str
    case: str
    requests: int


class Match(NamedTuple):
    """One line of the table: two sides, and what is compared of them."""

    what: str
    over: str
    under: str
    field: str
    goal: str


SIDES = {
    "balance, ours": Side(None, "rest_subject.py", "ours balance", 6000),
    "balance, bare": Side(None, "rest_subject.py", "bare balance", 6000),
    "balance, httpx + pydantic": Side("plain", "peers/ask_plain.py", "httpx balance", 400),
    "balance, requests in threads": Side("plain", "peers/ask_plain.py", "requests balance", 1000),
    "page, ours": Side(None, "rest_subject.py", "ours page", 1000),
    "page, bare": Side(None, "rest_subject.py", "bare page", 1000),
    "page, ours, every number read": Side(None, "rest_subject.py", "ours numbers", 300),
    "page, httpx + pydantic": Side("plain", "peers/ask_plain.py", "httpx page", 100),
    "page, requests in threads": Side("plain", "peers/ask_plain.py", "requests page", 100),
    "page, alpaca-py": Side("alpaca", "peers/ask_alpaca.py", "page", 100),
    "page, tastytrade": Side("tastytrade", "peers/ask_tastytrade.py", "page", 100),
    "page, SnapTrade async": Side("snaptrade", "peers/ask_snaptrade.py", "page", 200),
}
MATCHES = (
    Match("small GET, CPU: ours to bare", "balance, ours", "balance, bare", "cpu", "at most 1.15"),
    Match(
        "small GET, CPU: httpx + pydantic to ours", "balance, httpx + pydantic", "balance, ours", "cpu", "at least 15"
    ),
    Match("small GET, CPU: requests to ours", "balance, requests in threads", "balance, ours", "cpu", "at least 7"),
    Match("500 orders, CPU: ours to bare", "page, ours", "page, bare", "cpu", "at most 1.05"),
    Match("500 orders, CPU: httpx + pydantic to ours", "page, httpx + pydantic", "page, ours", "cpu", ""),
    Match("500 orders, CPU: requests to ours", "page, requests in threads", "page, ours", "cpu", ""),
    Match("500 orders, CPU: alpaca-py to ours", "page, alpaca-py", "page, ours", "cpu", "at least 10"),
    Match("500 orders, CPU: tastytrade to ours", "page, tastytrade", "page, ours", "cpu", "at least 14"),
    Match("500 orders, CPU: SnapTrade async to ours", "page, SnapTrade async", "page, ours", "cpu", "at least 4.5"),
    Match(
        "500 orders, every number read, CPU: httpx + pydantic to ours",
        "page, httpx + pydantic",
        "page, ours, every number read",
        "cpu",
        "at least 3",
    ),
    Match("500 orders, peak memory: ours to alpaca-py", "page, ours", "page, alpaca-py", "peak", "at most 0.5"),
)
# Sides that cost nearly the same run right after one another, or the machine's moods would hide the difference.
TOGETHER = {"balance, bare": "balance, ours", "page, bare": "page, ours", "page, ours, every number read": "page, ours"}
Found = dict[str, list[Spent]]


def order(rounds: int) -> Iterator[str]:
    """Yield each side once a round, in random order but for those that belong together."""
    for leader in turns(rounds, [name for name in SIDES if name not in TOGETHER]):
        group = [leader, *(name for name, other in TOGETHER.items() if other == leader)]
        yield from turns(1, group)


def measure(there: Server, homes: Path | None, rounds: int, share: float) -> tuple[Found, dict[str, Row]]:
    """Return what each side spent in each round, and a line for each that could not be measured."""
    found: Found = defaultdict(list)
    missing: dict[str, Row] = {}
    for name in order(rounds):
        side = SIDES[name]
        python = python_of(homes, side.home) if side.home else Path(sys.executable)
        if name in missing:
            continue
        if python is None:
            missing[name] = Row(name, figures=why_not(homes, side.home or ""))
            continue
        try:
            found[name].append(spent(there, python, side.script, side.case, max(20, int(side.requests * share))))
        except FailedError as error:
            missing[name] = failed(name, str(error))
    return found, missing


def described(name: str, spent: list[Spent], field: str) -> str:
    """Say what one side spent, and which process was busy meanwhile."""
    median = statistics.median(map(attrgetter(field), spent))
    if field == "peak":
        return f"{name} {median / 1e6:.0f} MB"
    busy = statistics.median(each.cpu / each.wall for each in spent)
    served = statistics.median(each.server for each in spent)
    return f"{name} {median * 1e6:,.0f} us, busy {busy:.0%} (server {served * 1e6:,.0f} us)"


def rows(found: Found, missing: dict[str, Row]) -> Iterator[Row]:
    """Yield one line a match."""
    for match in MATCHES:
        absent = next((missing[name] for name in (match.over, match.under) if name in missing), None)
        if absent is not None:
            yield absent.instead_of(match.what, match.goal)
            continue
        over, under = (list(map(attrgetter(match.field), found[name])) for name in (match.over, match.under))
        if not all(under):
            yield Row(match.what, goal=match.goal, figures="this platform does not say how much memory a process held")
            continue
        figures = "; ".join(described(name, found[name], match.field) for name in (match.over, match.under))
        yield row(match.what, ratios(over, under), goal=match.goal, figures=figures)


def main() -> None:
    """Start the server, measure, and print."""
    options = parser("CPU and memory of each request, beside the peers.")
    options.add_argument("--homes", type=Path, help="where homes.py put the peers")
    options.add_argument("--share", type=float, default=1.0)
    chosen = options.parse_args()
    with server("load_server.py") as there:
        found, missing = measure(there, chosen.homes, chosen.rounds, chosen.share)
    show(rows(found, missing), as_json=chosen.json)


if __name__ == "__main__":
    main()
