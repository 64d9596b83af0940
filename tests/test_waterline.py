"""Each file below the waterline is fully covered by its own test, and not by the luck of another's."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = "connecttrade_async"
# The project's own settings but for one: its data is kept in parallel files, and here each run has a file to itself.
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
EXCLUDED: list[str] = PROJECT["tool"]["coverage"]["report"]["exclude_also"]

OWN_TEST = {
    "errors.py": "test_errors.py",
    "secret.py": "test_secret.py",
    "config.py": "test_config.py",
    "pacing.py": "test_pacing.py",
    "redirects.py": "test_redirects.py",
    "amounts.py": "test_amounts.py",
    "symbology/__init__.py": "test_symbology.py",
    "symbology/classification.py": "test_symbology.py",
    "symbology/equities.py": "test_symbology.py",
    "symbology/options.py": "test_symbology.py",
    "tickets/__init__.py": "test_tickets.py",
    "tickets/builders.py": "test_tickets.py",
    "tickets/checks.py": "test_tickets.py",
    "tickets/legs.py": "test_tickets.py",
    "tickets/order.py": "test_tickets.py",
    "tickets/reading.py": "test_tickets.py",
    "tickets/strategies.py": "test_tickets.py",
    "analytics/__init__.py": "test_analytics.py",
    "analytics/results.py": "test_analytics.py",
    "models/__init__.py": "models/test_nouns.py",
    "models/accounts.py": "models/test_nouns.py",
    "models/balances.py": "models/test_nouns.py",
    "models/connections.py": "models/test_nouns.py",
    "models/enums.py": "models/test_enums.py",
    "models/events.py": "streaming/test_brokerage.py",
    "models/fields.py": "models/test_fields.py",
    "models/market.py": "streaming/test_market_data.py",
    "models/orders.py": "models/test_nouns.py",
    "models/pages.py": "models/test_nouns.py",
    "models/positions.py": "models/test_nouns.py",
    "models/tokens.py": "models/test_nouns.py",
    "models/transactions.py": "models/test_nouns.py",
    "models/users.py": "models/test_nouns.py",
    "streaming/__init__.py": "streaming/test_protocol.py",
    "streaming/brokerage.py": "streaming/test_brokerage.py",
    "streaming/claims.py": "streaming/test_claims.py",
    "streaming/cutter.py": "streaming/test_cutter.py",
    "streaming/demands.py": "streaming/test_demands.py",
    "streaming/interests.py": "streaming/test_interests.py",
    "streaming/market_data.py": "streaming/test_market_data.py",
    "streaming/messages.py": "streaming/test_messages.py",
    "streaming/outcomes.py": "streaming/test_talk.py",
    "streaming/overlap.py": "streaming/test_overlap.py",
    "streaming/protocol.py": "streaming/test_protocol.py",
    "live/__init__.py": "live/test_book.py",
    "live/book.py": "live/test_book.py",
    "live/changes.py": "live/test_book.py",
    "live/fills.py": "live/test_fills.py",
    "live/merging.py": "live/test_merging.py",
    "live/reports.py": "live/test_reports.py",
    "live/shelf.py": "live/test_book.py",
    "live/tracker.py": "live/test_book.py",
    "streaming/sieves.py": "streaming/test_sieves.py",
    "streaming/talk.py": "streaming/test_talk.py",
    "rest/__init__.py": "rest/test_wire.py",
    "rest/wire.py": "rest/test_wire.py",
    "rest/retry.py": "rest/test_retry.py",
    "rest/comparing.py": "live/test_polled.py",
    "live/handles.py": "live/test_handles.py",
    "live/pace.py": "live/test_poll_plan.py",
    "live/plan.py": "live/test_poll_plan.py",
    "live/polled.py": "live/test_polled.py",
    "live/schedule.py": "live/test_poll_schedule.py",
    "live/standing.py": "live/test_poll_standing.py",
}


def below_the_waterline() -> set[str]:
    """Read the plan of the house from ``test_layers.py``, as text: test files do not import one another."""
    found: dict[str, Any] = {}
    for node in ast.parse((REPOSITORY / "tests" / "test_layers.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and (name := ast.unparse(node.targets[0])) in {"PLAN", "WATERLINE"}:
            found[name] = ast.literal_eval(node.value)
    return {
        f"{module.replace('.', '/')}/__init__.py"
        if (REPOSITORY / PACKAGE / module.replace(".", "/")).is_dir()
        else f"{module.replace('.', '/')}.py"
        for module, floor in found["PLAN"].items()
        if floor in found["WATERLINE"]
    }


def measured(own_test: str, where: Path) -> tuple[str, dict[str, Any]]:
    """Run one test file by itself; return what it said, and what it covered of the files that it answers for."""
    files = [f"{PACKAGE}/{file}" for file, test in OWN_TEST.items() if test == own_test]
    data, report = where / f"{Path(own_test).stem}.coverage", where / f"{Path(own_test).stem}.json"
    settings = where / f"{Path(own_test).stem}.ini"
    excluded = "\n    ".join(["", *EXCLUDED])
    settings.write_text(f"[run]\nbranch = true\n[report]\nexclude_also ={excluded}\n", encoding="utf-8")
    environment = os.environ | {"COVERAGE_FILE": str(data)}
    coverage = [sys.executable, "-m", "coverage"]
    common = [f"--rcfile={settings}", f"--include={','.join(files)}"]
    tested = subprocess.run(  # noqa: S603 - our own interpreter and files
        [*coverage, "run", *common, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/{own_test}"],
        cwd=REPOSITORY,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if tested.returncode:
        return tested.stdout + tested.stderr, {}
    subprocess.run(  # noqa: S603 - likewise
        [*coverage, "json", *common, "-q", "-o", str(report)],
        cwd=REPOSITORY,
        env=environment,
        check=True,
        capture_output=True,
        timeout=60,
    )
    return tested.stdout, json.loads(report.read_text(encoding="utf-8"))["files"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, dict[str, Any]]]:
    where = tmp_path_factory.mktemp("waterline")
    tests = sorted(set(OWN_TEST.values()))
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return dict(zip(tests, pool.map(measured, tests, [where] * len(tests)), strict=True))


def test_every_file_below_the_waterline_has_a_test_of_its_own() -> None:
    assert below_the_waterline() == set(OWN_TEST)


@pytest.mark.timeout(900)  # the first of them waits for a run of every file's own test
@pytest.mark.parametrize("file", OWN_TEST)
def test_its_own_test_covers_every_line_and_branch(file: str, runs: dict[str, tuple[str, dict[str, Any]]]) -> None:
    said, files = runs[OWN_TEST[file]]
    assert f"{PACKAGE}/{file}" in files, said
    found = files[f"{PACKAGE}/{file}"]
    assert (found["missing_lines"], found["missing_branches"]) == ([], [])
    assert "pragma: no" not in (REPOSITORY / PACKAGE / file).read_text(encoding="utf-8")
