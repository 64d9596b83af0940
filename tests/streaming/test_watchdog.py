from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING

import pytest

from connecttrade_async.sandbox import Sandbox
from connecttrade_async.streaming.watchdog import Watchdog
from stream_fixtures import PATIENCE, client, nothing_left

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 0.05


class Warned(logging.Handler):
    """Lets a thread wait for a warning."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        self.came = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
        self.came.set()


@pytest.fixture
def warned() -> Iterator[Warned]:
    handler = Warned()
    logger = logging.getLogger("connecttrade_async.streaming")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def block_until(came: threading.Event) -> None:
    """Keep the event loop from turning."""
    assert came.wait(PATIENCE)


async def test_watchdog_logs_a_blocked_loop_once_with_the_blocking_call(warned: Warned) -> None:
    with Watchdog(LIMIT):
        block_until(warned.came)
        (text,) = warned.texts
        assert text.startswith("the event loop is blocked for more than 0.05 s by ")
        assert f"{__file__}:" in text
        assert "in block_until, called from" in text
        # Blocked on, it is the same block; the next one is another.
        warned.came.clear()
        assert not warned.came.wait(LIMIT * 3)
        async with asyncio.timeout(PATIENCE):
            await asyncio.sleep(LIMIT / 2)
        block_until(warned.came)
    assert len(warned.texts) == 2


async def test_watchdog_logs_nothing_for_a_running_loop(warned: Warned) -> None:
    with Watchdog(0.4):
        await asyncio.sleep(0.6)
    assert warned.texts == []


async def test_watchdog_leaves_no_thread_and_no_timer() -> None:
    before = threading.active_count()
    async with nothing_left():
        with Watchdog(LIMIT):
            assert threading.active_count() == before + 1
    assert threading.active_count() == before


async def test_stream_with_watchdog_starts_it(warned: Warned) -> None:
    before = threading.active_count()
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left():
        async with ct.brokerage_stream(watchdog=LIMIT):
            block_until(warned.came)
            assert "in block_until" in warned.texts[0]
        assert threading.active_count() == before
        async with ct.brokerage_stream():
            assert threading.active_count() == before
