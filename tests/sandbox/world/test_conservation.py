"""Whatever is done in whatever order, no cent and no share is made or lost, and no order goes where it must not."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import given, settings, strategies as st

from connecttrade_async.sandbox.errors import RefusalError
from connecttrade_async.sandbox.world import (
    CLOSED,
    EDGES,
    LEG_SIDES,
    STOCK_SIDES,
    TIFS,
    TYPES,
    Account,
    Hours,
    Leg,
    Order,
    Ticket,
    World,
    find_broker,
)

MONDAY = datetime(2026, 6, 29, 18, 59, 50, tzinfo=UTC)
CALL, HIGHER = "AAPL260918C00230000", "AAPL260918C00240000"
SPREAD = (Leg(CALL, "BUY_TO_OPEN", 1), Leg(HIGHER, "SELL_TO_OPEN", 2))
SECONDS = st.sampled_from([0, 0.01, 0.02, 0.05, 0.3, 2, 60, 3600, 30_000, 86_400, 500_000])
PRICES = st.decimals("0.90", "1.10", places=2)

Deed = Callable[["Story"], object]


class Story:
    """A world with one account, its time, and what a test has seen of its orders."""

    def __init__(self, keeping: Any = "open", *, eager: bool = False) -> None:
        self.world = World(7, Hours(keeping))
        jane = self.world.create_user("jane")
        link = self.world.invite(jane, "trade", "https://app.example/", MONDAY)
        self.account = self.world.consent(link, find_broker("TRADESTATION"), "jane", MONDAY).accounts[0]
        self.now = MONDAY
        self.eager = eager
        self.placed: list[str] = []
        self.by_hand: set[str] = set()
        self.closed: dict[str, Order] = {}

    def advance(self, seconds: float) -> None:
        target = self.now + timedelta(seconds=seconds)
        for part in (0.1, 0.25, 0.5, 0.51, 0.9) if self.eager else ():
            self.world.floor.bring_up(self.now + part * (target - self.now))
        self.now = target
        self.world.floor.bring_up(self.now)

    def place(self, ticket: Ticket) -> None:
        self.placed.append(self.world.floor.place(self.account, ticket, self.now).order_id)

    def order(self, pick: int) -> Order:
        return self.account.order(self.placed[pick % len(self.placed)])


def placing(what: tuple[str | None, str], kind: str, tif: str, qty: int, near: Decimal) -> Deed:
    symbol, side = what

    def deed(story: Story) -> None:
        last = story.world.market.last(symbol or CALL, story.now)
        price = max(Decimal("0.01"), (last * near).quantize(Decimal("0.01")))
        by_notional = symbol in {"AAPL", "F"} and qty % 7 == 0
        ticket = Ticket(
            cl_order_id=f"{len(story.placed)}-{story.now}",
            side=side,
            order_type=kind,
            order_tif=tif,
            symbol=symbol,
            order_qty=None if by_notional else Decimal(qty) / (8 if symbol == "F" else 1),
            order_notional=Decimal(qty) * 11 if by_notional else None,
            order_limit_price=price if kind in {"LMT", "STPLMT"} else None,
            stop_price=price if kind in {"STP", "STPLMT"} else None,
            legs=() if symbol else SPREAD,
        )
        story.place(ticket)

    return deed


def replacing(pick: int, qty: int, near: Decimal) -> Deed:
    def deed(story: Story) -> None:
        old = story.order(pick)
        limit = old.order_limit_price
        ticket = Ticket(
            cl_order_id=f"{len(story.placed)}-{story.now}",
            side=old.side,
            order_type=old.order_type,
            order_tif=old.order_tif,
            symbol=old.symbol,
            order_qty=None if old.order_qty is None else Decimal(qty),
            order_notional=None if old.order_qty is not None else Decimal(qty) * 13,
            order_limit_price=limit and max(Decimal("0.01"), (limit * near).quantize(Decimal("0.01"))),
            stop_price=old.stop_price,
            legs=old.legs,
        )
        story.placed.append(story.world.floor.replace(story.account, old.order_id, ticket, story.now).order_id)

    return deed


def filling(pick: int, part: int) -> Deed:
    def deed(story: Story) -> None:
        order = story.order(pick)
        story.by_hand.add(order.order_id)
        quantity = order.left and (order.left / part).quantize(Decimal(1))
        story.world.floor.fill(story.account, order.order_id, story.now, quantity)

    return deed


def moving(symbol: str, near: Decimal | None) -> Deed:
    def deed(story: Story) -> None:
        market = story.world.market
        price = None if near is None else (market.last(symbol, story.now) * near).quantize(Decimal("0.01"))
        market.pin(symbol, price, story.now)
        story.world.floor.reschedule(story.now)

    return deed


def halting(symbol: str | None, *, ends: bool) -> Deed:
    def deed(story: Story) -> None:
        market = story.world.market
        (market.resume if ends else market.halt)(symbol)
        story.world.floor.reschedule(story.now)

    return deed


def cancelling(pick: int) -> Deed:
    return lambda story: story.world.floor.cancel(story.account, story.order(pick).order_id, story.now)


def rejecting(pick: int) -> Deed:
    return lambda story: story.world.floor.reject(story.account, story.order(pick).order_id, story.now, "No.")


def advancing(seconds: float) -> Deed:
    return lambda story: story.advance(seconds)


PICKS = st.integers(0, 30)
STOCK = st.builds(
    placing,
    st.tuples(st.sampled_from(["AAPL", "F", "KO", "ZZTOP"]), st.sampled_from(STOCK_SIDES)),
    st.sampled_from(TYPES),
    st.sampled_from(TIFS),
    st.integers(1, 250),
    PRICES,
)
PLAIN = st.builds(
    placing,
    st.tuples(st.sampled_from(["AAPL", "F"]), st.just("BUY")),
    st.sampled_from(["MKT", "LMT"]),
    st.sampled_from(["DAY", "GTC", "GTC+"]),
    st.integers(1, 150),
    PRICES,
)
OPTIONS = st.builds(
    placing,
    st.tuples(st.sampled_from([CALL, None]), st.sampled_from(LEG_SIDES)),
    st.sampled_from(TYPES),
    st.sampled_from(TIFS),
    st.integers(1, 12),
    PRICES,
)
DEEDS = st.one_of(
    PLAIN,
    STOCK,
    OPTIONS,
    st.builds(replacing, PICKS, st.integers(1, 200), PRICES),
    st.builds(cancelling, PICKS),
    st.builds(rejecting, PICKS),
    st.builds(filling, PICKS, st.integers(1, 4)),
    st.builds(advancing, SECONDS),
    st.builds(advancing, SECONDS),
    st.builds(moving, st.sampled_from(["AAPL", "F", CALL]), st.one_of(st.none(), PRICES)),
    st.builds(halting, st.sampled_from(["AAPL", None]), ends=st.booleans()),
)
STORIES = st.lists(DEEDS, min_size=4, max_size=25)
KEEPINGS = st.sampled_from(["open", "real"])


def do(story: Story, deed: Deed) -> None:
    kind = deed.__qualname__.split(".")[0]
    if not story.placed and kind in {"replacing", "cancelling", "rejecting", "filling"}:
        return
    try:
        deed(story)
    except RefusalError as refusal:
        is_fair = kind in {"placing", "replacing", "cancelling", "filling"} and "does not become" not in refusal.message
        if not is_fair and kind != "rejecting":
            raise  # time is never refused, and no run leads to a state that orders cannot reach


@settings(max_examples=60, deadline=None)
@given(keeping=KEEPINGS, deeds=STORIES)
def test_nothing_is_made_or_lost(keeping: Any, deeds: list[Deed]) -> None:
    story = Story(keeping)
    for deed in deeds:
        do(story, deed)
        check_money(story.account)
        check_closed(story)
    story.advance(1)
    check_ways(story)
    for order in map(story.account.order, story.placed):
        check_order(story, order)


@settings(max_examples=30, deadline=None)
@given(keeping=KEEPINGS, deeds=STORIES)
def test_it_does_not_matter_how_often_the_world_is_brought_up_to_date(keeping: Any, deeds: list[Deed]) -> None:
    seldom, often = Story(keeping), Story(keeping, eager=True)
    for deed in deeds:
        do(seldom, deed)
        do(often, deed)
    assert seldom.account.orders == often.account.orders
    assert seldom.account.transactions == often.account.transactions
    assert seldom.world.floor.journal.since() == often.world.floor.journal.since()


def check_money(account: Account) -> None:
    """Cash, and positions at cost, are what was paid in, and earned by trading, less the fees."""
    moved = [entry for entry in account.transactions if entry.type != "trade"]
    paid = sum((entry.amount for entry in moved), Decimal(0))
    fees = sum((entry.fees for entry in account.transactions if entry.fees is not None), Decimal(0))
    cost = sum((holding.cost for holding in account.holdings.values()), Decimal(0))
    realized = sum((holding.realized for holding in account.holdings.values()), Decimal(0))
    assert account.cash + cost == paid + realized - fees
    assert account.cash == sum(entry.amount for entry in account.transactions)
    assert all(entry.amount == entry.amount.quantize(Decimal("0.01")) for entry in account.transactions)
    bought: dict[str, Decimal] = {}
    for entry in account.transactions:
        if entry.symbol is not None and entry.quantity is not None:
            bought[entry.symbol] = bought.get(entry.symbol, Decimal(0)) + entry.quantity
    assert bought == {symbol: holding.quantity for symbol, holding in account.holdings.items()}


def check_closed(story: Story) -> None:
    """What was closed is what it was."""
    for order in map(story.account.order, story.placed):
        assert story.closed.get(order.order_id, order) == order
        if order.status in CLOSED:
            story.closed[order.order_id] = order


def check_ways(story: Story) -> None:
    """Every order began pending, went only where it may, and its journal ends with what it is."""
    changes = story.world.floor.journal.since()
    assert [change.at for change in changes] == sorted(change.at for change in changes)
    for name in story.placed:
        way = [change.order for change in changes if change.order.order_id == name]
        assert (way[0].status, way[-1]) == ("pending", story.account.order(name))
        for before, after in pairwise(way):
            assert after.status in EDGES[before.status]
            assert after.fills[: len(before.fills)] == before.fills
    names = [(order.created_at.date(), order.cl_order_id) for order in map(story.account.order, story.placed)]
    assert len(set(names)) == len(names)


def check_order(story: Story, order: Order) -> None:
    assert order.filled_qty == sum(fill.quantity for fill in order.fills)
    assert all(fill.quantity > 0 for fill in order.fills)
    if order.order_qty is not None:
        assert order.filled_qty <= order.order_qty
        assert (order.filled_qty == order.order_qty) is (order.status == "filled")
    if order.avg_fill_price is not None:
        volume = sum(fill.quantity * fill.price for fill in order.fills)
        assert abs(volume / order.filled_qty - order.avg_fill_price) <= Decimal("0.0000000005")
    if order.order_limit_price is not None and order.order_id not in story.by_hand:
        is_buy = order.side.startswith("BUY")
        for fill in order.fills:
            assert fill.price <= order.order_limit_price if is_buy else fill.price >= order.order_limit_price
    if order.status == "replaced":
        assert order.replaced_by is not None
        assert story.account.order(order.replaced_by).replaces == order.order_id
    extended = order.order_tif.endswith("+")
    if order.order_tif not in {"OPEN", "CLOSE"} and order.order_id not in story.by_hand:
        assert all(story.world.market.hours.is_open(fill.time, extended=extended) for fill in order.fills)
