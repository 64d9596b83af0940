from __future__ import annotations

import asyncio
import contextvars
import copy
import gc
import pickle
import time
import weakref
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import msgspec
import pytest

from connecttrade_async import (
    ClosedError,
    ConfigurationError,
    ConnectTrade,
    Dialect,
    Endpoints,
    RequestTimeoutError,
    Retry,
    Secret,
    Timeouts,
)
from scripted_server import ScriptedEnd, answer, silence

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


async def test_inside_the_block_it_is_open_and_after_it_closed() -> None:
    async with ScriptedEnd() as end:
        async with ConnectTrade("client", "hush", endpoints=Endpoints(end.url)) as ct:
            assert repr(ct) == "<ConnectTrade 'client' OPEN 0 in flight, 0 waiting>"
            assert await ct.users.list() == []
        assert repr(ct) == "<ConnectTrade 'client' CLOSED 0 in flight, 0 waiting>"
        assert not ct.health().is_open
        with pytest.raises(ClosedError, match="this client is closed"):
            await ct.users.list()
        with pytest.raises(ClosedError):
            await ct.__aenter__()
        await ct.aclose()
    assert len(end.seen) == 1


async def test_it_may_be_closed_in_another_task_than_it_was_opened_in() -> None:
    async with ScriptedEnd() as end:
        ct = ConnectTrade("client", "hush", endpoints=Endpoints(end.url))
        context = contextvars.Context()
        await asyncio.create_task(ct.__aenter__(), context=context)
        await asyncio.create_task(ct.user("u", "whisper").balances.list())
        await asyncio.create_task(ct.aclose())


async def test_it_may_be_made_before_any_event_loop_runs() -> None:
    def make() -> ConnectTrade:
        return ConnectTrade("client", "hush")

    ct = await asyncio.to_thread(make)
    await ct.aclose()


async def test_a_client_that_was_never_used_closes_quietly() -> None:
    await ConnectTrade("client", "hush").aclose()


async def test_aclose_warns_about_connections_that_do_not_close_in_time(caplog: pytest.LogCaptureFixture) -> None:
    async with ScriptedEnd(answer()) as end:
        ct = ConnectTrade("client", "hush", endpoints=Endpoints(end.url), timeouts=Timeouts(close=1e-9))
        await ct.users.list()
        await ct.aclose()
        assert not ct.health().is_open
    assert caplog.messages == ["client connections still open after the close timeout"]
    assert vars(caplog.records[0])["timeout"] == 1e-9


async def test_options_make_a_view_that_shares_the_doors_and_closes_alone() -> None:
    async with ScriptedEnd(answer()) as end, ConnectTrade("client", "hush", endpoints=Endpoints(end.url)) as ct:
        view = ct.with_options(timeouts=Timeouts(call=0.05), retry=Retry(attempts=1))
        async with view:
            await view.user("u", "whisper").balances.list()
            await ct.user("u", "whisper").balances.list()
            assert end.links == 1
            assert ct.health().exchanges == view.health().exchanges == 2
            end.acts[:] = [silence]
            with pytest.raises(RequestTimeoutError, match=r"0\.05 s"):
                await view.user("u", "whisper").balances.list()
            end.acts[:] = [answer()]
        with pytest.raises(ClosedError):
            await view.user("u", "whisper").balances.list()
        assert await ct.user("u", "whisper").balances.list() == []


async def test_a_view_ends_with_its_client() -> None:
    ct = ConnectTrade("client", "hush")
    view = ct.with_options()
    await ct.aclose()
    assert not view.health().is_open
    with pytest.raises(ClosedError):
        await view.users.list()


