"""An HTTP server that follows a script, one act for each request, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Generator
from typing import NamedTuple, Self

import trustme

TLS_HELLO = b"\x16"
Act = Callable[[asyncio.StreamWriter], Awaitable[bool]]


class Seen(NamedTuple):
    """One received request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def answer(status: int = 200, body: bytes | str = b"[]", *, declared: int | None = None, **headers: str) -> Act:
    """Send a response. ``declared`` is a false content length; after it the connection is closed."""
    raw = body.encode() if isinstance(body, str) else body
    fields = {"content_type": "application/json", "content_length": str(len(raw) if declared is None else declared)}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in (fields | headers).items())

    async def act(writer: asyncio.StreamWriter) -> bool:
        writer.write(f"HTTP/1.1 {status} Scripted\r\n{head}\r\n".encode() + raw)
        await writer.drain()
        return declared is None

    return act


def raw(data: bytes) -> Act:
    """Send bytes, and close."""

    async def act(writer: asyncio.StreamWriter) -> bool:
        writer.write(data)
        await writer.drain()
        return False

    return act


async def drop(writer: asyncio.StreamWriter) -> bool:
    """Close without a response."""
    del writer
    return False


async def reset(writer: asyncio.StreamWriter) -> bool:
    """Reset the connection without a response."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


async def silence(writer: asyncio.StreamWriter) -> bool:
    """Send nothing until the client closes or the server is closed."""
    del writer
    await asyncio.Event().wait()
    return False


def stalled(body: bytes | str, *, declared: int = 5000) -> Act:
    """Begin a response, and never end it."""
    begin = answer(200, body, declared=declared)

    async def act(writer: asyncio.StreamWriter) -> bool:
        await begin(writer)
        return await silence(writer)

    return act


class Kept:
    """Responds by another act, and keeps the connection: a test later sends bytes on it that belong to no request."""

    def __init__(self, begin: Act) -> None:
        self._begin = begin
        self.writer: asyncio.StreamWriter | None = None

    async def __call__(self, writer: asyncio.StreamWriter) -> bool:
        self.writer = writer
        return await self._begin(writer)

    def send(self, data: bytes) -> None:
        """Send bytes at once; none for the end of the stream."""
        assert self.writer is not None
        if data:
            self.writer.write(data)
        elif self.writer.can_write_eof():
            self.writer.write_eof()
        else:
            self.writer.close()


class ScriptedEnd:
    """Serves its acts in order, the last one for ever; ``seen`` are the requests that came whole.

    ``held`` lets a test keep every answer back until it sets the event. ``choose`` returns the act for a request, or
    None for the next one in order.
    """

    def __init__(
        self, *acts: Act, tls: ssl.SSLContext | None = None, choose: Callable[[Seen], Act | None] | None = None
    ) -> None:
        self.acts = list(acts) or [answer()]
        self.choose = choose
        self._tls = tls
        self.seen: list[Seen] = []
        self.links = 0
        self.url = ""
        self.held = asyncio.Event()
        self.held.set()
        self._arrived = asyncio.Condition()
        self._handlers: set[asyncio.Task[None]] = set()
        self._is_over = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0, ssl=self._tls)
        scheme = "http" if self._tls is None else "https"
        self.url = "{}://{}:{}".format(scheme, *self._server.sockets[0].getsockname())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._is_over = True
        self._server.close()
        handlers = list(self._handlers)
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)

    async def until_seen(self, times: int) -> None:
        """Wait until ``times`` requests have arrived."""
        async with asyncio.timeout(5), self._arrived:
            await self._arrived.wait_for(lambda: len(self.seen) >= times)

    def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_over:  # it was accepted before
            writer.close()
            return
        self.links += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)
        task.add_done_callback(lambda _: writer.close())  # also one that is cancelled before its first step

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._one(reader, writer):
                pass

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first = await reader.readexactly(1)
        if first == TLS_HELLO:
            return await raw(b"HTTP/1.1 400 This is plain HTTP\r\n\r\n")(writer)
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        async with self._arrived:
            self.seen.append(seen := Seen(method, target, headers, body))
            self._arrived.notify_all()
        act = None if self.choose is None else self.choose(seen)
        if act is None:
            act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
        await self.held.wait()
        return await act(writer)


def trusted() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the TLS contexts of a server at 127.0.0.1 and of a client that trusts it."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)  # pyright: ignore[reportUnknownMemberType]
    authority.configure_trust(client)  # pyright: ignore[reportUnknownMemberType]
    return server, client


@contextlib.contextmanager
def untrusted_end() -> Generator[str, None, None]:
    """Serve one TLS handshake with an untrusted certificate; yields the address.

    It runs in a thread, because asyncio reports a handshake that the client refuses as a failure of the server's loop.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as sock, contextlib.suppress(OSError):
                context.wrap_socket(sock, server_side=True).close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield "https://{}:{}".format(*listener.getsockname())
        thread.join(5)
        assert not thread.is_alive()
