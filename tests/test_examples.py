"""Each example runs unchanged, in a process of its own."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import pytest
from aiohttp import web

from connecttrade_async import ConnectTrade
from connecttrade_async.sandbox import Sandbox
from market_data_server import MarketEnd
from redis_server import RedisServer, needs_redis
from scripted_server import ScriptedEnd, answer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from connecttrade_async import User

EXAMPLES = Path(__file__).parent.parent / "examples"


async def run(name: str, *arguments: str, stderr_start: str = "", **environment: str) -> str:
    """Run an example in a process of its own, and return its output. Its stderr must start with ``stderr_start``."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("CONNECTTRADE_")}
    finished = await anyio.run_process(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        env={**clean, **environment},
        check=False,
    )
    assert finished.returncode == 0, finished.stderr.decode()
    stderr = finished.stderr.decode()
    assert stderr.startswith(stderr_start)
    assert stderr.count("\n") == stderr_start.count("\n") + bool(stderr_start)
    return finished.stdout.decode()


def environment(sandbox: Sandbox) -> dict[str, str]:
    return {
        "CONNECTTRADE_API_URL": sandbox.url,
        "CONNECTTRADE_CLIENT_ID": sandbox.client_id,
        "CONNECTTRADE_CLIENT_SECRET": sandbox.client_secret,
    }


async def test_quickstart_example_runs_unchanged() -> None:
    lines = (await run("quickstart.py")).splitlines()
    assert lines[0].startswith("connected: ")
    assert any(line.startswith("IBM/WS ") for line in lines)


async def test_many_users_example_runs_unchanged() -> None:
    lines = (await run("many_users.py")).splitlines()
    assert len([line for line in lines if "not known now" in line]) == 1
    assert "user-25: no accounts" in lines
    assert lines[-1].startswith("cash of all that answered: ")


async def test_live_accounts_example_runs_unchanged() -> None:
    lines = (await run("live_accounts.py", stderr_start="the stream was lost")).splitlines()
    assert lines[0] == "filled: 4 MSFT at 1.00 (stream)"
    assert sorted(lines[1:3]) == ["filled: 10 MSFT at 0.994 on average", "filled: 6 MSFT at 0.99 (recovered)"]
    assert " CURRENT " in lines[-1]


async def test_poll_users_example_runs_unchanged() -> None:
    lines = (await run("poll_users.py", stderr_start="all requests fail, so one probe at a time")).splitlines()
    assert len([line for line in lines if line.endswith(" positions")]) >= 10
    assert len([line for line in lines if line.endswith("not known now (ServerError)")]) == 10
    assert lines[-1] == "the platform answers again"
    assert any(line.startswith("all requests fail, ") for line in lines)


@asynccontextmanager
async def connected_user(broker: str) -> AsyncGenerator[tuple[User, dict[str, str]]]:
    """Yield a user with one broker connected, and the environment in which an example finds that user."""
    async with (
        Sandbox() as sandbox,
        ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct,
    ):
        new = await ct.users.create("ada")
        user = ct.user("ada", new.user_secret)
        request = await user.connections.create("trade", redirect_url="https://app.example/done", broker=broker)
        await sandbox.approve(request.url)
        yield (
            user,
            {
                **environment(sandbox),
                "CONNECTTRADE_USER_ID": "ada",
                "CONNECTTRADE_USER_SECRET": new.user_secret.reveal(),
            },
        )


async def test_total_unrealized_pl() -> None:
    async with connected_user("ALPACA") as (_, user_environment):
        output = await run("total_unrealized_pl.py", **user_environment)
    assert output.endswith(" positions; 0 gave no number\n")
    async with connected_user("TASTYTRADE") as (user, user_environment):
        output = await run("total_unrealized_pl.py", **user_environment)
        held = len(await user.positions.list())
    assert output == f"unrealized: 0 in 0 positions; {held} gave no number\n"


