from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from connecttrade_async import (
    APIError,
    ClosedError,
    ConnectTrade,
    Endpoints,
    Limits,
    MalformedResponseError,
    NotFoundError,
    RateLimitedError,
    RequestTimeoutError,
    Retry,
    ServerError,
    Timeouts,
    TransportError,
    User,
)
from connecttrade_async.pacing import CENTURY, MAX_RETRY_AFTER
from manual_clock import BEGIN, SteppedClock
from scripted_server import Act, ScriptedEnd, answer, drop, raw, silence, stalled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

NO = b'{"message": "not now"}'


def client(end: ScriptedEnd, clock: SteppedClock | None = None, **settings: Any) -> ConnectTrade:
    return ConnectTrade("client", "hush", endpoints=Endpoints(end.url), clock=clock, **settings)


async def balances_after_pauses(*acts: Act, pauses: int, retry: Retry | None = None) -> tuple[list[float], ScriptedEnd]:
    """GET balances, advancing the clock through a number of pauses; return the pauses."""
    clock = SteppedClock()
    async with ScriptedEnd(*acts) as end, client(end, clock, retry=retry or Retry()) as ct:
        call = asyncio.create_task(ct.user("u", "whisper").balances.list())
        for count in range(1, pauses + 1):
            await clock.until_asked(count)
            assert not call.done()
            clock.advance(clock.asked[-1])
        assert await call == []
    return clock.asked, end


@pytest.mark.parametrize("act", [answer(502, NO), answer(503, NO), answer(504, b"<html>"), drop, answer(declared=50)])
async def test_send_repeats_a_get_after_a_growing_pause(act: Act) -> None:
    pauses, end = await balances_after_pauses(act, act, act, answer(), pauses=3, retry=Retry(base=0.5, cap=0.8))
    assert len(end.seen) == 4
    assert all(0 <= pause <= bound for pause, bound in zip(pauses, (0.5, 0.8, 0.8), strict=True))


async def test_send_draws_pauses_from_the_whole_range() -> None:
    drawn = [(await balances_after_pauses(answer(503, NO), answer(), pauses=1))[0][0] for _ in range(12)]
    assert len(set(drawn)) == 12


async def test_send_respects_retry_after_in_seconds() -> None:
    pauses, _ = await balances_after_pauses(answer(429, NO, retry_after="7"), answer(), pauses=1)
    assert pauses == [7]


async def test_send_respects_retry_after_as_a_date() -> None:
    when = format_datetime(BEGIN + timedelta(seconds=20), usegmt=True)
    pauses, _ = await balances_after_pauses(answer(503, NO, retry_after=when), answer(), pauses=1)
    assert pauses == [20]


async def test_send_gives_up_if_the_pause_exceeds_the_budget() -> None:
    async with ScriptedEnd(answer(429, NO, retry_after="60")) as end, client(end, retry=Retry(budget=30)) as ct:
        with pytest.raises(RateLimitedError, match="not now") as caught:
            await ct.user("u", "whisper").balances.list()
    assert caught.value.retry_after == 60
    assert len(end.seen) == 1


async def test_send_counts_attempts() -> None:
    async with (
        ScriptedEnd(answer(503, NO)) as end,
        client(end, retry=Retry(attempts=3, base=0.001, cap=0.001)) as ct,
    ):
        with pytest.raises(ServerError) as caught:
            await ct.user("u", "whisper").balances.list()
        assert caught.value.status == 503
        assert len(end.seen) == 3
        health = ct.health()
        assert (health.exchanges, health.retries, health.failures) == (3, 2, 1)
        assert health.last_error is not None
        assert "503" in health.last_error


async def test_send_keeps_its_budget_over_all_attempts_and_pauses() -> None:
    clock = SteppedClock()
    retry = Retry(attempts=1000, budget=10, base=4, cap=4)
    async with ScriptedEnd(answer(503, NO)) as end, client(end, clock, retry=retry) as ct:
        call = asyncio.create_task(ct.user("u", "whisper").balances.list())
        while True:
            count = len(clock.asked)
            await asyncio.wait(
                [call, asyncio.ensure_future(clock.until_asked(count + 1))], return_when=asyncio.FIRST_COMPLETED
            )
            if call.done():
                break
            clock.advance(clock.asked[-1])
        with pytest.raises(ServerError):
            await call
    assert clock.now() < 10


