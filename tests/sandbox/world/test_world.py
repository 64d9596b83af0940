"""The world's books balance for every seed and broker, and the same seed is the same world."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings, strategies as st

from connecttrade_async.sandbox.errors import (
    BadRequestError,
    ConflictError,
    GoneError,
    NotFoundError,
)
from connecttrade_async.sandbox.world import BROKERS, OPEN, STATUSES, Account, World, find_broker
from connecttrade_async.sandbox.world.account_history import furnish
from connecttrade_async.sandbox.world.market import Market
from connecttrade_async.sandbox.world.order_writer import OrderWriter
from connecttrade_async.sandbox.world.symbols import multiplier, parse_option

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
TODAY = NOON.date()
ALPACA = find_broker("alpaca")


def opened(seed: int = 7, broker: str = "ALPACA", now: datetime = NOON) -> tuple[World, Account, Account]:
    world = World(seed)
    user = world.create_user("jane")
    link = world.invite(user, "readonly", "https://app.example/", now, broker=find_broker(broker))
    paper, live = world.consent(link, find_broker(broker), "jane", now).accounts
    return world, paper, live


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    broker=st.sampled_from(sorted(BROKERS)),
    now=st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  hypothesis adds the zone
)
def test_account_balances_agree_with_orders_and_money(seed: int, broker: str, now: datetime) -> None:
    world, *accounts = opened(seed, broker, now)
    for account in accounts:
        check_orders(account, now)
        check_money(world, account, now)


def check_orders(account: Account, now: datetime) -> None:
    assert {order.status for order in account.orders} == set(STATUSES)
    assert [order.key for order in account.orders] == sorted(order.key for order in account.orders)
    for order in account.orders:
        filled = order.filled_qty
        assert all(order.created_at <= fill.time <= max(now, order.created_at) for fill in order.fills)
        assert order.created_at <= order.updated_at <= max(now, order.created_at)
        if order.order_qty is not None:
            assert filled <= order.order_qty
            assert (filled == order.order_qty) is (order.status == "filled")
        if order.status in {"working", "pending", "rejected", "expired", "replaced"}:
            assert not order.fills
        assert (order.status == "rejected") is (order.reject_reason is not None)
        if order.avg_fill_price is not None:
            volume = sum(fill.quantity * fill.price for fill in order.fills)
            assert abs(volume - order.avg_fill_price * filled) < Decimal("0.000001")
        assert (order.order_limit_price is not None) is (order.order_type in {"LMT", "STPLMT"})
        assert (order.stop_price is not None) is (order.order_type in {"STP", "STPLMT"})


def check_money(world: World, account: Account, at: datetime) -> None:
    held: Counter[str] = Counter()
    for order in account.orders:
        sides = [(order.symbol, order.side, 1)] if order.symbol else []
        sides += [(leg.symbol, leg.action, leg.ratio) for leg in order.legs]
        for symbol, side, ratio in sides:
            assert symbol is not None
            held[symbol] += (order.filled_qty * ratio) * (1 if side.startswith("BUY") else -1)  # type: ignore[assignment]
    positions = account.positions(world.market, at)
    assert {item.symbol: item.quantity for item in positions} == {name: qty for name, qty in held.items() if qty}
    for item in positions:
        assert item.market_value == item.quantity * item.last_price * multiplier(item.symbol)
        assert item.instrument == ("OPT" if parse_option(item.symbol) else "STK")
    assert account.cash == sum(entry.amount for entry in account.transactions) > 0
    balance = account.balance(world.market, at)
    assert balance.equity == account.cash + sum(item.market_value for item in positions)
    paid = sum(entry.amount for entry in account.transactions if entry.type != "trade")
    fees = sum((entry.fees for entry in account.transactions if entry.fees is not None), Decimal(0))
    realized = sum(holding.realized for holding in account.holdings.values())
    assert balance.equity == paid + realized + sum(item.unrealized_pl for item in positions) - fees
    assert balance.buying_power >= 0
    assert balance.maintenance_margin <= balance.initial_margin


def test_a_year_has_something_of_everything() -> None:
    _, paper, live = opened()
    for account in (paper, live):
        assert {entry.type for entry in account.transactions} == {"trade", "dividend", "interest", "fee", "transfer"}
        days = [entry.date for entry in account.transactions]
        assert max(days) - min(days) > timedelta(days=350)
        assert {order.instrument for order in account.orders} == {"STK", "OPT", "MLEG_OPT"}
        assert any(order.order_notional is not None for order in account.orders)
        assert {order.order_type for order in account.orders} == {"MKT", "LMT", "STP", "STPLMT"}
        tifs = {order.order_tif for order in account.orders}
        assert tifs == {"DAY", "GTC", "IOC", "FOK", "OPEN", "CLOSE", "DAY+", "GTC+"}
        symbols = {item.symbol for item in account.positions(Market(7), NOON)}
        assert {"AAPL", "IBMp", "IBMpA", "IBM/B", "IBMr", "IBM/WS", "IBMw"} <= symbols
        today = [order.status for order in account.orders if order.created_at.date() == TODAY]
        assert set(OPEN) <= set(today)


def test_tradestation_covers_shorts_in_its_own_word_and_only_it() -> None:
    for code in BROKERS:
        _, paper, _ = opened(broker=code)
        assert any(order.side == "BUY_TO_COVER" for order in paper.orders) is (code == "TRADESTATION")


def test_same_seed_same_world_whatever_happens_first() -> None:
    _, one, _ = opened()
    world = World(7)
    world.create_user("somebody else")
    jane = world.create_user("jane")
    link = world.invite(jane, "readonly", "https://app.example/", NOON)
    other = world.consent(link, ALPACA, "jane", NOON).accounts[0]
    assert (one.account_id, one.orders, one.transactions) == (other.account_id, other.orders, other.transactions)
    assert opened(seed=8)[1].account_id != one.account_id


def test_recreated_user_has_a_new_secret() -> None:
    world = World(7)
    first = world.create_user("jane").secret
    world.delete_user("jane")
    assert world.create_user("jane").secret != first
    assert world.recognize("jane", first) is None
    assert world.recognize("nobody", "") is None
    assert world.recognize("jane", world.users["jane"].secret) is world.users["jane"]


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x00"])
def test_a_user_id_that_cannot_travel_is_refused(name: str) -> None:
    with pytest.raises(BadRequestError, match="control characters"):
        World(7).create_user(name)


def test_the_same_login_keeps_its_connection_and_takes_the_new_type() -> None:
    world = World(7)
    jane = world.create_user("jane")

    def connect(kind: str, login: str = "jane") -> str:
        link = world.invite(jane, kind, "https://app.example/", NOON)
        return world.consent(link, ALPACA, login, NOON).connection_id

    first = connect("readonly")
    assert connect("trade") == first
    assert world.connection(jane, first).connection_type == "trade"
    quotes = connect("market_data")
    assert quotes != first
    assert world.connection(jane, quotes).accounts == ()
    assert connect("trade", "the other jane") not in {first, quotes}
    assert len(list(world.accounts(jane))) == 4


def test_accounts_of_one_login_belong_to_one_user_at_a_time() -> None:
    world, _, _ = opened()
    john = world.create_user("john")
    link = world.invite(john, "trade", "https://app.example/", NOON)
    with pytest.raises(ConflictError, match="already linked"):
        world.consent(link, ALPACA, "jane", NOON)
    with pytest.raises(ConflictError, match="already linked"):
        world.invite(john, "trade", "https://app.example/", NOON, broker=ALPACA)
    jane = world.users["jane"]
    world.disconnect(jane, next(iter(jane.connections)))
    link = world.invite(john, "trade", "https://app.example/", NOON, broker=ALPACA)
    assert world.consent(link, ALPACA, "jane", NOON).accounts
    world.delete_user("john")
    world.invite(jane, "trade", "https://app.example/", NOON, broker=ALPACA)


def test_one_of_two_connections_of_a_login_keeps_the_claim() -> None:
    world, _, _ = opened()
    jane, john = world.users["jane"], world.create_user("john")
    link = world.invite(jane, "market_data", "https://app.example/", NOON)
    quotes = world.consent(link, ALPACA, "jane", NOON)
    world.disconnect(jane, quotes.connection_id)
    john.logins["ALPACA"] = "jane"
    with pytest.raises(ConflictError):
        world.invite(john, "trade", "https://app.example/", NOON, broker=ALPACA)


def test_login_links_end_when_used_or_expired() -> None:
    world = World(7)
    jane = world.create_user("jane")
    link = world.invite(jane, "trade", "https://app.example/", NOON)
    assert world.link(link.token, NOON + timedelta(minutes=14)) is link
    with pytest.raises(GoneError, match="expired"):
        world.link(link.token, NOON + timedelta(minutes=15))
    world.consent(link, ALPACA, "jane", NOON)
    with pytest.raises(GoneError, match="used"):
        world.link(link.token, NOON)
    world.delete_user("jane")
    with pytest.raises(NotFoundError):
        world.link(link.token, NOON)


def test_what_a_broker_cannot_do_is_refused() -> None:
    world = World(7)
    jane = world.create_user("jane")
    with pytest.raises(BadRequestError, match="read only"):
        world.invite(jane, "trade", "https://app.example/", NOON, broker=find_broker("CHASE"))
    with pytest.raises(BadRequestError, match="connection_type"):
        world.invite(jane, "everything", "https://app.example/", NOON)
    with pytest.raises(BadRequestError, match="no broker"):
        find_broker("ROBINHOOD")


def test_tokens_replace_each_other_and_end_with_the_connection() -> None:
    world, _, _ = opened()
    jane = world.users["jane"]
    link = world.invite(jane, "market_data", "https://app.example/", NOON, broker=find_broker("ALPACA"))
    connection = world.consent(link, find_broker("ALPACA"), "jane", NOON)
    first = world.mint(connection, NOON)
    second = world.mint(connection, NOON)
    assert (first.text != second.text, connection.token) == (True, second)
    assert second.expires_at == NOON + timedelta(hours=24)
    world.disconnect(jane, connection.connection_id)
    assert connection.token is None
    assert second.text not in repr(second)


def test_an_order_added_moves_the_books() -> None:
    world, paper, _ = opened()
    cash = paper.cash
    order = world.add_order(paper.account_id, NOON, symbol="KO", qty=5, status="filled", order_type="MKT")
    assert paper.orders[-1] is order
    spent = sum(fill.quantity * fill.price for fill in order.fills)
    assert paper.cash == cash - spent
    check_money(world, paper, NOON)
    with pytest.raises(ConflictError):
        paper.enter(order)
    with pytest.raises(NotFoundError):
        world.books.account("none")


def test_an_order_without_sense_is_refused() -> None:
    world, paper, _ = opened()
    teller = OrderWriter(paper, world.market, paper_random(), NOON)
    with pytest.raises(BadRequestError, match="no side"):
        world.add_order(paper.account_id, NOON, side="HOLD")
    with pytest.raises(BadRequestError, match="no status"):
        world.add_order(paper.account_id, NOON, status="lost")
    with pytest.raises(BadRequestError, match="more than nothing"):
        world.add_order(paper.account_id, NOON, qty=0)
    with pytest.raises(BadRequestError, match="symbol or legs"):
        teller.order(NOON, None, "BUY", 1)
    with pytest.raises(BadRequestError, match="quantity or a notional"):
        teller.order(NOON, "AAPL", "BUY", None)


def paper_random() -> Random:
    return Random(1)  # noqa: S311  a test needs no secrecy


def test_a_history_is_written_on_an_empty_account() -> None:
    account = Account("id", "12345678", ALPACA, "live")
    furnish(OrderWriter(account, Market(1), paper_random(), NOON))
    assert repr(account) == f"<Account id ALPACA live, {len(account.orders)} orders>"
    assert repr(World(3)) == "<World seed 3, 0 users, 0 accounts>"
