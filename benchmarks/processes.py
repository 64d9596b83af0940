"""Processes: the server and the measured side, each on a core of its own, and their costs."""

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
TIMEOUT = 120  # seconds for one side
CORES = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []


class FailedError(Exception):
    """A side could not be measured."""


class Spent(NamedTuple):
    """The cost of one thing on one side.

    Attributes:
        cpu: CPU seconds.
        wall: Seconds on the clock.
        peak: The peak memory of the process in bytes; 0 if the platform does not report it.
        server: CPU seconds of the server, including the warm-up; 0 if the platform does not report it.
    """

    cpu: float
    wall: float
    peak: float
    server: float


class Server(NamedTuple):
    """A server process.

    Attributes:
        url: Its address.
        orders: Its standard input.
        pid: Its process id.
    """

    url: str
    orders: IO[str]
    pid: int

    def cpu(self) -> float:
        """Return its CPU seconds so far; 0 if the platform does not report them."""
        with suppress(OSError):
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def order(self, line: str) -> None:
        """Send it the order for the next client."""
        self.orders.write(line + "\n")
        self.orders.flush()


def pin(pid: int, *, last: bool) -> None:
    """Pin a process to the last core or the first, if the platform supports it and has two."""
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
    """Return the environment of a side, which finds ``measurement`` here even with another interpreter."""
    paths = [str(HERE), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def run(command: list[str]) -> dict[str, float]:
    """Run a side, and return its printed result.

    Raises:
        FailedError: It failed, or did not end in time.
    """
    with subprocess.Popen(  # noqa: S603 - our own files
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        pin(process.pid, last=False)
        try:
            output, errors = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            msg = f"not done within {TIMEOUT} s"
            raise FailedError(msg) from None
    lines = output.strip().splitlines()
    if process.returncode or not lines:
        why = (errors.strip().splitlines() or ["it printed nothing"])[-1]
        raise FailedError(why)
    result: dict[str, float] = json.loads(lines[-1])
    return result


def spent(server: Server, python: Path, script: str, case: str, count: int) -> Spent:
    """Run a side against a server; return its costs.

    Raises:
        FailedError: It failed, or did not end in time.
    """
    before = server.cpu()
    result = run([str(python), str(HERE / script), server.url, case, str(count)])
    return Spent(result["cpu"], result["wall"], result["peak"] or 0, (server.cpu() - before) / count)
