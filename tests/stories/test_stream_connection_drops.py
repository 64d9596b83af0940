"""The connection drops at every possible moment, and the stream reconnects."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, get_args

import pytest

from connecttrade_async import ConnectError, HandshakeError, tickets
from connecttrade_async.models.events import (
    Gap,
    OrderUpdate,
    StreamConnecting,
    StreamEnded,
    StreamLive,
    StreamLost,
    StreamRetrying,
)
from connecttrade_async.sandbox import Sandbox
from connecttrade_async.sandbox.faults.stream import StreamFault, StreamKind
from stream_fixtures import client, nothing_left, publish, story, taken, until, until_state, waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async import ConnectTrade, User
    from connecttrade_async.sandbox.streams.brokerage import BrokerageStream

ENDS: dict[str, Callable[[BrokerageStream], None]] = {
    "going away": lambda stream: stream.drop(1001),
    "restarting": lambda stream: stream.drop(1012, "service restart"),
    "a clean close": lambda stream: stream.drop(1000),
    "an error of the server's": lambda stream: stream.drop(1011),
    "an unknown code": lambda stream: stream.drop(4999),
    "no close frame": lambda stream: stream.drop(None),
    "reset": lambda stream: stream.reset(),
}
BEFORE_LIVE = tuple(kind for kind in get_args(StreamKind) if kind.startswith("cut_"))


async def connected(sandbox: Sandbox, ct: ConnectTrade) -> tuple[User, str]:
    """Make a user with a linked broker; return an account too."""
    new = await ct.users.create("user-1")
    user = ct.user("user-1", new.user_secret)
    request = await user.connections.create("trade", redirect_url="https://app.example/done", broker="ALPACA")
    await sandbox.approve(request.url)
    account = (await user.accounts.list())[0].account_id
    assert account is not None
    return user, account


async def test_drop_during_a_fill_is_reported_as_a_gap() -> None:
    async with Sandbox(seed=1, latency=0.001) as sandbox, client(sandbox) as ct:
        user, account = await connected(sandbox, ct)
        async with nothing_left(), ct.brokerage_stream() as stream, stream.subscribe("orders") as events:
            placed = await user.orders.place(
                tickets.limit("MSFT", "BUY", qty=10, price="1.00", account_id=account, broker="ALPACA"),
            )
            assert placed.order_id is not None
            while (working := await until(events, OrderUpdate)).order.status != "working":
                pass
            assert working.order.order_id == placed.order_id
            sandbox.broker.fill(placed.order_id, 4)
            partly = await until(events, OrderUpdate)
            assert (partly.order.status, partly.order.filled_qty) == ("partially_filled", Decimal(4))
            sandbox.stream.reset()
            sandbox.broker.fill(placed.order_id, 6)  # no connection receives this one
            gap = await until(events, Gap)
            assert gap.since <= gap.until
            assert not gap.could_send
            [now] = [each async for each in user.orders.list(status="all") if each.order_id == placed.order_id]
            assert (now.status, now.filled_qty) == ("filled", Decimal(10))
            assert stream.health().gaps == 1


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_events_after_any_kind_of_drop_are_received(end: Callable[[BrokerageStream], None]) -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        events = stream.subscribe()
        publish(sandbox, 1, 2)
        assert story(await taken(events, 2)) == ["o1", "o2"]
        end(sandbox.stream)
        publish(sandbox, 3)
        await sandbox.stream.until_live(2)
        publish(sandbox, 4)
        assert story(await taken(events, 2)) == ["Gap", "o4"]
        assert (stream.health().reconnects, stream.health().gaps) == (1, 1)


@pytest.mark.parametrize("kind", BEFORE_LIVE)
async def test_drop_in_the_first_handshake_raises(kind: StreamKind) -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left():
        sandbox.stream.faults.add(StreamFault(kind))
        stream = ct.brokerage_stream()
        events = stream.subscribe("lifecycle")
        with pytest.raises(ConnectError if kind == "cut_upgrade" else HandshakeError):
            await stream.__aenter__()
        assert story(waiting(events)) == ["StreamConnecting", "StreamLost", "StreamEnded"]
        assert sandbox.stream.log.received["connect"] == 1


@pytest.mark.parametrize("kind", BEFORE_LIVE)
async def test_drop_in_a_later_handshake_is_retried(kind: StreamKind) -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        events = stream.subscribe()
        sandbox.stream.faults.add(StreamFault(kind, times=3))
        sandbox.stream.reset()
        gap = await until(events, Gap)
        assert "dropped" in gap.cause
        publish(sandbox, 1)
        assert story(await taken(events, 1)) == ["o1"]
        assert sandbox.stream.log.received["connect"] == 5
        assert stream.health().gaps == 1


@pytest.mark.parametrize("kind", ["drop", "reset", "tear"])
async def test_drop_right_after_each_reconnect(kind: StreamKind) -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        events = stream.subscribe()
        sandbox.stream.faults.add(StreamFault(kind, times=5))
        for life in range(1, 6):
            await sandbox.stream.until_live(life)
            publish(sandbox, life)
            await until(events, Gap)
        await sandbox.stream.until_live(6)
        publish(sandbox, 6)
        assert story(await taken(events, 1)) == ["o6"]
        assert stream.health().gaps == 5


@pytest.mark.parametrize("action", ["upgrade", "authenticate", "subscribe"])
async def test_drop_while_a_write_is_queued(action: str) -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        events = stream.subscribe()
        for time in range(2, 5):
            sandbox.stream.reset()
            # What the server has just said is on its way, and so will be the client's answer.
            await sandbox.stream.until_received(action, time)
        sandbox.stream.drop(None)
        await until(events, Gap)
        await until_state(stream, "LIVE")


async def test_server_absent_during_backoff() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        events, life = stream.subscribe(), stream.subscribe("lifecycle")
        await sandbox.stream.aclose()
        for _ in range(4):
            await until(life, StreamRetrying)
        await sandbox.stream.start(again=True)
        gap = await until(events, Gap)
        assert gap.cause == "the server closed the connection with code 1001 (The sandbox closes.)"
        publish(sandbox, 1)
        assert story(await taken(events, 1)) == ["o1"]


async def test_server_restarted_on_the_same_port() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        events = stream.subscribe()
        for number in range(3):
            await sandbox.stream.restart()
            await until(events, Gap)
            publish(sandbox, number)
            assert story(await taken(events, 1)) == [f"o{number}"]


async def test_lifecycle_events_are_published_in_order() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left():
        stream = ct.brokerage_stream()
        life = stream.subscribe("lifecycle")
        async with stream:
            assert story(waiting(life)) == ["StreamConnecting", "StreamLive"]
            sandbox.stream.faults.add(StreamFault("refuse_upgrade"))
            sandbox.stream.drop(1001, "bye")
            told = await taken(life, 8)
        assert story(told) == [
            "StreamLost",
            "StreamRetrying",
            "StreamConnecting",
            "StreamLost",
            "StreamRetrying",
            "StreamConnecting",
            "Gap",
            "StreamLive",
        ]
        assert [event.cause for event in told if isinstance(event, StreamLost)] == [
            "the server closed the connection with code 1001 (bye)",
            "the WebSocket upgrade was refused with HTTP status 503",
        ]
        assert [event.attempt for event in told if isinstance(event, StreamConnecting)] == [2, 3]
        assert all(0 <= event.delay <= 0.02 for event in told if isinstance(event, StreamRetrying))
        assert isinstance(told[-1], StreamLive)
        [ended] = waiting(life)
        assert ended == StreamEnded(error="")
        assert [event async for event in life] == []


async def test_subscriptions_added_between_two_connections_receive_the_gap() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        sandbox.stream.reset()
        await until_state(stream, "LOST", "RETRYING", "CONNECTING")
        assert stream.health().live_since is None
        async with stream.subscribe("balances", account_id="elsewhere") as events:
            await until(events, Gap)
        async with asyncio.timeout(1), stream.subscribe("balances") as events:
            assert events.receive_nowait() is None