HARMFUL: dict[str, Callable[[ConnectTrade, User], Awaitable[object]]] = {
    "POST /users": lambda ct, _: ct.users.create("u"),
    "POST /connections": lambda _, user: user.connections.create("trade", redirect_url="https://app.example/"),
    "POST /auth/tokens/user": lambda _, user: user.tokens.create("read"),
    "POST by hand": lambda _, user: user.request("POST", "/orders", json={}),
    "PATCH by hand": lambda _, user: user.request("patch", "/orders/1", json={}),
    "DELETE by hand": lambda _, user: user.request("DELETE", "/accounts/1/orders/1"),
}


@pytest.mark.parametrize("call", HARMFUL.values(), ids=HARMFUL)
@pytest.mark.parametrize(
    "act",
    [answer(429, NO, retry_after="0"), answer(502, NO), answer(503, NO), answer(504, NO), drop, answer(declared=9)],
)
async def test_send_never_repeats_a_request_that_is_not_idempotent(
    call: Callable[[ConnectTrade, User], Awaitable[object]],
    act: Act,
) -> None:
    async with ScriptedEnd(act) as end, client(end) as ct:
        with pytest.raises((APIError, TransportError)):
            await call(ct, ct.user("u", "whisper"))
    assert len(end.seen) == 1


async def test_send_does_not_repeat_a_post_after_a_refused_connection() -> None:
    clock = SteppedClock()
    async with ScriptedEnd() as end:
        nobody = client(end, clock)
    async with nobody as ct:
        with pytest.raises(TransportError, match="nothing listens"):
            await ct.users.create("u")
    assert clock.asked == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500, 501, 418])
async def test_send_does_not_repeat_a_refused_request(status: int) -> None:
    async with ScriptedEnd(answer(status, NO)) as end, client(end) as ct:
        with pytest.raises(APIError, match="not now") as caught:
            await ct.user("u", "whisper").balances.list()
    assert caught.value.status == status
    assert len(end.seen) == 1


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b'{"a":', b"\xff\xfe", b"[" * 200_000])
async def test_send_does_not_repeat_after_a_malformed_response(body: bytes) -> None:
    async with ScriptedEnd(answer(200, body)) as end, client(end) as ct:
        with pytest.raises(MalformedResponseError, match="GET /balances"):
            await ct.user("u", "whisper").balances.list()
    assert len(end.seen) == 1


async def test_delete_is_repeated_and_404_after_a_lost_response_is_success() -> None:
    for lost in (drop, answer(502, NO), answer(declared=9)):
        async with (
            ScriptedEnd(lost, answer(404, NO)) as end,
            client(end, retry=Retry(base=0.001)) as ct,
        ):
            await ct.users.delete("u")
        assert [seen.method for seen in end.seen] == ["DELETE", "DELETE"]


async def test_delete_of_a_missing_resource_raises_not_found_also_after_a_429() -> None:
    async with (
        ScriptedEnd(answer(429, NO, retry_after="0"), answer(404, NO)) as end,
        client(end) as ct,
    ):
        with pytest.raises(NotFoundError):
            await ct.user("u", "whisper").connections.delete("c")
    assert len(end.seen) == 2


async def test_get_with_404_after_a_lost_response_raises_not_found() -> None:
    async with ScriptedEnd(drop, answer(404, NO)) as end, client(end, retry=Retry(base=0.001)) as ct:
        with pytest.raises(NotFoundError):
            await ct.user("u", "whisper").balances.list()


async def test_delete_accepts_an_empty_body() -> None:
    async with ScriptedEnd(answer(204, b"")) as end, client(end) as ct:
        await ct.users.delete("u")


async def test_get_without_a_response_is_repeated_within_the_budget_and_then_raises() -> None:
    async with (
        ScriptedEnd(silence) as end,
        client(end, timeouts=Timeouts(call=0.05), retry=Retry(attempts=3, base=0.001)) as ct,
    ):
        with pytest.raises(RequestTimeoutError, match="no complete response"):
            await ct.user("u", "whisper").balances.list()
    assert len(end.seen) == 3


