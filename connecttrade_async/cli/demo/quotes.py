"""The quotes of the demo: they change while an order fills in the same market."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rich.live import Live
from rich.padding import Padding

from connecttrade_async import Quote, parse_redirect, tickets
from connecttrade_async.cli.commands.quotes import QuoteTable
from connecttrade_async.cli.demo.accounts import REDIRECT
from connecttrade_async.cli.demo.narrator import INDENT
from connecttrade_async.cli.output import figure

if TYPE_CHECKING:
    from connecttrade_async import User
    from connecttrade_async.cli.demo.narrator import Narrator
    from connecttrade_async.market_data.feeds import Feed
    from connecttrade_async.sandbox import Sandbox

__all__ = ["follow_quotes"]

SYMBOLS = ("AAPL", "MSFT")
TICKS = 12
STEP = 0.5
PAUSE = 0.08
TIMEOUT = 5.0


async def follow_quotes(narrator: Narrator, user: User, sandbox: Sandbox) -> None:
    """Connect for market data, and show quotes while an order fills.

    Cancelling closes the stream.

    Raises:
        TimeoutError: no quote arrived.
    """
    narrator.chapter("Market data: quotes change while an order fills")
    request = await user.connections.create("market_data", redirect_url=REDIRECT, broker="ALPACA")
    connection_id = parse_redirect(await sandbox.approve(request.url)).connection_id
    narrator.code('async with user.market_data(connection_id) as md, md.quotes("AAPL", "MSFT") as quotes:')
    async with user.market_data(connection_id) as md, md.quotes("AAPL", "MSFT") as quotes:
        narrator.fact("the stream created its token, and renews it before it expires")
        account = {"account_id": (await user.accounts.list(broker="ALPACA"))[0].account_id, "broker": "ALPACA"}
        narrator.code('order = await user.orders.place(tickets.market("AAPL", "BUY", qty=1, **account))')
        order = await user.orders.place(tickets.market("AAPL", "BUY", qty=1, **account))
        await _tick(narrator, quotes, sandbox)
        done = await user.orders.find(order.cl_order_id or "") or order
        price = figure(done.avg_fill_price_text or "?")
        narrator.fact(f"{TICKS} quotes arrived, and the order is {done.status} at {price}", "green")
    narrator.fact("`connecttrade quotes`, `bars`, `depth` and `chain` show the same market.")


async def _tick(narrator: Narrator, quotes: Feed[Quote], sandbox: Sandbox) -> None:
    """Show ``TICKS`` quotes in a table that is redrawn in place."""
    view, left = QuoteTable(SYMBOLS), TICKS
    with Live(console=narrator.console, auto_refresh=False) as screen:
        async with asyncio.timeout(TIMEOUT):
            while left:
                sandbox.clock.advance(STEP)
                event = await quotes.receive()
                if isinstance(event, Quote):
                    view.update(event)
                    left -= 1
                screen.update(Padding(view.draw(narrator.console), (0, 0, 0, INDENT), expand=False), refresh=True)
                await asyncio.sleep(PAUSE if narrator.console.is_terminal else 0)
    if not narrator.console.is_terminal:
        narrator.console.print()  # without a terminal the table is printed once, without a line break
