"""What goes wrong in the first hour: each is a typed error with a clear sentence, and the client goes on."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from connecttrade_async import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    ConnectTrade,
    ConnectTradeError,
    Endpoints,
    MalformedResponseError,
    Retry,
    TransportError,
)
from connecttrade_async.sandbox import Fault, Sandbox
from scripted_server import ScriptedEnd, answer, untrusted_end

ONCE = Retry(attempts=1)


async def still_usable(ct: ConnectTrade) -> None:
    """Nothing is held any more, and the next call is answered."""
    health = ct.health()
    assert (health.is_open, health.in_flight, health.waiting) == (True, 0, 0)
    await ct.users.list()


async def test_a_wrong_client_secret() -> None:
    async with Sandbox(seed=1) as sandbox:
        async with ConnectTrade(sandbox.client_id, "wrong", endpoints=sandbox.endpoints) as ct:
            with pytest.raises(AuthenticationError, match=r"GET /users answered 401: .+ \(the credentials are wrong"):
                await ct.users.list()
        async with ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct:
            with pytest.raises(AuthenticationError):
                await ct.user("nobody", "wrong").balances.list()
            await still_usable(ct)


async def test_an_unreachable_host() -> None:
    async with ScriptedEnd() as end:
        url = end.url
    async with ConnectTrade("client", "hush", endpoints=Endpoints(url), retry=ONCE) as ct:
        with pytest.raises(ConnectError, match=r"nothing listens at .*: check the address"):
            await ct.users.list()


async def test_a_request_to_a_server_with_an_untrusted_certificate_is_not_retried() -> None:
    with untrusted_end() as url:
        async with ConnectTrade("client", "hush", endpoints=Endpoints(url)) as ct:
            with pytest.raises(ConnectError, match="no secure connection"):
                await ct.users.list()
            assert ct.health().exchanges == 1


@pytest.mark.parametrize(
    ("body", "clue"),
    [
        (b"<html><body>Welcome to the proxy</body></html>", "text/html"),
        (b'[{"user_id": "a"}, {"user_id"', r"\(application/json, 29 bytes\)"),
        (b"\xff" * 10_000_000, "10000000 bytes"),
        (b'[{"x": ' + b"[" * 1_000_000, "1000007 bytes"),
        (b"", "the body is empty"),
        (b'{"users": [], "rows": []}', r" at \$; it begins"),
        (b'[{"user_id": "a"}, {"user_id": true}]', r"at \$\[1\]\.user_id"),
        (b"[{}]", r" at \$\[0\]; it begins"),
    ],
)
async def test_a_body_that_cannot_be_read(body: bytes, clue: str) -> None:
    kind = "text/html" if b"html" in body else "application/json"
    async with (
        ScriptedEnd(answer(200, body, content_type=kind), answer()) as end,
        ConnectTrade("client", "hush", endpoints=Endpoints(end.url)) as ct,
    ):
        with pytest.raises(MalformedResponseError, match=clue) as caught:
            await ct.users.list()
        assert len(str(caught.value)) < 500
        await still_usable(ct)


async def test_where_in_a_body_the_shape_is_wrong() -> None:
    rows = b'[{"symbol": "A"}, {"symbol": "B"}, {"symbol": "C"}, {"symbol": "D", "quantity": ["1"]}]'
    async with (
        ScriptedEnd(answer(200, rows)) as end,
        ConnectTrade("client", "hush", endpoints=Endpoints(end.url)) as ct,
    ):
        with pytest.raises(MalformedResponseError) as caught:
            await ct.user("u", "whisper").positions.list()
    assert caught.value.where == "$[3].quantity"
    assert caught.value.request == "GET /positions"


async def test_one_odd_number_hides_nothing_else() -> None:
    rows = b'[{"symbol": "A", "quantity": "12,5", "last_price": "1.10"}, {"symbol": "B", "quantity": "2"}]'
    async with (
        ScriptedEnd(answer(200, rows)) as end,
        ConnectTrade("client", "hush", endpoints=Endpoints(end.url)) as ct,
    ):
        odd, fine = await ct.user("u", "whisper").positions.list()
    assert str(odd.last_price) == "1.10"
    assert fine.quantity == 2
    with pytest.raises(MalformedResponseError, match=r"not a number at Position\.quantity.*12,5"):
        _ = odd.quantity


@pytest.mark.parametrize("name", ["a/b", "a b", "../admin", "a%2Fb", "a?b#c", "ünï", "a;b=c&d"])
async def test_a_user_id_with_any_characters_is_quoted(name: str) -> None:
    async with (
        Sandbox(seed=1) as sandbox,
        ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct,
    ):
        await ct.users.create("bystander")
        await ct.users.create(name)
        assert {record.user_id for record in await ct.users.list()} == {"bystander", name}
        await ct.users.delete(name)
        assert [record.user_id for record in await ct.users.list()] == ["bystander"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(name=st.text(min_size=1, max_size=20).filter(lambda text: text not in {".", ".."}))
async def test_whatever_the_user_id_one_path_is_asked_for(name: str) -> None:
    async with (
        ScriptedEnd(answer(200, b"{}")) as end,
        ConnectTrade("client", "hush", endpoints=Endpoints(end.url)) as ct,
    ):
        try:
            await ct.users.delete(name)
        except ConfigurationError:
            assert end.seen == []
        else:
            assert [seen.target for seen in end.seen] == [f"/users/{quote(name, safe='')}"]


@pytest.mark.parametrize("name", ["", ".", ".."])
async def test_a_user_id_that_would_be_another_path_is_refused(name: str) -> None:
    async with ScriptedEnd() as end, ConnectTrade("client", "hush", endpoints=Endpoints(end.url)) as ct:
        with pytest.raises(ConfigurationError, match="user_id must be neither empty"):
            await ct.users.delete(name)
        with pytest.raises(ConfigurationError, match="user_id must be neither empty"):
            await ct.users.create(name)
        assert end.seen == []
        await still_usable(ct)


@pytest.mark.parametrize("ending", ["\n", "\r\nx-admin: 1", "\x00", " ", "\u2028", "é"])
async def test_a_secret_that_would_inject_a_header_is_refused(ending: str) -> None:
    async with ScriptedEnd() as end, ConnectTrade("client", "hush", endpoints=Endpoints(end.url)) as ct:
        with pytest.raises(ConfigurationError, match="the user secret"):
            ct.user("u", "whisper" + ending)
        with pytest.raises(ConfigurationError, match="the client secret"):
            ConnectTrade("client", "hush" + ending)
        if ending != "é":
            with pytest.raises(ConfigurationError, match="the user id"):
                ct.user("u" + ending, "whisper")
        assert end.seen == []
        await still_usable(ct)


@pytest.mark.parametrize(
    "path", ["users", "//evil.example/x y", "/a?b=c", "/a#b", "/a\r\nb", "", "https://evil.example/"]
)
async def test_a_path_by_hand_cannot_leave_the_api(path: str) -> None:
    async with ScriptedEnd() as end, ConnectTrade("client", "hush", endpoints=Endpoints(end.url)) as ct:
        with pytest.raises(ConfigurationError, match="must begin with / and be quoted"):
            await ct.request("GET", path)
        assert end.seen == []
        await still_usable(ct)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="status", status=500),
        Fault(kind="status", status=429, retry_after="0"),
        Fault(kind="html", status=502),
        Fault(kind="html", status=200),
        Fault(kind="reset"),
        Fault(kind="reset", when="after"),
        Fault(kind="cut_body"),
        Fault(kind="drop"),
        Fault(kind="huge"),
        Fault(kind="redirect"),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status or fault.when}",
)
async def test_every_fault_of_the_sandbox_is_a_typed_error_and_then_over(fault: Fault) -> None:
    async with (
        Sandbox(seed=1) as sandbox,
        ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints, retry=ONCE) as ct,
    ):
        sandbox.faults.add(fault)
        with pytest.raises((APIError, TransportError, MalformedResponseError)) as caught:
            await ct.users.list()
        assert isinstance(caught.value, ConnectTradeError)
        assert "\n" not in str(caught.value)
        await still_usable(ct)
