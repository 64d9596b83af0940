"""The commands ``sandbox``, which serves a sandbox, and ``demo``, which shows the client on one."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING

import click

from connecttrade_async.cli.options import in_event_loop, json_option, until_stopped
from connecttrade_async.cli.output import print_object
from connecttrade_async.config import ADDRESSES, CLIENT_ID, CLIENT_SECRET

if TYPE_CHECKING:
    from connecttrade_async.sandbox import Sandbox

__all__ = ["demo", "sandbox"]

LARGEST_PORT = 65_535
SEED = 7


@click.command()
@click.option(
    "--port", type=click.IntRange(0, LARGEST_PORT), default=8900, show_default=True, help="0 for a free port."
)
@click.option(
    "--stream-port",
    type=click.IntRange(0, LARGEST_PORT),
    help="The port of the brokerage stream; by default the next port, or a free one.",
)
@click.option(
    "--market-port",
    type=click.IntRange(0, LARGEST_PORT),
    help="The port of market data; by default the port after the stream, or a free one.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--seed", type=int, default=SEED, show_default=True, help="Equal seeds make equal accounts and markets.")
@click.option(
    "--dialect", default="assumed", show_default=True, help="The forms of frames and answers, by the name of a preset."
)
@json_option
@in_event_loop
async def sandbox(
    *, port: int, stream_port: int | None, market_port: int | None, host: str, seed: int, dialect: str, as_json: bool
) -> None:
    """Serve a sandbox of Connect Trade until Ctrl-C.

    The output is lines for the shell of another terminal: with them the other commands use this sandbox. Its
    credentials are not real.
    """
    from connecttrade_async.sandbox import Sandbox  # noqa: PLC0415 - keeps the import of the other commands light

    stream_port = _after(port) if stream_port is None else stream_port
    market_port = _after(stream_port) if market_port is None else market_port
    try:
        served = Sandbox(
            seed=seed, port=port, host=host, stream_port=stream_port, market_port=market_port, dialect=dialect
        )
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--dialect") from None
    async with until_stopped():
        try:
            await served.start()
        except OSError as exc:
            reason = exc.strerror or type(exc).__name__
            hint = "choose others with --port, --stream-port or --market-port"
            msg = f"cannot listen on {host}:{port}, {stream_port} and {market_port} ({reason}); {hint}"
            raise click.UsageError(msg) from None
        try:
            _print_settings(served, as_json=as_json)
            await asyncio.Event().wait()
        finally:
            await served.aclose()


def _after(port: int) -> int:
    return port + 1 if 0 < port < LARGEST_PORT else 0


def _print_settings(served: Sandbox, *, as_json: bool) -> None:
    control = f"{served.url}/_sandbox"
    settings = {
        ADDRESSES["api"]: served.url,
        ADDRESSES["stream"]: served.stream.url,
        ADDRESSES["market_data"]: served.market.url,
        CLIENT_ID: served.client_id,
        CLIENT_SECRET: served.client_secret,
    }
    if as_json:
        print_object({"url": served.url, "control": control, "environment": settings})
        return
    for name, value in settings.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    click.echo(f"The sandbox is served at {served.url}, its faults at {control}/faults. Ctrl-C ends it.", err=True)


@click.command(short_help="Show the whole client on an embedded sandbox.")
@click.option("--seed", type=int, default=SEED, show_default=True, help="Equal seeds make equal accounts and markets.")
@in_event_loop
async def demo(*, seed: int) -> None:
    """Show the whole client on an embedded sandbox, in a few seconds: no account, no traffic beyond this machine."""
    from connecttrade_async.cli.demo import run_demo  # noqa: PLC0415 - keeps the import of the other commands light

    await run_demo(seed=seed)