async def test_average_fill_price() -> None:
    async with connected_user("ALPACA") as (user, user_environment):
        first, second = [await run("average_fill_price.py", *named, **user_environment) for named in ([], ["MSFT"])]
        bought = [order async for order in user.orders.list(status="all", side="BUY", symbols="AAPL")]
    executions = sum(len(order.fills) for order in bought)
    assert first.startswith("AAPL: ")
    assert f"in {executions} executions" in first
    assert second.startswith("MSFT: ")


async def test_daily_summary_example_runs_unchanged() -> None:
    async with connected_user("WEBULL") as (user, user_environment):
        lines = (await run("daily_summary.py", **user_environment)).splitlines()
        held = await user.positions.list()
    assert lines[0].startswith("cash ")
    assert lines[-1] == f"today in all 0 ({len(held)} missing)"
    assert len(lines) == len({position.symbol for position in held}) + 3


async def test_partially_filled_example_runs_unchanged() -> None:
    async with connected_user("ALPACA") as (user, user_environment):
        lines = (await run("partially_filled.py", **user_environment)).splitlines()
        there = [order async for order in user.orders.list(status="partially_filled")]
    assert len(lines) >= len(there) > 0
    assert {order.order_id for order in there} <= {line.partition(":")[0] for line in lines}


async def test_place_an_order() -> None:
    lines = (
        await run("place_an_order.py", stderr_start="outcome unknown, checking whether the order was placed")
    ).splitlines()
    assert [line.partition(":")[0] for line in lines if not line.startswith("would send")] == [
        "not sent",
        "not sent",
        "placed",
        "replaced",
        "cancelled",
        "outcome unknown, so the order is looked up again",
        "found",
        "orders sent",
    ]
    assert lines[-1].startswith("orders sent: 2, ")


async def test_follow_the_stream() -> None:
    lines = (
        await run("follow_the_stream.py", stderr_start="the stream was lost: the connection was dropped\nstream ended")
    ).splitlines()
    assert lines == [
        "following",
        "ada: 1 MSFT filled, the order is partially_filled",
        "the connection was dropped, so all orders are read again",
        "ada: 2 MSFT filled during the gap, the order is partially_filled",
        "ada: 3 MSFT filled, the order is filled",
        "only one program may follow: the server sent error 409: There is another session with these credentials.",
    ]


async def test_options_strategies_example_runs_unchanged() -> None:
    lines = (await run("options_strategies.py")).splitlines()
    assert len(lines) == 6
    assert all(", filled at " in line for line in lines)


async def test_all_orders_example_runs_unchanged() -> None:
    async with connected_user("WEBULL") as (user, user_environment):
        output = await run("all_orders.py", **user_environment)
        there = [order async for order in user.orders.list(status="all")]
    counts = [int(line.split()[0]) for line in output.splitlines()[:-2]]
    assert sum(counts) == len(there)
    assert output.endswith("back on the same page\n")


async def test_connect_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Sandbox() as sandbox:
        for name, value in environment(sandbox).items():
            monkeypatch.setenv(name, value)
        example: dict[str, Any] = runpy.run_path(str(EXAMPLES / "connect_a_user.py"))
        runner = web.AppRunner(example["make_app"]())
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            await _visit(sandbox, "http://127.0.0.1:{1}".format(*runner.addresses[0]))
        finally:
            await runner.cleanup()


async def _visit(sandbox: Sandbox, backend: str) -> None:
    async with aiohttp.ClientSession() as browser:

        async def login_link() -> str:
            async with browser.get(f"{backend}/connect/ada", allow_redirects=False) as sent:
                assert sent.status == 302
                return sent.headers["location"]

        # The example's public address is fixed; the test listens on another.
        back = await sandbox.approve(await login_link(), broker="ALPACA")
        async with browser.get(back.replace("http://127.0.0.1:8080", backend)) as done:
            assert done.status == 200
            assert len(await done.json()) == 2
        declined = await sandbox.decline(await login_link())
        async with browser.get(declined.replace("http://127.0.0.1:8080", backend)) as done:
            assert done.status == 400
            assert (await done.text()).startswith("Not connected: The person declined")
        async with browser.get(f"{backend}/done/nobody?connection_id=1") as done:
            assert done.status == 404


