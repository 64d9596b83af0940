"""All benchmarks, one after another, as one table.

    python benchmarks/table.py [--homes .peers] [--only rest.py] [--quick] [--markdown]

``--quick`` makes each so small that its figures mean nothing, to see that all of them run.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from rounds import Row, spelled

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent


class Bench(NamedTuple):
    """One benchmark.

    Attributes:
        script: the file.
        quick: options that make it small.
        speaks_json: whether it prints rows; else its lines are read as a reader would.
        has_peers: whether it wants to know where the peers live.
    """

    script: str
    quick: str
    speaks_json: bool = True
    has_peers: bool = False


BENCHES = (
    Bench("rest.py", "--rounds 1 --requests 200"),
    Bench("peers_rest.py", "--rounds 1 --share 0.01", has_peers=True),
    Bench("fairness.py", "--rounds 1 --requests 600 --workers 200"),
    Bench("poller.py", "--rounds 1 --polls 300 --users 100"),
    Bench("held.py", "--rounds 1 --orders 1000", has_peers=True),
    Bench("imports.py", "--rounds 1"),
    Bench("stream.py", "--rounds 1 --messages 4000", speaks_json=False),
    Bench("delay.py", "--rounds 1 --messages 500"),
    Bench("live.py", "--rounds 1 --updates 500"),
    Bench("live_held.py", "--rounds 1 --users 100"),
    Bench("resync.py", "--rounds 1 --users 100"),
    Bench("market.py", "--rounds 1 --messages 2000"),
    Bench("peers_stream.py", "--rounds 1 --messages 500", has_peers=True),
)
GOALS = {"one consumer": "at least 0.85"}
BETWEEN = {
    ("100 consumers", "asyncio.Queue, 100"): "at least 2",
    ("100 consumers", "anyio stream, 100"): "at least 6",
    ("100 consumers, one wants each", "one consumer"): "at least 0.75",
}
PRINTED = re.compile(
    r"(?P<what>\S.*?)\s{2,}(?P<value>[\d.]+)\s*\[(?P<low>[\d.]+) \.\. (?P<high>[\d.]+)\]\s*(?P<rest>.*)"
)


def printed(script: str, line: str) -> Row | None:
    """Return the row of a line that was printed for a reader: a name, a ratio, its spread, and figures."""
    match = PRINTED.fullmatch(line.strip())
    if match is None:
        return None
    value, low, high = (float(match[name]) for name in ("value", "low", "high"))
    what = match["what"]
    figures = " ".join(match["rest"].split())
    return Row(f"{script}, {what}: to bare", value, low, high, goal=GOALS.get(what, ""), figures=figures)


def between(script: str, found: list[Row]) -> Iterator[Row]:
    """Yield the ratios that have a goal of their own, of the medians that were printed to bare."""
    medians = {row.what: row.value for row in found}
    for (over, under), goal in BETWEEN.items():
        above, below = (medians.get(f"{script}, {name}: to bare") for name in (over, under))
        if above and below:
            yield Row(f"{script}, {over}: to {under}", above / below, goal=goal, figures="ratio of the medians")


def rows(bench: Bench, options: list[str]) -> Iterator[Row]:
    """Run one benchmark, and yield its rows; where it fails, one that says why."""
    command = [sys.executable, str(HERE / bench.script), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own files
    if done.returncode:
        yield Row(bench.script, figures=(done.stderr.strip().splitlines() or ["failed"])[-1])
        return
    lines = done.stdout.splitlines()
    if bench.speaks_json:
        yield from (msgspec.json.decode(line, type=Row) for line in lines)
        return
    found = [row for line in lines if (row := printed(bench.script, line)) is not None]
    yield from found or [Row(bench.script, figures="it printed nothing that was understood")]
    yield from between(bench.script, found)


def options_of(bench: Bench, homes: Path | None, *, quick: bool) -> list[str]:
    """Return what to call a benchmark with."""
    return [
        *(["--json"] if bench.speaks_json else []),
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
    value = "-" if row.value is None else f"{spelled(row.value)} {row.unit}".strip()
    return f"| {value} | {row.spread} | {row.what} | {row.goal} | {row.verdict} | {row.figures} |"


def as_text(row: Row) -> str:
    """Return a line for a terminal."""
    value = "-" if row.value is None else f"{spelled(row.value)} {row.unit}".strip()
    return f"{value:>12}  {row.spread:18}  {row.what:66}  {row.goal:12}  {row.verdict:3}  {row.figures}"


def main() -> None:
    """Run all, and print each row as soon as it is known."""
    parser = argparse.ArgumentParser(description="All benchmarks as one table.")
    parser.add_argument("--homes", type=Path, help="where homes.py put the peers")
    parser.add_argument("--only", choices=[bench.script for bench in BENCHES], help="one of them")
    parser.add_argument("--quick", action="store_true", help="so small that it means nothing")
    parser.add_argument("--markdown", action="store_true", help="as benchmarks/README.md has it")
    chosen = parser.parse_args()
    print(heading(), flush=True)
    if chosen.markdown:
        print("\n| median | rounds | what | goal | met | figures |\n| --- | --- | --- | --- | --- | --- |", flush=True)
    for bench in BENCHES:
        if chosen.only not in {None, bench.script}:
            continue
        for row in rows(bench, options_of(bench, chosen.homes, quick=chosen.quick)):
            print(as_markdown(row) if chosen.markdown else as_text(row), flush=True)


if __name__ == "__main__":
    main()
