"""The front door: how a command ends that would run for ever: Ctrl-C is an ordinary end, and so is its time."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

__all__ = ["for_a_while"]


@contextlib.asynccontextmanager
async def for_a_while(seconds: float | None = None) -> AsyncGenerator[None]:
    """Let the block run until it ends by itself, the time is up, or Ctrl-C or SIGTERM comes: each is an ordinary end.

    Whoever presses Ctrl-C a second time interrupts whatever is left to do.

    Args:
        seconds: how long; None for no end.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            with _on_signal(limit):
                yield
    except TimeoutError:
        if not limit.expired():  # it came from what ran inside
            raise


@contextlib.contextmanager
def _on_signal(limit: asyncio.Timeout) -> Generator[None]:
    loop = asyncio.get_running_loop()
    heard: list[signal.Signals] = []

    def end() -> None:
        forget()
        if not limit.expired():
            limit.reschedule(loop.time())

    def forget() -> None:
        while heard:
            loop.remove_signal_handler(heard.pop())

    for number in (signal.SIGINT, signal.SIGTERM):
        # Windows has Ctrl-C only, which asyncio handles, and a thread beside the main one hears no signal.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, end)
            heard.append(number)
    try:
        yield
    finally:
        forget()
