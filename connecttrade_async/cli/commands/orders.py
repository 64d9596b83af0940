"""The command ``orders``: list orders, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from connecttrade_async.cli.columns import ORDERS
from connecttrade_async.cli.credentials import open_user
from connecttrade_async.cli.options import (
    account_option,
    connection_option,
    end_time,
    in_event_loop,
    json_option,
    start_time,
    symbols_option,
)
from connecttrade_async.cli.order_lookup import find_order
from connecttrade_async.cli.output import echo_line, print_items, print_objects
from connecttrade_async.cli.progress import Progress, spinner
from connecttrade_async.rest.wire import LARGEST_PAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from connecttrade_async.models import Order
    from connecttrade_async.rest.pagination import Listing

__all__ = ["orders"]

MOST = 500


@click.command()
@click.option("--find", "any_id", metavar="ID", help="Only the order with this order_id or cl_order_id, of any day.")
@click.option("--status", metavar="STATUS", help="all, open, closed, or one status such as filled.")
@account_option
@connection_option
@symbols_option
@click.option("--side", metavar="SIDE", help="Only this side, for example BUY.")
@click.option(
    "--start",
    "start_time",
    metavar="TIME",
    callback=start_time,
    help="From this day or time on: 2026-01-31, today, or a UTC time.",
)
@click.option("--end", "end_time", metavar="TIME", callback=end_time, help="Until this time; a day is inclusive.")
@click.option("--sort", type=click.Choice(["asc", "desc"]), help="Oldest first, or newest first.")
@click.option("--limit", type=click.IntRange(1, LARGEST_PAGE), help="Orders fetched at a time, 1 to 500.")
@click.option(
    "--max", "most", type=click.IntRange(min=1), default=MOST, show_default=True, help="The most orders to list."
)
@json_option
@in_event_loop
async def orders(
    *,
    any_id: str | None,
    most: int,
    as_json: bool,
    limit: int | None,
    **filters: str | datetime | None,
) -> None:
    """List orders. Without any filter: those that are open since midnight UTC."""
    given = {name: value for name, value in filters.items() if value is not None}
    if any_id is not None:
        account = filters.pop("account_id")
        has_filters = bool(limit) or any(value is not None for value in filters.values())
        await _find(any_id, str(account) if account is not None else None, has_filters=has_filters, as_json=as_json)
        return
    # For the API a limit is a filter, and without any filter it lists only orders that are open since midnight.
    limit = limit or (min(LARGEST_PAGE, most) if given else None)
    async with open_user() as (ct, user), spinner("Asking for orders", ct) as progress:
        listing: Listing[Order] = user.orders.list(limit=limit, **given)  # type: ignore[arg-type]  # as click typed them
        found, is_cut = await _collect(listing, most, progress, print_objects if as_json else None)
    if not as_json:
        print_items(found, ORDERS, as_json=False, none="No orders. --status all lists those of every day.")
    if is_cut:
        echo_line(f"There are more than these {most:,}: --max {most * 10} shows more of them.")


async def _find(any_id: str, account: str | None, *, has_filters: bool, as_json: bool) -> None:
    if has_filters:
        msg = "--find takes no filter but --account"
        raise click.UsageError(msg)
    async with open_user() as context:
        order = await find_order(context, any_id, account)
    print_items([order], ORDERS, as_json=as_json, none="")


async def _collect(
    listing: Listing[Order],
    most: int,
    progress: Progress,
    show: Callable[[Sequence[Order]], None] | None,
) -> tuple[list[Order], bool]:
    """Read pages until there are ``most`` orders.

    Args:
        listing: the listing.
        most: the greatest number of orders.
        progress: the spinner; its text shows the count.
        show: prints each page at once; None collects the orders.

    Returns:
        The collected orders, and whether the listing has more.
    """
    kept: list[Order] = []
    count = 0
    pages = listing.pages()
    try:
        async for page in pages:
            new = pages.new_items  # an order may be on two pages
            items = new[: most - count]
            count += len(items)
            if show is None:
                kept += items
            else:
                show(items)
            if count == most:
                return kept, len(items) < len(new) or page.next_cursor is not None
            progress.text = f"Asking for orders, {count:,} so far"
    finally:
        await pages.aclose()
    return kept, False
