"""The front door: ``python -m connecttrade_async`` and the ``connecttrade`` command are this one function."""

from __future__ import annotations

import sys
from typing import NoReturn

__all__ = ["main"]

MISSING = "connecttrade: the command is an extra: run  pip install 'connecttrade-async[cli]'  and call it again.\n"


def main() -> NoReturn:
    """Run the ``connecttrade`` command on this process's arguments, and end the process.

    Raises:
        SystemExit: always, with 0, 1 (their side), 2 (yours), 130 (Ctrl-C) or 141 (nobody reads the output any more).
    """
    try:
        from connecttrade_async.cli import connecttrade  # noqa: PLC0415 - what it needs is an extra
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] not in {"click", "rich"}:
            raise
        sys.stderr.write(MISSING)
        sys.exit(2)
    connecttrade.main()
    raise AssertionError  # pragma: no cover - the line above ends the process


if __name__ == "__main__":
    main()
