"""Below the waterline: things that have no version of their own, each under its key: positions and balances.

The theory of what comes last is on top of ``book.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from msgspec.structs import replace

from connecttrade_async.live.merging import carried, compared, is_outlived, laid_over
from connecttrade_async.models.fields import Model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from connecttrade_async.models.events import BalanceUpdate, PositionUpdate

__all__ = ["Shelf", "Step"]

M = TypeVar("M", bound=Model)
T = TypeVar("T")


class Step(msgspec.Struct, Generic[M], frozen=True, gc=False):
    """How one thing changed.

    Attributes:
        key: which.
        before: as it was, or None.
        after: as it is; None where a complete list has it no more.
    """

    key: str
    before: M | None
    after: M | None


class Shelf(msgspec.Struct, Generic[M], gc=False, eq=False):
    """Things by key, the frames heard of each, and what was heard since a snapshot was asked for.

    Like all that is kept of an account it is not tracked by the garbage collector: it holds no cycle.

    Attributes:
        things: what there is.
    """

    things: dict[str, M] = {}
    _heard: dict[str, str] = {}
    _since: dict[str, dict[str, Any]] | None = None

    def hear(
        self,
        key: str,
        thing: M,
        update: PositionUpdate | BalanceUpdate,
        at: datetime,
        *,
        is_part: bool = False,
    ) -> Step[M] | None:
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
            heard = self._heard.get(key)
            if heard is not None and compared(time, heard) < 0 and not is_outlived(heard, time, at):
                return None
            self._heard[key] = time
        if self._since is not None:
            self._since.setdefault(key, {}).update(carried(thing, update))
        before = self.things.get(key)
        if before is not None:
            thing = laid_over(before, thing, update)
            if thing == before:
                return None
        elif is_part:
            return None
        self.things[key] = thing
        return Step(key, before, thing)

    def ask(self) -> None:
        """A snapshot is being asked for: what is heard from now on may be newer than it."""
        self._since = {}

    def forget_asking(self) -> None:
        """No snapshot is being asked for any more."""
        self._since = None

    def rename(self, key: str, name: str) -> None:
        """Take what was heard under one key for what is listed under another."""
        _rename(self.things, key, name)
        _rename(self._heard, key, name)
        if self._since is not None:
            _rename(self._since, key, name)

    def load(self, listed: Mapping[str, M]) -> Iterator[Step[M]]:
        """Take a complete list that was asked for; yields how that changed each thing."""
        since, self._since = self._since or {}, None
        things = self.things
        for key, thing in listed.items():
            after = replace(thing, **since[key]) if key in since else thing
            before = things.get(key)
            if after != before:
                things[key] = after
                yield Step(key, before, after)
        for key in [key for key in things if key not in listed and key not in since]:
            yield Step(key, things.pop(key), None)
        if self._heard:
            self._heard = {key: time for key, time in self._heard.items() if key in things or key in since}


def _rename(kept: dict[str, T], key: str, name: str) -> None:
    if key in kept:
        kept[name] = kept.pop(key)
