"""Variants of ``Api`` that digest each response, so that an unchanged response is not decoded again.

Most polls and snapshots return the bytes that the last one returned, and decoding costs more than the digest. Each
class here serves one consumer: ``PolledApi`` a poller, ``CachedApi`` its books, ``SnapshotApi`` the live accounts.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

from connecttrade_async.rest import wire
from connecttrade_async.rest.digests import UndecodedResponse, digest
from connecttrade_async.rest.sender import Api

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import msgspec

    from connecttrade_async.rest.rate_limiter import RateLimiter
    from connecttrade_async.rest.sender import Sender
    from connecttrade_async.rest.wire import Request, Response

__all__ = ["CachedApi", "PolledApi", "SnapshotApi"]

T = TypeVar("T")


class PolledApi(Api, eq=False):
    """The requests of one poll: rate-limited, and with the digest of each response.

    Attributes:
        rate_limiter: decides when each request is sent.
        last_digest: the digest of the previous poll, or None.
        is_single: whether the next request is the only one of this poll. If set, the caller must accept an
            ``UndecodedResponse`` as the result.
        digests: the digests of the responses so far, in order.
    """

    rate_limiter: RateLimiter
    last_digest: int | None
    is_single: bool = False
    digests: list[int] = []  # noqa: RUF012 - a struct makes a new one each time

    def with_sender(self, sender: Sender) -> PolledApi:
        """Return the same user's requests through another sender; the digests are shared."""
        return PolledApi(
            sender, self.user_id, self.user_secret, self.rate_limiter, self.last_digest, digests=self.digests
        )

    @property
    def latest_digest(self) -> int:
        """The digest of the latest response."""
        return self.digests[-1]

    async def send(self, request: Request) -> Response:
        """Send a request when the rate limit allows it, and record the digest of the response."""
        if not self.rate_limiter.is_free and (delay := self.rate_limiter.delay(self.user_id or "")):
            await self.rate_limiter.wait(delay)
        response = await self.sender.send(request)
        self.digests.append(digest(request, response))
        return response

    async def get(self, path: str, decoder: msgspec.json.Decoder[T], params: Mapping[str, object] | None = None) -> T:
        """GET a path and decode the response, unless the request is single and the response unchanged."""
        request = self.get_request(path, params)
        # Repeats ``send`` and ``read``: a poller mostly runs this method, and each coroutine fewer is measurable.
        if not self.rate_limiter.is_free and (delay := self.rate_limiter.delay(self.user_id or "")):
            await self.rate_limiter.wait(delay)
        response = await self.sender.send(request)
        seen = digest(request, response)
        self.digests.append(seen)
        if self.is_single and seen == self.last_digest:
            return cast("T", UndecodedResponse(wire.read, response, decoder, request))
        return wire.read(response, decoder, request)

    async def read(self, request: Request, decode: Callable[[Response, Request], T]) -> T:
        """Send a request and decode the response, unless the request is single and the response unchanged."""
        response = await self.send(request)
        if self.is_single and self.digests[0] == self.last_digest:
            return cast("T", UndecodedResponse(decode, response, request))
        return decode(response, request)


class CachedApi(Api, eq=False):
    """The requests of one poll; an unchanged response returns the value that the previous poll decoded.

    Attributes:
        polled: sends the requests and digests the responses.
        cache: the values of the previous poll by the digest of their response. It is not modified.
        values: the values of this poll, by digest.
    """

    polled: PolledApi
    cache: Mapping[int, object]
    values: dict[int, object] = {}  # noqa: RUF012 - a struct makes a new one each time

    @classmethod
    def wrap(cls, polled: PolledApi, cache: Mapping[int, object]) -> CachedApi:
        """Return a cached view of the requests of one poll."""
        return cls(polled.sender, polled.user_id, polled.user_secret, polled, cache)

    @property
    def is_unchanged(self) -> bool:
        """Whether the same requests got the same responses as in the previous poll."""
        return self.values.keys() == self.cache.keys()

    async def get(self, path: str, decoder: msgspec.json.Decoder[T], params: Mapping[str, object] | None = None) -> T:
        """GET a path and decode the response, unless its value is cached."""
        return await self.read(self.get_request(path, params), partial(_decode, decoder))

    async def read(self, request: Request, decode: Callable[[Response, Request], T]) -> T:
        """Send a request and decode the response, unless its value is cached."""
        response = await self.polled.send(request)
        seen = self.polled.latest_digest
        value = self.cache[seen] if seen in self.cache else decode(response, request)
        self.values[seen] = value
        return cast("T", value)


class SnapshotApi(Api, eq=False):
    """The requests of one snapshot: a response with a known digest stays undecoded.

    The caller can still decode it, once all responses of the snapshot have arrived.

    Attributes:
        known: the digests of responses that need no decoding. If it is not empty, the caller must accept an
            ``UndecodedResponse`` as the result.
        digests: the digests of the responses so far, in order.
    """

    known: Collection[int]
    digests: list[int] = []  # noqa: RUF012 - a struct makes a new one each time

    async def get(self, path: str, decoder: msgspec.json.Decoder[T], params: Mapping[str, object] | None = None) -> T:
        """GET a path and decode the response, unless its digest is known."""
        request = self.get_request(path, params)
        response = await self.sender.send(request)
        if self._is_known(request, response):
            return cast("T", UndecodedResponse(wire.read, response, decoder, request))
        return wire.read(response, decoder, request)

    async def read(self, request: Request, decode: Callable[[Response, Request], T]) -> T:
        """Send a request and decode the response, unless its digest is known."""
        response = await self.sender.send(request)
        if self._is_known(request, response):
            return cast("T", UndecodedResponse(decode, response, request))
        return decode(response, request)

    def _is_known(self, request: Request, response: Response) -> bool:
        seen = digest(request, response)
        self.digests.append(seen)
        return seen in self.known


def _decode(decoder: msgspec.json.Decoder[T], response: Response, request: Request) -> T:
    return wire.read(response, decoder, request)
