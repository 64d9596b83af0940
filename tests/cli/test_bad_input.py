"""Invalid input and failing servers: one sentence and the right exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connecttrade_async.sandbox import Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from click.testing import Result

    from connecttrade_async.sandbox import Sandbox

    Call = Callable[..., Awaitable[Result]]


def sentence(result: Result, code: int) -> str:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("connecttrade: ")
    return line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["oders"], "did you mean `orders`?"),
        (["zzz"], "there is no command 'zzz'"),
        (["--bogus"], "--bogus"),
        (["positions", "--acount", "1"], "there is no option '--acount': did you mean `--account` or `--connection`? "),
        (["positions", "--zzz"], "there is no option '--zzz'. `connecttrade positions --help` shows more"),
        (["orders", "--limit", "0"], "--limit"),
        (["orders", "--limit", "501"], "--limit"),
        (["orders", "--max", "0"], "--max"),
        (["orders", "--max", "many"], "'many' is not a valid integer"),
        (["orders", "--sort", "up"], "'asc', 'desc'"),
        (["orders", "--start", "yesterday"], "such as 2026-01-31"),
        (["transactions", "--end", "2026-02-30"], "got '2026-02-30'"),
        (["positions", "--symbols", ""], "symbols must not be empty: omit it to list all"),
        (["users", "create"], "NAME"),
        (["users", "creat", "bob"], "there is no command 'users creat': did you mean `users create`?"),
        (["users", "zzz"], "there is no command 'users zzz': see the list of them."),
        (["connections", "delte", "1"], "did you mean `connections delete`?"),
        (["option", "cal"], "did you mean `option call`?"),
        (["users", "delete", "..", "--yes"], "user_id must be neither empty nor a dot segment, got '..'"),
        (["sandbox", "--port", "70000"], "--port"),
        (["sandbox", "--dialect", "esperanto"], "--dialect"),
    ],
    ids=str,
)
async def test_command_with_an_invalid_argument_prints_one_sentence(
    call: Call, arguments: list[str], says: str
) -> None:
    said = sentence(await call(*arguments), 2)
    assert says.lower() in said.lower()


async def test_command_without_credentials_names_the_variables_and_sends_nothing(call: Call) -> None:
    said = sentence(await call("positions", CONNECTTRADE_CLIENT_SECRET=None, CONNECTTRADE_USER_ID=None), 2)
    assert "set CONNECTTRADE_CLIENT_SECRET and CONNECTTRADE_USER_ID in the environment" in said
    said = sentence(await call("users", CONNECTTRADE_CLIENT_ID=""), 2)
    assert "set CONNECTTRADE_CLIENT_ID in the environment" in said


@pytest.mark.parametrize("address", ["ftp://x", "api.connecttrade.com", "http://me:pw@host", "http://"])
async def test_command_with_a_malformed_address_prints_one_sentence(call: Call, address: str) -> None:
    assert "address" in sentence(await call("users", CONNECTTRADE_API_URL=address), 2)


async def test_command_with_a_line_break_in_a_secret_does_not_print_it(call: Call) -> None:
    for secret in ("canary\nx: y", "canary\n", "canäry"):
        said = sentence(await call("users", CONNECTTRADE_CLIENT_SECRET=secret), 2)
        assert "client secret" in said
        assert "can" not in said.replace("can carry", "").replace("cannot", "")


async def test_command_with_a_refused_secret_names_the_variables(call: Call) -> None:
    said = sentence(await call("users", CONNECTTRADE_CLIENT_SECRET="canary"), 1)
    assert "401" in said
    assert "check CONNECTTRADE_CLIENT_ID and CONNECTTRADE_CLIENT_SECRET" in said
    said = sentence(await call("orders", CONNECTTRADE_USER_SECRET="canary"), 1)
    assert "CONNECTTRADE_USER_ID and CONNECTTRADE_USER_SECRET" in said


async def test_command_with_an_unknown_account_prints_one_sentence(call: Call) -> None:
    said = sentence(await call("balances", "--account", "no/such account"), 1)
    assert "404" in said
    assert "look up the right id" in said


async def test_command_with_a_value_that_the_api_refuses_prints_its_message(call: Call) -> None:
    assert "400" in sentence(await call("orders", "--status", "lost"), 1)


async def test_command_with_an_html_response_suggests_a_proxy(call: Call, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("html", status=200))
    said = sentence(await call("balances"), 1)
    assert "such as a proxy" in said


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault("status", status=500), "answered 500"),
        (Fault("status", status=429, retry_after="3600"), "wait 3600 s"),
        (Fault("redirect"), "answered 302"),
        (Fault("huge"), "cannot be parsed"),
        (Fault("html", status=403), "answered 403"),
    ],
    ids=str,
)
async def test_command_with_a_failing_server_exits_with_one(
    call: Call, sandbox: Sandbox, fault: Fault, says: str
) -> None:
    sandbox.faults.add(fault)
    assert says in sentence(await call("transactions"), 1)


async def test_command_with_a_transient_failure_prints_no_error(call: Call, sandbox: Sandbox) -> None:
    for kind in ("cut_body", "reset", "drop", "close_idle"):
        sandbox.faults.add(Fault(kind))
        result = await call("accounts", "--json")
        assert (result.exit_code, result.stderr) == (0, "")
    sandbox.faults.add(Fault("status", status=503, retry_after="0"))
    assert "request failed, retrying in" in (await call("--verbose", "accounts")).stderr


async def test_command_with_a_dialect_that_cannot_be_read_names_its_file(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTTRADE_DIALECT", "/nowhere/wire.toml")
    said = sentence(await call("users", "list"), 2)
    assert "dialect must be a file that can be read, got '/nowhere/wire.toml'" in said
