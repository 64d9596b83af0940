from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async import (
    AuthenticationError,
    AuthenticationRefusedError,
    BadRequestError,
    Bar,
    ClosedError,
    ConfigurationError,
    ConnectionToken,
    ConnectTradeError,
    Gap,
    NotFoundError,
    Reconnect,
    RequestTimeoutError,
    Retry,
    Secret,
    SessionTakenError,
    StreamLive,
    StreamLost,
    Timeouts,
    Trade,
    TransportError,
)
from connecttrade_async.market_data.stream_token import StreamToken
from connecttrade_async.models.events import StreamEnded, StreamRetrying
from connecttrade_async.streaming.supervisor import Supervisor
from manual_clock import BEGIN, SteppedClock
from market_data_server import MarketEnd
from scripted_server import ScriptedEnd, answer, drop
from stream_fixtures import PATIENCE, nothing_left, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from connecttrade_async import Feed, User
    from connecttrade_async.market_data.stream import MarketDataStream
    from market_data_server import Held
    from scripted_server import Act

DAY = 24 * 3600
LATEST = 300  # seconds before its end when a token is renewed at the latest
SOON = Reconnect(base=1.0, cap=1.0)


def minted(number: int, hours: float = 24) -> Act:
    ends = BEGIN.timestamp() + hours * 3600
    return answer(200, json.dumps({"access_token": f"token-{number}", "expires_at": str(ends)}))


@contextlib.asynccontextmanager
async def user_of(end: MarketEnd, rest: ScriptedEnd, clock: SteppedClock) -> AsyncGenerator[User]:
    """Make a user with tokens minted over REST."""
    patience = Timeouts(close=1.0)
    async with (
        nothing_left(),
        end.client(api=rest.url, clock=clock, retry=Retry(attempts=1), reconnect=SOON, timeouts=patience) as ct,
    ):
        yield ct.user("ada", "hush")


async def trades(feed: Feed[Trade], count: int) -> list[str | None]:
    async with asyncio.timeout(PATIENCE):
        return [
            event.price_text if isinstance(event, Trade) else "gap"
            for event in [await feed.receive() for _ in range(count)]
        ]


async def trade(end: MarketEnd, price: str) -> None:
    await end.publish("trade", "A", price=price, size="1", session="regular", timestamp=price)


async def test_stream_mints_a_token_over_rest() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md:
            assert end.logins == ["token-1"]
            assert [(seen.method, seen.target) for seen in rest.seen] == [("GET", "/connections/c1/token")]
            assert rest.seen[0].headers["user-id"] == "ada"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, BadRequestError),  # a connection that is not for market data
        (401, AuthenticationError),  # or one that is not entitled to it
        (404, NotFoundError),
        (503, ConnectTradeError),
    ],
)
async def test_stream_with_a_failed_mint_raises_the_error_of_rest(status: int, error: type[Exception]) -> None:
    clock, no = SteppedClock(), answer(status, '{"message": "no"}')
    async with MarketEnd() as end, ScriptedEnd(no) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        with pytest.raises(error, match="no"):
            await md.__aenter__()
        assert end.logins == []


async def test_renewal_reconnects_with_a_new_token_and_reports_one_gap() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2, 48)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.subscribe("lifecycle") as lifecycle, md.trades("A") as feed:
            clock.advance(DAY - LATEST - 1)
            assert len(rest.seen) == 1
            await trade(end, "1")
            assert await trades(feed, 1) == ["1"]
            clock.advance(1)
            assert (await until(lifecycle, StreamLost)).cause == "token renewed"
            await until(lifecycle, StreamLive)
            gap = await feed.receive()
            assert isinstance(gap, Gap)
            assert gap.cause == "token renewed"
            await trade(end, "2")
            assert await trades(feed, 1) == ["2"]
            assert (len(rest.seen), end.logins, len(end.links)) == (2, ["token-1", "token-2"], 1)
            assert (md.health().state, md.health().gaps) == ("LIVE", 1)
            await feed.add("B")
            assert end.subscribed == [("trades", "A"), ("trades", "B")]


