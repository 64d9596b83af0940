"""Listings in any dialect: every row right, or an error or a warning in time; never short in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connecttrade_async import ConnectTradeError
from dialect_world import LISTS, NAMES, comparable, quick, said_by, written_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connecttrade_async import Dialect, User
    from connecttrade_async.sandbox.dialect import SandboxDialect
    from dialect_world import DialectWorld

__all__ = ["check_listings"]


async def check_listings(
    world: DialectWorld, spoken: SandboxDialect, dialect: Dialect, names: Sequence[str] = NAMES
) -> list[str]:
    """Read every list of some users in a dialect.

    Returns:
        What was said, by list, where a list is not all right: an error, or that the list may be cut off.

    Raises:
        AssertionError: a list is wrong, or short in silence.
    """
    said: list[str] = []
    world.speak(spoken)
    async with world.client(dialect, **quick()) as ct:
        for name in names:
            user = world.user(ct, name)
            for noun in (*LISTS, "orders"):
                try:
                    rows, is_cut = await _read(user, noun)
                except ConnectTradeError as error:
                    said.append(f"{noun}: {said_by(error)}")
                    continue
                expected = world.expected(name, noun, spoken)
                found = comparable(rows)
                assert found == expected[: len(found)], f"{noun} of {name} are wrong"
                if len(found) < len(expected):
                    assert is_cut, f"{noun} of {name} are short in silence"
                    said.append(f"{noun}: may be cut off")
        # A filter by account is part of the request: an id is sent as it was read.
        account_id = written_id(spoken, world.accounts[names[0]])
        rows = await world.user(ct, names[0]).positions.list(account_id=account_id)
        assert [row.symbol for row in rows] == [row.symbol for row in world.assumed[names[0], "positions"]]
    return said


async def _read(user: User, noun: str) -> tuple[list[Any], bool]:
    if noun == "orders":
        listing = user.orders.list(status="all", limit=3)
        rows = [row async for row in listing]
        return rows, listing.may_be_cut_off
    found = await getattr(user, noun).list()
    return list(found), found.may_be_cut_off
