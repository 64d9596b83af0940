"""How a stream goes on after each way in which a connection can end, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings, strategies as st

from connecttrade_async import (
    AuthenticationRefusedError,
    ConfigurationError,
    ConnectTrade,
    Endpoints,
    HandshakeError,
    Limits,
    SessionTakenError,
    Timeouts,
    TransportError,
)
from connecttrade_async.models.events import (
    Gap,
    OrderUpdate,
    PositionUpdate,
    StreamLive,
    StreamRetrying,
    UnknownMessage,
)
from connecttrade_async.streaming.connection import HELD_BYTES
from manual_clock import SteppedClock
from proxy import Proxy
from scripted_server import trusted
from stream_fixtures import PATIENCE, PRETEND, client_at, end_that, nothing_left, until, waiting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from websockets.asyncio.server import ServerConnection

    Act = Callable[[ServerConnection], Awaitable[None]]

TOPICS = ["orders", "positions", "balances"]


async def log_in(link: ServerConnection) -> None:
    """Serve the handshake of the contract."""
    await link.send('{"type": "welcome"}')
    await link.recv()
    await link.send('{"type": "authenticated"}')
    await link.recv()
    await link.send(json.dumps({"type": "subscribed", "topics": TOPICS}))


def scripted(*acts: Act) -> tuple[Act, list[int]]:
    """Return a server that serves its acts in order, the last one for ever, and the list of its connections."""
    left, links = list(acts), list[int]()

    async def serve(link: ServerConnection) -> None:
        links.append(len(links))
        act = left.pop(0) if len(left) > 1 else left[0]
        with contextlib.suppress(Exception):
            await act(link)

    return serve, links


def closing(code: int, reason: str = "", *, live: bool) -> Act:
    async def act(link: ServerConnection) -> None:
        if live:
            await log_in(link)
        else:
            await link.send('{"type": "welcome"}')
            await link.recv()
        await link.close(code, reason)

    return act


async def stay(link: ServerConnection) -> None:
    await log_in(link)
    await link.wait_closed()


async def drop(link: ServerConnection) -> None:
    await log_in(link)
    link.transport.abort()


def saying(*frames: dict[str, Any] | bytes | str) -> Act:
    async def act(link: ServerConnection) -> None:
        await log_in(link)
        for frame in frames:
            if isinstance(frame, bytes):
                link.protocol.send_text(frame)
                link.send_data()
            else:
                await link.send(json.dumps(frame) if isinstance(frame, dict) else frame)
        await link.wait_closed()

    return act


def order(number: int, **fields: Any) -> dict[str, Any]:
    return {"type": "order", "user_id": "u", "account_id": "a", "data": {"order_id": f"o{number}"}, **fields}


@pytest.mark.parametrize(("code", "reason"), [(1008, "policy"), (4000, ""), (1000, "unknown client")])
async def test_first_login_refused_by_a_close_ends_the_stream(code: int, reason: str) -> None:
    serve, links = scripted(closing(code, reason, live=False))
    async with nothing_left(), end_that(serve) as url, client_at(url) as ct:
        with pytest.raises(AuthenticationRefusedError, match=str(code)):
            await ct.brokerage_stream().__aenter__()
    assert len(links) == 1


@pytest.mark.parametrize(("code", "reason"), [(1008, ""), (4000, "who?")])
async def test_live_stream_ends_after_three_logins_refused_by_a_close(code: int, reason: str) -> None:
    serve, links = scripted(drop, closing(code, reason, live=False))
    async with nothing_left(), end_that(serve) as url, client_at(url) as ct, ct.brokerage_stream() as stream:
        with pytest.raises(AuthenticationRefusedError, match=str(code)):
            await until(stream.subscribe("orders"), OrderUpdate)
    assert len(links) == 4


async def test_live_connection_resets_the_count_of_refused_logins() -> None:
    refuse = closing(1008, live=False)
    serve, links = scripted(drop, refuse, refuse, drop, refuse, refuse, stay)
    async with nothing_left(), end_that(serve) as url, client_at(url) as ct, ct.brokerage_stream() as stream:
        events = stream.subscribe("lifecycle")
        for _ in range(2):
            await until(events, Gap)
        await until(events, StreamLive)
        assert stream.health().state == "LIVE"
    assert len(links) == 7


async def test_three_early_closes_without_reason_raise_session_taken_error() -> None:
    serve, links = scripted(closing(1000, live=True))
    async with nothing_left(), end_that(serve) as url, client_at(url) as ct, ct.brokerage_stream() as stream:
        with pytest.raises(SessionTakenError, match="as it does for another session"):
            await until(stream.subscribe("orders"), OrderUpdate)
    assert len(links) == 3


async def test_close_for_another_session_raises_session_taken_error_at_once() -> None:
    serve, links = scripted(closing(1000, "Replaced by a newer session", live=True))
    async with nothing_left(), end_that(serve) as url, client_at(url) as ct, ct.brokerage_stream() as stream:
        with pytest.raises(SessionTakenError, match="Replaced"):
            await until(stream.subscribe("orders"), OrderUpdate)
    assert len(links) == 1


async def test_two_streams_displaced_with_1000_stop_displacing_each_other() -> None:
    holder: list[ServerConnection] = []

    async def one_session(link: ServerConnection) -> None:
        with contextlib.suppress(Exception):
            await log_in(link)
            if holder:
                await holder.pop().close(1000)
            holder.append(link)
            await link.wait_closed()

    async with (
        end_that(one_session) as url,
        client_at(url) as ct,
        client_at(url) as other,
        ct.brokerage_stream() as stream,
        other.brokerage_stream() as second,
    ):
        events = [stream.subscribe("orders"), second.subscribe("orders")]
        waits = [asyncio.create_task(until(each, OrderUpdate)) for each in events]
        done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE)
        assert [type(task.exception()) for task in done] == [SessionTakenError]
        assert "ENDED" in {stream.health().state, second.health().state}
        for task in pending:
            task.cancel()
        await asyncio.wait(waits)


async def test_standby_stream_waits_after_closes_for_another_session() -> None:
    serve, _ = scripted(*[closing(1000, live=True)] * 3, stay)
    async with (
        nothing_left(),
        end_that(serve) as url,
        client_at(url) as ct,
        ct.brokerage_stream(on_taken="standby") as stream,
    ):
        events = stream.subscribe("lifecycle")
        for _ in range(3):
            await until(events, Gap)
        assert stream.health().state == "LIVE"


async def test_late_closes_without_reason_are_followed_by_reconnects() -> None:
    clock, close = SteppedClock(), asyncio.Event()

    async def long_lived(link: ServerConnection) -> None:
        await log_in(link)
        await close.wait()
        close.clear()
        await link.close(1000)

    serve, links = scripted(long_lived)
    async with end_that(serve) as url, client_at(url, clock=clock) as ct, ct.brokerage_stream() as stream:
        events = stream.subscribe("lifecycle")
        for _ in range(5):
            clock.advance(61)
            close.set()
            delay = (await until(events, StreamRetrying)).delay
            clock.advance(delay)
            await until(events, StreamLive)
        close.set()
    assert len(links) == 6


async def test_error_of_one_account_is_published_and_keeps_the_stream_live() -> None:
    refusal = {"type": "error", "code": "403", "message": f"{PRETEND} may not", "account_id": "a7"}
    serve, links = scripted(saying(order(1), refusal, order(2)))
    async with nothing_left(), end_that(serve) as url, client_at(url) as ct:
        stream = ct.brokerage_stream()
        events = stream.subscribe()
        async with stream:
            event = await until(events, UnknownMessage)
            assert event.problem == "the server sent error 403 for account_id a7: *** may not"
            assert (await until(events, OrderUpdate)).order.order_id == "o2"
            assert stream.health().set_aside == stream.health().messages["unknown"] == 1
    assert len(links) == 1


async def test_update_with_account_in_payload_reaches_filtered_subscriptions() -> None:
    data = {"account_id": "a", "user_id": "ann", "symbol": "AAPL", "quantity": "1"}
    serve, _ = scripted(saying({"type": "position", "data": data}, {"type": "position", **data, "account_id": "b"}))
    async with nothing_left(), end_that(serve) as url, client_at(url) as ct:
        stream = ct.brokerage_stream()
        filtered = [stream.subscribe(account_id="a"), stream.subscribe(account_id="b"), stream.subscribe(user_id="ann")]
        latest = stream.subscribe("positions")
        async with stream:
            for events, account_id in zip(filtered, ["a", "b", "a"], strict=True):
                assert (await until(events, PositionUpdate)).account_id == account_id
            assert [(await until(latest, PositionUpdate)).account_id for _ in range(2)] == ["a", "b"]


FRAMES = st.one_of(
    st.binary(max_size=60),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "data", "user_id", "account_id", "order_id", "code", "topics", "symbol", "event"]
                ),
                inner | st.sampled_from(["order", "position", "balance", "error", "welcome", "authenticated", "500"]),
                max_size=5,
            )
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
    st.sampled_from([b"[" * 5000, b"9" * 5000, b'{"type": "order", "data": ' + b"[" * 5000, b'{"type": "\xff"}']),
)


@given(frames=st.lists(FRAMES, max_size=20))
@settings(deadline=None, max_examples=25)
async def test_random_frames_do_not_end_the_stream(frames: list[bytes]) -> None:
    serve, links = scripted(saying(*frames, order(7, user_id="sentinel")))
    async with nothing_left(), end_that(serve) as url, client_at(url) as ct:
        stream = ct.brokerage_stream()
        events = stream.subscribe("orders", user_id="sentinel")
        async with stream:
            update = await until(events, OrderUpdate)
            assert update.given == {"order_id"}
    assert len(links) == 1


async def test_subscription_ended_by_the_server_reconnects_with_a_gap() -> None:
    serve, links = scripted(saying({"type": "unsubscribed", "topics": ["balances"]}), saying(order(1)))
    async with nothing_left(), end_that(serve) as url, client_at(url) as ct:
        stream = ct.brokerage_stream()
        events = stream.subscribe()
        async with stream:
            assert (await until(events, Gap)).cause == "the server ended the subscription of balances"
            assert (await until(events, OrderUpdate)).order.order_id == "o1"
    assert len(links) == 2


async def test_login_timeout_error_names_the_unconfirmed_topics() -> None:
    async def forget(link: ServerConnection) -> None:
        await link.send('{"type": "welcome"}')
        await link.recv()
        await link.send('{"type": "authenticated"}')
        await link.recv()
        await link.send('{"type": "subscribed", "topics": ["orders", "positions"]}')
        await link.wait_closed()

    clock = SteppedClock()
    serve, _ = scripted(forget)
    async with nothing_left(), end_that(serve) as url, client_at(url, clock=clock) as ct:
        stream = ct.brokerage_stream()
        entering = asyncio.create_task(stream.__aenter__())
        async with asyncio.timeout(PATIENCE):
            while not entering.done():
                await asyncio.sleep(0.01)
                clock.advance(0.5)
        with pytest.raises(HandshakeError, match="not confirmed: balances"):
            await entering


async def test_stream_that_ends_with_an_error_logs_it_once(caplog: pytest.LogCaptureFixture) -> None:
    serve, _ = scripted(drop, closing(1008, live=False))
    async with nothing_left(), end_that(serve) as url, client_at(url) as ct, ct.brokerage_stream() as stream:
        with pytest.raises(AuthenticationRefusedError) as caught:
            await until(stream.subscribe("orders"), OrderUpdate)
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.getMessage() == f"stream ended: {caught.value}"
    facts = record.__dict__
    assert (facts["url"], facts["error"], facts["kind"]) == (url, str(caught.value), "AuthenticationRefusedError")


async def test_stream_closed_by_its_owner_logs_no_error(caplog: pytest.LogCaptureFixture) -> None:
    serve, _ = scripted(stay)
    async with nothing_left(), end_that(serve) as url:
        async with client_at(url) as ct, ct.brokerage_stream():
            pass
        async with client_at(url) as ct:
            await ct.brokerage_stream().__aenter__()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_repeated_oversized_frames_end_the_stream_and_name_the_setting() -> None:
    serve, links = scripted(saying("x" * ((1 << 22) + 1)))
    async with nothing_left(), end_that(serve) as url, client_at(url) as ct, ct.brokerage_stream() as stream:
        with pytest.raises(TransportError, match=r"raise Limits\.frame_bytes") as caught:
            await until(stream.subscribe("orders"), OrderUpdate)
        assert caught.value.kind == "too-large"
    assert len(links) == 5


async def test_single_oversized_frame_reconnects_with_a_gap() -> None:
    serve, links = scripted(saying("x" * ((1 << 22) + 1)), saying(order(1)))
    async with nothing_left(), end_that(serve) as url, client_at(url) as ct:
        stream = ct.brokerage_stream()
        events = stream.subscribe()
        async with stream:
            assert "1009" in (await until(events, Gap)).cause
            assert (await until(events, OrderUpdate)).order.order_id == "o1"
    assert len(links) == 2


async def test_streams_use_tls_context_and_proxy_of_the_client() -> None:
    server_side, client_side = trusted()
    serve, _ = scripted(stay)

    async def source() -> str:
        return "token"

    async with end_that(serve, ssl=server_side) as url, Proxy() as proxy:
        address = url.replace("ws:", "wss:")
        ends = Endpoints(stream=address, market_data=address)
        async with ConnectTrade("client", PRETEND, endpoints=ends, ssl=client_side, proxy=proxy.url) as ct:
            async with ct.brokerage_stream() as stream:
                assert (stream.health().state, stream.health().fast_path) == ("LIVE", True)
            async with ct.user("ada", "hush").market_data("c1", token_source=source) as md:
                assert (md.health().state, md.health().fast_path) == ("LIVE", True)
    assert proxy.asked == [f"CONNECT {url.removeprefix('ws://')} HTTP/1.1"] * 2


@pytest.mark.parametrize("frame_bytes", [1, 65_535, True, "big"])
def test_limits_reject_an_invalid_frame_size(frame_bytes: Any) -> None:
    with pytest.raises(ConfigurationError, match="frame_bytes"):
        Limits(frame_bytes=frame_bytes)


async def test_streams_use_the_frame_size_of_the_client_limits() -> None:
    serve, links = scripted(saying("x" * 65_537), stay)
    limits = Limits(frame_bytes=65_536)
    async with nothing_left(), end_that(serve) as url, client_at(url, limits=limits) as ct:
        stream = ct.brokerage_stream()
        events = stream.subscribe()
        async with stream:
            assert "1009" in (await until(events, Gap)).cause
    assert len(links) == 2


async def test_events_before_live_are_held_within_a_bound() -> None:
    size, total = 1 << 20, 40
    is_flooded = asyncio.Event()

    async def flood(link: ServerConnection) -> None:
        for number in range(total):
            await link.send(json.dumps(order(number, padding="x" * size)))
        is_flooded.set()
        await stay(link)

    serve, _ = scripted(drop, flood)
    async with nothing_left(), end_that(serve) as url, client_at(url) as ct:
        stream = ct.brokerage_stream()
        events = stream.subscribe("orders")
        async with stream:
            await until(events, Gap)
            held = [event.order.order_id for event in waiting(events) if isinstance(event, OrderUpdate)]
    assert is_flooded.is_set()
    assert held == [f"o{number}" for number in range(total - len(held), total)]
    assert 0 < len(held) * size <= HELD_BYTES


def test_timeouts_accept_a_ping_interval_or_none() -> None:
    assert Timeouts(ping=None).ping is None
    with pytest.raises(ConfigurationError, match="ping"):
        Timeouts(ping=0)


async def test_updates_of_every_topic_replace_a_missing_confirmation() -> None:
    async def unconfirmed(link: ServerConnection) -> None:
        await link.send('{"type": "welcome"}')
        await link.recv()
        await link.send('{"type": "authenticated"}')
        await link.recv()
        for kind in ("order", "position", "balance"):
            data = {"account_id": "a", "symbol": "AAPL", "order_id": "o1"}
            await link.send(json.dumps({"type": kind, "user_id": "u", "account_id": "a", "data": data}))
        await link.wait_closed()

    serve, links = scripted(unconfirmed, stay)
    async with nothing_left(), end_that(serve) as url, client_at(url) as ct:
        stream = ct.brokerage_stream()
        events = stream.subscribe()
        async with stream:
            assert [event.topic for event in waiting(events) if not isinstance(event, Gap)] == TOPICS
    assert len(links) == 1
