from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async.errors import MalformedResponseError
from connecttrade_async.live.book import Listed
from connecttrade_async.live.snapshots import Snapshot, Window, take
from connecttrade_async.models.pages import Page
from connecttrade_async.rest.pagination import Listing
from frames import balance, order, position

if TYPE_CHECKING:
    from connecttrade_async import Balance, Order, Position

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
EARLY, LATE = "2026-01-02T14:00:00Z", "2026-03-02T14:00:00Z"


class Nobody:
    """A user whose answers are written down, and who writes down what is asked."""

    user_id = "nobody"

    def __init__(self, *accounts: str, **orders: list[Order]) -> None:
        self.accounts = accounts
        self.found = orders
        self.asked: list[Any] = []

    @property
    def orders(self) -> Any:
        return self

    @property
    def positions(self) -> Any:
        return Answers([position(account_id=None)])

    @property
    def balances(self) -> Any:
        return Answers([balance(account_id=each) for each in self.accounts])

    def list(self, *, status: str, start_time: datetime | None, limit: int, next_cursor: str | None) -> Listing[Order]:
        assert (limit, next_cursor) == (500, None)
        self.asked.append((status, start_time))
        count = sum(each[0] == status for each in self.asked)
        items = tuple(self.found.get(f"{status}{count}", ()))

        async def fetch(_: str | None) -> Page[Order]:
            return Page(items=items)

        return Listing(fetch)


class Answers:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def list(self) -> Any:
        return self.answer


async def snapshot(user: Nobody, *open_orders: Order, accounts: tuple[str, ...] | None = ("a",)) -> Snapshot:
    turns: list[int] = []

    async def turn() -> None:
        turns.append(1)

    found = await take(user, Window(NOW - timedelta(days=1), accounts, open_orders), turn)
    assert len(turns) == 2 + len(user.asked)
    return found


async def test_the_first_asks_for_what_is_open_and_for_the_latest() -> None:
    user = Nobody("a", open1=[order(order_id="2"), order(order_id="1")], all1=[order(order_id="3")])
    found = await snapshot(user, accounts=None)
    assert user.asked == [("open", None), ("all", NOW - timedelta(days=1))]
    assert [each.order_id for each in found.orders] == ["1", "2", "3"]


async def test_an_order_that_is_on_two_pages_is_as_the_later_says() -> None:
    pages = {
        None: Page(items=(order(order_id="2", status="pending_cancel"), order(order_id="1")), next_cursor="on"),
        "on": Page(items=(order(order_id="2", status="working"), order(order_id="0"))),
    }

    class Paged(Nobody):
        def list(self, *, next_cursor: str | None, **_: Any) -> Listing[Order]:
            async def fetch(_: str | None) -> Page[Order]:
                return pages[next_cursor]

            return Listing(fetch)

    async def turn() -> None:
        pass

    found = await take(Paged("a"), Window(NOW - timedelta(days=1), ("a",), ()), turn)
    assert [(each.order_id, each.status) for each in found.orders] == [("0", None), ("1", None), ("2", "working")]


async def test_a_later_one_asks_for_the_latest_only() -> None:
    user = Nobody("a")
    await snapshot(user, order(created_at=LATE))
    assert user.asked == [("all", NOW - timedelta(days=1))]


async def test_an_account_that_is_new_may_have_old_orders() -> None:
    user = Nobody("a", "b")
    await snapshot(user, order(created_at=LATE))
    assert [status for status, _ in user.asked] == ["open", "all"]


async def test_an_old_order_is_looked_for_among_the_open_ones() -> None:
    user = Nobody("a", open1=[order(created_at=EARLY)])
    await snapshot(user, order(created_at=EARLY))
    assert [status for status, _ in user.asked] == ["open", "all"]


async def test_and_if_it_is_not_there_from_when_it_was_made() -> None:
    user = Nobody("a")
    await snapshot(user, order(created_at=EARLY), order(order_id="p", created_at="2026-02-02T14:00:00Z"))
    assert user.asked[2:] == [("all", datetime(2026, 1, 2, 14, tzinfo=UTC))]
    user = Nobody("a")
    await snapshot(user, order(created_at=EARLY), order(order_id="p"))
    assert user.asked[2:] == [("all", None)]


def test_what_names_no_account_is_of_the_only_one() -> None:
    held: list[Position] = [position(account_id=None)]
    money: list[Balance] = [balance(account_id="a")]
    assert Snapshot([], held, money).by_account() == {"a": Listed([], held, money)}
    with pytest.raises(MalformedResponseError, match=r"Position\.account_id"):
        Snapshot([], held, [*money, balance(account_id="b")]).by_account()


def test_an_account_of_which_only_orders_are_listed_was_not_read() -> None:
    listed = Snapshot([order(account_id="b")], [], [balance(account_id="a")]).by_account()
    assert {name: each.is_read for name, each in listed.items()} == {"a": True, "b": False}
