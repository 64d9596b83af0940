"""Many users on one poller: fair turns with slow users, with users that are added and removed, and over a long time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from manual_clock import SteppedClock
from poll_fixtures import Watcher, client, make_users, settle, steps
from stream_fixtures import nothing_left

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from connecttrade_async import User


async def test_poller_with_one_slow_user_polls_the_other_users_on_time() -> None:
    clock, never = SteppedClock(), asyncio.Event()
    polled: Counter[str] = Counter()

    async def fetch(user: User) -> str:
        polled[user.user_id] += 1
        if user.user_id == "u500":
            await never.wait()
        return user.user_id

    async with client(clock=clock) as ct, nothing_left(), ct.poll(make_users(ct, 1000), fetch, every=10.0) as results:
        watcher = Watcher(results)
        await steps(clock, 50.0, 0.5)
        assert polled.pop("u500") == 1  # a user is not polled again during its poll
        # The phase is random, and a user with a turn at the very begin has another at the very end.
        assert set(polled.values()) - {6} == {5}
        assert polled.total() <= 999 * 5 + 1
        assert max(result.late for result in watcher.results) < 0.5
        assert results.statistics().skipped == 4
        never.set()
        await settle()  # its turn may come with the next step
        await steps(clock, 10.0)
        assert len(watcher.of("u500")) == 2
        assert watcher.of("u500")[0].latency >= 40
    await watcher.aclose()


async def test_poller_turns_do_not_drift_in_a_day() -> None:
    clock = SteppedClock()
    polled: dict[str, list[float]] = defaultdict(list)

    async def fetch(user: User) -> None:
        polled[user.user_id].append(clock.now())

    async with client(clock=clock) as ct, ct.poll(make_users(ct, 5), fetch, every=600.0) as results:
        watcher = Watcher(results)
        for _ in range(24 * 60):
            clock.advance(60.0)
            await settle()
        assert {len(moments) for moments in polled.values()} == {144}
        for moments in polled.values():
            assert moments[-1] - moments[0] == 143 * 600.0
        dues = [result.due for result in watcher.of("u3")]
        assert (dues[-1] - dues[0]).total_seconds() == pytest.approx(143 * 600.0, abs=1e-3)
    await watcher.aclose()


async def test_poller_users_can_be_added_and_removed_while_it_runs() -> None:
    clock = SteppedClock()

    async def fetch(user: User) -> str:
        return user.user_id

    async with client(clock=clock) as ct, nothing_left():
        users = make_users(ct, 6)
        more = asyncio.Event()

        async def stored_users() -> AsyncGenerator[User]:
            for user in users[:3]:
                yield user
            await more.wait()
            yield users[3]

        async with ct.poll(stored_users(), fetch, every=1.0) as results:
            watcher = Watcher(results)
            await steps(clock, 2.0)
            assert {result.user.user_id for result in watcher.results} == {"u0", "u1", "u2"}
            more.set()
            await results.add(users[4])
            await results.remove(users[0])
            await results.remove(users[5])  # was never added
            watcher.results.clear()
            await steps(clock, 3.0)
            counts = Counter(result.user.user_id for result in watcher.results)
            assert sorted(counts) == ["u1", "u2", "u3", "u4"]
            assert min(counts.values()) >= 2
            assert all(result.user is users[int(result.user.user_id[1:])] for result in watcher.results)
            other = ct.user("u1", "renewed")
            await results.add(other)
            await results.add(users[0])
            watcher.results.clear()
            await steps(clock, 2.0)
            assert {result.user for result in watcher.results} == {users[0], other, *users[2:5]}
            assert results.statistics().users == 5
        await watcher.aclose()


async def test_poller_with_two_handles_of_one_user_uses_the_later() -> None:
    clock = SteppedClock()
    polled: list[User] = []

    async def fetch(user: User) -> str:
        polled.append(user)
        return user.user_id

    async with client(clock=clock) as ct:
        old, new = ct.user("u0", "old"), ct.user("u0", "new")
        async with ct.poll([old, new], fetch, every=1.0) as results:
            watcher = Watcher(results)
            await steps(clock, 5.0)
            assert (len(polled), results.statistics().users) == (5, 1)
            assert {result.user for result in watcher.results} == {new}
        await watcher.aclose()


async def test_two_pollers_of_the_same_users_are_not_in_step() -> None:
    clock = SteppedClock()

    async def fetch(user: User) -> str:
        return user.user_id

    async with client(clock=clock) as ct:
        first: list[float] = []
        for _ in range(2):
            clock.asked.clear()
            async with ct.poll(make_users(ct, 1), fetch, every=1000.0):
                first += [delay for delay in clock.asked if delay <= 1000.0]
        assert len(set(first)) == 2


async def test_poller_remove_drops_queued_results_of_the_user() -> None:
    clock, held = SteppedClock(), asyncio.Event()

    async def fetch(user: User) -> None:
        if user.user_id == "u1":
            await held.wait()

    async with client(clock=clock) as ct:
        users = make_users(ct, 3)
        async with ct.poll(users, fetch, every=1.0) as results:
            await steps(clock, 1.0)
            assert results.statistics().waiting == 2
            await results.remove(users[0])
            await results.remove(users[1])
            held.set()
            await settle()
            assert results.statistics().waiting == 1
            assert (await anext(results)).user is users[2]


def each_second(_user: User, _last: object) -> float:
    return 1.0


@pytest.mark.parametrize("every", [1.0, each_second], ids=["one", "own"])
async def test_user_added_again_during_its_poll_is_not_polled_twice_at_once(every: Any) -> None:
    clock, held = SteppedClock(), asyncio.Event()
    now = most = 0

    async def fetch(user: User) -> str:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await held.wait()
        now -= 1
        return user.user_id

    async with client(clock=clock) as ct, nothing_left():
        (user,) = make_users(ct, 1)
        again = ct.user("u0", "renewed")
        async with ct.poll([user], fetch, every=every) as results:
            await steps(clock, 1.0)
            for _ in range(2):
                await results.remove(user)
                await results.add(again)
            await steps(clock, 5.0)
            assert (most, results.statistics().users, results.statistics().running) == (1, 1, 1)
            held.set()
            await steps(clock, 3.0)
            assert most == 1
            assert (await anext(results)).user is again
            assert 2 <= results.statistics().polls - 1 <= 3


async def test_poller_after_a_blocked_event_loop_skips_missed_turns_and_reports_lateness() -> None:
    polled: list[str] = []

    async def fetch(user: User) -> None:
        polled.append(user.user_id)

    async with client() as ct, ct.poll(make_users(ct, 20), fetch, every=0.02, capacity=100) as results:
        watcher = Watcher(results)
        await watcher.until(lambda: len(watcher.results) >= 40)
        skipped = results.statistics().skipped
        polled.clear()
        watcher.results.clear()
        time.sleep(0.3)  # noqa: ASYNC251 - blocking the loop is the test
        # Some of the results may be of polls that began before.
        await watcher.until(lambda: len(watcher.results) >= 20 and len(polled) >= 20)
        assert len(set(polled[:20])) == 20
        assert max(result.late for result in watcher.results) >= 0.28
        assert results.statistics().skipped >= skipped + 20 * 10
    await watcher.aclose()


async def test_poller_with_an_interval_function_polls_each_user_at_its_own() -> None:
    clock = SteppedClock()
    seen: list[object] = []

    async def fetch(user: User) -> str:
        return user.user_id

    def every(user: User, last: object) -> float:
        seen.append(last)
        return 1.0 if user.user_id == "u0" else 5.0

    async with client(clock=clock) as ct, ct.poll(make_users(ct, 2), fetch, every=every) as results:
        watcher = Watcher(results)
        await steps(clock, 20.0)
        assert len(watcher.of("u0")) == 20
        assert len(watcher.of("u1")) == 4
        assert seen[:2] == [None, None]
        assert seen[2:] == watcher.results
    await watcher.aclose()


async def test_poller_with_a_slow_consumer_polls_less_and_reports_lateness() -> None:
    clock = SteppedClock()
    polled = 0

    async def fetch(user: User) -> str:
        nonlocal polled
        polled += 1
        return user.user_id

    async with client(clock=clock) as ct, ct.poll(make_users(ct, 10), fetch, every=1.0, capacity=5) as results:
        await steps(clock, 30.0)
        assert polled == results.statistics().waiting == 5  # not three hundred
        taken = [await anext(results) for _ in range(5)]
        assert [result.late < 0.2 for result in taken] == [True] * 5
        await settle()
        late = await anext(results)
        assert late.late > 25
        assert results.statistics().skipped >= 10 * 25
        # Missed turns are not made up for.
        watcher = Watcher(results)
        await steps(clock, 3.0)
        assert len(watcher.results) <= 10 + 3 * 10
    await watcher.aclose()
