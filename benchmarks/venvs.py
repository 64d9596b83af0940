"""Make a virtual environment for each peer, with its published package in the pinned version.

    python benchmarks/venvs.py FOLDER

If one cannot be made, the reason is stored in its place, for the table.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
import venv
from pathlib import Path

PINNED = tomllib.loads((Path(__file__).parent / "peers" / "versions.toml").read_text())
BIN = "Scripts" if sys.platform == "win32" else "bin"
HOLDS = "holds.txt"
WHY = "why-not.txt"


def pinned(name: str) -> str:
    """Return the packages of an environment."""
    return ", ".join(PINNED["homes"][name])


def python_of(folder: Path | None, name: str) -> Path | None:
    """Return the interpreter of a peer, or None if it has no environment with the pinned version."""
    if folder is None:
        return None
    note = folder / name / HOLDS
    python = folder / name / BIN / ("python.exe" if sys.platform == "win32" else "python")
    return python if note.exists() and note.read_text() == pinned(name) else None


def why_not(folder: Path | None, name: str) -> str:
    """Return the reason why a peer has no environment."""
    if folder is None:
        return f"{pinned(name)} not installed: no --homes given"
    note = folder / name / WHY
    return f"{pinned(name)} not installed: {note.read_text() if note.exists() else 'venvs.py did not make it'}"


def make(folder: Path, name: str) -> None:
    """Make one environment, unless it exists."""
    if python_of(folder, name):
        return
    home = folder / name
    home.mkdir(parents=True, exist_ok=True)
    try:
        venv.create(home, with_pip=True, clear=True)
        command = [str(home / BIN / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*command, *PINNED["homes"][name]], check=True, capture_output=True, text=True)  # noqa: S603 - pinned
    except subprocess.CalledProcessError as failed:
        output = str(failed.stderr or failed).strip().splitlines()
        (home / WHY).write_text(output[-1] if output else "pip printed nothing")
    else:
        (home / HOLDS).write_text(pinned(name))


def main() -> None:
    """Make all environments."""
    folder = Path(sys.argv[1])
    for name in PINNED["homes"]:
        make(folder, name)
        print(f"{name}: {'ready' if python_of(folder, name) else why_not(folder, name)}")


if __name__ == "__main__":
    main()
