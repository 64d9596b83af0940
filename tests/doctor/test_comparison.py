"""The document against ours: no difference in a document of the assumed wire, and each mutation of it is named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given, strategies as st

from connecttrade_async.dialect.value import Dialect
from connecttrade_async.doctor.comparison import compare_operations
from connecttrade_async.doctor.contract import path_key
from connecttrade_async.doctor.findings import Finding, FindingOutcome, is_all_understood
from connecttrade_async.doctor.openapi import read_openapi
from connecttrade_async.doctor.our_contract import our_operations

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parent / "openapi.json").read_text(encoding="utf-8"))
OURS = our_operations()


def inlined(part: Any) -> Any:
    """Return a part of the document with every reference replaced, so that each place can be changed alone."""
    if isinstance(part, list):
        return [inlined(each) for each in cast("list[object]", part)]
    if not isinstance(part, dict):
        return part
    members = cast("dict[str, Any]", part)
    if "$ref" in members:
        found: Any = DOCUMENT
        for name in members["$ref"][2:].split("/"):
            found = found[name]
        return inlined(found)
    return {name: inlined(each) for name, each in members.items()}


INLINED: dict[str, Any] = inlined({**DOCUMENT, "components": {}})


def compared(document: dict[str, Any], dialect: Dialect | None = None) -> list[Finding]:
    return compare_operations(OURS, read_openapi(json.dumps(document).encode()), dialect)


def differences(document: dict[str, Any], dialect: Dialect | None = None) -> dict[str, Finding]:
    """Return what is not as assumed, by subject."""
    return {each.subject: each for each in compared(document, dialect) if each.outcome is not FindingOutcome.OK}


def merged(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema that holds the members: the last under ``allOf``, or itself."""
    return merged(schema["allOf"][-1]) if "allOf" in schema else schema


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_a_document_of_the_assumed_wire_has_no_difference(version: str) -> None:
    findings = compared({**DOCUMENT, "openapi": version})
    assert [each for each in findings if each.outcome is not FindingOutcome.OK] == []
    assert compared(INLINED) == findings
    assert is_all_understood(findings)
    assert len({each.subject for each in findings}) > 200


# --- one change at a time

OPERATIONS = [(path, method) for path, item in INLINED["paths"].items() for method in item if method != "parameters"]
Change = tuple[dict[str, Any], str]


def operation_of(document: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][path][method]
    return found


def schemas_of(operation: dict[str, Any], path: str, method: str) -> list[tuple[str, dict[str, Any]]]:
    """Return each object schema of an operation, with the words that name its place."""
    found: list[tuple[str, dict[str, Any]]] = []

    def visit(words: str, schema: dict[str, Any]) -> None:
        for part in schema.get("allOf", ()):
            visit(words, part)
        if "properties" in schema:
            found.append((words, schema))
        for name, each in schema.get("properties", {}).items():
            visit(f"{words} {name}", each)
        if "items" in schema:
            visit(f"{words} item", schema["items"])

    name = f"{method.upper()} {path}"
    for words, holder in (("request", operation.get("requestBody")), ("response", operation["responses"]["200"])):
        if holder is not None and "content" in holder:
            visit(f"{name}: {words}", holder["content"]["application/json"]["schema"])
    return found


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """Draw a document with one change, and the subject under which it must be named."""
    document = copy.deepcopy(INLINED)
    path, method = draw(st.sampled_from(OPERATIONS))
    operation, name = operation_of(document, path, method), f"{method.upper()} {path}"
    schemas = schemas_of(operation, path, method)
    queries = [each for each in operation.get("parameters", ()) if each["in"] == "query"]
    kinds = ["path", "method", "remove", "error"]
    kinds += ["query name", "query kind", "query required", "query new"] if queries else ["query new"]
    kinds += ["member name", "member kind", "member required", "member null", "member new"] if schemas else []
    kind = draw(st.sampled_from(kinds))
    match kind:
        case "path":
            document["paths"].setdefault(f"/v2{path}", {})[method] = document["paths"][path].pop(method)
        case "method":
            other = draw(st.sampled_from([each for each in ("put", "trace") if each not in document["paths"][path]]))
            document["paths"][path][other] = document["paths"][path].pop(method)
        case "remove":
            del document["paths"][path][method]
        case "error":
            schema = {"type": "object", "properties": {"reason": {"type": "string"}}}
            operation["responses"]["default"]["content"]["application/json"]["schema"] = schema
            return document, f"{name}: error"
        case "query new":
            operation.setdefault("parameters", []).append(
                {"name": "tenant", "in": "query", "required": draw(st.booleans()), "schema": {"type": "string"}}
            )
            return document, f"{name}: query tenant"
        case "query name" | "query kind" | "query required":
            query = draw(st.sampled_from(queries))
            subject = f"{name}: query {query['name']}"
            if kind == "query name":
                query["name"] = f"x_{query['name']}"
            elif kind == "query kind":
                query["schema"] = {"type": draw(st.sampled_from(["boolean", "array", "object"]))}
                query["explode"] = True
            else:
                query["required"] = True
            return document, subject
        case _:
            words, schema = draw(st.sampled_from(schemas))
            if kind == "member new":
                schema["properties"]["surprise"] = {"type": "string"}
                schema["required"] = [*schema.get("required", []), *(["surprise"] if draw(st.booleans()) else [])]
                return document, f"{words} surprise"
            member = draw(st.sampled_from(sorted(schema["properties"])))
            change_member(draw, schema, member, kind)
            return document, f"{words} {member}"
    return document, name


