from __future__ import annotations

import io
from decimal import Decimal
from typing import NamedTuple

import pytest
from hypothesis import assume, given, strategies as st
from rich.console import Console

from connecttrade_async import Secret
from connecttrade_async.cli.output import DASH, Column, build_table, cell, figure, fit_table, print_object, print_table


class Row(NamedTuple):
    name: str
    number: str | None
    gain: str | None = None


COLUMNS = (
    Column[Row]("Name", lambda row: row.name),
    Column[Row]("Number", lambda row: row.number, "number", rank=1),
    Column[Row]("Gain", lambda row: row.gain, "gain", rank=2),
)


def drawn(rows: list[Row], width: int) -> tuple[list[str], list[str]]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    table, dropped = fit_table(rows, COLUMNS, console)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()], dropped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0", "0"),
        ("1234567", "1,234,567"),
        ("-1234.5", "-1,234.5"),
        ("1234.500000000", "1,234.50"),
        ("0.100000001", "0.100000001"),
        ("12.340", "12.34"),
        ("-0.00", "-0.00"),
        ("1E-9", "1E-9"),
        ("unknown", "unknown"),
        ("9" * 4_301, "9" * 4_301),
        ("-0." + "3" * 4_301, "-0." + "3" * 4_301),
        ("", ""),
    ],
)
def test_figure_groups_thousands_and_drops_trailing_zeros(text: str, shown: str) -> None:
    assert figure(text) == shown


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**15), max_value=10**15))
def test_figure_is_exact(value: Decimal) -> None:
    assert Decimal(figure(format(value, "f")).replace(",", "")) == value


@pytest.mark.parametrize("nothing", [None, ""])
def test_cell_without_a_value_is_a_dash(nothing: str | None) -> None:
    assert [cell(nothing, kind).plain for kind in ("text", "number", "gain")] == [DASH] * 3


def test_cell_of_a_gain_has_the_color_of_its_sign() -> None:
    assert [str(cell(text, "gain").style) for text in ("1.5", "-1.5", "0.00")] == ["green", "red", ""]


def test_cell_replaces_control_characters() -> None:
    assert "\x1b" not in cell("\x1b[2J\x07evil", "text").plain
    assert cell("two\nlines", "text").plain == "two lines"
    assert cell(("two\n", "lines"), "text").plain == "two\nlines"
    assert cell((), "text").plain == DASH


def test_table_aligns_numbers_right_and_text_left() -> None:
    lines, dropped = drawn([Row("a", "5", "1"), Row("long", "1234.5", "-20")], 80)
    assert dropped == []
    assert lines[0] == "Name  Number Gain"
    assert lines[2:] == ["a          5    1", "long 1,234.5  -20"]


def test_table_on_a_narrow_terminal_leaves_out_columns_by_rank() -> None:
    rows = [Row("somebody", "123456789.123456789", "-5")]
    assert drawn(rows, 30)[1] == ["Gain"]
    lines, dropped = drawn(rows, 20)
    assert dropped == ["Gain", "Number"]
    assert lines == ["Name", "────────", "somebody"]


@given(st.integers(1, 120), st.decimals(allow_nan=False, allow_infinity=False, places=9, max_value=10**12))
def test_table_never_cuts_a_number(width: int, value: Decimal) -> None:
    assume(value)  # zero and its negation are printed alike, so the columns could not be distinguished
    rows = [Row("x", format(value, "f"), format(-value, "f"))]
    lines, dropped = drawn(rows, width)
    shown = " ".join(lines).split()
    for title, text in (("Number", rows[0].number), ("Gain", rows[0].gain)):
        assert (figure(text or "") in shown) is (title not in dropped)


def test_table_in_a_pipe_has_every_column(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([Row("x" * 300, "1", "2")], COLUMNS)
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[-1] == f"{'x' * 300}      1    2"


def test_table_without_rows_has_its_header() -> None:
    assert [column.header for column in build_table([], COLUMNS).columns] == ["Name", "Number", "Gain"]


def test_print_object_with_a_secret_raises(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotImplementedError, match="Secret is not for output"):
        print_object({"user_secret": Secret("canary")})
    assert capsys.readouterr().out == ""
