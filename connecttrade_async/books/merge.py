"""Below the waterline: two sayings of one thing made one.

Its vow: whichever of two sayings of an order comes first, what is known after both is the same, if their times differ
and neither is to come.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from msgspec.structs import astuple, replace

from connecttrade_async.amounts import EXACT
from connecttrade_async.models.enums import OrderStatus
from connecttrade_async.models.fields import as_moment, as_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from connecttrade_async.models.fields import Model
    from connecttrade_async.models.orders import Fill, Order

__all__ = [
    "Paired",
    "age_of",
    "amount",
    "apply_partial",
    "compare_times",
    "corrected",
    "distinct",
    "event_time",
    "executed",
    "execution",
    "extent",
    "happened",
    "has_ended",
    "is_another",
    "is_future_outlier",
    "is_less",
    "is_reopened",
    "is_respelled",
    "is_same",
    "is_same_amount",
    "larger",
    "latest_of",
    "merge_fills",
    "merge_orders",
    "missing_fields",
    "paired",
    "present_fields",
]

M = TypeVar("M", bound="Model")
NOTHING = Decimal(0)
# How far ahead of ours the clock of a broker may be that is right.
SKEW = timedelta(minutes=5)
# Each saying of an order has the same few quantities as the one before: the latest that were read are kept.
KEPT = 4096
LONGEST_KEPT = 32
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
# What a correction by the broker may take back.
CORRECTED = ("avg_fill_price_text", "filled_qty_text", "status", "updated_at_text")


class Payload(Protocol):
    """What knows which fields it carried."""

    @property
    def given(self) -> frozenset[str]:
        """The names on the wire of the fields that came."""
        ...


def apply_partial(before: M, after: M, payload: Payload) -> M:
    """Return what came, with what it did not carry as it was: null is a value, absence is none.

    The frame is asked what it carried only where that matters.
    """
    places = missing_fields(before, after)
    if not places:
        return after
    given, wire, old = payload.given, after.__struct_encode_fields__, astuple(before)
    kept = {after.__struct_fields__[place]: old[place] for place in places if wire[place] not in given}
    return replace(after, **kept) if kept else after


def missing_fields(before: Model, after: Model) -> list[int]:
    """Return the places of the fields that are absent or null now, and were not."""
    values = astuple(after)
    if all(values):
        return []
    old = astuple(before)
    return [place for place, value in enumerate(values) if value is None and old[place] is not None]


def present_fields(thing: Model, payload: Payload) -> dict[str, Any]:
    """Return the fields that a payload carried, by name."""
    values = astuple(thing)
    pairs = zip(thing.__struct_fields__, thing.__struct_encode_fields__, values, strict=True)
    if None not in values:
        return {name: value for name, _, value in pairs}
    given = payload.given
    return {name: value for name, wire, value in pairs if value is not None or wire in given}


def merge_orders(
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
    older = compare_times(after.updated_at_text, before.updated_at_text)
    if older < 0 and at is not None and is_future_outlier(before.updated_at_text, after.updated_at_text, at):
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
        fills = merge_fills(base.fills, listed, max(_filled(base), _filled(other)))
        kept |= {} if fills is base.fills else {"fills_listed": fills}
    return replace(base, **kept) if kept else base


def corrected(before: Order, after: Order) -> Order:
    """Return an order as the broker corrected it: executions, counts and status are taken as listed.

    Args:
        before: the order as known so far.
        after: the whole order as it is listed now.
    """
    kept = _blanks(after, before, [name for name in NEVER_UNLEARNED if name not in CORRECTED])
    return replace(after, **kept) if kept else after


def is_another(before: Order, after: Order) -> bool:
    """Return whether two reports under one ``order_id`` are about two orders: the senders' ids differ."""
    return bool(before.cl_order_id and after.cl_order_id) and before.cl_order_id != after.cl_order_id


