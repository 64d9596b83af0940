"""Operations of a REST API and the shapes of what they take and return, as values that can be compared."""

from __future__ import annotations

import re

import msgspec

__all__ = ["Member", "Operation", "Shape", "path_key"]

_BRACES = re.compile(r"\{[^{}]*\}")


class Shape(msgspec.Struct, frozen=True):
    """The values that a place in JSON accepts.

    Attributes:
        kinds: ``string``, ``number``, ``boolean``, ``array`` and ``object``; empty where nothing is known.
        is_nullable: whether null is accepted.
        values: the enumerated texts, or empty where any text is accepted.
        members: the members of an object, by name.
        items: the shape of the items of an array, or None.
    """

    kinds: frozenset[str] = frozenset()
    is_nullable: bool = False
    values: frozenset[str] = frozenset()
    members: dict[str, Member] = {}
    items: Shape | None = None

    @property
    def text(self) -> str:
        """The shape in words."""
        kinds = " or ".join(sorted(self.kinds)) or "anything"
        if self.items is not None and self.items.kinds:
            kinds = f"{kinds} of {self.items.text}"
        return f"{kinds} or null" if self.is_nullable else kinds


class Member(msgspec.Struct, frozen=True):
    """A member of an object, or a parameter.

    Attributes:
        shape: its values.
        is_required: whether it is always present.
        is_exploded: of a query parameter that is an array, whether the name is repeated for each item.
    """

    shape: Shape
    is_required: bool = False
    is_exploded: bool = False


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path.

    Attributes:
        method: in capitals.
        path: the path, with the names of its parameters in braces.
        query: the query parameters, by name.
        body: the JSON body of the request, or None.
        response: the JSON body of the response, or None where it has none.
        response_headers: the names of the response headers, in lower case.
        error: the JSON body of an error, or None where none is described.
    """

    method: str
    path: str
    query: dict[str, Member] = {}
    body: Shape | None = None
    response: Shape | None = None
    response_headers: frozenset[str] = frozenset()
    error: Shape | None = None

    @property
    def name(self) -> str:
        """The method and the path."""
        return f"{self.method} {self.path}"

    @property
    def key(self) -> tuple[str, str]:
        """The method and the path without the names of its parameters."""
        return self.method, path_key(self.path)


def path_key(path: str) -> str:
    """Return a path without the names of its parameters and without a trailing slash."""
    return _BRACES.sub("{}", path).rstrip("/") or "/"
