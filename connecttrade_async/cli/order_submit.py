"""Confirm an order, send it, and report the outcome.

Nothing is sent without confirmation or ``--yes``. An interruption prints the command that looks the order up.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple, TypedDict, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from connecttrade_async.cli.errors import fail
from connecttrade_async.cli.options import json_option, yes_option
from connecttrade_async.cli.order_text import describe, lookup_command, outcome, ticket_rows
from connecttrade_async.cli.output import UNLIMITED, announce, echo_line, escaped, plain, print_object
from connecttrade_async.cli.progress import spinner
from connecttrade_async.cli.prompts import confirm, require_interactive
from connecttrade_async.models import OrderStatus

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from connecttrade_async.cli.credentials import CliContext
    from connecttrade_async.models import Order
    from connecttrade_async.tickets import OrderTicket

__all__ = ["OrderOptions", "SubmitOptions", "place", "placing_options", "sending", "settle_option"]

F = TypeVar("F", bound="Callable[..., object]")
SETTLE = 30.0

settle_option = click.option(
    "--settle",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    default=SETTLE,
    show_default=f"{SETTLE:.0f}",
    help="If the response is lost, look this long for the order.",
)


class OrderOptions(TypedDict):
    """The options of every command that places an order, besides the order itself."""

    tif: str
    account: str | None
    broker: str | None
    settle: float
    dry_run: bool
    yes: bool
    as_json: bool


class SubmitOptions(NamedTuple):
    """The options that decide how an order is sent.

    Attributes:
        yes: send without a question.
        as_json: print JSON.
        dry_run: print the request and send nothing.
    """

    yes: bool
    as_json: bool
    dry_run: bool = False

    def check(self) -> None:
        """Check that the question can be confirmed.

        Raises:
            click.UsageError: stdin is not a terminal, and neither ``--yes`` nor ``--dry-run`` is given.
        """
        require_interactive(yes=self.yes or self.dry_run)

    def agree(self, rows: Iterable[tuple[str, str]], question: str) -> bool:
        """Show the order, ask for confirmation, and return the answer."""
        if not (self.as_json and (self.yes or self.dry_run)):
            _show(rows)
        if self.dry_run or confirm(question, yes=self.yes):
            return True
        echo_line("Nothing was sent.")
        return False

    def report(self, lead: str, order: Order, description: str) -> None:
        """Print the outcome: the order as JSON, or a sentence.

        Args:
            lead: the completed action, such as ``Placed``.
            order: the order that the API returned.
            description: the order in words.

        Raises:
            click.exceptions.Exit: the broker rejected the order.
        """
        # Before the failure: a script needs the id of a rejected order too.
        if self.as_json:
            print_object(order)
        if order.status is OrderStatus.REJECTED:
            fail(f"the broker rejected it: {description}; it says: {order.reject_reason or 'nothing'}")
        if not self.as_json:
            announce(outcome(lead, order, description))


def placing_options(command: F) -> F:
    """Add the options of ``OrderOptions`` to a command."""
    for option in (
        json_option,
        settle_option,
        yes_option,
        click.option("--dry-run", is_flag=True, help="Send nothing; print the exact JSON that would be sent."),
        click.option("--broker", metavar="CODE", help="At this broker, for example ALPACA."),
        click.option("--account", metavar="ID", help="In this account, by its id or its number."),
        click.option("--tif", metavar="TIF", default="DAY", show_default=True, help="DAY, GTC, IOC, FOK, OPEN, ..."),
    ):
        command = option(command)
    return command


def _show(rows: Iterable[tuple[str, str]]) -> None:
    """Print rows of a name and a value on stderr."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(plain(value)))
    console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else UNLIMITED)
    with console.capture() as capture:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in capture.get().split("\n")), nl=False, err=True)


async def place(
    context: CliContext, ticket: OrderTicket, submit: SubmitOptions, *, account_name: str, title: str = ""
) -> None:
    """Show a ticket, ask for confirmation, place it, and report the outcome.

    Args:
        context: the client and the user.
        ticket: the ticket.
        submit: how to send it.
        account_name: the display name of the account.
        title: the name of the strategy, if it has one.
    """
    if not submit.agree(ticket_rows(ticket, account_name, title), "Send this order?"):
        return
    if submit.dry_run:
        click.echo(escaped(await context.user.orders.place(ticket, dry_run=True)))
        return
    async with sending("Placing the order", context, ticket.cl_order_id):
        order = await context.user.orders.place(ticket)
    submit.report("Placed", order, describe(ticket))


@asynccontextmanager
async def sending(text: str, context: CliContext, any_id: str) -> AsyncGenerator[None]:
    """Show a spinner while a request is sent; on cancellation print how to look the order up.

    Args:
        text: the text of the spinner.
        context: the client and the user.
        any_id: an id of the order.
    """
    try:
        async with spinner(text, context.ct):
            yield
    except asyncio.CancelledError:
        echo_line(f"Interrupted: the request may have been sent anyway; check with {lookup_command(any_id)}.")
        raise
