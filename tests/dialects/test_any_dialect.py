"""A server that is awkward in unlisted ways: every event right, or said in time; never silent.

Every choice of a dialect is drawn at random: 500 distinct ones, and 10,000 in the nightly session.

    HYPOTHESIS_PROFILE=nightly python -m pytest --timeout 0 tests/dialects/test_any_dialect.py
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Protocol

import pytest
from msgspec import json

from brokerage_checks import check_brokerage, is_lying
from dialect_world import client_dialect, in_parallel
from drawn_dialects import IS_NIGHTLY, drawn_dialects, heard_as_assumed
from listing_checks import check_listings
from live_checks import check_live
from market_checks import check_market

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from connecttrade_async import Dialect
    from connecttrade_async.sandbox.dialect import SandboxDialect
    from dialect_world import DialectWorld

    class Check(Protocol):
        """A check of one dialect, which returns what was said."""

        def __call__(
            self, world: DialectWorld, spoken: SandboxDialect, dialect: Dialect, *, login: float
        ) -> Awaitable[list[str]]: ...


IN_PARALLEL = 16
KINDS = ("tolerant", "heard", "matching")
"""A client without the dialect; the same at a server that hears the assumed requests; one with the dialect.

Each dialect meets one of them; in the nightly session all of them.
"""


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


def run(check: Check, kinds: tuple[str, ...], stream: str = "brokerage") -> dict[str, float]:
    """Run a check over all drawn dialects.

    Returns:
        By kind, the share of dialects in which nothing had to be said.
    """
    meetings: list[tuple[str, SandboxDialect]] = []
    for index, drawn in enumerate(drawn_dialects()):
        for kind in kinds if IS_NIGHTLY else (kinds[index % len(kinds)],):
            spoken = heard_as_assumed(drawn) if kind == "heard" else drawn
            # The only servers that are left out: what they say of a subscription is false.
            if not is_lying(spoken, stream):
                meetings.append((kind, spoken))

    async def one(world: DialectWorld, meeting: tuple[str, SandboxDialect]) -> list[str] | AssertionError:
        kind, spoken = meeting
        dialect = client_dialect("matching" if kind == "matching" else "tolerant", spoken, stream)
        try:
            return await check(world, spoken, dialect, login=5.0 if kind == "matching" else 0.5)
        except AssertionError as error:
            return error

    results = asyncio.run(in_parallel(meetings, one, IN_PARALLEL))
    failed = [(meeting, found) for meeting, found in zip(meetings, results, strict=True) if not isinstance(found, list)]
    if failed:
        (kind, spoken), error = failed[0]
        pytest.fail(f"{len(failed)} of {len(meetings)}: {kind}: {error}\n{json.encode(spoken).decode()}")
    right = Counter(kind for (kind, _), said in zip(meetings, results, strict=True) if not said)
    return {kind: right[kind] / max(sum(each == kind for each, _ in meetings), 1) for kind in kinds}


async def lists(world: DialectWorld, spoken: SandboxDialect, dialect: Dialect, *, login: float) -> list[str]:
    """Read the lists of one user."""
    del login
    return await check_listings(world, spoken, dialect, ["ada"])


def test_lists_in_any_dialect_are_whole_or_said_not_to_be() -> None:
    right = run(lists, ("tolerant", "matching"))
    assert right["tolerant"] >= 0.1
    assert right["matching"] >= 0.6


def test_brokerage_events_in_any_dialect_are_right_or_said_not_to_be() -> None:
    right = run(check_brokerage, KINDS)
    assert right["heard"] >= 0.05
    assert right["matching"] >= 0.8


def test_market_data_in_any_dialect_is_right_or_said_not_to_be() -> None:
    right = run(check_market, KINDS, "market_data")
    assert right["heard"] >= 0.05
    assert right["matching"] >= 0.7


def test_live_books_in_any_dialect_equal_the_world_or_are_not_current() -> None:
    right = run(check_live, KINDS)
    assert right["heard"] >= 0.05
    assert right["matching"] >= 0.5
