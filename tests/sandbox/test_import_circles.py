"""No module of the sandbox imports itself by way of others, not even for types."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "connecttrade_async/sandbox").rglob("*.py")
}


def imports_of(path: Path) -> set[str]:
    found = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
    names = {(node.module or "", alias.name) for node in found for alias in node.names}
    return {f"{module}.{name}" if f"{module}.{name}" in MODULES else module for module, name in names} & MODULES.keys()


def test_sandbox_has_no_import_circle() -> None:
    graph = {name: imports_of(path) for name, path in MODULES.items()}
    assert len(graph) > 80
    TopologicalSorter(graph).prepare()


def test_import_circle_is_found() -> None:
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"c"}, "c": {"a"}}).prepare()
