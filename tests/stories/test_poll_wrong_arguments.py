"""Wrong arguments of a poller raise a readable error where they are passed, before any request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async import ConfigurationError
from poll_fixtures import client, make_users
from scripted_server import ScriptedEnd, answer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from connecttrade_async import ConnectTrade, User
    from connecttrade_async.polling.poller import Poller


NOT_A_HANDLE = r"^user must be a handle, .*, got str$"


async def fetch(user: User) -> str:
    return user.user_id


def ada(ct: ConnectTrade) -> User:
    return ct.user("ada", "whisper")


async def until_ended(results: Poller[str]) -> None:
    async for result in results:
        assert result.get() == "ada"


GIVEN: list[tuple[Callable[[ConnectTrade], tuple[Any, ...]], str]] = [
    (lambda ct: ([ada(ct)], 5), "fetch must be a function of a handle, .*, got int: pass seconds as every="),
    (lambda ct: (ada(ct), fetch), r"for one user, pass \[user\]$"),
    (lambda ct: (ada(ct),), r"for one user, pass \[user\]$"),
    (lambda _: ("ada", fetch), "users must be an iterable of handles, .*, got str$"),
    (lambda _: (None, fetch), "users must be an iterable of handles, .*, got NoneType$"),
    (lambda ct: ([ada(ct), "eve"], fetch), r"each of users must be a handle, as ct.user\(...\) returns it, got str$"),
    (lambda ct: ({"ada": ada(ct)}, fetch), "each of users must be a handle, .*, got str$"),
    (lambda _: ([("ada", "hush")], fetch), "each of users .*, got tuple$"),
]


@pytest.mark.parametrize(("given", "message"), GIVEN)
def test_poll_with_a_wrong_argument_raises_at_the_call(
    given: Callable[[ConnectTrade], tuple[Any, ...]], message: str
) -> None:
    ct = client()
    with pytest.raises(ConfigurationError, match=message) as caught:
        ct.poll(*given(ct))
    assert "hush" not in str(caught.value)


async def test_poller_with_a_wrong_item_of_an_iterator_raises_when_it_is_entered() -> None:
    async with client() as ct:
        given: Any = iter([ada(ct), "eve"])
        poller = ct.poll(given, fetch)
        with pytest.raises(ConfigurationError, match=NOT_A_HANDLE):
            await poller.__aenter__()
        await poller.aclose()


async def test_poller_with_a_wrong_item_of_an_async_iterator_raises_at_the_results() -> None:
    async def users() -> AsyncGenerator[Any]:
        yield ada(ct)
        yield "eve"

    async with client() as ct, ct.poll(users(), fetch, every=0.001) as results:
        async with asyncio.timeout(10):
            with pytest.raises(ConfigurationError, match=NOT_A_HANDLE):
                await until_ended(results)
        assert results.statistics().state == "ENDED"


async def test_poller_add_remove_and_resume_refuse_other_types() -> None:
    async with client() as ct, ct.poll([ada(ct)], fetch) as results:
        name: Any = "ada"
        for do in (results.add, results.remove):
            with pytest.raises(ConfigurationError, match=NOT_A_HANDLE):
                await do(name)
        with pytest.raises(ConfigurationError, match=NOT_A_HANDLE):
            results.resume(name)
        assert results.statistics().users == 1


async def test_fetch_that_returns_no_awaitable_fails_each_result() -> None:
    def not_awaitable(user: User) -> Any:
        return [user.user_id]

    async with client() as ct, ct.poll(make_users(ct, 2), not_awaitable, every=0.001) as results:
        result = await anext(results)
        message = r"^fetch must return an awaitable, .* lambda user: user.positions.list\(\) does, got list$"
        with pytest.raises(ConfigurationError, match=message):
            result.get()
        assert results.statistics().state == "POLLING"


@pytest.mark.parametrize("kind", [asyncio.ensure_future, asyncio.gather])
async def test_fetch_may_return_any_awaitable(kind: Callable[[Any], Any]) -> None:
    async with (
        ScriptedEnd(answer()) as end,
        client(end) as ct,
        ct.poll([ada(ct)], lambda user: kind(user.positions.list()), every=0.001) as results,
    ):
        assert (await anext(results)).get() in ([], [[]])
