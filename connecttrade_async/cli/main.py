"""The group of all commands, and the one place that sets the exit code."""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

import click

from connecttrade_async import __version__
from connecttrade_async.cli.commands.accounts import accounts, balances, positions, transactions
from connecttrade_async.cli.commands.bars import bars
from connecttrade_async.cli.commands.chain import chain
from connecttrade_async.cli.commands.change_order import cancel, replace
from connecttrade_async.cli.commands.connect import connect
from connecttrade_async.cli.commands.connections import connections
from connecttrade_async.cli.commands.depth import depth
from connecttrade_async.cli.commands.doctor import doctor
from connecttrade_async.cli.commands.option import option
from connecttrade_async.cli.commands.orders import orders
from connecttrade_async.cli.commands.poll import poll
from connecttrade_async.cli.commands.quotes import quotes
from connecttrade_async.cli.commands.record import record
from connecttrade_async.cli.commands.relay import relay
from connecttrade_async.cli.commands.sandbox import demo, sandbox
from connecttrade_async.cli.commands.stream import stream
from connecttrade_async.cli.commands.trade import buy, sell
from connecttrade_async.cli.commands.users import users
from connecttrade_async.cli.commands.watch import watch
from connecttrade_async.cli.errors import ExitCode, explain, print_error, report
from connecttrade_async.cli.options import SuggestingGroup

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["connecttrade"]


# Errors of a disk that is full or broken. The network has TransportError.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class RootGroup(SuggestingGroup):
    """The group of all commands: maps every failure to an exit code and one sentence on stderr."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]  # noqa: ANN401 - click's own shape
        """Run a command and exit the process."""
        extra["standalone_mode"] = False
        try:
            # Commands return None; an exit code comes back from --help and the like.
            code = super().main(args, prog_name or "connecttrade", **extra) or ExitCode.OK
        except click.Abort:
            code = ExitCode.INTERRUPTED
        except click.ClickException as exc:
            sentence, code = explain(exc)
            print_error(_with_help(sentence, exc))
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> object:
        """Run the chosen command, and report every failure."""
        try:
            super().invoke(ctx)
            sys.stdout.flush()
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except KeyboardInterrupt:
            ctx.exit(ExitCode.INTERRUPTED)
        except BrokenPipeError:
            _stop_writing()
            ctx.exit(ExitCode.BROKEN_PIPE)
        except OSError as exc:
            if exc.errno not in FULL:
                ctx.exit(report(exc))
            _stop_writing()
            print_error(
                f"the output cannot be written: {os.strerror(exc.errno or 0)}. Make room, or write it somewhere else."
            )
            ctx.exit(ExitCode.USAGE_ERROR)
        except Exception as exc:  # noqa: BLE001 - report() prints every unexpected error as a sentence
            if ctx.params.get("verbose"):
                traceback.print_exc()
            ctx.exit(report(exc))
        return None

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own name
        """List the commands in the order of a session, not by name."""
        return list(self.commands)


def _with_help(sentence: str, error: click.ClickException) -> str:
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    if ctx is None:
        return sentence
    joint = "" if sentence.endswith((".", "?")) else "."
    return f"{sentence[:1].lower()}{sentence[1:]}{joint} `{ctx.command_path} --help` shows more."


def _stop_writing() -> None:
    # Python flushes the buffer at exit, which would fail again and print a second error.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@click.group(
    cls=RootGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with `connecttrade demo`. Exit codes: 0 all is well, 1 their side, 2 yours.",
)
@click.version_option(__version__, prog_name="connecttrade")
@click.option("-v", "--verbose", is_flag=True, help="Log retries and reconnects on stderr.")
@click.pass_context
def connecttrade(ctx: click.Context, *, verbose: bool) -> None:
    """Read brokerage accounts and trade through Connect Trade.

    Credentials come from the environment or a prompt, never from an argument: CONNECTTRADE_CLIENT_ID and
    CONNECTTRADE_CLIENT_SECRET, and for what belongs to a user CONNECTTRADE_USER_ID and CONNECTTRADE_USER_SECRET.
    CONNECTTRADE_API_URL, CONNECTTRADE_STREAM_URL and CONNECTTRADE_MDSTREAM_URL point elsewhere, for example at
    `connecttrade sandbox`. With CONNECTTRADE_ALLOW_INSECURE=1 they may begin with http:// or ws:// for another host.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
    log = logging.getLogger("connecttrade_async")
    log.handlers[:] = [logging.StreamHandler() if verbose else logging.NullHandler()]
    log.setLevel(logging.INFO if verbose else logging.WARNING)


ACCOUNT_COMMANDS = (
    demo,
    sandbox,
    users,
    connect,
    connections,
    accounts,
    balances,
    positions,
    orders,
    transactions,
    poll,
    stream,
    relay,
    watch,
    record,
    doctor,
)
MARKET_COMMANDS = (quotes, bars, depth, chain)
TRADING_COMMANDS = (buy, sell, option, cancel, replace)
for command in (*ACCOUNT_COMMANDS, *MARKET_COMMANDS, *TRADING_COMMANDS):
    connecttrade.add_command(command)
