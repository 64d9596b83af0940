"""README and docs agree with the code: commands, code blocks, error tree, settings, arguments, map of packages."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

import connecttrade_async
from connecttrade_async import ConnectTrade, ConnectTradeError, Endpoints, Limits, Reconnect, Retry, Timeouts
from connecttrade_async.cli import connecttrade
from connecttrade_async.config import ADDRESSES, CLIENT_ID, CLIENT_SECRET, INSECURE
from connecttrade_async.rest.retry import FAILURES
from connecttrade_async.sandbox.faults import rest as rest_faults, stream as stream_faults

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "connecttrade_async"
DOCS = {path.stem: path.read_text("utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
README = (ROOT / "README.md").read_text("utf-8")
PAGES = sorted(path for place in (ROOT, ROOT / "docs") for path in place.glob("*.md"))
MAX_LINES = 250
FIRST_SCREEN = 24
QUICKSTART = 12


def blocks_of(text: str, kind: str) -> list[str]:
    return [
        code for found, code in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) if found == kind
    ]


CODE = [(path.name, code) for path in PAGES for code in blocks_of(path.read_text("utf-8"), "python")]


def anchors_of(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


def first_column(table: str) -> list[str]:
    return re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)


def test_readme_has_two_commands_of_one_line_each_on_its_first_screen() -> None:
    first_screen = README.partition("\n## ")[0]
    demo, tests = blocks_of(first_screen, "sh")
    assert demo.endswith(".venv/bin/connecttrade demo\n")
    assert tests.endswith(".venv/bin/nox -s tests\n")
    assert [command.count("\n") for command in (demo, tests)] == [1, 1]
    assert len(first_screen.splitlines()) <= FIRST_SCREEN


def test_readme_has_at_most_250_lines() -> None:
    assert len(README.splitlines()) <= MAX_LINES


def test_readme_quickstart_is_the_example_and_has_twelve_lines() -> None:
    example = (ROOT / "examples/quickstart.py").read_text("utf-8").partition("\n# ruff:")[0].rstrip()
    quickstart = blocks_of(README, "python")[0].rstrip()
    assert quickstart == example
    assert len([line for line in quickstart.splitlines() if line.strip()]) == QUICKSTART


@pytest.mark.parametrize("page", DOCS)
def test_readme_links_to_every_page_of_the_docs(page: str) -> None:
    assert f"](docs/{page}.md" in README


@pytest.mark.parametrize(("page", "code"), CODE)
def test_code_block_compiles(page: str, code: str) -> None:
    compile(code, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize(("page", "code"), CODE)
def test_code_block_imports_names_that_exist(page: str, code: str) -> None:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("connecttrade_async"):
            module = importlib.import_module(str(node.module))
            for name in node.names:
                assert hasattr(module, name.name), (page, name.name)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_link_leads_to_a_file_and_a_heading_that_exist(path: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", path.read_text("utf-8")):
        linked = path.parent / target if target else path
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors_of(linked.read_text("utf-8")), (target, anchor)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_page_has_no_line_over_120_characters_but_tables_and_code(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")] == []


def test_docs_draw_the_error_tree_as_it_is() -> None:
    drawn = next(block for block in blocks_of(DOCS["errors"], "") if block.startswith("ConnectTradeError"))
    found = re.findall(r"^( *)([A-Z]\w+Error)\b", drawn, re.MULTILINE)
    parents: list[str] = []
    for indent, name in found:
        depth = len(indent) // 2
        parents[depth:] = [name]
        kind = getattr(connecttrade_async, name)
        assert [base.__name__ for base in kind.__mro__ if issubclass(base, ConnectTradeError)] == parents[::-1]
    public = {name for name in connecttrade_async.__all__ if name.endswith("Error")}
    assert {name for _, name in found} == public


def test_docs_name_every_attribute_in_the_error_tree_as_the_class_has_it() -> None:
    for name, attributes in re.findall(r"^ *([A-Z]\w+Error)\b.*\((\.[^;)]*)", DOCS["errors"], re.MULTILINE):
        kind = getattr(connecttrade_async, name)
        known = set(inspect.signature(kind).parameters) | {member for member in dir(kind) if not member.startswith("_")}
        assert {word.strip("()") for word in re.findall(r"\.(\w+)", attributes)} <= known, name


def test_docs_name_every_kind_of_transport_error() -> None:
    for kind in FAILURES:
        assert f"`{kind}`" in DOCS["errors"]


@pytest.mark.parametrize("settings", [Endpoints, Timeouts, Retry, Reconnect, Limits], ids=lambda kind: kind.__name__)
def test_docs_name_every_setting_with_its_default(settings: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(settings):
        default = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
        row = rf"^\| `\w+={settings.__name__}\({field.name}=\.\.\.\)` \| `{re.escape(default)}`"
        assert re.search(row, DOCS["settings"], re.MULTILINE), field.name


def test_docs_name_every_argument_of_the_client_and_every_variable() -> None:
    for name in list(inspect.signature(ConnectTrade).parameters)[2:]:
        assert f"`{name}=" in DOCS["settings"]
    users = ("CONNECTTRADE_USER_ID", "CONNECTTRADE_USER_SECRET")
    for variable in (CLIENT_ID, CLIENT_SECRET, INSECURE, *ADDRESSES.values(), *users):
        assert f"`{variable}`" in DOCS["settings"]


@pytest.mark.parametrize(("method", "page"), [("poll", "polling"), ("live", "live-books")])
def test_docs_name_every_argument_with_its_default(method: str, page: str) -> None:
    for name, parameter in list(inspect.signature(getattr(ConnectTrade, method)).parameters.items())[1:]:
        row = re.search(rf"^\| `{name}` \| (.*?) \|", DOCS[page], re.MULTILINE)
        assert row, name
        shown = row[1].strip("`")
        if isinstance(parameter.default, int | float) and not isinstance(parameter.default, bool):
            assert float(shown) == parameter.default, name


def test_docs_name_every_command_and_no_other() -> None:
    table = DOCS["command"].partition("Try it")[0]
    for name in connecttrade.commands:
        assert re.search(rf"`(connecttrade )?{name}[` ]", table), name
    for text in (README, *DOCS.values()):
        for name in re.findall(r"^`?connecttrade ([a-z]+)|`connecttrade ([a-z]+)", text, re.MULTILINE):
            assert (name[0] or name[1]) in connecttrade.commands


def test_docs_map_names_only_paths_that_exist_and_every_part_of_the_package() -> None:
    rows = first_column(DOCS["architecture"].partition("## Map")[2].partition("\n## ")[0])
    named = {path for row in rows for path in re.findall(r"`([^`]+)`", row)}
    for path in named:
        assert (PACKAGE / path).exists() or (ROOT / path).exists(), path
    for part in PACKAGE.iterdir():
        if not part.name.startswith("__") and part.name != "py.typed":
            assert any(name.startswith(part.name) for name in named), part.name


def test_docs_name_every_kind_of_fault() -> None:
    for kind in (*get_args(rest_faults.Kind), *get_args(stream_faults.StreamKind)):
        assert f"`{kind}`" in DOCS["sandbox"]


@pytest.mark.parametrize("fact", ["(documented)", "(seen)", "(assumed)", "no frame has been published"])
def test_readme_says_that_the_frames_of_the_streams_are_assumed(fact: str) -> None:
    assert fact in README.partition("## Brokerage stream")[2].partition("\n## ")[0]
