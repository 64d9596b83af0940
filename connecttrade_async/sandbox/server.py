"""The sandbox: construction, start and stop.

It serves real HTTP on loopback and belongs to the event loop that started it, not to a task: it may be entered in one
and left in another.
"""

import asyncio
from datetime import datetime
from decimal import localcontext
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from aiohttp import web

from connecttrade_async.sandbox.arithmetic import ARITHMETIC, in_arithmetic_context, with_arithmetic
from connecttrade_async.sandbox.clock import Clock
from connecttrade_async.sandbox.control.routes import control_routes
from connecttrade_async.sandbox.dialect import SandboxDialect, find_dialect
from connecttrade_async.sandbox.faults.inject import FaultInjector
from connecttrade_async.sandbox.faults.rest import Faults
from connecttrade_async.sandbox.login import consent
from connecttrade_async.sandbox.login.routes import login_routes
from connecttrade_async.sandbox.paper_broker import PaperBroker
from connecttrade_async.sandbox.payloads import Payloads
from connecttrade_async.sandbox.replay.server import Replay
from connecttrade_async.sandbox.rest.cursors import Cursors
from connecttrade_async.sandbox.rest.dispatcher import Dispatcher
from connecttrade_async.sandbox.rest.endpoints import Entitlements, RestContext
from connecttrade_async.sandbox.rest.request_log import RequestLog
from connecttrade_async.sandbox.rest.routes import rest_routes
from connecttrade_async.sandbox.rest.translator import HttpAnswer
from connecttrade_async.sandbox.settings import Credentials, Endpoints, Spellings
from connecttrade_async.sandbox.sockets import Sockets
from connecttrade_async.sandbox.streams.brokerage import BrokerageStream
from connecttrade_async.sandbox.streams.market_data import MarketDataStream
from connecttrade_async.sandbox.thread import SandboxThread
from connecttrade_async.sandbox.world import Hours, Keeping, World, find_broker

__all__ = ["Sandbox"]

_GRACE = 0.1
"""Seconds that an answer on its way is given when the sandbox closes."""


