from __future__ import annotations

import copy
import json
import os
import pickle
import re
import subprocess
import sys
from datetime import date
from decimal import Context, Decimal, Inexact, localcontext
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import example, given, strategies as st

from connecttrade_async import CallerError, OrderTicket, TicketError, TicketLeg, tickets
from connecttrade_async.models import Broker, Instrument, OrderType, Side, TimeInForce
from connecttrade_async.tickets import leg
from contexts import CONTEXTS

if TYPE_CHECKING:
    from collections.abc import Callable

CALL, PUT = "SPY261218C00430000", "SPY261218P00430000"
DAY = date(2026, 12, 18)
WHO: dict[str, Any] = {"account_id": "a-1", "broker": "ALPACA"}
PLAIN = re.compile(r"[0-9]+(\.[0-9]{1,9})?")


def shifted(digits: int, places: int) -> Decimal:
    return Decimal(digits).scaleb(-places)


VALID = st.builds(shifted, st.integers(1, 10**18 - 1), st.integers(0, 9))
GOOD: dict[str, Any] = {**WHO, "symbol": "MSFT", "side": "BUY", "order_type": "MKT", "order_qty": 1}
ANYTHING = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.decimals()
    | st.text(max_size=20)
    | st.sampled_from(["MSFT", CALL, *Side, *OrderType, *TimeInForce, *Instrument, "1", "1.5"])
    | st.lists(st.builds(leg, st.sampled_from([CALL, PUT, "MSFT", 7]), st.sampled_from(Side), st.integers()))
)


def problems_of(build: Callable[..., object], *args: object, **given: Any) -> tuple[str, ...]:
    with pytest.raises(TicketError) as caught:
        build(*args, **given)
    return caught.value.problems


def attempt(given: dict[str, Any]) -> tuple[dict[str, Any], TicketError]:
    try:
        return OrderTicket(**given).payload(), TicketError(())
    except TicketError as exc:
        return {}, exc


def sent_by(ticket: OrderTicket) -> dict[str, Any]:
    """What a ticket sends beside its id, account and broker."""
    payload = ticket.payload()
    who = (payload.pop("cl_order_id"), payload.pop("account_id"), payload.pop("broker"))
    assert who == (ticket.cl_order_id, "a-1", "ALPACA")
    return payload


def test_the_ticket_of_the_contract() -> None:
    ticket = tickets.limit("MSFT", "BUY", qty=1, price="410.50", account_id="a-1", broker="ALPACA", cl_order_id="mine")
    assert ticket.payload() == {
        "account_id": "a-1",
        "cl_order_id": "mine",
        "broker": "ALPACA",
        "side": "BUY",
        "order_type": "LMT",
        "order_tif": "DAY",
        "symbol": "MSFT",
        "instrument": "STK",
        "order_qty": "1",
        "order_limit_price": "410.50",
    }
    assert ticket.order_limit_price == Decimal("410.50")
    assert ticket.side is Side.BUY
    assert ticket.broker is Broker.ALPACA


