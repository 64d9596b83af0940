"""The world's listing of orders: which ones, in what order, and a page of them between two fixed places.

A place is an order's own key, never a count, so a walk from page to page stays whole while orders are added.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from connecttrade_async.sandbox.world.orders import Order

__all__ = ["Filter", "Page", "PagePosition", "page_of"]


class PagePosition(NamedTuple):
    """Where a walk stands: beside the order of this key, going on to older pages or back (`backwards`)."""

    key: tuple[datetime, str]
    backwards: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which orders are wanted; None asks for all. Times include their ends."""

    statuses: frozenset[str] | None = None
    symbols: frozenset[str] | None = None
    side: str | None = None
    start: datetime | None = None
    end: datetime | None = None

    def admits(self, order: Order) -> bool:
        """Whether an order is wanted."""
        return (
            (self.statuses is None or order.status in self.statuses)
            and (self.symbols is None or order.touches(self.symbols))
            and (self.side is None or order.side == self.side)
            and (self.start is None or order.created_at >= self.start)
            and (self.end is None or order.created_at <= self.end)
        )


class Page(NamedTuple):
    """Orders of one page, and whether there are more on either side."""

    orders: list[Order]
    has_before: bool
    has_after: bool


def page_of(
    orders: Iterable[Order], wanted: Filter, *, limit: int, descending: bool, place: PagePosition | None = None
) -> Page:
    """Cut one page out of the wanted orders.

    Args:
        orders: orders of any number of accounts.
        wanted: which of them.
        limit: how many at most.
        descending: newest first.
        place: the end of the page that the caller has; None begins at the beginning.
    """
    found = sorted((order for order in orders if wanted.admits(order)), key=_key)
    first, last = _bounds(found, limit, place, descending=descending)
    chosen = found[first:last]
    older, newer = first > 0, last < len(found)
    if not descending:
        return Page(chosen, older, newer)
    return Page(chosen[::-1], newer, older)


def _bounds(found: list[Order], limit: int, place: PagePosition | None, *, descending: bool) -> tuple[int, int]:
    if place is None:
        return (max(0, len(found) - limit), len(found)) if descending else (0, min(limit, len(found)))
    if place.backwards is descending:
        first = bisect_right(found, place.key, key=_key)
        return first, min(first + limit, len(found))
    last = bisect_left(found, place.key, key=_key)
    return max(0, last - limit), last


def _key(order: Order) -> tuple[datetime, str]:
    return order.key
