"""A loop: ask as ever, and note what was answered, so that the same answer need not be read again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from connecttrade_async.rest import wire
from connecttrade_async.rest.digests import UndecodedResponse, digest
from connecttrade_async.rest.sender import Api

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import msgspec

    from connecttrade_async.rest.sender import Sender
    from connecttrade_async.rest.wire import Request, Response

__all__ = ["WatchedApi"]

T = TypeVar("T")


class Turnstile(Protocol):
    """Who says when the next request may be sent.

    Attributes:
        is_free: whether nobody has to wait.
    """

    is_free: bool

    def delay(self, user_id: str) -> float:
        """Take a turn, and return the seconds to wait for it."""
        ...

    async def wait(self, seconds: float) -> None:
        """Wait for a turn that was taken."""


class WatchedApi(Api, eq=False):
    """Somebody in whose name things are asked, with notes of what was answered.

    Attributes:
        turnstile: says when.
        last: the digest of the last time, or None.
        is_single: whether what is asked next is all that is asked. Whoever says so takes an ``UndecodedResponse`` for
            an answer.
        notes: the digests of the answers so far.
    """

    turnstile: Turnstile
    last: int | None
    is_single: bool = False
    notes: list[int] = []  # noqa: RUF012 - a struct makes a new one each time

    def with_sender(self, caller: Sender) -> WatchedApi:
        """Return the same somebody, asking in another way, with the same notes."""
        return WatchedApi(caller, self.user_id, self.user_secret, self.turnstile, self.last, notes=self.notes)

    @property
    def latest(self) -> int:
        """The digest of the latest answer."""
        return self.notes[-1]

    async def send(self, request: Request) -> Response:
        """Send a request when it is its turn, and note the answer."""
        if not self.turnstile.is_free and (delay := self.turnstile.delay(self.user_id or "")):
            await self.turnstile.wait(delay)
        response = await self.sender.send(request)
        self.notes.append(digest(request, response))
        return response

    async def get(self, path: str, shape: msgspec.json.Decoder[T], params: Mapping[str, object] | None = None) -> T:
        """GET a path, and read the answer unless it is single and the same as last time."""
        request = self.get_response(path, params)
        # As in ``send``: of what pollers ask most, each coroutine less counts.
        if not self.turnstile.is_free and (delay := self.turnstile.delay(self.user_id or "")):
            await self.turnstile.wait(delay)
        response = await self.sender.send(request)
        seen = digest(request, response)
        self.notes.append(seen)
        if self.is_single and seen == self.last:
            return cast("T", UndecodedResponse(wire.read, response, shape, request))
        return wire.read(response, shape, request)

    async def read(self, request: Request, reading: Callable[[Response, Request], T]) -> T:
        """Send a request, and read the answer unless it is single and the same as last time."""
        response = await self.send(request)
        if self.is_single and self.notes[0] == self.last:
            return cast("T", UndecodedResponse(reading, response, request))
        return reading(response, request)
