"""The events of the brokerage stream, made from the changes of the world.

One event for each change of an order; then, once for each account, the positions that traded and the balance. Money
and prices are those of the moment of sending, as `GET /positions` and `GET /balances` would have them.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple, cast

from connecttrade_async.sandbox.parameters import Fields
from connecttrade_async.sandbox.payloads import Json, Payloads
from connecttrade_async.sandbox.world import Account, Change, Order, World

__all__ = ["BrokerageEvent", "events_of"]


class BrokerageEvent(NamedTuple):
    """Something that changed for a user."""

    topic: str
    user_id: str
    account_id: str
    timestamp: str
    data: Fields


def events_of(world: World, payloads: Payloads, changes: Iterable[Change], now: datetime) -> Iterator[BrokerageEvent]:
    """Return the events of order changes, for the user that owns the account.

    Args:
        world: where it happened.
        payloads: how it is written.
        changes: what happened, in that order.
        now: the present moment.
    """
    touched: dict[str, set[str]] = {}
    for change in changes:
        account = world.books.account(change.order.account_id)
        user_id = world.owner(account)
        if user_id is not None:
            symbols = touched.setdefault(account.account_id, set())
            symbols.update(_symbols(change.order) if change.fills else ())
            data = payloads.order(change.order, account.broker)
            yield BrokerageEvent("orders", user_id, account.account_id, payloads.time(change.at), _members(data))
    for account_id, symbols in touched.items():
        yield from _state(world, payloads, world.books.account(account_id), sorted(symbols), now)


def _state(
    world: World, payloads: Payloads, account: Account, symbols: list[str], now: datetime
) -> Iterator[BrokerageEvent]:
    user_id, name, at = world.owner(account) or "", account.account_id, payloads.time(now)
    for symbol in symbols:
        position = payloads.position(account, account.position(symbol, world.market, now))
        yield BrokerageEvent("positions", user_id, name, at, _members(position))
    yield BrokerageEvent(
        "balances", user_id, name, at, _members(payloads.balance(account, world.balance(account, now)))
    )


def _symbols(order: Order) -> tuple[str, ...]:
    return tuple(leg.symbol for leg in order.legs) if order.symbol is None else (order.symbol,)


def _members(payload: Json) -> Fields:
    return cast("Fields", payload)
