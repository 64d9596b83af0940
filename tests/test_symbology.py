from __future__ import annotations

import pickle
import re
import string
from datetime import UTC, date, datetime
from decimal import Context, Decimal, localcontext
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, strategies as st

from connecttrade_async import SymbolError
from connecttrade_async.symbology import (
    EquityKind,
    EquitySymbol,
    OptionRight,
    OptionSymbol,
    build_option,
    classify,
    classify_any,
    is_equity,
    is_option,
    parse_dashed,
    parse_dotted,
    parse_equity,
    parse_option,
    parse_symbol,
)
from contexts import CONTEXTS

if TYPE_CHECKING:
    from collections.abc import Callable

LETTERS = st.text(string.ascii_uppercase, min_size=1, max_size=5)
LETTER = st.sampled_from(string.ascii_uppercase)
KINDS = EquityKind
# What the exchanges publish for CQS; A and B stand for any letter.
PUBLISHED = {
    "p": (KINDS.PREFERRED, "", None),
    "pA": (KINDS.PREFERRED, "A", None),
    "pB": (KINDS.PREFERRED, "B", None),
    "/A": (KINDS.CLASS, "A", None),
    "/B": (KINDS.CLASS, "B", None),
    "p/WD": (KINDS.PREFERRED, "", KINDS.WHEN_DISTRIBUTED),
    "/WD": (KINDS.WHEN_DISTRIBUTED, "", None),
    "/WS": (KINDS.WARRANTS, "", None),
    "/WS/A": (KINDS.WARRANTS, "A", None),
    "/WS/B": (KINDS.WARRANTS, "B", None),
    "/CL": (KINDS.CALLED, "", None),
    "/A/CL": (KINDS.CLASS, "A", KINDS.CALLED),
    "p/CL": (KINDS.PREFERRED, "", KINDS.CALLED),
    "pA/CL": (KINDS.PREFERRED, "A", KINDS.CALLED),
    "pAw": (KINDS.PREFERRED, "A", KINDS.WHEN_ISSUED),
    "/EC": (KINDS.EMERGING_COMPANY, "", None),
    "/PP": (KINDS.PARTLY_PAID, "", None),
    "/CV": (KINDS.CONVERTIBLE, "", None),
    "/CV/CL": (KINDS.CONVERTIBLE, "", KINDS.CALLED),
    "/A/CV": (KINDS.CLASS, "A", KINDS.CONVERTIBLE),
    "pA/CV": (KINDS.PREFERRED, "A", KINDS.CONVERTIBLE),
    "pA/WD": (KINDS.PREFERRED, "A", KINDS.WHEN_DISTRIBUTED),
    "r": (KINDS.RIGHTS, "", None),
    "/U": (KINDS.UNITS, "", None),
    "w": (KINDS.WHEN_ISSUED, "", None),
    "rw": (KINDS.RIGHTS, "", KINDS.WHEN_ISSUED),
    "pw": (KINDS.PREFERRED, "", KINDS.WHEN_ISSUED),
    "/Aw": (KINDS.CLASS, "A", KINDS.WHEN_ISSUED),
    "/WSw": (KINDS.WARRANTS, "", KINDS.WHEN_ISSUED),
    "/TEST": (KINDS.TEST, "", None),
}
SUFFIXES = st.sampled_from(["", *PUBLISHED]) | st.builds(
    str.replace,
    st.sampled_from([suffix for suffix in PUBLISHED if re.search("[pS/]A", suffix)]),
    st.just("A"),
    LETTER.filter(lambda letter: letter != "U"),  # /U is units
)
EQUITIES = st.builds(str.__add__, LETTERS, SUFFIXES).map(parse_equity)
# Series P is commoner in the dashed form than class P and partly paid shares are.
WITHOUT_DASHES = re.compile("[A-Z]+/(P|PP)([/w].*)?")
ROOTS = st.text(string.ascii_uppercase + string.digits, min_size=1, max_size=6).filter(
    lambda root: not root.isdigit() and not re.search("[A-Z]20$", root)
)
OPTIONS = st.builds(
    build_option,
    root=ROOTS,
    expiry=st.dates(date(2000, 1, 1), date(2099, 12, 31)),
    right=st.sampled_from(OptionRight),
    strike=st.integers(1, 99_999_999).map(
        lambda thousandths: Decimal(f"{thousandths // 1000}.{thousandths % 1000:03}")
    ),
)
SYMBOLS = EQUITIES.map(str) | OPTIONS.map(str) | OPTIONS.map(lambda option: option.padded)
READERS = [parse_symbol, parse_option, parse_equity, parse_dotted, parse_dashed]


