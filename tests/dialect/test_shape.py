"""The shape of a dialect's values: each message names the key, the rule and the value."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, strategies as st

from connecttrade_async.dialect.shape import check_shape
from connecttrade_async.errors import ConfigurationError


class Inner(msgspec.Struct, frozen=True, kw_only=True):
    when: dict[str, bool | str | tuple[str, ...]]
    meaning: Literal["one", "two"] = msgspec.field(name="is")


class Outer(msgspec.Struct, frozen=True, kw_only=True):
    text: str = ""
    flag: bool = False
    seconds: float = 1.0
    texts: tuple[str, ...] = ()
    inner: tuple[Inner, ...] = ()
    form: dict[str, Any] | list[Any] = msgspec.field(default_factory=dict[str, Any])
    table: dict[str, dict[str, str]] = msgspec.field(default_factory=dict[str, dict[str, str]])


class Wide(msgspec.Struct):
    a: str = ""
    b: str = ""
    c: str = ""
    d: str = ""
    e: str = ""
    f: str = ""
    g: str = ""
    h: str = ""
    i: str = ""
    j: str = ""
    k: str = ""
    m: str = ""
    n: str = ""


@pytest.mark.parametrize(
    "value",
    [
        {},
        Outer(),
        Outer(inner=(Inner(when={"a": True}, meaning="one"),)),
        {"text": "a", "flag": True, "seconds": 3, "texts": ["a"], "form": ["x", None]},
        {"inner": [{"when": {"a": "b", "c": ["d"], "e": False}, "is": "two"}]},
        {"table": {"order": {"a": "b"}}, "form": {"a": {"b": 1}}},
    ],
    ids=["empty", "part", "nested-part", "plain", "rules", "tables"],
)
def test_check_shape_accepts_parts_and_plain_values(value: object) -> None:
    check_shape("", value, Outer)


REFUSED: list[tuple[Any, str]] = [
    ({"text": 3}, "text must be text, got int"),
    ({"text": None}, "text must be text, got None"),
    ({"flag": "yes"}, "flag must be true or false, got 'yes'"),
    ({"seconds": 0}, "seconds must be seconds above 0, at most 3600, got 0"),
    ({"seconds": True}, "seconds must be seconds above 0, at most 3600, got True"),
    ({"seconds": float("nan")}, "seconds must be seconds above 0, at most 3600, got nan"),
    ({"seconds": 10**400}, "seconds must be seconds above 0, at most 3600, got int"),
    ({"seconds": "1"}, "seconds must be seconds above 0, at most 3600, got '1'"),
    ({"texts": "a"}, "texts must be a list, got str"),
    ({"texts": ["a", 1]}, "texts[1] must be text, got int"),
    ({"inner": [{"when": {}}]}, "inner[0] must have the key is, got a table without it"),
    (
        {"inner": [{"when": {"a": 1}, "is": "one"}]},
        "inner[0].when.a must be true or false or text or a list, got int",
    ),
    ({"inner": [{"when": {"a": ["b", 2]}, "is": "one"}]}, "inner[0].when.a[1] must be text, got int"),
    ({"inner": [{"when": {}, "is": "three"}]}, "inner[0].is must be one of one, two, got 'three'"),
    ({"inner": [{"when": {}, "is": 1}]}, "inner[0].is must be one of one, two, got int"),
    ({"inner": ["x"]}, "inner[0] must be a table, got str"),
    ({"form": "secret"}, "form must be a table or a list, got str"),
    ({"table": {"order": "x"}}, "table.order must be a table, got str"),
    ({"table": {"order": {"a": 1}}}, "table.order.a must be text, got int"),
    ({"table": {1: {}}}, "each key of table must be a non-empty text, got int"),
    ({"": 1}, "each key of a dialect must be a non-empty text, got ''"),
    (
        {"txet": 1},
        "each key of a dialect must be one of text, flag, seconds, texts, inner, form, table, got 'txet'",
    ),
    ([], "a dialect must be a table, got list"),
    (None, "a dialect must be a table, got NoneType"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED, ids=range(len(REFUSED)))
def test_check_shape_refuses_other_values_by_their_key(value: object, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_shape("", value, Outer)
    assert str(caught.value) == message


def test_check_shape_lists_only_the_first_keys_of_a_large_table() -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_shape("wide", {"x": ""}, Wide)
    expected = "each key of wide must be one of a, b, c, d, e, f, g, h, i, j, k, m, ..., got 'x'"
    assert str(caught.value) == expected


TEXT = st.text("abcde", max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(Outer.__struct_encode_fields__), JSON))
def test_check_shape_accepts_only_what_converts(value: dict[str, Any]) -> None:
    try:
        check_shape("", value, Outer)
    except ConfigurationError:
        return
    assert isinstance(msgspec.convert(value, Outer), Outer)
