"""Reading what a user has, in each form of REST that the sandbox speaks."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async import APIError, ConnectError, ConnectTrade, Endpoints, Retry, User, tickets
from connecttrade_async.doctor.findings import Finding, FindingOutcome, is_all_understood
from connecttrade_async.doctor.rest_checks import check_rest
from connecttrade_async.sandbox import Sandbox
from scripted_server import ScriptedEnd, Seen, answer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from scripted_server import Act

READS = ["/connections", "/accounts", "/balances", "/positions", "/transactions", "/orders"]


@asynccontextmanager
async def equipped(dialect: Any = "assumed", connection: str = "market_data") -> AsyncGenerator[tuple[Sandbox, User]]:
    """Yield a sandbox that speaks a dialect, and a user with five orders."""
    async with (
        Sandbox(seed=7) as sandbox,
        ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct,
    ):
        user = ct.user("ada", (await ct.users.create("ada")).user_secret)
        for purpose, broker in (("trade", "ALPACA"), (connection, "TASTYTRADE")):
            request = await user.connections.create(purpose, redirect_url="https://a.example", broker=broker)
            await sandbox.approve(request.url)
        [trading] = [each.connection_id for each in await user.connections.list() if each.connection_type == "trade"]
        account_id = (await user.accounts.list(connection_id=trading))[0].account_id
        for _ in range(5):
            await user.orders.place(
                tickets.limit("AAPL", "BUY", qty=1, price="1", account_id=account_id, broker="ALPACA")
            )
        sandbox.dialect = dialect
        yield sandbox, user


def outcomes(findings: list[Finding], subject: str) -> set[FindingOutcome]:
    return {each.outcome for each in findings if each.subject == subject}


@pytest.mark.parametrize("dialect", ["assumed", "rest_object", "camel", "numbers", "strict"])
async def test_check_rest_understands_each_form_of_the_sandbox(dialect: str) -> None:
    async with equipped(dialect) as (_, user):
        findings = await check_rest(user, with_token=True)
    assert is_all_understood(findings)
    assert outcomes(findings, "GET /orders: cursor") == {FindingOutcome.OK}
    assert {f"GET {path}" for path in READS} <= {each.subject for each in findings}
    assert outcomes(findings, "GET /connections/{connection_id}/token") <= {
        FindingOutcome.OK,
        FindingOutcome.UNDERSTOOD,
    }
    if dialect != "assumed":
        assert dialect == "strict" or FindingOutcome.UNDERSTOOD in {each.outcome for each in findings}


async def test_check_rest_writes_nothing_and_mints_no_token_unless_asked() -> None:
    async with equipped() as (sandbox, user):
        before = sandbox.requests.total - sandbox.requests.count("GET")
        findings = await check_rest(user, with_token=False)
        assert sandbox.requests.total - sandbox.requests.count("GET") == before
        assert not any(request.path.endswith("/token") for request in sandbox.requests)
    assert not any("token" in each.subject for each in findings)


async def test_check_rest_without_a_connection_for_market_data_says_so() -> None:
    async with equipped(connection="readonly") as (_, user):
        findings = await check_rest(user, with_token=True)
    assert outcomes(findings, "GET /connections/{connection_id}/token") == {FindingOutcome.NOT_SEEN}


@pytest.mark.parametrize(
    ("act", "outcome"),
    [
        (answer(404, b'{"message": "no such path"}'), FindingOutcome.NOT_UNDERSTOOD),
        (answer(200, b"<html>"), FindingOutcome.NOT_UNDERSTOOD),
        (answer(200, b'{"a": [1], "b": [2]}'), FindingOutcome.NOT_UNDERSTOOD),
    ],
    ids=["404", "a page", "two lists"],
)
async def test_check_rest_reports_each_failure_and_goes_on(act: Act, outcome: FindingOutcome) -> None:
    async with (
        ScriptedEnd(act) as end,
        ConnectTrade("client", "secret", endpoints=Endpoints(end.url), retry=Retry(attempts=1)) as ct,
    ):
        findings = await check_rest(ct.user("ada", "secret"), with_token=True)
    for path in READS:
        assert outcomes(findings, f"GET {path}") == {outcome}


@pytest.mark.parametrize("status", [401, 429, 503])
async def test_check_rest_raises_where_nothing_is_seen_and_reports_what_is_missing(status: int) -> None:
    refused = answer(status, b'{"message": "no"}')

    def choose(seen: Seen) -> Act | None:
        return answer(200, b"[]") if seen.target.startswith("/accounts") and is_served else None

    async with (
        ScriptedEnd(refused, choose=choose) as end,
        ConnectTrade("client", "secret", endpoints=Endpoints(end.url), retry=Retry(attempts=1)) as ct,
    ):
        is_served = False
        with pytest.raises(APIError, match=str(status)):
            await check_rest(ct.user("ada", "secret"), with_token=True)
        is_served = True
        findings = await check_rest(ct.user("ada", "secret"), with_token=True)
    assert outcomes(findings, "GET /connections") == {FindingOutcome.NOT_SEEN}
    assert outcomes(findings, "GET /accounts") == {FindingOutcome.OK}


async def test_check_rest_raises_at_once_where_nothing_listens() -> None:
    async with ConnectTrade("client", "secret", endpoints=Endpoints("http://127.0.0.1:1")) as ct:
        with pytest.raises(ConnectError, match="GET /connections: nothing listens"):
            await check_rest(ct.user("ada", "secret"), with_token=False)


@pytest.mark.parametrize("body", [b"[]", b"<html>"], ids=["an empty page", "a page"])
async def test_check_rest_reads_the_second_page_too(body: bytes) -> None:
    rows = b'[{"order_id": "1", "order_qty": "1"}, {"order_id": "2", "order_qty": "1"}]'

    def choose(seen: Seen) -> Act | None:
        if not seen.target.startswith("/orders"):
            return None
        return answer(200, body) if "next_cursor=" in seen.target else answer(200, rows, next_cursor="abc")

    async with (
        ScriptedEnd(answer(200, b"[]"), choose=choose) as end,
        ConnectTrade("client", "secret", endpoints=Endpoints(end.url)) as ct,
    ):
        findings = await check_rest(ct.user("ada", "secret"), with_token=False)
    assert is_all_understood(findings) == (body == b"[]")
