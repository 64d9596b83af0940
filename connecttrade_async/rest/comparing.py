"""Below the waterline: is an answer the same as last time? Told without reading it.

Its vow: whoever is told "unchanged" has missed nothing. A digest covers what was asked, the body to the last byte, and
the cursors that may come beside it; two answers that differ have the same digest once in 2 ** 128.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from connecttrade_async.rest import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from connecttrade_async.rest.wire import Request, Response

__all__ = ["Unread", "digest", "digest_of_all"]

SIZE = 16


class Unread:
    """An answer that is the same as last time, and is read only if somebody wants to.

    Args:
        reading: reads it.
    """

    __slots__ = ("_reading", "_value")

    def __init__(self, reading: Callable[[], object]) -> None:
        self._reading: Callable[[], object] | None = reading
        self._value: object = None

    def read(self) -> object:
        """Return the value; it is read once."""
        if self._reading is not None:
            self._value = self._reading()
            self._reading = None
        return self._value

    def __repr__(self) -> str:
        return "<Unread>" if self._reading is not None else repr(self._value)


def digest(request: Request, response: Response) -> bytes:
    """Return the digest of one answer."""
    headers, body = response.headers, response.body
    # No line of this can hold a line's end, so no two answers come to the same text.
    around = (
        f"{request.method} {request.path}{request.query} {response.status} {len(body)}\n"
        f"{headers.get(wire.NEXT_CURSOR)}\n{headers.get(wire.PREV_CURSOR)}\n"
    )
    # In one go: for a small body, as most are, a copy costs less than to begin a sum and go on with it.
    return hashlib.sha256(around.encode() + body, usedforsecurity=False).digest()[:SIZE]


def digest_of_all(digests: Sequence[bytes]) -> bytes | None:
    """Return the digest of all answers to one question, in whatever order they came; None where nothing was asked.

    It differs from that of each one of them, so that what was read in one way is never taken for what was read in
    another.
    """
    if not digests:
        return None
    return hashlib.sha256(b"all" + b"".join(sorted(digests)), usedforsecurity=False).digest()[:SIZE]
