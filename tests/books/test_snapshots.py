from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from connecttrade_async.books.book import AccountSnapshot
from connecttrade_async.books.snapshots import ALL_TIME, OrderWindow, SnapshotDigest, oldest, take_snapshot
from connecttrade_async.models.pages import Page, Rows
from connecttrade_async.rest.digests import digest
from connecttrade_async.rest.wire import Request, Response
from frame_factory import balance, order, position
from scripted_calls import ScriptedApi, lazy, user_snapshot

if TYPE_CHECKING:
    from connecttrade_async import Balance, Order, Position
    from connecttrade_async.books.snapshots import UserSnapshot
    from connecttrade_async.rest.call import Call
    from connecttrade_async.rest.pagination import Listing

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
EARLY, LATE = "2026-01-02T14:00:00Z", "2026-03-02T14:00:00Z"


class Nobody:
    """A user with scripted answers, which records its requests."""

    user_id = "nobody"

    def __init__(self, *accounts: str, **orders: list[Order]) -> None:
        self.accounts = accounts
        self.found = orders
        self.asked: list[Any] = []
        self.same: tuple[str, ...] = ()
        self.apis: dict[str, list[ScriptedApi]] = {}

    @property
    def unread(self) -> int:
        """The number of known answers that are not decoded."""
        return sum(not api.decoded for what in self.same for api in self.apis.get(what, ()))

    @property
    def orders(self) -> Any:
        return self

    @property
    def positions(self) -> Any:
        return ScriptedRows(self, "positions", [position(account_id=None)])

    @property
    def balances(self) -> Any:
        return ScriptedRows(self, "balances", [balance(account_id=each) for each in self.accounts])

    @property
    def connections(self) -> Any:
        return ScriptedRows(self, "connections", [])

    def api(self, what: str, answer: Any) -> ScriptedApi:
        async def answered(_: str) -> Any:
            return answer

        api = ScriptedApi(answered, what.encode() if what in self.same else None)
        self.apis.setdefault(what, []).append(api)
        return api

    @property
    def known(self) -> tuple[int, ...]:
        """The digests of the answers that stay the same."""
        return tuple(digest(Request(method="GET", path=what), Response(200, {}, what.encode())) for what in self.same)

    def list(self, *, status: str, start_time: datetime | None, limit: int, next_cursor: str | None) -> Listing[Order]:
        assert (limit, next_cursor) == (500, None)
        self.asked.append((status, start_time))
        count = sum(each[0] == status for each in self.asked)
        items = tuple(self.found.get(f"{status}{count}", ()))
        return self.api(status, Page(items=items)).listing(status)


class ScriptedRows:
    def __init__(self, user: Nobody, what: str, rows: Any) -> None:
        self.user, self.what, self.rows = user, what, rows

    def list(self) -> Call[Any]:
        return self.user.api(self.what, self.rows).call(self.what)


async def snapshot(user: Nobody, *open_orders: Order, accounts: tuple[str, ...] | None = ("a",)) -> UserSnapshot:
    turns: list[int] = []

    async def turn() -> None:
        turns.append(1)

    found = await take_snapshot(user, OrderWindow(NOW - timedelta(days=1), accounts, open_orders), turn, user.known)
    assert len(turns) == 2 + len(user.asked)
    return found


async def test_first_snapshot_lists_open_and_recent_orders() -> None:
    user = Nobody("a", open1=[order(order_id="2"), order(order_id="1")], all1=[order(order_id="3")])
    found = await snapshot(user, accounts=None)
    assert user.asked == [("open", ALL_TIME), ("all", NOW - timedelta(days=1))]
    assert [each.order_id for each in found.orders] == ["1", "2", "3"]


