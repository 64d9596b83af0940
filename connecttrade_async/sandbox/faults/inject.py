"""The sandbox's misfortunes: what each kind of fault does to an answer or to the socket under it."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiohttp import web

from connecttrade_async.sandbox.faults.rest import Fault
from connecttrade_async.sandbox.rest.routes import written_response
from connecttrade_async.sandbox.rest.translator import HttpAnswer

__all__ = ["FaultInjector"]

Work = Callable[[], Awaitable[web.StreamResponse]]

_NONSENSE = b"colourless green ideas sleep furiously; " * 1024
_TEN_MEBIBYTES = 10 << 20
_PAGE = """<!DOCTYPE html>
<html><head><title>{status} Something in between</title></head>
<body><h1>{status}</h1><p>The proxy could not reach the server behind it.</p></body></html>
"""


class FaultInjector:
    """Makes faults happen, until `end`.

    Args:
        error: writes an error of a status and a message, for a fault that has no body of its own.
    """

    def __init__(self, error: Callable[[int, str], HttpAnswer]) -> None:
        self._error = error
        self._closing = asyncio.Event()

    def end(self) -> None:
        """End every wait and every long answer now, for the sandbox closes."""
        self._closing.set()

    async def apply(self, fault: Fault, request: web.Request, work: Work) -> web.StreamResponse | None:
        """Let a fault strike a request.

        Args:
            fault: what happens.
            request: the request that the fault concerns.
            work: does what was asked for and makes the answer; called at most once.

        Returns:
            What is to be answered, or None if the connection is gone without an answer.
        """
        match fault.kind:
            case "slow_headers":
                return await self._slow_headers(fault, work)
            case "slow_body":
                return await self._half(request, await work(), fault.seconds or 1)
            case "cut_body":
                return await self._half(request, await work(), None)
            case "close_idle":
                return await _close_idle(request, await work())
            case _:
                if fault.is_after:
                    await work()
                return await self._instead(fault, request)

    async def _instead(self, fault: Fault, request: web.Request) -> web.StreamResponse | None:
        match fault.kind:
            case "reset":
                _reset(request)
                return None
            case "drop":
                _close(request)
                return None
            case "huge":
                return await self._huge(fault, request)
            case _:
                return self._answer(fault)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)

    async def _slow_headers(self, fault: Fault, work: Work) -> web.StreamResponse:
        if fault.is_after:
            response = await work()
            await self._wait(fault.seconds or 1)
            return response
        await self._wait(fault.seconds or 1)
        return await work()

    async def _half(
        self, request: web.Request, response: web.StreamResponse, seconds: float | None
    ) -> web.StreamResponse:
        """Send half an answer; the rest follows after the seconds of the fault, or never."""
        body = response.body if isinstance(response, web.Response) and isinstance(response.body, bytes) else b""
        stream = web.StreamResponse(status=response.status, headers=response.headers)
        stream.content_length = len(body)
        with suppress(ConnectionError):
            await stream.prepare(request)
            await stream.write(body[: len(body) // 2])
            if seconds is not None:
                await self._wait(seconds)
                await stream.write(body[len(body) // 2 :])
        if seconds is None:
            _close(request)
        return stream

    async def _huge(self, fault: Fault, request: web.Request) -> web.StreamResponse:
        left = fault.size or _TEN_MEBIBYTES
        stream = web.StreamResponse(status=fault.status or 200, headers={"Content-Type": "application/json"})
        stream.content_length = left
        with suppress(ConnectionError):
            await stream.prepare(request)
            while left > 0 and not self._closing.is_set():
                await stream.write(_NONSENSE[:left])
                left -= len(_NONSENSE)
        return stream

    def _answer(self, fault: Fault) -> web.Response:
        if fault.kind == "html":
            status = fault.status or 502
            page = _PAGE.format(status=status) if fault.body is None else fault.body
            return web.Response(text=page, status=status, content_type="text/html")
        if fault.kind == "redirect":
            return web.Response(status=fault.status or 302, headers={"Location": fault.location or "/elsewhere"})
        headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
        status = fault.status or 503
        if fault.body is None:
            return written_response(self._error(status, "The sandbox fails on request."), headers=headers)
        return web.Response(text=fault.body, status=status, headers=headers, content_type="application/json")


async def _close_idle(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    with suppress(ConnectionError):
        await response.prepare(request)
        await response.write_eof()
    _close(request)
    return response


def _close(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()


def _reset(request: web.Request) -> None:
    """Close with a reset: a socket that lingers for no time at all throws away what it has and says so."""
    transport = request.transport
    if transport is None:
        return
    link: socket.socket = transport.get_extra_info("socket")
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
