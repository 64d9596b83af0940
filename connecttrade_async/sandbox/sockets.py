"""The sandbox's sockets: where a stream listens, and the links that it has."""

import asyncio
from collections.abc import Callable

from .link import Link

__all__ = ["Sockets"]


class Sockets:
    """Listens on one port and keeps the links.

    Args:
        host: the address to listen on.
        port: 0 takes a free one.
        dial: makes the link of a new peer.
    """

    def __init__(self, host: str, port: int, dial: Callable[[], Link]) -> None:
        self._host = host
        self._port = port
        self._last = 0
        self._dial = dial
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """``ws://127.0.0.1:port``; empty before it was opened."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"ws://{host}:{self._last}" if self._last else ""

    async def open(self, *, again: bool = False) -> None:
        """Listen, if `again` on the port that it had before. Cancelling it leaves nothing behind.

        Raises:
            OSError: the port is taken.
        """
        port = self._last if again else self._port
        loop = asyncio.get_running_loop()
        # A server that serves from the start is lost, and its port with it, if it is cancelled in that very moment.
        self._server = await loop.create_server(self._dial, self._host, port, start_serving=False)
        self._last = self._server.sockets[0].getsockname()[1]
        try:
            await self._server.start_serving()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Listen no longer; the links that there are stay."""
        if self._server is not None:
            self._server.close()
            self._server = None