@pytest.mark.parametrize("first", [silence, drop, stalled(b"[]")], ids=["silence", "dropped", "stalled body"])
async def test_get_that_timed_out_is_repeated_with_the_defaults(first: Act) -> None:
    call, budget = Timeouts().call / 300, Retry().budget / 300  # the defaults, 300 times faster
    async with (
        ScriptedEnd(first, answer()) as end,
        client(end, timeouts=Timeouts(call=call), retry=Retry(budget=budget, base=0.001)) as ct,
    ):
        assert await ct.user("u", "whisper").balances.list() == []
    assert len(end.seen) == 2


def test_default_budget_allows_two_timeouts_and_the_pause_between() -> None:
    assert Retry().budget > 2 * Timeouts().call + Retry().cap


@pytest.mark.parametrize("asked", ["0", "0.0", "Sun, 06 Nov 1994 08:49:37 GMT"])
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_of_zero_does_not_disable_pauses(status: int, asked: str) -> None:
    act = answer(status, NO, retry_after=asked)
    pauses, _ = await balances_after_pauses(*[act] * 40, answer(), pauses=40, retry=Retry(attempts=100, budget=1e6))
    assert sum(pauses) > 30  # of 40 pauses drawn below 8 s
    assert sum(pause < 0.01 for pause in pauses) < 5


