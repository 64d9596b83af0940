"""The requests of one poll: rate-limited, and with the digest of each response."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connecttrade_async.rest.digests import digest
from connecttrade_async.rest.sender import Api

if TYPE_CHECKING:
    from connecttrade_async.rest.rate_limiter import RateLimiter
    from connecttrade_async.rest.sender import Sender
    from connecttrade_async.rest.wire import Request, Response

__all__ = ["PolledApi"]


class PolledApi(Api, eq=False):
    """The requests of one poll: rate-limited, and with the digest of each response.

    Attributes:
        rate_limiter: Decides when each request is sent.
        digests: The digests of the responses so far, in order.
    """

    rate_limiter: RateLimiter
    digests: list[int] = []  # noqa: RUF012 - a struct makes a new one each time

    def with_sender(self, sender: Sender) -> PolledApi:
        """Return the same user's requests through another sender; the digests are shared."""
        return PolledApi(sender, self.user_id, self.user_secret, self.rate_limiter, self.digests)

    async def send(self, request: Request) -> Response:
        """Send a request when the rate limit allows it, and record the digest of the response."""
        if not self.rate_limiter.is_free and (delay := self.rate_limiter.delay(self.user_id or "")):
            await self.rate_limiter.wait(delay)
        response = await self.sender.send(request)
        self.digests.append(digest(request, response))
        return response