class Sandbox:
    """A pretend Connect Trade that serves real HTTP.

    Use it as ``async with Sandbox(seed=7) as sandbox:``, or call `start` and `aclose`.

    Args:
        seed: sandboxes of one seed have the same credentials, ids and numbers.
        port: where to listen; 0 takes a free port.
        host: the address to listen on.
        client_id: None makes one from the seed.
        client_secret: None makes one from the seed.
        hours: ``open``, the default, is a market that never closes; ``real`` keeps the hours of New York. Either way
            what is good for the day ends at four in the afternoon there.
        latency: seconds until an order is accepted, and for each thing that happens to it after that.
        stream_port: where the brokerage data stream listens; 0 takes a free port.
        login_limit: seconds that a client of either stream has to log in (documented: 30).
        market_port: where the market-data stream listens; 0 takes a free port.
        strict: whether names that the wire contract does not have are answered 400.
        dialect: the forms of every frame and answer: the name of a preset, or a value.

    Raises:
        ValueError: there is no preset of that name, or the dialect is none of a coherent server.

    Attributes:
        client_id: what a client sends as ``client-id``.
        client_secret: what a client sends as ``client-secret``.
        world: the pretend brokerages; a test may change them.
        clock: what time it is in here; a test may hold and step it.
        broker: a hand on the market: prices, halts, and fills at will.
        faults: what goes wrong; nothing until a fault is added.
        requests: what arrived.
        stream: the brokerage data stream.
        market: the market-data stream; `broker` moves the market that it reports.
    """

    def __init__(
        self,
        *,
        seed: int = 7,
        port: int = 0,
        host: str = "127.0.0.1",
        client_id: str | None = None,
        client_secret: str | None = None,
        hours: Keeping = "open",
        latency: float = 0.02,
        stream_port: int = 0,
        login_limit: float = 30.0,
        market_port: int = 0,
        strict: bool = False,
        dialect: str | SandboxDialect = "assumed",
    ) -> None:
        self.world = World(seed, Hours(hours))
        self.clock = Clock(self._publish)
        self.broker = PaperBroker(self.world, self.clock)
        self.broker.latency = latency
        self.faults = Faults()
        self.requests = RequestLog()
        self.client_id = client_id or f"sandbox-{self.world.serials.draw('client id')[:12]}"
        self.client_secret = client_secret or self.world.serials.draw("client secret")
        self._sockets = Sockets(host, port)
        self._context = RestContext(
            world=self.world,
            cursors=Cursors(self.world.serials.draw("cursors")),
            signing_key=self.world.serials.draw("user tokens"),
            strict=strict,
        )
        self._credentials = Credentials(self.client_id, self.client_secret)
        payloads = lambda: Payloads(self._context.spellings)  # noqa: E731  both streams ask for the spelling of the moment
        self.stream = BrokerageStream(
            self.world, self.clock, self._credentials, payloads, address=(host, stream_port), login_limit=login_limit
        )
        self.market = MarketDataStream(
            self.world, self.clock, payloads, address=(host, market_port), login_limit=login_limit
        )
        self.dialect = find_dialect(dialect)
        self._injector = FaultInjector(self._error)
        self._runner: web.AppRunner | None = None

    def __repr__(self) -> str:
        where = "closed" if self._runner is None else self.url
        return f"<Sandbox {where} {len(self.world.users)} users, {self.requests.total} requests>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def url(self) -> str:
        """The address of its REST API, ``http://127.0.0.1:port``; empty before the start."""
        return self._context.url

    @property
    def endpoints(self) -> Endpoints:
        """The addresses for a client."""
        return Endpoints(api=self.url, stream=self.stream.url, market_data=self.market.url)

    @property
    def spellings(self) -> Spellings:
        """Which of two known forms it writes; assign another to change it."""
        return self._context.spellings

    @spellings.setter
    def spellings(self, spellings: Spellings) -> None:
        self._context.spellings = spellings

    @property
    def dialect(self) -> SandboxDialect:
        """The forms of every frame and answer; assign a preset's name or a value to change them for what follows.

        Raises:
            ValueError: it is set to a name that no preset has, or to a value that no coherent server can have.
        """
        return self._dialect

    @dialect.setter
    def dialect(self, dialect: str | SandboxDialect) -> None:
        self._dialect = chosen = find_dialect(dialect)
        self.stream.forms = chosen.brokerage
        self.market.forms = chosen.market_data
        self._context.forms = chosen.rest

    @property
    def strict(self) -> bool:
        """Whether query parameters and members of a body that the wire contract does not name are answered 400."""
        return self._context.strict

    @strict.setter
    def strict(self, strict: bool) -> None:
        self._context.strict = strict

    @property
    def entitlements(self) -> Entitlements:
        """What the client has bought; switch one off to be refused."""
        return self._context.entitlements

    async def start(self, *, again: bool = False) -> None:
        """Listen. The same sandbox may be started again after `aclose`, with all that it knows.

        Cancelling it leaves nothing behind.

        Args:
            again: on the ports that it had before.

        Raises:
            RuntimeError: it is already started.
            OSError: the port is taken.
        """
        if self._runner is not None:
            raise RuntimeError("the sandbox is already started")
        # The tasks that serve requests inherit the context in which the server is started.
        await asyncio.create_task(self._start(again=again), context=in_arithmetic_context())

    async def _start(self, *, again: bool) -> None:
        self._injector = FaultInjector(self._error)
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=_GRACE)
        try:
            await runner.setup()
            await self._sockets.open(cast("web.Server", runner.server), again=again)
            await self.stream.start(again=again)
            await self.market.start(again=again)
        except BaseException:  # also when cancelled: a port that stays bound would fail the next start
            await self._sockets.close()
            await self.stream.aclose()
            await runner.cleanup()
            raise
        self._runner = runner
        self._context.url = f"http://{self._sockets.authority}"

    async def aclose(self) -> None:
        """Stop listening and end every connection and every slow fault, within a second. Twice is once."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        self._injector.end()  # first, since the runner waits for the handlers that slow faults hold
        await self._sockets.close()
        await self.stream.aclose()
        await self.market.aclose()
        await runner.cleanup()
        await asyncio.sleep(0)  # what was cancelled ends in the loop's next turn

    @staticmethod
    def replay(path: str | Path, speed: float | None = 1.0) -> Replay:
        """Return a server that plays a recording: ``async with Sandbox.replay("session.jsonl") as replay:``.

        Args:
            path: a file of JSON lines, as a recorder writes it.
            speed: how many recorded seconds pass in one; ``inf`` or None plays as fast as the conversation allows.

        Raises:
            ValueError: `speed` is not above zero.
        """
        return Replay(path, speed)

    def in_thread(self) -> SandboxThread[Self]:
        """Return this sandbox to be served by a thread of its own, for code that is not async.

        ``with Sandbox(seed=7).in_thread() as sandbox:`` has `endpoints`, the credentials, and
        ``sandbox.call(Sandbox.approve, url)`` for everything else.
        """
        return SandboxThread(self)

    async def restart(self) -> None:
        """Close, and start again on the same ports with all that it knows, like a server after a deployment.

        Cancelling it leaves it closed.

        Raises:
            OSError: another program has taken a port.
        """
        await self.aclose()
        await self.start(again=True)

    async def approve(self, url: str, broker: str | None = None, *, login: str = "") -> str:
        """Act as a person at a login link, and agree to everything; needs no HTTP.

        Args:
            url: the ``connection_request_url``.
            broker: the person's choice; None takes the one asked for, else ``ALPACA``.
            login: the person's name at the broker; empty takes the one last used there, else the user id.

        Returns:
            The redirect URL with ``connection_id``, or with ``error`` if another user has these accounts.

        Raises:
            RefusalError: the link is unknown, used or expired, or the broker cannot do what was asked for.
        """
        now = self.clock.now()
        with localcontext(ARITHMETIC):
            link = self.world.link(consent.token_of(url), now)
            chosen = None if broker is None else find_broker(broker)
            return consent.approve(self.world, link, now, chosen, login, write_id=self._write_id)

    async def decline(self, url: str, error: str = consent.DECLINED[0], details: str = consent.DECLINED[1]) -> str:
        """Act as a person at a login link, and decline; needs no HTTP.

        Returns:
            The redirect URL with ``error`` and ``error_details``.

        Raises:
            RefusalError: the link is unknown, used or expired, or `error` is empty.
        """
        return consent.decline(self.world.link(consent.token_of(url), self.clock.now()), error, details)

    @with_arithmetic
    def _publish(self, now: datetime) -> None:
        self.stream.publish_due(now)
        self.market.publish_due(now)

    def _write_id(self, name: str) -> str:
        return self._context.translator.write_id(name)

    def _error(self, status: int, message: str) -> HttpAnswer:
        return self._context.translator.error(status, message)

    def _application(self) -> web.Application:
        router = web.UrlDispatcher()
        router.add_routes(rest_routes(self._context, self.clock, self._credentials))
        router.add_routes(login_routes(self.world, self.clock, self._write_id))
        router.add_routes(control_routes(self))
        app = web.Application()
        app.router.add_route(
            "*", "/{path:.*}", Dispatcher(router, self.faults, self._injector, self.requests, self._context).dispatch
        )
        return app
