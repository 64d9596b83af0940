"""The events of the market-data stream: every channel with its options, on a clock that stands until it is moved."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from connecttrade_async.sandbox import Sandbox, Spellings
from connecttrade_async.sandbox.world import Bar, tick_of

Dial = Callable[..., Awaitable[ClientConnection]]
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


async def read(link: ClientConnection) -> Any:
    async with asyncio.timeout(5):
        return json.loads(await link.recv())


async def send_action(link: ClientConnection, action: str, **members: object) -> Any:
    await link.send(json.dumps({"action": action, **members}))
    return await read(link)


async def heard(link: ClientConnection) -> list[Any]:
    """Return every event so far: what comes before the answer to a question."""
    await link.send(json.dumps({"action": "list_subscriptions", "id": "so far"}))
    found: list[Any] = []
    while (message := await read(link))["type"] != "subscriptions":
        found.append(message)
    return found


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def as_bar(told: Mapping[str, Any]) -> Bar:
    opened, high, low, closed = (Decimal(told[name]) for name in ("open", "high", "low", "close"))
    return Bar(at(told["start_time"]), opened, high, low, closed, int(told["volume"]))


@pytest.fixture
async def real() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=7, hours="real") as running:
        running.clock.hold(NOON)
        yield running


async def test_quotes_are_the_prices_at_which_paper_orders_fill(sandbox: Sandbox, tune: Dial) -> None:
    link = await tune()
    await send_action(link, "subscribe", channel="quotes", symbols=["AAPL", "AAPL260821C00230000"])
    await heard(link)
    for _ in range(5):
        sandbox.clock.advance(1.3)
        told = {message["symbol"]: message for message in await heard(link)}
        assert set(told) == {"AAPL", "AAPL260821C00230000"}
        for symbol, message in told.items():
            quote = sandbox.broker.quote(symbol)
            prices = tuple(Decimal(message[name]) for name in ("bid_price", "ask_price", "last_price"))
            assert prices == (quote.bid, quote.ask, quote.last)
            assert at(message["timestamp"]) == sandbox.clock.now()


async def test_unchanged_quote_is_not_sent_again(sandbox: Sandbox, tune: Dial) -> None:
    link = await tune()
    await send_action(link, "subscribe", channel="quotes", symbols=["AAPL"])
    assert len(await heard(link)) == 1
    sandbox.clock.advance(0.1)
    assert await heard(link) == []
    sandbox.market.tick()
    assert len(await heard(link)) == 1


async def test_pinned_price_is_sent_at_once(sandbox: Sandbox, tune: Dial) -> None:
    link = await tune()
    await send_action(link, "subscribe", channel="quotes", symbols=["AAPL"])
    await read(link)
    sandbox.broker.set_price("AAPL", "150.00")
    told = await read(link)
    assert (told["bid_price"], told["ask_price"], told["last_price"]) == ("149.98", "150.02", "150.00")


async def test_what_is_worth_nothing_has_no_bid(sandbox: Sandbox, tune: Dial) -> None:
    link = await tune()
    sandbox.broker.set_price("F", "0.01")
    await send_action(link, "subscribe", channel="quotes", symbols=["F"])
    told = await read(link)
    assert (told["bid_price"], told["bid_size"], told["ask_price"]) == ("0.00", "0", "0.02")
    await send_action(link, "subscribe", channel="depth", symbols=["F"], levels=2)
    told = await read(link)
    assert (told["bids"], [level["price"] for level in told["asks"]]) == ([], ["0.02", "0.03"])


async def test_trades_are_the_prints_of_the_world(sandbox: Sandbox, tune: Dial) -> None:
    link = await tune()
    sandbox.clock.advance(0.1)
    await send_action(link, "subscribe", channel="trades", symbols=["AAPL", "F"])
    for seconds in (0.2, 7.0, 60.0, 0.0, 33.3):
        sandbox.clock.advance(seconds)
    told = await heard(link)
    for symbol in ("AAPL", "F"):
        prints = list(sandbox.world.tape.prints(symbol, tick_of(NOON) + 1, tick_of(sandbox.clock.now()) + 1))
        assert len(prints) > 20
        assert [
            (at(one["timestamp"]), Decimal(one["price"]), int(one["size"]), one["session"])
            for one in told
            if one["symbol"] == symbol
        ] == [(one.at, one.price, one.size, one.session) for one in prints]
    assert set(told[0]) == {"type", "symbol", "price", "size", "session", "timestamp"}


async def test_trade_is_sent_once_for_every_choice_of_hours(real: Sandbox) -> None:
    async with Listening(real) as (everything, regular, extended):
        for sessions, link in (
            (("all", "regular"), everything),
            (("regular",), regular),
            (("extended",), extended),
        ):
            for session in sessions:
                await send_action(link, "subscribe", channel="trades", symbols=["AAPL"], session=session)
        real.clock.hold(datetime(2026, 7, 1, 13, 29, 30, tzinfo=UTC))
        real.clock.advance(60)
        told = [await heard(link) for link in (everything, regular, extended)]
        assert {one["session"] for one in told[1]} == {"regular"}
        assert {one["session"] for one in told[2]} == {"extended"}
        assert told[0][-len(told[1]) :] == told[1]
        assert len(told[0]) == len(told[1]) + len(told[2])
        real.clock.hold(datetime(2026, 7, 2, 0, 5, tzinfo=UTC))
        await heard(everything)
        real.clock.advance(600)
        assert await heard(everything) == []


class Listening:
    """Three logged-in users."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._links: list[ClientConnection] = []

    async def __aenter__(self) -> list[ClientConnection]:
        from websockets.asyncio.client import connect  # noqa: PLC0415  only here is a link made without a fixture

        world = self._sandbox.world
        for name in ("ann", "bob", "cid"):
            user = world.create_user(name)
            link = world.invite(user, "market_data", "https://app.example/", self._sandbox.clock.now())
            await self._sandbox.approve(f"{self._sandbox.url}/connect/{link.token}", "ALPACA")
            token = self._sandbox.market.replace_token(next(iter(user.connections)))
            self._links.append(await connect(self._sandbox.endpoints.market_data, compression=None))
            await read(self._links[-1])
            await send_action(self._links[-1], "authenticate", access_token=token)
        return self._links

    async def __aexit__(self, *_: object) -> None:
        for link in self._links:
            await link.close()


