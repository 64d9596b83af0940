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
LOCKED = Path("tests/locked")
LOCKS = {
    "nox": ("--group", "nox"),
    "lint": ("--group", "lint"),
    "tests": ("pyproject.toml", "--extra", "cli", "--extra", "relay", "--group", "test", "--group", "build"),
    "types": (
        "pyproject.toml",
        "--extra",
        "cli",
        "--extra",
        "relay",
        "--group",
        "test",
        "--group",
        "types",
        "--group",
        "build",
    ),
}
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


def _install_locked(session: nox.Session, lock: str, *, with_project: bool = True) -> None:
    session.install("--require-hashes", "-r", str(LOCKED / f"{lock}.txt"))
    if with_project:
        session.install("--no-deps", "--no-build-isolation", "-e", ".")


def _run_tests(session: nox.Session) -> None:
    session.run("python", "-m", "pytest", "-n", "2", "--dist", "worksteal", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, rules and format."""
    _install_locked(session, "lint", with_project=False)
    session.run("ruff", "check", *PLACES)
    session.run("ruff", "format", "--check", *PLACES)


@nox.session
def types(session: nox.Session) -> None:
    """Mypy strict and pyright strict."""
    _install_locked(session, "types")
    session.run("mypy")
    session.run("pyright", "--pythonpath", f"{session.virtualenv.bin}/python")


@nox.session
def tests(session: nox.Session) -> None:
    """Every test with the locked versions, on the Python that runs nox, in two processes."""
    _install_locked(session, "tests")
    _run_tests(session)


@nox.session(python=_others())
def others(session: nox.Session) -> None:
    """Every test with the locked versions, on every other supported Python that is installed."""
    _install_locked(session, "tests")
    _run_tests(session)


@nox.session
def lowest(session: nox.Session) -> None:
    """Every test with exactly the lowest version of each dependency that we allow."""
    extras: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
    bounds = [*PROJECT["project"]["dependencies"], *(bound for extra in extras.values() for bound in extra)]
    _install_locked(session, "tests")
    session.install(*(bound.replace(">=", "==") for bound in bounds))
    _run_tests(session)


@nox.session
def newest(session: nox.Session) -> None:
    """Every test with the newest version of each dependency that was published."""
    session.install("--upgrade", "--upgrade-strategy", "eager", "-e", ".[cli,relay]", *_group("test"))
    _run_tests(session)


@nox.session
def lock(session: nox.Session) -> None:
    """Write the versions that lint, types and tests install, with their hashes, for every platform and Python."""
    session.install("uv")
    everything = Path(session.create_tmp()) / "everything.txt"
    versions_only = ("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links")
    compile_lock = ("uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", *versions_only)
    groups = [option for options in LOCKS.values() for option in options]
    session.run(*compile_lock, *groups, "--upgrade", "--output-file", str(everything))
    for name, options in LOCKS.items():
        output = ("--generate-hashes", "--constraint", str(everything), "--output-file", str(LOCKED / f"{name}.txt"))
        session.run(*compile_lock, *options, "--upgrade", *output)


@nox.session
def nightly(session: nox.Session) -> None:
    """The proof of the books and that of the relay, with ten times the examples."""
    _install_locked(session, "tests")
    tests = ("tests/stories/test_books_equal_the_world.py", "tests/relay/test_log_machine.py")
    session.run(
        *("python", "-m", "pytest", "--timeout", "0"),
        *(*tests, "tests/relay/test_schedules.py", *session.posargs),
        env={"HYPOTHESIS_PROFILE": "nightly"},
    )


@nox.session
def examples(session: nox.Session) -> None:
    """The examples alone."""
    _install_locked(session, "tests")
    session.run("python", "-m", "pytest", "tests/test_examples.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """What the client costs, beside the bare libraries and its peers, each in its own environment: one table."""
    beside = nox.project.load_toml("benchmarks/peers/versions.toml")["beside"]
    session.install(".", *beside.values())
    homes = Path(session.create_tmp()) / "peers"
    session.run("python", "benchmarks/venvs.py", str(homes))
    session.run("python", "benchmarks/run_all.py", "--homes", str(homes), *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build the distributions and look at what is in them."""
    session.install("build", "twine")
    folder = Path(session.create_tmp())
    session.run("python", "-m", "build", "--outdir", str(folder))
    session.run("twine", "check", "--strict", *(str(path) for path in folder.glob("connecttrade_async-*")))
