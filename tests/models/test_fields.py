from __future__ import annotations

import gc
import math
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Context, Decimal, Inexact, localcontext
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import assume, example, given, strategies as st

from connecttrade_async.errors import MalformedResponseError
from connecttrade_async.models import fields
from connecttrade_async.models.fields import Field, Model, as_moment, day, moment, number
from connecttrade_async.models.orders import Order
from contexts import CONTEXTS

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


def outcome(read: Callable[[], object]) -> tuple[str, str]:
    """Return what a reading comes to: a value as it is written, or the words of a refusal."""
    try:
        value = read()
    except MalformedResponseError as error:
        return "refused", str(error)
    return "read", repr(value.as_tuple() if isinstance(value, Decimal) else value)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**29), max_value=10**29))
@example(Decimal("0.000000001"))
@example(Decimal("-0"))
@example(Decimal("1E+29"))
@example(Decimal("123456789012345678901234567890.123456789012345678901234567890"))
def test_a_number_is_exact_to_the_last_digit(value: Decimal) -> None:
    exponent = value.as_tuple().exponent
    assume(isinstance(exponent, int) and exponent >= -30)
    for text in (str(value), format(value, "f")):
        read = Sample(quantity_text=text).quantity
        assert read is not None
        assert (read.as_tuple(), str(read)) == (Decimal(text).as_tuple(), str(Decimal(text)))


@pytest.mark.parametrize(
    "text",
    [
        "1e999999999",
        "-1E+30",
        "1e-31",
        "12e-999999999",
        "1E-999999999999999999",
        "0E+999999999",
        "9" * 31,
        "-0." + "0" * 30 + "1",
        "9" * 4_301,
        "0." + "3" * 4_301,
        "0" * 5_000 + "1",
        "-." + "5" * 5_000_000,
    ],
)
def test_a_number_of_more_than_30_digits_on_a_side_is_refused_and_its_text_stays(text: str) -> None:
    sample = Sample(quantity_text=text)
    error = refused(lambda: sample.quantity, "Sample.quantity", text)
    assert error.problem == "the number has more than 30 digits before or after its point"
    assert sample.quantity_text == text


@pytest.mark.parametrize(
    "text", ["9" * 30 + "." + "9" * 30, "-1E+29", "1e-30", "0e0", "0E-9", "0007", "+1.5", ".5", "5."]
)
def test_a_number_of_30_digits_on_a_side_is_read(text: str) -> None:
    read = Sample(quantity_text=text).quantity
    assert str(read) == str(Decimal(text))


@given(
    CONTEXTS,
    st.from_regex(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,10})?", fullmatch=True).filter(str.isascii),
)
@example(Context(prec=3, traps=[Inexact]), "123456.789")
def test_a_number_is_read_alike_in_every_decimal_context(context: Context, text: str) -> None:
    with localcontext(context):
        there = outcome(lambda: Sample(quantity_text=text).quantity)
    assert there == outcome(lambda: Sample(quantity_text=text).quantity)


@given(CONTEXTS, st.from_regex(r"[0-9]{1,22}(\.[0-9]{1,22})?", fullmatch=True).filter(str.isascii))
@example(Context(prec=6), "1715949015123.4567")
@example(Context(prec=50, traps=[Inexact]), "1715949015.12345678912")
def test_a_time_is_read_alike_in_every_decimal_context(context: Context, text: str) -> None:
    with localcontext(context):
        there = outcome(lambda: Sample(at_text=text).at), outcome(lambda: Sample(on_text=text).on)
    assert there == (outcome(lambda: Sample(at_text=text).at), outcome(lambda: Sample(on_text=text).on))


def test_a_decimal_context_of_six_digits_does_not_shift_a_time() -> None:
    with localcontext(Context(prec=6, traps=[Inexact])):
        assert Sample(at_text="1715949015").at == NOON
        assert Sample(at_text="1715949015000.5").at == NOON + timedelta(microseconds=500)


def test_the_limit_on_digits_of_ints_does_not_change_what_is_read() -> None:
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(sys.int_info.str_digits_check_threshold)
    try:
        assert Sample(quantity_text="9" * 30 + "." + "9" * 30).quantity is not None
        assert Sample(at_text="1715949015." + "0" * 20).at == NOON
        refused(lambda: Sample(quantity_text="9" * 641).quantity, "Sample.quantity", "9" * 641)
        refused(lambda: Sample(at_text="9" * 641).at, "Sample.at", "9" * 641)
    finally:
        sys.set_int_max_str_digits(limit)


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
