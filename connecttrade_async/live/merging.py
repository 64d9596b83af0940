"""Below the waterline: two sayings of one thing made one.

Its vow: whichever of two sayings of an order comes first, what is known after both is the same, if their times differ
and neither is to come.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from msgspec.structs import astuple, replace

from connecttrade_async.models.enums import OrderStatus
from connecttrade_async.models.fields import as_moment, as_number

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from connecttrade_async.models.fields import Model
    from connecttrade_async.models.orders import Fill, Order

__all__ = [
    "amount",
    "carried",
    "compared",
    "happened",
    "has_ended",
    "in_doubt",
    "is_outlived",
    "joined",
    "laid_over",
    "latest_of",
    "moment_of",
    "united",
    "unknown",
]

M = TypeVar("M", bound="Model")
NOTHING = Decimal(0)
# How far ahead of ours the clock of a broker may be that is right.
SKEW = timedelta(minutes=5)
# Each saying of an order has the same few quantities as the one before: the latest that were read are kept.
KEPT = 4096
LONGEST_KEPT = 32
# Which of the known an execution is that is listed twice under one name: the one that it was the first time.
REPEATED = -1
# What an order is born with, or can only come to know: a null or a silence later does not take it back.
NEVER_UNLEARNED = (
    "account_id",
    "avg_fill_price_text",
    "broker",
    "cl_order_id",
    "connection_id",
    "created_at_text",
    "filled_qty_text",
    "instrument",
    "legs_listed",
    "order_tif",
    "order_type",
    "replaced_by",
    "replaces",
    "side",
    "status",
    "symbol",
    "updated_at_text",
)


class Payload(Protocol):
    """What knows which fields it carried."""

    @property
    def given(self) -> frozenset[str]:
        """The names on the wire of the fields that came."""
        ...


def laid_over(before: M, after: M, payload: Payload) -> M:
    """Return what came, with what it did not carry as it was: null is a value, absence is none.

    The frame is asked what it carried only where that matters.
    """
    places = in_doubt(before, after)
    if not places:
        return after
    given, wire, old = payload.given, after.__struct_encode_fields__, astuple(before)
    kept = {after.__struct_fields__[place]: old[place] for place in places if wire[place] not in given}
    return replace(after, **kept) if kept else after


def in_doubt(before: Model, after: Model) -> list[int]:
    """Return the places of the fields that are absent or null now, and were not."""
    values = astuple(after)
    if all(values):
        return []
    old = astuple(before)
    return [place for place, value in enumerate(values) if value is None and old[place] is not None]


def carried(thing: Model, payload: Payload) -> dict[str, Any]:
    """Return the fields that a payload carried, by name."""
    values = astuple(thing)
    pairs = zip(thing.__struct_fields__, thing.__struct_encode_fields__, values, strict=True)
    if None not in values:
        return {name: value for name, _, value in pairs}
    given = payload.given
    return {name: value for name, wire, value in pairs if value is not None or wire in given}


def joined(
    before: Order,
    after: Order,
    at: datetime | None = None,
    *,
    is_ahead: bool = False,
    is_whole: bool = False,
) -> Order:
    """Return what is known of an order from two sayings of it.

    Args:
        before: what is known.
        after: what is said now.
        at: when that is, aware; None where it does not matter.
        is_ahead: whether what is known wins where neither saying is the newer.
        is_whole: whether what is said now is known to lack nothing that was said before.
    """
    older = compared(after.updated_at_text, before.updated_at_text)
    if older < 0 and at is not None and is_outlived(before.updated_at_text, after.updated_at_text, at):
        older = 0
    is_stale = older < 0 if older else _is_behind(before, after, is_ahead=is_ahead)
    base, other = (before, after) if is_stale else (after, before)
    kept: dict[str, Any] = {}
    if is_stale or not is_whole:
        # Of the same moment, what is known may be a part only, and what is said now the whole.
        kept = _blanks(base, other, base.__struct_fields__ if is_stale and not older else NEVER_UNLEARNED)
    filled = other.filled_qty_text
    if filled and filled != base.filled_qty_text and _filled(other) > _filled(base):
        kept |= {"filled_qty_text": filled, "avg_fill_price_text": other.avg_fill_price_text}
    if has_ended(other) and not has_ended(base):
        kept |= {"status": other.status, "broker_status": other.broker_status, "reject_reason": other.reject_reason}
    listed = other.fills_listed
    # Most list what was listed before, and then more.
    if listed and base.fills[: len(listed)] != listed:
        fills = united(base.fills, listed)
        kept |= {} if fills is base.fills else {"fills_listed": fills}
    return replace(base, **kept) if kept else base


def _blanks(base: Order, other: Order, names: Iterable[str]) -> dict[str, Any]:
    return {
        name: value
        for name in names
        if getattr(base, name) is None and (value := getattr(other, name)) is not None and name != "fills_listed"
    }


def _is_behind(before: Order, after: Order, *, is_ahead: bool) -> bool:
    """Say whether of two sayings of one moment, or of no moment, the second is the less advanced."""
    more = NOTHING if after.filled_qty_text == before.filled_qty_text else _filled(after) - _filled(before)
    if more:
        return more < 0
    if has_ended(before) or has_ended(after):
        return has_ended(before)
    # An order that was accepted is never again one that was not.
    return is_ahead or (after.status is OrderStatus.PENDING and before.status is not None)


def compared(text: str | None, other: str | None) -> int:
    """Compare two times as they came: below zero if the first is the earlier; 0 if they are one or cannot be told."""
    if text == other or not text or not other:
        return 0
    if len(text) != len(other) or not (text[-1] == other[-1] == "Z" or text.isdecimal() is other.isdecimal() is True):
        first, second = moment_of(text), moment_of(other)
        if first is None or second is None:
            return 0
        return (first > second) - (first < second)
    return 1 if text > other else -1


def moment_of(text: str | None) -> datetime | None:
    """Read a time; None where that cannot be read, which must not stand in anybody's way."""
    try:
        return as_moment(text) if text else None
    except (ValueError, OverflowError, OSError):  # a number too large for the machine
        return None