@pytest.mark.parametrize(
    ("ticket", "sent"),
    [
        (
            tickets.market("IBM/WS", "SELL_SHORT", notional="99.95", tif="GTC+", **WHO),
            {"side": "SELL_SHORT", "order_type": "MKT", "order_tif": "GTC+", "symbol": "IBM/WS", "instrument": "STK"}
            | {"order_notional": "99.95"},
        ),
        (
            tickets.stop("IBMpA", Side.SELL, qty=Decimal("0.5"), stop=100, tif=TimeInForce.GTC, **WHO),
            {"side": "SELL", "order_type": "STP", "order_tif": "GTC", "symbol": "IBMpA", "instrument": "STK"}
            | {"order_qty": "0.5", "stop_price": "100"},
        ),
        (
            tickets.stop_limit("SPY   261218C00430000", "BUY_TO_OPEN", qty="2", stop="3", price="3.1", **WHO),
            {"side": "BUY_TO_OPEN", "order_type": "STPLMT", "order_tif": "DAY", "symbol": CALL, "instrument": "OPT"}
            | {"order_qty": "2", "stop_price": "3", "order_limit_price": "3.1"},
        ),
        (
            tickets.multi_leg(
                iter([leg(CALL, "BUY_TO_CLOSE"), leg("SPY   261218P00430000", "SELL_TO_CLOSE", "2")]),
                "BUY_TO_CLOSE",
                price=None,
                qty=3,
                **WHO,
            ),
            {"side": "BUY_TO_CLOSE", "order_type": "MKT", "order_tif": "DAY", "symbol": None, "instrument": "MLEG_OPT"}
            | {"order_qty": "3"}
            | {
                "legs": [
                    {"symbol": CALL, "action": "BUY_TO_CLOSE", "ratio": "1"},
                    {"symbol": PUT, "action": "SELL_TO_CLOSE", "ratio": "2"},
                ],
            },
        ),
    ],
)
def test_what_is_sent_is_what_the_wire_takes(ticket: OrderTicket, sent: dict[str, Any]) -> None:
    assert sent_by(ticket) == sent
    assert json.loads(json.dumps(ticket.payload())) == ticket.payload()


C, P = "SPY261218C00", "SPY261218P00"
BTO, STO = "BUY_TO_OPEN", "SELL_TO_OPEN"


