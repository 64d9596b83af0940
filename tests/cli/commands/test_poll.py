from __future__ import annotations

import json
from typing import TYPE_CHECKING

from connecttrade_async import ConnectTrade
from connecttrade_async.sandbox import Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from click.testing import Result

    from connecttrade_async.sandbox import Sandbox

    Call = Callable[..., Awaitable[Result]]


async def test_poll_without_users_polls_the_user_of_the_environment(call: Call, sandbox: Sandbox) -> None:
    sandbox.clock.hold()  # prices move with it
    result = await call("poll", "--every", "0.02", "--times", "3")
    assert (result.exit_code, result.stderr) == (0, "")
    (line,) = result.stdout.splitlines()
    assert " ada: " in line
    assert line.endswith(" positions")
    every = await call("poll", "--every", "0.02", "--times", "3", "--all", "--what", "balances")
    assert [line.endswith("as before") for line in every.stdout.splitlines()] == [False, True, True]


async def test_poll_with_json_prints_the_numbers_of_the_wire(call: Call, sandbox: Sandbox) -> None:
    sandbox.clock.hold()
    for what in ("positions", "balances", "orders"):
        result = await call("poll", "--every", "0.02", "--times", "2", "--what", what, "--json", "--all")
        assert result.exit_code == 0, result.stderr
        first, second = [json.loads(line) for line in result.stdout.splitlines()]
        assert (first["user_id"], first["changed"], second["changed"], first["error"]) == ("ada", True, False, None)
        assert first[what] == second[what]
        assert first[what] or what == "orders"


async def test_poll_reads_users_from_a_file_or_stdin(call: Call, sandbox: Sandbox, tmp_path: Path) -> None:
    async with ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct:
        secret = (await ct.users.create("bob")).user_secret.reveal()
    lines = f"bob {secret!s}\n\ncarl wrong\n"
    file = tmp_path / "users"
    file.write_text(lines)
    for source, stdin in ((str(file), ""), ("-", lines)):
        result = await call("poll", "--users", source, "--every", "0.05", "--times", "2", stdin=stdin)
        assert result.exit_code == 0, result.stderr
        told = sorted(line.split(" ", 1)[1] for line in result.stdout.splitlines())
        assert told[0] == "bob: 0 positions"
        assert told[1] == told[2]
        assert told[1].startswith("carl: failed: GET /positions answered 401: ")
        assert len(told) == 3


async def test_poll_prints_an_outage_and_its_end_on_stderr(call: Call, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("status", status=503, path="/positions", times=3))
    sandbox.faults.add(Fault("status", status=429, retry_after="1", path="/positions", times=1))
    result = await call("poll", "--every", "0.01", "--times", "6", "--json")
    assert result.exit_code == 0
    assert [part in result.stderr for part in ("All polls fail, 3 in a row", "answers again")] == [True, True]
    assert all(json.loads(line)["user_id"] == "ada" for line in result.stdout.splitlines())


async def test_poll_with_malformed_users_prints_one_sentence(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "users"
    for text in ("", "bob\n", "bob two three\n"):
        file.write_text(text)
        result = await call("poll", "--users", str(file))
        assert result.exit_code == 2
        assert "bob" not in result.stderr
    result = await call("poll", CONNECTTRADE_USER_ID=None)
    assert result.exit_code == 2
    assert "CONNECTTRADE_USER_ID" in result.stderr


async def test_poll_with_a_secret_refused_after_an_accepted_one_continues(call: Call, sandbox: Sandbox) -> None:
    sandbox.clock.hold()
    taken = Fault("slow_headers", seconds=0.01, path="/positions", times=1)  # an ordinary answer
    for fault in (taken, Fault("status", status=401, path="/positions", times=2)):
        sandbox.faults.add(fault)
    result = await call("poll", "--every", "0.02", "--times", "4", "--json", "--all")
    assert result.exit_code == 0, result.stderr
    refused = [json.loads(line)["error"] is not None for line in result.stdout.splitlines()]
    assert refused == [False, True, True, False]


async def test_poll_with_times_ends_while_one_user_keeps_failing(call: Call, sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "users"
    async with ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct:
        secret = (await ct.users.create("bob")).user_secret.reveal()
    file.write_text(f"bob {secret!s}\ncarl wrong\n")
    result = await call("poll", "--users", str(file), "--every", "0.02", "--times", "4", "--json", "--all")
    assert result.exit_code == 0, result.stderr
    names = [json.loads(line)["user_id"] for line in result.stdout.splitlines()]
    assert names.count("carl") == 4  # later and later, while bob is polled on
    assert names.count("bob") > 4


async def test_poll_with_every_secret_refused_ends(call: Call) -> None:
    result = await call("poll", CONNECTTRADE_USER_SECRET="wrong")
    assert result.exit_code == 1
    assert "no user is left to poll" in result.stderr
    assert "wrong" not in result.stderr.replace("is wrong", "").replace("are wrong", "")
