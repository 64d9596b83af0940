"""The front door: the demo's quotes. They tick while an order fills, in the same market."""

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
PATIENCE = 5.0


async def follow_quotes(stage: Narrator, user: User, sandbox: Sandbox) -> None:
    """Connect for market data, and let quotes tick while an order fills.

    Cancelling closes the stream.

    Raises:
        TimeoutError: no quote came.
    """
    stage.chapter("Market data: quotes tick while an order fills")
    request = await user.connections.create("market_data", redirect_url=REDIRECT, broker="ALPACA")
    connection_id = parse_redirect(await sandbox.approve(request.url)).connection_id
    stage.code('async with user.market_data(connection_id) as md, md.quotes("AAPL", "MSFT") as quotes:')
    async with user.market_data(connection_id) as md, md.quotes("AAPL", "MSFT") as quotes:
        stage.fact("it made its own token, and makes the next before this one ends")
        whose = {"account_id": (await user.accounts.list(broker="ALPACA"))[0].account_id, "broker": "ALPACA"}
        stage.code('order = await user.orders.place(tickets.market("AAPL", "BUY", qty=1, **whose))')
        order = await user.orders.place(tickets.market("AAPL", "BUY", qty=1, **whose))
        await _tick(stage, quotes, sandbox)
        done = await user.orders.find(order.cl_order_id or "") or order
        price = figure(done.avg_fill_price_text or "?")
        stage.fact(f"{TICKS} quotes came, and the order is {done.status} at {price}", "green")
    stage.fact("`connecttrade quotes`, `bars`, `depth` and `chain` show the same market.")


async def _tick(stage: Narrator, quotes: Feed[Quote], sandbox: Sandbox) -> None:
    """Show quotes on a board that stays in its place, as many as are wanted."""
    board, left = QuoteTable(SYMBOLS), TICKS
    with Live(console=stage.console, auto_refresh=False) as screen:
        async with asyncio.timeout(PATIENCE):
            while left:
                sandbox.clock.advance(STEP)
                event = await quotes.receive()
                if isinstance(event, Quote):
                    board.update(event)
                    left -= 1
                screen.update(Padding(board.draw(stage.console), (0, 0, 0, INDENT), expand=False), refresh=True)
                await asyncio.sleep(PAUSE if stage.console.is_terminal else 0)
    if not stage.console.is_terminal:
        stage.console.print()  # where nothing moves, the board comes once, and its line is not ended
