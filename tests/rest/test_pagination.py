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
from scripted_server import Act, ScriptedEnd, answer, silence

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine


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
        assert repr(listing) == "<Listing, not sent yet: await it for one page, or iterate it with async for>"
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
    assert caught.value.cursor in "bcdef"
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
                await end.until_seen(2)
                assert ct.health().in_flight == 1
                break
            gc.collect()
            await until_idle(ct)


async def test_an_iterator_that_is_given_up_drops_the_page_ahead() -> None:
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


def test_a_page_ahead_that_failed_and_is_not_wanted_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    walks: list[Any] = []

    async def leave_one_page_ahead() -> None:
        async with ScriptedEnd(page("1", following="b"), answer(500, b"{}")) as end:
            ct, listing = orders(end)
            async with ct:
                walks.append(listing.pages())
                await anext(walks[0])
                await end.until_seen(2)
                ahead = [task for task in asyncio.all_tasks() if task.get_name() == "connecttrade page ahead"]
                await asyncio.wait(ahead)
                assert len(ahead) == 1

    asyncio.run(leave_one_page_ahead())
    walks.clear()  # after its loop, where nothing can be cancelled any more
    gc.collect()
    assert [record for record in caplog.records if record.name == "asyncio"] == []


@pytest.mark.parametrize("kind", ["items", "pages"])
async def test_closing_a_walk_waits_until_the_page_ahead_is_dropped(kind: str) -> None:
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


async def test_cancelling_aclose_drops_the_page_ahead_all_the_same() -> None:
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


async def test_an_order_that_stands_on_two_pages_is_delivered_once() -> None:
    script = [page("1", "2", following="b"), page("2", "3", following="c"), page("3", "1"), answer(500)]
    async with ScriptedEnd(*script) as end:
        ct, listing = orders(end)
        async with ct:
            assert await ids(aiter(listing)) == ["1", "2", "3"]
    async with ScriptedEnd(*script) as end:
        ct, listing = orders(end)
        async with ct:  # pages are delivered as they came
            told = [[order.order_id for order in each.items] async for each in listing.pages()]
    assert told == [["1", "2"], ["2", "3"], ["3", "1"]]


async def test_orders_that_share_an_id_and_differ_are_all_delivered() -> None:
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
            told = [(order.account_id, order.cl_order_id, order.status) async for order in listing]
    assert told == [("a", "x", "working"), ("b", "x", "working"), ("a", "y", "working")]


async def test_rows_of_one_page_that_share_their_key_are_all_delivered() -> None:
    async with ScriptedEnd(page("1", "1", following="b"), page("1", "2")) as end:
        ct, listing = orders(end)
        async with ct:
            assert await ids(aiter(listing)) == ["1", "1", "2"]


async def test_a_row_that_moves_to_the_next_page_does_not_end_the_listing() -> None:
    script = [page("1", following="b"), page("1", following="c"), page("2", following="d"), page("2"), page("3")]
    async with ScriptedEnd(*script) as end:
        ct, listing = orders(end)
        async with ct:
            assert await ids(aiter(listing)) == ["1", "2"]


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
        with pytest.raises(ConfigurationError, match="limit must be a whole number from 1 to 500"):
            orders(end, limit=limit)
    assert end.seen == []


async def test_wrong_filters_are_met_where_they_are_written() -> None:
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
async def test_no_script_of_cursors_makes_it_endless(script: list[tuple[str, list[int]]]) -> None:
    """Whatever cursors and rows a server serves, the walk ends, and each item is delivered once."""
    served = 0

    def fetching(fresh: bool) -> Callable[[str | None], Coroutine[Any, Any, Page[int]]]:  # noqa: FBT001
        async def fetch(cursor: str | None) -> Page[int]:
            nonlocal served
            del cursor
            name, items = script[served] if served < len(script) else ("z", [1])
            served += 1
            return Page(items=tuple(items), next_cursor=f"{name}{served}" if fresh else name)

        return fetch

    for fresh in (False, True):  # cursors that repeat, and such that never do
        served = 0
        told = await told_until_cursor_error(Listing(fetching(fresh)).pages())
        assert len(told) == served <= len(script) + 4
        served = 0
        items = await told_until_cursor_error(aiter(Listing(fetching(fresh))))
        assert set(items) == {item for each in told for item in each.items}
        first_seen = [
            item
            for number, each in enumerate(told)
            for item in each.items
            if all(item not in before.items for before in told[:number])
        ]
        assert items == first_seen
