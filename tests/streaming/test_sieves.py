from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, strategies as st

from connecttrade_async.models.market import Bar, Greeks, OptionContract, OptionsChain, Trade
from connecttrade_async.streaming.sieves import OfExpiration, OfHours, OfInterval, Upwards


def bar(minute: int, *, closed: bool | None = True, symbol: str = "A") -> Bar:
    return Bar(symbol=symbol, interval="1m", start_time_text=f"2026-03-02T14:{minute:02}:00Z", closed=closed)


@pytest.mark.parametrize(("hours", "is_met"), [("regular", True), ("extended", False), (None, True)])
def test_hours(hours: str | None, is_met: bool) -> None:  # noqa: FBT001 - a table's column
    assert OfHours("regular").is_met_by(Trade(symbol="A", hours=hours)) is is_met


def test_intervals() -> None:
    assert OfInterval("1m").is_met_by(bar(1))
    assert not OfInterval("5m").is_met_by(bar(1))


@pytest.mark.parametrize(("day", "is_met"), [("2026-12-18", True), ("2027-01-15", False), (None, True)])
def test_expirations(day: str | None, is_met: bool) -> None:  # noqa: FBT001 - a table's column
    chain = OptionsChain(underlying="A", expiration_text=day)
    assert OfExpiration("2026-12-18", greeks=False).is_met_by(chain) is is_met
    assert OfExpiration(None, greeks=True).is_met_by(chain)


def test_chains_without_greeks_are_passed_over_once_they_came_with_them() -> None:
    contract = OptionContract(symbol="A261218C00100000")
    plain, other = (
        OptionsChain(underlying="A", expiration_text=day, contracts=(contract,)) for day in ("2026-12-18", "2027-01-15")
    )
    full = OptionsChain(
        underlying="A", expiration_text="2026-12-18", contracts=(msgspec.structs.replace(contract, greeks=Greeks()),)
    )
    wanting, content = OfExpiration(None, greeks=True), OfExpiration(None, greeks=False)
    assert [wanting.is_met_by(each) for each in (plain, full, plain, other)] == [True, True, False, True]
    assert [content.is_met_by(each) for each in (plain, full, plain, other)] == [True, True, True, True]
    # That those on one stock have greeks says nothing of those on another.
    assert wanting.is_met_by(msgspec.structs.replace(plain, underlying="B"))


def test_bars_go_up_and_each_is_told_once_when_it_is_over() -> None:
    upwards = Upwards()
    took = [upwards.takes(each) for each in (bar(1), bar(1), bar(2, closed=False), bar(2, closed=None), bar(2), bar(2))]
    assert took == [True, False, True, True, True, False]
    assert [upwards.takes(each) for each in (bar(1), bar(1, symbol="B"), bar(3))] == [False, True, True]
    upwards.forget("A")
    assert upwards.takes(bar(1))
    assert upwards.takes(Bar(symbol="A", interval="1m"))


def test_a_bar_that_ends_after_the_next_has_begun_is_told_then_and_once() -> None:
    upwards = Upwards()
    came = (bar(1, closed=False), bar(2, closed=False), bar(1, closed=False), bar(1), bar(1), bar(2), bar(2))
    assert [upwards.takes(each) for each in came] == [True, True, False, True, False, True, False]
    # It may be over before anybody told that it was open; but what was before all that was told is of no concern.
    assert [upwards.takes(each) for each in (bar(4, closed=False), bar(3), bar(3), bar(0))] == [
        True,
        True,
        False,
        False,
    ]
    assert [upwards.takes(bar(5, symbol="B", closed=False)), upwards.takes(bar(4, symbol="B"))] == [True, False]


def test_since_when_bars_may_be_missing() -> None:
    upwards = Upwards()
    assert upwards.since("A") is None
    for each, minute in ((bar(1, closed=False), 1), (bar(1), 1), (bar(3, closed=False), 1), (bar(3), 3)):
        assert upwards.takes(each)
        assert upwards.since("A") == datetime(2026, 3, 2, 14, minute, tzinfo=UTC)
    for minute in (4, 5):
        assert upwards.takes(bar(minute, closed=False))
    assert upwards.takes(bar(5))
    assert upwards.since("A") == datetime(2026, 3, 2, 14, 4, tzinfo=UTC)
    upwards.forget("A")
    assert upwards.since("A") is None


def test_a_server_that_says_of_no_bar_that_it_is_over_costs_no_more_and_more() -> None:
    upwards = Upwards()
    assert all(upwards.takes(bar(minute, closed=None)) for minute in range(60))
    assert upwards.since("A") == datetime(2026, 3, 2, 14, 56, tzinfo=UTC)


@given(minutes=st.lists(st.tuples(st.integers(0, 3), st.booleans())))
def test_whatever_comes_only_an_end_is_told_late_and_what_is_over_stays(minutes: list[tuple[int, bool]]) -> None:
    upwards = Upwards()
    told = [(minute, closed) for minute, closed in minutes if upwards.takes(bar(minute, closed=closed))]
    for number, (minute, closed) in enumerate(told):
        assert (minute, True) not in told[:number]
        assert closed or all(minute >= before for before, _ in told[:number])
    # What was told as open and then came to its end, was told to be over.
    for minute, _ in told:
        first = minutes.index((minute, False)) if (minute, False) in told else None
        if first is not None and (minute, True) in minutes[first:]:
            assert (minute, True) in told
