"""The front door: the demo's third part. Fills arrive by themselves, the link is cut between two of them, and heals."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from connecttrade_async import Gap, OrderUpdate, tickets
from connecttrade_async.cli.columns import ORDERS
from connecttrade_async.cli.demo.narrator import LogEcho, Narrator
from connecttrade_async.cli.order_text import status_of
from connecttrade_async.cli.output import figure

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async import ConnectTrade, Order, Subscription, User
    from connecttrade_async.models.events import Event
    from connecttrade_async.sandbox import Sandbox

__all__ = ["follow_fills"]

PATIENCE = 5.0


async def follow_fills(stage: Narrator, ct: ConnectTrade, user: User, sandbox: Sandbox) -> None:
    """Hear of a purchase part by part, lose the link in the middle, and look again.

    Cancelling closes the stream.

    Raises:
        TimeoutError: what is told of did not come.
    """
    stage.chapter("The stream: fills arrive by themselves, and a cut link heals")
    account_id = (await user.accounts.list(broker="ALPACA"))[0].account_id
    price = sandbox.broker.quote("MSFT").last // 2
    stage.code(
        'async with ct.brokerage_stream() as stream, stream.subscribe("orders", account_id=account_id) as fills:'
    )
    async with ct.brokerage_stream() as stream, stream.subscribe("orders", account_id=account_id) as fills:
        stage.fact(f"{stream!r}")
        stage.code('order = await user.orders.place(tickets.limit("MSFT", "BUY", qty=300, price=price, **whose))')
        whose = {"account_id": account_id, "broker": "ALPACA"}
        order = await user.orders.place(tickets.limit("MSFT", "BUY", qty=300, price=price, **whose))
        sandbox.clock.advance(1)
        stage.code("sandbox.broker.fill(order.order_id, 100, order.order_limit_price)")
        sandbox.broker.fill(order.order_id, 100, order.order_limit_price)
        await _tell_until(stage, fills, lambda event: _filled(event) == "100")
        await _be_cut(stage, sandbox, order)
        with LogEcho(stage):
            await _tell_until(stage, fills, lambda event: isinstance(event, Gap))
        await _look_again(stage, user, order)
        stage.code("sandbox.broker.fill(order.order_id, 100, order.order_limit_price)")
        sandbox.broker.fill(order.order_id, 100, order.order_limit_price)
        await _tell_until(stage, fills, lambda event: _filled(event) == "300")
        health = stream.health()
        stage.fact(
            f"{health.messages['orders']} order updates came, over {health.reconnects + 1} links, {health.gaps} gap"
        )


async def _be_cut(stage: Narrator, sandbox: Sandbox, order: Order) -> None:
    stage.code("sandbox.stream.reset()")
    sandbox.stream.reset()
    stage.fact("the link is gone, and before anybody has noticed the next part is filled: nobody will be told", "red")
    stage.code("sandbox.broker.fill(order.order_id, 100, order.order_limit_price)")
    sandbox.broker.fill(order.order_id, 100, order.order_limit_price)


async def _tell_until(stage: Narrator, events: Subscription, is_it: Callable[[Event], bool]) -> None:
    """Tell what comes, up to what is waited for."""
    async with asyncio.timeout(PATIENCE):
        async for event in events:
            if isinstance(event, OrderUpdate):
                so_far = f"{figure(event.order.filled_qty_text or '0')} of {figure(event.order.order_qty_text or '?')}"
                stage.fact(f"OrderUpdate: {status_of(event.order)}, {so_far} filled", "green")
            elif isinstance(event, Gap):
                seconds = (event.until - event.since).total_seconds()
                stage.fact(f"Gap: {event.cause}; something may have been missed in {seconds:.2f} s", "yellow")
            if is_it(event):
                return


def _filled(event: Event) -> str | None:
    return event.order.filled_qty_text if isinstance(event, OrderUpdate) else None


async def _look_again(stage: Narrator, user: User, order: Order) -> None:
    stage.fact("a Gap says: look again, over REST")
    stage.code('now = await user.orders.find(order.cl_order_id or "")')
    now = await user.orders.find(order.cl_order_id or "")
    stage.table([now] if now else [], ORDERS)
