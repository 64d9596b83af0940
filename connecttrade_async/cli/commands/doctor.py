"""The commands ``doctor``: find out in minutes what the assumptions about the API are worth."""

from __future__ import annotations

import asyncio
import os
import secrets
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from connecttrade_async.cli.credentials import open_client, open_user
from connecttrade_async.cli.doctor_output import exit_with, print_findings
from connecttrade_async.cli.errors import fail
from connecttrade_async.cli.options import SuggestingGroup, in_event_loop, json_option, seconds_option, yes_option
from connecttrade_async.cli.output import echo_line
from connecttrade_async.cli.prompts import confirm, read_line
from connecttrade_async.dialect.value import Dialect
from connecttrade_async.errors import ConfigurationError, ConnectTradeError, NotFoundError, OAuthError
from connecttrade_async.oauth import parse_redirect

if TYPE_CHECKING:
    from connecttrade_async.client import ConnectTrade
    from connecttrade_async.doctor.findings import Finding

__all__ = ["doctor"]

REDIRECT_URL = "https://www.google.com"  # the vendor's recipe names it
DELETE_TIMEOUT = 30.0  # seconds
all_option = click.option("--all", "shows_all", is_flag=True, help="Print what is as assumed, too.")


@click.group(cls=SuggestingGroup, short_help="Compare what is assumed of the API with what it does.")
def doctor() -> None:
    """Compare what this library assumes of the API with the vendor's document, its answers and its streams.

    Each line is one assumption: `assumed / saw / verdict`. The exit code is 0 only if nothing is NOT UNDERSTOOD.
    """


@doctor.command(short_help="Compare with the vendor's OpenAPI document; needs no credentials.")
@click.argument("source", metavar="FILE_OR_URL")
@click.option(
    "--dialect",
    "dialect_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the names and places of REST that the document describes there; the streams in it stay.",
)
@all_option
@json_option
@click.pass_context
def spec(ctx: click.Context, *, source: str, dialect_file: Path | None, shows_all: bool, as_json: bool) -> None:
    """Compare with an OpenAPI document, a JSON file or an http or https address.

    It compares paths, methods, names, what is required, null, types, enumerated values, cursors and the form of errors.
    """
    findings: list[Finding] = []
    _compare(source, findings, dialect_file)
    print_findings(findings, shows_all=shows_all, as_json=as_json)
    exit_with(ctx, findings)


TRAFFIC = "connecttrade-traffic.jsonl"


def _traffic_file(_ctx: click.Context, _option: click.Parameter, path: Path | None) -> Path:
    """Return the given path, or the default one, with a number behind its name where the file exists."""
    if path is not None:
        return path
    path = Path(TRAFFIC)
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in count(2))
    return next(each for each in chain([path], numbered) if not each.exists())


traffic_option = click.option(
    "--traffic",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_traffic_file,
    help=f"Write the redacted traffic there; it must not exist.  [default: {TRAFFIC}, or with a number behind it]",
)
values_option = click.option("--with-values", is_flag=True, help="Keep values in the traffic; secrets are masked.")


@doctor.command(short_help="Read what a user has, each answer by its model and as plain JSON.")
@click.option("--isolate", "isolates", is_flag=True, help="Check the login of a new test user instead, and delete it.")
@click.option("--type", "purpose", default="trade", show_default=True, help="The type of connection for --isolate.")
@click.option("--no-token", is_flag=True, help="Mint no token for market data: a new one replaces the active one.")
@traffic_option
@values_option
@all_option
@json_option
@click.pass_context
def rest(
    ctx: click.Context,
    *,
    isolates: bool,
    purpose: str,
    no_token: bool,
    traffic: Path,
    with_values: bool,
    shows_all: bool,
    as_json: bool,
) -> None:
    """Read connections, accounts, balances, positions, transactions, two pages of orders and a token of the user.

    Nothing is written, but for the token for market data: it replaces the active one of that connection.

    With --isolate, it makes a test user, asks for a connection, shows the address to log in at, explains the address
    that you come back to, and deletes the user in any case.
    """
    if isolates:
        _isolate(purpose)
        return
    findings: list[Finding] = []
    _check_rest(findings, traffic, with_values=with_values, with_token=not no_token)
    print_findings(findings, shows_all=shows_all, as_json=as_json)
    exit_with(ctx, findings)


