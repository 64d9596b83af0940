"""The sandbox's stream faults that are set, and which of them strikes, chance by chance.

Nothing in here touches a socket.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import get_args

from .armed import ActiveFault, FaultSchedule
from .streamfault import StreamFault, StreamKind

__all__ = ["StreamFaults"]


class StreamFaults(FaultSchedule[StreamFault]):
    """The faults of a stream that are set."""

    def schedule(
        self,
        seed: int,
        *,
        chances: int = 20,
        share: float = 0.3,
        among: Sequence[StreamFault] | None = None,
    ) -> tuple[ActiveFault[StreamFault], ...]:
        """Set a random run of faults, each at one of the next chances that it has; after those nothing goes wrong.

        Args:
            seed: the same seed is the same run.
            chances: over how many chances of each moment it goes.
            share: of these, how many are struck, about, from 0 to 1.
            among: the faults that may strike; None takes one of every kind.
        """
        random = Random(f"stream faults/{seed}")  # noqa: S311  a pretend misfortune needs no secrecy
        kinds = among or [StreamFault(kind) for kind in get_args(StreamKind)]
        drawn = (replace(random.choice(kinds), times=1) for _ in range(chances) if random.random() < share)
        return tuple(self.add(replace(fault, after=random.randrange(chances))) for fault in drawn)
