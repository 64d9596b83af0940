"""The commands ``doctor``: one line for each assumption, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from click.testing import CliRunner

from cli_runner import Terminal
from connecttrade_async import ConnectTrade
from connecttrade_async.cli import connecttrade
from connecttrade_async.sandbox import Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from click.testing import Result

    from connecttrade_async.sandbox import Sandbox

    Call = Callable[..., Awaitable[Result]]

DOCUMENT = Path(__file__).parents[2] / "doctor" / "openapi.json"


def spec(*arguments: str) -> Result:
    # Without credentials in the environment: none are needed.
    empty: dict[str, str | None] = {"CONNECTTRADE_CLIENT_ID": None, "CONNECTTRADE_CLIENT_SECRET": None}
    return CliRunner(env=empty).invoke(connecttrade, ["doctor", "spec", *arguments])


def mutated(tmp_path: Path) -> str:
    document: dict[str, Any] = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    del document["paths"]["/positions"]
    document["components"]["schemas"]["Order"]["properties"]["leverage\u001b[2J"] = {"type": "string"}
    path = tmp_path / "document.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


def test_spec_of_the_assumed_wire_finds_no_difference() -> None:
    result = spec(str(DOCUMENT))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "0 NOT UNDERSTOOD, 0 not seen" in result.stderr
    shown = spec(str(DOCUMENT), "--all").stdout.splitlines()
    assert "GET /orders: query limit: text / number / ok" in shown


def test_spec_prints_a_line_for_each_difference_and_fails(tmp_path: Path) -> None:
    result = spec(mutated(tmp_path))
    assert result.exit_code == 1
    assert "GET /positions: exists / not in the document / NOT UNDERSTOOD" in result.stdout.splitlines()
    assert "\u001b" not in result.stdout
    objects = [json.loads(line) for line in spec(mutated(tmp_path), "--json").stdout.splitlines()]
    assert {"subject", "assumed", "saw", "verdict"} == set(objects[0])
    assert len(objects) == len(result.stdout.splitlines())


def test_spec_writes_the_dialect_that_the_document_describes(tmp_path: Path) -> None:
    path, dialect = tmp_path / "document.json", tmp_path / "wire.toml"
    path.write_text(DOCUMENT.read_text(encoding="utf-8").replace("redirect_url", "redirectUrl"), encoding="utf-8")
    dialect.write_text("[brokerage]\ntag = 'ev'\n", encoding="utf-8")
    result = spec(str(path), "--dialect", str(dialect))
    assert f"The dialect is in {dialect}." in result.stderr
    text = dialect.read_text(encoding="utf-8")
    assert 'redirect_url = "redirectUrl"' in text
    assert 'tag = "ev"' in text


def test_spec_explains_what_is_no_document(tmp_path: Path) -> None:
    path = tmp_path / "document.yaml"
    path.write_text("openapi: 3.0.0\n", encoding="utf-8")
    result = spec(str(path))
    assert result.exit_code == 2
    assert "convert it to JSON first" in result.stderr


# --- rest


async def test_rest_prints_what_differs_and_writes_the_traffic_by_shape(
    call: Call, sandbox: Sandbox, tmp_path: Path, environment: dict[str, str]
) -> None:
    sandbox.dialect = "camel"
    traffic = tmp_path / "traffic.jsonl"
    result = await call("doctor", "rest", "--traffic", str(traffic))
    assert result.exit_code == 0, result.output
    assert "GET /accounts: accountId: in snake case / in another case / differs, understood" in result.stdout
    text = traffic.read_text(encoding="utf-8")
    assert '"uuid:A' in text.replace("\\", "")
    for value in ("ada", environment["CONNECTTRADE_USER_SECRET"], environment["CONNECTTRADE_CLIENT_SECRET"]):
        assert f'"{value}"' not in text
    again = await call("doctor", "rest", "--traffic", str(traffic))
    assert again.exit_code == 2


async def test_rest_with_values_keeps_them_and_no_secret(
    call: Call, connection: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    traffic = tmp_path / "traffic.jsonl"
    result = await call("doctor", "rest", "--traffic", str(traffic), "--with-values")
    assert result.exit_code == 0, result.output
    text = traffic.read_text(encoding="utf-8")
    assert connection in text
    assert environment["CONNECTTRADE_USER_SECRET"] not in text
    assert '"access_token":"***"' in text.replace("\\", "").replace(" ", "")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("https://www.google.com/?connection_id=c-123", "The login succeeded; its connection is c-123."),
        ("https://www.google.com/?error=declined&error_details=by+you", "The login failed:"),
        ("https://www.google.com/", "Not understood:"),
    ],
    ids=["success", "declined", "neither"],
)
async def test_isolate_explains_the_address_and_deletes_the_user(
    call: Call, sandbox: Sandbox, address: str, words: str
) -> None:
    before = sandbox.requests.count("POST", "/connections")
    result = await call("doctor", "rest", "--isolate", stdin=f"{address}\n")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("http")
    assert words in result.stderr
    assert "Deleted the test user doctor-" in result.stderr
    assert sandbox.requests.count("POST", "/connections") == before + 1
    async with ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct:
        assert [user.user_id for user in await ct.users.list()] == ["ada"]


async def test_isolate_deletes_the_user_at_ctrl_c(environment: dict[str, str], sandbox: Sandbox) -> None:
    terminal = Terminal(["doctor", "rest", "--isolate"], environment)
    try:
        await terminal.until("paste the address")
        # A signal just before the prompt reads waits for the next key, so it is repeated.
        while "Deleted" not in terminal.screen:
            await terminal.type("\x03")
            with anyio.move_on_after(1):
                await terminal.until("Deleted")
        assert await terminal.end() == 130
    finally:
        terminal.close()
    assert "Deleted the test user doctor-" in terminal.screen
    async with ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct:
        assert [user.user_id for user in await ct.users.list()] == ["ada"]


async def test_isolate_names_a_user_that_could_not_be_deleted_or_made(call: Call, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("status", status=400, method="DELETE", times=None))
    result = await call("doctor", "rest", "--isolate", stdin="https://www.google.com/?connection_id=c\n")
    assert "is still there" in result.stderr
    assert "connecttrade users delete doctor-" in result.stderr


# --- streams


async def test_stream_asks_before_it_takes_the_session(call: Call, sandbox: Sandbox) -> None:
    result = await call("doctor", "stream")
    assert result.exit_code == 2
    assert "add --yes" in result.stderr
    assert sandbox.stream.log.total == 0


async def test_stream_writes_a_dialect_with_which_the_stream_command_works(
    call: Call, sandbox: Sandbox, tmp_path: Path, environment: dict[str, str]
) -> None:
    sandbox.dialect = "type_not_action"
    dialect, traffic = tmp_path / "wire.toml", tmp_path / "traffic.jsonl"
    refused = await call("stream", "--for", "0.1")
    assert refused.exit_code != 0
    files = ("--dialect", str(dialect), "--traffic", str(traffic))
    result = await call("doctor", "stream", "--yes", "--for", "0.2", "--wait", "0.5", *files)
    assert result.exit_code == 1
    assert "/ NOT UNDERSTOOD" in result.stdout
    assert f"The dialect is in {dialect}" in result.stderr
    text = traffic.read_text(encoding="utf-8")
    assert '"direction":"out"' in text
    assert environment["CONNECTTRADE_CLIENT_SECRET"] not in text
    assert environment["CONNECTTRADE_CLIENT_SECRET"] not in dialect.read_text(encoding="utf-8")
    works = await call("stream", "--for", "0.1", CONNECTTRADE_DIALECT=str(dialect))
    assert works.exit_code == 0, works.output
    traffic.unlink()
    again = await call(
        "doctor", "stream", "--yes", "--for", "0.2", "--wait", "0.5", *files, CONNECTTRADE_DIALECT=str(dialect)
    )
    assert again.exit_code == 0, again.output


async def test_stream_names_a_server_that_cannot_be_reached(call: Call, tmp_path: Path) -> None:
    files = ("--dialect", str(tmp_path / "d"), "--traffic", str(tmp_path / "t"))
    result = await call("doctor", "stream", "--yes", *files, CONNECTTRADE_STREAM_URL="ws://127.0.0.1:1")
    assert result.exit_code == 1
    assert "nothing listens at 127.0.0.1:1" in result.stderr


@pytest.mark.parametrize("preset", ["assumed", "type_not_action"])
async def test_market_probes_market_data_with_a_token(
    call: Call, sandbox: Sandbox, connection: str, tmp_path: Path, preset: str
) -> None:
    sandbox.dialect = preset
    dialect = tmp_path / "wire.toml"
    files = ("--dialect", str(dialect), "--traffic", str(tmp_path / "traffic.jsonl"))
    result = await call(
        "doctor", "market", "--connection", connection, "--yes", "--for", "0.3", "--wait", "0.5", "--all", *files
    )
    assert "login: " in result.stdout
    assert result.exit_code == (0 if preset == "assumed" else 1), result.output
    assert ("[market_data]" in dialect.read_text(encoding="utf-8")) == (preset != "assumed")
    assert "eyJ" not in (tmp_path / "traffic.jsonl").read_text(encoding="utf-8")


# --- mistakes of a new user


async def test_rest_with_a_wrong_secret_says_so_in_one_sentence(call: Call, tmp_path: Path) -> None:
    traffic = str(tmp_path / "traffic.jsonl")
    result = await call("doctor", "rest", "--traffic", traffic, CONNECTTRADE_CLIENT_SECRET="wrong-secret-1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "check CONNECTTRADE_CLIENT_ID and CONNECTTRADE_CLIENT_SECRET" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "wrong-secret-1" not in result.stderr


async def test_the_default_traffic_file_never_meets_an_earlier_one(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for expected in ("connecttrade-traffic.jsonl", "connecttrade-traffic-2.jsonl", "connecttrade-traffic-3.jsonl"):
        result = await call("doctor", "rest")
        assert result.exit_code == 0, result.output
        assert f"The redacted traffic is in {expected}." in result.stderr
        assert (tmp_path / expected).exists()


@pytest.mark.parametrize("name", ["missing/wire.toml", "misspelt.toml"])
async def test_a_dialect_file_that_cannot_be_used_ends_the_command_before_the_probe(
    call: Call, sandbox: Sandbox, tmp_path: Path, name: str
) -> None:
    (tmp_path / "misspelt.toml").write_text("[brokerage]\ntga = 'x'\n", encoding="utf-8")
    files = ("--dialect", str(tmp_path / name), "--traffic", str(tmp_path / "traffic.jsonl"))
    result = await call("doctor", "stream", "--yes", *files)
    assert result.exit_code == 2
    assert "got" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sandbox.stream.log.total == 0


@pytest.mark.parametrize("wait", ["nan", "-1", "0", "inf"])
async def test_stream_refuses_a_wait_that_is_no_time(call: Call, wait: str) -> None:
    result = await call("doctor", "stream", "--yes", "--wait", wait)
    assert result.exit_code == 2
    assert "must be a number of seconds above 0" in result.stderr


async def test_a_probe_of_one_stream_keeps_what_is_written_of_the_other(
    call: Call, sandbox: Sandbox, connection: str, tmp_path: Path
) -> None:
    sandbox.dialect = "type_not_action"
    dialect = tmp_path / "wire.toml"
    for number, command in enumerate((("stream",), ("market", "--connection", connection))):
        files = ("--dialect", str(dialect), "--traffic", str(tmp_path / f"traffic-{number}.jsonl"))
        await call("doctor", *command, "--yes", "--for", "0.2", "--wait", "0.5", *files)
    text = dialect.read_text(encoding="utf-8")
    assert "[brokerage]" in text
    assert "[market_data]" in text
    works = await call("quotes", "AAPL", "--for", "0.5", CONNECTTRADE_DIALECT=str(dialect))
    assert works.exit_code == 0, works.output


async def test_stream_with_a_wrong_secret_writes_no_dialect(call: Call, tmp_path: Path) -> None:
    dialect = tmp_path / "wire.toml"
    files = ("--dialect", str(dialect), "--traffic", str(tmp_path / "traffic.jsonl"))
    result = await call("doctor", "stream", "--yes", *files, CONNECTTRADE_CLIENT_SECRET="wrong-secret-1")
    assert result.exit_code == 1
    assert "no dialect was written" in result.stderr
    assert not dialect.exists()
    assert "wrong-secret-1" not in result.output + (tmp_path / "traffic.jsonl").read_text(encoding="utf-8")
