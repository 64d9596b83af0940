"""Read everything that one user has, and group it by account. A failed read is an error, never a smaller snapshot.

Listing all orders ever would take pages without end, so a snapshot lists a window of time. It begins a day before the
latest known order, at a whole hour, because clocks disagree and lists lag. A known open order that is older than the
window is searched in the listing of open orders, and if absent, in a listing since it was created. Each listing has a
start time. Without any filter the default is "since midnight UTC" (documented); with some filters it is unknown. The
start time costs no page, because open orders are few.

An answer that equals the one that the books were loaded from needs no decoding; ``book.py`` explains why. If all
answers are equal, nothing is loaded. If only the orders are equal, they are skipped.
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
# A time before any order that can still be open. Not zero, which a server may take for no time at all.
ALL_TIME = datetime(2000, 1, 1, tzinfo=UTC)
FULL_PAGE = 500
ORDER_ID, SYMBOL = attrgetter("order_id"), attrgetter("symbol")
# The key of rows without a known account.
NAMELESS = ""


class ListsOrders(Protocol):
    """The orders of a user."""

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
    """The positions of a user."""

    def list(self) -> Coroutine[Any, Any, list[Position]]:
        """List positions."""
        ...


class ListsBalances(Protocol):
    """The balances of a user."""

    def list(self) -> Coroutine[Any, Any, list[Balance]]:
        """List balances."""
        ...


class ListsConnections(Protocol):
    """The broker connections of a user."""

    def list(self) -> Coroutine[Any, Any, list[Connection]]:
        """List connections."""
        ...


Turn = Callable[[], "Awaitable[None] | None"]


class UserApi(Protocol):
    """The part of a user handle that snapshots need."""

    @property
    def user_id(self) -> str:
        """The user's id."""
        ...

    @property
    def orders(self) -> ListsOrders:
        """The user's orders."""
        ...

    @property
    def positions(self) -> ListsPositions:
        """The user's positions."""
        ...

    @property
    def balances(self) -> ListsBalances:
        """The user's balances."""
        ...

    @property
    def connections(self) -> ListsConnections:
        """The user's broker connections."""
        ...


Noting = Callable[[UserApi, Collection[int]], tuple[UserApi, Sequence[int]]]
"""Takes a user and the digests of known answers. Returns the same user with ``UndecodedResponse`` for known answers,
and the digests of the answers so far."""


def as_it_is(user: UserApi, _: Collection[int]) -> tuple[UserApi, Sequence[int]]:
    """Return a user with answers that are decoded and not recorded."""
    return user, ()


class SnapshotDigest(msgspec.Struct, frozen=True, gc=False, eq=False):
    """The digest of the answers that the books of a user were last loaded from.

    Attributes:
        digests: the digests of the answers.
        frames: the number of frames of the user at the request, and still when it was loaded.
        only: the account of rows that name none.
        oldest: when the oldest order that was open then was created. The end of time without an open order; the
            beginning of time where one has no known time.
    """

    digests: tuple[int, ...]
    frames: int
    only: str | None
    oldest: datetime


class OrderWindow(NamedTuple):
    """The orders that a snapshot needs.

    Attributes:
        since: the creation time from which on all orders are listed, aware.
        accounts: the known accounts; None for the first snapshot.
        open_orders: the orders that are known to be open.
    """

    since: datetime
    accounts: Collection[str] | None
    open_orders: Collection[Order]


