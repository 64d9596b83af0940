"""The benchmarks run; what they measure is not judged here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_rest_benchmark_prints_a_ratio_for_each_case() -> None:
    command = [sys.executable, "-W", "error", str(ROOT / "benchmarks/rest.py"), "--rounds", "1", "--requests", "200"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own file
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    rows = [line.split("flight")[1].split() for line in done.stdout.splitlines() if "flight" in line]
    assert len(rows) == 2
    assert all(float(row[0]) > 0 for row in rows)
