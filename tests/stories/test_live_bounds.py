"""Live accounts keep their bounds of time and requests for any answers of the server."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from connecttrade_async import Endpoints, RateLimitedError, RequestTimeoutError, Retry, ServerError
from connecttrade_async.sandbox import Fault, Sandbox
from live_fixtures import bare_newcomer, nothing_of_ours_left
from manual_clock import SteppedClock
from scripted_server import ScriptedEnd, answer
from stream_fixtures import PATIENCE, client

if TYPE_CHECKING:
    from asyncio import StreamWriter
    from collections.abc import Callable

    from connecttrade_async import ConnectTrade
    from connecttrade_async.live.accounts import LiveAccounts

ONCE = Retry(attempts=1)
ASKED = [
    ("30", 30.0),
    ("600", 600.0),
    ("31536000", 600.0),
    ("9" * 400, 600.0),
    ("Fri, 01 Jan 2999 00:00:00 GMT", 600.0),
    ("0", 0.0),
    ("Thu, 01 Jan 1998 00:00:00 GMT", 0.0),
]


@pytest.mark.parametrize(("retry_after", "seconds"), ASKED)
@pytest.mark.parametrize(("status", "kind"), [(429, RateLimitedError), (503, ServerError)])
async def test_retry_after_of_any_size_is_bounded_and_at_least_the_own_backoff(
    status: int, kind: type[Exception], retry_after: str, seconds: float
) -> None:
    clock = SteppedClock()
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox, clock=clock, retry=ONCE) as ct:
        ada, account = bare_newcomer(sandbox, ct, "ada")
        sandbox.faults.add(Fault("status", status=status, path="/positions", retry_after=retry_after, times=1))
        async with ct.live([ada], sweep_every=None) as live:
            assert isinstance(live.failed["ada"], kind)
            served = sandbox.requests.total
            # The backoff of this client is at least half of 0.01 s.
            clock.advance(max(seconds - 0.1, 0.004))
            await turns()
            assert (sandbox.requests.total, list(live.failed)) == (served, ["ada"])
            clock.advance(0.1 + 0.04)
            await all_read(live)
            assert (dict(live.failed), live.book(account).is_current) == ({}, True)


async def all_read(live: LiveAccounts) -> None:
    await live.wait(lambda live: live.is_current and not live.failed, timeout=PATIENCE)


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0.001)


@pytest.mark.parametrize(("status", "is_for_all"), [(429, True), (503, False)])
async def test_rate_limit_delays_all_users_and_an_outage_of_one_user_only_that_user(
    status: int, *, is_for_all: bool
) -> None:
    clock = SteppedClock()
    async with Sandbox(seed=2, latency=0) as sandbox, client(sandbox, clock=clock, retry=ONCE) as ct:
        (ada, _), (bob, other) = (bare_newcomer(sandbox, ct, name) for name in ("ada", "bob"))
        async with ct.live([], sweep_every=None) as live:
            sandbox.faults.add(Fault("status", status=status, path="/balances", retry_after="100", times=1))
            await live.add(ada)
            adding = asyncio.create_task(live.add(bob))
            await turns()
            assert adding.done() is not is_for_all
            clock.advance(100.0)
            await adding
            assert live.book(other).is_current
            clock.advance(1.0)
            await all_read(live)
            assert dict(live.failed) == {}


async def test_rate_limits_without_retry_after_make_the_pauses_of_all_users_grow() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=3, latency=0) as sandbox, client(sandbox, clock=clock, retry=ONCE) as ct:
        users = [bare_newcomer(sandbox, ct, f"u{number}")[0] for number in range(20)]
        sandbox.faults.add(Fault("status", status=429, path="/balances", retry_after="0", times=None))
        async with ct.live([], sweep_every=None, concurrency=1) as live:
            adding = asyncio.create_task(live.add(users[0]))
            await turns()
            adding_more = [asyncio.create_task(live.add(user)) for user in users[1:]]
            served = sandbox.requests.total
            await turns()
            # No user is read during the pause after the first answer.
            assert sandbox.requests.total == served
            for _ in range(40):
                clock.advance(0.02)
                await turns()
            await asyncio.gather(adding, *adding_more)
            # One request for each pause of at least half of 0.01 s.
            assert sandbox.requests.total - served <= 40 * 0.02 / 0.005
            assert len(live.failed) == 20


# --- listings without an end


class Books:
    """Serves users with one account each; the orders of some of them have no end."""

    def __init__(self, endless: set[str], at_a_page: Callable[[], object] = bool) -> None:
        self.endless = endless
        self.at_a_page = at_a_page
        self.pages = Counter[str]()
        self.end = ScriptedEnd(self.serve)

    async def serve(self, writer: StreamWriter) -> bool:
        seen = self.end.seen[-1]
        url, user_id = urlsplit(seen.target), seen.headers["user-id"]
        if url.path == "/balances":
            return await answer(body=json.dumps([{"account_id": f"of {user_id}", "cash": "1"}]))(writer)
        if url.path != "/orders":
            return await answer()(writer)
        self.pages[user_id] += 1
        self.at_a_page()
        number = self.pages[user_id]
        report: dict[str, Any] = {"orders": [{"order_id": f"{user_id}{number}", "account_id": f"of {user_id}"}]}
        if user_id in self.endless:
            assert parse_qs(url.query).get("next_cursor", ["c"])[0].startswith("c")
            report["next_cursor"] = f"c{number}"
        return await answer(body=json.dumps(report))(writer)

    def client(self, sandbox: Sandbox, clock: SteppedClock) -> ConnectTrade:
        return client(sandbox, clock=clock, retry=ONCE, endpoints=Endpoints(self.end.url, sandbox.endpoints.stream))


async def test_endless_listing_fails_its_user_and_the_others_open() -> None:
    clock, books = SteppedClock(), Books({"ada"})
    async with Sandbox(seed=4, latency=0) as sandbox, books.end, nothing_of_ours_left():
        ct = books.client(sandbox, clock)
        users = [ct.user(name, "hush") for name in ("ada", "bob")]
        async with asyncio.timeout(PATIENCE), ct, ct.live(users, sweep_every=None, snapshot_pages=5) as live:
            assert list(live.failed) == ["ada"]
            assert "no end after 5 pages; where that is right, raise snapshot_pages" in str(live.failed["ada"])
            assert live.book("of bob").is_current
            assert "of ada" not in {book.account_id for book in live.books()}
            assert books.pages["ada"] <= 7
            # It is read again after half a minute at least, because it costs many requests.
            clock.advance(29.0)
            await turns()
            assert books.pages["ada"] <= 7
            books.endless.clear()
            clock.advance(31.0)
            await all_read(live)
            assert (dict(live.failed), live.book("of ada").is_current) == ({}, True)


async def test_endless_listing_after_a_gap_makes_only_its_user_not_current() -> None:
    clock, books = SteppedClock(), Books(set())
    async with Sandbox(seed=5, latency=0) as sandbox, books.end, books.client(sandbox, clock) as ct:
        users = [ct.user(name, "hush") for name in ("ada", "bob")]
        async with ct.live(users, sweep_every=None, snapshot_pages=3) as live:
            assert live.is_current
            books.endless.add("ada")
            sandbox.stream.reset()
            await live.wait(lambda live: live.health().state == "AWAY", timeout=PATIENCE)
            await turns()
            clock.advance(1.0)
            await live.wait(lambda live: list(live.failed) == ["ada"], timeout=PATIENCE)
            assert not live.book("of ada").is_current
            assert live.book("of bob").is_current


async def test_pages_that_take_too_long_together_fail_their_user() -> None:
    clock = SteppedClock()
    books = Books({"ada"}, lambda: clock.advance(10.0))
    async with Sandbox(seed=6, latency=0) as sandbox, books.end, books.client(sandbox, clock) as ct:
        users = [ct.user("ada", "hush")]
        async with ct.live(users, sweep_every=None, snapshot_timeout=35.0) as live:
            assert isinstance(live.failed["ada"], RequestTimeoutError)
            assert "took longer than 35 s" in str(live.failed["ada"])
            assert 4 <= books.pages["ada"] <= 6


async def test_wait_for_a_turn_does_not_count_as_snapshot_time() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=7, latency=0) as sandbox, client(sandbox, clock=clock) as ct, nothing_of_ours_left():
        ada, account = bare_newcomer(sandbox, ct, "ada")
        settings: dict[str, Any] = {"requests_per_second": 0.01, "snapshot_timeout": 150.0}
        opening = asyncio.create_task(ct.live([ada], sweep_every=None, **settings).__aenter__())
        async with asyncio.timeout(PATIENCE):
            while not opening.done():
                await turns()
                clock.advance(50.0)
        live = await opening
        assert live.book(account).is_current
        await live.aclose()


# --- opening


async def test_opening_ends_without_progress_and_lists_unread_users_in_failed() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=8, latency=0) as sandbox, client(sandbox, clock=clock, retry=ONCE) as ct:
        names = ("ada", "bob", "cid")
        users = [bare_newcomer(sandbox, ct, name)[0] for name in names]
        sandbox.faults.add(Fault("status", status=429, path="/balances", retry_after="600", times=1))
        live = ct.live(users, sweep_every=None, concurrency=1, snapshot_timeout=200.0)
        opening = asyncio.create_task(live.__aenter__())
        async with asyncio.timeout(PATIENCE):
            while "ada" not in live.failed:
                await turns()
            # The first check sees that the first user failed, the second that there was no progress since.
            for _ in range(2):
                assert not opening.done()
                clock.advance(200.0)
                await turns()
            await opening
        assert set(live.failed) == set(names)
        assert isinstance(live.failed["bob"], RequestTimeoutError)
        assert "user bob was not read and there was no progress for 200 s" in str(live.failed["bob"])
        clock.advance(201.0)
        await all_read(live)
        assert dict(live.failed) == {}
        await live.aclose()


@pytest.mark.parametrize("wrong", [0, -1, True, "1", float("inf"), float("nan")])
async def test_invalid_bound_raises(wrong: Any) -> None:
    async with Sandbox(seed=9, latency=0) as sandbox, client(sandbox) as ct:
        with pytest.raises(ValueError, match="snapshot_timeout must be a positive number of seconds, got"):
            ct.live(snapshot_timeout=wrong)
        with pytest.raises(ValueError, match="snapshot_pages must be"):
            ct.live(snapshot_pages=wrong)