@st.composite
def near_misses(draw: st.DrawFn) -> str:
    """A good symbol with one character put in, taken out or changed."""
    symbol = draw(SYMBOLS)
    at = draw(st.integers(0, len(symbol)))
    put = draw(st.sampled_from(string.ascii_letters + string.digits + " ./-\n٣é") | st.just(""))
    return symbol[:at] + put + symbol[at + draw(st.integers(0, 1)) :]


# Every example of the vendor's documentation.
@pytest.mark.parametrize(
    ("symbol", "root", "kind", "series", "dotted", "dashed"),
    [
        ("AAPL", "AAPL", EquityKind.COMMON, "", "AAPL", "AAPL"),
        ("IBMp", "IBM", EquityKind.PREFERRED, "", "IBM.PR", "IBM-P"),
        ("IBMpA", "IBM", EquityKind.PREFERRED, "A", "IBM.PRA", "IBM-PA"),
        ("IBM/B", "IBM", EquityKind.CLASS, "B", "IBM.B", "IBM-B"),
        ("BRK/B", "BRK", EquityKind.CLASS, "B", "BRK.B", "BRK-B"),
        ("IBMr", "IBM", EquityKind.RIGHTS, "", "IBM.RT", "IBM-RT"),
        ("IBM/WS", "IBM", EquityKind.WARRANTS, "", "IBM.WS", "IBM-WS"),
        ("IBM/WS/A", "IBM", EquityKind.WARRANTS, "A", "IBM.WS.A", "IBM-WS-A"),
        ("IBMw", "IBM", EquityKind.WHEN_ISSUED, "", "IBM.WI", "IBM-WI"),
    ],
)
def test_a_stock_is_read_in_parts_and_shown_as_brokers_do(  # noqa: PLR0917 - a row of the table
    symbol: str, root: str, kind: EquityKind, series: str, dotted: str, dashed: str
) -> None:
    parsed = parse_equity(symbol)
    assert parsed == EquitySymbol(root=root, kind=kind, series=series)
    assert (str(parsed), parsed.dotted, parsed.dashed) == (symbol, dotted, dashed)
    assert parse_symbol(symbol) == parse_dotted(dotted) == parse_dashed(dashed) == parsed
    assert is_equity(symbol)
    assert not is_option(symbol)


@pytest.mark.parametrize(
    ("symbol", "root", "expiry", "right", "strike"),
    [
        ("TSLA251031C00437500", "TSLA", date(2025, 10, 31), OptionRight.CALL, "437.500"),
        ("AAPL241018P00190000", "AAPL", date(2024, 10, 18), OptionRight.PUT, "190.000"),
        ("SPY241018C00430000", "SPY", date(2024, 10, 18), OptionRight.CALL, "430.000"),
        ("AAPL1240229C00000001", "AAPL1", date(2024, 2, 29), OptionRight.CALL, "0.001"),
        ("2SPY991231P99999999", "2SPY", date(2099, 12, 31), OptionRight.PUT, "99999.999"),
    ],
)
def test_an_option_is_read_in_parts(symbol: str, root: str, expiry: date, right: OptionRight, strike: str) -> None:
    parsed = parse_option(symbol)
    assert parsed == OptionSymbol(root=root, expiry=expiry, right=right, strike=Decimal(strike))
    assert str(parsed) == symbol
    assert str(parsed.strike) == strike
    assert len(parsed.padded) == 21
    assert parse_symbol(parsed.padded) == parse_symbol(symbol) == parsed
    assert is_option(symbol)
    assert not is_equity(symbol)


@pytest.mark.parametrize("strike", ["437.5", "437.5000", "0437.50", Decimal("437.5"), Decimal("4375E-1")])
def test_a_strike_is_held_with_three_decimals(strike: str | Decimal) -> None:
    option = build_option("TSLA", date(2025, 10, 31), "C", strike)
    assert (str(option), str(option.strike)) == ("TSLA251031C00437500", "437.500")
    assert option.right is OptionRight.CALL


