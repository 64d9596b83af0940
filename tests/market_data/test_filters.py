from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, strategies as st

from connecttrade_async.market_data.filters import BarSequencer, ExpirationFilter, HoursFilter, IntervalFilter
from connecttrade_async.models.market import Bar, Greeks, OptionContract, OptionsChain, Trade


def bar(minute: int, *, closed: bool | None = True, symbol: str = "A") -> Bar:
    return Bar(symbol=symbol, interval="1m", start_time_text=f"2026-03-02T14:{minute:02}:00Z", closed=closed)


def takes(sequencer: BarSequencer, bar: Bar) -> bool:
    return sequencer.accept(bar) is not None


@pytest.mark.parametrize(("hours", "is_met"), [("regular", True), ("extended", False), (None, True)])
def test_hours_filter_passes_its_hours_and_unknown_hours(hours: str | None, is_met: bool) -> None:  # noqa: FBT001 - a table's column
    assert HoursFilter("regular").matches(Trade(symbol="A", hours=hours)) is is_met


def test_interval_filter_passes_its_interval_only() -> None:
    assert IntervalFilter("1m").matches(bar(1))
    assert not IntervalFilter("5m").matches(bar(1))


@pytest.mark.parametrize(("day", "is_met"), [("2026-12-18", True), ("2027-01-15", False), (None, True)])
def test_expiration_filter_passes_its_day_and_unknown_days(day: str | None, is_met: bool) -> None:  # noqa: FBT001 - a table's column
    chain = OptionsChain(underlying="A", expiration_text=day)
    assert ExpirationFilter("2026-12-18", greeks=False).matches(chain) is is_met
    assert ExpirationFilter(None, greeks=True).matches(chain)


def test_expiration_filter_drops_chains_without_greeks_once_they_came_with_greeks() -> None:
    contract = OptionContract(symbol="A261218C00100000")
    plain, other = (
        OptionsChain(underlying="A", expiration_text=day, contracts=(contract,)) for day in ("2026-12-18", "2027-01-15")
    )
    full = OptionsChain(
        underlying="A", expiration_text="2026-12-18", contracts=(msgspec.structs.replace(contract, greeks=Greeks()),)
    )
    wanting, content = ExpirationFilter(None, greeks=True), ExpirationFilter(None, greeks=False)
    assert [wanting.matches(each) for each in (plain, full, plain, other)] == [True, True, False, True]
    assert [content.matches(each) for each in (plain, full, plain, other)] == [True, True, True, True]
    # That those on one stock have greeks says nothing of those on another.
    assert wanting.matches(msgspec.structs.replace(plain, underlying="B"))


def test_bar_sequencer_delivers_each_closed_bar_once_and_in_order() -> None:
    sequencer = BarSequencer()
    took = [
        takes(sequencer, each) for each in (bar(1), bar(1), bar(2, closed=False), bar(2, closed=None), bar(2), bar(2))
    ]
    assert took == [True, False, True, True, True, False]
    assert [takes(sequencer, each) for each in (bar(1), bar(1, symbol="B"), bar(3))] == [False, True, True]
    sequencer.forget("A")
    assert takes(sequencer, bar(1))
    assert takes(sequencer, Bar(symbol="A", interval="1m"))


def test_bar_sequencer_delivers_a_bar_that_closes_after_the_next_has_started() -> None:
    sequencer = BarSequencer()
    came = (bar(1, closed=False), bar(2, closed=False), bar(1, closed=False), bar(1), bar(1), bar(2), bar(2))
    assert [takes(sequencer, each) for each in came] == [True, True, False, True, False, True, False]
    # A bar may be closed without an open bar before it; bars before the first delivered one are dropped.
    assert [takes(sequencer, each) for each in (bar(4, closed=False), bar(3), bar(3), bar(0))] == [
        True,
        True,
        False,
        False,
    ]
    assert [takes(sequencer, bar(5, symbol="B", closed=False)), takes(sequencer, bar(4, symbol="B"))] == [True, False]


def test_bar_sequencer_since_returns_the_first_bar_that_may_be_missing() -> None:
    sequencer = BarSequencer()
    assert sequencer.since("A") is None
    for each, minute in ((bar(1, closed=False), 1), (bar(1), 1), (bar(3, closed=False), 1), (bar(3), 3)):
        assert takes(sequencer, each)
        assert sequencer.since("A") == datetime(2026, 3, 2, 14, minute, tzinfo=UTC)
    for minute in (4, 5):
        assert takes(sequencer, bar(minute, closed=False))
    assert takes(sequencer, bar(5))
    assert sequencer.since("A") == datetime(2026, 3, 2, 14, 4, tzinfo=UTC)
    sequencer.forget("A")
    assert sequencer.since("A") is None


