"""Each module without I/O is fully covered by its own test file, not by chance through another's."""

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
# The project's coverage settings, except its parallel data files: here each run has a file of its own.
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
EXCLUDED: list[str] = PROJECT["tool"]["coverage"]["report"]["exclude_also"]

OWN_TEST = {
    "_version.py": "test_exports.py",
    "errors.py": "test_errors.py",
    "secret.py": "test_secret.py",
    "config.py": "test_config.py",
    "pacing.py": "test_pacing.py",
    "oauth.py": "test_oauth.py",
    "amounts.py": "test_amounts.py",
    "symbology/__init__.py": "test_symbology.py",
    "symbology/classification.py": "test_symbology.py",
    "symbology/equities.py": "test_symbology.py",
    "symbology/options.py": "test_symbology.py",
    "tickets/__init__.py": "test_tickets.py",
    "tickets/builders.py": "test_tickets.py",
    "tickets/validation.py": "test_tickets.py",
    "tickets/legs.py": "test_tickets.py",
    "tickets/ticket.py": "test_tickets.py",
    "tickets/strategies.py": "test_tickets.py",
    "analytics.py": "test_analytics.py",
    "models/__init__.py": "models/test_nouns.py",
    "models/accounts.py": "models/test_nouns.py",
    "models/balances.py": "models/test_nouns.py",
    "models/connections.py": "models/test_nouns.py",
    "models/enums.py": "models/test_enums.py",
    "models/events.py": "streaming/test_brokerage_codec.py",
    "models/fields.py": "models/test_fields.py",
    "models/market.py": "market_data/test_codec.py",
    "models/mentions.py": "models/test_nouns.py",
    "models/orders.py": "models/test_nouns.py",
    "models/pages.py": "models/test_nouns.py",
    "models/positions.py": "models/test_nouns.py",
    "models/tokens.py": "models/test_nouns.py",
    "models/transactions.py": "models/test_nouns.py",
    "models/users.py": "models/test_nouns.py",
    "streaming/__init__.py": "streaming/test_protocol.py",
    "streaming/brokerage_codec.py": "streaming/test_brokerage_codec.py",
    "market_data/__init__.py": "market_data/test_codec.py",
    "market_data/registry.py": "market_data/test_registry.py",
    "streaming/frames.py": "streaming/test_frames.py",
    "streaming/filters.py": "streaming/test_filters.py",
    "market_data/codec.py": "market_data/test_codec.py",
    "streaming/codec.py": "streaming/test_codec.py",
    "market_data/sync_events.py": "market_data/test_subscription_sync.py",
    "market_data/handover.py": "market_data/test_handover.py",
    "streaming/protocol.py": "streaming/test_protocol.py",
    "live/__init__.py": "books/test_book.py",
    "books/book.py": "books/test_book.py",
    "books/changes.py": "books/test_book.py",
    "books/fills.py": "books/test_fills.py",
    "books/merge.py": "books/test_merge.py",
    "books/__init__.py": "books/test_book.py",
    "live/doubt_budget.py": "live/test_doubt_budget.py",
    "live/status.py": "live/test_status.py",
    "books/keyed_state.py": "books/test_book.py",
    "books/order_tracker.py": "books/test_book.py",
    "market_data/filters.py": "market_data/test_filters.py",
    "market_data/subscription_sync.py": "market_data/test_subscription_sync.py",
    "rest/__init__.py": "rest/test_wire.py",
    "rest/wire.py": "rest/test_wire.py",
    "rest/retry.py": "rest/test_retry.py",
    "rest/digests.py": "rest/test_digests.py",
    "validation.py": "test_validation.py",
    "polling/__init__.py": "polling/test_schedule.py",
    "polling/config.py": "polling/test_config.py",
    "polling/results.py": "polling/test_results.py",
    "polling/schedule.py": "polling/test_schedule.py",
    "polling/outage.py": "polling/test_outage.py",
}


def sans_io_files() -> set[str]:
    """Read the layers from ``test_layers.py`` as text, because test files do not import one another."""
    found: dict[str, Any] = {}
    for node in ast.parse((REPOSITORY / "tests" / "test_layers.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and (name := ast.unparse(node.targets[0])) in {"LAYER_OF", "SANS_IO"}:
            found[name] = ast.literal_eval(node.value)
    return {
        f"{module.replace('.', '/')}/__init__.py"
        if (REPOSITORY / PACKAGE / module.replace(".", "/")).is_dir()
        else f"{module.replace('.', '/')}.py"
        for module, layer in found["LAYER_OF"].items()
        if layer in found["SANS_IO"]
    }


def coverage_of(own_test: str, where: Path) -> tuple[str, dict[str, Any]]:
    """Run one test file by itself; return its output, and its coverage of the files that it covers."""
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
    subprocess.run(  # noqa: S603 - our own interpreter and files
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
    where = tmp_path_factory.mktemp("coverage")
    tests = sorted(set(OWN_TEST.values()))
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return dict(zip(tests, pool.map(coverage_of, tests, [where] * len(tests)), strict=True))


def test_own_test_lists_every_module_without_io() -> None:
    assert sans_io_files() == set(OWN_TEST)


@pytest.mark.timeout(900)  # the first one waits for the runs of all own tests
@pytest.mark.parametrize("file", OWN_TEST)
def test_own_test_covers_every_line_and_branch(file: str, runs: dict[str, tuple[str, dict[str, Any]]]) -> None:
    output, files = runs[OWN_TEST[file]]
    assert f"{PACKAGE}/{file}" in files, output
    found = files[f"{PACKAGE}/{file}"]
    assert (found["missing_lines"], found["missing_branches"]) == ([], [])
    assert "pragma: no" not in (REPOSITORY / PACKAGE / file).read_text(encoding="utf-8")