class Snapshot(NamedTuple):
    """Everything that a user has; each list is from some moment after its request.

    Lists may be undecoded where the answers were known.

    Attributes:
        orders: oldest first.
        positions: all positions.
        balances: all balances.
        is_plain: whether each listing of orders had one page, and no order needed a separate listing.
    """

    orders: list[Order]
    positions: list[Position]
    balances: list[Balance]
    is_plain: bool = False

    @property
    def is_unread(self) -> bool:
        """Whether every answer was known."""
        return _is_unread(self.orders) and _is_unread(self.positions) and _is_unread(self.balances)

    @property
    def only(self) -> str | None:
        """The account of rows that name none: the only account that there is, or None."""
        accounts = {each.account_id for each in _read(self.balances)}
        return (accounts.pop() or None) if len(accounts) == 1 else None

    def has_same_orders(self, known: SnapshotDigest | None) -> bool:
        """Return whether the orders equal those that the books were loaded from, of the same accounts."""
        return known is not None and _is_unread(self.orders) and known.only == self.only

    def by_account(self, known: SnapshotDigest | None = None) -> dict[str, AccountSnapshot]:
        """Group the rows by account. A row without its key is a ``problem`` of the accounts it may belong to.

        Args:
            known: the digest of the answers that the books were loaded from, if the books are unchanged since: equal
                orders are skipped.
        """
        only = self.only
        orders = _sorted(() if self.has_same_orders(known) else _read(self.orders), only)
        positions, balances = _sorted(_read(self.positions), only), _sorted(_read(self.balances), only)
        names = dict.fromkeys(name for name in (*balances, *positions, *orders) if name)
        of_any = NAMELESS in orders or NAMELESS in positions or NAMELESS in balances
        problem = "a row names no account, and the user has several" if of_any else None
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
    """Read everything that a user has, one request after another.

    Args:
        user: the API handle of the user.
        window: the orders to list.
        turn: returns an awaitable until the next request may be sent; None where it may be sent at once.

    Raises:
        ConnectTradeError: a request failed; then nothing is returned.

    Cancelling drops the request under way.
    """
    if (wait := turn()) is not None:
        await wait
    balances = await user.balances.list()
    if (wait := turn()) is not None:
        await wait
    positions = await user.positions.list()
    if not (_is_unread(balances) and _is_unread(positions)):
        # Both lists are needed to know whether an account was read.
        balances, positions = _read(balances), _read(positions)
    old = [order for order in window.open_orders if not _is_within(order, window.since)]
    listings = [await _listing(user, turn, "open", ALL_TIME)] if old or _is_new(window, balances, positions) else []
    listings.append(await _listing(user, turn, "all", window.since))
    if all(map(_is_unread, listings)):
        # The books were loaded from these answers, and no order needed a separate listing then.
        return Snapshot(
            cast("list[Order]", UndecodedResponse(_merge_listings, listings)), positions, balances, is_plain=True
        )
    orders, is_plain = _merge_listings(listings), all(listing.is_whole for listing in map(_read, listings))
    listed = {order.order_id for order in orders}
    missing = [order for order in old if order.order_id not in listed]
    if missing:
        orders += _read(await _listing(user, turn, "all", _earliest(missing))).orders
    return Snapshot(orders, positions, balances, is_plain and not missing)


def _is_new(window: OrderWindow, balances: list[Balance], positions: list[Position]) -> bool:
    """Return whether the rows have an account that is not known."""
    if window.accounts is None:
        return True
    if _is_unread(balances):  # equal answers have the same accounts
        return False
    listed_accounts = {each.account_id for each in balances} | {each.account_id for each in positions}
    return not listed_accounts <= {*window.accounts, None, NAMELESS}


class Orders(NamedTuple):
    """The orders of a listing.

    Attributes:
        orders: the orders of all pages, oldest first.
        is_whole: whether the first page had all of them.
    """

    orders: list[Order]
    is_whole: bool


async def _listing(
    user: UserApi,
    turn: Turn,
    status: str,
    since: datetime,
) -> Orders:
    """Return a listing of orders; undecoded if its only page is."""
    if (wait := turn()) is not None:
        await wait
    # Most listings have one page and need no paginator.
    first = await user.orders.list(status=status, start_time=since, limit=FULL_PAGE, next_cursor=None)
    if _is_unread(first):  # only a page that is a whole listing has a known digest
        return cast("Orders", UndecodedResponse(_only_page, first))
    if not first.next_cursor:
        return _only_page(first)

    async def fetch(cursor: str | None) -> Page[Order]:
        if (wait := turn()) is not None:
            await wait
        return await user.orders.list(status=status, start_time=since, limit=FULL_PAGE, next_cursor=cursor)

    found = [*first.items]
    found += [order async for page in Listing(fetch, start=first.next_cursor).pages() for order in page.items]
    # New orders during the listing have moved the later rows: of an order on two pages the later row counts.
    # An id of two orders, which have different client order ids, stands for both.
    found = [*{(order.order_id, order.cl_order_id): order for order in found}.values()]
    return Orders(found[::-1], is_whole=False)


def _only_page(page: Page[Order]) -> Orders:
    return Orders([*reversed(_read(page).items)], is_whole=True)


def _merge_listings(listings: Iterable[Orders]) -> list[Order]:
    return [order for listing in listings for order in _read(listing).orders]


def _is_within(order: Order, since: datetime) -> bool:
    made = event_time(order.created_at_text)
    return made is not None and made >= since


def oldest(orders: Iterable[Order]) -> datetime:
    """Return when the oldest of some orders was created; see ``SnapshotDigest``."""
    times = [event_time(order.created_at_text) or BEGINNING for order in orders]
    return min(times, default=END)


def _earliest(orders: Iterable[Order]) -> datetime:
    """Return when the oldest of some orders was created; where a time is unknown, a time before all orders."""
    return max(oldest(orders), ALL_TIME)
