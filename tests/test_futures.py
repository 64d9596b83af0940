from __future__ import annotations

import asyncio

import pytest

from connecttrade_async.futures import fail, is_being_cancelled, resolve


async def test_resolve_sets_the_first_result_only() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    resolve(future, 1)
    resolve(future, 2)
    fail(future, LookupError())
    assert await future == 1


async def test_fail_sets_the_first_error_only() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    fail(future, LookupError())
    fail(future, TypeError())
    resolve(future, 1)
    with pytest.raises(LookupError):
        await future


async def test_resolve_and_fail_ignore_a_cancelled_future() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.cancel()
    resolve(future, 1)
    fail(future, LookupError())
    assert future.cancelled()


async def test_is_being_cancelled_is_true_only_for_a_cancellation_of_the_current_task() -> None:
    seen: list[bool] = []

    async def wait_for(future: asyncio.Future[None]) -> None:
        try:
            await future
        except asyncio.CancelledError:
            seen.append(is_being_cancelled())

    for cancels_task in (False, True):
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(wait_for(future))
        await asyncio.sleep(0)
        (task if cancels_task else future).cancel()
        await asyncio.wait([task])
    assert seen == [False, True]
