from __future__ import annotations

import pytest

from connecttrade_async.relay.lease import Lease, election_delay

LEASE = Lease(worker="w", epoch=7, ttl=3.0, sent_at=100.0)


def test_lease_is_held_from_when_it_was_requested() -> None:
    assert LEASE.is_held(102.999)
    assert not LEASE.is_held(103.0)
    assert (LEASE.owner, LEASE.renew_at, LEASE.ends_at) == ("w:7", 101.0, 103.0)


def test_renewed_lease_is_held_from_when_the_renewal_was_sent() -> None:
    assert LEASE.renewed(101.0).ends_at == 104.0
    assert LEASE.renewed(99.0) == LEASE  # an answer that arrives late shortens nothing


@pytest.mark.parametrize(
    ("remaining", "phase", "expected"), [(0.0, 0.0, 0.0), (-1.0, 1.0, 0.3), (2.0, 0.5, 2.15)], ids=str
)
def test_candidates_ask_again_after_the_lease_at_different_times(
    remaining: float, phase: float, expected: float
) -> None:
    assert election_delay(remaining, 3.0, phase) == pytest.approx(expected)
