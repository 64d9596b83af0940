"""A WebSocket server that sends updates of many accounts, in a process of its own.

For each line on its standard input, as ``mixed 60000``, it accepts one client, waits for the line ``go``, and writes
that number of frames at full speed. The next line closes the connection, and the client has to reconnect.
"""

from __future__ import annotations

import socket
import sys
from functools import cache

from feeder import framed, greet
from holdings import frames

BLOCK = 100


@cache
def blocks(case: str, count: int) -> list[bytes]:
    """Return all frames in blocks of bytes, built once."""
    sent = [framed(frame) for frame in frames(case, count)]
    return [b"".join(sent[first : first + BLOCK]) for first in range(0, count, BLOCK)]


def main() -> None:
    """Serve one client after another, until standard input ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("ws://{}:{}".format(*listener.getsockname()), flush=True)
        while line := sys.stdin.readline():
            case, count = line.split()
            prepared = blocks(case, int(count))
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                greet(connection)
                sys.stdin.readline()
                for block in prepared:
                    connection.sendall(block)
                sys.stdin.readline()


if __name__ == "__main__":
    main()
