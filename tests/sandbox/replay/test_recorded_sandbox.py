"""A conversation with the sandbox, recorded by a bare client and replayed to it, is the same conversation."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
from websockets.asyncio.client import ClientConnection, connect as connect_socket
from websockets.exceptions import ConnectionClosed

from connecttrade_async.sandbox import Replay, Sandbox

CREDENTIALS = ("access_token", "client_id", "client_secret", "user_secret")


class RecordedClient:
    """A bare client that writes down what it sends and receives, as a recording and as a transcript."""

    def __init__(self, server: Sandbox | Replay, names: dict[str, str]) -> None:
        self.server = server
        self.names = names
        self.lines: list[dict[str, Any]] = [{"kind": "header", "format": "connecttrade-recording", "version": 1}]
        self.transcript: list[Any] = []
        self.headers = {"client-id": server.client_id, "client-secret": server.client_secret}
        self._sessions = 0
        self._begun = asyncio.get_running_loop().time()

    @property
    def at(self) -> float:
        return round(asyncio.get_running_loop().time() - self._begun, 6)

    async def fetch(self, method: str, path: str, body: dict[str, object] | None = None) -> Any:
        at = self.at
        async with aiohttp.ClientSession() as http:
            options: dict[str, Any] = {} if body is None else {"json": body}
            async with http.request(method, self.server.url + path, headers=self.headers, **options) as answer:
                text = await answer.text()
                headers = [[name, value] for name, value in answer.headers.items()]
        path, _, query = path.partition("?")
        line = {"kind": "exchange", "at": at, "took": self.at - at, "method": method, "path": path}
        line |= {"query": parse_qsl(query), "user": self.headers.get("user-id"), "error": None}
        line |= {"request": None if body is None else self._hidden(body), "status": answer.status, "headers": headers}
        value = json.loads(text)
        self.lines.append(line | {"response": self._hidden(value)})
        cursors = [answer.headers.get(f"{name}-cursor") for name in ("next", "prev")]
        self._note(method, path, answer.status, cursors, json.loads(self._hidden(value)))
        return value

    @asynccontextmanager
    async def open(self, stream: str) -> AsyncGenerator["RecordedSocket"]:
        self._sessions += 1
        url = self.server.endpoints.stream if stream == "brokerage" else self.server.endpoints.market_data
        async with connect_socket(url, compression=None, close_timeout=1) as socket:
            self.lines.append({"kind": "open", "at": self.at, "stream": stream, "session": self._sessions})
            yield RecordedSocket(self, socket, self._sessions)

    def frame(self, session: int, direction: str, text: str) -> None:
        hidden = self._hidden(json.loads(text))
        self.lines.append({"kind": "frame", "at": self.at, "session": session, "direction": direction, "text": hidden})
        if direction == "in":
            self._note(session, json.loads(hidden))

    def closed(self, session: int, code: int | None, reason: str | None) -> None:
        end = {"code": code or 1006, "reason": reason or ""}
        self.lines.append({"kind": "close", "at": self.at, "session": session, **end})
        self._note(session, end)

    def _note(self, *what: Any) -> None:
        text = json.dumps(what)
        for mine, common in self.names.items():
            text = text.replace(json.dumps(mine), json.dumps(common)).replace(f"/{mine}", f"/{common}")
        self.transcript.append(json.loads(text))

    def _hidden(self, value: Any) -> str:
        return json.dumps(
            {**value, **{name: "***" for name in CREDENTIALS if name in value}} if isinstance(value, dict) else value
        )


class RecordedSocket:
    """One stream connection of the client."""

    def __init__(self, client: RecordedClient, socket: ClientConnection, session: int) -> None:
        self._client, self._socket, self._session = client, socket, session

    async def send(self, **members: object) -> None:
        text = json.dumps(members)
        self._client.frame(self._session, "out", text)
        await self._socket.send(text)

    async def read(self, count: int = 1) -> None:
        for _ in range(count):
            async with asyncio.timeout(10):
                text = await self._socket.recv()
            self._client.frame(self._session, "in", str(text))

    async def end(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                await self.read()
        self._client.closed(self._session, self._socket.close_code, self._socket.close_reason)


Happen = Callable[[str], Any]


async def converse(client: RecordedClient, user: str, order: str, happen: Happen) -> None:
    """RecordedClient about everything: REST with errors and pages, a brokerage stream that drops, and market data."""
    made = await client.fetch("POST", "/users", {"user_id": user})
    client.headers |= {"user-id": user, "user-secret": made["user_secret"]}
    asked: dict[str, object] = {"connection_type": "trade", "broker": "ALPACA", "redirect_url": "https://app.example/"}
    await happen((await client.fetch("POST", "/connections", asked))["connection_request_url"])
    account = (await client.fetch("GET", "/accounts"))[0]["account_id"]
    await client.fetch("GET", "/accounts?connection_id=none")
    await client.fetch("GET", f"/balances?account_id={account}")
    await client.fetch("GET", "/orders?status=all&limit=3")
    for end in ("reset", "drop"):
        async with client.open("brokerage") as link:
            await link.read()
            login = {name.replace("-", "_"): client.headers[name] for name in ("client-id", "client-secret")}
            await link.send(action="authenticate", **login)
            await link.read()
            await link.send(action="subscribe", topics=["orders", "positions", "balances"])
            await link.read()
            ticket: dict[str, object] = {
                "account_id": account,
                "symbol": "AAPL",
                "order_qty": "3",
                "cl_order_id": f"{order}-{end}",
                "broker": "ALPACA",
                "side": "BUY",
                "order_type": "MKT",
                "order_tif": "DAY",
            }
            order_id = (await client.fetch("POST", "/orders", ticket))["order_id"]
            await link.read(2)
            await happen("advance")
            await link.read(2)
            await client.fetch("DELETE", f"/accounts/{account}/orders/{order_id}")
            await happen(end)
            await link.end()
    asked = {"connection_type": "market_data", "broker": "ALPACA", "redirect_url": "https://app.example/"}
    await happen((await client.fetch("POST", "/connections", asked))["connection_request_url"])
    connection = (await client.fetch("GET", "/connections"))[-1]["connection_id"]
    token = (await client.fetch("GET", f"/connections/{connection}/token"))["access_token"]
    async with client.open("market_data") as link:
        await link.read()
        await link.send(action="authenticate", access_token=token)
        await link.read()
        for number, symbol in enumerate(("AAPL", "MSFT")):
            await link.send(action="subscribe", id=f"{order}{number}", channel="quotes", symbols=[symbol])
            await link.read(2)
        await happen("close market data")
        await link.end()
    await client.fetch("DELETE", f"/users/{user}")


async def test_conversation_replayed_with_other_names_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    async with Sandbox(seed=7) as sandbox:
        sandbox.clock.hold()

        async def happen(what: str) -> None:
            if what.startswith("http"):
                await sandbox.approve(what)
            elif what == "advance":
                sandbox.clock.advance(0.02)
            elif what == "close market data":
                sandbox.market.drop(4401)
            else:
                getattr(sandbox.stream, what)()

        first = RecordedClient(sandbox, {})
        await converse(first, "jane", "one", happen)
    path.write_text("\n".join(map(json.dumps, first.lines)), "utf-8")
    assert [line["code"] for line in first.lines if line["kind"] == "close"] == [1006, 1001, 4401]
    names = {"john": "jane", "two-reset": "one-reset", "two-drop": "one-drop", "two0": "one0", "two1": "one1"}

    async def nothing(_: str) -> None:
        pass

    for speed in (None, 50.0):
        async with Sandbox.replay(path, speed=speed) as replay:
            second = RecordedClient(replay, names)
            await converse(second, "john", "two", nothing)
            assert second.transcript == first.transcript
            assert (replay.unmatched, replay.unused) == ((), ())
