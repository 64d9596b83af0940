"""Below the waterline: what is asked for and nobody has yet, while several may ask for the same.

The theory. Whoever asks for something that is not there lays a claim to it. The first who gets it has it for all, and
then it is claimed no more. Whoever fails withdraws; what nobody else claims by then is to be given up, and only that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

__all__ = ["PendingClaims"]

T = TypeVar("T")


class PendingClaims(Generic[T]):
    """Who asks for what nobody has yet."""

    __slots__ = ("_claimants",)

    def __init__(self) -> None:
        self._claimants: dict[T, set[Hashable]] = {}

    def add(self, claimant: Hashable, things: Iterable[T]) -> None:
        """Say that somebody asks for these."""
        for thing in things:
            self._claimants.setdefault(thing, set()).add(claimant)

    def confirm(self, claimant: Hashable, things: Iterable[T]) -> tuple[T, ...]:
        """Say that somebody got these; returns those that he is the first to get."""
        got = tuple(thing for thing in things if claimant in self._claimants.get(thing, ()))
        self.clear(got)
        return got

    def cancel(self, claimant: Hashable, things: Iterable[T]) -> tuple[T, ...]:
        """Say that somebody will not get these; returns those that nobody else claims, or has got."""
        left: list[T] = []
        for thing in things:
            claimants = self._claimants.get(thing, set())
            if claimant in claimants:
                claimants.discard(claimant)
                if not claimants:
                    del self._claimants[thing]
                    left.append(thing)
        return tuple(left)

    def clear(self, things: Iterable[T]) -> None:
        """Say that these are asked for no more, whoever did; harmless where nobody does."""
        for thing in things:
            self._claimants.pop(thing, None)

    def __contains__(self, thing: object) -> bool:
        return thing in self._claimants
