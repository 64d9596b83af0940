"""Compare the operations of a document with ours: one finding for each place in which they can differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connecttrade_async.dialect.value import Dialect
from connecttrade_async.doctor.findings import Finding, FindingOutcome
from connecttrade_async.recording.vocabulary import folded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from connecttrade_async.doctor.contract import Member, Operation, Shape

__all__ = ["compare_operations"]

OK, UNDERSTOOD, NOT_UNDERSTOOD, NOT_SEEN = (
    FindingOutcome.OK,
    FindingOutcome.UNDERSTOOD,
    FindingOutcome.NOT_UNDERSTOOD,
    FindingOutcome.NOT_SEEN,
)
QUERY_KINDS = frozenset({"string", "number"})  # a query has text only
MAX_NAMES = 12


def compare_operations(
    ours: Iterable[Operation], theirs: Iterable[Operation], dialect: Dialect | None = None
) -> list[Finding]:
    """Compare operations.

    Args:
        ours: the operations that this library uses.
        theirs: the operations of the document.
        dialect: the names of cursors and of an error's text that this library reads; None for the default.

    Returns:
        The findings, those of an operation together.
    """
    known = {operation.key: operation for operation in theirs}
    comparison = _Comparison(Dialect.default if dialect is None else dialect)
    used: set[tuple[str, str]] = set()
    for operation in ours:
        used.add(operation.key)
        other = known.get(operation.key)
        if other is None:
            comparison.add(operation.name, "exists", _near(operation, known.values()), NOT_UNDERSTOOD)
        else:
            comparison.compare(operation, other)
    for key, other in known.items():
        if key not in used:
            comparison.add(other.name, "not used", "exists", UNDERSTOOD)
    return comparison.findings


def _near(operation: Operation, theirs: Iterable[Operation]) -> str:
    """Return what the document has in place of an operation: other methods of its path, or its path elsewhere."""
    theirs = list(theirs)
    methods = [other.method for other in theirs if other.key[1] == operation.key[1]]
    if methods:
        return f"only {', '.join(methods)} {operation.path}"
    ending = [
        other.name for other in theirs if other.method == operation.method and other.key[1].endswith(operation.key[1])
    ]
    return f"only {', '.join(ending)}" if ending else "not in the document"


class _Comparison:
    def __init__(self, dialect: Dialect) -> None:
        self.findings: list[Finding] = []
        self._rest = dialect.rest

    def add(self, subject: str, assumed: str, saw: str, outcome: FindingOutcome) -> None:
        self.findings.append(Finding(subject, assumed, saw, outcome))

    def compare(self, ours: Operation, theirs: Operation) -> None:
        self.add(ours.name, "exists", "exists", OK)
        if ours.path != theirs.path.rstrip("/"):
            self.add(f"{ours.name}: path", ours.path, theirs.path, UNDERSTOOD)
        self._query(ours, theirs)
        self._body(ours, theirs)
        if ours.response is not None:
            self._response(f"{ours.name}: response", ours.response, theirs.response)
        if any(name in ours.query for name in (self._rest.next_parameter, "next_cursor")):
            self._cursors(ours, theirs)
        self._error(ours, theirs)

    def _query(self, ours: Operation, theirs: Operation) -> None:
        for name, member in ours.query.items():
            subject = f"{ours.name}: query {name}"
            other = theirs.query.get(name)
            if other is None:
                # Ignored by the server, a filter would return the data of other accounts as well.
                self.add(subject, "accepted", _alike(name, theirs.query), NOT_UNDERSTOOD)
                continue
            self._required(subject, member, other, is_sent=True)
            self._values(subject, member.shape, other.shape, is_sent=True)
            if "array" in other.shape.kinds:
                saw = "an array, the name repeated" if other.is_exploded else "an array, separated by commas"
                self.add(subject, "text, separated by commas", saw, NOT_UNDERSTOOD if other.is_exploded else OK)
            elif not other.shape.kinds or other.shape.kinds & QUERY_KINDS:
                self.add(subject, "text", "text" if "string" in other.shape.kinds else other.shape.text, OK)
            else:
                self.add(subject, "text", other.shape.text, NOT_UNDERSTOOD)
        for name, other in theirs.query.items():
            if name not in ours.query:
                outcome = NOT_UNDERSTOOD if other.is_required else UNDERSTOOD
                saw = "required" if other.is_required else "optional"
                self.add(f"{ours.name}: query {name}", "not sent", saw, outcome)

    def _body(self, ours: Operation, theirs: Operation) -> None:
        if ours.body is None:
            if theirs.body is not None and any(member.is_required for member in theirs.body.members.values()):
                self.add(f"{ours.name}: request", "no body", theirs.body.text, NOT_UNDERSTOOD)
            return
        if theirs.body is None:
            self.add(f"{ours.name}: request", ours.body.text, "no body is described", NOT_SEEN)
            return
        self._sent(f"{ours.name}: request", ours.body, theirs.body)

    def _sent(self, subject: str, ours: Shape, theirs: Shape) -> None:
        """Compare what this library sends with what the document accepts."""
        if theirs.kinds and not ours.kinds <= theirs.kinds:
            self.add(subject, ours.text, theirs.text, NOT_UNDERSTOOD)
            return
        if theirs.kinds and ours.is_nullable != theirs.is_nullable:
            outcome = NOT_UNDERSTOOD if ours.is_nullable else UNDERSTOOD
            self.add(subject, ours.text, theirs.text, outcome)
        else:
            self.add(subject, ours.text, theirs.text, OK)
        self._values(subject, ours, theirs, is_sent=True)
        for name, member in ours.members.items():
            inner = f"{subject} {name}"
            other = theirs.members.get(name)
            if other is None:
                if theirs.members:
                    self.add(inner, "accepted", _alike(name, theirs.members), NOT_UNDERSTOOD)
                continue
            self._required(inner, member, other, is_sent=True)
            self._sent(inner, member.shape, other.shape)
        for name, other in theirs.members.items():
            if name not in ours.members:
                saw = "required" if other.is_required else "optional"
                outcome = NOT_UNDERSTOOD if other.is_required else UNDERSTOOD
                self.add(f"{subject} {name}", "not sent", saw, outcome)
        if ours.items is not None and theirs.items is not None:
            self._sent(f"{subject} item", ours.items, theirs.items)

    def _response(self, subject: str, ours: Shape, theirs: Shape | None) -> None:
        if theirs is None:
            self.add(subject, ours.text, "no JSON is described", NOT_SEEN)
            return
        if ours.items is not None and "object" in theirs.kinds:
            lists = [name for name, member in theirs.members.items() if "array" in member.shape.kinds]
            saw = f"an object with the list{'s' * (len(lists) != 1)} {', '.join(lists) or 'nowhere'}"
            self.add(subject, ours.text, saw, UNDERSTOOD if len(lists) == 1 else NOT_UNDERSTOOD)
            if len(lists) == 1:
                self._received(subject, ours, theirs.members[lists[0]].shape)
            return
        self._received(subject, ours, theirs)

    def _received(self, subject: str, ours: Shape, theirs: Shape) -> None:
        """Compare what this library reads with what the document says that comes."""
        if not theirs.kinds or not ours.kinds:
            self.add(subject, ours.text, theirs.text, NOT_SEEN)
        elif theirs.kinds - ours.kinds:
            # Numbers where text is documented are read with their digits.
            is_number = ours.kinds <= {"string"} and theirs.kinds <= {"string", "number"}
            self.add(subject, ours.text, theirs.text, UNDERSTOOD if is_number else NOT_UNDERSTOOD)
        elif ours.is_nullable != theirs.is_nullable:
            # A null list is an empty one.
            outcome = NOT_UNDERSTOOD if theirs.is_nullable and ours.items is None else UNDERSTOOD
            self.add(subject, ours.text, theirs.text, outcome)
        else:
            self.add(subject, ours.text, theirs.text, OK)
        self._values(subject, ours, theirs, is_sent=False)
        self._members(subject, ours.members, theirs.members)
        if ours.items is not None and theirs.items is not None:
            self._received(f"{subject} item", ours.items, theirs.items)

    def _members(self, subject: str, ours: Mapping[str, Member], theirs: Mapping[str, Member]) -> None:
        by_folded = {folded(name): name for name in theirs if name not in ours}
        read: set[str] = set()
        for name, member in ours.items():
            inner = f"{subject} {name}"
            other = theirs.get(name)
            if other is None and theirs and folded(name) in by_folded:
                spelled = by_folded[folded(name)]
                self.add(inner, name, spelled, UNDERSTOOD)
                read.add(spelled)
                other = theirs[spelled]
            if other is None:
                outcome = NOT_UNDERSTOOD if member.is_required else NOT_SEEN
                self.add(inner, "comes" if member.is_required else "may come", "is not described", outcome)
                continue
            self._required(inner, member, other, is_sent=False)
            self._received(inner, member.shape, other.shape)
        for name, other in theirs.items():
            if name not in ours and name not in read:
                self.add(f"{subject} {name}", "not read", other.shape.text, UNDERSTOOD)

    def _required(self, subject: str, ours: Member, theirs: Member, *, is_sent: bool) -> None:
        if ours.is_required == theirs.is_required:
            return
        # To send what is optional is fine, and so is to read what always comes.
        is_understood = ours.is_required is is_sent
        assumed, saw = ("required", "optional") if ours.is_required else ("optional", "required")
        self.add(subject, assumed, saw, UNDERSTOOD if is_understood else NOT_UNDERSTOOD)

    def _values(self, subject: str, ours: Shape, theirs: Shape, *, is_sent: bool) -> None:
        if not ours.values or not theirs.values or ours.values == theirs.values:
            return
        more, fewer = sorted(theirs.values - ours.values), sorted(ours.values - theirs.values)
        if more:
            # A value that is not listed keeps its text.
            self.add(subject, "known values", f"also {_listed(more)}", UNDERSTOOD)
        if fewer:
            self.add(subject, _listed(fewer), "not among the values", NOT_UNDERSTOOD if is_sent else NOT_SEEN)

    def _cursors(self, ours: Operation, theirs: Operation) -> None:
        rest, response = self._rest, theirs.response
        for way, paths, headers in (
            ("next", rest.next_cursor, rest.next_header),
            ("prev", rest.prev_cursor, rest.prev_header),
        ):
            subject = f"{ours.name}: {way} cursor"
            known = {name.lower() for name in headers} | {f"x-{name.lower()}" for name in headers} | {"link"}
            found = sorted(theirs.response_headers & known)
            found += [path for path in paths if response is not None and _has_path(response, path)]
            assumed = f"header {headers[0]} or member {paths[0]}"
            if found:
                self.add(subject, assumed, ", ".join(found), OK)
                continue
            names = [*theirs.response_headers, *(response.members if response is not None else ())]
            like = [name for name in names if "cursor" in folded(name) or way in folded(name).split("_")]
            self.add(subject, assumed, ", ".join(sorted(like)) or "no cursor is described", NOT_UNDERSTOOD)

    def _error(self, ours: Operation, theirs: Operation) -> None:
        subject = f"{ours.name}: error"
        paths = self._rest.error_message
        if theirs.error is None:
            self.add(subject, paths[0], "no error is described", NOT_SEEN)
            return
        found = next((path for path in paths if _has_path(theirs.error, path)), None)
        if found is None:
            self.add(subject, paths[0], f"members {_listed(sorted(theirs.error.members)) or 'unknown'}", NOT_UNDERSTOOD)
        else:
            self.add(subject, paths[0], found, OK if found == paths[0] else UNDERSTOOD)


def _has_path(shape: Shape, path: str) -> bool:
    for name in path.split("."):
        member = shape.members.get(name.removesuffix("[]"))
        if member is None:
            return False
        shape = member.shape
        if name.endswith("[]"):
            if shape.items is None:
                return False
            shape = shape.items
    return True


def _alike(name: str, theirs: Mapping[str, Member]) -> str:
    """Return the name that stands in place of a missing one, or that there is none."""
    like = next((other for other in theirs if folded(other) == folded(name)), None)
    return like or "not in the document"


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:MAX_NAMES]) + (", ..." if len(names) > MAX_NAMES else "")
