"""Below the waterline: is an answer the same as last time? Told without reading it.

Its vow: whoever is told "unchanged" has missed nothing. A digest covers what was asked, the body to the last byte, and
the cursors that may come beside it; two answers that differ have the same digest once in 2 ** 64. It holds in one
process and no longer, since its key is drawn anew in each.
"""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, Any

from connecttrade_async.rest.wire import NEXT_CURSOR, PREV_CURSOR

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from connecttrade_async.rest.wire import Request, Response

__all__ = ["UndecodedResponse", "digest", "digest_of_all", "is_strong", "slow_digest"]

BITS = 64


class UndecodedResponse:
    """An answer that is the same as last time, and is read only if somebody wants to.

    Args:
        reading: reads it.
        answer: what to hand to it.
    """

    __slots__ = ("_answer", "_reading", "_value")

    def __init__(self, reading: Callable[..., object], *answer: object) -> None:
        self._reading: Callable[..., object] | None = reading
        self._answer = answer
        self._value: object = None

    def read(self) -> object:
        """Return the value; it is read once."""
        if self._reading is not None:
            self._value = self._reading(*self._answer)
            self._reading, self._answer = None, ()
        return self._value

    def __repr__(self) -> str:
        return "<Unread>" if self._reading is not None else repr(self._value)


def is_strong(algorithm: str, bits: int) -> bool:
    """Say whether an interpreter's own ``hash`` is keyed and long enough: SipHash, as it is nearly everywhere."""
    return algorithm.startswith("siphash") and bits >= BITS


def slow_digest(parts: tuple[object, ...]) -> int:
    """Return a digest of text, numbers and bytes where ``hash`` will not do."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=BITS // 8).digest(), "big")


# ``hash`` costs a third of the quickest that hashlib has, and most polls bring what the last one brought.
_digest: Callable[[tuple[Any, ...]], int]
_digest = hash if is_strong(sys.hash_info.algorithm, sys.hash_info.width) else slow_digest


def digest(request: Request, response: Response) -> int:
    """Return the digest of one answer."""
    found = response.headers.get
    return _digest(
        (
            request.method,
            request.path,
            request.query,
            response.status,
            found(NEXT_CURSOR),
            found(PREV_CURSOR),
            response.body,
        )
    )


def digest_of_all(digests: Sequence[int]) -> int | None:
    """Return the digest of all answers to one question, in whatever order they came; None where nothing was asked.

    It differs from that of each one of them, so that what was read in one way is never taken for what was read in
    another.
    """
    return _digest(("all", *sorted(digests))) if digests else None
