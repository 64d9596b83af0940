"""A REST server that answers with the rows of a test, however odd they are; the stream is the sandbox's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from connecttrade_async import ConnectTrade, Endpoints, Timeouts
from stream_fixtures import HURRIED

if TYPE_CHECKING:
    from connecttrade_async.sandbox import Sandbox

Row = dict[str, Any] | None


class RowServer:
    """Rows by user; each list is sent as it is, whatever the query is.

    Attributes:
        orders: Orders, newest first.
        positions: Positions in the order of the response.
        balances: Balances in the order of the response.
        requests: The number of requests so far.
    """

    def __init__(self) -> None:
        self.orders: dict[str, list[Row]] = {}
        self.positions: dict[str, list[Row]] = {}
        self.balances: dict[str, list[Row]] = {}
        self.requests = 0
        self.url = ""

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        rows: dict[str, dict[str, list[Row]]] = {
            "/orders": self.orders,
            "/positions": self.positions,
            "/balances": self.balances,
            "/accounts": self.balances,
            "/connections": {},
        }
        return web.Response(
            text=json.dumps(rows[request.path].get(request.headers["user-id"], [])), content_type="application/json"
        )

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = "http://{}:{}".format(*self._runner.addresses[0][:2])
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._runner.cleanup()

    def client(self, sandbox: Sandbox, **settings: Any) -> ConnectTrade:
        """Return a client of this server and of the sandbox's stream."""
        endpoints = Endpoints(api=self.url, stream=sandbox.endpoints.stream)
        options: dict[str, Any] = {"reconnect": HURRIED, "timeouts": Timeouts(close=1.0), "endpoints": endpoints}
        return ConnectTrade(sandbox.client_id, sandbox.client_secret, **(options | settings))
