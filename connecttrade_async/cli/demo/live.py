"""The front door: the demo's last part. A book is kept live, the link is cut while an order fills, no fill is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from connecttrade_async import OrderChanged, tickets
from connecttrade_async.cli.demo.narrator import LogEcho, Narrator
from connecttrade_async.cli.order_text import in_words, status_of
from connecttrade_async.cli.output import figure

if TYPE_CHECKING:
    from connecttrade_async import ConnectTrade, LiveAccounts, Order, User
    from connecttrade_async.books.change_feed import ChangeSubscription
    from connecttrade_async.sandbox import Sandbox

__all__ = ["keep_a_book"]

PATIENCE = 5.0


async def keep_a_book(stage: Narrator, ct: ConnectTrade, user: User, sandbox: Sandbox) -> None:
    """Keep a book, lose the link while an order fills, and hold the book against the server.

    Cancelling closes the stream.

    Raises:
        TimeoutError: what is told of did not come.
    """
    stage.chapter("A live book: no fill is lost to a cut link")
    account_id = (await user.accounts.list(broker="ALPACA"))[0].account_id
    stage.code('async with ct.live([user]) as live, live.changes("orders", account_id=account_id) as changes:')
    async with ct.live([user]) as live, live.changes("orders", account_id=account_id) as changes:
        stage.fact(f"{live.book(account_id)!r}")
        order = await _place(stage, user, sandbox, account_id)
        await live.wait(lambda live: order.order_id in live.book(account_id).orders, timeout=PATIENCE)
        stage.code("sandbox.broker.fill(order.order_id, 4, order.order_limit_price)")
        sandbox.broker.fill(order.order_id, 4, order.order_limit_price)
        await _tell_fills(stage, changes, 1)
        stage.code("sandbox.stream.reset()")
        sandbox.stream.reset()
        stage.code("sandbox.broker.fill(order.order_id, 6, order.order_limit_price)")
        sandbox.broker.fill(order.order_id, 6, order.order_limit_price)
        stage.code("await live.wait(lambda live: not live.book(account_id).is_current, timeout=PATIENCE)")
        await live.wait(lambda live: not live.book(account_id).is_current, timeout=PATIENCE)
        stage.fact("the rest was filled unheard; the book does not hide that it may be behind:", "red")
        stage.fact(f"{live.book(account_id)!r}", "red")
        with LogEcho(stage):
            await _tell_fills(stage, changes, 1)
        stage.code("await live.wait(lambda live: live.is_current, timeout=PATIENCE)")
        await live.wait(lambda live: live.is_current, timeout=PATIENCE)
        await _compare(stage, live, user, account_id)


async def _place(stage: Narrator, user: User, sandbox: Sandbox, account_id: str) -> Order:
    price = sandbox.broker.quote("MSFT").last // 2
    whose = {"account_id": account_id, "broker": "ALPACA"}
    stage.code('order = await user.orders.place(tickets.limit("MSFT", "BUY", qty=10, price=price, **whose))')
    order = await user.orders.place(tickets.limit("MSFT", "BUY", qty=10, price=price, **whose))
    sandbox.clock.advance(1)
    return order


async def _tell_fills(stage: Narrator, changes: ChangeSubscription, count: int) -> None:
    """Tell fills as they come, up to so many."""
    async with asyncio.timeout(PATIENCE):
        while count > 0:
            change = await changes.receive()
            if isinstance(change, OrderChanged) and change.fills:
                told = ", ".join(
                    f"{figure(fill.quantity_text or '?')} at {figure(fill.price_text or '?')}" for fill in change.fills
                )
                style = "green" if change.cause == "stream" else "yellow"
                stage.fact(f"{change.cause}: {told} ({in_words(change.after)}: {status_of(change.after)})", style)
                count -= len(change.fills)


async def _compare(stage: Narrator, live: LiveAccounts, user: User, account_id: str) -> None:
    stage.code("positions = await user.positions.list(account_id=account_id)")
    positions = await user.positions.list(account_id=account_id)
    book = live.book(account_id)
    held = {position.symbol: position.quantity for position in book.positions.values()}
    is_equal = held == {position.symbol: position.quantity for position in positions}
    stage.fact(f"{book!r}")
    stage.fact(
        f"the book equals the server: {is_equal}; changes recovered: {live.statistics().recovered}",
        "green" if is_equal else "red",
    )
    stage.fact("`connecttrade watch` shows such books on a screen.")
