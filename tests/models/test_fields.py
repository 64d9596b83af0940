from __future__ import annotations

import gc
import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import example, given, strategies as st

from connecttrade_async.errors import MalformedResponseError
from connecttrade_async.models import fields
from connecttrade_async.models.fields import Field, Model, as_moment, day, moment, number
from connecttrade_async.models.orders import Order

if TYPE_CHECKING:
    from collections.abc import Callable


class Sample(Model, frozen=True, kw_only=True, gc=False):
    quantity_text: str | None = msgspec.field(default=None, name="quantity")
    at_text: str | None = msgspec.field(default=None, name="at")
    on_text: str | None = msgspec.field(default=None, name="on")

    quantity = number("quantity_text")
    at = moment("at_text")
    on = day("on_text")


decode = msgspec.json.Decoder(Sample).decode
NOON = datetime(2024, 5, 17, 12, 30, 15, tzinfo=UTC)


def test_digits_beyond_every_calendar_are_no_time() -> None:
    order = Order(order_id="1", updated_at_text="9" * 20)
    with pytest.raises(MalformedResponseError, match="not a time"):
        _ = order.updated_at


def refused(read: Callable[[], object], where: str, text: str) -> MalformedResponseError:
    with pytest.raises(MalformedResponseError) as caught:
        read()
    assert caught.value.where == where
    assert caught.value.excerpt == text[:80]
    assert len(str(caught.value)) < 400
    return caught.value


@given(st.decimals(allow_nan=False, allow_infinity=False))
@example(Decimal("0.000000001"))
@example(Decimal("-0"))
@example(Decimal("123456789012345678901234567890.123456789012345678901234567890"))
def test_a_number_is_exact_to_the_last_digit(value: Decimal) -> None:
    for text in (str(value), format(value, "f")[:200] if abs(value.adjusted()) < 100 else str(value)):
        read = Sample(quantity_text=text).quantity
        assert read is not None
        assert (read.as_tuple(), str(read)) == (Decimal(text).as_tuple(), str(Decimal(text)))


@given(st.from_regex(r"-?[0-9]{1,40}\.[0-9]{1,40}", fullmatch=True).filter(str.isascii))
def test_no_digit_is_lost_whatever_the_callers_precision(text: str) -> None:
    with localcontext() as context:
        context.prec = 3
        read = Sample(quantity_text=text).quantity
    assert format(read, "f").removeprefix("-").lstrip("0") == text.removeprefix("-").lstrip("0")


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "sNaN",
        "nan123",
        "Infinity",
        "-inf",
        "1_000",
        "1,000",
        "$5",
        "5 USD",
        "0x10",
        "--1",
        "1e1000000000000000000000",
        "٣",
        "１２",  # noqa: RUF001 - likewise
        "n/a",
        "-",
        ".",
        "x" * 5_000,
    ],
)
def test_what_is_no_price_is_refused_by_name(text: str) -> None:
    error = refused(lambda: Sample(quantity_text=text).quantity, "Sample.quantity", text)
    assert error.problem == "the text is not a number"


def test_what_is_no_number_is_refused_even_where_the_caller_does_not_trap_it() -> None:
    with localcontext() as context:
        for signal in context.traps:
            context.traps[signal] = False
        refused(lambda: Sample(quantity_text="none").quantity, "Sample.quantity", "none")


@given(st.text(max_size=20))
def test_any_text_is_none_a_finite_number_or_refused(text: str) -> None:
    try:
        read = Sample(quantity_text=text).quantity
    except MalformedResponseError as error:
        assert error.where == "Sample.quantity"  # noqa: PT017 - most texts are refused, some are not
        return
    assert (read is None) == (not text)
    assert read is None or math.isfinite(read)


@pytest.mark.parametrize("body", [b"{}", b'{"quantity":null,"at":null,"on":null}', b'{"quantity":"","at":"","on":""}'])
def test_nothing_null_and_empty_are_none(body: bytes) -> None:
    sample = decode(body)
    assert (sample.quantity, sample.at, sample.on) == (None, None, None)


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-17T12:30:15Z",
        "2024-05-17T12:30:15.000000Z",
        "2024-05-17T12:30:15.000000000Z",
        "2024-05-17T12:30:15+00:00",
        "2024-05-17T08:30:15-04:00",
        "2024-05-17T18:00:15+05:30",
        "2024-05-17T12:30:15",
        "2024-05-17 12:30:15Z",
        "20240517T123015Z",
        "1715949015",
        "1715949015.0",
        "1715949015000",
        "1715949015000.000",
    ],
)
def test_one_moment_in_every_spelling(text: str) -> None:
    read = Sample(at_text=text).at
    assert read == NOON
    assert read is not None
    assert read.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("2024-05-17T12:30:15.123456789Z", 123_456),
        ("2024-05-17T12:30:15.1Z", 100_000),
        ("1715949015.123456789", 123_456),
        ("1715949015123", 123_000),
        ("1715949015123.4567", 123_456),
    ],
)
def test_a_moment_is_exact_to_the_microsecond(text: str, micros: int) -> None:
    assert Sample(at_text=text).at == NOON.replace(microsecond=micros)


