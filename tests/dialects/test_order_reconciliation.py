"""An order of which the answer is lost, in every preset of the sandbox: found, or its outcome is said to be unknown."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from connecttrade_async import OrderOutcomeUnknownError, tickets
from connecttrade_async.sandbox import Fault
from connecttrade_async.sandbox.dialect import PRESETS
from dialect_world import CLIENTS, DialectWorld, client_dialect, quick, written_id


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


async def place(world: DialectWorld, name: str, client: str, *, is_cut_off: bool) -> None:
    """Place an order, lose its answer, and compare the outcome with the world."""
    spoken, account_id = PRESETS[name], world.accounts["ada"]
    world.sandbox.clock.hold(datetime.now(UTC))
    if is_cut_off:
        spoken = replace(spoken, rest=replace(spoken.rest, cursors="absent"))
        for _ in range(501):
            world.sandbox.world.add_order(account_id, world.sandbox.clock.advance(0.001), status="filled")
    world.speak(spoken)
    async with world.client(client_dialect(client, spoken), **quick(settle=3.0)) as ct:
        user = world.user(ct, "ada")
        await user.accounts.list()  # the server knows the numbers of ids that it has written
        before = len(world.sandbox.broker.orders(account_id))
        world.sandbox.faults.add(Fault("drop", method="POST", path="/orders", times=1))
        ticket = tickets.limit(
            "MSFT", "BUY", qty=1, price="1.00", account_id=written_id(spoken, account_id), broker="ALPACA"
        )
        try:
            order = await user.orders.place(ticket)
        except OrderOutcomeUnknownError:
            assert is_cut_off, "the order is listed"
        else:
            [placed] = [
                each for each in world.sandbox.broker.orders(account_id) if each.cl_order_id == ticket.cl_order_id
            ]
            assert order.order_id == written_id(spoken, placed.order_id)
            assert order.account_id == written_id(spoken, account_id)
        assert len(world.sandbox.broker.orders(account_id)) == before + 1


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", PRESETS)
def test_order_with_a_lost_answer_is_found_and_never_placed_twice(name: str, client: str) -> None:
    async def story() -> None:
        async with DialectWorld() as world, asyncio.timeout(60):
            await place(world, name, client, is_cut_off=False)

    asyncio.run(story())


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", PRESETS)
def test_order_behind_a_list_that_is_cut_off_is_never_said_not_to_be_placed(name: str, client: str) -> None:
    async def story() -> None:
        async with DialectWorld() as world, asyncio.timeout(60):
            await place(world, name, client, is_cut_off=True)

    asyncio.run(story())
