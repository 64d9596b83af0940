"""Below the waterline: each execution told once, whatever a broker tells of it.

The rule. What was executed of an order is told in two ways: as a list of fills, and as a filled quantity with a mean
price. A fill in the list that was not in it before is told, as it is. What the filled quantity has grown by beyond the
listed fills is told too, as a fill without an id: its price is what the average price implies. Such a part may be
listed later; then the listed fills are taken off it first, and only what is left of them is told. So what was told adds
up, at every moment, to the larger of what the broker lists and what it counts, with its sign.

The sum decides, and never an id alone: brokers repeat one id for several executions, and let an execution grow under
its id. A row that has grown is told by its growth. What a correction or a bust takes back is told as a fill whose sign
is the opposite, so that the sum holds then too.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from connecttrade_async.amounts import EXACT, MOST_DECIMALS, plain
from connecttrade_async.books.merge import amount, distinct, executed, is_same_amount, larger, paired
from connecttrade_async.models.enums import Instrument
from connecttrade_async.models.orders import Fill

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from connecttrade_async.models.orders import Order

__all__ = ["NONE_IMPLIED", "ImpliedFills", "untold_fills"]

_STEP = Decimal(1).scaleb(-MOST_DECIMALS, EXACT)
_NOTHING = Decimal(0)


class ImpliedFills(NamedTuple):
    """What was told of an order's executions without being listed.

    Attributes:
        quantity: shares or contracts, with the sign of the executions.
        value: what they cost, or None where nobody said.
    """

    quantity: Decimal
    value: Decimal | None


NONE_IMPLIED = ImpliedFills(_NOTHING, _NOTHING)


def untold_fills(
    before: Order | None,
    after: Order,
    implied: ImpliedFills = NONE_IMPLIED,
    is_told_elsewhere: Callable[[Fill], bool] | None = None,
) -> tuple[tuple[Fill, ...], ImpliedFills]:
    """Return the executions of an order that were not told yet, and what of all that was told is not listed.

    Args:
        before: the order as it was, or None where all of it is new.
        after: the order as it is, with every fill that it ever listed.
        implied: what was told and not listed so far.
        is_told_elsewhere: returns whether an execution was delivered with another order of a chain of replacements;
            None where there is no other.
    """
    if (
        before is not None
        and after.filled_qty_text == before.filled_qty_text
        and after.fills_listed == before.fills_listed
    ):
        return (), implied
    was = before.fills if before is not None else ()
    rows, gone = paired(was, after.fills)
    listed = executed(after.fills)
    if gone or any(old is not None for old, _ in rows):
        delivered = executed(was)
    else:
        delivered = EXACT.subtract(listed, executed_in([fill for _, fill in rows]))
    delivered = EXACT.add(delivered, implied.quantity)
    told: list[Fill] = []
    changed = {fill.fill_id for _, fill in rows}
    for fill in gone:
        # Rows that became one row under their id are no executions taken back: the sum below has their difference.
        if fill.fill_id not in changed and (quantity := amount(fill.quantity_text)) is not None:
            told.append(replace(fill, quantity_text=plain(quantity.copy_negate())))
            delivered = EXACT.subtract(delivered, quantity)
    news: list[Fill] = []
    for old, fill in rows:
        if old is None and is_told_elsewhere is not None and is_told_elsewhere(fill):
            delivered = EXACT.add(delivered, amount(fill.quantity_text) or _NOTHING)
        elif old is None:
            news.append(fill)
        elif not is_same_amount(old.quantity_text, fill.quantity_text):
            news.append(_growth(old, fill, after))
    target = _target(after, listed, delivered)
    untold, left = _taken_off(news, EXACT.subtract(EXACT.add(delivered, executed_in(news)), target), implied)
    told += untold
    beyond = EXACT.subtract(target, listed)
    if left.quantity:
        part, value = _rest(after, left.quantity.copy_negate(), target, left.value)
        told.append(part)
        left = ImpliedFills(beyond, value)
    return tuple(told), ImpliedFills(beyond, left.value) if beyond else NONE_IMPLIED


def executed_in(fills: Sequence[Fill]) -> Decimal:
    """Return the sum of the quantities of some fills; each counts."""
    total = _NOTHING
    for fill in fills:
        total = EXACT.add(total, amount(fill.quantity_text) or _NOTHING)
    return total


def _target(order: Order, listed: Decimal, delivered: Decimal) -> Decimal:
    """Return what the deliveries must add up to."""
    if any(amount(fill.quantity_text) is None for fill in order.fills):
        # How much of the count an execution of unknown size explains is unknown too.
        return larger(listed, delivered)
    counted = amount(order.filled_qty_text)
    if counted is None:
        return larger(listed, delivered) if order.fills_listed is None else listed
    return larger(listed, counted)


def _growth(old: Fill, fill: Fill, order: Order) -> Fill:
    """Return by how much an execution has changed under its id, at the price that the change implies."""
    was, now = amount(old.quantity_text) or _NOTHING, amount(fill.quantity_text) or _NOTHING
    grown = EXACT.subtract(now, was)
    if is_same_amount(old.price_text, fill.price_text) or not was:
        return replace(fill, quantity_text=plain(grown))
    first, second = amount(old.price_text), amount(fill.price_text)
    value = None
    if first is not None and second is not None:
        value = EXACT.subtract(EXACT.multiply(now, second), EXACT.multiply(was, first))
    return replace(fill, quantity_text=plain(grown), price_text=_price(order, value, grown))


def _taken_off(news: Sequence[Fill], cover: Decimal, implied: ImpliedFills) -> tuple[Sequence[Fill], ImpliedFills]:
    """Take off the first of some fills what was told already.

    Returns:
        What is left of the fills, and what no fill covers: its quantity is negative where more is to be told.
    """
    value = implied.value
    told: list[Fill] = []
    for fill in news:
        quantity = amount(fill.quantity_text)
        if not cover or not quantity or quantity.is_signed() is not cover.is_signed():
            told.append(fill)
            continue
        covered = min(quantity.copy_abs(), cover.copy_abs()).copy_sign(cover)
        price = amount(fill.price_text)
        value = None if price is None or value is None else EXACT.subtract(value, EXACT.multiply(covered, price))
        cover = EXACT.subtract(cover, covered)
        if covered != quantity:
            told.append(replace(fill, quantity_text=plain(EXACT.subtract(quantity, covered))))
    return told, ImpliedFills(cover, value)


def _rest(order: Order, rest: Decimal, target: Decimal, value: Decimal | None) -> tuple[Fill, Decimal | None]:
    """Return the part that only the count tells, and what all parts of that kind cost together."""
    together = _cost_beyond(order, target)
    part = None if together is None or value is None else EXACT.subtract(together, value)
    price = None if part is None else _price(order, part, rest)
    return Fill(time_text=order.updated_at_text, quantity_text=plain(rest), price_text=price), together


def _cost_beyond(order: Order, target: Decimal) -> Decimal | None:
    """Return what everything cost less what the listed fills did; None where the order does not say."""
    average = amount(order.avg_fill_price_text)
    if not average:
        return None
    total = EXACT.multiply(target, average)
    for fill in distinct(order.fills):
        quantity, price = amount(fill.quantity_text), amount(fill.price_text)
        if quantity is None or price is None:
            return None
        total = EXACT.subtract(total, EXACT.multiply(quantity, price))
    return total


def _price(order: Order, value: Decimal | None, quantity: Decimal) -> str | None:
    """Return the price that a value implies; None where it cannot be one."""
    if value is None:
        return None
    price = EXACT.divide(value, quantity).quantize(_STEP, context=EXACT).normalize(EXACT)
    if price > 0 or _may_be_a_credit(order):
        return plain(price)
    return None


def _may_be_a_credit(order: Order) -> bool:
    """Return whether a price of zero or below can be right: the order says one itself, or is a multi-leg order."""
    if order.instrument is Instrument.MULTI_LEG_OPTION or order.legs_listed:
        return True
    texts = [order.avg_fill_price_text, *(fill.price_text for fill in order.fills)]
    return any(price is not None and price < 0 for price in map(amount, texts))
