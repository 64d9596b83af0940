"""A Redis or Valkey server of a test's own, on a free port, without persistence."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
from typing import Any, Self, cast

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

# Ends a server together with the tests, also where they are killed and cannot end it themselves.
GUARD = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
BINARIES = ("redis-server", "valkey-server")
START = 10.0  # seconds
needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
EACH_SERVER = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed"))
    for name in BINARIES
]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class RedisServer:
    """A server that can be killed, stopped and started again on its port."""

    def __init__(self, *options: str, binary: str = "redis-server", password: str = "") -> None:
        self.port = free_port()
        self.password = password
        self._binary = binary
        self._options = (*options, *(("--requirepass", password) if password else ()))
        self._process: subprocess.Popen[bytes] | None = None
        self._directory = tempfile.TemporaryDirectory(prefix="relay-")

    @property
    def url(self) -> str:
        login = f":{self.password}@" if self.password else ""
        return f"redis://{login}127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.kill()
        self._directory.cleanup()

    def launch(self) -> None:
        command = [
            *GUARD,
            self._binary,
            "--port",
            str(self.port),
            "--save",
            "",
            "--appendonly",
            "no",
            "--bind",
            "127.0.0.1",
        ]
        command += ["--dir", tempfile.gettempdir(), "--dbfilename", f"relay-{self.port}.rdb"]
        command += ["--enable-debug-command", "local", "--repl-diskless-sync-delay", "0", *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - our own command

    async def start(self) -> None:
        self.launch()
        try:
            async with asyncio.timeout(START):
                while not self.is_ready():  # noqa: ASYNC110 - nothing signals that another process listens
                    await asyncio.sleep(0.01)
        except BaseException:
            self.kill()  # it was not entered, so its end will not be called
            raise

    def is_ready(self) -> bool:
        try:
            return bool(self.command("PING"))
        except RedisError:
            return False

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def command(self, *arguments: str | bytes | float) -> Any:
        """Run a command on a connection of its own."""
        with contextlib.closing(self.client()) as client:
            return client.execute_command(*arguments)  # type: ignore[no-untyped-call]

    def client(self) -> Redis:
        return Redis(port=self.port, password=self.password or None, socket_timeout=START)

    def get(self, key: str, timeout: float) -> bytes:
        """Return the value of a key, or nothing if there is none or the server does not answer in time."""
        client = Redis(port=self.port, socket_timeout=timeout, retry=Retry(NoBackoff(), 0))
        with contextlib.closing(client), contextlib.suppress(RedisError):
            return cast("bytes | None", client.get(key)) or b""
        return b""

    def length(self) -> int:
        """Return the number of entries in the one log; 0 if there is none."""
        return sum(self.command("XLEN", key) for key in self.command("KEYS", "*:log"))

    def dump(self) -> bytes:
        """Return every key with its value, as one text."""
        found: list[bytes] = []
        for key in self.command("KEYS", "*"):
            kind = self.command("TYPE", key)
            value = self.command("XRANGE", key, "-", "+") if kind == b"stream" else self.command("GET", key)
            found += [key, repr(value).encode()]
        return b"\n".join(found)
