"""A token of 24 hours: it ends, it is renewed, somebody else replaces it; and it is never seen."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pytest

from connecttrade_async import MarketDataRefusedError, Retry, SessionTakenError, Timeouts
from connecttrade_async.models.events import StreamLive, StreamLost
from connecttrade_async.models.market import Trade
from connecttrade_async.sandbox import Fault, Sandbox
from connecttrade_async.sandbox.world import tick_of
from manual_clock import BEGIN, SteppedClock
from market_data_fixtures import gap, linked, market, story, taken, trade
from stream_fixtures import PATIENCE, client, nothing_left, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from connecttrade_async import User
    from connecttrade_async.market_data.stream import MarketDataStream

T = TypeVar("T")
DAY = 24 * 3600
EARLY = 900


class Opened:
    """Market data whose two clocks are stepped together."""

    def __init__(self, sandbox: Sandbox, user: User, connection_id: str, clock: SteppedClock) -> None:
        self.sandbox = sandbox
        self.user = user
        self.connection_id = connection_id
        self.md = user.market_data(connection_id)
        self._clock = clock

    def step(self, seconds: float) -> None:
        self.sandbox.clock.advance(seconds)
        self._clock.advance(seconds)

    async def meanwhile(self, awaited: Coroutine[Any, Any, T]) -> T:
        """Wait for something while time goes on, a little faster than it does."""
        task = asyncio.create_task(awaited)
        while not task.done():
            self.step(0.02)
            await asyncio.sleep(0.001)
        return await task

    @property
    def token(self) -> str:
        """The one that is active, by the sandbox's word."""
        token = self.sandbox.world.users["ada"].connections[self.connection_id].token
        assert token is not None
        return token.text

    @property
    def logins(self) -> int:
        return self.sandbox.market.log.received["authenticate"]

    async def until_logins(self, times: int) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.sandbox.market.until_received("authenticate", times)


@contextlib.asynccontextmanager
async def opened(displaces: Literal["older", "newer", "neither"] = "older", ahead: float = 0) -> AsyncGenerator[Opened]:
    clock, patience = SteppedClock(), Timeouts(login=30.0, close=1.0)
    async with (
        Sandbox(seed=7) as sandbox,
        client(sandbox, clock=clock, timeouts=patience, retry=Retry(attempts=1)) as ct,
    ):
        sandbox.clock.hold(BEGIN + timedelta(seconds=ahead))
        sandbox.market.displaces = displaces
        one = Opened(sandbox, *await linked(sandbox, ct), clock)
        async with nothing_left(), one.md:
            yield one


async def left_by_the_old_link(one: Opened) -> None:
    async with asyncio.timeout(PATIENCE):
        await one.sandbox.market.log.until(lambda: len(one.sandbox.market.sessions) == 1)


async def test_it_is_renewed_before_it_ends_and_not_a_print_is_lost_or_told_twice() -> None:
    async with opened("neither") as one:
        one.step(DAY - EARLY - 10)
        begin = one.sandbox.clock.now()
        async with one.md.trades("AAPL", "MSFT") as trades:
            for _ in range(40):
                one.step(0.25)
            await one.until_logins(2)
            # Both links stand for a while, and each is told all.
            for _ in range(20):
                one.sandbox.clock.advance(0.25)
                await asyncio.sleep(0)
            await left_by_the_old_link(one)
            for _ in range(240):
                one.sandbox.clock.advance(0.25)
            end = one.sandbox.clock.now()
            told: list[Any] = []
            truth: list[Any] = []
            for symbol in ("AAPL", "MSFT"):
                prints = one.sandbox.world.tape.prints(symbol, tick_of(begin) + 1, tick_of(end) + 1)
                truth += [(symbol, found.at, found.price, found.size) for found in prints]
            assert truth
            for event in await taken(trades, len(truth)):
                assert isinstance(event, Trade)
                told.append((event.symbol, event.time, event.price, event.size))
            await one.md.list_subscriptions()  # whatever came before the answer has been told
            assert trades.statistics().waiting == 0
            assert sorted(told) == sorted(truth)
            assert (one.md.health().state, one.md.health().gaps, one.logins) == ("LIVE", 0, 2)


async def test_day_after_day_each_token_is_renewed_once() -> None:
    async with opened("neither") as one, one.md.trades("AAPL") as trades:
        seen = {one.token}
        for day in range(5):
            one.step(DAY - EARLY)
            await one.until_logins(2 + day)
            await left_by_the_old_link(one)
            await one.md.list_subscriptions()
            seen.add(one.token)
        trade(one.sandbox, 4711)
        while story(await taken(trades, 1)) != [4711]:
            pass
        assert (one.logins, len(seen), one.md.health().gaps) == (6, 6, 0)


@pytest.mark.parametrize("displaces", ["older", "newer"])
async def test_where_no_second_link_is_allowed_the_gap_is_short_and_told(
    displaces: Literal["older", "newer"],
) -> None:
    async with opened(displaces) as one, one.md.trades("AAPL") as trades:
        one.sandbox.market.silent = True  # nothing but what is told below
        one.step(DAY - EARLY)
        await one.meanwhile(one.until_logins(2 if displaces == "older" else 3))
        one.sandbox.market.silent = False
        missed = await one.meanwhile(gap(trades))
        assert missed.until - missed.since < timedelta(seconds=DAY)
        trade(one.sandbox, 1)
        assert story(await taken(trades, 1)) == [1]
        assert one.md.health().gaps == 1
        assert len(one.sandbox.market.sessions) == 1


