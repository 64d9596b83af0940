from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.client import connect

from connecttrade_async.streaming.link import LARGEST_FRAME, MANY, Link, LinkLostError
from onstream import PATIENCE, end_that, nothing_left

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from websockets.asyncio.server import ServerConnection


async def dialled(url: str, *, ping: float = 20.0, close_timeout: float = 0.2) -> Link:
    return await Link.dial(url, open_timeout=0.2, close_timeout=close_timeout, ping=ping)


async def echo(link: ServerConnection) -> None:
    async for message in link:
        await link.send(message)


async def until_closed(link: ServerConnection) -> None:
    await link.wait_closed()


async def lost(link: Link) -> LinkLostError:
    """Listen until the link is gone."""
    with pytest.raises(LinkLostError) as caught:
        await heard(link)
    await link.aclose()
    return caught.value


async def heard(link: Link) -> None:
    async with asyncio.timeout(PATIENCE):
        with link.speaking():
            while await link.receive():
                pass


async def test_what_is_sent_arrives_as_text_and_comes_back_as_bytes() -> None:
    kinds: list[type] = []

    async def note(link: ServerConnection) -> None:
        async for message in link:
            kinds.append(type(message))
            await link.send(message)

    async with nothing_left(), end_that(note) as url:
        link = await dialled(url)
        with link.speaking():
            await link.send(b'{"a": "\xc3\xa9"}')
            assert await link.receive() == [b'{"a": "\xc3\xa9"}']
        await link.aclose()
        await link.aclose()
    assert kinds == [str]


async def test_cancelling_a_receive_loses_no_frame() -> None:
    async with nothing_left(), end_that(echo) as url:
        link = await dialled(url)
        with link.speaking():
            waiting = asyncio.ensure_future(link.receive())
            await asyncio.sleep(0)
            await link.send(b"1")
            waiting.cancel()
            await asyncio.wait([waiting])
            assert await link.receive() == [b"1"]
        await link.aclose()


async def count(link: Link, wanted: int) -> list[bytes]:
    """Take so many frames."""
    frames: list[bytes] = []
    async with asyncio.timeout(PATIENCE):
        with link.speaking():
            while len(frames) < wanted:
                frames += await link.receive()
    return frames


async def send_in_pieces(link: ServerConnection) -> None:
    for number in range(3):
        await link.send(f"before {number}")
    await link.send(["in ", "three ", "pieces"])
    await link.send([b"and ", b"again"])
    await link.send(b"bytes")
    await link.send("after")
    await link.wait_closed()


async def test_messages_in_pieces_keep_their_place_among_whole_ones() -> None:
    async with nothing_left(), end_that(send_in_pieces) as url:
        link = await dialled(url)
        assert await count(link, 7) == [
            *(b"before 0", b"before 1", b"before 2"),
            *(b"in three pieces", b"and again", b"bytes", b"after"),
        ]
        await link.aclose()


async def test_cancelling_in_the_middle_of_a_message_in_pieces_loses_none() -> None:
    go_on = asyncio.Event()

    async def pieces() -> AsyncIterator[str]:
        yield "one "
        await asyncio.wait_for(go_on.wait(), PATIENCE)
        yield "two"

    async def send(link: ServerConnection) -> None:
        await link.send(pieces())
        await link.send("after")
        await link.wait_closed()

    async with nothing_left(), end_that(send) as url:
        link = await dialled(url)
        with link.speaking():
            waiting = asyncio.ensure_future(link.receive())
            await asyncio.wait([waiting], timeout=0.05)
            assert not waiting.done()
            waiting.cancel()
            await asyncio.wait([waiting])
            go_on.set()
        assert await count(link, 2) == [b"one two", b"after"]
        await link.aclose()


async def test_a_peer_is_held_back_while_nobody_takes_what_it_sends() -> None:
    total = MANY * 4
    asked, sent = asyncio.Event(), asyncio.Event()

    async def send(link: ServerConnection) -> None:
        await asyncio.wait_for(asked.wait(), PATIENCE)
        for number in range(total):
            await link.send(str(number))
        sent.set()
        await link.wait_closed()

    async with nothing_left(), end_that(send) as url:
        link = await dialled(url)
        transport = link._socket.transport
        asked.set()
        async with asyncio.timeout(PATIENCE):
            await sent.wait()
            while transport.is_reading():  # noqa: ASYNC110 - a transport tells nobody that it was paused
                await asyncio.sleep(0)
        assert await count(link, total) == [str(number).encode() for number in range(total)]
        assert transport.is_reading()
        await link.aclose()


async def test_it_does_without_its_own_way_of_gathering() -> None:
    async with nothing_left(), end_that(send_in_pieces) as url:
        link = Link(await connect(url, compression=None), 0.2)
        assert (await count(link, 7))[3:] == [b"in three pieces", b"and again", b"bytes", b"after"]
        await link.aclose()


