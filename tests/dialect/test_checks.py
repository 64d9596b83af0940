"""Rules for a dialect's values beyond their types: what would make a frame or a name ambiguous is refused at load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async.dialect.checks import check_brokerage, check_market_data, check_names, check_rest
from connecttrade_async.dialect.parts import (
    BrokerageDialect,
    ChannelNames,
    ControlRule,
    ControlTags,
    FieldNames,
    MarketDataDialect,
    MarketOptions,
    MarketTags,
    OptionName,
    RestDialect,
    TopicNames,
    UpdateTags,
)
from connecttrade_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable


def problem_of(part: Any) -> str:
    checks: dict[Any, Callable[[Any], None]] = {
        BrokerageDialect: check_brokerage,
        MarketDataDialect: check_market_data,
        FieldNames: check_names,
        RestDialect: check_rest,
    }
    try:
        checks[type(part)](part)
    except ConfigurationError as exc:
        return str(exc)
    return ""


@pytest.mark.parametrize(
    "part",
    [
        BrokerageDialect(),
        MarketDataDialect(),
        FieldNames(),
        RestDialect(),
        BrokerageDialect(each_topic=True, subscribe={"sub": "{topic}"}, unsubscribe={"topics": "{topics}"}),
        BrokerageDialect(unsubscribe={}, pong={"op": "pong", "n": "{id}"}, payload=("", "body.order")),
        BrokerageDialect(rules=(ControlRule(when={"$": "connected"}, meaning="welcome"),)),
        MarketDataDialect(
            each_symbol=True,
            subscribe={"s": "{symbol}", "o": "{options}"},
            snapshot={"s": "{symbol}", "{options}": ""},
            list={},
        ),
        FieldNames(case="camel", aliases={"order": {"filled_qty": "cum_qty"}, "error": {"message": "msg"}}),
    ],
    ids=[
        "brokerage",
        "market-data",
        "names",
        "rest",
        "each-topic",
        "paths",
        "rules",
        "each-symbol",
        "aliases",
    ],
)
def test_checks_accept_the_defaults_and_other_forms(part: Any) -> None:
    assert problem_of(part) == ""


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            BrokerageDialect(authenticate={"id": "{client_id}"}),
            "brokerage.authenticate must have the placeholder {client_secret}, got a template without it",
        ),
        (
            BrokerageDialect(subscribe={"s": "{client_secret}"}),
            "brokerage.subscribe must have no placeholders but {id} {topics}, got {client_secret}",
        ),
        (
            BrokerageDialect(each_topic=True),
            "brokerage.subscribe must have the placeholder {topic}, got a template without it",
        ),
        (
            MarketDataDialect(subscribe={"s": "{symbols}"}),
            "market_data.subscribe must have the placeholder {options}, got a template without it",
        ),
        (
            MarketDataDialect(pong={"t": "{access_token}"}),
            "market_data.pong must have no placeholders but {id}, got {access_token}",
        ),
        (BrokerageDialect(tag=""), "brokerage.tag must be a name, or names with dots between them, got ''"),
        (
            MarketDataDialect(payload=("data", "a b")),
            "market_data.payload[1] must be a name, or names with dots between them, got 'a b'",
        ),
        (BrokerageDialect(payload=()), "brokerage.payload must have at least one path, got an empty list"),
        (
            BrokerageDialect(user_id=".user"),
            "brokerage.user_id must be a name, or names with dots between them, got '.user'",
        ),
        (
            BrokerageDialect(rules=(ControlRule(when={}, meaning="error"),)),
            "brokerage.rules[0].when must have at least one member, got an empty table",
        ),
        (
            BrokerageDialect(rules=(ControlRule(when={"a..b": "x"}, meaning="error"),)),
            "brokerage.rules[0].when.a..b must be a name, or names with dots between them, got 'a..b'",
        ),
        (
            BrokerageDialect(updates=UpdateTags(order=("Error",))),
            "brokerage.updates.order must not share a tag with brokerage.controls.error, got 'Error'",
        ),
        (
            BrokerageDialect(controls=ControlTags(ping=("",))),
            "brokerage.controls.ping must be a non-empty text, got ''",
        ),
        (
            MarketDataDialect(updates=MarketTags(bar=("quote",))),
            "market_data.updates.bar must not share a tag with market_data.updates.quote, got 'quote'",
        ),
        (
            BrokerageDialect(topics=TopicNames(orders="x", balances="x")),
            "each name in brokerage.topics must be different, got 'x' twice",
        ),
        (
            MarketDataDialect(channels=ChannelNames(bars="")),
            "market_data.channels must be a non-empty text, got ''",
        ),
        (
            MarketDataDialect(options=MarketOptions(interval=OptionName(name="levels"))),
            "each name in market_data.options must be different, got 'levels' twice",
        ),
        (
            MarketDataDialect(options=MarketOptions(interval=OptionName(values={"1m": "1", "1h": "1"}))),
            "each name in market_data.options.interval.values must be different, got '1' twice",
        ),
        (
            FieldNames(aliases={"order": {"filled": "x"}}),
            "each key of names.aliases.order must be one of account_id, avg_fill_price, ",
        ),
        (FieldNames(aliases={"bar": {"_raw": "x"}}), "each key of names.aliases.bar must be one of close, closed, "),
        (FieldNames(aliases={"orders": {}}), "each key of names.aliases must be one of account, balance, "),
        (
            FieldNames(aliases={"order": {"order_id": "status"}}),
            "each name in names.aliases.order must be different, got 'status' twice",
        ),
        (FieldNames(aliases={"fill": {"price": ""}}), "names.aliases.fill.price must be a non-empty text, got ''"),
        (RestDialect(next_parameter=""), "rest.next_parameter must be a non-empty text, got ''"),
        (RestDialect(lists={"orders": ""}), "rest.lists.orders must be a non-empty text, got ''"),
    ],
    ids=range(25),
)
def test_checks_refuse_values_that_cannot_be_spoken(part: Any, message: str) -> None:
    assert problem_of(part).startswith(message)
