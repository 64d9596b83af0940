"""The commands ``buy``, ``sell`` and ``option``: requests, outcomes and refusals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async.sandbox import Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from click.testing import Result

    from connecttrade_async.sandbox import Sandbox

    Call = Callable[..., Awaitable[Result]]

CALL = "AAPL401221C00200000"
CONDOR = "option iron-condor SPY --expiry 2040-12-21 --strikes 380,390,430,440 --qty 1 --market"


@pytest.fixture
async def account(call: Call) -> str:
    """The number of ada's first account at ALPACA."""
    found = [json.loads(line) for line in (await call("accounts", "--broker", "ALPACA", "--json")).stdout.splitlines()]
    return str(found[0]["account_number"])


def sent(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.stderr
    (line,) = result.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def posted(sandbox: Sandbox) -> int:
    return sandbox.requests.count("POST", "/orders")


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ("buy AAPL 10", {"side": "BUY", "order_type": "MKT", "order_tif": "DAY", "order_qty": "10"}),
        (
            "sell IBM/B 1 --limit 190.50",
            {"side": "SELL", "order_type": "LMT", "order_limit_price": "190.50"},
        ),
        (
            "buy F 1 --stop 9 --tif gtc+",
            {"order_type": "STP", "stop_price": "9", "order_tif": "GTC+"},
        ),
        (
            "sell F 1 --stop 9 --limit 8.5 --short",
            {"side": "SELL_SHORT", "order_type": "STPLMT", "stop_price": "9", "order_limit_price": "8.5"},
        ),
        ("buy AAPL 500 --notional", {"order_notional": "500", "instrument": "STK"}),
        (f"buy {CALL} 1 --open", {"side": "BUY_TO_OPEN", "instrument": "OPT", "symbol": CALL}),
        (f"buy {CALL} 1 --close", {"side": "BUY_TO_CLOSE"}),
        (f"sell {CALL} 1 --open", {"side": "SELL_TO_OPEN"}),
        (f"sell {CALL} 1 --close", {"side": "SELL_TO_CLOSE"}),
        (
            "option put SPY --expiry 2040-12-21 --strike 430.5 --side Sell-To-Close --qty 2 --price 1.05",
            {"symbol": "SPY401221P00430500", "side": "SELL_TO_CLOSE", "order_qty": "2", "order_limit_price": "1.05"},
        ),
        (
            "option call SPY --expiry 2040-12-21 --strike 430 --side buy-to-open --qty 2 --market",
            {"symbol": "SPY401221C00430000", "order_type": "MKT"},
        ),
    ],
    ids=str,
)
async def test_dry_run_prints_the_request_and_sends_nothing(
    call: Call,
    sandbox: Sandbox,
    account: str,
    arguments: str,
    fields: dict[str, str],
) -> None:
    result = await call(*arguments.split(), "--account", account, "--dry-run")
    body = sent(result)
    assert body | fields == body
    assert body["broker"] == "ALPACA"
    assert body["cl_order_id"] in result.stderr
    assert result.stderr.startswith("Order ")
    assert f"{account} at ALPACA" in result.stderr
    assert posted(sandbox) == 0
    assert (await call(*arguments.split(), "--account", account, "--dry-run", "--json")).stderr == ""


async def test_buy_prints_the_outcome_in_one_sentence(call: Call, sandbox: Sandbox, account: str) -> None:
    result = await call("buy", "AAPL", "3", "--account", account, "--yes")
    assert result.exit_code == 0
    (sentence,) = result.stdout.splitlines()
    assert sentence.startswith("Placed: buy 3 AAPL at the market's price, now pending; `connecttrade orders --find ")
    order_id = sentence.split("--find ")[1].partition("`")[0]
    assert sandbox.broker.order(order_id).order_qty == 3
    sandbox.clock.advance(1)
    found = sent(await call("orders", "--find", order_id, "--json"))
    assert found["status"] == "filled"
    again = await call("orders", "--find", found["cl_order_id"])
    assert "filled" in again.stdout
    assert order_id in again.stdout


async def test_buy_with_json_prints_one_object(call: Call, sandbox: Sandbox, account: str) -> None:
    result = await call(*CONDOR.split(), "--account", account, "--yes", "--json")
    order = sent(result)
    assert result.stderr == ""
    assert (order["status"], len(order["legs"])) == ("pending", 4)
    assert posted(sandbox) == 1


async def test_buy_rejected_by_the_broker_exits_with_one(call: Call, account: str) -> None:
    result = await call("buy", "AAPL", "1000000", "--account", account, "--yes")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the broker rejected it: buy 1,000,000 AAPL" in result.stderr
    assert "Insufficient buying power" in result.stderr
    result = await call("buy", "AAPL", "1000000", "--account", account, "--yes", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["status"] == "rejected"
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (f"buy {CALL} 1", "give either --open or --close"),
        (f"buy {CALL} 1 --open --close", "give either --open or --close"),
        (f"sell {CALL} 1 --short", "instead of --short or --cover"),
        ("sell AAPL 1 --open", "--open and --close are for options"),
        ("buy AAPL", "QTY"),
        ("buy AAPL 1 --settle 0", "--settle"),
        ("option call SPY --qty 1", "--expiry"),
        ("option call SPY --expiry 2040-12-21 --strike 4 --qty 1 --side buy --market", "--side"),
        (
            "option call SPY --expiry soon --strike 4 --qty 1 --side buy-to-open --market",
            "must be a day such as 2026-01-31 or today, got 'soon'",
        ),
        ("option iron-condor SPY --expiry 2040-12-21 --strikes 1,2 --qty 1 --market", "must be 4 strikes"),
        ("option long-straddle SPY --expiry 2040-12-21 --strikes 1,2 --qty 1 --market", "must be one strike"),
        ("option long-straddle SPY --expiry 2040-12-21 --strike 1 --qty 1", "either --price or --market"),
        ("buy AAPL 1 --account ann's", 'there is no account "ann\'s"'),
        ("buy AAPL 1 --account zzz --broker ALPACA", "there is no account 'zzz' at 'ALPACA': "),
        ("buy AAPL 1 --account=", "there is no account '': "),
        ("buy AAPL 1 --broker WEBULL", "there is no account at 'WEBULL': "),
    ],
    ids=str,
)
async def test_order_with_ambiguous_arguments_prints_one_sentence(
    call: Call, sandbox: Sandbox, arguments: str, says: str
) -> None:
    result = await call(*arguments.split(), "--yes")
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert says in line
    assert posted(sandbox) == 0


