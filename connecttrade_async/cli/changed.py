"""The front door: a change of a book, as a line for people or as an object for programs.

Its vow: an object holds the wire's own text, number by number, and every fill that was not told before.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from rich.text import Text

from connecttrade_async.cli.tables import figure
from connecttrade_async.cli.telling import plain
from connecttrade_async.cli.wording import filled, in_words, status_of
from connecttrade_async.live.changes import BalanceChanged, OrderChanged, PositionChanged

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from connecttrade_async.live.book import Book
    from connecttrade_async.live.changes import Change
    from connecttrade_async.models import Balance, Fill, Position

__all__ = ["change_line", "clock", "spelled_book", "spelled_change", "turn_line"]

KINDS: dict[type, str] = {OrderChanged: "order", PositionChanged: "position", BalanceChanged: "balance"}
CAUSES = {"stream": "dim", "recovered": "bold yellow", "sweep": "bold yellow"}
WIDEST_CAUSE = max(map(len, CAUSES))
MOST_FILLS = 3


def spelled_change(change: Change, now: datetime) -> dict[str, object]:
    """Return a change as one object for programs."""
    whose = {"user_id": change.user_id, "account_id": change.account_id}
    facts = {"cause": change.cause, "before": change.before, "after": change.after}
    fills = {"fills": change.fills} if isinstance(change, OrderChanged) else {}
    return {"type": KINDS[type(change)], **whose, "time": now, **facts, **fills}


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
        plain(f"{name}  {_said(change)}"),
    )


def turn_line(words: str, name: str, now: datetime) -> Text:
    """Return as one line for people that a book stopped or began to be current."""
    return Text.assemble((clock(now), "dim"), "  ", (plain(f"{name} {words}"), "bold yellow"))


def clock(when: datetime) -> str:
    """Return the time of day, in UTC."""
    return when.astimezone(UTC).strftime("%H:%M:%S")


def _said(change: Change) -> str:
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
