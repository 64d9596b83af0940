"""Processes: who serves and who is measured, each on a core of its own, and what each spent there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Generator

HERE = Path(__file__).parent
LONGEST = 120  # seconds that one side may take
CORES = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []


class FailedError(Exception):
    """A side could not be measured."""


class Spent(NamedTuple):
    """What one thing cost one side.

    Attributes:
        cpu: seconds on the CPU.
        wall: seconds on the clock.
        peak: the most memory of the process, in bytes; 0 where the platform does not say.
        server: seconds on the server's CPU, warm-up included; 0 where the platform does not say.
    """

    cpu: float
    wall: float
    peak: float
    server: float


class Server(NamedTuple):
    """A process on the other end of the wire.

    Attributes:
        url: where it listens.
        orders: its standard input.
        pid: its number.
    """

    url: str
    orders: IO[str]
    pid: int

    def cpu(self) -> float:
        """Return its seconds on the CPU so far; 0 where the platform does not say."""
        with suppress(OSError):
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def order(self, line: str) -> None:
        """Tell it what to do for the next client."""
        self.orders.write(line + "\n")
        self.orders.flush()


def pin(pid: int, *, last: bool) -> None:
    """Keep a process on the last core or on the first, where the platform knows how and there are two."""
    if sys.platform == "linux" and len(CORES) > 1:
        with suppress(ProcessLookupError):
            os.sched_setaffinity(pid, {CORES[-1] if last else CORES[0]})


@contextmanager
def server(script: str) -> Generator[Server]:
    """Run a server on the last core, and this process on the first."""
    command = [sys.executable, str(HERE / script)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own file
        pin(process.pid, last=True)
        pin(0, last=False)
        assert process.stdin is not None  # noqa: S101 - a pipe was asked for
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        try:
            yield Server(process.stdout.readline().strip(), process.stdin, process.pid)
        finally:
            process.stdin.close()
            if process.poll() is None:
                process.terminate()


def environment() -> dict[str, str]:
    """Return the environment of a side, whose interpreter may be another's: it finds ``measured`` here."""
    paths = [str(HERE), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def run(command: list[str]) -> dict[str, float]:
    """Run a side, and return what it printed.

    Raises:
        FailedError: it ended badly, or not in time.
    """
    with subprocess.Popen(  # noqa: S603 - our own files
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        pin(process.pid, last=False)
        try:
            said, complaint = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            process.kill()
            msg = f"not done within {LONGEST} s"
            raise FailedError(msg) from None
    facts = said.strip().splitlines()
    if process.returncode or not facts:
        why = (complaint.strip().splitlines() or ["it said nothing"])[-1]
        raise FailedError(why)
    told: dict[str, float] = json.loads(facts[-1])
    return told


def spent(there: Server, python: Path, script: str, case: str, count: int) -> Spent:
    """Run a side against a server.

    Raises:
        FailedError: it ended badly, or not in time.
    """
    before = there.cpu()
    facts = run([str(python), str(HERE / script), there.url, case, str(count)])
    return Spent(facts["cpu"], facts["wall"], facts["peak"] or 0, (there.cpu() - before) / count)
