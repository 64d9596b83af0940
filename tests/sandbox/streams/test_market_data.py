"""The market-data stream's conversation, frame by frame, as the wire contract has it."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from connecttrade_async.sandbox import MarketDataSessionInfo, Sandbox, Subscription

Dial = Callable[..., Awaitable[ClientConnection]]
Mint = Callable[..., Awaitable[str]]
Fetch = Callable[..., Awaitable[tuple[int, Any]]]
ALL_CHANNELS = "channel must be one of quotes, trades, bars, depth, options_chain."


async def read(link: ClientConnection) -> Any:
    async with asyncio.timeout(5):
        return json.loads(await link.recv())


async def send_action(link: ClientConnection, action: str, **members: object) -> Any:
    await link.send(json.dumps({"action": action, **members}))
    return await read(link)


async def end_of(link: ClientConnection) -> int | None:
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionClosed):
            await link.recv()
    return link.protocol.close_code


async def test_from_the_welcome_to_a_quote(sandbox: Sandbox, dial: Dial, mint: Mint) -> None:
    link = await dial(at="market_data")
    welcome = await read(link)
    assert (welcome.keys(), welcome["type"]) == ({"type", "message"}, "welcome")
    assert sandbox.market.sessions == (MarketDataSessionInfo(1, "welcomed", "", "", 0, is_live=False, is_frozen=False),)
    assert await send_action(link, "authenticate", access_token=await mint()) == {"type": "authenticated"}
    await sandbox.market.until_live()
    [connection_id] = sandbox.world.users["jane"].connections
    answer = await send_action(link, "subscribe", id="7", channel="quotes", symbols=["AAPL"])
    assert answer == {"type": "subscribed", "id": "7", "channel": "quotes", "symbols": ["AAPL"]}
    assert sandbox.market.sessions == (
        MarketDataSessionInfo(1, "authenticated", "jane", connection_id, 1, is_live=True, is_frozen=False),
    )
    quote = sandbox.broker.quote("AAPL")
    told = await read(link)
    assert (int(told.pop("bid_size")), int(told.pop("ask_size"))) > (0, 0)
    assert told == {
        "type": "quote",
        "symbol": "AAPL",
        "bid_price": str(quote.bid),
        "ask_price": str(quote.ask),
        "last_price": str(quote.last),
        "timestamp": "2026-07-01T12:00:00.000000Z",
    }


async def test_subscription_is_confirmed_by_the_server_and_ended_by_unsubscribe(sandbox: Sandbox, tune: Dial) -> None:
    link = await tune()
    wanted: tuple[dict[str, object], ...] = (
        {"channel": "trades", "symbols": ["AAPL", "F"]},
        {"channel": "trades", "symbols": ["AAPL"], "session": "regular"},
        {"channel": "trades", "symbols": ["MSFT"], "session": "all"},
        {"channel": "options_chain", "underlying": "F", "symbols": ["F"], "expiration": "2026-07-17", "greeks": True},
    )
    for number, request in enumerate(wanted):
        answer = await send_action(link, "subscribe", id=str(number), **request)
        assert (answer["type"], answer["id"], answer["symbols"]) == ("subscribed", str(number), request["symbols"])
    assert (await read(link))["type"] == "options_chain"
    listed = [
        {"channel": "trades", "symbols": ["AAPL", "F", "MSFT"], "session": "all"},
        {"channel": "trades", "symbols": ["AAPL"], "session": "regular"},
        {
            "channel": "options_chain",
            "symbols": ["F"],
            "underlying": "F",
            "expiration": "2026-07-17",
            "greeks": True,
        },
    ]
    answer = await send_action(link, "list_subscriptions", id="8")
    assert answer == {"type": "subscriptions", "id": "8", "subscriptions": listed}
    assert sandbox.market.subscriptions() == {1: listed}
    answer = await send_action(link, "unsubscribe", id=9, channel="trades", symbols=["F", "AAPL"], session="all")
    assert answer == {"type": "unsubscribed", "id": 9, "channel": "trades", "symbols": ["F", "AAPL"]}
    assert sandbox.market.listened()[1] == {
        Subscription("trades", "AAPL", (("session", "regular"),)),
        Subscription("trades", "MSFT", (("session", "all"),)),
        Subscription("options_chain", "F", (("expiration", "2026-07-17"), ("greeks", True))),
    }


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        ({"channel": "weather"}, "400", ALL_CHANNELS),
        ({"channel": None}, "400", "channel is needed, as a string that is not empty."),
        ({"symbols": []}, "400", "symbols must be an array of one or more symbols."),
        ({"symbols": "AAPL"}, "400", "symbols must be an array of one or more symbols."),
        ({"symbols": ["AAPL", 7]}, "400", "symbols must be an array of one or more symbols."),
        ({"symbols": ["AAPL", "aapl"]}, "400", "aapl is no symbol."),
        ({"symbols": ["AAPL", "ZZX", "ZZY"]}, "404", "There is no ZZX. There is no ZZY."),
        ({"symbols": ["AAPL241018P00190000"]}, "404", "There is no AAPL241018P00190000."),
        ({"symbols": ["AAPL261318P00190000"]}, "400", "AAPL261318P00190000 is no symbol."),
        ({"levels": 5}, "400", "quotes has no levels."),
        ({"channel": "trades", "session": "night"}, "400", "session must be one of all, regular, extended."),
        ({"channel": "bars", "interval": "2m"}, "400", "interval must be one of 1m, 5m, 15m, 30m, 1h, 1d."),
        ({"channel": "bars", "interval": 1}, "400", "interval is needed, as a string that is not empty."),
        ({"channel": "bars", "backfill": -1}, "400", "backfill must be a whole number from 0 to 1000."),
        ({"channel": "bars", "backfill": 2.0}, "400", "backfill must be a whole number from 0 to 1000."),
        ({"channel": "depth", "levels": 0}, "400", "levels must be a whole number from 1 to 100."),
        ({"channel": "depth", "levels": True}, "400", "levels must be a whole number from 1 to 100."),
        ({"channel": "options_chain"}, "400", "underlying is needed, as a string that is not empty."),
        (
            {"channel": "options_chain", "underlying": "F"},
            "400",
            "symbols may be the underlying and nothing else.",
        ),
        (
            {"channel": "options_chain", "underlying": "AAPL270115C00230000", "symbols": None},
            "400",
            "AAPL270115C00230000 is no symbol of a stock.",
        ),
        (
            {"channel": "options_chain", "underlying": "AAPL270115C00230000", "symbols": []},
            "400",
            "AAPL270115C00230000 is no symbol of a stock.",
        ),
        ({"channel": "options_chain", "underlying": "AAPL", "greeks": "yes"}, "400", "greeks must be true or false."),
        (
            {"channel": "options_chain", "underlying": "AAPL", "expiration": "soon"},
            "400",
            "expiration must be a date as YYYY-MM-DD.",
        ),
    ],
)
async def test_what_cannot_be_subscribed_to_is_an_error_and_no_end(
    sandbox: Sandbox, tune: Dial, wrong: dict[str, Any], code: str, words: str
) -> None:
    link = await tune()
    await send_action(link, "subscribe", channel="trades", symbols=["AAPL"])
    request = {"id": "3", "channel": "quotes", "symbols": ["AAPL"], **wrong}
    answer = await send_action(link, "subscribe", **request)
    assert answer == {"type": "error", "id": "3", "code": code, "message": words}
    assert sandbox.market.subscriptions() == {1: [{"channel": "trades", "symbols": ["AAPL"], "session": "all"}]}


async def test_an_expiration_that_is_not_listed(tune: Dial) -> None:
    link = await tune()
    answer = await send_action(link, "subscribe", channel="options_chain", underlying="AAPL", expiration="2026-07-04")
    assert (answer["type"], answer["code"]) == ("error", "404")
    assert answer["message"].startswith("No options expire on 2026-07-04, only on 2026-07-03, 2026-07-10, ")


async def test_unsubscribing_what_was_not_subscribed_changes_nothing(sandbox: Sandbox, tune: Dial) -> None:
    link = await tune()
    await send_action(link, "subscribe", channel="trades", symbols=["AAPL"])
    for wrong in ({"symbols": ["AAPL", "F"]}, {"symbols": ["F"]}, {"symbols": ["F"], "session": "regular"}):
        answer = await send_action(link, "unsubscribe", id="4", channel="trades", **wrong)
        words = "There is no subscription to trades of F with these options."
        assert answer == {"type": "error", "id": "4", "code": "404", "message": words}
    assert sandbox.market.listened() == {1: {Subscription("trades", "AAPL", (("session", "all"),))}}


async def test_symbols_that_are_refused(sandbox: Sandbox, tune: Dial) -> None:
    link = await tune()
    sandbox.market.refuse("F", "Not for you.")
    answer = await send_action(link, "subscribe", id="1", channel="trades", symbols=["AAPL", "F"])
    assert answer == {"type": "error", "id": "1", "code": "403", "message": "Not for you."}
    assert (await send_action(link, "snapshot", id="2", channel="bars", symbols=["F"]))["code"] == "403"
    sandbox.market.takes = "some"
    answer = await send_action(link, "subscribe", id="3", channel="trades", symbols=["AAPL", "F", "MSFT"])
    assert answer == {"type": "subscribed", "id": "3", "channel": "trades", "symbols": ["AAPL", "MSFT"]}
    assert await read(link) == {"type": "error", "id": "3", "code": "403", "message": "Not for you."}
    assert (await send_action(link, "subscribe", channel="trades", symbols=["F"]))["type"] == "error"
    sandbox.market.allow("F")
    assert (await send_action(link, "subscribe", channel="trades", symbols=["F"]))["type"] == "subscribed"
    await sandbox.market.until_subscribed("trades", "F", "AAPL")
    sandbox.market.refuse("MSFT")
    assert "MSFT" in (await send_action(link, "subscribe", channel="quotes", symbols=["MSFT"]))["message"]
    sandbox.market.allow()
    assert (await send_action(link, "subscribe", channel="trades", symbols=["MSFT"]))["type"] == "subscribed"


@pytest.mark.parametrize("raw", ["", "{", "[]", b"\xff"])
async def test_what_is_no_json_object_is_an_error_and_no_end(dial: Dial, mint: Mint, raw: str | bytes) -> None:
    link = await dial(at="market_data")
    await read(link)
    await link.send(raw)
    assert (await read(link))["code"] == "400"
    assert await send_action(link, "authenticate", access_token=await mint()) == {"type": "authenticated"}
    answer = await send_action(link, "dance", id="5")
    assert (answer["type"], answer["id"], answer["code"]) == ("error", "5", "400")
    assert answer["message"].endswith("authenticate, subscribe, unsubscribe, list_subscriptions, snapshot.")
    assert "id" not in await send_action(link, "dance", id={"a": 1})


@pytest.mark.parametrize("action", ["subscribe", "list_subscriptions", "snapshot", "dance"])
async def test_nothing_goes_before_the_login(dial: Dial, action: str) -> None:
    link = await dial(at="market_data")
    await read(link)
    assert (await send_action(link, action))["code"] == "401"
    assert await end_of(link) == 4401


async def test_no_login_in_time(sandbox: Sandbox, dial: Dial) -> None:
    link = await dial(at="market_data")
    await read(link)
    sandbox.clock.advance(29)
    assert sandbox.market.sessions[0].phase == "welcomed"
    sandbox.clock.advance(1)
    assert await end_of(link) == 4408


async def test_another_path_is_not_served(dial: Dial) -> None:
    with pytest.raises(InvalidStatus):
        await dial("/quotes", at="market_data")


# Tokens ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, 7, "", "x", "é"])
async def test_a_token_that_never_was(dial: Dial, token: object) -> None:
    link = await dial(at="market_data")
    await read(link)
    answer = await send_action(link, "authenticate", access_token=token)
    assert answer == {"type": "error", "code": "401", "message": "The access_token is wrong."}
    assert await end_of(link) == 4401


async def test_client_credentials_are_no_token(sandbox: Sandbox, dial: Dial) -> None:
    link = await dial(at="market_data")
    await read(link)
    secret = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    assert (await send_action(link, "authenticate", **secret))["code"] == "401"


async def test_a_token_of_rest_is_good_for_a_day_and_then_ends_its_link(
    fetch: Fetch, sandbox: Sandbox, mint: Mint, tune: Dial, dial: Dial
) -> None:
    await mint()
    [connection_id] = sandbox.world.users["jane"].connections
    status, minted = await fetch("GET", f"/connections/{connection_id}/token", "jane")
    assert (status, minted["expires_at"]) == (200, "2026-07-02T12:00:00.000000Z")
    token = minted["access_token"]
    link = await tune(token=token)
    await send_action(link, "subscribe", channel="trades", symbols=["AAPL"])
    sandbox.clock.advance(timedelta(hours=24).total_seconds() - 1)
    assert sandbox.market.is_live
    sandbox.clock.advance(1)
    assert (await told_until_closed(link))[-1] == {
        "type": "error",
        "code": "401",
        "message": "This access_token has expired.",
    }
    assert link.protocol.close_code == 4401
    late = await dial(at="market_data")
    await read(late)
    assert (await send_action(late, "authenticate", access_token=token))["message"] == "This access_token has expired."
    assert await end_of(late) == 4401


async def told_until_closed(link: ClientConnection) -> list[Any]:
    found: list[Any] = []
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionClosed):
            while True:
                found.append(json.loads(await link.recv()))
    return found


async def test_a_token_ends_by_the_running_clock_too(sandbox: Sandbox, tune: Dial) -> None:
    link = await tune()
    [connection_id] = sandbox.world.users["jane"].connections
    sandbox.clock.release()
    connection = sandbox.world.users["jane"].connections[connection_id]
    sandbox.world.tokens.expire(connection, sandbox.clock.now() + timedelta(seconds=0.05))
    assert (await read(link))["message"] == "This access_token has expired."
    assert await end_of(link) == 4401


async def test_replaced_token_refuses_new_logins_and_keeps_its_connection(
    sandbox: Sandbox, mint: Mint, tune: Dial, dial: Dial
) -> None:
    old = await mint()
    link = await tune(token=old)
    [connection_id] = sandbox.world.users["jane"].connections
    new = sandbox.market.replace_token(connection_id)
    assert (await send_action(link, "list_subscriptions"))["subscriptions"] == []
    late = await dial(at="market_data")
    await read(late)
    answer = await send_action(late, "authenticate", access_token=old)
    assert answer["message"] == "This access_token was replaced by a newer one."
    assert await end_of(late) == 4401
    sandbox.market.displaces = "neither"
    await tune(token=new)
    assert [ear.is_live for ear in sandbox.market.sessions] == [True, True]
    sandbox.clock.advance(86_400)
    assert (await read(link))["message"] == "This access_token has expired."


async def test_or_ends_the_link_if_it_is_set_so(fetch: Fetch, sandbox: Sandbox, tune: Dial) -> None:
    sandbox.market.replaced = "ends"
    link = await tune()
    [connection_id] = sandbox.world.users["jane"].connections
    await fetch("GET", f"/connections/{connection_id}/token", "jane")
    answer = await read(link)
    assert answer == {"type": "error", "code": "401", "message": "This access_token was replaced by a newer one."}
    assert await end_of(link) == 4401


@pytest.mark.parametrize("path", ["/connections/{connection_id}", "/users/jane"])
async def test_a_connection_that_is_deleted_ends_its_links(
    fetch: Fetch, sandbox: Sandbox, tune: Dial, path: str
) -> None:
    link = await tune()
    [connection] = sandbox.world.users["jane"].connections.values()
    assert connection.token is not None
    grant = sandbox.world.tokens.find(connection.token.text)
    user = "jane" if "connections" in path else None
    assert (await fetch("DELETE", path.format(connection_id=connection.connection_id), user))[0] == 200
    assert (await read(link))["message"] == "This access_token was revoked."
    assert await end_of(link) == 4401
    assert grant is not None
    assert grant.state(sandbox.clock.now()) == "revoked"


async def test_tokens_that_end_by_hand(sandbox: Sandbox, tune: Dial) -> None:
    jane, bob = await tune("jane"), await tune("bob")
    [connection_id] = sandbox.world.users["jane"].connections
    sandbox.market.expire_token(connection_id)
    assert await read(jane) == {"type": "error", "code": "401", "message": "This access_token has expired."}
    assert [ear.user_id for ear in sandbox.market.sessions if ear.is_live] == ["bob"]
    sandbox.market.expire_token()
    assert (await read(bob))["code"] == "401"
    with pytest.raises(Exception, match="There is no connection 'nowhere'"):
        sandbox.market.expire_token("nowhere")
    assert repr(sandbox.world.tokens) == "<Tokens 2 given out>"


async def test_token_without_the_market_data_entitlement_is_refused(
    fetch: Fetch, sandbox: Sandbox, connect: Mint
) -> None:
    bank = await connect("jane", "CHASE", "readonly")
    assert (await fetch("GET", f"/connections/{bank}/token", "jane"))[0] == 400
    assert (await fetch("GET", "/connections/nowhere/token", "jane"))[0] == 404
    trader = await connect("jane", "ALPACA", "market_data")
    sandbox.entitlements.market_data = False
    assert (await fetch("GET", f"/connections/{trader}/token", "jane"))[0] == 401


async def test_the_older_of_a_users_links_is_displaced(sandbox: Sandbox, mint: Mint, tune: Dial) -> None:
    older, other = await tune("jane"), await tune("bob")
    newer = await tune(token=await mint("jane", "WEBULL"))
    assert (await read(older))["code"] == "409"
    assert await end_of(older) == 4409
    for link in (other, newer):
        assert (await send_action(link, "list_subscriptions"))["type"] == "subscriptions"
    sandbox.market.displace()
    assert [await end_of_error(link) for link in (other, newer)] == [4409, 4409]


async def end_of_error(link: ClientConnection) -> int | None:
    assert (await read(link))["code"] == "409"
    return await end_of(link)


async def test_or_the_newer_one(sandbox: Sandbox, mint: Mint, tune: Dial, dial: Dial) -> None:
    sandbox.market.displaces = "newer"
    older, newer = await tune("jane"), await dial(at="market_data")
    await read(newer)
    assert (await send_action(newer, "authenticate", access_token=await mint("jane")))["code"] == "409"
    assert await end_of(newer) == 4409
    await older.close()
    await tune("jane")


async def test_a_second_login_is_an_error_and_no_end(tune: Dial, mint: Mint) -> None:
    link = await tune("jane")
    assert (await send_action(link, "authenticate", access_token=await mint("bob")))["code"] == "400"
    assert (await send_action(link, "list_subscriptions"))["type"] == "subscriptions"


async def test_no_token_is_shown_anywhere(
    sandbox: Sandbox, mint: Mint, tune: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    token = await mint()
    with caplog.at_level(logging.DEBUG, "connecttrade_async"):
        link = await tune(token=token)
        await send_action(link, "subscribe", channel="quotes", symbols=["AAPL"])
    grant = sandbox.world.tokens.find(token)
    seen = [grant, sandbox.market, sandbox.market.sessions, *sandbox.market.log, sandbox.world.tokens, caplog.text]
    assert token not in "".join(map(repr, seen))
