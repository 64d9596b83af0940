"""The sandbox's faults that are set, of whatever kind: each counts its chances, and strikes at some of them.

Nothing in here touches a socket.
"""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

__all__ = ["ActiveFault", "FaultSchedule"]


class FaultRule(Protocol):
    """What a fault has to say of itself."""

    @property
    def times(self) -> int | None: ...

    @property
    def after(self) -> int: ...

    def concerns(self, what: str, target: str, /) -> bool: ...


_FaultT = TypeVar("_FaultT", bound=FaultRule)


@dataclass(slots=True)
class ActiveFault(Generic[_FaultT]):
    """A fault that is set.

    Attributes:
        fault: what may strike.
        seen: how many chances it had so far: requests that it concerned, or moments of a stream.
        fired: at how many of them it struck.
    """

    fault: _FaultT
    seen: int = 0
    fired: int = 0

    def strikes(self, what: str, target: str) -> bool:
        """Whether it strikes now; asking counts."""
        if self.is_spent or not self.fault.concerns(what, target):
            return False
        self.seen += 1
        if self.seen <= self.fault.after:
            return False
        self.fired += 1
        return True

    @property
    def is_spent(self) -> bool:
        """Whether it has struck as often as it was to."""
        return self.fault.times is not None and self.fired >= self.fault.times


class FaultSchedule(Generic[_FaultT]):
    """The faults that are set. Of several that concern the same thing, the one set first strikes."""

    def __init__(self) -> None:
        self._armed: list[ActiveFault[_FaultT]] = []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self._armed)} set, {sum(armed.fired for armed in self._armed)} fired>"

    @property
    def armed(self) -> tuple[ActiveFault[_FaultT], ...]:
        """Every fault that was set since the last `clear`, spent or not, in that order."""
        return tuple(self._armed)

    def add(self, fault: _FaultT) -> ActiveFault[_FaultT]:
        """Set a fault and return its state, with the count of its firings."""
        armed = ActiveFault(fault)
        self._armed.append(armed)
        return armed

    def clear(self) -> None:
        """Let nothing go wrong any more; what is under way takes its course."""
        self._armed.clear()

    def draw(self, what: str, target: str = "") -> _FaultT | None:
        """The fault that strikes now, if one does.

        Args:
            what: a request's method, or a moment of a stream's session.
            target: a request's path, or the account or symbol of an event.
        """
        return next((armed.fault for armed in self._armed if armed.strikes(what, target)), None)