def is_less(before: Order, after: Order) -> bool:
    """Return whether a report says that less was filled than is known, or takes an execution back.

    A list takes back what it lacks if it explains all of its own count; other lists may be parts.
    """
    if after.filled_qty_text == before.filled_qty_text and after.fills_listed == before.fills_listed:
        return False
    listed, had = after.fills, before.fills
    counted, known = amount(after.filled_qty_text), amount(before.filled_qty_text)
    if counted is not None and known is not None and counted.copy_abs() < known.copy_abs():
        return True
    if listed[: len(had)] == had and (counted is not None or known is None):
        return False  # the list only grew, and the count did not shrink
    now, was = extent(after), extent(before)
    if now is None or was is None or now.copy_abs() < was.copy_abs():
        return now is not None and was is not None
    is_whole = counted is not None and executed(listed).copy_abs() == counted.copy_abs()
    return is_whole and bool(paired(had, listed).gone)


def is_reopened(before: Order, after: Order) -> bool:
    """Return whether a report says of an order that has ended that it can still change."""
    return has_ended(before) and after.status is not None and not has_ended(after)


def age_of(before: Order, after: Order, at: datetime) -> int:
    """Compare the time of a report with that of what is known: below zero if the report is the older.

    Args:
        before: the order as it is known.
        after: the report.
        at: when the report came, aware.
    """
    older = compare_times(after.updated_at_text, before.updated_at_text)
    return 0 if older < 0 and is_future_outlier(before.updated_at_text, after.updated_at_text, at) else older


def is_same(before: Model, after: Model) -> bool:
    """Return whether two values are equal, where numbers are compared as numbers and not as text."""
    if before == after:
        return True
    return is_respelled(before, after)


def is_respelled(before: Model, after: Model) -> bool:
    """Return whether two values that are not equal differ in the spelling of numbers only."""
    for is_text, old, new in zip(_text_flags(type(before)), astuple(before), astuple(after)):  # noqa: B905 - one length
        if old != new and not (is_text and _is_one_number(old, new)):
            return False
    return True


@cache
def _text_flags(kind: type[Model]) -> tuple[bool, ...]:
    """Return for each field whether it keeps a number or a time as it came."""
    return tuple(name.endswith("_text") for name in kind.__struct_fields__)


def _is_one_number(text: str | None, other: str | None) -> bool:
    if not text or not other:
        return False
    first = amount(text)
    return first is not None and first == amount(other)


def is_same_amount(text: str | None, other: str | None) -> bool:
    """Return whether two texts are one number; texts that are no numbers are compared as they are."""
    return text == other or _is_one_number(text, other)


def _blanks(base: Order, other: Order, names: Iterable[str]) -> dict[str, Any]:
    return {
        name: value
        for name in names
        if getattr(base, name) is None and (value := getattr(other, name)) is not None and name != "fills_listed"
    }


def _is_behind(before: Order, after: Order, *, is_ahead: bool) -> bool:
    """Say whether of two sayings of one moment, or of no moment, the second is the less advanced."""
    if after.filled_qty_text != before.filled_qty_text:
        was, now = _filled(before), _filled(after)
        if was != now:
            return now < was
    if has_ended(before) or has_ended(after):
        return has_ended(before)
    # An order that was accepted is never again one that was not.
    return is_ahead or (after.status is OrderStatus.PENDING and before.status is not None)


def compare_times(text: str | None, other: str | None) -> int:
    """Compare two times as they came: below zero if the first is the earlier; 0 if they are one or cannot be told."""
    if text == other or not text or not other:
        return 0
    if len(text) != len(other) or not (text[-1] == other[-1] == "Z" or text.isdecimal() is other.isdecimal() is True):
        first, second = event_time(text), event_time(other)
        if first is None or second is None:
            return 0
        return (first > second) - (first < second)
    return 1 if text > other else -1


def event_time(text: str | None) -> datetime | None:
    """Read a time; None where that cannot be read, which must not stand in anybody's way."""
    try:
        return as_moment(text) if text else None
    except (ValueError, OverflowError, OSError):  # a number too large for the machine
        return None


