from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from hypothesis import example, given, settings, strategies as st
from yarl import URL

from connecttrade_async import ConnectError, ConnectTrade, Endpoints, TransportError
from connecttrade_async.config import DialOptions
from connecttrade_async.rest.transport import RequestTimeout, Transport
from connecttrade_async.rest.wire import Request, client_headers
from connecttrade_async.secret import Secret
from scripted_server import Act, Kept, ScriptedEnd, answer, drop, raw, trusted

if TYPE_CHECKING:
    from connecttrade_async.rest.wire import Response

LIMIT = RequestTimeout(5, 5)
SECRET = Secret("hush")
ANN = b'{"positions":"of ann"}'

LATE_408 = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
LATE_400 = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}"
ONE_TOO_MANY = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(ANN), ANN)
UNASKED = [
    pytest.param(answer(), LATE_408, id="late 408"),
    pytest.param(answer(), LATE_400, id="late 400"),
    pytest.param(answer(), ONE_TOO_MANY, id="one answer too many"),
    pytest.param(answer(), ONE_TOO_MANY[:-5], id="most of an answer"),
    pytest.param(answer(), b"HTTP/1.1 103 Early Hints\r\n\r\n", id="late interim answer"),
    pytest.param(answer(), b"\x00\xffgarbage", id="garbage"),
    pytest.param(answer(), b"", id="end of the stream"),
    pytest.param(answer(204, b"", declared=None), b'{"deleted":true}', id="body behind a 204"),
    pytest.param(answer(304, b""), b'{"not":"modified"}', id="body behind a 304"),
]


def make_transport(url: str, **options: Any) -> Transport:
    return Transport(url, client_headers("client", SECRET, "0"), client_secret=SECRET, **options)


async def let_the_loop_read() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def second_answer(
    first: Act, unasked: bytes, *, method: str = "POST", has_read: bool, is_lent: bool = False
) -> tuple[Response, ScriptedEnd]:
    """Send two requests; between them, data arrives on the idle connection."""
    kept = Kept(first)
    async with AsyncExitStack() as stack:
        end = await stack.enter_async_context(ScriptedEnd(kept, answer(200, b'"mine"')))
        http = await stack.enter_async_context(aiohttp.ClientSession()) if is_lent else None
        transport = make_transport(end.url, http=http)
        await transport.exchange(Request(method="GET", path="/positions"), LIMIT)
        kept.send(unasked)
        if has_read:
            await let_the_loop_read()
        body = b"{}" if method in {"POST", "PATCH"} else None
        response = await transport.exchange(Request(method=method, path="/orders", body=body), LIMIT)
        await transport.aclose()
    return response, end


@pytest.mark.parametrize("is_lent", [False, True])
@pytest.mark.parametrize("has_read", [False, True])
@pytest.mark.parametrize(("first", "unasked"), UNASKED)
async def test_data_on_an_idle_connection_is_not_the_answer_to_the_next_request(
    first: Act, unasked: bytes, *, has_read: bool, is_lent: bool
) -> None:
    response, end = await second_answer(first, unasked, has_read=has_read, is_lent=is_lent)
    assert (response.status, response.body) == (200, b'"mine"')
    assert [seen.method for seen in end.seen] == ["GET", "POST"]
    assert end.links == 2


@pytest.mark.parametrize("has_read", [False, True])
@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
async def test_every_method_is_sent_on_another_connection_after_stray_data(method: str, *, has_read: bool) -> None:
    response, end = await second_answer(answer(), LATE_400, method=method, has_read=has_read)
    assert response.body == b'"mine"'
    assert [seen.method for seen in end.seen] == ["GET", method]


@given(st.binary(min_size=1, max_size=200) | st.integers(1, len(LATE_408)).map(lambda cut: LATE_408[:cut]))
@example(b"\r\n")
@settings(max_examples=60, deadline=None)
def test_any_bytes_on_an_idle_connection_never_reach_the_next_request(unasked: bytes) -> None:
    async def send_twice() -> None:
        response, end = await second_answer(answer(), unasked, has_read=True)
        assert (response.body, end.links) == (b'"mine"', 2)

    asyncio.run(send_twice())


async def test_second_response_in_one_packet_reaches_no_request() -> None:
    both = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]" + ONE_TOO_MANY
    response, _ = await second_answer(raw(both), b"", has_read=True)
    assert response.body == b'"mine"'


async def test_late_400_is_not_the_response_to_a_placed_order() -> None:
    placed = b'{"id":"o-1","account_id":"a","status":"NEW"}'
    kept = Kept(answer())
    async with (
        ScriptedEnd(kept, answer(201, placed)) as end,
        ConnectTrade("client", "hush", endpoints=Endpoints(end.url)) as ct,
    ):
        ann, bob = ct.user("ann", "whisper"), ct.user("bob", "murmur")
        await ann.positions.list()
        kept.send(LATE_400)
        response = await bob.request("POST", "/orders", json={})
        assert response.json()["id"] == "o-1"


