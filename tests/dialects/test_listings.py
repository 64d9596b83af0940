"""Lists over REST in every preset of the sandbox: all rows, or an error or a warning; never short in silence."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from connecttrade_async import IncompleteListError
from connecttrade_async.sandbox.dialect import PRESETS, RestForms, SandboxDialect
from dialect_world import CLIENTS, NAMES, DialectWorld, client_dialect, quick
from listing_checks import check_listings
from manual_clock import BEGIN

EARLIER = BEGIN - timedelta(days=1)
CUT_OFF = SandboxDialect(rest=RestForms(cursors="absent"))


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", PRESETS)
def test_lists_in_a_preset_are_read_whole_by_either_client(name: str, client: str) -> None:
    async def story() -> None:
        async with DialectWorld() as world:
            assert await check_listings(world, PRESETS[name], client_dialect(client, PRESETS[name])) == []
            assert all(world.assumed[user, noun] for user in NAMES for noun in ("orders", "positions", "transactions"))

    asyncio.run(story())


@pytest.mark.parametrize("name", PRESETS)
def test_pages_without_a_cursor_are_said_to_be_cut_off_in_every_preset(name: str) -> None:
    spoken = PRESETS[name]
    cut_off = replace(spoken, rest=replace(spoken.rest, cursors="absent"))

    async def story() -> None:
        async with DialectWorld() as world:
            said = await check_listings(world, cut_off, client_dialect("tolerant", spoken))
            assert said == ["orders: may be cut off"] * len(NAMES)

    asyncio.run(story())


@pytest.mark.parametrize("client", CLIENTS)
def test_an_order_behind_a_missing_cursor_is_never_said_to_be_absent(client: str) -> None:
    async def story() -> None:
        async with DialectWorld() as world:
            account_id = world.accounts["ada"]
            for _ in range(60):  # more than a page without a limit
                world.sandbox.world.add_order(account_id, world.sandbox.clock.advance(0.001), status="filled")
            world.speak(CUT_OFF)
            async with world.client(client_dialect(client, CUT_OFF), **quick()) as ct:
                user = world.user(ct, "ada")
                listing = user.orders.list(status="all", limit=50)
                assert len([order async for order in listing]) == 50
                assert listing.may_be_cut_off
                # The world has 65 orders, and a page of 500 is not full.
                assert await user.orders.find("mine", since=EARLIER) is None
                for _ in range(450):
                    world.sandbox.world.add_order(account_id, world.sandbox.clock.advance(0.001), status="filled")
                with pytest.raises(IncompleteListError):
                    await user.orders.find("mine", since=EARLIER)

    asyncio.run(story())
