"""The front door: ``sandbox`` serves a pretend Connect Trade, and ``demo`` tells the story on one."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import signal

import click

from connecttrade_async.cli.options import in_event_loop, json_option
from connecttrade_async.cli.output import print_object
from connecttrade_async.config import ADDRESSES, CLIENT_ID, CLIENT_SECRET

__all__ = ["demo", "sandbox"]

LARGEST_PORT = 65_535
SEED = 7


@click.command()
@click.option(
    "--port", type=click.IntRange(0, LARGEST_PORT), default=8900, show_default=True, help="0 takes a free one."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--seed", type=int, default=SEED, show_default=True, help="The same seed is the same world.")
@json_option
@in_event_loop
async def sandbox(*, port: int, host: str, seed: int, as_json: bool) -> None:
    """Serve a pretend Connect Trade until Ctrl-C.

    What is printed are lines for the shell of the other terminal: with them the other commands ask this sandbox. Its
    credentials are pretend ones.
    """
    from connecttrade_async.sandbox import Sandbox  # noqa: PLC0415 - the other commands stay light

    end = asyncio.Event()
    _on_ending(end)
    served = Sandbox(seed=seed, port=port, host=host)
    try:
        await served.start()
    except OSError as exc:
        msg = f"cannot listen on {host}:{port} ({exc.strerror or type(exc).__name__}); choose another with --port"
        raise click.UsageError(msg) from None
    try:
        control = f"{served.url}/_sandbox"
        settings = {
            ADDRESSES["api"]: served.url,
            CLIENT_ID: served.client_id,
            CLIENT_SECRET: served.client_secret,
        }
        if as_json:
            print_object({"url": served.url, "control": control, "environment": settings})
        else:
            for name, value in settings.items():
                click.echo(f"export {name}={shlex.quote(value)}")
            click.echo(
                f"The sandbox is served at {served.url}, its faults at {control}/faults. Ctrl-C ends it.", err=True
            )
        await end.wait()
    finally:
        await served.aclose()


def _on_ending(end: asyncio.Event) -> None:
    """Let Ctrl-C and SIGTERM be the ordinary end."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows has Ctrl-C only, and asyncio handles that
            loop.add_signal_handler(number, end.set)


@click.command()
@click.option("--seed", type=int, default=SEED, show_default=True, help="The same seed is the same world.")
@in_event_loop
async def demo(*, seed: int) -> None:
    """Tell the whole story on the embedded sandbox, in some seconds: no account needed, nothing leaves this machine."""
    from connecttrade_async.demo import tell  # noqa: PLC0415 - the other commands stay light

    await tell(seed=seed)
