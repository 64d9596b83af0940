"""The world's accounts: orders, holdings, cash and transactions that can only change together.

`Account.enter` and `Account.move` are the only ways in, so the books balance by construction: cash is the sum of the
transactions, holdings are the sum of the fills.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from connecttrade_async.sandbox.refusals import ConflictError

from .brokers import Broker
from .holdings import Holding, Position
from .market import Market, is_option
from .records import Fill, Order, Transaction

__all__ = ["Account", "Balance"]

_HALF = Decimal("0.5")
_QUARTER = Decimal("0.25")
_CONTRACT_FEE = Decimal("0.65")


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """An account's money on one day, in dollars. `initial` and `maintenance` are margin requirements."""

    cash: Decimal
    equity: Decimal
    buying_power: Decimal
    margin_buying_power: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal


class Account:
    """One account at one broker, paper or live; nothing on the wire says which (documented).

    Attributes:
        orders: every order, oldest first.
        transactions: every movement, in the order in which they happened.
    """

    def __init__(self, account_id: str, number: str, broker: Broker, kind: str) -> None:
        self.account_id = account_id
        self.number = number
        self.broker = broker
        self.kind = kind
        self.orders: list[Order] = []
        self.holdings: dict[str, Holding] = {}
        self.transactions: list[Transaction] = []
        self.cash = Decimal(0)

    def __repr__(self) -> str:
        return f"<Account {self.account_id} {self.broker.code} {self.kind}, {len(self.orders)} orders>"

    def enter(self, order: Order) -> None:
        """Write an order into the books and let each of its fills move shares and cash.

        Raises:
            ConflictError: the account has an order of this id.
        """
        place = bisect_left(self.orders, order.key, key=_key)
        if place < len(self.orders) and self.orders[place].key == order.key:
            raise ConflictError(f"The account already has an order {order.order_id}.")
        self.orders.insert(place, order)
        for fill in order.fills:
            self._settle(order, fill)

    def move(self, transaction: Transaction) -> None:
        """Write a movement into the books; the cash follows."""
        self.transactions.append(transaction)
        self.cash += transaction.amount

    def positions(self, market: Market, on: date) -> list[Position]:
        """What the account holds on a day, by symbol."""
        eve = on - timedelta(days=1)
        held = sorted((holding.symbol, holding) for holding in self.holdings.values() if holding.quantity)
        return [holding.position(market.price(name, on), market.price(name, eve), on) for name, holding in held]

    def balance(self, market: Market, on: date) -> Balance:
        """The account's money on a day: half of each stock may be borrowed where the broker lends, no option."""
        values = [(holding.symbol, holding.value(market.price(holding.symbol, on))) for holding in self._open()]
        equity = self.cash + sum(value for _, value in values)
        initial = _requirement(values, _HALF)
        spare = max(Decimal(0), equity - initial)
        lent = spare * 2 if self.broker.has_margin else Decimal(0)
        return Balance(
            cash=self.cash,
            equity=equity,
            buying_power=lent if self.broker.has_margin else max(Decimal(0), self.cash),
            margin_buying_power=lent,
            initial_margin=initial,
            maintenance_margin=_requirement(values, _QUARTER),
        )

    def _open(self) -> Iterable[Holding]:
        return (holding for holding in self.holdings.values() if holding.quantity)

    def _settle(self, order: Order, fill: Fill) -> None:
        if order.symbol is not None:
            self._trade(fill, order.symbol, order.side, ratio=1, price=fill.price, part="")
        for number, (leg, price) in enumerate(zip(order.legs, fill.leg_prices, strict=True)):
            self._trade(fill, leg.symbol, leg.action, ratio=leg.ratio, price=price, part=f"-{number + 1}")

    def _trade(self, fill: Fill, symbol: str, side: str, *, ratio: int, price: Decimal, part: str) -> None:
        quantity = fill.quantity * ratio
        change = quantity if side.startswith("BUY") else -quantity
        holding = self.holdings.setdefault(symbol, Holding(symbol))
        holding.trade(change, price, fill.time.date())
        fees = _CONTRACT_FEE * quantity if is_option(symbol) else Decimal(0)
        self.move(
            Transaction(
                transaction_id=f"{fill.fill_id}{part}",
                account_id=self.account_id,
                type="trade",
                date=fill.time.date(),
                amount=-change * price * holding.unit - fees,
                description=f"{side.replace('_', ' ').capitalize()} {quantity.normalize():f} {symbol} at {price:f}",
                symbol=symbol,
                quantity=change,
                price=price,
                fees=fees,
            )
        )


def _key(order: Order) -> tuple[datetime, str]:
    return order.key


def _requirement(values: list[tuple[str, Decimal]], stock: Decimal) -> Decimal:
    shares = (abs(value) * (1 if is_option(symbol) else stock) for symbol, value in values)
    return sum(shares, Decimal(0))