async def test_renewal_during_a_history_call_repeats_it_on_the_new_connection() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2, 48)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.trades("A"):
            end.bars["A"] = [{"start_time": "2026-03-02T14:30:00Z", "close": "1", "closed": True}]
            end.act("snapshot", 1)  # the old connection does not reply
            clock.advance(DAY - LATEST - 1)
            asking = asyncio.create_task(md.history("A"))
            await end.until_received("snapshot")
            clock.advance(1)
            async with asyncio.timeout(PATIENCE):
                assert [bar.close for bar in await asking] == [1]
            assert end.logins == ["token-1", "token-2"]


async def test_renewal_fills_the_bars_of_its_gap() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2, 48)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.bars("A", backfill=0, fill_gaps=True) as feed:
            await end.publish("bar", "A", interval="1m", start_time="2026-03-02T14:30:00Z", close="1", closed=True)
            assert isinstance(await feed.receive(), Bar)
            ends = [{"start_time": f"2026-03-02T14:{minute}:00Z", "close": "1", "closed": True} for minute in (30, 31)]
            end.bars["A"] = ends
            clock.advance(DAY - LATEST)
            async with asyncio.timeout(PATIENCE):
                bar = await feed.receive()
            assert isinstance(bar, Bar)
            assert bar.start_time_text == "2026-03-02T14:31:00Z"
            assert md.health().gaps == 1


async def test_renewal_with_a_failed_reconnect_retries_with_the_new_token() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2, 48)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.subscribe("lifecycle") as lifecycle, md.trades("A") as feed:
            end.act("authenticate", 1, lambda held, _: held.socket.transport.abort())
            clock.advance(DAY - LATEST)
            await until(lifecycle, StreamRetrying)
            clock.advance(1)
            await until(lifecycle, StreamLive)
            gap = await feed.receive()
            assert isinstance(gap, Gap)
            assert gap.cause == "token renewed"
            assert (end.logins[-1], len(rest.seen)) == ("token-2", 2)


async def test_renewal_that_fails_keeps_the_connection_and_is_tried_again() -> None:
    clock = SteppedClock()
    acts = [minted(1), drop, answer(404, '{"message": "gone"}'), minted(2, 48)]
    async with MarketEnd() as end, ScriptedEnd(*acts) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.trades("A") as feed:
            clock.advance(DAY - LATEST)
            for times in (2, 3):
                await rest.until_seen(times)
                await renewal_is_over(md)
                await trade(end, str(times))
                assert await trades(feed, 1) == [str(times)]
                clock.advance(30 * (times - 1))
            await renewed(end, feed, "token-2")
            assert md.health().gaps == 1


async def renewal_is_over(md: MarketDataStream) -> None:
    supervisor = md._engine
    assert isinstance(supervisor, Supervisor)
    if supervisor._renewal is not None:
        await asyncio.wait([supervisor._renewal], timeout=PATIENCE)


async def renewed(end: MarketEnd, feed: Feed[Trade], token: str) -> None:
    """Wait for the gap of a renewal."""
    async with asyncio.timeout(PATIENCE):
        gap = await feed.receive()
    assert isinstance(gap, Gap)
    assert gap.cause == "token renewed"
    assert [held.token for held in end.links] == [token]


async def test_stream_after_a_drop_logs_in_with_the_same_token_until_it_expires() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1, 1), minted(2, 24)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.subscribe("lifecycle") as lifecycle:
            end.drop()
            await until(lifecycle, StreamRetrying)
            clock.advance(1)
            await until(lifecycle, StreamLive)
            assert end.logins == ["token-1"] * 2
            assert len(rest.seen) == 1
            rest.held.clear()
            end.drop()
            await until(lifecycle, StreamRetrying)
            clock.advance(3600)
            rest.held.set()
            await until(lifecycle, StreamLive)
            assert end.logins[2:] == ["token-2"]


