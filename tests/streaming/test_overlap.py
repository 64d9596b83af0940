from __future__ import annotations

from hypothesis import given, strategies as st

from connecttrade_async.models.market import Quote, Trade
from connecttrade_async.streaming.overlap import Overlap


def trade(price: str) -> Trade:
    return Trade(symbol="A", price_text=price, size_text="1", time_text="t")


def test_a_trade_of_both_links_is_told_once_and_as_often_as_it_happened() -> None:
    overlap = Overlap()
    told = [("old", "1", True), ("new", "1", False), ("old", "1", True), ("new", "2", True), ("old", "2", False)]
    for link, price, is_new in told:
        assert overlap.is_new(link, trade(price)) is is_new
    assert overlap.is_new("new", trade("1")) is False
    assert overlap.is_new("new", trade("1")) is True


def test_what_replaces_what_was_told_is_always_told() -> None:
    overlap = Overlap()
    assert [overlap.is_new(link, Quote(symbol="A")) for link in ("old", "new")] == [True, True]


def test_it_is_over_at_its_time() -> None:
    overlap = Overlap()
    assert not overlap.is_over(1e9)
    overlap.until = 5.0
    assert [overlap.is_over(now) for now in (4.9, 5.0)] == [False, True]


@given(trades=st.lists(st.sampled_from("abc")), order=st.lists(st.booleans()), begins=st.integers(0, 10))
def test_every_trade_is_told_once_however_two_links_are_read(trades: list[str], order: list[bool], begins: int) -> None:
    """The old link tells them all, the new one from somewhere on; they are read in any order."""
    overlap, told = Overlap(), list[str]()
    links = {"old": list(trades), "new": list(trades[begins:])}
    for is_old in [*order, *[True] * len(trades), *[False] * len(trades)]:
        name = "old" if is_old else "new"
        if links[name] and overlap.is_new(name, trade(price := links[name].pop(0))):
            told.append(price)
    assert sorted(told) == sorted(trades)