async def test_order_with_several_problems_prints_a_sentence_for_each(
    call: Call,
    sandbox: Sandbox,
    account: str,
) -> None:
    result = await call("buy", "aapl", "1e3", "--limit", "-5", "--tif", "x", "--account", account, "--yes", "--cover")
    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("connecttrade: ") and line.endswith(".") for line in lines)
    for word in ("symbol 'aapl'", "got 'X'", "exponent, got '1e3'", "must be positive", "must be TRADESTATION"):
        assert any(word in line for line in lines), word
    line = "option call SPY --expiry 1999-12-21 --strike x --qty 1 --side buy-to-open --market --yes"
    result = await call(*line.split(), "--account", account)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "1999" in result.stderr
    assert posted(sandbox) == 0


@pytest.mark.parametrize(
    ("symbol", "says"),
    [
        ("BRK.B", "the symbol 'BRK.B' is not well formed at position 3: the API writes it BRK/B."),
        ("BRK-B", "the symbol 'BRK-B' is not well formed at position 3: the API writes it BRK/B."),
        ("IBM.PRA", "the symbol 'IBM.PRA' is not well formed at position 3: the API writes it IBMpA."),
        ("AAPL20260116C00100000", "the year must be two digits: write AAPL260116C00100000."),
    ],
)
async def test_buy_with_the_symbol_of_a_broker_suggests_the_symbol_of_the_api(
    call: Call, sandbox: Sandbox, account: str, symbol: str, says: str
) -> None:
    result = await call("buy", symbol, "0", "--account", account, "--yes")
    assert (result.exit_code, result.stdout) == (2, "")
    wrong_symbol, wrong_quantity = result.stderr.splitlines()
    assert wrong_symbol.endswith(says)
    assert "parse_" not in result.stderr
    assert "positive" in wrong_quantity
    assert posted(sandbox) == 0


@pytest.mark.parametrize(
    ("arguments", "side", "instrument"),
    [
        ("buy BTC/USD 50 --notional --instrument CRYPTO", "BUY", "CRYPTO"),
        ("sell ETH-USD 0.000000001", "SELL", None),
        ("buy BRK.B 1 --instrument STK", "BUY", "STK"),
        ("buy /ESZ6 1 --open --instrument FUT", "BUY_TO_OPEN", "FUT"),
        ("sell /ESZ6 1 --close", "SELL_TO_CLOSE", None),
        ("sell ESZ 1 --close --instrument FUT", "SELL_TO_CLOSE", "FUT"),
        (f"buy {CALL} 1 --instrument CRYPTO", "BUY", "CRYPTO"),
    ],
)
async def test_order_with_an_unclassified_symbol_sends_it_unchanged(
    call: Call, account: str, arguments: str, side: str, instrument: str | None
) -> None:
    result = await call(*arguments.split(), "--account", account, "--dry-run", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    sent = json.loads(result.stdout)
    assert (sent["symbol"], sent["side"], sent.get("instrument")) == (arguments.split()[1], side, instrument)


@pytest.mark.parametrize("arguments", ["buy AAPL 1 --open", "buy /ESZ6 1 --open --close", "buy /ESZ6 1 --open --cover"])
async def test_order_with_a_side_that_does_not_fit_the_symbol_is_refused(
    call: Call, account: str, arguments: str
) -> None:
    result = await call(*arguments.split(), "--account", account, "--yes")
    assert (result.exit_code, result.stdout) == (2, "")


async def test_buy_with_several_accounts_lists_them_and_sends_nothing(
    call: Call, sandbox: Sandbox, account: str
) -> None:
    result = await call("buy", "AAPL", "1", "--yes")
    assert result.exit_code == 2
    assert "--account must name one of: " in result.stderr
    assert f"{account} at ALPACA" in result.stderr
    assert result.stderr.count("TASTYTRADE") == 2
    narrowed = await call("buy", "AAPL", "1", "--yes", "--broker", "tastytrade")
    assert "ALPACA" not in narrowed.stderr
    assert posted(sandbox) == 0


async def test_buy_with_a_lost_response_finds_the_order(call: Call, sandbox: Sandbox, account: str) -> None:
    sandbox.faults.add(Fault("drop", method="POST", path="/orders"))
    result = await call("buy", "AAPL", "1", "--account", account, "--yes")
    assert result.exit_code == 0
    assert result.stdout.startswith("Placed: buy 1 AAPL")
    assert posted(sandbox) == 1
