"""A server that is awkward in unlisted ways: every event right, or said in time; never silent.

Every choice of a dialect is drawn at random: 500 distinct ones, and 10,000 in the nightly session.

    HYPOTHESIS_PROFILE=nightly python -m pytest --timeout 0 tests/dialects/test_any_dialect.py
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import json

from brokerage_checks import check_brokerage, is_lying
from dialect_world import client_dialect, in_parallel
from drawn_dialects import drawn_dialects, heard_as_assumed
from listing_checks import check_listings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from connecttrade_async.sandbox.dialect import SandboxDialect
    from dialect_world import DialectWorld

    Check = Callable[[DialectWorld, SandboxDialect, Any], Awaitable[list[str]]]

IN_PARALLEL = 16
SERVERS = ("tolerant", "matching", "heard")
"""A client without and with the matching dialect, and one without it at a server that hears the assumed requests."""


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


def run(check: Check, kind: str, stream: str = "brokerage") -> list[list[str]]:
    """Run a check over all drawn dialects; return what each said."""
    spoken = [each for each in drawn_dialects() if not is_lying(each, stream)]
    if kind == "heard":
        spoken = list(map(heard_as_assumed, spoken))

    async def one(world: DialectWorld, each: SandboxDialect) -> list[str] | AssertionError:
        dialect = client_dialect("tolerant" if kind == "heard" else kind, each, stream)
        try:
            return await check(world, each, dialect)
        except AssertionError as error:
            return error

    results = asyncio.run(in_parallel(spoken, one, IN_PARALLEL))
    failed = [(each, found) for each, found in zip(spoken, results, strict=True) if isinstance(found, AssertionError)]
    if failed:
        each, error = failed[0]
        pytest.fail(f"{len(failed)} of {len(spoken)} dialects: {error}\n{json.encode(each).decode()}")
    return results


def share_right(results: list[list[str]]) -> float:
    """Return the share of dialects in which nothing had to be said."""
    return sum(not said for said in results) / len(results)


@pytest.mark.parametrize(("kind", "least"), [("tolerant", 0.1), ("matching", 0.6)])
def test_lists_in_any_dialect_are_whole_or_said_not_to_be(kind: str, least: float) -> None:
    async def check(world: DialectWorld, spoken: SandboxDialect, dialect: Any) -> list[str]:
        return await check_listings(world, spoken, dialect, ["ada" if kind == "matching" else "bob"])

    assert share_right(run(check, kind)) >= least


@pytest.mark.parametrize(("kind", "least"), [("tolerant", 0.02), ("heard", 0.25), ("matching", 0.8)])
def test_brokerage_events_in_any_dialect_are_right_or_said_not_to_be(kind: str, least: float) -> None:
    async def check(world: DialectWorld, spoken: SandboxDialect, dialect: Any) -> list[str]:
        return await check_brokerage(world, spoken, dialect, login=3.0 if kind == "matching" else 0.4)

    assert share_right(run(check, kind)) >= least
