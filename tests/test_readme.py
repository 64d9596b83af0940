"""The README says what is so: its commands, its code, its tree of errors, its settings, its commands' names."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

import connecttrade_async
from connecttrade_async import ConnectTrade, ConnectTradeError, Endpoints, Limits, Reconnect, Retry, Timeouts
from connecttrade_async.cli import connecttrade
from connecttrade_async.config import ADDRESSES, CLIENT_ID, CLIENT_SECRET
from connecttrade_async.sandbox.faults import rest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_first_screen_has_two_commands_of_one_line_each() -> None:
    first_screen = README.partition("\n## ")[0]
    demo, tests = [block for kind, block in re.findall(r"```(\w+)\n(.*?)```", first_screen, re.DOTALL) if kind == "sh"]
    assert demo.endswith(".venv/bin/connecttrade demo\n")
    assert tests.endswith(".venv/bin/nox -s tests\n")
    assert [command.count("\n") for command in (demo, tests)] == [1, 1]
    assert len(first_screen.splitlines()) <= 24


def test_the_quickstart_is_the_example_and_has_twelve_lines() -> None:
    example = (ROOT / "examples/quickstart.py").read_text("utf-8").partition("\n# ruff:")[0].rstrip()
    quickstart = next(block for kind, block in BLOCKS if kind == "python").rstrip()
    assert quickstart == example
    assert len([line for line in quickstart.splitlines() if line.strip()]) == 12


@pytest.mark.parametrize("code", [block for kind, block in BLOCKS if kind == "python"])
def test_the_code_is_code(code: str) -> None:
    compile(code, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_what_is_linked_exists() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_tree_of_errors_is_the_real_one() -> None:
    drawn = next(block for kind, block in BLOCKS if not kind and block.startswith("ConnectTradeError"))
    found = re.findall(r"^( *)([A-Z]\w+Error)\b", drawn, re.MULTILINE)
    parents: list[str] = []
    for indent, name in found:
        depth = len(indent) // 2
        parents[depth:] = [name]
        kind = getattr(connecttrade_async, name)
        assert [base.__name__ for base in kind.__mro__ if issubclass(base, ConnectTradeError)] == parents[::-1]
    public = {name for name in connecttrade_async.__all__ if name.endswith("Error")}
    assert {name for _, name in found} == public


@pytest.mark.parametrize("settings", [Endpoints, Timeouts, Retry, Reconnect, Limits], ids=lambda kind: kind.__name__)
def test_every_setting_is_there_with_its_default(settings: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(settings):
        default = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
        row = rf"^\| `\w+={settings.__name__}\({field.name}=\.\.\.\)` \| `{re.escape(default)}`"
        assert re.search(row, README, re.MULTILINE), field.name


def test_every_argument_of_the_client_and_every_variable_is_there() -> None:
    for name in list(inspect.signature(ConnectTrade).parameters)[2:]:
        assert f"`{name}=" in README
    for variable in (CLIENT_ID, CLIENT_SECRET, *ADDRESSES.values(), "CONNECTTRADE_USER_ID", "CONNECTTRADE_USER_SECRET"):
        assert f"`{variable}`" in README


def test_every_command_is_there_and_none_else() -> None:
    table = README.partition("## The command")[2].partition("Try it")[0]
    for name in connecttrade.commands:
        assert re.search(rf"`(connecttrade )?{name}[` ]", table), name
    for name in re.findall(r"connecttrade ([a-z]+)", README):
        assert name in connecttrade.commands


def test_every_file_on_the_map_exists_and_every_room_is_on_it() -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", README.partition("## The map")[2].partition("\n## ")[0], re.MULTILINE)
    named = {path for row in rows for path in re.findall(r"`([^`]+)`", row)}
    package = ROOT / "connecttrade_async"
    for path in named:
        assert (package / path).exists() or (ROOT / path).exists(), path
    for room in package.iterdir():
        if not room.name.startswith("__") and room.name != "py.typed":
            assert any(name.startswith(room.name) for name in named), room.name


def test_every_kind_of_fault_is_there() -> None:
    for kind in get_args(rest.Kind):
        assert f"`{kind}`" in README
