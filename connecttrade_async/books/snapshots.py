"""A loop: ask for all that one user has, and sort it by account. What could not be asked whole is an error, never less.

Which orders are asked for. Asking for all that ever were would take pages without end, so it is a window of time, which
begins a day before the latest that is known, at a whole hour: clocks disagree, and lists lag. An order that is known to
be open and is older than the window is looked for among the open ones, and if it is not there, from when it was made.
Each listing says from when on: what is listed where nobody says so is documented as "since midnight UTC" for a call
without any filter, and for calls with some it is not documented at all. That costs no page, for the open ones are few.

An answer that is the same to the last byte as one that the books were last loaded from need not be read: why that is so
is on top of ``book.py``. Where everything is the same, nothing is loaded; where only the orders are, they are left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, cast

import msgspec

from connecttrade_async.books.book import AccountSnapshot
from connecttrade_async.books.merge import event_time
from connecttrade_async.models.balances import Balance
from connecttrade_async.models.orders import Order
from connecttrade_async.models.positions import Position
from connecttrade_async.rest.digests import UndecodedResponse
from connecttrade_async.rest.pagination import Listing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Iterable, Mapping

    from connecttrade_async.models.connections import Connection
    from connecttrade_async.models.pages import Page

__all__ = [
    "Noting",
    "OrderWindow",
    "Snapshot",
    "SnapshotDigest",
    "Turn",
    "UserApi",
    "as_it_is",
    "oldest",
    "take_snapshot",
]

M = TypeVar("M", Order, Position, Balance)
ONE_DAY = timedelta(days=1)
BEGINNING, END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
# Before any order that can still be open. No zero of anybody's clock, which might be taken for no time at all.
ALL_TIME = datetime(2000, 1, 1, tzinfo=UTC)
FULL_PAGE = 500
ORDER_ID, SYMBOL = attrgetter("order_id"), attrgetter("symbol")
# Where the rows go of which no account is known.
NAMELESS = ""


class ListsOrders(Protocol):
    """Somebody's orders."""

    def list(
        self,
        *,
        status: str | None = None,
        start_time: datetime | str | None = None,
        limit: int | None = None,
        next_cursor: str | None = None,
    ) -> Listing[Order]:
        """List orders."""
        ...


class ListsPositions(Protocol):
    """What somebody holds."""

    def list(self) -> Coroutine[Any, Any, list[Position]]:
        """List positions."""
        ...


class ListsBalances(Protocol):
    """Somebody's money."""

    def list(self) -> Coroutine[Any, Any, list[Balance]]:
        """List balances."""
        ...


class ListsConnections(Protocol):
    """What somebody has linked."""

    def list(self) -> Coroutine[Any, Any, list[Connection]]:
        """List connections."""
        ...


Turn = Callable[[], "Awaitable[None] | None"]


class UserApi(Protocol):
    """A user, as far as snapshots need one."""

    @property
    def user_id(self) -> str:
        """The user's name."""
        ...

    @property
    def orders(self) -> ListsOrders:
        """The user's orders."""
        ...

    @property
    def positions(self) -> ListsPositions:
        """What the user holds."""
        ...

    @property
    def balances(self) -> ListsBalances:
        """The user's money."""
        ...

    @property
    def connections(self) -> ListsConnections:
        """What the user has linked."""
        ...


Noting = Callable[[UserApi, Collection[int]], tuple[UserApi, Sequence[int]]]
"""Given a user, and the digests of answers that are known: the same user, whose answers are ``UndecodedResponse``
where they are
known, and the digests of the answers so far."""


def as_it_is(user: UserApi, _: Collection[int]) -> tuple[UserApi, Sequence[int]]:
    """Return a user whose answers are all read, and of whose answers no notes are taken."""
    return user, ()


