"""The responses of one client: strict, lenient, and fast again."""

from __future__ import annotations

import json
import logging
import traceback
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from connecttrade_async import (
    Account,
    ConfigurationError,
    ConnectionToken,
    MalformedResponseError,
    NewUser,
    Order,
    Position,
    Transaction,
)
from connecttrade_async.dialect.parts import FieldNames, RestDialect
from connecttrade_async.dialect.value import Dialect
from connecttrade_async.models.variants import CASES
from connecttrade_async.rest.codec import MAX_COMPILATIONS, ListShape, ObjectShape, RestCodec
from connecttrade_async.rest.wire import Request, Response

ORDERS = ListShape(Order, "/orders", key="order_id", has_pages=True)
POSITIONS = ListShape(Position, "/positions", key="symbol")
TRANSACTIONS = ListShape(Transaction, "/transactions")
ORDER = ObjectShape(Order, "/orders")
NEW_USER = ObjectShape(NewUser, "/users", key="user_id")
TOKEN = ObjectShape(ConnectionToken, "/connections/{connection_id}/token")
LOG = "connecttrade_async.rest"
cases = st.sampled_from(sorted(CASES))


def codec(**dialect: Any) -> RestCodec:
    return RestCodec(Dialect(**dialect))


def response(body: object, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(200, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def request(path: str = "/orders", query: str = "", method: str = "GET") -> Request:
    return Request(method=method, path=path, query=query)


def listed(reading: RestCodec, body: object, shape: ListShape[Any] = ORDERS, query: str = "", **headers: str) -> Any:
    return reading.read_list(shape, response(body, **headers), request(shape.endpoint, query))


def renamed(row: dict[str, Any], case: str) -> dict[str, Any]:
    return {CASES[case](name): value for name, value in row.items()}


def order_row(number: int, **others: Any) -> dict[str, Any]:
    return {"order_id": f"o-{number}", "filled_qty": str(number), **others}


def expected(*rows: dict[str, Any]) -> list[Order]:
    return msgspec.convert(rows, list[Order])


def problem(call: Any) -> MalformedResponseError:
    with pytest.raises(MalformedResponseError) as caught:
        call()
    return caught.value


@given(case=cases, envelope=st.sampled_from(["", "orders", "data"]), sizes=st.lists(st.integers(0, 3), max_size=6))
def test_read_list_reads_every_body_of_any_form_alike(case: str, envelope: str, sizes: list[int]) -> None:
    reading = codec()
    for size in sizes:
        rows = [order_row(number) for number in range(size)]
        body = [renamed(row, case) for row in rows]
        found = listed(reading, {envelope: body} if envelope else body)
        assert found == expected(*rows)
        assert {type(row) for row in found} <= {Order}


def test_list_decoder_is_one_function_for_a_shape_and_reads_as_read_list() -> None:
    reading = codec()
    decode = reading.list_decoder(ORDERS)
    assert decode is reading.list_decoder(ORDERS)
    assert decode(response([order_row(1)]), request()) == expected(order_row(1))


def test_read_list_decodes_fast_after_the_first_lenient_reading(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOG)
    reading = codec()
    for number in range(3):
        assert listed(reading, [{"orderId": number, "filledQty": 1.50}])[0].filled_qty_text == "1.5"
    assert [record.getMessage() for record in caplog.records if "understood" in record.getMessage()] == [
        "/orders: the response has other names or numbers, which are understood"
    ]


def test_read_list_finds_other_names_although_every_field_is_optional() -> None:
    reading = codec()
    for _ in range(3):
        (row,) = listed(reading, [{"transactionId": "t", "accountId": "a", "amount": "5"}], TRANSACTIONS)
        assert (row.transaction_id, row.account_id, row.amount_text) == ("t", "a", "5")


def test_read_list_finds_other_names_in_another_envelope_although_every_field_is_optional() -> None:
    reading = codec()
    for _ in range(3):
        (row,) = listed(reading, {"data": [{"transactionId": "t", "amount": "5"}]}, TRANSACTIONS)
        assert (row.transaction_id, row.amount_text) == ("t", "5")


def test_read_list_finds_names_in_another_case_that_come_later() -> None:
    reading = codec()
    counts: list[bool] = []
    for number in range(1, 9):
        (row,) = listed(reading, [order_row(number, rejectReason="why")] if number > 1 else [order_row(number)])
        counts.append(row.reject_reason == "why")
    # The second body is compared again, and from there on every body is read right.
    assert counts == [False, *[True] * 7]


def test_read_list_reads_rows_of_mixed_names_always_leniently() -> None:
    reading = codec()
    for _ in range(5):
        rows = listed(reading, [{"orderId": "1", "filledQty": "1"}, {"order_id": "2", "filled_qty": "2"}])
        assert [(row.order_id, row.filled_qty_text) for row in rows] == [("1", "1"), ("2", "2")]


def test_read_list_reads_forms_that_keep_changing() -> None:
    reading = codec()
    fields = [name for name in msgspec.structs.fields(Order) if name.encode_name not in {"fills", "legs", "order_id"}]
    for each in fields[: MAX_COMPILATIONS + 4]:
        (row,) = listed(reading, [{"orderId": "1", CASES["camel"](each.encode_name): 7}])
        assert getattr(row, each.name) == "7"


def test_read_list_gives_a_row_without_its_key_an_empty_one() -> None:
    reading = codec()
    for _ in range(3):
        rows = listed(reading, [{"quantity": "1"}, {"symbol": "A"}, {"symbol": None}], POSITIONS)
        assert [row.symbol for row in rows] == ["", "A", ""]


UNREADABLE: list[tuple[Any, str]] = [
    ([{"order_id": "1"}, {"order_id": "2", "filled_qty": True}], "$[1].filled_qty"),
    ({"data": [{"order_id": []}]}, "$[0].order_id"),
    ([5], "$[0]"),
    ({"orders": [], "positions": []}, "$"),
    ({"error": "x", "orders": []}, "$.orders"),
    ("text", "$"),
    (b"", "$"),
    (b"[\xff]", "$"),
    (b'{"orders": [{"order_id": "\xff"}]}', "$"),
    (b"[" * 100_000, "$"),
]


@pytest.mark.parametrize(
    ("body", "where"),
    UNREADABLE,
    ids=["field", "envelope", "row", "two lists", "error", "text", "empty", "no JSON", "no UTF-8", "deep"],
)
def test_read_list_refuses_what_it_cannot_read_and_keeps_the_response(body: object, where: str) -> None:
    reading = codec()
    for _ in range(2):
        error = problem(lambda: listed(reading, body))
        assert error.where == where
        assert error.response is not None
        assert error.request == "GET /orders"
        assert listed(reading, [order_row(1)]) == expected(order_row(1))


def test_read_list_never_chains_bytes_that_are_no_utf_8() -> None:
    error = problem(lambda: listed(codec(), b'[{"order_id": "\xff"}]'))
    assert "UTF-8" in error.problem
    assert not isinstance(error.__cause__, UnicodeDecodeError)
    assert error.__context__ is None or error.__suppress_context__


@pytest.mark.parametrize("body", [b"null", {"orders": None}, {"items": []}], ids=["null", "member", "other name"])
def test_read_list_warns_once_of_a_doubtful_empty_list(body: object, caplog: pytest.LogCaptureFixture) -> None:
    reading = codec()
    assert [listed(reading, body), listed(reading, body)] == [[], []]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("/orders: the response is taken for an empty list: ")
    assert listed(codec(), {"orders": []}) == []
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"orders": [order_row(1)], "next_cursor": "n", "prev_cursor": "p"}, {}),
        ({"data": {"orders": [order_row(1)]}, "page": {"nextCursor": "n", "prevCursor": "p"}}, {}),
        ([order_row(1)], {"next_cursor": "n", "prev_cursor": "p"}),
        ([order_row(1)], {"x_next_cursor": "n", "x_prev_cursor": "p"}),
        ([order_row(1)], {"link": "<?next_cursor=n>; rel=next, <?prev_cursor=p>; rel=prev"}),
    ],
    ids=["object", "below", "headers", "x-headers", "link"],
)
@pytest.mark.parametrize("shape", [ORDERS, POSITIONS], ids=["pages", "whole"])
def test_read_list_reads_cursors_wherever_they_are(body: Any, headers: dict[str, str], shape: ListShape[Any]) -> None:
    reading = codec()
    for _ in range(2):
        found = listed(reading, body, shape, **headers)
        assert (found.next_cursor, found.prev_cursor) == ("n", "p")
        # A listing without pages follows no cursor.
        assert found.may_be_cut_off is not shape.has_pages