def is_future_outlier(known: str | None, said: str | None, at: datetime) -> bool:
    """Say whether a time that was taken for true is to come, and one that is said now is not, so it decides nothing.

    Where both are to come it may be our clock that is wrong, and they are as good as any.
    """
    first, second = event_time(known), event_time(said)
    return first is not None and second is not None and first > at + SKEW >= second


def happened(text: str | None, heard: datetime | None) -> datetime | None:
    """Read when something happened that was heard of at a time: no later than that; None where nobody can tell."""
    when = event_time(text)
    return heard if when is not None and heard is not None and when > heard + SKEW else when


def latest_of(texts: Iterable[str | None]) -> datetime | None:
    """Return the latest of some times as they came; what cannot be read does not count."""
    told = {text for text in texts if text}
    # Times of one spelling are in order as texts are, so only one is read.
    if len({len(text) for text in told}) == 1 and all(text[-1] == "Z" for text in told):
        latest = event_time(max(told))
        if latest is not None:
            return latest
    return max((when for text in told if (when := event_time(text)) is not None), default=None)


def amount(text: str | None) -> Decimal | None:
    """Read a quantity or a price with its sign; None where the text is empty or no number within bounds."""
    if not text:
        return None
    return _read(text) if len(text) <= LONGEST_KEPT else _read.__wrapped__(text)


@lru_cache(maxsize=KEPT)
def _read(text: str) -> Decimal | None:
    try:
        return as_number(text)
    except (ValueError, InvalidOperation):
        return None


class Paired(NamedTuple):
    """Two lists of executions of one order, compared.

    Attributes:
        new: for each new execution, its predecessor under the same ``fill_id``, or None, and the execution.
        gone: known executions that are not listed any more.
    """

    new: Sequence[tuple[Fill | None, Fill]]
    gone: Sequence[Fill]


def distinct(fills: tuple[Fill, ...]) -> tuple[Fill, ...]:
    """Return executions without the rows that repeat another with the same ``fill_id`` and the same content."""
    ids = [fill.fill_id for fill in fills]
    if len({*ids}) == len(ids):
        return fills
    found: dict[object, Fill] = {}
    for place, fill in enumerate(fills):
        # Rows without an id are counted: two equal executions are possible.
        found.setdefault((fill.fill_id, _content(fill)) if fill.fill_id else place, fill)
    return tuple(found.values())


def paired(known: tuple[Fill, ...], listed: tuple[Fill, ...]) -> Paired:
    """Compare known executions with those that are listed now.

    An id alone identifies no execution: brokers repeat one for several, and let one grow. So rows are the same where
    the content agrees (time, quantity and price as values) and the ids agree or one of them is missing. Of the rest,
    rows with the same id are paired in their order as old and new report of one execution.
    """
    count = len(known)
    if listed[:count] == known:
        # Most list what was listed before, and then more.
        ids = {fill.fill_id for fill in listed}
        if len(ids) == len(listed):
            return Paired([(None, fill) for fill in listed[count:]], ())
    old, new = _unmatched(distinct(known), distinct(listed))
    found: list[tuple[Fill | None, Fill]] = []
    for fill in new:
        before = next((each for each in old if fill.fill_id and each.fill_id == fill.fill_id), None)
        if before is not None:
            old.remove(before)
        found.append((before, fill))
    return Paired(found, old)


def merge_fills(known: tuple[Fill, ...], listed: tuple[Fill, ...], counted: Decimal = NOTHING) -> tuple[Fill, ...]:
    """Return those of older executions that a newer list lacks, then the newer list, each with its id if it has one.

    Args:
        known: the newer list.
        listed: the older list, or one that is a part only.
        counted: how much the broker counts as filled. Two rows of one id are two executions if both fit into it;
            else the newer row replaces the older.
    """
    mine, theirs = distinct(known), distinct(listed)
    extra, named = _lacking(mine, theirs)
    if any(not fill.fill_id and fill in named for fill in known):
        known = tuple(
            replace(fill, fill_id=named[fill].pop()) if not fill.fill_id and named.get(fill) else fill for fill in known
        )
    if not extra:
        return known
    ids = {fill.fill_id for fill in known if fill.fill_id}
    kept = [fill for fill in extra if fill.fill_id not in ids]
    room = EXACT.subtract(counted, executed((*kept, *mine)).copy_abs())
    for fill in extra:
        if fill.fill_id in ids:
            quantity = (amount(fill.quantity_text) or NOTHING).copy_abs()
            if NOTHING < quantity <= room:
                room = EXACT.subtract(room, quantity)
                kept.append(fill)
    chosen = set(map(id, kept))
    return (*(fill for fill in extra if id(fill) in chosen), *known) if kept else known


