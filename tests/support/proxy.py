"""An HTTP proxy: it forwards requests, and opens tunnels for CONNECT."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self
from urllib.parse import urlsplit


class Proxy:
    """Forwards requests; ``asked`` are the received request lines, ``logins`` the credentials.

    With a ``refusal``, an HTTP status line without its version, it refuses every request.
    """

    def __init__(self, refusal: str = "") -> None:
        self.asked: list[str] = []
        self.logins: list[str] = []
        self.url = ""
        self._refusal = refusal
        self._handlers: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.url = "http://{}:{}".format(*self._server.sockets[0].getsockname())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        handlers = list(self._handlers)
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)

    def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)
        task.add_done_callback(lambda _: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            self.asked.append(lines[0])
            self.logins += [line.partition(": ")[2] for line in lines if line.lower().startswith("proxy-auth")]
            if self._refusal:
                writer.write(f"HTTP/1.1 {self._refusal}\r\nContent-Length: 0\r\n\r\n".encode())
                return
            method, target, _ = lines[0].split(" ")
            parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
            there, back = await asyncio.open_connection(parts.hostname, parts.port)
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                back.write(head.replace(target.encode(), (parts.path or "/").encode(), 1))
            try:
                await asyncio.gather(_relay(reader, back), _relay(there, writer))
            finally:
                back.close()


async def _relay(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        sink.write(data)
        await sink.drain()
    sink.close()
