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
from scripted_calls import ScriptedApi
from scripted_server import Act, ScriptedEnd, answer, silence

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from connecttrade_async.rest.pagination import Listing


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


async def items_until_cursor_error(walk: AsyncIterator[T]) -> list[T]:
    yielded: list[T] = []
    try:
        async for each in walk:
            yielded.append(each)  # noqa: PERF401 - a comprehension would lose what was yielded before the error
    except CursorError:
        return yielded
    pytest.fail("the walk ended as if the listing had")


async def until_idle(ct: ConnectTrade) -> None:
    async with asyncio.timeout(5):
        while ct.health().in_flight:  # noqa: ASYNC110 - health is a reading, and has no event
            await asyncio.sleep(0)


async def test_awaiting_a_listing_returns_one_page() -> None:
    async with ScriptedEnd(page("1", "2", following="b", previous="z")) as end:
        ct, listing = orders(end, status="all", limit=2)
        async with ct:
            first = await listing
    assert [order.order_id for order in first.items] == ["1", "2"]
    assert (first.next_cursor, first.prev_cursor) == ("b", "z")
    assert asked(end) == [{"status": "all", "limit": "2"}]


async def test_repr_of_a_listing_says_that_it_was_not_sent() -> None:
    async with ScriptedEnd() as end:
        _, listing = orders(end)
        assert repr(listing) == "<Listing, not sent yet: await it for one page, or iterate it with async for>"
    assert end.seen == []


async def test_iterating_a_listing_yields_every_order_with_the_same_filters() -> None:
    async with ScriptedEnd(page("1", "2", following="b"), page("3", following="c"), page("4")) as end:
        ct, listing = orders(end, status="all")
        async with ct:
            assert await ids(aiter(listing)) == ["1", "2", "3", "4"]
    assert asked(end) == [{"status": "all"}, *({"status": "all", "next_cursor": cursor} for cursor in "bc")]


async def test_each_loop_over_a_listing_starts_at_the_first_page() -> None:
    async with ScriptedEnd(page("1", following="b"), page("2"), page("1", following="b"), page("2")) as end:
        ct, listing = orders(end)
        async with ct:
            assert await ids(aiter(listing)) == await ids(aiter(listing)) == ["1", "2"]


async def test_page_as_a_bare_array_has_its_cursors_in_headers() -> None:
    async with ScriptedEnd(
        answer(200, b'[{"order_id": "1"}]', next_cursor="b", prev_cursor="z"),
        answer(200, b'[{"order_id": "2"}]'),
    ) as end:
        ct, listing = orders(end)
        async with ct:
            assert await ids(aiter(listing)) == ["1", "2"]
        assert asked(end) == [{}, {"next_cursor": "b"}]


async def test_pages_yields_each_page() -> None:
    async with ScriptedEnd(page("1", "2", following="b"), page(following="c"), page("3")) as end:
        ct, listing = orders(end)
        async with ct:
            assert [len(each.items) async for each in listing.pages()] == [2, 0, 1]


async def test_listing_with_prev_cursor_follows_prev_cursors() -> None:
    async with ScriptedEnd(page("3", "4", following="c", previous="a"), page("1", "2", following="b")) as end:
        ct, listing = orders(end, prev_cursor="b")
        async with ct:
            assert await ids(aiter(listing)) == ["3", "4", "1", "2"]
    assert asked(end) == [{"prev_cursor": "b"}, {"prev_cursor": "a"}]


async def test_listing_with_next_cursor_starts_there() -> None:
    async with ScriptedEnd(page("3")) as end:
        ct, listing = orders(end, next_cursor="b")
        async with ct:
            assert await ids(aiter(listing)) == ["3"]
    assert asked(end) == [{"next_cursor": "b"}]


