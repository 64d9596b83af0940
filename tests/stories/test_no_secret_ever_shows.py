"""The canary: secrets that are carried through every path, and looked for in everything that comes out."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import logging
import pickle
import traceback
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from rich.pretty import pretty_repr

from connecttrade_async import (
    APIError,
    AuthenticationError,
    ConnectTrade,
    ConnectTradeError,
    Endpoints,
    MalformedResponseError,
    Retry,
    Timeouts,
    TransportError,
    User,
)
from connecttrade_async.sandbox import Sandbox
from error_frames import captured
from scripted_server import Act, ScriptedEnd, answer, drop, raw, reset, silence, stalled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# Module level, so that no frame of a test holds them as a local variable.
CLIENT = "canaryclientsecret0123456789"
USER = "canaryusersecret0123456789"
NEW = "canarynewsecret0123456789"
CANARIES = (CLIENT, USER, NEW)

ECHO = json.dumps({"message": f"bad header client-secret: {CLIENT}, user-secret: {USER}", "user_secret": NEW})
PAGE = f"<html>{CLIENT} user-secret: {USER}</html>"
ANSWERS: dict[str, Act] = {
    "fine": answer(200, json.dumps({"user_id": "u", "user_secret": NEW, "access_token": NEW})),
    "fine, the other spelling": answer(200, json.dumps({"user_id": "u", "user-secret": NEW, "access_token": NEW})),
    "of the wrong shape": answer(200, json.dumps([{"user_secret": NEW, "access_token": NEW, "symbol": True}])),
    "cut in the middle of a secret": answer(200, '{"user_id": "u", "user_secret": "' + NEW[:20]),
    "a secret of the wrong kind": answer(200, json.dumps({"user_id": "u", "user_secret": [NEW], "token": [NEW]})),
    "a secret under another name": answer(200, json.dumps({"user": {"id": "u", "jwt": NEW, "value": [NEW]}})),
    "a secret in a list": answer(200, json.dumps([NEW])),
    "a secret as bare text": answer(200, NEW, content_type="text/plain"),
    "a secret as a text of JSON": answer(200, json.dumps(NEW)),
    "a secret as a name": answer(200, json.dumps({NEW: True})),
    "a refusal without words": answer(500, json.dumps({"jwt": NEW, "key": [NEW]})),
    "a page that echoes": answer(200, PAGE, content_type="text/html"),
    "torn": answer(200, ECHO, declared=5000),
    "stalled": stalled(ECHO),
    "400 that echoes": answer(400, ECHO),
    "401 that echoes": answer(401, ECHO),
    "409": answer(409, ECHO),
    "429": answer(429, ECHO, retry_after="0"),
    "500": answer(500, PAGE),
    "503 and more patience": answer(503, ECHO, retry_after="0"),
    "a redirect that echoes": answer(302, b"", location=f"https://elsewhere.example/{CLIENT}?s={USER}"),
    "no HTTP": raw(f"{CLIENT} user-secret: {USER}\r\n\r\n".encode()),
    "dropped": drop,
    "reset": reset,
    "silence": silence,
}
# No rule distinguishes these forms from plain values: where a response may have a secret, only its shape is quoted.
UNNAMED = {name for name in ANSWERS if name.startswith(("a secret ", "a refusal without words"))}
LISTINGS = {"list users", "positions", "a page of orders"}
CALLS: dict[str, Callable[[ConnectTrade, User], Awaitable[object]]] = {
    "create a user": lambda ct, _: ct.users.create("u"),
    "list users": lambda ct, _: ct.users.list(),
    "delete a user": lambda ct, _: ct.users.delete("u"),
    "make a token": lambda _, user: user.tokens.create("read"),
    "token of a connection": lambda _, user: user.connections.token("c"),
    "positions": lambda _, user: user.positions.list(),
    "a page of orders": lambda _, user: one_page(user),
    "make a connection": lambda _, user: user.connections.create("trade", redirect_url="https://app.example/done"),
    "by hand": lambda _, user: user.request("POST", "/x", json={}),
}


async def one_page(user: User) -> object:
    return await user.orders.list(status="all")


def forms_of(thing: Any) -> str:
    """Everything that a program prints, logs, stores or sends of a thing without meaning to show what is in it."""
    forms = [repr(thing), str(thing), f"{thing}", f"{[thing]!r}", repr(copy.copy(thing)), pretty_repr(thing)]
    try:
        forms.append(repr(pickle.dumps(thing)))
    except (TypeError, pickle.PicklingError, AttributeError) as exc:
        forms.append(repr(exc))
    if isinstance(thing, BaseException):
        report = traceback.TracebackException.from_exception(thing, capture_locals=True)
        forms.extend(("".join(report.format()), captured(thing)))
    return "\n".join(forms)


def no_canary_in(text: str) -> None:
    for canary in CANARIES:
        for part in (canary, canary[:16]):
            assert part not in text, text[max(0, text.index(part) - 400) : text.index(part) + 80]


@pytest.mark.parametrize(
    ("call", "act"),
    [
        pytest.param(call, act, id=f"{name} {what}")
        for name, call in CALLS.items()
        for what, act in ANSWERS.items()
        if not (name in LISTINGS and what in UNNAMED)
    ],
)
async def test_nothing_that_comes_out_shows_a_secret(
    call: Callable[[ConnectTrade, User], Awaitable[object]],
    act: Act,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    settings: Any = {"timeouts": Timeouts(call=0.05), "retry": Retry(attempts=2, base=0.001)}
    async with ScriptedEnd(act) as end:
        ct = ConnectTrade("client", CLIENT, endpoints=Endpoints(end.url), **settings)
        user = ct.user("u", USER)
        outcome: object
        try:
            outcome = await call(ct, user)
        except ConnectTradeError as exc:
            outcome = exc
        await ct.aclose()
        for thing in (outcome, ct, user, ct.health(), ct._sender.transport._headers):
            no_canary_in(forms_of(thing))
        no_canary_in(msgspec.json.encode(ct.health()).decode())
    del ct, user, outcome
    gc.collect()
    records = "\n".join(f"{record.getMessage()} {record.__dict__!r}" for record in caplog.records)
    no_canary_in(records)
    captured = capfd.readouterr()
    no_canary_in(captured.out + captured.err)


@pytest.mark.parametrize("steps", [0, 1, 5, 20, 50])
async def test_a_call_that_is_cancelled_in_the_middle_of_an_answer_shows_none(steps: int) -> None:
    async with ScriptedEnd(stalled(ECHO)) as end, ConnectTrade("client", CLIENT, endpoints=Endpoints(end.url)) as ct:
        asking = asyncio.create_task(ct.user("u", USER).tokens.create("read"))
        await end.until_seen(1)
        for _ in range(steps):
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await asking
    no_canary_in(forms_of(caught.value))


async def test_a_time_out_of_the_caller_s_own_shows_none() -> None:
    async with ScriptedEnd(stalled(ECHO)) as end, ConnectTrade("client", CLIENT, endpoints=Endpoints(end.url)) as ct:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.05):
                await ct.user("u", USER).tokens.create("read")
    no_canary_in(forms_of(caught.value))


READABLE: dict[str, Any] = {
    "nested": {"user": {"user_id": "u", "user_secret": NEW}},
    "under another name": {"user_id": "u", "userSecret": NEW},
    "without the name of the user": {"user_secret": NEW},
    "in a list": [{"user_id": "u", "user_secret": NEW}],
}
NEW_USERS: dict[str, bytes] = {
    "twice": json.dumps([{"user_id": "u", "user_secret": NEW}] * 2).encode(),
    "under an unknown name": json.dumps({"user_id": "u", "key": NEW}).encode(),
    "beside an error": json.dumps({"error": "x", "user": {"user_id": "u", "user_secret": NEW}}).encode(),
    "as bare text": NEW.encode(),
    "of the wrong kind": json.dumps({"user_id": "u", "user_secret": [NEW]}).encode(),
}


@pytest.mark.parametrize("form", READABLE)
async def test_a_new_user_s_secret_is_read_in_any_form_and_shows_in_none(form: str) -> None:
    act = answer(201, json.dumps(READABLE[form]))
    async with ScriptedEnd(act) as end, ConnectTrade("client", CLIENT, endpoints=Endpoints(end.url)) as ct:
        user = await ct.users.create("u")
    assert (user.user_id, user.user_secret.reveal()) == ("u", NEW)
    assert NEW not in f"{user!r} {user}"


@pytest.mark.parametrize("form", NEW_USERS)
@pytest.mark.parametrize("status", [200, 201, 409, 500])
async def test_a_new_user_s_secret_can_be_read_whatever_form_the_answer_has(form: str, status: int) -> None:
    async with ScriptedEnd(answer(status, NEW_USERS[form])) as end:
        async with ConnectTrade("client", CLIENT, endpoints=Endpoints(end.url)) as ct:
            with pytest.raises((MalformedResponseError, APIError)) as caught:
                await ct.users.create("u")
        error: Any = caught.value
        assert error.response.status == status
        assert error.response.body == NEW_USERS[form]
        no_canary_in(forms_of(error))
        assert pickle.loads(pickle.dumps(error)).response is None  # noqa: S301 - our own


async def test_a_page_of_orders_of_the_wrong_shape_shows_none_in_its_excerpt() -> None:
    async with (
        ScriptedEnd(ANSWERS["of the wrong shape"]) as end,
        ConnectTrade("client", CLIENT, endpoints=Endpoints(end.url)) as ct,
    ):
        with pytest.raises(MalformedResponseError) as caught:
            await ct.user("u", USER).positions.list()
    assert caught.value.where == "$[0].symbol"
    assert "***" in caught.value.excerpt
    no_canary_in(forms_of(caught.value))


@pytest.mark.parametrize("kind", [bytes, list, str])
async def test_a_token_that_cannot_be_used_is_in_no_frame_of_the_library(kind: Any) -> None:
    async def source() -> Any:
        return {bytes: NEW.encode(), list: [NEW], str: NEW + "\n"}[kind]

    async with ConnectTrade("client", CLIENT, endpoints=Endpoints(market_data="ws://127.0.0.1:9")) as ct:
        with pytest.raises(ConnectTradeError, match=r"must be text|white space") as caught:
            async with ct.user("u", USER).market_data("c", token_source=source):
                pytest.fail("the token was taken")
    no_canary_in(forms_of(caught.value))


@pytest.mark.parametrize("kind", [ValueError, AuthenticationError, asyncio.CancelledError, TimeoutError])
async def test_a_token_source_that_fails_shows_where_and_none_of_its_variables(kind: type[BaseException]) -> None:
    async def source() -> str:
        token = NEW
        if kind is TimeoutError:
            await asyncio.sleep(60)
        if kind is AuthenticationError:
            raise AuthenticationError(method="GET", path="/token", status=401, message="no")
        if len(token) > 1:
            raise kind
        return token

    ct = ConnectTrade(
        "client", CLIENT, endpoints=Endpoints(market_data="ws://127.0.0.1:9"), timeouts=Timeouts(call=0.05)
    )
    async with ct:
        with pytest.raises(ConnectTradeError) as caught:
            async with ct.user("u", USER).market_data("c", token_source=source):
                pytest.fail("the source failed")
    no_canary_in(forms_of(caught.value))
    if kind is not TimeoutError:
        assert "in source" in "".join(traceback.format_exception(caught.value))


UNREACHABLE: dict[str, dict[str, Any]] = {
    "refused": {"endpoints": Endpoints("http://127.0.0.1:1")},
    "no TLS": {"endpoints": Endpoints("https://127.0.0.1:1")},
    "name": {"endpoints": Endpoints("https://nowhere.invalid")},
    "proxy with a login": {"proxy": f"http://user:{NEW}@127.0.0.1:1"},
}


@pytest.mark.parametrize("where", UNREACHABLE)
@pytest.mark.parametrize("call", CALLS)
async def test_no_frame_of_a_connection_that_fails_shows_one(where: str, call: str) -> None:
    async with ConnectTrade("client", CLIENT, retry=Retry(attempts=1), **UNREACHABLE[where]) as ct:
        with pytest.raises(TransportError) as caught:
            await CALLS[call](ct, ct.user("u", USER))
    no_canary_in(forms_of(caught.value))


@pytest.mark.parametrize("ending", ["\n", "\r\nx: y", "é"])
def test_a_secret_that_is_refused_is_in_no_frame(ending: str) -> None:
    for make in (
        lambda: ConnectTrade("client", CLIENT + ending),
        lambda: ConnectTrade("client", "fine").user("u", USER + ending),
    ):
        with pytest.raises(ConnectTradeError) as caught:
            make()
        no_canary_in(forms_of(caught.value))


def test_a_secret_in_the_environment_is_in_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTTRADE_CLIENT_ID", "client")
    monkeypatch.setenv("CONNECTTRADE_CLIENT_SECRET", CLIENT + "\n")
    with pytest.raises(ConnectTradeError) as caught:
        ConnectTrade.from_env()
    no_canary_in(forms_of(caught.value))
    monkeypatch.setenv("CONNECTTRADE_CLIENT_SECRET", CLIENT)
    no_canary_in(forms_of(ConnectTrade.from_env()))


async def test_the_secrets_do_arrive_where_they_should() -> None:
    """Shows that the canaries above were really carried."""
    async with ScriptedEnd() as end, ConnectTrade("client", CLIENT, endpoints=Endpoints(end.url)) as ct:
        await ct.user("u", USER).balances.list()
        [seen] = end.seen
        assert (seen.headers["client-secret"], seen.headers["user-secret"]) == (CLIENT, USER)
    async with (
        Sandbox(seed=1) as sandbox,
        ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct,
    ):
        new = await ct.users.create("u")
        assert new.user_secret.reveal() not in forms_of(new)
        assert await ct.user("u", new.user_secret).accounts.list() == []
