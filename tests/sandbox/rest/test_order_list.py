"""Listing orders over HTTP: defaults, filters, and cursors that stay right while orders are added."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from connecttrade_async.sandbox import Sandbox, Spellings

Fetch = Callable[..., Awaitable[tuple[int, Any]]]
Connect = Callable[..., Awaitable[str]]

OPEN = {"pending", "working", "partially_filled", "pending_cancel", "pending_replace"}


@pytest.fixture(autouse=True)
async def _connected(connect: Connect, sandbox: Sandbox) -> None:
    sandbox.spellings = Spellings(orders="envelope")
    await connect()


async def orders(fetch: Fetch, query: str = "") -> list[dict[str, Any]]:
    status, page = await fetch("GET", f"/orders?{query}", "jane")
    assert status == 200
    found: list[dict[str, Any]] = page["orders"]
    return found


async def test_no_parameter_means_open_orders_since_midnight(fetch: Fetch) -> None:
    found = await orders(fetch)
    assert {order["status"] for order in found} == OPEN
    assert all(order["created_at"] >= "2026-07-01" for order in found)
    waiting = await orders(fetch, "status=open")
    assert any(order["created_at"] < "2026-07-01" for order in waiting)


async def test_order_list_by_status_holds_only_such_orders(fetch: Fetch) -> None:
    every = await orders(fetch, "status=all&limit=500")
    assert every == await orders(fetch, "limit=500")
    is_open = [order for order in every if order["status"] in OPEN]
    assert await orders(fetch, "status=open&limit=500") == is_open
    assert await orders(fetch, "status=closed&limit=500") == [order for order in every if order not in is_open]
    assert {order["status"] for order in await orders(fetch, "status=rejected")} == {"rejected"}


async def test_symbols_side_and_times(fetch: Fetch) -> None:
    found = await orders(fetch, "symbols=AAPL,IBM/WS&side=buy&limit=500")
    assert {(order["symbol"], order["side"]) for order in found} == {("AAPL", "BUY"), ("IBM/WS", "BUY")}
    every = await orders(fetch, "limit=500&sort=asc")
    assert every == sorted(every, key=lambda order: order["created_at"])
    assert every[::-1] == await orders(fetch, "limit=500")
    middle = await orders(fetch, "limit=500&start_time=2026-01-01T00:00:00Z&end_time=1772323200&sort=asc")
    assert middle
    assert middle == [order for order in every if "2026-01-01" <= order["created_at"] <= "2026-03-01"]


async def test_the_default_limit_is_fifty(fetch: Fetch) -> None:
    assert len(await orders(fetch, "status=all")) == 50
    assert len(await orders(fetch, "status=all&limit=1")) == 1


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=ten",
        "status=lost",
        "status=",
        "side=HOLD",
        "sort=up",
        "symbols=",
        "start_time=soon",
        "end_time=2026-01-01",
        "start_time=200&end_time=100",
        "next_cursor=made-up",
        "prev_cursor=",
        "next_cursor=a&prev_cursor=b",
    ],
)
async def test_what_makes_no_sense_is_a_400(fetch: Fetch, query: str) -> None:
    status, refused = await fetch("GET", f"/orders?{query}", "jane")
    assert (status, list(refused)) == (400, ["message"])


@pytest.mark.parametrize("sort", ["asc", "desc"])
async def test_a_walk_forth_and_back_while_orders_are_added(fetch: Fetch, sandbox: Sandbox, sort: str) -> None:
    query = f"status=all&limit=7&sort={sort}"
    before = [order["order_id"] for order in await orders(fetch, f"status=all&limit=500&sort={sort}")]
    account = (await fetch("GET", "/accounts", "jane"))[1][0]["account_id"]
    pages = [(await fetch("GET", f"/orders?{query}", "jane"))[1]]
    assert pages[0]["prev_cursor"] is None
    while pages[-1]["next_cursor"]:
        if len(pages) < 4:
            for days in (0, 100, 300):
                sandbox.world.add_order(account, sandbox.clock.advance(1) - timedelta(days))
        pages.append((await fetch("GET", f"/orders?{query}&next_cursor={pages[-1]['next_cursor']}", "jane"))[1])
    walked = [order["order_id"] for page in pages for order in page["orders"]]
    assert len(set(walked)) == len(walked)
    assert [name for name in walked if name in set(before)] == before
    back = (await fetch("GET", f"/orders?{query}&prev_cursor={pages[-1]['prev_cursor']}", "jane"))[1]
    assert back["orders"] == pages[-2]["orders"]


async def test_a_cursor_belongs_to_its_query_and_its_user(fetch: Fetch, connect: Connect) -> None:
    await connect("john")
    cursor = (await fetch("GET", "/orders?status=all&limit=2", "jane"))[1]["next_cursor"]
    assert (await fetch("GET", f"/orders?status=all&limit=3&next_cursor={cursor}", "jane"))[0] == 200
    for query in ("status=open", "status=all&symbols=AAPL", ""):
        assert (await fetch("GET", f"/orders?{query}&next_cursor={cursor}", "jane"))[0] == 400
    assert (await fetch("GET", f"/orders?status=all&next_cursor={cursor}", "john"))[0] == 400
    assert (await fetch("GET", f"/orders?status=all&prev_cursor={cursor}", "jane"))[0] == 400


async def test_the_default_query_has_cursors_that_survive_midnight(fetch: Fetch, sandbox: Sandbox) -> None:
    account = (await fetch("GET", "/accounts", "jane"))[1][0]["account_id"]
    for _ in range(60):
        sandbox.world.add_order(account, sandbox.clock.advance(1))
    first = (await fetch("GET", "/orders", "jane"))[1]
    sandbox.clock.advance(86_400)
    second = (await fetch("GET", f"/orders?next_cursor={first['next_cursor']}", "jane"))[1]
    assert (len(first["orders"]), len(second["orders"]), second["next_cursor"]) == (50, 20, None)
    assert await orders(fetch) == []


async def test_an_empty_page_has_no_cursors(fetch: Fetch) -> None:
    empty: dict[str, object] = {"orders": [], "next_cursor": None, "prev_cursor": None}
    assert await fetch("GET", "/orders?symbols=NONE", "jane") == (200, empty)


async def test_a_bare_array_carries_its_cursors_in_headers(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    sandbox.spellings = Spellings()
    headers = {"client-id": sandbox.client_id, "client-secret": sandbox.client_secret}
    headers |= {"user-id": "jane", "user-secret": sandbox.world.users["jane"].secret}
    url = f"{sandbox.url}/orders?limit=40"
    async with http.get(url, headers=headers) as answer:
        first = await answer.json()
        assert isinstance(first, list)
        assert "prev-cursor" not in answer.headers
        cursor = answer.headers["next-cursor"]
    async with http.get(f"{url}&next_cursor={cursor}", headers=headers) as answer:
        assert isinstance(await answer.json(), list)
        assert answer.headers["prev-cursor"]
