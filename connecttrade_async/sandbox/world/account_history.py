"""The world's history: a year of an account, written in the order in which it happened.

Every status, order type, time in force and kind of instrument of the wire contract occurs in it.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from operator import itemgetter

from connecttrade_async.sandbox.world.order_writer import OrderWriter
from connecttrade_async.sandbox.world.orders import Leg
from connecttrade_async.sandbox.world.symbols import LISTINGS, Option, option_symbol

__all__ = ["furnish"]

_Deed = tuple[datetime, Callable[[datetime], object]]

_KINDS = (
    ("MKT", "DAY"),
    ("LMT", "DAY"),
    ("LMT", "GTC"),
    ("STP", "GTC"),
    ("STPLMT", "DAY+"),
    ("MKT", "OPEN"),
    ("MKT", "CLOSE"),
    ("LMT", "IOC"),
    ("LMT", "FOK"),
    ("LMT", "GTC+"),
)
_YEAR = 365
_WEEKEND = 5
_CENT = Decimal("0.01")


def furnish(teller: OrderWriter) -> None:
    """Give an empty account the year that ends at the teller's present moment."""
    deeds = [*_money(teller), *_purchases(teller), *_sales(teller), *_options(teller)]
    deeds += [*_mishaps(teller), *_swings(teller), *_today(teller)]
    for at, deed in sorted(deeds, key=itemgetter(0)):
        deed(at)


def _moment(teller: OrderWriter, day: int) -> datetime:
    """Return a trading moment on a day of the past year, moved off a weekend."""
    on = (teller.now - timedelta(days=_YEAR - day)).date()
    on -= timedelta(days=max(0, on.weekday() - _WEEKEND + 1))
    return datetime.combine(on, time(14, 30), UTC) + timedelta(seconds=teller.random.randint(0, 23_000))


def _money(teller: OrderWriter) -> Iterator[_Deed]:
    money = teller.money
    opening = Decimal(100_000) if teller.account.kind == "paper" else Decimal(teller.random.randint(250, 600) * 100)
    yield _moment(teller, 0), partial(money, kind="transfer", amount=opening, description="Deposit")
    for day in range(30, 360, 30):
        earned, saved = Decimal(teller.random.randint(200, 2500)) * _CENT, Decimal("500.00")
        yield _moment(teller, day), partial(money, kind="interest", amount=earned, description="Interest on cash")
        yield _moment(teller, day + 3), partial(money, kind="transfer", amount=saved, description="Monthly deposit")
    for day in (80, 170, 260, 350):
        yield _moment(teller, day), partial(money, kind="fee", amount=Decimal("-9.00"), description="Account fee")
        yield _moment(teller, day + 5), partial(_dividends, teller)
    yield _moment(teller, 200), partial(money, kind="transfer", amount=Decimal("-750.00"), description="Withdrawal")


def _dividends(teller: OrderWriter, at: datetime) -> None:
    for listing in LISTINGS:
        holding = teller.account.holdings.get(listing.symbol)
        amount = Decimal(0) if holding is None else holding.quantity * Decimal(listing.dividend)
        if amount > 0:
            teller.money(at, "dividend", amount.quantize(_CENT), f"Dividend of {listing.symbol}", listing.symbol)


