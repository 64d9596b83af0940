"""A worker process of a relay, for tests that kill and stop processes.

It follows one user and one stream, and writes a JSON object for each event of the account ``numbers`` and for each gap
to its socket. The line ``book`` from there makes it write its book.

Run as a program, it forks a worker for each configuration that it receives: importing the package takes longer than
most of what a worker does.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from connecttrade_async import ConnectTrade, Endpoints, Gap, OrderUpdate
from connecttrade_async.config import Reconnect, Timeouts
from connecttrade_async.relay import Relay
from live_fixtures import in_the_book

if TYPE_CHECKING:
    from collections.abc import Callable

    Report = Callable[..., None]

NUMBERS = "numbers"
CONFIG_BYTES = 1 << 16
LAZY = ("live", "relay.engine", "relay.redis")  # modules that the package imports when they are used
PR_SET_PDEATHSIG = 1


class WorkerServer:
    """Forks workers; the end of the block, and that of the test process, ends all of them."""

    def __enter__(self) -> Self:
        self._errors: IO[bytes] = tempfile.TemporaryFile()
        self._socket, theirs = socket.socketpair()
        root = Path(__file__).parents[2]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this file
                [sys.executable, __file__],
                stdin=theirs.fileno(),
                stderr=self._errors,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(root)])},
            )
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()
        self._process.kill()
        self._process.wait()
        self._errors.close()

    def fork(self, config: dict[str, Any]) -> tuple[int, socket.socket]:
        """Start a worker; return its process id and its socket."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._socket, [json.dumps(config).encode()], [theirs.fileno()])
            answer = self._socket.recv(64)
        assert answer, self.errors()
        return int(answer), ours

    def errors(self) -> str:
        """Return what all workers have written to their standard error."""
        self._errors.seek(0)
        return self._errors.read().decode()


def serve() -> None:
    """Fork a worker for each configuration, until the test process ends."""
    for name in LAZY:
        importlib.import_module(f"connecttrade_async.{name}")
    die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies: the tests see the end of a worker by its socket
    here = socket.socket(fileno=os.dup(0))
    while True:
        config, descriptors, _, _ = socket.recv_fds(here, CONFIG_BYTES, 1)
        if not config:
            return
        with socket.socket(fileno=descriptors[0]) as theirs:
            process = os.fork()
            if process == 0:
                work(json.loads(config), theirs)
            here.send(str(process).encode())


def work(config: dict[str, Any], theirs: socket.socket) -> None:
    """Be a worker, and end this process."""
    try:
        die_with_parent()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        asyncio.run(main(config, theirs))
    except BaseException:  # noqa: BLE001 - the loop of the server must not go on in this process
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(1)


def die_with_parent() -> None:
    """Let the kernel kill this process, even a stopped one, when its parent ends; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class EpochHandler(logging.Handler):
    """Reports each epoch in which this worker leads."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        epoch = getattr(record, "epoch", None)
        if record.levelno == logging.INFO and epoch is not None:
            self._report(leads=epoch)


async def main(config: dict[str, Any], theirs: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=theirs)

    def report(**facts: object) -> None:
        writer.write(json.dumps(facts).encode() + b"\n")

    logger = logging.getLogger("connecttrade_async.relay")
    logger.setLevel(logging.INFO)
    logger.addHandler(EpochHandler(report))
    endpoints = Endpoints(api=config["api"], stream=config["stream"])
    reconnect = Reconnect(base=0.02, cap=0.1, standby=0.3)
    async with ConnectTrade(
        config["client_id"],
        config["client_secret"],
        endpoints=endpoints,
        reconnect=reconnect,
        timeouts=Timeouts(close=1.0),
    ) as ct:
        user = ct.user(config["user_id"], config["user_secret"])
        stream = ct.brokerage_stream(relay=Relay(config["redis"], lease=config["lease"]))
        events = stream.subscribe("orders", user_id=NUMBERS)
        async with stream:
            report(ready=True)
            async with ct.live([user], stream, sweep_every=None) as live, asyncio.TaskGroup() as group:
                task = group.create_task(_report_events(events, report))
                while await reader.readline():
                    report(book=repr(in_the_book(live, config["account_id"])), is_current=live.is_current)
                task.cancel()


async def _report_events(events: Any, report: Report) -> None:
    async for event in events:
        if isinstance(event, Gap):
            report(gap=event.cause)
        elif isinstance(event, OrderUpdate):
            report(event=int(str(event.order.order_id)[1:]))


if __name__ == "__main__":
    serve()
