"""Fixtures for the stories of live accounts: users with accounts, and the sandbox's state to compare the books with."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from connecttrade_async import tickets
from connecttrade_async.books.changes import OrderChanged
from connecttrade_async.sandbox.world import Account, Connection, find_broker
from stream_fixtures import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from connecttrade_async import ConnectTrade, Order, Poller, User
    from connecttrade_async.books.change_feed import ChangeSubscription
    from connecttrade_async.books.changes import Change
    from connecttrade_async.live.accounts import LiveAccounts
    from connecttrade_async.models.events import Gap
    from connecttrade_async.sandbox import Sandbox

BROKER = "ALPACA"
ENDED = {"filled", "cancelled", "rejected", "expired", "replaced"}


def newcomer(sandbox: Sandbox, ct: ConnectTrade, name: str = "ada") -> tuple[User, str]:
    """Create a user with a connected broker, without HTTP; return an account id too."""
    world, broker, now = sandbox.world, find_broker(BROKER), sandbox.clock.now()
    user = world.create_user(name)
    link = world.invite(user, "trade", "https://app.example/done", now, broker=broker)
    connection = world.consent(link, broker, name, now)
    return ct.user(name, user.secret), connection.accounts[0].account_id


async def placed(user: User, account_id: str, qty: int = 10, price: str = "1.00") -> Order:
    """Place an order that does not fill by itself."""
    ticket = tickets.limit("MSFT", "BUY", qty=qty, price=price, account_id=account_id, broker=BROKER)
    return await user.orders.place(ticket)


async def working(live: LiveAccounts, order: Order) -> None:
    """Wait until an order is working in its book."""
    account_id, order_id = str(order.account_id), order.order_id

    def is_working(live: LiveAccounts) -> bool:
        known = live.book(account_id).orders.get(order_id)
        return known is not None and known.status == "working"

    await live.wait(is_working, timeout=PATIENCE)


async def current(live: LiveAccounts) -> None:
    """Wait until every book is current."""
    await live.wait(lambda live: live.is_current, timeout=PATIENCE)


def in_the_book(live: LiveAccounts | Poller[Any], account_id: str) -> dict[str, Any]:
    """Return the parts of a book that do not change with prices."""
    book = live.book(account_id)
    assert book.balance is not None
    return {
        "cash": book.balance.cash,
        "positions": {symbol: each.quantity for symbol, each in book.positions.items()},
        "open": {
            order.order_id: (str(order.status), order.filled_qty)
            for order in book.orders.values()
            if order.status not in ENDED
        },
    }


def in_the_world(sandbox: Sandbox, account_id: str) -> dict[str, Any]:
    """Return the same parts of the sandbox's account."""
    now = sandbox.clock.now()
    orders = sandbox.broker.orders(account_id)
    account = sandbox.world.books.account(account_id)
    return {
        "cash": sandbox.world.balance(account, now).cash,
        "positions": {each.symbol: each.quantity for each in account.positions(sandbox.world.market, now)},
        "open": {order.order_id: (order.status, order.filled_qty) for order in orders if order.status not in ENDED},
    }


def taken(changes: ChangeSubscription) -> list[Change | Gap]:
    """Take the queued changes."""
    found: list[Change | Gap] = []
    while (change := changes.receive_nowait()) is not None:
        found.append(change)
    return found


def fills_of(changes: list[Change | Gap]) -> list[tuple[str | None, str]]:
    """Return the reported fills, each with the cause of its change."""
    orders = [change for change in changes if isinstance(change, OrderChanged)]
    return [(fill.fill_id, change.cause) for change in orders for fill in change.fills]


async def until_filled(changes: ChangeSubscription, count: int) -> list[tuple[str | None, str]]:
    """Take changes until ``count`` fills are reported."""
    found: list[Change | Gap] = []
    async with asyncio.timeout(PATIENCE):
        while len(fills_of(found)) < count:
            found.append(await changes.receive())
    return fills_of(found)


@contextlib.asynccontextmanager
async def nothing_of_ours_left() -> AsyncGenerator[None]:
    """Assert that no task of the library outlives the body. (The sandbox's tasks may: it keeps connections.)"""
    yield
    for _ in range(5):
        await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("connecttrade")] == []


async def until_struck(sandbox: Sandbox) -> None:
    """Wait until the first fault has fired."""
    async with asyncio.timeout(PATIENCE):
        while not sandbox.faults.armed[0].fired:  # noqa: ASYNC110 - a fault has no event to wait for
            await asyncio.sleep(0.001)


def bare_newcomer(sandbox: Sandbox, ct: ConnectTrade, name: str) -> tuple[User, str]:
    """Create a user with an account without history, which is fast enough for a thousand users."""
    world, broker = sandbox.world, find_broker(BROKER)
    user = world.create_user(name)
    account = Account(f"account-of-{name}", "1", broker, "paper")
    world.books._accounts[account.account_id] = account
    world.books._names[account.account_id] = name
    world._owners[broker.code, name] = name
    user.connections[name] = Connection(name, name, broker, "trade", name, (account,))
    return ct.user(name, user.secret), account.account_id