@pytest.mark.parametrize(
    ("count", "query", "is_cut_off"),
    [
        (2, "?limit=2", True),
        (50, "", True),
        (500, "?limit=500", True),
        (3, "?limit=2", False),
        (1, "?limit=2", False),
        (2, "?limit=2&next_cursor=c", False),
        (2, "?limit=2&prev_cursor=c", False),
    ],
)
def test_read_list_marks_a_full_page_without_a_cursor(
    count: int,
    query: str,
    is_cut_off: bool,  # noqa: FBT001 - a column
    caplog: pytest.LogCaptureFixture,
) -> None:
    reading = codec()
    body = [order_row(number) for number in range(count)]
    for _ in range(2):
        assert listed(reading, body, query=query).may_be_cut_off is is_cut_off
    warnings = [record.getMessage() for record in caplog.records]
    expected_warning = f"/orders: the list of {count} rows may be cut off: the response names no cursor of a next page"
    assert warnings == [expected_warning] * is_cut_off
    assert not listed(reading, {"orders": body, "next_cursor": None}, query=query).may_be_cut_off
    assert not listed(reading, body, query=query, next_cursor="").may_be_cut_off
    assert not listed(reading, body, query=query, next_cursor="c").may_be_cut_off


@pytest.mark.parametrize("query", ["", "?next_cursor=c"])
def test_read_list_marks_a_page_of_which_the_next_has_no_usable_cursor(query: str) -> None:
    assert listed(codec(), {"orders": [order_row(1)], "has_more": True}, query=query).may_be_cut_off
    assert listed(codec(), [order_row(1)], query=query, link="<?page=2>; rel=next").may_be_cut_off


