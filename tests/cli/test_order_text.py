from __future__ import annotations

from datetime import date

import pytest

from connecttrade_async import Order, OrderStatus, Side, tickets
from connecttrade_async.cli.order_text import (
    change_rows,
    changed_order,
    describe,
    filled_text,
    lookup_command,
    outcome,
    ticket_rows,
)
from connecttrade_async.models import Leg, OrderType

WHOSE = {"account_id": "a-1", "broker": "ALPACA"}
CONDOR = tickets.iron_condor(
    "SPY",
    expiry=date(2026, 12, 18),
    put_low=380,
    put_high=390,
    call_low="430.5",
    call_high=1440,
    price="2.10",
    qty=2,
    account_id="a-1",
    broker="ALPACA",
)


def order(**given: str) -> Order:
    named = {"order_qty_text": "10", **given}
    return Order(
        order_id="o-1",
        symbol="AAPL",
        side=Side.SELL,
        order_type=OrderType.LIMIT,
        order_limit_price_text="1234.500",
        status=OrderStatus.WORKING,
        **named,  # type: ignore[arg-type]  # texts all
    )


@pytest.mark.parametrize(
    ("ticket", "words"),
    [
        (tickets.market("AAPL", "BUY", qty=10, **WHOSE), "buy 10 AAPL at the market's price"),
        (tickets.market("AAPL", "SELL_SHORT", qty=1000, **WHOSE), "sell short 1,000 AAPL at the market's price"),
        (tickets.market("AAPL", "BUY", notional="500.50", **WHOSE), "buy $500.50 of AAPL at the market's price"),
        (tickets.limit("IBM/B", "BUY", qty="0.000000001", price=5, **WHOSE), "buy 0.000000001 IBM/B at 5 or less"),
        (
            tickets.stop("F", "SELL", qty=1, stop="9.50", **WHOSE),
            "sell 1 F at the market's price, once it has touched 9.50",
        ),
        (
            tickets.stop_limit("F", "SELL", qty=1, stop="9.50", price=9, **WHOSE),
            "sell 1 F at 9 or more, once it has touched 9.50",
        ),
        (CONDOR, "sell to open 2 units of 4 legs in SPY at 2.10 or more"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_describe_states_side_size_symbol_and_price_of_a_ticket(ticket: tickets.OrderTicket, words: str) -> None:
    assert describe(ticket) == words


def test_describe_quotes_the_fields_of_an_order() -> None:
    assert describe(order()) == "sell 10 AAPL at 1,234.50 or more"
    assert describe(order(order_qty_text="a few")) == "sell a few AAPL at 1,234.50 or more"
    assert describe(Order(order_id="o-1")) == "order o-1"
    legs = (Leg(symbol="SPY261218P00380000"), Leg(symbol="odd"), Leg())
    spread = Order(order_id="o-1", side=Side.BUY_TO_OPEN, legs_listed=legs, order_qty_text="1")
    assert describe(spread) == "buy to open 1 unit of 3 legs in SPY, odd"


def test_ticket_rows_of_a_spread_name_every_leg() -> None:
    rows = ticket_rows(CONDOR, "1234 at ALPACA", "iron condor")
    assert rows[0] == ("Order", "iron condor: sell to open 2 units of 4 legs in SPY")
    assert [name for name, _ in rows[1:5]] == ["Legs", "", "", ""]
    assert rows[3][1] == "sell to open  1 SPY261218C00430500: SPY 430.5 call, expires 2026-12-18"
    assert "SPY 1,440 call" in rows[4][1]
    assert rows[5:] == [
        ("Price", "at 2.10 or more"),
        ("Works for", "DAY"),
        ("Account", "1234 at ALPACA"),
        ("Its id", CONDOR.cl_order_id),
    ]


def test_ticket_rows_of_an_option_spell_it_out() -> None:
    ticket = tickets.market("AAPL261218C00200000", "BUY_TO_OPEN", qty=1, **WHOSE)
    assert ("Option", "AAPL 200 call, expires 2026-12-18") in ticket_rows(ticket, "1234")


def test_change_rows_show_old_and_new_values() -> None:
    sent = tickets.replacement("new", "ALPACA", qty=12, stop="5")
    rows = change_rows(order(filled_qty_text="4", avg_fill_price_text="1235"), sent)
    assert ("So far", "4 filled at 1,235") in rows
    assert ("Quantity", "10 becomes 12") in rows
    assert ("Stop", "none becomes 5") in rows
    assert "Limit" not in dict(rows)
    assert changed_order(order(), sent).order_qty_text == "12"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, ""),
        ({"filled_qty_text": "0.00"}, ""),
        ({"filled_qty_text": "4"}, "4 filled"),
        ({"filled_qty_text": "4", "avg_fill_price_text": "1.500"}, "4 filled at 1.50"),
    ],
    ids=str,
)
def test_filled_text_states_quantity_and_price(given: dict[str, str], told: str) -> None:
    assert filled_text(order(**given)) == told


def test_filled_text_without_a_quantity_says_a_part() -> None:
    assert filled_text(Order(order_id="o-1", status=OrderStatus.PARTIALLY_FILLED)) == "a part filled"


def test_outcome_is_one_sentence() -> None:
    assert outcome("Placed", order(filled_qty_text="4"), "sell 10 AAPL") == (
        f"Placed: sell 10 AAPL, now working, 4 filled; {lookup_command('o-1')} shows more."
    )
    assert "now in an unknown status;" in outcome("Placed", Order(order_id="o-1"), "x")
