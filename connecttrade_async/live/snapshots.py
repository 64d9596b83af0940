"""A loop: ask for all that one user has, and sort it by account. What could not be asked whole is an error, never less.

Which orders are asked for. Asking for all that ever were would take pages without end, so it is a window of time, which
begins a day before the latest that is known, at a whole hour: clocks disagree, and lists lag. An order that is known to
be open and is older than the window is looked for among the open ones, and if it is not there, from when it was made.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from connecttrade_async.errors import MalformedResponseError
from connecttrade_async.live.book import Listed
from connecttrade_async.live.merging import moment_of
from connecttrade_async.models.balances import Balance
from connecttrade_async.models.orders import Order
from connecttrade_async.models.positions import Position
from connecttrade_async.rest.pagination import Listing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable

    from connecttrade_async.models.pages import Page

__all__ = ["Reader", "Snapshot", "Window", "take"]

M = TypeVar("M", Order, Position, Balance)
ONE_DAY = timedelta(days=1)
WHOLE_PAGE = 500


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


class Reader(Protocol):
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


class Window(NamedTuple):
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
    """All that a user has, each list from some moment after it was asked for."""

    orders: list[Order]
    positions: list[Position]
    balances: list[Balance]

    def by_account(self) -> dict[str, Listed]:
        """Sort it by account.

        Raises:
            MalformedResponseError: it is not said of which account something is, and there are several.
        """
        accounts = {each.account_id for each in self.balances}
        only = next(iter(accounts)) if len(accounts) == 1 else None
        orders, positions = _sorted(self.orders, only), _sorted(self.positions, only)
        balances = _sorted(self.balances, only)
        names = dict.fromkeys((*balances, *positions, *orders))
        return {name: Listed(orders[name], positions[name], balances[name]) for name in names}


def _sorted(listed: Iterable[M], only: str | None) -> defaultdict[str, list[M]]:
    found: defaultdict[str, list[M]] = defaultdict(list)
    for each in listed:
        account_id = each.account_id or only
        if account_id is None:
            problem = "it is not said of which account, and there are several"
            raise MalformedResponseError(where=f"{type(each).__name__}.account_id", problem=problem)
        found[account_id].append(each)
    return found


async def take(user: Reader, window: Window, turn: Callable[[], Awaitable[None]]) -> Snapshot:
    """Ask for all that a user has, one request after another.

    Args:
        user: who.
        window: which orders.
        turn: waits until the next request may be sent.

    Raises:
        ConnectTradeError: something could not be read; then nothing was.

    Cancelling drops the request under way.
    """
    await turn()
    balances = await user.balances.list()
    await turn()
    positions = await user.positions.list()
    seen = {each.account_id for each in balances} | {each.account_id for each in positions}
    is_new = window.accounts is None or not seen <= {*window.accounts, None}
    orders: list[Order] = []
    old = [order for order in window.open_orders if not _is_within(order, window.since)]
    if old or is_new:
        orders += await _walk(user, turn, "open", None)
    orders += await _walk(user, turn, "all", window.since)
    listed = {order.order_id for order in orders}
    strays = [order for order in old if order.order_id not in listed]
    if strays:
        orders += await _walk(user, turn, "all", _earliest(strays))
    return Snapshot(orders, positions, balances)


async def _walk(
    user: Reader,
    turn: Callable[[], Awaitable[None]],
    status: str,
    since: datetime | None,
) -> list[Order]:
    """Return the orders of a listing, all pages of it, oldest first."""

    async def fetch(cursor: str | None) -> Page[Order]:
        await turn()
        return await user.orders.list(status=status, start_time=since, limit=WHOLE_PAGE, next_cursor=cursor)

    # Most have one page, and need no listing of pages.
    first = await fetch(None)
    found = list(first.items)
    if first.next_cursor:
        found += [order async for page in Listing(fetch, start=first.next_cursor).pages() for order in page.items]
        # What came while the pages were turned has moved the rest: one that is on two of them is as the later says.
        found = list({order.order_id: order for order in found}.values())
    return found[::-1]


def _is_within(order: Order, since: datetime) -> bool:
    made = moment_of(order.created_at_text)
    return made is not None and made >= since


def _earliest(orders: Iterable[Order]) -> datetime | None:
    """Return when the first of some orders was made, or None where nobody knows of one of them."""
    times = [moment_of(order.created_at_text) for order in orders]
    known = [time for time in times if time is not None]
    return min(known) if len(known) == len(times) else None
