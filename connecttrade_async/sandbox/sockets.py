"""The sandbox's sockets: where it listens."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

__all__ = ["Sockets"]

_BACKLOG = 1024
_TURNS = 3
"""Turns of the loop between an accept and its first callback."""


class Sockets:
    """Listens on one port. It hands connections on and does nothing else with them.

    Args:
        host: the address to listen on.
        port: 0 takes a free one.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._last: tuple[str, int] | None = None
        self._server: asyncio.Server | None = None

    @property
    def authority(self) -> str:
        """Address and port as a URL has them, ``127.0.0.1:port``; empty before it was opened."""
        if self._last is None:
            return ""
        host, port = self._last
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def open(self, dial: Callable[[], asyncio.BaseProtocol], *, again: bool = False) -> None:
        """Listen. Cancelling it leaves nothing behind.

        Args:
            dial: makes the protocol of an accepted connection.
            again: on the port that it had before.

        Raises:
            OSError: the port is taken.
        """
        port = self._last[1] if again and self._last is not None else self._port
        loop = asyncio.get_running_loop()
        # A server that serves from the start is lost, and its port with it, if it is cancelled in that very moment.
        self._server = await loop.create_server(dial, self._host, port, backlog=_BACKLOG, start_serving=False)
        self._last = self._server.sockets[0].getsockname()[:2]
        try:
            await self._server.start_serving()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Listen no longer; the links that there are stay. Twice is once."""
        server, self._server = self._server, None
        if server is None:
            return
        loop = asyncio.get_running_loop()
        # A connection that is accepted but has no protocol yet when a server of asyncio closes fails an assertion:
        # stop accepting first, and let the accepted ones get their protocols.
        for listener in server.sockets:
            with suppress(NotImplementedError):
                loop.remove_reader(listener.fileno())
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        server.close()
