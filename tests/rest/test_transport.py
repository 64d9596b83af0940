from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from connecttrade_async.errors import ClosedError, ConfigurationError, ConnectError, RequestTimeoutError, TransportError
from connecttrade_async.rest.transport import RequestTimeout, Transport
from connecttrade_async.rest.wire import Request, client_headers
from connecttrade_async.secret import Secret
from scripted_server import Act, ScriptedEnd, answer, drop, raw, reset, silence, untrusted_end

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

LIMIT = RequestTimeout(5, 5)
CLIENT_SECRET = Secret("hush")


def make_transport(url: str, **options: Any) -> Transport:
    headers = client_headers("client", CLIENT_SECRET, "0")
    return Transport(url, headers, client_secret=CLIENT_SECRET, **options)


def make_request(method: str = "GET", path: str = "/balances", **facts: Any) -> Request:
    return Request(method=method, path=path, **facts)


async def failure(*acts: Act, limit: RequestTimeout = LIMIT, method: str = "GET") -> TransportError:
    """Return the error of an exchange with a scripted server."""
    async with ScriptedEnd(*acts) as end:
        transport = make_transport(end.url)
        try:
            with pytest.raises(TransportError) as caught:
                await transport.exchange(make_request(method), limit)
        finally:
            await transport.aclose()
    assert len(end.seen) == 1
    return caught.value


class Stepped:
    """Drives a coroutine by hand, outside of a task."""

    def __init__(self, coroutine: Coroutine[Any, Any, object]) -> None:
        self.done = asyncio.Event()
        self.error: BaseException | None = None
        self._coroutine = coroutine

    def __call__(self) -> None:
        try:
            self._coroutine.send(None)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the test looks at it
            self.error = exc
        self.done.set()


async def test_exchange_sends_method_path_headers_and_body_unchanged() -> None:
    async with ScriptedEnd(answer(201, b'{"a":1}', x_kind="test")) as end:
        transport = make_transport(end.url + "/prefix")
        request = make_request(
            "POST",
            "/users/a%2Fb%20c",
            query="?x=1,2",
            body=b"{}",
            user_id="u 1",
            user_secret=Secret("whisper"),
        )
        response = await transport.exchange(request, LIMIT)
        await transport.aclose()
    assert (response.status, response.body, response.headers["X-Kind"]) == (201, b'{"a":1}', "test")
    [seen] = end.seen
    assert (seen.method, seen.target, seen.body) == ("POST", "/prefix/users/a%2Fb%20c?x=1,2", b"{}")
    assert seen.headers["client-id"] == "client"
    assert seen.headers["client-secret"] == "hush"
    assert seen.headers["user-id"] == "u 1"
    assert seen.headers["user-secret"] == "whisper"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["user-agent"].startswith("connecttrade-async/")


async def test_exchange_reuses_one_connection() -> None:
    async with ScriptedEnd() as end:
        transport = make_transport(end.url)
        for _ in range(20):
            await transport.exchange(make_request(), LIMIT)
        await transport.aclose()
    assert (len(end.seen), end.links) == (20, 1)


async def targets_on_a_kept_alive_connection(http: aiohttp.ClientSession | None, method: str) -> Sequence[str]:
    """Send a request on a kept-alive connection that the server drops after reading it."""
    async with ScriptedEnd(answer(), drop, answer()) as end:
        transport = make_transport(end.url, http=http)
        await transport.exchange(make_request(), LIMIT)
        with pytest.raises(TransportError) as caught:
            await transport.exchange(make_request(method), LIMIT)
        await transport.aclose()
    assert caught.value.kind == "dropped"
    return [seen.method for seen in end.seen]


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST", "PATCH", "PUT"])
async def test_exchange_never_resends_when_a_kept_alive_connection_drops(method: str) -> None:
    assert await targets_on_a_kept_alive_connection(None, method) == ["GET", method]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_exchange_through_a_borrowed_session_never_resends(method: str) -> None:
    async with aiohttp.ClientSession() as http:
        assert await targets_on_a_kept_alive_connection(http, method) == ["GET", method]


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_bare_aiohttp_session_resends(method: str) -> None:
    """The hazard of the tests above exists: if this fails, the middleware may have become needless."""
    async with ScriptedEnd(answer(), drop, answer()) as end, aiohttp.ClientSession() as http:
        await (await http.get(end.url)).read()
        await (await http.request(method, end.url)).read()
    assert [seen.method for seen in end.seen] == ["GET", method, method]


