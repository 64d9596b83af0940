"""The replay itself: serves the REST exchanges and the stream sessions of one recording."""

import asyncio
import http
import logging
import math
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from aiohttp import web
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request as UpgradeRequest, Response

from connecttrade_async.sandbox.replay.conversation import Conversation
from connecttrade_async.sandbox.replay.matcher import Request
from connecttrade_async.sandbox.replay.records import Exchange, Recording, Session, StreamName, read_recording
from connecttrade_async.sandbox.replay.session import SessionPlayer
from connecttrade_async.sandbox.settings import Endpoints
from connecttrade_async.sandbox.sockets import Sockets
from connecttrade_async.sandbox.thread import SandboxThread

__all__ = ["Replay"]

_GRACE = 0.1
"""Seconds that an answer on its way is given when the replay closes."""
_CLOSE_LIMIT = 1.0
"""Seconds that a client of a stream has to answer a close."""
_STREAMS: tuple[StreamName, ...] = ("brokerage", "market_data")
# What the server itself says of an answer; the recorded values belong to the recorded connection.
_OWN_HEADERS = frozenset({"connection", "content-encoding", "content-length", "date", "keep-alive", "server"}) | {
    "transfer-encoding"
}

_LOGGER = logging.getLogger(__name__)
# Below this level the server logs every connection, and frames: a login has a secret in it.
_LOGGER.setLevel(logging.WARNING)


class Replay:
    """Serves a recording over real HTTP and WebSockets, so that a client finds what another found.

    Use it as ``async with Sandbox.replay(path) as replay:``, or call `start` and `aclose`.

    A REST request gets the recorded answer of the same operation with the same parameters and a body of the same shape,
    each answer once, in order. The n-th connection to a stream plays its n-th recorded session: frames come in their
    recorded times, frames of the client are awaited where they stand. Credentials are not checked. Ids that the client
    chooses, such as ``cl_order_id``, stand for the recorded ones, and come back in the answers.

    Args:
        path: a file of JSON lines, as a recorder writes it.
        speed: how many recorded seconds pass in one; ``inf`` or None plays as fast as the conversation allows.

    Attributes:
        client_id: what a client may send as ``client-id``; any other works too.
        client_secret: what a client may send as ``client-secret``; any other works too.

    Raises:
        ValueError: `speed` is not above zero.
    """

    def __init__(self, path: str | Path, speed: float | None = 1.0) -> None:
        if speed is not None and not speed > 0:
            raise ValueError(f"speed must be above 0, or None for no waits, got {speed}")
        self.client_id = "replay"
        self.client_secret = "replay"  # noqa: S105  it opens nothing: every other is taken as well
        self._path = Path(path)
        self._speed = math.inf if speed is None else speed
        self._sockets = Sockets("127.0.0.1", 0)
        self._streams: dict[StreamName, Server] = {}
        self._runner: web.AppRunner | None = None
        self._conversation = Conversation(Recording((), ()), self._speed)
        self._accepted: dict[ServerConnection, Session] = {}
        self._closing = asyncio.Event()

    def __repr__(self) -> str:
        where = "closed" if self._runner is None else self.url
        return f"<{type(self).__name__} {where} {self._path.name}, {len(self.unmatched)} unmatched>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def url(self) -> str:
        """Where REST is served, ``http://127.0.0.1:port``; empty before the start."""
        return f"http://{self._sockets.authority}" if self._sockets.authority else ""

    @property
    def endpoints(self) -> Endpoints:
        """Where a client finds it."""
        stream, market_data = (_address(self._streams.get(name)) for name in _STREAMS)
        return Endpoints(api=self.url, stream=stream, market_data=market_data)

    @property
    def unmatched(self) -> tuple[str, ...]:
        """What a client asked for and the recording does not have, oldest first; the last ten thousand."""
        return tuple(self._conversation.unmatched)

    @property
    def unused(self) -> tuple[str, ...]:
        """The recorded operations and sessions that no client has asked for so far."""
        return self._conversation.unused

    def in_thread(self) -> SandboxThread[Self]:
        """Return this replay to be served by a thread of its own, for code that is not async."""
        return SandboxThread(self)

    async def start(self) -> None:
        """Read the file and listen. Started again after `aclose`, it plays the recording from its beginning.

        Cancelling it leaves nothing behind.

        Raises:
            RecordingError: the file is malformed; the message names the line.
            OSError: the file cannot be read.
            RuntimeError: it is already started.
        """
        if self._runner is not None:
            raise RuntimeError("the replay is already started")
        recording = await asyncio.to_thread(read_recording, self._path)
        self._conversation = Conversation(recording, self._speed)
        self._closing.clear()
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE)
        try:
            await runner.setup()
            await self._sockets.open(cast("web.Server", runner.server))
            for name in _STREAMS:
                self._streams[name] = await self._serve(name)
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Stop listening and end every connection, within some seconds. Twice is once."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        self._closing.set()
        streams = tuple(self._streams.values())
        for server in streams:
            server.close()
        await self._sockets.close()
        await asyncio.gather(*(server.wait_closed() for server in streams), runner.cleanup())
        self._streams.clear()

    # REST -------------------------------------------------------------------------------------------------------------

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = (await request.read()).decode("utf-8", "replace")
        query = tuple(request.query.items())
        exchange = self._conversation.take(
            Request(request.method, request.rel_url.raw_path, query, request.headers.get("user-id"), body)
        )
        if exchange is None:
            names = ", ".join(name for name, _ in query)
            words = f"{request.method} {request.path}" + (f" with the query {names}" if names else "")
            self._conversation.unmatched.append(words)
            message = f"The recording has no {words} that is not answered yet."
            return web.json_response({"message": message}, status=404)
        await self._wait(self._conversation.delay(exchange.took))
        if exchange.status is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return self._recorded(exchange)

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), seconds)

    def _recorded(self, exchange: Exchange) -> web.Response:
        text = self._conversation.bindings.rewrite(exchange.response or "")
        response = web.Response(body=text.encode("utf-8", "surrogatepass"), status=exchange.status or 200)
        headers = [pair for pair in exchange.headers or () if pair[0].lower() not in _OWN_HEADERS]
        for name in {name.lower() for name, _ in headers}:
            response.headers.popall(name, None)
        for name, value in headers:
            response.headers.add(name, value)
        return response

    # Streams ----------------------------------------------------------------------------------------------------------

    async def _serve(self, name: StreamName) -> Server:
        return await serve(
            self._play,
            "127.0.0.1",
            0,
            process_request=partial(self._accept, name),
            compression=None,
            ping_interval=None,
            close_timeout=_CLOSE_LIMIT,
            max_size=1 << 24,
            server_header=None,
            logger=_LOGGER,
        )

    def _accept(self, name: StreamName, connection: ServerConnection, _: UpgradeRequest) -> Response | None:
        # Two upgrades may be under way at once, so the session is taken here and not when it begins.
        session = self._conversation.take_session(name)
        if session is None:
            self._conversation.unmatched.append(f"{name}: one more session")
            return connection.respond(http.HTTPStatus.NOT_FOUND, f"The recording has no further {name} session.\n")
        self._accepted[connection] = session
        return None

    async def _play(self, connection: ServerConnection) -> None:
        await SessionPlayer(self._accepted.pop(connection), connection, self._conversation).play()


def _address(server: Server | None) -> str:
    if server is None:
        return ""
    host, port = next(iter(server.sockets)).getsockname()[:2]
    return f"ws://{host}:{port}"
