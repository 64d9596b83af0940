"""The command ``connections``: list and delete the user's broker connections."""

from __future__ import annotations

import click

from connecttrade_async.cli.columns import CONNECTIONS
from connecttrade_async.cli.credentials import open_user
from connecttrade_async.cli.options import SuggestingGroup, in_event_loop, json_option, yes_option
from connecttrade_async.cli.output import echo_line, print_items
from connecttrade_async.cli.progress import spinner
from connecttrade_async.cli.prompts import confirm

__all__ = ["connections"]


@click.group(cls=SuggestingGroup, invoke_without_command=True)
@json_option
@click.pass_context
def connections(ctx: click.Context, *, as_json: bool) -> None:
    """List and delete the user's broker connections."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_connections, as_json=as_json)
    elif as_json:
        ctx.fail(f"--json belongs behind {ctx.invoked_subcommand!r}.")


@connections.command("list")
@json_option
@in_event_loop
async def list_connections(*, as_json: bool) -> None:
    """List the user's broker connections."""
    async with open_user() as (ct, user), spinner("Asking for connections", ct):
        found = await user.connections.list()
    print_items(found, CONNECTIONS, as_json=as_json, none="No connections: `connecttrade connect` creates one.")


@connections.command("delete")
@click.argument("connection_id", metavar="ID")
@yes_option
@in_event_loop
async def delete_connection(*, connection_id: str, yes: bool) -> None:
    """Delete a broker connection and revoke its tokens."""
    if not confirm(f"Delete the connection {connection_id!r} and revoke its tokens?", yes=yes):
        return
    async with open_user() as (ct, user), spinner("Deleting the connection", ct):
        await user.connections.delete(connection_id)
    echo_line(f"Deleted the connection {connection_id!r}.")
