"""The sandbox itself: start, stop, ports.

It serves real HTTP on loopback and belongs to the event loop that started it, not to a task: it may be entered in one
and left in another.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import NamedTuple, Self

from aiohttp import web

from . import consent
from .clock import Clock
from .cursors import Cursors
from .endpoints import Desk, Entitlements
from .http import Credentials, json_response, rest_routes
from .served import Served, Visit
from .spellings import Spellings
from .world import World, find_broker

__all__ = ["Endpoints", "Sandbox"]


class Endpoints(NamedTuple):
    """Where the sandbox is served."""

    api: str


class Sandbox:
    """A pretend Connect Trade."""

    def __init__(
        self,
        *,
        seed: int = 7,
        port: int = 0,
        host: str = "127.0.0.1",
        client_id: str | None = None,
        client_secret: str | None = None,
    ) -> None:
        self.world = World(seed)
        self.clock = Clock()
        self.served = Served()
        self.client_id = client_id or f"sandbox-{self.world.digest('client')[:12]}"
        self.client_secret = client_secret or self.world.digest("client secret")
        self._address = (host, port)
        self._desk = Desk(
            world=self.world,
            cursors=Cursors(self.world.digest("cursors")),
            signing_key=self.world.digest("signing"),
        )
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def url(self) -> str:
        return self._desk.url

    @property
    def endpoints(self) -> Endpoints:
        return Endpoints(self.url)

    @property
    def spellings(self) -> Spellings:
        return self._desk.spellings

    @spellings.setter
    def spellings(self, spellings: Spellings) -> None:
        self._desk.spellings = spellings

    @property
    def entitlements(self) -> Entitlements:
        return self._desk.entitlements

    async def start(self) -> None:
        app = web.Application(middlewares=[self._gate])
        app.add_routes(rest_routes(self._desk, self.clock, Credentials(self.client_id, self.client_secret)))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        host, port = self._address
        site = web.TCPSite(runner, host, port)
        await site.start()
        self._runner = runner
        port = runner.addresses[0][1]
        self._desk.url = f"http://{host}:{port}"

    async def aclose(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def approve(self, url: str, broker: str | None = None, *, login: str = "") -> str:
        now = self.clock.now()
        link = self.world.link(consent.token_of(url), now)
        return consent.approve(self.world, link, now, None if broker is None else find_broker(broker), login)

    async def decline(self, url: str, error: str = consent.DECLINED[0], details: str = consent.DECLINED[1]) -> str:
        return consent.decline(self.world.link(consent.token_of(url), self.clock.now()), error, details)

    @web.middleware
    async def _gate(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            return json_response({"message": error.reason}, status=error.status)
