"""The streams over the control path: everything that Python can do to them."""

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


def control_of(sandbox: Sandbox, http: aiohttp.ClientSession, stream: str) -> Do:
    async def do(method: str = "GET", path: str = "", /, **members: object) -> tuple[int, Any]:
        sent: dict[str, Any] = {"json": members} if method == "POST" else {}
        async with http.request(method, f"{sandbox.url}/_sandbox/{stream}{path}", **sent) as answer:
            return answer.status, await answer.json()

    return do


@pytest.fixture
def do(sandbox: Sandbox, http: aiohttp.ClientSession) -> Do:
    return control_of(sandbox, http, "stream")


@pytest.fixture
def do_market(sandbox: Sandbox, http: aiohttp.ClientSession) -> Do:
    return control_of(sandbox, http, "market_data")


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


async def test_state_of_the_stream_is_returned(sandbox: Sandbox, do: Do, listen: Dial) -> None:
    await listen("orders")
    status, told = await do()
    assert (status, told) == (
        200,
        {
            "url": sandbox.stream.url,
            "sessions": [
                {"link": 1, "phase": "authenticated", "topics": ["orders"], "is_live": True, "is_frozen": False}
            ],
            "published": 0,
            "lives": 1,
            "received": {"connect": 1, "upgrade": 1, "authenticate": 1, "subscribe": 1},
            "silent": False,
            "delay": 0,
            "displaces": "older",
            "login_limit": 30,
            "wording": {"name": "type", "payload": "nested"},
            "faults": [],
        },
    )
    _, sent = await do("GET", "/sent")
    assert (sent["total"], [message["kind"] for message in sent["messages"]]) == (
        3,
        ["welcome", "authenticated", "subscribed"],
    )


@pytest.mark.parametrize(
    ("members", "code"),
    [({"drop": True}, 1001), ({"drop": 4000}, 4000), ({"drop": None}, 1006), ({"displace": True}, 4409)],
)
async def test_stream_route_ends_a_session_with_the_close_code(
    do: Do, listen: Dial, members: dict[str, object], code: int
) -> None:
    link = await listen()
    assert (await do("POST", **members))[0] == 200
    assert await end_of(link) == code


async def test_reset_and_restart(do: Do, listen: Dial) -> None:
    for action, code in (("reset", 1006), ("restart", 1001)):
        link = await listen()
        assert (await do("POST", **{action: True}))[0] == 200
        assert await end_of(link) == code


async def test_stream_route_sends_events_texts_and_bursts(do: Do, listen: Dial) -> None:
    link = await listen()
    event = {"topic": "orders", "user_id": "jane", "account_id": "a", "data": {"order_id": "1"}}
    assert (await do("POST", publish=event))[1]["published"] == 1
    await do("POST", send={"type": "weather"})
    await do("POST", send="text")
    assert (await do("POST", burst=2))[1]["published"] == 3
    messages = [await link.recv() for _ in range(5)]
    assert json.loads(messages[0])["data"] == {"order_id": "1"}
    assert messages[1:3] == ['{"type":"weather"}', "text"]
    assert [json.loads(message)["data"]["order_id"] for message in messages[3:]] == ["burst-1", "burst-2"]


async def test_error_concerns_only_what_it_names(do: Do, listen: Dial) -> None:
    link = await listen()
    assert (await do("POST", error={"message": "The broker is down.", "code": 503, "account_id": "a"}))[0] == 200
    told = {"type": "error", "account_id": "a", "code": "503", "message": "The broker is down."}
    assert json.loads(await link.recv()) == told


async def test_stream_route_sets_each_setting_of_the_stream(sandbox: Sandbox, do: Do, listen: Dial) -> None:
    await listen()
    for name, value in (("silent", True), ("delay", 0.01), ("displaces", "newer"), ("login_limit", 5)):
        status, told = await do("POST", **{name: value})
        assert (status, told[name], getattr(sandbox.stream, name)) == (200, value, value)
    assert (await do("POST", displaces="older"))[1]["displaces"] == "older"
    assert (await do("POST", wording={"name": "event"}))[1]["wording"] == {"name": "event", "payload": "nested"}
    assert (await do("POST", freeze=True))[1]["sessions"][0]["is_frozen"] is True
    assert (await do("POST", thaw=True))[1]["sessions"][0]["is_frozen"] is False


