"""What the stories of the stream stand on: a client in a hurry, a consumer to wait with, and a look for leftovers."""

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
    from connecttrade_async.streaming.stream import BrokerageStream
    from connecttrade_async.streaming.subscriptions import Subscription

HURRIED = Reconnect(base=0.01, cap=0.02, standby=0.02)
PATIENCE = 10.0
PRETEND = "pretend-secret"
# What the far side logs is no concern of ours.
QUIET = logging.getLogger("onstream")
QUIET.setLevel(logging.CRITICAL)
E = TypeVar("E")


class Forever:
    """An owner that is never closed."""

    def check_open(self) -> None:
        pass

    def on_close(self, end: object) -> Callable[[], object]:
        del end
        return bool


def client(sandbox: Sandbox, **settings: Any) -> ConnectTrade:
    """Make a client of a sandbox that loses no time."""
    options: dict[str, Any] = {"reconnect": HURRIED, "timeouts": Timeouts(close=1.0), "endpoints": sandbox.endpoints}
    return ConnectTrade(sandbox.client_id, sandbox.client_secret, **(options | settings))


def client_at(url: str, secret: str = PRETEND, **settings: Any) -> ConnectTrade:
    """Make a client of any stream."""
    options: dict[str, Any] = {"reconnect": HURRIED, "timeouts": Timeouts(close=1.0, login=1.0)} | settings
    return ConnectTrade("client", secret, endpoints=Endpoints(stream=url), **options)


async def until(events: Subscription, kind: type[E]) -> E:
    """Take events up to the first of a kind, and return that."""
    async with asyncio.timeout(PATIENCE):
        while True:
            event = await events.receive()
            if isinstance(event, kind):
                return event


async def taken(events: Subscription, count: int) -> list[Event]:
    """Take so many events."""
    async with asyncio.timeout(PATIENCE):
        return [await events.receive() for _ in range(count)]


def waiting(events: Subscription) -> list[Event]:
    """Take what waits."""
    return [event for _ in range(events.statistics().waiting) if (event := events.receive_nowait()) is not None]


def story(events: list[Event]) -> list[str]:
    """Name what happened: lifecycle and gaps by their class, updates by their order."""
    return [
        type(event).__name__
        if isinstance(event, Gap | Lifecycle | UnknownMessage)
        else str(getattr(getattr(event, "order", None), "order_id", event.topic))
        for event in events
    ]


def order(number: int, **fields: str) -> dict[str, object]:
    """Spell an order that nobody placed."""
    return {"order_id": f"o{number}", "symbol": "AAPL", "status": "working", **fields}


def publish(sandbox: Sandbox, *numbers: int) -> None:
    """Send an order event for each number."""
    for number in numbers:
        sandbox.stream.publish("orders", "u", "a", order(number))


@contextlib.asynccontextmanager
async def nothing_left() -> AsyncGenerator[None]:
    """Hold the body to its word: it leaves no task. (A socket that is left open is reported when the test ends.)"""
    before = asyncio.all_tasks()
    yield
    for _ in range(5):  # an aborted transport is told so in the loop's next turn
        await asyncio.sleep(0)
    assert asyncio.all_tasks() <= before


@contextlib.asynccontextmanager
async def end_that(handler: Callable[[ServerConnection], Awaitable[None]], **settings: Any) -> AsyncGenerator[str]:
    """Serve a WebSocket that does what the handler does; yields its address."""
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