@given(
    st.datetimes(
        min_value=datetime(1, 1, 3),  # noqa: DTZ001 - the zone comes from the next line
        max_value=datetime(9999, 12, 29),  # noqa: DTZ001 - likewise
        timezones=st.integers(min_value=-1_439, max_value=1_439).map(
            lambda minutes: timezone(timedelta(minutes=minutes))
        ),
    ),
)
def test_any_moment_comes_back(when: datetime) -> None:
    assert as_moment(when.isoformat()) == when


@given(st.integers(min_value=0, max_value=99_999_999_999))
def test_epoch_seconds_come_back(seconds: int) -> None:
    assert as_moment(str(seconds)) == datetime.fromtimestamp(seconds, UTC)


@given(st.integers(min_value=fields.MILLISECONDS_FROM, max_value=253_402_300_799_999))
def test_epoch_milliseconds_come_back(milliseconds: int) -> None:
    expected = datetime.fromtimestamp(milliseconds // 1_000, UTC) + timedelta(milliseconds=milliseconds % 1_000)
    assert as_moment(str(milliseconds)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2024-13-01T00:00:00Z",
        "2024-05-17T25:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "-5",
        "1e9",
        "1_715_949_015",
        "1715949015.",
        ".5",
        "1.2.3",
        "1.٣",
        "٣",
        "9" * 18,
        "9" * 30,
        "9" * 1_000_000,
    ],
)
def test_what_is_no_moment_is_refused_by_name(text: str) -> None:
    assert refused(lambda: Sample(at_text=text).at, "Sample.at", text).problem == "the text is not a time"
    assert refused(lambda: Sample(on_text=text).on, "Sample.on", text).problem == "the text is not a date"


@given(st.text(max_size=30))
def test_any_text_is_none_an_aware_moment_or_refused(text: str) -> None:
    try:
        read = Sample(at_text=text).at
    except MalformedResponseError as error:
        assert error.where == "Sample.at"  # noqa: PT017 - most texts are refused, some are not
        return
    assert (read is None) == (not text)
    assert read is None or read.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    ["2024-05-17", "2024-05-17T12:30:15Z", "2024-05-16T20:30:15-04:00", "2024-05-18T01:00:00+05:30", "1715949015"],
)
def test_one_day_in_every_spelling(text: str) -> None:
    assert Sample(on_text=text).on == date(2024, 5, 17)


@given(st.dates())
def test_any_day_comes_back(when: date) -> None:
    assert Sample(on_text=when.isoformat()).on == when


@pytest.mark.parametrize("text", ["2024-02-30", "2024-00-01", "17/05/2024", "2024-5-17", "20240-1-01"])
def test_what_is_no_day_is_refused_by_name(text: str) -> None:
    refused(lambda: Sample(on_text=text).on, "Sample.on", text)


def test_a_refusal_keeps_its_cause() -> None:
    error = refused(lambda: Sample(at_text="yesterday").at, "Sample.at", "yesterday")
    assert isinstance(error.__cause__, ValueError)


def test_one_odd_value_does_not_hide_the_others() -> None:
    sample = decode(b'{"quantity":"NaN","at":"1715949015","on":"2024-05-17"}')
    assert sample.at == NOON
    assert sample.on == date(2024, 5, 17)
    assert sample.quantity_text == "NaN"


def test_the_text_is_what_came_and_goes_out_again() -> None:
    body = b'{"quantity":"1.500","at":"1715949015","on":""}'
    assert msgspec.json.encode(decode(body)) == body


def test_on_the_class_a_field_is_itself() -> None:
    assert isinstance(Sample.quantity, number)
    assert isinstance(Sample.at, moment)
    assert isinstance(Sample.on, day)


def test_a_field_cannot_be_set_nor_the_text_below_it() -> None:
    sample = Sample(quantity_text="1")
    for name in ("quantity", "quantity_text"):
        with pytest.raises(AttributeError):
            setattr(sample, name, "2")
    assert not gc.is_tracked(sample)


def test_a_kind_of_field_must_say_how_it_reads() -> None:
    class Vague:
        anything: Field[str]
        anything_text = "x"

    unread: Field[str] = Field("anything_text")
    with pytest.raises(NotImplementedError):
        unread.__get__(Vague(), Vague)
