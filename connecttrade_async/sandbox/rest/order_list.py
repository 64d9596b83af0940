"""The sandbox's list of orders: its filters, its defaults, and the cursors that walk through it.

Documented: ``status``, ``symbols``, ``side``, ``start_time``, ``end_time``, ``sort``, ``limit``, cursors, and that no
parameter at all means open orders since midnight UTC. Silent there, chosen here: any parameter switches that default
off (a cursor is none), and an absent ``status`` then means ``all``; both times are included; newest first.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, time

from connecttrade_async.sandbox.errors import BadRequestError
from connecttrade_async.sandbox.parameters import choice, count, moment, symbols
from connecttrade_async.sandbox.rest.cursors import Cursor
from connecttrade_async.sandbox.rest.endpoints import Answer, Call
from connecttrade_async.sandbox.rest.translator import CURSORS, PageCursors
from connecttrade_async.sandbox.world import CLOSED, OPEN, SIDES, STATUSES, Filter, Page, PagePosition, page_of

__all__ = ["list_orders"]

_GROUPS = {"all": STATUSES, "open": OPEN, "closed": CLOSED, **{status: (status,) for status in STATUSES}}
_DEFAULT_LIMIT = "50"
_LARGEST_LIMIT = 500


def list_orders(call: Call) -> Answer:
    """``GET /orders``: one page of the user's orders."""
    asked = {name: value for name, value in call.query.items() if name not in CURSORS}
    limit = count("limit", asked.get("limit", _DEFAULT_LIMIT), 1, _LARGEST_LIMIT)
    descending = choice("sort", asked.get("sort", "desc"), ("asc", "desc")) == "desc"
    bound = {name: value for name, value in asked.items() if name != "limit"} | {"user": call.user.user_id}
    cursor = _cursor(call, bound)
    since = cursor.since if cursor else None if asked else datetime.combine(call.now.date(), time(), UTC)
    wanted = _filter(asked, since)
    accounts = {account.account_id: account for _, account in call.accounts()}
    orders = (order for account in accounts.values() for order in account.orders)
    page = page_of(orders, wanted, limit=limit, descending=descending, place=cursor and cursor.place)
    cursors = _cursors(call, page, bound, since)
    write = call.payloads.order
    return Answer([write(order, accounts[order.account_id].broker) for order in page.orders], cursors)


def _cursor(call: Call, bound: Mapping[str, str]) -> Cursor | None:
    given = [name for name in CURSORS if name in call.query]
    if len(given) > 1:
        raise BadRequestError("Send either next_cursor or prev_cursor, not both.")
    if not given:
        return None
    return call.desk.cursors.read(call.query[given[0]], bound, backwards=given[0] == "prev_cursor")


def _filter(asked: Mapping[str, str], since: datetime | None) -> Filter:
    """The filter that the parameters ask for; `since` is set when there were none."""
    status = choice("status", asked.get("status", "open" if since else "all"), _GROUPS)
    side = asked.get("side")
    start = moment("start_time", asked["start_time"]) if "start_time" in asked else since
    end = moment("end_time", asked["end_time"]) if "end_time" in asked else None
    if start is not None and end is not None and start > end:
        raise BadRequestError("start_time lies after end_time.")
    return Filter(
        statuses=None if status == "all" else frozenset(_GROUPS[status]),
        symbols=symbols(asked["symbols"]) if "symbols" in asked else None,
        side=None if side is None else choice("side", side.upper(), SIDES),
        start=start,
        end=end,
    )


def _cursors(call: Call, page: Page, bound: Mapping[str, str], since: datetime | None) -> PageCursors:
    """The next and the previous cursor of a page, None where it ends."""
    if not page.orders:
        return PageCursors()
    write = call.desk.cursors.write
    forth = Cursor(PagePosition(page.orders[-1].key, backwards=False), since)
    back = Cursor(PagePosition(page.orders[0].key, backwards=True), since)
    return PageCursors(write(forth, bound) if page.has_after else None, write(back, bound) if page.has_before else None)