async def test_pages_prefetches_one_page_only() -> None:
    async with ScriptedEnd(page("1", following="b"), page("2", following="c"), page("3")) as end:
        ct, listing = orders(end)
        async with ct:
            walk = listing.pages()
            await anext(walk)
            await end.until_seen(2)  # prefetched, before the second anext
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
        ([page(following="b"), page(following="c"), page(following="d")], "3 pages in a row had no new item"),
        (
            [page("1", "2", following="b"), *(page("1", "2", following=cursor) for cursor in "cde")],
            "3 pages in a row had no new item",
        ),
        (
            [
                *(page(row, following=cursor) for row, cursor in ("1b", "2c", "1d")),
                page(following="e"),
                page("2", "1", following="f"),
            ],
            "3 pages in a row",
        ),
        ([page("1", following="b"), page(following="c"), page(following="d"), page(following="e")], "3 pages in a row"),
    ],
)
async def test_pages_with_a_repeating_or_stale_cursor_raises_after_the_last_page(pages: list[Act], why: str) -> None:
    async with ScriptedEnd(*pages) as end:
        ct, listing = orders(end)
        async with ct:
            walk = listing.pages()
            yielded = [await anext(walk) for _ in pages]
            with pytest.raises(CursorError, match=why) as caught:
                await anext(walk)
            with pytest.raises(CursorError):
                await anext(walk)
    assert caught.value.cursor in "bcdef"
    assert len(yielded) == len(end.seen) == len(pages)  # every fetched page is yielded before the error


async def test_pages_with_a_cursor_equal_to_the_start_raises() -> None:
    async with ScriptedEnd(page("1", following="b")) as end:
        ct, listing = orders(end, next_cursor="b")
        async with ct:
            with pytest.raises(CursorError):
                await ids(aiter(listing))


async def test_pages_follows_single_empty_pages() -> None:
    script = [page(following="b"), page(following="c"), page("1", following="d"), page(following="e"), page("2")]
    async with ScriptedEnd(*script) as end:
        ct, listing = orders(end)
        async with ct:
            assert await ids(aiter(listing)) == ["1", "2"]


async def test_anext_after_an_error_fetches_the_failed_page_again() -> None:
    async with ScriptedEnd(page("1", following="b"), answer(503, b"{}"), page("2")) as end:
        ct, listing = orders(end)
        async with ct:
            walk = aiter(listing)
            assert (await anext(walk)).order_id == "1"
            with pytest.raises(ServerError):
                await anext(walk)
            assert (await anext(walk)).order_id == "2"


async def test_break_drops_the_prefetched_page() -> None:
    async with ScriptedEnd(page("1", following="b"), silence) as end:
        ct, listing = orders(end)
        async with ct:
            async for order in listing:
                assert order.order_id == "1"
                await end.until_seen(2)
                assert ct.health().in_flight == 1
                break
            gc.collect()
            await until_idle(ct)


async def test_garbage_collected_iterator_drops_the_prefetched_page() -> None:
    async with ScriptedEnd(page("1", following="b"), silence) as end:
        ct, listing = orders(end)
        async with ct:
            walk = listing.pages()
            await anext(walk)
            await end.until_seen(2)
            assert ct.health().in_flight == 1
            del walk
            gc.collect()
            await until_idle(ct)


def test_failed_prefetch_that_is_never_awaited_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    walks: list[Any] = []

    async def abandon_one_prefetched_page() -> None:
        async with ScriptedEnd(page("1", following="b"), answer(500, b"{}")) as end:
            ct, listing = orders(end)
            async with ct:
                walks.append(listing.pages())
                await anext(walks[0])
                await end.until_seen(2)
                ahead = [task for task in asyncio.all_tasks() if task.get_name() == "connecttrade page ahead"]
                await asyncio.wait(ahead)
                assert len(ahead) == 1

    asyncio.run(abandon_one_prefetched_page())
    walks.clear()  # after the loop is closed, when no task can be cancelled
    gc.collect()
    assert [record for record in caplog.records if record.name == "asyncio"] == []


@pytest.mark.parametrize("kind", ["items", "pages"])
async def test_aclose_waits_until_the_prefetched_page_is_dropped(kind: str) -> None:
    async with ScriptedEnd(page("1", following="b"), silence) as end:
        ct, listing = orders(end)
        async with ct:
            walk: Any = aiter(listing) if kind == "items" else listing.pages()
            await anext(walk)
            await end.until_seen(2)
            assert ct.health().in_flight == 1
            await walk.aclose()
            assert ct.health().in_flight == 0  # without another turn of the loop
            with pytest.raises(StopAsyncIteration):
                await anext(walk)
            await walk.aclose()
        assert len(end.seen) == 2


async def test_cancelled_aclose_still_drops_the_prefetched_page() -> None:
    async with ScriptedEnd(page("1", following="b"), silence) as end:
        ct, listing = orders(end)
        async with ct:
            walk = listing.pages()
            await anext(walk)
            await end.until_seen(2)
            closing = asyncio.ensure_future(walk.aclose())
            await asyncio.sleep(0)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            await until_idle(ct)


