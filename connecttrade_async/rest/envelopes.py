"""Find the list, the cursors and the object in the body of a response, whatever envelope the API puts around them.

The form of an envelope is (assumed). A body in which two lists may be the wanted one is refused, never guessed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import parse_qsl, urlsplit

import msgspec

from connecttrade_async.census import safe_name
from connecttrade_async.dialect.tolerance import ERROR_FIELDS, fold_name
from connecttrade_async.rest.wire import LARGEST_PAGE, LINK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from connecttrade_async.dialect.parts import RestDialect

__all__ = [
    "FULL_PAGES",
    "NO_CURSOR",
    "NO_PAGE",
    "Cursor",
    "EnvelopeError",
    "FoundList",
    "cursor_in_headers",
    "find_list",
    "find_objects",
    "is_full",
]

MAX_MEMBER = 65_536  # bytes of a member that is searched for cursors
DEFAULT_LIMIT = 50  # rows of a page without a limit (documented)
FULL_PAGES = (DEFAULT_LIMIT, LARGEST_PAGE)
# Members that say that there is more, although none of them is a cursor that could be sent (assumed).
MORE = frozenset(
    {
        "next",
        "nextpage",
        "nextpagetoken",
        "nexttoken",
        "nexturl",
        "nextlink",
        "hasmore",
        "hasnext",
        "more",
        "moreresults",
    },
)
# A list under one of these names is never the wanted one.
OTHER_LISTS = ERROR_FIELDS | {"warnings", "messages", "notices", "links", "details"}
_NULLS = frozenset({b"null", b'""', b"false"})
_LINK = re.compile(r"<([^<>]*)>\s*((?:;[^,;]*)*)")
_NEXT = re.compile(r";\s*rel\s*=\s*\"?[^\";]*\bnext\b", re.IGNORECASE)
_PREV = re.compile(r";\s*rel\s*=\s*\"?[^\";]*\bprev(?:ious)?\b", re.IGNORECASE)
_MEMBERS: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANYTHING: msgspec.json.Decoder[object] = msgspec.json.Decoder()


class EnvelopeError(msgspec.ValidationError):
    """A body has no list, or more than one that may be the wanted one."""


class Cursor(NamedTuple):
    """What a response says about a neighboring page.

    Attributes:
        value: the cursor, or None.
        is_named: whether the response names it at all: a name with null says that there is no such page.
        is_unusable: whether the response says that there is such a page, in a form that cannot be sent.
    """

    value: str | None = None
    is_named: bool = False
    is_unusable: bool = False

    def or_else(self, other: Cursor) -> Cursor:
        """Return this cursor, or another one where this one has no value."""
        if self.value is not None:
            return self
        return Cursor(other.value, self.is_named or other.is_named, self.is_unusable or other.is_unusable)


NO_CURSOR = Cursor()
NO_PAGE = Cursor(is_named=True)


class FoundList(NamedTuple):
    """The list in a body.

    Attributes:
        rows: the list, undecoded.
        next: the cursor of the next page.
        prev: the cursor of the previous page.
        doubt: why an empty list may not be what was asked for, or ``""``.
    """

    rows: bytes | msgspec.Raw
    next: Cursor = NO_CURSOR
    prev: Cursor = NO_CURSOR
    doubt: str = ""

    def __repr__(self) -> str:
        # Tracebacks can print it, and the rows may hold a secret.
        return f"<FoundList of {len(bytes(self.rows))} bytes>"


def find_list(body: bytes, resource: str, names: RestDialect) -> FoundList:
    """Return the list in a body: the body itself, or the only list in an object, or one level below.

    Args:
        body: the body: JSON.
        resource: what is listed, such as ``orders``.
        names: the names to expect. A list under another name counts too, if it is the only one.

    Raises:
        EnvelopeError: there is no list, or more than one.
        MsgspecError: the body is no JSON.
        UnicodeDecodeError: a name is not UTF-8.
    """
    start = body.lstrip()[:1]
    if start == b"[":
        return FoundList(body)
    if start != b"{":
        if _ANYTHING.decode(body) is None:
            return FoundList(b"[]", doubt="null")
        raise EnvelopeError("Expected `array`")
    members = _MEMBERS.decode(body)
    levels = {"": members} | {f"{name}.": _MEMBERS.decode(raw) for name, raw in members.items() if _starts(raw, b"{")}
    paths = {prefix + name: raw for prefix, level in levels.items() for name, raw in level.items()}
    lists = {path: raw for path, raw in paths.items() if _starts(raw, b"[")}
    following, previous = _cursor(levels, names.next_cursor), _cursor(levels, names.prev_cursor)
    if not following.value and _says_more(levels.values()):
        following = following._replace(is_unusable=True)
    key = names.lists.get(resource, resource)
    rows, path = _only_list(lists, paths, key, is_configured=key != resource)
    doubt = ""
    if _is_empty(rows):
        if any(fold_name(name) in ERROR_FIELDS and bytes(raw) not in _NULLS for name, raw in members.items()):
            msg = f"Object has an empty list beside an error - at `$.{safe_path(path)}`"
            raise EnvelopeError(msg)
        if bytes(rows) == b"null":
            rows, doubt = b"[]", "null"
        elif fold_name(path.rpartition(".")[2]) != fold_name(key):
            doubt = f"an empty list under the name {safe_name(path.rpartition('.')[2])!r}"
    return FoundList(rows, following, previous, doubt)


def _only_list(
    lists: Mapping[str, msgspec.Raw], paths: Mapping[str, msgspec.Raw], key: str, *, is_configured: bool
) -> tuple[bytes | msgspec.Raw, str]:
    named = [path for path in paths if fold_name(path.rpartition(".")[2]) == fold_name(key)]
    wanted = [path for path in named if path in lists]
    if is_configured and len(wanted) == 1:
        return lists[wanted[0]], wanted[0]
    if len(lists) > 1:
        shown = " and ".join(f"`{safe_path(path)}`" for path in lists)
        msg = f"Object has {len(lists)} lists, {shown}, and each may be the wanted one"
        raise EnvelopeError(msg)
    for path, rows in lists.items():
        if fold_name(path.rpartition(".")[2]) not in OTHER_LISTS:
            return rows, path
    for path in named:
        if bytes(paths[path]) == b"null":
            return paths[path], path
    msg = f"Object has no list under `{safe_name(key)}` or another name"
    raise EnvelopeError(msg)


def safe_path(path: str) -> str:
    """Return a path for a message, without a name that may be a secret."""
    return ".".join(safe_name(name) for name in path.split("."))


def _starts(raw: msgspec.Raw, start: bytes) -> bool:
    return bytes(raw)[:1] == start


def _is_empty(raw: bytes | msgspec.Raw) -> bool:
    beginning = bytes(raw)[:64]
    return beginning[:1] == b"n" or beginning[1:].lstrip()[:1] == b"]"


def _cursor(levels: Mapping[str, Mapping[str, msgspec.Raw]], paths: Iterable[str]) -> Cursor:
    """Return the cursor at one of the paths; a path of one name counts one level below, too."""
    found: list[msgspec.Raw] = []
    for path in paths:
        *outer, name = map(fold_name, path.split("."))
        for prefix, level in levels.items():
            inner = [fold_name(each) for each in prefix.split(".") if each]
            if not outer or inner == outer[:1]:
                found += _at(level, [*outer[len(inner) :], name])
    values = {text for raw in found if (text := _cursor_text(raw)) is not None}
    if len(values) > 1:
        msg = f"Object has {len(values)} different cursors under {' and '.join(paths)}"
        raise EnvelopeError(msg)
    is_unusable = any(_cursor_text(raw) is None and bytes(raw) not in _NULLS for raw in found)
    return Cursor(next(iter(values), None), bool(found), is_unusable)


def _at(level: Mapping[str, msgspec.Raw], names: list[str]) -> list[msgspec.Raw]:
    found = [raw for name, raw in level.items() if fold_name(name) == names[0]]
    if len(names) == 1:
        return found
    return [each for raw in found if _starts(raw, b"{") for each in _at(_MEMBERS.decode(raw), names[1:])]


def _cursor_text(raw: msgspec.Raw) -> str | None:
    if len(bytes(raw)) > MAX_MEMBER:
        return None
    value = _ANYTHING.decode(raw)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value or None if isinstance(value, str) else None


def _says_more(levels: Iterable[Mapping[str, msgspec.Raw]]) -> bool:
    return any(
        fold_name(name) in MORE and bytes(raw) not in _NULLS | {b"[]", b"{}", b"0"}
        for level in levels
        for name, raw in level.items()
    )


def cursor_in_headers(headers: Mapping[str, str], names: RestDialect, *, backwards: bool = False) -> Cursor:
    """Return the cursor in the headers of a response, with or without ``x-``, or in the header ``Link``.

    Args:
        headers: the headers.
        names: the names to expect.
        backwards: return the cursor of the previous page.
    """
    found = NO_CURSOR
    for name in names.prev_header if backwards else names.next_header:
        for header in (name, f"x-{name}"):
            value = headers.get(header)
            if value is not None:
                found = found.or_else(Cursor(value.strip() or None, is_named=True))
    link = headers.get(LINK)
    return found.or_else(_cursor_in_link(link, names, backwards=backwards)) if link else found


def _cursor_in_link(link: str, names: RestDialect, *, backwards: bool) -> Cursor:
    wanted, parameter = (_PREV, names.prev_parameter) if backwards else (_NEXT, names.next_parameter)
    for address, relation in cast("list[tuple[str, str]]", _LINK.findall(link)):
        if not wanted.search(relation):
            continue
        try:
            query = parse_qsl(urlsplit(address).query)
        except ValueError:
            query = []
        values = {value for name, value in query if fold_name(name) in {fold_name(parameter), "cursor"}}
        return Cursor(values.pop(), is_named=True) if len(values) == 1 else Cursor(is_unusable=True)
    return NO_CURSOR


def is_full(count: int, query: str, limit: str = "limit") -> bool:
    """Return whether a page has as many rows as its limit, as the default limit, or as the largest.

    Args:
        count: the rows of the page.
        query: the query of the request.
        limit: the name of the limit in it.
    """
    if count in FULL_PAGES:
        return True
    wanted = f"{limit}={count}"
    return count > 0 and wanted in query and f"&{wanted}&" in f"&{query[1:]}&"


def find_objects(content: object) -> dict[str, object]:
    """Return the objects in a decoded body that may be the wanted one, by path: the body itself, or one level below.

    A list with one object counts as this object. Beside an error, no inner object counts.
    """
    content = _only_item(content)
    if not isinstance(content, dict):
        return {}
    members = cast("dict[str, object]", content)
    found: dict[str, object] = {"$": members}
    if not any(value and fold_name(name) in ERROR_FIELDS for name, value in members.items()):
        inner = {f"$.{safe_name(name)}": _only_item(value) for name, value in members.items()}
        found |= {path: value for path, value in inner.items() if isinstance(value, dict)}
    return found


def _only_item(value: object) -> object:
    if isinstance(value, list):
        items = cast("list[object]", value)
        return items[0] if len(items) == 1 else None
    return value