async def test_a_borrowed_session_is_left_open() -> None:
    async with ScriptedEnd() as end, aiohttp.ClientSession() as http:
        async with ConnectTrade("client", "hush", endpoints=Endpoints(end.url), http=http) as ct:
            await ct.user("u", "whisper").balances.list()
        assert not http.closed
    [seen] = end.seen
    assert seen.headers["client-secret"] == "hush"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: ConnectTrade("", "hush"), "the client id must not be empty"),
        (lambda: ConnectTrade("client", ""), "the client secret must not be empty"),
        (lambda: ConnectTrade("client\n", "hush"), "the client id must not begin or end with white space"),
        (lambda: ConnectTrade("client", "hush").user("", "whisper"), "the user id must not be empty"),
        (lambda: ConnectTrade("client", "hush").user("u", ""), "the user secret must not be empty"),
        (
            lambda: ConnectTrade("client", "hush", endpoints=Endpoints(api="ftp://x")),
            "the api address must be https://",
        ),
    ],
)
def test_invalid_credentials_are_rejected_at_construction(make: Callable[[], object], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        make()


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"retry": 3}, "retry must be Retry"),
        ({"timeouts": 30}, "timeouts must be Timeouts"),
        ({"limits": 5}, "limits must be Limits"),
        ({"endpoints": "http://x"}, r'endpoints must be Endpoints\("https://\.\.\."\), got str$'),
        ({"endpoints": ""}, r'endpoints must be Endpoints\("https://\.\.\."\), got str$'),
        ({"endpoints": 5}, r"endpoints must be Endpoints\(\.\.\.\), or have an api address, got int$"),
        ({"clock": 3}, r"clock must have now\(\), wall\(\) and call_later\(\), as a Clock has, got int$"),
        ({"clock": 0}, "clock must have"),
        ({"clock": time}, "clock must have .* got module$"),
        ({"http": "x"}, "http must be an aiohttp.ClientSession"),
        ({"trace_configs": [1]}, "trace_configs must be a list"),
        ({"trace_configs": 5}, "trace_configs must be a list"),
    ],
)
def test_settings_of_a_wrong_type_are_rejected_at_construction(settings: Any, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        ConnectTrade("client", "hush", **settings)


@pytest.mark.parametrize("client_id", [None, 5, b"client"])
def test_an_id_that_is_no_text_is_refused(client_id: Any) -> None:
    with pytest.raises(ConfigurationError, match="the client id must be text"):
        ConnectTrade(client_id, "hush")


def test_options_of_another_kind_are_refused() -> None:
    options: Any = {"retry": 3}
    with pytest.raises(ConfigurationError, match="retry must be Retry"):
        ConnectTrade("client", "hush").with_options(**options)


async def test_what_cannot_be_asked_by_hand_is_refused() -> None:
    async with ScriptedEnd() as end, ConnectTrade("client", "hush", endpoints=Endpoints(end.url)) as ct:
        for method in ("FOO", "GET /x\r\nA: b", ""):
            with pytest.raises(ConfigurationError, match="method must be one of"):
                await ct.request(method, "/accounts")
        with pytest.raises(ConfigurationError, match="json must have a form in JSON"):
            await ct.request("POST", "/accounts", json={"a": object()})
        assert end.seen == []


ASKED_AMISS: list[tuple[Callable[[Any], Awaitable[object]], str]] = [
    (lambda ct: ct.users.create(3), "user_id must be text, got int"),
    (lambda ct: ct.users.delete(b"ada"), "user_id must be text, got bytes"),
    (lambda ct: ct.user("ada", "whisper").connections.delete(3), "connection_id must be text, got int"),
    (lambda ct: ct.user("ada", "whisper").connections.token(3), "connection_id must be text, got int"),
    (
        lambda ct: ct.user("ada", "whisper").orders.cancel(account_id=3, order_id="o"),
        "account_id must be text, got int",
    ),
    (lambda ct: ct.request(3, "/users"), "method must be text, got int"),
    (lambda ct: ct.request("GET", 3), "path must be text, got int"),
    (lambda ct: ct.request("GET", "/orders", params="symbols=AAPL"), "params must be a mapping"),
]


@pytest.mark.parametrize(("ask", "says"), ASKED_AMISS)
async def test_an_argument_of_another_kind_is_refused_before_anything_is_asked(
    ask: Callable[[Any], Awaitable[object]], says: str
) -> None:
    async with ScriptedEnd() as end, ConnectTrade("client", "hush", endpoints=Endpoints(end.url)) as ct:
        with pytest.raises(ConfigurationError, match=says):
            await ask(ct)
        assert end.seen == []


async def test_a_client_belongs_to_the_loop_it_was_first_used_in() -> None:
    async with ScriptedEnd() as end, ConnectTrade("client", "hush", endpoints=Endpoints(end.url)) as ct:
        await ct.users.list()

        def elsewhere() -> None:
            asyncio.run(ct.user("u", "whisper").orders.find("x"))

        with pytest.raises(ConfigurationError, match="another event loop"):
            await asyncio.to_thread(elsewhere)
        await ct.users.list()


def test_from_env_and_what_goes_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "CONNECTTRADE_CLIENT_ID": "client",
        "CONNECTTRADE_CLIENT_SECRET": "hush",
        "CONNECTTRADE_API_URL": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    assert ConnectTrade.from_env().client_id == "client"
    assert ConnectTrade.from_env(client_id="other").client_id == "other"
    monkeypatch.delenv("CONNECTTRADE_CLIENT_SECRET")
    with pytest.raises(ConfigurationError, match="set CONNECTTRADE_CLIENT_SECRET in the environment"):
        ConnectTrade.from_env()
    monkeypatch.setenv("CONNECTTRADE_API_URL", "nonsense")
    with pytest.raises(ConfigurationError, match="the api address"):
        ConnectTrade.from_env(client_secret="hush")
    monkeypatch.delenv("CONNECTTRADE_CLIENT_ID")
    assert ConnectTrade.from_env(client_id="c", client_secret="hush", endpoints=Endpoints()).client_id == "c"


def test_clients_and_users_do_not_travel_in_pickles() -> None:
    ct = ConnectTrade("client", "hush")
    for thing in (ct, ct.user("u", Secret("whisper"))):
        with pytest.raises(TypeError, match="create a client in each process"):
            pickle.dumps(thing)
        with pytest.raises(TypeError, match="create a client in each process"):
            copy.deepcopy(thing)


async def test_health_is_plain_json() -> None:
    async with ScriptedEnd(answer(500, b"{}")) as end, ConnectTrade("c", "hush", endpoints=Endpoints(end.url)) as ct:
        with pytest.raises(Exception, match="500"):
            await ct.users.list()
        health = msgspec.json.decode(msgspec.json.encode(ct.health()))
    assert health == {
        "is_open": True,
        "in_flight": 0,
        "waiting": 0,
        "exchanges": 1,
        "retries": 0,
        "failures": 1,
        "consecutive_failures": 0,
        "last_error": "GET /users answered 500: Internal Server Error",
        "unread": {},
    }


async def test_every_filter_reaches_the_wire() -> None:
    async with ScriptedEnd() as end, ConnectTrade("client", "hush", endpoints=Endpoints(end.url)) as ct:
        user = ct.user("u", "whisper")
        await user.accounts.list(connection_id="c", broker="ALPACA", extra={"new": "1"})
        await user.balances.list(account_id="a", connection_id="c")
        await user.positions.list(account_id="a", connection_id="c", symbols=["BRK/B", "IBMpA"])
        await user.positions.list(symbols="AAPL,MSFT")
        await user.orders.list(
            status="closed",
            account_id="a",
            connection_id="c",
            symbols=("AAPL",),
            side="BUY",
            start_time="2026-01-01T00:00:00Z",
            end_time="2026-02-01T00:00:00Z",
            sort="asc",
            limit=500,
        )
        await user.transactions.list(account_id="a", connection_id="c", start_date="2026-01-01", end_date="2026-02-01")
    assert [seen.target for seen in end.seen] == [
        "/accounts?connection_id=c&broker=ALPACA&new=1",
        "/balances?account_id=a&connection_id=c",
        "/positions?account_id=a&connection_id=c&symbols=BRK%2FB,IBMpA",
        "/positions?symbols=AAPL,MSFT",
        (
            "/orders?status=closed&account_id=a&connection_id=c&symbols=AAPL&side=BUY"
            "&start_time=2026-01-01T00%3A00%3A00Z&end_time=2026-02-01T00%3A00%3A00Z&sort=asc&limit=500"
        ),
        "/transactions?account_id=a&connection_id=c&start_date=2026-01-01&end_date=2026-02-01",
    ]


async def test_every_body_reaches_the_wire() -> None:
    body = b'{"user_id":"u","user_secret":"s","access_token":"t","connection_request_url":"https://x"}'
    async with ScriptedEnd(answer(200, body)) as end, ConnectTrade("c", "hush", endpoints=Endpoints(end.url)) as ct:
        user = ct.user("u", "whisper")
        await ct.users.create("u 1")
        await user.connections.create("trade", redirect_url="https://app.example/done", broker="ALPACA")
        await user.connections.create("readonly", redirect_url="https://app.example/done")
        await user.connections.token("c/1")
        await user.connections.delete("c/1")
        await user.tokens.create()
        await user.tokens.create("read", "trade")
        with pytest.raises(ConfigurationError, match="once"):
            await user.tokens.create("read", "read")
        with pytest.raises(ConfigurationError, match="each scope must be text"):
            await user.tokens.create(cast("Any", ["read", "trade"]))
    assert [(seen.method, seen.target, seen.body.decode()) for seen in end.seen] == [
        ("POST", "/users", '{"user_id":"u 1"}'),
        (
            "POST",
            "/connections",
            '{"connection_type":"trade","redirect_url":"https://app.example/done","broker":"ALPACA"}',
        ),
        ("POST", "/connections", '{"connection_type":"readonly","redirect_url":"https://app.example/done"}'),
        ("GET", "/connections/c%2F1/token", ""),
        ("DELETE", "/connections/c%2F1", ""),
        ("POST", "/auth/tokens/user", '{"scopes":["read"]}'),
        ("POST", "/auth/tokens/user", '{"scopes":["read","trade"]}'),
    ]
    assert [("user-id" in seen.headers) for seen in end.seen] == [False, *[True] * 6]


async def test_times_as_values_and_days_of_times() -> None:
    async with ScriptedEnd() as end, ConnectTrade("c", "hush", endpoints=Endpoints(end.url)) as ct:
        user = ct.user("u", "whisper")
        await user.orders.list(start_time=datetime(2026, 1, 1, 9, 30, tzinfo=timezone(timedelta(hours=-5))))
        await user.transactions.list(start_date=date(2026, 1, 1), end_date=datetime(2026, 2, 1, 23, 0, tzinfo=UTC))
        with pytest.raises(ConfigurationError, match="start_time must have a time zone"):
            user.orders.list(start_time=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the mistake
    assert [seen.target for seen in end.seen] == [
        "/orders?start_time=2026-01-01T14%3A30%3A00Z",
        "/transactions?start_date=2026-01-01&end_date=2026-02-01",
    ]


def test_endpoints_without_a_stream_address_serve_rest_and_reject_streams() -> None:
    class OnlyRest:
        api = "http://127.0.0.1:9"

    ct = ConnectTrade("client", "hush", endpoints=OnlyRest())
    with pytest.raises(ConfigurationError, match="endpoints must have a stream address, got none"):
        ct.brokerage_stream()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"topics": ()}, "topics must be one or more of orders"),
        ({"topics": ["quotes"]}, "topics must be one or more of orders"),
        ({"on_taken": "cry"}, "on_taken must be one of stop, standby, retake"),
    ],
)
def test_a_stream_that_cannot_be_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        ConnectTrade("client", "hush").brokerage_stream(**options)


