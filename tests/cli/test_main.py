"""The whole command: help, exit codes, stdout and stderr."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import click
import pytest
from click.testing import CliRunner, Result

from connecttrade_async.cli.main import RootGroup
from connecttrade_async.config import ADDRESSES, CREDENTIALS
from connecttrade_async.sandbox import Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from subprocess import CompletedProcess

    from connecttrade_async.sandbox import Sandbox

    Run = Callable[..., Awaitable[CompletedProcess[bytes]]]

COMMAND = [sys.executable, "-m", "connecttrade_async"]
CANARY = "canary-4f3c2b1a"
FULL = Path("/dev/full")


async def test_main_prints_help_and_version_on_stdout(run: Run) -> None:
    for arguments in ([], ["--help"], ["-h"], ["users", "--help"], ["--version"]):
        ended = await run(*arguments)
        assert (ended.returncode, ended.stderr) == (0, b"")
        assert ended.stdout


async def test_main_help_fits_each_command_into_one_line(run: Run) -> None:
    for group in ([], ["option"], ["users"], ["connections"]):
        said = (await run(*group, "--help", COLUMNS="80")).stdout.decode()
        lines = said.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
        assert lines
        assert [line for line in lines if not re.fullmatch(r"  [a-z-]+ +[A-Z].*[^.]\.", line)] == []


async def test_main_help_names_the_environment_variables(run: Run) -> None:
    said = (await run("--help")).stdout.decode()
    assert [name for name in (*CREDENTIALS.values(), *ADDRESSES.values()) if name not in said] == []


async def test_main_prints_results_on_stdout_and_notes_on_stderr(run: Run) -> None:
    ended = await run("orders", "--status", "all", "--max", "5", "--json")
    assert ended.returncode == 0
    assert ended.stdout.count(b"\n") == 5
    assert ended.stderr.startswith(b"There are more than these 5")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["positions", "--account", "ann's"], 1), (["positions", "--symbols", ""], 2), (["bogus"], 2)],
    ids=str,
)
async def test_main_with_an_error_prints_a_sentence_and_sets_the_exit_code(
    run: Run, arguments: list[str], code: int
) -> None:
    ended = await run(*arguments)
    assert ended.returncode == code
    assert ended.stdout == b""
    assert ended.stderr.startswith(b"connecttrade: ")
    assert ended.stderr.count(b"\n") == 1


async def test_main_with_an_unreachable_server_prints_a_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.delenv("CONNECTTRADE_API_URL", raising=False)
    ended = await run("users", CONNECTTRADE_API_URL=f"http://127.0.0.1:{port}")
    assert ended.returncode == 1
    assert f"nothing listens at 127.0.0.1:{port}".encode() in ended.stderr
    assert b"Traceback" not in ended.stderr


async def test_main_with_ctrl_c_exits_with_130_and_no_output(environment: dict[str, str], sandbox: Sandbox) -> None:
    armed = sandbox.faults.add(Fault("slow_headers", seconds=60))
    with anyio.fail_after(20):
        async with await anyio.open_process([*COMMAND, "accounts"], env=environment) as process:
            while not armed.fired:  # noqa: ASYNC110 - the sandbox has no event for it
                await anyio.sleep(0.01)
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 130
            assert process.stderr is not None
            assert [chunk async for chunk in process.stderr] == []


async def test_main_with_a_closed_pipe_exits_with_141(environment: dict[str, str]) -> None:
    for arguments in (["transactions", "--json"], ["transactions"], ["users"]):
        reading, writing = os.pipe()
        os.close(reading)
        process = subprocess.Popen(  # noqa: S603, ASYNC220 - an end of a pipe is what this is about
            [*COMMAND, *arguments],
            env=environment,
            stdout=writing,
            stderr=subprocess.PIPE,
        )
        os.close(writing)
        _, stderr = await anyio.to_thread.run_sync(process.communicate)
        assert (process.returncode, stderr) == (141, b"")


async def test_main_prints_no_secret(run: Run, sandbox: Sandbox, environment: dict[str, str]) -> None:
    secrets = [CANARY, environment["CONNECTTRADE_USER_SECRET"], sandbox.client_secret]
    told = b""
    for fault in (
        None,
        Fault("html", status=200, body=f"<p>{sandbox.client_secret}"),
        Fault("status", status=400, body=f'{{"message": "bad {environment["CONNECTTRADE_USER_SECRET"]}"}}'),
        Fault("status", status=500, body=f'{{"user_secret": "{CANARY}"}}'),
        Fault("cut_body", times=None),
    ):
        if fault is not None:
            sandbox.faults.add(fault)
        ended = await run("--verbose", "connections", "list", "--json")
        told += ended.stdout + ended.stderr
    for name in ("CONNECTTRADE_CLIENT_SECRET", "CONNECTTRADE_USER_SECRET"):
        for secret in (CANARY, f"{CANARY}\n"):
            ended = await run("--verbose", "connections", **{name: secret})
            assert ended.returncode in {1, 2}
            told += ended.stdout + ended.stderr
    assert all(secret.encode() not in told for secret in secrets)
    assert b"retrying" in told


def test_main_without_the_cli_extra_names_the_package_to_install() -> None:
    for library in ("click", "rich"):
        script = f"import sys; sys.modules[{library!r}] = None; import connecttrade_async.__main__ as m; m.main()"
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)  # noqa: S603 - ours
        assert ended.returncode == 2
        assert ended.stdout == ""
        (line,) = ended.stderr.splitlines()
        assert "pip install 'connecttrade-async[cli]'" in line


def test_main_interrupted_during_its_imports_ends_without_a_traceback() -> None:
    script = (
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'click': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "import connecttrade_async.__main__ as m; m.main()"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_main_without_another_library_raises_its_import_error() -> None:
    script = "import sys; sys.modules['msgspec'] = None; import connecttrade_async.__main__ as m; m.main()"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert "ModuleNotFoundError" in ended.stderr


def test_package_import_loads_no_library_of_the_command() -> None:
    script = (
        "import sys, connecttrade_async; connecttrade_async.ConnectTrade;"
        "print([name for name in sys.modules if name.split('.')[0] in ('click', 'rich')"
        " or name.split('.')[:2] in ([sys.argv[1], room] for room in ('cli', 'sandbox', 'demo'))])"
    )
    command = [sys.executable, "-c", script, "connecttrade_async"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert ended.stdout == "[]\n"


async def test_group_without_a_subcommand_lists(run: Run) -> None:
    for noun in ("users", "connections"):
        short, long = await run(noun, "--json"), await run(noun, "list", "--json")
        assert (short.returncode, short.stdout) == (0, long.stdout)
        assert short.stdout.startswith(b"{")
    misplaced = await run("users", "--json", "list")
    assert misplaced.returncode == 2
    assert b"--json belongs behind 'list'" in misplaced.stderr


@pytest.mark.skipif(not FULL.exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [["positions"], ["accounts", "--json"]])
async def test_main_with_a_full_disk_prints_a_sentence(environment: dict[str, str], arguments: list[str]) -> None:
    with FULL.open("wb") as full:  # noqa: ASYNC230 - a device, not a file
        ended = await anyio.run_process([*COMMAND, *arguments], stdout=full, env=environment, check=False)
    assert ended.returncode == 2
    sentence = b"the output cannot be written: No space left on device. Make room, or write it somewhere else."
    assert ended.stderr == b"connecttrade: " + sentence + b"\n"


def broken(*arguments: str) -> Result:
    @click.group(cls=RootGroup)
    @click.option("--verbose", is_flag=True)
    def root(*, verbose: bool) -> None: ...

    @root.command()
    def fail() -> None:
        raise RuntimeError("canary")

    return CliRunner().invoke(root, [*arguments, "fail"])


def test_main_with_an_unexpected_error_prints_one_sentence() -> None:
    result = broken()
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "this is a bug in connecttrade (RuntimeError at " in result.stderr
    assert "canary" not in result.stderr
    assert "Traceback" not in result.stderr


def test_main_with_verbose_prints_the_traceback() -> None:
    assert "Traceback" in broken("--verbose").stderr