async def test_stream_route_adds_and_clears_faults(sandbox: Sandbox, do: Do, listen: Dial) -> None:
    link = await listen()
    fault = {"kind": "lose", "times": None, "account_id": "a"}
    told = (await do("POST", fault=fault))[1]["faults"]
    assert told == [{**fault, "after": 0, "fired": 0}]
    sandbox.stream.publish("orders", "jane", "a", {})
    assert (await do())[1]["faults"][0]["fired"] == 1
    assert (await do("DELETE"))[1]["faults"] == []
    sandbox.stream.publish("orders", "jane", "a", {"order_id": "2"})
    assert json.loads(await link.recv())["data"] == {"order_id": "2"}


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"reset": True, "freeze": True},
        {"dance": True},
        {"reset": False},
        {"drop": "now"},
        {"drop": 1005},
        {"silent": 1},
        {"delay": True},
        {"delay": -1},
        {"displaces": "both"},
        {"wording": {"color": "red"}},
        {"wording": {"name": "kind"}},
        {"wording": None},
        {"fault": {"kind": "flood"}},
        {"publish": {"topic": "orders", "user_id": "jane", "account_id": "a"}},
        {"publish": {"topic": "quotes", "user_id": "jane", "account_id": "a", "data": {}}},
        {"error": {"code": 500}},
        {"error": {"message": "x", "symbol": "F"}},
        {"send": 7},
        {"burst": "many"},
    ],
)
async def test_what_makes_no_sense(do: Do, listen: Dial, members: dict[str, object]) -> None:
    await listen()
    assert (await do("POST", **members))[0] == 400


async def test_state_of_the_market_data_stream_is_returned(sandbox: Sandbox, do_market: Do, receive: Dial) -> None:
    await receive()
    [connection_id] = sandbox.world.users["jane"].connections
    session = {"link": 1, "phase": "authenticated", "user_id": "jane", "connection_id": connection_id}
    assert await do_market() == (
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
    _, sent = await do_market("GET", "/sent")
    assert [message["kind"] for message in sent["messages"]] == ["welcome", "authenticated", "subscribed"]


@pytest.mark.parametrize(
    ("members", "code"),
    [({"drop": 4000}, 4000), ({"displace": True}, 4409), ({"reset": True}, 1006), ({"expire_token": True}, 4401)],
)
async def test_market_data_ends(do_market: Do, receive: Dial, members: dict[str, object], code: int) -> None:
    link = await receive()
    assert (await do_market("POST", **members))[0] == 200
    assert await end_of(link) == code


async def test_market_data_tokens(sandbox: Sandbox, do_market: Do, receive: Dial) -> None:
    link = await receive()
    [connection_id] = sandbox.world.users["jane"].connections
    status, told = await do_market("POST", replace_token=connection_id)
    assert (status, told["sessions"][0]["is_live"]) == (200, True)
    assert sandbox.world.users["jane"].connections[connection_id].token is not None
    assert "access_token" not in json.dumps(told)
    await do_market("POST", replaced="ends")
    await do_market("POST", replace_token=connection_id)
    assert await end_of(link) == 4401
    assert (await do_market("POST", expire_token=connection_id))[0] == 200
    for name in ("expire_token", "replace_token"):
        assert (await do_market("POST", **{name: "nowhere"}))[0] == 404


async def test_market_data_events(do_market: Do, receive: Dial) -> None:
    link = await receive()
    await do_market("POST", publish={"channel": "trades", "symbol": "AAPL", "data": {"price": "1"}})
    await do_market("POST", send={"type": "weather"})
    assert [json.loads(await link.recv()) for _ in range(2)] == [
        {"type": "trade", "symbol": "AAPL", "price": "1"},
        {"type": "weather"},
    ]
    assert (await do_market("POST", burst=2))[1]["published"] == 3
    await link.send(json.dumps({"action": "subscribe", "channel": "quotes", "symbols": ["F"]}))
    assert [json.loads(await link.recv())["type"] for _ in range(2)] == ["subscribed", "quote"]
    await do_market("POST", tick=True)
    assert json.loads(await link.recv())["type"] == "quote"


async def test_market_data_settings(sandbox: Sandbox, do_market: Do, receive: Dial) -> None:
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
        status, told = await do_market("POST", **{name: value})
        assert (status, told[name], getattr(sandbox.market, name)) == (200, value, value)
    assert (await do_market("POST", refuse="F"))[1]["refused"] == {"F": "There is no entitlement to F."}
    assert (await do_market("POST", refuse={"symbol": "ZM", "message": "No."}))[1]["refused"]["ZM"] == "No."
    assert (await do_market("POST", allow="F"))[1]["refused"] == {"ZM": "No."}
    assert (await do_market("POST", allow=True))[1]["refused"] == {}
    told = (await do_market("POST", fault={"kind": "lose", "symbol": "AAPL"}))[1]["faults"]
    assert told == [{"kind": "lose", "symbol": "AAPL", "times": 1, "after": 0, "fired": 0}]
    assert (await do_market("DELETE"))[1]["faults"] == []


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
async def test_what_makes_no_sense_to_market_data(do_market: Do, members: dict[str, object]) -> None:
    assert (await do_market("POST", **members))[0] == 400
