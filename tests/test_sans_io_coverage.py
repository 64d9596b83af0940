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

BOOKS = (
    "books/test_book.py",
    "books/test_book_machine.py",
    "books/test_fills.py",
    "books/test_keyed_state.py",
    "books/test_merge.py",
    "books/test_order_tracker.py",
)
MODELS = (
    "models/test_enums.py",
    "models/test_fields.py",
    "models/test_mentions.py",
    "models/test_nouns.py",
    "live/test_updates.py",
)
SYNC = (
    "market_data/test_codec.py",
    "market_data/test_registry.py",
    "market_data/test_subscription_sync.py",
    "market_data/test_odd_frames.py",
    "market_data/test_forms.py",
)
FORMS = (
    "streaming/test_forms.py",
    "streaming/test_signs.py",
    "streaming/test_brokerage_codec.py",
    "streaming/test_protocol.py",
    "streaming/test_codec.py",
    "market_data/test_codec.py",
)
# Where several modules share their tests, the tests of all of them count for each.
OWN_TEST: dict[str, str | tuple[str, ...]] = {
    "_version.py": "test_exports.py",
    "errors.py": "test_errors.py",
    "secret.py": "test_secret.py",
    "config.py": "test_config.py",
    "dialect/names.py": FORMS,
    "dialect/tolerance.py": FORMS,
    "dialect/__init__.py": "dialect/test_value.py",
    "dialect/checks.py": "dialect/test_checks.py",
    "dialect/parts.py": "dialect/test_value.py",
    "dialect/shape.py": "dialect/test_shape.py",
    "dialect/templates.py": "dialect/test_templates.py",
    "dialect/toml_text.py": "dialect/test_toml_text.py",
    "dialect/value.py": "dialect/test_value.py",
    "pacing.py": "test_pacing.py",
    "oauth.py": "test_oauth.py",
    "amounts.py": "test_amounts.py",
    "census.py": "test_census.py",
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
    "models/events.py": FORMS,
    "models/fields.py": "models/test_fields.py",
    "models/market.py": "market_data/test_codec.py",
    "models/mentions.py": MODELS,
    "models/orders.py": (*MODELS, *BOOKS),
    "models/pages.py": "models/test_nouns.py",
    "models/positions.py": "models/test_nouns.py",
    "models/tokens.py": "models/test_nouns.py",
    "models/transactions.py": "models/test_nouns.py",
    "models/users.py": "models/test_nouns.py",
    "models/variants.py": "models/test_variants.py",
    "streaming/__init__.py": "streaming/test_protocol.py",
    "streaming/batches.py": FORMS,
    "streaming/brokerage_codec.py": FORMS,
    "streaming/census.py": FORMS,
    "streaming/digits.py": FORMS,
    "streaming/frame_types.py": FORMS,
    "streaming/signs.py": FORMS,
    "streaming/update_forms.py": FORMS,
    "market_data/__init__.py": "market_data/test_codec.py",
    "market_data/registry.py": SYNC,
    "streaming/frames.py": "streaming/test_frames.py",
    "streaming/filters.py": "streaming/test_filters.py",
    "market_data/codec.py": SYNC,
    "market_data/encoder.py": "market_data/test_encoder.py",
    "market_data/event_forms.py": SYNC,
    "market_data/event_types.py": SYNC,
    "market_data/names.py": SYNC,
    "streaming/forms.py": SYNC,
    "streaming/codec.py": FORMS,
    "market_data/sync_events.py": "market_data/test_subscription_sync.py",
    "market_data/quiet_hours.py": "market_data/test_quiet_hours.py",
    "streaming/protocol.py": FORMS,
    "live/__init__.py": "live/test_status.py",
    "books/book.py": BOOKS,
    "books/changes.py": BOOKS,
    "books/fills.py": BOOKS,
    "books/merge.py": BOOKS,
    "books/__init__.py": BOOKS,
    "live/doubt_budget.py": "live/test_doubt_budget.py",
    "live/status.py": "live/test_status.py",
    "books/keyed_state.py": BOOKS,
    "books/order_tracker.py": BOOKS,
    "market_data/filters.py": "market_data/test_filters.py",
    "market_data/subscription_sync.py": SYNC,
    "doctor/__init__.py": "doctor/test_comparison.py",
    "doctor/answers.py": "doctor/test_answers.py",
    "doctor/attempts.py": "doctor/test_attempts.py",
    "doctor/stream_findings.py": "doctor/test_stream_findings.py",
    "doctor/comparison.py": "doctor/test_comparison.py",
    "doctor/contract.py": "doctor/test_comparison.py",
    "doctor/findings.py": "doctor/test_comparison.py",
    "doctor/openapi.py": "doctor/test_openapi.py",
    "doctor/document_dialect.py": "doctor/test_document_dialect.py",
    "doctor/written_dialect.py": "doctor/test_written_dialect.py",
    "recording/__init__.py": "recording/test_taps.py",
    "recording/entries.py": "recording/test_entries.py",
    "recording/leaks.py": "recording/test_leaks.py",
    "recording/pseudonyms.py": "recording/test_pseudonyms.py",
    "recording/redaction.py": "recording/test_redaction.py",
    "recording/taps.py": "recording/test_taps.py",
    "recording/vocabulary.py": "recording/test_vocabulary.py",
    "rest/__init__.py": "rest/test_wire.py",
    "rest/wire.py": "rest/test_wire.py",
    "rest/codec.py": "rest/test_codec.py",
    "rest/envelopes.py": "rest/test_envelopes.py",
    "rest/retry.py": "rest/test_retry.py",
    "rest/digests.py": "rest/test_digests.py",
    "validation.py": "test_validation.py",
    "polling/__init__.py": "polling/test_schedule.py",
    "polling/config.py": "polling/test_config.py",
    "polling/results.py": "polling/test_results.py",
    "polling/schedule.py": "polling/test_schedule.py",
    "polling/outage.py": "polling/test_outage.py",
    "relay/lease.py": "relay/test_lease.py",
    "relay/log.py": "relay/test_log.py",
    "relay/outbox.py": "relay/test_outbox.py",
    "relay/scripts.py": "relay/test_scripts.py",
    "relay/settings.py": "relay/test_settings.py",
}


