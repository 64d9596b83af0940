"""A loop: ask as ever, and note what was answered, so that the same answer need not be read again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from connecttrade_async.rest import wire
from connecttrade_async.rest.caller import Requester
from connecttrade_async.rest.comparing import Unread, digest, digest_of_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import msgspec

    from connecttrade_async.rest.caller import Caller
    from connecttrade_async.rest.wire import Request, Response

__all__ = ["WatchedRequester"]

T = TypeVar("T")


class Turnstile(Protocol):
    """Who says when the next request may be sent."""

    def delay(self, user_id: str) -> float:
        """Take a turn, and return the seconds to wait for it."""
        ...

    async def wait(self, seconds: float) -> None:
        """Wait for a turn that was taken."""


class WatchedRequester(Requester):
    """Somebody in whose name things are asked, with notes of what was answered.

    Args:
        origin: who asks.
        caller: the way of asking.
        turnstile: says when.
        last: the digest of the last time, or None.

    Attributes:
        is_single: whether what is asked next is all that is asked. Whoever says so takes an ``Unread`` for an answer.
    """

    __slots__ = ("_last", "_notes", "_turnstile", "is_single")

    def __init__(self, origin: Requester, caller: Caller, turnstile: Turnstile, last: int | None) -> None:
        self.caller = caller
        self.user_id = origin.user_id
        self.user_secret = origin.user_secret
        self.is_single = False
        self._turnstile = turnstile
        self._last = last
        self._notes: list[int] = []

    def through(self, caller: Caller) -> WatchedRequester:
        """Return the same somebody, asking in another way, with the same notes."""
        other = WatchedRequester(self, caller, self._turnstile, self._last)
        other._notes = self._notes
        return other

    def seen(self) -> int | None:
        """Return the digest of all that was answered; None where nothing was asked."""
        notes = self._notes
        return notes[0] if self.is_single and notes else digest_of_all(notes)

    @property
    def latest(self) -> int:
        """The digest of the latest answer."""
        return self._notes[-1]

    async def send(self, request: Request) -> Response:
        """Send a request when it is its turn, and note the answer."""
        delay = self._turnstile.delay(self.user_id or "")
        if delay:
            await self._turnstile.wait(delay)
        response = await self.caller.send(request)
        self._notes.append(digest(request, response))
        return response

    async def ask(self, path: str, shape: msgspec.json.Decoder[T], params: Mapping[str, object] | None = None) -> T:
        """GET a path, and read the answer unless it is single and the same as last time."""
        request = self.asking(path, params)
        # As in ``send``: of what pollers ask most, each coroutine less counts.
        delay = self._turnstile.delay(self.user_id or "")
        if delay:
            await self._turnstile.wait(delay)
        response = await self.caller.send(request)
        seen = digest(request, response)
        self._notes.append(seen)
        if self.is_single and seen == self._last:
            return cast("T", Unread(wire.read, response, shape, request))
        return wire.read(response, shape, request)

    async def answer(self, request: Request, reading: Callable[[Response, Request], T]) -> T:
        """Send a request, and read the answer unless it is single and the same as last time."""
        response = await self.send(request)
        if self.is_single and self._notes[0] == self._last:
            return cast("T", Unread(reading, response, request))
        return reading(response, request)
