"""A loop: ask as ever, note what was answered, and leave unread what was answered the same the last time.

What is left unread can still be read: whoever asks decides when all answers are here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from connecttrade_async.rest import wire
from connecttrade_async.rest.digests import UndecodedResponse, digest
from connecttrade_async.rest.sender import Api

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import msgspec

    from connecttrade_async.rest.wire import Request, Response

__all__ = ["NotingApi"]

T = TypeVar("T")


class NotingApi(Api, eq=False):
    """Somebody in whose name one thing after another is asked, with notes of what was answered.

    Attributes:
        known: the digests of answers that need not be read. Whoever hands in any takes an ``UndecodedResponse`` for
            such a one.
        seen: the digests of the answers so far, in their order.
    """

    known: Collection[int]
    seen: list[int] = []  # noqa: RUF012 - a struct makes a new one each time

    async def get(self, path: str, shape: msgspec.json.Decoder[T], params: Mapping[str, object] | None = None) -> T:
        """GET a path, and read the answer unless it is known."""
        request = self.get_response(path, params)
        response = await self.sender.send(request)
        if self._is_known(request, response):
            return cast("T", UndecodedResponse(wire.read, response, shape, request))
        return wire.read(response, shape, request)

    async def read(self, request: Request, reading: Callable[[Response, Request], T]) -> T:
        """Send a request, and read the answer unless it is known."""
        response = await self.sender.send(request)
        if self._is_known(request, response):
            return cast("T", UndecodedResponse(reading, response, request))
        return reading(response, request)

    def _is_known(self, request: Request, response: Response) -> bool:
        seen = digest(request, response)
        self.seen.append(seen)
        return seen in self.known