Runs = dict["str | tuple[str, ...]", tuple[str, dict[str, Any]]]


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


def coverage_of(own_test: str | tuple[str, ...], where: Path) -> tuple[str, dict[str, Any]]:
    """Run the tests of some modules by themselves; return their output, and their coverage of those modules."""
    tests = (own_test,) if isinstance(own_test, str) else own_test
    files = [f"{PACKAGE}/{file}" for file, test in OWN_TEST.items() if test == own_test]
    name = "+".join(Path(test).stem for test in tests)
    data, report, settings = (where / f"{name}.{kind}" for kind in ("coverage", "json", "ini"))
    excluded = "\n    ".join(["", *EXCLUDED])
    settings.write_text(f"[run]\nbranch = true\n[report]\nexclude_also ={excluded}\n", encoding="utf-8")
    environment = os.environ | {"COVERAGE_FILE": str(data)}
    coverage = [sys.executable, "-m", "coverage"]
    common = [f"--rcfile={settings}", f"--include={','.join(files)}"]
    tested = subprocess.run(  # noqa: S603 - our own interpreter and files
        [
            *coverage,
            "run",
            *common,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            *(f"tests/{test}" for test in tests),
        ],
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
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    where = tmp_path_factory.mktemp("coverage")
    tests = sorted(set(OWN_TEST.values()), key=str)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return dict(zip(tests, pool.map(coverage_of, tests, [where] * len(tests)), strict=True))


def test_own_test_lists_every_module_without_io() -> None:
    assert sans_io_files() == set(OWN_TEST)


@pytest.mark.timeout(900)  # the first one waits for the runs of all own tests
@pytest.mark.parametrize("file", OWN_TEST)
def test_own_test_covers_every_line_and_branch(file: str, runs: Runs) -> None:
    output, files = runs[OWN_TEST[file]]
    assert f"{PACKAGE}/{file}" in files, output
    found = files[f"{PACKAGE}/{file}"]
    assert (found["missing_lines"], found["missing_branches"]) == ([], [])
    assert "pragma: no" not in (REPOSITORY / PACKAGE / file).read_text(encoding="utf-8")