@pytest.mark.parametrize("way", ["login", "error", "close"])
async def test_token_replaced_by_another_client_ends_the_stream(way: str) -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.quotes("A") as quotes, md.subscribe("lifecycle") as lifecycle:
            end.valid = {"theirs"}
            if way == "login":
                end.drop()
                await until(lifecycle, StreamRetrying)
                clock.advance(1)
            elif way == "error":
                await end.broadcast(type="error", code="409", message="a newer token is in use")
            else:
                await end.links[0].socket.close(4401, "token replaced")
            ended = await until(lifecycle, StreamEnded)
            assert "token" in ended.error
            with pytest.raises(SessionTakenError):
                await everything(quotes)
            assert len(rest.seen) == 1


async def received_to_the_end(feed: Feed[Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            await feed.receive()


async def everything(feed: Feed[Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        async for _ in feed:
            pass


RULE = "one broker connection at a time per user"


async def test_stream_with_a_refusal_that_only_the_server_can_explain_names_the_restrictions() -> None:
    async with MarketEnd() as end, nothing_left():
        end.act("authenticate", 1, lambda held, _: LATER.append(asyncio.ensure_future(refuse(held, "403"))))
        with pytest.raises(AuthenticationRefusedError, match=RULE) as refused:
            await end.stream().__aenter__()
        end.act("authenticate", 1, lambda held, _: LATER.append(asyncio.ensure_future(refuse(held, "409"))))
        with pytest.raises(SessionTakenError, match=RULE):
            await end.stream().__aenter__()
        async with end.stream() as md, md.quotes("A") as quotes:
            await end.links[0].socket.close(4409, "another link")
            with pytest.raises(SessionTakenError, match=RULE) as taken:
                await everything(quotes)
        assert "another address" in refused.value.cause
        assert "another link" in taken.value.cause


async def refuse(held: Held, code: str) -> None:
    await held.send(type="error", code=code, message="another address is subscribed")


LATER: list[asyncio.Future[None]] = []


async def test_renewal_that_takes_long_is_not_started_twice() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2, 48)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.trades("A") as feed:
            rest.held.clear()
            clock.advance(DAY - LATEST)
            await rest.until_seen(2)
            for _ in range(5):
                clock.advance(60)
                await md.list_subscriptions()
            rest.held.set()
            await renewed(end, feed, "token-2")
            await trade(end, "1")
            assert await trades(feed, 1) == ["1"]
            assert (len(rest.seen), end.logins) == (2, ["token-1", "token-2"])


async def test_renewal_during_a_drop_reconnects_with_the_one_new_token() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2, 48)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.trades("A") as feed, md.subscribe("lifecycle") as lifecycle:
            rest.held.clear()
            clock.advance(DAY - LATEST)
            await rest.until_seen(2)
            end.drop()
            await until(lifecycle, StreamLost)
            rest.held.set()
            await until(lifecycle, StreamLive)
            assert await trades(feed, 1) == ["gap"]
            await trade(end, "1")
            assert await trades(feed, 1) == ["1"]
            assert (len(rest.seen), end.logins, md.health().gaps) == (2, ["token-1", "token-2"], 1)


SLEEPS = {"it is lost": DAY, "login": DAY - 60, "error": DAY, "close": DAY}


@pytest.mark.parametrize("way", SLEEPS)
async def test_token_that_expired_while_the_machine_slept_is_replaced_with_a_gap_since_the_sleep(
    way: str,
) -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2, 48)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.trades("A") as feed, md.subscribe("lifecycle") as lifecycle:
            clock.sleep(SLEEPS[way])
            end.valid = {"token-2"}
            if way == "error":
                await end.broadcast(type="error", code="401", message="token expired")
            elif way == "close":
                await end.links[0].socket.close(4401, "token expired")
            else:
                end.drop()
            for _ in range(2 if way == "login" else 1):
                await until(lifecycle, StreamRetrying)
                clock.advance(1)
            await until(lifecycle, StreamLive)
            assert end.logins[1:] == (["token-1", "token-2"] if way == "login" else ["token-2"])
            gap = await feed.receive()
            assert isinstance(gap, Gap)
            assert gap.since == BEGIN  # and not when it woke: what was said meanwhile is missing too
            await trade(end, "1")
            assert await trades(feed, 1) == ["1"]
            assert len(rest.seen) == 2


async def test_token_replaced_while_the_machine_slept_for_less_than_its_life_ends_the_stream() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.quotes("A") as quotes:
            clock.sleep(DAY - 900 - 1)  # 900: from when on a rejected token counts as expired
            end.valid = {"theirs"}
            await end.links[0].socket.close(4401, "token replaced")
            with pytest.raises(SessionTakenError):
                await everything(quotes)
            assert len(rest.seen) == 1


@pytest.mark.parametrize("slept", [DAY - LATEST - 30, DAY, -DAY])
async def test_token_about_to_expire_at_wake_up_is_renewed(slept: float) -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2, 96)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.trades("A") as feed:
            clock.sleep(slept)
            clock.advance(DAY - LATEST if slept < 0 else 60)  # the day may be set back, too
            await renewed(end, feed, "token-2")
            await trade(end, "1")
            assert await trades(feed, 1) == ["1"]
            assert (md.health().state, md.health().gaps) == ("LIVE", 1)


