"""The sandbox's stream faults: one thing that may go wrong on a stream, as data: what happens, and to what."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from random import Random
from typing import Any, Literal, cast, get_args

from connecttrade_async.sandbox.faults.rest import is_header, is_whole
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
_LARGEST = 1 << 30


def _is_code(value: object) -> bool:
    """Whether RFC 6455 lets a peer send it."""
    return any(is_whole(low, high)(value) for low, high in ((1000, 1003), (1007, 1014), (3000, 4999)))


_RULES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "kind": (lambda value: value in get_args(StreamKind), f"one of {', '.join(get_args(StreamKind))}"),
    "times": (is_whole(1, 1_000_000), "a whole number from 1, or null for every time"),
    "after": (is_whole(0, 1_000_000), "a whole number of chances to let pass"),
    "account_id": (lambda value: isinstance(value, str), "an account_id"),
    "symbol": (lambda value: isinstance(value, str), "a symbol"),
    "status": (is_whole(300, 599), "a status from 300 to 599"),
    "retry_after": (is_header, "seconds or an HTTP date, as text"),
    "size": (is_whole(1, _LARGEST), "a number of bytes, up to a gibibyte"),
    "code": (_is_code, "a close code that may be sent: 1000 to 1003, 1007 to 1014, 3000 to 4999"),
}


@dataclass(frozen=True, slots=True)
class StreamFault:
    """One misfortune of a stream, and what it strikes. None takes what is usual for the kind.

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
        given = {name: value for name, value in asdict(self).items() if value is not None}
        for name, value in given.items():
            is_right, wanted = _RULES[name]
            if not is_right(value):
                raise ValueError(f"{name} must be {wanted}, not {value!r}")
        known = _OPTIONS.get(self.kind, frozenset()) | {"kind", "times", "after"}
        if MOMENTS[self.kind] == "event":
            known |= {"symbol"} if self.account_id is None else {"account_id"}
        if given.keys() - known:
            raise ValueError(f"a fault of kind {self.kind} takes no {', '.join(sorted(given.keys() - known))}")

    @classmethod
    def read(cls, members: Mapping[str, object]) -> "StreamFault":
        """A fault from a JSON object that has its attributes as members.

        Raises:
            ValueError: a member is wrong, or unknown, or ``kind`` is missing.
        """
        unknown = members.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
        if "kind" not in members:
            raise ValueError(f"kind must be {_RULES['kind'][1]}")
        return cls(**cast("dict[str, Any]", members))

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
