"""The world's execution: how an order at work changes its status and trades, and what is written down of it."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from uuid import UUID, uuid5

from connecttrade_async.sandbox.errors import BadRequestError
from connecttrade_async.sandbox.world.event_log import OrderLog
from connecttrade_async.sandbox.world.market import Market
from connecttrade_async.sandbox.world.order_lifecycle import NextEvent, can_trade, piece, sweep_size
from connecttrade_async.sandbox.world.orders import Fill, Order
from connecttrade_async.sandbox.world.working_order import UnitPrice, WorkingOrder

__all__ = ["Execution"]

_MILLIONTH = Decimal("0.000001")
_BILLIONTH = Decimal("0.000000001")
"""The finest part of a share, and of a coin, that an order by notional gets."""
_LEAVING = {"pending_cancel", "pending_replace"}


class Execution:
    """Lets orders become what they become. Planning what comes next is the floor's.

    Args:
        market: where the prices are.
        journal: where every change is written down.
        latency: how long each thing takes.
    """

    def __init__(self, market: Market, journal: OrderLog, latency: timedelta) -> None:
        self.latency = latency
        self._market = market
        self._journal = journal

    def become(
        self, working: WorkingOrder, status: str, at: datetime, *, reason: str | None = None, by: str | None = None
    ) -> None:
        """Give an order another status.

        Args:
            working: which order.
            status: the new one.
            at: when.
            reason: why it is rejected.
            by: the order that has taken its place.
        """
        order = replace(working.order, status=status, reject_reason=reason, replaced_by=by)
        self._amend(working, order, at, 0)

    def accept(self, working: WorkingOrder, at: datetime, quantity: Decimal | None = None) -> None:
        """Let the market have an order; unless it is leaving already, it is seen to work.

        Args:
            working: which order.
            at: when.
            quantity: what is left to do for one that takes another's place; None leaves it as it is.
        """
        working.accepted_at = at
        working.ready_at = working.looked_to = at + self.latency
        working.is_triggered = working.order.stop_price is None
        order = working.order if quantity is None else replace(working.order, order_qty=quantity)
        if order.status == "pending":
            self._amend(working, replace(order, status="working"), at, 0)
        elif order != working.order:
            self._amend(working, order, at, 0)

    def happen(self, step: NextEvent, working: WorkingOrder) -> None:
        """Let a step happen, if it is not a replacement."""
        match step.kind:
            case "accept":
                self.accept(working, step.at)
            case "leave":
                self.become(working, "cancelled", step.at)
            case "expire":
                self.become(working, "expired", step.at)
            case "trigger":
                working.is_triggered = True
                working.ready_at = step.at + self.latency
            case "fill":
                self._fill(working, step.at, piece(working), working.deal(self._market, step.at))
            case "sweep":
                self._sweep(working, step.at)
            case "auction":
                self._auction(working, step.at)
            case _:
                working.looked_to = step.at

    def fill_by_hand(
        self, working: WorkingOrder, at: datetime, quantity: Decimal | None, price: Decimal | None
    ) -> None:
        """Let an order trade, whatever the market does.

        Raises:
            BadRequestError: it has less left, or waits for another's place; or a spread was given a price, or an order
                by notional a quantity.
        """
        if working.order.replaces is not None and working.accepted_at is None:
            raise BadRequestError("The order waits for the place of another; let the clock go on first.")
        if price is not None and working.order.legs:
            raise BadRequestError("A spread fills at the prices of its legs; pin those.")
        if quantity is not None and working.order.left is None:
            raise BadRequestError("An order by notional fills as a whole.")
        wanted = working.left if quantity is None else quantity
        if not 0 < wanted <= working.left:
            raise BadRequestError(f"quantity must be more than 0 and at most the {working.left} that are left.")
        deal = working.deal(self._market, at)
        self._fill(working, at, wanted, deal if price is None else UnitPrice(price, ()))

    def _sweep(self, working: WorkingOrder, at: datetime) -> None:
        """Take what there is at once, or for a ``FOK`` all or nothing; the rest is cancelled."""
        there = sweep_size(working) if self._is_due(working, at) else Decimal(0)
        if working.order.order_notional is not None and there:
            there = working.left
        if there and (working.order.order_tif == "IOC" or there >= working.left):
            self._fill(working, at, there, working.deal(self._market, at))
        if working.order.is_open:
            self.become(working, "cancelled", at)

    def _is_due(self, working: WorkingOrder, at: datetime) -> bool:
        if not can_trade(working, self._market, at):
            return False
        last, deal = working.auction(self._market, at), working.deal(self._market, at)
        return working.meets_stop(last.price * working.sign) and working.meets_limit(deal.price * working.sign)

    def _auction(self, working: WorkingOrder, at: datetime) -> None:
        """Fill the whole order at the last price, or expire it."""
        deal = working.auction(self._market, at)
        debit = deal.price * working.sign
        is_halted = any(self._market.is_halted(part.symbol) for part in working.parts)
        if is_halted or not (working.meets_stop(debit) and working.meets_limit(debit)):
            self.become(working, "expired", at)
        else:
            self._fill(working, at, working.left, deal)

    def _fill(self, working: WorkingOrder, at: datetime, most: Decimal, deal: UnitPrice) -> None:
        order = working.order
        quantity = _shares(working, deal.price) if order.order_notional is not None else min(most, working.left)
        # Derived from the order and not drawn, so the ids do not depend on the sequence in which orders trade.
        fill = Fill(str(uuid5(UUID(order.order_id), str(len(order.fills)))), at, quantity, deal.price, deal.legs)
        # By notional, the rounding leaves a rest of dollars, so the quantity does not show that the order is filled.
        is_whole = order.order_notional is not None or quantity == working.left
        status = "filled" if is_whole else order.status if order.status in _LEAVING else "partially_filled"
        working.ready_at = working.looked_to = at + self.latency
        self._amend(working, replace(order, status=status, fills=(*order.fills, fill)), at, 1)

    def _amend(self, working: WorkingOrder, order: Order, at: datetime, fills: int) -> None:
        word = working.account.broker.words[order.status]
        changed = replace(order, broker_status=word, updated_at=at)
        working.account.amend(changed)
        self._journal.note(at, changed, fills)


def _shares(working: WorkingOrder, price: Decimal) -> Decimal:
    """What an order by notional buys or sells at a price; it never sells more than is held."""
    order = working.order
    finest = _BILLIONTH if order.instrument == "CRYPTO" else _MILLIONTH
    # At least one unit: a fill of zero would not be a fill.
    shares = max(finest, ((order.order_notional or Decimal(0)) / price).quantize(finest, ROUND_DOWN))
    if order.side == "SELL":
        return min(shares, max(finest, working.account.held(order.symbol or "")))
    return shares
