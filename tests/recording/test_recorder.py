"""The recorder: a session of the sandbox becomes a file without secrets and identities, and nothing is disturbed."""

from __future__ import annotations

import asyncio
import base64
import errno
import json
import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from connecttrade_async import (
    ClosedError,
    ConfigurationError,
    ConnectTrade,
    Endpoints,
    Gap,
    OrderUpdate,
    Recorder,
    Retry,
    Timeouts,
    TransportError,
    tickets,
)
from connecttrade_async.sandbox import Sandbox
from market_data_fixtures import linked
from scripted_server import ScriptedEnd, answer, drop, silence
from stream_fixtures import client, nothing_left, until

if TYPE_CHECKING:
    from connecttrade_async import User

USER_ID = "grace-hopper@example.com/7"


def lines(path: Path) -> list[dict[str, Any]]:
    """Read a recording; each line must be JSON."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def of_kind(path: Path, kind: str) -> list[dict[str, Any]]:
    return [line for line in lines(path) if line["kind"] == kind]


def spellings(value: str) -> set[str]:
    """Return the forms in which a value could be written."""
    raw = value.encode()
    return {
        value,
        value.upper(),
        value.lower(),
        value.replace("-", ""),
        quote(value, safe=""),
        quote(quote(value, safe=""), safe=""),
        json.dumps(value)[1:-1],
        raw.hex(),
        raw.hex().upper(),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
    }


async def traded(sandbox: Sandbox, ct: ConnectTrade, user: User) -> set[str]:
    """Read, trade and follow both streams; return the ids and the account numbers that were seen."""
    trade = await user.connections.create("trade", redirect_url="https://app.example/done?who=grace", broker="ALPACA")
    await sandbox.approve(trade.url)
    connections = await user.connections.list()
    accounts = await user.accounts.list()
    account_id = accounts[0].account_id
    async with ct.brokerage_stream() as stream, stream.subscribe("orders") as events:
        await user.orders.place(tickets.market("AAPL", "BUY", qty=1, account_id=account_id, broker="ALPACA"))
        await until(events, OrderUpdate)
        sandbox.stream.drop()
        await until(events, Gap)
        await user.orders.place(
            tickets.limit("MSFT", "BUY", qty=2, price="1.50", account_id=account_id, broker="ALPACA")
        )
        await until(events, OrderUpdate)
    await user.positions.list()
    await user.balances.list(account_id=account_id)
    assert [order async for order in user.orders.list(status="all", limit=1)]
    await user.tokens.create("read")
    market = next(each for each in connections if each.connection_type == "market_data")
    async with user.market_data(market.connection_id) as md, md.quotes("AAPL"):
        await md.list_subscriptions()
    named = {each.connection_id for each in connections} | {each.account_id for each in accounts}
    return {USER_ID, *named, *(each.account_number for each in accounts if each.account_number)}


@pytest.mark.parametrize("seed", [7, 8])
async def test_a_recorded_session_holds_no_secret_user_id_or_account_number(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "session.jsonl"
    async with Sandbox(seed=seed) as sandbox, client(sandbox) as ct, Recorder(ct, path) as recorder:
        user, _ = await linked(sandbox, ct, USER_ID)
        hidden = await traded(sandbox, ct, user)
        hidden |= {sandbox.client_id, sandbox.client_secret, str.__str__(user._user_secret.reveal())}  # type: ignore[union-attr]
    assert recorder.withheld == 0
    assert recorder.error is None
    text = path.read_text(encoding="utf-8")
    assert "grace" not in text.lower()
    for value in hidden:
        for form in spellings(value):
            assert form not in text
    assert '"access_token":"***"' in text.replace("\\", "")
    assert '"user_secret":"***"' in text.replace("\\", "").replace(" ", "")


async def test_a_recorded_session_keeps_the_form_and_the_order_of_the_traffic(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    async with Sandbox(seed=7) as sandbox, client(sandbox) as ct, Recorder(ct, path) as recorder:
        assert recorder.is_recording
        user, _ = await linked(sandbox, ct, USER_ID)
        await traded(sandbox, ct, user)
    found = lines(path)
    assert found[0] == {"kind": "header", "format": "connecttrade-recording", "version": 1}
    assert found[-1]["kind"] == "end"
    assert recorder.entries == len(found) - 2
    begun = [line["at"] for line in found[1:] if line["kind"] != "exchange"]
    assert begun == sorted(begun)
    opened = of_kind(path, "open")
    assert [(line["stream"], line["session"]) for line in opened] == [
        ("brokerage", 1),
        ("brokerage", 2),
        ("market_data", 3),
    ]
    assert [line["code"] for line in of_kind(path, "close")] == [1001, 1000, 1000]
    operations = {line["operation"] for line in of_kind(path, "exchange")}
    assert operations >= {
        "POST /users",
        "GET /connections/{connection_id}/token",
        "POST /orders",
        "GET /orders",
        "POST /auth/tokens/user",
    }
    frames = [json.loads(line["text"]) for line in of_kind(path, "frame")]
    logins = [frame for frame in frames if frame.get("action") == "authenticate"]
    assert [sorted(login) for login in logins] == [
        ["action", "client_id", "client_secret"],
        ["action", "client_id", "client_secret"],
        ["access_token", "action"],
    ]
    # An id has one pseudonym everywhere: in paths, queries, bodies and frames.
    bodies = [json.loads(line["response"]) for line in of_kind(path, "exchange") if line["path"] == "/accounts"]
    account_id = bodies[0][0]["account_id"]
    [order] = [frame for frame in frames if frame.get("type") == "order"][:1]
    assert order["account_id"] == account_id
    [balances] = [line for line in of_kind(path, "exchange") if line["path"] == "/balances"]
    assert balances["query"] == [["account_id", account_id]]
    assert {line["user"] for line in of_kind(path, "exchange")} == {None, order["user_id"]}
    assert order["data"]["symbol"] == "AAPL"


async def test_the_file_belongs_to_its_owner_alone_and_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    before = os.umask(0)
    try:
        async with ConnectTrade("client", "secret") as ct, Recorder(ct, path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            second = Recorder(ct, tmp_path / "second.jsonl")
            with pytest.raises(ConfigurationError, match="one recorder at a time"):
                await second.open()
        async with ConnectTrade("client", "secret") as ct:
            with pytest.raises(ConfigurationError, match="path must be a new file"):
                await Recorder(ct, path).open()
    finally:
        os.umask(before)


async def test_a_failed_and_a_cancelled_request_are_recorded_in_our_words(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    async with (
        ScriptedEnd(drop, silence) as end,
        ConnectTrade("client", "secret", endpoints=Endpoints(end.url), retry=Retry(attempts=1)) as ct,
        Recorder(ct, path),
    ):
        user = ct.user("grace-hopper", "user-secret")
        with pytest.raises(TransportError):
            await user.request("POST", "/orders", json={"note": "for Grace"})
        call = asyncio.create_task(user.accounts.list())
        await end.until_seen(2)
        call.cancel()
        await asyncio.wait([call])
    failed, cancelled = of_kind(path, "exchange")
    assert (failed["status"], failed["headers"], failed["response"]) == (None, None, None)
    assert failed["error"] == "POST /orders: the connection dropped before a response"
    assert set(json.loads(failed["request"])) == {"note"}
    assert "Grace" not in failed["request"]
    assert cancelled["error"]
    assert cancelled["took"] > 0


async def test_the_recording_ends_at_its_limit_with_a_last_line_and_the_client_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "session.jsonl"
    async with ScriptedEnd(answer(200, b"[]")) as end, ConnectTrade("c", "secret", endpoints=Endpoints(end.url)) as ct:
        recorder = Recorder(ct, path, max_bytes=2000)
        await recorder.open()
        for _ in range(20):
            assert await ct.users.list() == []
        await recorder.aclose()
        assert await ct.users.list() == []
    assert path.stat().st_size <= 2000
    [last] = of_kind(path, "end")
    assert "2,000 bytes" in last["reason"]
    assert "limit" in caplog.text
    assert lines(path)[-1] == last


def fill_disk(path: Path) -> None:
    """Replace an open file by ``/dev/full``, which refuses every write."""
    [descriptor] = [int(each.name) for each in Path("/proc/self/fd").iterdir() if each.resolve() == path.resolve()]
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, descriptor)
    os.close(full)


async def test_a_full_disk_ends_the_recording_with_one_error_and_the_client_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "session.jsonl"
    async with ScriptedEnd(answer(200, b"[]")) as end, ConnectTrade("c", "secret", endpoints=Endpoints(end.url)) as ct:
        recorder = Recorder(ct, path)
        await recorder.open()
        fill_disk(path)
        assert await ct.users.list() == []
        await recorder.aclose()
        await recorder.aclose()
        assert await ct.users.list() == []
    assert recorder.error is not None
    assert recorder.error.errno == errno.ENOSPC
    assert [record.levelno for record in caplog.records if record.name == "connecttrade_async.recording"] == [
        logging.ERROR
    ]
    assert "CLOSED" in repr(recorder)


async def test_views_of_the_client_are_recorded_until_the_recorder_closes(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    async with ScriptedEnd(answer(200, b"[]")) as end, ConnectTrade("c", "secret", endpoints=Endpoints(end.url)) as ct:
        view = ct.with_options(timeouts=Timeouts())
        recorder = Recorder(ct, path)
        assert not recorder.is_recording
        assert "NEW" in repr(recorder)
        async with recorder:
            await view.users.list()
        await view.users.list()
        assert "CLOSED" in repr(recorder)
        with pytest.raises(ClosedError):
            await recorder.open()
    assert len(of_kind(path, "exchange")) == 1


async def test_closing_leaves_no_task_and_no_thread_behind(tmp_path: Path) -> None:
    async with nothing_left(), ConnectTrade("c", "secret") as ct, Recorder(ct, tmp_path / "session.jsonl"):
        pass


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"max_bytes": 0}, "max_bytes must be"), ({"close_timeout": -1}, "close_timeout must be")],
    ids=["max_bytes", "close_timeout"],
)
async def test_recorder_refuses_a_wrong_argument(settings: dict[str, Any], words: str, tmp_path: Path) -> None:
    async with ConnectTrade("c", "secret") as ct:
        with pytest.raises(ConfigurationError, match=words):
            Recorder(ct, tmp_path / "x", **settings)
    wrong: Any = "no client"
    with pytest.raises(ConfigurationError, match="ct must be a ConnectTrade client"):
        Recorder(wrong, tmp_path / "x")
