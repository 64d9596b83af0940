"""The command ``record``: the traffic of another command, or of the stream, in a file without secrets."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from subprocess import CompletedProcess

    from click.testing import Result

    from connecttrade_async.sandbox import Sandbox

    Call = Callable[..., Awaitable[Result]]
    Run = Callable[..., Awaitable[CompletedProcess[bytes]]]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


async def test_record_writes_the_requests_of_another_command(
    run: Run, tmp_path: Path, environment: dict[str, str]
) -> None:
    path = tmp_path / "session.jsonl"
    alone = await run("orders", "--status", "all", "--json")
    recorded = await run("record", str(path), "--", "orders", "--status", "all", "--json")
    assert recorded.returncode == 0
    assert recorded.stdout == alone.stdout
    assert f"Recorded 1 requests and messages in {path}.\n" in recorded.stderr.decode()
    header, exchange, end = lines(path)
    assert (header["kind"], exchange["operation"], end["kind"]) == ("header", "GET /orders", "end")
    assert ["status", "all"] in exchange["query"]
    text = path.read_text(encoding="utf-8")
    assert environment["CONNECTTRADE_USER_SECRET"] not in text
    assert environment["CONNECTTRADE_CLIENT_SECRET"] not in text


async def test_record_keeps_the_exit_code_and_the_error_of_the_command(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    alone = await run("accounts", "--connection", "missing")
    recorded = await run("record", str(path), "--", "accounts", "--connection", "missing")
    assert recorded.returncode == alone.returncode != 0
    assert alone.stderr.decode() in recorded.stderr.decode()
    assert lines(path)[1]["status"] == 404


async def test_record_without_a_command_follows_the_stream_for_some_time(
    run: Run, tmp_path: Path, sandbox: Sandbox
) -> None:
    del sandbox
    path = tmp_path / "session.jsonl"
    recorded = await run("record", str(path), "--for", "0.2")
    assert recorded.returncode == 0
    kinds = [line["kind"] for line in lines(path)]
    assert kinds[:3] == ["header", "open", "frame"]
    assert kinds[-2:] == ["close", "end"]


async def test_record_ends_the_file_at_ctrl_c(environment: dict[str, str], sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    command = [sys.executable, "-W", "error", "-m", "connecttrade_async", "record", str(path)]
    with anyio.fail_after(20):
        async with await anyio.open_process(command, env=environment) as process:
            try:
                await sandbox.stream.until_live()
                sandbox.stream.publish("orders", "ada", "a", {"order_id": "o-77-88", "status": "working"})
                assert process.stderr is not None
                shown = b""
                while b"Ctrl-C" not in shown:
                    shown += await process.stderr.receive()
                process.send_signal(signal.SIGINT)
                assert await process.wait() == 0
            finally:
                with suppress(ProcessLookupError):
                    process.kill()
    assert lines(path)[-1]["kind"] == "end"
    assert "o-77-88" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--for", "1", "x", "--", "accounts"], "--for is for the stream"),
        (["x", "--", "acounts"], "did you mean `accounts`?"),
        (["{existing}", "--", "accounts"], "path must be a new file"),
    ],
    ids=["for", "unknown", "existing"],
)
async def test_record_explains_a_wrong_use(call: Call, tmp_path: Path, arguments: list[str], words: str) -> None:
    existing = tmp_path / "existing"
    existing.touch()
    result = await call("record", *(argument.format(existing=existing) for argument in arguments))
    assert result.exit_code == 2
    assert words in result.stderr


async def test_record_says_nothing_of_a_file_that_it_did_not_write(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("mine", encoding="utf-8")
    result = await call("record", str(path), "--", "positions")
    assert result.exit_code == 2
    assert "Recorded" not in result.stderr
    assert "must be a new file" in result.stderr
    assert path.read_text(encoding="utf-8") == "mine"


async def test_record_of_another_recording_is_refused(call: Call, tmp_path: Path) -> None:
    outer, inner = tmp_path / "outer", tmp_path / "inner"
    result = await call("record", str(outer), "--", "record", str(inner), "--", "positions")
    assert result.exit_code == 2
    assert "a recording cannot record another one" in result.stderr
    assert not outer.exists()
    assert not inner.exists()
