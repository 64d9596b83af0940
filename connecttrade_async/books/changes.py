"""Changes in books, as values: the state before and after, and how the change was learned."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from connecttrade_async.books.merge import is_same_amount
from connecttrade_async.models.balances import Balance  # noqa: TC001 - msgspec reads the annotations
from connecttrade_async.models.orders import Fill, Order  # noqa: TC001 - msgspec reads the annotations
from connecttrade_async.models.positions import Position  # noqa: TC001 - msgspec reads the annotations

__all__ = ["BalanceChanged", "Cause", "Change", "OrderChanged", "PositionChanged"]

Cause = Literal["stream", "recovered", "sweep", "poll"]
"""How a change was learned.

``stream``: an update of the stream. ``recovered``: a snapshot found a change that the stream missed. ``sweep``: the
periodic sweep found it. ``poll``: a poll found it, of a user without a stream."""


class Changed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One change in one account.

    Attributes:
        account_id: the account.
        user_id: its user.
        cause: how it was learned: ``stream``, ``recovered``, ``sweep`` or ``poll``.
    """

    topic: ClassVar[str]
    raw: ClassVar[bytes] = b""

    account_id: str
    user_id: str
    cause: Cause


class OrderChanged(Changed, frozen=True, kw_only=True, gc=False):
    """An order changed.

    Changes are published as they are learned. A change after a gap may come before an older one that is still to be
    ``recovered``, so the fills of several changes are not in the order of their ``time``.

    Attributes:
        before: the order before, or None where it is new to the book.
        after: the order now; its ``fills`` are all known executions, recovered ones first.
        fills: the executions that were not published before; each execution is published once. ``time`` is by the
            broker's clock, or None where the broker gives none; an implied fill has the time of the order's update.
            An execution that grew under its id is published as its growth. An execution that the broker took back, by
            a correction or a bust, has the opposite sign. So all published quantities of an order add up to its filled
            quantity.
    """

    topic: ClassVar[str] = "orders"

    before: Order | None
    after: Order
    fills: tuple[Fill, ...] = ()

    @property
    def symbol(self) -> str | None:
        """The symbol of the order."""
        return self.after.symbol

    @property
    def is_material(self) -> bool:
        """Whether it is more than a price change: always True for an order."""
        return True


class PositionChanged(Changed, frozen=True, kw_only=True, gc=False):
    """A position changed.

    Attributes:
        before: the position before, or None where it was opened.
        after: the position now; of quantity zero where it was closed and is not in the book any more.
    """

    topic: ClassVar[str] = "positions"

    before: Position | None
    after: Position

    @property
    def symbol(self) -> str | None:
        """The symbol of the position."""
        return self.after.symbol

    @property
    def is_material(self) -> bool:
        """Whether it is more than a price change: the quantity differs."""
        return self.before is None or not is_same_amount(self.before.quantity_text, self.after.quantity_text)


class BalanceChanged(Changed, frozen=True, kw_only=True, gc=False):
    """A balance changed.

    Attributes:
        before: the balance before, or None where it is new to the book.
        after: the balance now.
    """

    topic: ClassVar[str] = "balances"
    symbol: ClassVar[str | None] = None

    before: Balance | None
    after: Balance

    @property
    def is_material(self) -> bool:
        """Whether it is more than a price change: the cash differs."""
        return self.before is None or not is_same_amount(self.before.cash_text, self.after.cash_text)


Change = OrderChanged | PositionChanged | BalanceChanged
"""Any change in a book."""
