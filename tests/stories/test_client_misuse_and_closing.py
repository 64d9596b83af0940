"""A client is used where its connections are not, or closed while calls are under way."""

from __future__ import annotations

import asyncio
import contextvars
import os
import socket
import ssl
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from connecttrade_async import (
    ClosedError,
    ConfigurationError,
    ConnectTrade,
    Endpoints,
    Limits,
    RequestTimeoutError,
    Retry,
    Timeouts,
    TransportError,
)
from scripted_server import ScriptedEnd, answer, silence, stalled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager


def client(url: str, **settings: Any) -> ConnectTrade:
    return ConnectTrade("client", "hush", endpoints=Endpoints(url), **settings)


def in_another_loop(call: Callable[[], Awaitable[object]]) -> Awaitable[None]:
    async def run() -> None:
        await call()

    return asyncio.to_thread(asyncio.run, run())


# --- another loop, another process


@pytest.mark.parametrize("rate", [None, 1.0])
async def test_call_from_a_second_loop_is_refused_before_it_waits_or_takes_a_place(rate: float | None) -> None:
    limits = Limits(connections=1, requests_per_second=rate)
    async with ScriptedEnd(silence) as end, client(end.url, limits=limits) as ct:
        first = asyncio.create_task(ct.users.list())
        await end.until_seen(1)
        for call in (ct.users.list, lambda: ct.request("POST", "/orders", json={})):
            with pytest.raises(ConfigurationError, match="another event loop"):
                await in_another_loop(call)
        assert (ct.health().in_flight, ct.health().waiting) == (1, 0)
        first.cancel()
        await asyncio.wait([first])
        assert ct.health().in_flight == 0


OPENED: dict[str, Callable[[ConnectTrade], AbstractAsyncContextManager[object]]] = {
    "brokerage stream": lambda ct: ct.brokerage_stream(),
    "market data": lambda ct: ct.user("u", "whisper").market_data("c"),
    "live accounts": lambda ct: ct.live([ct.user("u", "whisper")]),
    "poller": lambda ct: ct.poll([ct.user("u", "whisper")], lambda user: user.positions.list(), every=1.0),
    "poller of a view": lambda ct: ct.with_options(retry=Retry(attempts=1)).poll(
        [], lambda u: u.accounts.list(), every=1
    ),
}


@pytest.mark.parametrize("what", OPENED)
async def test_stream_live_accounts_and_poller_open_in_no_second_loop(what: str) -> None:
    async with ScriptedEnd() as end, client(end.url) as ct:
        await ct.users.list()
        with pytest.raises(ConfigurationError, match="another event loop"):
            await in_another_loop(OPENED[what](ct).__aenter__)
        assert [seen.target for seen in end.seen] == ["/users"]


async def test_what_is_opened_first_binds_the_client_to_its_loop() -> None:
    async with ScriptedEnd() as end, client(end.url) as ct, ct.poll([], lambda user: user.positions.list(), every=1.0):
        for call in (ct.users.list, ct.aclose):
            with pytest.raises(ConfigurationError, match="another event loop"):
                await in_another_loop(call)
        assert (ct.health().is_open, end.links) == (True, 0)


async def test_closing_from_a_second_loop_is_refused_and_leaves_the_client_open() -> None:
    async with ScriptedEnd() as end, client(end.url) as ct:
        await ct.users.list()
        with pytest.raises(ConfigurationError, match="another event loop"):
            await in_another_loop(ct.aclose)
        assert ct.health().is_open
        assert await ct.users.list() == []


