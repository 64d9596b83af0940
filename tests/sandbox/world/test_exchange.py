"""What becomes of orders as time goes by: every type, every time in force, every ending."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from connecttrade_async.sandbox.errors import BadRequestError, ConflictError, NotFoundError
from connecttrade_async.sandbox.world import Account, Hours, Leg, Order, Ticket, World, find_broker

STEP = timedelta(milliseconds=20)
MORNING = datetime(2026, 7, 1, 15, tzinfo=UTC)
SATURDAY = datetime(2026, 7, 4, 15, tzinfo=UTC)
CALL, HIGHER = "AAPL260918C00230000", "AAPL260918C00240000"
SPREAD = (Leg(CALL, "BUY_TO_OPEN", 1), Leg(HIGHER, "SELL_TO_OPEN", 1))


class TradingFloor:
    """A world with one account, in which AAPL costs 200 dollars until a test says otherwise."""

    def __init__(self, keeping: Any = "open", now: datetime = MORNING, broker: str = "ALPACA") -> None:
        self.world = World(7, Hours(keeping))
        jane = self.world.create_user("jane")
        link = self.world.invite(jane, "trade", "https://app.example/", now)
        self.account: Account = self.world.consent(link, find_broker(broker), "jane", now).accounts[0]
        self.now = now
        self.placed = 0
        self.price("200")

    def price(self, price: str, symbol: str = "AAPL") -> None:
        self.world.market.pin(symbol, Decimal(price), self.now)
        self.world.floor.reschedule(self.now)

    def pass_time(self, step: timedelta = STEP) -> None:
        self.until(self.now + step)

    def until(self, moment: datetime) -> None:
        self.now = moment
        self.world.floor.bring_up(moment)

    def place(self, kind: str = "MKT", tif: str = "DAY", qty: str | None = "5", **members: Any) -> Order:
        self.placed += 1
        ticket: dict[str, Any] = {"side": "BUY", "symbol": "AAPL", "cl_order_id": str(self.placed)} | members
        amount = None if qty is None else Decimal(qty)
        limit, stop = (None if (price := ticket.pop(name, None)) is None else Decimal(price) for name in ("at", "stop"))
        return self.world.floor.place(
            self.account,
            Ticket(
                order_type=kind, order_tif=tif, order_qty=amount, order_limit_price=limit, stop_price=stop, **ticket
            ),
            self.now,
        )

    def replace(self, old: Order, qty: str = "9") -> Order:
        self.placed += 1
        ticket = Ticket(
            cl_order_id=str(self.placed),
            side=old.side,
            order_type=old.order_type,
            order_tif=old.order_tif,
            symbol=old.symbol,
            order_qty=Decimal(qty),
            order_limit_price=old.order_limit_price,
        )
        return self.world.floor.replace(self.account, old.order_id, ticket, self.now)

    def status(self, order: Order) -> str:
        return self.known(order).status

    def known(self, order: Order) -> Order:
        return self.account.order(order.order_id)

    def way(self, order: Order) -> list[str]:
        changes = self.world.floor.journal.since()
        return [change.order.status for change in changes if change.order.order_id == order.order_id]


@pytest.fixture
def floor() -> TradingFloor:
    return TradingFloor()


def test_a_large_order_fills_piece_by_piece(floor: TradingFloor) -> None:
    order = floor.place(qty="400", symbol="F")
    floor.pass_time(10 * STEP)
    seen = floor.known(order)
    assert (seen.status, len(seen.fills)) == ("partially_filled", 9)
    assert {after.time - before.time for before, after in zip(seen.fills, seen.fills[1:], strict=False)} == {STEP}
    floor.pass_time(timedelta(minutes=1))
    done = floor.known(order)
    assert (done.status, done.filled_qty) == ("filled", Decimal(400))
    assert all(10 <= fill.quantity <= 60 for fill in done.fills[:-1])
    assert set(floor.way(order)) == {"pending", "working", "partially_filled", "filled"}


@pytest.mark.parametrize(("side", "kind", "limit", "stop"), [
    ("BUY", "LMT", "199", None),
    ("SELL", "LMT", "201", None),
    ("BUY", "STP", None, "201"),
    ("SELL", "STP", None, "199"),
    ("BUY", "STPLMT", "203", "201"),
    ("SELL", "STPLMT", "197", "199"),
])  # fmt: skip
def test_an_order_waits_for_its_price(
    floor: TradingFloor, side: str, kind: str, limit: str | None, stop: str | None
) -> None:
    order = floor.place(kind, side=side, qty="1", at=limit, stop=stop)
    floor.pass_time(timedelta(hours=1))
    assert floor.status(order) == "working"
    floor.price("202" if (side == "BUY") is (kind != "LMT") else "198")
    floor.pass_time(3 * STEP)
    done = floor.known(order)
    assert (done.status, len(done.fills)) == ("filled", 1)
    assert done.fills[0].price in {Decimal("202.02"), Decimal("201.98"), Decimal("198.02"), Decimal("197.98")}


def test_a_stop_limit_that_was_triggered_keeps_its_limit(floor: TradingFloor) -> None:
    order = floor.place("STPLMT", at="201.50", stop="201")
    floor.pass_time(3 * STEP)
    floor.price("202")
    floor.pass_time(timedelta(minutes=5))
    assert floor.status(order) == "working"
    floor.price("200.50")
    floor.pass_time()
    assert floor.known(order).avg_fill_price == Decimal("200.52")


def test_a_limit_is_met_by_the_walk_itself() -> None:
    floor = TradingFloor()
    last = floor.world.market.last("MSFT", floor.now)
    order = floor.place("LMT", "GTC", symbol="MSFT", qty="1", at=str(last - 1))
    floor.pass_time(timedelta(days=60))
    done = floor.known(order)
    assert done.status == "filled"
    [fill] = done.fills
    assert floor.world.market.quote("MSFT", fill.time).ask == fill.price <= last - 1
    before = fill.time - timedelta(microseconds=1)
    assert floor.world.market.quote("MSFT", before).ask > last - 1


def test_good_for_the_day_ends_at_four_in_new_york(floor: TradingFloor) -> None:
    day, longer, forever = (floor.place("LMT", tif, at="150") for tif in ("DAY", "DAY+", "GTC"))
    floor.until(datetime(2026, 7, 1, 19, 59, 59, tzinfo=UTC))
    assert floor.status(day) == "working"
    floor.until(datetime(2026, 7, 1, 20, 0, tzinfo=UTC))
    assert (floor.status(day), floor.status(longer)) == ("expired", "working")
    assert floor.known(day).updated_at == floor.now
    floor.until(datetime(2026, 7, 2, 0, 0, tzinfo=UTC))
    assert (floor.status(longer), floor.status(forever)) == ("expired", "working")
    floor.pass_time(timedelta(days=300))
    assert floor.status(forever) == "working"


def test_at_once_or_not_at_all(floor: TradingFloor) -> None:
    whole = floor.place(tif="FOK", symbol="F", qty="40")
    never = floor.place(tif="FOK", symbol="F", qty="241")
    part = floor.place(tif="IOC", symbol="F", qty="241")
    dear = floor.place("LMT", "IOC", at="199")
    later = floor.place("STP", "IOC", stop="201")
    floor.pass_time(2 * STEP)
    orders = (whole, never, part, dear, later)
    assert [floor.status(order) for order in orders] == ["filled", "cancelled", "cancelled", "cancelled", "cancelled"]
    assert 40 <= floor.known(part).filled_qty <= 240
    assert not floor.known(never).fills


def test_auction_orders_fill_at_their_auction_alone(floor: TradingFloor) -> None:
    closing, opening = floor.place(tif="CLOSE"), floor.place(tif="OPEN", qty="300", symbol="F")
    cheap = floor.place("LMT", "OPEN", at="150")
    floor.until(datetime(2026, 7, 1, 20, 0, tzinfo=UTC))
    assert (floor.status(closing), floor.known(closing).avg_fill_price) == ("filled", Decimal(200))
    assert floor.status(opening) == "working"
    floor.until(datetime(2026, 7, 2, 13, 30, tzinfo=UTC))
    [fill] = floor.known(opening).fills
    assert (fill.quantity, fill.time, floor.status(cheap)) == (Decimal(300), floor.now, "expired")


def test_in_a_halt_nothing_trades(floor: TradingFloor) -> None:
    floor.world.market.halt("AAPL")
    order, opening, swept = floor.place(tif="GTC"), floor.place(tif="CLOSE"), floor.place(tif="IOC")
    option = floor.place(symbol=CALL, side="BUY_TO_OPEN", tif="GTC", qty="1")
    floor.pass_time(timedelta(days=1))
    assert [floor.status(each) for each in (order, opening, swept, option)] == [
        "working",
        "expired",
        "cancelled",
        "working",
    ]
    floor.world.market.resume("AAPL")
    floor.world.floor.reschedule(floor.now)
    floor.pass_time()
    assert (floor.status(order), floor.known(order).fills[0].time) == ("filled", floor.now - STEP)
    assert floor.status(option) == "filled"


def test_on_a_weekend_orders_queue_but_for_those_that_cannot() -> None:
    floor = TradingFloor("real", SATURDAY)
    order, longer = floor.place(), floor.place("LMT", "GTC+", at="300")
    for tif in ("IOC", "FOK"):
        refused = floor.place(tif=tif)
        assert refused.status == "rejected"
        assert (refused.reject_reason or "").startswith("The market is closed")
    floor.until(datetime(2026, 7, 6, 8, tzinfo=UTC))
    assert (floor.status(longer), floor.known(longer).fills[0].time) == ("filled", floor.now)
    assert floor.status(order) == "working"
    floor.until(datetime(2026, 7, 6, 13, 30, tzinfo=UTC))
    assert (floor.status(order), floor.known(order).fills[0].time) == ("filled", floor.now)


def test_a_fill_may_win_against_a_cancellation(floor: TradingFloor) -> None:
    order = floor.place()
    floor.pass_time(STEP * 1.5)
    floor.world.floor.cancel(floor.account, order.order_id, floor.now)
    floor.pass_time()
    assert floor.way(order) == ["pending", "working", "pending_cancel", "filled"]
    with pytest.raises(BadRequestError, match="already filled"):
        floor.world.floor.cancel(floor.account, order.order_id, floor.now)


def test_a_replacement_counts_what_was_filled(floor: TradingFloor) -> None:
    old = floor.place("LMT", "GTC", at="150", qty="10")
    floor.world.floor.fill(floor.account, old.order_id, floor.now, Decimal(4))
    with pytest.raises(BadRequestError, match="more than the 4"):
        floor.replace(old, "4")
    new = floor.replace(old, "12")
    assert (new.order_qty, new.replaces, floor.status(old)) == (Decimal(8), old.order_id, "pending_replace")
    floor.world.floor.fill(floor.account, old.order_id, floor.now, Decimal(1))
    with pytest.raises(BadRequestError, match=f"being replaced by {new.order_id}"):
        floor.world.floor.cancel(floor.account, old.order_id, floor.now)
    floor.pass_time()
    assert (floor.status(old), floor.known(old).replaced_by) == ("replaced", new.order_id)
    assert (floor.status(new), floor.known(new).order_qty) == ("working", Decimal(7))


def test_a_chain_of_replacements_all_asked_for_at_once(floor: TradingFloor) -> None:
    first = floor.place("LMT", "GTC", at="150")
    second = floor.replace(first, "6")
    third = floor.replace(second, "7")
    floor.world.floor.cancel(floor.account, third.order_id, floor.now)
    floor.pass_time()
    assert [floor.status(order) for order in (first, second, third)] == ["replaced", "replaced", "cancelled"]
    assert floor.way(second) == ["pending", "pending_replace", "replaced"]
    assert floor.known(second).replaced_by == third.order_id


def test_what_is_to_be_replaced_needs_no_money_and_what_waits_does_not_trade(floor: TradingFloor) -> None:
    there = floor.world.balance(floor.account, floor.now).buying_power
    old = floor.place("LMT", "GTC", at="150", qty="10")
    new = floor.replace(old, "20")
    newest = floor.replace(new, "30")
    floor.world.floor.cancel(floor.account, newest.order_id, floor.now)
    assert floor.world.balance(floor.account, floor.now).buying_power == there - 30 * 150
    with pytest.raises(BadRequestError, match="waits for the place"):
        floor.world.floor.fill(floor.account, newest.order_id, floor.now, Decimal(1))
    floor.world.floor.fill(floor.account, old.order_id, floor.now, Decimal(3))
    floor.pass_time()
    assert [floor.known(order).order_qty for order in (new, newest)] == [17, 30]
    assert floor.way(newest) == ["pending", "pending_cancel", "cancelled"]


def test_too_late_to_replace(floor: TradingFloor) -> None:
    old = floor.place("LMT", "GTC", at="150")
    new = floor.replace(old)
    newest = floor.replace(new)
    floor.world.floor.fill(floor.account, old.order_id, floor.now)
    assert [floor.status(order) for order in (old, new, newest)] == ["filled", "rejected", "rejected"]
    assert floor.known(new).reject_reason == f"Too late to replace: order {old.order_id} is filled."


def test_the_old_order_works_on_if_nothing_is_left_for_the_new_one(floor: TradingFloor) -> None:
    old = floor.place("LMT", "GTC", at="150", qty="10")
    new = floor.replace(old, "4")
    floor.world.floor.fill(floor.account, old.order_id, floor.now, Decimal(4))
    floor.pass_time()
    assert (floor.status(old), floor.status(new)) == ("partially_filled", "rejected")
    again = floor.replace(old, "11")
    floor.world.floor.reject(floor.account, again.order_id, floor.now, "No.")
    floor.pass_time()
    assert floor.status(old) == "partially_filled"


def test_a_replacement_that_is_turned_down_leaves_the_old_order_alone(floor: TradingFloor) -> None:
    old = floor.place("LMT", "GTC", at="150")
    assert floor.replace(old, "9000").status == "rejected"
    assert floor.status(old) == "pending"


def test_an_order_that_was_written_by_hand_can_be_cancelled_and_replaced(floor: TradingFloor) -> None:
    written = [floor.world.add_order(floor.account.account_id, floor.now) for _ in range(2)]
    new = floor.replace(written[0])
    floor.world.floor.cancel(floor.account, written[1].order_id, floor.now)
    floor.pass_time()
    assert [floor.status(order) for order in written] == ["replaced", "cancelled"]
    assert floor.status(new) == "working"
    leaving = floor.world.add_order(floor.account.account_id, floor.now, status="pending_replace")
    with pytest.raises(BadRequestError, match="being replaced by another"):
        floor.world.floor.cancel(floor.account, leaving.order_id, floor.now)
    with pytest.raises(NotFoundError):
        floor.world.floor.cancel(floor.account, "none", floor.now)


def test_an_order_by_notional(floor: TradingFloor) -> None:
    before = floor.account.held("AAPL")
    bought = floor.place(qty=None, order_notional=Decimal(1000))
    tiny = floor.place(qty=None, order_notional=Decimal("0.99"))
    floor.pass_time(2 * STEP)
    assert (floor.known(bought).filled_qty, floor.status(bought)) == (Decimal("4.999500"), "filled")
    assert tiny.reject_reason == "An order by notional is for a dollar at least."
    swept = floor.place(qty=None, order_notional=Decimal(100), tif="IOC")
    floor.pass_time(2 * STEP)
    assert (floor.known(swept).filled_qty, floor.status(swept)) == (Decimal("0.499950"), "filled")
    sold = floor.place(side="SELL", qty=None, order_notional=Decimal(500))
    assert floor.place(side="SELL", qty="1").status == "rejected"
    floor.pass_time(2 * STEP)
    assert floor.account.held("AAPL") == before + Decimal("5.49945") - floor.known(sold).filled_qty
    assert floor.place(side="SELL", qty=None, order_notional=Decimal(50_000)).status == "rejected"
    working = floor.place(qty=None, order_notional=Decimal(500))
    with pytest.raises(BadRequestError, match="as a whole"):
        floor.world.floor.fill(floor.account, working.order_id, floor.now, Decimal(1))


def test_a_spread_fills_as_one(floor: TradingFloor) -> None:
    cash = floor.account.cash
    order = floor.place(qty="2", symbol=None, side="BUY_TO_OPEN", legs=SPREAD)
    low, high = (floor.world.market.quote(symbol, floor.now) for symbol in (CALL, HIGHER))
    floor.pass_time(2 * STEP)
    [fill] = floor.known(order).fills
    assert (fill.leg_prices, fill.price) == ((low.ask, high.bid), low.ask - high.bid)
    assert (floor.account.held(CALL), floor.account.held(HIGHER)) == (Decimal(2), Decimal(-2))
    fees = 4 * Decimal("0.65") + Decimal("0.01")
    assert cash - floor.account.cash == fill.price * 200 + fees
    other = floor.place(symbol=None, side="BUY_TO_OPEN", qty="1", legs=SPREAD)
    with pytest.raises(BadRequestError, match="prices of its legs"):
        floor.world.floor.fill(floor.account, other.order_id, floor.now, price=Decimal(1))


def test_a_spread_that_is_sold_brings_its_price(floor: TradingFloor) -> None:
    legs = (Leg(CALL, "SELL_TO_OPEN", 1), Leg(HIGHER, "BUY_TO_OPEN", 1))
    now = floor.world.market.quote(CALL, floor.now).bid - floor.world.market.quote(HIGHER, floor.now).ask
    taken = floor.place("LMT", symbol=None, side="SELL_TO_OPEN", legs=legs, qty="1", at=str(now))
    dear = floor.place("LMT", symbol=None, side="SELL_TO_OPEN", legs=legs, qty="1", at=str(now + 2))
    floor.pass_time(timedelta(minutes=10))
    assert (floor.known(taken).avg_fill_price, floor.status(dear)) == (now, "working")


def test_options_end_with_their_last_day(floor: TradingFloor) -> None:
    order = floor.place("LMT", "GTC", symbol="AAPL260702C00230000", side="BUY_TO_OPEN", qty="1", at="0.01")
    floor.world.market.halt(None)
    floor.until(datetime(2026, 7, 2, 20, tzinfo=UTC))
    assert floor.status(order) == "expired"
    gone = floor.place(symbol="AAPL260702C00230000", side="BUY_TO_OPEN", qty="1")
    assert gone.reject_reason == "AAPL260702C00230000 has expired."


def test_selling_short_and_covering() -> None:
    floor = TradingFloor(broker="TRADESTATION")
    assert "SELL them" in (floor.place(side="SELL_SHORT").reject_reason or "")
    short = floor.place(side="SELL_SHORT", symbol="XYZ", qty="10")
    floor.pass_time(2 * STEP)
    assert floor.account.held("XYZ") == -10
    assert floor.place(side="BUY_TO_COVER", symbol="XYZ", qty="11").status == "rejected"
    half = floor.place(side="BUY_TO_COVER", symbol="XYZ", qty="6")
    assert floor.place(side="BUY_TO_COVER", symbol="XYZ", qty="5").status == "rejected"
    floor.pass_time(2 * STEP)
    gain = (floor.known(short).fills[0].price - floor.known(half).fills[0].price) * 6
    assert (floor.account.held("XYZ"), floor.account.holdings["XYZ"].realized) == (Decimal(-4), gain)
    assert floor.place(symbol="XYZ", qty="4").status == "pending"


def test_no_more_is_bought_than_there_is_money_for(floor: TradingFloor) -> None:
    there = floor.world.balance(floor.account, floor.now).buying_power
    shares = int(there / Decimal("200.02"))
    assert (floor.place(qty=str(shares + 1)).reject_reason or "").startswith("Insufficient buying power")
    first = floor.place("LMT", "GTC", qty=str(shares - 5), at="200")
    assert floor.world.balance(floor.account, floor.now).buying_power == there - 200 * (shares - 5)
    assert floor.place("LMT", "GTC", qty="10", at="200").status == "rejected"
    floor.world.floor.cancel(floor.account, first.order_id, floor.now)
    floor.pass_time()
    assert floor.world.balance(floor.account, floor.now).buying_power == there
    assert floor.place("LMT", "GTC", qty="10", at="200").status == "pending"


def test_what_is_not_held_cannot_be_sold(floor: TradingFloor) -> None:
    held = floor.account.held("AAPL")
    assert floor.place(side="SELL", qty=str(held + 1)).status == "rejected"
    assert floor.place("LMT", side="SELL", qty=str(held), at="300").status == "pending"
    assert floor.place(side="SELL", qty="1").status == "rejected"
    for typo in ("AAPLL", "APPL", "MFST", "TSLAA", "AAPLL261218C00200000", "IMB/B", "ZZTOP"):
        side = "BUY_TO_OPEN" if "C0" in typo else "BUY"
        order = floor.place(symbol=typo, side=side)
        assert (order.status, order.reject_reason) == ("rejected", f"Unknown symbol {typo}: it is not listed.")
    assert floor.place(symbol=CALL, side="SELL_TO_CLOSE", qty="1").status == "rejected"


def test_an_id_is_good_once_a_day(floor: TradingFloor) -> None:
    floor.place(cl_order_id="again")
    with pytest.raises(ConflictError):
        floor.place(cl_order_id="again")
    floor.pass_time(timedelta(days=1))
    assert floor.place(cl_order_id="again").status == "pending"


def test_an_order_that_has_traded_is_not_rejected(floor: TradingFloor) -> None:
    order = floor.place("LMT", at="150")
    for wrong in ("0", "6"):
        with pytest.raises(BadRequestError, match="at most the 5"):
            floor.world.floor.fill(floor.account, order.order_id, floor.now, Decimal(wrong))
    floor.world.floor.fill(floor.account, order.order_id, floor.now, Decimal(1), Decimal("149.123456789"))
    assert floor.known(order).avg_fill_price == Decimal("149.123456789")
    with pytest.raises(ConflictError, match="does not become rejected"):
        floor.world.floor.reject(floor.account, order.order_id, floor.now, "No.")


def test_the_journal_forgets_and_counts_on(floor: TradingFloor) -> None:
    journal = floor.world.floor.journal
    floor.place()
    mark = journal.last
    floor.pass_time(2 * STEP)
    assert [change.order.status for change in journal.since(mark)] == ["working", "filled"]
    assert [change.fills for change in journal.since(mark)] == [0, 1]
    assert len(journal) == journal.last == mark + 2
