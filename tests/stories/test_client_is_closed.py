"""The client is closed before what was opened of it: nothing that is open may look as if it were alive."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import pytest

from connecttrade_async import ClosedError, ConnectTrade, StreamEnded, Timeouts
from connecttrade_async.sandbox import Sandbox
from connecttrade_async.sandbox.faults.stream import StreamFault
from live_fixtures import newcomer, nothing_of_ours_left
from manual_clock import SteppedClock
from market_data_server import MarketEnd
from stream_fixtures import PATIENCE, client, nothing_left, until

if TYPE_CHECKING:
    from connecttrade_async import BrokerageStream, LiveAccounts, User

CLOSED = "this client is closed"


def opened_of(ct: ConnectTrade, user: User, what: str) -> BrokerageStream | LiveAccounts:
    return ct.live([user]) if what == "live" else ct.brokerage_stream()


@pytest.mark.parametrize("what", ["stream", "live"])
@pytest.mark.parametrize("is_view", [False, True], ids=["client", "view"])
async def test_nothing_is_opened_of_a_closed_client(what: str, is_view: bool) -> None:  # noqa: FBT001 - a parameter
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, _ = newcomer(sandbox, ct)
        of = ct.with_options(timeouts=Timeouts(call=9)) if is_view else ct
        opened = opened_of(of, user, what)
        await of.aclose()
        for late in (opened, opened_of(of, user, what)):
            with pytest.raises(ClosedError, match=CLOSED):
                await late.__aenter__()
        assert sandbox.stream.log.total == 0
        if is_view:
            async with opened_of(ct, user, what):
                pass


async def test_market_data_is_not_opened_of_a_closed_view_and_takes_nobodys_place() -> None:
    async with MarketEnd() as end, end.client() as ct, nothing_left():
        view = ct.with_options(timeouts=Timeouts(call=9))

        async def source() -> str:
            return "token"

        late = view.user("ada", "hush").market_data("c1", token_source=source)
        await view.aclose()
        with pytest.raises(ClosedError, match=CLOSED):
            await late.__aenter__()
        async with ct.user("ada", "hush").market_data("c1", token_source=source) as md, md.quotes("A") as quotes:
            happenings = md.subscribe("lifecycle")
            await ct.aclose()
            assert md.health().state == "ENDED"
            with pytest.raises(ClosedError, match=CLOSED):
                await quotes.receive()
            with pytest.raises(ClosedError, match=CLOSED):
                await md.history("A")
            assert CLOSED in (await until(happenings, StreamEnded)).error


async def test_a_subscription_of_a_stream_that_is_never_opened_raises_closed_error_with_the_client() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, _ = newcomer(sandbox, ct)
        stream, live = ct.brokerage_stream(), ct.live([user])
        events, changes = stream.subscribe(), live.changes()
        await ct.aclose()
        for opened in (stream, live):
            with pytest.raises(ClosedError):
                await opened.__aenter__()
        for consumer in (events, changes):
            with pytest.raises(ClosedError, match=CLOSED):
                await asyncio.wait_for(consumer.receive(), PATIENCE)


async def test_a_stream_that_is_open_ends_and_says_why() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        async with ct.brokerage_stream() as stream:
            happenings, events = stream.subscribe("lifecycle"), stream.subscribe("orders")
            iterating = asyncio.create_task(anext(events, None))
            await asyncio.sleep(0)
            await ct.aclose()
            assert stream.health().state == "ENDED"
            assert stream.health().live_since is None
            assert CLOSED in (await until(happenings, StreamEnded)).error
            assert await asyncio.wait_for(iterating, PATIENCE) is None
            with pytest.raises(ClosedError, match=CLOSED):
                await events.receive()
            with pytest.raises(ClosedError, match=CLOSED):
                stream.subscribe()
        assert stream.health().state == "ENDED"


async def test_entering_a_stream_raises_closed_error_when_the_client_closes() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left():
        sandbox.stream.faults.add(StreamFault("no_login"))
        entering = asyncio.create_task(ct.brokerage_stream().__aenter__())
        await sandbox.stream.until_received("authenticate")
        await ct.aclose()
        with pytest.raises(ClosedError, match=CLOSED):
            await asyncio.wait_for(entering, PATIENCE)


@pytest.mark.parametrize("is_borrowed", [False, True], ids=["own", "borrowed"])
async def test_books_are_not_current_any_more(is_borrowed: bool) -> None:  # noqa: FBT001 - a parameter
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, account = newcomer(sandbox, ct)
        view = ct.with_options(timeouts=Timeouts(call=9))
        async with contextlib.AsyncExitStack() as stack:
            lent = await stack.enter_async_context(ct.brokerage_stream()) if is_borrowed else None
            live = await stack.enter_async_context(view.live([user], lent))
            changes = live.changes()
            assert live.health().state == "CURRENT"
            await view.aclose()
            assert not live.is_current
            assert not live.book(account).is_current
            assert live.health().state == "ENDED"
            assert [change async for change in changes] == []
            for refused in (live.add(user), live.wait(lambda _: False)):
                with pytest.raises(ClosedError, match=CLOSED):
                    await refused
            if lent is not None:  # it is the client's, and goes on
                assert lent.health().state == "LIVE"


async def test_a_user_of_another_client_that_is_closed_is_not_current() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, _ = newcomer(sandbox, ct)
        view = ct.with_options(timeouts=Timeouts(call=9))
        theirs = view.user("ada", sandbox.world.users["ada"].secret)
        await view.aclose()
        async with ct.live([theirs]) as live:
            assert isinstance(live.failed["ada"], ClosedError)
            assert not live.is_current
            assert live.health().state == "RESYNCING"
            await live.add(user)
            assert live.health().state == "CURRENT"


async def test_what_ended_before_is_not_watched_any_more() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, _ = newcomer(sandbox, ct)
        async with ct.live([user]) as live:
            pass
        with pytest.raises(ClosedError, match="this set of live accounts"):
            await live.add(user)
        await ct.aclose()
        with pytest.raises(ClosedError, match="this set of live accounts"):
            await live.add(user)


@pytest.mark.parametrize("ending", ["never entered", "entered", "closed", "consumers leave"])
async def test_a_stream_that_is_never_entered_is_reported_once(ending: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    clock = SteppedClock()
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox, clock=clock) as ct, nothing_of_ours_left():
        stream = ct.brokerage_stream()
        events, orders = stream.subscribe(), stream.subscribe("orders")
        if ending == "entered":
            await stream.__aenter__()
        elif ending == "closed":
            await stream.aclose()
        elif ending == "consumers leave":
            for consumer in (events, orders):
                await consumer.__aexit__(None, None, None)
        clock.advance(9.9)
        assert caplog.messages == []
        clock.advance(1000.0)
        warnings = [message for message in caplog.messages if "never entered" in message]
        assert len(warnings) == (ending == "never entered")
        await stream.aclose()


def test_a_stream_is_subscribed_to_before_any_loop_runs() -> None:
    ct = ConnectTrade("client", "pretend-secret")
    assert ct.brokerage_stream().subscribe().statistics().waiting == 0
