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
    ClosedError,
    ConfigurationError,
    ConnectionToken,
    ConnectTradeError,
    Gap,
    NotFoundError,
    Quote,
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
from manual_clock import BEGIN, SteppedClock
from market_data_server import MarketEnd
from scripted_server import ScriptedEnd, answer, drop
from stream_fixtures import PATIENCE, nothing_left, until, waiting

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from connecttrade_async import Feed, User
    from connecttrade_async.market_data.stream import MarketDataStream
    from market_data_server import Held
    from scripted_server import Act

DAY = 24 * 3600
EARLY = 900
SOON = Reconnect(base=1.0, cap=1.0)


def minted(number: int, hours: float = 24) -> Act:
    ends = BEGIN.timestamp() + hours * 3600
    return answer(200, json.dumps({"access_token": f"token-{number}", "expires_at": str(ends)}))


@contextlib.asynccontextmanager
async def user_of(end: MarketEnd, rest: ScriptedEnd, clock: SteppedClock) -> AsyncGenerator[User]:
    """Make a user whose tokens come over REST."""
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
    await end.tell("trade", "A", price=price, size="1", session="regular", timestamp=price)


async def test_a_token_is_made_for_it() -> None:
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
async def test_where_none_is_made_it_raises_what_rest_says(status: int, error: type[Exception]) -> None:
    clock, no = SteppedClock(), answer(status, '{"message": "no"}')
    async with MarketEnd() as end, ScriptedEnd(no) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        with pytest.raises(error, match="no"):
            await md.__aenter__()
        assert end.logins == []


async def test_it_is_renewed_before_it_ends_without_losing_a_tick_or_telling_one_twice() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2, 48)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.subscribe("lifecycle") as life, md.trades("A") as feed:
            held = asyncio.Event()
            waits: list[asyncio.Future[None]] = []

            def hold(link: Any, frame: dict[str, Any]) -> None:
                async def later() -> None:
                    await held.wait()
                    await end._list_subscriptions(link, frame)

                waits.append(asyncio.ensure_future(later()))

            end.act("list_subscriptions", 1, hold)
            clock.advance(DAY - EARLY - 1)
            assert len(rest.seen) == 1
            await trade(end, "1")
            assert await trades(feed, 1) == ["1"]
            clock.advance(1)
            await end.until_received("list_subscriptions")
            assert end.logins == ["token-1", "token-2"]
            assert end.subscribed == [("trades", "A")]
            for price in "234":
                await trade(end, price)  # over both links
            old, new = end.links
            await old.say(type="trade", symbol="A", price="5", size="1", session="regular", timestamp="5")
            held.set()
            await end.until(lambda: len(end.links) == 1)
            await new.say(type="trade", symbol="A", price="5", size="1", session="regular", timestamp="5")
            await trade(end, "6")
            assert await trades(feed, 5) == ["2", "3", "4", "5", "6"]
            clock.advance(20)
            await trade(end, "6")
            assert await trades(feed, 1) == ["6"]
            assert waiting(life) == []
            assert (md.health().state, md.health().gaps) == ("LIVE", 0)
            await feed.add("B")
            assert end.subscribed == [("trades", "A"), ("trades", "B")]
        await asyncio.gather(*waits)


async def test_what_the_old_link_tells_late_does_not_take_the_place_of_what_the_new_one_told() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2, 48)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.quotes("A") as quotes, md.quotes("A", overflow="drop_oldest") as every:
            kept: list[tuple[Held, dict[str, Any]]] = []
            end.act("list_subscriptions", 1, lambda held, frame: kept.append((held, frame)))
            clock.advance(DAY - EARLY)
            await end.until_received("list_subscriptions")
            old, new = end.links
            await new.say(type="quote", symbol="A", bid_price="2", timestamp="2026-03-03T14:15:02Z")
            assert isinstance(await every.receive(), Quote)
            await old.say(type="quote", symbol="A", bid_price="1", timestamp="2026-03-03T14:15:01Z")
            await end._list_subscriptions(*kept[0])  # the answer comes after what the old link has to tell
            await end.until(lambda: len(end.links) == 1)
            quote = await quotes.receive()
            assert isinstance(quote, Quote)
            assert quote.bid_price == 2
            assert (quotes.statistics().waiting, every.statistics().waiting) == (0, 0)