@pytest.mark.parametrize(
    ("ticket", "side", "legs"),
    [
        (
            tickets.bull_call_spread("SPY", expiry=DAY, low=430, high="440", price="3", qty=1, **WHO),
            BTO,
            [(C + "430000", BTO, "1"), (C + "440000", STO, "1")],
        ),
        (
            tickets.bear_put_spread("SPY", expiry=DAY, low=430, high="440", price="3", qty=1, **WHO),
            BTO,
            [(P + "440000", BTO, "1"), (P + "430000", STO, "1")],
        ),
        (
            tickets.long_straddle("SPY", expiry=DAY, strike="430.5", price="3", qty=1, **WHO),
            BTO,
            [(C + "430500", BTO, "1"), (P + "430500", BTO, "1")],
        ),
        (
            tickets.iron_condor(
                "SPY", expiry=DAY, put_low=400, put_high=410, call_low=410, call_high=420, price="3", qty=1, **WHO
            ),
            STO,
            [(P + "400000", BTO, "1"), (P + "410000", STO, "1"), (C + "410000", STO, "1"), (C + "420000", BTO, "1")],
        ),
        (
            tickets.ratio_spread(
                "SPY", expiry=DAY, right="P", buy=430, sell=420, ratio="3", side="SELL_TO_OPEN", price="3", qty=1, **WHO
            ),
            STO,
            [(P + "430000", BTO, "1"), (P + "420000", STO, "3")],
        ),
        (
            tickets.ratio_spread("SPY", expiry=DAY, right="C", buy=430, sell=440, price="3", qty=1, **WHO),
            BTO,
            [(C + "430000", BTO, "1"), (C + "440000", STO, "2")],
        ),
    ],
)
def test_a_strategy_makes_its_legs(ticket: OrderTicket, side: str, legs: list[tuple[str, str, str]]) -> None:
    assert sent_by(ticket) == {
        "side": side,
        "order_type": "LMT",
        "order_tif": "DAY",
        "symbol": None,
        "instrument": "MLEG_OPT",
        "order_qty": "1",
        "order_limit_price": "3",
        "legs": [{"symbol": symbol, "action": action, "ratio": ratio} for symbol, action, ratio in legs],
    }


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"account_id": ""}, "the account_id must be a text that is not empty, got ''"),
        ({"account_id": 7}, "the account_id must be a text that is not empty, got int"),
        ({"broker": " "}, "the broker must be a text that is not empty, got ' '"),
        ({"broker": None}, "the broker is missing"),
        ({"cl_order_id": ""}, "the cl_order_id must be a text that is not empty, got ''"),
        ({"symbol": None}, "the symbol is missing"),
        ({"symbol": "msft"}, "the symbol 'msft' is not well formed at position 0: the API writes it MSFT"),
        ({"symbol": "SPY261318C00430000"}, "the symbol 'SPY261318C00430000' is not well formed at position 5: "),
        ({"side": None}, "the side is missing: BUY, SELL,"),
        ({"side": "buy"}, "the side must be one of BUY, SELL,"),
        (
            {"side": "BUY_TO_OPEN"},
            "the side of a stock must be one of BUY, SELL, SELL_SHORT, BUY_TO_COVER, ",
        ),
        ({"symbol": CALL}, "the side of an option must be one of BUY_TO_OPEN, BUY_TO_CLOSE, "),
        ({"side": "BUY_TO_COVER"}, "the broker must be TRADESTATION for the side BUY_TO_COVER, got ALPACA"),
        ({"order_type": "LIMIT"}, "the order_type must be one of MKT, LMT, STP, STPLMT, got 'LIMIT'"),
        ({"order_tif": "GTD"}, "the order_tif must be one of DAY, GTC, IOC, FOK, OPEN, CLOSE, DAY+, GTC+, got 'GTD'"),
        ({"order_tif": None}, "the order_tif is missing: DAY, "),
        ({"instrument": "stk"}, "the instrument must be written STK, got 'stk'"),
        ({"instrument": ""}, "the instrument must be a text that is not empty, got ''"),
        (
            {"instrument": "CRYPTO", "symbol": "BTC\ud800"},
            "the symbol must be printable characters, got 'BTC\\ud800'",
        ),
        ({"instrument": "STK", "symbol": "A" * 65}, f"the symbol '{'A' * 40}'... is not well formed at position 64: "),
        ({"symbol": "BRK.B"}, "the symbol 'BRK.B' is not well formed at position 3: the API writes it BRK/B"),
        ({"symbol": "AAPL20260116C00100000"}, "the symbol 'AAPL20260116C00100000' is not well formed at position 4: "),
        ({"account_id": "a" * 257}, "the account_id must be at most 256 characters, got 257"),
        ({"account_id": "a\nb"}, "the account_id must be printable characters, got 'a\\nb'"),
        ({"broker": "ALPACA\x1b[2J"}, "the broker must be printable characters, got 'ALPACA\\x1b[2J'"),
        ({"cl_order_id": "a\ud800"}, "the cl_order_id must be printable characters, got 'a\\ud800'"),
        ({"cl_order_id": "a\u202eb"}, "the cl_order_id must be printable characters, got 'a\\u202eb'"),
        ({"cl_order_id": "x" * 10_000}, "the cl_order_id must be at most 256 characters, got 10000"),
        ({"side": "B" * 10_000}, "the side must be one of BUY, "),
        ({"side": 10**5_000}, "the side must be one of BUY, "),
        ({"order_qty": "9" * 10_000}, "the quantity must be at most 100 characters, got 10000"),
        ({"order_qty": 10**1_000_000}, "the quantity must have at most 18 digits before the point, got more"),
        ({"order_qty": -(10**1_000_000)}, "the quantity must be positive, got -"),
        ({"instrument": "OPT"}, "the side of an option must be one of BUY_TO_OPEN, BUY_TO_CLOSE, "),
        ({"order_qty": None}, "the order must have a quantity or a notional, got neither"),
        ({"order_notional": 5}, "the order must have a quantity or a notional, got both"),
        ({"order_qty": 0}, "the quantity must be positive, got 0"),
        ({"order_qty": "-2"}, "the quantity must be positive, got -"),
        ({"order_qty": 1.5}, "the quantity must be a Decimal, an int or text, got the float 1.5"),
        ({"order_qty": True}, "the quantity must be a number, got True"),
        ({"order_qty": "1e3"}, "the quantity must be written in digits without an exponent"),
        ({"order_qty": Decimal("Infinity")}, "the quantity must be a number, got Infinity"),
        ({"order_qty": None, "order_notional": "NaN"}, "the notional must be a number, got 'NaN'"),
        ({"order_limit_price": 5}, "the limit price must be missing in an MKT order"),
        ({"stop_price": 5}, "the stop price must be missing in an MKT order"),
        ({"order_type": "LMT"}, "the limit price is missing: an LMT order requires it"),
        ({"order_type": "STP"}, "the stop price is missing: an STP order requires it"),
        (
            {"order_type": "LMT", "order_limit_price": "1.0000000001"},
            "the limit price must have at most 9 decimals",
        ),
        ({"instrument": "MLEG_OPT", "symbol": None, "side": BTO}, "the legs must be 2 to 4, got"),
        ({"instrument": "MLEG_OPT", "symbol": None, "side": BTO, "legs": None}, "the legs must be 2 to 4"),
        ({"legs": "AB", "symbol": None, "side": BTO}, "the legs must be a list or a tuple"),
        (
            {"legs": [leg(CALL, BTO), leg(PUT, STO)], "symbol": None, "side": BTO, "instrument": "OPT"},
            "the instrument of a multi-leg order must be MLEG_OPT, got OPT",
        ),
    ],
)
def test_ticket_with_one_invalid_field_has_one_problem(changed: dict[str, Any], problem: str) -> None:
    (told,) = problems_of(OrderTicket, **(GOOD | changed))
    assert told.startswith(problem)


