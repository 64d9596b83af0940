"""The brokerage stream's conversation, frame by frame, as the wire contract has it."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from connecttrade_async.sandbox import BrokerageSessionInfo, FrameEncoding, RefusalError, Sandbox

Dial = Callable[..., Awaitable[ClientConnection]]


async def read(link: ClientConnection) -> Any:
    async with asyncio.timeout(5):
        return json.loads(await link.recv())


async def send_action(link: ClientConnection, action: str, **members: object) -> Any:
    await link.send(json.dumps({"action": action, **members}))
    return await read(link)


async def end_of(link: ClientConnection) -> int | None:
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionClosed):
            await link.recv()
    return link.protocol.close_code


def login(sandbox: Sandbox) -> dict[str, str]:
    return {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}


async def test_from_the_welcome_to_an_event(sandbox: Sandbox, dial: Dial) -> None:
    link = await dial()
    welcome = await read(link)
    assert (welcome.keys(), welcome["type"]) == ({"type", "message"}, "welcome")
    assert sandbox.stream.sessions == (BrokerageSessionInfo(1, "welcomed", (), is_live=False, is_frozen=False),)
    assert await send_action(link, "authenticate", **login(sandbox)) == {"type": "authenticated"}
    topics = ["orders", "balances"]
    assert await send_action(link, "subscribe", topics=topics) == {"type": "subscribed", "topics": topics}
    await sandbox.stream.until_live()
    assert sandbox.stream.sessions == (
        BrokerageSessionInfo(1, "authenticated", ("balances", "orders"), is_live=True, is_frozen=False),
    )
    serial = sandbox.stream.publish("orders", "jane", "a1", {"order_id": "1"})
    sandbox.stream.publish("positions", "jane", "a1", {"symbol": "F"})
    sandbox.stream.publish("balances", "jane", "a1", {"cash": "1"}, timestamp="2026-01-01T00:00:00Z")
    event = {"type": "order", "user_id": "jane", "account_id": "a1", "timestamp": "2026-07-01T12:00:00.000000Z"}
    assert await read(link) == {**event, "data": {"order_id": "1"}}
    told = await read(link)
    assert (told["type"], told["timestamp"], told["data"]) == ("balance", "2026-01-01T00:00:00Z", {"cash": "1"})
    assert (serial, sandbox.stream.published) == (1, 3)


async def test_unsubscribe_ends_the_delivery_of_its_topics(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen()
    assert await send_action(link, "unsubscribe", topics=["orders"]) == {"type": "unsubscribed", "topics": ["orders"]}
    sandbox.stream.publish("orders", "jane", "a1", {})
    sandbox.stream.publish("balances", "jane", "a1", {})
    assert (await read(link))["type"] == "balance"
    await send_action(link, "unsubscribe", topics=["positions", "balances"])
    assert not sandbox.stream.sessions[0].is_live


@pytest.mark.parametrize("topics", [None, [], "orders", ["orders", "quotes"], [1], [["orders"]]])
async def test_topics_that_make_no_sense_are_an_error_and_no_end(sandbox: Sandbox, listen: Dial, topics: Any) -> None:
    link = await listen("balances")
    answer = await send_action(link, "subscribe", topics=topics)
    assert (answer["type"], answer["code"]) == ("error", "400")
    assert "topics must be some of orders, positions, balances" in answer["message"]
    assert sandbox.stream.sessions[0].topics == ("balances",)


@pytest.mark.parametrize("raw", ["", "{", "[]", "null", b"\xff", b"\x00", "[" * 100_000])
async def test_what_is_no_json_object_is_an_error_and_no_end(sandbox: Sandbox, dial: Dial, raw: str | bytes) -> None:
    link = await dial()
    await read(link)
    await link.send(raw)
    assert (await read(link))["code"] == "400"
    assert await send_action(link, "authenticate", **login(sandbox)) == {"type": "authenticated"}
    await link.send(raw)
    assert (await read(link))["code"] == "400"
    assert sandbox.stream.log.received["unreadable"] == 2


async def test_unknown_actions_and_a_second_login_are_errors_and_no_end(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen()
    for answer in (await send_action(link, "dance"), await send_action(link, "authenticate", **login(sandbox))):
        assert (answer["type"], answer["code"]) == ("error", "400")
    await link.send('{"action": ["subscribe"]}')
    assert (await read(link))["code"] == "400"
    assert sandbox.stream.log.received["unknown"] == 2


@pytest.mark.parametrize(
    "wrong", [{"client_id": "x"}, {"client_secret": "x"}, {"client_secret": None}, {"client_id": 7}]
)
async def test_a_wrong_login(sandbox: Sandbox, dial: Dial, wrong: dict[str, Any]) -> None:
    link = await dial()
    await read(link)
    answer = await send_action(link, "authenticate", **{**login(sandbox), **wrong})
    assert (answer["type"], answer["code"]) == ("error", "401")
    assert await end_of(link) == 4401


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe", "dance"])
async def test_nothing_goes_before_the_login(dial: Dial, action: str) -> None:
    link = await dial()
    await read(link)
    assert (await send_action(link, action, topics=["orders"]))["code"] == "401"
    assert await end_of(link) == 4401


async def test_the_older_session_is_displaced(sandbox: Sandbox, listen: Dial) -> None:
    older = await listen()
    newer = await listen()
    assert (await read(older))["code"] == "409"
    assert await end_of(older) == 4409
    sandbox.stream.publish("orders", "jane", "a1", {})
    assert (await read(newer))["type"] == "order"


async def test_or_the_newer_one(sandbox: Sandbox, listen: Dial, dial: Dial) -> None:
    sandbox.stream.displaces = "newer"
    older = await listen()
    newer = await dial()
    await read(newer)
    assert (await send_action(newer, "authenticate", **login(sandbox)))["code"] == "409"
    assert await end_of(newer) == 4409
    await older.close()
    await listen()


async def test_a_session_that_is_displaced_by_hand(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen()
    sandbox.stream.displace()
    assert (await read(link))["code"] == "409"
    assert await end_of(link) == 4409
    sandbox.stream.displace()


async def test_the_login_limit_by_the_sandbox_clock(sandbox: Sandbox, dial: Dial, listen: Dial) -> None:
    logged_in, late = await listen(), await dial()
    await read(late)
    sandbox.clock.advance(29.9)
    assert [talk.phase for talk in sandbox.stream.sessions] == ["authenticated", "welcomed"]
    sandbox.clock.advance(0.1)
    assert await end_of(late) == 4408
    sandbox.stream.publish("orders", "jane", "a1", {})
    assert (await read(logged_in))["type"] == "order"


async def test_the_login_limit_by_the_machine_clock(sandbox: Sandbox, dial: Dial) -> None:
    sandbox.stream.login_limit = 0.02
    link = await dial()
    await read(link)
    assert await end_of(link) == 4408
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.stream.url.rpartition(":")[2]))
    assert await reader.read() == b""
    writer.close()


async def test_pings_are_answered(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen()
    async with asyncio.timeout(5):
        await (await link.ping())
        await sandbox.stream.until_received("ping")


async def test_only_the_root_path_and_only_web_sockets(sandbox: Sandbox, dial: Dial) -> None:
    await read(await dial("/?token=none"))
    with pytest.raises(InvalidStatus) as refused:
        await dial("/other")
    assert refused.value.response.status_code == 404
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.stream.url.rpartition(":")[2]))
    writer.write(b"GET / HTTP/1.1\r\nHost: sandbox\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 426 ")
    writer.close()


async def test_a_message_in_parts(sandbox: Sandbox, dial: Dial) -> None:
    link = await dial()
    await read(link)
    text = json.dumps({"action": "authenticate", **login(sandbox)})
    await link.send([text[:10], text[10:20], text[20:]])
    assert await read(link) == {"type": "authenticated"}


@pytest.mark.parametrize("name", ["type", "event", "topic"])
async def test_wording_of_brokerage_frames_renames_the_type(sandbox: Sandbox, dial: Dial, name: Any) -> None:
    sandbox.stream.wording = FrameEncoding(name=name, payload="flat")
    link = await dial()
    assert (await read(link))[name] == "welcome"
    assert await send_action(link, "authenticate", **login(sandbox)) == {name: "authenticated"}
    await send_action(link, "subscribe", topics=["orders"])
    sandbox.stream.publish("orders", "jane", "a1", {"order_id": "1"}, timestamp="now")
    whose = {"user_id": "jane", "account_id": "a1", "timestamp": "now"}
    assert await read(link) == {name: "order", "order_id": "1", **whose}


def test_spellings_refuse_unknown_values() -> None:
    wrong: Any = "kind"
    with pytest.raises(ValueError, match="name must be one of type, event, topic"):
        FrameEncoding(name=wrong)


async def test_messages_by_hand(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen()
    sandbox.stream.send({"type": "weather", "is_fine": True})
    sandbox.stream.send("not JSON")
    assert await read(link) == {"type": "weather", "is_fine": True}
    assert await link.recv() == "not JSON"
    with pytest.raises(RefusalError, match="topic must be one of"):
        sandbox.stream.publish("weather", "jane", "a1", {})


async def test_the_ledger_knows_what_was_sent_and_no_secret(
    sandbox: Sandbox, listen: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "connecttrade_async")
    link = await listen("orders")
    sandbox.stream.publish("orders", "jane", "a1", {"order_id": "1"})
    raw = await link.recv()
    sent = list(sandbox.stream.log)
    assert [(message.link, message.kind, message.serial) for message in sent] == [
        (1, "welcome", 0),
        (1, "authenticated", 0),
        (1, "subscribed", 0),
        (1, "order", 1),
    ]
    assert (sent[-1].text, sent[-1].fate) == (raw, "sent")
    assert (len(sandbox.stream.log), sandbox.stream.log.total, sandbox.stream.log.lives) == (4, 4, 1)
    assert sandbox.stream.log.received == {"connect": 1, "upgrade": 1, "authenticate": 1, "subscribe": 1}
    shown = f"{sent} {sandbox.stream!r} {sandbox.stream.log!r} {sandbox.stream.sessions} {caplog.text}"
    assert sandbox.client_secret not in shown
    assert repr(sandbox.stream) == f"<BrokerageStream {sandbox.stream.url} 1 sessions, 1 events>"


async def test_waiting_for_the_second_login(sandbox: Sandbox, listen: Dial) -> None:
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(sandbox.stream.until_received("authenticate", times=2))
        tasks.create_task(sandbox.stream.until_live(2))
        await (await listen()).close()
        await listen()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await sandbox.stream.until_live(3)
    assert not sandbox.stream.log._waiting
