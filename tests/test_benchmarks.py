"""The benchmarks run; their figures are not asserted here."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from redis_server import needs_redis

ROOT = Path(__file__).parent.parent


def printed(*arguments: str) -> list[str]:
    command = [sys.executable, "-W", "error", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)  # noqa: S603 - our own files
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def rows(*arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed(*arguments, "--rounds", "1", "--json")]


def assert_measured(found: list[dict[str, Any]], count: int) -> None:
    assert len(found) == count
    for row in found:
        assert row["low"] <= row["value"] <= row["high"]
        assert row["high"] > 0


def test_rest_benchmark_prints_a_ratio_for_each_case() -> None:
    assert_measured(rows("benchmarks/rest.py", "--requests", "200"), 2)


def test_delay_benchmark_prints_a_ratio_for_each_percentile() -> None:
    found = rows("benchmarks/delay.py", "--messages", "200")
    assert_measured([row for row in found if "asyncio" in row["what"]], 3)
    assert len(found) == 6


def test_fairness_benchmark_counts_responses_and_latencies() -> None:
    found = rows("benchmarks/fairness.py", "--requests", "600", "--workers", "200")
    assert len(found) == 6
    assert found[0]["value"] <= 2
    assert min(row["value"] for row in found[1::2]) >= 1


def test_memory_orders_benchmark_prints_bytes_and_a_collection_and_names_the_missing_peer() -> None:
    each, beside, collection = rows("benchmarks/memory_orders.py", "--orders", "5000")
    assert_measured([each, collection], 2)
    assert (beside["value"], "pydantic" in beside["figures"], "not installed" in beside["figures"]) == (
        None,
        True,
        True,
    )


def test_imports_benchmark_prints_a_row_for_each_import() -> None:
    assert len(rows("benchmarks/imports.py")) == 3


def test_peers_rest_benchmark_measures_ours_and_names_missing_peers() -> None:
    found = rows("benchmarks/peers_rest.py", "--share", "0.01")
    assert_measured([row for row in found if row["what"].endswith("ours to bare")], 2)
    missing = [row for row in found if row["value"] is None]
    assert len(missing) == len(found) - 2
    assert all("not installed" in row["figures"] for row in missing)


def test_peers_stream_benchmark_measures_ours_and_names_missing_peers() -> None:
    ours, quotes, *missing = rows("benchmarks/peers_stream.py", "--messages", "700")
    assert_measured([ours, quotes], 2)
    assert [(row["value"], "not installed" in row["figures"]) for row in missing] == [(None, True)] * 3


def test_live_benchmark_prints_a_ratio_for_each_mix_with_and_without_books() -> None:
    assert_measured(rows("benchmarks/live.py", "--updates", "500"), 4)


def test_memory_live_benchmark_prints_bytes_and_a_collection() -> None:
    assert len(rows("benchmarks/memory_live.py", "--users", "100")) == 2


def test_resync_benchmark_prints_time_and_cpu_with_and_without_changes() -> None:
    assert_measured(rows("benchmarks/resync.py", "--users", "100"), 4)


def test_market_benchmark_prints_a_ratio_for_each_kind_of_consumers_and_loses_no_quote() -> None:
    *measured, lost = rows("benchmarks/market.py", "--messages", "2000")
    assert_measured(measured, 7)
    assert lost["value"] == 0


def table_of(*arguments: str, folder: Path = ROOT / "benchmarks") -> tuple[int, dict[str, list[str]]]:
    """Return the exit status of the table, and by question the other cells of each row."""
    command = [sys.executable, str(folder / "run_all.py"), "--quick", "--markdown", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)  # noqa: S603 - our own files
    assert done.stderr == ""
    cells = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    return done.returncode, {row[2]: [*row[:2], *row[3:]] for row in cells[2:]}


def test_run_all_prints_the_rows_of_a_benchmark_with_goals_and_verdicts() -> None:
    status, found = table_of("--only", "stream.py")
    assert status == 0
    assert found["stream, one consumer: to bare"][2] == "at least 0.85"
    assert found["stream, 100 consumers: to asyncio.Queue, 100"][2] == "at least 2"
    assert found["stream, 100 consumers: to anyio streams, 100"][2] == "at least 6"
    assert found["stream, 100 consumers, one wants each: to one consumer"][2] == "at least 0.75"
    assert {row[3].strip() for row in found.values()} <= {"yes", "no", ""}


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("raise SystemExit('the loopback is gone')", "the loopback is gone"),
        ("raise SystemExit(3)", "it ended with 3"),
        ("pass", "it printed nothing"),
        ("print('0.5 x')", "it printed something other than a row"),
        ('print(\'{"what": "half", "value": 0.5}\')\nraise SystemExit(1)', "it ended with 1"),
    ],
)
def test_failed_benchmark_is_a_row_and_an_exit_status(tmp_path: Path, program: str, reason: str) -> None:
    folder = tmp_path / "benchmarks"
    shutil.copytree(ROOT / "benchmarks", folder)
    (folder / "imports.py").write_text(program)
    status, found = table_of("--only", "imports.py", folder=folder)
    assert status == 1
    assert found["imports.py"][3] == "failed"
    assert reason in found["imports.py"][4]
    assert ("half" in found) is ("half" in program)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows runs no shell scripts")
def test_failed_peer_is_a_row_and_an_exit_status(tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        pinned = importlib.import_module("venvs").pinned
    finally:
        sys.path.pop(0)
    for home in ("plain", "alpaca", "tastytrade", "snaptrade"):
        program = tmp_path / home / "bin" / "python"
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\necho no such luck >&2\nexit 3\n")
        program.chmod(0o755)
        (tmp_path / home / "holds.txt").write_text(pinned(home))
    for script, name in (
        ("memory_orders.py", "pydantic"),
        ("peers_stream.py", "alpaca-py"),
        ("peers_rest.py", "tastytrade"),
    ):
        status, found = table_of("--only", script, "--homes", str(tmp_path))
        assert status == 1
        rows = [row for what, row in found.items() if name in what]
        assert rows
        assert {(row[3], "no such luck" in row[4]) for row in rows} == {("failed", True)}


def test_run_all_lists_every_benchmark() -> None:
    asks = {path.name for path in (ROOT / "benchmarks").glob("*.py") if "--rounds" in path.read_text()}
    listed = (ROOT / "benchmarks" / "run_all.py").read_text()
    assert {name for name in asks - {"interleave.py", "run_all.py"} if f'Bench("{name}"' not in listed} == set()


def test_stream_benchmark_prints_a_ratio_for_each_match() -> None:
    assert_measured(rows("benchmarks/stream.py", "--messages", "4000"), 8)


@needs_redis
def test_relay_benchmark_measures_appends_followers_and_changes_of_the_leader() -> None:
    found = rows("benchmarks/relay.py", "--messages", "200", "--appends", "1024", "--lease", "0.6")
    assert len(found) == 10
    assert [row["value"] for row in found if "stale" in row["what"]] == [0]


def test_every_benchmark_has_at_least_five_rounds_and_a_line_in_the_readme() -> None:
    readme = (ROOT / "benchmarks" / "README.md").read_text()
    for script in re.findall(r'Bench\("(\w+\.py)"', (ROOT / "benchmarks" / "run_all.py").read_text()):
        default = re.search(r"parser\(.*?(?:, rounds=(\d+))?\)", (ROOT / "benchmarks" / script).read_text())
        assert default is not None
        assert int(default[1] or 5) >= 5, script
        assert readme.count(f"\n| `{script}` |") == 1, script


def test_poller_benchmark_measures_each_case() -> None:
    found = rows("benchmarks/poller.py", "--polls", "300", "--users", "100")
    assert_measured(found[:2], 2)
    fair, memory = found[2:]
    assert fair["value"] <= 1
    assert memory["unit"] == "bytes"