async def test_a_server_that_ends_a_link_with_its_token_is_met_again_with_the_new_one() -> None:
    async with opened("neither") as one, one.md.trades("AAPL") as trades:
        one.sandbox.market.replaced = "ends"
        one.sandbox.market.silent = True
        one.step(DAY - EARLY)
        await one.until_logins(2)
        one.sandbox.market.silent = False
        await gap(trades)
        trade(one.sandbox, 1)
        assert story(await taken(trades, 1)) == [1]


async def test_one_that_could_not_be_renewed_ends_while_live_and_a_new_one_is_got(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opened("neither") as one, one.md.subscribe("lifecycle") as life, one.md.trades("AAPL") as trades:
        one.sandbox.market.silent = True
        down = Fault("status", path="/connections", times=None, status=500)
        one.sandbox.faults.add(down)
        one.step(DAY - EARLY)
        while "could not be renewed" not in caplog.text:
            await one.md.list_subscriptions()
        assert one.sandbox.faults.armed[0].fired
        assert one.md.health().state == "LIVE"
        one.sandbox.faults.clear()
        one.sandbox.clock.advance(EARLY)  # the server's clock is ahead of ours
        assert "expired" in (await until(life, StreamLost)).cause
        await one.meanwhile(until(life, StreamLive))
        one.sandbox.market.silent = False
        await gap(trades)
        trade(one.sandbox, 1)
        assert story(await taken(trades, 1)) == [1]
        assert one.logins == 2


async def test_one_that_somebody_else_replaced_is_not_fought_over() -> None:
    async with opened() as one, one.md.trades("AAPL") as trades:
        theirs = one.sandbox.market.replace_token(one.connection_id)
        trade(one.sandbox, 1)  # the link that stands goes on
        assert story(await taken(trades, 1)) == [1]
        one.sandbox.market.reset()
        with pytest.raises(SessionTakenError, match="newer token"):
            await one.meanwhile(gap(trades))
        assert (one.token, one.logins) == (theirs, 2)


async def test_where_a_replaced_token_ends_the_link_that_is_the_end() -> None:
    async with opened() as one, one.md.trades("AAPL") as trades:
        one.sandbox.market.replaced = "ends"
        theirs = one.sandbox.market.replace_token(one.connection_id)
        with pytest.raises(SessionTakenError, match="newer token"):
            await gap(trades)
        assert (one.token, one.logins) == (theirs, 1)


async def test_another_client_of_the_same_user_displaces_this_one_and_neither_fights() -> None:
    async with opened() as one, one.md.trades("AAPL") as trades:
        secret = one.sandbox.world.users["ada"].secret
        async with client(one.sandbox) as other:
            theirs = other.user("ada", secret).market_data(one.connection_id)
            async with theirs, theirs.trades("AAPL") as hers:
                with pytest.raises(SessionTakenError):
                    await gap(trades)
                trade(one.sandbox, 1)
                assert story(await taken(hers, 1)) == [1]
                assert theirs.health().gaps == 0


async def test_a_clock_of_ours_that_is_days_ahead_makes_no_token_after_another() -> None:
    # The client's clock is the machine's, the sandbox's stands long ago: each token seems to have ended when it comes.
    async with market() as (sandbox, md), nothing_left(), md, md.quotes("AAPL"):
        for _ in range(100):
            await md.list_subscriptions()
        assert sandbox.market.log.received["authenticate"] == 1


async def test_a_clock_of_ours_that_is_days_behind_renews_in_time_all_the_same() -> None:
    async with opened("neither", ahead=10 * DAY) as one:
        one.step(DAY - EARLY)
        await one.until_logins(2)
        await left_by_the_old_link(one)
        assert (one.md.health().state, one.md.health().gaps) == ("LIVE", 0)


async def ended(feed: Any) -> None:
    async for _ in feed:
        pass


async def reprs(md: MarketDataStream, feed: Any) -> str:
    return "".join(map(repr, (md, feed, md.health(), feed.statistics(), vars(md), await md.list_subscriptions())))


async def test_no_token_is_ever_seen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []
    async with opened("neither") as one, one.md.subscribe("unknown", "lifecycle") as odd, one.md.trades("A") as trades:
        tokens = [one.token]
        for word in (one.token, f'{{"type": "{one.token}"}}', f'{{"type": "trade", "symbol": ["{one.token}"]}}'):
            one.sandbox.market.send(word)
        one.sandbox.market.refuse("F", f"The token {one.token} does not allow F.")
        for asked in (trades.add("F"), one.md.history("F")):
            with pytest.raises(MarketDataRefusedError) as refused:
                await asked
            seen += traceback.format_exception(refused.value)
        seen.append(await reprs(one.md, trades))
        one.step(DAY - EARLY)
        await one.until_logins(2)
        await left_by_the_old_link(one)
        tokens.append(one.token)
        one.sandbox.market.drop(1011, f"no more of {one.token}"[:120])
        await one.meanwhile(one.sandbox.market.until_live(3))
        one.sandbox.market.reset()
        tokens.append(one.sandbox.market.replace_token(one.connection_id))
        with pytest.raises(SessionTakenError) as taken_by:
            await one.meanwhile(ended(trades))
        seen += traceback.format_exception(taken_by.value)
        with contextlib.suppress(Exception):
            while True:
                seen.append(repr(await odd.receive()))
    everything = "\n".join([*seen, caplog.text, *(str(record.args) for record in caplog.records)])
    assert "does not allow F" in everything
    assert len(set(tokens)) == 3
    assert not [token for token in tokens if token in everything]
