"""Every endpoint over a real socket: its answers and its refusals."""

import base64
import io
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from yarl import URL

from connecttrade_async.sandbox import RefusalError, Sandbox, World
from connecttrade_async.sandbox.rest.cursors import Cursors
from connecttrade_async.sandbox.rest.endpoints import Call, RestContext, list_accounts

Fetch = Callable[..., Awaitable[tuple[int, Any]]]
Connect = Callable[..., Awaitable[str]]

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
USER_PATHS = ("/connections", "/accounts", "/balances", "/positions", "/orders", "/transactions")


async def test_users_live_and_die(fetch: Fetch) -> None:
    status, made = await fetch("POST", "/users", json={"user_id": "jane"})
    assert (status, set(made), made["user_id"]) == (200, {"user_id", "user_secret"}, "jane")
    assert await fetch("GET", "/users") == (200, [{"user_id": "jane"}])
    status, refused = await fetch("POST", "/users", json={"user_id": "jane"})
    assert (status, list(refused)) == (409, ["message"])
    assert await fetch("DELETE", "/users/jane") == (200, {"user_id": "jane", "deleted": True})
    assert (await fetch("DELETE", "/users/jane"))[0] == 404
    assert await fetch("GET", "/users") == (200, [])


@pytest.mark.parametrize(
    ("user_id", "path"),
    [("a b/c", "a%20b%2Fc"), ("50%", "50%25"), ("%2F", "%252F"), ("\u00e9?#", "%C3%A9%3F%23"), ("..", "%2E%2E")],
)
async def test_a_user_id_is_one_part_of_the_path(
    fetch: Fetch, sandbox: Sandbox, http: aiohttp.ClientSession, user_id: str, path: str
) -> None:
    await fetch("POST", "/users", json={"user_id": user_id})
    headers = {"client-id": sandbox.client_id, "client-secret": sandbox.client_secret}
    async with http.delete(URL(f"{sandbox.url}/users/{path}", encoded=True), headers=headers) as answer:
        assert await answer.json() == {"user_id": user_id, "deleted": True}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"user_id": 5}', b'{"user_id": ""}', b'{"user_id": "a\\nb"}'])
async def test_a_malformed_body_is_a_400(fetch: Fetch, body: bytes) -> None:
    status, refused = await fetch("POST", "/users", data=body)
    assert (status, list(refused)) == (400, ["message"])


@pytest.mark.parametrize("missing", ["client-id", "client-secret", "user-id", "user-secret"])
@pytest.mark.parametrize("wrong", ["", "wrong", "\u00e9"])
async def test_headers_missing_or_wrong_are_401(
    sandbox: Sandbox, http: aiohttp.ClientSession, missing: str, wrong: str
) -> None:
    jane = sandbox.world.create_user("jane")
    headers = {
        "client-id": sandbox.client_id,
        "client-secret": sandbox.client_secret,
        "user-id": "jane",
        "user-secret": jane.secret,
    }
    for path in USER_PATHS:
        async with http.get(sandbox.url + path, headers=headers | {missing: wrong}) as answer:
            body = await answer.text()
            assert (answer.status, list(json.loads(body))) == (401, ["message"])
            assert not any(secret in body for secret in (jane.secret, sandbox.client_secret))
    del headers[missing]
    async with http.get(f"{sandbox.url}/accounts", headers=headers) as answer:
        assert answer.status == 401


async def test_a_connection_from_request_to_deletion(fetch: Fetch, sandbox: Sandbox) -> None:
    sandbox.world.create_user("jane")
    sent = {"connection_type": "trade", "broker": "alpaca", "redirect_url": "https://app.example/done?a=b"}
    status, request = await fetch("POST", "/connections", "jane", json=sent)
    assert (status, request["expires_at"]) == (200, "2026-07-01T12:15:00.000000Z")
    assert await fetch("GET", "/accounts", "jane") == (200, [])
    back = await sandbox.approve(request["connection_request_url"])
    name = back.removeprefix("https://app.example/done?a=b&connection_id=")
    _, [connection] = await fetch("GET", "/connections", "jane")
    assert (connection["connection_id"], connection["broker"]) == (name, "ALPACA")
    assert len((await fetch("GET", "/accounts", "jane"))[1]) == 2
    assert (await fetch("DELETE", f"/connections/{name}", "jane"))[0] == 200
    assert (await fetch("DELETE", f"/connections/{name}", "jane"))[0] == 404
    assert await fetch("GET", "/accounts", "jane") == (200, [])


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"connection_type": "everything"}, 400),
        ({"connection_type": None}, 400),
        ({"redirect_url": "app.example"}, 400),
        ({"redirect_url": 5}, 400),
        ({"broker": "ROBINHOOD"}, 400),
        ({"broker": 5}, 400),
        ({"broker": "CHASE"}, 400),
    ],
)
async def test_a_connection_request_without_sense(
    fetch: Fetch, sandbox: Sandbox, change: dict[str, Any], status: int
) -> None:
    sandbox.world.create_user("jane")
    sent = {"connection_type": "trade", "redirect_url": "https://app.example/"} | change
    assert (await fetch("POST", "/connections", "jane", json=sent))[0] == status


