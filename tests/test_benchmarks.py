"""The benchmarks run; what they measure is not judged here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def printed(*arguments: str) -> list[str]:
    command = [sys.executable, "-W", "error", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)  # noqa: S603 - our own files
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_the_rest_benchmark_prints_a_ratio_for_each_case() -> None:
    lines = printed("benchmarks/rest.py", "--rounds", "1", "--requests", "200")
    ratios = [float(line.split("flight")[1].split()[0]) for line in lines if "flight" in line]
    assert len(ratios) == 2
    assert min(ratios) > 0


def test_the_stream_benchmark_prints_a_ratio_for_each_case() -> None:
    lines = printed("benchmarks/stream.py", "--rounds", "1", "--messages", "4000")
    ratios = [float(line[32:46]) for line in lines[1:]]
    assert len(ratios) == 8
    assert ratios[0] == 1
    assert min(ratios) > 0