@in_event_loop
async def _check_rest(findings: list[Finding], traffic: Path, *, with_values: bool, with_token: bool) -> None:
    from connecttrade_async.doctor.rest_checks import check_rest  # noqa: PLC0415 - most commands compare nothing
    from connecttrade_async.doctor.traffic import ShapeRecorder  # noqa: PLC0415 - as above

    async with open_user() as (ct, user), ShapeRecorder(ct, traffic, with_values=with_values):
        findings += await check_rest(user, with_token=with_token)
    echo_line(f"The redacted traffic is in {traffic}.")


@in_event_loop
async def _isolate(purpose: str) -> None:
    user_id = f"doctor-{secrets.token_hex(8)}"
    async with open_client() as ct:
        try:
            new = await ct.users.create(user_id)
            echo_line(f"Made the test user {user_id}.")
            user = ct.user(user_id, new.user_secret)
            request = await user.connections.create(purpose, redirect_url=REDIRECT_URL)
            echo_line("Log in at this address:")
            click.echo(request.url)
            _explain(read_line("Then paste the address you came back to"))
        finally:
            # Not cancelled by Ctrl-C: the user would stay behind.
            await asyncio.shield(asyncio.create_task(_delete(ct, user_id)))


def _explain(address: str) -> None:
    try:
        redirect = parse_redirect(address)
    except OAuthError as exc:
        echo_line(f"The login failed: {exc}.")
    except ConfigurationError as exc:
        echo_line(f"Not understood: {exc}.")
    else:
        echo_line(f"The login succeeded; its connection is {redirect.connection_id}.")


async def _delete(ct: ConnectTrade, user_id: str) -> None:
    """Delete the test user, also where it is unknown whether it was made."""
    try:
        async with asyncio.timeout(DELETE_TIMEOUT):
            await ct.users.delete(user_id)
    except NotFoundError:
        echo_line(f"The test user {user_id} was not made.")
    except (ConnectTradeError, TimeoutError) as exc:
        echo_line(f"The test user {user_id} is still there: {exc}. Delete it: connecttrade users delete {user_id}")
    else:
        echo_line(f"Deleted the test user {user_id}.")


def _dialect_file(_ctx: click.Context, _option: click.Parameter, path: Path) -> Path:
    # Checked before the probe: a minute of listening would be lost.
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.R_OK | os.W_OK)):
        msg = f"must be a file that can be written, got {str(path)!r}"
        raise click.BadParameter(msg)
    return path


dialect_option = click.option(
    "--dialect",
    "dialect_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    default="connecttrade-wire.toml",
    show_default=True,
    callback=_dialect_file,
    help="Write the matching dialect there. Of a file that exists, the parts that were not probed stay.",
)
LISTEN = 60.0  # seconds
MAX_WAIT = 600.0  # seconds


def _wait(_ctx: click.Context, _option: click.Parameter, seconds: float) -> float:
    if not 0 < seconds <= MAX_WAIT:  # not click.FloatRange, which lets NaN pass
        msg = f"must be a number of seconds above 0, at most {MAX_WAIT:.0f}, got {seconds}"
        raise click.BadParameter(msg)
    return seconds


wait_option = click.option(
    "--wait",
    type=float,
    default=5.0,
    callback=_wait,
    show_default=True,
    help="Seconds to wait for a reply.",
)


@doctor.command(short_help="Log in to the brokerage stream, in another form if needed, and listen.")
@seconds_option
@wait_option
@dialect_option
@traffic_option
@values_option
@yes_option
@all_option
@json_option
@click.pass_context
def stream(
    ctx: click.Context,
    *,
    seconds: float | None,
    wait: float,
    dialect_file: Path,
    traffic: Path,
    with_values: bool,
    shows_all: bool,
    as_json: bool,
    yes: bool,
) -> None:
    """Log in to the brokerage stream, subscribe, and listen for 60 seconds (--for); trade on paper meanwhile.

    It takes the one session that the API allows: another program that follows the stream loses it. Where a login gets
    no reply, or its form is refused, the next form is tried on a new connection, at most ten, one a second. A refusal
    of the credentials ends the probe.

    It writes the dialect that matches what it saw: CONNECTTRADE_DIALECT takes it.
    """
    if not confirm("This takes the one session of the brokerage stream. Go on?", yes=yes):
        raise click.Abort
    findings: list[Finding] = []
    output = ProbeOutput(dialect_file, traffic, with_values)
    _probe(findings, output, LISTEN if seconds is None else seconds, wait)
    print_findings(findings, shows_all=shows_all, as_json=as_json)
    exit_with(ctx, findings)


