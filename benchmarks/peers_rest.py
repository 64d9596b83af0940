"""What does a request cost, beside other clients? CPU for each, and peak memory, 100 in flight.

    python benchmarks/venvs.py .peers
    python benchmarks/peers_rest.py --homes .peers [--rounds 5] [--share 1.0]

Each side is a new process on one core for each turn, and the server a process on another. All sides read the same
balance from the same server, or a page of 500 orders of similar size in the format of their own vendor. ``--share``
scales the number of requests.
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
    """One side, and its requests in a turn.

    Attributes:
        home: The environment that it needs, or None for the project's own.
        script: The program.
        case: The argument of the program.
        requests: The number of requests; fewer if each takes long.
    """

    home: str | None
    script: str
    case: str
    requests: int


class Match(NamedTuple):
    """One row of the table: two sides, and the field that is compared."""

    what: str
    over: str
    under: str
    field: str
    goal: str


SIDES = {
    "balance, ours": Side(None, "rest_subject.py", "ours balance", 6000),
    "balance, bare": Side(None, "rest_subject.py", "bare balance", 6000),
    "balance, httpx + pydantic": Side("plain", "peers/rest_plain.py", "httpx balance", 400),
    "balance, requests in threads": Side("plain", "peers/rest_plain.py", "requests balance", 1000),
    "page, ours": Side(None, "rest_subject.py", "ours page", 1000),
    "page, bare": Side(None, "rest_subject.py", "bare page", 1000),
    "page, ours, every number read": Side(None, "rest_subject.py", "ours numbers", 300),
    "page, httpx + pydantic": Side("plain", "peers/rest_plain.py", "httpx page", 100),
    "page, requests in threads": Side("plain", "peers/rest_plain.py", "requests page", 100),
    "page, alpaca-py": Side("alpaca", "peers/rest_alpaca.py", "page", 100),
    "page, tastytrade": Side("tastytrade", "peers/rest_tastytrade.py", "page", 100),
    "page, SnapTrade async": Side("snaptrade", "peers/rest_snaptrade.py", "page", 200),
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
# Sides with nearly the same cost run one right after the other, because the machine's speed drifts.
TOGETHER = {"balance, bare": "balance, ours", "page, bare": "page, ours", "page, ours, every number read": "page, ours"}
Found = dict[str, list[Spent]]


def order(rounds: int) -> Iterator[str]:
    """Yield each side once in each round, in random order but for the sides that belong together."""
    for first in turns(rounds, [name for name in SIDES if name not in TOGETHER]):
        group = [first, *(name for name, other in TOGETHER.items() if other == first)]
        yield from turns(1, group)


def measure(rest: Server, homes: Path | None, rounds: int, share: float) -> tuple[Found, dict[str, Row]]:
    """Return the costs of each side and round, and a row for each side that could not be measured."""
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
            found[name].append(spent(rest, python, side.script, side.case, max(20, int(side.requests * share))))
        except FailedError as error:
            missing[name] = failed(name, str(error))
    return found, missing


def described(name: str, spent: list[Spent], field: str) -> str:
    """Return the cost of one side as text, and how busy both processes were."""
    median = statistics.median(map(attrgetter(field), spent))
    if field == "peak":
        return f"{name} {median / 1e6:.0f} MB"
    busy = statistics.median(each.cpu / each.wall for each in spent)
    served = statistics.median(each.server for each in spent)
    return f"{name} {median * 1e6:,.0f} us, busy {busy:.0%} (server {served * 1e6:,.0f} us)"


def rows(found: Found, missing: dict[str, Row]) -> Iterator[Row]:
    """Yield one row for each match."""
    for match in MATCHES:
        absent = next((missing[name] for name in (match.over, match.under) if name in missing), None)
        if absent is not None:
            yield absent.instead_of(match.what, match.goal)
            continue
        over, under = (list(map(attrgetter(match.field), found[name])) for name in (match.over, match.under))
        if not all(under):
            yield Row(match.what, goal=match.goal, figures="this platform does not report the memory of a process")
            continue
        figures = "; ".join(described(name, found[name], match.field) for name in (match.over, match.under))
        yield row(match.what, ratios(over, under), goal=match.goal, figures=figures)


def main() -> None:
    """Start the server, measure, and print."""
    options = parser("CPU and memory of each request, beside the peers.")
    options.add_argument("--homes", type=Path, help="the folder that venvs.py made")
    options.add_argument("--share", type=float, default=1.0)
    chosen = options.parse_args()
    with server("load_server.py") as rest:
        found, missing = measure(rest, chosen.homes, chosen.rounds, chosen.share)
    show(rows(found, missing), as_json=chosen.json)


if __name__ == "__main__":
    main()