class Source:
    """Gives tokens made elsewhere."""

    def __init__(self, *given: Any) -> None:
        self.given = list(given)
        self.asked = 0

    async def __call__(self) -> Any:
        self.asked += 1
        given = self.given.pop(0) if len(self.given) > 1 else self.given[0]
        if isinstance(given, BaseException):
            raise given
        return given


async def test_source_is_called_again_after_a_rejection_of_an_accepted_token() -> None:
    source = Source("one", ConnectionToken(access_token=Secret("two")), "three")
    async with MarketEnd() as end, nothing_left():
        end.valid = {"one"}
        user = end.client().user("ada", "hush")
        async with user.market_data("c1", token_source=source) as md, md.subscribe("lifecycle") as lifecycle:
            end.valid = {"two"}
            end.drop()
            await until(lifecycle, StreamLive)
            assert end.logins == ["one", "one", "two"]
            end.valid = {"four"}
            end.drop()
            assert "no such token" in (await until(lifecycle, StreamEnded)).error
            assert source.asked == 3


def lasting(token: str, seconds: float) -> ConnectionToken:
    ends = (BEGIN + timedelta(seconds=seconds)).timestamp()
    return ConnectionToken(access_token=Secret(token), expires_at_text=str(ends))


async def test_source_that_returns_the_current_token_causes_no_reconnect() -> None:
    clock, source = SteppedClock(), Source(*[lasting("one", 3600)] * 4, lasting("two", DAY))
    async with MarketEnd() as end, nothing_left():
        md = end.client(clock=clock).user("ada", "hush").market_data("c1", token_source=source)
        async with md, md.trades("A") as feed:
            clock.advance(3600 - LATEST)
            for times in (2, 3, 4):
                await renewal_is_over(md)
                clock.advance(29)
                await md.list_subscriptions()
                assert (source.asked, end.logins) == (times, ["one"])
                clock.advance(1)
            await renewed(end, feed, "two")
            await trade(end, "1")
            assert await trades(feed, 1) == ["1"]
            assert (end.logins, md.health().gaps) == (["one", "two"], 1)


async def test_stream_after_a_drop_with_no_newer_token_logs_in_with_the_current_one() -> None:
    clock, asked, may_answer = SteppedClock(), [0], asyncio.Event()
    may_answer.set()

    async def source() -> ConnectionToken:
        asked[0] += 1
        await may_answer.wait()
        return lasting("one", 3600)

    async with MarketEnd() as end, nothing_left():
        md = end.client(clock=clock, reconnect=SOON).user("ada", "hush").market_data("c1", token_source=source)
        async with md, md.subscribe("lifecycle") as lifecycle:
            may_answer.clear()
            clock.advance(3600 - LATEST)
            end.drop()
            await until(lifecycle, StreamLost)
            may_answer.set()
            await until(lifecycle, StreamRetrying)
            clock.advance(1)
            await until(lifecycle, StreamLive)
            assert (end.logins, asked) == (["one", "one"], [2])