def executed(fills: tuple[Fill, ...]) -> Decimal:
    """Return the sum of the quantities of executions, with their signs; those without a number do not count."""
    total = NOTHING
    for fill in distinct(fills):
        quantity = amount(fill.quantity_text)
        if quantity is not None:
            total = EXACT.add(total, quantity)
    return total


def extent(order: Order) -> Decimal | None:
    """Return how much of an order is filled, with its sign: the larger of what is listed and what is counted.

    None where the order says neither.
    """
    counted = amount(order.filled_qty_text)
    if counted is None:
        return executed(order.fills) if order.fills_listed is not None else None
    return larger(executed(order.fills), counted)


def larger(listed: Decimal, counted: Decimal) -> Decimal:
    """Return the larger of two quantities, with the sign of the listed one where it has one."""
    if counted.copy_abs() <= listed.copy_abs():
        return listed
    return counted.copy_abs().copy_sign(listed) if listed else counted


def _unmatched(known: Sequence[Fill], listed: Sequence[Fill]) -> tuple[list[Fill], list[Fill]]:
    """Return the executions that only one of two lists has."""
    extra, _ = _lacking(known, listed)
    left, _ = _lacking(listed, known)
    return left, extra


def _lacking(known: Sequence[Fill], listed: Sequence[Fill]) -> tuple[list[Fill], dict[Fill, list[str]]]:
    """Return the listed executions that the known lack, and the ids that the known rows without one can take.

    As many rows as possible are matched.
    """
    free: dict[object, list[Fill]] = {}
    for fill in reversed(known):
        free.setdefault(_content(fill), []).append(fill)
    named: dict[Fill, list[str]] = {}
    twins: dict[int, Fill] = {}
    # A row with an id that no other row has can only match one without; so those rows choose before the nameless do.
    for place, fill in enumerate(listed):
        if fill.fill_id and (twin := _take(free, fill, fill.fill_id)):
            twins[place] = twin
    for place, fill in enumerate(listed):
        if fill.fill_id and place not in twins and (twin := _take(free, fill, None)):
            twins[place] = twin
            named.setdefault(twin, []).append(fill.fill_id)
    for place, fill in enumerate(listed):
        if not fill.fill_id and (twin := _take(free, fill, None) or _take(free, fill)):
            twins[place] = twin
    return [fill for place, fill in enumerate(listed) if place not in twins], named


def _take(free: dict[object, list[Fill]], fill: Fill, *names: str | None) -> Fill | None:
    """Take a row of the same content, of one of some ids; of any where none is given."""
    alike = free.get(_content(fill), [])
    for place in range(len(alike) - 1, -1, -1):
        if not names or (alike[place].fill_id or None) in names:
            return alike.pop(place)
    return None


def execution(fill: Fill) -> object:
    """Return what identifies an execution beyond one order, or None where too little is known of it."""
    if not (fill.fill_id or fill.time_text):
        return None
    return (fill.fill_id or None, _content(fill))


def _content(fill: Fill) -> object:
    """Return what an execution was, however it is spelled; what cannot be read is as it came."""
    quantity, price = amount(fill.quantity_text), amount(fill.price_text)
    return (
        event_time(fill.time_text) or fill.time_text,
        fill.quantity_text if quantity is None else quantity,
        fill.price_text if price is None else price,
    )


def _filled(order: Order) -> Decimal:
    return (amount(order.filled_qty_text) or NOTHING).copy_abs()


def has_ended(order: Order) -> bool:
    """Say whether an order can never change again."""
    return order.status is not None and order.status.is_terminal