@pytest.mark.parametrize(
    ("legs", "problem"),
    [
        ([leg(CALL, BTO)], "the legs must be 2 to 4, got 1"),
        (
            [leg(f"SPY261218C0043{n}000", BTO) for n in range(5)],
            "the legs must be 2 to 4, got 5",
        ),
        ([leg(CALL, BTO), leg("SPY   261218C00430000", STO)], f"legs 1 and 2 are equal: both are in {CALL}"),
        ([leg(CALL, BTO), leg("MSFT", STO)], "leg 2: the symbol 'MSFT' is not well formed at position 4"),
        ([leg(CALL, BTO), leg("", STO)], "leg 2: the symbol must be a text that is not empty, got ''"),
        ([leg(CALL, "SELL"), leg(PUT, STO)], "leg 1: the action must be one of BUY_TO_OPEN, "),
        ([leg(CALL, "LONG"), leg(PUT, STO)], "leg 1: the action must be one of BUY, "),
        ([leg(CALL, BTO), leg(PUT, STO, 0)], "leg 2: the ratio must be positive"),
        ([leg(CALL, BTO), leg(PUT, STO, "1.5")], "leg 2: the ratio must be a whole number of contracts"),
        ([leg(CALL, BTO), msgspec.convert({"symbol": PUT}, dict)], "leg 2 must be a TicketLeg, as leg(symbol, "),
        ([leg(CALL, BTO), TicketLeg(symbol=PUT, action=STO, ratio=None)], "leg 2: the ratio is missing"),  # type: ignore[arg-type]
    ],
)
def test_ticket_with_one_invalid_leg_has_one_problem(legs: list[TicketLeg], problem: str) -> None:
    (told,) = problems_of(tickets.multi_leg, legs, BTO, price="1", qty=1, **WHO)
    assert told.startswith(problem)


def test_ticket_error_has_every_problem() -> None:
    wrong = {"qty": 1.5, "notional": "1e3", "price": None, "account_id": "", "broker": "", "tif": "NOW"}
    told = problems_of(tickets.limit, "msft", "BUYY", cl_order_id="", **wrong)
    subjects = ["symbol", "account_id", "broker", "cl_order_id", "side", "order_tif"]
    assert [re.sub(r"^the (\w+).*", r"\1", problem) for problem in told[:6]] == subjects
    assert told[6:] == (
        "the order must have a quantity or a notional, got both",
        "the quantity must be a Decimal, an int or text, got the float 1.5",
        "the notional must be written in digits without an exponent, got '1e3'",
        "the limit price is missing: an LMT order requires it",
    )


def test_ticket_error_has_every_problem_of_the_legs() -> None:
    given = GOOD | {"legs": [leg(CALL, "SELL", 0), leg(CALL, BTO), leg("X", BTO)]}
    assert [problem[:22] for problem in problems_of(OrderTicket, **given)] == [
        "leg 1: the action must",
        "leg 1: the ratio must ",
        "leg 3: the symbol 'X' ",
        "legs 1 and 2 are equal",
        "the symbol must be mis",
        "the side of a multi-le",
    ]