def _purchases(teller: OrderWriter) -> Iterator[_Deed]:
    """One stock of every kind, each for a small part of the account."""
    for number, listing in enumerate(LISTINGS):
        kind, tif = _KINDS[number % len(_KINDS)]
        qty = max(Decimal(2), Decimal(teller.random.randint(500, 800)) // Decimal(listing.price))
        buy = partial(teller.order, symbol=listing.symbol, side="BUY", qty=qty, order_type=kind, order_tif=tif)
        yield _moment(teller, teller.random.randint(3, 240)), buy
    yield _moment(teller, 244), partial(teller.order, symbol="SPY", side="BUY", qty=None, notional=Decimal("500.00"))


def _sales(teller: OrderWriter) -> Iterator[_Deed]:
    """Half of one holding, all of another, and where one can trade a short sale, partly covered."""
    yield _moment(teller, 260), partial(_sell, teller, "AAPL", 2)
    yield _moment(teller, 270), partial(_sell, teller, "F", 1)
    broker = teller.account.broker
    if broker.trading:
        cover = "BUY_TO_COVER" if broker.code == "TRADESTATION" else "BUY"
        yield _moment(teller, 280), partial(teller.order, symbol="F", side="SELL_SHORT", qty=40)
        yield _moment(teller, 300), partial(teller.order, symbol="F", side=cover, qty=15)


def _sell(teller: OrderWriter, symbol: str, part: int, at: datetime) -> None:
    held = teller.account.holdings[symbol].quantity
    teller.order(at, symbol, "SELL", max(Decimal(1), held // part), order_type="LMT")


def _option(teller: OrderWriter, day: int, root: str, right: str, steps: int) -> str:
    """An option near the money on a day of the year that has not expired at its end."""
    today = teller.now.date()
    strike = teller.market.near_strike(root, today - timedelta(days=_YEAR - day), steps)
    return option_symbol(Option(root, teller.market.expiry(today, 2), right, strike))


def _spread(teller: OrderWriter, day: int, root: str) -> tuple[Leg, Leg]:
    low, high = (_option(teller, day, root, "C", steps) for steps in (1, 3))
    return Leg(low, "BUY_TO_OPEN", 1), Leg(high, "SELL_TO_OPEN", 1)


def _options(teller: OrderWriter) -> Iterator[_Deed]:
    plans = (
        (310, _option(teller, 310, "NVDA", "C", 1), "BUY_TO_OPEN", 2, "LMT"),
        (314, _option(teller, 314, "SPY", "P", -2), "BUY_TO_OPEN", 1, "MKT"),
        (318, _option(teller, 318, "AAPL", "C", 3), "SELL_TO_OPEN", 1, "LMT"),
        (322, _option(teller, 322, "KO", "C", 0), "BUY_TO_OPEN", 3, "MKT"),
        (336, _option(teller, 322, "KO", "C", 0), "SELL_TO_CLOSE", 3, "LMT"),
    )
    for day, symbol, side, qty, kind in plans:
        yield _moment(teller, day), partial(teller.order, symbol=symbol, side=side, qty=qty, order_type=kind)
    spread = partial(teller.order, symbol=None, side="BUY_TO_OPEN", order_type="LMT")
    yield _moment(teller, 326), partial(spread, qty=2, legs=_spread(teller, 326, "MSFT"))
    yield _moment(teller, 330), partial(spread, qty=1, legs=_spread(teller, 330, "SPY"), status="cancelled")


def _mishaps(teller: OrderWriter) -> Iterator[_Deed]:
    """Orders that ended in every other way than being filled, and the one that replaced another."""
    buy = partial(teller.order, side="BUY", order_type="LMT")
    quarter, why = Decimal("0.25"), "Insufficient buying power for this order."
    yield _moment(teller, 120), partial(buy, symbol="AAPL", qty=5, status="cancelled")
    yield _moment(teller, 150), partial(buy, symbol="NVDA", qty=900, status="rejected", reason=why)
    yield _moment(teller, 180), partial(buy, symbol="KO", qty=4, status="expired", order_type="STP")
    yield _moment(teller, 210), partial(buy, symbol="F", qty=20, status="cancelled", share=quarter)
    yield _moment(teller, 240), partial(buy, symbol="MSFT", qty=1, status="replaced")
    yield _moment(teller, 241), partial(buy, symbol="MSFT", qty=2)


def _swings(teller: OrderWriter) -> Iterator[_Deed]:
    """Short trips in and out of a common stock."""
    common = [listing.symbol for listing in LISTINGS if listing.kind == "common" and listing.symbol != "F"]
    for _ in range(5):
        symbol, day = teller.random.choice(common), teller.random.randint(10, 340)
        yield _moment(teller, day), partial(teller.order, symbol=symbol, side="BUY", qty=2)
        yield _moment(teller, day + 5), partial(teller.order, symbol=symbol, side="SELL", qty=2, order_type="LMT")


def _today(teller: OrderWriter) -> Iterator[_Deed]:
    """What happened since midnight UTC, and one order that has been waiting for days."""
    midnight = datetime.combine(teller.now.date(), time(), UTC)
    order = partial(teller.order, order_type="LMT")
    plans = (
        ("MSFT", "BUY", 2, "filled"),
        ("AAPL", "BUY", 3, "working"),
        ("F", "BUY", 30, "partially_filled"),
        ("KO", "SELL", 1, "pending_cancel"),
        ("NVDA", "SELL", 1, "pending_replace"),
        ("IBM/B", "BUY", 1, "cancelled"),
        ("SPY", "BUY", 1, "pending"),
    )
    for number, (symbol, side, qty, status) in enumerate(plans):
        at = midnight + (teller.now - midnight) * (number + 1) / (len(plans) + 1)
        yield at, partial(order, symbol=symbol, side=side, qty=qty, status=status)
    waiting = partial(order, symbol="IBMp", side="BUY", qty=10, status="working", order_tif="GTC")
    yield _moment(teller, _YEAR - 12), waiting
