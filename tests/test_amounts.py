from __future__ import annotations

import math
import re
import subprocess
import sys
from decimal import Context, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from connecttrade_async.amounts import EXACT, plain, read_amount
from contexts import CONTEXTS

PLAIN = re.compile(r"[0-9]+(\.[0-9]{1,9})?")


def shifted(digits: int, places: int) -> Decimal:
    return Decimal(digits).scaleb(-places)


VALID = st.decimals(
    min_value="0.000000001", max_value="999999999999999999", allow_nan=False, allow_infinity=False, places=9
) | st.builds(shifted, st.integers(1, 10**12), st.integers(0, 9))


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (1, "1"),
        ("13.50", "13.50"),
        ("410.500000000", "410.500000000"),
        (".5", "0.5"),
        ("5.", "5"),
        ("007", "7"),
        (Decimal("0.000000001"), "0.000000001"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-9"), "0.000000001"),
        (10**17, "1" + 17 * "0"),
    ],
)
def test_plain_formats_an_amount_as_digits(value: Decimal | int | str, sent: str) -> None:
    assert plain(read_amount(value)) == sent


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (0, "must be positive, got 0"),
        ("0.000", "must be positive, got 0"),
        (Decimal("-0"), "must be positive, got 0"),
        ("-1", "must be positive, got -1"),
        (Decimal("NaN"), "must be a number, got NaN"),
        (Decimal("sNaN"), "must be a number, got sNaN"),
        (Decimal("-Infinity"), "must be a number, got -Infinity"),
        ("nan", "must be a number, got 'nan'"),
        (" -inf", "must be a number, got ' -inf'"),
        ("1e3", "must be written in digits without an exponent, got '1e3'"),
        ("-1.5E-7", "must be written in digits without an exponent, got '-1.5E-7'"),
        ("", "must be written in digits with at most one point, got ''"),
        ("1_000", "must be written in digits with at most one point, got '1_000'"),
        ("1,5", "must be written in digits with at most one point, got '1,5'"),
        ("٣", "must be written in digits with at most one point, got '٣'"),
        ("1\n", "must be written in digits with at most one point, got '1\\n'"),
        ("1.0000000000", "must have at most 9 decimals, got 10"),
        (Decimal("1E-999999999"), "must have at most 9 decimals, got 999999999"),
        (Decimal("1E+999999999"), "must have at most 18 digits before the point, got more"),
        (10**18, "must have at most 18 digits before the point, got more"),
        (0.1, "must be a Decimal, an int or text, got the float 0.1"),
        (float("nan"), "must be a Decimal, an int or text, got the float nan"),
        ("-0", "must be positive, got 0"),
        ("1E+3", "must be written in digits without an exponent, got '1E+3'"),
        (Decimal("NaN" + "1" * 100), "must be a number, got NaN" + "1" * 37),
        ("1" * 101, "must be at most 100 characters, got 101"),
        (-(10**30), "must be positive, got -" + "1" + "0" * 30),
        pytest.param(10**5_000, "must have at most 18 digits before the point, got more", id="a long int"),
        (True, "must be a number, got True"),
        (None, "must be a Decimal, an int or text, got NoneType"),
        ([1], "must be a Decimal, an int or text, got list"),
    ],
)
def test_read_amount_rejects_an_invalid_amount_with_the_reason(value: object, problem: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(problem) + "$"):
        read_amount(value)


@given(VALID)
def test_any_valid_decimal_is_sent_plain_and_whole(value: Decimal) -> None:
    sent = plain(read_amount(value))
    assert PLAIN.fullmatch(sent)
    assert Decimal(sent) == value
    assert plain(read_amount(sent)) == sent


def test_a_narrow_decimal_context_does_not_round() -> None:
    with localcontext() as context:
        context.prec = 3
        assert plain(read_amount(Decimal("123456789.123456789"))) == "123456789.123456789"
        assert plain(read_amount(123456789)) == "123456789"


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        amount = read_amount(text)
    except ValueError:
        return
    assert PLAIN.fullmatch(plain(amount))


NUMBERS = st.from_regex(r"-?[0-9]{1,30}\.[0-9]{1,30}", fullmatch=True).filter(str.isascii).map(Decimal)


@given(CONTEXTS, st.lists(NUMBERS, min_size=4, max_size=4), st.lists(NUMBERS))
def test_sums_and_products_are_exact_in_the_exact_context(
    context: Context, factors: list[Decimal], terms: list[Decimal]
) -> None:
    with localcontext(context):
        product, total = Decimal(1), Decimal(0)
        for factor in factors:
            product = EXACT.multiply(product, factor)
        for term in terms:
            total = EXACT.add(total, term)
    assert Fraction(product) == math.prod(map(Fraction, factors))
    assert Fraction(total) == sum(map(Fraction, terms))


def test_the_exact_context_takes_nothing_from_the_applications_default_context() -> None:
    program = """if True:
        import decimal
        decimal.DefaultContext.prec = 2
        decimal.DefaultContext.rounding = decimal.ROUND_UP
        decimal.DefaultContext.Emax, decimal.DefaultContext.Emin = 3, -3
        decimal.DefaultContext.clamp = 1
        decimal.DefaultContext.traps = dict.fromkeys(decimal.DefaultContext.traps, True)
        decimal.setcontext(decimal.DefaultContext)
        from decimal import Decimal
        from connecttrade_async import analytics
        from connecttrade_async.amounts import EXACT
        from connecttrade_async.models import Fill
        assert EXACT.multiply(Decimal("0.1"), Decimal(3)) == Decimal("0.3")
        assert len(EXACT.divide(Decimal(1), Decimal(3)).as_tuple().digits) == 300
        fills = [Fill(quantity_text=text, price_text=text) for text in "12"]
        print(analytics.average_fill_price(fills).price)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - our own program
    assert (done.stdout, done.stderr) == ("1.666666666666666666666666667\n", "")
