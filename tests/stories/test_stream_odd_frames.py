"""Unexpected frames: invalid, of unknown types, of other forms, torn and oversized."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Literal

import pytest

from connecttrade_async.models.events import BalanceUpdate, Gap, OrderUpdate, PositionUpdate, UnknownMessage
from connecttrade_async.sandbox import Sandbox
from connecttrade_async.sandbox.faults.stream import StreamFault
from connecttrade_async.sandbox.streams.encoding import FrameEncoding
from stream_fixtures import client, client_at, end_that, nothing_left, order, publish, story, taken, until

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

POISON: dict[str, str | bytes] = {
    "no JSON": "{nonsense",
    "nothing": "",
    "half a frame": '{"type": "order", "data": {"order_id": "o5',
    "an array": "[1, 2, 3]",
    "null": "null",
    "a number too large": '{"type": "order", "data": {"order_qty": 1e999999}}',
    "a type that is no text": '{"type": {"order": 1}, "data": {}}',
    "a payload that is no object": '{"type": "order", "data": [1]}',
    "a symbol that is no text": '{"type": "order", "user_id": "u", "data": {"symbol": {"a": 1}}}',
    "very deep": "[" * 100_000,
    "very deep in a payload": '{"type": "order", "data": ' + '{"a":' * 50_000 + "1" + "}" * 50_000 + "}",
    "no UTF-8": b'{"type": "order", "data": {"order_id": "\xff\xfe"}}',
    "binary": bytes(range(256)),
    "a null byte": "\x00",
    "a lone surrogate": '{"type": "order", "data": {"order_id": "\\ud800"}}',
    "an error that is none": '{"type": "error"}',
    "a second welcome": '{"type": "welcome"}',
    "a second login's answer": '{"type": "authenticated"}',
}
NAMES: tuple[Literal["type", "event", "topic"], ...] = ("type", "event", "topic")


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
async def test_invalid_frame_among_a_thousand_valid_ones_is_published_as_unknown(poison: str | bytes) -> None:
    logins = 0

    async def serve(link: ServerConnection) -> None:
        nonlocal logins
        await link.send('{"type": "welcome"}')
        await link.recv()
        logins += 1
        await link.send('{"type": "authenticated"}')
        await link.recv()
        await link.send('{"type": "subscribed"}')
        await subscribed.wait()
        for number in range(1000):
            if number == 500:
                await link.send(poison)
            await link.send(json.dumps({"type": "order", "user_id": "u", "data": order(number)}))
        async for _ in link:
            logins += 1

    subscribed = asyncio.Event()
    async with nothing_left(), end_that(serve) as url, client_at(url) as ct, ct.brokerage_stream() as stream:
        events, odd = stream.subscribe("orders"), stream.subscribe("unknown")
        subscribed.set()
        told = story(await taken(events, 1000))
        assert told == [f"o{number}" for number in range(1000)]
        aside = stream.health().set_aside
        assert odd.statistics().waiting == aside <= 1
        if aside:
            message = odd.receive_nowait()
            assert isinstance(message, UnknownMessage)
            assert len(message.raw) <= 4096
        assert (stream.health().reconnects, logins) == (0, 1)


async def test_first_unknown_frame_is_logged_as_warning_and_later_ones_at_debug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "connecttrade_async.streaming")
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        events = stream.subscribe("unknown")
        for _ in range(3):
            sandbox.stream.send("what?")
        await taken(events, 3)
        levels = [record.levelname for record in caplog.records if "could not be processed" in record.getMessage()]
        assert levels == ["WARNING", "DEBUG", "DEBUG"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("payload", ["nested", "flat"])
async def test_every_known_form_of_a_frame_is_decoded(
    name: Literal["type", "event", "topic"],
    payload: Literal["nested", "flat"],
) -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left():
        sandbox.stream.wording = FrameEncoding(name=name, payload=payload)
        async with ct.brokerage_stream() as stream:
            events = stream.subscribe()
            publish(sandbox, 1)
            sandbox.stream.publish("positions", "u", "a", {"symbol": "MSFT", "quantity": "3"})
            sandbox.stream.publish("balances", "u", "a", {"cash": None})
            told = await taken(events, 3)
            assert [type(event) for event in told] == [OrderUpdate, PositionUpdate, BalanceUpdate]
            for event in told:
                assert isinstance(event, OrderUpdate | PositionUpdate | BalanceUpdate)
                assert (event.user_id, event.account_id) == ("u", "a")
                assert event.time is not None
            balance = told[2]
            assert isinstance(balance, BalanceUpdate)
            assert balance.balance.cash is None
            assert "cash" in balance.given
            assert "buying_power" not in balance.given
            assert stream.health().set_aside == 0


async def test_unknown_type_and_the_next_event_are_published() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        sandbox.stream.faults.add(StreamFault("unknown"))
        events, orders = stream.subscribe(), stream.subscribe("orders")
        publish(sandbox, 1, 2)
        assert story(await taken(events, 3)) == ["UnknownMessage", "o1", "o2"]
        assert story(await taken(orders, 2)) == ["o1", "o2"]


async def test_truncated_json_is_published_as_unknown_and_the_connection_stays() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        sandbox.stream.faults.add(StreamFault("garble", after=1))
        events = stream.subscribe()
        publish(sandbox, 1, 2, 3)
        assert story(await taken(events, 3)) == ["o1", "UnknownMessage", "o3"]
        assert stream.health().reconnects == 0


async def test_torn_frame_reconnects_with_a_gap() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        sandbox.stream.faults.add(StreamFault("tear", after=1))
        events = stream.subscribe()
        publish(sandbox, 1, 2, 3)
        assert story(await taken(events, 2)) == ["o1", "Gap"]
        publish(sandbox, 4)
        assert story(await taken(events, 1)) == ["o4"]


async def test_large_frame_is_received() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        sandbox.stream.faults.add(StreamFault("oversize", size=4_000_000))
        events = stream.subscribe()
        publish(sandbox, 1, 2)
        large, small = await taken(events, 2)
        assert story([large, small]) == ["o1", "o2"]
        assert len(large.raw) == 4_000_000


async def test_oversized_frame_reconnects_with_a_gap() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        sandbox.stream.faults.add(StreamFault("oversize", size=5_000_000))
        events = stream.subscribe()
        publish(sandbox, 1, 2)
        gap = await until(events, Gap)
        assert "1009" in gap.cause
        publish(sandbox, 3)
        assert story(await taken(events, 1)) == ["o3"]
