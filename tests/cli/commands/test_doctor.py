"""The commands ``doctor``: one line for each assumption, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from connecttrade_async.cli import connecttrade

if TYPE_CHECKING:
    from click.testing import Result

DOCUMENT = Path(__file__).parents[2] / "doctor" / "openapi.json"


def spec(*arguments: str) -> Result:
    # Without credentials in the environment: none are needed.
    empty: dict[str, str | None] = {"CONNECTTRADE_CLIENT_ID": None, "CONNECTTRADE_CLIENT_SECRET": None}
    return CliRunner(env=empty).invoke(connecttrade, ["doctor", "spec", *arguments])


def mutated(tmp_path: Path) -> str:
    document: dict[str, Any] = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    del document["paths"]["/positions"]
    document["components"]["schemas"]["Order"]["properties"]["leverage\u001b[2J"] = {"type": "string"}
    path = tmp_path / "document.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


def test_spec_of_the_assumed_wire_finds_no_difference() -> None:
    result = spec(str(DOCUMENT))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "0 NOT UNDERSTOOD, 0 not seen" in result.stderr
    shown = spec(str(DOCUMENT), "--all").stdout.splitlines()
    assert "GET /orders: query limit: text / number / ok" in shown


def test_spec_prints_a_line_for_each_difference_and_fails(tmp_path: Path) -> None:
    result = spec(mutated(tmp_path))
    assert result.exit_code == 1
    assert "GET /positions: exists / not in the document / NOT UNDERSTOOD" in result.stdout.splitlines()
    assert "\u001b" not in result.stdout
    objects = [json.loads(line) for line in spec(mutated(tmp_path), "--json").stdout.splitlines()]
    assert {"subject", "assumed", "saw", "verdict"} == set(objects[0])
    assert len(objects) == len(result.stdout.splitlines())


def test_spec_explains_what_is_no_document(tmp_path: Path) -> None:
    path = tmp_path / "document.yaml"
    path.write_text("openapi: 3.0.0\n", encoding="utf-8")
    result = spec(str(path))
    assert result.exit_code == 2
    assert "convert it to JSON first" in result.stderr
