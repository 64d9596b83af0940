"""Across the wire: a WebSocket end that tells of many accounts, in a process of its own.

For each line on its standard input, as ``mixed 60000``, it takes one client, waits for the line ``go``, and writes so
many frames as fast as they are read. Then the next line ends the link: who follows accounts has to come back.
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
    """Return all frames as they are sent, made once."""
    sent = [framed(frame) for frame in frames(case, count)]
    return [b"".join(sent[first : first + BLOCK]) for first in range(0, count, BLOCK)]


def main() -> None:
    """Serve one client after another, until standard input ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("ws://{}:{}".format(*listener.getsockname()), flush=True)
        while line := sys.stdin.readline():
            case, count = line.split()
            prepared = blocks(case, int(count))
            link, _ = listener.accept()
            with link:
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                greet(link)
                sys.stdin.readline()
                for block in prepared:
                    link.sendall(block)
                sys.stdin.readline()


if __name__ == "__main__":
    main()