def change_member(draw: st.DrawFn, schema: dict[str, Any], member: str, kind: str) -> None:
    properties, required = schema["properties"], schema.get("required", [])
    given = properties[member]
    match kind:
        case "member name":
            properties[f"x_{member}"] = properties.pop(member)
            schema["required"] = [each for each in required if each != member]
        case "member kind":
            other = draw(st.sampled_from(["number", "boolean"]))
            properties[member] = {"type": other, "nullable": given.get("nullable", False)}
        case "member required":
            is_required = member in required
            schema["required"] = [each for each in required if each != member] if is_required else [*required, member]
        case _:
            # Of a schema under ``allOf`` the null stands beside it.
            given["nullable"] = not given.get("nullable", False)


@given(changes())
def test_each_change_of_the_document_is_named(change: Change) -> None:
    document, subject = change
    found = differences(document)
    assert subject in found
    # Nothing else is blamed: every difference is of the same operation, or of one that was moved.
    operation = subject.partition(":")[0]
    assert all(each.startswith(operation) or each.endswith(operation.partition(" ")[2]) for each in found)


ENUMERATED = [
    ("POST /orders: request side", "/orders", "post"),
    ("POST /orders: request order_tif", "/orders", "post"),
    ("GET /orders: response item status", "/orders", "get"),
    ("GET /connections: response item connection_type", "/connections", "get"),
]


@pytest.mark.parametrize(("subject", "path", "method"), ENUMERATED, ids=[each[0] for each in ENUMERATED])
@given(data=st.data())
def test_each_enumerated_value_that_is_added_or_removed_is_named(
    subject: str, path: str, method: str, data: st.DataObject
) -> None:
    document = copy.deepcopy(INLINED)
    words, _, member = subject.rpartition(" ")
    [schema] = [
        each for where, each in schemas_of(operation_of(document, path, method), path, method) if where == words
    ]
    values: list[str] = merged(schema["properties"][member])["enum"]
    removed = data.draw(st.sampled_from(values))
    if data.draw(st.booleans()):
        values.remove(removed)
        [finding] = [each for each in compared(document) if each.outcome is not FindingOutcome.OK]
        assert removed in finding.assumed
        # A value that is sent must be accepted; one that is read may never come.
        is_sent = "request" in subject
        assert finding.outcome is (FindingOutcome.NOT_UNDERSTOOD if is_sent else FindingOutcome.NOT_SEEN)
    else:
        values.append("something_new")
        [finding] = [each for each in compared(document) if each.outcome is not FindingOutcome.OK]
        assert "something_new" in finding.saw
        assert finding.outcome is FindingOutcome.UNDERSTOOD
    assert finding.subject == subject


