"""The sandbox's sockets: where a stream listens, and the links that it has."""

import asyncio
from collections.abc import Callable

from .link import Link

__all__ = ["Sockets"]


class Sockets:
    """Listens on one port and keeps the links.

    Args:
        host: the address to listen on.
        port: 0 takes a free one, and keeps it from then on.
        dial: makes the link of a new peer.
    """

    def __init__(self, host: str, port: int, dial: Callable[[], Link]) -> None:
        self._host = host
        self._port = port
        self._dial = dial
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """``ws://127.0.0.1:port``; empty before it was opened."""
        if not self._port:
            return ""
        return f"ws://[{self._host}]:{self._port}" if ":" in self._host else f"ws://{self._host}:{self._port}"

    async def open(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        server = await asyncio.get_running_loop().create_server(self._dial, self._host, self._port)
        self._server = server
        self._port = server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Listen no longer; the links that there are stay."""
        if self._server is not None:
            self._server.close()
            self._server = None
