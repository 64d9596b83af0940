from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from connecttrade_async.cli.output import DASH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from click.testing import Result

    Call = Callable[..., Awaitable[Result]]


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
async def asked() -> AsyncIterator[tuple[str, list[str]]]:
    """The address of a server that has nothing, and what it was asked for."""
    heard: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        heard.append(f"{request.path}?{request.query_string}".rstrip("?"))
        return web.json_response([])

    app = web.Application()
    app.router.add_get("/{anything}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield "http://127.0.0.1:{1}".format(*runner.addresses[0]), heard
    await runner.cleanup()


@pytest.mark.parametrize("command", ["accounts", "balances", "positions", "orders", "transactions", "connections"])
async def test_list_commands_print_only_a_table_on_stdout(call: Call, command: str) -> None:
    result = await call(command)
    assert result.exit_code == 0
    assert result.stderr == ""
    heading, rule, *rows = result.stdout.splitlines()
    assert heading[0].isupper()
    assert set(rule) == {"─"}
    assert rows


async def test_list_commands_with_json_print_the_numbers_of_the_wire(call: Call) -> None:
    found = lines(await call("positions", "--json"))
    spy = next(item for item in found if item["symbol"] == "SPY")
    digits = [part for item in found for part in str(item["average_price"]).partition(".")[2:]]
    assert max(map(len, digits)) == 9
    assert isinstance(spy["quantity"], str)
    assert next(item for item in found if item["unrealized_pl"] is None)
    shown = (await call("positions")).stdout
    assert spy["quantity"] in shown
    assert DASH in shown


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        (["accounts", "--broker", "alpaca"], "/accounts?broker=alpaca"),
        (["positions", "--symbols", "AAPL,IBM/B"], "/positions?symbols=AAPL,IBM/B"),
        (
            ["transactions", "--start", "2026-01-31", "--end", "2026-02-01"],
            "/transactions?start_date=2026-01-31&end_date=2026-02-01",
        ),
        (["orders"], "/orders"),
        (["orders", "--limit", "7", "--max", "7"], "/orders?limit=7"),
        (["orders", "--status", "all", "--side", "BUY", "--max", "3"], "/orders?status=all&side=BUY&limit=3"),
        (
            ["orders", "--start", "2026-01-31", "--end", "2026-02-01", "--sort", "asc"],
            "/orders?start_time=2026-01-31T00:00:00Z&end_time=2026-02-01T23:59:59.999999Z&sort=asc&limit=500",
        ),
    ],
    ids=str,
)
async def test_list_commands_send_options_as_filters(
    call: Call,
    asked: tuple[str, list[str]],
    arguments: list[str],
    query: str,
) -> None:
    address, heard = asked
    result = await call(*arguments, "--json", CONNECTTRADE_API_URL=address)
    assert result.exit_code == 0, result.stderr
    assert heard == [query]


async def test_accounts_filter_by_connection_and_broker(call: Call) -> None:
    accounts = lines(await call("accounts", "--json"))
    account, connection = accounts[0]["account_id"], accounts[0]["connection_id"]
    for command in ("balances", "positions", "orders", "transactions"):
        found = lines(await call(command, "--account", account, "--connection", connection, "--json"))
        assert {item["account_id"] for item in found} == {account}
    assert len(lines(await call("accounts", "--connection", connection, "--json"))) == 2


async def test_list_commands_without_rows_print_a_note_on_stderr(call: Call) -> None:
    for command in (["positions", "--symbols", "ZZZZ"], ["orders", "--symbols", "ZZZZ"]):
        result = await call(*command)
        assert result.exit_code == 0
        assert result.stdout == ""
        assert result.stderr.startswith("No ")
        assert (await call(*command, "--json")).output == ""
