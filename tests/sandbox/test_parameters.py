"""What a request says is read strictly, and a cursor only where it was made for."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from connecttrade_async.sandbox import parameters
from connecttrade_async.sandbox.errors import BadRequestError
from connecttrade_async.sandbox.rest.cursors import Cursor, Cursors
from connecttrade_async.sandbox.world import PagePosition

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 100_000])
def test_bodies_that_are_no_objects(body: bytes) -> None:
    with pytest.raises(BadRequestError, match=r"^The body (is not JSON|must be a JSON object)\.$"):
        parameters.fields(body)


@pytest.mark.parametrize("members", [{}, {"a": ""}, {"a": 1}, {"a": None}, {"a": ["x"]}])
def test_text_that_is_none(members: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError, match="a is needed"):
        parameters.text(members, "a")


@pytest.mark.parametrize("value", ["0", "501", "-1", "1.5", "", "ten", "\u0665", "9" * 30])
def test_counts_that_are_none(value: str) -> None:
    with pytest.raises(BadRequestError, match="limit must be a whole number from 1 to 500"):
        parameters.count("limit", value, 1, 500)


@pytest.mark.parametrize("value", ["20260701", "2026-7-1", "2026-02-30", "", "today", "2026-07-01T00:00:00Z"])
def test_days_that_are_none(value: str) -> None:
    with pytest.raises(BadRequestError, match="YYYY-MM-DD"):
        parameters.day("start_date", value)


def test_days_and_symbols() -> None:
    assert parameters.day("d", "2026-07-01") == date(2026, 7, 1)
    assert parameters.symbols("AAPL, IBM/B") == {"AAPL", "IBM/B"}
    for wrong in ("", ",", "AAPL,", " "):
        with pytest.raises(BadRequestError, match="symbols"):
            parameters.symbols(wrong)


@pytest.mark.parametrize("value", ["2026-07-01T12:00:00Z", "2026-07-01T14:00:00+02:00", "1782907200", "1782907200000"])
def test_moment_reads_each_form_of_a_time(value: str) -> None:
    assert parameters.moment("start_time", value) == NOON


@pytest.mark.parametrize(
    "value", ["2026-07-01", "2026-07-01T12:00:00", "noon", "", "999999999999999", "-5", "0001-01-01T00:00:00+14:00"]
)
def test_moments_that_are_none(value: str) -> None:
    with pytest.raises(BadRequestError, match="start_time must be an RFC 3339 time"):
        parameters.moment("start_time", value)


@pytest.mark.parametrize("url", ["https://app.example/done?a=b#c", "http://localhost:3000", "http://[::1]/x"])
def test_redirect_of_a_valid_url_returns_it(url: str) -> None:
    assert parameters.redirect(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/done",
        "app.example",
        "javascript:alert(1)",
        "ftp://a/",
        "https://",
        "http://[",
        "http://a:99999/",
        "http://a/ b",
        "http://a/\r\nX: y",
        "https://\u00e4.example/",
    ],
)
def test_redirects_that_are_none(url: str) -> None:
    with pytest.raises(BadRequestError, match="redirect_url"):
        parameters.redirect(url)


@given(
    at=st.datetimes(timezones=st.just(UTC)),
    name=st.text(),
    backwards=st.booleans(),
    query=st.dictionaries(st.text(), st.text()),
    since=st.none() | st.datetimes(timezones=st.just(UTC)),
)
def test_a_cursor_comes_back_whole(
    at: datetime, name: str, query: dict[str, str], since: datetime | None, *, backwards: bool
) -> None:
    cursor = Cursor(PagePosition((at, name), backwards), since)
    cursors = Cursors("key")
    text = cursors.write(cursor, query)
    assert cursors.read(text, query, backwards=backwards) == cursor
    with pytest.raises(BadRequestError, match="the other way"):
        cursors.read(text, query, backwards=not backwards)
    with pytest.raises(BadRequestError, match="no cursor of this query"):
        cursors.read(text, query | {"status": "all and more"}, backwards=backwards)
    with pytest.raises(BadRequestError, match="no cursor of this query"):
        Cursors("another key").read(text, query, backwards=backwards)


@given(st.text())
def test_a_cursor_made_up_is_refused(text: str) -> None:
    with pytest.raises(BadRequestError, match="next_cursor is no cursor"):
        Cursors("key").read(text, {}, backwards=False)
