"""The command ``option``: the legs of strategies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from click.testing import Result

    Call = Callable[..., Awaitable[Result]]


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


@pytest.mark.parametrize(
    ("line", "side", "legs"),
    [
        ("bull-call-spread 380,390", "BUY_TO_OPEN", ["+1 C 380", "-1 C 390"]),
        ("bear-put-spread 380,390", "BUY_TO_OPEN", ["+1 P 390", "-1 P 380"]),
        ("long-straddle 380", "BUY_TO_OPEN", ["+1 C 380", "+1 P 380"]),
        ("iron-condor 380,390,430,440", "SELL_TO_OPEN", ["+1 P 380", "-1 P 390", "-1 C 430", "+1 C 440"]),
        ("ratio-spread 380,390 --right call", "BUY_TO_OPEN", ["+1 C 380", "-2 C 390"]),
        ("ratio-spread 390,380 --right put --ratio 3 --credit", "SELL_TO_OPEN", ["+1 P 390", "-3 P 380"]),
    ],
)
async def test_option_strategy_builds_its_legs(
    call: Call,
    account: str,
    line: str,
    side: str,
    legs: list[str],
) -> None:
    name, strikes, *more = line.split()
    rest = ["--expiry", "2040-12-21", "--strikes", strikes, "--qty", "1", "--price", "2.10", *more]
    result = await call("option", name, "SPY", *rest, "--account", account, "--dry-run")
    body = sent(result)
    assert (body["side"], body["instrument"], body["order_limit_price"]) == (side, "MLEG_OPT", "2.10")
    assert legs == [
        f"{'+' if leg['action'] == 'BUY_TO_OPEN' else '-'}{leg['ratio']} "
        f"{leg['symbol'][9]} {int(leg['symbol'][10:]) // 1000}"
        for leg in body["legs"]
    ]
    assert f"{name.replace('-', ' ')}: " in result.stderr
    assert all(leg["symbol"] in result.stderr for leg in body["legs"])
