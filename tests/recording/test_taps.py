"""Taps: they see each exchange and each frame once, and nothing changes where there is none."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async import ConnectError, ConnectTrade, Endpoints, Gap, Retry, TransportError
from connecttrade_async.recording.taps import TapPoint
from connecttrade_async.sandbox import Sandbox, StreamFault
from market_data_fixtures import linked
from scripted_server import ScriptedEnd, answer, drop, silence
from stream_fixtures import client, publish, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connecttrade_async.recording.taps import StreamName
    from connecttrade_async.rest.wire import Request, Response


class Observer:
    """A tap that keeps what it observes."""

    def __init__(self) -> None:
        self.lines: list[tuple[Any, ...]] = []
        self.closes: list[tuple[StreamName, int, str]] = []

    def began(self) -> float:
        return 1.0

    def exchanged(self, began: float, request: Request, response: Response | None, error: BaseException | None) -> None:
        self.lines.append((began, request.path, response.body if response else None, error))

    def opened(self, stream: StreamName) -> SocketObserver:
        return SocketObserver(stream, self)

    def refused(self, stream: StreamName, reason: str) -> None:
        self.lines.append((stream, "refused", reason))


class SocketObserver:
    """The part of an ``Observer`` for one WebSocket."""

    def __init__(self, stream: StreamName, observer: Observer) -> None:
        self.stream: StreamName = stream
        self.observer = observer

    def received(self, frames: Sequence[bytes]) -> None:
        self.observer.lines.extend((self.stream, "in", frame) for frame in frames)

    def sent(self, frame: bytes) -> None:
        self.observer.lines.append((self.stream, "out", frame))

    def closed(self, code: int, reason: str) -> None:
        self.observer.closes.append((self.stream, code, reason))


def attached(ct: ConnectTrade) -> Observer:
    observer = Observer()
    ct._sender.transport.tap_point.tap = observer
    return observer


def test_a_point_without_a_tap_returns_no_observer_and_reports_nothing() -> None:
    point = TapPoint().of_stream("brokerage")
    assert point.opened() is None
    point.refused("no")


async def test_a_refused_upgrade_is_passed_to_the_tap() -> None:
    async with Sandbox(seed=7) as sandbox, client(sandbox) as ct:
        observer = attached(ct)
        sandbox.stream.faults.add(StreamFault("refuse_upgrade", status=503))
        with pytest.raises(ConnectError, match="503"):
            await ct.brokerage_stream().open()
    assert observer.lines == [("brokerage", "refused", "the WebSocket upgrade was refused with HTTP status 503")]


async def test_transport_passes_each_attempt_and_its_failure_to_the_tap() -> None:
    async with ScriptedEnd(drop, answer(503, b"no"), answer(200, b"[]")) as end:
        retry = Retry(attempts=3, base=0.001)
        async with ConnectTrade("client", "secret", endpoints=Endpoints(end.url), retry=retry) as ct:
            observer = attached(ct)
            assert await ct.users.list() == []
    first, second, third = observer.lines
    assert first[:3] == (1.0, "/users", None)
    assert isinstance(first[3], TransportError)
    assert (second, third) == ((1.0, "/users", b"no", None), (1.0, "/users", b"[]", None))


async def test_transport_passes_a_cancelled_request_to_the_tap() -> None:
    async with ScriptedEnd(silence) as end, ConnectTrade("client", "secret", endpoints=Endpoints(end.url)) as ct:
        observer = attached(ct)
        call = asyncio.create_task(ct.users.list())
        await end.until_seen(1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    [(_, path, body, error)] = observer.lines
    assert (path, body) == ("/users", None)
    assert isinstance(error, asyncio.CancelledError)


async def test_websocket_passes_frames_of_both_directions_and_each_close_to_the_tap() -> None:
    async with Sandbox(seed=7) as sandbox, client(sandbox) as ct:
        observer = attached(ct)
        async with ct.brokerage_stream() as stream, stream.subscribe("orders", "lifecycle") as events:
            publish(sandbox, 1)
            assert (await until(events, object)) is not None
            sandbox.stream.drop()
            await until(events, Gap)
            publish(sandbox, 2)
            while not any(b'"o2"' in line[2] for line in observer.lines):
                await events.receive()
    stories = [(way, frame[:30]) for _, way, frame in observer.lines]
    assert [way for way, _ in stories[:5]] == ["in", "out", "in", "out", "in"]
    assert b"authenticate" in stories[1][1]
    assert [line[2].count(b"o1") + line[2].count(b"o2") for line in observer.lines].count(1) == 2
    codes = [code for _, code, _ in observer.closes]
    assert codes[0] == 1001
    assert codes[-1] == 1000


async def test_market_data_is_observed_under_its_own_name() -> None:
    async with Sandbox(seed=7) as sandbox, client(sandbox) as ct:
        user, connection_id = await linked(sandbox, ct)
        observer = attached(ct)
        async with user.market_data(connection_id) as md:
            await md.list_subscriptions()
    assert {line[0] for line in observer.lines if isinstance(line[0], str)} == {"market_data"}
    assert {stream for stream, _, _ in observer.closes} == {"market_data"}
