"""The requests of one poll: rate-limited, and with the digest of each response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connecttrade_async.rest.digests import digest
from connecttrade_async.rest.sender import Api

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from connecttrade_async.rest.rate_limiter import RateLimiter
    from connecttrade_async.rest.sender import Sender
    from connecttrade_async.rest.wire import Request, Response

__all__ = ["PolledApi"]


class PolledApi(Api, eq=False):
    """The requests of one poll: rate-limited, and with the digest of each response.

    Attributes:
        rate_limiter: Decides when each request is sent.
        digests: The digests of the responses so far, in order.
        is_single: Whether the caller sends one request, and digests the response itself.
    """

    rate_limiter: RateLimiter
    digests: list[int] = []  # noqa: RUF012 - a struct makes a new one each time
    is_single: bool = False

    def with_sender(self, sender: Sender) -> PolledApi:
        """Return the same user's requests through another sender; the digests are shared."""
        return PolledApi(sender, self.user_id, self.user_secret, self.rate_limiter, self.digests)

    def send(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Send a request when the rate limit allows it, and record the digest of the response."""
        if self.is_single and self.rate_limiter.is_free:
            # Most polls come here, and a coroutine of our own costs 0.3 us of some 65 us.
            return self.sender.send(request)
        return self._send(request)

    async def _send(self, request: Request) -> Response:
        if not self.rate_limiter.is_free and (delay := self.rate_limiter.delay(self.user_id or "")):
            await self.rate_limiter.wait(delay)
        response = await self.sender.send(request)
        self.digests.append(digest(request, response))
        return response
