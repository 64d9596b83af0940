"""Below the waterline: what changed in a book, as values: what was, what is, and how it was learned."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from connecttrade_async.books.merge import is_same_amount
from connecttrade_async.models.balances import Balance  # noqa: TC001 - msgspec reads the annotations
from connecttrade_async.models.orders import Fill, Order  # noqa: TC001 - msgspec reads the annotations
from connecttrade_async.models.positions import Position  # noqa: TC001 - msgspec reads the annotations

__all__ = ["BalanceChanged", "Cause", "Change", "OrderChanged", "PositionChanged"]

Cause = Literal["stream", "recovered", "sweep", "poll"]
"""How a change was learned: the stream told it; it was missed, and a snapshot found it; the slow sweep found it; a poll
found it, of a user whom no stream tells about."""


class Changed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing in one account is not what it was.

    Attributes:
        account_id: in which account.
        user_id: whose.
        cause: how it was learned: ``stream``, ``recovered``, ``sweep`` or ``poll``.
    """

    topic: ClassVar[str]
    raw: ClassVar[bytes] = b""

    account_id: str
    user_id: str
    cause: Cause


class OrderChanged(Changed, frozen=True, kw_only=True, gc=False):
    """An order changed.

    Changes are told as they are learned. What the stream tells after a gap comes before what happened earlier and is
    still to be ``recovered``, so the fills of several changes are not in the order of their ``time``.

    Attributes:
        before: as it was, or None where it is new to the book.
        after: as it is; its ``fills`` are all that are known, those first that were missed.
        fills: what was executed and not told before; each execution is told once. ``time`` says when, by the broker's
            clock, or None where the broker does not; of one that is only implied, it is when the order was updated.
            An execution that has grown under its id is told by its growth. What the broker took back, by a correction
            or a bust, is told with the opposite sign. So all quantities told of an order add up to what is filled.
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
        """Whether it is more than the passing of prices: always, for an order."""
        return True


class PositionChanged(Changed, frozen=True, kw_only=True, gc=False):
    """A position changed.

    Attributes:
        before: as it was, or None where it was opened.
        after: as it is; of quantity zero where it was closed, and then it is in the book no more.
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
        """Whether it is more than the passing of prices: another quantity."""
        return self.before is None or not is_same_amount(self.before.quantity_text, self.after.quantity_text)


class BalanceChanged(Changed, frozen=True, kw_only=True, gc=False):
    """A balance changed.

    Attributes:
        before: as it was, or None where it is new to the book.
        after: as it is.
    """

    topic: ClassVar[str] = "balances"
    symbol: ClassVar[str | None] = None

    before: Balance | None
    after: Balance

    @property
    def is_material(self) -> bool:
        """Whether it is more than the passing of prices: other cash."""
        return self.before is None or not is_same_amount(self.before.cash_text, self.after.cash_text)


Change = OrderChanged | PositionChanged | BalanceChanged
"""Whatever may change in a book."""
