"""The command ``connections``: list and delete."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from click.testing import Result

    from connecttrade_async.sandbox import Sandbox

    Call = Callable[..., Awaitable[Result]]


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


async def test_connections_delete_removes_the_connection(call: Call, sandbox: Sandbox) -> None:
    connection = next(iter(sandbox.world.users["ada"].connections))
    result = await call("connections", "delete", connection, "--yes")
    assert result.exit_code == 0
    assert connection not in sandbox.world.users["ada"].connections
    again = await call("connections", "delete", connection, "--yes")
    assert again.exit_code == 1
    assert "404" in again.stderr


async def test_connections_with_json_have_equal_keys_for_both_forms_of_the_wire(call: Call, sandbox: Sandbox) -> None:
    seen = lines(await call("connections", "list", "--json"))
    sandbox.spellings = type(sandbox.spellings)(fields="documented", orders="array", times="epoch_milliseconds")
    documented = lines(await call("connections", "list", "--json"))
    assert {item["connection_type"] for item in (*seen, *documented)} == {"trade"}
    assert seen[0].keys() == documented[0].keys()
    assert (await call("orders")).exit_code == 0
