from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from connecttrade_async.market_data.handover import REMEMBERED, Handover
from connecttrade_async.models.market import Bar, Depth, OptionsChain, Quote, Trade

if TYPE_CHECKING:
    from collections.abc import Callable


def trade(price: str) -> Trade:
    return Trade(symbol="A", price_text=price, size_text="1", time_text="t")


def test_a_trade_of_both_links_is_told_once_and_as_often_as_it_happened() -> None:
    overlap = Handover()
    told = [("old", "1", True), ("new", "1", False), ("old", "1", True), ("new", "2", True), ("old", "2", False)]
    for link, price, is_new in told:
        assert overlap.is_new(link, trade(price)) is is_new
    assert overlap.is_new("new", trade("1")) is False
    assert overlap.is_new("new", trade("1")) is True


def test_only_the_latest_trades_are_remembered_while_the_new_link_is_long_in_coming() -> None:
    overlap = Handover()
    for number in range(REMEMBERED + 1):
        assert overlap.is_new("old", trade(str(number)))
    assert [overlap.is_new("new", trade(str(number))) for number in (0, 1, REMEMBERED)] == [True, False, False]


def quote(time: str | None) -> Quote:
    return Quote(symbol="A", time_text=time)


def book(time: str | None) -> Depth:
    return Depth(symbol="A", time_text=time)


def chain(time: str | None, day: str = "2026-12-18") -> OptionsChain:
    return OptionsChain(underlying="A", expiration_text=day, time_text=time)


@pytest.mark.parametrize("make", [quote, book, chain])
def test_what_replaces_what_was_told_is_told_unless_something_later_was(make: Callable[[str | None], object]) -> None:
    overlap = Handover()
    times = [("old", "3", True), ("new", "3", True), ("new", "5", True), ("old", "4", False), ("old", "5", True)]
    for link, time, is_new in [*times, ("old", None, True), ("new", "no time", True), ("new", "4", False)]:
        assert overlap.is_new(link, make(time)) is is_new
    assert overlap.is_new("old", Quote(symbol="B", time_text="4"))
    assert overlap.is_new("old", chain("4", "2027-01-15"))


def test_bars_are_told_as_they_come() -> None:
    overlap = Handover()
    assert all(overlap.is_new(link, Bar(symbol="A", interval="1m")) for link in ("old", "new"))


def test_it_is_over_at_its_time() -> None:
    overlap = Handover()
    assert not overlap.is_over(1e9)
    overlap.until = 5.0
    assert [overlap.is_over(now) for now in (4.9, 5.0)] == [False, True]


@given(trades=st.lists(st.sampled_from("abc")), order=st.lists(st.booleans()), begins=st.integers(0, 10))
def test_every_trade_is_told_once_however_two_links_are_read(trades: list[str], order: list[bool], begins: int) -> None:
    """The old link tells them all, the new one from somewhere on; they are read in any order."""
    overlap, told = Handover(), list[str]()
    links = {"old": list(trades), "new": list(trades[begins:])}
    for is_old in [*order, *[True] * len(trades), *[False] * len(trades)]:
        name = "old" if is_old else "new"
        if links[name] and overlap.is_new(name, trade(price := links[name].pop(0))):
            told.append(price)
    assert sorted(told) == sorted(trades)
