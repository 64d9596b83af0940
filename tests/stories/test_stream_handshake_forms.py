"""Handshakes in forms of which no list exists, over real sockets: accepted, refused in the server's words, or said."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from connecttrade_async import HandshakeError, Timeouts
from connecttrade_async.errors import AuthenticationRefusedError
from connecttrade_async.models.events import OrderUpdate, StreamLost
from stream_fixtures import PRETEND, client_at, end_that, nothing_left, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from websockets.asyncio.server import ServerConnection

WELCOME = {"type": "welcome"}
ACCEPTED = {"type": "authenticated"}
CONFIRMED = {"type": "subscribed"}
SOON = Timeouts(login=0.3, close=0.5)
WELCOMES: list[Any] = ["220 ready", "<html>", {"T": "success", "msg": "connected"}, [{"hello": 1}], {}, 7, None]
DRAWN = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# Without vowels, so that no word says yes or no, and none ends as the name of an id does.
PROSE = st.text("bcfghjklmnpqrstvwxz", min_size=3, max_size=8)


@st.composite
def acceptances(draw: st.DrawFn) -> Any:
    """Frames that accept a login."""
    name = draw(PROSE)
    frames: list[Any] = [
        {name: "auth", "status": draw(st.sampled_from(["ok", "SUCCESS"]))},
        {name: draw(st.sampled_from(["authenticated", "auth_ok", "AuthSuccess"]))},
        {name: {"success": True}},
        [{"type": "response", "ok": True, "data": {name: 1}}],
    ]
    return draw(st.sampled_from(frames))


@st.composite
def refusals(draw: st.DrawFn, words: str) -> Any:
    """Frames that refuse a login with these words."""
    name = draw(PROSE)
    frames: list[Any] = [
        {name: "auth", "status": "failed", "message": words},
        {"type": name, "error": {"code": 401, "message": words}},
        {"success": False, "reason": words, name: 1},
        {"errors": [{"detail": words, name: 1}]},
        f"rejected: {words} {name}",
        [{"T": "error", "code": 402, "msg": words, "data": name}],
    ]
    return draw(st.sampled_from(frames))


def an_order(number: int = 1) -> dict[str, Any]:
    return {"type": "order", "user_id": "u", "account_id": "a", "data": {"order_id": f"o{number}"}}


async def send_frame(link: ServerConnection, frame: Any) -> None:
    await link.send(frame if isinstance(frame, str) else json.dumps(frame))


def server(*frames: Any, then: Callable[[ServerConnection], Awaitable[None]] | None = None) -> Any:
    """Send the first frame at once and each further one in reply to one request, then do the rest."""

    async def handle(link: ServerConnection) -> None:
        await send_frame(link, frames[0])
        for frame in frames[1:]:
            await link.recv()
            await send_frame(link, frame)
        if then is not None:
            await then(link)
        await link.wait_closed()

    return handle


@pytest.mark.parametrize("welcome", WELCOMES, ids=range(len(WELCOMES)))
async def test_first_frame_of_any_form_is_answered_with_the_login(welcome: Any) -> None:
    async with (
        nothing_left(),
        end_that(server(welcome, ACCEPTED, CONFIRMED)) as url,
        client_at(url) as ct,
        ct.brokerage_stream() as stream,
    ):
        assert stream.health().state == "LIVE"


async def test_server_without_a_first_frame_is_said_at_the_deadline() -> None:
    async def stay_silent(link: ServerConnection) -> None:
        await link.wait_closed()

    async with nothing_left(), end_that(stay_silent) as url, client_at(url, timeouts=SOON) as ct:
        with pytest.raises(HandshakeError, match=r"no answer while welcoming within 0\.3 s; no frame was received"):
            await ct.brokerage_stream().__aenter__()


@DRAWN
@given(frame=acceptances())
async def test_drawn_words_of_acceptance_are_followed_by_the_subscription(frame: Any) -> None:
    async with (
        end_that(server(WELCOME, frame, CONFIRMED)) as url,
        client_at(url) as ct,
        ct.brokerage_stream() as stream,
    ):
        assert stream.health().state == "LIVE"


@DRAWN
@given(frame=refusals("unknown key K-17"))
async def test_drawn_refusal_is_raised_in_the_words_of_the_server(frame: Any) -> None:
    async with end_that(server(WELCOME, frame)) as url, client_at(url) as ct:
        with pytest.raises(AuthenticationRefusedError, match="unknown key K-17"):
            await ct.brokerage_stream().__aenter__()


@pytest.mark.parametrize("code", [1000, 1008, 1011, 4000, 4401])
async def test_close_with_a_reason_refuses_the_login_in_its_words(code: int) -> None:
    async def refuse(link: ServerConnection) -> None:
        await link.recv()
        await link.close(code, "invalid key K-17")

    async with nothing_left(), end_that(server(WELCOME, then=refuse)) as url, client_at(url) as ct:
        with pytest.raises(AuthenticationRefusedError, match="invalid key K-17"):
            await ct.brokerage_stream().__aenter__()


async def test_third_refusal_in_a_row_on_a_reconnect_ends_the_stream(caplog: pytest.LogCaptureFixture) -> None:
    connections = 0

    async def handle(link: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:
            await server(WELCOME, ACCEPTED, CONFIRMED, then=drop)(link)
        else:
            await server(WELCOME, {"event": "auth", "status": "failed", "message": "unknown key K-17"})(link)

    async def drop(link: ServerConnection) -> None:
        await link.close(1001)

    async with nothing_left(), end_that(handle) as url, client_at(url) as ct:
        stream = ct.brokerage_stream()
        with caplog.at_level(logging.ERROR, "connecttrade_async"):
            await stream.__aenter__()
            with pytest.raises(AuthenticationRefusedError, match="unknown key K-17"):
                await until(stream.subscribe("orders"), OrderUpdate)
        await stream.aclose()
    assert connections == 4
    [record] = [each for each in caplog.records if "stream ended" in each.message]
    assert "unknown key K-17" in record.message


async def test_topic_without_a_confirmation_is_named_at_the_deadline() -> None:
    partial = {"event": "subscription_succeeded", "channels": ["ORDERS", "position"]}
    async with (
        nothing_left(),
        end_that(server(WELCOME, ACCEPTED, partial)) as url,
        client_at(url, timeouts=SOON) as ct,
    ):
        with pytest.raises(HandshakeError, match="not confirmed: balances; the last frame was") as caught:
            await ct.brokerage_stream().__aenter__()
    assert "subscription_succeeded" in str(caught.value)


async def test_partial_confirmations_and_an_update_confirm_all_topics_together() -> None:
    async def confirm(link: ServerConnection) -> None:
        await send_frame(link, {"T": "subscription", "positions": ["*"]})
        await send_frame(link, an_order())
        await send_frame(link, an_order(2))

    first = {"type": "subscribed", "topics": ["balances"]}
    async with nothing_left(), end_that(server(WELCOME, ACCEPTED, first, then=confirm)) as url, client_at(url) as ct:
        stream = ct.brokerage_stream()
        events = stream.subscribe("orders")
        async with stream:
            assert stream.health().state == "LIVE"
            # The update that confirms its topic is published too.
            assert [(await until(events, OrderUpdate)).order.order_id for _ in range(2)] == ["o1", "o2"]


@pytest.mark.parametrize("frame", [{"type": "unsubscribed", "topics": ["orders"]}, {"ev": "unsubscribe_orders"}])
async def test_unsubscribed_that_was_not_requested_is_a_lost_subscription(frame: Any) -> None:
    connections = 0

    async def end_subscription(link: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:
            await link.send(json.dumps(frame))
        else:
            await send_frame(link, an_order())

    async with (
        nothing_left(),
        end_that(server(WELCOME, ACCEPTED, CONFIRMED, then=end_subscription)) as url,
        client_at(url) as ct,
    ):
        stream = ct.brokerage_stream()
        events = stream.subscribe("orders", "lifecycle")
        async with stream:
            assert "ended the subscription" in (await until(events, StreamLost)).cause
            assert (await until(events, OrderUpdate)).order.order_id == "o1"
    assert connections == 2


async def test_deadline_quotes_the_last_frame_with_the_secret_masked() -> None:
    async def echo(link: ServerConnection) -> None:
        login = json.loads(await link.recv())
        await send_frame(link, {"type": "notice", "message": "pending K-17", "received": login})
        await send_frame(link, {})

    async with (
        nothing_left(),
        end_that(server(WELCOME, then=echo)) as url,
        client_at(url, timeouts=SOON) as ct,
    ):
        with pytest.raises(HandshakeError, match="no answer while authenticating") as caught:
            await ct.brokerage_stream().__aenter__()
    assert "pending K-17" in str(caught.value)
    assert PRETEND not in str(caught.value)
    assert PRETEND not in repr(caught.value)


@pytest.mark.parametrize("frame", ["", "{}", "null", " ", "[]", '""'])
async def test_empty_frame_on_a_live_connection_is_a_heartbeat(frame: str) -> None:
    async def beat(link: ServerConnection) -> None:
        for _ in range(3):
            await link.send(frame)
        await send_frame(link, an_order())

    async with nothing_left(), end_that(server(WELCOME, ACCEPTED, CONFIRMED, then=beat)) as url, client_at(url) as ct:
        stream = ct.brokerage_stream()
        events = stream.subscribe("orders", "unknown")
        async with stream:
            await until(events, OrderUpdate)
            assert stream.health().set_aside == 0