def test_read_list_looks_back_where_the_request_does() -> None:
    body = {"orders": [order_row(1)], "prev_cursor": {"id": 1}}
    assert listed(codec(), body, query="?prev_cursor=c").may_be_cut_off
    assert not listed(codec(), body).may_be_cut_off


def test_read_list_takes_names_from_the_dialect() -> None:
    reading = codec(
        rest=RestDialect(lists={"orders": "rows"}, next_cursor=("page.after",), next_parameter="after"),
        names=FieldNames(case="camel", aliases={"order": {"filled_qty": "cumQty"}, "fill": {"price": "px"}}),
    )
    body = {"rows": [{"orderId": "1", "cumQty": "2", "fills": [{"px": "3"}]}], "warnings": [], "page": {"after": "c"}}
    for _ in range(2):
        found = listed(reading, body)
        assert (found[0].filled_qty_text, found[0].fills[0].price_text, found.next_cursor) == ("2", "3", "c")
    assert not listed(reading, [order_row(number) for number in range(50)], query="?after=c").may_be_cut_off


@given(case=cases, outer=st.sampled_from(["", "order", "data"]), as_list=st.booleans())
def test_read_reads_an_object_of_any_form(case: str, outer: str, as_list: bool) -> None:  # noqa: FBT001 - drawn
    row = order_row(1, status="filled", fills=[])
    body: Any = renamed(row, case)
    body = [body] if as_list else body
    body = {"ok": True, outer: body} if outer else body
    reading = codec()
    for _ in range(3):
        assert reading.read(ORDER, response(body), request(method="POST")) == expected(row)[0]


@pytest.mark.parametrize(
    "body",
    [
        {"user_id": "u", "user_secret": "s"},
        {"user_id": "u", "user-secret": "s"},
        {"userId": "u", "userSecret": "s"},
        {"UserID": "u", "USER_SECRET": "s"},
        {"user": {"userId": "u", "user-secret": "s"}},
        {"ok": True, "data": [{"user_id": "u", "user_secret": "s"}]},
        {"userId": "u", "userSecret": "s", "user_secret": None},
    ],
    ids=["seen", "documented", "camel", "other", "below", "list below", "null beside"],
)
def test_read_finds_the_secret_of_a_new_user(body: object) -> None:
    user = codec().read(NEW_USER, response(body), request("/users", method="POST"))
    assert (user.user_id, user.user_secret.reveal()) == ("u", "s")


def test_read_gives_a_new_user_without_an_id_an_empty_one() -> None:
    assert codec().read(NEW_USER, response({"userSecret": "s"}), request("/users", method="POST")).user_id == ""


@pytest.mark.parametrize(
    "body",
    [
        {"user_id": "u", "api_key": "s3cret"},
        {"a": {"user_id": "u", "user_secret": "s3cret"}, "b": {"user_id": "u", "user_secret": "s3cret"}},
        {"error": "x", "user": {"user_id": "u", "user_secret": "s3cret"}},
        ["s3cret"],
        b'{"user_id": "u", "user_secret": "s3cret"',
    ],
    ids=["other name", "two", "error", "text", "cut off"],
)
def test_read_keeps_a_response_with_a_secret_that_it_cannot_find(body: object) -> None:
    error = problem(lambda: codec().read(NEW_USER, response(body), request("/users", method="POST")))
    assert error.response is not None
    assert b"s3cret" in error.response.body
    assert "s3cret" not in f"{error!r} {error} {error.response!r} {error.__cause__!r}"