async def test_what_is_asked_while_one_link_takes_over_from_another_is_answered() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2, 48)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.trades("A"):
            kept: list[tuple[Held, dict[str, Any]]] = []
            end.bars["A"] = [{"start_time": "2026-03-02T14:30:00Z", "close": "1", "closed": True}]
            end.act("subscribe", 1, lambda held, frame: kept.append((held, frame)))
            end.act("snapshot", 1)  # the link that is left does not answer any more
            clock.advance(DAY - EARLY)
            await end.until_received("subscribe", 2)
            asking = asyncio.create_task(md.history("A"))
            await end.until_received("snapshot")
            await end._subscribe(*kept[0])
            await end.until(lambda: [held.token for held in end.links] == ["token-2"])
            async with asyncio.timeout(PATIENCE):
                assert [bar.close for bar in await asking] == [1]
            assert md.health().gaps == 0


async def test_where_the_server_ends_the_old_link_for_the_new_one_the_gap_is_told() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2, 48)) as rest, user_of(end, rest, clock) as user:
        end.takes_over = True
        md = user.market_data("c1")
        async with md, md.subscribe("lifecycle") as life, md.trades("A") as feed:
            clock.advance(DAY - EARLY)
            await until(life, StreamLive)
            assert await trades(feed, 1) == ["gap"]
            await trade(end, "1")
            assert await trades(feed, 1) == ["1"]
            assert end.logins == ["token-1", "token-2"]
            assert md.health().gaps == 1


async def test_where_the_server_takes_no_second_link_the_old_one_is_left_for_the_shortest_gap() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2, 48)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.subscribe("lifecycle") as life, md.trades("A") as feed:
            end.act("authenticate", 1, lambda held, _: held.socket.transport.abort())
            clock.advance(DAY - EARLY)
            await until(life, StreamLive)
            assert await trades(feed, 1) == ["gap"]
            assert end.logins == ["token-1", "token-2"]
            assert len(rest.seen) == 2


async def test_a_renewal_that_fails_leaves_the_link_as_it_is_and_is_tried_again() -> None:
    clock = SteppedClock()
    acts = [minted(1), drop, answer(404, '{"message": "gone"}'), minted(2, 48)]
    async with MarketEnd() as end, ScriptedEnd(*acts) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.trades("A") as feed:
            clock.advance(DAY - EARLY)
            for times in (2, 3):
                await rest.until_seen(times)
                await renewal_is_over(md)
                await trade(end, str(times))
                assert await trades(feed, 1) == [str(times)]
                clock.advance(30 * (times - 1))
            await end.until(lambda: [held.token for held in end.links] == ["token-2"])
            assert md.health().gaps == 0


async def renewal_is_over(md: MarketDataStream) -> None:
    supervisor = md._supervisor
    assert supervisor is not None
    if supervisor._replacement is not None:
        await asyncio.wait([supervisor._replacement], timeout=PATIENCE)


async def test_a_link_that_is_lost_is_made_again_with_the_same_token_until_that_ends() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1, 1), minted(2, 24)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.subscribe("lifecycle") as life:
            end.drop()
            await until(life, StreamRetrying)
            clock.advance(1)
            await until(life, StreamLive)
            assert end.logins == ["token-1"] * 2
            assert len(rest.seen) == 1
            rest.held.clear()
            end.drop()
            await until(life, StreamRetrying)
            clock.advance(3600)
            rest.held.set()
            await until(life, StreamLive)
            assert end.logins[2:] == ["token-2"]


@pytest.mark.parametrize("way", ["login", "error", "close"])
async def test_a_token_that_somebody_else_replaced_is_not_fought_over(way: str) -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.quotes("A") as quotes, md.subscribe("lifecycle") as life:
            end.valid = {"theirs"}
            if way == "login":
                end.drop()
                await until(life, StreamRetrying)
                clock.advance(1)
            elif way == "error":
                await end.say(type="error", code="409", message="a newer token is in use")
            else:
                await end.links[0].socket.close(4401, "token replaced")
            ended = await until(life, StreamEnded)
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


async def test_what_only_the_server_can_see_of_the_vendors_restrictions_is_explained() -> None:
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
    await held.say(type="error", code=code, message="another address is subscribed")


LATER: list[asyncio.Future[None]] = []


async def test_a_renewal_that_takes_long_is_the_only_one() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2, 48)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.trades("A") as feed:
            rest.held.clear()
            clock.advance(DAY - EARLY)
            await rest.until_seen(2)
            for _ in range(5):
                clock.advance(60)
                await md.list_subscriptions()
            rest.held.set()
            await end.until(lambda: [held.token for held in end.links] == ["token-2"])
            await trade(end, "1")
            assert await trades(feed, 1) == ["1"]
            assert (len(rest.seen), end.logins) == (2, ["token-1", "token-2"])


