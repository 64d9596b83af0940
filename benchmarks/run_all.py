"""All benchmarks, one after another, as one table.

    python benchmarks/run_all.py [--homes .peers] [--only rest.py] [--quick] [--markdown]

``--quick`` checks that all benchmarks run: it makes each too small for its figures to mean anything. A benchmark or a
peer that fails has a row with the reason, the others go on, and the exit status is 1. A missed goal is not a failure.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from interleave import Row, failed, number_text

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent


class Bench(NamedTuple):
    """One benchmark.

    Attributes:
        script: The file.
        quick: Options that make it small.
        has_peers: Whether it takes the folder of the peers.
    """

    script: str
    quick: str
    has_peers: bool = False


BENCHES = (
    Bench("rest.py", "--rounds 1 --requests 200"),
    Bench("peers_rest.py", "--rounds 1 --share 0.01", has_peers=True),
    Bench("fairness.py", "--rounds 1 --requests 600 --workers 200"),
    Bench("poller.py", "--rounds 1 --polls 300 --users 100"),
    Bench("memory_orders.py", "--rounds 1 --orders 1000", has_peers=True),
    Bench("imports.py", "--rounds 1"),
    Bench("stream.py", "--rounds 1 --messages 4000"),
    Bench("delay.py", "--rounds 1 --messages 500"),
    Bench("live.py", "--rounds 1 --updates 500"),
    Bench("memory_live.py", "--rounds 1 --users 100"),
    Bench("resync.py", "--rounds 1 --users 100"),
    Bench("relay.py", "--rounds 1 --messages 200 --appends 1024 --lease 0.6"),
    Bench("market.py", "--rounds 1 --messages 2000"),
    Bench("peers_stream.py", "--rounds 1 --messages 500", has_peers=True),
)
TIMEOUT = 1800  # seconds for one benchmark


def rows(bench: Bench, options: list[str]) -> Iterator[Row]:
    """Run one benchmark; yield its rows and, if it fails, one more with the reason."""
    command = [sys.executable, str(HERE / bench.script), *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT)  # noqa: S603 - our own files
    except subprocess.TimeoutExpired:
        yield failed(bench.script, f"not done within {TIMEOUT} s")
        return
    try:
        found = [msgspec.json.decode(line, type=Row) for line in done.stdout.splitlines()]
    except msgspec.MsgspecError as error:
        yield failed(bench.script, f"it printed something other than a row: {error}")
        return
    yield from found
    if done.returncode:
        yield failed(bench.script, (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1])
    elif not found:
        yield failed(bench.script, "it printed nothing")


def options_of(bench: Bench, homes: Path | None, *, quick: bool) -> list[str]:
    """Return what to call a benchmark with."""
    return [
        "--json",
        *(["--homes", str(homes)] if bench.has_peers and homes else []),
        *(bench.quick.split() if quick else []),
    ]


def heading() -> str:
    """Say when, on what Python, and on what kind of machine."""
    today = datetime.now(UTC).date()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{today}, {python}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def as_markdown(row: Row) -> str:
    """Return a line of the table in the README."""
    value = "-" if row.value is None else f"{number_text(row.value)} {row.unit}".strip()
    return f"| {value} | {row.spread} | {row.what} | {row.goal} | {row.verdict} | {row.figures} |"


def as_text(row: Row) -> str:
    """Return a line for a terminal."""
    value = "-" if row.value is None else f"{number_text(row.value)} {row.unit}".strip()
    return f"{value:>12}  {row.spread:18}  {row.what:66}  {row.goal:12}  {row.verdict:6}  {row.figures}"


def main() -> int:
    """Run all, and print each row as soon as it is known; return 1 if one has failed."""
    parser = argparse.ArgumentParser(description="All benchmarks as one table.")
    parser.add_argument("--homes", type=Path, help="the folder that venvs.py made")
    parser.add_argument("--only", choices=[bench.script for bench in BENCHES], help="one of them")
    parser.add_argument("--quick", action="store_true", help="small turns, to check that all run")
    parser.add_argument("--markdown", action="store_true", help="as benchmarks/README.md has it")
    chosen = parser.parse_args()
    print(heading(), flush=True)
    if chosen.markdown:
        print("\n| median | rounds | what | goal | met | figures |\n| --- | --- | --- | --- | --- | --- |", flush=True)
    has_failed = False
    for bench in BENCHES:
        if chosen.only not in {None, bench.script}:
            continue
        for row in rows(bench, options_of(bench, chosen.homes, quick=chosen.quick)):
            has_failed = has_failed or row.has_failed
            print(as_markdown(row) if chosen.markdown else as_text(row), flush=True)
    return int(has_failed)


if __name__ == "__main__":
    sys.exit(main())