async def test_bars_past_present_and_closed(sandbox: Sandbox, tune: Dial) -> None:
    link = await tune()
    sandbox.clock.advance(30)
    begun = sandbox.clock.now()
    await send_action(link, "subscribe", channel="bars", symbols=["AAPL"], interval="1m", backfill=3)
    told = await heard(link)
    assert [message["closed"] for message in told] == [True, True, True, False]
    assert [as_bar(message) for message in told[:3]] == sandbox.world.bars.before("AAPL", "1m", begun, 3)
    assert as_bar(told[3]) == sandbox.world.bars.bar("AAPL", "1m", begun, begun)
    sandbox.clock.advance(10)
    (told,) = await heard(link)
    assert (told["closed"], told["interval"], at(told["start_time"])) == (False, "1m", NOON)
    sandbox.clock.advance(20)
    told = await heard(link)
    assert as_bar(told[0]) == sandbox.world.bars.bar("AAPL", "1m", NOON)
    assert told[0]["closed"] is True
    sandbox.clock.advance(0.05)
    sandbox.clock.advance(600)
    closed = [as_bar(message) for message in await heard(link) if message["closed"]]
    assert (
        closed == list(sandbox.world.bars.between("AAPL", "1m", NOON + timedelta(minutes=1), sandbox.clock.now()))[:10]
    )


