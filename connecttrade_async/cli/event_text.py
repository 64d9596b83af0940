"""Format events and changes: as a line for people, or as a JSON object for programs.

Objects hold numbers as the text of the wire. A gap is reported in both formats.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, cast

import msgspec
from rich.text import Text

from connecttrade_async.books.changes import BalanceChanged, OrderChanged, PositionChanged
from connecttrade_async.cli.order_text import describe, filled_text, status_of
from connecttrade_async.cli.output import figure, plain
from connecttrade_async.errors import MalformedResponseError
from connecttrade_async.models.events import (
    BalanceUpdate,
    Gap,
    OrderUpdate,
    PositionUpdate,
    StreamLost,
    StreamRetrying,
    UnknownMessage,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from connecttrade_async.books.book import Book
    from connecttrade_async.books.changes import Change
    from connecttrade_async.models import Balance, Fill, Position
    from connecttrade_async.models.events import Event

__all__ = [
    "UPDATES",
    "book_object",
    "book_state_line",
    "change_line",
    "change_object",
    "event_line",
    "event_object",
    "lifecycle_text",
    "utc_time",
]

Update = OrderUpdate | PositionUpdate | BalanceUpdate
UPDATES = (OrderUpdate, PositionUpdate, BalanceUpdate)
KINDS: dict[type, tuple[str, str]] = {
    OrderUpdate: ("order", "cyan"),
    PositionUpdate: ("position", "magenta"),
    BalanceUpdate: ("balance", "blue"),
    UnknownMessage: ("unknown", "dim"),
    Gap: ("gap", "bold yellow"),
}
STATUSES = {"filled": "green", "partially_filled": "green", "rejected": "red", "cancelled": "yellow"}
WIDEST = max(len(name) for name, _ in KINDS.values())
BALANCE_FIELDS = (("cash", "cash_text"), ("buying power", "buying_power_text"), ("equity", "equity_text"))
POSITION_FIELDS = (("worth", "market_value_text"), ("unrealized", "unrealized_pl_text"), ("today", "daily_pl_text"))


class _Frame(msgspec.Struct):
    """A frame of which only the undecoded payload is read."""

    data: msgspec.Raw = msgspec.Raw(b"")


_FRAME = msgspec.json.Decoder(_Frame)


def event_object(event: Event, now: datetime) -> dict[str, object]:
    """Return an event as a JSON object.

    Args:
        event: the event.
        now: the time for events without a time of their own.
    """
    kind, _ = KINDS.get(type(event), (type(event).__name__.removeprefix("Stream").lower(), ""))
    if isinstance(event, UPDATES):
        owner = {"user_id": event.user_id, "account_id": event.account_id}
        return {"type": kind, **owner, "time": event.time_text, "data": _payload(event.raw)}
    facts: dict[str, Any] = msgspec.structs.asdict(event)
    if isinstance(event, UnknownMessage):
        facts["raw"] = event.raw.decode("utf-8", "replace")
    return {"type": kind, "time": now, **facts}


def _payload(raw: bytes) -> msgspec.Raw:
    # JSON output is one object a line, and the wire may use several lines for a payload.
    whole = raw.decode("utf-8", "replace").encode()
    return msgspec.Raw(msgspec.json.format(bytes(_FRAME.decode(whole).data) or whole, indent=-1))


def event_line(event: Event, now: datetime) -> Text | None:
    """Format an event as one line; None for lifecycle events, for which see ``lifecycle_text``."""
    if type(event) not in KINDS:
        return None
    kind, style = KINDS[type(event)]
    words = [_event_text(event)]
    when = utc_time(now)
    if isinstance(event, UPDATES):
        when = _time(event, now)
        words = [*filter(None, (event.user_id, event.account_id)), *words]
    text = Text(plain("  ".join(words)), style=_color(event))
    return Text.assemble((when, "dim"), "  ", (f"{kind:<{WIDEST}}", style), "  ", text)


def lifecycle_text(event: Event) -> str:
    """Describe a lost or retrying stream in a sentence; empty for every other event."""
    if isinstance(event, StreamLost):
        return f"The stream was lost: {plain(event.cause)}."
    if isinstance(event, StreamRetrying):
        return f"Trying again in {event.delay:.1f} s."
    return ""


def _event_text(event: Event) -> str:
    match event:
        case OrderUpdate(order=order):
            return ", ".join(filter(None, (f"{describe(order)}: {status_of(order)}", filled_text(order))))
        case PositionUpdate(position=position):
            quantity = f"{figure(position.quantity_text)} held" if position.quantity_text is not None else ""
            return f"{position.symbol}: {_listed([quantity, *_figures(position, POSITION_FIELDS)])}"
        case BalanceUpdate(balance=balance):
            return _listed(_figures(balance, BALANCE_FIELDS))
        case Gap():
            missed = f"{event.dropped} dropped" if event.dropped else "something may have been missed"
            return f"{missed} from {utc_time(event.since)} to {utc_time(event.until)}, so read again: {event.cause}"
        case _:
            unknown = cast("UnknownMessage", event)
            return f"{unknown.problem}: {unknown.raw.decode('utf-8', 'replace')}"


def _figures(item: object, fields: Iterable[tuple[str, str]]) -> list[str]:
    values = ((name, getattr(item, field)) for name, field in fields)
    return [f"{name} {figure(text)}" for name, text in values if text]


def _listed(words: list[str]) -> str:
    return ", ".join(filter(None, words)) or "changed"


def _color(event: Event) -> str:
    return STATUSES.get(event.order.status or "", "") if isinstance(event, OrderUpdate) else ""


def _time(event: Update, now: datetime) -> str:
    try:
        return utc_time(event.time or now)
    except MalformedResponseError:
        return plain(event.time_text or "")


KINDS_CHANGED: dict[type, str] = {OrderChanged: "order", PositionChanged: "position", BalanceChanged: "balance"}
CAUSES = {"stream": "dim", "recovered": "bold yellow", "sweep": "bold yellow"}
WIDEST_CAUSE = max(map(len, CAUSES))
MOST_FILLS = 3


def change_object(change: Change, now: datetime) -> dict[str, object]:
    """Return a change as a JSON object."""
    owner = {"user_id": change.user_id, "account_id": change.account_id}
    facts = {"cause": change.cause, "before": change.before, "after": change.after}
    fills = {"fills": change.fills} if isinstance(change, OrderChanged) else {}
    return {"type": KINDS_CHANGED[type(change)], **owner, "time": now, **facts, **fills}


def book_object(book: Book, now: datetime) -> dict[str, object]:
    """Return a whole book as a JSON object."""
    return {
        "type": "book",
        "user_id": book.user_id,
        "account_id": book.account_id,
        "time": now,
        "is_current": book.is_current,
        "as_of": book.as_of,
        "orders": tuple(book.orders.values()),
        "positions": tuple(book.positions.values()),
        "balances": tuple(book.balances.values()),
    }


def change_line(change: Change, name: str, now: datetime) -> Text:
    """Format a change as one line.

    Args:
        change: the change.
        name: the display name of the account.
        now: the time to print.
    """
    return Text.assemble(
        (utc_time(now), "dim"),
        "  ",
        (f"{change.cause:<{WIDEST_CAUSE}}", CAUSES[change.cause]),
        "  ",
        plain(f"{name}  {_change_text(change)}"),
    )


def book_state_line(state: str, name: str, now: datetime) -> Text:
    """Format as one line that a book is, or is no longer, current."""
    return Text.assemble((utc_time(now), "dim"), "  ", (plain(f"{name} {state}"), "bold yellow"))


def utc_time(when: datetime) -> str:
    """Format the time of day in UTC."""
    return when.astimezone(UTC).strftime("%H:%M:%S")


def _change_text(change: Change) -> str:
    match change:
        case OrderChanged(after=order, fills=fills):
            status = ", ".join(filter(None, (status_of(order), filled_text(order))))
            return f"{_fills(fills)}{describe(order)}: {status}"
        case PositionChanged():
            return f"{change.after.symbol}: {_held(change.before, change.after)}"
        case BalanceChanged():
            return _cash(change.before, change.after)


def _fills(fills: Sequence[Fill]) -> str:
    shown = [f"{figure(fill.quantity_text or '?')} at {figure(fill.price_text or '?')}" for fill in fills[:MOST_FILLS]]
    rest = len(fills) - len(shown)
    return f"{', '.join(shown)}{f' and {rest} more' if rest else ''}: " if shown else ""


def _held(before: Position | None, after: Position) -> str:
    now, was = after.quantity_text, None if before is None else before.quantity_text
    held = "held" if now is None else f"{figure(now)} held"
    return f"{held}, before {figure(was)}" if was is not None and was != now else held


def _cash(before: Balance | None, after: Balance) -> str:
    now, was = after.cash_text, None if before is None else before.cash_text
    cash = "cash unknown" if now is None else " ".join(filter(None, ("cash", figure(now), after.currency)))
    return f"{cash}, before {figure(was)}" if was is not None and was != now else cash
