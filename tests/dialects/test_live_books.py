"""Live books in every preset of the sandbox: a book that says that it is current equals the world."""

from __future__ import annotations

import asyncio
import logging

import pytest
from msgspec.structs import replace

from connecttrade_async.sandbox.dialect import PRESETS
from dialect_world import CLIENTS, DialectWorld, client_dialect
from live_checks import check_live

# Tolerance alone does not cover these presets.
NEEDS_A_DIALECT = {"no_acks", "type_not_action"}
# Names that no rule leads back to the wire contract. The client has no dialect that knows them.
RENAMED = (
    *({"quantity": "qty"}, {"cash": "money"}, {"filled_qty": "cum_qty"}, {"status": "state"}, {"fills": "executions"}),
    *({"symbol": "ticker"}, {"order_id": "ref"}, {"currency": "unit"}, {"average_price": "avg", "quantity": "size"}),
)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", PRESETS)
def test_books_equal_the_world_after_trades_and_after_a_drop(name: str, client: str) -> None:
    async def story() -> list[str]:
        is_needed = client == "tolerant" and name in NEEDS_A_DIALECT
        async with DialectWorld() as world:
            spoken = PRESETS[name]
            return await check_live(world, spoken, client_dialect(client, spoken), login=0.3 if is_needed else 20.0)

    said = asyncio.run(story())
    assert bool(said) == (client == "tolerant" and name in NEEDS_A_DIALECT), said


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("names", RENAMED, ids="+".join)
def test_a_book_is_not_current_over_a_name_that_is_not_known(names: dict[str, str], client: str) -> None:
    async def story() -> None:
        async with DialectWorld() as world:
            assumed = PRESETS["assumed"]
            events = replace(assumed.brokerage.events, names=names)
            spoken = replace(assumed, brokerage=replace(assumed.brokerage, events=events))
            await check_live(world, spoken, client_dialect(client, spoken), login=20.0)

    asyncio.run(story())
