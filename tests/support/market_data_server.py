"""A market data server that implements only the wire contract, with hooks for each frame."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, Self

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from connecttrade_async import ConnectTrade, Endpoints, Timeouts
from stream_fixtures import HURRIED, PATIENCE, QUIET

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.asyncio.server import ServerConnection

    from connecttrade_async.market_data.stream import MarketDataStream

TOKEN = "token"
AT = "2026-03-02T14:30:00Z"
Frame = dict[str, Any]


class Held:
    """One connection: its token and its subscriptions. ``speak`` returns the texts of a frame."""

    def __init__(self, socket: ServerConnection, speak: Callable[[Frame], list[str]]) -> None:
        self.socket = socket
        self.speak = speak
        self.token = ""
        self.lines: list[Frame] = []

    def has(self, channel: str, symbol: str) -> bool:
        return any(line["channel"] == channel and symbol in line["symbols"] for line in self.lines)

    async def send(self, **frame: Any) -> None:
        with contextlib.suppress(ConnectionClosed):
            for text in self.speak(frame):
                await self.socket.send(text)


class MarketEnd:
    """Serves market data.

    ``received`` are the received frames, ``refused`` the symbols that it refuses, and ``valid`` the tokens that it
    accepts, None for all. ``speak`` and ``hear`` translate frames to and from another form. Each of ``acts`` gets a
    frame first, and returns True if it has handled it.
    """

    def __init__(self) -> None:
        self.links: list[Held] = []
        self.received: list[Frame] = []
        self.logins: list[str] = []
        self.refused: set[str] = set()
        self.valid: set[str] | None = None
        self.bars: dict[str, list[Frame]] = {}
        self.acts: list[Callable[[Held, Frame], bool]] = []
        self.takes_over = False
        self.is_away = False
        self.url = ""
        self.speak: Callable[[Frame], list[str]] = lambda frame: [json.dumps(frame)]
        self.hear: Callable[[str | bytes], Frame] = json.loads
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        options: dict[str, Any] = {"compression": None, "ping_interval": None, "close_timeout": 0.1, "logger": QUIET}
        self._server = await serve(self._meet, "127.0.0.1", 0, **options)
        self.url = "ws://{}:{}".format(*next(iter(self._server.sockets)).getsockname())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    def client(self, **settings: Any) -> ConnectTrade:
        options: dict[str, Any] = {"reconnect": HURRIED, "timeouts": Timeouts(close=1.0, login=1.0)} | settings
        endpoints = Endpoints(api=options.pop("api", "http://127.0.0.1:1"), market_data=self.url)
        return ConnectTrade("client", "secret", endpoints=endpoints, **options)

    def stream(self, token: str = TOKEN, **settings: Any) -> MarketDataStream:
        async def source() -> str:
            return token

        return self.client(**settings).user("ada", "hush").market_data("c1", token_source=source)

    def act(self, action: str, times: int | None, do: Callable[[Held, Frame], object] | None = None) -> None:
        """Handle the next frames of an action with ``do`` instead of the contract."""
        left = [times]

        def act(held: Held, frame: Frame) -> bool:
            if frame["action"] != action or left[0] == 0:
                return False
            left[0] = None if left[0] is None else left[0] - 1
            if do is not None:
                do(held, frame)
            return True

        self.acts.append(act)

    async def until(self, is_so: Callable[[], object]) -> None:
        """Wait until a condition holds; it is checked whenever a frame arrives or a connection closes."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(is_so)

    async def until_received(self, action: str, times: int = 1) -> None:
        await self.until(lambda: len(self.of(action)) >= times)

    def of(self, action: str) -> list[Frame]:
        return [frame for frame in self.received if frame["action"] == action]

    @property
    def subscribed(self) -> list[tuple[str, str]]:
        """The subscriptions of the latest connection, by channel and symbol."""
        return sorted((line["channel"], symbol) for line in self.links[-1].lines for symbol in line["symbols"])

    async def publish(self, kind: str, symbol: str, **fields: Any) -> None:
        """Send an event to every connection that has subscribed to it."""
        channel = {"depth": "depth", "options_chain": "options_chain"}.get(kind, f"{kind}s")
        name = "underlying" if kind == "options_chain" else "symbol"
        for held in list(self.links):
            if held.has(channel, symbol):
                await held.send(type=kind, **{name: symbol}, **fields)

    async def quote(self, symbol: str, bid: str) -> None:
        await self.publish("quote", symbol, bid_price=bid, timestamp=AT)

    async def broadcast(self, **frame: Any) -> None:
        """Send a frame to every connection."""
        for held in list(self.links):
            await held.send(**frame)

    def drop(self) -> None:
        """Abort every connection."""
        for held in list(self.links):
            held.socket.transport.abort()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _meet(self, socket: ServerConnection) -> None:
        held = Held(socket, self.speak)
        if self.is_away:
            return
        with contextlib.suppress(ConnectionClosed):
            await held.send(type="welcome", message="hello")
            async for raw in socket:
                frame = self.hear(raw)
                self.received.append(frame)
                if not any(act(held, frame) for act in self.acts):
                    await getattr(self, f"_{frame['action']}")(held, frame)
                await self._notify()
        if held in self.links:
            self.links.remove(held)
        await self._notify()

    async def _authenticate(self, held: Held, frame: Frame) -> None:
        held.token = frame["access_token"]
        self.logins.append(held.token)
        if self.valid is not None and held.token not in self.valid:
            await held.send(type="error", code="401", message=f"no such token: {held.token}")
            await held.socket.close(4401)
            return
        if self.takes_over:
            for other in list(self.links):
                await other.send(type="error", code="409", message="another link")
                await other.socket.close(4409)
        self.links.append(held)
        await held.send(type="authenticated")

    async def _subscribe(self, held: Held, frame: Frame) -> None:
        if refused := self.refused & set(frame["symbols"]):
            words = f"not entitled to {min(refused)}" if len(frame["symbols"]) == 1 else "not all of these"
            await held.send(type="error", id=frame["id"], code="403", message=words)
            return
        held.lines.append({name: value for name, value in frame.items() if name not in {"action", "id", "backfill"}})
        await held.send(**{**frame, "type": "subscribed"})

    async def _unsubscribe(self, held: Held, frame: Frame) -> None:
        named = {name: value for name, value in frame.items() if name not in {"action", "id", "symbols"}}
        for line in held.lines:
            if named == {name: value for name, value in line.items() if name != "symbols"}:
                line["symbols"] = [symbol for symbol in line["symbols"] if symbol not in frame["symbols"]]
        held.lines = [line for line in held.lines if line["symbols"]]
        await held.send(**{**frame, "type": "unsubscribed"})

    async def _list_subscriptions(self, held: Held, frame: Frame) -> None:
        await held.send(type="subscriptions", id=frame["id"], subscriptions=held.lines)

    async def _snapshot(self, held: Held, frame: Frame) -> None:
        [symbol] = frame["symbols"]
        if symbol in self.refused:
            await held.send(type="error", id=frame["id"], code="404", message="no such symbol")
            return
        bars = [bar for bar in self.bars.get(symbol, []) if bar["start_time"] >= frame.get("start_time", "")]
        await held.send(type="snapshot", id=frame["id"], symbol=symbol, bars=bars[-int(frame.get("limit", 1000)) :])