def test_a_narrow_decimal_context_does_not_round_a_strike() -> None:
    with localcontext() as context:
        context.prec = 2
        assert str(parse_option("SPY241018C12345678").strike) == "12345.678"
        assert str(build_option("SPY", date(2024, 10, 18), "C", Decimal("12345.678"))) == "SPY241018C12345678"


@pytest.mark.parametrize(
    ("symbol", "position", "problem"),
    [
        ("", 0, "the expiry and the strike are missing"),
        ("TSLA", 4, "the expiry and the strike are missing"),
        ("251031", 6, "C or P is missing"),
        ("251031C00437500", 0, "begin with a root"),
        ("123251031C00437500", 0, "at least one letter"),
        ("tsla251031C00437500", 0, "capital letters and digits, got 't'"),
        ("TSLA 251031C00437500", 4, "padded to 6 characters"),
        ("TSLA   251031C00437500", 4, "padded to 6 characters"),
        ("TS LA 251031C00437500", 2, "got ' '"),
        (" TSLA 251031C00437500", 0, "got ' '"),
        ("      251031C00437500", 0, "at least one letter"),
        ("TOOLONG251031C00437500", 6, "at most 6 characters, got 7"),
        ("TSLA25A031C00437500", 6, "must be digits, YYMMDD, got 'A'"),
        ("TSLA٢51031C00437500", 4, "got '٢'"),
        ("TSLA251331C00437500", 6, "no month 13"),
        ("TSLA250031C00437500", 6, "no month 00"),
        ("TSLA250229C00437500", 8, "no day 29 in month 02 of 2025"),
        ("TSLA251000C00437500", 8, "no day 00"),
        ("TSLA251031X00437500", 10, "C or P, got 'X'"),
        ("TSLA251031c00437500", 10, "C or P, got 'c'"),
        ("TSLA251031C00437500\n", 19, "C or P, got"),
        ("TSLA251031C0043750", 18, "8 digits, got 7"),
        ("TSLA251031C004375000", 19, "8 digits, got 9"),
        ("TSLA251031C00000000", 11, "the strike must be positive, got 0"),
        ("AAPL20260116C00100000", 4, "the year must be two digits: write AAPL260116C00100000"),
        ("GOOGL20260116P00100000", 5, "the year must be two digits: write GOOGL260116P00100000"),
        ("SPXW  20260116C00100000", 4, "the year must be two digits: write SPXW260116C00100000"),
    ],
)
def test_parse_option_rejects_an_invalid_symbol_at_its_position(symbol: str, position: int, problem: str) -> None:
    with pytest.raises(SymbolError, match=problem) as caught:
        parse_option(symbol)
    assert (caught.value.symbol, caught.value.position) == (symbol, position)
    assert not is_option(symbol)


@pytest.mark.parametrize(
    ("reader", "symbol", "position"),
    [
        (parse_equity, "", 0),
        (parse_equity, "ibm", 0),
        (parse_equity, "/B", 0),
        (parse_equity, "ABCDEFG", 5),
        (parse_symbol, "BTCUSD", 5),
        (parse_equity, "IBM ", 3),
        (parse_equity, "IBM.B", 3),
        (parse_equity, "IBM/", 4),
        (parse_equity, "IBM/b", 4),
        (parse_equity, "IBM/WX", 5),
        (parse_equity, "IBM/WS/", 7),
        (parse_equity, "IBM/WS/AB", 8),
        (parse_equity, "IBMpAB", 5),
        (parse_equity, "IBMrA", 4),
        (parse_dotted, "BRK/B", 3),
        (parse_dotted, "IBM.PRAB", 7),
        (parse_dotted, "IBM.", 4),
        (parse_dashed, "BRK.B", 3),
        (parse_dashed, "IBM-PAB", 6),
        (parse_equity, "IBM1", 3),
        (parse_symbol, "IBM1", 2),
    ],
)
def test_parse_equity_rejects_an_invalid_symbol_at_its_position(
    reader: Callable[[str], object], symbol: str, position: int
) -> None:
    with pytest.raises(SymbolError) as caught:
        reader(symbol)
    assert (caught.value.symbol, caught.value.position) == (symbol, position)


