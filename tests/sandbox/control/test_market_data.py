"""The market-data stream over the control path: everything that Python can do to it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection

from connecttrade_async.sandbox import Sandbox

Do = Callable[..., Awaitable[tuple[int, Any]]]
Dial = Callable[..., Awaitable[ClientConnection]]


@pytest.fixture
def do(sandbox: Sandbox, http: aiohttp.ClientSession) -> Do:
    async def do(method: str = "GET", path: str = "", /, **members: object) -> tuple[int, Any]:
        sent: dict[str, Any] = {"json": members} if method == "POST" else {}
        async with http.request(method, f"{sandbox.url}/_sandbox/market_data{path}", **sent) as answer:
            return answer.status, await answer.json()

    return do


@pytest.fixture
def receive(tune: Dial) -> Dial:
    async def receive() -> ClientConnection:
        link = await tune()
        await link.send(json.dumps({"action": "subscribe", "channel": "trades", "symbols": ["AAPL"]}))
        assert json.loads(await link.recv())["type"] == "subscribed"
        return link

    return receive


async def end_of(link: ClientConnection) -> int | None:
    async with asyncio.timeout(5):
        await link.wait_closed()
    return link.protocol.close_code


async def test_state_of_the_stream_is_returned(sandbox: Sandbox, do: Do, receive: Dial) -> None:
    await receive()
    [connection_id] = sandbox.world.users["jane"].connections
    session = {"link": 1, "phase": "authenticated", "user_id": "jane", "connection_id": connection_id}
    assert await do() == (
        200,
        {
            "url": sandbox.market.url,
            "sessions": [{**session, "subscriptions": 1, "is_live": True, "is_frozen": False}],
            "subscriptions": {"1": [{"channel": "trades", "symbols": ["AAPL"], "session": "all"}]},
            "published": 0,
            "lives": 1,
            "received": {"connect": 1, "upgrade": 1, "authenticate": 1, "subscribe": 1},
            "silent": False,
            "delay": 0,
            "displaces": "older",
            "login_limit": 30,
            "wording": {"name": "type", "payload": "flat"},
            "faults": [],
            "pace": 0.5,
            "memory": 3600,
            "replaced": "stays",
            "takes": "all",
            "refused": {},
        },
    )
    _, sent = await do("GET", "/sent")
    assert [message["kind"] for message in sent["messages"]] == ["welcome", "authenticated", "subscribed"]


@pytest.mark.parametrize(
    ("members", "code"),
    [({"drop": 4000}, 4000), ({"displace": True}, 4409), ({"reset": True}, 1006), ({"expire_token": True}, 4401)],
)
async def test_ends(do: Do, receive: Dial, members: dict[str, object], code: int) -> None:
    link = await receive()
    assert (await do("POST", **members))[0] == 200
    assert await end_of(link) == code


async def test_tokens(sandbox: Sandbox, do: Do, receive: Dial) -> None:
    link = await receive()
    [connection_id] = sandbox.world.users["jane"].connections
    status, told = await do("POST", replace_token=connection_id)
    assert (status, told["sessions"][0]["is_live"]) == (200, True)
    assert sandbox.world.users["jane"].connections[connection_id].token is not None
    assert "access_token" not in json.dumps(told)
    await do("POST", replaced="ends")
    await do("POST", replace_token=connection_id)
    assert await end_of(link) == 4401
    assert (await do("POST", expire_token=connection_id))[0] == 200
    for name in ("expire_token", "replace_token"):
        assert (await do("POST", **{name: "nowhere"}))[0] == 404


async def test_events(do: Do, receive: Dial) -> None:
    link = await receive()
    await do("POST", publish={"channel": "trades", "symbol": "AAPL", "data": {"price": "1"}})
    await do("POST", send={"type": "weather"})
    assert [json.loads(await link.recv()) for _ in range(2)] == [
        {"type": "trade", "symbol": "AAPL", "price": "1"},
        {"type": "weather"},
    ]
    assert (await do("POST", burst=2))[1]["published"] == 3
    await link.send(json.dumps({"action": "subscribe", "channel": "quotes", "symbols": ["F"]}))
    assert [json.loads(await link.recv())["type"] for _ in range(2)] == ["subscribed", "quote"]
    await do("POST", tick=True)
    assert json.loads(await link.recv())["type"] == "quote"


async def test_settings(sandbox: Sandbox, do: Do, receive: Dial) -> None:
    await receive()
    settings: tuple[tuple[str, object], ...] = (
        ("silent", True),
        ("delay", 0.01),
        ("displaces", "neither"),
        ("login_limit", 5),
        ("pace", 0.25),
        ("memory", 60),
        ("replaced", "ends"),
        ("replaced", "stays"),
        ("takes", "some"),
        ("takes", "all"),
    )
    for name, value in settings:
        status, told = await do("POST", **{name: value})
        assert (status, told[name], getattr(sandbox.market, name)) == (200, value, value)
    assert (await do("POST", refuse="F"))[1]["refused"] == {"F": "There is no entitlement to F."}
    assert (await do("POST", refuse={"symbol": "ZM", "message": "No."}))[1]["refused"]["ZM"] == "No."
    assert (await do("POST", allow="F"))[1]["refused"] == {"ZM": "No."}
    assert (await do("POST", allow=True))[1]["refused"] == {}
    told = (await do("POST", fault={"kind": "lose", "symbol": "AAPL"}))[1]["faults"]
    assert told == [{"kind": "lose", "symbol": "AAPL", "times": 1, "after": 0, "fired": 0}]
    assert (await do("DELETE"))[1]["faults"] == []


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"dance": True},
        {"pace": 0},
        {"pace": -1},
        {"memory": "long"},
        {"replaced": "maybe"},
        {"takes": "none"},
        {"displaces": "both"},
        {"refuse": 7},
        {"refuse": {"message": "No."}},
        {"allow": False},
        {"expire_token": 7},
        {"replace_token": True},
        {"publish": {"channel": "news", "symbol": "AAPL", "data": {}}},
        {"publish": {"channel": "quotes", "symbol": "AAPL"}},
        {"burst": "many"},
        {"tick": False},
    ],
)
async def test_what_makes_no_sense(do: Do, members: dict[str, object]) -> None:
    assert (await do("POST", **members))[0] == 400
