"""How the market-data stream fails: the same faults, and the same hand on them, as on the brokerage stream."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidMessage, InvalidStatus

from connecttrade_async.sandbox import FrameEncoding, RefusalError, Sandbox, StreamFault, Subscription

Dial = Callable[..., Awaitable[ClientConnection]]
Mint = Callable[..., Awaitable[str]]


async def read(link: ClientConnection) -> Any:
    async with asyncio.timeout(5):
        return json.loads(await link.recv())


async def send_action(link: ClientConnection, action: str, **members: object) -> Any:
    await link.send(json.dumps({"action": action, **members}))
    return await read(link)


async def end_of(link: ClientConnection) -> int | None:
    async with asyncio.timeout(5):
        await link.wait_closed()
    return link.protocol.close_code


@pytest.fixture
def receive(tune: Dial) -> Dial:
    """Open a WebSocket that listens to the trades of AAPL and MSFT, of which there are none while the clock stands."""

    async def receive() -> ClientConnection:
        link = await tune()
        answer = await send_action(link, "subscribe", channel="trades", symbols=["AAPL", "MSFT"])
        assert answer["type"] == "subscribed"
        return link

    return receive


def publish(sandbox: Sandbox, symbol: str = "AAPL", price: str = "1") -> int:
    return sandbox.market.publish("trades", symbol, {"price": price})


async def prices(link: ClientConnection, count: int) -> list[str]:
    return [(await read(link))["price"] for _ in range(count)]


@pytest.mark.parametrize("code", [1001, 4000, 1012])
async def test_dropped_with_a_code(sandbox: Sandbox, receive: Dial, code: int) -> None:
    link = await receive()
    sandbox.market.drop(code)
    assert await end_of(link) == code


@pytest.mark.parametrize("way", ["reset", "drop", "restart"])
async def test_broken_without_a_word_or_restarted(sandbox: Sandbox, receive: Dial, tune: Dial, way: str) -> None:
    link, port = await receive(), sandbox.endpoints.market_data
    if way == "reset":
        sandbox.market.reset()
    elif way == "drop":
        sandbox.market.drop(None)
    else:
        await sandbox.market.restart()
    assert await end_of(link) == (1001 if way == "restart" else 1006)
    assert sandbox.endpoints.market_data == port
    await tune("bob")
    await sandbox.market.until_live(2)


async def test_frozen_connection_keeps_its_events(sandbox: Sandbox, receive: Dial) -> None:
    link = await receive()
    sandbox.market.freeze()
    assert sandbox.market.sessions[0].is_frozen
    sent = sandbox.market.log.total
    publish(sandbox)
    assert sandbox.market.log.total == sent
    sandbox.market.thaw()
    assert await prices(link, 1) == ["1"]


async def test_a_slow_link(sandbox: Sandbox, receive: Dial) -> None:
    link = await receive()
    sandbox.market.delay = 0.02
    publish(sandbox)
    assert "trade" not in [message.kind for message in sandbox.market.log]
    assert await prices(link, 1) == ["1"]


async def test_silent_stream_answers_and_publishes_no_event(sandbox: Sandbox, receive: Dial) -> None:
    link = await receive()
    sandbox.market.silent = True
    publish(sandbox)
    assert (await send_action(link, "list_subscriptions"))["type"] == "subscriptions"
    assert [message.fate for message in sandbox.market.log if message.kind == "trade"] == ["lost"]


@pytest.mark.parametrize("kind", ["refuse_upgrade", "cut_upgrade"])
async def test_upgrade_fault_fails_one_connection_attempt(sandbox: Sandbox, dial: Dial, kind: Any) -> None:
    sandbox.market.faults.add(StreamFault(kind))
    with pytest.raises((InvalidStatus, InvalidMessage, OSError)):
        await dial(at="market_data")
    assert (await read(await dial(at="market_data")))["type"] == "welcome"


async def test_login_fault_closes_with_its_code(sandbox: Sandbox, mint: Mint, dial: Dial) -> None:
    token = await mint()
    for kind, code in (("refuse_login", 4401), ("cut_login", 1006)):
        sandbox.market.faults.add(StreamFault(kind))  # type: ignore[arg-type]
        link = await dial(at="market_data")
        await link.send(json.dumps({"action": "authenticate", "access_token": token}))
        assert await end_of(link) == code


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe", "list_subscriptions", "snapshot"])
async def test_an_answer_that_is_lost(sandbox: Sandbox, receive: Dial, action: str) -> None:
    link = await receive()
    sandbox.market.faults.add(StreamFault("no_ack"))
    channel = "bars" if action == "snapshot" else "trades"
    asked = {} if action == "list_subscriptions" else {"channel": channel, "symbols": ["AAPL"]}
    await link.send(json.dumps({"action": action, "id": "1", **asked}))
    answer = await send_action(link, "list_subscriptions", id="2")
    assert answer["id"] == "2"
    assert answer["subscriptions"][0]["symbols"] == (["MSFT"] if action == "unsubscribe" else ["AAPL", "MSFT"])
    sandbox.market.faults.add(StreamFault("cut_ack"))
    await link.send(json.dumps({"action": "subscribe", "channel": "quotes", "symbols": ["AAPL"]}))
    assert await end_of(link) == 1006


async def test_what_befalls_the_events_of_one_symbol(sandbox: Sandbox, receive: Dial) -> None:
    link = await receive()
    sandbox.market.faults.add(StreamFault("lose", symbol="AAPL"))
    serials = [publish(sandbox, "MSFT", "1"), publish(sandbox, "AAPL", "2"), publish(sandbox, "AAPL", "3")]
    assert await prices(link, 2) == ["1", "3"]
    trades = [message for message in sandbox.market.log if message.kind == "trade"]
    assert [(message.serial, message.fate) for message in trades] == list(
        zip(serials, ("sent", "lost", "sent"), strict=True)
    )
    sandbox.market.faults.add(StreamFault("duplicate"))
    publish(sandbox, "MSFT", "4")
    sandbox.market.faults.add(StreamFault("reorder"))
    for symbol, price in (("AAPL", "5"), ("MSFT", "6"), ("AAPL", "7")):
        publish(sandbox, symbol, price)
    assert await prices(link, 5) == ["4", "4", "6", "7", "5"]
    sandbox.market.faults.add(StreamFault("unknown"))
    publish(sandbox, "AAPL", "8")
    assert [(await read(link))["type"] for _ in range(2)] == ["weather", "trade"]
    sandbox.market.faults.add(StreamFault("tear"))
    publish(sandbox)
    assert await end_of(link) == 1006


async def test_a_fault_has_an_account_or_a_symbol() -> None:
    with pytest.raises(ValueError, match="takes no symbol"):
        StreamFault("lose", account_id="a", symbol="AAPL")
    with pytest.raises(ValueError, match="takes no symbol"):
        StreamFault("no_ack", symbol="AAPL")
    assert StreamFault("lose", symbol="F").concerns("event", "F")
    assert not StreamFault("lose", account_id="").concerns("event", "F")


async def test_what_is_published_by_hand(sandbox: Sandbox, tune: Dial) -> None:
    link = await tune()
    for interval in ("1m", "1d"):
        await send_action(link, "subscribe", channel="bars", symbols=["AAPL"], interval=interval)
        await read(link)
    await send_action(link, "subscribe", channel="options_chain", underlying="AAPL", expiration="2026-07-17")
    await read(link)
    sandbox.market.publish("bars", "F", {"open": "0"})
    sandbox.market.publish("bars", "AAPL", {"open": "1"}, interval="5m")
    sandbox.market.publish("bars", "AAPL", {"open": "2"}, interval="1d")
    sandbox.market.publish("options_chain", "AAPL", {"contracts": []})
    sandbox.market.send("raw")
    sandbox.market.send({"type": "weather"})
    assert await read(link) == {"type": "bar", "symbol": "AAPL", "open": "2"}
    assert await read(link) == {"type": "options_chain", "underlying": "AAPL", "contracts": []}
    assert [await link.recv() for _ in range(2)] == ["raw", '{"type":"weather"}']
    with pytest.raises(RefusalError, match="channel must be one of"):
        sandbox.market.publish("news", "AAPL", {})


async def test_a_burst_is_written_down_in_its_order(sandbox: Sandbox, tune: Dial) -> None:
    link = await tune()
    await send_action(link, "subscribe", channel="quotes", symbols=["AAPL", "F"])
    for _ in range(2):
        await read(link)
    last = await sandbox.market.burst(1001, "AAPL", "F", "MSFT")
    told = [await read(link) for _ in range(668)]
    assert [one["bid_size"] for one in told] == [str(number) for number in range(1, 1002) if number % 3]
    assert [one["symbol"] for one in told[:3]] == ["AAPL", "F", "AAPL"]
    quotes = [message for message in sandbox.market.log if message.kind == "quote"]
    assert (len(quotes), quotes[-1].serial, sandbox.market.published) == (670, last, last)
    assert await sandbox.market.burst(1) == last + 1
    assert (await read(link))["symbol"] == "AAPL"


@pytest.mark.parametrize("name", ["type", "event", "topic"])
async def test_wording_of_market_frames_renames_the_type(sandbox: Sandbox, tune: Dial, name: Any) -> None:
    link = await tune()
    sandbox.market.wording = FrameEncoding(name=name, payload="nested")
    assert (await send_action(link, "subscribe", channel="quotes", symbols=["AAPL"]))[name] == "subscribed"
    told = await read(link)
    assert (set(told), told[name], told["data"]["symbol"]) == ({name, "data"}, "quote", "AAPL")


async def test_what_is_waited_for(sandbox: Sandbox, tune: Dial) -> None:
    waiting = asyncio.gather(
        sandbox.market.until_live(),
        sandbox.market.until_received("subscribe", 2),
        sandbox.market.until_subscribed("trades", "AAPL", "F"),
    )
    link = await tune()
    for symbol in ("AAPL", "F"):
        await send_action(link, "subscribe", channel="trades", symbols=[symbol])
    async with asyncio.timeout(5):
        await waiting
    await send_action(link, "unsubscribe", channel="trades", symbols=["F"])
    assert sandbox.market.listened() == {1: {Subscription("trades", "AAPL", (("session", "all"),))}}
    await link.close()
    await sandbox.market.until_received("disconnect")
    assert (sandbox.market.listened(), sandbox.market.is_live) == ({}, False)


async def test_a_sandbox_that_was_closed_has_no_market() -> None:
    sandbox = Sandbox(seed=7)
    assert (sandbox.endpoints.market_data, repr(sandbox.market)) == (
        "",
        "<MarketDataStream closed 0 sessions, 0 events>",
    )
    async with sandbox:
        assert sandbox.endpoints.market_data.startswith("ws://127.0.0.1:")


async def test_a_port_that_is_taken_leaves_nothing_open(sandbox: Sandbox) -> None:
    port = int(sandbox.market.url.rpartition(":")[2])
    other = Sandbox(seed=7, market_port=port)
    with pytest.raises(OSError, match="address"):
        await other.start()
    async with Sandbox(seed=7, stream_port=int(other.stream.url.rpartition(":")[2])):
        pass
