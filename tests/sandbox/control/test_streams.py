"""The stream over the control path: everything that Python can do to it."""

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
        async with http.request(method, f"{sandbox.url}/_sandbox/stream{path}", **sent) as answer:
            return answer.status, await answer.json()

    return do


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
async def test_ends(do: Do, listen: Dial, members: dict[str, object], code: int) -> None:
    link = await listen()
    assert (await do("POST", **members))[0] == 200
    assert await end_of(link) == code


async def test_reset_and_restart(do: Do, listen: Dial) -> None:
    for action, code in (("reset", 1006), ("restart", 1001)):
        link = await listen()
        assert (await do("POST", **{action: True}))[0] == 200
        assert await end_of(link) == code


async def test_events(do: Do, listen: Dial) -> None:
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


async def test_settings(sandbox: Sandbox, do: Do, listen: Dial) -> None:
    await listen()
    for name, value in (("silent", True), ("delay", 0.01), ("displaces", "newer"), ("login_limit", 5)):
        status, told = await do("POST", **{name: value})
        assert (status, told[name], getattr(sandbox.stream, name)) == (200, value, value)
    assert (await do("POST", displaces="older"))[1]["displaces"] == "older"
    assert (await do("POST", wording={"name": "event"}))[1]["wording"] == {"name": "event", "payload": "nested"}
    assert (await do("POST", freeze=True))[1]["sessions"][0]["is_frozen"] is True
    assert (await do("POST", thaw=True))[1]["sessions"][0]["is_frozen"] is False


async def test_faults(sandbox: Sandbox, do: Do, listen: Dial) -> None:
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
        {"send": 7},
        {"burst": "many"},
    ],
)
async def test_what_makes_no_sense(do: Do, listen: Dial, members: dict[str, object]) -> None:
    await listen()
    assert (await do("POST", **members))[0] == 400
