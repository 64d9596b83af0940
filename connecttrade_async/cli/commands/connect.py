"""The command ``connect``: create a login address for a broker, and read the redirect after the login."""

from __future__ import annotations

import ipaddress
import webbrowser
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from connecttrade_async.cli.columns import ACCOUNTS
from connecttrade_async.cli.credentials import open_user
from connecttrade_async.cli.options import in_event_loop, json_option
from connecttrade_async.cli.output import echo_line, print_items, print_object
from connecttrade_async.cli.progress import spinner
from connecttrade_async.cli.prompts import is_interactive, prompt, prompt_choice, read_line
from connecttrade_async.errors import ConfigurationError
from connecttrade_async.models import Broker, ConnectionRequest, ConnectionType
from connecttrade_async.oauth import ConnectionRedirect, check_redirect_url, parse_redirect

if TYPE_CHECKING:
    from connecttrade_async.user import User

__all__ = ["connect"]

TYPES = tuple(kind.value for kind in ConnectionType)
ATTEMPTS = 3


@click.command(short_help="Connect a broker: log in, then paste the redirect.")
@click.option("--broker", metavar="CODE", help="For example ALPACA; by default the login pages offer all.")
@click.option("--type", "purpose", metavar="TYPE", help="trade, readonly or market_data.  [default: trade]")
@click.option("--redirect-url", metavar="URL", help="The address to which the login pages redirect.")
@click.option("--open", "opens", is_flag=True, help="Open the login pages in the browser.")
@json_option
@in_event_loop
async def connect(
    *,
    broker: str | None,
    purpose: str | None,
    redirect_url: str | None,
    opens: bool,
    as_json: bool,
) -> None:
    """Connect a broker: get an address, log in there, and paste the address to which you are redirected."""
    async with open_user() as (ct, user):
        broker = _chosen_broker(broker)
        purpose = _chosen_purpose(purpose)
        redirect_url = _chosen_redirect_url(redirect_url)
        async with spinner("Asking for a login address", ct):
            request = await user.connections.create(purpose, redirect_url=redirect_url, broker=broker)
        _print_request(request, as_json=as_json)
        if opens:
            _open(request.url)
        redirect = _read_redirect()
        await _print_connection(user, redirect, as_json=as_json)


def _chosen_broker(given: str | None) -> str | None:
    if given is not None or not is_interactive():
        return given
    echo_line(f"Brokers: {', '.join(Broker)}.")
    return prompt("Broker (Enter: choose later, at the login pages)", default="").strip() or None


def _chosen_purpose(given: str | None) -> str:
    if given is not None:
        return given
    if not is_interactive():
        return ConnectionType.TRADE
    return prompt_choice("What for", TYPES, default=ConnectionType.TRADE.value)


def _chosen_redirect_url(given: str | None) -> str:
    if given is None and not is_interactive():
        msg = "--redirect-url is required: the address to which the login pages redirect"
        raise click.UsageError(msg)
    url = given or prompt("Redirect URL, where the person comes back to")
    for problem in check_redirect_url(url):
        echo_line(f"Note: {problem}")
    return url


def _print_request(request: ConnectionRequest, *, as_json: bool) -> None:
    if as_json:
        print_object({"connection_request_url": request.url, "expires_at": request.expires_at_text})
        return
    expires = request.expires_at
    until = f" until {expires:%H:%M} UTC" if expires else ""
    echo_line(f"Log in at this address; it is good{until}:" if until else "Log in at this address:")
    click.echo(err=True)
    click.echo(request.url)
    click.echo(err=True)


def _open(url: str) -> None:
    if _is_safe_to_open(url):
        webbrowser.open(url)
    else:
        echo_line("The address is not opened: only https, and http to this machine, are handed to a browser.")


def _is_safe_to_open(url: str) -> bool:
    """Return whether an address that the server sent may be handed to a browser.

    The system opens other schemes (``file:``) with other programs, and reads a leading dash as an option.
    """
    if not url.isprintable() or url != url.strip():
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    return parts.scheme == "http" and _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_redirect() -> ConnectionRedirect:
    """Read the address of the redirect; a person has three attempts."""
    attempts = ATTEMPTS if is_interactive() else 1
    while True:
        attempts -= 1
        try:
            return parse_redirect(read_line("Then paste the address you came back to"))
        except ConfigurationError as exc:
            if not attempts:
                raise
            echo_line(f"Not yet: {exc}.")


async def _print_connection(user: User, redirect: ConnectionRedirect, *, as_json: bool) -> None:
    if as_json:
        print_object({"connection_id": redirect.connection_id})
    else:
        click.echo(f"Connected: {redirect.connection_id}")
    async with spinner("Asking for its accounts"):
        accounts = await user.accounts.list(connection_id=redirect.connection_id)
    print_items(accounts, ACCOUNTS, as_json=as_json, none="The connection has no accounts.")