async def test_tokens_that_look_expired_on_arrival_are_renewed_after_a_pause() -> None:
    clock, source = SteppedClock(), Source(lasting("one", -60), lasting("two", -30), lasting("three", DAY))
    async with MarketEnd() as end, nothing_left():
        md = end.client(clock=clock).user("ada", "hush").market_data("c1", token_source=source)
        async with md:
            for token, newer in (("one", "two"), ("two", "three")):
                clock.advance(29)
                await md.list_subscriptions()
                assert (source.asked, end.logins[-1]) == (len(end.logins), token)
                clock.advance(1)
                await only_link_is_of(end, newer)
                await live_again(md)


async def live_again(md: MarketDataStream) -> None:
    async with asyncio.timeout(PATIENCE):
        while md.health().state != "LIVE":  # noqa: ASYNC110 - no event reports it
            await asyncio.sleep(0)


async def only_link_is_of(end: MarketEnd, token: str) -> None:
    await end.until(lambda: [held.token for held in end.links] == [token])


async def test_source_that_fails_after_a_success_is_called_again_after_a_pause() -> None:
    clock = SteppedClock()
    source = Source("one", OSError("secret words"), ZeroDivisionError("secret words"), "two")
    async with MarketEnd() as end, nothing_left():
        md = end.client(clock=clock, reconnect=SOON).user("ada", "hush").market_data("c1", token_source=source)
        async with md, md.trades("A") as feed, md.subscribe("lifecycle") as lifecycle:
            end.valid = {"two"}
            end.drop()
            causes: list[str] = []
            for _ in range(4):  # the old token once more, and then none, twice
                causes.append((await until(lifecycle, StreamLost)).cause)
                await until(lifecycle, StreamRetrying)
                clock.advance(1)
            await until(lifecycle, StreamLive)
            assert ["failed on" in cause for cause in causes] == [False, False, True, True]
            assert "secret words" not in "".join(causes)
            assert await trades(feed, 1) == ["gap"]
            assert end.logins == ["one", "one", "two"]


class Hanging:
    """Gives these tokens, then never answers; ``hangs`` once it does, ``is_over`` once it was cancelled."""

    def __init__(self, *given: str) -> None:
        self.given = list(given)
        self.hangs = asyncio.Event()
        self.is_over = asyncio.Event()

    async def __call__(self) -> str:
        if self.given:
            return self.given.pop(0)
        self.hangs.set()
        never: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        try:
            return await never
        finally:
            self.is_over.set()


async def test_source_that_hangs_on_entry_is_cancelled_and_raises() -> None:
    clock, source = SteppedClock(), Hanging()
    async with MarketEnd() as end, nothing_left():
        md = end.client(clock=clock, timeouts=Timeouts(call=7.0)).user("ada", "hush")
        opening = asyncio.create_task(md.market_data("c1", token_source=source).__aenter__())
        await clock.until_asked(1)
        clock.advance(6.9)
        await asyncio.sleep(0)
        assert not source.is_over.is_set()
        clock.advance(0.1)
        with pytest.raises(RequestTimeoutError, match="the token source returned no token within 7 s"):
            async with asyncio.timeout(PATIENCE):
                await opening
        assert (source.is_over.is_set(), end.logins) == (True, [])


async def test_source_that_hangs_during_a_reconnect_is_called_again() -> None:
    clock, source = SteppedClock(), Hanging("one")
    patience = Timeouts(call=7.0, close=1.0)
    async with MarketEnd() as end, nothing_left():
        user = end.client(clock=clock, reconnect=SOON, timeouts=patience).user("ada", "hush")
        async with user.market_data("c1", token_source=source) as md, md.trades("A") as feed:
            end.valid = {"two"}
            async with md.subscribe("lifecycle") as lifecycle:
                end.drop()
                await until(lifecycle, StreamRetrying)
                clock.advance(1)  # the old token once more, which is refused
                await until(lifecycle, StreamRetrying)
                asked = len(clock.asked)
                clock.advance(1)
                await clock.until_asked(asked + 1)
                clock.advance(7)
                assert "returned no token within 7 s" in (await until(lifecycle, StreamLost)).cause
                source.given = ["two"]
                await until(lifecycle, StreamRetrying)
                clock.advance(1)
                await until(lifecycle, StreamLive)
            assert source.is_over.is_set()
            assert await trades(feed, 1) == ["gap"]
            assert end.logins == ["one", "one", "two"]


