"""Our own side of a comparison: found by calling the request builders, not by a second list."""

from __future__ import annotations

import pytest

from connecttrade_async.doctor.our_contract import our_operations

OPERATIONS = {operation.name: operation for operation in our_operations()}


def test_our_operations_are_those_of_the_resources() -> None:
    assert set(OPERATIONS) == {
        "POST /users",
        "GET /users",
        "DELETE /users/{user_id}",
        "POST /connections",
        "GET /connections",
        "DELETE /connections/{connection_id}",
        "GET /connections/{connection_id}/token",
        "POST /auth/tokens/user",
        "GET /accounts",
        "GET /balances",
        "GET /positions",
        "GET /orders",
        "POST /orders",
        "PATCH /accounts/{account_id}/orders/{order_id}",
        "DELETE /accounts/{account_id}/orders/{order_id}",
        "GET /transactions",
    }


@pytest.mark.parametrize(
    ("name", "always", "sometimes"),
    [
        ("POST /connections", {"connection_type", "redirect_url"}, {"broker"}),
        ("POST /users", {"user_id"}, set[str]()),
        (
            "PATCH /accounts/{account_id}/orders/{order_id}",
            {"new_cl_order_id", "broker"},
            {"order_qty", "order_notional", "order_limit_price", "stop_price"},
        ),
    ],
)
def test_our_operations_know_what_is_always_sent(name: str, always: set[str], sometimes: set[str]) -> None:
    body = OPERATIONS[name].body
    assert body is not None
    assert {each for each, member in body.members.items() if member.is_required} == always
    assert {each for each, member in body.members.items() if not member.is_required} == sometimes


def test_our_operations_have_the_filters_and_the_models_of_listings() -> None:
    orders = OPERATIONS["GET /orders"]
    assert set(orders.query) >= {"limit", "next_cursor", "prev_cursor", "status", "symbols", "account_id"}
    assert orders.response is not None
    assert orders.response.items is not None
    members = orders.response.items.members
    assert members["order_id"].is_required
    assert members["status"].shape.is_nullable
    assert "partially_filled" in members["status"].shape.values
    assert members["fills"].shape.items is not None
    assert OPERATIONS["DELETE /users/{user_id}"].response is None
