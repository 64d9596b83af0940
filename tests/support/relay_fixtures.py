"""Fixtures for the relay: workers with short leases, and their stories."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Self

from connecttrade_async.models.events import Gap, Lifecycle, StreamLive
from connecttrade_async.relay import Relay
from stream_fixtures import PATIENCE, client

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Callable

    from connecttrade_async import ConnectTrade
    from connecttrade_async.sandbox import Sandbox
    from connecttrade_async.streaming.brokerage_stream import BrokerageStream
    from connecttrade_async.streaming.subscriptions import Subscription
    from redis_server import RedisServer

LEASE = 0.6


class Worker:
    """A worker of a relay in this process: a client, a stream, and what its one subscription has received."""

    def __init__(self, ct: ConnectTrade, stream: BrokerageStream) -> None:
        self.ct = ct
        self.stream = stream
        self.events: Subscription = stream.subscribe("orders", "lifecycle")
        self.story: list[str] = []

    @property
    def role(self) -> str:
        return self.stream.health().role

    @property
    def orders(self) -> list[str]:
        return [word for word in self.story if word.startswith("o")]

    @property
    def gaps(self) -> int:
        return self.story.count("Gap")

    async def receive(self) -> str:
        async with asyncio.timeout(PATIENCE):
            event: Any = await self.events.receive()
        is_named = isinstance(event, Gap | Lifecycle)
        self.story.append(type(event).__name__ if is_named else event.order.order_id)
        return self.story[-1]

    async def until(self, word: str) -> None:
        """Receive events up to an order or a class of lifecycle events."""
        while await self.receive() != word:
            pass

    async def until_order(self) -> None:
        """Receive events up to the next order."""
        while not (await self.receive()).startswith("o"):
            pass

    async def until_live(self) -> None:
        if self.stream.health().state != "LIVE":
            await self.until(StreamLive.__name__)
        while self.events.statistics().waiting:
            await self.receive()


@contextlib.asynccontextmanager
async def worker(
    sandbox: Sandbox, redis: RedisServer, *, since: str | None = None, **settings: Any
) -> AsyncGenerator[Worker]:
    """Open a worker; the client's settings are ``ct``, the others are the relay's."""
    options: dict[str, Any] = {"lease": LEASE} | settings
    ct_options = options.pop("ct", {})
    async with client(sandbox, **ct_options) as ct:
        stream = ct.brokerage_stream(relay=Relay(options.pop("url", redis.url), **options), since=since)
        here = Worker(ct, stream)
        async with stream:
            await here.until_live()
            yield here


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - nothing signals what a server or another process does
            await asyncio.sleep(0.005)


class TcpProxy:
    """Forwards connections to a port; ``stall`` stops all bytes, ``cut`` ends the connections and refuses new ones."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._to = port
        self._tls = tls
        self._flow = asyncio.Event()
        self._flow.set()
        self._is_cut = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        self.cut()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def stall(self) -> None:
        self._flow.clear()

    def flow(self) -> None:
        self._is_cut = False
        self._flow.set()

    def cut(self) -> None:
        self._is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def redirect(self, port: int) -> None:
        """End all connections, and forward new ones to another port."""
        self._to = port
        self.cut()
        self.flow()

    def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers |= {writer, back}
        try:
            with contextlib.suppress(ConnectionError):
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._copy(reader, back))
                    group.create_task(self._copy(there, writer))
        except* ConnectionError:
            pass
        finally:
            self._writers -= {writer, back}
            for each in (writer, back):
                each.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            await self._flow.wait()
            writer.write(data)
            await writer.drain()
        writer.transport.abort()
