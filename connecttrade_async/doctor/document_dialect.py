"""The REST part of a dialect that an OpenAPI document describes: other names, and places of lists and cursors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from connecttrade_async.recording.vocabulary import folded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from connecttrade_async.dialect.value import Dialect
    from connecttrade_async.doctor.contract import Member, Operation

__all__ = ["dialect_of_document"]

CURSORS = {"next_cursor": "next_parameter", "prev_cursor": "prev_parameter"}


def dialect_of_document(ours: Iterable[Operation], theirs: Iterable[Operation], dialect: Dialect) -> Dialect:
    """Return the dialect, changed to what the document describes.

    A name is changed only where each operation that takes it has the same other spelling of it. What means the same
    under another word cannot be inferred from a document, and stays.

    Args:
        ours: the operations that this library uses, in the default dialect.
        theirs: the operations of the document.
        dialect: the configured dialect.
    """
    known = {operation.key: operation for operation in theirs}
    pairs = [(operation, known[operation.key]) for operation in ours if operation.key in known]
    rest = dialect.rest
    names = dict(_other_names(pairs))
    parameters = {part: names.pop(name) for name, part in CURSORS.items() if name in names}
    changed = msgspec.structs.replace(
        rest,
        names=rest.names | names,
        lists=rest.lists | dict(_lists(pairs)),
        next_cursor=_with(_cursors(pairs, "next"), rest.next_cursor),
        prev_cursor=_with(_cursors(pairs, "prev"), rest.prev_cursor),
        **parameters,
    )
    return msgspec.structs.replace(dialect, rest=changed)


def _other_names(pairs: list[tuple[Operation, Operation]]) -> Iterator[tuple[str, str]]:
    spelled: dict[str, set[str]] = {}
    for ours, theirs in pairs:
        for sent, taken in ((ours.query, theirs.query), (_members(ours), _members(theirs))):
            for name in sent:
                other = name if name in taken else next((each for each in taken if folded(each) == folded(name)), None)
                if other is not None:
                    spelled.setdefault(name, set()).add(other)
    for name, found in spelled.items():
        if len(found) == 1 and name not in found:
            yield name, found.pop()


def _members(operation: Operation) -> Mapping[str, Member]:
    return {} if operation.body is None else operation.body.members


def _lists(pairs: list[tuple[Operation, Operation]]) -> Iterator[tuple[str, str]]:
    """Yield the keys of lists in objects, by resource."""
    for ours, theirs in pairs:
        if ours.response is None or ours.response.items is None or theirs.response is None:
            continue
        lists = [name for name, member in theirs.response.members.items() if "array" in member.shape.kinds]
        if len(lists) == 1:
            yield ours.path.rpartition("/")[2], lists[0]


def _cursors(pairs: list[tuple[Operation, Operation]], way: str) -> list[str]:
    """Return the members of responses that hold a cursor."""
    found = [
        name
        for ours, theirs in pairs
        if "next_cursor" in ours.query and theirs.response is not None
        for name in theirs.response.members
        if {"cursor", way} <= set(folded(name).split("_"))
    ]
    return list(dict.fromkeys(found))


def _with(found: list[str], known: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*found, *known]))
