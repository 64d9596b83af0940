from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connecttrade_async.live.missing_accounts import find_unlinked
from connecttrade_async.models import Connection


def connection(*accounts: str, kind: str = "trade") -> dict[str, Any]:
    return {"connection_id": "c", "type": kind, "accounts": [{"account_id": each} for each in accounts]}


class FakeUser:
    """A user with scripted connections."""

    user_id = "ada"
    orders: Any = None
    positions: Any = None
    balances: Any = None

    def __init__(self, *connections: dict[str, Any]) -> None:
        self.listed = msgspec.convert(connections, list[Connection])

    @property
    def connections(self) -> Any:
        return self

    async def list(self) -> list[Connection]:
        return self.listed


@pytest.mark.parametrize(
    ("connections", "read", "gone"),
    [
        ([connection("a", "b")], ["a"], ["c"]),
        ([connection("a")], ["a"], ["b", "c"]),
        ([connection("a"), connection("b", "c")], ["a"], []),
        ([connection("b")], [], ["c"]),
        ([], [], ["b", "c"]),
        # A connection for market data opens no account; any other without accounts is incomplete.
        ([connection("a"), connection(kind="market_data")], ["a"], ["b", "c"]),
        ([connection("a"), connection()], ["a"], []),
        ([connection("a"), {"connection_id": "d"}], ["a"], []),
        # An account that was read just now is absent: the list is not usable.
        ([], ["a"], []),
        ([connection("b")], ["a"], []),
        ([connection("b"), connection("a")], ["a", "x"], []),
        # Other account ids, or a list of something else.
        ([connection("1")], [], []),
    ],
)
async def test_find_unlinked_returns_absent_accounts_of_a_usable_list_only(
    connections: list[dict[str, Any]], read: list[str], gone: list[str]
) -> None:
    turns: list[int] = []

    async def turn() -> None:
        turns.append(1)

    assert await find_unlinked(FakeUser(*connections), turn, ["b", "c"], read) == gone
    assert turns == [1]
    assert await find_unlinked(FakeUser(*connections), lambda: None, ["b", "c"], read) == gone
