"""How much memory do 10,000 users with live accounts take? Bytes for each, and a full garbage collection.

    python benchmarks/memory_live.py [--rounds 3] [--users 10000]

Each user has an account with 20 positions and 5 open orders, and a handle, ``ct.user(...)``. They are read over REST
from another process, and followed with one stream. Bytes are the growth of the process.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from interleave import parser, row, show
from processes import HERE, run, server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interleave import Row


def measure(rounds: int, users: int) -> list[dict[str, float]]:
    """Return the results of each round."""
    found: list[dict[str, float]] = []
    with server("account_server.py") as rest, server("account_feeder.py") as feeder:
        for _ in range(rounds):
            feeder.order("mixed 0")
            found.append(run([sys.executable, str(HERE / "live_subject.py"), rest.url, feeder.url, str(users)]))
            feeder.order("go")
            feeder.order("bye")
    return found


def rows(found: list[dict[str, float]], users: int) -> Iterator[Row]:
    """Yield a row for each goal."""
    what = f"{users:,} users held live"
    sizes = [each["bytes"] / 1000 for each in found]
    collections = [each["collection"] * 1e3 for each in found]
    yield row(f"{what}, each", sizes, unit="KB", goal="at most 45", figures="20 positions, 5 open orders")
    yield row(f"{what}, a full garbage collection", collections, unit="ms", goal="at most 25")


def main() -> None:
    """Measure, and print."""
    options = parser("Memory for each user held live, and a full garbage collection.")
    options.add_argument("--users", type=int, default=10_000)
    chosen = options.parse_args()
    show(rows(measure(chosen.rounds, chosen.users), chosen.users), as_json=chosen.json)


if __name__ == "__main__":
    main()
