"""The dialect that a document describes."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from connecttrade_async.dialect.value import Dialect
from connecttrade_async.doctor.contract import Member, Operation, Shape
from connecttrade_async.doctor.document_dialect import dialect_of_document
from connecttrade_async.doctor.openapi import read_openapi
from connecttrade_async.doctor.our_contract import our_operations

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parent / "openapi.json").read_text(encoding="utf-8"))
OURS = our_operations()


def described(text: str) -> Dialect:
    return dialect_of_document(OURS, read_openapi(text.encode()), Dialect.default)


def test_a_document_of_the_assumed_wire_changes_nothing() -> None:
    assert described(json.dumps(DOCUMENT)).to_toml().strip() == ""


def test_names_in_another_case_are_those_of_requests_and_cursors() -> None:
    text = json.dumps(DOCUMENT).replace("next_cursor", "nextCursor").replace("redirect_url", "redirectUrl")
    rest = described(text).rest
    assert rest.next_parameter == "nextCursor"
    assert rest.names == {"redirect_url": "redirectUrl"}
    assert rest.prev_parameter == "prev_cursor"


def test_a_list_and_its_cursor_in_an_object_are_found() -> None:
    document = copy.deepcopy(DOCUMENT)
    content = document["paths"]["/orders"]["get"]["responses"]["200"]["content"]["application/json"]
    content["schema"] = {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": {"$ref": "#/components/schemas/Order"}},
            "next_page_cursor": {"type": "string"},
        },
    }
    rest = described(json.dumps(document)).rest
    assert rest.lists["orders"] == "items"
    assert rest.next_cursor == ("next_page_cursor", "next_cursor")
    assert rest.prev_cursor == ("prev_cursor",)


def test_operations_without_bodies_and_unknown_ones_are_left_alone() -> None:
    array = Shape(frozenset({"array"}), items=Shape())
    query = {"symbols": Member(Shape())}
    ours = [Operation(method="GET", path="/a", query=query, response=array), Operation(method="GET", path="/b")]
    theirs = [Operation(method="GET", path="/a")]
    assert dialect_of_document(ours, theirs, Dialect.default) == Dialect.default