async def test_late_response_of_one_user_does_not_reach_another() -> None:
    kept = Kept(answer())
    async with ScriptedEnd(kept, answer()) as end, ConnectTrade("c", "hush", endpoints=Endpoints(end.url)) as ct:
        await ct.user("ann", "whisper").positions.list()
        kept.send(b'HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n[{"symbol":"ANN"}]')
        assert await ct.user("bob", "murmur").positions.list() == []


@pytest.mark.parametrize("is_lent", [False, True])
@pytest.mark.parametrize("unasked", [LATE_400, b""])
async def test_tls_connection_with_stray_data_is_dropped(unasked: bytes, *, is_lent: bool) -> None:
    server, client = trusted()
    kept = Kept(answer())
    async with AsyncExitStack() as stack:
        end = await stack.enter_async_context(ScriptedEnd(kept, answer(200, b'"mine"'), tls=server))
        if is_lent:
            connector = aiohttp.TCPConnector(ssl=client)
            http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            transport = make_transport(end.url, http=http)
        else:
            transport = make_transport(end.url, dial=DialOptions.of(client, None))
        await transport.exchange(Request(method="GET", path="/x"), LIMIT)
        kept.send(unasked)
        await let_the_loop_read()
        response = await transport.exchange(Request(method="POST", path="/orders", body=b"{}"), LIMIT)
        await transport.aclose()
    assert (response.body, end.links) == (b'"mine"', 2)


async def test_clean_connection_is_reused() -> None:
    async with ScriptedEnd() as end:
        transport = make_transport(end.url)
        for _ in range(5):
            await transport.exchange(Request(method="GET", path="/x"), LIMIT)
            await let_the_loop_read()
        await transport.aclose()
    assert (len(end.seen), end.links) == (5, 1)


async def test_idle_connection_closed_by_the_peer_leaves_the_pool_and_closes_with_the_client() -> None:
    kept = Kept(answer())
    async with ScriptedEnd(kept, answer()) as end:
        transport = make_transport(end.url)
        await transport.exchange(Request(method="GET", path="/x"), LIMIT)
        kept.send(b"")
        await let_the_loop_read()
        async with asyncio.timeout(2):
            await transport.aclose()


async def test_connection_with_an_incomplete_response_is_dropped() -> None:
    async with ScriptedEnd(answer(), drop, answer()) as end:
        transport = make_transport(end.url)
        await transport.exchange(Request(method="GET", path="/x"), LIMIT)
        with pytest.raises(TransportError, match="dropped"):
            await transport.exchange(Request(method="POST", path="/orders", body=b"{}"), LIMIT)
        await transport.exchange(Request(method="GET", path="/x"), LIMIT)
        await transport.aclose()
    assert end.links == 2


@pytest.mark.parametrize("is_lent", [False, True])
async def test_peer_that_sends_data_first_gets_no_request(*, is_lent: bool) -> None:
    received: list[bytes] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(LATE_400)
        received.append(await reader.read())
        writer.close()

    async def wait(*_: object) -> None:
        await let_the_loop_read()

    traces = aiohttp.TraceConfig()
    traces.on_connection_create_end.append(wait)
    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    url = "http://{}:{}".format(*server.sockets[0].getsockname())
    async with server, AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(trace_configs=[traces])) if is_lent else None
        transport = make_transport(url, http=http, trace_configs=[] if is_lent else [traces])
        with pytest.raises(ConnectError, match="before it gets a request") as caught:
            await transport.exchange(Request(method="POST", path="/orders", body=b"{}"), LIMIT)
        await transport.aclose()
        await let_the_loop_read()
    assert caught.value.kind == "unreachable"
    assert set(received) == {b""}


@pytest.mark.parametrize("cookies", [{}, {"app": "1"}])
async def test_borrowed_session_neither_sends_nor_stores_cookies(cookies: dict[str, str]) -> None:
    seat = answer(200, b"[]", set_cookie="seat=ann; Path=/")
    jar = aiohttp.CookieJar(unsafe=True)
    headers = {"Cookie": "default=1"}
    async with (
        ScriptedEnd(seat) as end,
        aiohttp.ClientSession(cookie_jar=jar, cookies=cookies, headers=headers) as http,
    ):
        transport = make_transport(end.url, http=http)
        jar.update_cookies({"site": "theirs"}, URL(end.url))
        for user in ("ann", "bob"):
            await transport.exchange(Request(method="GET", path="/x", user_id=user, user_secret=Secret("s")), LIMIT)
        assert [seen.headers.get("cookie") for seen in end.seen] == [None, None]
        assert {cookie.key for cookie in jar} == {"site", *cookies}
        async with http.get(end.url):
            pass  # a request of the application itself
        assert "site=theirs" in end.seen[-1].headers["cookie"]
        assert {cookie.key for cookie in jar} == {"site", "seat", *cookies}