async def test_order_on_two_pages_is_yielded_once() -> None:
    script = [page("1", "2", following="b"), page("2", "3", following="c"), page("3", "1"), answer(500)]
    async with ScriptedEnd(*script) as end:
        ct, listing = orders(end)
        async with ct:
            assert await ids(aiter(listing)) == ["1", "2", "3"]
    async with ScriptedEnd(*script) as end:
        ct, listing = orders(end)
        async with ct:  # pages are yielded unchanged
            yielded = [[order.order_id for order in each.items] async for each in listing.pages()]
    assert yielded == [["1", "2"], ["2", "3"], ["3", "1"]]


async def test_different_orders_with_the_same_id_are_all_yielded() -> None:
    rows = [
        {"order_id": "1", "account_id": "a", "cl_order_id": "x", "status": "working"},
        {"order_id": "1", "account_id": "b", "cl_order_id": "x", "status": "working"},
        {"order_id": "1", "account_id": "a", "cl_order_id": "y", "status": "working"},
        {"order_id": "1", "account_id": "a", "cl_order_id": "x", "status": "filled"},
    ]
    script = [answer(200, json.dumps([row]), next_cursor=cursor) for row, cursor in zip(rows, "bcd ", strict=True)]
    async with ScriptedEnd(*script[:3], answer(200, json.dumps([rows[3]]))) as end:
        ct, listing = orders(end)
        async with ct:
            yielded = [(order.account_id, order.cl_order_id, order.status) async for order in listing]
    assert yielded == [("a", "x", "working"), ("b", "x", "working"), ("a", "y", "working")]


async def test_rows_of_one_page_with_the_same_key_are_all_yielded() -> None:
    async with ScriptedEnd(page("1", "1", following="b"), page("1", "2")) as end:
        ct, listing = orders(end)
        async with ct:
            assert await ids(aiter(listing)) == ["1", "1", "2"]


async def test_row_that_moves_to_the_next_page_does_not_end_the_listing() -> None:
    script = [page("1", following="b"), page("1", following="c"), page("2", following="d"), page("2"), page("3")]
    async with ScriptedEnd(*script) as end:
        ct, listing = orders(end)
        async with ct:
            assert await ids(aiter(listing)) == ["1", "2"]


async def test_cancelled_anext_leaves_no_task_and_can_be_repeated() -> None:
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
async def test_list_with_a_limit_outside_1_to_500_is_refused_before_sending(limit: Any) -> None:
    async with ScriptedEnd() as end:
        with pytest.raises(ConfigurationError, match="limit must be a whole number from 1 to 500"):
            orders(end, limit=limit)
    assert end.seen == []


async def test_list_with_an_unusable_filter_raises_at_the_call() -> None:
    async with ScriptedEnd() as end:
        with pytest.raises(ConfigurationError, match="must not be given together"):
            orders(end, next_cursor="a", prev_cursor="b")
        for cursor in ("next_cursor", "prev_cursor"):
            with pytest.raises(ConfigurationError, match=f"{cursor} must not be empty"):
                orders(end, **{cursor: ""})
        with pytest.raises(ConfigurationError, match="symbols must not be empty"):
            orders(end, symbols=[])
    assert end.seen == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(script=st.lists(st.tuples(st.sampled_from("abcdefghij"), st.lists(st.integers(0, 5), max_size=3)), max_size=12))
async def test_pages_ends_for_any_script_of_cursors(script: list[tuple[str, list[int]]]) -> None:
    """The iteration ends for any cursors and rows of a server, and yields each item once."""
    served = 0

    def listing(fresh: bool) -> Listing[int]:  # noqa: FBT001
        async def answer(_: str) -> Page[int]:
            nonlocal served
            name, items = script[served] if served < len(script) else ("z", [1])
            served += 1
            return Page(items=tuple(items), next_cursor=f"{name}{served}" if fresh else name)

        return ScriptedApi(answer).listing()

    for fresh in (False, True):  # repeating cursors, and fresh ones
        served = 0
        yielded = await items_until_cursor_error(listing(fresh).pages())
        assert len(yielded) == served <= len(script) + 4
        served = 0
        items = await items_until_cursor_error(aiter(listing(fresh)))
        assert set(items) == {item for each in yielded for item in each.items}
        first_seen = [
            item
            for number, each in enumerate(yielded)
            for item in each.items
            if all(item not in before.items for before in yielded[:number])
        ]
        assert items == first_seen
