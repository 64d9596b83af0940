"""Live books in any dialect: a book that says that it is current equals the world; never silent."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from connecttrade_async import ConfigurationError, ConnectTradeError
from dialect_world import NAMES, quick, said_by, written_id

if TYPE_CHECKING:
    from connecttrade_async import Dialect, LiveAccounts
    from connecttrade_async.books.book import Book
    from connecttrade_async.sandbox.dialect import SandboxDialect
    from dialect_world import DialectWorld

__all__ = ["check_live", "compared", "in_the_world", "state_of", "trade"]

OPEN = {"pending", "working", "partially_filled"}
SOON = 2.0  # seconds in which a book has to become equal, where it says that it is current


def in_the_world(world: DialectWorld, name: str, spoken: SandboxDialect) -> dict[str, Any]:
    """Return the account of a user as the server has it."""
    sandbox = world.sandbox
    account, now = sandbox.world.books.account(world.accounts[name]), sandbox.clock.now()
    orders = {order.order_id: order for order in sandbox.broker.orders(account.account_id)}
    return {
        "cash": sandbox.world.balance(account, now).cash,
        "positions": {each.symbol: each.quantity for each in account.positions(sandbox.world.market, now)},
        "orders": {
            written_id(spoken, order_id): (order.status, order.filled_qty)
            for order_id, order in orders.items()
            if order.status in OPEN
        },
    }


def state_of(book: Book) -> dict[str, Any]:
    """Return the same parts of a book."""
    return {
        "cash": None if book.balance is None else book.balance.cash,
        "positions": {symbol: each.quantity for symbol, each in book.positions.items()},
        "orders": {
            order_id: (str(each.status), each.filled_qty)
            for order_id, each in book.orders.items()
            if str(each.status) in OPEN
        },
    }


async def check_live(world: DialectWorld, spoken: SandboxDialect, dialect: Dialect, *, login: float = 0.5) -> list[str]:
    """Follow two users, let their orders be filled, lose the connection, and compare the books with the world.

    Returns:
        What was said where a book is not current; empty if all are, and equal the world.

    Raises:
        AssertionError: a book says that it is current, and is not.
    """
    world.speak(spoken)
    said: list[str] = []
    async with world.client(dialect, **quick(login)) as ct:
        live = ct.live([world.user(ct, name) for name in NAMES], sweep_every=None)
        try:
            try:
                async with asyncio.timeout(20):
                    await live.__aenter__()
            except ConnectTradeError as error:
                return [said_by(error)]
            said += await compared(world, live, spoken, "at first")
            trade(world, "1")
            said += await compared(world, live, spoken, "after trades")
            world.sandbox.stream.drop(1001)
            trade(world, "2")
            said += await compared(world, live, spoken, "after a drop")
        finally:
            await live.aclose()
    return said


def trade(world: DialectWorld, label: str) -> None:
    """Let something happen to each kind of thing in both accounts, each with numbers of its own."""
    sandbox = world.sandbox
    for number, name in enumerate(NAMES):
        account_id = world.accounts[name]
        at = sandbox.clock.advance(0.001)
        order = sandbox.world.add_order(account_id, at, symbol="MSFT", qty=7 + number, status="working")
        sandbox.broker.fill(order.order_id, Decimal(3 + number), 5 + int(label))
        sandbox.world.add_order(account_id, sandbox.clock.advance(0.001), symbol="AAPL", qty=2, status="filled")
        other = sandbox.world.add_order(account_id, sandbox.clock.advance(0.001), symbol="SPY", qty=1)
        sandbox.broker.reject(other.order_id)
    sandbox.clock.advance(0.001)


async def compared(world: DialectWorld, live: LiveAccounts, spoken: SandboxDialect, when: str) -> list[str]:
    """Wait until the books equal the world; return what is said of those that do not."""
    expected = {name: in_the_world(world, name, spoken) for name in NAMES}
    try:
        await live.wait(lambda live: live.is_current and _are_equal(world, live, spoken, expected), timeout=SOON)
    except TimeoutError:
        pass
    except ConnectTradeError as error:
        return [f"{when}: {said_by(error)}"]
    return [text for name in NAMES if (text := _said_of(world, live, spoken, (name, expected[name]), when))]


def _said_of(
    world: DialectWorld, live: LiveAccounts, spoken: SandboxDialect, expected: tuple[str, dict[str, Any]], when: str
) -> str:
    name, wanted = expected
    try:
        book = live.book(written_id(spoken, world.accounts[name]))
    except ConfigurationError:
        error = live.failed.get(name)
        assert error is not None or not live.is_current, f"{when}: no book of {name}, in silence"
        return f"{when}: no book of {name}: {error}"
    assert book.user_id == name
    if not book.is_current:
        return f"{when}: the book of {name} is not current: {book.problem}"
    found = state_of(book)
    assert found == wanted, f"{when}: the book of {name} is current with {found}, not {wanted}"
    return ""


def _are_equal(
    world: DialectWorld, live: LiveAccounts, spoken: SandboxDialect, expected: dict[str, dict[str, Any]]
) -> bool:
    try:
        books = {name: live.book(written_id(spoken, world.accounts[name])) for name in NAMES}
    except ConfigurationError:
        return False
    return all(state_of(book) == expected[name] for name, book in books.items())
