"""The world's history: a year of an account, written in the order in which it happened.

Every status, order type, time in force and kind of instrument of the wire contract occurs in it.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from operator import itemgetter

from .market import LISTINGS, Option, option_symbol
from .records import Leg
from .teller import Teller

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


def furnish(teller: Teller) -> None:
    """Give an empty account the year that ends at the teller's present moment."""
    deeds = [*_money(teller), *_purchases(teller), *_sales(teller), *_options(teller)]
    deeds += [*_mishaps(teller), *_swings(teller), *_today(teller)]
    for at, deed in sorted(deeds, key=itemgetter(0)):
        deed(at)


def _moment(teller: Teller, day: int) -> datetime:
    """A trading moment so many days after the year began, moved off a weekend."""
    on = (teller.now - timedelta(days=_YEAR - day)).date()
    on -= timedelta(days=max(0, on.weekday() - _WEEKEND + 1))
    return datetime.combine(on, time(14, 30), UTC) + timedelta(seconds=teller.random.randint(0, 23_000))


def _money(teller: Teller) -> Iterator[_Deed]:
    opening = Decimal(100_000) if teller.account.kind == "paper" else Decimal(teller.random.randint(250, 600) * 100)
    yield _moment(teller, 0), lambda at: teller.money(at, "transfer", opening, "Deposit")
    for day in range(30, 360, 30):
        interest = Decimal(teller.random.randint(200, 2500)) * _CENT
        yield _moment(teller, day), lambda at, i=interest: teller.money(at, "interest", i, "Interest on cash")
        yield _moment(teller, day + 3), lambda at: teller.money(at, "transfer", Decimal(500), "Monthly deposit")
    for day in (80, 170, 260, 350):
        yield _moment(teller, day), lambda at: teller.money(at, "fee", Decimal("-9.00"), "Account fee")
        yield _moment(teller, day + 5), lambda at: _dividends(teller, at)
    yield _moment(teller, 200), lambda at: teller.money(at, "transfer", Decimal(-750), "Withdrawal")


def _dividends(teller: Teller, at: datetime) -> None:
    for listing in LISTINGS:
        holding = teller.account.holdings.get(listing.symbol)
        amount = Decimal(0) if holding is None else holding.quantity * Decimal(listing.dividend)
        if amount > 0:
            teller.money(at, "dividend", amount.quantize(_CENT), f"Dividend of {listing.symbol}", listing.symbol)


