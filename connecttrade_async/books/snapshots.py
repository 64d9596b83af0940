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
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import msgspec

from connecttrade_async.books.book import AccountSnapshot
from connecttrade_async.books.merge import event_time
from connecttrade_async.models.balances import Balance
from connecttrade_async.models.orders import Order
from connecttrade_async.models.positions import Position
from connecttrade_async.rest.digests import LazyValue, digest
from connecttrade_async.rest.pagination import Listing, Pages
from connecttrade_async.rest.wire import LARGEST_PAGE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Iterable

    from connecttrade_async.models.connections import Connection
    from connecttrade_async.models.pages import Page, Rows
    from connecttrade_async.rest.call import Call

__all__ = [
    "OrderListing",
    "OrderWindow",
    "SnapshotDigest",
    "Turn",
    "UserApi",
    "UserSnapshot",
    "oldest",
    "take_snapshot",
]

T = TypeVar("T")
M = TypeVar("M", Order, Position, Balance)
EMPTY: Mapping[int, LazyValue[Any]] = MappingProxyType({})
ONE_DAY = timedelta(days=1)
BEGINNING, END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
# A time before any order that can still be open. Not zero, which a server may take for no time at all.
ALL_TIME = datetime(2000, 1, 1, tzinfo=UTC)
ORDER_ID, SYMBOL = attrgetter("order_id"), attrgetter("symbol")
# The key of rows without a known account.
NAMELESS = ""
CUT_OFF = "the list of {} may be cut off: it is full, and names no cursor of a next page that can be followed"


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

    def list(self) -> Call[Rows[Position]]:
        """List positions."""
        ...


class ListsBalances(Protocol):
    """The balances of a user."""

    def list(self) -> Call[Rows[Balance]]:
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


class UserSnapshot(NamedTuple):
    """Everything that a user has; each list is from some moment after its request.

    Attributes:
        listings: the listings of orders.
        positions: all positions.
        balances: all balances.
        is_plain: whether each listing of orders had one page, and no order needed a separate listing.
        has_known_orders: whether every answer with orders was known.
        is_known: whether every answer was known.
        responses: the answers by digest.
    """

    listings: Sequence[OrderListing]
    positions: LazyValue[Rows[Position]]
    balances: LazyValue[Rows[Balance]]
    is_plain: bool = False
    has_known_orders: bool = False
    is_known: bool = False
    responses: Mapping[int, LazyValue[Any]] = EMPTY

    @property
    def orders(self) -> list[Order]:
        """All orders, those of each listing oldest first."""
        return [order for listing in self.listings for order in listing.orders]

    @property
    def only(self) -> str | None:
        """The account of rows that name none: the only account that there is, or None."""
        accounts = {each.account_id for each in self.balances.value}
        return (accounts.pop() or None) if len(accounts) == 1 else None

    def has_same_orders(self, known: SnapshotDigest | None) -> bool:
        """Return whether the orders equal those that the books were loaded from, of the same accounts."""
        return known is not None and self.has_known_orders and known.only == self.only

    def by_account(self, known: SnapshotDigest | None = None) -> dict[str, AccountSnapshot]:
        """Group the rows by account. A row without its key is a ``problem`` of the accounts it may belong to.

        Args:
            known: the digest of the answers that the books were loaded from, if the books are unchanged since: equal
                orders are skipped.
        """
        only = self.only
        orders = _sorted(() if self.has_same_orders(known) else self.orders, only)
        positions, balances = _sorted(self.positions.value, only), _sorted(self.balances.value, only)
        names = dict.fromkeys(name for name in (*balances, *positions, *orders) if name)
        of_any = NAMELESS in orders or NAMELESS in positions or NAMELESS in balances
        problem = "a row names no account, and the user has several" if of_any else None
        # Which account lacks rows is not known, so the lists are complete for none.
        problem = self._cut_off() or problem
        return {
            name: _listed(orders.get(name, []), positions.get(name, []), balances.get(name, []), problem)
            for name in names
        }

    def _cut_off(self) -> str | None:
        """Return which list may lack rows, or None."""
        if any(listing.may_be_cut_off for listing in self.listings):
            return CUT_OFF.format("orders")
        for name, rows in (("positions", self.positions.value), ("balances", self.balances.value)):
            if rows.may_be_cut_off:
                return CUT_OFF.format(name)
        return None


def _listed(
    orders: Sequence[Order], positions: Sequence[Position], balances: Sequence[Balance], problem: str | None
) -> AccountSnapshot:
    if not all(map(ORDER_ID, orders)):
        orders, problem = [order for order in orders if order.order_id], problem or "an order has no order_id"
    if not all(map(SYMBOL, positions)):
        positions = [position for position in positions if position.symbol]
        problem = problem or "a position has no symbol"
    return AccountSnapshot(orders, positions, balances, problem)


def _sorted(listed: Sequence[M], only: str | None) -> Mapping[str, Sequence[M]]:
    names = {each.account_id for each in listed}
    if only is not None and names <= {only, None, ""}:  # most users have one account
        return {only: listed} if listed else {}
    found: defaultdict[str, list[M]] = defaultdict(list)
    for each in listed:
        found[each.account_id or only or NAMELESS].append(each)
    return found