def test_strategy_error_has_every_problem() -> None:
    strikes: dict[str, Any] = {"put_low": 410, "put_high": "410", "call_low": "405.5555", "call_high": 4.5}
    assert problems_of(tickets.iron_condor, "SPY", expiry=DAY, **strikes, price=-1, **WHO) == (
        "call_low: the strike must have at most 3 decimals, got 405.5555",
        "call_high: the strike must be a Decimal, an int or text, got the float 4.5",
        "the strike put_high must be above the strike put_low, 410, got 410",
        "the strike call_low must be above the strike put_high, 410, got 405.5555",
        "the order must have a quantity or a notional, got neither",
        "the limit price must be positive, got -1",
    )


def test_strategy_with_an_invalid_underlying_reports_it_once_beside_invalid_strikes() -> None:
    strikes: dict[str, Any] = {"put_low": 400, "put_high": 390, "call_low": 450.0, "call_high": "x"}
    assert problems_of(tickets.iron_condor, "spy", expiry=date(1999, 12, 17), **strikes, price=1, qty=1, **WHO) == (
        "underlying 'spy': the root must be capital letters and digits, got 's'",
        "expiry: the year must be 2000 to 2099, got 1999",
        "call_low: the strike must be a Decimal, an int or text, got the float 450.0",
        "call_high: the strike must be written in digits with at most one point, got 'x'",
        "the strike put_high must be above the strike put_low, 400, got 390",
    )
    one_lost = strikes | {"put_high": 410, "call_low": "x", "call_high": 410}
    told = problems_of(tickets.iron_condor, "SPY", expiry=DAY, **one_lost, price=1, qty=1, **WHO)
    assert [problem.partition(",")[0] for problem in told] == [
        "call_low: the strike must be written in digits with at most one point",
        "the strike call_high must be above the strike put_high",
    ]


@pytest.mark.parametrize("right", ["C", "X"])
def test_ratio_spread_reports_equal_strikes_beside_other_problems(right: str) -> None:
    told = problems_of(
        tickets.ratio_spread, "spy", expiry=DAY, right=right, buy=430, sell="430.0", price=1, qty=1, **WHO
    )
    assert "the strikes buy and sell must differ, got 430 twice" in told
    assert ("right: the right must be C or P, got 'X'" in told) is (right == "X")
    assert len(told) == (2 if right == "C" else 3)
    unwritten: dict[str, Any] = {"right": "C", "buy": "x", "sell": 1}
    assert len(problems_of(tickets.ratio_spread, "SPY", expiry=DAY, **unwritten, price=1, qty=1, **WHO)) == 1


@pytest.mark.parametrize("qty", ["0.5", Decimal("2.000000001")])
def test_contracts_are_whole_and_shares_need_not_be(qty: Decimal | str) -> None:
    said = f"the quantity must be a whole number of contracts, got {qty}"
    assert problems_of(tickets.market, CALL, BTO, qty=qty, **WHO) == (said,)
    legs = [leg(CALL, BTO), leg(PUT, STO)]
    assert problems_of(tickets.multi_leg, legs, BTO, price=1, qty=qty, **WHO) == (said,)
    assert tickets.market(CALL, BTO, qty="2.0", **WHO).order_qty == 2
    assert tickets.market("MSFT", "BUY", qty=qty, **WHO).order_qty == Decimal(qty)


@pytest.mark.parametrize("legs", [None, 7, "AB", b"AB", object()], ids=["nothing", "number", "text", "bytes", "object"])
def test_legs_of_another_type_are_one_problem_among_others(legs: object) -> None:
    told = problems_of(tickets.multi_leg, legs, BTO, price=1, qty=0, **WHO)
    assert len(told) == 2
    assert "legs" in told[0]
    assert told[1] == "the quantity must be positive, got 0"


