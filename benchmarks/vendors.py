"""One order in the format of each peer's vendor, after its public documents, each about 1,100 bytes like ours.

Texts differ from order to order as real ones do, so that no side gains by caching them.
"""

from __future__ import annotations

from datetime import UTC, datetime

ACCOUNT = "0b9f5f8e-5a6b-4b1e-9d1c-2f6f0a7c1d11"
TASTYTRADE_ACCOUNT = "5WX00001"
MADE = "2026-03-02T14:30:00.000001Z"
FILLED = "2026-03-02T14:30:05.123456Z"


def alpaca_order(number: int) -> dict[str, object]:
    """Return an order of Alpaca's trading API."""
    return {
        "id": f"61e69015-8549-4bfd-b9c3-{number:012}",
        "client_order_id": f"eb9e2aaa-f71a-4f51-b5b4-{number:012}",
        "created_at": MADE,
        "updated_at": FILLED,
        "submitted_at": MADE,
        "filled_at": FILLED,
        "expired_at": None,
        "expires_at": "2026-03-02T21:00:00Z",
        "canceled_at": None,
        "failed_at": None,
        "replaced_at": None,
        "replaced_by": None,
        "replaces": None,
        "asset_id": "b6d1aa75-5c9c-4353-a305-9e2caa1925ab",
        "symbol": "MSFT",
        "asset_class": "us_equity",
        "notional": None,
        "qty": "100",
        "filled_qty": "100",
        "filled_avg_price": "410.123456789",
        "order_class": "simple",
        "order_type": "limit",
        "type": "limit",
        "side": "buy",
        "position_intent": "buy_to_open",
        "time_in_force": "day",
        "limit_price": "410.5",
        "stop_price": None,
        "status": "filled",
        "extended_hours": False,
        "legs": None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "ratio_qty": None,
        "subtag": None,
        "source": None,
    }


def alpaca_update(number: int) -> dict[str, object]:
    """Return an update of Alpaca's trading stream."""
    data = {
        "event": "fill",
        "execution_id": f"7922ab44-5b33-4049-ab9a-{number:012}",
        "order": alpaca_order(number),
        "timestamp": FILLED,
        "position_qty": "100",
        "price": "410.12",
        "qty": "100",
    }
    return {"stream": "trade_updates", "data": data}


def alpaca_quote(number: int) -> list[dict[str, object]]:
    """Return a quote of Alpaca's market data stream, one a frame."""
    quote: dict[str, object] = {
        "T": "q",
        "S": "MSFT",
        "bx": "U",
        "bp": 410.11 + number % 100 / 100,
        "bs": 1 + number % 9,
        "ax": "R",
        "ap": 410.13 + number % 100 / 100,
        "as": 4,
        "c": ["R"],
        "z": "C",
        "t": datetime(2026, 3, 2, 14, 30, 5, 123456, tzinfo=UTC),
    }
    return [quote]


def our_quote(number: int) -> dict[str, object]:
    """Return a quote of our own market data stream."""
    return {
        "type": "quote",
        "symbol": "MSFT",
        "bid_price": f"{410.11 + number % 100 / 100:.2f}",
        "bid_size": str(100 + number % 9),
        "ask_price": f"{410.13 + number % 100 / 100:.2f}",
        "ask_size": "400",
        "last_price": "410.12",
        "timestamp": FILLED,
    }


def tastytrade_order(number: int) -> dict[str, object]:
    """Return an order of tastytrade's API, which its account stream sends whole."""
    fill = {"quantity": "50", "fill-price": "410.12", "filled-at": FILLED, "destination-venue": "ZERO_HASH"}
    fills = [{"fill-id": f"{number}_{part}", "ext-exec-id": f"{number * 2 + part}", **fill} for part in (1, 2)]
    leg = {
        "instrument-type": "Equity",
        "symbol": "MSFT",
        "action": "Buy to Open",
        "quantity": 100,
        "remaining-quantity": 0,
        "fills": fills,
    }
    return {
        "id": 100_000_000 + number,
        "account-number": TASTYTRADE_ACCOUNT,
        "time-in-force": "Day",
        "order-type": "Limit",
        "size": 100,
        "underlying-symbol": "MSFT",
        "underlying-instrument-type": "Equity",
        "price": "410.5",
        "price-effect": "Debit",
        "status": "Filled",
        "cancellable": False,
        "editable": False,
        "edited": False,
        "ext-exchange-order-number": f"{number:012}",
        "global-request-id": f"2d4b3f4e8c1a5b6d{number:016}",
        "received-at": MADE,
        "in-flight-at": MADE,
        "live-at": MADE,
        "terminal-at": FILLED,
        "updated-at": 1772461805123,
        "legs": [leg],
    }


def tastytrade_update(number: int) -> dict[str, object]:
    """Return an update of tastytrade's account stream."""
    return {"type": "Order", "data": tastytrade_order(number), "timestamp": 1772461805123}


def snaptrade_order(number: int) -> dict[str, object]:
    """Return an order of SnapTrade's API."""
    dollar = {"id": "57f81c53-bdda-45a7-a51f-032afd1ae41b", "code": "USD", "name": "US Dollar"}
    symbol: dict[str, object] = {
        "id": "2bcd7cc3-e922-4976-bce1-9858296801c3",
        "symbol": "MSFT",
        "raw_symbol": "MSFT",
        "description": "Microsoft Corporation",
        "currency": dollar,
        "type": {"id": "d4db8ed8-3a4b-4bd2-9e0c-1d5a2b1c7a0e", "code": "cs", "description": "Common Stock"},
        "currencies": [],
    }
    return {
        "brokerage_order_id": f"66a033fa-da74-4fcf-b527-{number:012}",
        "status": "EXECUTED",
        "universal_symbol": symbol,
        "option_symbol": None,
        "quote_universal_symbol": None,
        "quote_currency": None,
        "action": "BUY",
        "total_quantity": "100",
        "open_quantity": "0",
        "canceled_quantity": "0",
        "filled_quantity": "100",
        "execution_price": "410.123456789",
        "limit_price": "410.50",
        "stop_price": None,
        "order_type": "Limit",
        "time_in_force": "Day",
        "time_placed": MADE,
        "time_updated": FILLED,
        "time_executed": FILLED,
        "expiry_date": None,
        "child_brokerage_order_ids": None,
    }
