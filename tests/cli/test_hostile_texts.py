"""No command prints a control character of a server: ANSI escapes, bidirectional marks, line breaks."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from aiohttp import web
from websockets.exceptions import ConnectionClosed

from market_data_server import MarketEnd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from click.testing import Result

    from connecttrade_async.sandbox import Sandbox
    from market_data_server import Frame, Held

    Call = Callable[..., Awaitable[Result]]

# Screen clearing, a window title, C1 controls, a reversal of the direction, separators of lines, a bell and a null.
HOSTILE = "x\x1b[2J\x1b]0;t\x07\x9b31m\x85\u202ey\u2066\u2028\u2029\r\nz\x00\x7f\u200f"
LIST = [
    {
        "user_id": HOSTILE,
        "connection_id": HOSTILE,
        "connection_type": HOSTILE,
        "status": HOSTILE,
        "broker_status": HOSTILE,
        "reject_reason": HOSTILE,
        "broker": HOSTILE,
        "account_id": HOSTILE,
        "account_number": HOSTILE,
        "institution_name": HOSTILE,
        "currency": HOSTILE,
        "cash": HOSTILE,
        "buying_power": HOSTILE,
        "symbol": HOSTILE,
        "instrument": HOSTILE,
        "quantity": HOSTILE,
        "unrealized_pl": HOSTILE,
        "market_value": HOSTILE,
        "order_id": HOSTILE,
        "cl_order_id": HOSTILE,
        "side": HOSTILE,
        "order_type": HOSTILE,
        "order_tif": HOSTILE,
        "order_qty": HOSTILE,
        "filled_qty": HOSTILE,
        "order_limit_price": HOSTILE,
        "avg_fill_price": HOSTILE,
        "created_at": HOSTILE,
        "updated_at": HOSTILE,
        "fills": [{"fill_id": HOSTILE, "time": HOSTILE, "quantity": HOSTILE, "price": HOSTILE}],
        "transaction_id": HOSTILE,
        "type": HOSTILE,
        "date": HOSTILE,
        "amount": HOSTILE,
        "description": HOSTILE,
        "accounts": [{"account_id": HOSTILE, "account_number": HOSTILE, "institution_name": HOSTILE}],
    }
]
OPTION_ORDER = "option call SPY --expiry 2040-12-21 --strike 4 --qty 1 --side buy-to-open --market --yes"
COMMANDS = [
    "users",
    "connections",
    "accounts",
    "balances",
    "positions",
    "orders",
    "orders --status all",
    "orders --find mine",
    "transactions",
    "buy AAPL 1 --account a --broker PUBLIC --yes",
    "buy AAPL 1 --account a --broker PUBLIC --dry-run",
    "replace mine --qty 2 --broker PUBLIC --dry-run",
    "buy AAPL 1 --yes",
    "buy AAPL 1 --account a --yes",
    "replace mine --qty 2 --yes",
    "cancel mine --yes",
    "poll --times 1",
    "poll --what orders --times 1",
    "sell AAPL 1 --account a --broker PUBLIC --yes",
    "sell AAPL 1 --account a --yes",
    f"{OPTION_ORDER} --account a --broker PUBLIC",
    OPTION_ORDER,
    "connect --broker PUBLIC --redirect-url https://a.example",
    "watch nowhere",
    "quotes AAPL",
    "depth AAPL",
    "chain SPY",
    "bars AAPL",
]


async def served(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield "http://127.0.0.1:{1}".format(*runner.addresses[0])
    await runner.cleanup()


@pytest.fixture
async def hostile() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        if request.method == "GET":
            if request.path.endswith("/token"):
                return web.json_response({"access_token": "token", "expires_at": HOSTILE})
            mine: list[dict[str, Any]] = [LIST[0] | {"cl_order_id": "mine", "order_id": "o-1", "account_id": "a"}]
            return web.json_response(mine if request.path in {"/orders", "/accounts"} else LIST)
        if request.path == "/connections":
            return web.json_response({"connection_request_url": HOSTILE, "expires_at": HOSTILE})
        return web.json_response(LIST[0])

    async for url in served(answer):
        yield url


@pytest.fixture
async def refusing() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"message": HOSTILE}, status=400 if request.method == "GET" else 401)

    async for url in served(answer):
        yield url


def check_harmless(result: Result, *, is_json: bool = False) -> None:
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    for text in (result.stdout, result.stderr):
        assert all(letter == "\n" or letter.isprintable() for letter in text), ascii(text)
        assert not any(line.startswith("z") for line in text.split("\n")), text  # no line begins inside a value
    assert result.stdout + result.stderr
    if is_json:
        for line in result.stdout.splitlines():
            json.loads(line)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("form", ["", " --json"])
async def test_command_with_hostile_responses_prints_no_control_character(
    call: Call, hostile: str, command: str, form: str
) -> None:
    answer = "https://a.example?status=SUCCESS&connection_id=c1\n"
    result = await call(*(command + form).split(), stdin=answer, CONNECTTRADE_API_URL=hostile)
    check_harmless(result, is_json=bool(form))


@pytest.mark.parametrize("command", COMMANDS)
async def test_command_with_a_hostile_error_prints_no_control_character(
    call: Call, refusing: str, command: str
) -> None:
    result = await call(*command.split(), CONNECTTRADE_API_URL=refusing)
    check_harmless(result)


async def test_json_output_escapes_control_characters_and_decodes_to_the_same_text(call: Call, hostile: str) -> None:
    result = await call("accounts", "--json", CONNECTTRADE_API_URL=hostile)
    assert json.loads(result.stdout)["institution_name"] == HOSTILE


ORDER = LIST[0] | {"order_id": "o-1", "legs": [{"symbol": HOSTILE, "ratio": HOSTILE, "action": HOSTILE}]}
REASON = HOSTILE.encode()[:100].decode("utf-8", "ignore")


def publish_hostile(sandbox: Sandbox) -> None:
    for topic in ("orders", "positions", "balances"):
        sandbox.stream.publish(topic, HOSTILE, HOSTILE, ORDER, timestamp=HOSTILE)
        sandbox.stream.publish(topic, "ada", "a", ORDER, timestamp=HOSTILE)
    sandbox.stream.send(HOSTILE)
    sandbox.stream.send({"type": HOSTILE, "message": HOSTILE, "user_id": HOSTILE})
    sandbox.stream.send({"type": "order", "data": HOSTILE, "user_id": HOSTILE})


@pytest.mark.parametrize("command", ["stream", "watch"])
@pytest.mark.parametrize("form", ["", " --json"])
async def test_brokerage_stream_with_hostile_texts_prints_no_control_character(
    call: Call, sandbox: Sandbox, hostile: str, command: str, form: str
) -> None:
    results: list[Result] = []

    async def run() -> None:
        results.append(await call(*(command + form).split(), "--for", "1.5", CONNECTTRADE_API_URL=hostile))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await sandbox.stream.until_live()
            publish_hostile(sandbox)
            await anyio.sleep(0.2)
            sandbox.stream.drop(1012, REASON)
            await sandbox.stream.until_live(2)
            publish_hostile(sandbox)
    check_harmless(results[0], is_json=bool(form))
    assert results[0].exit_code == 0
    assert results[0].stdout


@pytest.mark.parametrize("command", ["stream", "watch"])
@pytest.mark.parametrize("ending", ["error", "taken"])
async def test_brokerage_stream_that_ends_with_a_hostile_text_prints_no_control_character(
    call: Call, sandbox: Sandbox, hostile: str, command: str, ending: str
) -> None:
    results: list[Result] = []

    async def run() -> None:
        results.append(await call(command, "--for", "5", CONNECTTRADE_API_URL=hostile))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await sandbox.stream.until_live()
            if ending == "error":
                sandbox.stream.send({"type": "error", "code": "401", "message": HOSTILE})
                sandbox.stream.drop(1008, REASON)
            else:
                sandbox.stream.drop(4409, REASON)
    check_harmless(results[0])
    assert results[0].stderr


FIGURES = dict.fromkeys(("bid_price", "bid_size", "ask_price", "ask_size", "last_price", "timestamp"), HOSTILE)
LEVELS = [{"price": HOSTILE, "size": HOSTILE}, {"price": "1", "size": HOSTILE}, {"price": HOSTILE, "size": "3"}]
GREEKS = {"delta": HOSTILE, "implied_volatility": HOSTILE}
OPTION = {"bid_price": HOSTILE, "ask_price": HOSTILE, "greeks": GREEKS}
BAR = dict.fromkeys(("open", "high", "low", "close", "volume"), HOSTILE)
EVENTS: dict[str, dict[str, Any]] = {
    "quotes": {"type": "quote", "symbol": "AAPL", **FIGURES},
    "depth": {"type": "depth", "symbol": "AAPL", "bids": LEVELS, "asks": LEVELS, "timestamp": HOSTILE},
    "options_chain": {
        "type": "options_chain",
        "underlying": "AAPL",
        "expiration": HOSTILE,
        "contracts": [{"symbol": HOSTILE, **OPTION}, {"symbol": "AAPL260116C00100000", **OPTION}],
    },
    "bars": {"type": "bar", "symbol": "AAPL", "interval": "1m", "start_time": HOSTILE, "closed": True, **BAR},
}
MARKET = [
    "quotes AAPL --for 0.8",
    "depth AAPL --for 0.8",
    "depth AAPL --once",
    "chain AAPL",
    "bars AAPL",
    "bars AAPL --csv",
    "bars AAPL --follow --for 0.8",
    "bars AAPL --follow --csv --for 0.8",
]


@pytest.mark.parametrize("command", MARKET)
@pytest.mark.parametrize("form", ["", " --json"])
async def test_market_data_with_hostile_texts_prints_no_control_character(
    call: Call, hostile: str, command: str, form: str
) -> None:
    if "--csv" in command and form:
        pytest.skip("--csv and --json exclude each other")
    async with MarketEnd() as server:
        server.bars["AAPL"] = [{**BAR, "start_time": HOSTILE}, {**BAR, "start_time": "2026-03-02T14:30:00Z"}]
        tasks: set[asyncio.Task[None]] = set()

        async def send(held: Held, channel: str) -> None:
            with contextlib.suppress(ConnectionClosed):
                await asyncio.sleep(0.1)
                await held.send(**EVENTS[channel])
                await held.socket.send(HOSTILE)
                await held.send(type=HOSTILE, message=HOSTILE)
                await held.send(**EVENTS[channel])
                await held.socket.close(1012, REASON)

        def act(held: Held, frame: Frame) -> bool:
            if frame["action"] == "subscribe":
                task = asyncio.create_task(send(held, frame["channel"]))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            return False

        server.acts.append(act)
        words = [*(command + form).split(), "--connection", "c1"]
        result = await call(*words, CONNECTTRADE_API_URL=hostile, CONNECTTRADE_MDSTREAM_URL=server.url)
    check_harmless(result, is_json=bool(form))
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("command", MARKET)
async def test_market_data_that_is_refused_with_a_hostile_text_prints_no_control_character(
    call: Call, hostile: str, command: str
) -> None:
    async with MarketEnd() as server:

        async def refuse(held: Held, frame: Frame) -> None:
            await held.send(type="error", id=frame["id"], code="403", message=HOSTILE)

        def act(held: Held, frame: Frame) -> bool:
            if frame["action"] in {"subscribe", "snapshot"}:
                asyncio.get_running_loop().create_task(refuse(held, frame))
                return True
            return False

        server.acts.append(act)
        words = [*command.split(), "--connection", "c1"]
        result = await call(*words, CONNECTTRADE_API_URL=hostile, CONNECTTRADE_MDSTREAM_URL=server.url)
    check_harmless(result)
    assert result.exit_code == 1
