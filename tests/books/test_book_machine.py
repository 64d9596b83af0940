"""For any sequence of events of one account, a book that is current equals the server.

The driver stands for the update applier and the resync. Frames are received, repeated, late or lost. Snapshots come
from a server that may be behind the stream. The book is current unless an update was missed since.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, FloatOperation, Inexact, Rounded, localcontext
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings, strategies as st

from connecttrade_async.books.book import AccountSnapshot, BookKeeper
from connecttrade_async.books.changes import OrderChanged
from connecttrade_async.books.order_tracker import OrderRetention
from frame_factory import balance, balance_frame, frame, order, order_frame, position, position_frame
from scripted_calls import user_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from connecttrade_async.books.changes import Change

BEGIN = datetime(2026, 3, 2, 15, tzinfo=UTC)
SYMBOLS = ("AAPL", "MSFT")
ENDS = ("FILLED", "canceled", "Cancelled", "expired", "done for the day")


class Server:
    """The broker: orders, rows of positions (several of one symbol), and rows of balances."""

    def __init__(self) -> None:
        self.seconds = 0
        self.orders: dict[str, dict[str, Any]] = {}
        self.lots: list[dict[str, Any]] = []
        self.cash: list[dict[str, Any]] = [{"currency": "USD", "cash": "100"}]
        self.odd_rows = 0

    def time(self) -> str:
        self.seconds += 1
        return f"2026-03-02T14:{self.seconds // 60:02}:{self.seconds % 60:02}Z"

    def lot(self, symbol: str) -> dict[str, Any] | None:
        """Return the lot that trades change. A frame could not distinguish it from a row that is not listed."""
        lots = [each for each in self.lots if each["symbol"] == symbol]
        return next((each for each in lots if each["quantity"] != "0"), lots[0] if lots else None)

    def trade(self, pick: int, size: int, *, shares_ids: bool) -> str:
        """Execute a part of an order, which changes the first lot of its symbol and the cash."""
        name = f"o{pick}"
        facts = self.orders.setdefault(
            name, {"order_id": name, "symbol": SYMBOLS[pick % 2], "status": "working", "filled_qty": "0", "fills": []}
        )
        if facts["status"] in ENDS:
            return name
        time = self.time()
        row = {"fill_id": "x" if shares_ids else f"f{time}", "quantity": str(size), "price": "10", "time": time}
        filled = int(facts["filled_qty"]) + size
        facts |= {"fills": [*facts["fills"], row], "filled_qty": str(filled), "updated_at": time}
        facts["status"] = "Partially Filled"
        symbol = facts["symbol"]
        lot = self.lot(symbol)
        if lot is None:
            lot = {"symbol": symbol, "quantity": "0", "instrument": "STK"}
            self.lots.append(lot)
        lot["quantity"] = str(int(lot["quantity"]) + size)
        self.cash[0]["cash"] = str(int(self.cash[0]["cash"]) - 10 * size)
        return name

    def end(self, pick: int, status: str) -> str | None:
        name = f"o{pick}"
        if name not in self.orders or self.orders[name]["status"] in ENDS:
            return None
        self.orders[name] |= {"status": status, "updated_at": self.time()}
        return name

    def bust(self, pick: int) -> str | None:
        """Take the latest execution of an order back; its lot shrinks."""
        name = f"o{pick}"
        facts = self.orders.get(name)
        if facts is None or not facts["fills"]:
            return None
        size = int(facts["fills"][-1]["quantity"])
        filled = str(int(facts["filled_qty"]) - size)
        facts |= {"fills": facts["fills"][:-1], "filled_qty": filled, "updated_at": self.time()}
        lot = self.lot(facts["symbol"])
        assert lot is not None
        lot["quantity"] = str(int(lot["quantity"]) - size)
        return name

    def grow(self, what: str, symbol: str, size: int, *, is_odd: bool) -> None:
        """Add a row that no order explains: another lot, another currency, or a row without a symbol."""
        match what:
            case "lots":
                self.lots.append({"symbol": symbol, "quantity": str(size), "instrument": "STK"})
            case "cash":
                self.cash.append({"currency": f"C{len(self.cash)}", "cash": str(size)})
            case _:
                self.odd_rows = int(is_odd)

    def listed(self) -> AccountSnapshot:
        """Return the answer as a snapshot."""
        odd = [position(symbol="", quantity="7")] * self.odd_rows
        snapshot = user_snapshot(
            [order(account_id="a", **facts) for facts in self.orders.values()],
            [*(position(**lot) for lot in self.lots if lot["quantity"] != "0"), *odd],
            [balance(**row) for row in self.cash],
        )
        return snapshot.by_account()["a"]

    def view(self) -> dict[str, Any]:
        """Return the expected content of a book."""
        held: defaultdict[str, Decimal] = defaultdict(Decimal)
        for row in {tuple(sorted(lot.items())) for lot in self.lots}:
            held[dict(row)["symbol"]] += Decimal(dict(row)["quantity"])
        return {
            "positions": {symbol: quantity for symbol, quantity in held.items() if quantity},
            "cash": {row["currency"]: Decimal(row["cash"]) for row in self.cash},
            "orders": {
                name: (order(**facts).status, Decimal(facts["filled_qty"]), len(facts["fills"]))
                for name, facts in self.orders.items()
            },
        }


class Driver:
    """Feeds a book, and knows whether an update was missed."""

    def __init__(self) -> None:
        self.server = Server()
        self.keeper = BookKeeper.of("a", "u", OrderRetention())
        self.now = BEGIN
        self.is_missed = True
        self.published: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.snapshot()

    def take(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change, OrderChanged):
                for fill in change.fills:
                    self.published[change.after.order_id] += fill.quantity or 0

    def send(self, name: str | None, times: int) -> None:
        """Send frames of the state of an order; none where they are lost."""
        if name is None:
            return
        if not times:
            self.is_missed = True
            return
        facts, time = self.server.orders[name], self.server.orders[name]["updated_at"]
        lot = self.server.lot(facts["symbol"])
        for _ in range(times):
            self.take(self.keeper.apply(order_frame(**facts), self.now))
            if lot is not None:
                self.take(self.keeper.apply(position_frame(time, **lot), self.now))
            self.take(self.keeper.apply(balance_frame(time, **self.server.cash[0]), self.now))

    def snapshot(self, server: Server | None = None) -> None:
        """Load a snapshot; it has missed updates only if its server is not behind."""
        self.keeper.begin_snapshot()
        self.now += timedelta(seconds=1)
        self.keeper.lacks_whole = False
        self.take(self.keeper.load((server or self.server).listed(), "recovered", self.now))
        self.is_missed = self.is_missed and server is not None

    @property
    def is_current(self) -> bool:
        keeper = self.keeper
        return keeper.is_read and keeper.problem is None and not (keeper.lacks_whole or self.is_missed)

    def check(self) -> None:
        book = self.keeper.book(is_current=self.is_current)
        for name, known in book.orders.items():
            listed = sum((fill.quantity or Decimal(0) for fill in known.fills), Decimal(0))
            assert self.published[name] == max(listed, known.filled_qty or Decimal(0))
        if book.is_current:
            assert {
                "positions": {symbol: each.quantity for symbol, each in book.positions.items()},
                "cash": {name: each.cash for name, each in book.balances.items()},
                "orders": {name: (each.status, each.filled_qty, len(each.fills)) for name, each in book.orders.items()},
            } == self.server.view()

    def step(self, what: str, pick: int, size: int, times: int, *, is_so: bool) -> None:
        """Run one event."""
        server, earlier = self.server, copy.deepcopy(self.server)
        changes: dict[str, Callable[[], object]] = {
            "trade": lambda: self.send(server.trade(pick, size, shares_ids=is_so), times),
            "end": lambda: self.send(server.end(pick, ENDS[size % len(ENDS)]), times),
            "bust": lambda: self.send(server.bust(pick), times),
            "snapshot": self.snapshot,
            "wait": lambda: None,
        }
        self.now += timedelta(seconds=6 if what == "wait" else 0)
        if what in changes:
            changes[what]()
        elif what == "behind":
            # Only frames since then show that an answer is older.
            if not self.is_missed:
                self.send(server.trade(pick, size, shares_ids=is_so), 1)
                self.snapshot(earlier)
        else:
            server.grow(what, SYMBOLS[pick % 2], size, is_odd=is_so)
            self.is_missed = True


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["trade", "trade", "end", "bust", "snapshot", "behind", "lots", "cash", "odd", "wait"]),
        st.integers(0, 3),
        st.integers(1, 9),
        st.sampled_from([0, 1, 1, 2]),
        st.booleans(),
    ),
    max_size=25,
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_book_that_says_it_is_current_equals_the_server(steps: list[tuple[str, int, int, int, bool]]) -> None:
    driver = Driver()
    for what, pick, size, times, is_so in steps:
        driver.step(what, pick, size, times, is_so=is_so)
        driver.check()
    driver.server.odd_rows = 0
    for _ in range(3):
        driver.now += timedelta(seconds=6)
        driver.snapshot()
        driver.check()
    assert driver.is_current


TEXTS = st.sampled_from(["", "0", "-0", "5", "5.0", "-5", "1e3", "1e999999999", "many", "NaN", "9" * 40, "1e-29", None])
TIMES = st.sampled_from([None, "", "soon", "2026-03-02T14:00:00Z", "2026-03-02T15:00:00.5Z", "1772461800", "9" * 30])
NAMES = st.sampled_from([None, "", "x", "y"])
FILLS = st.fixed_dictionaries({}, optional={"fill_id": NAMES, "quantity": TEXTS, "price": TEXTS, "time": TIMES})
ORDERS = st.fixed_dictionaries(
    {"order_id": st.sampled_from(["o", "p"])},
    optional={
        "cl_order_id": NAMES,
        "status": st.sampled_from(["FILLED", "working", "canceled", "?", "replaced", None]),
        "filled_qty": TEXTS,
        "avg_fill_price": TEXTS,
        "updated_at": TIMES,
        "created_at": TIMES,
        "replaces": st.sampled_from(["o", "p", None]),
        "replaced_by": st.sampled_from(["o", "p", None]),
        "legs": st.sampled_from([None, [], [{"symbol": None}]]),
        "fills": st.none() | st.lists(FILLS, max_size=4),
    },
)
POSITIONS = st.fixed_dictionaries(
    {"symbol": st.sampled_from(["AAPL", "MSFT"])},
    optional={"quantity": TEXTS, "average_price": TEXTS, "last_price": TEXTS, "account_number": NAMES},
)
BALANCES = st.fixed_dictionaries({}, optional={"currency": st.sampled_from(["USD", "EUR", "", None]), "cash": TEXTS})
REPORTS = st.lists(
    st.one_of(
        st.tuples(st.just("order"), ORDERS, TIMES),
        st.tuples(st.just("position"), POSITIONS, TIMES),
        st.tuples(st.just("balance"), BALANCES, TIMES),
        st.tuples(
            st.lists(ORDERS, max_size=3), st.lists(POSITIONS, max_size=3), st.lists(BALANCES, min_size=1, max_size=3)
        ),
    ),
    max_size=8,
)


@settings(max_examples=300, deadline=None)
@given(REPORTS, st.integers(1, 9))
def test_book_takes_any_text_in_any_decimal_context(reports: list[tuple[Any, Any, Any]], precision: int) -> None:
    """No text raises, and the application's decimal context changes nothing."""
    seen: list[object] = []
    for context in (Context(prec=precision, traps=[Inexact, Rounded, FloatOperation]), Context()):
        keeper, now = BookKeeper.of("a", "u", OrderRetention()), BEGIN
        changes: list[Change] = []
        with localcontext(context):
            for first, second, third in reports:
                now += timedelta(seconds=4)
                if isinstance(first, str):
                    changes += keeper.apply(frame(first, {"account_id": "a", **second}, third), now)
                    continue
                keeper.begin_snapshot()
                listed = AccountSnapshot(
                    [order(**each) for each in first],
                    [position(**each) for each in second],
                    [balance(**each) for each in third],
                )
                changes += keeper.load(listed, "sweep", now)
        seen.append((changes, keeper.book(is_current=True)))
    assert seen[0] == seen[1]
