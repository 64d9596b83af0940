"""Fixtures for tests of the command: a run that is read line by line, and a terminal with a command in it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections import deque
from typing import Any

import anyio
import anyio.to_thread

CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class CommandProcess:
    """A running command, read line by line."""

    def __init__(self, process: Any) -> None:
        self.process = process
        self.stderr = b""
        self._lines: deque[str] = deque()
        self._rest = b""

    async def read_line(self) -> str:
        """Read the next line of stdout."""
        while not self._lines:
            *lines, self._rest = (self._rest + await self.process.stdout.receive()).split(b"\n")
            self._lines.extend(line.decode() for line in lines)
        return self._lines.popleft()

    async def read_object(self) -> dict[str, Any]:
        """Read the next JSON object of its output."""
        return dict(json.loads(await self.read_line()))

    async def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send it a signal, and return its exit code."""
        self.process.send_signal(number)
        return await self.wait()

    async def wait(self) -> int:
        """Wait until it ends by itself; return its exit code."""
        async for chunk in self.process.stderr:
            self.stderr += chunk
        return int(await self.process.wait())


class Terminal:
    """A terminal with one command running in it."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "connecttrade_async", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**environment, "TERM": "xterm"},
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - this process has no other thread that could hold a lock in it
        )
        os.close(theirs)
        self.output = b""
        self.screen = ""

    async def until(self, words: str) -> None:
        """Read until a text is on the screen."""
        with anyio.fail_after(20):
            while words not in self.screen:
                if not await self._read():
                    raise AssertionError(self.screen)

    async def type(self, keys: str) -> None:
        await anyio.to_thread.run_sync(os.write, self._ours, keys.encode())

    async def end(self) -> int:
        """Read to the end, and return the exit code."""
        with anyio.fail_after(20):
            while await self._read():
                pass
            return await anyio.to_thread.run_sync(self._process.wait)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    async def _read(self) -> bool:
        try:
            await anyio.wait_readable(self._ours)
            more = os.read(self._ours, 4096)
        except OSError:  # Linux raises it after the other side is closed
            return False
        # Decode all bytes again: a chunk may end in the middle of a character or of a control sequence.
        self.output += more
        self.screen = CONTROL_SEQUENCE.sub("", self.output.decode("utf-8", "replace")).replace("\r\n", "\n")
        return bool(more)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
