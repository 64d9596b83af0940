"""What was answered the same is read once, and what was asked otherwise is never taken for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rich.pretty import pretty_repr

from connecttrade_async.rest.recalling_api import RecallingApi
from poll_fixtures import client, people
from scripted_server import ScriptedEnd, answer

if TYPE_CHECKING:
    from connecttrade_async import User
    from connecttrade_async.rest.watched_api import WatchedApi
    from connecttrade_async.rest.wire import Request, Response


async def test_the_same_answer_is_read_once_and_another_again() -> None:
    read: list[bytes] = []
    memory: dict[int, object] = {}

    def reading(response: Response, request: Request) -> str:
        read.append(response.body)
        return request.path

    async def fetch(user: User) -> bool:
        assert repr(user._requester) == "<WatchedApi u0>"
        recalling = RecallingApi.through_watched(cast("WatchedApi", user._requester), memory)
        for path in ("/one", "/two"):
            assert await recalling.read(recalling.get_response(path, None), reading) == path
        assert repr(recalling) == "<RecallingRequester u0>"
        assert pretty_repr(recalling) == "RecallingRequester(user_id='u0')"
        is_same = recalling.is_same
        memory.clear()
        memory.update(recalling.decoders)
        return is_same

    acts = [answer(200, body) for body in ("1", "1", "1", "1", "1", "2")]
    async with (
        ScriptedEnd(*acts) as end,
        client(end) as ct,
        ct.poll(people(ct, 1), fetch, every=0.001) as results,
    ):
        assert [(await anext(results)).get() for _ in range(5)] == [False, True, False, False, True]
    assert read == [b"1", b"1", b"2", b"2"]
