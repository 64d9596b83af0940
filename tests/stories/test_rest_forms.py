"""REST in forms that no document has: every row is right, or an error or a warning says otherwise; never silence."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from connecttrade_async import (
    BrokerError,
    ConnectTrade,
    Dialect,
    Endpoints,
    IncompleteListError,
    Listing,
    MalformedResponseError,
    Order,
    OrderOutcomeUnknownError,
    Retry,
    Timeouts,
)
from connecttrade_async.dialect.parts import FieldNames, RestDialect
from connecttrade_async.models.variants import CASES
from order_fixtures import ticket
from scripted_server import Act, ScriptedEnd, Seen, answer, drop

PAGE = 2
QUICK: dict[str, Any] = {"timeouts": Timeouts(settle=0.2), "retry": Retry(attempts=1, base=0.01)}


class Form(NamedTuple):
    """How one API writes its lists.

    Attributes:
        case: the case of names.
        numbers: whether numbers are JSON numbers.
        envelope: the members around the list, outermost first; none for a bare array.
        cursor: where the cursor of the next page is: ``body``, ``below``, a header, ``link``, ``more`` for a sign
            without a cursor, or nowhere.
        ends: whether the last page names its cursor, as null.
        null: whether an empty list is null.
        extra: whether a second list stands beside the first.
    """

    case: str
    numbers: bool
    envelope: tuple[str, ...]
    cursor: str
    ends: bool
    null: bool
    extra: bool


FORMS = st.builds(
    Form,
    case=st.sampled_from(sorted(CASES)),
    numbers=st.booleans(),
    envelope=st.lists(st.sampled_from(["data", "orders", "items", "x"]), max_size=3, unique=True).map(tuple),
    cursor=st.sampled_from(["body", "below", "next-cursor", "x-next-cursor", "link", "more", "nowhere"]),
    ends=st.booleans(),
    null=st.booleans(),
    extra=st.sampled_from([False, False, False, True]),
)


def order_row(number: int) -> dict[str, Any]:
    fill = {"fill_id": f"f-{number}", "quantity": f"{number}.5"}
    return {"order_id": f"o-{number}", "filled_qty": f"{number}.25", "status": "Partially Filled", "fills": [fill]}


def written(value: Any, form: Form) -> str:
    """Return JSON in a form; a text of digits becomes a number with the same digits."""
    if isinstance(value, dict):
        fields: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
        members = (f'"{CASES[form.case](name)}":{written(each, form)}' for name, each in fields.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        return "[" + ",".join(written(each, form) for each in items) + "]"
    is_number = form.numbers and isinstance(value, str) and value.replace(".", "").isdigit()
    return value if is_number else json.dumps(value)


def page_at(seen: Seen, count: int, form: Form) -> Act:
    """Return the response to a request for a page."""
    start = int(parse_qs(urlsplit(seen.target).query).get("next_cursor", ["0"])[0])
    rows = [order_row(number) for number in range(start, min(start + PAGE, count))]
    cursor = str(start + PAGE) if start + PAGE < count else None
    body = "null" if form.null and not rows else written(rows, form)
    members: list[str] = []
    headers: dict[str, Any] = {}
    if cursor is not None or form.ends:
        name, value = CASES[form.case]("next_cursor"), json.dumps(cursor)
        if form.cursor == "body" and form.envelope:
            members = [f'"{name}":{value}']
        elif form.cursor == "below" and form.envelope:
            members = [f'"meta":{{"{name}":{value}}}']
        elif form.cursor == "more" and form.envelope:
            members = [f'"{CASES[form.case]("has_more")}":{"true" if cursor else "false"}']
        elif form.cursor == "link" and cursor:
            headers["link"] = f'<https://api.example/orders?limit=2&next_cursor={cursor}>; rel="next"'
        elif form.cursor.endswith("next-cursor"):
            headers[form.cursor.replace("-", "_")] = cursor or ""
    if form.extra and form.envelope:
        members.append('"warnings":[]')
    for level, key in enumerate(reversed(form.envelope)):
        inner = [f'"{key}":{body}', *(members if level == 0 else [])]
        body = "{" + ",".join(inner) + "}"
    return answer(200, body, **headers)


async def read_all(count: int, form: Form) -> tuple[list[Order], Listing[Order]]:
    async with (
        ScriptedEnd(choose=lambda seen: page_at(seen, count, form)) as end,
        ConnectTrade("client", "hush", endpoints=Endpoints(end.url), **QUICK) as ct,
    ):
        listing = ct.user("u", "whisper").orders.list(limit=PAGE)
        found = [order async for order in listing]
        # A second time, when forms are known.
        again = [order async for order in ct.user("u", "whisper").orders.list(limit=PAGE)]
        assert again == found
        return found, listing


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=FORMS, count=st.integers(0, 5))
def test_orders_in_any_form_are_all_right_or_said_to_be_wrong(
    form: Form, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    caplog.set_level(logging.WARNING)
    expected = [(f"o-{number}", f"{number}.25", f"{number}.5", "partially_filled") for number in range(count)]
    # Refused, with the response: two lists, a list two levels down, or null under a name that may be anything.
    is_null = form.null and not count
    is_doubtful = form.extra if not is_null else form.envelope[-1:] != ("orders",)
    if form.envelope and (is_doubtful or len(form.envelope) > 2):
        with pytest.raises(MalformedResponseError) as caught:
            asyncio.run(read_all(count, form))
        assert caught.value.response is not None
        return
    found, listing = asyncio.run(read_all(count, form))
    read = [(each.order_id, each.filled_qty_text, each.fills[0].quantity_text, each.status) for each in found]
    assert read == expected[: len(read)]
    if len(read) < count:
        assert listing.may_be_cut_off
        assert any("may be cut off" in record.getMessage() for record in caplog.records)


def full_page(*, mentions: str = "") -> Act:
    rows = [{"order_id": f"o-{number}", "order_qty": "1"} for number in range(500)]
    return answer(200, json.dumps([*rows[:499], {"order_id": "o-x", "cl_order_id": mentions}] if mentions else rows))


async def test_find_in_a_list_that_may_be_cut_off_is_never_none() -> None:
    async with ScriptedEnd(full_page()) as end, ConnectTrade("c", "hush", endpoints=Endpoints(end.url), **QUICK) as ct:
        with pytest.raises(IncompleteListError, match="GET /orders may be cut off"):
            await ct.user("u", "whisper").orders.find("mine")


async def test_find_in_a_list_that_may_be_cut_off_returns_what_it_finds() -> None:
    page = full_page(mentions="mine")
    async with ScriptedEnd(page) as end, ConnectTrade("c", "hush", endpoints=Endpoints(end.url), **QUICK) as ct:
        found = await ct.user("u", "whisper").orders.find("mine")
    assert found is not None
    assert found.order_id == "o-x"


async def test_place_with_an_incomplete_look_up_leaves_the_outcome_unknown() -> None:
    acts = (drop, full_page())
    async with ScriptedEnd(*acts) as end, ConnectTrade("c", "hush", endpoints=Endpoints(end.url), **QUICK) as ct:
        with pytest.raises(OrderOutcomeUnknownError, match="may be cut off"):
            await ct.user("u", "whisper").orders.place(ticket())


async def test_replace_with_an_incomplete_look_up_is_not_taken_for_refused() -> None:
    rows = [{"order_id": f"o-{number}", "order_qty": "1", "status": "filled"} for number in range(500)]
    page = answer(200, json.dumps(rows))
    async with ScriptedEnd(drop, page) as end, ConnectTrade("c", "hush", endpoints=Endpoints(end.url), **QUICK) as ct:
        # The old order is listed as filled, but the order that replaced it may be among those cut off.
        with pytest.raises(OrderOutcomeUnknownError, match="may be cut off"):
            await ct.user("u", "whisper").orders.replace(account_id="a", order_id="o-1", broker="ALPACA", qty=2)


@pytest.mark.parametrize("status", [200, 201, 202, 207])
@pytest.mark.parametrize(
    "body",
    ['{"userId":"u","userSecret":"s3cret"}', '{"user":{"user-secret":"s3cret"}}', '[{"user_secret":"s3cret"}]'],
    ids=["camel", "below", "list"],
)
async def test_secret_of_a_new_user_is_found_in_any_form(status: int, body: str) -> None:
    async with ScriptedEnd(answer(status, body)) as end, ConnectTrade("c", "hush", endpoints=Endpoints(end.url)) as ct:
        user = await ct.users.create("u")
    assert (user.user_id, user.user_secret.reveal()) == ("u", "s3cret")


async def test_secret_of_a_new_user_in_an_unknown_form_is_kept_in_the_error() -> None:
    body = '{"id":"u","apiKey":"s3cret"}'
    async with ScriptedEnd(answer(200, body)) as end, ConnectTrade("c", "hush", endpoints=Endpoints(end.url)) as ct:
        with pytest.raises(MalformedResponseError) as caught:
            await ct.users.create("u")
    assert caught.value.response is not None
    assert caught.value.response.json() == {"id": "u", "apiKey": "s3cret"}
    assert "s3cret" not in f"{caught.value} {caught.value!r} {caught.value.response!r}"


async def test_dialect_names_reach_requests_and_responses() -> None:
    dialect = Dialect(
        rest=RestDialect(
            lists={"orders": "rows"},
            next_cursor=("page.after",),
            next_parameter="after",
            error_message=("problem",),
            names={"connection_type": "type", "order_qty": "quantity", "limit": "size"},
        ),
        names=FieldNames(case="camel", aliases={"order": {"filled_qty": "cumQty"}}),
    )
    page = answer(200, '{"rows":[{"orderId":"1","cumQty":"2"}],"links":[],"page":{"after":"c"}}')
    last = answer(200, '{"rows":[{"orderId":"2","cumQty":"3"}],"links":[],"page":{}}')
    created = answer(200, '{"connectionRequestUrl":"https://login.example"}')
    acts = [page, last, created, answer(400, '{"problem":"no such broker","message":"x"}')]
    async with (
        ScriptedEnd(*acts) as end,
        ConnectTrade("c", "hush", endpoints=Endpoints(end.url), dialect=dialect, **QUICK) as ct,
    ):
        user = ct.user("u", "whisper")
        orders = [order async for order in user.orders.list(limit=1)]
        connection = await user.connections.create("trade", redirect_url="https://app.example")
        with pytest.raises(BrokerError, match="no such broker"):
            await user.orders.place(ticket())
    assert [(order.order_id, order.filled_qty_text) for order in orders] == [("1", "2"), ("2", "3")]
    assert connection.url == "https://login.example"
    targets = [seen.target for seen in end.seen]
    assert targets[:2] == ["/orders?size=1", "/orders?size=1&after=c"]
    assert json.loads(end.seen[2].body) == {"type": "trade", "redirect_url": "https://app.example"}
    assert json.loads(end.seen[3].body)["quantity"] == "1"


@pytest.mark.parametrize("names", [("qty", "quantity", "qty"), ("quantity",) * 3], ids=["both", "documented"])
async def test_documented_name_is_read_where_the_alias_of_the_dialect_does_not_come(names: tuple[str, ...]) -> None:
    # An alias that was learned from a stream holds for REST too, where the name may be another one.
    dialect = Dialect(names=FieldNames(aliases={"position": {"quantity": "qty"}}))
    acts = [answer(200, f'[{{"symbol":"A","{name}":"{number}"}}]') for number, name in enumerate(names)]
    async with (
        ScriptedEnd(*acts) as end,
        ConnectTrade("c", "hush", endpoints=Endpoints(end.url), dialect=dialect, **QUICK) as ct,
    ):
        read = [(await ct.user("u", "whisper").positions.list())[0].quantity_text for _ in names]
    assert read == ["0", "1", "2"]


async def test_health_names_what_is_not_read() -> None:
    body = '[{"symbol":"A","qty":"5","name":"Apple"}]'
    async with ScriptedEnd(answer(200, body)) as end, ConnectTrade("c", "hush", endpoints=Endpoints(end.url)) as ct:
        await ct.user("u", "whisper").positions.list()
        assert ct.health().unread == {"GET /positions": ("qty", "name")}
        assert ct.with_options(retry=Retry(attempts=1)).health().unread == ct.health().unread


async def test_rows_of_a_list_without_pages_say_that_they_may_be_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    body = '{"positions":[{"symbol":"A","quantity":"5"}],"next_cursor":"c"}'
    async with ScriptedEnd(answer(200, body)) as end, ConnectTrade("c", "hush", endpoints=Endpoints(end.url)) as ct:
        rows = await ct.user("u", "whisper").positions.list()
    assert (rows.next_cursor, rows.may_be_cut_off, [row.symbol for row in rows]) == ("c", True, ["A"])
    assert "names a cursor, which this listing does not follow" in caplog.text