async def test_borrowed_session_keeps_its_middlewares() -> None:
    ran: list[str] = []

    async def theirs(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        ran.append(request.method)
        return await handler(request)

    async with aiohttp.ClientSession(middlewares=[theirs]) as http:
        assert await targets_on_a_kept_alive_connection(http, "DELETE") == ["GET", "DELETE"]
    assert ran == ["GET", "DELETE"]


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (drop, "dropped"),
        (reset, "dropped"),
        (answer(200, b'[{"a"', declared=500), "torn"),
        (answer(200, b"nonsense", content_encoding="gzip"), "torn"),
        (raw(b"220 smtp.example ESMTP hush\r\n"), "garbled"),
    ],
)
async def test_broken_response_raises_with_its_kind(act: Act, kind: str) -> None:
    error = await failure(act)
    assert (error.kind, error.method, error.path) == (kind, "GET", "/balances")
    assert "hush" not in str(error)


async def test_exchange_without_a_response_times_out() -> None:
    error = await failure(silence, limit=RequestTimeout(0.05, 5))
    assert isinstance(error, RequestTimeoutError)
    assert isinstance(error, TimeoutError)
    assert error.kind == "timeout"
    assert "0.05 s" in str(error)


async def test_exchange_distinguishes_its_timeout_from_a_foreign_cancellation() -> None:
    async with ScriptedEnd(silence) as end:
        transport = make_transport(end.url)
        task = asyncio.current_task()
        assert task is not None
        with pytest.raises(RequestTimeoutError):
            await transport.exchange(make_request(), RequestTimeout(0.05, 5))
        assert task.cancelling() == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await transport.exchange(make_request(), LIMIT)
        assert task.cancelling() == 0
        await transport.aclose()


async def test_exchange_outside_a_task_is_refused() -> None:
    async with ScriptedEnd() as end:
        transport = make_transport(end.url)
        sending = transport.exchange(make_request(), LIMIT)
        asyncio.get_running_loop().call_soon(caught := Stepped(sending))
        await caught.done.wait()
        await transport.aclose()
    assert isinstance(caught.error, ConfigurationError)
    assert end.seen == []


async def test_exchange_with_a_refused_connection_raises_refused() -> None:
    async with ScriptedEnd() as end:
        url = end.url
    transport = make_transport(url)
    with pytest.raises(ConnectError, match=r"nothing listens at 127\.0\.0\.1") as caught:
        await transport.exchange(make_request(), LIMIT)
    await transport.aclose()
    assert caught.value.kind == "refused"


async def test_exchange_with_an_unknown_host_raises_dns() -> None:
    class Nowhere(AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
            raise OSError(None, f"{host}:{port}:{family} is nowhere")

        async def close(self) -> None:
            return

    connector = aiohttp.TCPConnector(resolver=Nowhere())
    async with aiohttp.ClientSession(connector=connector) as http:
        with pytest.raises(ConnectError, match=r"the name api\.example was not found") as caught:
            await make_transport("https://api.example", http=http).exchange(make_request(), LIMIT)
    assert caught.value.kind == "dns"


async def test_exchange_with_an_unreachable_host_raises_unreachable() -> None:
    transport = make_transport("http://255.255.255.255:9")
    with pytest.raises(ConnectError) as caught:
        await transport.exchange(make_request(), LIMIT)
    await transport.aclose()
    assert caught.value.kind == "unreachable"


async def test_exchange_with_an_untrusted_certificate_raises_tls() -> None:
    with untrusted_end() as url:
        transport = make_transport(url)
        with pytest.raises(ConnectError, match=r"no secure connection to 127\.0\.0\.1.*certificate") as caught:
            await transport.exchange(make_request(), LIMIT)
        await transport.aclose()
    assert caught.value.kind == "tls"


async def test_exchange_with_tls_on_a_plain_port_raises_tls() -> None:
    async with ScriptedEnd() as end:
        transport = make_transport(end.url.replace("http:", "https:"))
        with pytest.raises(ConnectError) as caught:
            await transport.exchange(make_request(), LIMIT)
        await transport.aclose()
    assert caught.value.kind == "tls"


async def test_exchange_without_a_connection_in_time_raises_connect_timeout() -> None:
    class Slow(AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
            await asyncio.Event().wait()
            raise AssertionError(host, port, family)

        async def close(self) -> None:
            return

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Slow())) as http:
        with pytest.raises(ConnectError, match=r"no connection within 0\.05 s") as caught:
            await make_transport("https://api.example", http=http).exchange(make_request(), RequestTimeout(5, 0.05))
    assert caught.value.kind == "connect-timeout"