class SnapshotDigest(msgspec.Struct, frozen=True, gc=False, eq=False):
    """What the books of a user were last loaded from.

    Attributes:
        digests: of the answers.
        frames: how many frames had been heard of the user when it was asked for, and when it was loaded.
        only: the account of what names none.
        oldest: when the first of the orders was made that were open then; the end of time where none was, its beginning
            where nobody knows.
    """

    digests: tuple[int, ...]
    frames: int
    only: str | None
    oldest: datetime


class OrderWindow(NamedTuple):
    """Which orders are wanted.

    Attributes:
        since: those made from then on, aware.
        accounts: the accounts that are known; None where it is the first snapshot.
        open_orders: those that are known to be open.
    """

    since: datetime
    accounts: Collection[str] | None
    open_orders: Collection[Order]


class Snapshot(NamedTuple):
    """All that a user has, each list from some moment after it was asked for.

    Where answers may be left unread, so may be these.

    Attributes:
        orders: oldest first.
        positions: all there are.
        balances: all there are.
        is_plain: whether each listing of orders had one page, and no order had to be looked for besides.
    """

    orders: list[Order]
    positions: list[Position]
    balances: list[Balance]
    is_plain: bool = False

    @property
    def is_unread(self) -> bool:
        """Whether each answer was known."""
        return _is_unread(self.orders) and _is_unread(self.positions) and _is_unread(self.balances)

    @property
    def only(self) -> str | None:
        """The account of what names none: the one that there is."""
        accounts = {each.account_id for each in _read(self.balances)}
        return (accounts.pop() or None) if len(accounts) == 1 else None

    def has_same_orders(self, known: SnapshotDigest | None) -> bool:
        """Whether the orders are those that the books were loaded from, of the same accounts."""
        return known is not None and _is_unread(self.orders) and known.only == self.only

    def by_account(self, known: SnapshotDigest | None = None) -> dict[str, AccountSnapshot]:
        """Sort it by account. A row that lacks what it is known by is a ``problem`` of the accounts it may be of.

        Args:
            known: what the books were loaded from, if they are still as they were then: orders that are the same are
                left out.
        """
        only = self.only
        orders = _sorted(() if self.has_same_orders(known) else _read(self.orders), only)
        positions, balances = _sorted(_read(self.positions), only), _sorted(_read(self.balances), only)
        names = dict.fromkeys(name for name in (*balances, *positions, *orders) if name)
        of_any = NAMELESS in orders or NAMELESS in positions or NAMELESS in balances
        problem = "a row names no account, and there are several" if of_any else None
        return {
            name: _listed(orders.get(name, []), positions.get(name, []), balances.get(name, []), problem)
            for name in names
        }


def _listed(
    orders: Sequence[Order], positions: Sequence[Position], balances: Sequence[Balance], problem: str | None
) -> AccountSnapshot:
    if not all(map(ORDER_ID, orders)):
        orders, problem = [order for order in orders if order.order_id], problem or "an order has no order_id"
    if not all(map(SYMBOL, positions)):
        positions = [position for position in positions if position.symbol]
        problem = problem or "a position has no symbol"
    return AccountSnapshot(orders, positions, balances, problem)


def _is_unread(answer: object) -> bool:
    return type(answer) is UndecodedResponse


def _read(answer: Any) -> Any:  # noqa: ANN401 - a list, or what will be one
    return answer.read() if type(answer) is UndecodedResponse else answer


def _sorted(listed: Sequence[M], only: str | None) -> Mapping[str, Sequence[M]]:
    names = {each.account_id for each in listed}
    if only is not None and names <= {only, None, ""}:  # most users have one account
        return {only: listed} if listed else {}
    found: defaultdict[str, list[M]] = defaultdict(list)
    for each in listed:
        found[each.account_id or only or NAMELESS].append(each)
    return found


