"""Show a spinner on a terminal for operations that take more than a second."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from connecttrade_async.client import ConnectTrade

__all__ = ["Progress", "spinner"]

DELAY = 1.0
INTERVAL = 0.2


class Progress:
    """The text of a spinner; the operation may change it."""

    def __init__(self, text: str) -> None:
        self.text = text


@asynccontextmanager
async def spinner(
    text: str,
    ct: ConnectTrade | None = None,
    *,
    console: Console | None = None,
    delay: float = DELAY,
) -> AsyncGenerator[Progress]:
    """Show a spinner until the block ends, and erase it then.

    Args:
        text: the operation, such as ``"Asking for positions"``.
        ct: the client that sends the request; the line then shows the number of the attempt.
        console: where to print; None is stderr, if stdout is a terminal as well.
        delay: seconds before the spinner appears.

    Cancelling the block erases the spinner too.
    """
    progress = Progress(text)
    if console is None:
        console = Console(stderr=True)
        if not sys.stdout.isatty():
            console = Console(quiet=True)
    if not console.is_terminal or console.quiet:
        yield progress
        return
    spinning = asyncio.create_task(_spin(progress, ct, console, delay), name="connecttrade spinner")
    try:
        yield progress
    finally:
        spinning.cancel()
        await asyncio.wait([spinning])


async def _spin(progress: Progress, ct: ConnectTrade | None, console: Console, delay: float) -> None:
    await asyncio.sleep(delay)
    loop = asyncio.get_running_loop()
    began = loop.time() - delay
    with console.status("", spinner="dots") as status:
        while True:
            status.update(_line(progress, ct, loop.time() - began))
            await asyncio.sleep(INTERVAL)


def _line(progress: Progress, ct: ConnectTrade | None, seconds: float) -> str:
    retries = 0 if ct is None else ct.health().consecutive_failures
    attempt = f", attempt {retries + 1}" if retries else ""
    return f"{progress.text} [dim]({seconds:.0f} s{attempt})[/dim]"