async def test_a_link_that_is_lost_while_its_token_is_renewed_waits_for_that_and_gets_no_other() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2, 48)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.trades("A") as feed, md.subscribe("lifecycle") as life:
            rest.held.clear()
            clock.advance(DAY - EARLY)
            await rest.until_seen(2)
            end.drop()
            await until(life, StreamLost)
            rest.held.set()
            await until(life, StreamLive)
            assert await trades(feed, 1) == ["gap"]
            await trade(end, "1")
            assert await trades(feed, 1) == ["1"]
            assert (len(rest.seen), end.logins, md.health().gaps) == (2, ["token-1", "token-2"], 1)


SLEEPS = {"it is lost": DAY, "login": DAY - 60, "error": DAY, "close": DAY}


@pytest.mark.parametrize("way", SLEEPS)
async def test_one_that_wore_out_while_the_machine_slept_is_got_anew_and_the_link_made_again(way: str) -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2, 48)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.trades("A") as feed, md.subscribe("lifecycle") as life:
            clock.sleep(SLEEPS[way])
            end.valid = {"token-2"}
            if way == "error":
                await end.say(type="error", code="401", message="token expired")
            elif way == "close":
                await end.links[0].socket.close(4401, "token expired")
            else:
                end.drop()
            for _ in range(2 if way == "login" else 1):
                await until(life, StreamRetrying)
                clock.advance(1)
            await until(life, StreamLive)
            assert end.logins[1:] == (["token-1", "token-2"] if way == "login" else ["token-2"])
            gap = await feed.receive()
            assert isinstance(gap, Gap)
            assert gap.since == BEGIN  # and not when it woke: what was said meanwhile is missing too
            await trade(end, "1")
            assert await trades(feed, 1) == ["1"]
            assert len(rest.seen) == 2


async def test_one_that_is_replaced_while_the_machine_sleeps_for_less_is_not_fought_over() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.quotes("A") as quotes:
            clock.sleep(DAY - EARLY - 1)
            end.valid = {"theirs"}
            await end.links[0].socket.close(4401, "token replaced")
            with pytest.raises(SessionTakenError):
                await everything(quotes)
            assert len(rest.seen) == 1


@pytest.mark.parametrize("slept", [DAY - EARLY - 30, DAY, -DAY])
async def test_one_that_ends_soon_when_the_machine_wakes_is_renewed_beside_the_link_that_stands(slept: float) -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2, 96)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.trades("A") as feed:
            clock.sleep(slept)
            clock.advance(DAY - EARLY if slept < 0 else 60)  # the day may be set back, too
            await end.until(lambda: [held.token for held in end.links] == ["token-2"])
            await trade(end, "1")
            assert await trades(feed, 1) == ["1"]
            assert (md.health().state, md.health().gaps) == ("LIVE", 0)


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


async def test_a_source_is_asked_anew_when_its_token_was_good_and_is_refused() -> None:
    source = Source("one", ConnectionToken(access_token=Secret("two")), "three")
    async with MarketEnd() as end, nothing_left():
        end.valid = {"one"}
        user = end.client().user("ada", "hush")
        async with user.market_data("c1", token_source=source) as md, md.subscribe("lifecycle") as life:
            end.valid = {"two"}
            end.drop()
            await until(life, StreamLive)
            assert end.logins == ["one", "one", "two"]
            end.valid = {"four"}
            end.drop()
            assert "no such token" in (await until(life, StreamEnded)).error
            assert source.asked == 3


def lasting(token: str, seconds: float) -> ConnectionToken:
    ends = (BEGIN + timedelta(seconds=seconds)).timestamp()
    return ConnectionToken(access_token=Secret(token), expires_at_text=str(ends))


async def test_a_source_that_keeps_a_token_until_it_ends_costs_no_link_for_it() -> None:
    clock, source = SteppedClock(), Source(*[lasting("one", 3600)] * 4, lasting("two", DAY))
    async with MarketEnd() as end, nothing_left():
        md = end.client(clock=clock).user("ada", "hush").market_data("c1", token_source=source)
        async with md, md.trades("A") as feed:
            clock.advance(3600 - 360)
            for times in (2, 3, 4):
                await renewal_is_over(md)
                clock.advance(29)
                await md.list_subscriptions()
                assert (source.asked, end.logins) == (times, ["one"])
                clock.advance(1)
            await end.until(lambda: [held.token for held in end.links] == ["two"])
            await trade(end, "1")
            assert await trades(feed, 1) == ["1"]
            assert (end.logins, md.health().gaps) == (["one", "two"], 0)


