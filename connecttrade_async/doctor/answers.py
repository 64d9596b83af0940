"""Compare one answer of REST, read as plain JSON, with the model that reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from connecttrade_async.census import compare_names, safe_name
from connecttrade_async.doctor.findings import Finding, FindingOutcome
from connecttrade_async.models.enums import OpenEnum

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connecttrade_async.models.orders import Order
    from connecttrade_async.models.pages import Page

__all__ = ["answer_findings", "page_findings"]

MAX_WORDS = 8


def answer_findings(
    subject: str, model: type[msgspec.Struct], plain: object, value: object, problem: str, *, is_list: bool
) -> list[Finding]:
    """Compare an answer.

    Args:
        subject: the operation.
        model: the model of the answer, or of its rows.
        plain: the decoded JSON of the answer.
        value: what the model read; None where it could not be read.
        problem: why it could not be read, or ``""``.
        is_list: whether rows are expected.
    """
    assumed, saw = ("an array" if is_list else "an object"), _form(plain)
    if problem:
        return [Finding(subject, assumed, f"{saw}: {problem}", FindingOutcome.NOT_UNDERSTOOD)]
    findings = [Finding(subject, assumed, saw, FindingOutcome.OK if saw == assumed else FindingOutcome.UNDERSTOOD)]
    objects = _objects(plain, is_list=is_list)
    if not objects:
        return [*findings, Finding(f"{subject}: rows", "some", "none", FindingOutcome.NOT_SEEN)]
    report = compare_names(objects, model)
    for names, assumed, saw, outcome in (
        (report.respelled, "in snake case", "in another case", FindingOutcome.UNDERSTOOD),
        (report.unread, "not read", "comes", FindingOutcome.UNDERSTOOD),
        (report.absent, "may come", "did not come", FindingOutcome.NOT_SEEN),
        (report.numberless, "has numbers", "none of them came", FindingOutcome.NOT_UNDERSTOOD),
    ):
        findings += [Finding(f"{subject}: {name}", assumed, saw, outcome) for name in names]
    if any(_has_numbers(each) for each in objects):
        findings.append(Finding(f"{subject}: numbers", "as text", "bare", FindingOutcome.UNDERSTOOD))
    findings += [
        Finding(f"{subject}: {name}", "a known word", ", ".join(sorted(words)[:MAX_WORDS]), FindingOutcome.UNDERSTOOD)
        for name, words in _unknown_words(value).items()
    ]
    return findings


def page_findings(first: Page[Order], second: Page[Order] | None, limit: int) -> list[Finding]:
    """Compare the cursors of a listing.

    Args:
        first: the first page of at most ``limit`` orders.
        second: the page behind it, or None where the first names no cursor.
        limit: the requested size.
    """
    subject = "GET /orders: cursor"
    if second is None:
        if len(first) >= limit:
            saw = f"a full page of {limit} without a cursor"
            return [Finding(subject, "a full page names the next one", saw, FindingOutcome.NOT_UNDERSTOOD)]
        return [
            Finding(subject, "a full page names the next one", "fewer orders than asked for", FindingOutcome.NOT_SEEN)
        ]
    known = {(order.account_id, order.order_id) for order in first}
    if any((order.account_id, order.order_id) in known for order in second):
        return [Finding(subject, "leads to other orders", "leads to the same orders", FindingOutcome.NOT_UNDERSTOOD)]
    return [Finding(subject, "leads to other orders", f"leads to {len(second)} other orders", FindingOutcome.OK)]


def _form(plain: object) -> str:
    match plain:
        case list():
            return "an array"
        case dict():
            members = cast("dict[str, object]", plain)
            lists = [safe_name(name) for name, each in members.items() if isinstance(each, list)]
            return f"an object with {', '.join(lists)}" if lists and len(members) <= MAX_WORDS else "an object"
        case None:
            return "null"
        case _:
            return "a text" if isinstance(plain, str) else "a number"


def _objects(plain: object, *, is_list: bool) -> list[object]:
    """Return the objects that the model reads: the rows of the one list, or the object."""
    if isinstance(plain, list):
        return cast("list[object]", plain)
    if not isinstance(plain, dict):
        return []
    inner = list(cast("dict[str, object]", plain).values())
    if not is_list:
        return [plain]
    lists = [cast("list[object]", each) for each in inner if isinstance(each, list)]
    if lists:
        return [row for rows in lists for row in rows]
    return [row for each in inner for row in _objects(each, is_list=True)]


def _has_numbers(value: object) -> bool:
    match value:
        case bool():
            return False
        case int() | float():
            return True
        case dict():
            return any(map(_has_numbers, cast("dict[str, object]", value).values()))
        case list():
            return any(map(_has_numbers, cast("list[object]", value)))
        case _:
            return False


def _unknown_words(value: object) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, word in _words(value):
        if not word.is_known:
            found.setdefault(name, set()).add(safe_name(word.value))
    return found


def _words(value: Any) -> Iterator[tuple[str, OpenEnum]]:  # noqa: ANN401 - models, and lists of them
    if isinstance(value, msgspec.Struct):
        for field in msgspec.structs.fields(value):
            each = getattr(value, field.name)
            if isinstance(each, OpenEnum):
                yield field.encode_name, each
            else:
                yield from _words(each)
    elif isinstance(value, list | tuple):
        for each in cast("list[object]", value):
            yield from _words(each)