async def test_a_login_of_another_user_is_a_409(fetch: Fetch, sandbox: Sandbox, connect: Connect) -> None:
    await connect("jane")
    sandbox.world.create_user("john").logins["ALPACA"] = "jane"
    sent = {"connection_type": "trade", "broker": "ALPACA", "redirect_url": "https://app.example/"}
    assert (await fetch("POST", "/connections", "john", json=sent))[0] == 409


async def test_without_entitlement_401(fetch: Fetch, sandbox: Sandbox, connect: Connect) -> None:
    name = await connect()
    sandbox.entitlements.trading = sandbox.entitlements.market_data = False
    for kind, status in (("trade", 401), ("market_data", 401), ("readonly", 200)):
        sent = {"connection_type": kind, "redirect_url": "https://app.example/"}
        assert (await fetch("POST", "/connections", "jane", json=sent))[0] == status
    assert (await fetch("GET", f"/connections/{name}/token", "jane"))[0] == 401
    assert (await fetch("POST", "/auth/tokens/user", "jane", json={"scopes": ["read", "trade"]}))[0] == 401
    assert (await fetch("POST", "/auth/tokens/user", "jane", json={"scopes": ["read"]}))[0] == 200


async def test_connection_token_is_issued_for_market_data_connections_only(fetch: Fetch, connect: Connect) -> None:
    name = await connect(kind="market_data")
    first, second = [(await fetch("GET", f"/connections/{name}/token", "jane"))[1] for _ in range(2)]
    assert first["access_token"] != second["access_token"]
    assert second["expires_at"] == "2026-07-02T12:00:00.000000Z"
    assert (await fetch("GET", "/connections/none/token", "jane"))[0] == 404
    for broker, kind in (("CHASE", "readonly"), ("ALPACA", "readonly"), ("ALPACA", "trade")):
        other = await connect("john", broker, kind)
        status, refused = await fetch("GET", f"/connections/{other}/token", "john")
        assert (status, kind in refused["message"]) == (400, True)


async def test_user_tokens_are_jwts_for_an_hour(fetch: Fetch, sandbox: Sandbox) -> None:
    sandbox.world.create_user("jane")
    _, answer = await fetch("POST", "/auth/tokens/user", "jane", json={"scopes": ["read", "trade"]})
    head, claims, _ = (part + "=" * (-len(part) % 4) for part in answer["access_token"].split("."))
    assert json.loads(base64.urlsafe_b64decode(head)) == {"alg": "HS256", "typ": "JWT"}
    read = json.loads(base64.urlsafe_b64decode(claims))
    assert (read["sub"], read["scope"], read["exp"] - read["iat"]) == ("jane", "read trade", 3600)
    assert read["iat"] == int(sandbox.clock.now().timestamp())
    for wrong in ([], ["trade"], ["read", "write"], "read", None, ["read", ["trade"]], ["read", "read"]):
        assert (await fetch("POST", "/auth/tokens/user", "jane", json={"scopes": wrong}))[0] == 400


async def test_other_peoples_data_is_not_there(fetch: Fetch, connect: Connect) -> None:
    name = await connect("jane")
    await connect("john")
    account = (await fetch("GET", "/accounts", "jane"))[1][0]["account_id"]
    for path in ("/accounts", "/balances", "/positions", "/orders", "/transactions"):
        mine = json.dumps((await fetch("GET", path, "john"))[1])
        assert account not in mine
        for query in (f"account_id={account}", f"connection_id={name}", "account_id=none", "connection_id=none"):
            status, refused = await fetch("GET", f"{path}?{query}", "john")
            assert (status, list(refused)) == (404, ["message"])
    assert (await fetch("DELETE", f"/connections/{name}", "john"))[0] == 404
    assert (await fetch("GET", f"/connections/{name}/token", "john"))[0] == 404


