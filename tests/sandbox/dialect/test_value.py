"""A dialect as a value: from JSON and back."""

import json

import pytest

from connecttrade_async.sandbox.dialect import PRESETS, SandboxDialect


@pytest.mark.parametrize("name", PRESETS)
def test_dialect_written_as_json_is_read_back_equal(name: str) -> None:
    preset = PRESETS[name]
    assert preset.name == name
    assert SandboxDialect.from_dict(json.loads(json.dumps(preset.to_dict()))) == preset


@pytest.mark.parametrize("members", [{"name": 7}, {"brokerag": {}}, {"brokerage": {"nothing": 1}}, {"rest": None}])
def test_dialect_from_dict_with_a_wrong_member_raises_value_error(members: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"^dialect must be an object with the fields of a dialect, got one where "):
        SandboxDialect.from_dict(members)