async def test_closed_bar_is_sent_exactly_once_for_any_steps_of_the_clock(sandbox: Sandbox, tune: Dial) -> None:
    link = await tune()
    for interval in ("1m", "5m"):
        await send_action(link, "subscribe", channel="bars", symbols=["AAPL", "F"], interval=interval)
        await heard(link)
    steps = (0.25, 59.5, 0.1, 0.15, 60, 59.9, 0.1, 0, 1, 300, 7, 7, 7, 240, 0.25, 90)
    for seconds in steps:
        sandbox.clock.advance(seconds)
    told = await heard(link)
    for interval in ("1m", "5m"):
        for symbol in ("AAPL", "F"):
            closed = [
                as_bar(one) for one in told if one["closed"] and (one["interval"], one["symbol"]) == (interval, symbol)
            ]
            count = int(sum(steps) // {"1m": 60, "5m": 300}[interval])
            assert closed == sandbox.world.bars.before(symbol, interval, sandbox.clock.now(), count)


async def test_two_intervals_and_two_depths_live_side_by_side(sandbox: Sandbox, tune: Dial) -> None:
    link = await tune()
    for levels in (2, "5"):
        await send_action(link, "subscribe", channel="depth", symbols=["AAPL"], levels=levels)
        await read(link)
    sandbox.clock.advance(1)
    two, five = await heard(link)
    assert [len(one["bids"]) for one in (two, five)] == [2, 5]
    assert two["asks"] == five["asks"][:2]
    quote = sandbox.broker.quote("AAPL")
    assert (two["bids"][0]["price"], two["asks"][0]["price"]) == (str(quote.bid), str(quote.ask))
    await send_action(link, "unsubscribe", channel="depth", symbols=["AAPL"], levels=2)
    sandbox.clock.advance(1)
    assert [len(one["bids"]) for one in await heard(link)] == [5]


async def test_depth_has_ten_levels_by_default(tune: Dial) -> None:
    link = await tune()
    await send_action(link, "subscribe", channel="depth", symbols=["AAPL"])
    told = await read(link)
    assert [len(told["bids"]), len(told["asks"])] == [10, 10]
    assert set(told) == {"type", "symbol", "bids", "asks", "timestamp"}


async def test_the_chain_of_one_expiry(sandbox: Sandbox, tune: Dial) -> None:
    link = await tune()
    chain = {"channel": "options_chain", "underlying": "AAPL", "expiration": "2026-08-21"}
    await send_action(link, "subscribe", **chain, greeks=True)
    told = await read(link)
    assert (told["type"], told["underlying"], told["expiration"]) == ("options_chain", "AAPL", "2026-08-21")
    for contract in told["contracts"]:
        quote = sandbox.broker.quote(contract["symbol"])
        assert (contract["bid_price"], contract["ask_price"]) == (str(quote.bid), str(quote.ask))
        assert contract["last_price"] == str(quote.last)
        assert set(contract["greeks"]) == {"delta", "gamma", "theta", "vega", "rho", "implied_volatility"}
        assert {type(value) for value in contract["greeks"].values()} == {str}
    await send_action(link, "subscribe", **chain)
    assert "greeks" not in (await read(link))["contracts"][0]
    sandbox.clock.advance(5)
    assert ["greeks" in one["contracts"][0] for one in await heard(link)] == [True, False]


async def test_the_chains_of_every_expiry(sandbox: Sandbox, tune: Dial) -> None:
    link = await tune()
    await send_action(link, "subscribe", channel="options_chain", underlying="F")
    days = [one["expiration"] for one in await heard(link)]
    assert days[:4] == ["2026-07-03", "2026-07-10", "2026-07-17", "2026-07-24"]
    await send_action(link, "subscribe", channel="options_chain", underlying="F", expiration="2026-07-10")
    await heard(link)
    sandbox.broker.set_price("F", "20.00")
    assert [one["expiration"] for one in await heard(link)] == days


async def test_snapshot_of_bars_returns_the_closed_bars_asked_for(sandbox: Sandbox, tune: Dial) -> None:
    link = await tune()
    sandbox.clock.advance(90)
    bars = sandbox.world.bars
    answer = await send_action(link, "snapshot", id="10", channel="bars", symbols=["AAPL"], interval="5m", limit=300)
    assert (answer["type"], answer["id"], answer["symbol"]) == ("snapshot", "10", "AAPL")
    assert [as_bar(one) for one in answer["bars"]] == bars.before("AAPL", "5m", NOON, 300)
    assert {(one["symbol"], one["interval"], one["closed"]) for one in answer["bars"]} == {("AAPL", "5m", True)}
    usual = await send_action(link, "snapshot", channel="bars", symbols=["AAPL"])
    assert [as_bar(one) for one in usual["bars"]] == bars.before("AAPL", "1m", sandbox.clock.now(), 100)
    stretch = {"start_time": "2026-07-01T11:30:30Z", "end_time": "2026-07-01T11:40:30Z"}
    first = await send_action(link, "snapshot", channel="bars", symbols=["AAPL"], **stretch)
    starts = [as_bar(one).start for one in first["bars"]]
    assert starts == [NOON - timedelta(minutes=back) for back in range(29, 19, -1)]
    few = await send_action(link, "snapshot", channel="bars", symbols=["AAPL"], limit="2", **stretch)
    assert few["bars"] == first["bars"][:2]
    last = await send_action(link, "snapshot", channel="bars", symbols=["AAPL"], limit=2, end_time=stretch["end_time"])
    assert last["bars"] == first["bars"][-2:]
    upto = await send_action(link, "snapshot", channel="bars", symbols=["AAPL"], start_time="2026-07-01T11:59:00Z")
    assert [as_bar(one).start for one in upto["bars"]] == [NOON - timedelta(minutes=1), NOON]
    assert sandbox.market.subscriptions() == {1: []}


async def test_a_history_that_ends_before_it_begins_to_remember_is_empty_or_short(tune: Dial) -> None:
    link = await tune()
    old = {"channel": "bars", "symbols": ["AAPL"], "interval": "1d", "end_time": "2000-01-04T12:00:00Z"}
    assert len((await send_action(link, "snapshot", **old))["bars"]) == 5
    assert len((await send_action(link, "snapshot", **old, start_time="1990-01-01T00:00:00Z"))["bars"]) == 4


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        ({"channel": "quotes"}, "400", "channel must be bars: there is no snapshot of another."),
        ({"symbols": ["AAPL", "F"]}, "400", "symbols must be one symbol for a snapshot."),
        ({"symbols": ["ZZX"]}, "404", "There is no ZZX."),
        ({"backfill": 2}, "400", "bars has no backfill."),
        ({"limit": 0}, "400", "limit must be a whole number from 1 to 1000."),
        ({"start_time": "2026-07-02T00:00:00Z", "end_time": "2026-07-01T00:00:00Z"}, "400", None),
        ({"start_time": "yesterday", "end_time": "2026-07-01T00:00:00Z"}, "400", None),
        ({"end_time": "yesterday"}, "400", None),
        ({"start_time": "yesterday"}, "400", None),
    ],
)
async def test_a_history_that_makes_no_sense(tune: Dial, wrong: dict[str, Any], code: str, words: str | None) -> None:
    link = await tune()
    answer = await send_action(link, "snapshot", **{"id": "3", "channel": "bars", "symbols": ["AAPL"], **wrong})
    assert (answer["type"], answer["id"], answer["code"]) == ("error", "3", code)
    assert words in {None, answer["message"]}


