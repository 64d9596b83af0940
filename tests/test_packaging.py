"""Versions of dependencies: locked for tests, and bounded with a reason for users."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
SETTINGS = tomllib.loads(PYPROJECT)
PROJECT = SETTINGS["project"]
GROUPS = SETTINGS["dependency-groups"]
EXTRAS = [bound for extra in PROJECT["optional-dependencies"].values() for bound in extra]
RUNTIME = [*PROJECT["dependencies"], *EXTRAS]
LOCKS = sorted((ROOT / "tests/locked").glob("*.txt"))
EXPECTED = {
    "lint": GROUPS["lint"],
    "nox": GROUPS["nox"],
    "tests": [*RUNTIME, *GROUPS["test"], *GROUPS["build"], *SETTINGS["build-system"]["requires"]],
    "types": [*RUNTIME, *GROUPS["test"], *GROUPS["types"], *GROUPS["build"], *SETTINGS["build-system"]["requires"]],
}


def locked(path: Path) -> dict[str, Requirement]:
    lines = re.sub(r"\\\n\s*", " ", path.read_text("utf-8")).splitlines()
    found = [Requirement(line.partition(" --hash=")[0]) for line in lines]
    return {requirement.name: requirement for requirement in found}


def version_of(requirement: Requirement) -> str:
    (specifier,) = requirement.specifier
    assert specifier.operator == "=="
    return specifier.version


def test_locks_match_the_sessions_of_nox() -> None:
    assert {path.stem for path in LOCKS} == set(EXPECTED)


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_lock_pins_every_requirement_by_version_and_hash_and_names_no_host(path: Path) -> None:
    text = path.read_text("utf-8")
    assert "://" not in text
    assert "index" not in text
    for entry in re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]:
        assert re.match(r"[\w.-]+(\[\w,]+\])?==\S+ ", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_lock_satisfies_the_requirements_of_pyproject(path: Path) -> None:
    pinned = locked(path)
    for requirement in map(Requirement, EXPECTED[path.stem]):
        assert requirement.specifier.contains(version_of(pinned[requirement.name])), requirement


def test_locks_agree_with_each_other() -> None:
    versions: dict[str, set[str]] = {}
    for path in LOCKS:
        for name, requirement in locked(path).items():
            versions.setdefault(name, set()).add(version_of(requirement))
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("requirement", RUNTIME)
def test_bound_of_a_dependency_is_a_lower_bound_with_its_reason_beside_it(requirement: str) -> None:
    assert re.fullmatch(r"[a-z]+>=[\d.]+", requirement)
    assert re.search(rf'"{re.escape(requirement)}", *# \w+', PYPROJECT)


def test_ci_installs_nox_from_the_lock_and_runs_the_command_of_the_readme() -> None:
    script = (ROOT / ".ci/run").read_text("utf-8")
    readme = (ROOT / "README.md").read_text("utf-8")
    for text in (script, readme):
        assert "pip install -q -r tests/locked/nox.txt" in text
    assert "command=$(grep -m 1 'nox -s tests' README.md)" in script
    assert 'bash -c "$command"' in script