async def test_order_on_two_pages_is_taken_from_the_later() -> None:
    pages = {
        None: Page(items=(order(order_id="2", status="pending_cancel"), order(order_id="1")), next_cursor="on"),
        "on": Page(items=(order(order_id="2", status="working"), order(order_id="0"))),
    }

    class Paged(Nobody):
        def list(self, *, next_cursor: str | None, **_: Any) -> Listing[Order]:
            return self.api("", pages[next_cursor]).listing()

    async def turn() -> None:
        pass

    found = await take_snapshot(Paged("a"), OrderWindow(NOW - timedelta(days=1), ("a",), ()), turn)
    assert [(each.order_id, each.status) for each in found.orders] == [("0", None), ("1", None), ("2", "working")]


async def test_later_snapshot_lists_recent_orders_only() -> None:
    user = Nobody("a")
    await snapshot(user, order(created_at=LATE))
    assert user.asked == [("all", NOW - timedelta(days=1))]


async def test_new_account_makes_a_snapshot_list_open_orders() -> None:
    user = Nobody("a", "b")
    await snapshot(user, order(created_at=LATE))
    assert [status for status, _ in user.asked] == ["open", "all"]


async def test_old_open_order_is_searched_among_open_orders() -> None:
    user = Nobody("a", open1=[order(created_at=EARLY)])
    await snapshot(user, order(created_at=EARLY))
    assert [status for status, _ in user.asked] == ["open", "all"]


async def test_old_order_that_is_not_open_is_searched_since_its_creation() -> None:
    user = Nobody("a")
    await snapshot(user, order(created_at=EARLY), order(order_id="p", created_at="2026-02-02T14:00:00Z"))
    assert user.asked[2:] == [("all", datetime(2026, 1, 2, 14, tzinfo=UTC))]
    user = Nobody("a")
    await snapshot(user, order(created_at=EARLY), order(order_id="p"))
    assert user.asked[2:] == [("all", ALL_TIME)]


def test_row_without_an_account_is_of_the_only_account() -> None:
    held: list[Position] = [position(account_id=None)]
    money: list[Balance] = [balance(account_id="a")]
    assert user_snapshot([], held, money).by_account() == {"a": AccountSnapshot([], held, money)}


@pytest.mark.parametrize(
    "odd",
    [
        user_snapshot([], [position(account_id=None)], []),
        user_snapshot([order(account_id="")], [], []),
        user_snapshot([], [], [balance(account_id="")]),
    ],
    ids=["position", "order", "balance"],
)
def test_row_without_an_account_is_a_problem_of_each_account_where_there_are_several(odd: UserSnapshot) -> None:
    money: list[Balance] = [balance(account_id="a"), balance(account_id="b")]
    snapshot = user_snapshot(odd.orders, odd.positions.value, [*odd.balances.value, *money])
    problem = "a row names no account, and the user has several"
    assert snapshot.by_account() == {
        name: AccountSnapshot([], [], [each], problem) for name, each in zip("ab", money, strict=True)
    }


def test_an_account_of_which_only_orders_are_listed_was_not_read() -> None:
    listed = user_snapshot([order(account_id="b")], [], [balance(account_id="a")]).by_account()
    assert {name: each.is_read for name, each in listed.items()} == {"a": True, "b": False}


KNOWN = SnapshotDigest((), 0, "a", NOW)


async def test_equal_answers_are_not_decoded() -> None:
    user = Nobody("a", all1=[order()])
    user.same = ("balances", "positions", "all")
    found = await snapshot(user, order(created_at=LATE))
    assert (found.is_known, found.is_plain, user.unread) == (True, True, 3)
    assert found.by_account() == {"a": AccountSnapshot([order()], [position(account_id=None)], [balance()])}
    assert user.unread == 0


async def test_equal_answers_with_old_orders_are_not_decoded() -> None:
    user = Nobody("a", open1=[order(created_at=EARLY)], all1=[order(order_id="p")])
    user.same = ("balances", "positions", "open", "all")
    found = await snapshot(user, order(created_at=EARLY))
    assert ([status for status, _ in user.asked], user.unread) == (["open", "all"], 4)
    assert found.is_known
    assert [each.order_id for each in found.by_account()["a"].orders] == ["o", "p"]
    # If one of the two listings differs, a missing order is searched.
    user = Nobody("a", all1=[order(order_id="p")])
    user.same = ("balances", "positions", "all")
    found = await snapshot(user, order(created_at=EARLY))
    assert [status for status, _ in user.asked] == ["open", "all", "all"]
    assert (found.is_known, found.is_plain) == (False, False)


