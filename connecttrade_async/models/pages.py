"""One page of a longer listing."""

# ruff: noqa: TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar, overload

import msgspec

__all__ = ["Page", "Rows"]

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page of items with the cursors of its neighbors.

    A page is iterated, measured and indexed as its ``items`` are, so an empty page is false, also where
    ``next_cursor`` names another.

    Attributes:
        items: the page's rows, in the requested order.
        next_cursor: the cursor of the next page, or None on the last.
        prev_cursor: the cursor of the previous page, or None on the first.
        may_be_cut_off: whether there may be more: the page is full and names no cursor of the next one, or the API says
            that there is a next page in a form that is not understood. Such a page proves no absence.
    """

    items: tuple[T, ...]
    next_cursor: str | None = None
    prev_cursor: str | None = None
    may_be_cut_off: bool = False

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.items[index]


class Rows(list[T]):
    """The rows of a whole list, with what the API says about further ones.

    Attributes:
        next_cursor: the cursor of further rows, or None. This listing has no pages (documented), so a cursor is not
            followed.
        prev_cursor: the cursor of rows before these, or None.
        may_be_cut_off: whether there may be more: ``next_cursor`` is set, or the list is as long as a full page and
            names no cursor. Such a list proves no absence.
    """

    # Defaults of the class: most lists have no cursor, and a constructor would cost more than decoding a row.
    next_cursor: str | None = None
    prev_cursor: str | None = None
    may_be_cut_off: bool = False
