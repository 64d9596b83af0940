"""The last part of the demo: a live book loses no fill when the connection drops."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from connecttrade_async import OrderChanged, tickets
from connecttrade_async.cli.demo.narrator import LogEcho, Narrator
from connecttrade_async.cli.order_text import describe, status_of
from connecttrade_async.cli.output import figure

if TYPE_CHECKING:
    from connecttrade_async import ConnectTrade, LiveAccounts, Order, User
    from connecttrade_async.books.change_feed import ChangeSubscription
    from connecttrade_async.sandbox import Sandbox

__all__ = ["follow_book"]

TIMEOUT = 5.0


async def follow_book(narrator: Narrator, ct: ConnectTrade, user: User, sandbox: Sandbox) -> None:
    """Follow a book, drop the connection while an order fills, and compare the book with the server.

    Cancelling closes the stream.

    Raises:
        TimeoutError: an expected change did not arrive.
    """
    narrator.chapter("A live book: a dropped connection loses no fill")
    account_id = (await user.accounts.list(broker="ALPACA"))[0].account_id
    narrator.code('async with ct.live([user]) as live, live.changes("orders", account_id=account_id) as changes:')
    async with ct.live([user]) as live, live.changes("orders", account_id=account_id) as changes:
        narrator.fact(f"{live.book(account_id)!r}")
        order = await _place(narrator, user, sandbox, account_id)
        await live.wait(lambda live: order.order_id in live.book(account_id).orders, timeout=TIMEOUT)
        narrator.code("sandbox.broker.fill(order.order_id, 4, order.order_limit_price)")
        sandbox.broker.fill(order.order_id, 4, order.order_limit_price)
        await _show_fills(narrator, changes, 1)
        narrator.code("sandbox.stream.reset()")
        sandbox.stream.reset()
        narrator.code("sandbox.broker.fill(order.order_id, 6, order.order_limit_price)")
        sandbox.broker.fill(order.order_id, 6, order.order_limit_price)
        narrator.code("await live.wait(lambda live: not live.book(account_id).is_current, timeout=TIMEOUT)")
        await live.wait(lambda live: not live.book(account_id).is_current, timeout=TIMEOUT)
        narrator.fact("the rest was filled while the stream was away; the book says that it is not current:", "red")
        narrator.fact(f"{live.book(account_id)!r}", "red")
        with LogEcho(narrator):
            await _show_fills(narrator, changes, 1)
        narrator.code("await live.wait(lambda live: live.is_current, timeout=TIMEOUT)")
        await live.wait(lambda live: live.is_current, timeout=TIMEOUT)
        await _compare(narrator, live, user, account_id)


async def _place(narrator: Narrator, user: User, sandbox: Sandbox, account_id: str) -> Order:
    price = sandbox.broker.quote("MSFT").last // 2
    account = {"account_id": account_id, "broker": "ALPACA"}
    narrator.code('order = await user.orders.place(tickets.limit("MSFT", "BUY", qty=10, price=price, **account))')
    order = await user.orders.place(tickets.limit("MSFT", "BUY", qty=10, price=price, **account))
    sandbox.clock.advance(1)
    return order


async def _show_fills(narrator: Narrator, changes: ChangeSubscription, count: int) -> None:
    """Print changes until ``count`` fills have arrived."""
    async with asyncio.timeout(TIMEOUT):
        while count > 0:
            change = await changes.receive()
            if isinstance(change, OrderChanged) and change.fills:
                fills = ", ".join(
                    f"{figure(fill.quantity_text or '?')} at {figure(fill.price_text or '?')}" for fill in change.fills
                )
                style = "green" if change.cause == "stream" else "yellow"
                narrator.fact(f"{change.cause}: {fills} ({describe(change.after)}: {status_of(change.after)})", style)
                count -= len(change.fills)


async def _compare(narrator: Narrator, live: LiveAccounts, user: User, account_id: str) -> None:
    narrator.code("positions = await user.positions.list(account_id=account_id)")
    positions = await user.positions.list(account_id=account_id)
    book = live.book(account_id)
    held = {position.symbol: position.quantity for position in book.positions.values()}
    is_equal = held == {position.symbol: position.quantity for position in positions}
    narrator.fact(f"{book!r}")
    narrator.fact(
        f"the book equals the server: {is_equal}; changes recovered: {live.statistics().recovered}",
        "green" if is_equal else "red",
    )
    narrator.fact("`connecttrade watch` shows such books on a screen.")
