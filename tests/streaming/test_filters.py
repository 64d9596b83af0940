from __future__ import annotations

import pytest

from connecttrade_async import ConfigurationError, Order, OrderUpdate
from connecttrade_async.streaming.filters import EventFilter, check_filter

KEYS = ("account_id", "user_id", "symbol")


def fact(account_id: str | None = "a", user_id: str | None = "u", symbol: str | None = "AAPL") -> OrderUpdate:
    return OrderUpdate(order=Order(order_id="1", symbol=symbol), account_id=account_id, user_id=user_id, raw=b"")


@pytest.mark.parametrize(
    ("interest", "key"),
    [
        (EventFilter(("orders",)), None),
        (EventFilter(("orders",), symbol="AAPL"), ("symbol", "AAPL")),
        (EventFilter(("orders",), user_id="u", symbol="AAPL"), ("user_id", "u")),
        (EventFilter(("orders",), "a", "u", "AAPL"), ("account_id", "a")),
    ],
)
def test_key_of_returns_the_most_selective_key(interest: EventFilter, key: tuple[str, str] | None) -> None:
    assert interest.key_of("orders") == key


def test_key_of_lifecycle_is_none() -> None:
    assert EventFilter(("orders", "lifecycle"), account_id="a").key_of("lifecycle") is None


def test_has_one_key_is_true_for_a_single_key() -> None:
    assert EventFilter(("orders",), user_id="u").has_one_key
    assert not EventFilter(("orders",)).has_one_key
    assert not EventFilter(("orders",), user_id="u", symbol="AAPL").has_one_key


@pytest.mark.parametrize(
    "other",
    [fact("b"), fact(None), fact(user_id="v"), fact(user_id=None), fact(symbol="MSFT"), fact(symbol=None)],
)
def test_matches_requires_every_key(other: OrderUpdate) -> None:
    interest = EventFilter(("orders",), "a", "u", "AAPL")
    assert interest.matches(fact())
    assert not interest.matches(other)
    assert EventFilter(("orders",)).matches(other)


@pytest.mark.parametrize("name", KEYS)
def test_check_filter_rejects_an_invalid_key_by_name(name: str) -> None:
    check_filter(name, None)
    check_filter(name, "a")
    for odd in ("", 3, ["a"]):
        with pytest.raises(ConfigurationError, match=f"{name} must be a non-empty text"):
            check_filter(name, odd)
