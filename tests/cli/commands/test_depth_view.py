"""The drawing of market depth, without a stream."""

from __future__ import annotations

import io

from rich.console import Console

from connecttrade_async.cli.commands.depth import DepthView, draw_depth
from connecttrade_async.models.market import Depth, Level

AT = "2026-03-02T14:30:05Z"


def levels(*pairs: tuple[str | None, str | None]) -> tuple[Level, ...]:
    return tuple(Level(price_text=price, size_text=size) for price, size in pairs)


def book(bids: tuple[Level, ...], asks: tuple[Level, ...], time: str | None = AT) -> Depth:
    return Depth(symbol="AAPL", bids=bids, asks=asks, time_text=time)


def test_draw_depth_places_offers_above_bids() -> None:
    drawn = draw_depth(
        book(
            levels(("189.98", "800"), ("189.900", "1")),
            levels(("190.02", "300"), ("190.04", "1600"), ("1190", "0")),
        ),
        Console(width=24),
    )
    assert drawn.plain.split("\n") == [
        "AAPL  14:30:05 UTC",
        " 1,190      0",
        "190.04  1,600  █████████",
        "190.02    300  █▋",
        "spread 0.04, middle 190.00",
        "189.98    800  ████▌",
        "189.90      1  ▏",
    ]
    assert {span.style for span in drawn.spans} == {"bold", "red", "green", "dim"}


def test_draw_depth_limits_bars_to_the_free_width() -> None:
    one = book(levels(("1", "8")), levels(("2", "4")))
    assert max(len(line) for line in draw_depth(one, Console(width=200)).plain.split("\n")) == len("1  8  ") + 40
    assert draw_depth(one, Console(width=6)).plain.split("\n") == [
        "AAPL  14:30:05 UTC",
        "2  4",
        "spread 1, middle 1.5",
        "1  8",
    ]


def test_draw_depth_with_an_empty_side_says_so() -> None:
    assert draw_depth(book((), levels(("0.02", "5"))), Console(width=10)).plain.split("\n") == [
        "AAPL  14:30:05 UTC",
        "0.02  5  █",
        "no spread",
        "no bids",
    ]
    assert draw_depth(book((), (), None), Console(width=10)).plain.split("\n") == [
        "AAPL  ",
        "no offers",
        "no spread",
        "no bids",
    ]


def test_draw_depth_shows_a_malformed_level_without_a_bar() -> None:
    odd = book(levels(("soon\x1b", "many")), levels((None, "-4"), ("2", "1")), "later")
    assert draw_depth(odd, Console(width=14)).plain.split("\n") == [
        "AAPL  later",
        "   2     1  ██",
        "   –    -4",  # noqa: RUF001 - the dash of a missing value
        "no spread",
        "soon  many",
    ]


def test_depth_view_draws_the_last_depth() -> None:
    view, console = DepthView("AAPL"), Console(file=io.StringIO(), width=24)
    assert view.draw(console).plain == "AAPL  No depth yet."
    view.update(book((), ()))
    view.update(book(levels(("1", "8")), ()))
    assert view.draw(console).plain.split("\n")[-1].startswith("1  8  █")


def test_draw_depth_states_an_exact_spread() -> None:
    low, high = "0." + "0" * 29 + "2", "1" + "0" * 29
    drawn = draw_depth(book(levels((low, "1")), levels((high, "1E+29"))), Console(width=24)).plain
    assert f"spread {'99' + ',999' * 9}.{'9' * 29}8, middle {'50' + ',000' * 9}.{'0' * 29}1" in drawn
