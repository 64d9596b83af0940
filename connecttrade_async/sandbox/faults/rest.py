"""Faults of REST, as data: the kind of a fault, and the requests that it strikes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar, Literal, get_args

from connecttrade_async.sandbox.faults.rules import (
    RETRY_AFTER,
    SIZE,
    FaultMembers,
    Rule,
    counts,
    is_header,
    is_text,
    is_whole,
)
from connecttrade_async.sandbox.faults.schedule import ActiveFault, FaultSchedule

__all__ = ["LOSSES", "Fault", "Faults", "Kind"]

Kind = Literal[
    "status",
    "html",
    "redirect",
    "huge",
    "slow_headers",
    "slow_body",
    "cut_body",
    "reset",
    "drop",
    "close_idle",
]

_OPTIONS: Mapping[str, frozenset[str]] = {
    "status": frozenset({"status", "retry_after", "body", "when"}),
    "html": frozenset({"status", "body", "when"}),
    "redirect": frozenset({"status", "location", "when"}),
    "huge": frozenset({"status", "size", "when"}),
    "slow_headers": frozenset({"seconds", "when"}),
    "slow_body": frozenset({"seconds"}),
    "cut_body": frozenset(),
    "reset": frozenset({"when"}),
    "drop": frozenset({"when"}),
    "close_idle": frozenset(),
}
_TARGETS = frozenset({"kind", "times", "after", "method", "path", "pattern"})
_LONGEST = 3600.0


def _is_pattern(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(re.compile(value))
    except re.error:
        return False


def _is_duration(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _LONGEST


_RULES: Mapping[str, Rule] = {
    "kind": (lambda value: value in get_args(Kind), f"one of {', '.join(get_args(Kind))}"),
    **counts("request", "requests"),
    "method": (lambda value: isinstance(value, str) and value.isalpha(), "an HTTP method"),
    "path": (lambda value: isinstance(value, str) and value.startswith("/"), "how the path begins, from its slash"),
    "pattern": (_is_pattern, "a regular expression"),
    "when": (lambda value: value in {"before", "after"}, "before or after, which means the work"),
    "status": (is_whole(200, 599), "a status from 200 to 599"),
    "retry_after": RETRY_AFTER,
    "body": (is_text, "text"),
    "seconds": (_is_duration, "a number of seconds, up to an hour"),
    "size": SIZE,
    "location": (is_header, "a URL"),
}


@dataclass(frozen=True, slots=True)
class Fault(FaultMembers):
    """One fault, and the requests that it strikes. None is the default of the kind.

    Kinds:
        ``status`` answers with `status` (503), `retry_after` and `body`, a JSON object with ``message`` if absent.
        ``html`` answers with a web page where JSON is due, and `status` (502).
        ``redirect`` answers with `status` (302) and `location` (``/elsewhere``).
        ``huge`` answers with `size` bytes (10 MiB) of nonsense that calls itself JSON, and `status` (200).
        ``slow_headers`` answers right, but `seconds` (1) late.
        ``slow_body`` sends the headers and half the body at once, and the rest `seconds` (1) late.
        ``cut_body`` promises the whole body, sends half, and closes.
        ``reset`` breaks the connection with a TCP reset, without an answer.
        ``drop`` closes the connection in an orderly way, without an answer.
        ``close_idle`` answers right, promises to keep the connection, and closes it.

    Attributes:
        kind: what happens.
        times: how many requests it strikes; None strikes all.
        after: how many matching requests it lets pass first.
        method: of the requests it strikes; None strikes every method.
        path: how their path begins, still quoted.
        pattern: a regular expression that is searched for in their path.
        when: ``before`` the work is done, which then is not done, or ``after`` it. The usual is ``before``, for
            ``drop`` it is ``after``; slow, cut and idle-closing faults do the work, whenever it is.
        status: of the answer.
        retry_after: the header ``Retry-After``, seconds or an HTTP date, as text.
        body: of the answer.
        seconds: how long it waits.
        size: of the answer, in bytes.
        location: the header ``Location``.

    Raises:
        ValueError: an attribute is wrong, or not one of this kind; the sentence says what it should be.
    """

    RULES: ClassVar[Mapping[str, Rule]] = _RULES

    kind: Kind
    times: int | None = 1
    after: int = 0
    method: str | None = None
    path: str | None = None
    pattern: str | None = None
    when: Literal["before", "after"] | None = None
    status: int | None = None
    retry_after: str | None = None
    body: str | None = None
    seconds: float | None = None
    size: int | None = None
    location: str | None = None

    def __post_init__(self) -> None:
        self.check(lambda: _TARGETS | _OPTIONS[self.kind])

    @property
    def is_after(self) -> bool:
        """Whether the request is executed before the fault strikes."""
        return (self.when or ("after" if self.kind == "drop" else "before")) == "after"

    def concerns(self, method: str, path: str) -> bool:
        """Whether a request is one of those it may strike."""
        return (
            (self.method is None or self.method.upper() == method)
            and (self.path is None or path.startswith(self.path))
            and (self.pattern is None or re.search(self.pattern, path) is not None)
        )


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
