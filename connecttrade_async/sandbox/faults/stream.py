"""Faults of the streams, as data: the kind of a fault, and the sessions or events that it strikes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar, Literal, get_args

from connecttrade_async.sandbox.faults.rules import RETRY_AFTER, SIZE, FaultMembers, Rule, counts, is_text, is_whole
from connecttrade_async.sandbox.faults.schedule import ActiveFault, FaultSchedule

__all__ = ["MOMENTS", "StreamFault", "StreamFaults", "StreamKind"]

StreamKind = Literal[
    "refuse_upgrade",
    "hang_upgrade",
    "cut_upgrade",
    "no_welcome",
    "cut_welcome",
    "refuse_login",
    "no_login",
    "cut_login",
    "no_ack",
    "cut_ack",
    "lose",
    "duplicate",
    "reorder",
    "tear",
    "garble",
    "oversize",
    "unknown",
    "drop",
    "reset",
]

MOMENTS: Mapping[str, str] = {
    **dict.fromkeys(("refuse_upgrade", "hang_upgrade", "cut_upgrade"), "upgrade"),
    **dict.fromkeys(("no_welcome", "cut_welcome"), "welcome"),
    **dict.fromkeys(("refuse_login", "no_login", "cut_login"), "login"),
    **dict.fromkeys(("no_ack", "cut_ack"), "ack"),
    **dict.fromkeys(
        ("lose", "duplicate", "reorder", "tear", "garble", "oversize", "unknown", "drop", "reset"), "event"
    ),
}
"""When each kind strikes."""

_OPTIONS: Mapping[str, frozenset[str]] = {
    "refuse_upgrade": frozenset({"status", "retry_after"}),
    "oversize": frozenset({"size"}),
    "drop": frozenset({"code"}),
}


def _is_code(value: object) -> bool:
    """Whether RFC 6455 lets a peer send it."""
    return any(is_whole(low, high)(value) for low, high in ((1000, 1003), (1007, 1014), (3000, 4999)))


_RULES: Mapping[str, Rule] = {
    "kind": (lambda value: value in get_args(StreamKind), f"one of {', '.join(get_args(StreamKind))}"),
    **counts("time", "chances"),
    "account_id": (is_text, "an account_id"),
    "symbol": (is_text, "a symbol"),
    "status": (is_whole(300, 599), "a status from 300 to 599"),
    "retry_after": RETRY_AFTER,
    "size": SIZE,
    "code": (_is_code, "a close code that may be sent: 1000 to 1003, 1007 to 1014, 3000 to 4999"),
}


@dataclass(frozen=True, slots=True)
class StreamFault(FaultMembers):
    """One fault of a stream, and what it strikes. None is the default of the kind.

    Kinds:
        ``refuse_upgrade`` answers the upgrade with `status` (503) and `retry_after`; ``hang_upgrade`` never answers
        it; ``cut_upgrade`` resets the connection instead.
        ``no_welcome`` stays silent after the upgrade; ``cut_welcome`` resets the connection there.
        ``refuse_login`` refuses what is right; ``no_login`` does not take notice of a login; ``cut_login`` resets the
        connection instead of answering.
        ``no_ack`` does what a subscribe or unsubscribe asks and does not say so; ``cut_ack`` resets the connection
        instead of saying it. On the market-data stream the answers to ``list_subscriptions`` and
        ``snapshot`` count too.
        ``lose`` does not send an event; ``duplicate`` sends it twice; ``reorder`` sends it after the next event of the
        same account or symbol; ``tear`` sends half its frame and closes the socket; ``garble`` sends half its text as
        a frame; ``oversize`` blows it up to `size` bytes (2 MiB); ``unknown`` sends a message of an unknown type before
        it; ``drop`` sends it and closes with `code` (1001); ``reset`` sends it and resets the connection.

    Attributes:
        kind: what happens.
        times: how often it strikes; None strikes always.
        after: how many chances it lets pass first.
        account_id: the account of the events it strikes; None strikes those of all accounts.
        symbol: the symbol of the events it strikes on the market-data stream; None strikes all.
        status: of the answer to the upgrade.
        retry_after: the header ``Retry-After`` of that answer.
        size: of the frame's text, in bytes.
        code: of the close.

    Raises:
        ValueError: an attribute is wrong, or not one of this kind; the sentence says what it should be.
    """

    RULES: ClassVar[Mapping[str, Rule]] = _RULES

    kind: StreamKind
    times: int | None = 1
    after: int = 0
    account_id: str | None = None
    symbol: str | None = None
    status: int | None = None
    retry_after: str | None = None
    size: int | None = None
    code: int | None = None

    def __post_init__(self) -> None:
        self.check(self._known)

    def _known(self) -> frozenset[str]:
        known = _OPTIONS.get(self.kind, frozenset()) | {"kind", "times", "after"}
        if MOMENTS[self.kind] == "event":
            known |= {"symbol"} if self.account_id is None else {"account_id"}
        return known

    @property
    def scope(self) -> str | None:
        """Of which account or symbol the events are that it strikes; None for all."""
        return self.symbol if self.account_id is None else self.account_id

    def concerns(self, moment: str, scope: str) -> bool:
        """Whether it may strike at a moment of a session's life, and an event of this account or symbol."""
        return MOMENTS[self.kind] == moment and self.scope in {None, scope}


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
