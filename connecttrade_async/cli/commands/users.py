"""The command ``users``: list, create and delete the users of a client."""

from __future__ import annotations

import shlex

import click

from connecttrade_async.cli.columns import USERS
from connecttrade_async.cli.credentials import USER_ID, USER_SECRET, open_client
from connecttrade_async.cli.options import SuggestingGroup, in_event_loop, json_option, yes_option
from connecttrade_async.cli.output import echo_line, print_items, print_object
from connecttrade_async.cli.progress import spinner
from connecttrade_async.cli.prompts import confirm
from connecttrade_async.errors import MalformedResponseError

__all__ = ["users"]


@click.group(cls=SuggestingGroup, invoke_without_command=True)
@json_option
@click.pass_context
def users(ctx: click.Context, *, as_json: bool) -> None:
    """List, create and delete the users of this client."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_users, as_json=as_json)
    elif as_json:
        ctx.fail(f"--json belongs behind {ctx.invoked_subcommand!r}.")


@users.command("list")
@json_option
@in_event_loop
async def list_users(*, as_json: bool) -> None:
    """List the users of this client."""
    async with open_client() as ct, spinner("Asking for users", ct):
        found = await ct.users.list()
    print_items(found, USERS, as_json=as_json, none="No users: `connecttrade users create NAME` creates one.")


@users.command("create")
@click.argument("user_id", metavar="NAME")
@json_option
@in_event_loop
async def create_user(*, user_id: str, as_json: bool) -> None:
    """Create a user and print its secret, which is shown this once.

    The output is two lines for the shell: eval "$(connecttrade users create NAME)" makes the new user the user of the
    other commands.
    """
    try:
        async with open_client() as ct, spinner("Creating a user", ct):
            new = await ct.users.create(user_id)
    except MalformedResponseError as exc:
        # The user exists, and its secret is in this response alone, in an unknown form.
        if exc.response is not None:
            text = exc.response.body.decode("utf-8", "backslashreplace")
            click.echo(text if text.isprintable() else ascii(text))
        raise
    # The one place that prints the secret of a user: the API never returns it again (documented).
    if as_json:
        print_object({"user_id": new.user_id, "user_secret": str.__str__(new.user_secret.reveal())})
        return
    click.echo(f"export {USER_ID}={shlex.quote(new.user_id)}")
    click.echo(f"export {USER_SECRET}={shlex.quote(new.user_secret.reveal())}")
    echo_line("The user exists. Keep the secret now: it is never shown again.")


@users.command("delete")
@click.argument("user_id", metavar="NAME")
@yes_option
@in_event_loop
async def delete_user(*, user_id: str, yes: bool) -> None:
    """Delete a user with all its connections."""
    if not confirm(f"Delete the user {user_id!r} with all its connections?", yes=yes):
        return
    async with open_client() as ct, spinner("Deleting the user", ct):
        await ct.users.delete(user_id)
    echo_line(f"Deleted the user {user_id!r} with all its connections.")