@pytest.mark.parametrize("build", [tickets.bull_call_spread, tickets.bear_put_spread])
def test_a_spread_upside_down_is_another_strategy(build: Callable[..., OrderTicket]) -> None:
    told = problems_of(build, "SPY", expiry=DAY, low=440, high=430, price=1, qty=1, **WHO)
    assert told == ("the strike high must be above the strike low, 440, got 430",)


def test_a_wrong_strike_is_said_when_all_else_is_right() -> None:
    told = problems_of(tickets.long_straddle, "spy", expiry=DAY, strike=430, price=1, qty=1, **WHO)
    assert [problem[:17] for problem in told] == ["underlying 'spy':"]
    ratio: dict[str, Any] = {"right": "X", "buy": 1, "sell": 0, "ratio": 0}
    told = problems_of(tickets.ratio_spread, "SPY", expiry=DAY, **ratio, price=1, qty=1, **WHO)
    assert [problem[:18] for problem in told] == ["sell: the strike m", "right: the right m", "leg 2: the ratio m"]


def test_a_forgotten_price_does_not_make_a_market_order() -> None:
    forgetful: Callable[..., OrderTicket] = tickets.long_straddle
    with pytest.raises(TypeError, match="price"):
        forgetful("SPY", expiry=DAY, strike=430, qty=1, **WHO)


def test_ticket_accepts_unlisted_brokers_and_reads_listed_ones_in_any_case() -> None:
    assert tickets.market("MSFT", "BUY", qty=1, account_id="a", broker="SCHWAB").payload()["broker"] == "SCHWAB"
    cover = tickets.market("MSFT", "BUY_TO_COVER", qty=1, account_id="a", broker="TradeStation")
    assert cover.payload()["broker"] == "TRADESTATION"


def test_a_ticket_has_its_own_id_from_birth() -> None:
    ids = [tickets.market("MSFT", "BUY", qty=1, **WHO).cl_order_id for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert sorted(ids) == ids
    assert all(re.fullmatch(r"[0-9a-f-]{36}", one) for one in ids)
    assert OrderTicket(**GOOD).cl_order_id > ids[-1]


def test_a_ticket_never_changes_and_its_copies_are_equal() -> None:
    ticket = tickets.long_straddle("SPY", expiry=DAY, strike=430, price="3.10", qty=1, **WHO)
    again = (pickle.loads(pickle.dumps(ticket)), copy.copy(ticket), copy.deepcopy(ticket))  # noqa: S301 - our own bytes
    assert all(one == ticket and one.payload() == ticket.payload() for one in again)
    with pytest.raises(AttributeError):
        ticket.order_qty = Decimal(2)  # type: ignore[misc]
    changed = msgspec.structs.replace(ticket, order_qty=Decimal(2))
    assert changed.payload() == ticket.payload() | {"order_qty": "2"}
    with pytest.raises(TicketError):
        msgspec.structs.replace(ticket, order_qty=Decimal(0))


@given(VALID, VALID)
def test_numbers_are_sent_plain(qty: Decimal, price: Decimal) -> None:
    with localcontext() as context:
        context.prec = 2
        sent = tickets.limit("MSFT", "BUY", qty=qty, price=price, **WHO).payload()
        changed = tickets.replacement("new", "ALPACA", qty=qty, stop=price)
    assert PLAIN.fullmatch(sent["order_qty"])
    assert PLAIN.fullmatch(sent["order_limit_price"])
    assert (Decimal(sent["order_qty"]), Decimal(sent["order_limit_price"])) == (qty, price)
    assert (changed["order_qty"], changed["stop_price"]) == (sent["order_qty"], sent["order_limit_price"])


@given(st.fixed_dictionaries({}, optional=dict.fromkeys([*OrderTicket.__struct_fields__], ANYTHING)))
def test_whatever_is_given_is_a_ticket_that_can_be_sent_or_a_ticket_error(changed: dict[str, Any]) -> None:
    payload, error = attempt(GOOD | changed)
    assert len(set(error.problems)) == len(error.problems)
    assert all(problem and problem in str(error) for problem in error.problems)
    assert bool(error.problems) is not bool(payload)
    assert {name for name, value in payload.items() if value is None} <= ({"symbol"} if "legs" in payload else set())
    numbers = [payload[name] for name in ("order_qty", "order_notional", "stop_price") if name in payload]
    assert all(PLAIN.fullmatch(number) for number in numbers)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"qty": 2}, {"order_qty": "2"}),
        ({"notional": "100.10"}, {"order_notional": "100.10"}),
        ({"price": Decimal("1E+2")}, {"order_limit_price": "100"}),
        ({"qty": "1", "price": "2", "stop": "3"}, {"order_qty": "1", "order_limit_price": "2", "stop_price": "3"}),
    ],
)
def test_a_replacement_sends_what_changes(given: dict[str, Any], sent: dict[str, str]) -> None:
    who = {"new_cl_order_id": "new", "broker": "ALPACA"}
    assert tickets.replacement("new", "alpaca", **given) == who | sent


