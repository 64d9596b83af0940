"""One answer against its model: the form, the names, the numbers and the words."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connecttrade_async.doctor.answers import answer_findings, page_findings
from connecttrade_async.doctor.findings import FindingOutcome
from connecttrade_async.models import ConnectionToken, Order, Page, Position

ORDER: dict[str, object] = {
    "order_id": "o1",
    "account_id": "a",
    "symbol": "AAPL",
    "status": "working",
    "order_qty": "1",
    "legs": [],
}


def found(plain: Any, *rows: dict[str, Any], problem: str = "") -> dict[str, tuple[str, FindingOutcome]]:
    value = [msgspec.convert(row, Order) for row in rows]
    findings = answer_findings("GET /orders", Order, plain, value, problem, is_list=True)
    return {each.subject.removeprefix("GET /orders"): (each.saw, each.outcome) for each in findings}


def test_answer_findings_of_the_assumed_form_are_ok_or_not_seen() -> None:
    shown = found([ORDER], ORDER)
    assert shown.pop("") == ("an array", FindingOutcome.OK)
    assert {outcome for _, outcome in shown.values()} == {FindingOutcome.NOT_SEEN}
    assert ": avg_fill_price" in shown
    assert ": order_qty" not in shown


@pytest.mark.parametrize(
    ("plain", "form"),
    [
        ({"orders": [ORDER], "next_cursor": None}, "an object with orders"),
        ({"data": {"orders": [ORDER]}}, "an object"),
        (None, "null"),
    ],
)
def test_answer_findings_name_another_form_that_was_understood(plain: Any, form: str) -> None:
    shown = found(plain, ORDER)
    assert shown[""] == (form, FindingOutcome.UNDERSTOOD)
    assert (": rows" in shown) == (plain is None)


@pytest.mark.parametrize(("plain", "form"), [("busy", "a text"), (7, "a number"), ([], "an array")])
def test_answer_findings_name_what_could_not_be_read(plain: Any, form: str) -> None:
    assert found(plain, problem="no list")[""] == (f"{form}: no list", FindingOutcome.NOT_UNDERSTOOD)


def test_answer_findings_name_other_names_numbers_and_words() -> None:
    row = {"order_id": "o1", "venue": True, "accountId": "a", "filled_qty": 1.5, "legs": [{"ratio": True}], "lots": [2]}
    value = {"order_id": "o1", "status": "queued", "legs": [{"action": "FLIP"}]}
    shown = found([row, None], value)
    assert shown[": accountId"][1] is FindingOutcome.UNDERSTOOD
    assert shown[": venue"] == ("comes", FindingOutcome.UNDERSTOOD)
    assert shown[": numbers"] == ("bare", FindingOutcome.UNDERSTOOD)
    assert shown[": status"] == ("queued", FindingOutcome.UNDERSTOOD)
    assert shown[": action"] == ("FLIP", FindingOutcome.UNDERSTOOD)


def test_answer_findings_of_a_model_without_any_number_are_not_understood() -> None:
    rows = [{"symbol": "AAPL", "qty": "1", "cost": "2"}]
    findings = answer_findings("GET /positions", Position, rows, [], "", is_list=True)
    assert [each.outcome for each in findings].count(FindingOutcome.NOT_UNDERSTOOD) == 1


def test_answer_findings_take_one_object() -> None:
    token = {"access_token": "secret", "expires_at": "2026-12-01T00:00:00Z"}
    findings = answer_findings("GET token", ConnectionToken, token, None, "", is_list=False)
    assert [(each.saw, each.outcome) for each in findings] == [("an object", FindingOutcome.OK)]
    [listed, *_] = answer_findings("GET token", ConnectionToken, [token], None, "", is_list=False)
    assert listed.saw == "an array"


def page(*ids: str) -> Page[Order]:
    return Page(items=tuple(Order(order_id=each, account_id="a") for each in ids))


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        (page("1", "2"), page("3"), FindingOutcome.OK),
        (page("1", "2"), page("2", "3"), FindingOutcome.NOT_UNDERSTOOD),
        (page("1", "2"), None, FindingOutcome.NOT_UNDERSTOOD),
        (page("1"), None, FindingOutcome.NOT_SEEN),
    ],
    ids=["other orders", "the same order", "no cursor", "few orders"],
)
def test_page_findings_know_whether_a_cursor_leads_on(
    first: Page[Order], second: Page[Order] | None, outcome: FindingOutcome
) -> None:
    assert [each.outcome for each in page_findings(first, second, 2)] == [outcome]
