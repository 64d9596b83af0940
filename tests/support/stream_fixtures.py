"""Fixtures for the stories of the stream: a client with fast reconnects, helpers that wait, and a check for leaks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from websockets.asyncio.server import serve

from connecttrade_async import ConnectTrade, Endpoints, Timeouts
from connecttrade_async.config import Reconnect
from connecttrade_async.models.events import Gap, Lifecycle, UnknownMessage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from websockets.asyncio.server import ServerConnection

    from connecttrade_async.models.events import Event
    from connecttrade_async.sandbox import Sandbox
    from connecttrade_async.streaming.brokerage_stream import BrokerageStream
    from connecttrade_async.streaming.subscriptions import Subscription

HURRIED = Reconnect(base=0.01, cap=0.02, standby=0.02)
PATIENCE = 10.0
PRETEND = "pretend-secret"
# The log of the server is not asserted.
QUIET = logging.getLogger("onstream")
QUIET.setLevel(logging.CRITICAL)
E = TypeVar("E")


class Forever:
    """An owner that is never closed."""

    def check_open(self) -> None:
        pass

    def on_close(self, callback: object) -> Callable[[], object]:
        del callback
        return bool


def client(sandbox: Sandbox, **settings: Any) -> ConnectTrade:
    """Make a client of a sandbox that reconnects at once."""
    options: dict[str, Any] = {"reconnect": HURRIED, "timeouts": Timeouts(close=1.0), "endpoints": sandbox.endpoints}
    return ConnectTrade(sandbox.client_id, sandbox.client_secret, **(options | settings))


def client_at(url: str, secret: str = PRETEND, **settings: Any) -> ConnectTrade:
    """Make a client of the stream at an address."""
    options: dict[str, Any] = {"reconnect": HURRIED, "timeouts": Timeouts(close=1.0, login=1.0)} | settings
    return ConnectTrade("client", secret, endpoints=Endpoints(stream=url), **options)


async def until(events: Subscription, kind: type[E]) -> E:
    """Take events up to the first of a kind, and return it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            event = await events.receive()
            if isinstance(event, kind):
                return event


async def taken(events: Subscription, count: int) -> list[Event]:
    """Take ``count`` events."""
    async with asyncio.timeout(PATIENCE):
        return [await events.receive() for _ in range(count)]


def waiting(events: Subscription) -> list[Event]:
    """Take the queued events."""
    return [event for _ in range(events.statistics().waiting) if (event := events.receive_nowait()) is not None]


def story(events: list[Event]) -> list[str]:
    """Return the class names of lifecycle events and gaps, and the order ids of updates."""
    return [
        type(event).__name__
        if isinstance(event, Gap | Lifecycle | UnknownMessage)
        else str(getattr(getattr(event, "order", None), "order_id", event.topic))
        for event in events
    ]


def order(number: int, **fields: str) -> dict[str, object]:
    """Return the data of an order."""
    return {"order_id": f"o{number}", "symbol": "AAPL", "status": "working", **fields}


def publish(sandbox: Sandbox, *numbers: int) -> None:
    """Send an order event for each number."""
    for number in numbers:
        sandbox.stream.publish("orders", "u", "a", order(number))


@contextlib.asynccontextmanager
async def nothing_left() -> AsyncGenerator[None]:
    """Assert that the body leaves no task. (A socket that is left open is reported when the test ends.)"""
    before = asyncio.all_tasks()
    yield
    for _ in range(5):  # an aborted transport is notified in the loop's next iteration
        await asyncio.sleep(0)
    assert asyncio.all_tasks() <= before


@contextlib.asynccontextmanager
async def end_that(handler: Callable[[ServerConnection], Awaitable[None]], **settings: Any) -> AsyncGenerator[str]:
    """Serve a WebSocket with a handler; yields its address."""
    options: dict[str, Any] = {
        "compression": None,
        "ping_interval": None,
        "close_timeout": 0.1,
        "logger": QUIET,
    } | settings
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        yield "ws://{}:{}".format(*next(iter(server.sockets)).getsockname())


async def until_state(stream: BrokerageStream, *states: str) -> None:
    """Wait until a stream is in one of the states."""
    async with asyncio.timeout(PATIENCE), stream.subscribe("lifecycle") as life:
        while stream.health().state not in states:
            await life.receive()
