"""The front door: what a stream tells, as a line for people or as an object for programs.

Its vow: an object holds the wire's own text, number by number; and a gap is told to either reader.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, cast

import msgspec
from rich.text import Text

from connecttrade_async.cli.tables import figure
from connecttrade_async.cli.telling import plain
from connecttrade_async.cli.wording import filled, in_words, status_of
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
    from collections.abc import Iterable
    from datetime import datetime

    from connecttrade_async.models.events import Event

__all__ = ["UPDATES", "aside", "line", "spelled"]

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
    kind, _ = KINDS.get(type(event), (type(event).__name__.lower(), ""))
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
