"""The front door: the last look before an order is sent, the sending, and the sentence about what became of it.

Its vow: nothing is sent that was not shown or agreed to beforehand, and whoever leaves early is told how to look.
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
from connecttrade_async.cli.order_text import facts, how_to_look, in_words, outcome
from connecttrade_async.cli.output import UNLIMITED, announce, echo_line, escaped, plain, print_object
from connecttrade_async.cli.progress import waiting
from connecttrade_async.cli.prompts import agreed, require_interactive
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
    help="If the answer is lost, look so long for what became of it.",
)


class OrderOptions(TypedDict):
    """What every command that places an order is told besides the order itself."""

    tif: str
    account: str | None
    broker: str | None
    settle: float
    dry_run: bool
    yes: bool
    as_json: bool


class SubmitOptions(NamedTuple):
    """How an order is sent.

    Attributes:
        yes: without asking.
        as_json: a program reads what comes out.
        dry_run: not at all.
    """

    yes: bool
    as_json: bool
    dry_run: bool = False

    def check(self) -> None:
        """See to it that somebody can be asked who has to be.

        Raises:
            click.UsageError: nobody is there.
        """
        require_interactive(yes=self.yes or self.dry_run)

    def agree(self, rows: Iterable[tuple[str, str]], question: str) -> bool:
        """Show what is to be sent, and return whether the person wants it."""
        if not (self.as_json and (self.yes or self.dry_run)):
            _show(rows)
        if self.dry_run or agreed(question, yes=self.yes):
            return True
        echo_line("Nothing was sent.")
        return False

    def report(self, lead: str, order: Order, words: str) -> None:
        """Print what became of it: the order for a program, a sentence for a person.

        Args:
            lead: what was done, ``Placed``.
            order: what came back.
            words: the order in words.

        Raises:
            click.exceptions.Exit: the broker took the order in only to turn it down.
        """
        if self.as_json:
            print_object(order)
        if order.status is OrderStatus.REJECTED:
            fail(f"the broker rejected it: {words}; it says: {order.reject_reason or 'nothing'}")
        if not self.as_json:
            announce(outcome(lead, order, words))


def placing_options(command: F) -> F:
    """Give a command the options of ``OrderOptions``."""
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
    """Show names and values on stderr."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(plain(value)))
    console = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else UNLIMITED)
    with console.capture() as capture:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in capture.get().split("\n")), nl=False, err=True)


async def place(caller: CliContext, ticket: OrderTicket, manner: SubmitOptions, *, whose: str, title: str = "") -> None:
    """Show a ticket, ask, place it, and say what became of it.

    Args:
        caller: who places it.
        ticket: what to place.
        manner: how.
        whose: the account, as people know it.
        title: the strategy, if it has a name.
    """
    if not manner.agree(facts(ticket, whose, title), "Send this order?"):
        return
    if manner.dry_run:
        click.echo(escaped(await caller.user.orders.place(ticket, dry_run=True)))
        return
    async with sending("Placing the order", caller, ticket.cl_order_id):
        order = await caller.user.orders.place(ticket)
    manner.report("Placed", order, in_words(ticket))


@asynccontextmanager
async def sending(words: str, caller: CliContext, look_for: str) -> AsyncGenerator[None]:
    """Hold while something is sent; who leaves meanwhile is told how to look for it.

    Args:
        words: what is under way.
        caller: who sends.
        look_for: the id by which it is found.
    """
    try:
        async with waiting(words, caller.ct):
            yield
    except asyncio.CancelledError:
        echo_line(f"Interrupted: it may have been sent all the same; {how_to_look(look_for)} tells.")
        raise
