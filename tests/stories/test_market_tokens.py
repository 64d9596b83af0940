"""A stream token of 24 hours: it ends, is renewed, is replaced by another client, and is never shown."""

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
from connecttrade_async.sandbox import Fault, Sandbox
from manual_clock import BEGIN, SteppedClock
from market_data_fixtures import gap, linked, market, story, taken, trade
from stream_fixtures import PATIENCE, client, nothing_left, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from connecttrade_async import User
    from connecttrade_async.market_data.stream import MarketDataStream

T = TypeVar("T")
DAY = 24 * 3600
LATEST = 300  # seconds before its end when a token is renewed at the latest


class Opened:
    """A market data stream with the clocks of client and sandbox, stepped together."""

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
        """Await something while both clocks advance, faster than real time."""
        task = asyncio.create_task(awaited)
        while not task.done():
            self.step(0.02)
            await asyncio.sleep(0.001)
        return await task

    @property
    def token(self) -> str:
        """The active token of the sandbox."""
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


async def until_renewed(one: Opened) -> None:
    """Let the sandbox send again; wait until the client is live on its new connection, and the old one is closed."""
    one.sandbox.market.silent = False
    async with asyncio.timeout(PATIENCE):
        await one.sandbox.market.log.until(lambda: len(one.sandbox.market.sessions) == 1)
        while one.md.health().state != "LIVE":  # noqa: ASYNC110 - no event reports it
            await asyncio.sleep(0)


async def test_renewal_yields_one_gap_and_every_trade_before_and_after_it_once() -> None:
    async with opened() as one, one.md.trades("AAPL", "MSFT") as trades:
        trade(one.sandbox, 1, 2)
        assert story(await taken(trades, 2)) == [1, 2]
        one.sandbox.market.silent = True  # only the trades of this test
        one.step(DAY - LATEST)
        await one.until_logins(2)
        await until_renewed(one)
        missed = await gap(trades)
        assert missed.cause == "token renewed"
        trade(one.sandbox, 3)
        trade(one.sandbox, 4, symbol="MSFT")
        assert story(await taken(trades, 2)) == [3, 4]
        await one.md.list_subscriptions()  # its reply follows every event
        assert trades.statistics().waiting == 0
        assert (one.md.health().state, one.md.health().gaps, one.logins) == ("LIVE", 1, 2)


async def test_renewal_fills_the_bars_of_its_gap() -> None:
    async with opened() as one, one.md.bars("AAPL", backfill=1, fill_gaps=True) as bars:
        [first] = await taken(bars, 1)
        one.sandbox.market.silent = True
        one.step(DAY - LATEST)
        await one.until_logins(2)
        await until_renewed(one)
        events = await taken(bars, 30)
        starts = [event.start_time for event in events]
        assert starts == sorted(starts)
        assert starts[0] <= first.start_time + timedelta(minutes=1)
        assert one.md.health().gaps == 1


async def test_renewal_day_after_day_mints_one_token_a_day() -> None:
    async with opened() as one, one.md.trades("AAPL") as trades:
        seen = {one.token}
        for day in range(5):
            one.sandbox.market.silent = True  # only the trade of this test
            one.step(DAY - LATEST)
            await one.until_logins(2 + day)
            await until_renewed(one)
            await one.md.list_subscriptions()
            seen.add(one.token)
        trade(one.sandbox, 4711)
        assert story(await taken(trades, 6)) == ["Gap"] * 5 + [4711]
        assert (one.logins, len(seen), one.md.health().gaps) == (6, 6, 5)


@pytest.mark.parametrize("displaces", ["older", "newer"])
async def test_renewal_on_a_server_that_allows_one_session_reconnects_once(
    displaces: Literal["older", "newer"],
) -> None:
    async with opened(displaces) as one, one.md.trades("AAPL") as trades:
        one.sandbox.market.silent = True  # only the trades below
        one.step(DAY - LATEST)
        await one.until_logins(2)
        await until_renewed(one)
        missed = await gap(trades)
        assert missed.until - missed.since < timedelta(seconds=DAY)
        trade(one.sandbox, 1)
        assert story(await taken(trades, 1)) == [1]
        assert (one.md.health().gaps, len(one.sandbox.market.sessions), one.logins) == (1, 1, 2)


async def test_renewal_on_a_server_that_closes_the_connection_of_a_replaced_token_reconnects_at_once() -> None:
    async with opened() as one, one.md.trades("AAPL") as trades:
        one.sandbox.market.replaced = "ends"
        one.sandbox.market.silent = True
        one.step(DAY - LATEST)
        await one.until_logins(2)
        await until_renewed(one)
        assert (await gap(trades)).cause == "token renewed"
        trade(one.sandbox, 1)
        assert story(await taken(trades, 1)) == [1]
        assert (one.md.health().gaps, one.logins) == (1, 2)