async def test_a_link_that_is_lost_while_its_source_has_no_newer_token_is_made_again_with_the_one_there_is() -> None:
    clock, asked, may_answer = SteppedClock(), [0], asyncio.Event()
    may_answer.set()

    async def source() -> ConnectionToken:
        asked[0] += 1
        await may_answer.wait()
        return lasting("one", 3600)

    async with MarketEnd() as end, nothing_left():
        md = end.client(clock=clock, reconnect=SOON).user("ada", "hush").market_data("c1", token_source=source)
        async with md, md.subscribe("lifecycle") as life:
            may_answer.clear()
            clock.advance(3600 - 360)
            end.drop()
            await until(life, StreamLost)
            may_answer.set()
            await until(life, StreamRetrying)
            clock.advance(1)
            await until(life, StreamLive)
            assert (end.logins, asked) == (["one", "one"], [2])


async def test_tokens_that_by_our_clock_come_ended_are_not_renewed_at_once() -> None:
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


async def only_link_is_of(end: MarketEnd, token: str) -> None:
    await end.until(lambda: [held.token for held in end.links] == [token])


async def test_a_source_that_is_away_for_a_while_ends_no_stream() -> None:
    clock = SteppedClock()
    source = Source("one", OSError("secret words"), ZeroDivisionError("secret words"), "two")
    async with MarketEnd() as end, nothing_left():
        md = end.client(clock=clock, reconnect=SOON).user("ada", "hush").market_data("c1", token_source=source)
        async with md, md.trades("A") as feed, md.subscribe("lifecycle") as life:
            end.valid = {"two"}
            end.drop()
            causes: list[str] = []
            for _ in range(4):  # the old token once more, and then none, twice
                causes.append((await until(life, StreamLost)).cause)
                await until(life, StreamRetrying)
                clock.advance(1)
            await until(life, StreamLive)
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


async def test_a_source_that_hangs_where_it_is_opened_is_cancelled_in_time_and_raises() -> None:
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


async def test_a_source_that_hangs_is_asked_again_and_the_stream_comes_back() -> None:
    clock, source = SteppedClock(), Hanging("one")
    patience = Timeouts(call=7.0, close=1.0)
    async with MarketEnd() as end, nothing_left():
        user = end.client(clock=clock, reconnect=SOON, timeouts=patience).user("ada", "hush")
        async with user.market_data("c1", token_source=source) as md, md.trades("A") as feed:
            end.valid = {"two"}
            async with md.subscribe("lifecycle") as life:
                end.drop()
                await until(life, StreamRetrying)
                clock.advance(1)  # the old token once more, which is refused
                await until(life, StreamRetrying)
                asked = len(clock.asked)
                clock.advance(1)
                await clock.until_asked(asked + 1)
                clock.advance(7)
                assert "returned no token within 7 s" in (await until(life, StreamLost)).cause
                source.given = ["two"]
                await until(life, StreamRetrying)
                clock.advance(1)
                await until(life, StreamLive)
            assert source.is_over.is_set()
            assert await trades(feed, 1) == ["gap"]
            assert end.logins == ["one", "one", "two"]


async def test_a_renewal_whose_source_hangs_leaves_the_link_as_it_is_and_is_tried_again() -> None:
    clock, source = SteppedClock(), Hanging()
    tokens = [lasting("one", 3600), lasting("two", DAY)]

    async def give() -> ConnectionToken:
        if len(tokens) == 1:
            await source()
        return tokens.pop(0)

    async with MarketEnd() as end, nothing_left():
        md = end.client(clock=clock, timeouts=Timeouts(call=7.0, close=1.0)).user("ada", "hush")
        async with md.market_data("c1", token_source=give) as stream, stream.trades("A") as feed:
            clock.advance(3600 - 360)
            await source.hangs.wait()
            clock.advance(7)
            await renewal_is_over(stream)
            assert source.is_over.is_set()
            await trade(end, "1")
            assert await trades(feed, 1) == ["1"]
            source.given = ["go"]
            clock.advance(30)
            await only_link_is_of(end, "two")
            assert (end.logins, stream.health().gaps) == (["one", "two"], 0)


