"""Probe a stream: log in, in another form where one is not understood, subscribe, and listen."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from connecttrade_async.dialect.templates import encode_template
from connecttrade_async.doctor.attempts import (
    Attempt,
    LoginReply,
    attempts_for,
    classify_login,
    configured_attempt,
    decode_frame,
)
from connecttrade_async.doctor.stream_findings import StreamProbe, part_of
from connecttrade_async.models.mentions import mentions_in
from connecttrade_async.secret import Secret, redact
from connecttrade_async.streaming.signs import message_of, signs_of
from connecttrade_async.streaming.websocket import ConnectionLostError, WebSocket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from connecttrade_async.dialect.templates import Template
    from connecttrade_async.dialect.value import Dialect
    from connecttrade_async.recording.taps import StreamName
    from connecttrade_async.streaming.websocket import ConnectOptions

__all__ = ["ProbeOptions", "probe_stream"]

STOPPED = "the credentials were refused, so no other form was tried: check them first"


class ProbeOptions(NamedTuple):
    """The address and the times of a probe.

    Attributes:
        stream: the name of the stream.
        url: the address of the stream.
        dialing: TLS context, proxy, largest frame and tap.
        values: the values of the placeholders in the templates, without those of what is subscribed to.
        wanted: the values of the placeholders of each subscription.
        listen: seconds to listen for.
        wait: seconds to wait for each reply.
        pause: seconds between two connections.
        connect: seconds to connect within.
    """

    stream: StreamName
    url: str
    dialing: ConnectOptions
    values: Mapping[str, str | Secret]
    wanted: Sequence[Mapping[str, object]]
    listen: float
    wait: float = 5.0
    pause: float = 1.0
    connect: float = 15.0


class _ClosedError(Exception):
    """The connection ended, for a reason."""


class _Conversation:
    """One connection, read frame by frame."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._frames: asyncio.Queue[bytes | str] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read(), name="connecttrade doctor reads")

    async def _read(self) -> None:
        reason = "the connection ended"
        try:
            with self._websocket.errors_translated():
                await self._websocket.receive_into(self._take)
        except ConnectionLostError as exc:
            reason = exc.cause
        self._frames.put_nowait(reason)

    def _take(self, frames: list[bytes]) -> bool:
        for frame in frames:
            self._frames.put_nowait(frame)
        return False

    async def send(self, frame: bytes) -> None:
        """Send a frame; a connection that is lost is seen by ``receive``."""
        with suppress(ConnectionLostError), self._websocket.errors_translated():
            await self._websocket.send(frame)

    async def receive(self, seconds: float) -> bytes | None:
        """Return the next frame, or None where none comes in time.

        Raises:
            _ClosedError: the connection ended.
        """
        try:
            async with asyncio.timeout(seconds):
                found = await self._frames.get()
        except TimeoutError:
            return None
        if isinstance(found, str):
            raise _ClosedError(found)
        return found

    async def aclose(self) -> None:
        """Close the connection."""
        self._reading.cancel()
        await asyncio.wait([self._reading])
        await self._websocket.aclose()


async def probe_stream(options: ProbeOptions, dialect: Dialect) -> StreamProbe:
    """Probe the stream.

    Where a login gets no reply or its form is refused, the next form is tried on a new connection, at most ten in all.
    A refusal of the credentials ends the probe. Where no form is accepted, the first that got no reply is used.

    Args:
        options: the address and the times.
        dialect: the configured dialect.

    Raises:
        ConnectionLostError: the stream cannot be reached.

    Cancelling closes the connection.
    """
    part = part_of(dialect, options.stream)
    configured = configured_attempt(part)
    silent: Attempt | None = None
    welcome: bytes | None = None
    refusal = ""
    for attempt in attempts_for(configured):
        if attempt is not configured:
            await asyncio.sleep(options.pause)
        probe = StreamProbe(options.stream, is_configured=attempt is configured)
        async with _connected(options) as conversation:
            reply = await _log_in(conversation, attempt, probe, options, dialect)
            if reply is LoginReply.ACCEPTED:
                probe.attempt = attempt
                await _listen(conversation, probe, options, dialect)
                return probe
        welcome, refusal = probe.welcome, refusal or probe.refusal
        if reply is LoginReply.SECRET_REFUSED:
            # In another form the server may have looked in vain for credentials that it found in one without a reply.
            refusal = f"{probe.refusal}; {STOPPED}"
            break
        if reply is LoginReply.UNCLEAR and silent is None:
            silent = attempt
    if silent is None:
        return StreamProbe(options.stream, welcome=welcome, refusal=refusal)
    await asyncio.sleep(options.pause)
    probe = StreamProbe(options.stream, silent, is_configured=silent is configured)
    async with _connected(options) as conversation:
        await _log_in(conversation, silent, probe, options, dialect)
        await _listen(conversation, probe, options, dialect)
    return probe