async def test_token_that_expires_after_a_failed_renewal_is_replaced_by_a_new_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opened() as one, one.md.subscribe("lifecycle") as lifecycle, one.md.trades("AAPL") as trades:
        one.sandbox.market.silent = True
        down = Fault("status", path="/connections", times=None, status=500)
        one.sandbox.faults.add(down)
        one.step(DAY - LATEST)
        while "could not be renewed" not in caplog.text:
            await one.md.list_subscriptions()
        assert one.sandbox.faults.armed[0].fired
        assert one.md.health().state == "LIVE"
        one.sandbox.faults.clear()
        one.sandbox.clock.advance(LATEST)  # the server's clock is ahead of ours
        assert "expired" in (await until(lifecycle, StreamLost)).cause
        await one.meanwhile(until(lifecycle, StreamLive))
        one.sandbox.market.silent = False
        await gap(trades)
        trade(one.sandbox, 1)
        assert story(await taken(trades, 1)) == [1]
        assert one.logins == 2


async def test_token_replaced_by_another_client_ends_the_stream_at_the_next_login() -> None:
    async with opened() as one, one.md.trades("AAPL") as trades:
        theirs = one.sandbox.market.replace_token(one.connection_id)
        trade(one.sandbox, 1)  # the link that stands goes on
        assert story(await taken(trades, 1)) == [1]
        one.sandbox.market.reset()
        with pytest.raises(SessionTakenError, match="newer token"):
            await one.meanwhile(gap(trades))
        assert (one.token, one.logins) == (theirs, 2)


async def test_token_replaced_by_another_client_ends_the_stream_where_the_server_closes_it() -> None:
    async with opened() as one, one.md.trades("AAPL") as trades:
        one.sandbox.market.replaced = "ends"
        theirs = one.sandbox.market.replace_token(one.connection_id)
        with pytest.raises(SessionTakenError, match="newer token"):
            await gap(trades)
        assert (one.token, one.logins) == (theirs, 1)


async def test_final_end_of_a_market_stream_is_logged_as_an_error_without_the_relay(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opened() as one, one.md.trades("AAPL") as trades:
        one.sandbox.market.replaced = "ends"
        one.sandbox.market.replace_token(one.connection_id)
        with pytest.raises(SessionTakenError) as taken_by:
            await gap(trades)
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.getMessage() == f"stream ended: {taken_by.value}"
    assert "relay" not in str(taken_by.value)  # it shares the brokerage stream only


async def test_stream_displaced_by_another_client_ends() -> None:
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


async def test_stream_with_a_clock_days_ahead_mints_one_token() -> None:
    # The client's clock is the machine's, the sandbox's stands long ago: each token seems to have ended when it comes.
    async with market() as (sandbox, md), nothing_left(), md, md.quotes("AAPL"):
        for _ in range(100):
            await md.list_subscriptions()
        assert sandbox.market.log.received["authenticate"] == 1


async def test_renewal_with_a_clock_days_behind_happens_in_time() -> None:
    async with opened(ahead=10 * DAY) as one:
        one.step(DAY - LATEST)
        await one.until_logins(2)
        await until_renewed(one)
        assert (one.md.health().state, one.md.health().gaps) == ("LIVE", 1)


async def ended(feed: Any) -> None:
    async for _ in feed:
        pass


async def reprs(md: MarketDataStream, feed: Any) -> str:
    return "".join(map(repr, (md, feed, md.health(), feed.statistics(), vars(md), await md.list_subscriptions())))


async def test_token_never_shows_in_errors_events_or_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []
    async with opened() as one, one.md.subscribe("unknown", "lifecycle") as odd, one.md.trades("A") as trades:
        tokens = [one.token]
        for word in (one.token, f'{{"type": "{one.token}"}}', f'{{"type": "trade", "symbol": ["{one.token}"]}}'):
            one.sandbox.market.send(word)
        one.sandbox.market.refuse("F", f"The token {one.token} does not allow F.")
        for asked in (trades.add("F"), one.md.history("F")):
            with pytest.raises(MarketDataRefusedError) as refused:
                await asked
            seen += traceback.format_exception(refused.value)
        seen.append(await reprs(one.md, trades))
        one.step(DAY - LATEST)
        await one.until_logins(2)
        await until_renewed(one)
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
