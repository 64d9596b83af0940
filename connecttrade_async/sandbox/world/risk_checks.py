"""The world's scrutiny: why a broker turns down an order that makes sense, and what margin one that it takes will need.

Such an order is not an error of the request: it is taken, and is ``rejected`` with its reason in a sentence.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from connecttrade_async.sandbox.world.market import Market
from connecttrade_async.sandbox.world.price_path import anchor
from connecttrade_async.sandbox.world.symbols import is_crypto, is_listed, parse_option, price_step
from connecttrade_async.sandbox.world.working_order import OrderLeg, WorkingOrder

__all__ = ["find_reason", "weigh"]

_NOTHING = Decimal(0)
_HALF, _HUNDRED = Decimal("0.5"), Decimal(100)
"""The part of a stock's price, and the units of an option, that have to be there."""
_SHARES = {"STK": _HALF, "CRYPTO": Decimal(1)}
"""The part of the price that has to be there, by instrument; nothing is lent on cryptocurrency."""
_CLOSING = {"SELL", "BUY_TO_COVER", "BUY_TO_CLOSE", "SELL_TO_CLOSE"}


def find_reason(working: WorkingOrder, market: Market, at: datetime, others: Iterable[WorkingOrder]) -> str | None:
    """Why the broker does not want an order, or None if it takes it.

    In this order: an unlisted symbol, an option that has expired, a market that is closed to an order that does not
    wait (``IOC``, ``FOK``; all others queue), less than a dollar, more than is held or too little to buy it with.

    Args:
        working: the order, weighed.
        market: where it would trade.
        at: the present moment.
        others: the account's other orders at work.
    """
    rest = list(others)
    return (
        _unlisted(working, at)
        or _not_offered(working)
        or _closed(working, market, at)
        or _tiny(working)
        or _not_held(working, market, at, rest)
        or _too_dear(working, market, at, rest)
    )


def weigh(working: WorkingOrder, market: Market, at: datetime) -> None:
    """Note how much initial margin a unit of the order needs, and how many units do."""
    order = working.order
    if order.order_notional is not None:
        share = _SHARES.get(order.instrument or "", _HALF)
        working.unit_margin, working.opening = order.order_notional * share, Decimal(1)
    else:
        share = _SHARES.get(order.instrument or "", _HUNDRED)
        working.unit_margin, working.opening = _dear(working, market, at) * share, working.left
    if all(part.action in _CLOSING for part in working.parts):
        working.opening = _NOTHING
    elif order.side == "BUY" and order.order_qty is not None:
        short = min(_NOTHING, working.account.held(order.symbol or ""))
        working.opening = max(_NOTHING, working.left + short)


def _dear(working: WorkingOrder, market: Market, at: datetime) -> Decimal:
    """What one unit may come to, without its sign: a sale short never to less than it would bring now."""
    order, now = working.order, abs(working.deal(market, at).price)
    named = order.order_limit_price or order.stop_price or now
    return named if working.sign > 0 else max(named, now)


def _unlisted(working: WorkingOrder, at: datetime) -> str | None:
    for symbol in (part.symbol for part in working.parts):
        if not is_listed(symbol):
            return f"Unknown symbol {symbol}: it is not listed."
        option = parse_option(symbol)
        if option is not None and anchor(option.expiry) <= at:
            return f"{symbol} has expired."
    return None


def _not_offered(working: WorkingOrder) -> str | None:
    order, broker = working.order, working.account.broker
    if order.symbol is None or not is_crypto(order.symbol):
        return None
    if not broker.crypto:
        return f"{broker.name} does not trade cryptocurrency."
    return "Cryptocurrency cannot be sold short." if order.side == "SELL_SHORT" else None


def _closed(working: WorkingOrder, market: Market, at: datetime) -> str | None:
    is_patient = working.order.order_tif not in {"IOC", "FOK"}
    if is_patient or market.hours_of(working.order.symbol).is_open(at, extended=False):
        return None
    return f"The market is closed, and an order that is {working.order.order_tif} does not wait."


def _tiny(working: WorkingOrder) -> str | None:
    notional = working.order.order_notional
    return None if notional is None or notional >= 1 else "An order by notional is for a dollar at least."


def _not_held(working: WorkingOrder, market: Market, at: datetime, others: list[WorkingOrder]) -> str | None:
    for part in working.parts:
        held = working.account.held(part.symbol)
        if part.action == "SELL_SHORT" and held > 0:
            return f"{held.normalize():f} {part.symbol} are held; SELL them before selling short."
        if part.action in _CLOSING:
            there = max(_NOTHING, -held * part.sign) - sum((_promised(part, other) for other in others), _NOTHING)
            if _wanted(working, part, market, at) > there:
                return f"Insufficient quantity to {part.action} {part.symbol}: {there.normalize():f} there."
    return None


def _wanted(working: WorkingOrder, part: OrderLeg, market: Market, at: datetime) -> Decimal:
    notional = working.order.order_notional
    if notional is None:
        return working.left * part.ratio
    return notional / max(price_step(part.symbol), market.quote(part.symbol, at).bid)


def _promised(part: OrderLeg, other: WorkingOrder) -> Decimal:
    """How much of what a part closes another order will close, if it trades; one by notional perhaps all."""
    if other.order.order_notional is not None:
        same = [each for each in other.parts if each[:2] == part[:2]]
        return abs(other.account.held(part.symbol)) if same else _NOTHING
    return sum((other.left * each.ratio for each in other.parts if each[:2] == part[:2]), _NOTHING)


def _too_dear(working: WorkingOrder, market: Market, at: datetime, others: list[WorkingOrder]) -> str | None:
    reserved = sum((other.margin for other in others), _NOTHING)
    there = working.account.balance(market, at, reserved).buying_power
    needed = working.margin * (2 if working.account.broker.has_margin else 1)
    if needed <= there:
        return None
    return f"Insufficient buying power: {needed:.2f} needed, {there:.2f} there."