async def test_a_live_stream_that_is_closed_while_its_source_hangs_ends_with_closed_and_nothing_else() -> None:
    source = Hanging("one")
    async with MarketEnd() as end, nothing_left():
        user = end.client().user("ada", "hush")
        async with user.market_data("c1", token_source=source) as md, md.subscribe("lifecycle") as life:
            quotes = await md.quotes("A").__aenter__()
            end.valid = {"two"}
            end.drop()
            await source.hangs.wait()
            await md.aclose()
            assert (await until(life, StreamEnded)).error == ""
            with pytest.raises(ClosedError):
                await received_to_the_end(quotes)
        assert source.is_over.is_set()


@pytest.mark.parametrize("timeout", [None, 7.0])
async def test_prepare_that_is_cancelled_while_the_source_hangs_is_cancelled(timeout: float | None) -> None:
    clock, source = SteppedClock(), Hanging()
    tokens = StreamToken(source, clock, timeout=timeout, is_minted=False)
    preparing = asyncio.create_task(tokens.ensure(is_renewal=False))
    await source.hangs.wait()
    preparing.cancel()
    await asyncio.wait([preparing], timeout=PATIENCE)
    assert (preparing.cancelled(), source.is_over.is_set(), tokens.fetch_count) == (True, True, 0)


async def test_a_source_that_answers_in_time_is_not_called_off_later() -> None:
    clock = SteppedClock()
    tokens = StreamToken(Source("one"), clock, timeout=7.0, is_minted=False)
    await tokens.ensure(is_renewal=False)
    assert [timer.is_cancelled for _, _, timer in clock._timers] == [True]
    assert (tokens.token, tokens.fetch_count, tokens.renew_in) == (Secret("one"), 1, None)


async def test_three_refused_tokens_in_a_row_end_the_stream_though_each_had_ended_by_our_clock() -> None:
    clock, source = SteppedClock(), Source(*[lasting(str(number), -60) for number in range(9)])
    async with MarketEnd() as end, nothing_left():
        md = end.client(clock=clock, reconnect=SOON).user("ada", "hush").market_data("c1", token_source=source)
        async with md, md.subscribe("lifecycle") as life:
            end.valid = set()
            end.drop()
            for _ in range(3):
                await until(life, StreamRetrying)
                clock.advance(1)
            assert "3 tokens in a row were rejected" in (await until(life, StreamEnded)).error
        assert end.logins == ["0", "1", "2", "3"]


async def test_tokens_that_are_accepted_and_refused_in_turn_end_the_stream() -> None:
    clock, source = SteppedClock(), Source(*[str(number) for number in range(9)])
    async with MarketEnd() as end, nothing_left():
        md = end.client(clock=clock, reconnect=SOON).user("ada", "hush").market_data("c1", token_source=source)
        async with md, md.subscribe("lifecycle") as life:
            for _ in range(2):
                await end.links[0].socket.close(4401, "no")
                await until(life, StreamRetrying)
                clock.advance(1)
                await until(life, StreamLive)
            await end.links[0].socket.close(4401, "no")
            assert "3 tokens in a row were rejected" in (await until(life, StreamEnded)).error
        assert end.logins == ["0", "1", "2"]


def test_a_token_that_lasted_for_a_minute_begins_a_new_row_of_refusals() -> None:
    clock = SteppedClock()
    tokens = StreamToken(Source("one"), clock, timeout=None, is_minted=False)
    for seconds in (60.0, 59.9, 60.0, 59.9):
        tokens.mark_accepted()
        clock.advance(seconds)
        assert tokens.refused_error("no") is None
    tokens.mark_accepted()
    assert isinstance(tokens.refused_error("no"), AuthenticationRefusedError)


async def test_a_new_token_that_was_never_accepted_is_refused_and_not_taken_by_another() -> None:
    tokens = StreamToken(Source("one", "two"), SteppedClock(), timeout=None, is_minted=True)
    await tokens.ensure(is_renewal=False)
    assert isinstance(tokens.refused_error("no"), AuthenticationRefusedError)
    tokens.mark_accepted()
    await tokens.ensure(is_renewal=True)
    assert isinstance(tokens.refused_error("no"), AuthenticationRefusedError)


