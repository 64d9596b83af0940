from __future__ import annotations

import asyncio
import gc
import json
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from connecttrade_async import ConfigurationError, ConnectTrade, CursorError, Endpoints, Order, Retry, ServerError
from connecttrade_async.models.pages import Page
from connecttrade_async.rest.pagination import Listing
from scripted import Act, ScriptedEnd, answer, silence

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


T = TypeVar("T")


def page(*ids: str, following: str | None = None, previous: str | None = None) -> Act:
    """Answer with a page of orders in an envelope."""
    orders = [{"order_id": order_id, "status": "filled"} for order_id in ids]
    return answer(200, json.dumps({"orders": orders, "next_cursor": following, "prev_cursor": previous}))


def asked(end: ScriptedEnd) -> list[dict[str, str]]:
    """Return the query of each request."""
    return [dict(parse_qsl(urlsplit(seen.target).query)) for seen in end.seen]


def orders(end: ScriptedEnd, **filters: Any) -> tuple[ConnectTrade, Listing[Order]]:
    ct = ConnectTrade("client", "hush", endpoints=Endpoints(end.url), retry=Retry(attempts=1))
    return ct, ct.user("u", "whisper").orders.list(**filters)


async def ids(items: AsyncIterator[Order]) -> list[str]:
    return [order.order_id async for order in items]


async def told_until_cursor_error(walk: AsyncIterator[T]) -> list[T]:
    told: list[T] = []
    try:
        async for each in walk:
            told.append(each)  # noqa: PERF401 - a comprehension would lose what was told before the error
    except CursorError:
        return told
    pytest.fail("the walk ended as if the listing had")


async def until_idle(ct: ConnectTrade) -> None:
    async with asyncio.timeout(5):
        while ct.health().in_flight:  # noqa: ASYNC110 - health is a reading, and has no event
            await asyncio.sleep(0)


async def test_awaited_it_is_one_page() -> None:
    async with ScriptedEnd(page("1", "2", following="b", previous="z")) as end:
        ct, listing = orders(end, status="all", limit=2)
        async with ct:
            first = await listing
    assert [order.order_id for order in first.items] == ["1", "2"]
    assert (first.next_cursor, first.prev_cursor) == ("b", "z")
    assert asked(end) == [{"status": "all", "limit": "2"}]


async def test_whoever_forgets_to_await_it_is_told_by_what_it_prints() -> None:
    async with ScriptedEnd() as end:
        _, listing = orders(end)
        assert repr(listing) == "<Listing, not asked for: await it for one page, or iterate it with async for>"
    assert end.seen == []


async def test_iterated_it_is_every_order_each_with_the_same_filters() -> None:
    async with ScriptedEnd(page("1", "2", following="b"), page("3", following="c"), page("4")) as end:
        ct, listing = orders(end, status="all")
        async with ct:
            assert await ids(aiter(listing)) == ["1", "2", "3", "4"]
    assert asked(end) == [{"status": "all"}, *({"status": "all", "next_cursor": cursor} for cursor in "bc")]


async def test_each_loop_begins_anew() -> None:
    async with ScriptedEnd(page("1", following="b"), page("2"), page("1", following="b"), page("2")) as end:
        ct, listing = orders(end)
        async with ct:
            assert await ids(aiter(listing)) == await ids(aiter(listing)) == ["1", "2"]


async def test_a_bare_array_carries_its_cursors_in_headers() -> None:
    async with ScriptedEnd(
        answer(200, b'[{"order_id": "1"}]', next_cursor="b", prev_cursor="z"),
        answer(200, b'[{"order_id": "2"}]'),
    ) as end:
        ct, listing = orders(end)
        async with ct:
            assert await ids(aiter(listing)) == ["1", "2"]
        assert asked(end) == [{}, {"next_cursor": "b"}]


async def test_pages_one_by_one() -> None:
    async with ScriptedEnd(page("1", "2", following="b"), page(following="c"), page("3")) as end:
        ct, listing = orders(end)
        async with ct:
            assert [len(each.items) async for each in listing.pages()] == [2, 0, 1]


async def test_going_back_follows_the_other_cursor() -> None:
    async with ScriptedEnd(page("3", "4", following="c", previous="a"), page("1", "2", following="b")) as end:
        ct, listing = orders(end, prev_cursor="b")
        async with ct:
            assert await ids(aiter(listing)) == ["3", "4", "1", "2"]
    assert asked(end) == [{"prev_cursor": "b"}, {"prev_cursor": "a"}]


async def test_going_on_from_a_cursor() -> None:
    async with ScriptedEnd(page("3")) as end:
        ct, listing = orders(end, next_cursor="b")
        async with ct:
            assert await ids(aiter(listing)) == ["3"]
    assert asked(end) == [{"next_cursor": "b"}]


async def test_the_next_page_is_fetched_while_the_caller_works_and_only_the_next() -> None:
    async with ScriptedEnd(page("1", following="b"), page("2", following="c"), page("3")) as end:
        ct, listing = orders(end)
        async with ct:
            walk = listing.pages()
            await anext(walk)
            await end.until_seen(2)  # nobody has asked for the second page yet
            assert len(end.seen) == 2
            await anext(walk)
            await end.until_seen(3)
            await anext(walk)
            with pytest.raises(StopAsyncIteration):
                await anext(walk)
            with pytest.raises(StopAsyncIteration):
                await anext(walk)


