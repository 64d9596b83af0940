"""The front door: what a stream tells, as a line for people or as an object for programs.

Its vow: an object holds the wire's own text, number by number; and a gap is told to either reader.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, cast

import msgspec
from rich.text import Text

from connecttrade_async.books.changes import BalanceChanged, OrderChanged, PositionChanged
from connecttrade_async.cli.order_text import filled, in_words, status_of
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

__all__ = ["UPDATES", "aside", "change_line", "clock", "line", "spelled", "spelled_book", "spelled_change", "turn_line"]

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
MONEY = (("cash", "cash_text"), ("buying power", "buying_power_text"), ("equity", "equity_text"))
HOLDING = (("worth", "market_value_text"), ("unrealized", "unrealized_pl_text"), ("today", "daily_pl_text"))


class _Frame(msgspec.Struct):
    """A frame of which only the payload is wanted, as it was spelled."""

    data: msgspec.Raw = msgspec.Raw(b"")


_FRAME = msgspec.json.Decoder(_Frame)


def spelled(event: Event, now: datetime) -> dict[str, object]:
    """Return an event as one object for programs.

    Args:
        event: what was told.
        now: the time of day, for what the wire gives no time.
    """
    kind, _ = KINDS.get(type(event), (type(event).__name__.removeprefix("Stream").lower(), ""))
    if isinstance(event, UPDATES):
        whose = {"user_id": event.user_id, "account_id": event.account_id}
        return {"type": kind, **whose, "time": event.time_text, "data": _payload(event.raw)}
    facts: dict[str, Any] = msgspec.structs.asdict(event)
    if isinstance(event, UnknownMessage):
        facts["raw"] = event.raw.decode("utf-8", "replace")
    return {"type": kind, "time": now, **facts}


def _payload(raw: bytes) -> msgspec.Raw:
    # On one line, whatever the lines of the wire. What was not text in a field that nobody reads becomes text.
    whole = raw.decode("utf-8", "replace").encode()
    return msgspec.Raw(msgspec.json.format(bytes(_FRAME.decode(whole).data) or whole, indent=-1))


def line(event: Event, now: datetime) -> Text | None:
    """Return an event as one line for people, or None where it is said aside."""
    if type(event) not in KINDS:
        return None
    kind, style = KINDS[type(event)]
    words = [_said(event)]
    when = _clock(now)
    if isinstance(event, UPDATES):
        when = _time(event, now)
        words = [*filter(None, (event.user_id, event.account_id)), *words]
    said = Text(plain("  ".join(words)), style=_colour(event))
    return Text.assemble((when, "dim"), "  ", (f"{kind:<{WIDEST}}", style), "  ", said)


def aside(event: Event) -> str:
    """Return in a sentence what happens to the stream itself; empty where nobody has to know."""
    if isinstance(event, StreamLost):
        return f"The stream was lost: {plain(event.cause)}."
    if isinstance(event, StreamRetrying):
        return f"Trying again in {event.delay:.1f} s."
    return ""


def _said(event: Event) -> str:
    match event:
        case OrderUpdate(order=order):
            return ", ".join(filter(None, (f"{in_words(order)}: {status_of(order)}", filled(order))))
        case PositionUpdate(position=position):
            held = f"{figure(position.quantity_text)} held" if position.quantity_text is not None else ""
            return f"{position.symbol}: {_listed([held, *_figures(position, HOLDING)])}"
        case BalanceUpdate(balance=balance):
            return _listed(_figures(balance, MONEY))
        case Gap():
            missed = f"{event.dropped} dropped" if event.dropped else "something may have been missed"
            return f"{missed} from {_clock(event.since)} to {_clock(event.until)}, so look again: {event.cause}"
        case _:
            odd = cast("UnknownMessage", event)
            return f"{odd.problem}: {odd.raw.decode('utf-8', 'replace')}"


def _figures(item: object, fields: Iterable[tuple[str, str]]) -> list[str]:
    told = ((name, getattr(item, field)) for name, field in fields)
    return [f"{name} {figure(text)}" for name, text in told if text]


def _listed(words: list[str]) -> str:
    return ", ".join(filter(None, words)) or "changed"


def _colour(event: Event) -> str:
    return STATUSES.get(event.order.status or "", "") if isinstance(event, OrderUpdate) else ""


def _time(event: Update, now: datetime) -> str:
    try:
        return _clock(event.time or now)
    except MalformedResponseError:
        return plain(event.time_text or "")


def _clock(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%H:%M:%S")


KINDS_CHANGED: dict[type, str] = {OrderChanged: "order", PositionChanged: "position", BalanceChanged: "balance"}
CAUSES = {"stream": "dim", "recovered": "bold yellow", "sweep": "bold yellow"}
WIDEST_CAUSE = max(map(len, CAUSES))
MOST_FILLS = 3


def spelled_change(change: Change, now: datetime) -> dict[str, object]:
    """Return a change as one object for programs."""
    whose = {"user_id": change.user_id, "account_id": change.account_id}
    facts = {"cause": change.cause, "before": change.before, "after": change.after}
    fills = {"fills": change.fills} if isinstance(change, OrderChanged) else {}
    return {"type": KINDS_CHANGED[type(change)], **whose, "time": now, **facts, **fills}


def spelled_book(book: Book, now: datetime) -> dict[str, object]:
    """Return a whole book as one object for programs."""
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
    """Return a change as one line for people.

    Args:
        change: what changed.
        name: the account as people know it.
        now: the time of day.
    """
    return Text.assemble(
        (clock(now), "dim"),
        "  ",
        (f"{change.cause:<{WIDEST_CAUSE}}", CAUSES[change.cause]),
        "  ",
        plain(f"{name}  {_said_changed(change)}"),
    )


def turn_line(words: str, name: str, now: datetime) -> Text:
    """Return as one line for people that a book stopped or began to be current."""
    return Text.assemble((clock(now), "dim"), "  ", (plain(f"{name} {words}"), "bold yellow"))


def clock(when: datetime) -> str:
    """Return the time of day, in UTC."""
    return when.astimezone(UTC).strftime("%H:%M:%S")


def _said_changed(change: Change) -> str:
    match change:
        case OrderChanged(after=order, fills=fills):
            so_far = ", ".join(filter(None, (status_of(order), filled(order))))
            return f"{_fills(fills)}{in_words(order)}: {so_far}"
        case PositionChanged():
            return f"{change.after.symbol}: {_held(change.before, change.after)}"
        case BalanceChanged():
            return _cash(change.before, change.after)


def _fills(fills: Sequence[Fill]) -> str:
    told = [f"{figure(fill.quantity_text or '?')} at {figure(fill.price_text or '?')}" for fill in fills[:MOST_FILLS]]
    rest = len(fills) - len(told)
    return f"{', '.join(told)}{f' and {rest} more' if rest else ''}: " if told else ""


def _held(before: Position | None, after: Position) -> str:
    now, was = after.quantity_text, None if before is None else before.quantity_text
    held = "held" if now is None else f"{figure(now)} held"
    return f"{held}, before {figure(was)}" if was is not None and was != now else held


def _cash(before: Balance | None, after: Balance) -> str:
    now, was = after.cash_text, None if before is None else before.cash_text
    cash = "cash not told" if now is None else " ".join(filter(None, ("cash", figure(now), after.currency)))
    return f"{cash}, before {figure(was)}" if was is not None and was != now else cash
