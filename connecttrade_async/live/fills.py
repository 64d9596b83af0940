"""Below the waterline: each execution told once, whatever a broker tells of it.

The rule. What was executed of an order is told in two ways: as a list of fills, and as a filled quantity with a mean
price. A fill in the list that was not in it before is told, as it is. What the filled quantity has grown by beyond the
listed fills is told too, as a fill without an id: its price is what the average price implies. Such a part may be
listed later; then the listed fills are taken off it first, and only what is left of them is told. So what was told adds
up, at every moment, to the larger of what the broker lists and what it counts.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from connecttrade_async.amounts import MOST_DECIMALS, plain
from connecttrade_async.live.merging import amount, unknown
from connecttrade_async.models.orders import Fill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connecttrade_async.models.orders import Order

__all__ = ["NONE_IMPLIED", "Implied", "news_of"]

_EXACT = Context(prec=200, rounding=ROUND_HALF_EVEN)  # more than any amount that is read can need
_STEP = Decimal(1).scaleb(-MOST_DECIMALS)
_NOTHING = Decimal(0)


class Implied(NamedTuple):
    """What was told of an order's executions without being listed.

    Attributes:
        quantity: shares or contracts.
        value: what they cost, or None where nobody said.
    """

    quantity: Decimal
    value: Decimal | None


NONE_IMPLIED = Implied(_NOTHING, _NOTHING)


def news_of(before: Order | None, after: Order, implied: Implied = NONE_IMPLIED) -> tuple[tuple[Fill, ...], Implied]:
    """Return the executions of an order that were not told yet, and what of all that was told is not listed.

    Args:
        before: the order as it was, or None where all of it is new.
        after: the order as it is, with every fill that it ever listed.
        implied: what was told and not listed so far.
    """
    if (
        before is not None
        and after.filled_qty_text == before.filled_qty_text
        and after.fills_listed == before.fills_listed
    ):
        return (), implied
    told: list[Fill] = []
    for fill in unknown(before.fills if before is not None else (), after.fills):
        untold, implied = _taken_off(fill, implied)
        told += untold
    rest, implied = _rest(after, implied)
    return (*told, *rest), implied


def _taken_off(fill: Fill, implied: Implied) -> tuple[Sequence[Fill], Implied]:
    quantity = amount(fill.quantity_text)
    if quantity is None or not implied.quantity:
        return (fill,), implied
    covered, price = min(quantity, implied.quantity), amount(fill.price_text)
    left = _EXACT.subtract(implied.quantity, covered)
    value = None if price is None or implied.value is None else implied.value - _EXACT.multiply(covered, price)
    remaining = Implied(left, value) if left else NONE_IMPLIED
    if covered == quantity:
        return (), remaining
    return (replace(fill, quantity_text=plain(_EXACT.subtract(quantity, covered))),), remaining


def _rest(order: Order, implied: Implied) -> tuple[Sequence[Fill], Implied]:
    filled, known = amount(order.filled_qty_text), implied.quantity
    if filled is None:
        return (), implied
    for fill in order.fills:
        quantity = amount(fill.quantity_text)
        if quantity is None:
            return (), implied
        known = _EXACT.add(known, quantity)
    if filled <= known:
        return (), implied
    rest = _EXACT.subtract(filled, known)
    value = _value(order, filled, implied)
    price = None if value is None else _EXACT.divide(value, rest).quantize(_STEP, context=_EXACT).normalize(_EXACT)
    is_price = price is not None and price > 0
    part = Fill(
        time_text=order.updated_at_text,
        quantity_text=plain(rest),
        price_text=plain(price) if price is not None and is_price else None,
    )
    together = None if value is None or implied.value is None else _EXACT.add(value, implied.value)
    return (part,), Implied(_EXACT.add(rest, implied.quantity), together)


def _value(order: Order, filled: Decimal, implied: Implied) -> Decimal | None:
    """Return what the untold part cost: what everything cost, less what is listed and what was told."""
    average = amount(order.avg_fill_price_text)
    listed = [(amount(fill.quantity_text), amount(fill.price_text)) for fill in order.fills]
    costs = [_EXACT.multiply(qty, price) for qty, price in listed if qty is not None and price is not None]
    if average is None or implied.value is None or len(costs) < len(listed):
        return None
    return _EXACT.subtract(_EXACT.multiply(filled, average), _sum([*costs, implied.value]))


def _sum(values: Sequence[Decimal]) -> Decimal:
    total = _NOTHING
    for value in values:
        total = _EXACT.add(total, value)
    return total
