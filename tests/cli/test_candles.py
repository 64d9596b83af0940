"""Candle charts: glyphs, labels and limits of size."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given, strategies as st
from rich.console import Console

from connecttrade_async.cli.candles import Candle, capacity, chart, read_candles
from connecttrade_async.cli.commands.bars import BarView, bar_line
from connecttrade_async.models.market import Bar

BEGUN = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


def candles(*prices: str) -> list[Candle]:
    """Return a candle a minute, each of open, high, low and close."""
    return [Candle(BEGUN + timedelta(minutes=minute), *map(Decimal, one.split())) for minute, one in enumerate(prices)]


def bar(minute: int, prices: str, **more: object) -> Bar:
    names = ("open_text", "high_text", "low_text", "close_text")
    start = (BEGUN + timedelta(minutes=minute)).isoformat()
    facts = {**dict(zip(names, prices.split(), strict=True)), "start_time_text": start, **more}
    return Bar(symbol="AAPL", interval="1m", **facts)  # type: ignore[arg-type]


def drawn(view: BarView, width: int = 40, height: int = 11) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(view.draw(console))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_chart_draws_rising_bars_as_blocks_and_falling_bars_as_strokes() -> None:
    view = chart(candles("2 7 0 5", "5 7 0 2", "0 1 0 1", "7 7 6 6", "3 3 3 3"), 20, 5)
    assert view.plain.split("\n") == [
        "││ ┃  ┤ 7",
        "█┃    │",
        "█┃  ▀ │",
        "││█   ┤ 0",
        "14:30",
    ]


def test_chart_body_that_ends_within_a_line_shares_it_with_the_wick() -> None:
    view = chart(candles("1 7 0 6", "6 7 0 1", "1 6 1 6", "6 6 1 1", "3 5 2 4"), 20, 5)
    assert view.plain.split("\n") == [
        "▄╽▄╻  ┤ 7",
        "█┃█┃▄ │",
        "█┃█┃▀ │",
        "▀╿▀╹  ┤ 0",
        "14:30",
    ]
    assert {span.style for span in view.spans} == {"green", "red", "dim"}


def test_chart_wick_may_end_within_a_line() -> None:
    view = chart(candles("0 7 0 7", "3 6 1 3"), 20, 5)
    assert view.plain.split("\n") == ["█╷ ┤ 7", "█│ │", "█▀ │", "█╵ ┤ 0", "14:30"]


def test_chart_labels_prices_at_the_right_and_times_below() -> None:
    view = chart(candles(*["1000.5 1010.00 1000 1009.25"] * 25), 60, 8)
    lines = view.plain.split("\n")
    assert [line.partition("┤")[2] for line in lines if "┤" in line] == [" 1,010.00", " 1,003.46", " 1,000.00"]
    assert lines[-1] == "14:30     14:40     14:50"
    assert chart(candles(*["1 2 1 2"] * 24), 60, 8).plain.endswith("\n14:30     14:40")
    assert chart(candles("1 2 1 2"), 60, 8, has_days=True).plain.endswith("\n03-02")
    assert chart([Candle(None, *map(Decimal, (1, 2, 1, 2)))], 60, 8).plain.endswith("\n")


def test_chart_of_a_single_price_draws_it_in_the_middle() -> None:
    assert chart(candles("5.10 5.10 5.10 5.1"), 20, 5).plain.split("\n") == [
        "  │",
        "▄ ┤ 5.10",
        "  │",
        "  │",
        "14:30",
    ]


PRICE = st.decimals(min_value=0, max_value=100_000, places=2)


@given(
    st.lists(st.tuples(PRICE, PRICE, PRICE, PRICE), min_size=1, max_size=90),
    st.integers(0, 120),
    st.integers(0, 30),
)
def test_chart_never_exceeds_its_width_and_height(prices: list[tuple[Decimal, ...]], width: int, height: int) -> None:
    given_bars = [bar(minute, " ".join(map(str, one))) for minute, one in enumerate(prices)]
    found = read_candles(given_bars)
    lines = chart(found, width, height).plain.split("\n")
    assert len(lines) == max(height, 3)
    assert max(map(len, lines)) <= max(width, 20)
    shown = found[-capacity(found, width) :]
    bodies = list(zip(*(line.ljust(len(shown))[: len(shown)] for line in lines[:-1]), strict=True))
    assert len(bodies) == len(shown)
    for column, candle in zip(bodies, shown, strict=True):
        body = "█▀▄" if candle.has_risen else "┃╿╽╹╻"
        assert any(glyph in body for glyph in column)


def test_bar_view_counts_bars_without_all_prices() -> None:
    view = BarView("AAPL", "1m", 120)
    assert drawn(view) == ["AAPL 1m  No bars to draw."]
    for number, one in enumerate(
        (bar(0, "1 2 1 2"), bar(1, "1 2 1 soon"), bar(2, "1 2 1 2", low_text=None), bar(3, "2 1 3 4"))
    ):
        view.update(one)
        assert len(drawn(view, 120)) == 7, number
    assert drawn(view, 120)[0] == (
        "AAPL 1m  Bars without all their prices, not drawn: 2.  4  +3 since 2026-03-02 14:30 UTC"
    )
    assert drawn(view, 120)[1:6] == [" █ ┤ 4", " █ │", " █ │", "█▀ │", "█│ ┤ 1"]


def test_bar_view_replaces_a_bar_and_drops_the_oldest() -> None:
    view = BarView("AAPL", "1d", 2)
    for one in (bar(0, "9 9 9 9"), bar(1, "1 1 1 1"), bar(2, "2 2 2 2"), bar(2, "2 2 0.5 0.5")):
        view.update(one)
    assert drawn(view)[0] == "AAPL 1d  0.5  -0.5 since 2026-03-02 UTC"
    many = BarView("AAPL", "1m", 120)
    for minute in range(120):
        many.update(bar(minute, "1 1 1 1"))
    title = " ".join(drawn(many)[:2])
    assert title.endswith("since 2026-03-02 15:54 UTC, the last 36 of 120 bars")


def test_bar_line_formats_a_bar() -> None:
    now = BEGUN + timedelta(hours=1)
    assert bar_line(bar(0, "1190.10 1191 1190 1190.500", volume_text="12345"), now) == (
        "2026-03-02 14:30  AAPL   1m   open 1,190.10  high 1,191  low 1,190  close 1,190.50  volume 12,345"
    )
    assert bar_line(bar(0, "1 1 1 1", start_time_text="soon", open_text=None), now).startswith(
        "soon  AAPL   1m   open ?"
    )
    assert bar_line(bar(0, "1 1 1 1", start_time_text=None), now).startswith("2026-03-02 15:30  AAPL")