@asynccontextmanager
async def _connected(options: ProbeOptions) -> AsyncGenerator[_Conversation]:
    websocket = await WebSocket.connect(
        options.url, open_timeout=options.connect, close_timeout=1.0, ping=20.0, dialing=options.dialing
    )
    conversation = _Conversation(websocket)
    try:
        yield conversation
    finally:
        await conversation.aclose()


async def _log_in(
    conversation: _Conversation, attempt: Attempt, probe: StreamProbe, options: ProbeOptions, dialect: Dialect
) -> LoginReply:
    """Wait for the welcome, send the login, and return what the reply says; UNCLEAR where none comes."""
    try:
        probe.welcome = await conversation.receive(options.wait)
        await conversation.send(_encode(attempt.authenticate, options, {}))
        while (raw := await conversation.receive(options.wait)) is not None:
            frame = decode_frame(raw)
            reply = classify_login(frame, dialect.errors)
            if reply is LoginReply.ACCEPTED:
                probe.login = raw
            elif reply is not LoginReply.UNCLEAR:
                probe.refusal = _words(frame, options)
            if reply is not LoginReply.UNCLEAR:
                return reply
    except _ClosedError as exc:
        probe.refusal = _words(str(exc), options)
        reply = classify_login(str(exc), dialect.errors)
        return LoginReply.OTHER_FORM if reply in {LoginReply.UNCLEAR, LoginReply.ACCEPTED} else reply
    return LoginReply.UNCLEAR


async def _listen(conversation: _Conversation, probe: StreamProbe, options: ProbeOptions, dialect: Dialect) -> None:
    """Subscribe to all topics, and collect the frames until the time is up or the connection ends."""
    assert probe.attempt is not None  # noqa: S101 - set by the caller
    loop = asyncio.get_running_loop()
    for wanted in options.wanted:
        await conversation.send(_encode(probe.attempt.subscribe, options, wanted))
    end = loop.time() + options.listen
    try:
        while (left := end - loop.time()) > 0:
            raw = await conversation.receive(left)
            if raw is None:
                return
            signs = signs_of(decode_frame(raw), dialect.errors)
            # A heartbeat or an update may come before the reply.
            is_reply = probe.subscription is None and not probe.refusal and not mentions_in(raw).is_update
            if is_reply and signs.confirms_subscription:
                probe.subscription = raw
            elif is_reply and signs.refuses:
                probe.refusal = _words(decode_frame(raw), options)
            else:
                probe.frames.append(raw)
    except _ClosedError as exc:
        probe.refusal = _words(str(exc), options)


def _encode(template: Template, options: ProbeOptions, wanted: Mapping[str, object]) -> bytes:
    """Encode a frame. The clear text of a secret is in no value that outlives this call."""
    shown = {
        name: str.__str__(value.reveal()) if isinstance(value, Secret) else value
        for name, value in {**options.values, **wanted}.items()
    }
    return encode_template(template, shown)


def _words(frame: object, options: ProbeOptions) -> str:
    """Return the server's words without the secrets that it may echo."""
    text = message_of(frame) or str(frame)
    return redact(text, (value for value in options.values.values() if isinstance(value, Secret)))
