from __future__ import annotations

from connecttrade_async.market_data.registry import PendingClaims


def test_pending_claims_cancel_returns_keys_without_another_claimant() -> None:
    claims: PendingClaims[str] = PendingClaims()
    claims.add("a", "xy")
    claims.add("b", "yz")
    assert [thing in claims for thing in "xyzw"] == [True, True, True, False]
    assert claims.cancel("a", "xyz") == ("x",)
    assert claims.cancel("a", "xyz") == ()
    assert claims.cancel("b", "yz") == ("y", "z")
    assert "y" not in claims


def test_pending_claims_confirm_grants_a_key_to_its_first_claimant_only() -> None:
    claims: PendingClaims[str] = PendingClaims()
    claims.add("a", "xy")
    claims.add("b", "xy")
    assert claims.confirm("a", "xz") == ("x",)
    assert claims.cancel("b", "xy") == ()
    assert claims.confirm("b", "xy") == ()
    assert claims.cancel("a", "xy") == ("y",)


def test_pending_claims_clear_lets_a_key_be_claimed_again() -> None:
    claims: PendingClaims[str] = PendingClaims()
    claims.add("a", "x")
    claims.clear("xy")
    claims.add("b", "x")
    assert claims.confirm("a", "x") == claims.cancel("a", "x") == ()
    assert claims.cancel("b", "x") == ("x",)