def test_client_of_a_closed_loop_can_be_closed_in_another_loop_but_not_called() -> None:
    async def use() -> ConnectTrade:
        async with ScriptedEnd(answer(200, b"[]", connection="close")) as end:
            ct = client(end.url)
            await ct.users.list()
            return ct

    ct = asyncio.run(use())

    async def again() -> None:
        with pytest.raises(ConfigurationError, match="another event loop"):
            await ct.users.list()
        await ct.aclose()
        with pytest.raises((ClosedError, ConfigurationError)):
            await ct.users.list()
        assert not ct.health().is_open

    asyncio.run(again())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_call_in_a_forked_child_is_refused_also_where_the_loop_is_the_same() -> None:
    loop = asyncio.new_event_loop()

    async def use() -> tuple[ScriptedEnd, ConnectTrade]:
        end = await ScriptedEnd().__aenter__()
        ct = client(end.url)
        await ct.users.list()
        return end, ct

    async def refused(call: Callable[[], Awaitable[object]]) -> bool:
        try:
            await call()
        except ConfigurationError as exc:
            return "another process" in str(exc)
        return False

    end, ct = loop.run_until_complete(use())
    child = os.fork()
    if child == 0:  # what happens here must not reach pytest
        try:
            loop_of_child = asyncio.new_event_loop()
            good = [loop.run_until_complete(refused(call)) for call in (ct.users.list, ct.aclose)]
            good += [loop.run_until_complete(refused(OPENED[what](ct).__aenter__)) for what in OPENED]
            good += [loop_of_child.run_until_complete(refused(ct.users.list))]
            os._exit(0 if all(good) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    async def finish() -> None:
        assert await ct.users.list() == []
        await ct.aclose()
        await end.__aexit__()

    loop.run_until_complete(finish())
    loop.close()


async def test_client_made_before_a_fork_or_loop_and_never_used_is_nobodys_yet() -> None:
    async with ScriptedEnd() as end:
        ct = await asyncio.to_thread(client, end.url)
        async with ct:
            assert await ct.users.list() == []


def test_call_outside_of_any_loop_is_refused() -> None:
    call = client("http://127.0.0.1:9").users.list()
    with pytest.raises(ConfigurationError, match="from within a task"):
        call.send(None)


@pytest.mark.parametrize("is_closed", [True, False])
def test_borrowed_session_of_another_loop_is_refused_by_name(*, is_closed: bool) -> None:
    async def make() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    theirs = asyncio.new_event_loop()
    http = theirs.run_until_complete(make())
    if is_closed:
        theirs.close()

    async def use() -> None:
        async with client("http://127.0.0.1:9", http=http) as ct:
            with pytest.raises(ConfigurationError, match="the session that this client borrowed belongs to an event"):
                await ct.users.list()

    asyncio.run(use())
    if not is_closed:
        theirs.run_until_complete(http.close())
        theirs.close()
    else:
        asyncio.run(http.close())


# --- a trace hook that asks


async def test_trace_hook_that_asks_through_the_same_client_leaves_the_outer_call_whole() -> None:
    is_inside = contextvars.ContextVar("is_inside", default=False)
    traces = aiohttp.TraceConfig()

    async def call_back(*_: object) -> None:
        if not is_inside.get():
            is_inside.set(True)
            await ct.request("GET", "/inner")
            is_inside.set(False)

    traces.on_request_start.append(call_back)
    traces.on_request_end.append(call_back)
    async with ScriptedEnd() as end, client(end.url, trace_configs=[traces]) as ct:
        assert await ct.users.list() == []
    assert [seen.target for seen in end.seen] == ["/inner", "/users", "/inner"]


async def test_outer_call_keeps_its_own_deadline_while_a_trace_hook_asks() -> None:
    is_inside = contextvars.ContextVar("is_inside", default=False)
    traces = aiohttp.TraceConfig()

    async def call_back(*_: object) -> None:
        if not is_inside.get():
            is_inside.set(True)
            await ct.with_options(timeouts=Timeouts(call=30)).request("GET", "/inner")

    traces.on_request_start.append(call_back)
    settings: dict[str, Any] = {"timeouts": Timeouts(call=0.05), "retry": Retry(attempts=1)}
    async with ScriptedEnd(silence) as end, client(end.url, trace_configs=[traces], **settings) as ct:
        with pytest.raises(RequestTimeoutError) as caught:
            await ct.users.list()
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
    assert caught.value.path == "/users"


# --- closing while calls are under way

PHASES = ["limiter", "rate", "name", "connect", "tls", "head", "body", "pause"]


async def hanging(*_: object, **__: object) -> list[Any]:
    await asyncio.Event().wait()
    return []


async def phase_of(
    name: str, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, dict[str, Any], ScriptedEnd]:
    """Return an address at which a call stops in that phase, the settings of the client, and a scripted end."""
    acts = {"body": stalled(b'[{"id"', declared=5000), "rate": answer(), "pause": answer(503, b"", retry_after="20")}
    end = await stack.enter_async_context(ScriptedEnd(acts.get(name, silence)))
    settings: dict[str, Any] = {}
    match name:
        case "limiter":
            settings["limits"] = Limits(connections=1)
        case "rate":
            settings["limits"] = Limits(requests_per_second=0.1)
        case "name":
            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hanging)
            return "https://api.example", settings, end
        case "connect":
            deaf = stack.enter_context(ExitStack()).enter_context(socket.socket())
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(0)
            for _ in range(3):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)  # noqa: FBT003 - the socket's own spelling
                filler.connect_ex(deaf.getsockname())
            return f"http://127.0.0.1:{deaf.getsockname()[1]}", settings, end
        case "tls":
            quiet = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            settings["ssl"] = ssl.create_default_context()
            return f"https://127.0.0.1:{quiet.getsockname()[1]}", settings, end
        case _:
            pass
    return end.url, settings, end


