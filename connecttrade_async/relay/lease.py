"""The lease on the one session, without I/O: until when it is held, when to renew it and when to stand for election."""

from __future__ import annotations

import msgspec

__all__ = ["Lease", "election_delay"]

RENEWALS = 3  # in the time of one lease, so that one lost renewal does not end it
SPREAD = 0.1  # of a lease, over which candidates stand for election after it has ended


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A lease that this worker holds.

    Attributes:
        worker: the worker.
        epoch: the epoch that began with the lease.
        ttl: seconds for which an acquired or renewed lease is held.
        sent_at: when the latest confirmed request for it was sent, in seconds of a monotonic clock. The server counts
            from a later moment, so the worker stops before the lease ends there.
    """

    worker: str
    epoch: int
    ttl: float
    sent_at: float

    @property
    def owner(self) -> str:
        """The value of the lease in Redis. It names the epoch, so an old leader of the same worker is fenced too."""
        return f"{self.worker}:{self.epoch}"

    @property
    def renew_at(self) -> float:
        """When to renew the lease, in seconds of the clock."""
        return self.sent_at + self.ttl / RENEWALS

    @property
    def ends_at(self) -> float:
        """When the worker stops, in seconds of the clock."""
        return self.sent_at + self.ttl

    def is_held(self, now: float) -> bool:
        """Return whether the lease is certainly still held."""
        return now < self.ends_at

    def renewed(self, sent_at: float) -> Lease:
        """Return the lease after a renewal that was sent at this time."""
        return msgspec.structs.replace(self, sent_at=max(self.sent_at, sent_at))


def election_delay(remaining: float, ttl: float, phase: float) -> float:
    """Return the seconds until a candidate asks for the lease again.

    Args:
        remaining: the seconds until the lease, or the standby of the whole relay, ends unless it is renewed.
        ttl: the seconds of a lease.
        phase: a random number from 0 to 1, so that candidates do not all ask at once.
    """
    return max(remaining, 0.0) + ttl * SPREAD * phase