async def test_renewal_with_a_hanging_source_keeps_the_connection_and_is_tried_again() -> None:
    clock, source = SteppedClock(), Hanging()
    tokens = [lasting("one", 3600), lasting("two", DAY)]

    async def give() -> ConnectionToken:
        if len(tokens) == 1:
            await source()
        return tokens.pop(0)

    async with MarketEnd() as end, nothing_left():
        md = end.client(clock=clock, timeouts=Timeouts(call=7.0, close=1.0)).user("ada", "hush")
        async with md.market_data("c1", token_source=give) as stream, stream.trades("A") as feed:
            clock.advance(3600 - LATEST)
            await source.hangs.wait()
            clock.advance(7)
            await renewal_is_over(stream)
            assert source.is_over.is_set()
            await trade(end, "1")
            assert await trades(feed, 1) == ["1"]
            source.given = ["go"]
            clock.advance(30)
            await renewed(end, feed, "two")
            assert (end.logins, stream.health().gaps) == (["one", "two"], 1)


async def test_stream_closed_during_a_hanging_source_ends_with_closed() -> None:
    source = Hanging("one")
    async with MarketEnd() as end, nothing_left():
        user = end.client().user("ada", "hush")
        async with user.market_data("c1", token_source=source) as md, md.subscribe("lifecycle") as lifecycle:
            quotes = await md.quotes("A").__aenter__()
            end.valid = {"two"}
            end.drop()
            await source.hangs.wait()
            await md.aclose()
            assert (await until(lifecycle, StreamEnded)).error == ""
            with pytest.raises(ClosedError):
                await received_to_the_end(quotes)
        assert source.is_over.is_set()


@pytest.mark.parametrize("timeout", [None, 7.0])
async def test_stream_token_ensure_cancelled_during_a_hanging_source_cancels_it(timeout: float | None) -> None:
    clock, source = SteppedClock(), Hanging()
    tokens = StreamToken(source, clock, timeout=timeout, is_minted=False)
    preparing = asyncio.create_task(tokens.ensure(is_renewal=False))
    await source.hangs.wait()
    preparing.cancel()
    await asyncio.wait([preparing], timeout=PATIENCE)
    assert (preparing.cancelled(), source.is_over.is_set(), tokens.fetch_count) == (True, True, 0)


async def test_stream_token_ensure_cancels_its_timer_after_a_reply() -> None:
    clock = SteppedClock()
    tokens = StreamToken(Source("one"), clock, timeout=7.0, is_minted=False)
    await tokens.ensure(is_renewal=False)
    assert [timer.is_cancelled for _, _, timer in clock._timers] == [True]
    assert (tokens.token, tokens.fetch_count, tokens.renew_in) == (Secret("one"), 1, None)


async def test_three_rejected_tokens_in_a_row_end_the_stream_even_if_each_looked_expired() -> None:
    clock, source = SteppedClock(), Source(*[lasting(str(number), -60) for number in range(9)])
    async with MarketEnd() as end, nothing_left():
        md = end.client(clock=clock, reconnect=SOON).user("ada", "hush").market_data("c1", token_source=source)
        async with md, md.subscribe("lifecycle") as lifecycle:
            end.valid = set()
            end.drop()
            for _ in range(3):
                await until(lifecycle, StreamRetrying)
                clock.advance(1)
            assert "3 tokens in a row were rejected" in (await until(lifecycle, StreamEnded)).error
        assert end.logins == ["0", "1", "2", "3"]


async def test_tokens_accepted_and_rejected_in_turn_end_the_stream() -> None:
    clock, source = SteppedClock(), Source(*[str(number) for number in range(9)])
    async with MarketEnd() as end, nothing_left():
        md = end.client(clock=clock, reconnect=SOON).user("ada", "hush").market_data("c1", token_source=source)
        async with md, md.subscribe("lifecycle") as lifecycle:
            for _ in range(2):
                await end.links[0].socket.close(4401, "no")
                await until(lifecycle, StreamRetrying)
                clock.advance(1)
                await until(lifecycle, StreamLive)
            await end.links[0].socket.close(4401, "no")
            assert "3 tokens in a row were rejected" in (await until(lifecycle, StreamEnded)).error
        assert end.logins == ["0", "1", "2"]


