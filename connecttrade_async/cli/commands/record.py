"""The command ``record``: write the traffic of the stream, or of another command, to a file without secrets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from connecttrade_async.cli.credentials import CommandRecording, open_client
from connecttrade_async.cli.options import in_event_loop, seconds_option, until_stopped
from connecttrade_async.cli.output import echo_line
from connecttrade_async.cli.progress import spinner

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["record"]


@click.command(short_help="Write the traffic of a command to a file, without secrets.")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@seconds_option
@click.pass_context
def record(ctx: click.Context, *, file: Path, command: tuple[str, ...], seconds: float | None) -> None:
    """Write the traffic of another command to FILE, for a report of an error: `connecttrade record FILE -- orders`.

    Without a command, it follows the brokerage stream until Ctrl-C.

    Secrets are masked. Ids, account numbers, names and texts are replaced by pseudonyms; symbols, times, prices and
    quantities stay. FILE must not exist; only you can read it.
    """
    if command and seconds is not None:
        msg = "--for is for the stream: give a command its own --for, behind --"
        raise click.UsageError(msg)
    if CommandRecording.KEY in ctx.find_root().meta:
        msg = "a recording cannot record another one: give `record` the command itself"
        raise click.UsageError(msg)
    recording = ctx.find_root().meta[CommandRecording.KEY] = CommandRecording(file)
    try:
        if command:
            _run(ctx, command)
        else:
            _follow(seconds)
    finally:
        if (recorder := recording.recorder) is not None:
            withheld = f"; {recorder.withheld} withheld" if recorder.withheld else ""
            echo_line(f"Recorded {recorder.entries} requests and messages in {file}{withheld}.")


def _run(ctx: click.Context, command: Sequence[str]) -> None:
    """Run another command of the same group, as if it had been called alone."""
    root = ctx.find_root()
    group = root.command
    assert isinstance(group, click.Group)  # noqa: S101 - the root of every command
    name, chosen, arguments = group.resolve_command(root, list(command))
    assert chosen is not None  # noqa: S101 - resolve_command raises where there is none
    with chosen.make_context(name, arguments, parent=root) as inner:
        chosen.invoke(inner)


@in_event_loop
async def _follow(seconds: float | None) -> None:
    async with open_client() as ct:
        stream = ct.brokerage_stream()
        async with spinner("Connecting to the stream", ct):
            await stream.open()
        try:
            async with until_stopped(seconds):
                echo_line("Recording the brokerage stream. Ctrl-C ends it.")
                async with stream.subscribe("lifecycle") as events:
                    async for _ in events:
                        pass
        finally:
            await stream.aclose()
