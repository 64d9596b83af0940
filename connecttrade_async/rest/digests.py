"""Digests of responses: detect an unchanged response without decoding it.

A digest covers the request, the whole body, and the cursors in the headers. Two responses that differ have the same
digest once in 2 ** 64. Digests are valid within one process only, since each process has its own key.
"""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from connecttrade_async.rest.wire import Request, Response

__all__ = ["LazyValue", "digest", "digest_of_all", "is_strong", "slow_digest"]

T = TypeVar("T")
BITS = 64


class LazyValue(Generic[T]):
    """A response that is decoded on first use.

    Args:
        decode: decodes it.
        response: the response.
    """

    __slots__ = ("_decode", "_response", "_value")

    def __init__(self, decode: Callable[[Response], T], response: Response) -> None:
        self._decode = decode
        self._response: Response | None = response
        self._value: T | None = None

    @property
    def is_decoded(self) -> bool:
        """Whether the value was used."""
        return self._response is None

    @property
    def value(self) -> T:
        """The value; it is decoded once, and the response is dropped then.

        Raises:
            MalformedResponseError: the response cannot be decoded.
        """
        if self._response is not None:
            self._value = self._decode(self._response)
            self._response = None
        return cast("T", self._value)

    def __repr__(self) -> str:
        # Never the value, which is account data.
        return f"<LazyValue, {'decoded' if self.is_decoded else 'undecoded'}>"


def is_strong(algorithm: str, bits: int) -> bool:
    """Return whether the interpreter's ``hash`` is keyed and long enough: SipHash, as nearly everywhere."""
    return algorithm.startswith("siphash") and bits >= BITS


def slow_digest(parts: tuple[object, ...]) -> int:
    """Return a digest of text, numbers and bytes, for interpreters with a weak ``hash``."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=BITS // 8).digest(), "big")


# ``hash`` costs a third of the fastest algorithm of hashlib, and the digest is the main cost of an unchanged poll.
_digest: Callable[[tuple[Any, ...]], int]
_digest = hash if is_strong(sys.hash_info.algorithm, sys.hash_info.width) else slow_digest


def digest(request: Request, response: Response) -> int:
    """Return the digest of one response to a request."""
    names, headers = response.content_headers, response.headers
    # Almost no response has such a header.
    content = None if headers.keys().isdisjoint(names) else tuple(map(headers.get, names))
    return _digest((request.method, request.path, request.query, response.status, content, response.body))


def digest_of_all(digests: Sequence[int]) -> int | None:
    """Return one digest of the responses of a poll, in any order; None if there were none.

    Even for one response, it differs from the digest of that response. So the value that a caller's ``fetch`` returned
    is never taken for a decoded response.
    """
    return _digest(("all", *sorted(digests))) if digests else None