# --- what is understood all the same, and what is not


def changed(path: str, method: str, change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    document = copy.deepcopy(INLINED)
    change(operation_of(document, path, method))
    return document


def schema_of(operation: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = operation["responses"]["200"]["content"]["application/json"]["schema"]
    return schema


def wrap(operation: dict[str, Any], *names: str, **more: Any) -> None:
    content = operation["responses"]["200"]["content"]["application/json"]
    members = {**dict.fromkeys(names, content["schema"]), **more}
    content["schema"] = {"type": "object", "properties": members}


def outcomes(document: dict[str, Any], subject: str, dialect: Dialect | None = None) -> set[FindingOutcome]:
    return {each.outcome for each in compared(document, dialect) if each.subject == subject}


def test_a_list_in_an_object_is_understood_where_it_is_the_only_one() -> None:
    one = changed("/accounts", "get", lambda each: wrap(each, "accounts", count={"type": "integer"}))
    assert set(differences(one)) == {"GET /accounts: response"}
    assert is_all_understood(compared(one))
    two = changed("/accounts", "get", lambda each: wrap(each, "accounts", "closed"))
    assert outcomes(two, "GET /accounts: response") == {FindingOutcome.NOT_UNDERSTOOD}
    none = changed("/accounts", "get", lambda each: wrap(each, count={"type": "integer"}))
    assert "nowhere" in differences(none)["GET /accounts: response"].saw


def test_cursors_are_found_in_an_envelope_and_named_where_they_are_elsewhere() -> None:
    text = {"type": "string"}

    def move(operation: dict[str, Any], **cursors: Any) -> None:
        operation["responses"]["200"]["headers"] = {}
        wrap(operation, "orders", **cursors)

    inside = changed("/orders", "get", lambda each: move(each, next_cursor=text, prev_cursor=text))
    assert outcomes(inside, "GET /orders: next cursor") == {FindingOutcome.OK}
    elsewhere = changed("/orders", "get", lambda each: move(each, after_cursor=text, before=text))
    found = differences(elsewhere)
    assert found["GET /orders: next cursor"].saw == "after_cursor"
    assert found["GET /orders: prev cursor"].outcome is FindingOutcome.NOT_UNDERSTOOD
    dialect = Dialect.from_dict({"rest": {"next_cursor": ["after_cursor"], "prev_cursor": ["page.before"]}})
    assert outcomes(elsewhere, "GET /orders: next cursor", dialect) == {FindingOutcome.OK}
    nowhere = changed("/orders", "get", lambda each: each["responses"]["200"].pop("headers"))
    assert differences(nowhere)["GET /orders: next cursor"].saw == "no cursor is described"


def test_numbers_and_camel_case_in_a_response_are_understood_and_in_a_request_are_not() -> None:
    def camel(operation: dict[str, Any]) -> None:
        properties = merged(schema_of(operation)["items"])["properties"]
        properties["lastPrice"] = {**properties.pop("last_price"), "type": "number"}

    positions = changed("/positions", "get", camel)
    assert outcomes(positions, "GET /positions: response item last_price") == {FindingOutcome.UNDERSTOOD}
    assert is_all_understood(compared(positions))

    def rename(operation: dict[str, Any]) -> None:
        operation["parameters"][0]["name"] = "accountId"

    query = differences(changed("/positions", "get", rename))["GET /positions: query account_id"]
    assert (query.saw, query.outcome) == ("accountId", FindingOutcome.NOT_UNDERSTOOD)


def test_what_the_document_leaves_open_is_not_seen() -> None:
    document = changed("/orders", "post", lambda each: each.pop("requestBody"))
    operation_of(document, "/orders", "post")["responses"] = {"200": {"description": ""}}
    assert {name: each.outcome for name, each in differences(document).items()} == {
        "POST /orders: request": FindingOutcome.NOT_SEEN,
        "POST /orders: response": FindingOutcome.NOT_SEEN,
        "POST /orders: error": FindingOutcome.NOT_SEEN,
    }
    opened = changed("/accounts", "get", lambda each: schema_of(each)["items"].clear())
    assert outcomes(opened, "GET /accounts: response item") == {FindingOutcome.NOT_SEEN}
    anything = changed(
        "/orders", "post", lambda each: each["requestBody"]["content"]["application/json"]["schema"].clear()
    )
    assert differences(anything) == {}


def test_a_body_that_must_be_sent_where_none_is_sent_is_not_understood() -> None:
    schema = {"type": "object", "properties": {"reason": {"type": "string"}}, "required": ["reason"]}
    body = {"content": {"application/json": {"schema": schema}}}
    document = changed("/users/{user_id}", "delete", lambda each: each.update(requestBody=body))
    assert outcomes(document, "DELETE /users/{user_id}: request") == {FindingOutcome.NOT_UNDERSTOOD}


def test_unused_operations_and_names_in_paths_are_understood() -> None:
    document = copy.deepcopy(INLINED)
    document["paths"]["/orders/{id}"] = {"get": {"responses": {}}}
    document["paths"]["/users/{id}"] = document["paths"].pop("/users/{user_id}")
    found = differences(document)
    assert found["GET /orders/{id}"].outcome is FindingOutcome.UNDERSTOOD
    assert found["DELETE /users/{user_id}: path"].saw == "/users/{id}"
    assert path_key("/users/{id}/") == path_key("/users/{user_id}")
    assert path_key("/") == "/"


def test_another_form_of_an_error_is_understood_where_its_text_is_found() -> None:
    def nest(operation: dict[str, Any]) -> None:
        text = {"type": "object", "properties": {"message": {"type": "string"}}}
        schema = {"type": "object", "properties": {"errors": {"type": "array", "items": text}}}
        operation["responses"]["default"]["content"]["application/json"]["schema"] = schema

    document = changed("/users", "get", nest)
    assert differences(document)["GET /users: error"].saw == "errors[].message"
    error = operation_of(document, "/users", "get")["responses"]["default"]
    error["content"]["application/json"]["schema"]["properties"]["errors"] = {"type": "string"}
    assert outcomes(document, "GET /users: error") == {FindingOutcome.NOT_UNDERSTOOD}


@pytest.mark.parametrize(("accepts", "outcome"), [(True, FindingOutcome.UNDERSTOOD), (False, FindingOutcome.OK)])
def test_a_member_of_a_request_that_accepts_null_is_understood(accepts: bool, outcome: FindingOutcome) -> None:  # noqa: FBT001 - a column
    def accept_null(operation: dict[str, Any]) -> None:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        schema["properties"]["redirect_url"]["nullable"] = accepts

    document = changed("/connections", "post", accept_null)
    assert outcomes(document, "POST /connections: request redirect_url") == {outcome}


def request_member(name: str, **schema: Any) -> Callable[[dict[str, Any]], object]:
    """Return a change of one member of a request."""

    def change(operation: dict[str, Any]) -> None:
        members = operation["requestBody"]["content"]["application/json"]["schema"]["properties"]
        given = members.pop(name, {})
        if schema:
            members[name] = {**given, **schema}

    return change


def response_member(name: str, **schema: Any) -> Callable[[dict[str, Any]], object]:
    """Return a change of one member of the rows of a response."""

    def change(operation: dict[str, Any]) -> None:
        members = merged(schema_of(operation)["items"])["properties"]
        members[name] = {**members.get(name, {}), **schema}

    return change


def drop(name: str) -> Callable[[dict[str, Any]], object]:
    """Return a removal of one member of the rows of a response."""
    return lambda operation: merged(schema_of(operation)["items"])["properties"].pop(name)


def query(name: str, **fields: Any) -> Callable[[dict[str, Any]], object]:
    """Return a change of one parameter of a query; without fields, its removal."""

    def change(operation: dict[str, Any]) -> None:
        [given] = [each for each in operation["parameters"] if each["name"] == name] or [{"name": name, "in": "query"}]
        operation["parameters"] = [each for each in operation["parameters"] if each is not given]
        if fields:
            operation["parameters"].append({**given, **fields})

    return change


U, N, S = FindingOutcome.UNDERSTOOD, FindingOutcome.NOT_UNDERSTOOD, FindingOutcome.NOT_SEEN
CHANGES: list[tuple[str, Callable[[dict[str, Any]], object], FindingOutcome]] = [
    ("GET /accounts: query broker", query("broker"), N),
    ("GET /accounts: query broker", query("broker", schema={"type": "object"}), N),
    ("GET /accounts: query broker", query("broker", schema={"type": "array", "items": {}}), N),
    ("GET /accounts: query broker", query("broker", required=True), N),
    ("GET /accounts: query tenant", query("tenant", required=True), N),
    ("GET /accounts: query tenant", query("tenant", required=False), U),
    ("POST /connections: request redirect_url", request_member("redirect_url", type="number"), N),
    ("POST /connections: request redirect_url", request_member("redirect_url", nullable=True), U),
    ("POST /orders: request symbol", request_member("symbol", nullable=False), N),
    ("POST /connections: request broker", request_member("broker"), N),
    ("POST /connections: request tenant", request_member("tenant", type="string"), U),
    ("POST /orders: request side", request_member("side", enum=["BUY"]), N),
    ("GET /accounts: response item account_id", response_member("account_id", type="number"), U),
    ("GET /accounts: response item account_id", response_member("account_id", type="boolean"), N),
    ("GET /accounts: response item account_id", response_member("account_id", nullable=True), N),
    ("GET /accounts: response item connection_id", response_member("connection_id", nullable=False), U),
    ("GET /accounts: response item tier", response_member("tier", type="string"), U),
    ("GET /accounts: response item account_id", drop("account_id"), N),
    ("GET /accounts: response item connection_id", drop("connection_id"), S),
]


@pytest.mark.parametrize(
    ("subject", "change", "outcome"), CHANGES, ids=[f"{number} {each[0]}" for number, each in enumerate(CHANGES)]
)
def test_each_kind_of_change_has_its_outcome(
    subject: str, change: Callable[[dict[str, Any]], object], outcome: FindingOutcome
) -> None:
    method, path = subject.partition(":")[0].split(" ")
    found = differences(changed(path, method.lower(), change))
    assert found[subject].outcome is outcome


def test_an_operation_that_moved_is_found_where_it_is() -> None:
    document = copy.deepcopy(INLINED)
    paths = document["paths"]
    paths["/accounts"]["put"] = paths["/accounts"].pop("get")
    paths["/v2/balances"] = paths.pop("/balances")
    del paths["/positions"]
    found = differences(document)
    assert found["GET /accounts"].saw == "only PUT /accounts"
    assert found["GET /balances"].saw == "only GET /v2/balances"
    assert found["GET /positions"].saw == "not in the document"


def test_a_required_name_on_either_side_is_compared() -> None:
    def require(operation: dict[str, Any]) -> None:
        schema = merged(schema_of(operation)["items"])
        schema["required"] = ["connection_id"]

    found = compared(changed("/accounts", "get", require))
    shown = {(each.subject.rpartition(" ")[2], each.saw): each.outcome for each in found}
    assert shown["account_id", "optional"] is FindingOutcome.NOT_UNDERSTOOD
    assert shown["connection_id", "required"] is FindingOutcome.UNDERSTOOD


def test_many_new_values_are_shortened() -> None:
    document = copy.deepcopy(INLINED)
    [(_, schema)] = [
        each for each in schemas_of(document["paths"]["/orders"]["get"], "/orders", "get") if "fills" not in each[0]
    ][:1]
    merged(schema["properties"]["status"])["enum"] += [f"new_{number}" for number in range(20)]
    assert differences(document)["GET /orders: response item status"].saw.endswith(", ...")
