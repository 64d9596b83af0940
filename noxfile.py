"""Every chore of the project, by name: ``nox -l`` lists them, ``nox`` runs what must hold before a commit."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "types", "tests"]

PROJECT = nox.project.load_toml("pyproject.toml")
PLACES = ("connecttrade_async", "tests", "examples", "benchmarks", "noxfile.py")


def _answers(version: str) -> bool:
    # A name on the path is not enough: version managers put names there for interpreters that they will not start.
    command = shutil.which(f"python{version}")
    if command is None:
        return False
    asked = subprocess.run(  # noqa: S603 - an interpreter's own name
        [command, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.returncode == 0 and asked.stdout.strip() == version


def _others() -> list[str]:
    here = "{}.{}".format(*sys.version_info[:2])
    supported = [line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"] if ":: 3." in line]
    return [version for version in supported if version != here and _answers(version)]


def _group(name: str) -> tuple[str, ...]:
    return nox.project.dependency_groups(PROJECT, name)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, rules and format."""
    session.install(*_group("lint"))
    session.run("ruff", "check", *PLACES)
    session.run("ruff", "format", "--check", *PLACES)


@nox.session
def types(session: nox.Session) -> None:
    """Mypy strict and pyright strict."""
    session.install("-e", ".[cli]", *_group("types"), *_group("test"))
    python = session.virtualenv.bin
    session.run("mypy")
    session.run("pyright", "--pythonpath", f"{python}/python")


@nox.session
def tests(session: nox.Session) -> None:
    """Every test, on the Python that runs nox, in two processes."""
    session.install("-e", ".[cli]", *_group("test"))
    session.run("python", "-m", "pytest", "-n", "2", "--dist", "worksteal", *session.posargs)


@nox.session(python=_others())
def others(session: nox.Session) -> None:
    """Every test, on every other supported Python that there is."""
    session.install("-e", ".[cli]", *_group("test"))
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def nightly(session: nox.Session) -> None:
    """The proof of the books, with ten times the examples."""
    session.install("-e", ".[cli]", *_group("test"))
    test = "tests/stories/test_books_equal_the_world.py"
    session.run("python", "-m", "pytest", test, *session.posargs, env={"HYPOTHESIS_PROFILE": "nightly"})


@nox.session
def examples(session: nox.Session) -> None:
    """The examples alone."""
    session.install("-e", ".[cli]", *_group("test"))
    session.run("python", "-m", "pytest", "tests/test_examples.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """What the client costs, beside the bare libraries and its peers, each in its own environment: one table."""
    beside = nox.project.load_toml("benchmarks/peers/versions.toml")["beside"]
    session.install(".", *beside.values())
    homes = Path(session.create_tmp()) / "peers"
    session.run("python", "benchmarks/homes.py", str(homes))
    session.run("python", "benchmarks/table.py", "--homes", str(homes), *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build the distributions and look at what is in them."""
    session.install("build", "twine")
    folder = Path(session.create_tmp())
    session.run("python", "-m", "build", "--outdir", str(folder))
    session.run("twine", "check", "--strict", *(str(path) for path in folder.glob("connecttrade_async-*")))
