"""What was answered the same the last time is left unread, and can be read all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from connecttrade_async.errors import MalformedResponseError, ServerError
from connecttrade_async.rest.digests import UndecodedResponse
from connecttrade_async.rest.noting_api import NotingApi
from poll_fixtures import client
from scripted_server import ScriptedEnd, answer

if TYPE_CHECKING:
    from connecttrade_async import ConnectTrade
    from connecttrade_async.rest.wire import Response

SHAPE: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[int])


def noting(ct: ConnectTrade, *known: int) -> NotingApi:
    origin = ct.user("ada", "hush")._requester
    return NotingApi(origin.sender, origin.user_id, origin.user_secret, known)


async def test_what_is_known_is_left_unread_and_all_is_noted() -> None:
    acts = [answer(200, body) for body in ("[1]", "[2]", "[1]", "[2]", "[3]")]
    async with ScriptedEnd(*acts) as end, client(end) as ct:
        first = noting(ct)
        assert await first.get("/one", SHAPE) == [1]
        assert await first.read(first.get_response("/two", None), body) == b"[2]"
        second = noting(ct, *first.seen)
        one: Any = await second.get("/one", SHAPE)
        two: Any = await second.read(second.get_response("/two", None), body)
        assert (type(one), type(two)) == (UndecodedResponse, UndecodedResponse)
        assert (one.read(), two.read()) == ([1], b"[2]")
        assert await second.get("/one", SHAPE) == [3]
    assert second.seen[:2] == first.seen
    assert len({*second.seen}) == 3
    assert [(seen.target, seen.headers["user-id"]) for seen in end.seen[2:4]] == [("/one", "ada"), ("/two", "ada")]


async def test_the_same_answer_to_another_question_is_another() -> None:
    async with ScriptedEnd(*[answer(200, "[1]")] * 3) as end, client(end) as ct:
        first = noting(ct)
        await first.get("/one", SHAPE, {"status": "open"})
        second = noting(ct, *first.seen)
        assert await second.get("/one", SHAPE, {"status": "all"}) == [1]
        assert await second.get("/two", SHAPE, {"status": "open"}) == [1]


async def test_what_failed_is_no_answer() -> None:
    async with ScriptedEnd(answer(500, "[]"), answer(200, "{}")) as end, client(end) as ct:
        first = noting(ct)
        with pytest.raises(ServerError):
            await first.get("/one", SHAPE)
        assert first.seen == []
        with pytest.raises(MalformedResponseError):
            await first.get("/one", SHAPE)


def body(response: Response, _: object) -> bytes:
    return response.body
