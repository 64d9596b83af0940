"""Read an OpenAPI document, version 3.0 or 3.1, into operations that can be compared with ours."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import unquote, urlsplit

import msgspec

from connecttrade_async.doctor.contract import Member, Operation, Shape
from connecttrade_async.errors import ConfigurationError, one_line

__all__ = ["read_openapi"]

METHODS = ("get", "put", "post", "delete", "patch")
MAX_DEPTH = 24  # of schemas inside each other
MAX_REFERENCES = 50_000  # resolved in one document: references that fan out would else take hours
SUCCESS, ERRORS = ("200", "201", "202", "2XX", "2xx"), ("4", "5", "default")
NUMBERS = {"integer": "number"}
_ANY: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
JsonObject = dict[str, Any]


def read_openapi(text: bytes) -> list[Operation]:
    """Read a document.

    Args:
        text: the document, as JSON.

    Returns:
        Its operations, in their order.

    Raises:
        ConfigurationError: it is no JSON, no OpenAPI document of version 3, or a reference in it leads nowhere.
    """
    try:
        document = _ANY.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        hint = (
            ": it looks like YAML, so convert it to JSON first" if _looks_like_yaml(text) else f": {one_line(str(exc))}"
        )
        msg = f"the document must be JSON{hint}"
        raise ConfigurationError(msg) from None
    version = _object(document).get("openapi")
    if not isinstance(version, str) or not version.startswith(("3.0", "3.1")):
        got = repr(version)[:20] if version is not None else "none"
        msg = f"the document must be OpenAPI 3.0 or 3.1, got the version {got}"
        raise ConfigurationError(msg)
    return _DocumentReader(_object(document)).operations()


def _looks_like_yaml(text: bytes) -> bool:
    return text.lstrip()[:1] not in {b"{", b"["} and b"openapi:" in text


def _object(value: object) -> JsonObject:
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


class _DocumentReader:
    """Reads one document."""

    def __init__(self, document: JsonObject) -> None:
        self._document = document
        self._references = 0

    def operations(self) -> list[Operation]:
        prefix = self._prefix()
        found: list[Operation] = []
        for path, given in _object(self._document.get("paths")).items():
            item = self._resolved(given)
            common = _list(item.get("parameters"))
            found += [
                self._operation(method.upper(), prefix + path, _object(item[method]), common)
                for method in METHODS
                if method in item
            ]
        return found

    def _prefix(self) -> str:
        servers = _list(self._document.get("servers"))
        url = _object(servers[0]).get("url") if servers else ""
        try:
            return urlsplit(url).path.rstrip("/") if isinstance(url, str) else ""
        except ValueError:
            return ""

    def _operation(self, method: str, path: str, given: JsonObject, common: list[object]) -> Operation:
        parameters: dict[tuple[str, str], JsonObject] = {}
        for each in (*common, *_list(given.get("parameters"))):  # an operation's own replace those of its path
            parameter = self._resolved(each)
            parameters[str(parameter.get("in")), str(parameter.get("name"))] = parameter
        responses = {str(code): self._resolved(each) for code, each in _object(given.get("responses")).items()}
        success = next((responses[code] for code in SUCCESS if code in responses), _object(None))
        errors = [self._content(each) for code, each in responses.items() if code.startswith(ERRORS)]
        request = self._resolved(given.get("requestBody"))
        return Operation(
            method=method,
            path=path,
            query={name: self._parameter(each) for (place, name), each in parameters.items() if place == "query"},
            body=self._content(request),
            response=self._content(success),
            response_headers=frozenset(name.lower() for name in _object(success.get("headers"))),
            error=next((shape for shape in errors if shape is not None), None),
        )

    def _parameter(self, given: JsonObject) -> Member:
        shape = self._shape(given.get("schema"), MAX_DEPTH)
        is_exploded = "array" in shape.kinds and given.get("explode", True) is True
        return Member(shape, given.get("required") is True, is_exploded)

    def _content(self, given: JsonObject) -> Shape | None:
        content = _object(given.get("content"))
        json_type = next((name for name in content if name.partition(";")[0].strip().endswith("json")), None)
        if json_type is None:
            return None
        return self._shape(_object(content[json_type]).get("schema"), MAX_DEPTH)

    def _resolved(self, given: object) -> JsonObject:
        """Follow the references of an object, within this document."""
        seen: set[str] = set()
        while isinstance(reference := _object(given).get("$ref"), str):
            self._references += 1
            if reference in seen or self._references > MAX_REFERENCES:
                msg = f"the document must have no circle of references, got one at {one_line(reference)}"
                raise ConfigurationError(msg)
            seen.add(reference)
            given = self._target(reference)
        return _object(given)

    def _target(self, reference: str) -> object:
        found: object = self._document
        if reference.startswith("#/"):
            for part in reference[2:].split("/"):
                found = _object(found).get(unquote(part).replace("~1", "/").replace("~0", "~"))
        if not reference.startswith("#/") or found is None:
            msg = f"each reference must lead to a part of the document, got {one_line(reference)}"
            raise ConfigurationError(msg)
        return found

    def _shape(self, given: object, depth: int) -> Shape:
        if not depth:
            return Shape()
        schema = self._resolved(given)
        shape = self._own_shape(schema, depth)
        for part in _list(schema.get("allOf")):
            shape = _both(shape, self._shape(part, depth - 1))
        for name in ("oneOf", "anyOf"):
            if parts := _list(schema.get(name)):
                shape = _both(shape, _either([self._shape(part, depth - 1) for part in parts]))
        return shape

    def _own_shape(self, schema: JsonObject, depth: int) -> Shape:
        given = schema.get("type")
        names = [str(name) for name in (_list(given) or [given]) if name]
        values = [schema["const"]] if "const" in schema else _list(schema.get("enum"))
        required = _list(schema.get("required"))
        members = {
            name: Member(self._shape(each, depth - 1), name in required)
            for name, each in _object(schema.get("properties")).items()
        }
        kinds = {NUMBERS.get(name, name) for name in names if name != "null"}
        if not kinds:
            kinds = {"object"} if members else {"array"} if "items" in schema else set[str]()
            kinds |= {"string"} if any(isinstance(value, str) for value in values) else set[str]()
        return Shape(
            frozenset(kinds),
            schema.get("nullable") is True or "null" in names or (not names and None in values),
            frozenset(value for value in values if isinstance(value, str)),
            members,
            self._shape(schema["items"], depth - 1) if "items" in schema else None,
        )


def _both(one: Shape, other: Shape) -> Shape:
    """Return the shape of what has both shapes, as under ``allOf``."""
    members = dict(one.members)
    for name, member in other.members.items():
        mine = members.get(name)
        members[name] = (
            member if mine is None else Member(_both(mine.shape, member.shape), mine.is_required or member.is_required)
        )
    values = one.values & other.values if one.values and other.values else one.values or other.values
    kinds = one.kinds & other.kinds if one.kinds and other.kinds else one.kinds or other.kinds
    # A reference in ``allOf`` beside ``nullable`` is how version 3.0 makes a reference nullable.
    is_nullable = one.is_nullable or other.is_nullable
    return Shape(kinds, is_nullable, values, members, one.items or other.items)


def _either(shapes: list[Shape]) -> Shape:
    """Return the shape of what has one of some shapes, as under ``oneOf``."""
    known = [shape for shape in shapes if shape.kinds]
    names = dict.fromkeys(name for shape in known for name in shape.members)
    members = {
        name: Member(
            next(shape.members[name].shape for shape in known if name in shape.members),
            all(name in shape.members and shape.members[name].is_required for shape in known),
        )
        for name in names
    }
    is_enumerated = all(shape.values for shape in known)
    return Shape(
        frozenset(kind for shape in known for kind in shape.kinds),
        any(shape.is_nullable or not shape.kinds for shape in shapes),
        frozenset(value for shape in known for value in shape.values) if is_enumerated else frozenset(),
        members,
        next((shape.items for shape in known if shape.items is not None), None),
    )
