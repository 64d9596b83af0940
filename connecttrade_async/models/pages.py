"""Below the waterline: one page of a longer listing."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

__all__ = ["Page"]

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page.

    Attributes:
        items: what is on it, in the order that was asked for.
        next_cursor: where the next page begins, or None on the last.
        prev_cursor: where the page before begins, or None on the first.
    """

    items: tuple[T, ...]
    next_cursor: str | None = None
    prev_cursor: str | None = None
