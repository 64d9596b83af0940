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


def transport(url: str, **options: Any) -> Transport:
    headers = client_headers("client", CLIENT_SECRET, "0")
    return Transport(url, headers, client_secret=CLIENT_SECRET, **options)


def ask(method: str = "GET", path: str = "/balances", **facts: Any) -> Request:
    return Request(method=method, path=path, **facts)


async def failure(*acts: Act, limit: RequestTimeout = LIMIT, method: str = "GET") -> TransportError:
    """Return what the transport raises at an end of that script."""
    async with ScriptedEnd(*acts) as end:
        door = transport(end.url)
        try:
            with pytest.raises(TransportError) as caught:
                await door.exchange(ask(method), limit)
        finally:
            await door.aclose()
    assert len(end.seen) == 1
    return caught.value


class Stepped:
    """Drives a coroutine by hand, as no task does."""

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


async def test_what_is_asked_arrives_to_the_letter() -> None:
    async with ScriptedEnd(answer(201, b'{"a":1}', x_kind="test")) as end:
        door = transport(end.url + "/prefix")
        request = ask(
            "POST",
            "/users/a%2Fb%20c",
            query="?x=1,2",
            body=b"{}",
            user_id="u 1",
            user_secret=Secret("whisper"),
        )
        response = await door.exchange(request, LIMIT)
        await door.aclose()
    assert (response.status, response.body, response.headers["X-Kind"]) == (201, b'{"a":1}', "test")
    [seen] = end.seen
    assert (seen.method, seen.target, seen.body) == ("POST", "/prefix/users/a%2Fb%20c?x=1,2", b"{}")
    assert seen.headers["client-id"] == "client"
    assert seen.headers["client-secret"] == "hush"
    assert seen.headers["user-id"] == "u 1"
    assert seen.headers["user-secret"] == "whisper"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["user-agent"].startswith("connecttrade-async/")


async def test_one_connection_serves_request_after_request() -> None:
    async with ScriptedEnd() as end:
        door = transport(end.url)
        for _ in range(20):
            await door.exchange(ask(), LIMIT)
        await door.aclose()
    assert (len(end.seen), end.links) == (20, 1)


async def asked_after_warming(http: aiohttp.ClientSession | None, method: str) -> Sequence[str]:
    """Ask once so that the connection is kept alive, then once more of an end that reads and drops the link."""
    async with ScriptedEnd(answer(), drop, answer()) as end:
        door = transport(end.url, http=http)
        await door.exchange(ask(), LIMIT)
        with pytest.raises(TransportError) as caught:
            await door.exchange(ask(method), LIMIT)
        await door.aclose()
    assert caught.value.kind == "dropped"
    return [seen.method for seen in end.seen]


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST", "PATCH", "PUT"])
async def test_nothing_is_sent_twice_when_a_kept_alive_link_drops(method: str) -> None:
    assert await asked_after_warming(None, method) == ["GET", method]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_nothing_is_sent_twice_through_a_borrowed_session_either(method: str) -> None:
    async with aiohttp.ClientSession() as http:
        assert await asked_after_warming(http, method) == ["GET", method]


async def test_bare_aiohttp_does_send_it_twice() -> None:
    """Shows that the tests above meet what they guard against; when this fails, the guard may have become needless."""
    async with ScriptedEnd(answer(), drop, answer()) as end, aiohttp.ClientSession() as http:
        await (await http.get(end.url)).read()
        await (await http.delete(end.url)).read()
    assert [seen.method for seen in end.seen] == ["GET", "DELETE", "DELETE"]


