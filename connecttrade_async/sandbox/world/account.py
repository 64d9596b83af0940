"""The world's accounts: orders, holdings, cash and transactions that can only change together.

`Account.enter`, `Account.amend` and `Account.move` are the only ways in, so the books balance by construction: cash is
the sum of the transactions, holdings are the sum of the fills, and an order goes only where `EDGES` lets it.
"""

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_UP, Decimal

from connecttrade_async.sandbox.errors import ConflictError, NotFoundError
from connecttrade_async.sandbox.world.brokers import Broker
from connecttrade_async.sandbox.world.holdings import Holding, Position
from connecttrade_async.sandbox.world.market import Market
from connecttrade_async.sandbox.world.orders import EDGES, Fill, Order, Transaction
from connecttrade_async.sandbox.world.price_path import anchor
from connecttrade_async.sandbox.world.symbols import is_crypto, is_option

__all__ = ["Account", "Balance"]

_NOTHING = Decimal(0)
_HALF = Decimal("0.5")
_QUARTER = Decimal("0.25")
_CENT = Decimal("0.01")
_CONTRACT_FEE = Decimal("0.65")
_SALES_FEE = Decimal("0.0000278")
"""What the regulator takes of every sale's proceeds, rounded up to the cent."""


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
        transactions: every movement, in the order in which they happened.
    """

    def __init__(self, account_id: str, number: str, broker: Broker, kind: str) -> None:
        self.account_id = account_id
        self.number = number
        self.broker = broker
        self.kind = kind
        self._orders: dict[str, Order] = {}
        self._keys: list[tuple[datetime, str]] = []
        self.holdings: dict[str, Holding] = {}
        self.transactions: list[Transaction] = []
        self.cash = Decimal(0)

    def __repr__(self) -> str:
        return f"<Account {self.account_id} {self.broker.code} {self.kind}, {len(self._orders)} orders>"

    @property
    def orders(self) -> list[Order]:
        """Every order as it is now, oldest first."""
        return [self._orders[order_id] for _, order_id in self._keys]

    def has(self, order_id: str) -> bool:
        """Whether it has an order of this id."""
        return order_id in self._orders

    def order(self, order_id: str) -> Order:
        """One order as it is now.

        Raises:
            UnknownError: the account has none of this id.
        """
        order = self._orders.get(order_id)
        if order is None:
            raise NotFoundError(f"There is no order {order_id!r} in account {self.account_id!r}.")
        return order

    def held(self, symbol: str) -> Decimal:
        """How much of a symbol it holds, negative when short."""
        holding = self.holdings.get(symbol)
        return Decimal(0) if holding is None else holding.quantity

    def enter(self, order: Order) -> None:
        """Write an order into the books and let each of its fills move shares and cash.

        Raises:
            ConflictError: the account has an order of this id.
        """
        if order.order_id in self._orders:
            raise ConflictError(f"The account already has an order {order.order_id}.")
        self._orders[order.order_id] = order
        insort(self._keys, order.key)
        for fill in order.fills:
            self._settle(order, fill)

    def amend(self, order: Order) -> None:
        """Let an order be what it has become, and each of its new fills move shares and cash.

        Raises:
            ConflictError: an order of the status that it had never becomes this.
            UnknownError: the account has none of this id.
        """
        known = self.order(order.order_id)
        if order.status not in EDGES[known.status] or order.fills[: len(known.fills)] != known.fills:
            raise ConflictError(f"An order that is {known.status} does not become {order.status}.")
        self._orders[order.order_id] = order
        for fill in order.fills[len(known.fills) :]:
            self._settle(order, fill)

    def move(self, transaction: Transaction) -> None:
        """Write a movement into the books; the cash follows."""
        self.transactions.append(transaction)
        self.cash += transaction.amount

    def positions(self, market: Market, at: datetime) -> list[Position]:
        """What the account holds at a moment, by symbol. A day's profit counts from the evening before."""
        on, eve = at.date(), anchor(at.date() - timedelta(days=1))
        held = sorted((holding.symbol, holding) for holding in self._open())
        return [holding.position(market.last(name, at), market.last(name, eve), on) for name, holding in held]

    def position(self, symbol: str, market: Market, at: datetime) -> Position:
        """What it holds of one symbol at a moment, also if that is nothing any more."""
        eve = anchor(at.date() - timedelta(days=1))
        holding = self.holdings.get(symbol) or Holding(symbol)
        return holding.position(market.last(symbol, at), market.last(symbol, eve), at.date())

    def balance(self, market: Market, at: datetime, reserved: Decimal = _NOTHING) -> Balance:
        """The account's money at a moment: half of each stock may be borrowed where the broker lends, no option.

        Args:
            market: what everything is worth.
            at: when.
            reserved: the initial margin that open orders will need.
        """
        values = [(holding.symbol, holding.value(market.last(holding.symbol, at))) for holding in self._open()]
        equity = self.cash + sum(value for _, value in values)
        initial = _requirement(values, _HALF)
        spare = max(Decimal(0), equity - initial - reserved)
        lent = spare * 2 if self.broker.has_margin else Decimal(0)
        return Balance(
            cash=self.cash,
            equity=equity,
            buying_power=lent if self.broker.has_margin else max(Decimal(0), self.cash - reserved),
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
        cost = (change * price * holding.unit).quantize(_CENT)
        holding.trade(change, cost, fill.time.date())
        fees = _fees(symbol, change, cost)
        self.move(
            Transaction(
                transaction_id=f"{fill.fill_id}{part}",
                account_id=self.account_id,
                type="trade",
                date=fill.time.date(),
                amount=-cost - fees,
                description=f"{side.replace('_', ' ').capitalize()} {quantity.normalize():f} {symbol} at {price:f}",
                symbol=symbol,
                quantity=change,
                price=price,
                fees=fees,
            )
        )


def _fees(symbol: str, change: Decimal, cost: Decimal) -> Decimal:
    contracts = _CONTRACT_FEE * abs(change) if is_option(symbol) else Decimal(0)
    sales = (-cost * _SALES_FEE).quantize(_CENT, ROUND_UP) if cost < 0 else Decimal(0)
    return contracts + sales


def _requirement(values: list[tuple[str, Decimal]], stock: Decimal) -> Decimal:
    shares = (abs(value) * (1 if is_option(symbol) or is_crypto(symbol) else stock) for symbol, value in values)
    return sum(shares, Decimal(0))