@pytest.mark.parametrize(
    ("pages", "why"),
    [
        ([page("1", following="b"), page("2", following="b")], "followed before"),
        ([page("1", following="b"), page("2", following="c"), page("3", following="b")], "followed before"),
        ([page(following="b"), page(following="c"), page(following="d")], "3 pages in a row were empty"),
        ([page("1", following="b"), page(following="c"), page(following="d"), page(following="e")], "3 pages in a row"),
    ],
)
async def test_a_cursor_that_leads_nowhere_ends_the_listing(pages: list[Act], why: str) -> None:
    async with ScriptedEnd(*pages) as end:
        ct, listing = orders(end)
        async with ct:
            walk = listing.pages()
            told = [await anext(walk) for _ in pages]
            with pytest.raises(CursorError, match=why) as caught:
                await anext(walk)
            with pytest.raises(CursorError):
                await anext(walk)
    assert caught.value.cursor in "bcde"
    assert len(told) == len(end.seen) == len(pages)  # what came is told before what would follow is refused


async def test_a_cursor_that_repeats_the_one_begun_at_ends_the_listing() -> None:
    async with ScriptedEnd(page("1", following="b")) as end:
        ct, listing = orders(end, next_cursor="b")
        async with ct:
            with pytest.raises(CursorError):
                await ids(aiter(listing))


async def test_empty_pages_with_full_ones_between_are_followed() -> None:
    script = [page(following="b"), page(following="c"), page("1", following="d"), page(following="e"), page("2")]
    async with ScriptedEnd(*script) as end:
        ct, listing = orders(end)
        async with ct:
            assert await ids(aiter(listing)) == ["1", "2"]


async def test_a_page_that_failed_can_be_asked_for_again() -> None:
    async with ScriptedEnd(page("1", following="b"), answer(503, b"{}"), page("2")) as end:
        ct, listing = orders(end)
        async with ct:
            walk = aiter(listing)
            assert (await anext(walk)).order_id == "1"
            with pytest.raises(ServerError):
                await anext(walk)
            assert (await anext(walk)).order_id == "2"


async def test_leaving_the_loop_early_drops_the_page_ahead() -> None:
    async with ScriptedEnd(page("1", following="b"), silence) as end:
        ct, listing = orders(end)
        async with ct:
            async for order in listing:
                assert order.order_id == "1"
                break
            gc.collect()
            await until_idle(ct)


async def test_a_page_ahead_that_failed_and_that_nobody_wants_complains_to_nobody() -> None:
    async with ScriptedEnd(page("1", following="b"), answer(500, b"{}")) as end:
        ct, listing = orders(end)
        async with ct:
            walk = listing.pages()
            await anext(walk)
            await end.until_seen(2)
            await until_idle(ct)
            del walk


async def test_closing_a_walk_waits_until_the_page_ahead_is_dropped() -> None:
    async with ScriptedEnd(page("1", following="b"), silence) as end:
        ct, listing = orders(end)
        async with ct:
            walk = aiter(listing)
            await anext(walk)
            await walk.aclose()
            assert ct.health().in_flight == 0
            with pytest.raises(StopAsyncIteration):
                await anext(walk)
            await walk.aclose()


async def test_cancelling_in_the_middle_leaves_nothing_and_can_go_on() -> None:
    async with ScriptedEnd(page("1", following="b"), silence, page("2")) as end:
        ct, listing = orders(end)
        async with ct:
            walk = aiter(listing)
            await anext(walk)
            waiting = asyncio.ensure_future(anext(walk))
            await end.until_seen(2)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert ct.health().in_flight == 0
            assert (await anext(walk)).order_id == "2"


@pytest.mark.parametrize("limit", [0, -1, 501, True, 10**9, "50", 1.5])
async def test_a_limit_outside_1_to_500_is_refused_before_anything_is_sent(limit: Any) -> None:
    async with ScriptedEnd() as end:
        with pytest.raises(ConfigurationError, match="limit must be from 1 to 500"):
            orders(end, limit=limit)
    assert end.seen == []


async def test_wrong_filters_are_met_where_they_are_written() -> None:
    async with ScriptedEnd() as end:
        with pytest.raises(ConfigurationError, match="not both"):
            orders(end, next_cursor="a", prev_cursor="b")
        for cursor in ("next_cursor", "prev_cursor"):
            with pytest.raises(ConfigurationError, match=f"{cursor} is empty"):
                orders(end, **{cursor: ""})
        with pytest.raises(ConfigurationError, match="symbols is empty"):
            orders(end, symbols=[])
    assert end.seen == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cursors=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 2)), max_size=12))
async def test_no_script_of_cursors_makes_it_endless(cursors: list[tuple[str, int]]) -> None:
    """Whatever cursors a server names, the walk ends, and every item it told was served once."""
    served = 0

    async def fetch(cursor: str | None) -> Page[int]:
        nonlocal served
        del cursor
        name, count = cursors[served] if served < len(cursors) else ("z", 1)
        served += 1
        return Page(items=tuple(range(count)), next_cursor=name)

    walk = Listing(fetch).pages()
    told = await told_until_cursor_error(walk)
    assert len(told) == served <= len(set("abcdefz")) + 2
