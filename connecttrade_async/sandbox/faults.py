"""The sandbox's faults: those that are set, and which of them strikes, request by request.

Nothing in here touches a socket.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from .armed import ActiveFault, FaultSchedule
from .fault import Fault

__all__ = ["LOSSES", "Faults"]

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


class Faults(FaultSchedule[Fault]):
    """The faults of REST that are set."""

    def schedule(
        self,
        seed: int,
        *,
        requests: int = 6,
        share: float = 0.5,
        method: str | None = None,
        path: str | None = None,
        among: Sequence[Fault] = LOSSES,
    ) -> tuple[ActiveFault[Fault], ...]:
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
        armed: list[ActiveFault[Fault]] = []
        passed = 0
        for _ in range(requests):
            if random.random() < share:
                # What an earlier fault strikes, a later one does not see: it counts only those that were let pass.
                fault = replace(random.choice(among), times=1, after=passed, method=method, path=path)
                armed.append(self.add(fault))
            else:
                passed += 1
        return tuple(armed)
