"""The world's teller: writes whole orders, with fills that agree with their status, into one account's books."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from random import Random
from uuid import UUID

from connecttrade_async.sandbox.errors import BadRequestError
from connecttrade_async.sandbox.world.account import Account
from connecttrade_async.sandbox.world.market import Market
from connecttrade_async.sandbox.world.orders import OPEN, SIDES, STATUSES, Fill, Leg, Order, Transaction
from connecttrade_async.sandbox.world.symbols import instrument_of

__all__ = ["OrderWriter"]

_CENT = Decimal("0.01")
_MILLIONTH = Decimal("0.000001")
_SHARE_FILLED = {"filled": Decimal(1), "partially_filled": Decimal("0.4")}


class OrderWriter:
    """Keeps one account's books.

    Args:
        account: the account that the orders belong to.
        market: where prices come from.
        random: where ids and small accidents come from.
        now: nothing is written about a time after this one.
    """

    def __init__(self, account: Account, market: Market, random: Random, now: datetime) -> None:
        self.account = account
        self.market = market
        self.random = random
        self.now = now

    def money(self, at: datetime, kind: str, amount: Decimal, description: str, symbol: str | None = None) -> None:
        """Write a movement of cash that is no trade, `amount` in dollars."""
        movement = Transaction(
            transaction_id=self._id(),
            account_id=self.account.account_id,
            type=kind,
            date=at.date(),
            amount=amount,
            description=description,
            symbol=symbol,
        )
        self.account.move(movement)

    def order(
        self,
        at: datetime,
        symbol: str | None,
        side: str,
        qty: Decimal | int | None,
        *,
        status: str = "filled",
        order_type: str = "MKT",
        order_tif: str = "DAY",
        notional: Decimal | None = None,
        share: Decimal | None = None,
        legs: Sequence[Leg] = (),
        reason: str | None = None,
        cl_order_id: str | None = None,
    ) -> Order:
        """Write an order made at a time, with the fills that its status asks for.

        Args:
            at: when it was made; its fills follow within seconds.
            symbol: what it is for; None with `legs`.
            side: one of the documented sides.
            qty: shares or contracts; None with `notional`.
            status: one of the documented statuses.
            order_type: ``LMT``, ``STP`` and ``STPLMT`` get prices near the market's.
            order_tif: its time in force.
            notional: dollars instead of `qty`.
            share: how much of it has traded, 0 to 1, if not what `status` says.
            legs: two to four options of a multi-leg order.
            reason: why it was rejected.
            cl_order_id: the client's id; None makes one.

        Returns:
            The order as written.

        Raises:
            BadRequestError: side or status is none of the documented ones, or there is nothing to trade.
        """
        _check(symbol, side, status, legs)
        price, leg_prices = self._prices(symbol, legs, at)
        total = _quantity(qty, notional, price)
        part = _SHARE_FILLED.get(status, Decimal(0)) if share is None else share
        limit, stop = _conditions(order_type, side, price)
        fills = tuple(self._fills(_portion(total, part), _bounded(price, limit, side), leg_prices, at))
        order = Order(
            order_id=self._id(),
            cl_order_id=self._id() if cl_order_id is None else cl_order_id,
            account_id=self.account.account_id,
            broker=self.account.broker.code,
            side=side,
            order_type=order_type,
            order_tif=order_tif,
            symbol=symbol,
            instrument="MLEG_OPT" if symbol is None else instrument_of(symbol),
            status=status,
            broker_status=self.account.broker.words[status],
            created_at=at,
            updated_at=self._updated(at, status, fills),
            order_qty=None if notional is not None else total,
            order_notional=notional,
            order_limit_price=limit,
            stop_price=stop,
            legs=tuple(legs),
            fills=fills,
            reject_reason=reason,
        )
        self.account.enter(order)
        return order

    def _id(self) -> str:
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def _prices(self, symbol: str | None, legs: Sequence[Leg], at: datetime) -> tuple[Decimal, tuple[Decimal, ...]]:
        if symbol is not None:
            return self.market.price(symbol, at.date()), ()
        prices = tuple(self.market.price(leg.symbol, at.date()) for leg in legs)
        signed = (
            price * leg.ratio * (1 if leg.action.startswith("BUY") else -1)
            for leg, price in zip(legs, prices, strict=True)
        )
        return abs(sum(signed, Decimal(0))), prices

    def _fills(
        self, quantity: Decimal, price: Decimal, leg_prices: tuple[Decimal, ...], at: datetime
    ) -> Iterator[Fill]:
        moment = at
        for piece in self._pieces(quantity):
            moment = min(moment + timedelta(milliseconds=self.random.randint(40, 2500)), max(self.now, at))
            yield Fill(self._id(), moment, piece, price, leg_prices)
            if not leg_prices:
                price = max(_CENT, price - _CENT * self.random.randint(0, 1))

    def _pieces(self, quantity: Decimal) -> Iterator[Decimal]:
        whole = quantity == quantity.to_integral_value()
        for _ in range(2):
            if whole and quantity > 1 and self.random.random() < 0.5:  # noqa: PLR2004  an even chance
                piece = Decimal(self.random.randint(1, int(quantity) - 1))
                yield piece
                quantity -= piece
        if quantity:
            yield quantity

    def _updated(self, at: datetime, status: str, fills: tuple[Fill, ...]) -> datetime:
        if status in OPEN or status == "filled":
            return fills[-1].time if fills else at
        return min(max(self.now, at), at + timedelta(minutes=self.random.randint(1, 90)))


def _check(symbol: str | None, side: str, status: str, legs: Sequence[Leg]) -> None:
    if side not in SIDES:
        raise BadRequestError(f"There is no side {side!r}. Known are {', '.join(SIDES)}.")
    if status not in STATUSES:
        raise BadRequestError(f"There is no status {status!r}. Known are {', '.join(STATUSES)}.")
    if (symbol is None) is not bool(legs):
        raise BadRequestError("An order has either a symbol or legs.")


def _quantity(qty: Decimal | int | None, notional: Decimal | None, price: Decimal) -> Decimal:
    if (qty is None) is (notional is None):
        raise BadRequestError("An order has either a quantity or a notional.")
    total = Decimal(qty) if qty is not None else ((notional or 0) / price).quantize(_MILLIONTH, ROUND_DOWN)
    if total <= 0:
        raise BadRequestError("An order is for more than nothing.")
    return total


def _portion(total: Decimal, share: Decimal) -> Decimal:
    if total != total.to_integral_value():
        return (total * share).quantize(_MILLIONTH, ROUND_DOWN)
    return (total * share).to_integral_value(ROUND_DOWN)


def _conditions(order_type: str, side: str, price: Decimal) -> tuple[Decimal | None, Decimal | None]:
    """Limit and stop price, each a little on the side where the order can trade."""
    tilt = Decimal("1.01") if side.startswith("BUY") else Decimal("0.99")
    limit = max(_CENT, (price * tilt).quantize(_CENT)) if order_type in {"LMT", "STPLMT"} else None
    stop = max(_CENT, price.quantize(_CENT)) if order_type in {"STP", "STPLMT"} else None
    return limit, stop


def _bounded(price: Decimal, limit: Decimal | None, side: str) -> Decimal:
    if limit is None:
        return price
    return min(price, limit) if side.startswith("BUY") else max(price, limit)