def is_outlived(known: str | None, said: str | None, at: datetime) -> bool:
    """Say whether a time that was taken for true is to come, and one that is said now is not, so it decides nothing.

    Where both are to come it may be our clock that is wrong, and they are as good as any.
    """
    first, second = moment_of(known), moment_of(said)
    return first is not None and second is not None and first > at + SKEW >= second


def happened(text: str | None, heard: datetime | None) -> datetime | None:
    """Read when something happened that was heard of at a time: no later than that; None where nobody can tell."""
    when = moment_of(text)
    return heard if when is not None and heard is not None and when > heard + SKEW else when


def latest_of(texts: Iterable[str | None]) -> datetime | None:
    """Return the latest of some times as they came; what cannot be read does not count."""
    told = {text for text in texts if text}
    # Times of one spelling are in order as texts are, so only one is read.
    if len({len(text) for text in told}) == 1 and all(text[-1] == "Z" for text in told):
        latest = moment_of(max(told))
        if latest is not None:
            return latest
    return max((when for text in told if (when := moment_of(text)) is not None), default=None)


def amount(text: str | None) -> Decimal | None:
    """Read a quantity or a price without its sign; None where there is none, or none that can be one."""
    if not text:
        return None
    return _read(text) if len(text) <= LONGEST_KEPT else _read.__wrapped__(text)


@lru_cache(maxsize=KEPT)
def _read(text: str) -> Decimal | None:
    try:
        return as_number(text).copy_abs()
    except (ValueError, InvalidOperation):
        return None


def unknown(known: tuple[Fill, ...], listed: tuple[Fill, ...]) -> tuple[Fill, ...]:
    """Return those of some executions that are not among others.

    One is told from another by its ``fill_id``. Where one of the two has none, they are one if their time, quantity and
    price are, however these are spelled; and of two that are alike in all of that the second is not the first.
    """
    if known[: len(listed)] == listed:
        return ()
    names = [fill.fill_id for fill in listed]
    # One that is named twice is one execution, and those without a name are counted.
    if all(names) and len({*names}) == len(names) and listed[: len(known)] == known:
        return listed[len(known) :]
    return tuple(fill for fill, twin in zip(listed, _twins(known, listed), strict=True) if twin is None)


def united(known: tuple[Fill, ...], listed: tuple[Fill, ...]) -> tuple[Fill, ...]:
    """Return those of others that are not among some executions, then these, each with its id if it has one.

    They are told from each other as in ``unknown``.
    """
    twins = _twins(known, listed)
    extra = [fill for fill, twin in zip(listed, twins, strict=True) if twin is None]
    names = {twin: fill.fill_id for fill, twin in zip(listed, twins, strict=True) if fill.fill_id}
    if any(not fill.fill_id and place in names for place, fill in enumerate(known)):
        named = [replace(fill, fill_id=fill.fill_id or names.get(place)) for place, fill in enumerate(known)]
        return (*extra, *named)
    return (*extra, *known) if extra else known


def _twins(known: tuple[Fill, ...], listed: tuple[Fill, ...]) -> list[int | None]:
    """Return for each of some executions which of others it is; None where it is none of them."""
    named = {fill.fill_id: place for place, fill in enumerate(known) if fill.fill_id}
    nameless = _by_content(known, [place for place, fill in enumerate(known) if not fill.fill_id])
    twins: list[int | None] = []
    seen: dict[str | None, int | None] = {}
    # Those with a name can be one of the nameless only, so they come first: as many as can be find their twin.
    for fill in listed:
        name = fill.fill_id
        if not name:
            twins.append(None)
        elif name in seen:
            twins.append(REPEATED)
        else:
            seen[name] = named[name] if name in named else _first(nameless, fill)
            twins.append(seen[name])
    if len(listed) > len(seen):
        left = _by_content(known, [place for name, place in named.items() if name not in seen])
        for number, fill in enumerate(listed):
            if not fill.fill_id:
                place = _first(nameless, fill)
                twins[number] = _first(left, fill) if place is None else place
    return twins


def _by_content(fills: tuple[Fill, ...], places: list[int]) -> dict[object, list[int]]:
    found: dict[object, list[int]] = {}
    for place in reversed(places):
        found.setdefault(_content(fills[place]), []).append(place)
    return found


def _first(places: dict[object, list[int]], fill: Fill) -> int | None:
    if not places:
        return None
    alike = places.get(_content(fill))
    return alike.pop() if alike else None


def _content(fill: Fill) -> object:
    """Return what an execution was, however it is spelled; what cannot be read is as it came."""
    quantity, price = amount(fill.quantity_text), amount(fill.price_text)
    return (
        moment_of(fill.time_text) or fill.time_text,
        fill.quantity_text if quantity is None else quantity,
        fill.price_text if price is None else price,
    )


def _filled(order: Order) -> Decimal:
    return amount(order.filled_qty_text) or NOTHING


def has_ended(order: Order) -> bool:
    """Say whether an order can never change again."""
    return order.status is not None and order.status.is_terminal