async def take_snapshot(user: UserApi, window: OrderWindow, turn: Turn) -> Snapshot:
    """Ask for all that a user has, one request after another.

    Args:
        user: who.
        window: which orders.
        turn: returns what to await until the next request may be sent; None where it may be sent at once.

    Raises:
        ConnectTradeError: something could not be read; then nothing was.

    Cancelling drops the request under way.
    """
    if (wait := turn()) is not None:
        await wait
    balances = await user.balances.list()
    if (wait := turn()) is not None:
        await wait
    positions = await user.positions.list()
    if not (_is_unread(balances) and _is_unread(positions)):
        # Of these two both are needed to know whether an account was read.
        balances, positions = _read(balances), _read(positions)
    old = [order for order in window.open_orders if not _is_within(order, window.since)]
    listings = [await _listing(user, turn, "open", ALL_TIME)] if old or _is_new(window, balances, positions) else []
    listings.append(await _listing(user, turn, "all", window.since))
    if all(map(_is_unread, listings)):
        # The books were loaded from these, and no order had to be looked for then.
        return Snapshot(cast("list[Order]", UndecodedResponse(_together, listings)), positions, balances, is_plain=True)
    orders, is_plain = _together(listings), all(listing.is_whole for listing in map(_read, listings))
    listed = {order.order_id for order in orders}
    strays = [order for order in old if order.order_id not in listed]
    if strays:
        orders += _read(await _listing(user, turn, "all", _earliest(strays))).orders
    return Snapshot(orders, positions, balances, is_plain and not strays)


def _is_new(window: OrderWindow, balances: list[Balance], positions: list[Position]) -> bool:
    """Say whether there is an account among these that is not known."""
    if window.accounts is None:
        return True
    if _is_unread(balances):  # they were known before, and their accounts with them
        return False
    seen = {each.account_id for each in balances} | {each.account_id for each in positions}
    return not seen <= {*window.accounts, None, NAMELESS}


class Orders(NamedTuple):
    """What a listing of orders came to.

    Attributes:
        orders: those of all pages, oldest first.
        is_whole: whether the first page was all of it.
    """

    orders: list[Order]
    is_whole: bool


async def _listing(
    user: UserApi,
    turn: Turn,
    status: str,
    since: datetime,
) -> Orders:
    """Return a listing of orders; unread, if its only page is."""
    if (wait := turn()) is not None:
        await wait
    # Most have one page, and need no listing of pages.
    first = await user.orders.list(status=status, start_time=since, limit=FULL_PAGE, next_cursor=None)
    if _is_unread(first):  # only pages that are whole listings are known
        return cast("Orders", UndecodedResponse(_only_page, first))
    if not first.next_cursor:
        return _only_page(first)

    async def fetch(cursor: str | None) -> Page[Order]:
        if (wait := turn()) is not None:
            await wait
        return await user.orders.list(status=status, start_time=since, limit=FULL_PAGE, next_cursor=cursor)

    found = [*first.items]
    found += [order async for page in Listing(fetch, start=first.next_cursor).pages() for order in page.items]
    # What came while the pages were turned has moved the rest: one that is on two of them is as the later says.
    # An id that was given to two orders, told apart by their senders' ids, stands for both.
    found = [*{(order.order_id, order.cl_order_id): order for order in found}.values()]
    return Orders(found[::-1], is_whole=False)


def _only_page(page: Page[Order]) -> Orders:
    return Orders([*reversed(_read(page).items)], is_whole=True)


def _together(listings: Iterable[Orders]) -> list[Order]:
    return [order for listing in listings for order in _read(listing).orders]


def _is_within(order: Order, since: datetime) -> bool:
    made = event_time(order.created_at_text)
    return made is not None and made >= since


def oldest(orders: Iterable[Order]) -> datetime:
    """Return when the first of some orders was made; see ``SnapshotDigest``."""
    times = [event_time(order.created_at_text) or BEGINNING for order in orders]
    return min(times, default=END)


def _earliest(orders: Iterable[Order]) -> datetime:
    """Return when the first of some orders was made; where nobody knows of one of them, before all that there are."""
    return max(oldest(orders), ALL_TIME)
