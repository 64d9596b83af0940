"""Keep the positions or balances of one account by key, and merge frames with complete lists.

These items have no version of their own. The rules that decide which report is newer are on top of ``book.py``.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from connecttrade_async.amounts import EXACT, MOST_DECIMALS, plain
from connecttrade_async.books.merge import (
    amount,
    apply_partial,
    compare_times,
    is_future_outlier,
    is_respelled,
    is_same,
    is_same_amount,
    is_surely_different,
    present_fields,
)
from connecttrade_async.models.fields import Model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from connecttrade_async.models.events import BalanceUpdate, PositionUpdate

__all__ = ["Delta", "KeyedState", "RowsByKey", "rows_by_key"]

M = TypeVar("M", bound=Model)
T = TypeVar("T")
# The number of earlier levels of one item that a list is compared with.
MAX_LEVELS = 15
ZERO = Decimal(0)
STEP = Decimal(1).scaleb(-MOST_DECIMALS, EXACT)


class Delta(msgspec.Struct, Generic[M], frozen=True, gc=False):
    """The change of one item.

    Attributes:
        key: the symbol or the currency.
        before: the item before, or None.
        after: the item now; None where a complete list does not have it any more.
    """

    key: str
    before: M | None
    after: M | None


class RowsByKey(NamedTuple, Generic[M]):
    """A complete list by key.

    Attributes:
        items: one item for each key; several different rows of one key are added up.
        several: the keys that have several rows, different or equal.
    """

    items: Mapping[str, M]
    several: dict[str, None]


# A price of one share is averaged, and only where every row has one; every other number is added up.
AVERAGED = "average_price_text"
PRICES = frozenset({AVERAGED, "last_price_text"})


def rows_by_key(keys: Sequence[str], rows: Sequence[M], level: str) -> RowsByKey[M]:
    """Index a list by key. Equal rows, as on the edge of two pages, count as one row.

    Args:
        keys: the key of each row.
        rows: the listed rows.
        level: the field of the quantity; where a key has several rows, rows with zero do not count.
    """
    items = dict(zip(keys, rows, strict=True))
    if len(items) == len(rows):
        return RowsByKey(items, {})
    found: dict[str, list[M]] = {}
    for key, row in zip(keys, rows, strict=True):
        found.setdefault(key, []).append(row)
    several: dict[str, None] = {}
    for key, listed in found.items():
        held = [row for row in listed if (size := amount(getattr(row, level))) is None or size] or listed[:1]
        different: list[M] = []
        for row in held:
            if not any(is_same(row, each) for each in different):
                different.append(row)
        items[key] = different[0] if len(different) == 1 else _added_up(different)
        # Equal rows may be one row on two pages, or two lots that are alike. The next frame may be about one of these.
        if len(held) > 1:
            several[key] = None
    return RowsByKey(items, several)


def _added_up(rows: Sequence[M]) -> M:
    """Merge different rows of one key: fields that agree, and the sums of numbers.

    A number that a row lacks is unknown for the sum too.
    """
    first = rows[0]
    changed: dict[str, str | None] = {}
    for name in first.__struct_fields__:
        texts: list[str | None] = [getattr(row, name) for row in rows]
        if name == AVERAGED:
            changed[name] = _mean(rows)
        elif name in PRICES or not name.endswith("_text"):
            changed[name] = texts[0] if all(is_same_amount(text, texts[0]) for text in texts) else None
        else:
            changed[name] = _sum(texts)
    return replace(first, **changed)


def _sum(texts: Iterable[str | None]) -> str | None:
    total: Decimal | None = None
    for text in texts:
        value = amount(text)
        if value is None:
            return None
        total = value if total is None else EXACT.add(total, value)
    return None if total is None else plain(total)


def _mean(rows: Iterable[Any]) -> str | None:
    sizes: list[Decimal] = []
    prices: list[Decimal] = []
    for row in rows:
        size, price = amount(row.quantity_text), amount(row.average_price_text)
        # A long and a short row together have no average price.
        if size is None or price is None or (sizes and size.is_signed() is not sizes[0].is_signed()):
            return None
        sizes.append(size)
        prices.append(price)
    if len(set(prices)) == 1:
        return plain(prices[0])
    quantity, value = ZERO, ZERO
    for size, price in zip(sizes, prices, strict=True):
        quantity, value = EXACT.add(quantity, size), EXACT.add(value, EXACT.multiply(size, price))
    return plain(EXACT.divide(value, quantity).quantize(STEP, context=EXACT).normalize(EXACT))


class KeyedState(msgspec.Struct, Generic[M], gc=False, eq=False):
    """Items by key, the frames received of each, and the fields updated since a snapshot was requested.

    Like all state of an account it is not tracked by the garbage collector: it holds no cycle.

    Attributes:
        level: the field of the quantity: ``quantity_text`` or ``cash_text``.
        price: the field that changes most often: ``last_price_text`` or ``buying_power_text``.
        items: the items now.
        several: the keys of which the latest complete list had several rows.
        has_doubt: whether a frame may have carried a value under a name that no field reads, since this was last False.
    """

    level: str
    price: str
    items: dict[str, M] = {}
    several: dict[str, None] = {}
    has_doubt: bool = False
    _updated: dict[str, str] = {}
    _since: dict[str, dict[str, Any]] | None = None
    # By key: the levels before each change by a frame since the latest complete list.
    _levels: dict[str, tuple[str | None, ...]] = {}
    # By key: the levels of a list that was rejected.
    _rejected_levels: dict[str, str | None] = {}

    def apply(
        self,
        key: str,
        item: M,
        update: PositionUpdate | BalanceUpdate,
        at: datetime,
        *,
        is_part: bool = False,
    ) -> Delta[M] | None:
        """Apply a frame to an item; return the change, or None.

        Args:
            key: the symbol or the currency.
            item: the item in the frame.
            update: the frame.
            at: when it was received, aware.
            is_part: whether the frame carries too little for a new item.
        """
        time = update.time_text
        if time:
            latest = self._updated.get(key)
            if latest is not None and compare_times(time, latest) < 0 and not is_future_outlier(latest, time, at):
                return None
            self._updated[key] = time
        if self._since is not None:
            self._since.setdefault(key, {}).update(present_fields(item, update))
        before = self.items.get(key)
        if before is not None:
            item, hides = apply_partial(before, item, update)
            self.has_doubt |= hides
            if item == before:
                return None
        elif is_part:
            return None
        self.items[key] = item
        level = self.level
        previous, now = None if before is None else getattr(before, level), getattr(item, level)
        if previous != now:
            added = (previous, self._rejected_levels[key]) if key in self._rejected_levels else (previous,)
            known = self._levels.get(key)
            # A sum of tuples takes half the time of unpacking them.
            self._levels[key] = added if known is None else known[-MAX_LEVELS:] + added
            # Most frames change only a price and need no comparison of numbers; most others another quantity.
            if before is not None and not is_surely_different(previous, now) and is_respelled(before, item):
                return None
        return Delta(key, before, item)

    def begin_snapshot(self) -> None:
        """Start to keep the fields that frames update: they may be newer than the requested snapshot."""
        self._since = {}

    def abort_snapshot(self) -> None:
        """Drop the fields that were kept for a snapshot."""
        self._since = None

    def rename(self, key: str, name: str) -> None:
        """Move everything that is kept under one key to another key."""
        _rename(self.items, key, name)
        _rename(self._updated, key, name)
        _rename(self._levels, key, name)
        _rename(self._rejected_levels, key, name)
        if self._since is not None:
            _rename(self._since, key, name)

    def contradicted_levels(self, listed: RowsByKey[M]) -> list[tuple[str, str | None]]:
        """Return key and listed level of each item where a complete list repeats a level that frames have replaced.

        Such a list may come from a server that is behind the stream: it repeats what it had before the frames.
        """
        found: list[tuple[str, str | None]] = []
        for key, previous in self._levels.items():
            if self._since is not None and key in self._since:
                continue
            now, listed_level = self._level(self.items.get(key)), self._level(listed.items.get(key))
            if not is_same_amount(listed_level, now) and any(
                is_same_amount(listed_level, level or "0") for level in previous
            ):
                found.append((key, listed_level))
        return found

    def set_aside(self, listed: RowsByKey[M]) -> None:
        """Reject a list; a later list that repeats it against the frames since is behind them too."""
        self._since = None
        self._rejected_levels = {key: getattr(item, self.level) for key, item in listed.items.items()}

    def _level(self, item: M | None) -> str:
        return (None if item is None else getattr(item, self.level)) or "0"

    def updated_row_of_several(self, listed: RowsByKey[M]) -> str | None:
        """Return a key of several listed rows that a frame updated since the list was requested, or None.

        The frame does not say which of the rows it updates.
        """
        return next((key for key in self._since or () if key in listed.several), None)

    def load(self, listed: RowsByKey[M], *, is_complete: bool = True) -> Iterator[Delta[M]]:
        """Load a list that was requested; yield the change of each item.

        Args:
            listed: the list.
            is_complete: whether items that the list lacks are gone; otherwise they stay.
        """
        since, self._since = self._since or {}, None
        items, rows, self.several = self.items, listed.items, listed.several
        self._levels, self._rejected_levels = {}, {}
        for key, item in rows.items():
            after = replace(item, **since[key]) if key in since and key not in listed.several else item
            before = items.get(key)
            if after != before:
                items[key] = after
                # Most changes are of the price: 0.2 us to see that, 0.7 us to compare all fields.
                if (
                    before is None
                    or is_surely_different(getattr(before, self.price), getattr(after, self.price))
                    or not is_respelled(before, after)
                ):
                    yield Delta(key, before, after)
        for key in [key for key in items if is_complete and key not in rows and key not in since]:
            yield Delta(key, items.pop(key), None)
        if self._updated:
            self._updated = {key: time for key, time in self._updated.items() if key in items or key in since}


def _rename(kept: dict[str, T], key: str, name: str) -> None:
    if key in kept:
        kept[name] = kept.pop(key)
