from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from scripted_server import ScriptedEnd, answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from click.testing import Result

    from connecttrade_async.sandbox import Sandbox

    Call = Callable[..., Awaitable[Result]]


async def test_users_create_prints_the_secret_and_delete_removes_the_user(call: Call, sandbox: Sandbox) -> None:
    made = await call("users", "create", "it's bob / 2")
    assert made.exit_code == 0
    script = made.stdout + 'printf "%s|%s" "$CONNECTTRADE_USER_ID" "$CONNECTTRADE_USER_SECRET"'
    exported = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)  # noqa: S603, ASYNC221 - quick, and as the reader does
    name, secret = exported.stdout.split("|")
    assert name == "it's bob / 2"
    assert sandbox.world.users[name].secret == secret
    listed = await call("users")
    assert name in listed.stdout
    assert secret not in listed.output
    deleted = await call("users", "delete", name, "--yes")
    assert deleted.stdout == ""
    assert "it's bob / 2" in deleted.stderr
    assert name not in sandbox.world.users


async def test_users_create_with_json_prints_one_object(call: Call, sandbox: Sandbox) -> None:
    made = json.loads((await call("users", "create", "bob", "--json")).stdout)
    assert made == {"user_id": "bob", "user_secret": sandbox.world.users["bob"].secret}
    listed = await call("users", "list", "--json")
    assert [json.loads(line) for line in listed.stdout.splitlines()] == [{"user_id": "ada"}, {"user_id": "bob"}]


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'["bob","only-once"]', '["bob","only-once"]'),
        (b"only-once\x1b[2J\xff", r"'only-once\x1b[2J\\xff'"),
    ],
)
async def test_users_create_with_a_malformed_response_prints_the_response(call: Call, body: bytes, shown: str) -> None:
    async with ScriptedEnd(answer(201, body)) as end:
        result = await call("users", "create", "bob", CONNECTTRADE_API_URL=end.url)
    assert result.exit_code == 1
    assert result.stdout == shown + "\n"
    assert "only-once" not in result.stderr


async def test_users_create_of_an_existing_user_changes_nothing(call: Call) -> None:
    result = await call("users", "create", "ada")
    assert result.exit_code == 1
    assert "409" in result.stderr
    assert result.stdout == ""


async def test_users_delete_without_confirmation_deletes_nothing(call: Call, sandbox: Sandbox) -> None:
    connection = next(iter(sandbox.world.users["ada"].connections))
    for command in (["users", "delete", "ada"], ["connections", "delete", connection]):
        result = await call(*command)
        assert result.exit_code == 2
        assert "add --yes" in result.stderr
    assert connection in sandbox.world.users["ada"].connections


async def test_users_without_users_prints_a_note(call: Call) -> None:
    await call("users", "delete", "ada", "--yes")
    result = await call("users")
    assert result.stdout == ""
    assert "users create NAME" in result.stderr