async def test_middlewares_of_a_borrowed_session_still_run() -> None:
    ran: list[str] = []

    async def theirs(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        ran.append(request.method)
        return await handler(request)

    async with aiohttp.ClientSession(middlewares=[theirs]) as http:
        assert await asked_after_warming(http, "DELETE") == ["GET", "DELETE"]
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
async def test_a_broken_answer_is_told_by_its_kind(act: Act, kind: str) -> None:
    error = await failure(act)
    assert (error.kind, error.method, error.path) == (kind, "GET", "/balances")
    assert "hush" not in str(error)


async def test_silence_ends_with_the_time_limit() -> None:
    error = await failure(silence, limit=RequestTimeout(0.05, 5))
    assert isinstance(error, RequestTimeoutError)
    assert isinstance(error, TimeoutError)
    assert error.kind == "timeout"
    assert "0.05 s" in str(error)


async def test_a_time_limit_is_no_cancelling_of_the_task_and_somebody_elses_still_is() -> None:
    async with ScriptedEnd(silence) as end:
        door = transport(end.url)
        task = asyncio.current_task()
        assert task is not None
        with pytest.raises(RequestTimeoutError):
            await door.exchange(ask(), RequestTimeout(0.05, 5))
        assert task.cancelling() == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await door.exchange(ask(), LIMIT)
        assert task.cancelling() == 0
        await door.aclose()


async def test_outside_of_a_task_nothing_is_sent() -> None:
    async with ScriptedEnd() as end:
        door = transport(end.url)
        sending = door.exchange(ask(), LIMIT)
        asyncio.get_running_loop().call_soon(caught := Stepped(sending))
        await caught.done.wait()
        await door.aclose()
    assert isinstance(caught.error, ConfigurationError)
    assert end.seen == []


async def test_nothing_listening() -> None:
    async with ScriptedEnd() as end:
        url = end.url
    door = transport(url)
    with pytest.raises(ConnectError, match=r"nothing listens at 127\.0\.0\.1") as caught:
        await door.exchange(ask(), LIMIT)
    await door.aclose()
    assert caught.value.kind == "refused"


async def test_an_unknown_name() -> None:
    class Nowhere(AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
            raise OSError(None, f"{host}:{port}:{family} is nowhere")

        async def close(self) -> None:
            return

    connector = aiohttp.TCPConnector(resolver=Nowhere())
    async with aiohttp.ClientSession(connector=connector) as http:
        with pytest.raises(ConnectError, match=r"the name api\.example was not found") as caught:
            await transport("https://api.example", http=http).exchange(ask(), LIMIT)
    assert caught.value.kind == "dns"


async def test_an_unreachable_host() -> None:
    door = transport("http://255.255.255.255:9")
    with pytest.raises(ConnectError) as caught:
        await door.exchange(ask(), LIMIT)
    await door.aclose()
    assert caught.value.kind == "unreachable"


async def test_a_certificate_nobody_vouches_for() -> None:
    with untrusted_end() as url:
        door = transport(url)
        with pytest.raises(ConnectError, match=r"no secure connection to 127\.0\.0\.1.*certificate") as caught:
            await door.exchange(ask(), LIMIT)
        await door.aclose()
    assert caught.value.kind == "tls"


async def test_tls_asked_of_a_plain_end() -> None:
    async with ScriptedEnd() as end:
        door = transport(end.url.replace("http:", "https:"))
        with pytest.raises(ConnectError) as caught:
            await door.exchange(ask(), LIMIT)
        await door.aclose()
    assert caught.value.kind == "tls"


async def test_no_connection_in_time() -> None:
    class Slow(AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
            await asyncio.Event().wait()
            raise AssertionError(host, port, family)

        async def close(self) -> None:
            return

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Slow())) as http:
        with pytest.raises(ConnectError, match=r"no connection within 0\.05 s") as caught:
            await transport("https://api.example", http=http).exchange(ask(), RequestTimeout(5, 0.05))
    assert caught.value.kind == "connect-timeout"


async def test_a_redirect_is_not_followed_since_it_would_carry_the_secrets_along() -> None:
    async with ScriptedEnd() as thief, ScriptedEnd(answer(302, b"", location=thief.url)) as end:
        door = transport(end.url)
        response = await door.exchange(ask(), LIMIT)
        await door.aclose()
    assert response.status == 302
    assert thief.seen == []


async def test_a_cookie_set_for_one_user_is_not_sent_for_the_next() -> None:
    async with ScriptedEnd(answer(200, b"[]", set_cookie="seat=1; Path=/")) as end:
        door = transport(end.url)
        await door.exchange(ask(), LIMIT)
        await door.exchange(ask(), LIMIT)
        await door.aclose()
    assert [seen.headers.get("cookie") for seen in end.seen] == [None, None]


async def test_a_borrowed_session_is_left_open_and_its_own_strictness_does_not_matter() -> None:
    async with ScriptedEnd(answer(404, b"{}")) as end, aiohttp.ClientSession(raise_for_status=True) as http:
        door = transport(end.url, http=http)
        assert (await door.exchange(ask(), LIMIT)).status == 404
        await door.aclose()
        assert not http.closed
    with pytest.raises(ClosedError):
        await door.exchange(ask(), LIMIT)


async def test_a_borrowed_session_that_its_owner_closed_is_named() -> None:
    async with aiohttp.ClientSession() as http:
        door = transport("http://127.0.0.1:9", http=http)
    with pytest.raises(ClosedError, match="the session that this client borrowed"):
        await door.exchange(ask(), LIMIT)


async def test_tracing_belongs_to_the_session() -> None:
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
        door = transport(end.url, trace_configs=[config])
        await door.exchange(ask(), LIMIT)
        await door.aclose()
    assert (paths, bodies) == (["/balances"], [b"[1]"])
    async with aiohttp.ClientSession() as http:
        with pytest.raises(ConfigurationError, match="trace_configs must be empty with http="):
            transport("http://127.0.0.1:9", http=http, trace_configs=[config])


async def test_closing_while_an_answer_is_awaited_says_closed() -> None:
    async with ScriptedEnd(silence) as end:
        door = transport(end.url)
        asking = asyncio.create_task(door.exchange(ask(), LIMIT))
        await end.until_seen(1)
        await door.aclose()
        with pytest.raises(ClosedError):
            await asking


async def test_cancelling_drops_the_connection_and_leaves_the_door_usable() -> None:
    async with ScriptedEnd(silence, answer()) as end:
        door = transport(end.url)
        asking = asyncio.create_task(door.exchange(ask(), LIMIT))
        await end.until_seen(1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (await door.exchange(ask(), LIMIT)).status == 200
        await door.aclose()
    assert end.links == 2


async def test_the_error_keeps_its_cause_and_none_of_the_frames_that_held_the_request() -> None:
    error = await failure(drop)
    assert isinstance(error.__cause__, aiohttp.ServerDisconnectedError)
    assert error.__cause__.__traceback__ is None