async def test_it_offers_no_compression_and_sends_no_secret_in_its_upgrade() -> None:
    seen: dict[str, str] = {}

    async def note(link: ServerConnection) -> None:
        assert link.request is not None
        seen.update(link.request.headers.raw_items())

    async with nothing_left(), end_that(note, compression="deflate") as url:
        await lost(await dialled(url))
    assert "Sec-WebSocket-Extensions" not in seen
    assert seen["Upgrade"] == "websocket"


@pytest.mark.parametrize(
    ("code", "reason", "cause"),
    [
        (1000, "", "the server closed the link with code 1000"),
        (4401, "who?", "the server closed the link with code 4401 (who?)"),
    ],
)
async def test_a_close_tells_its_code(code: int, reason: str, cause: str) -> None:
    async def close(link: ServerConnection) -> None:
        await link.close(code, reason)

    async with nothing_left(), end_that(close) as url:
        error = await lost(await dialled(url))
    assert (error.cause, error.code, error.status, error.retry_after) == (cause, code, None, None)
    assert str(error) == cause


async def test_a_drop_has_no_code() -> None:
    async def cut(link: ServerConnection) -> None:
        link.transport.abort()

    async with nothing_left(), end_that(cut) as url:
        error = await lost(await dialled(url))
    assert (error.cause, error.code) == ("the link was dropped", None)


async def test_a_frame_that_is_too_large_is_refused_and_the_largest_is_not() -> None:
    async def send(link: ServerConnection) -> None:
        await link.send("x" * LARGEST_FRAME)
        await link.send("x" * (LARGEST_FRAME + 1))
        await link.wait_closed()

    async with nothing_left(), end_that(send) as url:
        link = await dialled(url)
        with link.speaking():
            (frame,) = await link.receive()
            assert len(frame) == LARGEST_FRAME
        error = await lost(link)
    assert "1009" in error.cause
    assert error.code is None  # it was ours


async def test_a_send_on_a_link_that_is_gone_says_so() -> None:
    async def close(link: ServerConnection) -> None:
        await link.close(1001)

    async with nothing_left(), end_that(close) as url:
        link = await dialled(url)
        await lost(link)
        with pytest.raises(LinkLostError) as caught, link.speaking():
            await link.send(b"?")
    assert caught.value.code == 1001


async def test_pings_that_are_not_answered_end_the_link() -> None:
    async def freeze(link: ServerConnection) -> None:
        link.transport.pause_reading()
        await asyncio.wait_for(thawed.wait(), PATIENCE)
        link.transport.abort()

    thawed = asyncio.Event()
    async with nothing_left(), end_that(freeze) as url:
        error = await lost(await dialled(url, ping=0.03))
        thawed.set()
    assert "the link was given up with code 1011" in error.cause


async def test_an_upgrade_that_is_never_answered_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with nothing_left():
            with pytest.raises(LinkLostError, match="no connection in time"):
                await dialled("ws://{}:{}".format(*listener.getsockname()))


@pytest.mark.parametrize("turns", range(12))
async def test_cancelling_a_dial_leaves_nothing_open(turns: int) -> None:
    async with nothing_left(), end_that(until_closed) as url:
        dialling = asyncio.create_task(dialled(url))
        for _ in range(turns):
            await asyncio.sleep(0)
        dialling.cancel()
        await asyncio.wait([dialling])
        if not dialling.cancelled():
            await dialling.result().aclose()


async def test_closing_takes_no_longer_than_it_may_though_the_peer_reads_nothing() -> None:
    async def freeze(link: ServerConnection) -> None:
        link.transport.pause_reading()
        await asyncio.wait_for(thawed.wait(), PATIENCE)
        link.transport.abort()

    thawed = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with nothing_left(), end_that(freeze) as url:
        link = await dialled(url, close_timeout=0.1)
        sending = asyncio.create_task(flood(link))
        done, _ = await asyncio.wait([sending], timeout=0.05)
        assert not done
        began = loop.time()
        await link.aclose()
        assert loop.time() - began < 0.3
        await asyncio.wait([sending])
        assert isinstance(sending.exception(), LinkLostError)
        thawed.set()


async def flood(link: Link) -> None:
    """Send until nothing more goes through."""
    with link.speaking():
        while True:
            await link.send(b"x" * (1 << 20))


async def test_cancelling_a_close_drops_the_link_at_once() -> None:
    async def freeze(link: ServerConnection) -> None:
        link.transport.pause_reading()
        await asyncio.wait_for(thawed.wait(), PATIENCE)
        link.transport.abort()

    thawed = asyncio.Event()
    async with nothing_left(), end_that(freeze) as url:
        link = await dialled(url, close_timeout=30.0)
        closing = asyncio.create_task(link.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        thawed.set()
        await lost(link)
