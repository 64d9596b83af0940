"""Confirmation, sending and outcome of orders, in a process of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from connecttrade_async.sandbox import Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from subprocess import CompletedProcess

    from connecttrade_async.sandbox import Sandbox

    Run = Callable[..., Awaitable[CompletedProcess[bytes]]]

CANARY = "canary-5d7e9f10"


@pytest.fixture
def account(environment: dict[str, str], sandbox: Sandbox) -> str:
    """The id of ada's first account."""
    ada = sandbox.world.users[environment["CONNECTTRADE_USER_ID"]]
    return next(iter(sandbox.world.accounts(ada)))[1].account_id


async def test_submit_without_confirmation_sends_nothing(run: Run, sandbox: Sandbox) -> None:
    condor = "option iron-condor SPY --expiry 2040-12-21 --strikes 380,390,430,440 --qty 1 --price 2.10"
    for line in ("buy AAPL 1", "sell AAPL 1 --json", condor, "cancel x", "replace x --qty 1"):
        before = sandbox.requests.total
        ended = await run(*line.split())
        assert (ended.returncode, ended.stdout) == (2, b"")
        assert ended.stderr.startswith(b"connecttrade: this cannot be undone: add --yes, or confirm it on a terminal.")
        assert ended.stderr.count(b"\n") == 1
        assert sandbox.requests.total == before


async def test_submit_prints_the_order_on_stderr_and_the_outcome_on_stdout(run: Run, account: str) -> None:
    ended = await run("buy", "AAPL", "1", "--account", account, "--yes")
    assert ended.returncode == 0
    assert ended.stdout.startswith(b"Placed: buy 1 AAPL ")
    assert ended.stdout.count(b"\n") == 1
    assert ended.stderr.startswith(b"Order      buy 1 AAPL\nPrice      at the market's price\n")
    ended = await run("buy", "AAPL", "1", "--account", account, "--yes", "--json")
    assert ended.stderr == b""
    assert json.loads(ended.stdout)["account_id"] == account


async def test_submit_with_an_unknown_outcome_prints_the_lookup_command(
    run: Run, sandbox: Sandbox, account: str
) -> None:
    sandbox.faults.add(Fault("drop", method="POST", path="/orders", when="after"))
    blind = Fault("status", method="GET", path="/orders", status=500, times=None)
    sandbox.faults.add(blind)
    ended = await run("buy", "AAPL", "1", "--account", account, "--yes", "--settle", "0.2", "--json")
    assert (ended.returncode, ended.stdout) == (1, b"")
    (sentence,) = ended.stderr.decode().splitlines()
    assert sentence.startswith("connecttrade: it is unknown whether the order was placed: cl_order_id ")
    sandbox.faults.clear()
    find = sentence.partition("`connecttrade ")[2].partition("`")[0].split()
    ended = await run(*find, "--json")
    assert ended.returncode == 0
    order = json.loads(ended.stdout)
    assert order["cl_order_id"] == find[-1]
    assert sandbox.requests.count("POST", "/orders") == 1


async def test_cancel_with_an_unknown_outcome_prints_the_lookup_command(
    run: Run, sandbox: Sandbox, account: str
) -> None:
    ended = await run("buy", "MSFT", "1", "--limit", "1", "--account", account, "--yes", "--json")
    order_id = json.loads(ended.stdout)["order_id"]
    sandbox.clock.advance(1)
    for method, line in (("PATCH", f"replace {order_id} --qty 2"), ("DELETE", f"cancel {order_id}")):
        sandbox.faults.add(Fault("reset", method=method, when="before"))
        ended = await run(*line.split(), "--yes", "--settle", "0.2", "--json")
        assert (ended.returncode, ended.stdout) == (1, b"")
        (sentence,) = ended.stderr.decode().splitlines()
        assert "it is unknown whether order " in sentence
        assert "`connecttrade orders --find " in sentence
        assert sandbox.requests.count(method) == 1


async def test_submit_that_cannot_connect_reports_no_unknown_outcome(run: Run, sandbox: Sandbox, account: str) -> None:
    sandbox.faults.add(Fault("status", method="POST", path="/orders", status=401))
    ended = await run("buy", "AAPL", "1", "--account", account, "--yes", "--json")
    assert ended.returncode == 1
    assert b"POST /orders answered 401" in ended.stderr
    assert sandbox.requests.count("POST", "/orders") == 1


async def test_order_commands_print_no_secret(
    run: Run,
    sandbox: Sandbox,
    environment: dict[str, str],
    account: str,
) -> None:
    secrets = [CANARY, environment["CONNECTTRADE_USER_SECRET"], sandbox.client_secret]
    told = b""
    for fault in (
        None,
        Fault(
            "status", method="POST", status=400, body=f'{{"message": "bad {environment["CONNECTTRADE_USER_SECRET"]}"}}'
        ),
        Fault("html", method="POST", status=200, body=f"<p>{sandbox.client_secret}"),
        Fault("status", method="POST", status=500, body=f'{{"user_secret": "{CANARY}"}}'),
    ):
        if fault is not None:
            sandbox.faults.add(fault)
        for submit in ("--yes", "--dry-run"):
            ended = await run("--verbose", "buy", "AAPL", "1", "--account", account, submit, "--settle", "0.1")
            assert ended.returncode in {0, 1}
            told += ended.stdout + ended.stderr
    assert all(secret.encode() not in told for secret in secrets)
    assert b"outcome unknown" in told