async def test_real_time_has_a_pace(sandbox: Sandbox, tune: Dial) -> None:
    sandbox.market.pace = 0.02
    sandbox.clock.release()
    link = await tune()
    await send_action(link, "subscribe", channel="quotes", symbols=["AAPL"])
    stamps = [at((await read(link))["timestamp"]) for _ in range(3)]
    assert stamps == sorted(set(stamps))


async def test_leap_of_the_clock_sends_only_the_events_within_memory(sandbox: Sandbox, tune: Dial) -> None:
    sandbox.market.memory = 120
    link = await tune()
    await send_action(link, "subscribe", channel="trades", symbols=["AAPL"])
    sandbox.clock.advance(7200)
    told = await heard(link)
    assert sandbox.clock.now() - at(told[0]["timestamp"]) < timedelta(seconds=120)
    sandbox.clock.hold(NOON)
    assert await heard(link) == []
    sandbox.clock.advance(60)
    assert 20 <= len(await heard(link)) <= 40


async def test_times_are_spelled_as_on_rest(sandbox: Sandbox, tune: Dial) -> None:
    sandbox.spellings = Spellings(times="epoch_milliseconds")
    link = await tune()
    await send_action(link, "subscribe", channel="quotes", symbols=["AAPL"])
    assert (await read(link))["timestamp"] == "1782907200000"


async def test_worlds_of_one_seed_publish_the_same_events(tune: Dial, real: Sandbox) -> None:
    link = await tune()
    async with Listening(real) as (other, *_):
        for one in (link, other):
            await send_action(one, "subscribe", channel="quotes", symbols=["ZM"])
        assert await read(link) == await read(other)
