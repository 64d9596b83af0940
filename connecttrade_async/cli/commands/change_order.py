"""The front door: ``cancel`` and ``replace``, of an order by its id or by the id that it was sent under."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from connecttrade_async.cli.credentials import open_user
from connecttrade_async.cli.errors import fail
from connecttrade_async.cli.options import in_event_loop, json_option, yes_option
from connecttrade_async.cli.order_lookup import find_successor, find_to_change
from connecttrade_async.cli.order_submit import SubmitOptions, sending, settle_option
from connecttrade_async.cli.order_text import changed_order, changes, filled, how_to_look, in_words, status_of
from connecttrade_async.cli.output import print_object
from connecttrade_async.ids import new_order_id
from connecttrade_async.models import OrderStatus
from connecttrade_async.tickets import replacement

if TYPE_CHECKING:
    from connecttrade_async.cli.credentials import CliContext
    from connecttrade_async.models import Order

__all__ = ["cancel", "replace"]

whose_option = click.option("--account", metavar="ID", help="Only in this account, by its id or its number.")


@click.command(short_help="Cancel an order.")
@click.argument("any_id", metavar="ID")
@whose_option
@yes_option
@settle_option
@json_option
@in_event_loop
async def cancel(*, any_id: str, account: str | None, yes: bool, settle: float, as_json: bool) -> None:
    """Cancel the order of this order_id or cl_order_id."""
    manner = SubmitOptions(yes=yes, as_json=as_json)
    manner.check()
    async with open_user(settle=settle) as caller:
        order = await find_to_change(caller, any_id, account, None)
        words = in_words(order)
        if not _has_ended(order):
            if not manner.agree(changes(order, {}), "Cancel this order?"):
                return
            async with sending("Cancelling the order", caller, order.order_id):
                order = await caller.user.orders.cancel(order)
        successor = await _successor(caller, order)
    if order.status is OrderStatus.CANCELLED or not _has_ended(order):
        manner.report("Cancelled" if _has_ended(order) else "Asked to cancel", order, words)
        return
    if as_json:
        print_object(order)
    so_far = f", {filled(order)}" if filled(order) else ""
    fail(f"it was not cancelled, for it is {status_of(order)} already: {words}{so_far}{successor}")


@click.command(short_help="Replace an order: another quantity or price.")
@click.argument("any_id", metavar="ID")
@click.option("--qty", metavar="N", help="Shares, contracts or units.")
@click.option("--notional", metavar="DOLLARS", help="Money to spend, instead of a quantity.")
@click.option("--limit", metavar="P", help="The limit price.")
@click.option("--stop", metavar="P", help="The stop price.")
@whose_option
@click.option("--broker", metavar="CODE", help="Only at this broker; needed if the order does not say.")
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
    """Replace the order of this order_id or cl_order_id by one with another quantity or price."""
    manner = SubmitOptions(yes=yes, as_json=as_json, dry_run=dry_run)
    manner.check()
    wanted = {"qty": changed["qty"], "notional": changed["notional"]}
    wanted |= {"price": changed["limit"], "stop": changed["stop"]}
    # What is wrong with the numbers is said before anybody is asked anything.
    replacement(new_order_id(), broker or "any", **wanted)
    async with open_user(settle=settle) as caller:
        order = await find_to_change(caller, any_id, account, broker)
        if _has_ended(order):
            successor = await _successor(caller, order)
            fail(f"it cannot be replaced, for it is {status_of(order)} already: {in_words(order)}{successor}")
        sent = replacement(new_order_id(), order.broker or "", **wanted)
        if not manner.agree(changes(order, sent), "Replace this order?"):
            return
        if dry_run:
            print_object(sent)
            return
        async with sending("Replacing the order", caller, order.order_id):
            new = await caller.user.orders.replace(order, **wanted)
    # The least that the API answers is ids and a status (assumed).
    manner.report("Replaced", new, in_words(new if new.side else changed_order(order, sent)))


async def _successor(caller: CliContext, order: Order) -> str:
    """Return what there is to say of the order that took an order's place; nothing where none did."""
    if order.status is not OrderStatus.REPLACED:
        return ""
    successor = await find_successor(caller, order)
    if successor is None:
        named = f" {order.replaced_by}" if order.replaced_by else ""
        return f"; the order{named} that took its place was left alone and may live: `connecttrade orders` tells"
    look = how_to_look(successor.order_id)
    told = f"; the order {successor.order_id} took its place and "
    told += "is " if _has_ended(successor) else "lives, left alone as it was: it is "
    return f"{told}{status_of(successor)}, and {look} tells more"


def _has_ended(order: Order) -> bool:
    return order.status is not None and order.status.is_terminal
