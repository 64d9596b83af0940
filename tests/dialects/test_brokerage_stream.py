"""The brokerage stream in every preset of the sandbox, with and without the matching dialect."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from msgspec.structs import replace

from brokerage_checks import check_brokerage, drained, publish_all
from connecttrade_async import (
    AuthenticationRefusedError,
    ConnectTradeError,
    SessionTakenError,
)
from connecttrade_async.models.events import UnknownMessage
from connecttrade_async.sandbox.dialect import PRESETS
from dialect_world import CLIENTS, PATIENT, DialectWorld, client_dialect, quick
from stream_fixtures import until

# Tolerance alone does not cover these presets: what the client says then, in the server's words where it has any.
NEEDS_A_DIALECT = {
    "no_acks": "no answer while authenticating within 0.3 s; the last frame was",
    "type_not_action": "the server sent error 401: Authenticate first.",
}
BEATS = 5


class Never:
    """The class of no event."""


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", PRESETS)
def test_events_of_all_topics_are_right_before_and_after_a_drop(name: str, client: str) -> None:
    async def story() -> list[str]:
        is_needed = client == "tolerant" and name in NEEDS_A_DIALECT
        async with DialectWorld() as world:
            spoken = PRESETS[name]
            return await check_brokerage(
                world, spoken, client_dialect(client, spoken), login=0.3 if is_needed else 20.0
            )

    said = asyncio.run(story())
    if client == "tolerant" and name in NEEDS_A_DIALECT:
        assert len(said) == 1
        assert NEEDS_A_DIALECT[name] in said[0]
    else:
        assert said == []


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", PRESETS)
def test_a_wrong_secret_is_refused_in_the_words_of_the_server(name: str, client: str) -> None:
    async def story() -> None:
        async with DialectWorld() as world:
            spoken = world.speak(name)
            # An assumed login is refused late: after the assumption, as after any other.
            dialect = client_dialect(client, spoken, login_after=5.0)
            async with world.client(dialect, "another", timeouts=replace(PATIENT, login=3.0)) as ct:
                stream = ct.brokerage_stream()
                async with asyncio.timeout(20):
                    with pytest.raises(AuthenticationRefusedError) as caught:
                        await stream.open()
            words = "Authenticate first." if client == "tolerant" and name == "type_not_action" else "client_secret"
            assert words in str(caught.value)

    asyncio.run(story())


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", sorted(PRESETS.keys() - NEEDS_A_DIALECT.keys()))
def test_a_second_session_of_the_same_client_is_said_to_have_taken_the_first(name: str, client: str) -> None:
    async def story() -> None:
        async with DialectWorld() as world:
            dialect = client_dialect(client, world.speak(name))
            async with (
                world.client(dialect) as one,
                world.client(dialect) as other,
                asyncio.timeout(20),
                one.brokerage_stream() as first,
            ):
                events = first.subscribe()
                async with other.brokerage_stream():
                    with pytest.raises(SessionTakenError):
                        await until(events, Never)

    asyncio.run(story())


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", sorted(PRESETS.keys() - NEEDS_A_DIALECT.keys()))
def test_an_addressed_error_is_delivered_and_ends_nothing(name: str, client: str) -> None:
    async def story() -> None:
        async with DialectWorld() as world:
            spoken = world.speak(name)
            async with (
                world.client(client_dialect(client, spoken)) as ct,
                asyncio.timeout(20),
                ct.brokerage_stream() as stream,
            ):
                events = stream.subscribe()
                world.sandbox.stream.publish_error(
                    "the feed of this account is late", user_id="ada", account_id=world.accounts["ada"], topic="orders"
                )
                received: list[Any] = []
                published = publish_all(world, "1")
                await drained(events, published, received)
                [error] = [each for each in received if isinstance(each, UnknownMessage)]
                assert "the feed of this account is late" in error.problem
                assert len(received) == 1 + len(published)
                assert stream.health().state == "LIVE"

    asyncio.run(story())


@pytest.mark.parametrize("name", PRESETS)
def test_heartbeats_are_no_news_and_cost_no_request(name: str) -> None:
    async def story() -> None:
        async with DialectWorld() as world:
            spoken = world.speak(name)
            beat = spoken.brokerage.heartbeat
            faster = replace(spoken.brokerage, heartbeat=replace(beat, frame=beat.frame or {}, every=0.01))
            world.speak(replace(spoken, brokerage=faster))
            async with (
                world.client(client_dialect("matching", world.sandbox.dialect)) as ct,
                asyncio.timeout(20),
                ct.brokerage_stream() as stream,
                ct.live([world.user(ct, "ada"), world.user(ct, "bob")], stream, sweep_every=None) as live,
            ):
                before = live.statistics().snapshots, world.sandbox.requests.total
                for _ in range(BEATS):
                    last = stream.health().last_message
                    while stream.health().last_message == last:  # noqa: ASYNC110 - a heartbeat is no event
                        await asyncio.sleep(0.001)
                assert live.is_current
                assert (live.statistics().snapshots, world.sandbox.requests.total) == before

    asyncio.run(story())


@pytest.mark.parametrize("name", PRESETS)
def test_a_login_without_an_answer_ends_within_its_deadline(name: str) -> None:
    async def story() -> None:
        async with DialectWorld() as world:
            spoken = world.speak(name)
            silent = replace(spoken.brokerage.messages, authenticated=None, subscribed=None)
            world.speak(replace(spoken, brokerage=replace(spoken.brokerage, messages=silent)))
            async with world.client(**quick(0.2)) as ct:
                stream = ct.brokerage_stream()
                async with asyncio.timeout(20):
                    with pytest.raises(ConnectTradeError, match=r"within 0\.2 s; the last frame was|Authenticate"):
                        await stream.open()
                assert stream.health().state == "ENDED"

    asyncio.run(story())
