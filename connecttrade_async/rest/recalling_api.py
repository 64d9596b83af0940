"""A loop: ask as ever, and read no answer again that is the same as last time: what was read then is given again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

from connecttrade_async.rest import wire
from connecttrade_async.rest.sender import Api

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import msgspec

    from connecttrade_async.rest.watched_api import WatchedApi
    from connecttrade_async.rest.wire import Request, Response

__all__ = ["RecallingApi"]

T = TypeVar("T")


class RecallingApi(Api, eq=False):
    """Somebody in whose name one thing after another is asked, who knows the answers of last time.

    Attributes:
        watched: who asks, and digests the answers.
        known: what was read last time, by the digest of its answer. Nobody changes it.
        read: what was read now, likewise.
    """

    watched: WatchedApi
    known: Mapping[int, object]
    decoders: dict[int, object] = {}  # noqa: RUF012 - a struct makes a new one each time

    @classmethod
    def through_watched(cls, watched: WatchedApi, known: Mapping[int, object]) -> RecallingApi:
        """Return the one who asks through somebody that is watched."""
        return cls(watched.sender, watched.user_id, watched.user_secret, watched, known)

    @property
    def is_same(self) -> bool:
        """Whether the same things were asked and answered as last time."""
        return self.decoders.keys() == self.known.keys()

    async def get(self, path: str, shape: msgspec.json.Decoder[T], params: Mapping[str, object] | None = None) -> T:
        """GET a path, and read the answer unless it is known."""
        return await self.read(self.get_response(path, params), partial(_read, shape))

    async def read(self, request: Request, reading: Callable[[Response, Request], T]) -> T:
        """Send a request, and read the answer unless it is known."""
        response = await self.watched.send(request)
        seen = self.watched.latest
        value = self.known[seen] if seen in self.known else reading(response, request)
        self.decoders[seen] = value
        return cast("T", value)


def _read(shape: msgspec.json.Decoder[T], response: Response, request: Request) -> T:
    return wire.read(response, shape, request)
