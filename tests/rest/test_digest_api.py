"""The variants of ``Api`` that digest responses: which responses are decoded, and what is recorded of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from rich.pretty import pretty_repr

from connecttrade_async.errors import MalformedResponseError, ServerError
from connecttrade_async.rest.digest_api import CachedApi, SnapshotApi
from connecttrade_async.rest.digests import UndecodedResponse
from poll_fixtures import client, make_users
from scripted_server import ScriptedEnd, answer

if TYPE_CHECKING:
    from connecttrade_async import ConnectTrade, User
    from connecttrade_async.rest.digest_api import PolledApi
    from connecttrade_async.rest.wire import Request, Response

INTEGERS: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[int])


def snapshot_api(ct: ConnectTrade, *known: int) -> SnapshotApi:
    origin = ct.user("ada", "hush")._api
    return SnapshotApi(origin.sender, origin.user_id, origin.user_secret, known)


async def test_snapshot_api_leaves_known_responses_undecoded_and_digests_all() -> None:
    acts = [answer(200, body) for body in ("[1]", "[2]", "[1]", "[2]", "[3]")]
    async with ScriptedEnd(*acts) as end, client(end) as ct:
        first = snapshot_api(ct)
        assert await first.get("/one", INTEGERS) == [1]
        assert await first.read(first.get_request("/two", None), body) == b"[2]"
        second = snapshot_api(ct, *first.digests)
        one: Any = await second.get("/one", INTEGERS)
        two: Any = await second.read(second.get_request("/two", None), body)
        assert (type(one), type(two)) == (UndecodedResponse, UndecodedResponse)
        assert (one.read(), two.read()) == ([1], b"[2]")
        assert await second.get("/one", INTEGERS) == [3]
    assert second.digests[:2] == first.digests
    assert len({*second.digests}) == 3
    assert [(seen.target, seen.headers["user-id"]) for seen in end.seen[2:4]] == [("/one", "ada"), ("/two", "ada")]


async def test_snapshot_api_decodes_an_equal_response_to_another_request() -> None:
    async with ScriptedEnd(*[answer(200, "[1]")] * 3) as end, client(end) as ct:
        first = snapshot_api(ct)
        await first.get("/one", INTEGERS, {"status": "open"})
        second = snapshot_api(ct, *first.digests)
        assert await second.get("/one", INTEGERS, {"status": "all"}) == [1]
        assert await second.get("/two", INTEGERS, {"status": "open"}) == [1]


async def test_snapshot_api_records_no_digest_of_a_failed_request() -> None:
    async with ScriptedEnd(answer(500, "[]"), answer(200, "{}")) as end, client(end) as ct:
        first = snapshot_api(ct)
        with pytest.raises(ServerError):
            await first.get("/one", INTEGERS)
        assert first.digests == []
        with pytest.raises(MalformedResponseError):
            await first.get("/one", INTEGERS)


async def test_cached_api_decodes_an_unchanged_response_once_and_a_changed_one_again() -> None:
    decoded: list[bytes] = []
    cache: dict[int, object] = {}

    def decode(response: Response, request: Request) -> str:
        decoded.append(response.body)
        return request.path

    async def fetch(user: User) -> bool:
        assert repr(user._api) == "<PolledApi u0>"
        cached = CachedApi.wrap(cast("PolledApi", user._api), cache)
        for path in ("/one", "/two"):
            assert await cached.read(cached.get_request(path, None), decode) == path
        assert repr(cached) == "<CachedApi u0>"
        assert pretty_repr(cached) == "CachedApi(user_id='u0')"
        is_unchanged = cached.is_unchanged
        cache.clear()
        cache.update(cached.values)
        return is_unchanged

    acts = [answer(200, body) for body in ("1", "1", "1", "1", "1", "2")]
    async with (
        ScriptedEnd(*acts) as end,
        client(end) as ct,
        ct.poll(make_users(ct, 1), fetch, every=0.001) as results,
    ):
        assert [(await anext(results)).get() for _ in range(5)] == [False, True, False, False, True]
    assert decoded == [b"1", b"1", b"2", b"2"]


def body(response: Response, _: object) -> bytes:
    return response.body
