"""The token of one market data stream: fetch it, choose when to renew it, and classify its rejection.

One token is active per connection (documented), so minting a new one invalidates the token of another client. A token
that another client has replaced is therefore not replaced again: the stream ends.

The age of a token is the larger of two ages: by the monotonic clock, which may stand still while the machine sleeps,
and by the time of day, which may be set. Otherwise an expired token could be mistaken for a replaced one.
"""

from __future__ import annotations

import asyncio
import traceback
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
from connecttrade_async.futures import is_being_cancelled
from connecttrade_async.market_data.quiet_hours import seconds_until_quiet
from connecttrade_async.models.connections import ConnectionToken
from connecttrade_async.pacing import MAX_RETRY_AFTER, bounded_retry_after, equal_jitter_delay
from connecttrade_async.secret import Secret, without_frames

if TYPE_CHECKING:
    from connecttrade_async.clock import Clock

__all__ = ["StreamToken"]

LIFETIME = timedelta(hours=24)  # (documented)
RENEWAL_WINDOW = 0.25  # the last part of a token's life, in which it is renewed
LATEST_RENEWAL = 300.0  # seconds before the end of a token
EXPIRY_TOLERANCE = 900.0  # seconds before its end from which a rejected token counts as expired: clocks differ
SHORT_LIVED = 0.1  # part of a short life that bounds both of these
RETRY_BASE = 30.0
MAX_REJECTIONS = 3  # in a row; the next token would most likely be rejected too
SETTLED = 60.0  # seconds that a token must be accepted to end a row of rejections
RESTRICTION = (  # (documented); only the server knows which other sessions are open
    "Connect Trade allows one broker connection at a time per user, and all its subscriptions from one address"
)

TokenSource = Callable[[], Awaitable[ConnectionToken | Secret | str]]
"""Returns a token, minted by the API or obtained elsewhere."""


