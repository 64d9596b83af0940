"""Below the waterline: may this be asked again, and when.

Two questions are kept apart. *Could it have been done?* is a fact about the failure: whether the request may have
reached the other side. *May it be asked again?* is a judgement: only where asking twice does what asking once does,
where trying again can help, and where time is left. Each row of the table says why.
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
    """What one kind of failure means.

    Attributes:
        passes: whether it may be gone a moment later.
        may_be_done: whether the other side may have done what was asked all the same.
        reason: why.
    """

    is_transient: bool
    may_have_executed: bool
    reason: str


FAILURES: Mapping[str, FailureRule] = {
    "refused": FailureRule(is_transient=True, may_have_executed=False, reason="nothing listened, so nothing was sent"),
    "dns": FailureRule(
        is_transient=True, may_have_executed=False, reason="the name was not found, so nobody was asked"
    ),
    "unreachable": FailureRule(
        is_transient=True, may_have_executed=False, reason="no connection was made, so nothing was sent"
    ),
    "connect-timeout": FailureRule(is_transient=True, may_have_executed=False, reason="no connection was made in time"),
    "tls": FailureRule(
        is_transient=False, may_have_executed=False, reason="the peer is not who it should be, and will not become so"
    ),
    "pool-timeout": FailureRule(
        is_transient=False, may_have_executed=False, reason="it stood in our own line until its time was up"
    ),
    "timeout": FailureRule(
        is_transient=True, may_have_executed=True, reason="it was sent, and silence says nothing about its fate"
    ),
    "dropped": FailureRule(
        is_transient=True, may_have_executed=True, reason="the link ended before an answer; the work may be done"
    ),
    "torn": FailureRule(
        is_transient=True, may_have_executed=True, reason="an answer began and broke off; the work is likely done"
    ),
    "too-large": FailureRule(
        is_transient=False, may_have_executed=True, reason="the answer is larger than we read, and will be so again"
    ),
    "garbled": FailureRule(is_transient=False, may_have_executed=True, reason="what answered does not speak HTTP"),
}

STATUSES: Mapping[int, FailureRule] = {
    408: FailureRule(
        is_transient=True, may_have_executed=True, reason="a proxy gave up on a request that may have gone on"
    ),
    429: FailureRule(is_transient=True, may_have_executed=False, reason="turned away before any work"),
    499: FailureRule(
        is_transient=True, may_have_executed=True, reason="a proxy thinks that we went away; the work may go on"
    ),
    502: FailureRule(is_transient=True, may_have_executed=True, reason="a proxy lost the answer of somebody behind it"),
    503: FailureRule(
        is_transient=True, may_have_executed=True, reason="overloaded; a proxy may say so after passing the request on"
    ),
    504: FailureRule(is_transient=True, may_have_executed=True, reason="a proxy stopped waiting; the work may go on"),
}

_SERVER_FAULT = FailureRule(
    is_transient=False, may_have_executed=True, reason="it broke while working; the same again breaks the same way"
)
_REDIRECTED = FailureRule(
    is_transient=False, may_have_executed=True, reason="something on the way points elsewhere; who knows what it did"
)
_REFUSED = FailureRule(is_transient=False, may_have_executed=False, reason="the answer is no")


def rule_for(error: TransportError | BrokerError) -> FailureRule:
    """Return what a failure means."""
    if isinstance(error, TransportError):
        return FAILURES[error.kind]
    if isinstance(error, APIError):
        return STATUSES.get(error.status) or _rule_of_class(error.status // 100)
    return _SERVER_FAULT


def _rule_of_class(hundreds: int) -> FailureRule:
    return {3: _REDIRECTED, 4: _REFUSED}.get(hundreds, _SERVER_FAULT)


def was_never_sent(error: ConnectTradeError) -> bool:
    """Say whether it is certain that the request never left this machine."""
    return isinstance(error, TransportError) and not FAILURES[error.kind].may_have_executed


def is_ambiguous(error: ConnectTradeError) -> bool:
    """Say whether what was asked may have been done although this came instead of a good answer.

    A refusal in the 4xx is the broker's no, but for what proxies say in the rows above. Everything else that came after
    the request left is no answer at all, an unreadable body included.
    """
    return isinstance(error, TransportError | BrokerError) and rule_for(error).may_have_executed


class RetryState:
    """How much longer one call is tried. Made at its first failure, so a call that succeeds pays nothing for it.

    Args:
        settings: attempts and budget.
        repeat: how often the request may be sent.
        deadline: when the budget ends, in seconds on the caller's clock.
        delays: pauses between attempts, in seconds.

    Attributes:
        attempts: exchanges that have failed.
        may_be_done: whether any of them may have done its work.
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
        """Count a failure, and return the seconds to wait before asking again, or None to give up.

        A server's ``Retry-After`` counts within the bounds of ``bounded_retry_after``.
        """
        row = rule_for(error)
        self.attempts += 1
        self.may_have_executed = self.may_have_executed or row.may_have_executed
        allowed = self._repeat is RetryMode.SAFE or (self._repeat is RetryMode.IF_UNSENT and was_never_sent(error))
        if not (row.is_transient and allowed) or self.attempts >= self._settings.attempts:
            return None
        asked_for = error.retry_after if isinstance(error, APIError) else None
        pause = bounded_retry_after(asked_for, next(self._delays))
        return pause if now + pause < self._deadline else None
