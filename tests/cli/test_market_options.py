"""Symbols as arguments of the commands for market data."""

from __future__ import annotations

import click
import pytest

from connecttrade_async.cli.market_options import symbol, symbols

CONTEXT = click.Context(click.Command("x"))
PARAMETER = click.Argument(["x"])


@pytest.mark.parametrize("text", ["AAPL", "BTC/USD", "ETH-USD", "$SPX", "^VIX", "/ESZ6", "SHOP.TO", "BRK.B", "aapl"])
def test_symbol_of_any_instrument_is_returned_unchanged(text: str) -> None:
    assert symbol(CONTEXT, PARAMETER, f" {text} ") == text


def test_symbol_of_a_padded_option_is_returned_without_padding() -> None:
    assert symbol(CONTEXT, PARAMETER, "AAPL  261218C00200000") == "AAPL261218C00200000"


@pytest.mark.parametrize("text", ["", "  ", "A\x1bB", "A\u202eB", "A" * 65])
def test_symbol_that_is_empty_long_or_not_printable_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        symbol(CONTEXT, PARAMETER, text)


def test_symbols_are_returned_without_duplicates() -> None:
    assert symbols(CONTEXT, PARAMETER, ("MSFT", "AAPL", " MSFT")) == ("MSFT", "AAPL")
