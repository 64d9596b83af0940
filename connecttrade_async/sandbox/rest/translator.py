"""The translation between the endpoints, which know the wire contract alone, and the dialect that is set."""

import json
from collections.abc import Mapping
from html import escape
from typing import NamedTuple, cast

import msgspec
from yarl import URL

from connecttrade_async.sandbox.dialect.members import ENUMS, IDS, NUMBERS, camel_name, enum_word, id_number
from connecttrade_async.sandbox.dialect.rest import RestForms
from connecttrade_async.sandbox.errors import BadRequestError
from connecttrade_async.sandbox.parameters import Fields

__all__ = ["CURSORS", "HttpAnswer", "PageCursors", "Translator"]

CURSORS = ("next_cursor", "prev_cursor")
"""The wire contract's names of the cursors, in an answer and in a query."""

_PREVIOUS = {
    "next_cursor": "prev_cursor",
    "nextCursor": "prevCursor",
    "cursor": "prev_cursor",
    "page_token": "prev_page_token",
    "after": "before",
}
"""The query parameter that takes a cursor to the previous page, by the one for the next page."""


_DEFAULT = RestForms()
_VALUE_FORMS = (
    "numbers",
    "ids",
    "case",
    "enums",
    "cancelled",
    "user_secret",
    "authorization_url",
    "connection_type",
)
"""The choices that change members. Where all have their default, a payload goes out as the endpoint made it."""


class PageCursors(NamedTuple):
    """The cursors of one page, None where there is no further page."""

    next_cursor: str | None = None
    prev_cursor: str | None = None


class HttpAnswer(NamedTuple):
    """One answer as it goes out."""

    body: bytes
    headers: Mapping[str, str] = {}
    content_type: str = "application/json"
    status: int = 200


