from __future__ import annotations

import pytest

from connecttrade_async import ConfigurationError, Order, OrderUpdate
from connecttrade_async.streaming.interests import Interest, check_key

KEYS = ("account_id", "user_id", "symbol")


def fact(account_id: str | None = "a", user_id: str | None = "u", symbol: str | None = "AAPL") -> OrderUpdate:
    return OrderUpdate(order=Order(order_id="1", symbol=symbol), account_id=account_id, user_id=user_id, raw=b"")


@pytest.mark.parametrize(
    ("interest", "key"),
    [
        (Interest(("orders",)), None),
        (Interest(("orders",), symbol="AAPL"), ("symbol", "AAPL")),
        (Interest(("orders",), user_id="u", symbol="AAPL"), ("user_id", "u")),
        (Interest(("orders",), "a", "u", "AAPL"), ("account_id", "a")),
    ],
)
def test_the_most_telling_key_is_the_first_there_is(interest: Interest, key: tuple[str, str] | None) -> None:
    assert interest.key_of("orders") == key


def test_what_happens_to_the_stream_has_no_key() -> None:
    assert Interest(("orders", "lifecycle"), account_id="a").key_of("lifecycle") is None


def test_one_key_alone_needs_no_closer_look() -> None:
    assert Interest(("orders",), user_id="u").has_one_key
    assert not Interest(("orders",)).has_one_key
    assert not Interest(("orders",), user_id="u", symbol="AAPL").has_one_key


@pytest.mark.parametrize(
    "other",
    [fact("b"), fact(None), fact(user_id="v"), fact(user_id=None), fact(symbol="MSFT"), fact(symbol=None)],
)
def test_an_event_is_wanted_if_it_has_every_key(other: OrderUpdate) -> None:
    interest = Interest(("orders",), "a", "u", "AAPL")
    assert interest.is_met_by(fact())
    assert not interest.is_met_by(other)
    assert Interest(("orders",)).is_met_by(other)


@pytest.mark.parametrize("name", KEYS)
def test_a_key_that_could_match_nothing_is_refused_by_name(name: str) -> None:
    check_key(name, None)
    check_key(name, "a")
    for odd in ("", 3, ["a"]):
        with pytest.raises(ConfigurationError, match=f"{name} must be a text that is not empty"):
            check_key(name, odd)