@pytest.mark.parametrize(
    ("changed", "written", "position", "problem"),
    [
        ({"root": ""}, "", 0, "at least one letter"),
        ({"root": "Spy"}, "Spy", 1, "got 'p'"),
        ({"root": "TOOLONG"}, "TOOLONG", 6, "got 7"),
        ({"root": None}, "", 0, "must be text"),
        ({"root": "AAPL20"}, "AAPL20", 4, "must not end with 20"),
        ({"right": "C" * 10_000}, "SPY241018", 9, "C or P, got 'C{40}'..."),
        ({"expiry": "2024-10-18"}, "SPY", 3, "must be a date"),
        ({"expiry": datetime(2024, 10, 18, tzinfo=UTC)}, "SPY", 3, "without a time"),
        ({"expiry": date(1999, 12, 31)}, "SPY", 3, "got 1999"),
        ({"expiry": date(2100, 1, 1)}, "SPY", 3, "got 2100"),
        ({"right": "CALL"}, "SPY241018", 9, "C or P, got 'CALL'"),
        ({"right": None}, "SPY241018", 9, "C or P, got None"),
        ({"strike": 0}, "SPY241018C", 10, "must be positive"),
        ({"strike": "-1"}, "SPY241018C", 10, "must be positive"),
        ({"strike": "430.0001"}, "SPY241018C", 10, "at most 3 decimals, got 430.0001"),
        ({"strike": 100_000}, "SPY241018C", 10, "the strike must be at most 99999.999, got"),
        ({"strike": Decimal("1E+99")}, "SPY241018C", 10, "at most 18 digits"),
        ({"strike": 430.5}, "SPY241018C", 10, "got the float 430.5"),
        ({"strike": "4.3e2"}, "SPY241018C", 10, "exponent"),
        ({"strike": Decimal("NaN")}, "SPY241018C", 10, "must be a number"),
    ],
)
def test_build_option_rejects_parts_without_a_symbol(
    changed: dict[str, Any], written: str, position: int, problem: str
) -> None:
    parts: dict[str, Any] = {"root": "SPY", "expiry": date(2024, 10, 18), "right": "C", "strike": 430}
    with pytest.raises(SymbolError, match=problem) as caught:
        build_option(**(parts | changed))
    assert (caught.value.symbol, caught.value.position) == (written, position)


@pytest.mark.parametrize(
    ("parts", "written", "position", "problem"),
    [
        ({"root": None}, "", 0, "must be text"),
        ({"root": "I8M"}, "I8M", 1, "capital letters"),
        ({"root": "ABCDEF"}, "ABCDEF", 5, "at most 5 letters, got 6"),
        ({"root": "IBM", "kind": EquityKind.CLASS}, "IBM", 3, "class, a letter must follow"),
        ({"root": "IBM", "kind": EquityKind.RIGHTS, "series": "A"}, "IBM", 3, "rights, no letter follows"),
        ({"root": "IBM", "kind": EquityKind.CLASS, "series": "AB"}, "IBM/", 4, "got 'AB'"),
        ({"root": "IBM", "kind": EquityKind.PREFERRED, "series": "a"}, "IBMp", 4, "got 'a'"),
        ({"root": "IBM", "kind": EquityKind.PREFERRED, "series": None}, "IBMp", 4, "got None"),
        ({"root": "IBM", "kind": "bond"}, "IBM", 3, "bond"),
        ({"root": "IBM", "kind": EquityKind.CLASS, "series": "U"}, "IBM/", 4, "IBM/U is of the kind units, not class"),
        ({"root": "IBM", "condition": EquityKind.CALLED}, "IBM", 3, "kind common have no condition called"),
        (
            {"root": "IBM", "kind": EquityKind.CLASS, "series": "B", "condition": EquityKind.RIGHTS},
            "IBM/B",
            5,
            "kind class have no condition rights",
        ),
    ],
)
def test_equity_symbol_rejects_parts_without_a_symbol(
    parts: dict[str, Any], written: str, position: int, problem: str
) -> None:
    with pytest.raises(SymbolError, match=problem) as caught:
        EquitySymbol(**parts)
    assert (caught.value.symbol, caught.value.position) == (written, position)


def test_class_p_has_no_dashed_form_since_it_would_be_read_as_the_preferred_share() -> None:
    shares = parse_equity("IBM/P")
    assert parse_dotted(shares.dotted) == shares
    with pytest.raises(SymbolError, match="IBM-P is a preferred share"):
        _ = shares.dashed
    assert str(parse_dashed("IBM-P")) == "IBMp"


