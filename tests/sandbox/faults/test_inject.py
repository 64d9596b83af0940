"""Each fault as the far end of the socket meets it, and how often the work was really done."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import perf_counter
from typing import Any

import aiohttp
import pytest

from connecttrade_async.sandbox import Fault, Sandbox

Fetch = Callable[..., Awaitable[tuple[int, Any]]]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Any:
    """No fault makes the server log an error of its own."""
    yield
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def request(sandbox: Sandbox, method: str = "GET", path: str = "/users", body: str = "") -> bytes:
    lines = (
        f"{method} {path} HTTP/1.1",
        "Host: sandbox",
        f"client-id: {sandbox.client_id}",
        f"client-secret: {sandbox.client_secret}",
        f"Content-Length: {len(body)}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


async def exchange(sandbox: Sandbox, sent: bytes) -> bytes:
    """Send bytes on a link of their own, and read until the server closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
    try:
        writer.write(sent)
        return await reader.read()
    finally:
        writer.close()


async def test_a_status_with_and_without_retry_after(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    sandbox.faults.add(Fault("status"))
    sandbox.faults.add(Fault("status", status=429, retry_after="Wed, 01 Jul 2026 12:00:05 GMT", body="{}"))
    async with http.get(f"{sandbox.url}/users") as answer:
        assert (answer.status, answer.headers.get("Retry-After")) == (503, None)
        assert list(await answer.json()) == ["message"]
    async with http.get(f"{sandbox.url}/users") as answer:
        assert (answer.status, await answer.json()) == (429, {})
        assert answer.headers["Retry-After"] == "Wed, 01 Jul 2026 12:00:05 GMT"


@pytest.mark.parametrize(("when", "users"), [("before", 0), ("after", 1)])
async def test_a_proxy_gives_up_before_or_after_the_work(fetch: Fetch, sandbox: Sandbox, when: Any, users: int) -> None:
    sandbox.faults.add(Fault("status", status=504, when=when))
    assert (await fetch("POST", "/users", json={"user_id": "jane"}))[0] == 504
    assert len(sandbox.world.users) == users
    assert sandbox.requests.count("POST", "/users", worked=True) == users
    assert sandbox.requests.count("POST", "/users", status=504) == 1


@pytest.mark.parametrize("status", [200, 502])
async def test_a_web_page_where_json_is_due(sandbox: Sandbox, http: aiohttp.ClientSession, status: int) -> None:
    sandbox.faults.add(Fault("html", status=status))
    async with http.get(f"{sandbox.url}/users") as answer:
        assert (answer.status, answer.content_type) == (status, "text/html")
        assert (await answer.text()).startswith("<!DOCTYPE html>")


async def test_redirect_fault_answers_302_with_its_location(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    sandbox.faults.add(Fault("redirect", location="https://elsewhere.example/"))
    async with http.get(f"{sandbox.url}/users", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "https://elsewhere.example/")


async def test_nonsense_of_any_size(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    sandbox.faults.add(Fault("huge", size=1_000_003))
    async with http.get(f"{sandbox.url}/users") as answer:
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert len(await answer.read()) == 1_000_003


async def test_a_reader_that_leaves_a_huge_answer_does_no_harm(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("huge"))
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
    writer.write(request(sandbox))
    await reader.read(100)
    writer.transport.abort()
    while not sandbox.requests.total:  # noqa: ASYNC110  the server tells nobody
        await asyncio.sleep(0)


@pytest.mark.parametrize("kind", ["slow_headers", "slow_body"])
async def test_slow_answers_arrive_whole(fetch: Fetch, sandbox: Sandbox, kind: Any) -> None:
    sandbox.faults.add(Fault(kind, seconds=0.05))
    begun = perf_counter()
    assert await fetch("GET", "/users") == (200, [])
    assert perf_counter() - begun >= 0.05


async def test_slow_headers_may_follow_the_work(fetch: Fetch, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("slow_headers", seconds=60, when="after"))
    asking = asyncio.ensure_future(fetch("POST", "/users", json={"user_id": "jane"}))
    while not sandbox.world.users:  # noqa: ASYNC110  the server tells nobody
        await asyncio.sleep(0)
    assert not asking.done()
    asking.cancel()
    await asyncio.wait([asking])


async def test_half_a_body(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("cut_body"))
    answer = await exchange(sandbox, request(sandbox, "POST", body='{"user_id": "jane"}'))
    head, _, body = answer.partition(b"\r\n\r\n")
    promised = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert head.startswith(b"HTTP/1.1 200")
    assert 0 < len(body) < promised
    assert sandbox.requests.count("POST", "/users", worked=True) == 1


@pytest.mark.parametrize(("when", "done"), [("before", 0), ("after", 1)])
async def test_a_reset_before_or_after_the_work(sandbox: Sandbox, when: Any, done: int) -> None:
    sandbox.faults.add(Fault("reset", when=when))
    with pytest.raises(ConnectionResetError):
        await exchange(sandbox, request(sandbox, "POST", body='{"user_id": "jane"}'))
    assert len(sandbox.world.users) == done
    [visit] = sandbox.requests
    assert (visit.status, visit.worked, visit.fault) == (None, bool(done), "reset")


@pytest.mark.parametrize(("when", "done"), [("before", 0), (None, 1)])
async def test_a_kept_connection_is_dropped_without_an_answer(sandbox: Sandbox, when: Any, done: int) -> None:
    sandbox.faults.add(Fault("drop", after=1, when=when))
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
    writer.write(request(sandbox))
    assert (await reader.readuntil(b"[]")).startswith(b"HTTP/1.1 200")
    writer.write(request(sandbox, "POST", body='{"user_id": "jane"}'))
    assert await reader.read() == b""
    writer.close()
    assert sandbox.requests.count("POST", worked=True) == len(sandbox.world.users) == done


async def test_an_idle_kept_connection_is_closed(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("close_idle"))
    answer = await exchange(sandbox, request(sandbox))
    assert answer.endswith(b"\r\n\r\n[]")
    assert b"connection: close" not in answer.lower()


async def test_the_server_is_usable_after_every_fault(fetch: Fetch, sandbox: Sandbox) -> None:
    for kind in ("status", "html", "huge", "cut_body", "reset", "drop", "close_idle"):
        sandbox.faults.add(Fault(kind))
        with suppress(aiohttp.ClientError, ValueError):
            await fetch("GET", "/users")
        assert await fetch("GET", "/users") == (200, [])
    assert [armed.fired for armed in sandbox.faults.armed] == [1] * 7


async def test_faults_leave_the_control_path_alone(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    sandbox.faults.add(Fault("reset", times=None))
    async with http.get(f"{sandbox.url}/_sandbox/faults") as answer:
        assert [fault["fired"] for fault in await answer.json()] == [0]
    assert sandbox.requests.total == 0


async def test_fault_with_a_caller_that_hangs_up_leaves_the_sandbox_working(sandbox: Sandbox) -> None:
    for kind in ("slow_headers", "slow_body", "close_idle"):
        sandbox.faults.add(Fault(kind, seconds=None if kind == "close_idle" else 0.02))
        _, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
        writer.write(request(sandbox))
        writer.transport.abort()
    while sandbox.requests.total < 3:  # noqa: ASYNC110  the server tells nobody
        await asyncio.sleep(0.001)
    assert sandbox.requests.count(worked=True) == 3
