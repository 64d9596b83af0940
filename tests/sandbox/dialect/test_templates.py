"""Templates: what becomes of placeholders, with and without a value."""

from typing import Any

import msgspec
import pytest

from connecttrade_async.sandbox.dialect.templates import placeholders, render, rendered


@pytest.mark.parametrize(
    ("template", "values", "expected"),
    [
        (None, {}, None),
        ("", {}, ""),
        ("Hello {name}, {title}.", {"name": "Jane"}, "Hello Jane, ."),
        ({"a": "{n}"}, {"n": 7}, '{"a":7}'),
        ({"a": "{n}"}, {"n": ["x"]}, '{"a":["x"]}'),
        ({"a": "{n}", "b": 1}, {}, '{"b":1}'),
        ({"a": "{n}", "b": 1}, {"n": None}, '{"b":1}'),
        ({"a": "no {n}", "b": "no {m}"}, {"n": 7}, '{"a":"no 7"}'),
        ({"a": {"b": "{n}"}}, {}, '{"a":{}}'),
        (["{n}", "{m}", 1], {"m": "x"}, '["x",1]'),
        ([{"T": "error", "ok": False, "n": None}], {}, '[{"T":"error","ok":false,"n":null}]'),
        ({"a": "{n}"}, {"n": [{"b": msgspec.Raw(b"1.50")}]}, '{"a":[{"b":1.50}]}'),
        ({"a": "{n}"}, {"n": "{m}", "m": "x"}, '{"a":"{m}"}'),
    ],
)
def test_template_is_filled_in(template: Any, values: dict[str, Any], expected: str | None) -> None:
    assert render(template, values) == expected


def test_template_as_values_is_what_its_text_says() -> None:
    assert rendered({"op": "pong", "id": "{id}"}, {"id": "3"}) == {"op": "pong", "id": "3"}
    assert rendered(None, {}) is None
    assert rendered("{id}", {}) is None


def test_placeholders_are_found_at_any_depth() -> None:
    assert placeholders([{"a": {"b": ["{c}", "of {d}"]}}, "{e}"]) == {"c", "d", "e"}
    assert placeholders(None) == set()
