"""The market data stream in every preset of the sandbox, with and without the matching dialect."""

from __future__ import annotations

import asyncio
import logging

import pytest

from connecttrade_async.sandbox.dialect import PRESETS
from dialect_world import CLIENTS, DialectWorld, client_dialect
from market_checks import check_market

# Tolerance alone does not cover these presets: what the client says then, in the server's words where it has any.
NEEDS_A_DIALECT = {
    "no_acks": "no answer while authenticating within 0.3 s; the last frame was",
    "type_not_action": "the server sent error 401: Authenticate first.",
}


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", PRESETS)
def test_market_data_is_right_before_and_after_a_drop(name: str, client: str) -> None:
    async def story() -> list[str]:
        is_needed = client == "tolerant" and name in NEEDS_A_DIALECT
        async with DialectWorld() as world:
            spoken = PRESETS[name]
            dialect = client_dialect(client, spoken, "market_data")
            return await check_market(world, spoken, dialect, login=0.3 if is_needed else 20.0)

    said = asyncio.run(story())
    if client == "tolerant" and name in NEEDS_A_DIALECT:
        assert len(said) == 1
        assert NEEDS_A_DIALECT[name] in said[0]
    else:
        assert said == []
