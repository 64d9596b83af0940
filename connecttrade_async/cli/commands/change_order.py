"""The commands ``cancel`` and ``replace``: change an order by its ``order_id`` or ``cl_order_id``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from connecttrade_async.cli.credentials import open_user
from connecttrade_async.cli.errors import fail
from connecttrade_async.cli.options import in_event_loop, json_option, yes_option
from connecttrade_async.cli.order_lookup import find_changeable, find_successor
from connecttrade_async.cli.order_submit import SubmitOptions, sending, settle_option
from connecttrade_async.cli.order_text import (
    change_rows,
    changed_order,
    describe,
    filled_text,
    lookup_command,
    status_of,
)
from connecttrade_async.cli.output import print_object
from connecttrade_async.ids import new_order_id
from connecttrade_async.models import OrderStatus
from connecttrade_async.models.orders import has_ended
from connecttrade_async.tickets import replacement

if TYPE_CHECKING:
    from connecttrade_async.cli.credentials import CliContext
    from connecttrade_async.models import Order

__all__ = ["cancel", "replace"]

account_option = click.option("--account", metavar="ID", help="Only in this account: its id or its number.")


@click.command(short_help="Cancel an order.")
@click.argument("any_id", metavar="ID")
@account_option
@yes_option
@settle_option
@json_option
@in_event_loop
async def cancel(*, any_id: str, account: str | None, yes: bool, settle: float, as_json: bool) -> None:
    """Cancel the order with this order_id or cl_order_id."""
    submit = SubmitOptions(yes=yes, as_json=as_json)
    submit.check()
    async with open_user(settle=settle) as context:
        order = await find_changeable(context, any_id, account, None)
        description = describe(order)
        if not has_ended(order):
            if not submit.agree(change_rows(order, {}), "Cancel this order?"):
                return
            async with sending("Cancelling the order", context, order.order_id):
                order = await context.user.orders.cancel(order)
        successor = await _successor(context, order)
    if order.status is OrderStatus.CANCELLED or not has_ended(order):
        submit.report("Cancelled" if has_ended(order) else "Cancellation requested", order, description)
        return
    if as_json:
        print_object(order)
    so_far = f", {filled_text(order)}" if filled_text(order) else ""
    fail(f"the order was not cancelled because it is {status_of(order)} already: {description}{so_far}{successor}")


@click.command(short_help="Replace an order: another quantity or price.")
@click.argument("any_id", metavar="ID")
@click.option("--qty", metavar="N", help="Shares, contracts or units.")
@click.option("--notional", metavar="DOLLARS", help="Money to spend, instead of a quantity.")
@click.option("--limit", metavar="P", help="The limit price.")
@click.option("--stop", metavar="P", help="The stop price.")
@account_option
@click.option("--broker", metavar="CODE", help="Only at this broker; required if the order names none.")
@click.option("--dry-run", is_flag=True, help="Send nothing; print the exact JSON that would be sent.")
@yes_option
@settle_option
@json_option
@in_event_loop
async def replace(
    *,
    any_id: str,
    account: str | None,
    broker: str | None,
    settle: float,
    yes: bool,
    as_json: bool,
    dry_run: bool,
    **changed: str | None,
) -> None:
    """Replace the order with this order_id or cl_order_id by one with another quantity or price."""
    submit = SubmitOptions(yes=yes, as_json=as_json, dry_run=dry_run)
    submit.check()
    requested = {"qty": changed["qty"], "notional": changed["notional"]}
    requested |= {"price": changed["limit"], "stop": changed["stop"]}
    # Validates the numbers before any request or question.
    replacement(new_order_id(), broker or "any", **requested)
    async with open_user(settle=settle) as context:
        order = await find_changeable(context, any_id, account, broker)
        if has_ended(order):
            successor = await _successor(context, order)
            fail(f"the order cannot be replaced because it is {status_of(order)} already: {describe(order)}{successor}")
        sent = replacement(new_order_id(), order.broker or "", **requested)
        if not submit.agree(change_rows(order, sent), "Replace this order?"):
            return
        if dry_run:
            print_object(sent)
            return
        async with sending("Replacing the order", context, order.order_id):
            new = await context.user.orders.replace(order, **requested)
    # The response may hold no more than ids and a status (assumed).
    submit.report("Replaced", new, describe(new if new.side else changed_order(order, sent)))


async def _successor(context: CliContext, order: Order) -> str:
    """Describe the replacement of an order; empty if it was not replaced."""
    if order.status is not OrderStatus.REPLACED:
        return ""
    successor = await find_successor(context, order)
    if successor is None:
        named = f" {order.replaced_by}" if order.replaced_by else ""
        return f"; its replacement{named} was not changed and may be open: check with `connecttrade orders`"
    state = "is" if has_ended(successor) else "was not changed and is"
    details = f"{lookup_command(successor.order_id)} shows more"
    return f"; its replacement {successor.order_id} {state} {status_of(successor)}; {details}"
