"""A loop: the token of one market data stream. Get it, renew it in time, and know what its refusal means.

Its vow: a token that somebody else replaced is not replaced again. One is active per connection (documented), so
getting a new one would take it from whoever has it now.

How old a token is, two clocks say, and the later counts: the one that never goes back may stand still while the machine
sleeps, and the time of day may be set. A token that only wore out is not taken for one that was replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from connecttrade_async.errors import (
    AuthenticationRefusedError,
    ConfigurationError,
    ConnectTradeError,
    MalformedResponseError,
    RequestTimeoutError,
    SessionTakenError,
    TransportError,
)
from connecttrade_async.models.connections import ConnectionToken
from connecttrade_async.pacing import MAX_RETRY_AFTER, bounded_retry_after, equal_jitter_delay
from connecttrade_async.secret import Secret

if TYPE_CHECKING:
    from connecttrade_async.clock import Clock

__all__ = ["StreamToken"]

LIFETIME = timedelta(hours=24)  # documented
EARLY = 900.0
EARLIEST = 0.1
AGAIN = 30.0
REFUSALS = 3  # tokens refused in a row after which the next would be refused too
CALM = 60.0  # seconds that an accepted token must last for its refusal to be the first of a row
RESTRICTION = (  # documented; what others have open only the server can see
    "Connect Trade allows one broker connection at a time per user, and all its subscriptions from one address"
)

TokenSource = Callable[[], Awaitable[ConnectionToken | Secret | str]]
"""Whatever gets a token: from the API, or from wherever it was made."""


class StreamToken:
    """The token that a stream logs in with.

    Args:
        source: gets one.
        clock: time.
        within: seconds that getting one may take; None where the source sees to that itself.
        is_ours: whether getting one makes a new one, which replaces the old.

    Attributes:
        token: the token, once there is one.
        got: how many were got so far.
    """

    def __init__(self, source: TokenSource, clock: Clock, *, within: float | None, is_ours: bool) -> None:
        self.token = Secret("")
        self.fetch_count = 0
        self._source = source
        self._clock = clock
        self._within = within
        self._is_own_source = is_ours
        self._made = (clock.now(), clock.wall())
        self._lifetime: float | None = None
        self._expires_at: float | None = None
        self._renew_after: float | None = None
        self._was_accepted = False
        self._accepted_at: float | None = None
        self._refused: Secret | None = None
        self._refusals = 0
        self._failures = 0

    @property
    def renew_in(self) -> float | None:
        """In how many seconds to get the next, or None for never."""
        return None if self._renew_after is None else max(self._renew_after - self._age(), 0.0)

    async def ensure(self, *, is_renewal: bool) -> None:
        """Have a token that has not ended; for a renewal, a new one.

        Raises:
            ConnectTradeError: there is none to be had, or only the one that was refused.
            RequestTimeoutError: the source gave none in time; it was cancelled.
            TransportError: none can be had at present; or for a renewal, only the one in use.

        Cancelling drops the call; a token may have been made and the old one replaced.
        """
        if self.token and not is_renewal and (self._lifetime is None or self._age() < self._lifetime):
            return
        if is_renewal:
            self._renew_after = self._age() + AGAIN  # should it fail
        try:
            found = await self._get()
        except ConnectTradeError as exc:
            if is_renewal:
                self._renew_after = self._age() + self._pause(getattr(exc, "retry_after", None))
            raise
        if self._refused is not None and found[0] == self._refused:
            raise AuthenticationRefusedError(cause="the token source gave the token again that was refused")
        if is_renewal and found[0] == self.token:
            # Another link would gain nothing, and each would be due for relief sooner than the one before.
            raise _retry_delay("the token source has no newer token yet")
        self._take(*found)

    def mark_accepted(self) -> None:
        """Take note that the server took it."""
        self._was_accepted = True
        self._accepted_at = self._clock.now()

    def refused_error(self, cause: str) -> ConnectTradeError | None:
        """Take note that the server refused it; returns what that means, or None where a new one may do.

        Three in a row end the stream, and a token that was accepted for less than a minute does not begin a new row.
        """
        has_lasted = self._accepted_at is not None and self._clock.now() - self._accepted_at >= CALM
        self._refusals = 1 if has_lasted else self._refusals + 1
        self._accepted_at = None
        if self._refusals >= REFUSALS:
            return AuthenticationRefusedError(cause=f"{cause}; {REFUSALS} tokens in a row were refused")
        has_ended = self._expires_at is not None and self._age() >= self._expires_at
        if has_ended or (self._was_accepted and not self._is_own_source):
            self._refused, self.token = self.token, Secret("")
            return None
        if self._was_accepted:
            newer = "a newer token has replaced the one in use, or its connection is gone"
            return SessionTakenError(cause=f"{newer}: {cause}")
        return AuthenticationRefusedError(cause=f"{cause}; where the token is good: {RESTRICTION}")

    def taken_error(self, cause: str) -> ConnectTradeError:
        """Return what it means that somebody else has what this logs in to."""
        return SessionTakenError(cause=f"{cause}; {RESTRICTION}")

    def _pause(self, asked: float | None) -> float:
        """Return the seconds until a renewal that failed is tried again."""
        own = equal_jitter_delay(self._failures, AGAIN, MAX_RETRY_AFTER)
        self._failures += 1
        return bounded_retry_after(asked, own)

    async def _get(self) -> tuple[Secret, float | None]:
        try:
            given = await self._fetch()
        except ConnectTradeError:
            raise
        except Exception as exc:
            raise self._fetch_error(exc) from exc
        if isinstance(given, ConnectionToken):
            return Secret(given.access_token), self._lifetime_of(given)
        token = given = Secret.wrap(given)  # rebound before it is checked: tracebacks can print variables
        token.check("token")
        return token, None

    async def _fetch(self) -> ConnectionToken | Secret | str:
        if self._within is None:
            return await self._source()
        asking, is_late = asyncio.ensure_future(self._source()), False

        def call_off() -> None:
            nonlocal is_late
            is_late = asking.cancel()

        timer = self._clock.call_later(self._within, call_off)
        try:
            return await asking
        except asyncio.CancelledError as exc:
            if _is_being_cancelled():
                raise
            if is_late:
                detail = f"the token source gave none within {self._within:g} s"
                raise RequestTimeoutError(method="STREAM", path="token", kind="timeout", detail=detail) from exc
            # What a source waits for may be cancelled by others: that closes no stream.
            raise self._fetch_error(exc) from exc
        finally:
            timer.cancel()

    def _fetch_error(self, exc: BaseException) -> ConnectTradeError:
        msg = f"the token source failed on {type(exc).__name__}"
        # One that has worked before is not wrong but away, as an API may be: that ends no stream.
        return _retry_delay(msg) if self.fetch_count else ConfigurationError(msg)

    def _lifetime_of(self, token: ConnectionToken) -> float:
        try:
            ends = token.expires_at
        except MalformedResponseError:
            ends = None
        lifetime = LIFETIME if ends is None else min(ends - self._clock.wall(), LIFETIME)
        if self._is_own_source and lifetime <= timedelta(0):
            lifetime = (
                LIFETIME  # it is new, so the clocks disagree: by ours each new one would have to be renewed at once
            )
        return lifetime.total_seconds()

    def _take(self, token: Secret, lifetime: float | None) -> None:
        self.token, self._lifetime = token, lifetime
        self._made = (self._clock.now(), self._clock.wall())
        self._was_accepted = False
        self._failures = 0
        self.fetch_count += 1
        self._renew_after = self._expires_at = None if lifetime is None else lifetime - min(EARLY, lifetime * EARLIEST)
        if lifetime is not None and lifetime <= 0:
            self._renew_after = AGAIN  # by our clock each may come ended, and each new link would be due at once

    def _age(self) -> float:
        began, moment = self._made
        return max(self._clock.now() - began, (self._clock.wall() - moment).total_seconds())


def _retry_delay(detail: str) -> TransportError:
    return TransportError(method="STREAM", path="token", kind="unreachable", detail=detail)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
