from __future__ import annotations

from connecttrade_async.streaming.claims import Claims


def test_what_nobody_else_claims_is_left_by_whoever_withdraws() -> None:
    claims: Claims[str] = Claims()
    claims.lay("a", "xy")
    claims.lay("b", "yz")
    assert [thing in claims for thing in "xyzw"] == [True, True, True, False]
    assert claims.withdraw("a", "xyz") == ("x",)
    assert claims.withdraw("a", "xyz") == ()
    assert claims.withdraw("b", "yz") == ("y", "z")
    assert "y" not in claims


def test_what_one_got_the_others_have_and_nobody_leaves_it() -> None:
    claims: Claims[str] = Claims()
    claims.lay("a", "xy")
    claims.lay("b", "xy")
    assert claims.settle("a", "xz") == ("x",)
    assert claims.withdraw("b", "xy") == ()
    assert claims.settle("b", "xy") == ()
    assert claims.withdraw("a", "xy") == ("y",)


def test_what_is_dropped_is_claimed_anew() -> None:
    claims: Claims[str] = Claims()
    claims.lay("a", "x")
    claims.drop("xy")
    claims.lay("b", "x")
    assert claims.settle("a", "x") == claims.withdraw("a", "x") == ()
    assert claims.withdraw("b", "x") == ("x",)
