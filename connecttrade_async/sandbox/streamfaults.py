"""The sandbox's stream faults that are set, and which of them strikes, chance by chance.

Nothing in here touches a socket.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import get_args

from .streamfault import StreamFault, StreamKind

__all__ = ["ArmedOnStream", "StreamFaults"]


@dataclass(slots=True)
class ArmedOnStream:
    """A stream fault that is set.

    Attributes:
        fault: what may strike.
        seen: how many chances it had so far.
        fired: at how many of them it struck.
    """

    fault: StreamFault
    seen: int = 0
    fired: int = 0

    def strikes(self, moment: str, account_id: str) -> bool:
        """Whether it strikes now; asking counts."""
        if self.is_spent or not self.fault.concerns(moment, account_id):
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


class StreamFaults:
    """The stream faults that are set. Of several that concern a moment, the one set first strikes."""

    def __init__(self) -> None:
        self._armed: list[ArmedOnStream] = []

    def __repr__(self) -> str:
        return f"<StreamFaults {len(self._armed)} set, {sum(armed.fired for armed in self._armed)} fired>"

    @property
    def armed(self) -> tuple[ArmedOnStream, ...]:
        """Every fault that was set since the last `clear`, spent or not, in that order."""
        return tuple(self._armed)

    def add(self, fault: StreamFault) -> ArmedOnStream:
        """Set a fault. What comes back tells how often it has fired."""
        armed = ArmedOnStream(fault)
        self._armed.append(armed)
        return armed

    def schedule(
        self,
        seed: int,
        *,
        chances: int = 20,
        share: float = 0.3,
        among: Sequence[StreamFault] | None = None,
    ) -> tuple[ArmedOnStream, ...]:
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

    def clear(self) -> None:
        """Let nothing go wrong any more; what is under way takes its course."""
        self._armed.clear()

    def draw(self, moment: str, account_id: str = "") -> StreamFault | None:
        """The fault that strikes now, if one does."""
        return next((armed.fault for armed in self._armed if armed.strikes(moment, account_id)), None)