async def test_your_own_tests() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "your_own_tests.py"]
    finished = await anyio.run_process(command, cwd=EXAMPLES, check=False, stderr=subprocess.STDOUT)
    assert finished.returncode == 0, finished.stdout.decode()
    assert b"2 passed" in finished.stdout


def test_every_example_has_a_test() -> None:
    here = Path(__file__).read_text("utf-8")
    assert all(path.name in here for path in EXAMPLES.glob("*.py"))


def market_environment(rest: ScriptedEnd, end: MarketEnd) -> dict[str, str]:
    return {
        "CONNECTTRADE_API_URL": rest.url,
        "CONNECTTRADE_MDSTREAM_URL": end.url,
        "CONNECTTRADE_CLIENT_ID": "client",
        "CONNECTTRADE_CLIENT_SECRET": "hush",
        "CONNECTTRADE_USER_ID": "ada",
        "CONNECTTRADE_USER_SECRET": "hush",
    }


TOKEN = '{"access_token": "made-here", "expires_at": "2030-01-01T00:00:00Z"}'


async def test_quotes_example_runs_unchanged() -> None:
    symbols, lines = [*"ABCDEFGHIJ"], list[str]()
    async with MarketEnd() as end, ScriptedEnd(answer(200, TOKEN)) as rest:
        async with anyio.create_task_group() as tasks:

            async def publish() -> None:
                await end.until_received("subscribe")
                for symbol in symbols:
                    await end.quote(symbol, "1.50")

            tasks.start_soon(publish)
            lines = (await run("quotes.py", "c1", *symbols, **market_environment(rest, end))).splitlines()
        assert end.logins == ["made-here"]
    assert [line.split() for line in lines] == [[symbol, "1.50", "/", "None"] for symbol in symbols]


@pytest.mark.parametrize("name", ["quotes.py", "token_for_the_browser.py"])
async def test_example_without_its_argument_prints_its_usage(name: str) -> None:
    finished = await anyio.run_process([sys.executable, "-W", "error", str(EXAMPLES / name)], check=False)
    assert (finished.returncode, finished.stdout) == (1, b"")
    assert finished.stderr.startswith(f"usage: python examples/{name} CONNECTION_ID".encode())


async def test_token_for_the_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    no = answer(401, '{"message": "not entitled"}')
    async with MarketEnd() as end, ScriptedEnd(answer(200, TOKEN), no) as rest, aiohttp.ClientSession() as browser:
        for name, value in market_environment(rest, end).items():
            monkeypatch.setenv(name, value)
        example: dict[str, Any] = runpy.run_path(str(EXAMPLES / "token_for_the_browser.py"))
        runner = web.AppRunner(example["make_app"]("c1"))
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            server = "http://127.0.0.1:{1}".format(*runner.addresses[0])
            async with browser.get(server) as page:
                text = await page.text()
                assert end.url in text
                assert "hush" not in text
            async with browser.post(f"{server}/token") as made:
                assert made.headers["cache-control"] == "no-store"
                assert await made.json() == {"access_token": "made-here", "expires_at": "2030-01-01T00:00:00+00:00"}
            async with browser.post(f"{server}/token") as refused:
                assert (refused.status, await refused.text()) == (403, "not entitled")
        finally:
            await runner.cleanup()


@needs_redis
async def test_workers_example_runs_unchanged() -> None:
    async with RedisServer() as redis:
        output = await run(
            "workers.py", stderr_start="the stream was lost: the relay", CONNECTTRADE_RELAY_URL=redis.url
        )
    assert output.splitlines() == [
        "first: leader",
        "second: follower",
        "first: order o1 is working",
        "second: order o1 is working",
        "the first worker is killed",
        "second: read all orders again, because the relay has a new leader",
        "second: leader",
        "second: order o1 is filled",
    ]