@pytest.mark.parametrize("same", ["balances", "positions"])
async def test_balances_and_positions_are_decoded_together(same: str) -> None:
    user = Nobody("a", all1=[order()])
    user.same = (same, "all")
    found = await snapshot(user)
    assert (found.is_known, user.unread) == (False, 1)
    assert found.by_account(KNOWN)["a"] == AccountSnapshot([], [position(account_id=None)], [balance()])
    assert user.unread == 1
    # The account of the orders is only known while rows without an account have the same one.
    assert found.by_account(replace(KNOWN, only="b"))["a"].orders == [order()]
    assert user.unread == 0


async def test_listing_of_several_pages_is_not_plain() -> None:
    class Turning(Nobody):
        def list(self, *, next_cursor: str | None, **_: Any) -> Any:
            items = (order(order_id=next_cursor or "1"),)
            return self.api("", Page(items=items, next_cursor=None if next_cursor else "2")).listing()

    async def turn() -> None:
        pass

    found = await take_snapshot(Turning("a"), OrderWindow(NOW, ("a",), ()), turn)
    assert (found.is_plain, [each.order_id for each in found.orders]) == (False, ["2", "1"])
    assert (await snapshot(Nobody("a"))).is_plain


@pytest.mark.parametrize("cut_off", [1, 2], ids=["first page", "last page"])
async def test_listing_with_a_page_that_may_be_cut_off_is_a_problem_of_every_account(cut_off: int) -> None:
    class Turning(Nobody):
        def list(self, *, next_cursor: str | None, **_: Any) -> Any:
            is_cut_off = cut_off == (2 if next_cursor else 1)
            cursor = None if next_cursor or is_cut_off else "2"
            items = (order(order_id=next_cursor or "1", account_id="a"),)
            return self.api("", Page(items=items, next_cursor=cursor, may_be_cut_off=is_cut_off)).listing()

    async def turn() -> None:
        pass

    found = await take_snapshot(Turning("a"), OrderWindow(NOW, ("a", "b"), ()), turn)
    money = [balance(account_id="a"), balance(account_id="b")]
    listed = found._replace(balances=user_snapshot([], [], money).balances).by_account()
    assert [each.problem for each in listed.values()] == [
        "the list of orders may be cut off: it is full, and names no cursor of a next page that can be followed"
    ] * 2


@pytest.mark.parametrize("name", ["positions", "balances"])
@pytest.mark.parametrize("is_cut_off", [True, False])
def test_list_that_may_be_cut_off_is_a_problem_of_every_account(name: str, *, is_cut_off: bool) -> None:
    rows: dict[str, Any] = {
        "positions": Rows([position(account_id="a"), position(account_id="b")]),
        "balances": Rows([balance(account_id="a"), balance(account_id="b")]),
    }
    rows[name].may_be_cut_off = is_cut_off
    whole = user_snapshot([], [], [])
    listed = whole._replace(positions=lazy(rows["positions"]), balances=lazy(rows["balances"])).by_account()
    assert len(listed) == 2
    for each in listed.values():
        assert (each.problem is not None) is is_cut_off
        assert not is_cut_off or f"the list of {name} may be cut off" in str(each.problem)


def test_oldest_of_orders_with_an_unknown_time_is_the_beginning_of_time() -> None:
    late = datetime(2026, 3, 2, 14, tzinfo=UTC)
    assert oldest([order(created_at=LATE), order(created_at="2026-03-02T15:00:00Z")]) == late
    assert oldest([order(created_at=LATE), order(created_at="soon")]).year == 1
    assert oldest([]).year == 9999
