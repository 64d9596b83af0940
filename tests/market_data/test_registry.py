from __future__ import annotations

from itertools import islice

import pytest

from connecttrade_async.market_data.registry import (
    ChannelKey,
    Detail,
    PendingSubscriptions,
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
def test_union_returns_the_narrowest_detail_that_contains_all(
    channel: str, widths: tuple[Detail, ...], wide: Detail
) -> None:
    assert union(channel, widths) == wide


def test_options_of_adds_the_detail_of_a_channel() -> None:
    assert options_of(ChannelKey("bars", (("interval", "1m"),)), None) == {"interval": "1m"}
    assert options_of(ChannelKey("depth"), 5) == {"levels": 5}


def test_registry_holds_a_key_until_its_last_requester_removes_it() -> None:
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


def test_registry_drops_the_requester_of_a_rejected_detail_only() -> None:
    registry = SubscriptionRegistry()
    registry.add("a", [BOOK], 5)
    registry.add("b", [BOOK], 20)
    assert registry.detail(BOOK) == 20
    assert registry.drop_rejected(BOOK, 20) == ("b",)
    assert registry.detail(BOOK) == 5
    assert registry.drop_rejected(BOOK, 5) == ("a",)
    assert registry.drop_rejected(BOOK, 5) == ()
    assert BOOK not in registry


def test_registry_drops_the_latest_requester_where_the_rejected_detail_is_a_union() -> None:
    registry, trades = SubscriptionRegistry(), SubscriptionKey(ChannelKey("trades"), "AAPL")
    registry.add("a", [trades], "regular")
    registry.add("b", [trades], "extended")
    assert registry.drop_rejected(trades, "all") == ("b",)
    assert registry.detail(trades) == "regular"


def test_registry_reports_requesters_that_missed_data_once_it_is_restored() -> None:
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


def test_request_ids_are_unique() -> None:
    registry = SubscriptionRegistry()
    assert [next(registry.request_ids) for _ in range(3)] == ["1", "2", "3"]


def test_request_ids_iterated_again_continue_after_the_last_id() -> None:
    request_ids = SubscriptionRegistry().request_ids
    assert list(islice(request_ids, 2)) == ["1", "2"]
    assert list(islice(request_ids, 2)) == ["3", "4"]
    assert [name in request_ids for name in ("4", "5")] == [True, False]


def test_pending_claims_cancel_returns_keys_without_another_claimant() -> None:
    claims: PendingSubscriptions[str] = PendingSubscriptions()
    claims.add("a", "xy")
    claims.add("b", "yz")
    assert [thing in claims for thing in "xyzw"] == [True, True, True, False]
    assert claims.cancel("a", "xyz") == ("x",)
    assert claims.cancel("a", "xyz") == ()
    assert claims.cancel("b", "yz") == ("y", "z")
    assert "y" not in claims


def test_pending_claims_confirm_grants_a_key_to_its_first_claimant_only() -> None:
    claims: PendingSubscriptions[str] = PendingSubscriptions()
    claims.add("a", "xy")
    claims.add("b", "xy")
    assert claims.confirm("a", "xz") == ("x",)
    assert claims.cancel("b", "xy") == ()
    assert claims.confirm("b", "xy") == ()
    assert claims.cancel("a", "xy") == ("y",)


def test_pending_claims_clear_lets_a_key_be_claimed_again() -> None:
    claims: PendingSubscriptions[str] = PendingSubscriptions()
    claims.add("a", "x")
    claims.clear("xy")
    claims.add("b", "x")
    assert claims.confirm("a", "x") == claims.cancel("a", "x") == ()
    assert claims.cancel("b", "x") == ("x",)
