"""The requests of a poll: the rate limit, and the digest of each response."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from rich.pretty import pretty_repr

from connecttrade_async.clock import SystemClock
from connecttrade_async.polling.polled_api import PolledApi
from connecttrade_async.rest.digests import digest
from connecttrade_async.rest.rate_limiter import RateLimiter
from manual_clock import SteppedClock
from poll_fixtures import client, make_users, settle
from scripted_server import ScriptedEnd, answer

if TYPE_CHECKING:
    from connecttrade_async import ConnectTrade
    from connecttrade_async.clock import Clock


def polled_api(ct: ConnectTrade, clock: Clock | None = None, rate: float | None = None) -> PolledApi:
    [user] = make_users(ct, 1)
    origin = user._api
    limiter = RateLimiter(rate, None, clock or SystemClock())
    return PolledApi(origin.sender, origin.user_id, origin.user_secret, limiter)


async def test_polled_api_records_the_digest_of_each_response_and_shows_none() -> None:
    async with ScriptedEnd(answer(200, "[1]"), answer(200, "[2]")) as end, client(end) as ct:
        api = polled_api(ct)
        request = api.get_request("/one", None)
        responses = [await api.send(request), await api.with_sender(api.sender).send(request)]
    assert api.digests == [digest(request, response) for response in responses]
    assert repr(api) == "<PolledApi u0>"
    assert pretty_repr(api) == "PolledApi(user_id='u0')"


async def test_single_request_is_left_to_its_caller_to_digest() -> None:
    async with ScriptedEnd(answer(200, "[1]")) as end, client(end) as ct:
        api = polled_api(ct)
        api.is_single = True
        await api.send(api.get_request("/one", None))
    assert (api.digests, len(end.seen)) == ([], 1)


@pytest.mark.parametrize("is_single", [False, True])
async def test_polled_api_waits_for_the_rate_limit(*, is_single: bool) -> None:
    clock = SteppedClock()
    async with ScriptedEnd(*[answer(200, "[1]")] * 2) as end, client(end) as ct:
        api = polled_api(ct, clock, rate=1.0)
        api.is_single = is_single
        request = api.get_request("/one", None)
        await api.send(request)
        second = asyncio.ensure_future(api.send(request))
        await settle()
        assert len(end.seen) == 1
        clock.advance(1.0)
        await second
    assert len(end.seen) == 2
