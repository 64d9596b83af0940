"""The forms of the REST answers."""

from collections.abc import Mapping
from typing import Literal

import msgspec

__all__ = ["REST_PRESETS", "ListForm", "RestForms"]


class ListForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a list stands in an answer.

    Attributes:
        key: ``array`` is a bare array; every other value is an object with the list under that name, where ``plural``
            stands for the noun of the endpoint, such as ``orders``.
        inside: puts the array or the object one level down, under this name; ``top`` does not.
    """

    key: Literal["array", "plural", "data", "items", "results", "records", "values"] = "array"
    inside: Literal["top", "data", "result", "response"] = "top"


class RestForms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The forms of the REST answers, and the names in requests. The default is what the wire contract assumes.

    Attributes:
        users: the list of ``GET /users``.
        connections: the list of ``GET /connections``.
        accounts: the list of ``GET /accounts``.
        balances: the list of ``GET /balances``.
        positions: the list of ``GET /positions``.
        orders: the list of ``GET /orders``.
        transactions: the list of ``GET /transactions``.
        empty: an empty list is an empty ``list`` or ``null``.
        cursors: ``headers`` are ``next-cursor`` and ``prev-cursor``, ``x_headers`` the same with ``x-``, ``link`` is
            the header ``Link``. ``body`` and ``body_camel`` write ``next_cursor`` or ``nextCursor`` beside the list,
            ``nested`` and ``nested_camel`` one level down; these put a bare array of orders under ``orders``.
            ``absent`` cuts the list off: there are more orders, and nothing in the answer shows it.
        cursor_parent: the object that holds the cursors of ``nested``.
        last_cursor: the cursor in the body where there is no further page.
        cursor_parameter: the name of the query parameter that takes a cursor to the next page. Other names are ignored.
        errors: the shape of an error. ``messages`` is a list under ``message``, ``error_message`` is ``message`` under
            ``error``, ``error`` is text under it, ``errors`` is a list of objects with ``message``; ``text`` and
            ``html`` are no JSON.
        numbers: ``text`` writes digits as strings, ``bare`` the same digits as JSON numbers, ``short`` as JSON numbers
            without zeros at the end.
        ids: ids that the server makes are ``text``, or a whole ``number``.
        case: the names of members.
        enums: how the words of enums are spelled; ``documented`` is as the wire contract has each of them.
        cancelled: the spelling of this status.
        user_secret: the name of a new user's secret.
        authorization_url: the name of the address at which a person logs in.
        connection_type: the name of the type in ``GET /connections``.
        request_type: which name ``POST /connections`` takes; ``either`` takes both.
        deletions: what answers the deletion of a user or a connection: an ``object``, an ``empty`` body, or
            ``no_content``, which is a 204.
        strict: whether unknown query parameters and members of a body are answered 400.
    """

    users: ListForm = ListForm()
    connections: ListForm = ListForm()
    accounts: ListForm = ListForm()
    balances: ListForm = ListForm()
    positions: ListForm = ListForm()
    orders: ListForm = ListForm()
    transactions: ListForm = ListForm()
    empty: Literal["list", "null"] = "list"
    cursors: Literal["headers", "x_headers", "link", "body", "body_camel", "nested", "nested_camel", "absent"] = (
        "headers"
    )
    cursor_parent: Literal["pagination", "meta", "paging", "page"] = "pagination"
    last_cursor: Literal["null", "missing", "empty"] = "null"
    cursor_parameter: Literal["next_cursor", "nextCursor", "cursor", "page_token", "after"] = "next_cursor"
    errors: Literal["message", "messages", "error_message", "error", "errors", "detail", "text", "html"] = "message"
    numbers: Literal["text", "bare", "short"] = "text"
    ids: Literal["text", "number"] = "text"
    case: Literal["snake", "camel"] = "snake"
    enums: Literal["documented", "upper", "lower", "spaced", "dashed"] = "documented"
    cancelled: Literal["cancelled", "canceled"] = "cancelled"
    user_secret: Literal["user_secret", "user-secret"] = "user_secret"  # noqa: S105  a name
    authorization_url: Literal["connection_request_url", "authorization_url"] = "connection_request_url"
    connection_type: Literal["connection_type", "type"] = "connection_type"
    request_type: Literal["either", "connection_type", "type"] = "either"
    deletions: Literal["object", "empty", "no_content"] = "object"
    strict: bool = False

    def list_form(self, noun: str) -> ListForm:
        """Return the form of the list of an endpoint.

        Args:
            noun: the last part of the endpoint's path, such as ``orders``.
        """
        form: ListForm = getattr(self, noun)
        if form == ListForm() and noun == "orders" and self.cursors.startswith(("body", "nested")):
            return ListForm(key="plural")
        return form


_PLURAL = ListForm(key="plural")

REST_PRESETS: Mapping[str, RestForms] = {
    "rest_object": RestForms(
        users=_PLURAL,
        connections=_PLURAL,
        accounts=_PLURAL,
        balances=_PLURAL,
        positions=_PLURAL,
        orders=_PLURAL,
        transactions=_PLURAL,
        cursors="body",
        errors="error_message",
    ),
    "camel": RestForms(case="camel", cursors="body_camel"),
    "numbers": RestForms(numbers="bare", ids="number"),
    "strict": RestForms(strict=True),
}
"""The REST part of each preset that has one; the others write the default."""
