"""The front door: a line that turns while one waits, and only for who waits at a terminal for more than a second."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from connecttrade_async.client import ConnectTrade

__all__ = ["Progress", "waiting"]

PATIENCE = 1.0
BEAT = 0.2


class Progress:
    """What is being waited for, in words; the one who works may change them."""

    def __init__(self, words: str) -> None:
        self.words = words


@asynccontextmanager
async def waiting(
    words: str,
    ct: ConnectTrade | None = None,
    *,
    console: Console | None = None,
    patience: float = PATIENCE,
) -> AsyncGenerator[Progress]:
    """Show after a second what is being waited for, until the block ends. Leaves no trace on the screen.

    Args:
        words: what is under way, ``"Asking for positions"``.
        ct: the client that asks; the line then tells when it has to ask again.
        console: where to; None is stderr, and only if stdout is a terminal as well.
        patience: seconds before it shows.
    """
    progress = Progress(words)
    if console is None:
        console = Console(stderr=True)
        if not sys.stdout.isatty():
            console = Console(quiet=True)
    if not console.is_terminal or console.quiet:
        yield progress
        return
    spinning = asyncio.create_task(_spin(progress, ct, console, patience), name="connecttrade spinner")
    try:
        yield progress
    finally:
        spinning.cancel()
        await asyncio.wait([spinning])


async def _spin(progress: Progress, ct: ConnectTrade | None, console: Console, patience: float) -> None:
    await asyncio.sleep(patience)
    loop = asyncio.get_running_loop()
    began = loop.time() - patience
    with console.status("", spinner="dots") as status:
        while True:
            status.update(_line(progress, ct, loop.time() - began))
            await asyncio.sleep(BEAT)


def _line(progress: Progress, ct: ConnectTrade | None, seconds: float) -> str:
    retries = 0 if ct is None else ct.health().consecutive_failures
    again = f", attempt {retries + 1}" if retries else ""
    return f"{progress.words} [dim]({seconds:.0f} s{again})[/dim]"
