"""Entry point of ``python -m connecttrade_async`` and of the ``connecttrade`` command."""

from __future__ import annotations

import sys
from typing import NoReturn

__all__ = ["main"]

INTERRUPTED = 130
MISSING = "connecttrade: the command is an extra: run  pip install 'connecttrade-async[cli]'  and run it again.\n"


def main() -> NoReturn:
    """Run the ``connecttrade`` command on this process's arguments and exit.

    Raises:
        SystemExit: always, with 0, 1 (the server or the network failed), 2 (the arguments or settings are wrong), 130
            (Ctrl-C) or 141 (the reader of the output closed the pipe).
    """
    try:
        from connecttrade_async.cli import connecttrade  # noqa: PLC0415 - its dependencies are an extra
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] not in {"click", "rich"}:
            raise
        sys.stderr.write(MISSING)
        sys.exit(2)
    except KeyboardInterrupt:
        # The imports take a part of a second, and the command that handles Ctrl-C is not there yet.
        sys.exit(INTERRUPTED)
    connecttrade.main()
    raise AssertionError  # pragma: no cover - the line above ends the process


if __name__ == "__main__":
    main()
