"""The whole job, as a backend does it, in every spelling that the wire is known to have."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from connecttrade_async import (
    AuthenticationError,
    ConflictError,
    ConnectTrade,
    NotFoundError,
    OAuthError,
    Order,
    User,
    parse_redirect,
)
from connecttrade_async.sandbox import Sandbox, Spellings

SPELLINGS = [
    Spellings(),
    Spellings(orders="envelope", fields="documented"),
    Spellings(fields="documented", times="epoch_seconds", nulls="empty"),
    Spellings(orders="array", times="epoch_milliseconds", nulls="empty"),
]


async def connected(
    sandbox: Sandbox, ct: ConnectTrade, name: str = "user-1", broker: str = "ALPACA", kind: str = "trade"
) -> User:
    """Make a user and link a broker."""
    new = await ct.users.create(name)
    user = ct.user(name, new.user_secret)
    request = await user.connections.create(kind, redirect_url="https://app.example/done?tab=2", broker=broker)
    redirect = await sandbox.approve(request.url, broker=broker)
    assert redirect.startswith("https://app.example/done?tab=2&connection_id=")
    assert parse_redirect(redirect).connection_id
    return user


def client(sandbox: Sandbox) -> ConnectTrade:
    return ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints)


@pytest.mark.parametrize("spellings", SPELLINGS, ids=str)
async def test_from_nothing_to_a_linked_broker_and_back(spellings: Spellings) -> None:
    async with Sandbox(seed=7) as sandbox, client(sandbox) as ct:
        sandbox.spellings = spellings
        user = await connected(sandbox, ct)
        [connection] = await user.connections.list()
        assert (connection.connection_type, connection.broker) == ("trade", "ALPACA")
        accounts = await user.accounts.list(broker="ALPACA")
        assert {account.account_id for account in accounts} == {each.account_id for each in connection.accounts}
        first = accounts[0].account_id
        [balance] = await user.balances.list(account_id=first)
        assert isinstance(balance.cash, Decimal)
        await the_books_are_read_exactly(user)
        await every_order_once(user)
        moves = await user.transactions.list(account_id=first, start_date=date(2020, 1, 1))
        assert moves
        assert {move.account_id for move in moves} == {first}
        await user.connections.delete(connection.connection_id)
        assert await user.connections.list() == []
        await ct.users.delete("user-1")
        assert await ct.users.list() == []


async def the_books_are_read_exactly(user: User) -> None:
    positions = await user.positions.list()
    assert {position.instrument for position in positions} == {"STK", "OPT"}
    for position in positions:
        assert position.quantity is not None
        assert position.quantity_text is not None
        assert format(position.quantity, "f") == position.quantity_text
        assert position.unrealized_pl is None or isinstance(position.unrealized_pl, Decimal)
    wanted = [position.symbol for position in positions[:2]]
    assert {position.symbol for position in await user.positions.list(symbols=wanted)} == set(wanted)


async def every_order_once(user: User) -> None:
    told = [order async for order in user.orders.list(status="all", limit=2)]
    whole = await user.orders.list(status="all", limit=500)
    assert [order.order_id for order in told] == [order.order_id for order in whole.items]
    assert len({order.status for order in told}) == 10
    for order in told:
        assert order.created_at is not None
        assert order.created_at.utcoffset() == timedelta(0)
        assert order.status is not None
        assert order.status.is_known
        assert (order.filled_qty or 0) == sum((fill.quantity or Decimal(0) for fill in order.fills), Decimal(0))
    assert {order.status for order in told if order.status and order.status.is_terminal} == {
        "filled",
        "cancelled",
        "rejected",
        "expired",
        "replaced",
    }
    closed = await user.orders.list(status="closed", limit=2)
    further = await user.orders.list(status="closed", limit=2, next_cursor=closed.next_cursor)
    assert further.prev_cursor is not None
    assert (await user.orders.list(status="closed", limit=2, prev_cursor=further.prev_cursor)).items == closed.items


async def test_orders_added_while_a_listing_is_walked_do_not_disturb_it() -> None:
    async with Sandbox(seed=3) as sandbox, client(sandbox) as ct:
        user = await connected(sandbox, ct)
        account = (await user.accounts.list())[0].account_id
        before = {order.order_id async for order in user.orders.list(status="all")}
        told: list[Order] = []
        async for page in user.orders.list(status="all", limit=3).pages():
            told.extend(page.items)
            sandbox.world.add_order(account, at=sandbox.clock.now(), symbol="MSFT", side="BUY", qty=Decimal(1))
        ids = [order.order_id for order in told]
        assert len(ids) == len(set(ids))
        assert before <= set(ids)


async def test_users_never_see_each_other() -> None:
    async with Sandbox(seed=7) as sandbox, client(sandbox) as ct:
        one, two = await connected(sandbox, ct, "one"), await connected(sandbox, ct, "two", "TRADESTATION")
        theirs = (await two.accounts.list())[0].account_id
        for call in (one.balances.list(account_id=theirs), one.positions.list(account_id=theirs)):
            with pytest.raises(NotFoundError):
                await call
        assert {user.user_id for user in await ct.users.list()} == {"one", "two"}


async def test_each_kind_of_api_error_raises_its_own_exception() -> None:
    async with Sandbox(seed=7) as sandbox, client(sandbox) as ct:
        user = await connected(sandbox, ct)
        with pytest.raises(ConflictError):
            await ct.users.create("user-1")
        with pytest.raises(NotFoundError):
            await ct.users.delete("nobody")
        with pytest.raises(NotFoundError):
            await user.connections.delete("nothing")
        with pytest.raises(AuthenticationError):
            await ct.user("user-1", "guessed").balances.list()
        async with ConnectTrade("other", "guessed", endpoints=sandbox.endpoints) as stranger:
            with pytest.raises(AuthenticationError):
                await stranger.users.list()


async def test_a_declined_login_raises_an_error_with_the_brokers_text() -> None:
    async with Sandbox(seed=7) as sandbox, client(sandbox) as ct:
        new = await ct.users.create("user-1")
        user = ct.user("user-1", new.user_secret)
        request = await user.connections.create("readonly", redirect_url="https://app.example/done")
        redirect = await sandbox.decline(request.url, error="access_denied", details="not today")
        with pytest.raises(OAuthError) as caught:
            parse_redirect(redirect)
        assert (caught.value.error, caught.value.details) == ("access_denied", "not today")


async def test_tokens_for_elsewhere() -> None:
    async with Sandbox(seed=7) as sandbox, client(sandbox) as ct:
        user = await connected(sandbox, ct, kind="market_data")
        jwt = (await user.tokens.create("read", "trade")).access_token.reveal()
        assert jwt.count(".") == 2
        [connection] = await user.connections.list()
        first = await user.connections.token(connection.connection_id)
        second = await user.connections.token(connection.connection_id)
        assert first.access_token != second.access_token
        assert first.expires_at is not None
        assert abs(first.expires_at - sandbox.clock.now() - timedelta(hours=24)) < timedelta(minutes=1)


async def test_the_escape_hatch_reaches_what_has_no_method() -> None:
    async with Sandbox(seed=7) as sandbox, client(sandbox) as ct:
        user = await connected(sandbox, ct)
        reply = await user.request("GET", "/accounts", params={"broker": "ALPACA"})
        assert reply.status == 200
        assert {row["broker"] for row in reply.json()} == {"ALPACA"}
        assert (await ct.request("get", "/users")).json() == [{"user_id": "user-1"}]
        with pytest.raises(NotFoundError):
            await user.request("GET", "/anything")