async def test_an_object_that_holds_its_client_and_is_its_callback_is_freed_with_it() -> None:
    class App:
        def __init__(self, url: str) -> None:
            config = aiohttp.TraceConfig()
            config.on_request_start.append(self.told)
            self.ct = ConnectTrade("client", "hush", endpoints=Endpoints(url), trace_configs=[config])
            self.users = self.ct.users
            self.paths: list[str] = []

        async def told(self, session: object, context: object, params: aiohttp.TraceRequestStartParams) -> None:
            del session, context
            self.paths.append(params.url.path)

    async with ScriptedEnd() as end:
        app = App(end.url)
        await app.users.list()
        assert app.paths == ["/users"]
        await app.ct.aclose()
    seen = weakref.ref(app)
    del app
    gc.collect()
    assert seen() is None


def test_client_takes_a_dialect_or_the_path_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "wire.toml"
    Dialect.default.dump(file, full=True)
    for dialect in (None, Dialect.default, file, str(file)):
        assert ConnectTrade("client", "hush", dialect=dialect).client_id == "client"
    file.write_text("[brokerage]\ntag = 1\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"^brokerage\.tag must be text, got int$"):
        ConnectTrade("client", "hush", dialect=file)


@pytest.mark.parametrize("dialect", ["", 3, {}], ids=repr)
def test_client_with_another_dialect_is_refused(dialect: Any) -> None:
    expected = rf"^dialect must be Dialect\(\.\.\.\) or the path of a file, got {type(dialect).__name__}$"
    with pytest.raises(ConfigurationError, match=expected):
        ConnectTrade("client", "hush", dialect=dialect)
