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
    registry = SubscriptionRegistry()
    for _ in range(2):  # wanting twice is wanting once
        registry.add("a", [AAPL])
    registry.add("b", [AAPL, BOOK], 5)
    assert list(registry.keys) == [AAPL, BOOK]
    assert (registry.keys_of("a"), registry.keys_of("b")) == ((AAPL,), (AAPL, BOOK))
    assert [
        registry.is_requested_by("a", key) for key in (AAPL, BOOK, SubscriptionKey(ChannelKey("bars"), "AAPL"))
    ] == [
        True,
        False,
        False,
    ]
    registry.remove("a", [AAPL])
    registry.remove("a", [AAPL])
    assert AAPL in registry
    registry.remove("b", [AAPL])
    registry.remove("b", [AAPL])
    assert list(registry.keys) == [BOOK]


def test_what_cannot_be_had_is_wanted_by_nobody() -> None:
    registry = SubscriptionRegistry()
    registry.add("a", [BOOK], 5)
    registry.add("b", [BOOK], 20)
    assert registry.detail(BOOK) == 20
    assert registry.drop_rejected(BOOK, 20) == ("b",)
    assert registry.detail(BOOK) == 5
    assert registry.drop_rejected(BOOK, 5) == ("a",)
    assert registry.drop_rejected(BOOK, 5) == ()
    assert BOOK not in registry


def test_the_last_asked_for_too_much_where_several_make_it_together() -> None:
    registry, trades = SubscriptionRegistry(), SubscriptionKey(ChannelKey("trades"), "AAPL")
    registry.add("a", [trades], "regular")
    registry.add("b", [trades], "extended")
    assert registry.drop_rejected(trades, "all") == ("b",)
    assert registry.detail(trades) == "regular"


def test_who_was_content_with_what_is_told_no_more_missed_some_of_it_until_it_is_told_again() -> None:
    registry, other = SubscriptionRegistry(), SubscriptionKey(ChannelKey("depth"), "MSFT")
    registry.add("a", [BOOK, other], 5)
    registry.add("left", [BOOK], 5)
    registry.add("new", [BOOK], 20)
    registry.mark_broken(other, 10, 2.0)
    registry.mark_broken(BOOK, 10, 1.0)
    registry.mark_broken(BOOK, 20, 3.0)
    registry.remove("left", [BOOK])
    assert registry.mark_restored([AAPL]) == {}
    assert registry.mark_restored([other, BOOK]) == {"a": (1.0, ("MSFT", "AAPL")), "new": (3.0, ("AAPL",))}
    assert registry.mark_restored([other, BOOK]) == {}


def test_no_number_comes_twice() -> None:
    registry = SubscriptionRegistry()
    assert [next(registry.request_ids) for _ in range(3)] == ["1", "2", "3"]
