"""The world's progress: what happens to an order at work next, and when.

Every answer depends on the order, the market and the hours, never on the moment of a request: the world
may be brought up to date often or seldom, with the same result.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import NamedTuple

from connecttrade_async.sandbox.world.hours import Hours
from connecttrade_async.sandbox.world.market import Market
from connecttrade_async.sandbox.world.price_path import TickRange, anchor, first_tick, moment_of, tick_of
from connecttrade_async.sandbox.world.symbols import PAIRS
from connecttrade_async.sandbox.world.working_order import WorkingOrder

__all__ = ["NextEvent", "can_trade", "next_step", "piece", "sweep_size"]

_SHORTEST_LOOK = timedelta(minutes=1)
_SPREAD_TICKS = 20
"""A spread is looked at every five seconds: its bounds are not as narrow as those of one symbol."""
_NINE = Decimal("0.000000001")
_SWEPT = 4
"""How many pieces an order can have that takes what there is at once."""


class NextEvent(NamedTuple):
    """What happens next to an order: ``accept``, ``leave``, ``expire``, ``auction``, ``sweep``, ``trigger``, ``fill``.

    ``look`` is nothing yet: so far it is known that nothing happens.
    """

    at: datetime
    kind: str


def next_step(working: WorkingOrder, market: Market, latency: timedelta) -> NextEvent | None:
    """Return the next event of an order, or None if none comes without a request.

    Args:
        working: an open order.
        market: where it trades, and when that is open.
        latency: how long it takes until an order is accepted.
    """
    bound = _bound(working, market.hours_of(working.order.symbol), latency)
    trade = None
    if working.accepted_at is not None and not working.is_idle:
        trade = _trade(working, market, working.accepted_at, bound)
    if bound is None or (trade is not None and trade.at < bound.at):
        return trade
    return bound


def can_trade(working: WorkingOrder, market: Market, at: datetime) -> bool:
    """Whether the market is open for it, and none of its symbols is halted."""
    extended = working.order.order_tif.endswith("+")
    is_halted = any(market.is_halted(part.symbol) for part in working.parts)
    return not is_halted and market.hours_of(working.order.symbol).is_open(at, extended=extended)


def piece(working: WorkingOrder) -> Decimal:
    """How much trades next, at most: some tens of shares, a few contracts, coins for some thousand dollars."""
    return _piece(working, len(working.order.fills))


def sweep_size(working: WorkingOrder) -> Decimal:
    """How much there is for an order that takes what there is at once."""
    return sum((_piece(working, number) for number in range(_SWEPT)), Decimal(0))


def _piece(working: WorkingOrder, number: int) -> Decimal:
    random = Random(f"{working.order_id}/{number}")  # noqa: S311  a pretend market needs no secrecy
    if working.order.instrument == "CRYPTO":
        dollars = random.randint(2_000, 12_000)
        return (dollars / Decimal(PAIRS[working.order.symbol or ""])).quantize(_NINE)
    is_stock = working.order.instrument == "STK"
    return Decimal(random.randint(10, 60) if is_stock else random.randint(2, 8))


def _bound(working: WorkingOrder, hours: Hours, latency: timedelta) -> NextEvent | None:
    """What ends or begins its work by the clock alone."""
    order, steps = working.order, list[NextEvent]()
    if order.replaces is None and working.accepted_at is None:
        steps.append(NextEvent(working.created_at + latency, "accept"))
    if working.leaves_at is not None:
        steps.append(NextEvent(working.leaves_at, "leave"))
    if order.order_tif in {"DAY", "DAY+"} and not working.is_idle:
        extended = order.order_tif == "DAY+"
        steps.append(NextEvent(hours.day_end(working.created_at, extended=extended), "expire"))
    steps.extend(NextEvent(anchor(option.expiry), "expire") for option in working.options)
    return min(steps, key=_time) if steps else None


def _trade(working: WorkingOrder, market: Market, accepted_at: datetime, bound: NextEvent | None) -> NextEvent | None:
    tif = working.order.order_tif
    if tif in {"OPEN", "CLOSE"}:
        return NextEvent(market.hours_of(working.order.symbol).auction(tif, accepted_at), "auction")
    if tif in {"IOC", "FOK"}:
        return NextEvent(working.ready_at, "sweep")
    if any(market.is_halted(part.symbol) for part in working.parts):
        return None
    start = max(working.ready_at, working.looked_to)
    horizon = start + max(_SHORTEST_LOOK, start - working.created_at)
    end = horizon if bound is None else min(horizon, bound.at)
    found = _found(working, market, start, end)
    if found is not None:
        return NextEvent(found, "fill" if working.is_triggered else "trigger")
    return NextEvent(horizon, "look") if bound is None or horizon < bound.at else None


def _found(working: WorkingOrder, market: Market, start: datetime, end: datetime) -> datetime | None:
    """The first moment of a stretch at which it trades, or its stop is reached."""
    hours = market.hours_of(working.order.symbol)
    for low, high in hours.spans(start, end, extended=working.order.order_tif.endswith("+")):
        found = _first(working, market, low, high)
        if found is not None:
            return found
    return None


def _first(working: WorkingOrder, market: Market, low: datetime, high: datetime) -> datetime | None:
    def may(cell: TickRange) -> bool:
        if working.is_triggered:
            return working.meets_limit(working.least(market, cell))
        return working.meets_stop(working.most(market, cell))

    def does(at: datetime) -> bool:
        if working.is_triggered:
            return working.meets_limit(working.deal(market, at).price * working.sign)
        return working.meets_stop(working.auction(market, at).price * working.sign)

    if does(low):
        return low
    begin, end = tick_of(low) + 1, tick_of(high - timedelta(microseconds=1)) + 1
    every = _SPREAD_TICKS if working.order.legs else 1
    tick = first_tick(begin, end, may, lambda tick: does(moment_of(tick)), every=every)
    return None if tick is None else moment_of(tick)


def _time(step: NextEvent) -> datetime:
    return step.at