async def test_a_first_token_that_cannot_be_had_is_not_due_for_renewal() -> None:
    tokens = StreamToken(Source(OSError()), SteppedClock(), timeout=None, is_minted=False)
    with pytest.raises(ConfigurationError):
        await tokens.ensure(is_renewal=False)
    assert tokens.renew_in is None


async def test_refusals_without_an_acceptance_between_them_are_one_row_however_long_the_first_token_lasted() -> None:
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


async def test_a_token_of_ours_that_by_our_clock_came_ended_is_taken_to_last_a_day() -> None:
    tokens = StreamToken(Source(lasting("one", -60)), SteppedClock(), timeout=None, is_minted=True)
    await tokens.ensure(is_renewal=False)
    assert tokens.renew_in == DAY - EARLY


@pytest.mark.parametrize(
    ("asked", "bounds"), [("600", (600, 600)), ("100", (100, 100)), ("0", (15, 30)), ("9" * 400, (600, 600))]
)
async def test_a_renewal_waits_for_as_long_as_the_server_asks_within_bounds(
    asked: str, bounds: tuple[float, float]
) -> None:
    clock = SteppedClock()
    no = answer(429, '{"message": "slow down"}', Retry_After=asked)
    async with MarketEnd() as end, ScriptedEnd(minted(1), no) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.trades("A"):
            clock.advance(DAY - EARLY)
            await rest.until_seen(2)
            await renewal_is_over(md)
            renew_in = md._config.login.renew_in if md._config.login else None
            assert renew_in is not None
            assert bounds[0] <= renew_in <= bounds[1]


async def test_a_renewal_that_fails_again_and_again_is_tried_after_pauses_that_grow() -> None:
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


async def test_a_stream_is_closed_while_its_source_hangs() -> None:
    source = Hanging()
    async with MarketEnd() as end, nothing_left():
        opening = asyncio.create_task(
            end.client().user("ada", "hush").market_data("c1", token_source=source).__aenter__()
        )
        await source.hangs.wait()
        opening.cancel()
        await asyncio.wait([opening], timeout=PATIENCE)
        assert (opening.cancelled(), source.is_over.is_set()) == (True, True)


async def test_what_a_source_waits_for_is_cancelled_by_others_and_the_stream_goes_on() -> None:
    source = Source("one", asyncio.CancelledError(), "two")
    async with MarketEnd() as end, nothing_left():
        user = end.client().user("ada", "hush")
        async with user.market_data("c1", token_source=source) as md, md.subscribe("lifecycle") as life:
            end.valid = {"two"}
            end.drop()
            await until(life, StreamLive)
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
async def test_a_source_that_gives_no_token_is_told_where_it_is_opened(given: Any, error: type[Exception]) -> None:
    async with MarketEnd() as end, nothing_left():
        with pytest.raises(error) as caught:
            await end.client().user("ada", "hush").market_data("c1", token_source=Source(given)).__aenter__()
        assert "secret words" not in str(caught.value)


async def test_a_refused_token_is_refused_where_it_is_opened_and_not_shown() -> None:
    async with MarketEnd() as end, nothing_left():
        end.valid = set()
        with pytest.raises(AuthenticationRefusedError) as caught:
            await end.stream("hush-hush").__aenter__()
        assert "hush-hush" not in str(caught.value)
        assert "no such token: ***" in str(caught.value)


async def test_a_source_that_gives_the_refused_token_again_ends_it() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream("one") as md, md.subscribe("lifecycle") as life:
        end.valid = set()
        end.drop()
        assert "returned the rejected token again" in (await until(life, StreamEnded)).error


async def test_it_is_closed_in_the_midst_of_a_renewal() -> None:
    clock = SteppedClock()
    async with MarketEnd() as end, ScriptedEnd(minted(1), minted(2, 48)) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.trades("A") as feed:
            end.act("authenticate", None)
            clock.advance(DAY - EARLY)
            await end.until_received("authenticate", 2)
        with pytest.raises(ConnectTradeError):
            await feed.receive()


async def test_what_the_server_says_of_the_end_may_be_unreadable_or_missing() -> None:
    clock = SteppedClock()
    acts = [answer(200, '{"access_token": "a", "expires_at": "soon"}'), answer(200, '{"access_token": "b"}')]
    async with MarketEnd() as end, ScriptedEnd(*acts) as rest, user_of(end, rest, clock) as user:
        md = user.market_data("c1")
        async with md, md.subscribe("lifecycle"):
            clock.advance(DAY - EARLY)
            await end.until(lambda: [held.token for held in end.links] == ["b"])
