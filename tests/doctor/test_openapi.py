"""Reading OpenAPI documents of both versions, with references, combined schemas and null in each form."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from connecttrade_async import ConfigurationError
from connecttrade_async.doctor.contract import Member, Operation, Shape
from connecttrade_async.doctor.openapi import read_openapi

TEXT = Shape(frozenset({"string"}))


def document(schema: Any, version: str = "3.0.3", **parts: Any) -> bytes:
    """Return a document with one operation that returns a schema."""
    answer = {"description": "", "content": {"application/json; charset=utf-8": {"schema": schema}}}
    paths = {"/x": {"get": {"responses": {"200": answer}}}}
    return json.dumps({"openapi": version, "paths": paths, **parts}).encode()


def shape_of(schema: Any, version: str = "3.0.3", **schemas: Any) -> Shape:
    [operation] = read_openapi(document(schema, version, components={"schemas": schemas}))
    assert operation.response is not None
    return operation.response


@pytest.mark.parametrize(
    ("schema", "version"),
    [
        ({"type": "string", "nullable": True}, "3.0.0"),
        ({"type": ["string", "null"]}, "3.1.0"),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, "3.1.0"),
        ({"anyOf": [{"type": "null"}, {"$ref": "#/components/schemas/Text"}]}, "3.1.0"),
        ({"nullable": True, "allOf": [{"$ref": "#/components/schemas/Text"}]}, "3.0.3"),
    ],
    ids=["nullable", "list of types", "oneOf", "anyOf", "allOf"],
)
def test_read_openapi_knows_null_in_each_form(schema: Any, version: str) -> None:
    assert shape_of(schema, version, Text={"type": "string"}) == Shape(frozenset({"string"}), is_nullable=True)


def test_read_openapi_merges_all_of() -> None:
    base = {"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]}
    more = {"properties": {"b": {"type": "integer"}, "c": {"enum": ["x", "y"]}}, "required": ["b"]}
    found = shape_of({"allOf": [{"$ref": "#/components/schemas/Base"}, more]}, Base=base)
    assert found.kinds == {"object"}
    assert found.members == {
        "a": Member(TEXT, is_required=True),
        "b": Member(Shape(frozenset({"number"})), is_required=True),
        "c": Member(Shape(frozenset({"string"}), values=frozenset("xy"))),
    }
    narrowed = shape_of({"allOf": [{"enum": ["x", "y"]}, {"enum": ["y", "z"]}, {"type": ["string", "number"]}]})
    assert narrowed == Shape(frozenset({"string"}), values=frozenset("y"))


def test_read_openapi_unites_one_of() -> None:
    one = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a", "b"]}
    other = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    found = shape_of({"oneOf": [one, other]})
    assert {name: member.is_required for name, member in found.members.items()} == {"a": True, "b": False}
    listed = shape_of({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]})
    assert listed == Shape(frozenset({"array", "string"}), items=TEXT)
    words = shape_of({"oneOf": [{"const": "a"}, {"enum": ["b", None]}]}, "3.1.0")
    assert words.values == frozenset("ab")
    assert words.is_nullable
    assert not shape_of({"oneOf": [{"enum": ["a"]}, {"type": "string"}]}).values


def test_read_openapi_reads_parameters_bodies_headers_and_errors() -> None:
    schema = {"type": "object", "properties": {"message": {"type": "string"}}}
    content = {"content": {"application/problem+json": {"schema": schema}}}
    operation: dict[str, Any] = {
        "parameters": [
            {"name": "a", "in": "query", "required": True, "schema": {"type": "string"}},
            {"$ref": "#/components/parameters/list"},
            {"name": "x-trace", "in": "header", "schema": {"type": "string"}},
        ],
        "requestBody": {"$ref": "#/components/requestBodies/body"},
        "responses": {"204": {}, "201": {"headers": {"Next-Cursor": {}}}, "4XX": {"$ref": "#/components/responses/e"}},
    }
    common = [{"name": "a", "in": "query", "schema": {"type": "number"}}, {"name": "b", "in": "query"}]
    paths: dict[str, Any] = {"/x/{id}": {"parameters": common, "post": operation, "summary": "ignored"}}
    components: dict[str, Any] = {
        "parameters": {"list": {"name": "l", "in": "query", "schema": {"type": "array", "items": {}}}},
        "requestBodies": {"body": content},
        "responses": {"e": content},
    }
    servers = [{"url": "https://api.example/v1/"}]
    text = json.dumps({"openapi": "3.1.0", "servers": servers, "paths": paths, "components": components})
    body = Shape(frozenset({"object"}), members={"message": Member(TEXT)})
    assert read_openapi(text.encode()) == [
        Operation(
            method="POST",
            path="/v1/x/{id}",
            query={
                "a": Member(TEXT, is_required=True),
                "b": Member(Shape()),
                "l": Member(Shape(frozenset({"array"}), items=Shape()), is_exploded=True),
            },
            body=body,
            response_headers=frozenset({"next-cursor"}),
            error=body,
        )
    ]


@pytest.mark.parametrize("servers", [[{"url": "http://[x"}], [{"url": 5}], "none", []])
def test_read_openapi_ignores_a_server_without_a_path(servers: Any) -> None:
    assert [each.path for each in read_openapi(document({"type": "string"}, servers=servers))] == ["/x"]


def test_read_openapi_ends_a_schema_that_contains_itself() -> None:
    tree = {"type": "object", "properties": {"child": {"$ref": "#/components/schemas/Tree"}}}
    depth, shape = 0, shape_of({"$ref": "#/components/schemas/Tree"}, Tree=tree)
    while shape.members:
        depth, shape = depth + 1, shape.members["child"].shape
    assert 5 < depth < 50


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "must be JSON"),
        (b"openapi: 3.0.0\npaths: {}", "looks like YAML"),
        (b"\xff\xfe", "must be JSON"),
        (b"[" * 100_000, "must be JSON"),
        (b"[]", "must be OpenAPI 3.0 or 3.1, got the version none"),
        (b'{"swagger": "2.0"}', "must be OpenAPI 3.0 or 3.1, got the version none"),
        (b'{"openapi": "4.0.0"}', "got the version '4.0.0'"),
        (document({"$ref": "other.json#/x"}), "must lead to a part of the document, got other.json#/x"),
        (document({"$ref": "#/components/missing"}), "must lead to a part of the document"),
        (
            document(
                {"$ref": "#/components/schemas/A"}, components={"schemas": {"A": {"$ref": "#/components/schemas/A"}}}
            ),
            "must have no circle",
        ),
    ],
    ids=["empty", "yaml", "bytes", "deep", "list", "swagger", "version", "foreign", "missing", "circle"],
)
def test_read_openapi_refuses_what_is_no_document(text: bytes, words: str) -> None:
    with pytest.raises(ConfigurationError, match=r"the document|each reference") as caught:
        read_openapi(text)
    assert words in str(caught.value)


def test_read_openapi_bounds_references_that_fan_out() -> None:
    schemas: dict[str, Any] = {"L0": {"type": "string"}}
    for level in range(1, 20):
        inner = {"$ref": f"#/components/schemas/L{level - 1}"}
        schemas[f"L{level}"] = {"type": "object", "properties": dict.fromkeys("abcdef", inner)}
    with pytest.raises(ConfigurationError, match="circle of references"):
        shape_of({"$ref": "#/components/schemas/L19"}, **schemas)


NAMES = (
    *("paths", "get", "/x", "responses", "200", "content", "application/json", "schema", "type", "items", "$ref"),
    *("properties", "parameters", "requestBody", "allOf", "enum", "required", "servers", "in"),
)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
        max_leaves=20,
    )
)
def test_read_openapi_takes_or_refuses_any_json(value: Any) -> None:
    for body in ({"openapi": "3.1.0", "paths": {"/x": value}}, {"openapi": "3.0.0", "paths": value}):
        with contextlib.suppress(ConfigurationError):
            read_openapi(json.dumps(body).encode())