async def reached(phase: str, end: ScriptedEnd, ct: ConnectTrade) -> None:
    if phase in {"limiter", "rate", "head", "body", "pause"}:
        await end.until_seen(3 if phase == "pause" else 1)
    for _ in range(50):  # turns of the loop: all that is needed here happens within this machine
        await asyncio.sleep(0)
    assert ct.health().consecutive_failures == (3 if phase == "pause" else 0)


@pytest.mark.parametrize("phase", PHASES)
async def test_closing_ends_a_call_at_once_in_each_phase(phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with AsyncExitStack() as stack:
        url, settings, end = await phase_of(phase, stack, monkeypatch)
        ct = client(url, **settings)
        if phase == "rate":
            await ct.users.list()
        ended: list[str] = []
        calls: list[asyncio.Task[None]] = []

        async def call() -> None:
            try:
                await ct.users.list()
            except ClosedError:
                ended.append("closed")
                raise

        with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012 - the group is what is tested
            async with asyncio.timeout(5), asyncio.TaskGroup() as group:
                calls += [group.create_task(call()) for _ in range(3)]
                await reached(phase, end, ct)
                await ct.aclose()
        assert ended == ["closed"] * 3
        assert all(isinstance(exc, ClosedError) for exc in caught.value.exceptions)
        assert all(not task.cancelled() and task.cancelling() == 0 for task in calls)
        assert not ct.health().in_flight


@pytest.mark.parametrize(
    ("phase", "may_be_done"), [("name", False), ("connect", False), ("tls", False), ("head", True)]
)
async def test_closing_says_whether_an_order_had_left(
    phase: str, monkeypatch: pytest.MonkeyPatch, *, may_be_done: bool
) -> None:
    async with AsyncExitStack() as stack:
        url, settings, end = await phase_of(phase, stack, monkeypatch)
        ct = client(url, **settings)
        call = asyncio.create_task(ct.request("POST", "/orders", json={}))
        await reached(phase, end, ct)
        await ct.aclose()
        with pytest.raises(ClosedError) as caught:
            await call
    assert caught.value.may_be_done is may_be_done


@pytest.fixture
async def lent() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as http:
        yield http


@pytest.mark.parametrize("phase", ["name", "connect", "tls", "head", "body"])
async def test_closing_a_client_of_a_borrowed_session_ends_its_calls_and_no_others(
    phase: str, monkeypatch: pytest.MonkeyPatch, lent: aiohttp.ClientSession
) -> None:
    async with AsyncExitStack() as stack:
        url, settings, end = await phase_of(phase, stack, monkeypatch)
        ct = client(url, **{name: value for name, value in settings.items() if name != "ssl"}, http=lent)
        call = asyncio.create_task(ct.users.list())
        await reached(phase, end, ct)
        await ct.aclose()
        async with asyncio.timeout(2):
            with pytest.raises(ClosedError, match="this client"):
                await call
        assert not lent.closed


@pytest.mark.parametrize("phase", ["name", "head", "body"])
async def test_borrowed_session_closed_by_its_owner_ends_a_call_with_its_name(
    phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        url, settings, end = await phase_of(phase, stack, monkeypatch)
        lent = await stack.enter_async_context(aiohttp.ClientSession())
        ct = client(url, **settings, http=lent, timeouts=Timeouts(call=1), retry=Retry(attempts=1))
        call = asyncio.create_task(ct.users.list())
        await reached(phase, end, ct)
        await lent.close()
        with pytest.raises((ClosedError, TransportError)) as caught:
            await call
        if phase != "body":  # aiohttp goes on reading a body, and says nothing
            assert "the session that this client borrowed is closed" in str(caught.value)
        await ct.aclose()


async def test_call_canceled_by_its_owner_while_the_client_is_closed_ends_as_canceled() -> None:
    async with ScriptedEnd(silence) as end:
        ct = client(end.url)
        call = asyncio.create_task(ct.users.list())
        await end.until_seen(1)
        call.cancel()
        await ct.aclose()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert call.cancelled()


async def test_trace_hook_may_close_the_client_it_belongs_to() -> None:
    traces = aiohttp.TraceConfig()

    async def close(*_: object) -> None:
        await ct.aclose()

    traces.on_request_start.append(close)
    async with ScriptedEnd() as end:
        ct = client(end.url, trace_configs=[traces])
        with pytest.raises(ClosedError):
            await ct.users.list()
    assert end.seen == []


@pytest.mark.parametrize("connect", [False, True])
async def test_task_that_cancels_itself_before_it_calls_ends_as_canceled(*, connect: bool) -> None:
    async with ScriptedEnd() as end, client(end.url) as ct:
        if connect:
            await ct.users.list()

        async def call() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await ct.users.list()

        calling = asyncio.create_task(call())
        await asyncio.wait([calling])
        assert calling.cancelled()