class StreamToken:
    """The token that a stream logs in with.

    Args:
        source: returns a token.
        clock: measures ages and time-outs.
        timeout: seconds that the source may take; None where the source has time-outs of its own.
        is_minted: whether the source mints a new token on each call, which invalidates the old one.

    Attributes:
        token: the current token; empty before the first.
        fetch_count: number of tokens fetched so far.
    """

    def __init__(self, source: TokenSource, clock: Clock, *, timeout: float | None, is_minted: bool) -> None:
        self.token = Secret("")
        self.fetch_count = 0
        self._source = source
        self._clock = clock
        self._timeout = timeout
        self._is_minted = is_minted
        self._fetched_at = (clock.now(), clock.wall())
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
        """Seconds until the token should be renewed, or None for never.

        Renewing is a reconnect, so it happens in the last quarter of the token's life when the US markets are closed.
        Where they do not close in that quarter, it happens 5 minutes before the end.
        """
        return None if self._renew_after is None else max(self._renew_after - self._age(), 0.0)

    async def ensure(self, *, is_renewal: bool) -> None:
        """Fetch a token unless the current one is valid; for a renewal, fetch a new one.

        Raises:
            ConnectTradeError: the source failed, or returned the token that was rejected.
            RequestTimeoutError: the source returned no token in time; it was cancelled.
            TransportError: the source is unavailable, or for a renewal, returned the current token.

        Cancelling drops the call; a token may have been minted and the old one invalidated.
        """
        if self.token and not is_renewal and (self._lifetime is None or self._age() < self._lifetime):
            return
        if is_renewal:
            self._renew_after = self._age() + RETRY_BASE  # should it fail
        try:
            found = await self._get()
        except ConnectTradeError as exc:
            if is_renewal:
                self._renew_after = self._age() + self._retry_delay(getattr(exc, "retry_after", None))
            raise
        if self._refused is not None and found[0] == self._refused:
            raise AuthenticationRefusedError(cause="the token source returned the rejected token again")
        if is_renewal and found[0] == self.token:
            # Reconnecting with the same token would gain nothing, and each renewal would be due sooner than the last.
            raise _unavailable("the token source has no newer token yet")
        self._take(*found)

    def mark_accepted(self) -> None:
        """Record that the server accepted the token."""
        self._was_accepted = True
        self._accepted_at = self._clock.now()

    def refused_error(self, cause: str) -> ConnectTradeError | None:
        """Record that the server rejected the token; return the final error, or None where a new token may do.

        Three rejections in a row are final. A token that was accepted for less than a minute does not end the row.
        """
        was_settled = self._accepted_at is not None and self._clock.now() - self._accepted_at >= SETTLED
        self._refusals = 1 if was_settled else self._refusals + 1
        self._accepted_at = None
        if self._refusals >= MAX_REJECTIONS:
            return AuthenticationRefusedError(cause=f"{cause}; {MAX_REJECTIONS} tokens in a row were rejected")
        is_expired = self._expires_at is not None and self._age() >= self._expires_at
        if is_expired or (self._was_accepted and not self._is_minted):
            self._refused, self.token = self.token, Secret("")
            return None
        if self._was_accepted:
            newer = "a newer token has replaced the one in use, or its connection is gone"
            return SessionTakenError(cause=f"{newer}: {cause}")
        return AuthenticationRefusedError(cause=f"{cause}; if the token is valid: {RESTRICTION}")

    def taken_error(self, cause: str) -> ConnectTradeError:
        """Return the error for a stream that another session has taken over."""
        return SessionTakenError(cause=f"{cause}; {RESTRICTION}")

    def _retry_delay(self, asked: float | None) -> float:
        """Return the seconds until a failed renewal is tried again."""
        delay = equal_jitter_delay(self._failures, RETRY_BASE, MAX_RETRY_AFTER)
        self._failures += 1
        return bounded_retry_after(asked, delay)

    async def _get(self) -> tuple[Secret, float | None]:
        try:
            found_token = await self._fetch()
        except ConnectTradeError as exc:
            if self._is_minted:
                raise
            # Its traceback has frames of the source's own code, and their variables may hold tokens.
            _drop_frames(exc)
            raise
        except Exception as exc:
            _drop_frames(exc)
            raise self._fetch_error(exc) from exc
        if isinstance(found_token, ConnectionToken):
            return Secret(found_token.access_token), self._lifetime_of(found_token)
        token = found_token = Secret.wrap(found_token)  # rebound before the check: tracebacks can print variables
        token.check("token")
        return token, None

    async def _fetch(self) -> ConnectionToken | Secret | str:
        if self._timeout is None:
            return await self._source()
        fetch, is_late = asyncio.ensure_future(self._source()), False

        def time_out() -> None:
            nonlocal is_late
            is_late = fetch.cancel()

        timer = self._clock.call_later(self._timeout, time_out)
        try:
            return await fetch
        except asyncio.CancelledError as exc:
            if is_being_cancelled():
                raise
            _drop_frames(exc)
            if is_late:
                detail = f"the token source returned no token within {self._timeout:g} s"
                raise RequestTimeoutError(method="STREAM", path="token", kind="timeout", detail=detail) from exc
            # A source may await a task that other code cancels; that must not cancel the stream.
            raise self._fetch_error(exc) from exc
        finally:
            timer.cancel()

    def _fetch_error(self, exc: BaseException) -> ConnectTradeError:
        msg = f"the token source failed on {type(exc).__name__}"
        # A source that worked before is unavailable rather than wrong, as an API may be; the stream retries.
        return _unavailable(msg) if self.fetch_count else ConfigurationError(msg)

    def _lifetime_of(self, token: ConnectionToken) -> float:
        try:
            ends = token.expires_at
        except MalformedResponseError:
            ends = None
        lifetime = LIFETIME if ends is None else min(ends - self._clock.wall(), LIFETIME)
        if self._is_minted and lifetime <= timedelta(0):
            # A minted token is new, so the clocks disagree. By this clock each new token would be renewed at once.
            lifetime = LIFETIME
        return lifetime.total_seconds()

    def _take(self, token: Secret, lifetime: float | None) -> None:
        self.token, self._lifetime = token, lifetime
        self._fetched_at = (self._clock.now(), self._clock.wall())
        self._was_accepted = False
        self._failures = 0
        self.fetch_count += 1
        if lifetime is None:
            self._renew_after = self._expires_at = None
            return
        self._expires_at = lifetime - min(EXPIRY_TOLERANCE, lifetime * SHORT_LIVED)
        self._renew_after = self._renewal_age(lifetime)
        if lifetime <= 0:
            self._renew_after = (
                RETRY_BASE  # each token may look expired on arrival, and would otherwise be renewed at once
            )

    def _renewal_age(self, lifetime: float) -> float:
        """Return the age at which to renew a token, in seconds."""
        earliest = lifetime * (1 - RENEWAL_WINDOW)
        latest = lifetime - min(LATEST_RENEWAL, lifetime * SHORT_LIVED)
        pause = seconds_until_quiet(self._clock.wall() + timedelta(seconds=earliest))
        return min(earliest + pause, latest)

    def _age(self) -> float:
        began, moment = self._fetched_at
        return max(self._clock.now() - began, (self._clock.wall() - moment).total_seconds())


def _drop_frames(exc: BaseException) -> None:
    """Replace the traceback of an exception of the source by a note: variables in its frames may hold tokens."""
    if not getattr(exc, "__notes__", None):  # a source may raise one object again and again
        exc.add_note("".join(traceback.format_tb(exc.__traceback__)).rstrip())
    without_frames(exc)


def _unavailable(detail: str) -> TransportError:
    return TransportError(method="STREAM", path="token", kind="unreachable", detail=detail)
