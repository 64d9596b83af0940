"""The sandbox's fault: one thing that may go wrong, as data: what happens, and to which requests."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from random import Random
from typing import Any, Literal, cast, get_args

from connecttrade_async.sandbox.faults.schedule import ActiveFault, FaultSchedule

__all__ = ["LOSSES", "Fault", "Faults", "Kind", "is_header", "is_whole"]

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
_LONGEST = 3600.0
_LARGEST = 1 << 30


def is_whole(low: int, high: int) -> Callable[[object], bool]:
    """Return a check whether a value is a whole number between two others, these included."""
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def is_header(value: object) -> bool:
    """Whether a value can be that of a header."""
    return isinstance(value, str) and value.isprintable() and value.isascii() and bool(value)


def _is_pattern(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(re.compile(value))
    except re.error:
        return False


def _is_duration(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _LONGEST


_RULES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "kind": (lambda value: value in get_args(Kind), f"one of {', '.join(get_args(Kind))}"),
    "times": (is_whole(1, 1_000_000), "a whole number from 1, or null for every request"),
    "after": (is_whole(0, 1_000_000), "a whole number of requests to let pass"),
    "method": (lambda value: isinstance(value, str) and value.isalpha(), "an HTTP method"),
    "path": (lambda value: isinstance(value, str) and value.startswith("/"), "how the path begins, from its slash"),
    "pattern": (_is_pattern, "a regular expression"),
    "when": (lambda value: value in {"before", "after"}, "before or after, which means the work"),
    "status": (is_whole(200, 599), "a status from 200 to 599"),
    "retry_after": (is_header, "seconds or an HTTP date, as text"),
    "body": (_is_text, "text"),
    "seconds": (_is_duration, "a number of seconds, up to an hour"),
    "size": (is_whole(1, _LARGEST), "a number of bytes, up to a gibibyte"),
    "location": (is_header, "a URL"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One misfortune, and which requests it strikes. None takes what is usual for the kind.

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
        always = {"kind", "after"}
        given = {name: value for name, value in asdict(self).items() if value is not None or name in always}
        for name, value in given.items():
            is_right, wanted = _RULES[name]
            if not is_right(value):
                raise ValueError(f"{name} must be {wanted}, not {value!r}")
        for name in given:
            if name in _ANSWERING and name not in _OPTIONS[self.kind]:
                raise ValueError(f"a fault of kind {self.kind} takes no {name}")

    @classmethod
    def read(cls, members: Mapping[str, object]) -> "Fault":
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
    def is_after(self) -> bool:
        """Whether the work is done before the misfortune."""
        return (self.when or ("after" if self.kind == "drop" else "before")) == "after"

    def concerns(self, method: str, path: str) -> bool:
        """Whether a request is one of those it may strike."""
        return (
            (self.method is None or self.method.upper() == method)
            and (self.path is None or path.startswith(self.path))
            and (self.pattern is None or re.search(self.pattern, path) is not None)
        )


_ANSWERING = frozenset[str]().union(*_OPTIONS.values())


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
