"""Calls: when they are sent, that they are coroutines, and that they are sent once."""

from __future__ import annotations

import asyncio
import collections.abc
import gc
import inspect
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async import ConnectTrade, Endpoints, Retry
from connecttrade_async.errors import ClosedError, MalformedResponseError, NotFoundError
from scripted_server import ScriptedEnd, answer, silence

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROWS = '[{"account_id": "a", "order_id": "o", "symbol": "AAPL", "connection_id": "c", "user_id": "u"}]'
LISTS: dict[str, Callable[[ConnectTrade], Any]] = {
    "accounts": lambda ct: ct.user("u", "whisper").accounts.list(),
    "balances": lambda ct: ct.user("u", "whisper").balances.list(),
    "connections": lambda ct: ct.user("u", "whisper").connections.list(),
    "orders": lambda ct: ct.user("u", "whisper").orders.list(),
    "positions": lambda ct: ct.user("u", "whisper").positions.list(),
    "transactions": lambda ct: ct.user("u", "whisper").transactions.list(),
    "users": lambda ct: ct.users.list(),
}
every_list = pytest.mark.parametrize("name", LISTS)


def client(end: ScriptedEnd) -> ConnectTrade:
    return ConnectTrade("client", "hush", endpoints=Endpoints(end.url), retry=Retry(attempts=1))


async def in_task(call: Any) -> Any:
    return await asyncio.create_task(call)


async def in_group(call: Any) -> Any:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(call)
    return task.result()


async def gathered(call: Awaitable[object]) -> Any:
    values = await asyncio.gather(call)
    return values[0]


async def awaited(call: Any) -> Any:
    return await call


async def shielded(call: Any) -> Any:
    return await asyncio.shield(call)


async def timed(call: Any) -> Any:
    return await asyncio.wait_for(call, 10)


WAYS: list[Callable[[Any], Awaitable[Any]]] = [awaited, in_task, in_group, gathered, shielded, timed]
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


@every_list
@every_way
async def test_each_list_is_a_coroutine_that_every_way_of_asyncio_runs(
    name: str, way: Callable[[Any], Awaitable[Any]]
) -> None:
    async with ScriptedEnd(answer(200, ROWS)) as end, client(end) as ct:
        call = LISTS[name](ct)
        assert asyncio.iscoroutine(call)
        assert inspect.isawaitable(call)
        assert isinstance(call, collections.abc.Coroutine)
        assert end.seen == []
        value = await way(call)
    assert len(value) == len(end.seen) == 1
    assert end.seen[0].target == f"/{name}"


@every_list
@every_way
async def test_failure_of_a_list_is_raised_in_every_way(name: str, way: Callable[[Any], Awaitable[Any]]) -> None:
    async with ScriptedEnd(answer(404, '{"message": "no"}')) as end, client(end) as ct:
        with pytest.raises((NotFoundError, ExceptionGroup)) as caught:
            await way(LISTS[name](ct))
    error = caught.value.exceptions[0] if isinstance(caught.value, ExceptionGroup) else caught.value
    assert isinstance(error, NotFoundError)


@every_list
async def test_list_that_is_awaited_twice_is_an_error_and_sent_once(name: str) -> None:
    async with ScriptedEnd(answer(200, ROWS)) as end, client(end) as ct:
        call = LISTS[name](ct)
        await call
        for again in (awaited, in_task):
            with pytest.raises(RuntimeError, match=f"GET /{name} was awaited before"):
                await again(call)
        with pytest.raises(RuntimeError, match=f"GET /{name} was awaited before"):
            call.response()
    assert len(end.seen) == 1


async def test_call_of_a_finished_task_cannot_be_awaited() -> None:
    async with ScriptedEnd(answer(200, ROWS)) as end, client(end) as ct:
        call = LISTS["positions"](ct)
        await asyncio.create_task(call)
        with pytest.raises(RuntimeError, match="GET /positions was awaited before"):
            await call
    assert len(end.seen) == 1


@every_list
async def test_list_that_is_never_awaited_sends_nothing_and_warns_of_nothing(name: str) -> None:
    async with ScriptedEnd() as end, client(end) as ct:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            call = LISTS[name](ct)
            assert "not sent yet: await it" in repr(call)
            call.close()
            call.close()
            with pytest.raises(RuntimeError, match="was awaited before"):
                await call
            del call
            LISTS[name](ct)
            gc.collect()
    assert end.seen == []


async def test_cancelled_task_of_a_list_drops_its_request() -> None:
    async with ScriptedEnd(silence) as end, client(end) as ct:
        task: asyncio.Task[Any] = asyncio.create_task(LISTS["orders"](ct))
        await end.until_seen(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert ct.health().in_flight == 0


async def test_throw_before_the_first_step_sends_nothing() -> None:
    async with ScriptedEnd() as end, client(end) as ct:
        for thrown in ((KeyError("mine"),), (KeyError, KeyError("mine"), None), (KeyError, "mine"), (KeyError,)):
            call: Any = LISTS["positions"](ct)
            with pytest.raises(KeyError):
                call.throw(*thrown)
            with pytest.raises(RuntimeError, match="was awaited before"):
                await call
    assert end.seen == []


async def test_close_of_a_running_call_releases_its_slot() -> None:
    async with ScriptedEnd(silence) as end, client(end) as ct:
        call: Any = LISTS["positions"](ct)

        class Held:
            def __await__(self) -> Any:
                yield call.send(None)

        task = asyncio.ensure_future(awaited(Held()))
        await asyncio.sleep(0)
        assert ct.health().in_flight == 1
        call.close()
        assert ct.health().in_flight == 0
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_task_of_a_call_is_named_by_its_request() -> None:
    async with ScriptedEnd(answer(200, ROWS)) as end, client(end) as ct:
        call = ct.user("u", "whisper").positions.list(account_id="a secret account")
        assert repr(call) == "<Call GET /positions, not sent yet: await it>"
        task = asyncio.create_task(call)
        assert "GET /positions" in repr(task)
        await task
        assert repr(call) == "<Call GET /positions, sent>"


async def test_response_of_a_call_is_not_decoded() -> None:
    async with ScriptedEnd(answer(200, "no json")) as end, client(end) as ct:
        call = ct.user("u", "whisper").positions.list()
        response = await call.response()
        assert response.body == b"no json"
        with pytest.raises(MalformedResponseError, match="GET /positions"):
            call.decode(response)
        with pytest.raises(RuntimeError, match="was awaited before"):
            await call


async def test_call_of_a_closed_client_fails_where_it_is_awaited() -> None:
    async with ScriptedEnd() as end:
        async with client(end) as ct:
            call = LISTS["positions"](ct)
        with pytest.raises(ClosedError):
            await call