def test_stream_token_accepted_for_a_minute_starts_a_new_row_of_rejections() -> None:
    clock = SteppedClock()
    tokens = StreamToken(Source("one"), clock, timeout=None, is_minted=False)
    for seconds in (60.0, 59.9, 60.0, 59.9):
        tokens.mark_accepted()
        clock.advance(seconds)
        assert tokens.refused_error("no") is None
    tokens.mark_accepted()
    assert isinstance(tokens.refused_error("no"), AuthenticationRefusedError)


async def test_stream_token_rejected_before_its_first_acceptance_is_a_refused_login() -> None:
    tokens = StreamToken(Source("one", "two"), SteppedClock(), timeout=None, is_minted=True)
    await tokens.ensure(is_renewal=False)
    assert isinstance(tokens.refused_error("no"), AuthenticationRefusedError)
    tokens.mark_accepted()
    await tokens.ensure(is_renewal=True)
    assert isinstance(tokens.refused_error("no"), AuthenticationRefusedError)


async def test_stream_token_that_could_not_be_fetched_is_not_due_for_renewal() -> None:
    tokens = StreamToken(Source(OSError()), SteppedClock(), timeout=None, is_minted=False)
    with pytest.raises(ConfigurationError):
        await tokens.ensure(is_renewal=False)
    assert tokens.renew_in is None


async def test_stream_token_counts_rejections_without_an_acceptance_as_one_row() -> None:
    clock = SteppedClock()
    tokens = StreamToken(
        Source(*[lasting(str(number), -60) for number in range(4)]), clock, timeout=None, is_minted=False
    )
    await tokens.ensure(is_renewal=False)
    tokens.mark_accepted()
    clock.advance(1000)
    for _ in range(2):
        assert tokens.refused_error("no") is None
        await tokens.ensure(is_renewal=False)
    assert isinstance(tokens.refused_error("no"), AuthenticationRefusedError)


async def test_stream_token_minted_with_an_expiry_in_the_past_is_taken_to_last_a_day() -> None:
    tokens = StreamToken(Source(lasting("one", -60)), SteppedClock(), timeout=None, is_minted=True)
    await tokens.ensure(is_renewal=False)
    assert tokens.renew_in == DAY - LATEST


@pytest.mark.parametrize(
    ("asked", "bounds"), [("600", (600, 600)), ("100", (100, 100)), ("0", (15, 30)), ("9" * 400, (600, 600))]
)
async def test_renewal_waits_for_retry_after_within_bounds(asked: str, bounds: tuple[float, float]) -> None:
    clock = SteppedClock()
    no = answer(429, '{"message": "slow down"}', Retry_After=asked)
    async with MarketEnd() as end, ScriptedEnd(minted(1), no) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.trades("A"):
            clock.advance(DAY - LATEST)
            await rest.until_seen(2)
            await renewal_is_over(md)
            renew_in = md._config.login.renew_in if md._config.login else None
            assert renew_in is not None
            assert bounds[0] <= renew_in <= bounds[1]


@pytest.mark.parametrize(
    ("hours", "renew_after"),
    [
        (24, 24 - 1 / 12),  # the markets do not close in the last quarter, from Tuesday 8:30 UTC on
        (16, 12),  # the last quarter starts at Tuesday 2:30 UTC, when they are closed
        (12, 10.5),  # the last quarter starts at Monday 23:30 UTC, and they close at Tuesday 1:00 UTC
        (1, 1 - 1 / 12),
        (0.1, 0.09),
    ],
)
async def test_stream_token_is_renewed_at_the_first_quiet_time_of_its_last_quarter(
    hours: float, renew_after: float
) -> None:
    tokens = StreamToken(Source(lasting("one", hours * 3600)), SteppedClock(), timeout=None, is_minted=True)
    await tokens.ensure(is_renewal=False)
    assert tokens.renew_in == pytest.approx(renew_after * 3600)


