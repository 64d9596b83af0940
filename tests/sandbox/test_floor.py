"""What becomes of orders as time goes by: every type, every time in force, every ending."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from connecttrade_async.sandbox.errors import BadRequestError, ConflictError, UnknownError
from connecttrade_async.sandbox.world import Account, Hours, Leg, Order, Ticket, World, find_broker

STEP = timedelta(milliseconds=20)
MORNING = datetime(2026, 7, 1, 15, tzinfo=UTC)
SATURDAY = datetime(2026, 7, 4, 15, tzinfo=UTC)
CALL, HIGHER = "AAPL260918C00230000", "AAPL260918C00240000"
SPREAD = (Leg(CALL, "BUY_TO_OPEN", 1), Leg(HIGHER, "SELL_TO_OPEN", 1))


class Pit:
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
def pit() -> Pit:
    return Pit()


def test_a_large_order_fills_piece_by_piece(pit: Pit) -> None:
    order = pit.place(qty="400", symbol="F")
    pit.pass_time(10 * STEP)
    seen = pit.known(order)
    assert (seen.status, len(seen.fills)) == ("partially_filled", 9)
    assert {after.time - before.time for before, after in zip(seen.fills, seen.fills[1:], strict=False)} == {STEP}
    pit.pass_time(timedelta(minutes=1))
    done = pit.known(order)
    assert (done.status, done.filled_qty) == ("filled", Decimal(400))
    assert all(10 <= fill.quantity <= 60 for fill in done.fills[:-1])
    assert set(pit.way(order)) == {"pending", "working", "partially_filled", "filled"}


@pytest.mark.parametrize(("side", "kind", "limit", "stop"), [
    ("BUY", "LMT", "199", None),
    ("SELL", "LMT", "201", None),
    ("BUY", "STP", None, "201"),
    ("SELL", "STP", None, "199"),
    ("BUY", "STPLMT", "203", "201"),
    ("SELL", "STPLMT", "197", "199"),
])  # fmt: skip
def test_an_order_waits_for_its_price(pit: Pit, side: str, kind: str, limit: str | None, stop: str | None) -> None:
    order = pit.place(kind, side=side, qty="1", at=limit, stop=stop)
    pit.pass_time(timedelta(hours=1))
    assert pit.status(order) == "working"
    pit.price("202" if (side == "BUY") is (kind != "LMT") else "198")
    pit.pass_time(3 * STEP)
    done = pit.known(order)
    assert (done.status, len(done.fills)) == ("filled", 1)
    assert done.fills[0].price in {Decimal("202.02"), Decimal("201.98"), Decimal("198.02"), Decimal("197.98")}


def test_a_stop_limit_that_was_triggered_keeps_its_limit(pit: Pit) -> None:
    order = pit.place("STPLMT", at="201.50", stop="201")
    pit.pass_time(3 * STEP)
    pit.price("202")
    pit.pass_time(timedelta(minutes=5))
    assert pit.status(order) == "working"
    pit.price("200.50")
    pit.pass_time()
    assert pit.known(order).avg_fill_price == Decimal("200.52")


def test_a_limit_is_met_by_the_walk_itself() -> None:
    pit = Pit()
    last = pit.world.market.last("MSFT", pit.now)
    order = pit.place("LMT", "GTC", symbol="MSFT", qty="1", at=str(last - 1))
    pit.pass_time(timedelta(days=60))
    done = pit.known(order)
    assert done.status == "filled"
    [fill] = done.fills
    assert pit.world.market.quote("MSFT", fill.time).ask == fill.price <= last - 1
    before = fill.time - timedelta(microseconds=1)
    assert pit.world.market.quote("MSFT", before).ask > last - 1


def test_good_for_the_day_ends_at_four_in_new_york(pit: Pit) -> None:
    day, longer, forever = (pit.place("LMT", tif, at="150") for tif in ("DAY", "DAY+", "GTC"))
    pit.until(datetime(2026, 7, 1, 19, 59, 59, tzinfo=UTC))
    assert pit.status(day) == "working"
    pit.until(datetime(2026, 7, 1, 20, 0, tzinfo=UTC))
    assert (pit.status(day), pit.status(longer)) == ("expired", "working")
    assert pit.known(day).updated_at == pit.now
    pit.until(datetime(2026, 7, 2, 0, 0, tzinfo=UTC))
    assert (pit.status(longer), pit.status(forever)) == ("expired", "working")
    pit.pass_time(timedelta(days=300))
    assert pit.status(forever) == "working"


def test_at_once_or_not_at_all(pit: Pit) -> None:
    whole = pit.place(tif="FOK", symbol="F", qty="40")
    never = pit.place(tif="FOK", symbol="F", qty="241")
    part = pit.place(tif="IOC", symbol="F", qty="241")
    dear = pit.place("LMT", "IOC", at="199")
    later = pit.place("STP", "IOC", stop="201")
    pit.pass_time(2 * STEP)
    orders = (whole, never, part, dear, later)
    assert [pit.status(order) for order in orders] == ["filled", "cancelled", "cancelled", "cancelled", "cancelled"]
    assert 40 <= pit.known(part).filled_qty <= 240
    assert not pit.known(never).fills


def test_auctions(pit: Pit) -> None:
    closing, opening = pit.place(tif="CLOSE"), pit.place(tif="OPEN", qty="300", symbol="F")
    cheap = pit.place("LMT", "OPEN", at="150")
    pit.until(datetime(2026, 7, 1, 20, 0, tzinfo=UTC))
    assert (pit.status(closing), pit.known(closing).avg_fill_price) == ("filled", Decimal(200))
    assert pit.status(opening) == "working"
    pit.until(datetime(2026, 7, 2, 13, 30, tzinfo=UTC))
    [fill] = pit.known(opening).fills
    assert (fill.quantity, fill.time, pit.status(cheap)) == (Decimal(300), pit.now, "expired")


def test_in_a_halt_nothing_trades(pit: Pit) -> None:
    pit.world.market.halt("AAPL")
    order, opening, swept = pit.place(tif="GTC"), pit.place(tif="CLOSE"), pit.place(tif="IOC")
    option = pit.place(symbol=CALL, side="BUY_TO_OPEN", tif="GTC", qty="1")
    pit.pass_time(timedelta(days=1))
    assert [pit.status(each) for each in (order, opening, swept, option)] == [
        "working",
        "expired",
        "cancelled",
        "working",
    ]
    pit.world.market.resume("AAPL")
    pit.world.floor.reschedule(pit.now)
    pit.pass_time()
    assert (pit.status(order), pit.known(order).fills[0].time) == ("filled", pit.now - STEP)
    assert pit.status(option) == "filled"


def test_on_a_weekend_orders_queue_but_for_those_that_cannot() -> None:
    pit = Pit("real", SATURDAY)
    order, longer = pit.place(), pit.place("LMT", "GTC+", at="300")
    for tif in ("IOC", "FOK"):
        refused = pit.place(tif=tif)
        assert refused.status == "rejected"
        assert (refused.reject_reason or "").startswith("The market is closed")
    pit.until(datetime(2026, 7, 6, 8, tzinfo=UTC))
    assert (pit.status(longer), pit.known(longer).fills[0].time) == ("filled", pit.now)
    assert pit.status(order) == "working"
    pit.until(datetime(2026, 7, 6, 13, 30, tzinfo=UTC))
    assert (pit.status(order), pit.known(order).fills[0].time) == ("filled", pit.now)


def test_a_fill_may_win_against_a_cancellation(pit: Pit) -> None:
    order = pit.place()
    pit.pass_time(STEP * 1.5)
    pit.world.floor.cancel(pit.account, order.order_id, pit.now)
    pit.pass_time()
    assert pit.way(order) == ["pending", "working", "pending_cancel", "filled"]
    with pytest.raises(BadRequestError, match="already filled"):
        pit.world.floor.cancel(pit.account, order.order_id, pit.now)


def test_a_replacement_counts_what_was_filled(pit: Pit) -> None:
    old = pit.place("LMT", "GTC", at="150", qty="10")
    pit.world.floor.fill(pit.account, old.order_id, pit.now, Decimal(4))
    with pytest.raises(BadRequestError, match="more than the 4"):
        pit.replace(old, "4")
    new = pit.replace(old, "12")
    assert (new.order_qty, new.replaces, pit.status(old)) == (Decimal(8), old.order_id, "pending_replace")
    pit.world.floor.fill(pit.account, old.order_id, pit.now, Decimal(1))
    with pytest.raises(BadRequestError, match=f"being replaced by {new.order_id}"):
        pit.world.floor.cancel(pit.account, old.order_id, pit.now)
    pit.pass_time()
    assert (pit.status(old), pit.known(old).replaced_by) == ("replaced", new.order_id)
    assert (pit.status(new), pit.known(new).order_qty) == ("working", Decimal(7))


def test_a_chain_of_replacements_all_asked_for_at_once(pit: Pit) -> None:
    first = pit.place("LMT", "GTC", at="150")
    second = pit.replace(first, "6")
    third = pit.replace(second, "7")
    pit.world.floor.cancel(pit.account, third.order_id, pit.now)
    pit.pass_time()
    assert [pit.status(order) for order in (first, second, third)] == ["replaced", "replaced", "cancelled"]
    assert pit.way(second) == ["pending", "pending_replace", "replaced"]
    assert pit.known(second).replaced_by == third.order_id


def test_what_is_to_be_replaced_needs_no_money_and_what_waits_does_not_trade(pit: Pit) -> None:
    there = pit.world.balance(pit.account, pit.now).buying_power
    old = pit.place("LMT", "GTC", at="150", qty="10")
    new = pit.replace(old, "20")
    newest = pit.replace(new, "30")
    pit.world.floor.cancel(pit.account, newest.order_id, pit.now)
    assert pit.world.balance(pit.account, pit.now).buying_power == there - 30 * 150
    with pytest.raises(BadRequestError, match="waits for the place"):
        pit.world.floor.fill(pit.account, newest.order_id, pit.now, Decimal(1))
    pit.world.floor.fill(pit.account, old.order_id, pit.now, Decimal(3))
    pit.pass_time()
    assert [pit.known(order).order_qty for order in (new, newest)] == [17, 30]
    assert pit.way(newest) == ["pending", "pending_cancel", "cancelled"]


def test_too_late_to_replace(pit: Pit) -> None:
    old = pit.place("LMT", "GTC", at="150")
    new = pit.replace(old)
    newest = pit.replace(new)
    pit.world.floor.fill(pit.account, old.order_id, pit.now)
    assert [pit.status(order) for order in (old, new, newest)] == ["filled", "rejected", "rejected"]
    assert pit.known(new).reject_reason == f"Too late to replace: order {old.order_id} is filled."


def test_the_old_order_works_on_if_nothing_is_left_for_the_new_one(pit: Pit) -> None:
    old = pit.place("LMT", "GTC", at="150", qty="10")
    new = pit.replace(old, "4")
    pit.world.floor.fill(pit.account, old.order_id, pit.now, Decimal(4))
    pit.pass_time()
    assert (pit.status(old), pit.status(new)) == ("partially_filled", "rejected")
    again = pit.replace(old, "11")
    pit.world.floor.reject(pit.account, again.order_id, pit.now, "No.")
    pit.pass_time()
    assert pit.status(old) == "partially_filled"


def test_a_replacement_that_is_turned_down_leaves_the_old_order_alone(pit: Pit) -> None:
    old = pit.place("LMT", "GTC", at="150")
    assert pit.replace(old, "9000").status == "rejected"
    assert pit.status(old) == "pending"


def test_an_order_that_was_written_by_hand_can_be_cancelled_and_replaced(pit: Pit) -> None:
    written = [pit.world.add_order(pit.account.account_id, pit.now) for _ in range(2)]
    new = pit.replace(written[0])
    pit.world.floor.cancel(pit.account, written[1].order_id, pit.now)
    pit.pass_time()
    assert [pit.status(order) for order in written] == ["replaced", "cancelled"]
    assert pit.status(new) == "working"
    leaving = pit.world.add_order(pit.account.account_id, pit.now, status="pending_replace")
    with pytest.raises(BadRequestError, match="being replaced by another"):
        pit.world.floor.cancel(pit.account, leaving.order_id, pit.now)
    with pytest.raises(UnknownError):
        pit.world.floor.cancel(pit.account, "none", pit.now)


def test_an_order_by_notional(pit: Pit) -> None:
    before = pit.account.held("AAPL")
    bought = pit.place(qty=None, order_notional=Decimal(1000))
    tiny = pit.place(qty=None, order_notional=Decimal("0.99"))
    pit.pass_time(2 * STEP)
    assert (pit.known(bought).filled_qty, pit.status(bought)) == (Decimal("4.999500"), "filled")
    assert tiny.reject_reason == "An order by notional is for a dollar at least."
    swept = pit.place(qty=None, order_notional=Decimal(100), tif="IOC")
    pit.pass_time(2 * STEP)
    assert (pit.known(swept).filled_qty, pit.status(swept)) == (Decimal("0.499950"), "filled")
    sold = pit.place(side="SELL", qty=None, order_notional=Decimal(500))
    assert pit.place(side="SELL", qty="1").status == "rejected"
    pit.pass_time(2 * STEP)
    assert pit.account.held("AAPL") == before + Decimal("5.49945") - pit.known(sold).filled_qty
    assert pit.place(side="SELL", qty=None, order_notional=Decimal(50_000)).status == "rejected"
    working = pit.place(qty=None, order_notional=Decimal(500))
    with pytest.raises(BadRequestError, match="as a whole"):
        pit.world.floor.fill(pit.account, working.order_id, pit.now, Decimal(1))


def test_a_spread_fills_as_one(pit: Pit) -> None:
    cash = pit.account.cash
    order = pit.place(qty="2", symbol=None, side="BUY_TO_OPEN", legs=SPREAD)
    low, high = (pit.world.market.quote(symbol, pit.now) for symbol in (CALL, HIGHER))
    pit.pass_time(2 * STEP)
    [fill] = pit.known(order).fills
    assert (fill.leg_prices, fill.price) == ((low.ask, high.bid), low.ask - high.bid)
    assert (pit.account.held(CALL), pit.account.held(HIGHER)) == (Decimal(2), Decimal(-2))
    fees = 4 * Decimal("0.65") + Decimal("0.01")
    assert cash - pit.account.cash == fill.price * 200 + fees
    other = pit.place(symbol=None, side="BUY_TO_OPEN", qty="1", legs=SPREAD)
    with pytest.raises(BadRequestError, match="prices of its legs"):
        pit.world.floor.fill(pit.account, other.order_id, pit.now, price=Decimal(1))


def test_a_spread_that_is_sold_brings_its_price(pit: Pit) -> None:
    legs = (Leg(CALL, "SELL_TO_OPEN", 1), Leg(HIGHER, "BUY_TO_OPEN", 1))
    now = pit.world.market.quote(CALL, pit.now).bid - pit.world.market.quote(HIGHER, pit.now).ask
    taken = pit.place("LMT", symbol=None, side="SELL_TO_OPEN", legs=legs, qty="1", at=str(now))
    dear = pit.place("LMT", symbol=None, side="SELL_TO_OPEN", legs=legs, qty="1", at=str(now + 2))
    pit.pass_time(timedelta(minutes=10))
    assert (pit.known(taken).avg_fill_price, pit.status(dear)) == (now, "working")


def test_options_end_with_their_last_day(pit: Pit) -> None:
    order = pit.place("LMT", "GTC", symbol="AAPL260702C00230000", side="BUY_TO_OPEN", qty="1", at="0.01")
    pit.world.market.halt(None)
    pit.until(datetime(2026, 7, 2, 20, tzinfo=UTC))
    assert pit.status(order) == "expired"
    gone = pit.place(symbol="AAPL260702C00230000", side="BUY_TO_OPEN", qty="1")
    assert gone.reject_reason == "AAPL260702C00230000 has expired."


def test_selling_short_and_covering() -> None:
    pit = Pit(broker="TRADESTATION")
    assert "SELL them" in (pit.place(side="SELL_SHORT").reject_reason or "")
    short = pit.place(side="SELL_SHORT", symbol="XYZ", qty="10")
    pit.pass_time(2 * STEP)
    assert pit.account.held("XYZ") == -10
    assert pit.place(side="BUY_TO_COVER", symbol="XYZ", qty="11").status == "rejected"
    half = pit.place(side="BUY_TO_COVER", symbol="XYZ", qty="6")
    assert pit.place(side="BUY_TO_COVER", symbol="XYZ", qty="5").status == "rejected"
    pit.pass_time(2 * STEP)
    gain = (pit.known(short).fills[0].price - pit.known(half).fills[0].price) * 6
    assert (pit.account.held("XYZ"), pit.account.holdings["XYZ"].realized) == (Decimal(-4), gain)
    assert pit.place(symbol="XYZ", qty="4").status == "pending"


def test_no_more_is_bought_than_there_is_money_for(pit: Pit) -> None:
    there = pit.world.balance(pit.account, pit.now).buying_power
    shares = int(there / Decimal("200.02"))
    assert (pit.place(qty=str(shares + 1)).reject_reason or "").startswith("Insufficient buying power")
    first = pit.place("LMT", "GTC", qty=str(shares - 5), at="200")
    assert pit.world.balance(pit.account, pit.now).buying_power == there - 200 * (shares - 5)
    assert pit.place("LMT", "GTC", qty="10", at="200").status == "rejected"
    pit.world.floor.cancel(pit.account, first.order_id, pit.now)
    pit.pass_time()
    assert pit.world.balance(pit.account, pit.now).buying_power == there
    assert pit.place("LMT", "GTC", qty="10", at="200").status == "pending"


def test_what_is_not_held_cannot_be_sold(pit: Pit) -> None:
    held = pit.account.held("AAPL")
    assert pit.place(side="SELL", qty=str(held + 1)).status == "rejected"
    assert pit.place("LMT", side="SELL", qty=str(held), at="300").status == "pending"
    assert pit.place(side="SELL", qty="1").status == "rejected"
    for typo in ("AAPLL", "APPL", "MFST", "TSLAA", "AAPLL261218C00200000", "IMB/B", "ZZTOP"):
        side = "BUY_TO_OPEN" if "C0" in typo else "BUY"
        order = pit.place(symbol=typo, side=side)
        assert (order.status, order.reject_reason) == ("rejected", f"Unknown symbol {typo}: it is not listed.")
    assert pit.place(symbol=CALL, side="SELL_TO_CLOSE", qty="1").status == "rejected"


def test_an_id_is_good_once_a_day(pit: Pit) -> None:
    pit.place(cl_order_id="again")
    with pytest.raises(ConflictError):
        pit.place(cl_order_id="again")
    pit.pass_time(timedelta(days=1))
    assert pit.place(cl_order_id="again").status == "pending"


def test_an_order_that_has_traded_is_not_rejected(pit: Pit) -> None:
    order = pit.place("LMT", at="150")
    for wrong in ("0", "6"):
        with pytest.raises(BadRequestError, match="at most the 5"):
            pit.world.floor.fill(pit.account, order.order_id, pit.now, Decimal(wrong))
    pit.world.floor.fill(pit.account, order.order_id, pit.now, Decimal(1), Decimal("149.123456789"))
    assert pit.known(order).avg_fill_price == Decimal("149.123456789")
    with pytest.raises(ConflictError, match="does not become rejected"):
        pit.world.floor.reject(pit.account, order.order_id, pit.now, "No.")


def test_the_journal_forgets_and_counts_on(pit: Pit) -> None:
    journal = pit.world.floor.journal
    pit.place()
    mark = journal.last
    pit.pass_time(2 * STEP)
    assert [change.order.status for change in journal.since(mark)] == ["working", "filled"]
    assert [change.fills for change in journal.since(mark)] == [0, 1]
    assert len(journal) == journal.last == mark + 2
