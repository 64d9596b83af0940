from __future__ import annotations

from connecttrade_async.market_data.registry import PendingClaims


def test_what_nobody_else_claims_is_left_by_whoever_withdraws() -> None:
    claims: PendingClaims[str] = PendingClaims()
    claims.add("a", "xy")
    claims.add("b", "yz")
    assert [thing in claims for thing in "xyzw"] == [True, True, True, False]
    assert claims.cancel("a", "xyz") == ("x",)
    assert claims.cancel("a", "xyz") == ()
    assert claims.cancel("b", "yz") == ("y", "z")
    assert "y" not in claims


def test_what_one_got_the_others_have_and_nobody_leaves_it() -> None:
    claims: PendingClaims[str] = PendingClaims()
    claims.add("a", "xy")
    claims.add("b", "xy")
    assert claims.confirm("a", "xz") == ("x",)
    assert claims.cancel("b", "xy") == ()
    assert claims.confirm("b", "xy") == ()
    assert claims.cancel("a", "xy") == ("y",)


def test_what_is_dropped_is_claimed_anew() -> None:
    claims: PendingClaims[str] = PendingClaims()
    claims.add("a", "x")
    claims.clear("xy")
    claims.add("b", "x")
    assert claims.confirm("a", "x") == claims.cancel("a", "x") == ()
    assert claims.cancel("b", "x") == ("x",)
