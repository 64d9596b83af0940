"""A bare peer of the sandbox's streams that speaks any dialect, from the dialect's data alone."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from connecttrade_async.sandbox.dialect import BrokerageForms, MarketForms

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

__all__ = ["DialectPeer", "Event", "dialed"]

INTERVALS = {
    "assumed": "1m 5m 15m 30m 1h 1d",
    "min": "1min 5min 15min 30min 1hour 1day",
    "Min": "1Min 5Min 15Min 30Min 1Hour 1Day",
    "M1": "M1 M5 M15 M30 H1 D1",
    "iso": "PT1M PT5M PT15M PT30M PT1H P1D",
    "seconds": "60 300 900 1800 3600 86400",
}
CHANNEL_OF = {"quote": "quotes", "trade": "trades", "bar": "bars", "depth": "depth", "options_chain": "options_chain"}
TOPIC_OF = {"order": "orders", "position": "positions", "balance": "balances"}
ENUMS = {"status", "side", "order_type", "order_tif", "instrument"}


class Event(msgspec.Struct, frozen=True):
    """One event, with the names and words of the wire contract.

    Attributes:
        kind: ``order``, ``quote`` and so on.
        beside: the members of the frame beside tag and payload.
        payload: the payload; with all members if it is flat.
    """

    kind: str
    beside: dict[str, Any]
    payload: dict[str, Any]


class DialectPeer:
    """One WebSocket that speaks a dialect."""

    def __init__(self, socket: ClientConnection, forms: BrokerageForms | MarketForms) -> None:
        self.socket = socket
        self.forms = forms
        self.frames: list[str] = []
        self.pongs = 0
        self._arrived: asyncio.Queue[str | ConnectionClosed] = asyncio.Queue()
        self._renamed = {wire: own for own, wire in forms.events.names.items()}

    async def send(self, action: str, **members: Any) -> None:
        """Send a request, as one frame or one for each topic or symbol, as the dialect hears it."""
        for frame in self.requests(action, **members):
            await self.socket.send(json.dumps(frame))

    def requests(self, action: str, **members: Any) -> list[dict[str, Any]]:
        heard: Any = self.forms.requests
        paths = {"action": heard.action, **(msgspec.structs.asdict(heard.options) if hasattr(heard, "options") else {})}
        values = {"action": getattr(heard, action)}
        for name, value in members.items():
            paths.setdefault(name, getattr(heard, name, name))
            values[name] = self._word(name, value)
        many = next((name for name in ("topics", "symbols") if name in values), None)
        style = "list" if many is None else getattr(heard, f"{many}_as")
        if many is None or style == "list":
            return [_placed(paths, values)]
        parts = [",".join(values[many])] if style == "text" else values[many]
        return [_placed(paths, values | {many: part}) for part in parts]

    async def read(self) -> str:
        """Return the next frame that is no heartbeat; the pong that it demands is sent."""
        async with asyncio.timeout(20):
            found = await self._arrived.get()
        if isinstance(found, ConnectionClosed):
            self._arrived.put_nowait(found)
            raise found
        self.frames.append(found)
        return found

    async def pump(self) -> None:
        """Receive frames, whether or not they are read, and answer heartbeats, until the connection is closed."""
        try:
            async for text in self.socket:
                if not await self._answers(str(text)):
                    self._arrived.put_nowait(str(text))
            await self.socket.recv()
        except ConnectionClosed as end:
            self._arrived.put_nowait(end)

    async def read_control(self, name: str) -> Any:
        """Return the next frame that is no event, None if the dialect has none of this name."""
        if getattr(self.forms.messages, name) is None:
            return None
        while True:
            text = await self.read()
            if not list(self.events_in(text)):
                return _loaded(text)

    async def read_events(self, count: int) -> list[Event]:
        """Return the next events, as many as are asked for; other frames between them are passed over."""
        found: list[Event] = []
        while len(found) < count:
            found += self.events_in(await self.read())
        return found

    async def read_end(self) -> tuple[int | None, str]:
        """Return the close code and reason of the server."""
        try:
            while True:
                await self.read()
        except ConnectionClosed:
            return self.socket.protocol.close_code, self.socket.protocol.close_reason or ""

    def events_in(self, text: str) -> Iterator[Event]:
        form = self.forms.events
        kinds = {word: kind for kind, word in form.words.items()}
        frames = text.splitlines() if form.batch == "lines" else [text]
        for frame in frames:
            value: Any = _loaded(frame)
            for one in _items(value):
                members: dict[str, Any] = cast("dict[str, Any]", one) if isinstance(one, dict) else {}
                kind = kinds.get(str(members.get(form.tag)))
                if kind is not None and not self._is_message(kind, members):
                    assert isinstance(value, list) == (form.batch == "list")
                    yield from self._events_of(kind, members)

    def _events_of(self, kind: str, frame: dict[str, Any]) -> Iterator[Event]:
        form = self.forms.events
        beside = {name: value for name, value in frame.items() if name != form.tag}
        if not form.payload:
            yield Event(kind, {}, self._plain(beside))
            return
        payload: Any = frame
        path = self._path(kind)
        for name in path:
            payload = payload[name]
        del beside[path[0]]
        assert isinstance(payload, list) == (form.listed != "no")
        for one in [payload] if form.listed == "no" else payload:
            yield Event(kind, self._plain(beside), self._plain(one))

    def _path(self, kind: str) -> list[str]:
        topics = (
            {own: getattr(self.forms.channels, channel) for own, channel in CHANNEL_OF.items()}
            if isinstance(self.forms, MarketForms)
            else TOPIC_OF
        )
        return self.forms.events.payload.replace("{kind}", kind).replace("{topic}", topics[kind]).split(".")

    def _plain(self, value: object, name: str = "") -> Any:
        if isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            own = {key: self._own(key) for key in members}
            return {own[key]: self._plain(member, own[key]) for key, member in members.items()}
        if isinstance(value, list):
            return [self._plain(member) for member in cast("Any", value)]
        if not isinstance(value, str):
            return value
        if name in ENUMS:
            folded = re.sub("[ -]", "_", value.lower())
            return "cancelled" if folded == "canceled" else folded
        if name == "interval" and isinstance(self.forms, MarketForms):
            own_words, words = INTERVALS["assumed"].split(), INTERVALS[self.forms.intervals].split()
            return own_words[words.index(value)]
        return value.lower() if name == "session" else value

    def _is_message(self, kind: str, frame: dict[str, Any]) -> bool:
        """Return whether a frame is an acknowledgement: one may have a channel, as an event has for a tag."""
        if self.forms.events.payload:
            return self._path(kind)[0] not in frame
        for template in (self.forms.messages.subscribed, self.forms.messages.unsubscribed):
            shape = _items(template)[0]
            if isinstance(shape, dict) and set(frame) <= set(cast("dict[str, Any]", shape)):
                return True
        return False

    def _own(self, name: str) -> str:
        if name in self._renamed or self.forms.events.case == "snake":
            return self._renamed.get(name, name)
        return re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name)

    def _word(self, name: str, value: Any) -> Any:
        if not isinstance(self.forms, MarketForms):
            return value
        if name == "channel":
            return getattr(self.forms.channels, value)
        if name == "interval":
            return INTERVALS[self.forms.intervals].split()[INTERVALS["assumed"].split().index(value)]
        if name == "session" and self.forms.sessions != "lower":
            return getattr(value, self.forms.sessions)()
        return value

    async def _answers(self, text: str) -> bool:
        beat = self.forms.heartbeat
        if beat.frame is None:
            return False
        found: Any = _loaded(text)
        wanted = beat.frame
        if not isinstance(wanted, dict):
            return text == wanted
        if not isinstance(found, dict) or found.keys() != wanted.keys():
            return False
        if any(value not in {found[name], "{id}", "{time}"} for name, value in wanted.items()):
            return False
        if beat.pong is not None:
            self.pongs += 1
            pong: dict[str, Any] = {
                name: found["id"] if value == "{id}" else value for name, value in beat.pong.items()
            }
            await self.socket.send(json.dumps(pong))
        return True


def _loaded(text: str) -> Any:
    """The JSON of a frame, with every number as its digits; text that is no JSON as it is."""
    try:
        return json.loads(text, parse_float=str, parse_int=str)
    except ValueError:
        return text


def _items(value: object) -> list[Any]:
    return cast("Any", value) if isinstance(value, list) else [value]


def _placed(paths: dict[str, str], values: dict[str, Any]) -> dict[str, Any]:
    frame: dict[str, Any] = {}
    for name, value in values.items():
        if not paths[name]:
            continue
        *outer, last = paths[name].split(".")
        place = frame
        for step in outer:
            place = place.setdefault(step, {})
        place[last] = value
    return frame


@asynccontextmanager
async def dialed(url: str, forms: BrokerageForms | MarketForms) -> AsyncGenerator[DialectPeer]:
    """A peer on a new WebSocket, which ends with the block."""
    async with connect(url, compression=None, ping_interval=None, close_timeout=0.1) as socket:
        peer = DialectPeer(socket, forms)
        pump = asyncio.create_task(peer.pump())
        try:
            yield peer
        finally:
            pump.cancel()
            await asyncio.wait([pump])
