"""A canary secret, sent to servers that echo it in every possible way, appears in no output."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import logging
import pickle
import traceback
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from connecttrade_async import ConnectTradeError, Timeouts
from connecttrade_async.config import Reconnect
from connecttrade_async.sandbox import Sandbox
from connecttrade_async.streaming.websocket import ConnectionLostError, WebSocket
from error_frames import captured
from stream_fixtures import PATIENCE, client, client_at, end_that, nothing_left, waiting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

    from connecttrade_async.streaming.brokerage_stream import BrokerageStream

# Module level, so that no frame of a test holds it as a local variable.
CANARY = "canary-stream-secret-0123456789"
LOGIN = json.dumps({"action": "authenticate", "client_id": "client", "client_secret": CANARY})
TOLD: list[str] = []


async def climb(link: ServerConnection, *, rungs: int = 3) -> None:
    """Say what makes a link live, or a part of it."""
    for word in ("welcome", "authenticated", "subscribed")[:rungs]:
        await link.send(json.dumps({"type": word}))
        if word != "subscribed":
            TOLD.append(str(await link.recv()))


async def refuses_and_echoes(link: ServerConnection) -> None:
    await climb(link, rungs=1)
    await link.send(json.dumps({"type": "error", "code": "401", "message": f"no such login: {LOGIN}"}))
    await link.close(4401)


async def echoes_in_a_close(link: ServerConnection) -> None:
    await climb(link, rungs=1)
    await link.close(4401, f"unknown: {CANARY}")


async def says_taken_and_echoes(link: ServerConnection) -> None:
    await climb(link)
    await link.send(json.dumps({"type": "error", "code": 409, "message": f"client_secret={CANARY} is in use"}))
    await link.wait_closed()


async def echoes_what_it_was_sent(link: ServerConnection) -> None:
    await climb(link)
    for odd in (LOGIN, CANARY, json.dumps({"type": CANARY}), json.dumps({"type": "order", "data": [CANARY]})):
        await link.send(odd)
    await link.send("x" * 4080 + CANARY)
    await link.close(1011, f"cannot read {CANARY}")


async def is_cut(link: ServerConnection) -> None:
    await climb(link, rungs=2)
    link.transport.abort()


async def is_cut_when_live(link: ServerConnection) -> None:
    await climb(link)
    link.transport.abort()


async def never_answers(link: ServerConnection) -> None:
    await climb(link, rungs=1)
    await link.wait_closed()


async def says_too_much(link: ServerConnection) -> None:
    await climb(link, rungs=2)
    await link.send(CANARY * 200_000)


SERVERS: dict[str, Callable[[ServerConnection], Awaitable[None]]] = {
    "refuses and echoes": refuses_and_echoes,
    "echoes in a close": echoes_in_a_close,
    "says taken and echoes": says_taken_and_echoes,
    "echoes what it was sent": echoes_what_it_was_sent,
    "is cut": is_cut,
    "is cut when live": is_cut_when_live,
    "never answers": never_answers,
    "says too much": says_too_much,
}


def forms_of(thing: Any) -> str:
    """Everything that a program prints, logs or stores of a thing without meaning to show what is in it."""
    forms = [repr(thing), str(thing), f"{[thing]!r}", repr(copy.copy(thing))]
    if not isinstance(thing, BaseException):
        return "\n".join(forms)
    report = traceback.TracebackException.from_exception(thing, capture_locals=True)
    return "\n".join([*forms, "".join(report.format()), captured(thing), repr(pickle.dumps(thing))])


def no_canary_in(text: str) -> None:
    for part in (CANARY, CANARY[:16], CANARY[-12:]):
        assert part not in text, text[max(0, text.index(part) - 400) : text.index(part) + 80]


def no_canary_anywhere(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    """Search everything that was logged or written."""
    gc.collect()
    no_canary_in("\n".join(f"{record.getMessage()} {record.__dict__!r}" for record in caplog.records))
    captured = capfd.readouterr()
    no_canary_in(captured.out + captured.err)


async def ended(stream: BrokerageStream) -> list[object]:
    """Use a stream until it ends; returns all that came out of it."""
    events = [stream.subscribe(), stream.subscribe("lifecycle")]
    came: list[object] = [stream]
    try:
        async with asyncio.timeout(PATIENCE), stream:
            while True:
                await events[0].receive()
    except ConnectTradeError as exc:
        came.append(exc)
    for one in events:
        came += waiting(one)
        try:
            await one.receive()
        except ConnectTradeError as exc:
            came.append(exc)
    no_canary_in(msgspec.json.encode(stream.health()).decode())
    return [*came, *events, stream.health()]


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
async def test_errors_logs_and_events_contain_no_secret(
    server: Callable[[ServerConnection], Awaitable[None]],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name in ("", "websockets", "websockets.client", "asyncio", "connecttrade_async"):
        caplog.set_level(logging.DEBUG, name)
    TOLD.clear()
    settings: dict[str, Any] = {
        "timeouts": Timeouts(login=0.1, close=0.2),
        "reconnect": Reconnect(base=0.001, cap=0.002, attempts=2),
    }
    async with nothing_left(), end_that(server) as url, client_at(url, CANARY, **settings) as ct:
        for thing in [ct, *await ended(ct.brokerage_stream()), *await ended(ct.brokerage_stream(on_taken="retake"))]:
            no_canary_in(forms_of(thing))
    assert any(CANARY in frame for frame in TOLD)  # it was really sent
    assert all(frame.count(CANARY) <= 1 for frame in TOLD)
    no_canary_anywhere(caplog, capfd)


@pytest.mark.parametrize("turns", [1, 5, 10, 15, 20, 30])
async def test_cancelling_at_any_moment_shows_no_secret(
    turns: int,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    async with nothing_left(), end_that(never_answers) as url, client_at(url, CANARY) as ct:
        entering = asyncio.create_task(ct.brokerage_stream().__aenter__())
        for _ in range(turns):
            await asyncio.sleep(0)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await entering
        no_canary_in(forms_of(caught.value))
    no_canary_anywhere(caplog, capfd)


async def test_refused_upgrade_that_echoes_the_secret_shows_none(
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)

    def refuse(link: ServerConnection, request: Request) -> Response:
        del request
        response = link.respond(503, f"no: {CANARY}")
        response.headers["Retry-After"] = CANARY
        return response

    async with (
        nothing_left(),
        end_that(never_answers, process_request=refuse) as url,
        client_at(url, CANARY) as ct,
    ):
        for thing in await ended(ct.brokerage_stream()):
            no_canary_in(forms_of(thing))
    no_canary_anywhere(caplog, capfd)


async def test_websocket_logs_no_frame_and_shows_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "connecttrade_async.streaming.websocket")
    async with nothing_left(), end_that(is_cut_when_live) as url:
        link = await WebSocket.connect(url, open_timeout=1.0, close_timeout=0.1, ping=20.0)
        with pytest.raises(ConnectionLostError) as caught, link.errors_translated():  # noqa: PT012 - a conversation is several words
            for _ in range(2):
                await link.receive_into(bool)
                await link.send(LOGIN.encode())
            while True:
                await link.receive_into(bool)
        await link.aclose()
    no_canary_in(repr(caught.value))
    no_canary_in("\n".join(f"{record.getMessage()} {record.__dict__!r}" for record in caplog.records))


async def test_stream_against_the_sandbox_shows_no_secret(
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    async with (
        Sandbox(seed=1, client_secret=CANARY) as sandbox,
        client(sandbox) as ct,
        nothing_left(),
        ct.brokerage_stream() as stream,
    ):
        sandbox.stream.reset()
        await sandbox.stream.until_live(2)
        sandbox.stream.displace()
        for thing in await told_to_the_end(stream):
            no_canary_in(forms_of(thing))
    no_canary_anywhere(caplog, capfd)


async def told_to_the_end(stream: BrokerageStream) -> list[object]:
    """Take what comes until the stream has ended, and the error."""
    events = stream.subscribe("orders", "lifecycle", "unknown")
    came: list[object] = [stream]
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                came.append(await events.receive())
    except ConnectTradeError as exc:
        return [*came, exc]
