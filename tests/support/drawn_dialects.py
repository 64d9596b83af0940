"""Distinct dialects of the sandbox, drawn at random, for checks that run many of them at once."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, settings
from msgspec import json
from msgspec.structs import replace

from connecttrade_async.sandbox.dialect.streams import BrokerageRequests, ChannelWords, MarketRequests
from dialects import sandbox_dialects

if TYPE_CHECKING:
    from connecttrade_async.sandbox.dialect import SandboxDialect

__all__ = ["DRAWN", "IS_NIGHTLY", "drawn_dialects", "heard_as_assumed"]

IS_NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
DRAWN = 10_000 if IS_NIGHTLY else 500


class _EnoughError(Exception):
    """Stops the search for examples."""


@lru_cache
def drawn_dialects(count: int = DRAWN) -> tuple[SandboxDialect, ...]:
    """Return that many distinct dialects: the same ones in each run, but for the nightly one."""
    found: dict[bytes, SandboxDialect] = {}

    # An example is often the variation of an earlier one, and equal to it.
    @settings(
        max_examples=4 * count,
        phases=[Phase.generate],
        derandomize=not IS_NIGHTLY,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    @given(spoken=sandbox_dialects())
    def draw(spoken: SandboxDialect) -> None:
        found[json.encode(spoken)] = spoken
        if len(found) >= count:
            raise _EnoughError

    with suppress(_EnoughError):
        draw()
    assert len(found) == count, "too many examples were equal"
    return tuple(found.values())


def heard_as_assumed(spoken: SandboxDialect) -> SandboxDialect:
    """Return a dialect in which the server hears the assumed requests, and answers as in another one.

    Without the right requests no client gets behind the login, so that nothing of the answers is tried.
    """
    welcome = {"type": "welcome", "message": "{message}"}
    brokerage, market = spoken.brokerage, spoken.market_data
    return replace(
        spoken,
        brokerage=replace(
            brokerage,
            requests=BrokerageRequests(),
            messages=replace(brokerage.messages, welcome=brokerage.messages.welcome or welcome),
        ),
        market_data=replace(
            market,
            requests=MarketRequests(),
            messages=replace(market.messages, welcome=market.messages.welcome or welcome),
            channels=ChannelWords(),
            intervals="assumed",
            sessions="lower",
        ),
    )
