"""Below the waterline: two links that tell the same for a while, told once.

Quotes, books, chains and bars replace what they tell, so twice does no harm; but what one link tells late must not take
the place of what happened after it and the other told. (Bars have that rule of their own, in ``sieves``.) A trade is
told once, though nothing numbers it: of each trade with all its facts alike, as many are told as the link that told
more of them told. Of each link so many trades are remembered, since the new one may be long in coming.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from connecttrade_async.errors import MalformedResponseError
from connecttrade_async.models.market import Depth, OptionsChain, Quote, Trade

if TYPE_CHECKING:
    from collections.abc import Hashable
    from datetime import datetime

__all__ = ["Handover"]

REMEMBERED = 100_000  # trades of one link: more than two links that stand are ever apart


class Handover:
    """What two links have told since they overlap.

    Attributes:
        until: when it is over, on the caller's clock, or None while both links stand.
    """

    __slots__ = ("_latest", "_told", "until")

    def __init__(self) -> None:
        self._told: dict[Hashable, OrderedDict[Hashable, int]] = {}
        self._latest: dict[Hashable, datetime] = {}
        self.until: float | None = None

    def is_new(self, link: Hashable, event: object) -> bool:
        """Take an event of one of the links; returns whether the other has not told it, or what came after it."""
        if isinstance(event, Quote | Depth | OptionsChain):
            return self._is_latest(event)
        if not isinstance(event, Trade):
            return True
        facts = (event.symbol, event.price_text, event.size_text, event.hours, event.time_text)
        mine = self._told.setdefault(link, OrderedDict())
        mine[facts] = times = mine.get(facts, 0) + 1
        if len(mine) > REMEMBERED:
            mine.popitem(last=False)
        return all(times > told.get(facts, 0) for other, told in self._told.items() if other != link)

    def _is_latest(self, event: Quote | Depth | OptionsChain) -> bool:
        day = event.expiration_text if isinstance(event, OptionsChain) else None
        of = (type(event), event.symbol, day)
        try:
            time = event.time
        except MalformedResponseError:
            return True
        if time is None:
            return True
        latest = self._latest.setdefault(of, time)
        self._latest[of] = max(latest, time)
        return time >= latest

    def is_over(self, now: float) -> bool:
        """Whether no more of one link's can come that the other told."""
        return self.until is not None and now >= self.until