def _purchases(teller: Teller) -> Iterator[_Deed]:
    """One of everything, for some two hundredths to three hundredths of a small account each."""
    for number, listing in enumerate(LISTINGS):
        kind, tif = _KINDS[number % len(_KINDS)]
        dollars = Decimal(teller.random.randint(500, 800))
        qty = max(Decimal(2), dollars // Decimal(listing.price))
        yield (
            _moment(teller, teller.random.randint(3, 240)),
            lambda at, s=listing.symbol, q=qty, k=kind, t=tif: teller.order(at, s, "BUY", q, order_type=k, order_tif=t),
        )
    yield _moment(teller, 244), lambda at: teller.order(at, "SPY", "BUY", None, notional=Decimal("500.00"))


def _sales(teller: Teller) -> Iterator[_Deed]:
    """Half of one holding, all of another, and where the broker lends shares a short sale, partly covered."""

    def sell(at: datetime, symbol: str, part: int) -> None:
        held = teller.account.holdings[symbol].quantity
        teller.order(at, symbol, "SELL", max(Decimal(1), held // part), order_type="LMT")

    yield _moment(teller, 260), lambda at: sell(at, "AAPL", 2)
    yield _moment(teller, 270), lambda at: sell(at, "F", 1)
    broker = teller.account.broker
    if broker.trading:
        cover = "BUY_TO_COVER" if broker.code == "TRADESTATION" else "BUY"
        yield _moment(teller, 280), lambda at: teller.order(at, "F", "SELL_SHORT", 40)
        yield _moment(teller, 300), lambda at: teller.order(at, "F", cover, 15)


def _option(teller: Teller, day: int, root: str, right: str, steps: int) -> str:
    """An option near the money on a day of the year that has not expired at its end."""
    today = teller.now.date()
    strike = teller.market.near_strike(root, today - timedelta(days=_YEAR - day), steps)
    return option_symbol(Option(root, teller.market.expiry(today, 2), right, strike))


def _spread(teller: Teller, day: int, root: str) -> tuple[Leg, Leg]:
    low, high = (_option(teller, day, root, "C", steps) for steps in (1, 3))
    return Leg(low, "BUY_TO_OPEN", 1), Leg(high, "SELL_TO_OPEN", 1)


def _options(teller: Teller) -> Iterator[_Deed]:
    call, put = _option(teller, 310, "NVDA", "C", 1), _option(teller, 314, "SPY", "P", -2)
    covered, brief = _option(teller, 318, "AAPL", "C", 3), _option(teller, 322, "KO", "C", 0)
    yield _moment(teller, 310), lambda at: teller.order(at, call, "BUY_TO_OPEN", 2, order_type="LMT")
    yield _moment(teller, 314), lambda at: teller.order(at, put, "BUY_TO_OPEN", 1)
    yield _moment(teller, 318), lambda at: teller.order(at, covered, "SELL_TO_OPEN", 1, order_type="LMT")
    yield _moment(teller, 322), lambda at: teller.order(at, brief, "BUY_TO_OPEN", 3)
    yield _moment(teller, 336), lambda at: teller.order(at, brief, "SELL_TO_CLOSE", 3, order_type="LMT")
    legs = _spread(teller, 326, "MSFT")
    yield (
        _moment(teller, 326),
        lambda at: teller.order(at, None, "BUY_TO_OPEN", 2, order_type="LMT", legs=legs),
    )


def _mishaps(teller: Teller) -> Iterator[_Deed]:
    """Orders that ended in every other way than being filled."""
    why = "Insufficient buying power for this order."
    order = teller.order
    yield _moment(teller, 120), lambda at: order(at, "AAPL", "BUY", 5, status="cancelled", order_type="LMT")
    yield _moment(teller, 150), lambda at: order(at, "NVDA", "BUY", 900, status="rejected", reason=why)
    yield _moment(teller, 180), lambda at: order(at, "KO", "BUY", 4, status="expired", order_type="STP")
    yield (
        _moment(teller, 210),
        lambda at: order(at, "F", "BUY", 20, status="cancelled", order_type="LMT", share=Decimal("0.25")),
    )
    yield _moment(teller, 240), lambda at: order(at, "MSFT", "BUY", 1, status="replaced", order_type="LMT")
    yield _moment(teller, 241), lambda at: order(at, "MSFT", "BUY", 2, order_type="LMT")
    legs = _spread(teller, 330, "SPY")
    yield (
        _moment(teller, 330),
        lambda at: order(at, None, "BUY_TO_OPEN", 1, status="cancelled", order_type="LMT", legs=legs),
    )


def _swings(teller: Teller) -> Iterator[_Deed]:
    """Short trips in and out of a common stock."""
    common = [listing.symbol for listing in LISTINGS if listing.kind == "common" and listing.symbol != "F"]
    for _ in range(5):
        symbol, day = teller.random.choice(common), teller.random.randint(10, 340)
        yield _moment(teller, day), lambda at, s=symbol: teller.order(at, s, "BUY", 2)
        yield _moment(teller, day + 5), lambda at, s=symbol: teller.order(at, s, "SELL", 2, order_type="LMT")


def _today(teller: Teller) -> Iterator[_Deed]:
    """What happened since midnight UTC, and one order that has been waiting for days."""
    midnight = datetime.combine(teller.now.date(), time(), UTC)
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
        yield (
            at,
            lambda at, s=symbol, d=side, q=qty, w=status: teller.order(at, s, d, q, status=w, order_type="LMT"),
        )
    yield (
        _moment(teller, _YEAR - 12),
        lambda at: teller.order(at, "IBMp", "BUY", 10, status="working", order_type="LMT", order_tif="GTC"),
    )