async def take_snapshot(
    user: UserApi,
    window: OrderWindow,
    turn: Turn,
    known: Collection[int] = (),
    *,
    values: Mapping[int, LazyValue[Any]] = EMPTY,
) -> UserSnapshot:
    """Read everything that a user has, one request after another.

    Args:
        user: the API handle of the user.
        window: the orders to list.
        turn: returns an awaitable until the next request may be sent; None where it may be sent at once.
        known: the digests of answers that the books were loaded from, which stay undecoded.
        values: earlier answers by digest; an equal answer has the same value.

    Raises:
        ConnectTradeError: a request failed; then nothing is returned.

    Cancelling drops the request under way.
    """
    reader = _SnapshotReader(turn, known, values)
    balances, is_balances_known = await reader.read(user.balances.list())
    positions, is_positions_known = await reader.read(user.positions.list())
    has_known_rows = is_balances_known and is_positions_known
    old = [order for order in window.open_orders if not _is_within(order, window.since)]
    # Equal answers have the same accounts. Otherwise both lists are needed to know whether an account is new.
    is_new = window.accounts is None or not (has_known_rows or _are_known(window.accounts, balances, positions))
    listings = [await _listing(user, reader, "open", ALL_TIME)] if old or is_new else []
    listings.append(await _listing(user, reader, "all", window.since))
    if all(listing.is_known for listing in listings):
        # The books were loaded from these answers, and no order needed a separate listing then.
        return UserSnapshot(
            listings,
            positions,
            balances,
            is_plain=True,
            has_known_orders=True,
            is_known=has_known_rows,
            responses=reader.responses,
        )
    is_plain = all(listing.is_whole for listing in listings)
    listed = {order.order_id for listing in listings for order in listing.orders}
    missing = [order for order in old if order.order_id not in listed]
    if missing:
        listings.append(await _listing(user, reader, "all", _earliest(missing)))
    return UserSnapshot(listings, positions, balances, is_plain and not missing, responses=reader.responses)


class _SnapshotReader:
    """Sends the requests of one snapshot, and decodes only the answers that are not known."""

    __slots__ = ("_known", "_turn", "_values", "responses")

    def __init__(self, turn: Turn, known: Collection[int], values: Mapping[int, LazyValue[Any]]) -> None:
        self._turn = turn
        self._known = known
        self._values = values
        self.responses: dict[int, LazyValue[Any]] = {}

    async def read(self, call: Call[T]) -> tuple[LazyValue[T], bool]:
        """Return the answer to a call, and whether it is known; one that is not is decoded."""
        if (wait := self._turn()) is not None:
            await wait
        response = await call.response()
        seen = digest(call.request, response)
        answer: LazyValue[T] = self._values.get(seen) or LazyValue(call.decode, response)
        self.responses[seen] = answer
        if seen in self._known:
            return answer, True
        _ = answer.value  # an answer that cannot be decoded ends the snapshot before further requests
        return answer, False


def _are_known(
    accounts: Collection[str], balances: LazyValue[Rows[Balance]], positions: LazyValue[Rows[Position]]
) -> bool:
    listed = {each.account_id for each in balances.value} | {each.account_id for each in positions.value}
    return listed <= {*accounts, None, NAMELESS}


class OrderListing(NamedTuple):
    """The orders of a listing.

    Attributes:
        page: the first page.
        is_known: whether the listing is one page, and known.
        found: the orders of all pages, oldest first; None if the first page has all.
        is_cut_off: whether a page after the first may lack orders.
    """

    page: LazyValue[Page[Order]]
    is_known: bool = False
    found: list[Order] | None = None
    is_cut_off: bool = False

    @property
    def may_be_cut_off(self) -> bool:
        """Whether the listing may lack orders. One that is known was whole when it was decoded."""
        return self.is_cut_off or (not self.is_known and self.page.value.may_be_cut_off)

    @property
    def is_whole(self) -> bool:
        """Whether the first page had all orders."""
        return self.found is None

    @property
    def orders(self) -> list[Order]:
        """The orders of all pages, oldest first."""
        return [*reversed(self.page.value.items)] if self.found is None else self.found


async def _listing(user: UserApi, reader: _SnapshotReader, status: str, since: datetime) -> OrderListing:
    def page_at(cursor: str | None) -> Listing[Order]:
        return user.orders.list(status=status, start_time=since, limit=LARGEST_PAGE, next_cursor=cursor)

    # Most listings have one page and need no paginator.
    first, is_known = await reader.read(page_at(None))
    if is_known:  # only a page that is a whole listing has a known digest
        return OrderListing(first, is_known=True)
    if not first.value.next_cursor:
        return OrderListing(first)

    async def fetch(cursor: str | None) -> Page[Order]:
        page, _ = await reader.read(page_at(cursor))
        return page.value

    found = [*first.value.items]
    is_cut_off = False
    async for page in Pages(fetch, start=first.value.next_cursor, backwards=False):
        found += page.items
        is_cut_off = is_cut_off or page.may_be_cut_off
    # New orders during the listing have moved the later rows: of an order on two pages the later row counts.
    # An id of two orders, which have different client order ids, stands for both.
    found = [*{(order.order_id, order.cl_order_id): order for order in found}.values()]
    return OrderListing(first, found=found[::-1], is_cut_off=is_cut_off)


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