class Translator:
    """Writes answers in the forms that are set, and reads requests by their names.

    Args:
        forms: the forms.
        ids: the ids by the numbers that stand for them. What is written is added.
    """

    def __init__(self, forms: RestForms, ids: dict[str, str]) -> None:
        self._forms = forms
        self._ids = ids
        either = ("connection_type", "type")
        self._types = frozenset(either if forms.request_type == "either" else (forms.request_type,))
        self._is_plain = all(getattr(forms, name) == getattr(_DEFAULT, name) for name in _VALUE_FORMS)
        self._parameters: dict[str, str] = dict(
            zip(CURSORS, (forms.cursor_parameter, _PREVIOUS[forms.cursor_parameter]), strict=True)
        )

    # Requests ---------------------------------------------------------------------------------------------------------

    def names(self, known: frozenset[str]) -> frozenset[str]:
        """Return the names under which a request may have the contract's parameters or members."""
        names = {self._parameters.get(name, name) for name in known}
        if "connection_type" in known:
            names = names - {"connection_type"} | self._types
        return frozenset(names)

    def query(self, query: Mapping[str, str]) -> dict[str, str]:
        """Return a query with the contract's names. A cursor under another name than the dialect's is ignored."""
        names = {mine: name for name, mine in self._parameters.items()}
        return {
            names.get(name, name): self._ids.get(value, value) if name in IDS else value
            for name, value in query.items()
            if name in names or name not in CURSORS
        }

    def path(self, parts: Mapping[str, str]) -> dict[str, str]:
        """Return the varying parts of a path with the ids that their numbers stand for."""
        return {name: self._ids.get(value, value) if name in IDS else value for name, value in parts.items()}

    def members(self, members: Fields) -> Fields:
        """Return the members of a body with the contract's names.

        Raises:
            BadRequestError: a connection is requested with two types that differ.
        """
        read = {name: self._id_of(value) if name in IDS else value for name, value in members.items()}
        types = [read.pop(name) for name in ("connection_type", "type") if name in read and name in self._types]
        read.pop("connection_type", None)
        if types[1:] and types[0] != types[1]:
            raise BadRequestError("connection_type and type must be the same.")
        return read | {"connection_type": types[0]} if types else read

    def _id_of(self, value: object) -> object:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return self._ids.get(str(value), value) if is_number or isinstance(value, str) else value

    # Answers ----------------------------------------------------------------------------------------------------------

    def answer(
        self, payload: object, noun: str = "", page: PageCursors | None = None, *, url: URL | None = None
    ) -> HttpAnswer:
        """Write the payload of an endpoint.

        Args:
            payload: as the wire contract has it.
            noun: the last part of the endpoint's path, by which its list is known.
            page: the cursors, if the endpoint has pages.
            url: the address of the request, for the header ``Link``.
        """
        if self._forms.deletions != "object" and _is_deletion(payload):
            return HttpAnswer(b"", status=200 if self._forms.deletions == "empty" else 204)
        body = payload if self._is_plain else self._value("", payload)
        if isinstance(body, list):
            body = self._listed(cast("list[object]", body), noun, page)
        return HttpAnswer(_encoded(body), {} if page is None else self._cursor_headers(page, url))

    def write_id(self, name: str) -> str:
        """Return an id as answers write it, as text."""
        return str(self._text("connection_id", name))

    def error(self, status: int, message: str) -> HttpAnswer:
        """Write an error in its shape."""
        match self._forms.errors:
            case "text":
                return HttpAnswer(message.encode(), content_type="text/plain", status=status)
            case "html":
                page = f"<!DOCTYPE html><html><body><h1>{status}</h1><p>{escape(message)}</p></body></html>"
                return HttpAnswer(page.encode(), content_type="text/html", status=status)
            case "messages":
                return HttpAnswer(_encoded({"message": [message, f"The status is {status}."]}), status=status)
            case "error_message":
                return HttpAnswer(_encoded({"error": {"message": message, "code": str(status)}}), status=status)
            case "errors":
                return HttpAnswer(_encoded({"errors": [{"message": message}]}), status=status)
            case name:
                return HttpAnswer(_encoded({name: message}), status=status)

    def _listed(self, items: list[object], noun: str, page: PageCursors | None) -> object:
        form = self._forms.list_form(noun)
        value: object = None if not items and self._forms.empty == "null" else items
        if form.key != "array":
            value = {noun if form.key == "plural" else form.key: value}
        if form.inside != "top":
            value = {form.inside: value}
        if page is None or not isinstance(value, dict):
            return value
        return {**cast("dict[str, object]", value), **self._body_cursors(page)}

    def _body_cursors(self, page: PageCursors) -> dict[str, object]:
        where = self._forms.cursors
        if not where.startswith(("body", "nested")):
            return {}
        cursors: dict[str, object] = {}
        for name, cursor in zip(CURSORS, page, strict=True):
            written = camel_name(name) if where.endswith("camel") else self._name(name)
            if cursor is not None or self._forms.last_cursor != "missing":
                cursors[written] = "" if cursor is None and self._forms.last_cursor == "empty" else cursor
        return cursors if where.startswith("body") else {self._forms.cursor_parent: cursors}

    def _cursor_headers(self, page: PageCursors, url: URL | None) -> dict[str, str]:
        found = {name: cursor for name, cursor in zip(CURSORS, page, strict=True) if cursor is not None}
        match self._forms.cursors:
            case "headers" | "x_headers" as where:
                start = "x-" if where == "x_headers" else ""
                return {start + name.replace("_", "-"): cursor for name, cursor in found.items()}
            case "link" if url is not None and found:
                base = url.without_query_params(*self._parameters.values())
                links = (
                    f'<{base.update_query({self._parameters[name]: cursor})}>; rel="{name.removesuffix("_cursor")}"'
                    for name, cursor in found.items()
                )
                return {"Link": ", ".join(links)}
            case _:
                return {}

    def _value(self, name: str, value: object) -> object:
        if isinstance(value, Mapping):
            members = cast("Mapping[str, object]", value)
            return {self._name(key): self._value(key, item) for key, item in members.items()}
        if isinstance(value, list):
            return [self._value(name, item) for item in cast("list[object]", value)]
        return self._text(name, value) if isinstance(value, str) else value

    def _text(self, name: str, value: str) -> object:
        if name in NUMBERS:
            return self._number(value)
        if name in IDS and self._forms.ids == "number":
            number = id_number(value)
            self._ids[str(number)] = value
            return number
        if name in ENUMS:
            word = value.replace("cancelled", self._forms.cancelled) if name == "status" else value
            return enum_word(word, self._forms.enums)
        return value

    def _number(self, digits: str) -> object:
        if self._forms.numbers == "text" or not digits:
            return digits
        if self._forms.numbers == "short" and "." in digits:
            digits = digits.rstrip("0").rstrip(".")
        # Raw keeps every digit; a float would round the ninth decimal away.
        return msgspec.Raw(digits.encode())

    def _name(self, name: str) -> str:
        forms = self._forms
        match name:
            case "user_secret":
                name = forms.user_secret
            case "connection_request_url":
                name = forms.authorization_url
            case "connection_type":
                name = forms.connection_type
            case _:
                pass
        return camel_name(name) if forms.case == "camel" else name


def _is_deletion(payload: object) -> bool:
    return isinstance(payload, Mapping) and "deleted" in payload


def _encoded(payload: object) -> bytes:
    try:
        return json.dumps(payload, separators=(",", ":")).encode()
    except TypeError:  # only msgspec writes a number with every digit of it
        return msgspec.json.encode(payload)