async def test_filters_by_account_connection_and_broker(fetch: Fetch, connect: Connect) -> None:
    alpaca, chase = await connect(), await connect("jane", "CHASE", "readonly")
    accounts = (await fetch("GET", "/accounts", "jane"))[1]
    assert [item["connection_id"] for item in accounts] == [alpaca, alpaca, chase, chase]
    assert len((await fetch("GET", "/accounts?broker=chase", "jane"))[1]) == 2
    assert (await fetch("GET", "/accounts?broker=PUBLIC", "jane"))[1] == []
    one = accounts[0]["account_id"]
    for path in ("/balances", "/positions", "/transactions"):
        found = (await fetch("GET", f"{path}?account_id={one}&connection_id={alpaca}", "jane"))[1]
        assert {item["account_id"] for item in found} == {one}
        assert (await fetch("GET", f"{path}?account_id={one}&connection_id={chase}", "jane"))[1] == []
    found = (await fetch("GET", "/positions?symbols=AAPL,IBM%2FB", "jane"))[1]
    assert [item["symbol"] for item in found] == ["AAPL", "IBM/B"] * 4
    assert (await fetch("GET", "/positions?symbols=", "jane"))[0] == 400


async def test_transactions_between_days(fetch: Fetch, connect: Connect) -> None:
    await connect()
    days = [item["date"] for item in (await fetch("GET", "/transactions", "jane"))[1]]
    assert days == sorted(days, reverse=True)
    some = (await fetch("GET", "/transactions?start_date=2026-01-01&end_date=2026-03-31", "jane"))[1]
    assert [item["date"] for item in some] == [day for day in days if "2026-01-01" <= day <= "2026-03-31"]
    for wrong in ("start_date=soon", "end_date=20260101", "start_date=2026-02-01&end_date=2026-01-01"):
        assert (await fetch("GET", f"/transactions?{wrong}", "jane"))[0] == 400


async def test_balances_follow_the_day(fetch: Fetch, sandbox: Sandbox, connect: Connect) -> None:
    await connect()
    before = (await fetch("GET", "/balances", "jane"))[1][0]
    sandbox.clock.advance(86_400)
    after = (await fetch("GET", "/balances", "jane"))[1][0]
    assert before["cash"] == after["cash"]
    assert before["equity"] != after["equity"]


async def test_unknown_paths_and_methods_answer_json(fetch: Fetch) -> None:
    assert await fetch("GET", "/nothing") == (404, {"message": "There is no /nothing here."})
    assert await fetch("PUT", "/orders") == (405, {"message": "/orders takes no PUT."})
    assert (await fetch("DELETE", "/accounts/a/orders"))[0] == 404


async def test_a_parameter_given_twice_is_a_400(fetch: Fetch, sandbox: Sandbox) -> None:
    sandbox.world.create_user("jane")
    assert (await fetch("GET", "/orders?limit=1&limit=2", "jane"))[0] == 400


async def test_a_body_too_large_is_refused_in_json(fetch: Fetch) -> None:
    status, refused = await fetch("POST", "/users", data=io.BytesIO(b" " * (2 << 20)))
    assert (status, list(refused)) == (413, ["message"])


async def test_same_seed_same_bytes_over_http(fetch: Fetch, sandbox: Sandbox, connect: Connect) -> None:
    await connect()
    async with Sandbox(seed=7) as other, aiohttp.ClientSession() as http:
        other.clock.hold(sandbox.clock.now())
        assert (other.client_id, other.client_secret) == (sandbox.client_id, sandbox.client_secret)
        jane = other.world.create_user("jane")
        link = other.world.invite(jane, "trade", "https://app.example/", other.clock.now())
        await other.approve(f"{other.url}/connect/{link.token}")
        headers = {"client-id": other.client_id, "client-secret": other.client_secret}
        headers |= {"user-id": "jane", "user-secret": jane.secret}
        for path in USER_PATHS:
            async with http.get(other.url + path, headers=headers) as answer:
                assert (200, await answer.json()) == await fetch("GET", path, "jane")


def test_an_endpoint_for_users_never_runs_without_one() -> None:
    world = World(7)
    desk = RestContext(world=world, cursors=Cursors("key"), signing_key="key")
    call = Call(desk=desk, path={}, query={}, body=b"", now=NOON, known=None)
    with pytest.raises(RefusalError, match="user-id and user-secret are required"):
        list_accounts(call)