def test_bar_sequencer_remembers_few_open_bars_of_a_server_that_closes_none() -> None:
    sequencer = BarSequencer()
    assert all(takes(sequencer, bar(minute, closed=None)) for minute in range(60))
    assert sequencer.since("A") == datetime(2026, 3, 2, 14, 56, tzinfo=UTC)


@given(minutes=st.lists(st.tuples(st.integers(0, 3), st.booleans())))
def test_bar_sequencer_with_any_bars_delivers_only_closed_bars_late(minutes: list[tuple[int, bool]]) -> None:
    sequencer = BarSequencer()
    events = [(minute, closed) for minute, closed in minutes if takes(sequencer, bar(minute, closed=closed))]
    for number, (minute, closed) in enumerate(events):
        assert (minute, True) not in events[:number]
        assert closed or all(minute >= before for before, _ in events[:number])
    # Each bar delivered as open is delivered as closed, if its closed bar came.
    for minute, _ in events:
        first = minutes.index((minute, False)) if (minute, False) in events else None
        if first is not None and (minute, True) in minutes[first:]:
            assert (minute, True) in events


def priced(minute: int, close: str, *, closed: bool | None = True) -> Bar:
    return msgspec.structs.replace(bar(minute, closed=closed), close_text=close)


def corrections(sequencer: BarSequencer, *bars: Bar) -> list[bool | None]:
    """Return for each bar whether it is a correction, or None where it is not delivered."""
    accept = [sequencer.accept(each) for each in bars]
    return [None if each is None else each.is_correction for each in accept]


def test_bar_sequencer_with_other_values_of_a_closed_bar_marks_a_correction() -> None:
    sequencer = BarSequencer()
    came = (
        priced(1, "10"),
        priced(1, "10.00"),
        priced(1, "11"),
        priced(1, "11"),
        priced(2, "12", closed=False),
        priced(1, "10"),
        priced(2, "13"),
        priced(1, "1e999999999"),
        priced(1, "1e999999999"),
    )
    assert corrections(sequencer, *came) == [False, None, True, None, False, True, False, True, None]


def test_bar_sequencer_with_any_changed_value_marks_a_correction() -> None:
    sequencer, last = BarSequencer(), bar(1)
    assert corrections(sequencer, last) == [False]
    for name in ("open", "high", "low", "close", "volume"):
        last = msgspec.structs.replace(last, **{f"{name}_text": "7"})
        assert corrections(sequencer, last, last) == [True, None]


def test_bar_sequencer_with_a_late_bar_never_delivered_marks_no_correction() -> None:
    sequencer = BarSequencer()
    assert corrections(sequencer, bar(1), bar(3), bar(2), bar(2), bar(0)) == [False, False, False, None, None]


def test_bar_sequencer_with_bars_older_than_its_memory_marks_corrections() -> None:
    sequencer = BarSequencer()
    times = [f"2026-03-02T{14 + minute // 60}:{minute % 60:02}:00Z" for minute in range(250)]
    for time in times:
        assert takes(sequencer, msgspec.structs.replace(bar(1), start_time_text=time))
    assert len(sequencer._progress["A"].closed) == 200
    old, kept = (msgspec.structs.replace(bar(1), start_time_text=times[number]) for number in (49, 50))
    assert corrections(sequencer, old, kept) == [True, None]


def test_bar_sequencer_with_a_malformed_time_delivers_the_bar() -> None:
    sequencer = BarSequencer()
    odd = msgspec.structs.replace(bar(1), start_time_text="soon")
    assert corrections(sequencer, odd, odd) == [False, False]


@given(came=st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["1", "1.0", "2"]))))
def test_bar_sequencer_with_any_closed_bars_delivers_the_latest_values_of_each(
    came: list[tuple[int, str]],
) -> None:
    sequencer, events = BarSequencer(), dict[str | None, str | None]()
    first = min((minute for minute, _ in came[:1]), default=0)
    for minute, close in came:
        delivered = sequencer.accept(priced(minute, close))
        if delivered is not None:
            assert delivered.is_correction is (delivered.start_time_text in events)
            events[delivered.start_time_text] = close
        if minute >= first:
            last = events[priced(minute, close).start_time_text]
            assert last is not None
            assert float(last) == float(close)
