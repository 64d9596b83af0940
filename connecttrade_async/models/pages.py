"""One page of a longer listing."""

# ruff: noqa: TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar, overload

import msgspec

__all__ = ["Page"]

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page of items with the cursors of its neighbors.

    A page is iterated, measured and indexed as its ``items`` are, so an empty page is false, also where
    ``next_cursor`` names another.

    Attributes:
        items: the page's rows, in the requested order.
        next_cursor: the cursor of the next page, or None on the last.
        prev_cursor: the cursor of the previous page, or None on the first.
    """

    items: tuple[T, ...]
    next_cursor: str | None = None
    prev_cursor: str | None = None

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
