from __future__ import annotations

import pytest

from connecttrade_async.market_data.registry import (
    ChannelKey,
    Detail,
    SubscriptionKey,
    SubscriptionRegistry,
    options_of,
    union,
)

AAPL = SubscriptionKey(ChannelKey("quotes"), "AAPL")
BOOK = SubscriptionKey(ChannelKey("depth"), "AAPL")


@pytest.mark.parametrize(
    ("channel", "widths", "wide"),
    [
        ("quotes", (None, None), None),
        ("trades", ("regular", "regular"), "regular"),
        ("trades", ("regular", "all"), "all"),
        ("trades", ("regular", "extended"), "all"),
        ("depth", (5, 20, 10), 20),
        ("options_chain", (False, True), True),
        ("options_chain", (False,), False),
    ],
)
def test_the_widest_form_holds_all(channel: str, widths: tuple[Detail, ...], wide: Detail) -> None:
    assert union(channel, widths) == wide


def test_the_options_of_a_line() -> None:
    assert options_of(ChannelKey("bars", (("interval", "1m"),)), None) == {"interval": "1m"}
    assert options_of(ChannelKey("depth"), 5) == {"levels": 5}


def test_it_is_wanted_until_the_last_has_left() -> None:
    demands = SubscriptionRegistry()
    for _ in range(2):  # wanting twice is wanting once
        demands.add("a", [AAPL])
    demands.add("b", [AAPL, BOOK], 5)
    assert list(demands.items) == [AAPL, BOOK]
    assert (demands.wanted_by("a"), demands.wanted_by("b")) == ((AAPL,), (AAPL, BOOK))
    assert [demands.is_wanted_by("a", item) for item in (AAPL, BOOK, SubscriptionKey(ChannelKey("bars"), "AAPL"))] == [
        True,
        False,
        False,
    ]
    demands.remove("a", [AAPL])
    demands.remove("a", [AAPL])
    assert AAPL in demands
    demands.remove("b", [AAPL])
    demands.remove("b", [AAPL])
    assert list(demands.items) == [BOOK]


def test_what_cannot_be_had_is_wanted_by_nobody() -> None:
    demands = SubscriptionRegistry()
    demands.add("a", [BOOK], 5)
    demands.add("b", [BOOK], 20)
    assert demands.width(BOOK) == 20
    assert demands.drop_rejected(BOOK, 20) == ("b",)
    assert demands.width(BOOK) == 5
    assert demands.drop_rejected(BOOK, 5) == ("a",)
    assert demands.drop_rejected(BOOK, 5) == ()
    assert BOOK not in demands


def test_the_last_asked_for_too_much_where_several_make_it_together() -> None:
    demands, trades = SubscriptionRegistry(), SubscriptionKey(ChannelKey("trades"), "AAPL")
    demands.add("a", [trades], "regular")
    demands.add("b", [trades], "extended")
    assert demands.drop_rejected(trades, "all") == ("b",)
    assert demands.width(trades) == "regular"


def test_who_was_content_with_what_is_told_no_more_missed_some_of_it_until_it_is_told_again() -> None:
    demands, other = SubscriptionRegistry(), SubscriptionKey(ChannelKey("depth"), "MSFT")
    demands.add("a", [BOOK, other], 5)
    demands.add("left", [BOOK], 5)
    demands.add("new", [BOOK], 20)
    demands.mark_broken(other, 10, 2.0)
    demands.mark_broken(BOOK, 10, 1.0)
    demands.mark_broken(BOOK, 20, 3.0)
    demands.remove("left", [BOOK])
    assert demands.mark_restored([AAPL]) == {}
    assert demands.mark_restored([other, BOOK]) == {"a": (1.0, ("MSFT", "AAPL")), "new": (3.0, ("AAPL",))}
    assert demands.mark_restored([other, BOOK]) == {}


def test_no_number_comes_twice() -> None:
    demands = SubscriptionRegistry()
    assert [next(demands.numbers) for _ in range(3)] == ["1", "2", "3"]