@given(EQUITIES)
def test_stocks_are_written_and_read_back(symbol: EquitySymbol) -> None:
    assert parse_equity(str(symbol)) == parse_symbol(str(symbol)) == symbol
    assert parse_dotted(symbol.dotted) == symbol
    if not WITHOUT_DASHES.fullmatch(str(symbol)):
        assert parse_dashed(symbol.dashed) == symbol


@given(OPTIONS)
def test_options_are_written_and_read_back(option: OptionSymbol) -> None:
    assert parse_option(str(option)) == parse_symbol(str(option)) == option
    assert parse_option(option.padded) == option
    assert " " not in str(option)


def attempt(reader: Callable[[str], object], text: str) -> tuple[object, SymbolError | None]:
    try:
        return reader(text), None
    except SymbolError as exc:
        return None, exc


@pytest.mark.parametrize("reader", READERS)
@given(text=st.text() | near_misses())
@example(text="1" * 15)
@example(text="C00000001")
def test_any_text_is_a_symbol_or_a_symbol_error(reader: Callable[[str], object], text: str) -> None:
    parsed, error = attempt(reader, text)
    if error is not None:
        assert error.symbol == text
        assert 0 <= error.position <= len(text)
        assert error.problem in str(error)
    else:
        assert parse_symbol(str(parsed)) == parsed
        assert str(parsed) == text.replace(" ", "") or reader in {parse_dotted, parse_dashed}


def test_a_symbol_error_pickles_and_shortens_what_it_shows() -> None:
    with pytest.raises(SymbolError) as caught:
        parse_symbol("A" * 100_000)
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert (again.symbol, again.position, str(again)) == (caught.value.symbol, 5, str(caught.value))
    assert len(str(again)) < 200


@pytest.mark.parametrize("suffix", PUBLISHED)
def test_every_published_suffix_is_read_and_written(suffix: str) -> None:
    kind, series, condition = PUBLISHED[suffix]
    symbol = f"IBM{suffix}"
    parsed = parse_equity(symbol)
    assert parsed == EquitySymbol(root="IBM", kind=kind, series=series, condition=condition)
    assert str(parsed) == symbol
    assert parse_dotted(parsed.dotted) == parsed
    assert classify(symbol) == classify_any(symbol) == parsed


def test_partly_paid_shares_have_no_dashed_form_since_it_is_a_series_of_preferred_shares() -> None:
    with pytest.raises(SymbolError, match="IBM-PP is a preferred share"):
        _ = parse_equity("IBM/PP").dashed
    assert str(parse_dashed("IBM-PP")) == "IBMpP"


UNCLASSIFIED = [
    "BTC/USD",
    "ETH-USD",
    "BTC-USD",
    "BTCUSD",
    "BTCUSDT",
    "btc/usd",
    "$SPX",
    "^VIX",
    "/ESZ6",
    "ESZ2026",
    "ES=F",
    "EUR.USD",
    "SHOP.TO",
    "VOD.L",
    "7203.T",
    "IBM.N",
    "CEZ.PR",
    "S0",
    "1COV",
    "IBM/WSA",
    "IBM/AB",
    "X:BTCUSD",
    "BTC-260327-100000-C",
    "SOL/USDC",
    "BTC USD",
    "A" * 64,
]


@pytest.mark.parametrize("symbol", UNCLASSIFIED)
def test_a_symbol_of_something_else_is_neither_a_stock_nor_a_mistake(symbol: str) -> None:
    assert classify(symbol) is None
    assert classify_any(symbol) is None


