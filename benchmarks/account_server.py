"""An HTTP server with the accounts of many users, in a process of its own.

It answers every GET of ``/balances``, ``/positions`` and ``/orders`` with the data of the user in ``user-id``. Each
response is prepared for one user, and the user's number is inserted: so the server is faster than any client. A line on
its standard input, as ``51``, sets the cents of every price: positions and balances of all users then differ. The
orders stay.
"""

from __future__ import annotations

import asyncio
import re
import sys

from holdings import bodies
from load_server import answer

TEMPLATE = b"000000"
ANSWERS = {path.encode(): answer(body) for path, body in bodies(0, 50).items()}
USER = re.compile(rb"\r\nuser-id: user-([0-9]{6})\r\n", re.IGNORECASE)


class Connection(asyncio.Protocol):
    """One HTTP connection. A GET has no body, so a request ends with its first empty line."""

    def __init__(self) -> None:
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for responses."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every complete request."""
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for request in requests:
            path = request.split(b" ", 2)[1].partition(b"?")[0]
            user = USER.search(request + b"\r\n")
            if user is not None and isinstance(self._transport, asyncio.WriteTransport):
                self._transport.write(ANSWERS[path].replace(TEMPLATE, user[1]))


async def serve() -> None:
    """Print the address, and serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0)
    print("http://{}:{}".format(*server.sockets[0].getsockname()), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        ANSWERS.update({path.encode(): answer(body) for path, body in bodies(0, int(line)).items()})
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