async def test_redirect_is_not_followed() -> None:
    async with ScriptedEnd() as thief, ScriptedEnd(answer(302, b"", location=thief.url)) as end:
        transport = make_transport(end.url)
        response = await transport.exchange(make_request(), LIMIT)
        await transport.aclose()
    assert response.status == 302
    assert thief.seen == []


async def test_cookie_of_one_user_is_not_sent_for_another() -> None:
    async with ScriptedEnd(answer(200, b"[]", set_cookie="seat=1; Path=/")) as end:
        transport = make_transport(end.url)
        await transport.exchange(make_request(), LIMIT)
        await transport.exchange(make_request(), LIMIT)
        await transport.aclose()
    assert [seen.headers.get("cookie") for seen in end.seen] == [None, None]


async def test_borrowed_session_stays_open_and_its_raise_for_status_is_ignored() -> None:
    async with ScriptedEnd(answer(404, b"{}")) as end, aiohttp.ClientSession(raise_for_status=True) as http:
        transport = make_transport(end.url, http=http)
        assert (await transport.exchange(make_request(), LIMIT)).status == 404
        await transport.aclose()
        assert not http.closed
    with pytest.raises(ClosedError):
        await transport.exchange(make_request(), LIMIT)


async def test_closed_borrowed_session_is_named_in_the_error() -> None:
    async with aiohttp.ClientSession() as http:
        transport = make_transport("http://127.0.0.1:9", http=http)
    with pytest.raises(ClosedError, match="the session that this client borrowed"):
        await transport.exchange(make_request(), LIMIT)


async def test_trace_configs_with_a_borrowed_session_are_refused() -> None:
    paths: list[str] = []
    config = aiohttp.TraceConfig()

    async def told(session: aiohttp.ClientSession, context: object, params: aiohttp.TraceRequestStartParams) -> None:
        del session, context
        paths.append(params.url.path)

    bodies: list[bytes] = []

    async def got(
        session: aiohttp.ClientSession, context: object, params: aiohttp.TraceResponseChunkReceivedParams
    ) -> None:
        del session, context
        bodies.append(params.chunk)

    config.on_request_start.append(told)
    config.on_response_chunk_received.append(got)
    async with ScriptedEnd(answer(200, "[1]")) as end:
        transport = make_transport(end.url, trace_configs=[config])
        await transport.exchange(make_request(), LIMIT)
        await transport.aclose()
    assert (paths, bodies) == (["/balances"], [b"[1]"])
    async with aiohttp.ClientSession() as http:
        with pytest.raises(ConfigurationError, match="trace_configs must be empty with http="):
            make_transport("http://127.0.0.1:9", http=http, trace_configs=[config])


async def test_close_during_an_exchange_raises_closed() -> None:
    async with ScriptedEnd(silence) as end:
        transport = make_transport(end.url)
        exchange = asyncio.create_task(transport.exchange(make_request(), LIMIT))
        await end.until_seen(1)
        await transport.aclose()
        with pytest.raises(ClosedError):
            await exchange


async def test_cancelled_exchange_drops_its_connection_and_the_transport_stays_usable() -> None:
    async with ScriptedEnd(silence, answer()) as end:
        transport = make_transport(end.url)
        exchange = asyncio.create_task(transport.exchange(make_request(), LIMIT))
        await end.until_seen(1)
        exchange.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exchange
        assert (await transport.exchange(make_request(), LIMIT)).status == 200
        await transport.aclose()
    assert end.links == 2


async def test_transport_error_keeps_its_cause_without_its_frames() -> None:
    error = await failure(drop)
    assert isinstance(error.__cause__, aiohttp.ServerDisconnectedError)
    assert error.__cause__.__traceback__ is None