@pytest.mark.parametrize(
    ("symbol", "written"),
    [
        ("BRK.B", "BRK/B"),
        ("BRK-B", "BRK/B"),
        ("BRK B", "BRK/B"),
        ("brk.b", "BRK/B"),
        ("brk/b", "BRK/B"),
        ("BF.A", "BF/A"),
        ("IBM.PRA", "IBMpA"),
        ("IBM PRA", "IBMpA"),
        ("IBM-PA", "IBMpA"),
        ("IBM.PRA.WI", "IBMpAw"),
        ("IBM.WS", "IBM/WS"),
        ("IBM-WS-A", "IBM/WS/A"),
        ("IBM.U", "IBM/U"),
        ("IBM.RT", "IBMr"),
        ("IBM.WI", "IBMw"),
        ("aapl", "AAPL"),
        (" AAPL", "AAPL"),
        ("AAPL ", "AAPL"),
        (" brk.b ", "BRK/B"),
        ("aapl260116c00100000", "AAPL260116C00100000"),
        (" AAPL260116C00100000", "AAPL260116C00100000"),
    ],
)
def test_a_sure_mistake_is_refused_with_how_the_api_writes_it(symbol: str, written: str) -> None:
    with pytest.raises(SymbolError, match=f"the API writes it {re.escape(written)}$") as caught:
        classify(symbol)
    assert caught.value.symbol == symbol
    assert classify_any(symbol) is None


@pytest.mark.parametrize(
    "symbol",
    [
        "AAPL20260116C00100000",
        "AAPL261316C00100000",
        "AAPL260116X00100000",
        "AAPL260116c00100000",
        "AAPL260116C0010000",
        "AAPL260116C001000000",
        "AAPL260116C100",
        "AAPL260116P102.5",
        "AAPL 260116C00100000",
        "TOOLONG260116C00100000",
        "AAPL20260116C100",
    ],
)
def test_what_is_nearly_an_option_is_refused_unless_the_caller_says_what_it_is(symbol: str) -> None:
    with pytest.raises(SymbolError) as caught:
        classify(symbol)
    assert caught.value.symbol == symbol
    assert classify_any(symbol) is None


@pytest.mark.parametrize(
    ("symbol", "position"),
    [("", 0), ("  ", 0), ("A\nB", 1), ("A\x1b[2J", 1), ("AB\ud800", 2), ("\u202eABC", 0), ("A\x85", 1), ("A" * 65, 64)],
)
def test_what_is_no_text_of_a_symbol_is_refused_in_any_case(symbol: str, position: int) -> None:
    for read in (classify, classify_any):
        with pytest.raises(SymbolError) as caught:
            read(symbol)
        assert (caught.value.symbol, caught.value.position) == (symbol, position)
        assert str(caught.value).isprintable()


@given(EQUITIES | OPTIONS)
def test_a_stock_or_an_option_is_classified_as_what_it_is(symbol: EquitySymbol | OptionSymbol) -> None:
    assert classify(str(symbol)) == classify_any(str(symbol)) == symbol


@given(st.text(string.ascii_uppercase, min_size=6, max_size=20))
def test_letters_that_are_too_many_for_a_stock_are_passed_on(symbol: str) -> None:
    assert classify(symbol) is None


PAIRS = st.builds(
    "{}{}{}".format,
    st.text(string.ascii_uppercase + string.digits, min_size=2, max_size=8),
    st.sampled_from(["/", "-", "_", ":"]),
    st.sampled_from(["USD", "USDT", "USDC", "EUR", "BTC"]),
)
FUTURES = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["/", "", "$", "^", "."]),
    st.text(string.ascii_uppercase, min_size=1, max_size=3),
    st.sampled_from("FGHJKMNQUVXZ"),
    st.integers(0, 2099),
)
ABROAD = st.builds(
    "{}.{}".format,
    st.text(string.ascii_uppercase, min_size=1, max_size=5),
    st.sampled_from(["TO", "L", "T", "V", "F", "N", "O", "DE", "HK"]),
)


@given(PAIRS | FUTURES | ABROAD)
def test_pairs_futures_and_stocks_abroad_are_passed_on(symbol: str) -> None:
    assert classify(symbol) is None


@given(
    st.text(string.ascii_letters + string.digits + "./-^$=: pwr", max_size=30) | near_misses() | st.text(max_size=70)
)
def test_any_text_is_classified_or_refused(symbol: str) -> None:
    parsed, error = attempt(classify, symbol)
    if error is not None:
        assert error.symbol == symbol
        assert 0 <= error.position <= len(symbol)
    elif parsed is not None:
        assert classify(str(parsed)) == parsed
        assert str(parsed) == symbol.replace(" ", "")


@given(CONTEXTS, OPTIONS)
def test_options_are_alike_in_every_decimal_context(context: Context, option: OptionSymbol) -> None:
    with localcontext(context):
        assert str(parse_option(str(option))) == str(option)
        assert str(build_option(option.root, option.expiry, option.right, option.strike)) == str(option)
