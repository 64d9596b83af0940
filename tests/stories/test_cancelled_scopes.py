"""A cancel scope of anyio around the client, as web frameworks open one for each request, is cancelled."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import anyio

from connecttrade_async.sandbox import Sandbox
from live_fixtures import newcomer, nothing_of_ours_left
from poll_fixtures import client as poll_client, make_users
from scripted_server import ScriptedEnd, silence
from stream_fixtures import client, client_at, end_that, nothing_left

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

    from connecttrade_async import User


class Ends:
    """Accepts every login and subscription, and keeps the close codes of its connections."""

    def __init__(self) -> None:
        self.codes: list[int | None] = []
        self.ended = asyncio.Event()
        self.asked = asyncio.Event()

    async def __call__(self, connection: ServerConnection) -> None:
        await connection.send(json.dumps({"type": "welcome"}))
        await connection.recv()
        await connection.send(json.dumps({"type": "authenticated"}))
        topics = json.loads(await connection.recv())["topics"]
        await connection.send(json.dumps({"type": "subscribed", "topics": topics}))
        await connection.wait_closed()
        self.codes.append(connection.close_code)
        self.ended.set()


class AcceptsNone(Ends):
    """Answers no login."""

    async def __call__(self, connection: ServerConnection) -> None:
        await connection.send(json.dumps({"type": "welcome"}))
        await connection.recv()
        self.asked.set()
        await connection.wait_closed()
        self.codes.append(connection.close_code)
        self.ended.set()


async def test_stream_in_a_cancelled_scope_closes_with_a_close_frame() -> None:
    ends = Ends()
    async with end_that(ends) as url, client_at(url) as ct, nothing_left():
        stream = ct.brokerage_stream()
        with anyio.CancelScope() as scope:
            async with stream:
                scope.cancel()
                await anyio.sleep_forever()
        assert stream.health().state == "ENDED"
        await ends.ended.wait()
    assert ends.codes == [1000]


async def test_stream_that_opens_in_a_cancelled_scope_is_closed_when_the_scope_ends() -> None:
    ends = AcceptsNone()
    async with end_that(ends) as url, client_at(url) as ct, nothing_left():
        stream = ct.brokerage_stream()
        async with anyio.create_task_group() as group:
            group.start_soon(stream.open)
            await ends.asked.wait()
            group.cancel_scope.cancel()
        assert stream.health().state == "ENDED"
        await ends.ended.wait()
    assert ends.codes == [1000]


async def test_live_accounts_in_a_cancelled_scope_stop_before_the_scope_ends() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, _ = newcomer(sandbox, ct)
        live = ct.live([user])
        with anyio.CancelScope() as scope:
            async with live:
                scope.cancel()
                await anyio.sleep_forever()
        assert not live.is_current
        assert [task for task in asyncio.all_tasks() if task.get_name().startswith("connecttrade stream")] == []


async def test_poller_in_a_cancelled_scope_ends_its_polls_before_the_scope_ends() -> None:
    ended: list[str] = []

    async def fetch(user: User) -> None:
        try:
            await user.positions.list()
        finally:
            await asyncio.sleep(0)
            ended.append(user.user_id)

    async with ScriptedEnd(silence) as end, poll_client(end) as ct:
        with anyio.CancelScope() as scope:
            async with ct.poll(make_users(ct, 5), fetch, every=1.0):
                await end.until_seen(5)
                scope.cancel()
                await anyio.sleep_forever()
        assert sorted(ended) == ["u0", "u1", "u2", "u3", "u4"]
