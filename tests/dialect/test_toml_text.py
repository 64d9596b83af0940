"""Any plain values become TOML that the standard library decodes to the same values."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given, strategies as st

from connecttrade_async.dialect.toml_text import encode_toml

TEXT = st.text("ab\"\\'= .\n\x7f\x00é€\U0001f600", max_size=6)
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(TEXT, VALUES, max_size=6), st.frozensets(TEXT, max_size=2))
def test_encode_toml_writes_what_tomllib_reads(values: dict[str, Any], inline: frozenset[str]) -> None:
    assert tomllib.loads(encode_toml(values, inline)) == values


def test_encode_toml_writes_tables_and_inline_tables() -> None:
    values = {"a": {"b": {"c": "x"}, "d": True}, "e": {}, "f": {"g": [{"h": "\x7f"}]}, "i": {"j k": 1.5}}
    assert encode_toml(values, frozenset({"i"})) == (
        'i = {"j k" = 1.5}\n\n[a]\nd = true\n\n[a.b]\nc = "x"\n\n[e]\n\n[f]\ng = [{h = "\\u007F"}]\n'
    )
