"""The sandbox in a thread, used by tests that are not async."""

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from time import perf_counter
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from websockets.sync.client import connect

from connecttrade_async.sandbox import Fault, RefusalError, Sandbox, SandboxThread


@pytest.fixture
def threaded() -> Iterator[SandboxThread[Sandbox]]:
    with Sandbox(seed=7).in_thread() as sandbox:
        yield sandbox


def fetch(sandbox: SandboxThread[Sandbox], path: str) -> Any:
    headers = {"client-id": sandbox.client_id, "client-secret": sandbox.client_secret}
    with urlopen(Request(sandbox.endpoints.api + path, headers=headers), timeout=5) as answer:  # noqa: S310  our own URL
        return json.load(answer)


def test_threaded_sandbox_serves_rest_to_synchronous_code(threaded: SandboxThread[Sandbox]) -> None:
    assert fetch(threaded, "/users") == []
    threaded.call(lambda sandbox: sandbox.world.create_user("jane"))
    assert fetch(threaded, "/users") == [{"user_id": "jane"}]
    threaded.call(lambda sandbox: sandbox.faults.add(Fault("status", status=503)))
    with pytest.raises(HTTPError, match="503"):
        fetch(threaded, "/users")


def test_threaded_sandbox_publishes_what_a_call_sends(threaded: SandboxThread[Sandbox]) -> None:
    with connect(threaded.endpoints.stream, close_timeout=1) as link:
        assert json.loads(link.recv(5))["type"] == "welcome"
        login = {"client_id": threaded.client_id, "client_secret": threaded.client_secret}
        link.send(json.dumps({"action": "authenticate", **login}))
        link.send(json.dumps({"action": "subscribe", "topics": ["orders"]}))
        assert [json.loads(link.recv(5))["type"] for _ in range(2)] == ["authenticated", "subscribed"]
        assert threaded.call(lambda sandbox: sandbox.stream.publish("orders", "jane", "a", {"order_id": "1"})) == 1
        assert json.loads(link.recv(5))["data"] == {"order_id": "1"}


def test_call_awaits_a_coroutine_and_hands_on_what_it_raises(threaded: SandboxThread[Sandbox]) -> None:
    def url(sandbox: Sandbox) -> str:
        link = sandbox.world.invite(
            sandbox.world.create_user("jane"), "trade", "https://app.example/", sandbox.clock.now()
        )
        return f"{sandbox.url}/connect/{link.token}"

    back = threaded.call(Sandbox.approve, threaded.call(url), "PUBLIC", login="j")
    assert back.startswith("https://app.example/?connection_id=")
    with pytest.raises(RefusalError, match="link"):
        threaded.call(Sandbox.approve, "http://127.0.0.1/connect/none")


def test_call_runs_in_one_other_thread(threaded: SandboxThread[Sandbox]) -> None:
    names = {threaded.call(lambda _: threading.get_ident()) for _ in range(3)}
    assert len(names) == 1
    assert threading.get_ident() not in names


async def test_threaded_sandbox_opens_beside_a_running_loop() -> None:
    with Sandbox(seed=7).in_thread() as sandbox:
        assert await asyncio.to_thread(fetch, sandbox, "/users") == []


def test_closed_thread_is_gone_and_can_be_opened_again() -> None:
    before = set(threading.enumerate())
    sandbox = Sandbox(seed=7).in_thread()
    with pytest.raises(RuntimeError, match="is closed"):
        sandbox.call(lambda inner: inner.url)
    for _ in range(2):
        sandbox.open()
        assert "open" in repr(sandbox)
        assert sandbox.client_secret not in repr(sandbox)
        with pytest.raises(RuntimeError, match="already open"):
            sandbox.open()
        assert fetch(sandbox, "/users") == []
        sandbox.close()
        sandbox.close()
        assert set(threading.enumerate()) == before


def test_open_on_a_taken_port_raises_and_ends_the_thread(threaded: SandboxThread[Sandbox]) -> None:
    before = set(threading.enumerate())
    port = int(threaded.endpoints.api.rpartition(":")[2])
    second = Sandbox(port=port).in_thread()
    with pytest.raises(OSError, match="in use"):
        second.open()
    assert set(threading.enumerate()) == before
    assert "closed" in repr(second)


def test_close_is_bounded_while_another_thread_waits_for_a_call() -> None:
    started = threading.Event()

    async def wait(_: Sandbox) -> None:
        started.set()
        await asyncio.sleep(600)

    sandbox = Sandbox(seed=7).in_thread()
    sandbox.open()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(sandbox.call, wait)
        assert started.wait(5)
        begun = perf_counter()
        sandbox.close()
        assert perf_counter() - begun < 5
        with pytest.raises(CancelledError):
            waiting.result(5)


def test_close_is_bounded_while_a_fault_is_slow() -> None:
    sandbox = Sandbox(seed=7).in_thread()
    sandbox.open()
    armed = sandbox.call(lambda inner: inner.faults.add(Fault("slow_headers", seconds=600)))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(fetch, sandbox, "/users")
        while not armed.fired:
            sandbox.call(lambda _: asyncio.sleep(0.001))
        begun = perf_counter()
        sandbox.close()
        assert perf_counter() - begun < 5
        waiting.exception(5)
