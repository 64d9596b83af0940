"""Names of the wire compared with the fields of models."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from connecttrade_async import Account, Connection, Fill, Order, Position, Quote
from connecttrade_async.census import MAX_NAMES, NameCensus, compare_names, safe_name
from connecttrade_async.models.variants import LearnedNames, compile_model

if TYPE_CHECKING:
    from collections.abc import Callable

MODELS = (Order, Position, Fill, Account, Connection, Quote)
LOG = logging.getLogger("connecttrade_async.tests.census")


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


CASES: dict[str, Callable[[str], str]] = {
    "snake": str,
    "camel": camel,
    "pascal": lambda name: camel(f"_{name}"),
    "kebab": lambda name: name.replace("_", "-"),
    "upper": str.upper,
}


def wire_names(model: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(each.encode_name for each in msgspec.structs.fields(model) if not each.encode_name.startswith("_"))


@given(data=st.data(), case=st.sampled_from(sorted(CASES)), model=st.sampled_from(MODELS))
def test_compare_names_in_any_case_finds_every_name(
    data: st.DataObject, case: str, model: type[msgspec.Struct]
) -> None:
    names = data.draw(st.sets(st.sampled_from(wire_names(model))))
    others = data.draw(st.sets(st.sampled_from(("venue", "market", "tradeVenue"))))
    report = compare_names([{CASES[case](name): "1" for name in names} | dict.fromkeys(others, "1")], model)
    assert set(report.unread) == others
    assert set(report.absent) == set(wire_names(model)) - names
    assert set(report.respelled) == {CASES[case](name) for name in names if CASES[case](name) != name}


def test_compare_names_counts_a_name_as_absent_only_if_no_row_has_it() -> None:
    rows = [{"symbol": "A", "quantity": "1"}, {"symbol": "B", "last_price": "2", "venue": "X"}]
    report = compare_names(rows, Position)
    assert report.unread == ("venue",)
    assert not {"symbol", "quantity", "last_price"} & set(report.absent)
    assert "average_price" in report.absent


def test_compare_names_descends_into_lists_of_models() -> None:
    fills = [{"fill_id": "1", "quantity": "1", "liquidity": "maker"}, "no object"]
    report = compare_names([{"order_id": "1", "order_qty": "1", "fills": fills}], Order)
    assert report.unread == ("fills[].liquidity",)
    assert {"fills[].time", "fills[].price", "legs"} <= set(report.absent)
    assert report.numberless == ()


def test_compare_names_descends_into_an_object_in_place_of_a_list() -> None:
    report = compare_names([{"order_id": "1", "order_qty": "1", "fills": {"venue": "X"}}], Order)
    assert report.unread == ("fills.venue",)
    assert report.numberless == ("Fill",)


@pytest.mark.parametrize("value", [None, ""], ids=["null", "empty"])
def test_compare_names_reports_a_model_without_any_number(value: Any) -> None:
    assert compare_names([{"symbol": "A", "quantity": value, "qty": "5"}], Position).numberless == ("Position",)
    assert compare_names([{"symbol": "A", "quantity": value, "lastPrice": "5"}], Position).numberless == ()
    assert compare_names([{"account_id": "A"}], Account).numberless == ()


def test_compare_names_leaves_out_the_tag_and_names_that_are_read_elsewhere() -> None:
    frame = {"type": "quote", "symbol": "A", "bid_price": "1", "userId": "u"}
    assert compare_names([frame], Quote, also_read=("user_id",)).unread == ()
    assert compare_names([frame], Quote).unread == ("userId",)


def test_compare_names_skips_values_that_are_no_objects() -> None:
    assert compare_names([1, None, "x"], Account).unread == ()


@given(st.text())
def test_safe_name_never_shows_a_name_with_digits(name: str) -> None:
    assert safe_name(f"a1{name}") == f"name({len(name) + 2})"


def test_census_compares_a_kind_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOG.name)
    census = NameCensus(LOG)
    assert census.is_due("GET /accounts")
    census.add("GET /accounts", [{"account_id": "1", "nickname": "x"}], Account)
    assert not census.is_due("GET /accounts")
    assert census.is_due("GET /orders")
    assert census.unread == {"GET /accounts": ("nickname",)}
    first, second = (record.getMessage() for record in caplog.records)
    assert first == "GET /accounts: names that came and are not read: nickname"
    assert second.startswith("GET /accounts: names that did not come: ")


def test_census_logs_nothing_where_all_names_agree(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOG.name)
    census = NameCensus(LOG)
    census.add("GET /accounts", [dict.fromkeys(wire_names(Account), "1")], Account)
    assert (caplog.records, census.unread) == ([], {})


def test_census_warns_where_no_number_came(caplog: pytest.LogCaptureFixture) -> None:
    NameCensus(LOG).add("GET /positions", [{"symbol": "A", "qty": "5"}], Position)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "GET /positions: no number of Position came, so each of them is None"


def test_census_shortens_a_long_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOG.name)
    NameCensus(LOG).add("GET /accounts", [{"x" * length: 1 for length in range(1, MAX_NAMES + 6)}], Account)
    assert caplog.records[0].getMessage().endswith(" and 5 more")


def test_compare_names_of_a_compiled_model_knows_the_documented_names_of_its_fields() -> None:
    variant = compile_model(Position, LearnedNames(aliases={(Position, "quantity"): "qty"})).variant
    report = compare_names([{"symbol": "A", "quantity": "1", "size": "2"}], variant)
    assert report.respelled == ("quantity",)
    assert report.unread == ("size",)
