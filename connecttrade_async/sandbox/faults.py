"""The sandbox's faults: those that are set, and which of them strikes, request by request.

Nothing in here touches a socket.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from .fault import Fault

__all__ = ["LOSSES", "Armed", "Faults"]

LOSSES = (
    Fault("drop", when="before"),
    Fault("drop", when="after"),
    Fault("reset", when="before"),
    Fault("reset", when="after"),
    Fault("status", status=500, when="after"),
    Fault("status", status=503, when="before"),
    Fault("status", status=504, when="before"),
    Fault("status", status=504, when="after"),
    Fault("html", status=502, when="before"),
    Fault("html", status=502, when="after"),
    Fault("cut_body"),
)
"""Every way in which an answer is lost at once: before the work was done, after it, or half of it on its way."""


@dataclass(slots=True)
class Armed:
    """A fault that is set.

    Attributes:
        fault: what may strike.
        seen: how many requests it concerned so far.
        fired: how many of them it struck.
    """

    fault: Fault
    seen: int = 0
    fired: int = 0

    def strikes(self, method: str, path: str) -> bool:
        """Whether it strikes this request; asking counts."""
        if self.is_spent or not self.fault.concerns(method, path):
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


class Faults:
    """The faults that are set. Of several that concern a request, the one set first strikes."""

    def __init__(self) -> None:
        self._armed: list[Armed] = []

    def __repr__(self) -> str:
        return f"<Faults {len(self._armed)} set, {sum(armed.fired for armed in self._armed)} fired>"

    @property
    def armed(self) -> tuple[Armed, ...]:
        """Every fault that was set since the last `clear`, spent or not, in that order."""
        return tuple(self._armed)

    def add(self, fault: Fault) -> Armed:
        """Set a fault. What comes back tells how often it has fired."""
        armed = Armed(fault)
        self._armed.append(armed)
        return armed

    def schedule(
        self,
        seed: int,
        *,
        requests: int = 6,
        share: float = 0.5,
        method: str | None = None,
        path: str | None = None,
        among: Sequence[Fault] = LOSSES,
    ) -> tuple[Armed, ...]:
        """Set a random run of faults over the next requests of a kind; after those nothing goes wrong.

        Args:
            seed: the same seed is the same run.
            requests: over how many requests it goes.
            share: of these, how many are struck, from 0 to 1, by chance.
            method: of the requests; None takes every method.
            path: how their path begins; None takes every path.
            among: the faults that may strike.
        """
        random = Random(f"faults/{seed}")  # noqa: S311  a pretend misfortune needs no secrecy
        armed: list[Armed] = []
        passed = 0
        for _ in range(requests):
            if random.random() < share:
                # What an earlier fault strikes, a later one does not see: it counts only those that were let pass.
                fault = replace(random.choice(among), times=1, after=passed, method=method, path=path)
                armed.append(self.add(fault))
            else:
                passed += 1
        return tuple(armed)

    def clear(self) -> None:
        """Let nothing go wrong any more; what is under way takes its course."""
        self._armed.clear()

    def draw(self, method: str, path: str) -> Fault | None:
        """The fault that strikes this request, if one does."""
        return next((armed.fault for armed in self._armed if armed.strikes(method, path)), None)