def test_read_names_the_objects_among_which_it_does_not_choose() -> None:
    body = {"old": {"order_id": "1"}, "new": {"order_id": "2"}}
    error = problem(lambda: codec().read(ORDER, response(body), request(method="PATCH")))
    assert error.problem == "Object has 2 objects that may be the wanted one, $.old and $.new"


@pytest.mark.parametrize("body", [b"", b"5", {}, [], {"order_id": 1.5, "fills": 3}], ids=repr)
def test_read_refuses_what_is_no_object(body: object) -> None:
    problem(lambda: codec().read(ORDER, response(body), request(method="POST")))


def test_read_reads_an_object_of_mixed_names_always_leniently() -> None:
    reading = codec()
    for _ in range(5):
        order = reading.read(ORDER, response({"order_id": "1", "filledQty": "1"}), request(method="POST"))
        assert order.filled_qty_text == "1"


def test_census_compares_the_first_rows_of_each_endpoint(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOG)
    reading = codec()
    assert listed(reading, []) == []
    listed(reading, [order_row(1, venue="X")])
    listed(reading, [order_row(1, other="X")])
    listed(reading, {"data": [{"symbol": "A", "qty": "5"}]}, POSITIONS)
    reading.read(ORDER, response({"order": {"order_id": "1", "venue": "X"}}), request(method="POST"))
    assert reading.census.unread == {
        "GET /orders": ("venue",),
        "GET /positions": ("qty",),
        "POST /orders": ("venue",),
    }
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "GET /positions: no number of Position came, so each of them is None" in warnings


def test_census_skips_a_body_that_only_the_strict_reading_decodes() -> None:
    body = b'[{"account_id": "1", "note": "\xff"}]'
    shape = ListShape(Account, "/accounts", key="account_id")
    assert [row.account_id for row in listed(codec(), body, shape)] == ["1"]


def test_read_after_a_body_in_an_envelope_takes_a_bare_array() -> None:
    reading = codec()
    for body in ({"data": [order_row(1)]}, [order_row(1)], {"data": [order_row(1)]}):
        assert listed(reading, body) == expected(order_row(1))


def test_renamed_returns_the_same_names_without_a_dialect() -> None:
    values = {"limit": 5, "next_cursor": "c"}
    assert codec().renamed(values) is values


def test_renamed_gives_members_the_names_and_values_of_the_dialect() -> None:
    rest = RestDialect(
        next_parameter="after",
        names={"connection_type": "type", "ratio": "qty_ratio"},
        values={"connection_type": {"trade": "TRADING"}, "scopes": {"read": "r"}},
    )
    values: dict[str, Any] = {
        "connection_type": "trade",
        "next_cursor": "c",
        "scopes": ["read", "trade"],
        "legs": [{"ratio": "1"}],
        "limit": 5,
    }
    assert codec(rest=rest).renamed(values) == {
        "type": "TRADING",
        "after": "c",
        "scopes": ["r", "trade"],
        "legs": [{"qty_ratio": "1"}],
        "limit": 5,
    }


def test_renamed_refuses_two_members_of_one_name() -> None:
    reading = codec(rest=RestDialect(names={"status": "side"}))
    with pytest.raises(ConfigurationError, match="must give each parameter its own name, got side twice"):
        reading.renamed({"status": "open", "side": "BUY"})


def test_content_headers_are_those_of_the_dialect() -> None:
    assert codec().content_headers is Response(200, {}, b"").content_headers
    assert "x-after" in codec(rest=RestDialect(next_header=("after",))).content_headers


def test_a_list_in_the_usual_envelope_with_one_more_list_is_refused() -> None:
    reading = codec()
    assert listed(reading, {"orders": [order_row(1)], "next_cursor": "c"}).next_cursor == "c"
    assert "has 2 lists" in problem(lambda: listed(reading, {"orders": [order_row(1)], "others": []})).problem


def test_errors_hold_no_body_in_the_variables_of_their_frames() -> None:
    body = {"a": {"user_id": "u", "user_secret": "s3cret"}, "b": {"user_id": "u", "user_secret": "s3cret"}}
    reading = codec()
    calls = (
        lambda: reading.read(NEW_USER, response(body), request("/users", method="POST")),
        lambda: listed(reading, {"orders": [{"order_id": ["s3cret"]}]}),
        lambda: listed(reading, b'[{"order_id": "s3cret\xff"}]'),
        lambda: listed(reading, {"orders": [], "s3cret": []}),
    )
    for call in calls:
        error = problem(call)
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        shown.stack[:] = [frame for frame in shown.stack if "connecttrade_async" in frame.filename]
        assert error.__context__ is None or error.__context__ is error.__cause__
        assert "s3cret" not in "".join(shown.format()).replace(error.excerpt, "")
