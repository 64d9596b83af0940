"""Read by the type checkers and never run: what a user of the client sees of its types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

from connecttrade_async import (
    Account,
    Balance,
    ClientHealth,
    Connection,
    ConnectionRedirect,
    ConnectionRequest,
    ConnectionToken,
    ConnectTrade,
    Endpoints,
    Event,
    Gap,
    Limits,
    Listing,
    NewUser,
    Order,
    OrderUpdate,
    Page,
    Pages,
    Position,
    Response,
    Retry,
    Rows,
    Secret,
    SystemClock,
    Timeouts,
    Transaction,
    User,
    UserRecord,
    UserToken,
    __version__,
    check_redirect_url,
    parse_redirect,
)

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from datetime import date, datetime

    import aiohttp


async def streaming(ct: ConnectTrade) -> None:
    def name(event: Event) -> str:
        match event:
            case OrderUpdate():
                return assert_type(event.order, Order).order_id or ""
            case Gap():
                return event.cause
            case _:
                return event.topic  # everything else has one

    async with ct.brokerage_stream() as stream, stream.subscribe("orders") as events:
        assert_type(await events.receive(), Event)
        assert_type(events.receive_nowait(), Event | None)
        async for event in events:
            assert_type(event, Event)
            assert_type(name(event), str)


async def entering(client_id: str, client_secret: str, secret: Secret, http: aiohttp.ClientSession) -> None:
    async with ConnectTrade(client_id, client_secret) as ct:
        assert_type(ct, ConnectTrade)
        assert_type(ct.user("user-1", "secret"), User)
        assert_type(ct.user("user-1", secret), User)
        assert_type(ct.health(), ClientHealth)
        assert_type(ct.with_options(timeouts=Timeouts(call=5), retry=Retry(attempts=1)), ConnectTrade)
        assert_type(await ct.aclose(), None)
    ConnectTrade(
        client_id,
        secret,
        endpoints=Endpoints(api="https://api.example"),
        timeouts=Timeouts(call=30, connect=10, close=5),
        retry=Retry(attempts=4, budget=30),
        limits=Limits(connections=100, requests_per_second=None),
        http=http,
        trace_configs=[],
        clock=SystemClock(),
    )
    assert_type(ConnectTrade.from_env(), ConnectTrade)
    entered: AbstractAsyncContextManager[ConnectTrade] = ConnectTrade(client_id, client_secret)
    del entered
    version: str = __version__
    del version


async def asking(ct: ConnectTrade, user: User) -> None:
    new = await ct.users.create("user-1")
    assert_type(new, NewUser)
    assert_type(new.user_id, str)
    assert_type(new.user_secret, Secret)
    assert_type(ct.user("user-1", new.user_secret), User)
    assert_type(await ct.users.list(), Rows[UserRecord])
    assert_type(await ct.users.delete("user-1"), None)
    assert_type(user.user_id, str)

    request = await user.connections.create("trade", redirect_url="https://app.example/done", broker="ALPACA")
    assert_type(request, ConnectionRequest)
    assert_type(request.url, str)
    assert_type(await user.connections.list(), Rows[Connection])
    assert_type(await user.connections.token("c-1"), ConnectionToken)
    assert_type(await user.connections.delete("c-1"), None)

    assert_type(await user.accounts.list(broker="ALPACA"), Rows[Account])
    assert_type(await user.balances.list(account_id="a-1"), Rows[Balance])
    assert_type(await user.positions.list(symbols=["AAPL", "MSFT"]), Rows[Position])
    assert_type(await user.positions.list(symbols="AAPL", extra={"brand_new_filter": "x", "n": 1}), Rows[Position])
    plain: list[Account] = await user.accounts.list()
    assert_type(plain[0], Account)
    await user.positions.list(symbol="AAPL")  # type: ignore[call-arg]
    await user.accounts.list(account_id="a-1")  # type: ignore[call-arg]
    await user.balances.list(account="a-1")  # type: ignore[call-arg]
    await user.transactions.list(type="dividend")  # type: ignore[call-arg]
    user.orders.list(state="open")  # type: ignore[call-arg]
    assert_type(await user.tokens.create("read", "trade"), UserToken)


async def listing(user: User, since: datetime, first: date) -> None:
    orders = user.orders.list(status="all", symbols=("AAPL",), start_time=since, end_time="2024-05-17", limit=500)
    assert_type(orders, Listing[Order])
    assert_type(await orders, Page[Order])
    async for order in orders:
        assert_type(order, Order)
    pages = orders.pages()
    assert_type(pages, Pages[Order])
    async for page in pages:
        assert_type(page, Page[Order])
        assert_type(page.items, tuple[Order, ...])
        assert_type(page.next_cursor, str | None)
        assert_type(page.prev_cursor, str | None)
    assert_type(await pages.aclose(), None)
    assert_type([order async for order in user.orders.list()], list[Order])
    moved = await user.transactions.list(start_date=first, end_date="2024-05-17", extra={"type": "dividend"})
    assert_type(moved, Rows[Transaction])


async def escaping(ct: ConnectTrade, user: User) -> None:
    reply = await user.request("GET", "/anything", params={"a": 1, "b": None, "c": ["x"]})
    assert_type(reply, Response)
    assert_type(reply.status, int)
    assert_type(reply.headers.get("etag"), str | None)
    assert_type(reply.body, bytes)
    assert_type(reply.json(), Any)
    assert_type(await ct.request("POST", "/anything", json={"a": [1]}), Response)


def returning(url: str) -> None:
    assert_type(parse_redirect(url), ConnectionRedirect)
    assert_type(parse_redirect(url).connection_id, str)
    assert_type(check_redirect_url(url), list[str])


def use(value: object) -> None:
    del value


async def wrong(ct: ConnectTrade, user: User) -> None:
    """Each line is a mistake that a checker must find: an ignore that is not needed is an error itself, to both."""
    ConnectTrade("client-1")  # type: ignore[call-arg]
    ConnectTrade("client-1", 5)  # type: ignore[arg-type]
    ConnectTrade("client-1", "secret", Endpoints())  # type: ignore[call-arg]
    Timeouts(30)  # type: ignore[call-arg]
    Timeouts(call="30")  # type: ignore[arg-type]
    Limits().connections = 5  # type: ignore[misc]
    ct.user("user-1")  # type: ignore[call-arg]
    use(ct.orders)  # type: ignore[attr-defined]
    use(user.users)  # type: ignore[attr-defined]
    await user.accounts.list("ALPACA")  # type: ignore[call-arg]
    await user.positions.list(symbols=5)  # type: ignore[arg-type]
    await user.connections.create("trade")  # type: ignore[call-arg]
    await user.orders.list(limit="500")  # type: ignore[arg-type]
    await user.orders.list(start_time=1.5)  # type: ignore[arg-type]
    for _ in user.orders.list():  # type: ignore[attr-defined]
        pass
    with ct:  # type: ignore[attr-defined]
        pass
    use((await user.request("GET", "/x")).text)  # type: ignore[attr-defined]
    parse_redirect(b"x")  # type: ignore[arg-type]
