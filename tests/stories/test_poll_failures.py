"""Failures under a poller: those of one user affect that user alone; those of all are one event and single probes."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async import (
    AuthenticationError,
    CallerError,
    ClosedError,
    ConfigurationError,
    Outage,
    OutageEnded,
    RateLimited,
    RateLimitedError,
    Retry,
    ServerError,
    Timeouts,
)
from connecttrade_async.rest.digests import LazyValue
from connecttrade_async.sandbox import Fault, Sandbox
from live_fixtures import newcomer, placed
from manual_clock import SteppedClock
from poll_fixtures import Watcher, client, make_users, settle, steps
from scripted_server import ScriptedEnd, answer
from stream_fixtures import client as sandbox_client, nothing_left

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from datetime import datetime

    from connecttrade_async import User
    from scripted_server import Act, Seen

NO = '{"message": "no"}'
FACTS: dict[str, Any] = {"message": "no", "method": "GET", "path": "/positions"}
BROKEN = ServerError(status=503, **FACTS)


async def test_poller_in_an_outage_sends_single_probes_and_recovers() -> None:
    clock, is_away = SteppedClock(), False
    polled: Counter[str] = Counter()
    failed_at: list[datetime] = []
    async with ScriptedEnd() as end, client(end, clock, retry=Retry(attempts=4)) as ct:
        here = make_users(ct, 30)

        async def fetch(user: User) -> object:
            polled[user.user_id] += 1
            found = await user.positions.list()
            if is_away:
                failed_at.append(clock.wall())
                raise BROKEN
            return found

        async with ct.poll(here, fetch, every=10.0, concurrency=5) as results:
            watcher = Watcher(results)

            async def pass_time(seconds: int) -> None:
                for _ in range(seconds * 2):
                    clock.advance(0.5)
                    await watcher.until_idle()

            await pass_time(10)
            assert len(watcher.results) == 30
            is_away = True
            polled.clear()
            await pass_time(600)
            # Five failures, then single probes; not thirty users each ten seconds.
            assert results.statistics().state == "OUTAGE"
            assert 5 + 600 / 30 - 1 <= polled.total() <= 5 + 600 / 15 + 6
            assert len(polled) > 10  # the probe is not always the same user
            (outage,) = watcher.events
            assert isinstance(outage, Outage)
            assert outage.failures == 5
            assert outage.error is BROKEN
            assert (
                outage.since == failed_at[0] < failed_at[4]
            )  # when the first failed, not when the outage was detected
            is_away = False
            await pass_time(31)
            assert [type(event) for event in watcher.events] == [Outage, OutageEnded]
            assert isinstance(watcher.events[1], OutageEnded)
            assert watcher.events[1].seconds >= 590
            assert watcher.events[1].since == failed_at[0]
            ended = failed_at[0] + timedelta(seconds=watcher.events[1].seconds)
            assert failed_at[-1] < ended <= clock.wall()
            polled.clear()
            await pass_time(30)
            assert set(polled) == {user.user_id for user in here}
            assert polled.total() <= 3 * 30 + 2  # ordinary turns, not all at once
            assert results.statistics().failing == 0
        await watcher.aclose()


async def test_user_with_a_refused_secret_is_parked_and_can_be_resumed() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=7) as sandbox, sandbox_client(sandbox, clock=clock) as ct:
        good = [ct.user(name, (await ct.users.create(name)).user_secret) for name in ("ada", "bob")]
        lost = ct.user("ada", "wrong")
        async with ct.poll([lost, good[1]], lambda user: user.positions.list(), every=1.0) as results:
            watcher = Watcher(results)

            async def until_parked() -> int:
                before = len(watcher.of("ada"))
                while not results.parked:
                    clock.advance(1.0)
                    await watcher.until_idle()
                return len(watcher.of("ada")) - before

            assert 3 <= await until_parked() <= 8  # over at least a minute, at growing pauses
            assert len(watcher.of("bob")) >= 60
            refused = watcher.of("ada")[-1]
            assert refused.user is lost
            assert isinstance(refused.error, AuthenticationError)
            assert results.parked == {"ada": refused.error}
            seen = results.statistics()
            assert (seen.parked, seen.failing, seen.users) == (1, 0, 2)
            results.resume(good[1])  # not parked
            assert results.statistics().parked == 1
            results.resume(lost)
            assert (results.parked, results.statistics().failing) == ({}, 0)
            assert 3 <= await until_parked() <= 8
            await results.add(good[0])
            clock.advance(1.0)
            await watcher.until_idle()
            assert isinstance(watcher.of("ada")[-1].get(), list)
            assert (results.parked, watcher.events) == ({}, [])
            assert repr(results) == "<Poller POLLING 2 users 0 failing 0 parked>"
        await watcher.aclose()


async def minutes(clock: SteppedClock, watcher: Watcher, count: float) -> None:
    for _ in range(round(count * 4)):
        clock.advance(15.0)
        await watcher.until_idle()


def own(user: User, last: object) -> float:
    del user, last
    return 15.0


@pytest.mark.parametrize("every", [15.0, own])
@pytest.mark.parametrize(("users", "share"), [(6, 0.5), (2, 0.5), (1, 0.5), (6, 0.8)])
async def test_gateway_that_refuses_secrets_at_random_parks_no_user_for_good(
    every: Any, users: int, share: float
) -> None:
    clock, dice = SteppedClock(), Random(7)  # noqa: S311 - draws answers
    refused = answer(401, NO)

    def choose(seen: Seen) -> Act | None:
        del seen
        return refused if dice.random() < share else None

    async with ScriptedEnd(choose=choose) as end, client(end, clock) as ct:
        async with ct.poll(make_users(ct, users), lambda user: user.balances.list(), every=every) as results:
            watcher = Watcher(results)
            await minutes(clock, watcher, 5)
            parked = 0
            for _ in range(12):
                await minutes(clock, watcher, 5)
                parked = max(parked, len(results.parked))
            if (users, share) == (6, 0.5):
                assert parked <= users / 2  # before the refusals have proved wrong
            end.choose = None
            watcher.results.clear()
            await minutes(clock, watcher, 70)  # a pause is never longer than the refusals lasted
            assert {result.user.user_id for result in watcher.results} == {f"u{number}" for number in range(users)}
            assert results.parked == {}
            assert results.statistics().failing == 0
        await watcher.aclose()


@pytest.mark.parametrize("every", [15.0, own])
async def test_parked_user_is_polled_at_growing_pauses_and_returns_by_itself(every: Any) -> None:
    clock, names = SteppedClock(), {"u0", "u1"}
    polled: Counter[str] = Counter()

    async def fetch(user: User) -> None:
        polled[user.user_id] += 1
        if user.user_id in names:
            raise AuthenticationError(status=401, **FACTS)

    async with client(clock=clock) as ct:
        async with ct.poll(make_users(ct, 4), fetch, every=every, slowest=15.0) as results:
            watcher = Watcher(results)
            await minutes(clock, watcher, 4)
            assert set(results.parked) == names
            polled.clear()
            await minutes(clock, watcher, 60)
            assert set(results.parked) == names
            assert all(1 <= polled[name] <= 8 for name in names)  # pauses of five to ten minutes, then longer ones
            assert polled["u2"] >= 200
            polled.clear()
            await minutes(clock, watcher, 120)
            assert all(1 <= polled[name] <= 5 for name in names)
            assert results.parked["u0"] is watcher.of("u0")[-1].error
            names.clear()
            await minutes(clock, watcher, 190)  # about as long as the refusals lasted
            assert (results.parked, watcher.events) == ({}, [])
            polled.clear()
            await minutes(clock, watcher, 5)
            assert min(polled.values()) >= 15
            assert results.statistics().failing == 0
        await watcher.aclose()


async def test_parked_user_returns_with_a_refusal_that_does_not_concern_its_secret() -> None:
    clock, status = SteppedClock(), 401

    def choose(seen: Seen) -> Act | None:
        return answer(status, NO) if seen.headers["user-id"] == "u0" else None

    async with ScriptedEnd(choose=choose) as end, client(end, clock) as ct:
        async with ct.poll(make_users(ct, 3), lambda user: user.balances.list(), every=5.0, slowest=30.0) as results:
            watcher = Watcher(results)
            await minutes(clock, watcher, 3)
            assert set(results.parked) == {"u0"}
            status = 503
            await minutes(clock, watcher, 12)
            assert set(results.parked) == {"u0"}  # proves nothing about the secret
            status = 404
            await minutes(clock, watcher, 15)
            assert results.parked == {}
            assert results.statistics().failing == 1
        await watcher.aclose()


async def test_refusals_at_random_of_one_user_do_not_prevent_parking_of_another() -> None:
    clock, count = SteppedClock(), 0

    def choose(seen: Seen) -> Act | None:
        nonlocal count
        count += seen.headers["user-id"] == "u0"
        is_refused = seen.headers["user-id"] == "u1" or (seen.headers["user-id"] == "u0" and count % 2)
        return answer(401, NO) if is_refused else None

    async with ScriptedEnd(choose=choose) as end, client(end, clock) as ct:
        async with ct.poll(make_users(ct, 4), lambda user: user.balances.list(), every=5.0) as results:
            watcher = Watcher(results)
            await minutes(clock, watcher, 5)
            assert set(results.parked) == {"u1"}
        await watcher.aclose()


async def test_refusals_of_all_secrets_after_some_were_parked_are_an_outage() -> None:
    clock, refused = SteppedClock(), answer(401, NO)
    names = {"u0"}
    all_names = {f"u{number}" for number in range(5)}

    def choose(seen: Seen) -> Act | None:
        return refused if seen.headers["user-id"] in names else None

    async with ScriptedEnd(choose=choose) as end, client(end, clock) as ct:
        async with ct.poll(make_users(ct, 5), lambda user: user.balances.list(), every=5.0) as results:
            watcher = Watcher(results)
            await minutes(clock, watcher, 3)
            assert set(results.parked) == {"u0"}
            names |= all_names
            await minutes(clock, watcher, 10)
            assert [type(event) for event in watcher.events] == [Outage]
            assert set(results.parked) == {"u0"}
            seen = len(end.seen)
            await minutes(clock, watcher, 10)
            assert 10 <= len(end.seen) - seen <= 10 * 60 / 15 + 1
            assert "u0" not in {request.headers["user-id"] for request in end.seen[seen:]}
            names.clear()
            await minutes(clock, watcher, 20)
            assert [type(event) for event in watcher.events] == [Outage, OutageEnded]
            assert (results.parked, results.statistics().failing) == ({}, 0)
        await watcher.aclose()


async def test_refusals_of_all_secrets_are_an_outage_and_park_no_user() -> None:
    clock = SteppedClock()
    async with ScriptedEnd(answer(401, NO)) as end, client(end, clock) as ct:
        async with ct.poll(make_users(ct, 5), lambda user: user.balances.list(), every=1.0) as results:
            watcher = Watcher(results)
            for _ in range(12):
                clock.advance(0.1)
                await watcher.until_idle()
            await watcher.until(lambda: len(watcher.events) == 1)
            assert isinstance(watcher.events[0], Outage)
            assert results.parked == {}
            end.acts = [answer()]
            clock.advance(60.0)
            await watcher.until(lambda: len(watcher.events) == 2)
        await watcher.aclose()


async def test_rate_limit_pauses_all_users_and_keeps_their_turns_spread() -> None:
    clock = SteppedClock()
    async with ScriptedEnd(answer(429, NO, retry_after="30"), answer()) as end, client(end, clock) as ct:
        async with ct.poll(make_users(ct, 20), lambda user: user.balances.list(), every=10.0) as results:
            watcher = Watcher(results)

            async def pass_time(seconds: float) -> None:
                for _ in range(round(seconds / 0.5)):
                    clock.advance(0.5)
                    await watcher.until_idle()

            while not watcher.events:
                await pass_time(0.5)
                await settle()
            seen = len(end.seen)
            assert results.statistics().state == "SLOWED"
            (slowed,) = watcher.events
            assert isinstance(slowed, RateLimited)
            assert slowed.seconds == 30
            assert isinstance(slowed.error, RateLimitedError)
            await pass_time(29)
            assert len(end.seen) == seen
            await pass_time(11)
            assert results.statistics().state == "POLLING"
            assert 18 <= len(end.seen) - seen <= 22  # spread as before
            assert results.statistics().failing == 0
        await watcher.aclose()


LONG_RETRY_AFTERS = ["31536000", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"]
ZERO_RETRY_AFTERS = ["0", "Thu, 01 Jan 1970 00:00:00 GMT"]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("retry_after", LONG_RETRY_AFTERS)
async def test_retry_after_of_any_size_pauses_for_at_most_ten_minutes(status: int, retry_after: str) -> None:
    clock = SteppedClock()
    acts = [answer(status, NO, retry_after=retry_after)] * 3
    async with ScriptedEnd(*acts, answer()) as end, client(end, clock) as ct:
        async with ct.poll(make_users(ct, 3), lambda user: user.balances.list(), every=10.0) as results:
            watcher = Watcher(results)
            while len(end.seen) < 3:  # each user got the response, or waits after the first 429
                clock.advance(10.0)
                await watcher.until_idle()
                if status == 429:
                    break
            assert results.statistics().state == ("OUTAGE" if status == 503 else "SLOWED")
            end.acts = [answer()]
            for _ in range(62):
                clock.advance(10.0)
                await watcher.until_idle()
            assert results.statistics().state == "POLLING"
            assert {result.user.user_id for result in watcher.results if result.error is None} == {"u0", "u1", "u2"}
        await watcher.aclose()


@pytest.mark.parametrize(("status", "users"), [(429, 20), (503, 20), (503, 1), (429, 1)])
@pytest.mark.parametrize("retry_after", ZERO_RETRY_AFTERS)
async def test_retry_after_of_zero_keeps_the_growing_pauses(status: int, users: int, retry_after: str) -> None:
    clock = SteppedClock()
    async with ScriptedEnd(answer(status, NO, retry_after=retry_after)) as end, client(end, clock) as ct:
        async with ct.poll(
            make_users(ct, users), lambda user: user.balances.list(), every=0.001, concurrency=5
        ) as results:
            watcher = Watcher(results)
            for _ in range(600):
                clock.advance(0.1)
                await watcher.until_idle()
            # Five at once after each pause, and the pauses grow to half a minute.
            assert 5 <= len(end.seen) <= 5 * 9
        await watcher.aclose()


async def test_retry_after_of_zero_of_one_user_keeps_its_backoff() -> None:
    clock = SteppedClock()
    polled: Counter[str] = Counter()

    async def fetch(user: User) -> str:
        polled[user.user_id] += 1
        if user.user_id == "u0":
            raise ExceptionGroup("all", [ServerError(status=503, retry_after=0.0, **FACTS), KeyError("mine")])
        return user.user_id

    async with client(clock=clock) as ct, ct.poll(make_users(ct, 3), fetch, every=1.0, slowest=60.0) as results:
        watcher = Watcher(results)
        await steps(clock, 600.0, 0.5)
        assert polled["u1"] == polled["u2"] == 600
        assert polled["u0"] <= 600 / 30 + 8
    await watcher.aclose()


async def test_failing_user_is_polled_at_growing_pauses_until_a_success() -> None:
    clock, is_broken = SteppedClock(), True
    polled: Counter[str] = Counter()

    async def fetch(user: User) -> str:
        polled[user.user_id] += 1
        if user.user_id == "u0" and is_broken:
            raise KeyError("mine")
        return user.user_id

    async with client(clock=clock) as ct, ct.poll(make_users(ct, 3), fetch, every=1.0, slowest=60.0) as results:
        watcher = Watcher(results)
        await steps(clock, 600.0, 0.5)
        assert polled["u1"] == polled["u2"] == 600
        assert 600 / 60 <= polled["u0"] <= 600 / 30 + 8
        assert results.statistics().failing == 1
        assert all(isinstance(result.error, KeyError) for result in watcher.of("u0"))
        assert watcher.events == []
        is_broken = False
        polled.clear()
        await steps(clock, 70.0, 0.5)
        assert polled["u0"] >= 10
        assert results.statistics().failing == 0
    await watcher.aclose()


async def test_unchanged_response_is_not_decoded_and_can_be_dropped() -> None:
    clock = SteppedClock()
    same, other = '[{"symbol": "A", "quantity": "1"}]', '[{"symbol": "A", "quantity": "2"}]'
    acts = [answer(body=same)] * 3 + [answer(500, NO), answer(body=same), answer(body=other), answer(body=other)]
    for only_changed in (False, True):
        async with ScriptedEnd(*acts) as end, client(end, clock) as ct:
            async with ct.poll(
                make_users(ct, 1), lambda user: user.positions.list(), every=1.0, slowest=0.1, only_changed=only_changed
            ) as results:
                watcher = Watcher(results)
                for count in range(1, 8):
                    while len(end.seen) < count or results.statistics().running:
                        clock.advance(0.5)
                        await asyncio.sleep(0.002)
                await settle()
                items = [
                    (result.changed, result.error is None) for result in watcher.results[: 3 if only_changed else 7]
                ]
                failed, good, old = (True, False), (True, True), (False, True)
                assert items[:7] == (
                    [good, failed, good] if only_changed else [good, old, old, failed, good, good, old]
                )
                if not only_changed:
                    is_read = [
                        not isinstance(result._value, LazyValue) for result in watcher.results[:7]
                    ]  # reading ``value`` would decode it
                    assert is_read == [True, False, False, True, True, True, False]
                    assert [result.get()[0].quantity_text for result in watcher.results[:3]] == ["1", "1", "1"]
                    assert results.statistics().unchanged >= 3
            await watcher.aclose()


def refuse_one(seen: Seen) -> Act | None:
    """Refuse the secret of the first user."""
    return answer(401, NO) if seen.headers["user-id"] == "u0" else None


async def test_errors_of_a_task_group_are_classified_like_single_ones() -> None:
    clock = SteppedClock()

    async def fetch(user: User) -> int:
        async with asyncio.TaskGroup() as group:
            balances = group.create_task(user.balances.list())
            positions = group.create_task(user.positions.list())
        return len(balances.result()) + len(positions.result())

    async with ScriptedEnd(answer(503, NO)) as end, client(end, clock) as ct:
        async with ct.poll(make_users(ct, 5), fetch, every=1.0) as results:
            watcher = Watcher(results)

            async def pass_time(seconds: float) -> None:
                for _ in range(round(seconds / 0.1)):
                    clock.advance(0.1)
                    await watcher.until_idle()

            await pass_time(5)
            assert [type(event) for event in watcher.events] == [Outage]
            assert len(end.seen) <= 2 * (5 + 5)
            end.acts = [answer()]
            await pass_time(10)
            assert [type(event) for event in watcher.events] == [Outage, OutageEnded]
            end.acts = [answer(429, NO, retry_after="30"), answer(429, NO, retry_after="30"), answer()]
            while len(watcher.events) < 3:
                await pass_time(0.1)
            assert isinstance(watcher.events[2], RateLimited)
            assert watcher.events[2].seconds == pytest.approx(30)
            await pass_time(35)
            end.choose = refuse_one
            while not results.parked:
                await pass_time(1)
            assert set(results.parked) == {"u0"}
        await watcher.aclose()


async def test_outage_ends_also_if_fetch_uses_handles_of_its_own() -> None:
    clock = SteppedClock()
    async with ScriptedEnd(answer(503, NO)) as end, client(end, clock, retry=Retry(attempts=1)) as ct:
        here = make_users(ct, 5)
        own = {user.user_id: user for user in here}
        async with ct.poll(here, lambda user: own[user.user_id].balances.list(), every=1.0) as results:
            watcher = Watcher(results)

            async def pass_time(seconds: float) -> None:
                for _ in range(round(seconds / 0.5)):
                    clock.advance(0.5)
                    await watcher.until_idle()

            await pass_time(3)
            assert [type(event) for event in watcher.events] == [Outage]
            end.acts = [answer()]
            await pass_time(30)
            assert [type(event) for event in watcher.events] == [Outage, OutageEnded]
            assert results.statistics().state == "POLLING"
            # Single failures among successes never add up to an outage.
            end.acts = [*[answer(503, NO), answer(), answer()] * 10, answer()]
            await pass_time(30)
            assert len(watcher.events) == 2
        await watcher.aclose()


async def test_fetch_without_a_request_does_not_end_an_outage() -> None:
    clock, is_away = SteppedClock(), False

    async def fetch(user: User) -> object:
        if user.user_id == "u0":
            return "kept from yesterday"
        await user.balances.list()
        if is_away:
            raise BROKEN
        return "polled"

    async with ScriptedEnd() as end, client(end, clock) as ct:
        async with ct.poll(make_users(ct, 3), fetch, every=1.0) as results:
            watcher = Watcher(results)
            for turn in range(100):
                is_away = turn >= 10
                clock.advance(0.5)
                await watcher.until_idle()
            assert len(watcher.of("u0")) >= 5
            assert [type(event) for event in watcher.events] == [Outage]
        await watcher.aclose()


async def test_digest_of_all_pages_decides_about_a_change() -> None:
    async with Sandbox(seed=7, latency=0) as sandbox, sandbox_client(sandbox) as ct:
        user, account = newcomer(sandbox, ct)
        await placed(user, account)
        before = [order.order_id async for order in user.orders.list(status="all")]
        size = len(before) // 2  # so that there are three pages

        async def fetch(each: User) -> list[str]:
            return [order.order_id async for order in each.orders.list(status="all", limit=size)]

        async with ct.poll([user], fetch, every=0.02) as results:
            first, second = await anext(results), await anext(results)
            assert (first.get(), first.changed) == (before, True)
            assert (second.get(), second.changed) == (before, False)
            await placed(user, account)
            async with asyncio.timeout(10):
                while not (items := await anext(results)).changed:
                    assert items.get() == before
            assert len(items.get()) == len(before) + 1


async def test_fetch_with_several_requests_is_one_poll_and_always_decoded() -> None:
    clock = SteppedClock()
    bodies = ["[]", "[]", "[]", "[]", "[]", '[{"account_id": "a"}]']
    async with ScriptedEnd(*[answer(body=body) for body in bodies]) as end, client(end, clock) as ct:

        async def fetch(user: User) -> int:
            return len(await user.accounts.list()) + len(await user.balances.list())

        async with ct.poll(make_users(ct, 1), fetch, every=1.0) as results:
            items: list[tuple[int, bool]] = []
            for _ in range(3):
                clock.advance(1.0)
                result = await anext(results)
                items.append((result.get(), result.changed))
            assert items == [(0, True), (0, False), (1, True)]


async def test_page_of_orders_and_raw_request_are_compared_too() -> None:
    clock = SteppedClock()
    async with ScriptedEnd() as end, client(end, clock) as ct:
        (user,) = make_users(ct, 1)
        async with ct.poll([user], lambda each: each.orders.list(), every=1.0) as pages:
            for changed in (True, False):
                clock.advance(1.0)
                page = await anext(pages)
                assert (page.changed, page.get().items) == (changed, ())
        async with ct.poll([user], lambda each: each.request("GET", "/x"), every=1.0) as replies:
            for changed in (True, False):
                clock.advance(1.0)
                reply = await anext(replies)
                assert (reply.changed, reply.get().body) == (changed, b"[]")
        assert end.seen[0].headers["user-secret"] == "whisper0"


async def test_user_requests_per_second_delays_requests_of_one_user() -> None:
    clock = SteppedClock()
    async with ScriptedEnd() as end, client(end, clock) as ct:

        async def fetch(user: User) -> None:
            for _ in range(3):
                await user.balances.list()

        async with ct.poll(make_users(ct, 1), fetch, every=1.0, user_requests_per_second=0.5) as results:
            clock.advance(1.0)
            await end.until_seen(1)
            for count in (2, 3):
                await settle()
                clock.advance(1.9)
                await asyncio.sleep(0.01)
                assert len(end.seen) == count - 1
                clock.advance(0.1)
                await end.until_seen(count)
            assert (await anext(results)).error is None
            clock.advance(1.0)
            await settle()  # the poller closes while the request waits


async def test_requests_per_second_limits_all_users_together() -> None:
    clock = SteppedClock()
    async with ScriptedEnd() as end, client(end, clock) as ct:
        async with ct.poll(
            make_users(ct, 20), lambda user: user.balances.list(), every=1.0, requests_per_second=5.0, concurrency=10
        ) as results:
            watcher = Watcher(results)
            for _ in range(400):
                clock.advance(0.05)
                await settle()
            await watcher.until(lambda: len(end.seen) >= 90)
            seen = results.statistics()
            assert len(end.seen) <= 5 * 20 + 5 + 1
            assert seen.running <= 10
            counts = Counter(request.headers["user-id"] for request in end.seen)
            assert len(counts) == 20
            assert max(counts.values()) - min(counts.values()) <= 1
            assert seen.skipped >= 20 * 20 - 150
            assert max(result.late for result in watcher.results) > 0.5
        await watcher.aclose()


async def test_fetch_that_cancels_itself_is_a_failure_and_keeps_its_worker() -> None:
    clock = SteppedClock()

    async def fetch(user: User) -> None:
        del user
        raise asyncio.CancelledError

    async with client(clock=clock) as ct, ct.poll(make_users(ct, 1), fetch, every=1.0, slowest=1.0) as results:
        for _ in range(2):
            await steps(clock, 3.0)
            assert isinstance((await anext(results)).error, CallerError)


async def test_closed_client_ends_the_poller_with_closed_error() -> None:
    async with ScriptedEnd() as end, client(end) as ct:
        poller = ct.poll(make_users(ct, 1), lambda user: user.balances.list(), every=0.01)
        async with poller as results:
            await anext(results)
            await ct.aclose()
            with pytest.raises(ClosedError, match="this client is closed"):
                async for _ in results:
                    pass
            with pytest.raises(ClosedError):
                async for _ in results.with_events():
                    pass
            assert results.statistics().state == "ENDED"
        with pytest.raises(ClosedError):
            await ct.poll([], lambda user: user.balances.list()).__aenter__()


async def test_closed_view_ends_its_own_poller_only() -> None:
    async with ScriptedEnd() as end, client(end) as ct:
        view = ct.with_options(retry=Retry(attempts=2))
        async with (
            view.poll(make_users(view, 1), lambda user: user.balances.list(), every=0.01) as closing,
            ct.poll(make_users(ct, 1), lambda user: user.balances.list(), every=0.01) as staying,
        ):
            await anext(closing)
            await view.aclose()
            async with asyncio.timeout(10):
                with pytest.raises(ClosedError, match="this client is closed"):
                    async for _ in closing:
                        pass
            before = staying.statistics().polls
            while staying.statistics().polls < before + 3:
                assert (await anext(staying)).error is None


async def test_closed_client_wakes_a_consumer_that_waits_for_a_distant_turn() -> None:
    clock = SteppedClock()
    async with (
        client(clock=clock) as ct,
        nothing_left(),
        ct.poll(make_users(ct, 1), lambda user: user.balances.list(), every=1e9) as results,
    ):
        waiting = asyncio.create_task(anext(results))
        await settle()
        clock.advance(100_000.0)
        await settle()
        assert not waiting.done()
        await ct.aclose()
        with pytest.raises(ClosedError, match="this client is closed"):
            await asyncio.wait_for(waiting, 10)


async def test_cancelling_a_worker_from_outside_ends_the_poller_with_an_error() -> None:
    clock, never = SteppedClock(), asyncio.Event()
    tasks: list[asyncio.Task[None] | None] = []

    async def fetch(user: User) -> None:
        del user
        tasks.append(asyncio.current_task())
        await never.wait()

    async with client(clock=clock) as ct, nothing_left(), ct.poll(make_users(ct, 1), fetch, every=1.0) as results:
        await steps(clock, 1.0)
        (task,) = tasks
        assert task is not None
        task.cancel()
        with pytest.raises(CallerError, match="cancelled from outside"):
            await asyncio.wait_for(anext(results), 10)
        assert results.statistics().state == "ENDED"


async def test_error_of_the_users_iterator_or_interval_function_is_raised_at_the_results() -> None:
    clock = SteppedClock()

    async def users() -> AsyncGenerator[User]:
        for user in make_users(ct, 1):
            if user.user_id == "u0":
                raise LookupError("the database is gone")
            yield user

    def every(user: User, last: object) -> float:
        del user
        return 1.0 if last is None else -1.0

    async def fetch(user: User) -> str:
        return user.user_id

    async with client(clock=clock) as ct, nothing_left():
        async with ct.poll(users(), fetch) as results:
            with pytest.raises(LookupError, match="database"):
                await anext(results)
        async with ct.poll(make_users(ct, 1), fetch, every=every) as results:
            await steps(clock, 1.0)
            assert (await anext(results)).get() == "u0"
            with pytest.raises(ConfigurationError, match="every must be"):
                await anext(results)
            await steps(clock, 5.0)


async def test_poller_closed_in_another_task_leaves_no_task() -> None:
    clock, never = SteppedClock(), asyncio.Event()

    async def fetch(user: User) -> None:
        del user
        await never.wait()

    async def users(ct_users: list[User]) -> AsyncGenerator[User]:
        for user in ct_users:
            yield user
        await never.wait()

    async with client(clock=clock) as ct, nothing_left():
        results = ct.poll(users(make_users(ct, 50)), fetch, every=1.0, concurrency=10)
        assert results.statistics().state == "NEW"
        await asyncio.create_task(results.__aenter__())
        with pytest.raises(ClosedError):
            await results.__aenter__()
        await steps(clock, 1.0)
        assert results.statistics().running == 10
        waiting = asyncio.create_task(anext(results))
        await settle()
        with pytest.raises(ConfigurationError, match="another task already waits"):
            await anext(results)
        await asyncio.create_task(results.aclose())
        with pytest.raises(StopAsyncIteration):
            await waiting
        await results.aclose()
        assert results.statistics().state == "CLOSED"
        with pytest.raises(ClosedError):
            await results.add(make_users(ct, 1)[0])


async def test_fetch_that_suppresses_cancellation_does_not_block_closing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    async def fetch(user: User) -> None:
        del user
        begun.set()
        while not end.is_set():
            try:
                await end.wait()
            except asyncio.CancelledError:
                continue

    async with client(timeouts=Timeouts(close=0.02)) as ct, nothing_left():
        async with ct.poll(make_users(ct, 1), fetch, every=0.01):
            await begun.wait()
            caplog.set_level("WARNING", "connecttrade_async.live")
        assert "1 cancelled tasks of a poller did not end" in caplog.text
        end.set()


async def test_failed_request_of_a_poll_is_not_retried() -> None:
    async with Sandbox(seed=7) as sandbox, sandbox_client(sandbox, retry=Retry(attempts=5)) as ct:
        user = ct.user("ada", (await ct.users.create("ada")).user_secret)
        sandbox.faults.add(Fault("status", status=503, path="/balances", times=1))
        async with ct.poll([user], lambda each: each.balances.list(), every=0.02) as results:
            first, second = await anext(results), await anext(results)
        assert isinstance(first.error, ServerError)
        assert second.get() == []
        assert ct.health().retries == 0


class BreakingClock(SteppedClock):
    """A clock that can raise, as an internal error of the poller would."""

    is_broken = False

    def now(self) -> float:
        if self.is_broken:
            raise LookupError("no time is left")
        return super().now()


async def test_internal_error_ends_the_poller_with_that_error() -> None:
    clock = BreakingClock()

    async def fetch(user: User) -> str:
        clock.is_broken = user.user_id == "u0"
        return user.user_id

    async with client(clock=clock) as ct, ct.poll(make_users(ct, 1), fetch, every=1.0) as results:
        clock.advance(1.0)
        with pytest.raises(LookupError, match="no time"):
            await anext(results)
        assert results.statistics().state == "ENDED"
        clock.is_broken = False


async def test_internal_error_while_taking_turns_ends_the_poller_and_not_its_caller() -> None:
    clock = BreakingClock()

    async def fetch(user: User) -> str:
        return user.user_id

    async with client(clock=clock) as ct, ct.poll(make_users(ct, 1), fetch, every=1.0) as results:
        clock.is_broken = True
        clock.advance(1.0)  # the timer wakes the workers, and its callback must not raise
        with pytest.raises(LookupError, match="no time"):
            await anext(results)
        clock.is_broken = False


async def test_hanging_probe_is_followed_by_another_probe() -> None:
    clock, never = SteppedClock(), asyncio.Event()
    polled: list[str] = []
    is_away = True

    async def fetch(user: User) -> str:
        polled.append(user.user_id)
        if len(polled) > 3 and user.user_id != "u0":
            await never.wait()
        if is_away:
            raise BROKEN
        return user.user_id

    async with client(clock=clock) as ct, nothing_left():
        async with ct.poll(make_users(ct, 3), fetch, every=10.0) as results:
            watcher = Watcher(results)
            await steps(clock, 12.0)
            assert [type(event) for event in watcher.events] == [Outage]
            is_away = False
            await steps(clock, 50.0)
            assert len(polled) <= 5  # one probe hangs, or succeeded and then other polls hang
            await steps(clock, 150.0, 0.5)
            assert [type(event) for event in watcher.events] == [Outage, OutageEnded]
            assert watcher.of("u0")[-1].error is None
        await watcher.aclose()


async def test_fetch_that_raises_generator_exit_ends_the_poller_with_an_error() -> None:
    clock = SteppedClock()

    async def fetch(user: User) -> None:
        del user
        raise GeneratorExit

    async with client(clock=clock) as ct, nothing_left(), ct.poll(make_users(ct, 1), fetch, every=1.0) as results:
        await steps(clock, 1.0)
        with pytest.raises(CallerError, match="ended by GeneratorExit") as caught:
            await asyncio.wait_for(anext(results), 10)
        assert isinstance(caught.value.__cause__, GeneratorExit)
        assert results.statistics().state == "ENDED"


async def test_outage_that_returns_at_once_keeps_its_long_delays_between_probes() -> None:
    clock, is_away = SteppedClock(), True
    polled = 0

    async def fetch(user: User) -> str:
        nonlocal polled, is_away
        polled += 1
        if results.statistics().state == "OUTAGE":  # each time only the probe succeeds
            return user.user_id
        if is_away:
            raise BROKEN
        return user.user_id

    async with client(clock=clock) as ct, ct.poll(make_users(ct, 5), fetch, every=0.1) as results:
        watcher = Watcher(results)
        await steps(clock, 300.0, 0.1)
        assert polled <= 6 * (5 + 300 / 15)
        outages = sum(isinstance(event, Outage) for event in watcher.events)
        assert 300 / 31 - 1 <= outages <= 5 + 300 / 15
        is_away = False
        await steps(clock, 35.0)
        assert results.statistics().state == "POLLING"
    await watcher.aclose()


async def test_users_that_failed_before_an_outage_have_turns_at_once_after_it() -> None:
    clock, is_away = SteppedClock(), True
    polled: Counter[str] = Counter()

    async def fetch(user: User) -> object:
        polled[user.user_id] += 1
        found = await user.positions.list()
        if is_away:
            raise BROKEN
        return found

    async with ScriptedEnd() as end, client(end, clock) as ct:
        async with ct.poll(make_users(ct, 4), fetch, every=10.0) as results:
            watcher = Watcher(results)
            while not watcher.events:
                clock.advance(0.5)
                await watcher.until_idle()
            is_away = False
            clock.advance(2.0)  # the first probe comes within a second
            await watcher.until_idle()
            assert [type(event) for event in watcher.events] == [Outage, OutageEnded]
            polled.clear()
            for _ in range(21):
                clock.advance(0.5)
                await watcher.until_idle()
            assert len(polled) >= 3  # the user that was the probe has had this turn
        await watcher.aclose()


async def test_overtaken_probe_does_not_block_the_probe_of_the_next_outage() -> None:
    clock, is_away = SteppedClock(), False
    polled: list[str] = []
    held: dict[str, asyncio.Event] = {}

    async def fetch(user: User) -> str:
        polled.append(user.user_id)
        if user.user_id in held:
            await held[user.user_id].wait()
        elif is_away:
            raise BROKEN
        return user.user_id

    async with client(clock=clock) as ct:
        async with ct.poll(make_users(ct, 6), fetch, every=10.0, concurrency=4) as results:
            watcher = Watcher(results)
            await steps(clock, 10.0)
            order = polled[:6]
            assert len(set(order)) == 6
            # The first is slow, the next four fail, and the last, without a failure so far, is the probe.
            held.update({order[0]: asyncio.Event(), order[5]: asyncio.Event()})
            is_away = True
            await steps(clock, 11.0)
            assert polled[6:] == order
            assert [type(event) for event in watcher.events] == [Outage]
            is_away = False
            held.pop(order[0]).set()  # the poll that began before the outage succeeds before the probe
            await settle()
            assert [type(event) for event in watcher.events] == [Outage, OutageEnded]
            held.pop(order[5]).set()
            await steps(clock, 30.0)
            polled.clear()
            while polled[-1:] != order[5:]:
                await steps(clock, 0.1)
            is_away = True  # four other users fail
            await steps(clock, 60.0)
            assert [type(event) for event in watcher.events] == [Outage, OutageEnded, Outage]
            is_away = False
            await steps(clock, 31.0)
            assert [type(event) for event in watcher.events] == [Outage, OutageEnded, Outage, OutageEnded]
        await watcher.aclose()


async def test_statistics_count_each_poll_once_by_its_outcome() -> None:
    clock = SteppedClock()
    acts = [answer(body="[]"), answer(body="[]"), answer(500, NO), answer(body="[]"), answer(body="[]")]
    async with (
        ScriptedEnd(*acts) as end,
        client(end, clock) as ct,
        ct.poll(make_users(ct, 1), lambda user: user.balances.list(), every=1.0, slowest=0.1) as results,
    ):
        seen: list[tuple[int, int, int, int]] = []
        for _ in range(5):
            while not results.statistics().waiting:
                clock.advance(0.5)
                await asyncio.sleep(0.001)
            await anext(results)
            now = results.statistics()
            seen.append((now.polls, now.unchanged, now.failures, now.failing))
        assert seen == [(1, 0, 0, 0), (2, 1, 0, 0), (3, 1, 1, 1), (4, 1, 1, 0), (5, 2, 1, 0)]


async def test_removed_user_leaves_no_rate_limit_and_no_failure_behind() -> None:
    clock = SteppedClock()
    async with ScriptedEnd(answer(500, NO), answer()) as end, client(end, clock) as ct:
        (user,) = make_users(ct, 1)
        async with ct.poll(
            [user], lambda each: each.balances.list(), every=1.0, user_requests_per_second=0.001
        ) as results:
            clock.advance(1.0)
            assert isinstance((await anext(results)).error, ServerError)
            assert results.statistics().failing == 1
            await results.remove(user)
            assert (results.statistics().failing, results.statistics().users) == (0, 0)
            await results.add(user)
            clock.advance(1.0)  # not the thousand seconds that its next request would have waited
            assert (await anext(results)).get() == []
            assert results.statistics().failing == 0


async def test_users_parked_within_a_minute_are_logged_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    clock, names = SteppedClock(), {"u0", "u1", "u2"}

    async def fetch(user: User) -> None:
        if user.user_id in names:
            raise AuthenticationError(status=401, **FACTS)

    caplog.set_level("DEBUG", "connecttrade_async.live")
    async with client(clock=clock) as ct, ct.poll(make_users(ct, 6), fetch, every=5.0, slowest=5.0) as results:
        watcher = Watcher(results)
        await minutes(clock, watcher, 3)
        assert set(results.parked) == names
        levels = [record.levelname for record in caplog.records if "polled rarely" in record.getMessage()]
        assert sorted(levels) == ["DEBUG", "DEBUG", "WARNING"]
        await results.remove(watcher.of("u0")[0].user)
        assert set(results.parked) == {"u1", "u2"}
        names.clear()
        await minutes(clock, watcher, 12)
        assert [record.getMessage() for record in caplog.records].count("secret of a parked user accepted again") == 2
    await watcher.aclose()