async def test_stream_token_after_repeated_failures_waits_growing_pauses() -> None:
    clock, source = SteppedClock(), Source(lasting("one", DAY), OSError())
    tokens, pauses = StreamToken(source, clock, timeout=None, is_minted=False), list[float]()
    await tokens.ensure(is_renewal=False)
    for _ in range(8):
        with pytest.raises(TransportError):
            await tokens.ensure(is_renewal=True)
        assert tokens.renew_in is not None
        pauses.append(tokens.renew_in)
    bounds = (30, 60, 120, 240, 480, 600, 600, 600)
    assert all(bound / 2 <= pause <= bound for pause, bound in zip(pauses, bounds, strict=True))
    source.given = [lasting("two", DAY), OSError()]
    await tokens.ensure(is_renewal=True)
    with pytest.raises(TransportError):
        await tokens.ensure(is_renewal=True)
    assert (tokens.renew_in or 0) <= 30


async def test_stream_with_a_cancelled_entry_cancels_a_hanging_source() -> None:
    source = Hanging()
    async with MarketEnd() as end, nothing_left():
        opening = asyncio.create_task(
            end.client().user("ada", "hush").market_data("c1", token_source=source).__aenter__()
        )
        await source.hangs.wait()
        opening.cancel()
        await asyncio.wait([opening], timeout=PATIENCE)
        assert (opening.cancelled(), source.is_over.is_set()) == (True, True)


async def test_source_with_a_task_cancelled_by_other_code_does_not_end_the_stream() -> None:
    source = Source("one", asyncio.CancelledError(), "two")
    async with MarketEnd() as end, nothing_left():
        user = end.client().user("ada", "hush")
        async with user.market_data("c1", token_source=source) as md, md.subscribe("lifecycle") as lifecycle:
            end.valid = {"two"}
            end.drop()
            await until(lifecycle, StreamLive)
            assert end.logins == ["one", "one", "two"]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (7, ConfigurationError),
        ("", ConfigurationError),
        ("to\nken", ConfigurationError),
        (ZeroDivisionError("secret words"), ConfigurationError),
        (asyncio.CancelledError("secret words"), ConfigurationError),
        (AuthenticationRefusedError(cause="no"), AuthenticationRefusedError),
    ],
)
async def test_source_that_returns_no_token_raises_on_entry(given: Any, error: type[Exception]) -> None:
    async with MarketEnd() as end, nothing_left():
        with pytest.raises(error) as caught:
            await end.client().user("ada", "hush").market_data("c1", token_source=Source(given)).__aenter__()
        assert "secret words" not in str(caught.value)


async def test_stream_with_a_rejected_token_raises_without_showing_it() -> None:
    async with MarketEnd() as end, nothing_left():
        end.valid = set()
        with pytest.raises(AuthenticationRefusedError) as caught:
            await end.stream("hush-hush").__aenter__()
        assert "hush-hush" not in str(caught.value)
        assert "no such token: ***" in str(caught.value)


async def test_source_that_returns_the_rejected_token_again_ends_the_stream() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream("one") as md, md.subscribe("lifecycle") as lifecycle:
        end.valid = set()
        end.drop()
        assert "returned the rejected token again" in (await until(lifecycle, StreamEnded)).error


async def test_stream_closed_during_a_renewal_ends() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2, 48)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.trades("A") as feed:
            end.act("authenticate", None)
            clock.advance(DAY - LATEST)
            await end.until_received("authenticate", 2)
        with pytest.raises(ConnectTradeError):
            await feed.receive()


async def test_stream_with_a_malformed_or_missing_expiry_renews_after_a_day() -> None:
    clock = SteppedClock()
    acts = [answer(200, '{"access_token": "a", "expires_at": "soon"}'), answer(200, '{"access_token": "b"}')]
    async with MarketEnd() as end, ScriptedEnd(*acts) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.subscribe("lifecycle"):
            clock.advance(DAY - LATEST)
            await end.until(lambda: [held.token for held in end.links] == ["b"])
