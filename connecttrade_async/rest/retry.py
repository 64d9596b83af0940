"""Decide whether and when a failed request is repeated.

Two questions are kept apart. Whether the request may have been executed is a fact about the failure. Whether it is
repeated is a decision: the request must be safe to repeat, the failure transient, and time must be left. Each rule of
the tables has its reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from connecttrade_async.errors import APIError, BrokerError, TransportError
from connecttrade_async.pacing import bounded_retry_after
from connecttrade_async.rest.wire import RetryMode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from connecttrade_async.config import Retry
    from connecttrade_async.errors import ConnectTradeError

__all__ = ["FAILURES", "STATUSES", "FailureRule", "RetryState", "is_ambiguous", "rule_for", "was_never_sent"]


class FailureRule(NamedTuple):
    """The meaning of one kind of failure.

    Attributes:
        is_transient: whether the same request may succeed a moment later.
        may_have_executed: whether the request may have been executed despite the failure.
        reason: why, as a clause.
    """

    is_transient: bool
    may_have_executed: bool
    reason: str


FAILURES: Mapping[str, FailureRule] = {
    "refused": FailureRule(
        is_transient=True, may_have_executed=False, reason="the connection was refused, so nothing was sent"
    ),
    "dns": FailureRule(
        is_transient=True, may_have_executed=False, reason="the host name was not found, so nothing was sent"
    ),
    "unreachable": FailureRule(
        is_transient=True, may_have_executed=False, reason="no connection was made, so nothing was sent"
    ),
    "connect-timeout": FailureRule(is_transient=True, may_have_executed=False, reason="no connection was made in time"),
    "tls": FailureRule(
        is_transient=False,
        may_have_executed=False,
        reason="the certificate of the peer is not trusted, and a retry does not change that",
    ),
    "pool-timeout": FailureRule(
        is_transient=False, may_have_executed=False, reason="no slot of the limiter became free in time"
    ),
    "timeout": FailureRule(
        is_transient=True,
        may_have_executed=True,
        reason="the request was sent, and the missing response proves nothing",
    ),
    "dropped": FailureRule(
        is_transient=True,
        may_have_executed=True,
        reason="the connection dropped before a response; the request may be executed",
    ),
    "torn": FailureRule(
        is_transient=True,
        may_have_executed=True,
        reason="the response is incomplete; the request was probably executed",
    ),
    "too-large": FailureRule(
        is_transient=False,
        may_have_executed=True,
        reason="the response is larger than the limit, and would be so again",
    ),
    "garbled": FailureRule(is_transient=False, may_have_executed=True, reason="the response is not HTTP"),
}

STATUSES: Mapping[int, FailureRule] = {
    408: FailureRule(
        is_transient=True, may_have_executed=True, reason="a proxy gave up on a request that it may have passed on"
    ),
    429: FailureRule(is_transient=True, may_have_executed=False, reason="refused before any work"),
    499: FailureRule(
        is_transient=True, may_have_executed=True, reason="a proxy takes the client for gone; the work may go on"
    ),
    502: FailureRule(
        is_transient=True, may_have_executed=True, reason="a proxy lost the response of the server behind it"
    ),
    503: FailureRule(
        is_transient=True,
        may_have_executed=True,
        reason="overloaded; a proxy may have passed the request on before",
    ),
    504: FailureRule(is_transient=True, may_have_executed=True, reason="a proxy stopped waiting; the work may go on"),
}

_SERVER_FAULT = FailureRule(
    is_transient=False,
    may_have_executed=True,
    reason="the server failed while working, and would fail the same way again",
)
_REDIRECTED = FailureRule(
    is_transient=False, may_have_executed=True, reason="a redirect; whether the request was executed is not known"
)
_REFUSED = FailureRule(is_transient=False, may_have_executed=False, reason="the API refused it")


def rule_for(error: TransportError | BrokerError) -> FailureRule:
    """Return the rule for a failure."""
    if isinstance(error, TransportError):
        return FAILURES[error.kind]
    if isinstance(error, APIError):
        return STATUSES.get(error.status) or _rule_of_class(error.status // 100)
    return _SERVER_FAULT


def _rule_of_class(hundreds: int) -> FailureRule:
    return {3: _REDIRECTED, 4: _REFUSED}.get(hundreds, _SERVER_FAULT)


def was_never_sent(error: ConnectTradeError) -> bool:
    """Return whether the request certainly never left this machine."""
    return isinstance(error, TransportError) and not FAILURES[error.kind].may_have_executed


def is_ambiguous(error: ConnectTradeError) -> bool:
    """Return whether the request may have been executed although it failed.

    A status in the 4xx is the broker's refusal, except those of proxies in ``STATUSES``. Every other failure after the
    request was sent proves nothing; that includes a body that cannot be decoded.
    """
    return isinstance(error, TransportError | BrokerError) and rule_for(error).may_have_executed


class RetryState:
    """The attempts of one request so far. It is created at the first failure, so a success pays nothing for it.

    Args:
        settings: the number of attempts and the budget.
        repeat: when the request may be repeated.
        deadline: when the budget ends, in seconds on the caller's clock.
        delays: pauses between attempts, in seconds.

    Attributes:
        attempts: exchanges that have failed.
        may_have_executed: whether any failed attempt may have been executed.
    """

    __slots__ = ("_deadline", "_delays", "_repeat", "_settings", "attempts", "may_have_executed")

    def __init__(self, settings: Retry, *, repeat: RetryMode, deadline: float, delays: Iterator[float]) -> None:
        self._settings = settings
        self._repeat = repeat
        self._deadline = deadline
        self._delays = delays
        self.attempts = 0
        self.may_have_executed = False

    def pause_after(self, error: TransportError | APIError, now: float) -> float | None:
        """Count a failed attempt; return the seconds until the next one, or None to give up.

        ``Retry-After`` is respected within the bounds of ``bounded_retry_after``.
        """
        rule = rule_for(error)
        self.attempts += 1
        self.may_have_executed = self.may_have_executed or rule.may_have_executed
        allowed = self._repeat is RetryMode.SAFE or (self._repeat is RetryMode.IF_UNSENT and was_never_sent(error))
        if not (rule.is_transient and allowed) or self.attempts >= self._settings.attempts:
            return None
        retry_after = error.retry_after if isinstance(error, APIError) else None
        pause = bounded_retry_after(retry_after, next(self._delays))
        return pause if now + pause < self._deadline else None
