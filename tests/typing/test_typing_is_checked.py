"""The files beside this one are not run; they count only while both type checkers read them."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
TOOLS: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
CHECKED = sorted(HERE.glob("check_*.py"))


def is_inside(path: Path, roots: list[str]) -> bool:
    return any(path.is_relative_to(REPOSITORY / root) for root in roots)


def test_there_are_files_and_no_other_kind() -> None:
    assert [path.name for path in CHECKED] == ["check_client.py", "check_live.py", "check_models.py"]
    assert {path.name for path in HERE.glob("*.py")} == {path.name for path in CHECKED} | {Path(__file__).name}


@pytest.mark.parametrize("path", CHECKED, ids=lambda path: path.name)
def test_both_type_checkers_read_it(path: Path) -> None:
    assert is_inside(path, TOOLS["mypy"]["files"])
    assert not is_inside(path, TOOLS["mypy"].get("exclude", []))
    assert is_inside(path, TOOLS["pyright"]["include"])
    assert not is_inside(path, [*TOOLS["pyright"].get("exclude", []), *TOOLS["pyright"].get("ignore", [])])


def test_both_type_checkers_are_strict_and_refuse_an_ignore_that_is_not_needed() -> None:
    assert TOOLS["mypy"]["strict"] is True
    assert TOOLS["mypy"].get("warn_unused_ignores", True) is True
    assert TOOLS["mypy"].get("overrides", []) == []
    assert TOOLS["pyright"]["typeCheckingMode"] == "strict"
    assert TOOLS["pyright"]["reportUnnecessaryTypeIgnoreComment"] is True


@pytest.mark.parametrize("path", CHECKED, ids=lambda path: path.name)
def test_each_has_what_must_pass_and_what_must_fail(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    assert sum(ast.unparse(call.func) == "assert_type" for call in calls) > 20
    assert source.count("# type: ignore[") >= 8
    assert "pyright:" not in source
