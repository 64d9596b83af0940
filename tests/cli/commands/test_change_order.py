"""The commands ``cancel``, ``replace`` and ``orders --find``, by either id."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from connecttrade_async.models import Order
from connecttrade_async.rest.resources.orders import Orders
from connecttrade_async.sandbox import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from click.testing import Result

    from connecttrade_async.sandbox import Sandbox

    Call = Callable[..., Awaitable[Result]]


@pytest.fixture
async def order(call: Call, sandbox: Sandbox) -> dict[str, Any]:
    """An order that works and will not be filled."""
    account = json.loads((await call("accounts", "--json")).stdout.splitlines()[0])["account_id"]
    line = ["buy", "MSFT", "10", "--limit", "1.50", "--account", account, "--yes", "--json"]
    placed: dict[str, Any] = json.loads((await call(*line)).stdout)
    sandbox.clock.advance(1)
    return placed


@pytest.mark.parametrize("by", ["order_id", "cl_order_id"])
async def test_cancel_accepts_either_id(
    call: Call,
    sandbox: Sandbox,
    order: dict[str, Any],
    by: str,
) -> None:
    result = await call("cancel", order[by], "--yes")
    assert result.exit_code == 0
    assert result.stdout.startswith("Cancellation requested: buy 10 MSFT at 1.50 or less, now pending cancel; ")
    sandbox.clock.advance(1)
    result = await call("cancel", order[by], "--yes", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["status"] == "cancelled"
    assert (await call("cancel", order[by], "--yes")).stdout.startswith("Cancelled: buy 10 MSFT")
    assert sandbox.requests.count("DELETE") == 1


async def test_cancel_of_an_ended_order_reports_its_status(
    call: Call,
    sandbox: Sandbox,
    order: dict[str, Any],
) -> None:
    sandbox.broker.fill(order["order_id"])
    result = await call("cancel", order["order_id"], "--yes")
    assert (result.exit_code, result.stdout) == (1, "")
    assert (
        "the order was not cancelled because it is filled already: buy 10 MSFT at 1.50 or less, 10 filled at "
        in result.stderr
    )
    result = await call("cancel", order["order_id"], "--yes", "--json")
    assert (result.exit_code, json.loads(result.stdout)["status"]) == (1, "filled")
    result = await call("replace", order["order_id"], "--qty", "2", "--yes")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the order cannot be replaced because it is filled already" in result.stderr
    assert sandbox.requests.count("DELETE") == sandbox.requests.count("PATCH") == 0


async def test_cancel_refused_by_the_broker_reports_the_fills(
    call: Call, sandbox: Sandbox, order: dict[str, Any]
) -> None:
    sandbox.faults.add(Fault("status", method="DELETE", status=400))
    listed = sandbox.requests.count("GET", "/orders")
    sandbox.broker.fill(order["order_id"], 4)
    result = await call("cancel", order["order_id"], "--yes")
    assert result.exit_code == 1  # it still works, so the refusal stands
    assert "answered 400" in result.stderr
    assert sandbox.requests.count("GET", "/orders") > listed
    partial = await call("cancel", order["order_id"], "--yes")
    assert ", 4 filled at " in partial.stdout
    assert "So far    4 filled at " in partial.stderr


async def test_replace_changes_quantity_and_price(call: Call, sandbox: Sandbox, order: dict[str, Any]) -> None:
    result = await call("replace", order["cl_order_id"], "--qty", "12", "--limit", "1.75", "--yes")
    assert result.exit_code == 0
    assert "Quantity  10 becomes 12" in result.stderr
    assert "Limit     1.50 becomes 1.75" in result.stderr
    assert result.stdout.startswith("Replaced: buy 12 MSFT at 1.75 or less, now pending; ")
    sandbox.clock.advance(1)
    assert sandbox.broker.order(order["order_id"]).status == "replaced"
    new_id = result.stdout.split("--find ")[1].partition("`")[0]
    again = await call("replace", new_id, "--limit", "1.80", "--yes", "--json")
    assert json.loads(again.stdout)["order_limit_price"] == "1.80"
    assert again.stderr == ""


async def test_replace_with_dry_run_prints_the_request(call: Call, sandbox: Sandbox, order: dict[str, Any]) -> None:
    result = await call("replace", order["order_id"], "--stop", "2", "--notional", "100", "--dry-run")
    body = json.loads(result.stdout)
    assert len(body.pop("new_cl_order_id")) == 36
    assert body == {"broker": "ALPACA", "stop_price": "2", "order_notional": "100"}
    assert "Stop      none becomes 2" in result.stderr
    assert sandbox.requests.count("PATCH") == 0


async def test_replace_with_an_invalid_number_asks_no_question(call: Call, sandbox: Sandbox) -> None:
    before = sandbox.requests.total
    result = await call("replace", "any", "--qty", "0", "--notional", "-1", "--yes")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 3)
    result = await call("replace", "any", "--yes")
    assert "the replacement must change" in result.stderr
    assert sandbox.requests.total == before


@pytest.mark.parametrize("line", [["cancel"], ["replace", "--qty", "1"]], ids=str)
async def test_cancel_with_an_unknown_id_prints_one_sentence(call: Call, line: list[str]) -> None:
    result = await call(*line, "no-such-id", "--yes")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "orders has the id 'no-such-id'" in result.stderr


async def test_cancel_of_a_replaced_order_names_its_replacement(
    call: Call, sandbox: Sandbox, order: dict[str, Any]
) -> None:
    newest = order["order_id"]
    for price in ("1.75", "1.80"):
        newest = json.loads((await call("replace", newest, "--limit", price, "--yes", "--json")).stdout)["order_id"]
        sandbox.clock.advance(1)
    result = await call("cancel", order["cl_order_id"], "--yes")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the order was not cancelled because it is replaced already: buy 10 MSFT at 1.50 or less" in result.stderr
    replacement = f"; its replacement {newest} was not changed and is working; "
    assert f"{replacement}`connecttrade orders --find {newest}` shows more." in result.stderr
    result = await call("replace", order["order_id"], "--qty", "3", "--yes")
    assert "the order cannot be replaced because it is replaced already" in result.stderr
    assert replacement in result.stderr
    assert sandbox.requests.count("DELETE") == 0
    sandbox.broker.fill(newest)
    result = await call("cancel", order["order_id"], "--yes")
    assert f"; its replacement {newest} is filled; " in result.stderr


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ([{"replaced_by": "o-2"}], "; its replacement o-2 was not changed and may be open: "),
        ([dict[str, str]()], "; its replacement was not changed and may be open: "),
        (
            [dict[str, str](), {"order_id": "o-2", "replaces": "o-1", "status": "working"}],
            "; its replacement o-2 was not changed and is working",
        ),
        (
            [{"replaced_by": "o-2"}, {"order_id": "o-2", "status": "working"}],
            "; its replacement o-2 was not changed and is working",
        ),
        (
            [{"replaced_by": "o-2"}, {"order_id": "o-2", "replaced_by": "o-1", "status": "filled"}],
            "; its replacement o-2 is filled",
        ),
    ],
    ids=str,
)
async def test_cancel_of_a_replaced_order_follows_the_chain_of_the_listing(
    call: Call, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, shown: list[dict[str, str]], told: str
) -> None:
    old = {"order_id": "o-1", "account_id": "a-1", "broker": "ALPACA", "status": "replaced"}
    listed = [msgspec.convert(old | one, Order) for one in shown]

    def answer(*_given: object, **_filters: object) -> AsyncIterator[Order]:
        return listing(listed)

    monkeypatch.setattr(Orders, "list", answer)
    result = await call("cancel", "o-1", "--yes")
    assert (result.exit_code, sandbox.requests.count("DELETE")) == (1, 0)
    assert "the order was not cancelled because it is replaced already: order o-1" + told in result.stderr


async def listing(orders: list[Order]) -> AsyncIterator[Order]:
    for one in orders:
        yield one


@pytest.mark.parametrize(
    "line", [["cancel", "--yes"], ["replace", "--qty", "2", "--yes"], ["orders", "--find"]], ids=str
)
async def test_cancel_with_account_finds_no_order_of_another_account(
    call: Call, sandbox: Sandbox, order: dict[str, Any], line: list[str]
) -> None:
    accounts = [json.loads(one) for one in (await call("accounts", "--json")).stdout.splitlines()]
    mine = next(one for one in accounts if one["account_id"] == order["account_id"])
    theirs = next(one for one in accounts if one["broker"] != mine["broker"])
    for name in ("account_id", "account_number"):
        for any_id in (order["order_id"], order["cl_order_id"]):
            result = await call(*line, any_id, "--account", theirs[name])
            assert (result.exit_code, result.stdout) == (1, "")
            assert f"orders in {theirs[name]!r} has the id {any_id!r}" in result.stderr
    assert sandbox.requests.count("DELETE") == sandbox.requests.count("PATCH") == 0
    assert "there is no account 'unknown'" in (await call(*line, order["order_id"], "--account", "unknown")).stderr
    assert (await call(*line, order["order_id"], "--account", mine["account_number"])).exit_code == 0


async def test_replace_with_broker_finds_no_order_at_another_broker(
    call: Call, sandbox: Sandbox, order: dict[str, Any]
) -> None:
    result = await call("replace", order["order_id"], "--qty", "2", "--broker", "TASTYTRADE", "--yes")
    assert "orders at 'TASTYTRADE' has the id" in result.stderr
    assert (result.exit_code, sandbox.requests.count("PATCH")) == (1, 0)
    assert (await call("replace", order["order_id"], "--qty", "2", "--broker", "alpaca", "--yes")).exit_code == 0
