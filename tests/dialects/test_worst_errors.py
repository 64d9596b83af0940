"""The worst errors, provoked in every preset: money of another user, a book that is not current, a failed read."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from brokerage_checks import payloads
from connecttrade_async import ConnectTradeError
from connecttrade_async.models.events import UnknownMessage
from connecttrade_async.sandbox import Fault
from connecttrade_async.sandbox.dialect import PRESETS
from connecttrade_async.sandbox.faults.stream import StreamFault
from dialect_world import NAMES, DialectWorld, client_dialect, quick, written_id
from live_checks import compared, trade

if TYPE_CHECKING:
    from connecttrade_async import LiveAccounts
    from connecttrade_async.sandbox.dialect import SandboxDialect

FAULTS = ("lose", "duplicate", "unknown", "garble")


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


def strangers(live: LiveAccounts, world: DialectWorld, spoken: SandboxDialect) -> list[Any]:
    """Return the items of books that the accounts of their users never had."""
    found: list[Any] = []
    for name in NAMES:
        book = live.book(written_id(spoken, world.accounts[name]))
        assert book.user_id == name
        found += [symbol for symbol in book.positions if symbol.startswith("STRANGE")]
        found += [order for order in book.orders.values() if (order.symbol or "").startswith("STRANGE")]
        found += [each for each in book.balances.values() if (each.account_number or "").startswith("STRANGE")]
    return found


@pytest.mark.parametrize("name", PRESETS)
def test_frames_with_contradicting_or_missing_owners_reach_no_book(name: str) -> None:
    async def story() -> None:
        async with DialectWorld() as world:
            spoken = world.speak(name)
            ada, bob = (world.accounts[each] for each in NAMES)
            publish = world.sandbox.stream.publish
            async with (
                world.client(client_dialect("matching", spoken)) as ct,
                asyncio.timeout(60),
                ct.live([world.user(ct, each) for each in NAMES], sweep_every=None) as live,
            ):
                changes = live.changes()
                for number, topic in enumerate(("orders", "positions", "balances")):
                    # The user of one account with the other account, in either order.
                    publish(topic, "bob", ada, payloads(topic, ada, f"STRANGE{number}1"))
                    publish(topic, "ada", bob, payloads(topic, bob, f"STRANGE{number}2"))
                    # A user that is not followed, with a followed account; and an unknown account of a known user.
                    publish(topic, "eve", ada, payloads(topic, ada, f"STRANGE{number}3"))
                    # No owner at all.
                    nameless = payloads(topic, "", f"STRANGE{number}4")
                    del nameless["account_id"]
                    publish(topic, "", "", nameless)
                trade(world, "1")
                said = await compared(world, live, spoken, "after odd frames")
                assert strangers(live, world, spoken) == []
                while (change := changes.receive_nowait()) is not None:
                    assert "STRANGE" not in repr(change)
                assert all("is not current" in text for text in said)

    asyncio.run(story())


@pytest.mark.parametrize("name", PRESETS)
def test_frame_with_two_accounts_is_delivered_to_neither(name: str) -> None:
    async def story() -> None:
        async with DialectWorld() as world:
            spoken = world.speak(name)
            events_form = replace(spoken.brokerage.events, user_id="frame", account_id="frame")
            if not spoken.brokerage.events.payload:
                return  # one object has one account
            spoken = world.speak(replace(spoken, brokerage=replace(spoken.brokerage, events=events_form)))
            ada, bob = (world.accounts[each] for each in NAMES)
            async with (
                world.client(client_dialect("matching", spoken)) as ct,
                asyncio.timeout(20),
                ct.brokerage_stream() as stream,
            ):
                events = stream.subscribe()
                for topic in ("orders", "positions", "balances"):
                    world.sandbox.stream.publish(topic, "ada", ada, payloads(topic, bob, "STRANGE"))
                received = [await events.receive() for _ in range(3)]
                assert [type(each) for each in received] == [UnknownMessage] * 3, received

    asyncio.run(story())


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", PRESETS)
def test_a_book_over_frames_that_suffer_equals_the_world_or_is_not_current(name: str, fault: Any) -> None:
    async def story() -> None:
        async with DialectWorld() as world:
            spoken = world.speak(name)
            async with world.client(client_dialect("matching", spoken)) as ct, asyncio.timeout(60):
                # A frame that is lost on an open connection is found by the sweep alone.
                sweep = 0.05 if fault == "lose" else None
                async with ct.live([world.user(ct, each) for each in NAMES], sweep_every=sweep) as live:
                    for after in range(4):
                        world.sandbox.stream.faults.add(StreamFault(fault, after=after))
                    trade(world, "1")
                    await compared(world, live, spoken, f"after {fault}")

    asyncio.run(story())


@pytest.mark.parametrize("name", PRESETS)
def test_a_subscription_that_is_held_in_part_is_never_taken_for_whole(name: str) -> None:
    async def story() -> None:
        async with DialectWorld() as world:
            spoken = PRESETS[name]
            said = replace(spoken.brokerage.messages, acknowledges="first")
            world.speak(replace(spoken, brokerage=replace(spoken.brokerage, messages=said)))
            async with world.client(client_dialect("tolerant", spoken), **quick(0.3)) as ct, asyncio.timeout(20):
                with pytest.raises(ConnectTradeError) as caught:
                    await ct.brokerage_stream().open()
            if name not in {"no_acks", "type_not_action"}:
                assert "not confirmed: positions, balances" in str(caught.value)

    asyncio.run(story())


@pytest.mark.parametrize("path", ["/positions", "/balances", "/orders"])
@pytest.mark.parametrize("name", PRESETS)
def test_a_failed_read_is_never_an_empty_account(name: str, path: str) -> None:
    async def story() -> None:
        async with DialectWorld() as world:
            spoken = world.speak(name)
            world.sandbox.faults.add(Fault("status", method="GET", path=path, times=100))
            async with world.client(client_dialect("matching", spoken), **quick(20.0)) as ct, asyncio.timeout(60):
                user = world.user(ct, "ada")
                with pytest.raises(ConnectTradeError):
                    await getattr(user, path[1:]).list()
                live = ct.live([user], sweep_every=None, snapshot_timeout=1.0)
                async with live:
                    assert live.failed
                    assert not any(book.is_current for book in live.books())

    asyncio.run(story())


@pytest.mark.parametrize("name", PRESETS)
def test_a_book_over_a_list_that_may_be_cut_off_is_not_current(name: str) -> None:
    async def story() -> None:
        async with DialectWorld() as world:
            spoken = PRESETS[name]
            for _ in range(500):
                world.sandbox.world.add_order(
                    world.accounts["ada"], world.sandbox.clock.advance(0.001), status="working"
                )
            spoken = world.speak(replace(spoken, rest=replace(spoken.rest, cursors="absent")))
            async with (
                world.client(client_dialect("matching", spoken), **quick(20.0)) as ct,
                asyncio.timeout(60),
                ct.live([world.user(ct, "ada")], sweep_every=None, snapshot_timeout=1.0) as live,
            ):
                with suppress(TimeoutError):
                    await live.wait(lambda live: any(book.is_current for book in live.books()), timeout=0.2)
                assert not any(book.is_current for book in live.books())

    asyncio.run(story())
