"""Open a client with credentials from the environment or a prompt, never from an argument.

An argument would be visible in the history of the shell and in every list of processes.
"""

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import click

from connecttrade_async.cli.prompts import is_interactive, prompt
from connecttrade_async.client import ConnectTrade
from connecttrade_async.config import (
    ADDRESSES,
    CLIENT_ID,
    CLIENT_SECRET,
    Endpoints,
    Timeouts,
    allows_insecure,
    dialect_path,
)
from connecttrade_async.secret import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from connecttrade_async.recording.recorder import Recorder
    from connecttrade_async.user import User

__all__ = ["USER_ID", "USER_SECRET", "CliContext", "CommandRecording", "open_client", "open_user", "relay_address"]

USER_ID = "CONNECTTRADE_USER_ID"
USER_SECRET = "CONNECTTRADE_USER_SECRET"  # noqa: S105 - the name of a variable, not a secret

RELAY_URL = "CONNECTTRADE_RELAY_URL"


class CliContext(NamedTuple):
    """A client and one user of it."""

    ct: ConnectTrade
    user: User


class CommandRecording:
    """The recording of the client that a command opens; it is in the root context's ``meta`` under ``KEY``.

    Args:
        path: the file to create.

    Attributes:
        recorder: the recorder once its file is open, or None.
    """

    KEY: ClassVar[str] = "connecttrade_async.recording"

    def __init__(self, path: Path) -> None:
        self._path = path
        self.recorder: Recorder | None = None

    @asynccontextmanager
    async def of(self, ct: ConnectTrade) -> AsyncGenerator[None]:
        """Record a client.

        Raises:
            ConfigurationError: the file exists or cannot be created.
        """
        from connecttrade_async.recording.recorder import Recorder  # noqa: PLC0415 - most commands record nothing

        async with Recorder(ct, self._path) as recorder:
            self.recorder = recorder
            yield


def _recorded(ct: ConnectTrade) -> AbstractAsyncContextManager[object]:
    ctx = click.get_current_context(silent=True)
    recording = None if ctx is None else ctx.find_root().meta.get(CommandRecording.KEY)
    return nullcontext() if recording is None else recording.of(ct)


@asynccontextmanager
async def open_client(*, settle: float | None = None) -> AsyncGenerator[ConnectTrade]:
    """Open a client with credentials from the environment or from prompts.

    Args:
        settle: seconds to look for an order after its response was lost; None for the default of the client.

    Raises:
        click.UsageError: a credential is missing and stdin is not a terminal.
        ConfigurationError: a credential, an address or the dialect is malformed.
    """
    _require(CLIENT_ID, CLIENT_SECRET)
    addresses = {field: os.environ[name] for field, name in ADDRESSES.items() if os.environ.get(name)}
    client_id = _text(CLIENT_ID, "Client id")
    ct = ConnectTrade(
        client_id,
        _secret(CLIENT_SECRET, "Client secret"),
        endpoints=Endpoints(**addresses),
        timeouts=None if settle is None else Timeouts(settle=settle),
        allow_insecure=allows_insecure(),
        dialect=dialect_path(),
    )
    async with ct, _recorded(ct):
        yield ct


@asynccontextmanager
async def open_user(*, settle: float | None = None) -> AsyncGenerator[CliContext]:
    """Open a client and a user, with credentials from the environment or from prompts.

    Args:
        settle: as for ``open_client``.

    Raises:
        click.UsageError: a credential is missing and stdin is not a terminal.
        ConfigurationError: a credential, an address or the dialect is malformed.
    """
    _require(CLIENT_ID, CLIENT_SECRET, USER_ID, USER_SECRET)
    async with open_client(settle=settle) as ct:
        user_id = _text(USER_ID, "User id")
        yield CliContext(ct, ct.user(user_id, _secret(USER_SECRET, "User secret")))


def relay_address() -> Secret:
    """Return the address of the relay's server, which may hold a password."""
    return Secret(os.environ.get(RELAY_URL) or "redis://localhost")


def _require(*names: str) -> None:
    missing = [name for name in names if not os.environ.get(name)]
    if missing and not is_interactive():
        msg = f"set {_listed(missing)} in the environment, or run this at a terminal to be asked"
        raise click.UsageError(msg)


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _text(name: str, label: str) -> str:
    return os.environ.get(name) or prompt(label)


def _secret(name: str, label: str) -> Secret:
    # A variable would be printed by a traceback that prints variables.
    return Secret(os.environ.get(name) or prompt(label, hidden=True))
