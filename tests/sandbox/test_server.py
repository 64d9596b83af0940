"""Start and stop: ports, tasks, and an end within a second whatever is under way."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import perf_counter
from typing import Any

import aiohttp
import pytest

from connecttrade_async.sandbox import Endpoints, Fault, Sandbox

Fetch = Callable[..., Awaitable[tuple[int, Any]]]


async def test_it_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    async with Sandbox() as sandbox, aiohttp.ClientSession() as http:
        async with http.get(f"{sandbox.url}/users") as answer:
            assert answer.status == 401
        _, idle = await asyncio.open_connection("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
        assert sandbox.endpoints == Endpoints(
            api=sandbox.url, stream=sandbox.stream.url, market_data=sandbox.market.url
        )
    assert asyncio.all_tasks() == before
    idle.close()
    with pytest.raises(OSError, match="Connect"):
        await asyncio.open_connection("127.0.0.1", int(sandbox.url.rpartition(":")[2]))


@pytest.mark.parametrize("kind", ["slow_headers", "slow_body", "huge"])
async def test_it_closes_at_once_while_faults_are_slow(kind: Any) -> None:
    before = asyncio.all_tasks()
    sandbox = Sandbox()
    await sandbox.start()
    options: dict[str, Any] = {"size": 1 << 28} if kind == "huge" else {"seconds": 600}
    sandbox.faults.add(Fault(kind, times=None, **options))
    links = [await asyncio.open_connection("127.0.0.1", int(sandbox.url.rpartition(":")[2])) for _ in range(20)]
    for _, writer in links:
        writer.write(b"GET /users HTTP/1.1\r\nHost: sandbox\r\n\r\n")
    while not all(armed.fired == 20 for armed in sandbox.faults.armed):  # noqa: ASYNC110  the server tells nobody
        await asyncio.sleep(0.001)
    begun = perf_counter()
    await sandbox.aclose()
    assert perf_counter() - begun < 1
    assert asyncio.all_tasks() == before
    for _, writer in links:
        writer.transport.abort()


async def test_it_may_be_entered_and_left_in_different_tasks() -> None:
    sandbox = Sandbox()
    await asyncio.create_task(sandbox.__aenter__())
    async with aiohttp.ClientSession() as http, http.get(f"{sandbox.url}/users") as answer:
        assert answer.status == 401
    await asyncio.create_task(sandbox.__aexit__(None, None, None))
    await asyncio.create_task(sandbox.aclose())


async def test_it_can_be_started_again_with_all_that_it_knows(sandbox: Sandbox) -> None:
    sandbox.world.create_user("jane")
    with pytest.raises(RuntimeError, match="already started"):
        await sandbox.start()
    await sandbox.aclose()
    assert "closed" in repr(sandbox)
    await sandbox.start()
    assert repr(sandbox) == f"<Sandbox {sandbox.url} 1 users, 0 requests>"


async def test_a_port_of_your_choice_or_an_error(sandbox: Sandbox) -> None:
    port = int(sandbox.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        await Sandbox(port=port).start()
    await sandbox.aclose()
    async with Sandbox(port=port, client_id="mine", client_secret="my own") as mine:
        assert mine.url == f"http://127.0.0.1:{port}"
        headers = {"client-id": "mine", "client-secret": "my own"}
        async with aiohttp.ClientSession(headers=headers) as http, http.get(f"{mine.url}/users") as answer:
            assert answer.status == 200


async def test_ipv6_has_its_brackets() -> None:
    sandbox = Sandbox(host="::1")
    try:
        await sandbox.start()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with suppress(aiohttp.ClientConnectionError):
        async with aiohttp.ClientSession() as http, http.get(f"{sandbox.url}/users") as answer:
            assert answer.status == 401
    await sandbox.aclose()
    assert sandbox.url.startswith("http://[::1]:")


async def test_a_hundred_at_once(fetch: Fetch, sandbox: Sandbox) -> None:
    answers = await asyncio.gather(*(fetch("POST", "/users", json={"user_id": f"user {n}"}) for n in range(100)))
    assert {status for status, _ in answers} == {200}
    assert sandbox.requests.count("POST", "/users", worked=True) == 100


async def test_what_is_served_holds_no_secret(fetch: Fetch, sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    _, jane = await fetch("POST", "/users", json={"user_id": "jane"})
    user = sandbox.world.users["jane"]
    link = sandbox.world.invite(user, "trade", "https://app.example/", sandbox.clock.now())
    for path in ("", "/login", "/none/such"):
        async with http.get(f"{sandbox.url}/connect/{link.token}{path}"):
            pass
    await fetch("GET", "/orders?next_cursor=hidden", "jane")
    noted = repr(list(sandbox.requests)) + repr(sandbox)
    hidden = (sandbox.client_secret, jane["user_secret"], link.token, "hidden")
    assert not any(secret in noted for secret in hidden)
    assert sandbox.requests.count(path="/connect/{token}") == 2
    sandbox.requests.clear()
    assert (sandbox.requests.total, len(sandbox.requests), repr(sandbox.requests)) == (0, 0, "<Served 0 requests>")


async def test_closed_sandbox_is_garbage_collected() -> None:
    async with Sandbox() as sandbox, aiohttp.ClientSession() as http:
        async with http.get(f"{sandbox.url}/users") as answer:
            assert answer.status == 401
        gone = weakref.ref(sandbox.world)
    del sandbox, http, answer
    gc.collect()
    assert gone() is None
