"""Below the waterline: two links that tell the same for a while, told once.

Quotes, books, chains and bars replace what they tell, so twice does no harm. A trade is told once, though nothing
numbers it: of each trade with all its facts alike, as many are told as the link that told more of them told.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from connecttrade_async.models.market import Trade

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Overlap"]


class Overlap:
    """What two links have told since they overlap.

    Attributes:
        until: when it is over, on the caller's clock, or None while both links stand.
    """

    __slots__ = ("_told", "until")

    def __init__(self) -> None:
        self._told: dict[Hashable, Counter[Hashable]] = {}
        self.until: float | None = None

    def is_new(self, link: Hashable, event: object) -> bool:
        """Take an event of one of the links; returns whether the other has not told it."""
        if not isinstance(event, Trade):
            return True
        facts = (event.symbol, event.price_text, event.size_text, event.hours, event.time_text)
        mine = self._told.setdefault(link, Counter())
        mine[facts] += 1
        return all(mine[facts] > told[facts] for other, told in self._told.items() if other != link)

    def is_over(self, now: float) -> bool:
        """Whether no more of one link's can come that the other told."""
        return self.until is not None and now >= self.until
