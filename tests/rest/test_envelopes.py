"""Lists, cursors and objects in the envelopes that an API may put around them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from connecttrade_async.dialect.parts import RestDialect
from connecttrade_async.models.variants import CASES
from connecttrade_async.rest.envelopes import (
    Cursor,
    EnvelopeError,
    cursor_in_headers,
    find_list,
    find_objects,
    is_full,
)

NAMES = RestDialect()
ROWS = [{"order_id": "1"}, {"order_id": "2"}]
keys = st.sampled_from(["orders", "data", "items", "results", "Orders", "orderList", "x"])
cursors = st.text(min_size=1, max_size=20)


def found(body: object, names: RestDialect = NAMES, resource: str = "orders") -> Any:
    return find_list(body if isinstance(body, bytes) else json.dumps(body).encode(), resource, names)


def rows_in(body: object, names: RestDialect = NAMES) -> object:
    return json.loads(bytes(found(body, names).rows))


def refusal(body: object, names: RestDialect = NAMES) -> str:
    with pytest.raises(EnvelopeError) as caught:
        found(body, names)
    return str(caught.value)


@given(
    key=keys, outer=st.none() | keys, others=st.dictionaries(st.sampled_from(["count", "ok", "time"]), st.integers())
)
def test_find_list_returns_the_only_list_under_any_key(key: str, outer: str | None, others: dict[str, int]) -> None:
    envelope: dict[str, Any] = {**others, key: ROWS}
    body = envelope if outer is None else {**others, outer: envelope}
    assert rows_in(body) == ROWS


def test_find_list_returns_a_bare_array_as_it_is() -> None:
    body = json.dumps(ROWS).encode()
    assert found(body).rows is body
    assert found(b" \n[]").doubt == ""


@pytest.mark.parametrize(
    "body",
    [
        {"orders": ROWS, "positions": []},
        {"orders": ROWS, "meta": {"warnings": []}},
        {"data": {"orders": ROWS, "items": ROWS}},
        {"a": {"orders": ROWS}, "b": {"orders": []}},
    ],
    ids=["side by side", "one below", "both below", "one name twice"],
)
def test_find_list_refuses_two_lists_and_names_both(body: dict[str, Any]) -> None:
    message = refusal(body)
    assert "has 2 lists" in message
    assert "orders`" in message
    assert any(other in message for other in ("`positions`", "`meta.warnings`", "`data.items`", "`b.orders`"))


def test_find_list_prefers_the_key_of_a_dialect_among_several_lists() -> None:
    names = RestDialect(lists={"orders": "rows"})
    assert rows_in({"warnings": [], "data": {"rows": ROWS}}, names) == ROWS
    assert "has 2 lists" in refusal({"rows": [], "data": {"rows": ROWS}}, names)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": {}},
        {"message": "no"},
        {"errors": [{"message": "x"}]},
        {"data": {"page": {"orders": ROWS}}},
        {"data": None},
    ],
    ids=["empty", "empty below", "message", "errors", "two below", "another null"],
)
def test_find_list_refuses_an_object_without_a_list(body: dict[str, Any]) -> None:
    assert refusal(body) == "Object has no list under `orders` or another name"


def test_find_list_refuses_another_value_in_place_of_the_list() -> None:
    assert refusal({"orders": 5, "data": {"orders": "x"}}) == "Object has no list under `orders` or another name"


def test_found_list_shows_none_of_its_rows() -> None:
    assert repr(found({"data": [{"user_secret": "s3cret"}]})) == "<FoundList of 27 bytes>"


@pytest.mark.parametrize("body", [b'"x"', b"5", b"true"], ids=["text", "number", "boolean"])
def test_find_list_refuses_other_json(body: bytes) -> None:
    assert refusal(body) == "Expected `array`"


@pytest.mark.parametrize("body", [None, {"orders": None}, {"data": {"Orders": None}}], ids=["body", "member", "below"])
def test_find_list_takes_null_for_an_empty_list_with_a_doubt(body: object) -> None:
    assert (rows_in(body), found(body).doubt) == ([], "null")


def test_find_list_doubts_an_empty_list_under_another_name() -> None:
    assert found({"data": []}).doubt == "an empty list under the name 'data'"
    assert found({"data": {"orders": []}}).doubt == ""
    assert found(b'{"abc123def": [ \n ]}').doubt == "an empty list under the name 'name(9)'"
    assert found({"data": ROWS}).doubt == ""


@pytest.mark.parametrize("error", ["x", {"code": 1}, True, 0], ids=["text", "object", "boolean", "number"])
def test_find_list_refuses_an_empty_list_beside_an_error(error: object) -> None:
    assert refusal({"orders": [], "error": error}) == "Object has an empty list beside an error - at `$.orders`"


@pytest.mark.parametrize("error", [None, "", False], ids=["null", "empty", "false"])
def test_find_list_accepts_an_empty_list_beside_no_error(error: object) -> None:
    assert rows_in({"orders": [], "error": error}) == []


@given(cursor=cursors, case=st.sampled_from(sorted(CASES)), outer=st.sampled_from(["", "meta", "pagination", "data"]))
def test_find_list_reads_cursors_in_any_case_and_one_level_below(cursor: str, case: str, outer: str) -> None:
    members = {CASES[case]("next_cursor"): cursor, CASES[case]("prev_cursor"): None}
    body = {"orders": ROWS, outer: members} if outer else {"orders": ROWS, **members}
    assert found(body).next == Cursor(cursor, is_named=True)
    assert found(body).prev == Cursor(None, is_named=True)


def test_find_list_reads_a_number_as_a_cursor_and_no_value_as_the_end() -> None:
    assert found({"orders": ROWS, "next_cursor": 17}).next == Cursor("17", is_named=True)
    for end in (None, "", False):
        assert found({"orders": ROWS, "next_cursor": end}).next == Cursor(None, is_named=True)
    assert found({"orders": ROWS}).next == Cursor()


@pytest.mark.parametrize(
    "member",
    [
        {"next_cursor": {"id": 1}},
        {"next_cursor": True},
        {"next_cursor": "x" * 70_000},
        {"has_more": True},
        {"hasNext": "yes"},
        {"links": {"next": "https://example.test/?page=2"}},
        {"nextPageToken": "abc"},
    ],
    ids=["object", "boolean", "huge", "has_more", "hasNext", "link", "token"],
)
def test_find_list_marks_a_next_page_that_it_cannot_name(member: dict[str, Any]) -> None:
    assert found({"orders": ROWS, **member}).next.is_unusable


@pytest.mark.parametrize(
    "member", [{"has_more": False}, {"next": None}, {"next": ""}, {"next": {}}, {"next": 0}], ids=str
)
def test_find_list_marks_no_next_page_where_there_is_none(member: dict[str, Any]) -> None:
    assert not found({"orders": ROWS, **member}).next.is_unusable


def test_find_list_prefers_a_cursor_to_other_signs_of_a_next_page() -> None:
    assert found({"orders": ROWS, "has_more": True, "next_cursor": "c"}).next == Cursor("c", is_named=True)


def test_find_list_refuses_two_different_cursors() -> None:
    body = {"orders": ROWS, "next_cursor": "a", "meta": {"nextCursor": "b"}}
    assert refusal(body) == "Object has 2 different cursors under next_cursor"
    assert found({"orders": ROWS, "next_cursor": "a", "meta": {"nextCursor": "a"}}).next.value == "a"


@pytest.mark.parametrize("path", ["page.after", "meta.page.after", "after"])
def test_find_list_reads_a_cursor_at_the_path_of_a_dialect(path: str) -> None:
    body: Any = {"after": "c"} if path == "after" else "c"
    if path != "after":
        for name in reversed(path.split(".")):
            body = {name: body}
    names = RestDialect(next_cursor=(path,))
    assert found({"orders": ROWS, **body}, names).next.value == "c"
    assert (
        found({"orders": ROWS, "page": "c", "meta": {"page": "x", "other": {"after": "x"}}}, names).next.value is None
    )


@given(cursor=st.from_regex(r"[A-Za-z0-9+/=%&? ]{1,20}", fullmatch=True).map(str.strip).filter(bool))
@pytest.mark.parametrize("header", ["next-cursor", "x-next-cursor"])
def test_cursor_in_headers_reads_it_with_and_without_x(header: str, cursor: str) -> None:
    assert cursor_in_headers({header: cursor}, NAMES) == Cursor(cursor, is_named=True)
    assert cursor_in_headers({header.replace("next", "prev"): cursor}, NAMES, backwards=True).value == cursor
    assert cursor_in_headers({header: cursor}, NAMES, backwards=True) == Cursor()


def test_cursor_in_headers_takes_an_empty_header_for_the_end() -> None:
    assert cursor_in_headers({"next-cursor": " "}, NAMES) == Cursor(None, is_named=True)


@pytest.mark.parametrize("parameter", ["next_cursor", "nextCursor", "cursor"])
@pytest.mark.parametrize("relation", ['rel="next"', "rel=next", 'title="a"; rel="next"', 'REL = "last next"'])
def test_cursor_in_headers_takes_a_link_apart(parameter: str, relation: str) -> None:
    link = f'<https://x.test/orders?limit=2&{parameter}=a%2Bb>; {relation}, <https://x.test/?{parameter}=p>; rel="prev"'
    assert cursor_in_headers({"link": link}, NAMES) == Cursor("a+b", is_named=True)
    if parameter == "cursor":
        assert cursor_in_headers({"link": link}, NAMES, backwards=True).value == "p"


@pytest.mark.parametrize(
    "link",
    ["<https://x.test/?page=2>; rel=next", "<https://[x/>; rel=next", "<?cursor=a&next_cursor=b>; rel=next"],
    ids=["no cursor", "no address", "two cursors"],
)
def test_cursor_in_headers_marks_a_link_without_a_cursor(link: str) -> None:
    assert cursor_in_headers({"link": link}, NAMES) == Cursor(None, is_unusable=True)


@pytest.mark.parametrize("link", ["", "garbage", "<https://x.test/>; rel=self", '<https://x.test/>; rel="prev"'])
def test_cursor_in_headers_ignores_links_to_other_pages(link: str) -> None:
    assert cursor_in_headers({"link": link}, NAMES) == Cursor()


def test_cursor_in_headers_prefers_a_header_to_a_link() -> None:
    headers = {"next-cursor": "a", "link": "<?next_cursor=b>; rel=next"}
    assert cursor_in_headers(headers, NAMES).value == "a"


@pytest.mark.parametrize(
    ("count", "query", "expected"),
    [
        (50, "", True),
        (500, "?status=all", True),
        (2, "?limit=2", True),
        (2, "?status=all&limit=2&sort=asc", True),
        (50, "?limit=100", True),
        (0, "?limit=0", False),
        (3, "?limit=2", False),
        (49, "", False),
        (2, "?xlimit=2", False),
    ],
)
def test_is_full_knows_the_limits(count: int, query: str, expected: bool) -> None:  # noqa: FBT001 - a column
    assert is_full(count, query) is expected


def test_find_objects_returns_the_body_and_the_objects_in_it() -> None:
    assert find_objects({"a": 1}) == {"$": {"a": 1}}
    assert find_objects({"user": {"a": 1}, "n": 1, "list": [1, 2]}) == {
        "$": {"user": {"a": 1}, "n": 1, "list": [1, 2]},
        "$.user": {"a": 1},
    }
    assert find_objects([{"a": 1}]) == {"$": {"a": 1}}
    assert find_objects({"data": [{"a": 1}]})["$.data"] == {"a": 1}


@pytest.mark.parametrize("content", [None, "x", 5, [], [1, 2], [{"a": 1}, {"a": 2}]], ids=repr)
def test_find_objects_returns_nothing_for_other_json(content: object) -> None:
    assert find_objects(content) == {}


def test_find_objects_looks_for_no_inner_object_beside_an_error() -> None:
    body = {"error": "refused", "order": {"order_id": "1"}}
    assert find_objects(body) == {"$": body}
    assert "$.order" in find_objects({**body, "error": None})
