"""The command ``chain``: the options of one day."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING

import pytest

from connecttrade_async.cli.commands.chain import CHAIN_COLUMNS, build_chain_table
from connecttrade_async.cli.output import cell
from connecttrade_async.models.market import Greeks, OptionContract, OptionsChain
from connecttrade_async.symbology import build_option

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from subprocess import CompletedProcess

    from click.testing import Result

    from connecttrade_async.sandbox import Sandbox

    Call = Callable[..., Awaitable[Result]]
    Run = Callable[..., Awaitable[CompletedProcess[bytes]]]


def option(right: str, strike: str, root: str = "TSLA", **facts: object) -> OptionContract:
    symbol = str(build_option(root, date(2026, 12, 18), right, strike))
    return OptionContract(symbol=symbol, **facts)  # type: ignore[arg-type]


def rows(*contracts: OptionContract) -> list[list[str]]:
    sheet = build_chain_table(OptionsChain(underlying="TSLA", contracts=contracts))
    return [[cell(column.read(pair), column.kind).plain for column in CHAIN_COLUMNS] for pair in sheet.pairs]


def test_chain_table_places_calls_left_and_puts_right() -> None:
    greeks = Greeks(delta_text="0.5", implied_volatility_text="0.29949")
    call = option("C", "82.5", bid_price_text="1.000", ask_price_text="1002.5", greeks=greeks)
    put = option("P", "82.5", bid_price_text="3", greeks=Greeks(delta_text="-0.49951", implied_volatility_text="1"))
    assert rows(option("P", "90"), put, call) == [
        ["1.00", "1,002.5", "0.500", "29.9%", "82.50", "3", "–", "-0.500", "100.0%"],  # noqa: RUF001 - the house's dash
        ["–", "–", "–", "–", "90.00", "–", "–", "–", "–"],  # noqa: RUF001
    ]


def test_chain_table_rounds_greeks_and_leaves_out_malformed_ones() -> None:
    long = Greeks(delta_text="1E+29", implied_volatility_text="9" * 30)
    (row,) = rows(option("C", "5", greeks=long))
    assert row[2:4] == [f"1{'0' * 29}.000", f"{'9' * 30}00.0%"]
    (row,) = rows(option("C", "5", greeks=Greeks(delta_text="1E+30", implied_volatility_text="1e999999999")))
    assert row[2:4] == ["–", "–"]  # noqa: RUF001


def test_chain_table_with_a_malformed_contract_keeps_the_others() -> None:
    odd = Greeks(delta_text="steep", implied_volatility_text="")
    chain = OptionsChain(
        underlying="TSLA",
        contracts=(
            option("C", "5", "TSLA1", greeks=odd),
            option("C", "5"),
            OptionContract(symbol="TSLA"),
        ),
    )
    sheet = build_chain_table(chain)
    assert [pair.strike for pair in sheet.pairs] == ["5.000", "5.000 TSLA1"]
    assert sheet.unread == 1
    assert rows(*chain.contracts)[1][2:5] == ["–", "–", "5.000 TSLA1"]  # noqa: RUF001


@pytest.mark.usefixtures("connection")
async def test_chain_with_expiry_shows_that_day(call: Call, sandbox: Sandbox) -> None:
    day = sandbox.market._feeds.expiries(sandbox.clock.now())[2]
    ended = await call("chain", "TSLA", "--expiry", day)
    assert (ended.exit_code, ended.stderr) == (0, "")
    title, head, _, *lines = ended.stdout.splitlines()
    assert title == f"TSLA, options that expire on {day}"
    assert head.split() == ["Call", "bid", "Ask", "Delta", "IV", "Strike", "Put", "bid", "Ask", "Delta", "IV"]
    assert len(lines) > 5
    assert max(map(len, ended.stdout.splitlines())) <= 80
    strikes = [float(line.split()[4]) for line in lines]
    assert strikes == sorted(strikes)
    ended = await call("chain", "TSLA", "--expiry", day, "--json")
    (told,) = (json.loads(line) for line in ended.stdout.splitlines())
    assert (told["underlying"], told["expiration"], len(told["contracts"])) == ("TSLA", day, 2 * len(lines))
    assert {"delta", "implied_volatility"} <= told["contracts"][0]["greeks"].keys()


@pytest.mark.usefixtures("connection")
async def test_chain_without_expiry_shows_the_nearest_day_and_lists_the_others(call: Call, sandbox: Sandbox) -> None:
    nearest, *others = sandbox.market._feeds.expiries(sandbox.clock.now())
    ended = await call("chain", "TSLA")
    assert ended.exit_code == 0
    assert ended.stdout.startswith(f"TSLA, options that expire on {nearest}\n")
    assert ended.stderr == f"Other days for --expiry: {', '.join(others)}.\n"


@pytest.mark.usefixtures("connection")
async def test_chain_refused_by_the_server_prints_one_sentence(run: Run) -> None:
    ended = await run("chain", "TSLA", "--expiry", "2026-01-01")
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr.startswith(b"connecttrade: the server rejected options_chain of TSLA: ")
    assert ended.stderr.count(b"\n") == 1


@pytest.mark.parametrize("arguments", [["TSLA261218C00080000"], [""], ["TSLA", "--expiry", "soon"], []], ids=" ".join)
async def test_chain_with_an_invalid_argument_sends_nothing(call: Call, sandbox: Sandbox, arguments: list[str]) -> None:
    served = len(sandbox.requests)
    ended = await call("chain", *arguments)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert len(sandbox.requests) == served