@pytest.mark.parametrize(
    ("new_id", "broker", "given", "problems"),
    [
        ("new", "X", {}, ["the replacement must change"]),
        ("", "X", {"qty": 1}, ["the new_cl_order_id must be a text"]),
        ("new", "", {"qty": 1}, ["the broker must be a text"]),
        ("new", "X", {"qty": 1, "notional": 1}, ["the order must have"]),
        (
            "new",
            "X",
            {"qty": 0, "price": 1.5, "stop": "x"},
            ["the quantity must", "the limit price must", "the stop"],
        ),
        (None, None, {}, ["the new_cl_order_id is missing", "the broker is missing", "the replacement must change"]),
    ],
)
def test_invalid_replacement_has_every_problem(
    new_id: Any,
    broker: Any,
    given: dict[str, Any],
    problems: list[str],
) -> None:
    told = problems_of(tickets.replacement, new_id, broker, **given)
    assert len(told) == len(problems)
    assert all(one.startswith(beginning) for one, beginning in zip(told, problems, strict=True))


def test_package_imports_its_modules_on_first_use() -> None:
    code = (
        "import sys, connecttrade_async as ct\n"
        "names = [name for name in sys.modules if name.startswith('connecttrade_async.')]\n"
        "assert names == ['connecttrade_async._version'], names\n"
        "assert {'analytics', 'symbology', 'tickets'} <= {*dir(ct)} & {*ct.__all__}\n"
        "assert ct.tickets.OrderTicket is ct.OrderTicket\n"
        "assert ct.symbology.parse_symbol is ct.parse_symbol\n"
        "assert ct.analytics.daily_summary\n"
        "assert 'aiohttp' not in sys.modules\n"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)  # noqa: S603 - our own code, in a fresh process


def test_a_ticket_error_is_the_callers_and_pickles_with_its_problems() -> None:
    error = TicketError(["one is wrong", "so is another"])
    assert isinstance(error, CallerError)
    assert str(error) == "the order was not sent: one is wrong; so is another"
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (again.problems, str(again)) == (error.problems, str(error))


@pytest.mark.parametrize("symbol", ["BTC/USD", "ETH-USD", "BTCUSD", "$SPX", "^VIX", "/ESZ6", "SHOP.TO", "S0"])
def test_a_symbol_that_cannot_be_classified_is_sent_as_it_is_without_an_instrument(symbol: str) -> None:
    changed: dict[str, Any] = {**GOOD, "symbol": symbol}
    built = [
        tickets.market(symbol, "BUY", notional="50.25", **WHO),
        tickets.limit(symbol, "BUY", qty="0.000000001", price="1", **WHO),
        tickets.stop(symbol, "SELL", qty="0.5", stop="1", **WHO),
        tickets.stop_limit(symbol, "BUY_TO_OPEN", qty="0.5", stop="1", price="2", **WHO),
        OrderTicket(**changed),
    ]
    for ticket in built:
        assert ticket.instrument is None
        assert ticket.payload()["symbol"] == symbol
        assert "instrument" not in ticket.payload()


ODD = [
    "BTC/USD",
    "BTCUSD",
    "BRK.B",
    "brk.b",
    " AAPL",
    "AAPL20260116C00100000",
    "SPY261318C00430000",
    "IBM/WSA",
    "é",
    "A" * 64,
]


