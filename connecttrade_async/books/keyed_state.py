"""Below the waterline: things that have no version of their own, each under its key: positions and balances.

The theory of what comes last is on top of ``book.py``.
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
    present_fields,
)
from connecttrade_async.models.fields import Model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from connecttrade_async.models.events import BalanceUpdate, PositionUpdate

__all__ = ["Delta", "KeyedState", "Rows", "rows_by_key"]

M = TypeVar("M", bound=Model)
T = TypeVar("T")
# How many earlier levels of one thing a list is held against.
MOST_LEVELS = 15
NOTHING = Decimal(0)
STEP = Decimal(1).scaleb(-MOST_DECIMALS, EXACT)


class Delta(msgspec.Struct, Generic[M], frozen=True, gc=False):
    """How one thing changed.

    Attributes:
        key: which.
        before: as it was, or None.
        after: as it is; None where a complete list has it no more.
    """

    key: str
    before: M | None
    after: M | None


class Rows(NamedTuple, Generic[M]):
    """A complete list by key.

    Attributes:
        things: one for each key; several different rows of one key are added up.
        several: the keys that have several rows, different or equal.
    """

    things: Mapping[str, M]
    several: dict[str, None]


# A price of one share is averaged, and only where every row says its own; every other number is added up.
AVERAGED = "average_price_text"
PRICES = frozenset({AVERAGED, "last_price_text"})


def rows_by_key(keys: Sequence[str], rows: Sequence[M], level: str) -> Rows[M]:
    """Sort a list by key. Rows that are equal, as on the edge of two pages, are one row.

    Args:
        keys: of each row.
        rows: as they were listed.
        level: the field that says how much there is; of several rows those with zero do not count.
    """
    things = dict(zip(keys, rows, strict=True))
    if len(things) == len(rows):
        return Rows(things, {})
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
        things[key] = different[0] if len(different) == 1 else _added_up(different)
        # Equal rows may be one row on two pages, or two lots that are alike; the next frame may be about one of these.
        if len(held) > 1:
            several[key] = None
    return Rows(things, several)


def _added_up(rows: Sequence[M]) -> M:
    """Return rows of one key as one: what they agree on, and the sums of their numbers.

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
        # Of a long and a short row together there is no mean price.
        if size is None or price is None or (sizes and size.is_signed() is not sizes[0].is_signed()):
            return None
        sizes.append(size)
        prices.append(price)
    if len(set(prices)) == 1:
        return plain(prices[0])
    quantity, value = NOTHING, NOTHING
    for size, price in zip(sizes, prices, strict=True):
        quantity, value = EXACT.add(quantity, size), EXACT.add(value, EXACT.multiply(size, price))
    return plain(EXACT.divide(value, quantity).quantize(STEP, context=EXACT).normalize(EXACT))


class KeyedState(msgspec.Struct, Generic[M], gc=False, eq=False):
    """Things by key, the frames heard of each, and what was heard since a snapshot was asked for.

    Like all that is kept of an account it is not tracked by the garbage collector: it holds no cycle.

    Attributes:
        level: the field that says how much there is: ``quantity_text`` or ``cash_text``.
        things: what there is.
        several: the keys of which the latest complete list had several rows.
    """

    level: str
    items: dict[str, M] = {}
    several: dict[str, None] = {}
    _updated: dict[str, str] = {}
    _since: dict[str, dict[str, Any]] | None = None
    # By key: the levels since the latest complete list that frames have changed.
    _told: dict[str, tuple[str | None, ...]] = {}
    # By key: the levels of a list that was not taken.
    _aside: dict[str, str | None] = {}

    def apply(
        self,
        key: str,
        thing: M,
        update: PositionUpdate | BalanceUpdate,
        at: datetime,
        *,
        is_part: bool = False,
    ) -> Delta[M] | None:
        """Take what a frame says of a thing; return how that changed it, or None.

        Args:
            key: which.
            thing: what is said of it.
            update: the frame.
            at: when it was heard, aware.
            is_part: whether that is too little to be a thing that is new.
        """
        time = update.time_text
        if time:
            heard = self._updated.get(key)
            if heard is not None and compare_times(time, heard) < 0 and not is_future_outlier(heard, time, at):
                return None
            self._updated[key] = time
        if self._since is not None:
            self._since.setdefault(key, {}).update(present_fields(thing, update))
        before = self.items.get(key)
        if before is not None:
            thing = apply_partial(before, thing, update)
            if thing == before:
                return None
        elif is_part:
            return None
        self.items[key] = thing
        was = None if before is None else getattr(before, self.level)
        if was != getattr(thing, self.level):
            levels = (was, self._aside[key]) if key in self._aside else (was,)
            self._told[key] = (*self._told.get(key, ())[-MOST_LEVELS:], *levels)
            # Most frames change a price only, and are not worth the comparison of numbers.
            if before is not None and is_respelled(before, thing):
                return None
        return Delta(key, before, thing)

    def begin_snapshot(self) -> None:
        """A snapshot is being asked for: what is heard from now on may be newer than it."""
        self._since = {}

    def abort_snapshot(self) -> None:
        """No snapshot is being asked for any more."""
        self._since = None

    def rename(self, key: str, name: str) -> None:
        """Take what was heard under one key for what is listed under another."""
        _rename(self.items, key, name)
        _rename(self._updated, key, name)
        _rename(self._told, key, name)
        _rename(self._aside, key, name)
        if self._since is not None:
            _rename(self._since, key, name)

    def taken_back(self, listed: Rows[M]) -> list[tuple[str, str | None]]:
        """Return what a complete list takes back of what frames told since the list before, with the level it has.

        Such a list may come from a server that is behind the stream: it says again what it said before the frames.
        """
        found: list[tuple[str, str | None]] = []
        for key, was in self._told.items():
            if self._since is not None and key in self._since:
                continue
            now, said = self._level(self.items.get(key)), self._level(listed.things.get(key))
            if not is_same_amount(said, now) and any(is_same_amount(said, level or "0") for level in was):
                found.append((key, said))
        return found

    def set_aside(self, listed: Rows[M]) -> None:
        """Do not take a list; a later one that repeats it against the frames since is behind them too."""
        self._since = None
        self._aside = {key: getattr(thing, self.level) for key, thing in listed.things.items()}

    def _level(self, thing: M | None) -> str:
        return (None if thing is None else getattr(thing, self.level)) or "0"

    def heard_one_of_several(self, listed: Rows[M]) -> str | None:
        """Return a key of which a complete list has several rows, and a frame was heard since the list was asked for.

        Which of the rows the frame was about is unknown.
        """
        return next((key for key in self._since or () if key in listed.several), None)

    def load(self, listed: Rows[M], *, is_complete: bool = True) -> Iterator[Delta[M]]:
        """Take a list that was asked for; yields how that changed each thing.

        Args:
            listed: the list.
            is_complete: whether it has all there is; else what it lacks stays.
        """
        since, self._since = self._since or {}, None
        things, rows, self.several = self.items, listed.things, listed.several
        self._told, self._aside = {}, {}
        for key, thing in rows.items():
            after = replace(thing, **since[key]) if key in since and key not in listed.several else thing
            before = things.get(key)
            if after != before:
                things[key] = after
                if before is None or not is_respelled(before, after):
                    yield Delta(key, before, after)
        for key in [key for key in things if is_complete and key not in rows and key not in since]:
            yield Delta(key, things.pop(key), None)
        if self._updated:
            self._updated = {key: time for key, time in self._updated.items() if key in things or key in since}


def _rename(kept: dict[str, T], key: str, name: str) -> None:
    if key in kept:
        kept[name] = kept.pop(key)
