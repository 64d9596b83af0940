"""Derive the executions to publish from two states of an order, so that each is published once.

A broker reports the executions of an order in two ways: as a list of fills, and as a filled quantity with an average
price. A fill that is new in the list is published as it is. Growth of the filled quantity beyond the listed fills is
published as an implied fill, without an id. Its price is what the average price implies. Such a part may be listed
later. Then it is subtracted from the listed fills, and only their rest is published. So the published quantities add
up, at every moment, to the larger of the listed and the counted quantity, with its sign.

The sum decides, never an id alone: brokers repeat one id for several executions, and let an execution grow under its
id. A row that has grown is published as its growth. An execution that a correction or a bust takes back is
published with the opposite sign, so that the sum holds then too.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from connecttrade_async.amounts import EXACT, MOST_DECIMALS, plain
from connecttrade_async.books.merge import (
    amount,
    diff_fills,
    distinct_fills,
    executed_quantity,
    is_same_amount,
    larger_quantity,
)
from connecttrade_async.models.enums import Instrument
from connecttrade_async.models.orders import Fill

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from connecttrade_async.models.orders import Order

__all__ = ["NONE_IMPLIED", "ImpliedFills", "unpublished_fills"]

_STEP = Decimal(1).scaleb(-MOST_DECIMALS, EXACT)
_ZERO = Decimal(0)


class ImpliedFills(NamedTuple):
    """The published executions of an order that are not in its list.

    Attributes:
        quantity: shares or contracts, with the sign of the executions.
        value: their cost, or None where it is unknown.
    """

    quantity: Decimal
    value: Decimal | None


NONE_IMPLIED = ImpliedFills(_ZERO, _ZERO)


def unpublished_fills(
    before: Order | None,
    after: Order,
    implied: ImpliedFills = NONE_IMPLIED,
    is_published_elsewhere: Callable[[Fill], bool] | None = None,
) -> tuple[tuple[Fill, ...], ImpliedFills]:
    """Return the executions of an order to publish, and the published quantity that is not listed.

    Args:
        before: the order as it was, or None where it is new.
        after: the order as it is, with every fill that it ever listed.
        implied: the published quantity that was not listed so far.
        is_published_elsewhere: returns whether an execution was published with another order of a chain of
            replacements; None where there is no other.
    """
    if (
        before is not None
        and after.filled_qty_text == before.filled_qty_text
        and after.fills_listed == before.fills_listed
    ):
        return (), implied
    # The short way is right only while nothing was published beyond the list: otherwise a new row may be such a part.
    if (
        implied is NONE_IMPLIED
        and is_published_elsewhere is None
        and (appended := _appended(before, after)) is not None
    ):
        return appended, implied
    return _compared(before, after, implied, is_published_elsewhere)


def _compared(
    before: Order | None, after: Order, implied: ImpliedFills, is_published_elsewhere: Callable[[Fill], bool] | None
) -> tuple[tuple[Fill, ...], ImpliedFills]:
    """Return the result of ``unpublished_fills`` for any two states of an order."""
    was, now = before.fills if before is not None else (), after.fills
    rows, removed = diff_fills(was, now)
    listed = executed_quantity(now)
    if removed or any(old is not None for old, _ in rows):
        delivered = executed_quantity(was)
    else:
        delivered = EXACT.subtract(listed, total_quantity([fill for _, fill in rows]))
    delivered = EXACT.add(delivered, implied.quantity)
    published: list[Fill] = []
    changed = {fill.fill_id for _, fill in rows}
    for fill in removed:
        # Rows that merged into one row under their id are not taken back: the sum below has their difference.
        if fill.fill_id not in changed and (quantity := amount(fill.quantity_text)) is not None:
            published.append(replace(fill, quantity_text=plain(quantity.copy_negate())))
            delivered = EXACT.subtract(delivered, quantity)
    new_rows: list[Fill] = []
    for old, fill in rows:
        # A replacement repeats the fills of the order that it replaces: these count as delivered.
        if old is None and is_published_elsewhere is not None and is_published_elsewhere(fill):
            delivered = EXACT.add(delivered, amount(fill.quantity_text) or _ZERO)
        elif old is None:
            new_rows.append(fill)
        elif not is_same_amount(old.quantity_text, fill.quantity_text):
            new_rows.append(_growth(old, fill, after))
    target = _target(after, listed, delivered)
    unpublished, remaining = _subtract_published(
        new_rows, EXACT.subtract(EXACT.add(delivered, total_quantity(new_rows)), target), implied
    )
    published += unpublished
    # What is left over is in the count and in no row. To wait for the row is wrong: some brokers never list fills.
    beyond = EXACT.subtract(target, listed)
    if remaining.quantity:
        part, value = _implied_fill(after, remaining.quantity.copy_negate(), target, remaining.value)
        published.append(part)
        remaining = ImpliedFills(beyond, value)
    return tuple(published), ImpliedFills(beyond, remaining.value) if beyond else NONE_IMPLIED


def _appended(before: Order | None, after: Order) -> tuple[Fill, ...] | None:
    """Return the fills that were appended to a list which explains the whole count of its order, else None.

    Most reports are of this kind. Their new fills are published as they are and nothing is implied, so the lists need
    no comparison: half of the time of an update of an order.
    """
    was, now = before.fills if before is not None else (), after.fills
    if (before is not None and len(now) == len(was)) or now[: len(was)] != was:
        return None
    listed = _ZERO
    for fill in now:
        quantity = amount(fill.quantity_text)
        if quantity is None:
            return None
        listed = EXACT.add(listed, quantity)
    # A count above the list means an implied fill, which the short way cannot derive.
    counted = amount(after.filled_qty_text)
    if counted is not None and counted.copy_abs() > listed.copy_abs():
        return None
    has_own_ids = len({fill.fill_id for fill in now}) == len(now)
    return now[len(was) :] if has_own_ids else None


def total_quantity(fills: Sequence[Fill]) -> Decimal:
    """Return the sum of the quantities of fills; equal rows count each."""
    total = _ZERO
    for fill in fills:
        total = EXACT.add(total, amount(fill.quantity_text) or _ZERO)
    return total


def _target(order: Order, listed: Decimal, delivered: Decimal) -> Decimal:
    """Return the quantity that all published fills must add up to."""
    if any(amount(fill.quantity_text) is None for fill in order.fills):
        # The part of the count that an execution of unknown size explains is unknown too.
        return larger_quantity(listed, delivered)
    counted = amount(order.filled_qty_text)
    if counted is None:
        # Without a count, an absent list says nothing, and an empty one says that nothing is filled.
        return larger_quantity(listed, delivered) if order.fills_listed is None else listed
    return larger_quantity(listed, counted)


def _growth(old: Fill, fill: Fill, order: Order) -> Fill:
    """Return the growth of an execution under its id, at the price that the change implies."""
    was, now = amount(old.quantity_text) or _ZERO, amount(fill.quantity_text) or _ZERO
    grown = EXACT.subtract(now, was)
    # With another price the row holds a mean over the old and the new part, so the growth has a price of its own.
    if is_same_amount(old.price_text, fill.price_text) or not was:
        return replace(fill, quantity_text=plain(grown))
    first, second = amount(old.price_text), amount(fill.price_text)
    value = None
    if first is not None and second is not None:
        value = EXACT.subtract(EXACT.multiply(now, second), EXACT.multiply(was, first))
    return replace(fill, quantity_text=plain(grown), price_text=_price(order, value, grown))


def _subtract_published(
    new_rows: Sequence[Fill], cover: Decimal, implied: ImpliedFills
) -> tuple[Sequence[Fill], ImpliedFills]:
    """Subtract the quantity that was published already from the first of the new fills.

    Args:
        new_rows: the new fills.
        cover: the quantity to subtract.
        implied: the published quantity that was not listed, and its value.

    Returns:
        The rest of the fills, and the quantity that no fill covers: negative where more is to be published.
    """
    value = implied.value
    published: list[Fill] = []
    for fill in new_rows:
        quantity = amount(fill.quantity_text)
        # A row of the other sign is a correction: to cover it would hide both.
        if not cover or not quantity or quantity.is_signed() is not cover.is_signed():
            published.append(fill)
            continue
        covered = min(quantity.copy_abs(), cover.copy_abs()).copy_sign(cover)
        price = amount(fill.price_text)
        value = None if price is None or value is None else EXACT.subtract(value, EXACT.multiply(covered, price))
        cover = EXACT.subtract(cover, covered)
        if covered != quantity:
            published.append(replace(fill, quantity_text=plain(EXACT.subtract(quantity, covered))))
    return published, ImpliedFills(cover, value)


def _implied_fill(order: Order, rest: Decimal, target: Decimal, value: Decimal | None) -> tuple[Fill, Decimal | None]:
    """Return the implied fill for a quantity that no listed fill explains, and the value of all implied fills."""
    together = _unlisted_cost(order, target)
    part = None if together is None or value is None else EXACT.subtract(together, value)
    price = None if part is None else _price(order, part, rest)
    return Fill(time_text=order.updated_at_text, quantity_text=plain(rest), price_text=price), together


def _unlisted_cost(order: Order, target: Decimal) -> Decimal | None:
    """Return the total cost less the cost of the listed fills; None where the order lacks a price."""
    average = amount(order.avg_fill_price_text)
    if not average:
        return None
    total = EXACT.multiply(target, average)
    for fill in distinct_fills(order.fills):
        quantity, price = amount(fill.quantity_text), amount(fill.price_text)
        if quantity is None or price is None:
            return None
        total = EXACT.subtract(total, EXACT.multiply(quantity, price))
    return total


def _price(order: Order, value: Decimal | None, quantity: Decimal) -> str | None:
    """Return the price that a value implies; None where it cannot be a price."""
    if value is None:
        return None
    # A mean price that was rounded by the broker implies digits that no price has, so the result is rounded too.
    price = EXACT.divide(value, quantity).quantize(_STEP, context=EXACT).normalize(EXACT)
    if price > 0 or _may_be_a_credit(order):
        return plain(price)
    return None


def _may_be_a_credit(order: Order) -> bool:
    """Return whether a price of zero or below can be right: the order has such a price, or is a multi-leg order."""
    if order.instrument is Instrument.MULTI_LEG_OPTION or order.legs_listed:
        return True
    texts = [order.avg_fill_price_text, *(fill.price_text for fill in order.fills)]
    return any(price is not None and price < 0 for price in map(amount, texts))
