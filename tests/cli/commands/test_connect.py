from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc
import pytest

from connecttrade_async import ConnectTrade
from scripted_server import ScriptedEnd, answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from click.testing import Result

    from connecttrade_async.sandbox import Sandbox

    Call = Callable[..., Awaitable[Result]]

REDIRECT = "https://app.example/done?keep=me"


@pytest.fixture
async def way_back(sandbox: Sandbox, environment: dict[str, str]) -> Callable[..., Awaitable[str]]:
    """Create the address of the redirect after a login."""

    async def redirect(*, declines: bool = False) -> str:
        async with ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct:
            user = ct.user("ada", environment["CONNECTTRADE_USER_SECRET"])
            request = await user.connections.create("readonly", redirect_url=REDIRECT, broker="CITI")
        return await (sandbox.decline(request.url) if declines else sandbox.approve(request.url))

    return redirect


async def test_connect_with_json_prints_the_request_and_the_connection(
    environment: dict[str, str], sandbox: Sandbox
) -> None:
    command = ["connect", "--broker", "citi", "--type", "readonly", "--redirect-url", REDIRECT, "--json"]
    with anyio.fail_after(20):
        async with await open_command(command, environment) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            asked: dict[str, Any] = json.loads(await process.stdout.receive())
            back = await sandbox.approve(asked["connection_request_url"])
            await process.stdin.send(f"{back}\n".encode())
            await process.stdin.aclose()
            rest = b"".join([chunk async for chunk in process.stdout])
            assert await process.wait() == 0
    connection, *accounts = [json.loads(line) for line in rest.splitlines()]
    assert f"connection_id={connection['connection_id']}" in back
    assert {account["broker"] for account in accounts} == {"CITI"}
    assert len(accounts) == 2


async def open_command(command: list[str], environment: dict[str, str]) -> anyio.abc.Process:
    return await anyio.open_process([sys.executable, "-m", "connecttrade_async", *command], env=environment)


async def test_connect_prints_the_address_and_the_accounts(
    call: Call,
    way_back: Callable[..., Awaitable[str]],
) -> None:
    result = await call("connect", "--redirect-url", REDIRECT, stdin=f"{await way_back()}\n")
    assert result.exit_code == 0, result.stderr
    address, connected, *table = result.stdout.splitlines()
    assert "/connect/" in address
    assert connected.startswith("Connected: ")
    assert len(table) == 4
    assert "it is good until" in result.stderr


async def test_connect_with_a_doubtful_redirect_url_warns_and_sends_it(
    call: Call, way_back: Callable[..., Awaitable[str]]
) -> None:
    result = await call("connect", "--redirect-url", "http://localhost/x", stdin=f"{await way_back()}\n")
    assert result.exit_code == 0
    assert "Note: It begins with http" in result.stderr
    assert "Note: localhost is this machine" in result.stderr


async def test_connect_with_a_declined_login_reports_it(call: Call, way_back: Callable[..., Awaitable[str]]) -> None:
    result = await call("connect", "--redirect-url", REDIRECT, stdin=f"{await way_back(declines=True)}\n")
    assert result.exit_code == 1
    assert "the broker was not connected: The person declined to share these accounts; start again" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "stdin", "says"),
    [
        ([], "", "--redirect-url"),
        (["--redirect-url", REDIRECT], "", "stdin must hold the address of the redirect"),
        (
            ["--redirect-url", REDIRECT],
            "https://app.example/elsewhere\n",
            "url must have connection_id or error",
        ),
    ],
    ids=str,
)
async def test_connect_with_a_malformed_redirect_exits_with_two(
    call: Call, arguments: list[str], stdin: str, says: str
) -> None:
    result = await call("connect", *arguments, stdin=stdin)
    assert result.exit_code == 2
    assert says in result.stderr


async def test_connect_refused_by_the_api_prints_its_message(call: Call) -> None:
    result = await call("connect", "--broker", "FIDELITY", "--redirect-url", REDIRECT)
    assert result.exit_code == 1
    assert "Fidelity can be read only" in result.stderr


async def test_connect_opens_the_login_address_in_the_browser_on_demand(
    call: Call,
    way_back: Callable[..., Awaitable[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    back = await way_back()
    result = await call("connect", "--redirect-url", REDIRECT, stdin=f"{back}\n")
    assert (result.exit_code, opened) == (0, [])
    result = await call("connect", "--open", "--redirect-url", REDIRECT, stdin=f"{back}\n")
    (address,) = opened
    assert address == result.stdout.splitlines()[0]
    assert "/connect/" in address


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "-version",
        "--new-window",
        "http://app.example/connect/x",
        "http://127.0.0.1.app.example/x",
        "http://localhost.app.example/x",
        "ftp://127.0.0.1/x",
        "https:",
        "https://",
        "HTTPS",
        " https://app.example/",
        "https://app.example/\x1b[2J",
        "http://[::1",
        "vscode://open",
    ],
)
async def test_connect_opens_no_address_but_https_and_http_to_this_machine(
    url: str, call: Call, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    body = json.dumps({"connection_request_url": url})
    async with ScriptedEnd(answer(200, body)) as end:
        environment["CONNECTTRADE_API_URL"] = end.url
        result = await call("connect", "--open", "--redirect-url", REDIRECT, stdin="")
    assert opened == []
    assert "The address is not opened" in result.stderr


@pytest.mark.parametrize(
    "url", ["https://app.example/c", "HTTPS://app.example", "http://[::1]:80/c", "http://localhost/c"]
)
async def test_connect_opens_https_and_http_to_this_machine(
    url: str, call: Call, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    async with ScriptedEnd(answer(200, json.dumps({"connection_request_url": url}))) as end:
        environment["CONNECTTRADE_API_URL"] = end.url
        await call("connect", "--open", "--redirect-url", REDIRECT, stdin="")
    assert opened == [url]
