"""The third part of the demo: follow fills by the stream, and reconnect after the connection drops."""

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

TIMEOUT = 5.0


async def follow_fills(narrator: Narrator, ct: ConnectTrade, user: User, sandbox: Sandbox) -> None:
    """Follow the fills of an order, drop the connection between two of them, and read the order again.

    Cancelling closes the stream.

    Raises:
        TimeoutError: an expected event did not arrive.
    """
    narrator.chapter("The stream: fills arrive by themselves, and a dropped connection reconnects")
    account_id = (await user.accounts.list(broker="ALPACA"))[0].account_id
    price = sandbox.broker.quote("MSFT").last // 2
    narrator.code(
        'async with ct.brokerage_stream() as stream, stream.subscribe("orders", account_id=account_id) as fills:'
    )
    async with ct.brokerage_stream() as stream, stream.subscribe("orders", account_id=account_id) as fills:
        narrator.fact(f"{stream!r}")
        narrator.code('order = await user.orders.place(tickets.limit("MSFT", "BUY", qty=300, price=price, **account))')
        account = {"account_id": account_id, "broker": "ALPACA"}
        order = await user.orders.place(tickets.limit("MSFT", "BUY", qty=300, price=price, **account))
        sandbox.clock.advance(1)
        narrator.code("sandbox.broker.fill(order.order_id, 100, order.order_limit_price)")
        sandbox.broker.fill(order.order_id, 100, order.order_limit_price)
        await _show_until(narrator, fills, lambda event: _filled(event) == "100")
        await _drop_connection(narrator, sandbox, order)
        with LogEcho(narrator):
            await _show_until(narrator, fills, lambda event: isinstance(event, Gap))
        await _read_order(narrator, user, order)
        narrator.code("sandbox.broker.fill(order.order_id, 100, order.order_limit_price)")
        sandbox.broker.fill(order.order_id, 100, order.order_limit_price)
        await _show_until(narrator, fills, lambda event: _filled(event) == "300")
        health = stream.health()
        narrator.fact(
            f"{health.messages['orders']} order updates arrived, over {health.reconnects + 1} connections,"
            f" {health.gaps} gap"
        )


async def _drop_connection(narrator: Narrator, sandbox: Sandbox, order: Order) -> None:
    narrator.code("sandbox.stream.reset()")
    sandbox.stream.reset()
    narrator.fact("the connection is gone, and the next part is filled meanwhile: no event will report it", "red")
    narrator.code("sandbox.broker.fill(order.order_id, 100, order.order_limit_price)")
    sandbox.broker.fill(order.order_id, 100, order.order_limit_price)


async def _show_until(narrator: Narrator, events: Subscription, is_last: Callable[[Event], bool]) -> None:
    """Print events until one matches."""
    async with asyncio.timeout(TIMEOUT):
        async for event in events:
            if isinstance(event, OrderUpdate):
                so_far = f"{figure(event.order.filled_qty_text or '0')} of {figure(event.order.order_qty_text or '?')}"
                narrator.fact(f"OrderUpdate: {status_of(event.order)}, {so_far} filled", "green")
            elif isinstance(event, Gap):
                seconds = (event.until - event.since).total_seconds()
                narrator.fact(f"Gap: {event.cause}; something may have been missed in {seconds:.2f} s", "yellow")
            if is_last(event):
                return


def _filled(event: Event) -> str | None:
    return event.order.filled_qty_text if isinstance(event, OrderUpdate) else None


async def _read_order(narrator: Narrator, user: User, order: Order) -> None:
    narrator.fact("after a Gap, read the order again over REST")
    narrator.code('now = await user.orders.find(order.cl_order_id or "")')
    now = await user.orders.find(order.cl_order_id or "")
    narrator.table([now] if now else [], ORDERS)
