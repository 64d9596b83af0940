"""The command ``orders``: pages, limits and ``--find``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from connecttrade_async.sandbox import Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from click.testing import Result

    from connecttrade_async.sandbox import Sandbox

    Call = Callable[..., Awaitable[Result]]


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


async def test_orders_read_every_page(call: Call, sandbox: Sandbox) -> None:
    every = lines(await call("orders", "--status", "all", "--json"))
    before = sandbox.requests.total
    again = lines(await call("orders", "--status", "all", "--limit", "50", "--json"))
    assert again == every
    assert sandbox.requests.total - before == -(-len(every) // 50)


async def test_orders_with_more_than_max_say_so(call: Call) -> None:
    cut = await call("orders", "--status", "all", "--max", "10", "--json")
    assert len(lines(cut)) == 10
    assert "more than these 10" in cut.stderr
    total = len(lines(await call("orders", "--status", "all", "--json")))
    whole = await call("orders", "--status", "all", "--limit", "50", "--max", str(total), "--json")
    assert len(lines(whole)) == total
    assert whole.stderr == ""
    table = await call("orders", "--status", "all", "--limit", "5", "--max", "7")
    assert "more than these 7" in table.stderr


async def test_orders_show_the_legs_of_multi_leg_orders(call: Call) -> None:
    result = await call("orders", "--status", "all")
    assert any(line.lstrip().startswith("-1 MSFT") for line in result.stdout.splitlines())
    assert "$500.00" in result.stdout  # an order for money, not for a quantity


async def test_orders_find_refuses_filters_and_reports_failures(call: Call, sandbox: Sandbox) -> None:
    result = await call("orders", "--find", "x", "--status", "all")
    assert result.exit_code == 2
    assert "--find takes no filter but --account" in result.stderr
    sandbox.faults.add(Fault("status", status=500, path="/orders"))
    result = await call("orders", "--find", "x")
    assert result.exit_code == 1
    assert "answered 500" in result.stderr
