"""Walking through pages visits every order once, in order, whatever is added on the way; and going back works."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given, strategies as st

from connecttrade_async.sandbox.world import Filter, Leg, Order, Page, PagePosition, page_of

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
ALL = Filter()


def order(minute: int, name: str, status: str = "filled", symbol: str | None = "AAPL") -> Order:
    at = NOON + timedelta(minutes=minute)
    return Order(
        order_id=name,
        cl_order_id=name,
        account_id="a",
        broker="ALPACA",
        side="BUY",
        order_type="MKT",
        order_tif="DAY",
        symbol=symbol,
        instrument="STK",
        status=status,
        broker_status=status,
        created_at=at,
        updated_at=at,
        order_qty=Decimal(1),
        legs=()
        if symbol
        else (Leg("KO261218C00060000", "BUY_TO_OPEN", 1), Leg("KO261218C00065000", "SELL_TO_OPEN", 1)),
    )


def after(page: Page) -> PagePosition:
    return PagePosition(page.orders[-1].key, backwards=False)


def before(page: Page) -> PagePosition:
    return PagePosition(page.orders[0].key, backwards=True)


minutes = st.lists(st.integers(0, 30), max_size=40)


@given(made=minutes, added=minutes, limit=st.integers(1, 7), descending=st.booleans())
def test_a_walk_is_whole_while_orders_are_added(
    made: list[int], added: list[int], limit: int, *, descending: bool
) -> None:
    orders = [order(minute, f"made {number}") for number, minute in enumerate(made)]
    late = [order(minute, f"added {number}") for number, minute in enumerate(added)]
    seen: list[Order] = []
    page = page_of(orders, ALL, limit=limit, descending=descending)
    assert not page.has_before
    while page.orders:
        seen += page.orders
        orders += late[:3]
        del late[:3]
        if not page.has_after:
            break
        page = page_of(orders, ALL, limit=limit, descending=descending, place=after(page))
    keys = [item.key for item in seen]
    assert keys == sorted(keys, reverse=descending)
    assert len(set(keys)) == len(keys)
    assert {item.key for item in seen} >= {item.key for item in orders if item.order_id.startswith("made")}


@given(made=minutes, limit=st.integers(1, 7), descending=st.booleans())
def test_going_back_shows_the_same_pages(made: list[int], limit: int, *, descending: bool) -> None:
    orders = [order(minute, f"{number}") for number, minute in enumerate(made)]
    pages = [page_of(orders, ALL, limit=limit, descending=descending)]
    while pages[-1].has_after:
        pages.append(page_of(orders, ALL, limit=limit, descending=descending, place=after(pages[-1])))
    for earlier, later in zip(pages[-2::-1], pages[:0:-1], strict=True):
        back = page_of(orders, ALL, limit=limit, descending=descending, place=before(later))
        assert later.has_before
        assert back == earlier


def test_page_of_orders_holds_those_that_the_filter_selects() -> None:
    spread = order(3, "d", symbol=None)
    orders = [order(0, "a", "working"), order(1, "b", symbol="MSFT"), order(2, "c"), spread]

    def names(**asked: object) -> list[str]:
        wanted = Filter(**asked)  # type: ignore[arg-type]
        return [item.order_id for item in page_of(orders, wanted, limit=9, descending=False).orders]

    assert names(statuses=frozenset({"working"})) == ["a"]
    assert names(symbols=frozenset({"MSFT", "KO261218C00065000"})) == ["b", "d"]
    assert names(side="SELL") == []
    assert names(start=NOON + timedelta(minutes=1), end=NOON + timedelta(minutes=2)) == ["b", "c"]