@pytest.mark.parametrize("symbol", ["AAPL", "IBM/B", CALL, "TSLA251031P00437500"])
@pytest.mark.parametrize("instrument", ["FUT", "STK", "OPT"])
def test_ticket_with_an_explicit_instrument_passes_a_symbol_of_another_form(symbol: str, instrument: str) -> None:
    side = "BUY_TO_OPEN" if instrument == "OPT" else "BUY"
    sent = tickets.market(symbol, side, qty=1, instrument=instrument, **WHO).payload()
    assert (sent["symbol"], sent["instrument"]) == (symbol, instrument)


@pytest.mark.parametrize("symbol", ODD)
@pytest.mark.parametrize("instrument", ["CRYPTO", "FUT", "STK", "OPT", Instrument.STOCK])
def test_an_explicit_instrument_passes_any_symbol_as_it_is(symbol: str, instrument: str) -> None:
    side = "BUY_TO_OPEN" if instrument == "OPT" else "BUY"
    sent = tickets.market(symbol, side, qty=1, instrument=instrument, **WHO).payload()
    assert (sent["symbol"], sent["instrument"]) == (symbol, instrument)


@pytest.mark.parametrize("symbol", ["MSFT", "BTC", CALL])
def test_an_unpublished_instrument_counts_for_more_than_how_the_symbol_looks(symbol: str) -> None:
    ticket = tickets.limit(symbol, "BUY", qty="0.5", price="1", instrument="CRYPTO", **WHO)
    assert ticket.instrument == "CRYPTO"
    assert ticket.payload()["symbol"] == symbol


@pytest.mark.parametrize("symbol", ["IBMpAw", "IBMrw", "IBM/WD", "IBM/U"])
def test_every_kind_of_share_is_a_stock(symbol: str) -> None:
    sent = tickets.market(symbol, "BUY", qty=1, **WHO).payload()
    assert (sent["symbol"], sent["instrument"]) == (symbol, "STK")


def sent_or_problems(build: Callable[[], OrderTicket]) -> object:
    try:
        return build().payload()
    except TicketError as exc:
        return exc.problems


AMOUNTS = VALID | VALID.map(lambda amount: format(amount, "f")) | st.integers(-10, 10**20) | st.decimals() | st.text()


@given(CONTEXTS, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS)
@example(Context(prec=1, traps=[Inexact]), Decimal("123456789.123456789"), "0.000000001", 10**17, "1.500")
@example(Context(prec=2, Emax=1), Decimal("1E+3"), Decimal("-0"), Decimal("NaN"), Decimal("sNaN"))
def test_payload_is_the_same_in_every_decimal_context(
    context: Context, qty: Any, price: Any, stop: Any, ratio: Any
) -> None:
    ours = {**WHO, "cl_order_id": "mine"}
    builds: list[Callable[[], OrderTicket]] = [
        lambda: tickets.stop_limit("MSFT", "BUY", qty=qty, price=price, stop=stop, **ours),
        lambda: tickets.limit(CALL, BTO, qty=qty, price=price, **ours),
        lambda: tickets.market("BTC/USD", "BUY", notional=qty, **ours),
        lambda: tickets.multi_leg([leg(CALL, BTO, ratio), leg(PUT, STO)], BTO, qty=qty, price=price, **ours),
        lambda: tickets.bull_call_spread("SPY", expiry=DAY, low=price, high=stop, qty=qty, price=ratio, **ours),
    ]
    with localcontext(context):
        there = [sent_or_problems(build) for build in builds]
    assert there == [sent_or_problems(build) for build in builds]


def test_a_replacement_is_alike_in_a_decimal_context_of_one_digit() -> None:
    with localcontext(Context(prec=1, traps=[Inexact])):
        sent = tickets.replacement("new", "ALPACA", qty=Decimal("12.345"), price="1234567.891", stop=10**12)
    assert (sent["order_qty"], sent["order_limit_price"], sent["stop_price"]) == (
        "12.345",
        "1234567.891",
        "1000000000000",
    )