@pytest.mark.parametrize("asked", ["31536000", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_huge_retry_after_is_bounded_by_ten_minutes(asked: str) -> None:
    act = answer(429, NO, retry_after=asked)
    pauses, _ = await balances_after_pauses(act, act, answer(), pauses=2, retry=Retry(budget=3600))
    assert pauses == [MAX_RETRY_AFTER] * 2
    async with ScriptedEnd(act) as end, client(end) as ct:
        with pytest.raises(RateLimitedError) as caught:
            await ct.user("u", "whisper").balances.list()
    assert len(end.seen) == 1
    assert 0 < (caught.value.retry_after or 0) <= CENTURY


async def test_last_attempt_gets_only_the_remaining_time() -> None:
    async with (
        ScriptedEnd(silence) as end,
        client(end, timeouts=Timeouts(call=30), retry=Retry(budget=0.1)) as ct,
    ):
        began = asyncio.get_running_loop().time()
        with pytest.raises(RequestTimeoutError):
            await ct.user("u", "whisper").balances.list()
        assert asyncio.get_running_loop().time() - began < 5
    assert len(end.seen) == 1


async def test_post_gets_the_whole_call_timeout_whatever_the_budget() -> None:
    async with ScriptedEnd(silence) as end, client(end, timeouts=Timeouts(call=0.15), retry=Retry(budget=0.01)) as ct:
        with pytest.raises(RequestTimeoutError, match=r"within 0\.15 s"):
            await ct.users.create("u")


async def test_slot_timeout_raises_and_nothing_is_sent() -> None:
    async with (
        ScriptedEnd(silence) as end,
        client(end, limits=Limits(connections=1), timeouts=Timeouts(call=5)) as ct,
    ):
        first = asyncio.create_task(ct.user("u", "whisper").balances.list())
        await end.until_seen(1)
        impatient = ct.with_options(timeouts=Timeouts(call=0.05))
        with pytest.raises(RequestTimeoutError) as caught:
            await impatient.user("u", "whisper").balances.list()
        assert caught.value.kind == "pool-timeout"
        first.cancel()
    assert len(end.seen) == 1


@pytest.mark.parametrize("settings", [{}, {"limits": Limits(connections=1)}])
async def test_send_cancelled_at_any_await_releases_everything(settings: dict[str, object]) -> None:
    clock = SteppedClock()
    async with ScriptedEnd(answer(503, NO)) as end, client(end, clock, **settings) as ct:
        user = ct.user("u", "whisper")
        for steps in range(40):
            call = asyncio.create_task(user.balances.list())
            for _ in range(steps):
                await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            health = ct.health()
            assert (health.in_flight, health.waiting) == (0, 0)
        end.acts[:] = [answer()]
        assert await user.balances.list() == []


async def test_close_ends_pauses_waiters_and_exchanges() -> None:
    clock = SteppedClock()
    async with ScriptedEnd(answer(503, NO), silence) as end:
        ct = client(end, clock, limits=Limits(connections=1))
        user = ct.user("u", "whisper")
        pausing = asyncio.create_task(user.balances.list())
        await clock.until_asked(1)
        under_way = asyncio.create_task(user.balances.list())
        await end.until_seen(2)
        in_line = asyncio.create_task(user.balances.list())
        await clock.until_asked(2)
        await ct.aclose()
        for task in (pausing, under_way, in_line):
            with pytest.raises(ClosedError):
                await task
        with pytest.raises(ClosedError):
            await user.balances.list()


async def test_first_failure_logs_a_warning_and_recovery_an_info(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "connecttrade_async")
    async with (
        ScriptedEnd(answer(503, NO), answer(503, NO), answer()) as end,
        client(end, retry=Retry(base=0.001)) as ct,
    ):
        await ct.user("u", "whisper").balances.list()
        assert ct.health().consecutive_failures == 0
    levels = [(record.name, record.levelname) for record in caplog.records if record.name.startswith("connecttrade")]
    assert levels == [("connecttrade_async.rest", level) for level in ("WARNING", "DEBUG", "INFO")]


async def test_thousand_tasks_share_a_hundred_slots_fairly() -> None:
    most = 0
    async with ScriptedEnd() as end, client(end, limits=Limits(connections=10)) as ct:
        served = [0] * 50

        async def worker(number: int) -> None:
            nonlocal most
            user = ct.user(f"u{number}", "whisper")
            while sum(served) < 500:
                await user.balances.list()
                served[number] += 1
                most = max(most, ct.health().in_flight)

        await asyncio.gather(*(worker(number) for number in range(50)))
    assert max(served) - min(served) <= 2
    assert most <= 10
    assert end.links <= 10


def upgrade(status: int) -> Act:
    return raw(f"HTTP/1.1 {status} Odd\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n".encode())


ODD = [
    pytest.param(upgrade(101), 101, id="101"),
    *(pytest.param(answer(status, b""), status, id=str(status)) for status in (300, 301, 302, 303, 304, 305, 307, 308)),
]


@pytest.mark.parametrize(("act", "status"), ODD)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("is_lent", [False, True])
async def test_status_outside_2xx_raises(act: Act, status: int, method: str, *, is_lent: bool) -> None:
    async with (
        ScriptedEnd(act, answer()) as end,
        aiohttp.ClientSession() as http,
        client(end, http=http if is_lent else None) as ct,
    ):
        with pytest.raises(APIError) as caught:
            await ct.request(method, "/connections/c", json={} if method in {"POST", "PUT", "PATCH"} else None)
        assert caught.value.status == status
        assert (await ct.request("GET", "/users")).body == b"[]"
    assert [seen.method for seen in end.seen] == [method, "GET"]


@pytest.mark.parametrize(("act", "status"), ODD)
async def test_delete_and_cancel_with_a_status_outside_2xx_raise(act: Act, status: int) -> None:
    async with ScriptedEnd(act) as end, client(end) as ct:
        for delete in (ct.users.delete("ann"), ct.user("ann", "whisper").connections.delete("c")):
            with pytest.raises(APIError) as caught:
                await delete
            assert caught.value.status == status


@pytest.mark.parametrize("status", [100, 102, 103, 199])
async def test_interim_response_is_skipped(status: int) -> None:
    both = f"HTTP/1.1 {status} Interim\r\n\r\nHTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\n{{}}"
    async with ScriptedEnd(raw(both.encode())) as end, client(end) as ct:
        with pytest.raises(APIError) as caught:
            await ct.users.delete("ann")
    assert caught.value.status == 409


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_delete_with_any_2xx_succeeds(status: int) -> None:
    async with ScriptedEnd(answer(status, b"")) as end, client(end) as ct:
        await ct.users.delete("ann")
    assert len(end.seen) == 1