@doctor.command(short_help="The same for market data, with a token of a connection.")
@click.option("--connection", "connection_id", metavar="ID", required=True, help="A connection for market data.")
@click.option("--symbol", metavar="AAPL", default="AAPL", show_default=True, help="The symbol to subscribe to.")
@seconds_option
@wait_option
@dialect_option
@traffic_option
@values_option
@yes_option
@all_option
@json_option
@click.pass_context
def market(
    ctx: click.Context,
    *,
    connection_id: str,
    symbol: str,
    seconds: float | None,
    wait: float,
    dialect_file: Path,
    traffic: Path,
    with_values: bool,
    shows_all: bool,
    as_json: bool,
    yes: bool,
) -> None:
    """Log in to the market data stream with a new token, subscribe to quotes, and listen for 60 seconds (--for).

    It takes the one session of the user, and its token replaces the active one of that connection. For the rest it
    does as `doctor stream`.
    """
    if not confirm("This takes the one market data session of the user, and replaces its token. Go on?", yes=yes):
        raise click.Abort
    findings: list[Finding] = []
    output = ProbeOutput(dialect_file, traffic, with_values)
    _probe(findings, output, LISTEN if seconds is None else seconds, wait, (connection_id, symbol))
    print_findings(findings, shows_all=shows_all, as_json=as_json)
    exit_with(ctx, findings)


class ProbeOutput(NamedTuple):
    """The files that a probe writes, and whether values stay in the traffic."""

    dialect_file: Path
    traffic: Path
    with_values: bool


@in_event_loop
async def _probe(
    findings: list[Finding], output: ProbeOutput, listen: float, wait: float, chosen: tuple[str, str] | None = None
) -> None:
    """Probe the brokerage stream, or market data with a chosen connection and symbol."""
    from connecttrade_async.doctor.client_probe import probe_brokerage, probe_market_data  # noqa: PLC0415 - as below
    from connecttrade_async.doctor.stream_findings import dialect_of_probe, stream_findings  # noqa: PLC0415 - as below
    from connecttrade_async.doctor.traffic import ShapeRecorder  # noqa: PLC0415 - most commands compare nothing
    from connecttrade_async.doctor.written_dialect import merge_stream  # noqa: PLC0415 - as below

    written = _written(output.dialect_file)
    if chosen is None:
        async with open_client() as ct, ShapeRecorder(ct, output.traffic, with_values=output.with_values):
            probe, dialect = await probe_brokerage(ct, listen=listen, wait=wait)
    else:
        connection_id, symbol = chosen
        async with open_user() as (ct, user), ShapeRecorder(ct, output.traffic, with_values=output.with_values):
            token = await user.connections.token(connection_id)
            probe, dialect = await probe_market_data(ct, token, symbol, listen=listen, wait=wait)
    findings += stream_findings(probe, dialect)
    if probe.attempt is None:
        echo_line(f"No login was accepted, so no dialect was written. The redacted traffic is in {output.traffic}.")
        return
    _write(merge_stream(written, dialect_of_probe(probe, dialect), probe.stream), output.dialect_file)
    echo_line(f"The dialect is in {output.dialect_file}, the redacted traffic in {output.traffic}.")


def _written(path: Path) -> Dialect | None:
    return Dialect.load(path) if path.exists() else None


def _write(dialect: Dialect, path: Path) -> None:
    try:
        dialect.dump(path)
    except OSError as exc:
        fail(f"the dialect cannot be written to {path}: {exc.strerror or type(exc).__name__}")


@in_event_loop
async def _compare(source: str, findings: list[Finding], dialect_file: Path | None) -> None:
    from connecttrade_async.doctor.comparison import compare_operations  # noqa: PLC0415 - most commands compare nothing
    from connecttrade_async.doctor.document_dialect import dialect_of_document  # noqa: PLC0415 - as above
    from connecttrade_async.doctor.document_source import read_document  # noqa: PLC0415 - as above
    from connecttrade_async.doctor.openapi import read_openapi  # noqa: PLC0415 - as above
    from connecttrade_async.doctor.our_contract import our_operations  # noqa: PLC0415 - as above

    theirs = read_openapi(await read_document(source))
    findings += compare_operations(our_operations(), theirs)
    if dialect_file is not None:
        written = _written(dialect_file) or Dialect.default
        _write(dialect_of_document(our_operations(), theirs, written), dialect_file)
        echo_line(f"The dialect is in {dialect_file}.")
