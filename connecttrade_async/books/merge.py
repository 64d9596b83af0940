"""Merge two reports of one order, position or balance.

The result for an order does not depend on the sequence of two reports, if their times differ and neither is in the
future.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, cast

from msgspec.structs import astuple, replace

from connecttrade_async.amounts import EXACT
from connecttrade_async.models.enums import OrderStatus
from connecttrade_async.models.fields import as_moment, as_number
from connecttrade_async.models.orders import has_ended

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from connecttrade_async.models.fields import Model
    from connecttrade_async.models.orders import Fill, Order

__all__ = [
    "FillDiff",
    "amount",
    "apply_correction",
    "apply_partial",
    "bounded_event_time",
    "compare_age",
    "compare_times",
    "diff_fills",
    "distinct_fills",
    "event_time",
    "executed_quantity",
    "execution_key",
    "filled_quantity",
    "has_less_filled",
    "is_future_outlier",
    "is_other_order",
    "is_reopened",
    "is_respelled",
    "is_same",
    "is_same_amount",
    "is_surely_different",
    "larger_quantity",
    "latest_of",
    "may_hide_change",
    "merge_fills",
    "merge_orders",
    "missing_fields",
    "present_fields",
]

M = TypeVar("M", bound="Model")
ZERO = Decimal(0)
LAST_CHARACTER = itemgetter(-1)
# How far ahead of the local clock a broker's correct clock may be.
SKEW = timedelta(minutes=5)
# Reports of an order repeat the same few quantities, so the latest parsed ones are cached.
CACHE_SIZE = 4096
MAX_CACHED_LENGTH = 32
# Fields that are set once, or only become known: a later null or absence does not clear them.
STICKY_FIELDS = (
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
# Fields that a correction by the broker may change back.
CORRECTABLE_FIELDS = ("avg_fill_price_text", "filled_qty_text", "status", "updated_at_text")


class PartialFrame(Protocol):
    """A frame that knows which fields it carried."""

    @property
    def given(self) -> frozenset[str]:
        """The wire names of the fields that the frame carried."""
        ...

    @property
    def unread(self) -> Mapping[str, str]:
        """The texts and numbers of the frame under names that no field reads."""
        ...


def apply_partial(before: M, after: M, payload: PartialFrame) -> tuple[M, bool]:
    """Merge a report with the known value, from which every field comes that the report's frame did not carry.

    A null in the frame is a value. The fields of the frame are read only where that matters.

    Returns:
        The whole report, and whether the frame may hide a change; see ``may_hide_change``.
    """
    indexes = missing_fields(before, after)
    if not indexes:
        return after, False
    given, wire, old = payload.given, after.__struct_encode_fields__, astuple(before)
    kept = {after.__struct_fields__[index]: old[index] for index in indexes if wire[index] not in given}
    if not kept:
        return after, False
    hides = not given.issubset(wire) and may_hide_change(kept, payload)
    return replace(after, **kept), hides


def may_hide_change(kept: Mapping[str, Any], payload: PartialFrame) -> bool:
    """Return whether a frame may carry the new value of a field under a name that no field reads.

    A frame may leave out what did not change. But where a known number did not come, and an unread name came with
    another number, only a snapshot shows whether that is the number. The same holds for a status.

    Args:
        kept: the fields that did not come, with their known values. None stands for a number that is not known.
        payload: the frame.
    """
    unread = payload.unread
    if not unread:
        return False
    numbers = {amount(value) for value in kept.values() if value is None or isinstance(value, str)}
    status = kept.get("status")
    for text in unread.values():
        number = amount(text)
        if number is not None:
            if number not in numbers and (numbers - {None} or None in kept.values()):
                return True
        elif status is not None and (said := OrderStatus(text)).is_known and said != status:
            return True
    return False


def missing_fields(before: Model, after: Model) -> list[int]:
    """Return the indexes of the fields that are absent or null in a report and known before."""
    values = astuple(after)
    # A false value may be a zero or an empty text as well as None: the common case needs no look at each.
    if all(values):
        return []
    old = astuple(before)
    return [index for index, value in enumerate(values) if value is None and old[index] is not None]


def present_fields(thing: Model, payload: PartialFrame) -> dict[str, Any]:
    """Return the fields that a frame carried, by name."""
    values = astuple(thing)
    pairs = zip(thing.__struct_fields__, thing.__struct_encode_fields__, values, strict=True)
    if None not in values:
        return {name: value for name, _, value in pairs}
    # An absent field and a null are both None here, and only the null overrides. `given` decodes the frame again.
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
    """Merge two reports of one order.

    Args:
        before: the known order.
        after: the new report.
        at: when it came, aware; None where the time does not matter.
        is_ahead: whether the known order wins where neither report is newer.
        is_whole: whether the new report is known to lack no field of the known order.
    """
    time_order = compare_times(after.updated_at_text, before.updated_at_text)
    if time_order < 0 and at is not None and is_future_outlier(before.updated_at_text, after.updated_at_text, at):
        time_order = 0
    is_stale = time_order < 0 if time_order else _is_behind(before, after, is_ahead=is_ahead)
    # To drop the older report whole is wrong: it may be the only one with a fill, an end or a field.
    base, other = (before, after) if is_stale else (after, before)
    kept: dict[str, Any] = {}
    if is_stale or not is_whole:
        # With equal times, the known report may be partial and the new one whole.
        kept = _values_to_keep(base, other, base.__struct_fields__ if is_stale and not time_order else STICKY_FIELDS)
    # The quantity and its average price are one fact: the price of one report does not fit the count of another.
    filled = other.filled_qty_text
    if filled and filled != base.filled_qty_text and _filled(other) > _filled(base):
        kept |= {"filled_qty_text": filled, "avg_fill_price_text": other.avg_fill_price_text}
    # A broker may report a late step of a fill after the end, with a later time. An end is final all the same.
    if has_ended(other) and not has_ended(base):
        kept |= {"status": other.status, "broker_status": other.broker_status, "reject_reason": other.reject_reason}
    listed = other.fills_listed
    # Most list what was listed before, and then more.
    if listed and base.fills[: len(listed)] != listed:
        fills = merge_fills(base.fills, listed, max(_filled(base), _filled(other)))
        kept |= {} if fills is base.fills else {"fills_listed": fills}
    return replace(base, **kept) if kept else base


def apply_correction(before: Order, after: Order) -> Order:
    """Return an order as the broker corrected it: executions, counts and status are taken as listed.

    Args:
        before: the known order.
        after: the whole order as it is listed now.
    """
    kept = _values_to_keep(after, before, [name for name in STICKY_FIELDS if name not in CORRECTABLE_FIELDS])
    return replace(after, **kept) if kept else after


def is_other_order(before: Order, after: Order) -> bool:
    """Return whether two reports with one ``order_id`` are of two orders: their client order ids differ."""
    # A missing client order id decides nothing: brokers leave it out of some reports of the same order.
    return bool(before.cl_order_id and after.cl_order_id) and before.cl_order_id != after.cl_order_id


def has_less_filled(before: Order, after: Order) -> bool:
    """Return whether a report has less filled than is known, or takes an execution back.

    A list takes back what it lacks only if it explains all of its own count; other lists may be parts.
    """
    if after.filled_qty_text == before.filled_qty_text and after.fills_listed == before.fills_listed:
        return False
    listed, had = after.fills, before.fills
    # Counts are compared without a sign: a sold quantity may have one in one report only.
    counted, known = amount(after.filled_qty_text), amount(before.filled_qty_text)
    if counted is not None and known is not None and counted.copy_abs() < known.copy_abs():
        return True
    if listed[: len(had)] == had and (counted is not None or known is None):
        return False  # the list only grew, and the count did not shrink
    now, was = filled_quantity(after), filled_quantity(before)
    if now is None or was is None or now.copy_abs() < was.copy_abs():
        return now is not None and was is not None
    is_whole = counted is not None and executed_quantity(listed).copy_abs() == counted.copy_abs()
    return is_whole and bool(diff_fills(had, listed).removed)


def is_reopened(before: Order, after: Order) -> bool:
    """Return whether a report of an order that has ended says that it can still change."""
    return has_ended(before) and after.status is not None and not has_ended(after)


def compare_age(before: Order, after: Order, at: datetime) -> int:
    """Compare the time of a report with that of the known order: below zero if the report is older.

    Args:
        before: the known order.
        after: the report.
        at: when the report came, aware.
    """
    time_order = compare_times(after.updated_at_text, before.updated_at_text)
    return 0 if time_order < 0 and is_future_outlier(before.updated_at_text, after.updated_at_text, at) else time_order


def is_same(before: Model, after: Model) -> bool:
    """Return whether two values are equal, comparing numbers as numbers and not as text."""
    if before == after:
        return True
    return is_respelled(before, after)


def is_respelled(before: Model, after: Model) -> bool:
    """Return whether two values that are not equal differ only in how numbers are written."""
    for is_text, old, new in zip(_text_flags(type(before)), astuple(before), astuple(after)):  # noqa: B905 - one length
        if old != new and not (is_text and _is_one_number(old, new)):
            return False
    return True


def is_surely_different(text: str | None, other: str | None) -> bool:
    """Return whether two texts are certainly not one number, without the cost of decimals; False decides nothing.

    Equal numbers have equal floats.
    """
    if not text or not other:
        return False
    try:
        # Different numbers may have one float, so an equal float proves nothing.
        return float(text) != float(other)
    except ValueError:
        return False


@cache
def _text_flags(kind: type[Model]) -> tuple[bool, ...]:
    """Return for each field whether it holds the text of a number or a time."""
    return tuple(name.endswith("_text") for name in kind.__struct_fields__)


def _is_one_number(text: str | None, other: str | None) -> bool:
    if not text or not other:
        return False
    first = amount(text)
    return first is not None and first == amount(other)


def is_same_amount(text: str | None, other: str | None) -> bool:
    """Return whether two texts are one number; other texts are compared as they are."""
    return text == other or _is_one_number(text, other)


def _values_to_keep(base: Order, other: Order, names: Iterable[str]) -> dict[str, Any]:
    return {
        name: value
        for name in names
        if getattr(base, name) is None and (value := getattr(other, name)) is not None and name != "fills_listed"
    }


def _is_behind(before: Order, after: Order, *, is_ahead: bool) -> bool:
    """Return whether the second of two reports with one time, or without, is less advanced."""
    if after.filled_qty_text != before.filled_qty_text:
        was, now = _filled(before), _filled(after)
        if was != now:
            return now < was
    if has_ended(before) or has_ended(after):
        return has_ended(before)
    # An accepted order never becomes a pending one again.
    return is_ahead or (after.status is OrderStatus.PENDING and before.status is not None)


def compare_times(text: str | None, other: str | None) -> int:
    """Compare two times as texts: below zero if the first is earlier; 0 if they are equal or cannot be compared."""
    if text == other or not text or not other:
        return 0
    # Texts sort as times only in one form: an offset in place of Z, or another number of digits, breaks it.
    if len(text) != len(other) or not (text[-1] == other[-1] == "Z" or text.isdecimal() is other.isdecimal() is True):
        first, second = event_time(text), event_time(other)
        if first is None or second is None:
            return 0
        return (first > second) - (first < second)
    return 1 if text > other else -1


def event_time(text: str | None) -> datetime | None:
    """Parse a time; None where it cannot be parsed, because a bad time must not stop a merge."""
    try:
        return as_moment(text) if text else None
    except (ValueError, OverflowError, OSError):  # a number too large for the machine
        return None


def is_future_outlier(known: str | None, reported: str | None, at: datetime) -> bool:
    """Return whether the known time is in the future and the reported time is not, so that they decide nothing.

    Where both are in the future the local clock may be slow, and both count.
    """
    first, second = event_time(known), event_time(reported)
    return first is not None and second is not None and first > at + SKEW >= second


def bounded_event_time(text: str | None, received: datetime | None) -> datetime | None:
    """Return the time of an event, at most the time when it was received; None where it cannot be parsed."""
    when = event_time(text)
    return received if when is not None and received is not None and when > received + SKEW else when


def latest_of(texts: Iterable[str | None]) -> datetime | None:
    """Return the latest of some times; texts that cannot be parsed do not count."""
    distinct = set(texts)
    distinct.discard(None)
    distinct.discard("")
    times = cast("set[str]", distinct)
    # Times in one format sort as texts, so only the latest is parsed.
    if len(set(map(len, times))) == 1 and set(map(LAST_CHARACTER, times)) == {"Z"}:
        latest = event_time(max(times))
        if latest is not None:
            return latest
    return max((when for text in times if (when := event_time(text)) is not None), default=None)


def amount(text: str | None) -> Decimal | None:
    """Parse a quantity or a price with its sign; None where the text is empty or no number within bounds."""
    if not text:
        return None
    return _read(text) if len(text) <= MAX_CACHED_LENGTH else _read.__wrapped__(text)


@lru_cache(maxsize=CACHE_SIZE)
def _read(text: str) -> Decimal | None:
    try:
        return as_number(text)
    except (ValueError, InvalidOperation):
        return None


class FillDiff(NamedTuple):
    """The difference between two lists of executions of one order.

    Attributes:
        new: for each new execution, its predecessor with the same ``fill_id``, or None, and the execution.
        removed: known executions that are not listed any more.
    """

    new: Sequence[tuple[Fill | None, Fill]]
    removed: Sequence[Fill]


def distinct_fills(fills: tuple[Fill, ...]) -> tuple[Fill, ...]:
    """Return executions without the rows that repeat another in ``fill_id`` and content."""
    ids = [fill.fill_id for fill in fills]
    if len({*ids}) == len(ids):
        return fills
    found: dict[object, Fill] = {}
    for index, fill in enumerate(fills):
        # Rows without an id all count: two equal executions are possible.
        found.setdefault((fill.fill_id, _content(fill)) if fill.fill_id else index, fill)
    return tuple(found.values())


def diff_fills(known: tuple[Fill, ...], listed: tuple[Fill, ...]) -> FillDiff:
    """Compare known executions with the listed ones.

    An id alone identifies no execution: brokers repeat one for several, and let one grow. So rows are equal where the
    content agrees (time, quantity and price as values) and the ids agree or one is missing. The remaining rows with the
    same id are paired in sequence, as the old and the new report of one execution.
    """
    count = len(known)
    if listed[:count] == known:
        # Most list what was listed before, and then more.
        ids = {fill.fill_id for fill in listed}
        if len(ids) == len(listed):
            return FillDiff([(None, fill) for fill in listed[count:]], ())
    old, new = _unmatched_fills(distinct_fills(known), distinct_fills(listed))
    # Rows with equal content are gone by now, so a shared id means that one execution was reported differently.
    found: list[tuple[Fill | None, Fill]] = []
    for fill in new:
        before = next((each for each in old if fill.fill_id and each.fill_id == fill.fill_id), None)
        if before is not None:
            old.remove(before)
        found.append((before, fill))
    return FillDiff(found, old)


def merge_fills(known: tuple[Fill, ...], listed: tuple[Fill, ...], counted: Decimal = ZERO) -> tuple[Fill, ...]:
    """Return the older executions that a newer list lacks, then the newer list, with ids filled in.

    Args:
        known: the newer list.
        listed: the older list, or a partial one.
        counted: the quantity that the broker counts as filled. Two rows of one id are two executions if both fit into
            it; otherwise the newer row replaces the older.
    """
    mine, theirs = distinct_fills(known), distinct_fills(listed)
    extra, named = _match_fills(mine, theirs)
    if any(not fill.fill_id and fill in named for fill in known):
        known = tuple(
            replace(fill, fill_id=named[fill].pop()) if not fill.fill_id and named.get(fill) else fill for fill in known
        )
    if not extra:
        return known
    # The count decides between a second execution under an id and an old report of the same one: nothing else can.
    ids = {fill.fill_id for fill in known if fill.fill_id}
    kept = [fill for fill in extra if fill.fill_id not in ids]
    room = EXACT.subtract(counted, executed_quantity((*kept, *mine)).copy_abs())
    for fill in extra:
        if fill.fill_id in ids:
            quantity = (amount(fill.quantity_text) or ZERO).copy_abs()
            if ZERO < quantity <= room:
                room = EXACT.subtract(room, quantity)
                kept.append(fill)
    # Executions are compared by identity: two equal ones are two executions.
    chosen = set(map(id, kept))
    return (*(fill for fill in extra if id(fill) in chosen), *known) if kept else known


def executed_quantity(fills: tuple[Fill, ...]) -> Decimal:
    """Return the sum of the quantities of executions, with their signs; texts that are no number do not count."""
    total = ZERO
    for fill in distinct_fills(fills):
        quantity = amount(fill.quantity_text)
        if quantity is not None:
            total = EXACT.add(total, quantity)
    return total


def filled_quantity(order: Order) -> Decimal | None:
    """Return the filled quantity of an order, with its sign: the larger of listed and counted.

    None where the order has neither.
    """
    counted = amount(order.filled_qty_text)
    if counted is None:
        return executed_quantity(order.fills) if order.fills_listed is not None else None
    return larger_quantity(executed_quantity(order.fills), counted)


def larger_quantity(listed: Decimal, counted: Decimal) -> Decimal:
    """Return the larger of two quantities, with the sign of the listed one where it has one."""
    if counted.copy_abs() <= listed.copy_abs():
        return listed
    return counted.copy_abs().copy_sign(listed) if listed else counted


def _unmatched_fills(known: Sequence[Fill], listed: Sequence[Fill]) -> tuple[list[Fill], list[Fill]]:
    """Return the executions that only one of two lists has."""
    extra, _ = _match_fills(known, listed)
    left, _ = _match_fills(listed, known)
    return left, extra


def _match_fills(known: Sequence[Fill], listed: Sequence[Fill]) -> tuple[list[Fill], dict[Fill, list[str]]]:
    """Match as many rows as possible; return the unmatched listed rows, and ids for known rows without one."""
    free: dict[object, list[Fill]] = {}
    # Reversed, so that `pop` from the end yields the rows in their sequence.
    for fill in reversed(known):
        free.setdefault(_content(fill), []).append(fill)
    named: dict[Fill, list[str]] = {}
    matches: dict[int, Fill] = {}
    # A row with an id that no other row has can only match one without. So these match before rows without an id do.
    for index, fill in enumerate(listed):
        if fill.fill_id and (match := _pop_match(free, fill, fill.fill_id)):
            matches[index] = match
    for index, fill in enumerate(listed):
        if fill.fill_id and index not in matches and (match := _pop_match(free, fill, None)):
            matches[index] = match
            named.setdefault(match, []).append(fill.fill_id)
    for index, fill in enumerate(listed):
        if not fill.fill_id and (match := _pop_match(free, fill, None) or _pop_match(free, fill)):
            matches[index] = match
    return [fill for index, fill in enumerate(listed) if index not in matches], named


def _pop_match(free: dict[object, list[Fill]], fill: Fill, *names: str | None) -> Fill | None:
    """Remove and return a row with the same content and one of some ids; with any id where none is given."""
    candidates = free.get(_content(fill), [])
    for index in range(len(candidates) - 1, -1, -1):
        if not names or (candidates[index].fill_id or None) in names:
            return candidates.pop(index)
    return None


def execution_key(fill: Fill) -> object:
    """Return a key that identifies an execution beyond one order, or None where too little is known of it."""
    if not (fill.fill_id or fill.time_text):
        return None
    return (fill.fill_id or None, _content(fill))


def _content(fill: Fill) -> object:
    """Return the content of an execution by value; a text that cannot be parsed stands for itself."""
    quantity, price = amount(fill.quantity_text), amount(fill.price_text)
    return (
        event_time(fill.time_text) or fill.time_text,
        fill.quantity_text if quantity is None else quantity,
        fill.price_text if price is None else price,
    )


def _filled(order: Order) -> Decimal:
    return (amount(order.filled_qty_text) or ZERO).copy_abs()
