"""Filters of listings: an unknown keyword is refused, and ``extra`` passes names that the library does not know."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, strategies as st

from connecttrade_async import ConfigurationError, ConnectTrade, Endpoints, User
from connecttrade_async.rest import resources, wire
from connecttrade_async.rest.resources.resource import Resource
from scripted_server import ScriptedEnd

Listed = Callable[..., Awaitable[object]]
LISTS: dict[str, Callable[[User], Listed]] = {
    "accounts": lambda user: user.accounts.list,
    "balances": lambda user: user.balances.list,
    "orders": lambda user: user.orders.list,
    "positions": lambda user: user.positions.list,
    "transactions": lambda user: user.transactions.list,
}
MISSPELT = ["symbol", "acount_id", "account", "filters", "Symbols", "type", "user_id"]


def client(end: ScriptedEnd) -> ConnectTrade:
    return ConnectTrade("client", "hush", endpoints=Endpoints(end.url))


@pytest.mark.parametrize("name", LISTS)
async def test_list_with_an_unknown_keyword_raises_type_error_and_sends_nothing(name: str) -> None:
    async with ScriptedEnd() as end, client(end) as ct:
        for keyword in MISSPELT:
            with pytest.raises(TypeError, match=keyword):
                await LISTS[name](ct.user("u", "whisper"))(**{keyword: "AAPL"})
        with pytest.raises(TypeError):
            await LISTS[name](ct.user("u", "whisper"))("AAPL")
    assert end.seen == []


def test_resource_methods_accept_no_arbitrary_keywords() -> None:
    kinds = [kind for name in resources.__all__ if issubclass(kind := getattr(resources, name), Resource)]
    assert len(kinds) > 5
    for kind in kinds:
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            kinds_taken = {each.kind for each in inspect.signature(method).parameters.values()}
            assert inspect.Parameter.VAR_KEYWORD not in kinds_taken, f"{kind.__name__}.{name}"


@pytest.mark.parametrize("name", LISTS)
async def test_list_passes_extra_filters_on_under_their_own_names(name: str) -> None:
    extra: dict[str, Any] = {"type": "dividend", "page": 2, "is_paper": True, "absent": None, "many": ["a", "b"]}
    async with ScriptedEnd() as end, client(end) as ct:
        await LISTS[name](ct.user("u", "whisper"))(connection_id="c", extra=extra)
    [seen] = end.seen
    assert parse_qs(urlsplit(seen.target).query) == {
        "connection_id": ["c"],
        "type": ["dividend"],
        "page": ["2"],
        "is_paper": ["true"],
        "many": ["a,b"],
    }


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ({"connection_id": "c"}, "extra must not have connection_id: pass connection_id="),
        ({"type": ""}, "type must not be empty"),
        ({"": "x"}, "each name in extra must be text"),
        ({7: "x"}, "each name in extra must be text"),
        ([("type", "x")], "extra must be a mapping of names and values, got list"),
        ("type=x", "extra must be a mapping of names and values, got str"),
    ],
)
async def test_list_with_unusable_extra_filters_is_refused_before_sending(name: str, extra: Any, why: str) -> None:
    async with ScriptedEnd() as end, client(end) as ct:
        with pytest.raises(ConfigurationError, match=why):
            await LISTS[name](ct.user("u", "whisper"))(extra=extra)
    assert end.seen == []


@pytest.mark.parametrize("cursor", ["next_cursor", "prev_cursor", "limit"])
async def test_orders_list_refuses_its_own_arguments_in_extra(cursor: str) -> None:
    async with ScriptedEnd() as end, client(end) as ct:
        with pytest.raises(ConfigurationError, match=f"pass {cursor}= as an argument"):
            ct.user("u", "whisper").orders.list(extra={cursor: "5"})
    assert end.seen == []


async def test_orders_list_sends_extra_filters_with_every_page() -> None:
    async with ScriptedEnd() as end, client(end) as ct:
        listing = ct.user("u", "whisper").orders.list(extra={"tag": "x"}, next_cursor="b")
        await listing
    assert parse_qs(urlsplit(end.seen[0].target).query) == {"tag": ["x"], "next_cursor": ["b"]}


@pytest.mark.parametrize("params", [{7: "x"}, {None: "x"}, {"a": "x", b"b": "y"}])
async def test_request_with_a_filter_name_that_is_no_text_is_refused(params: Any) -> None:
    async with ScriptedEnd() as end, client(end) as ct:
        with pytest.raises(ConfigurationError, match="each name in params must be text"):
            await ct.user("u", "whisper").request("GET", "/anything", params=params)
    assert end.seen == []


@given(st.dictionaries(st.text(min_size=1), st.text()), st.dictionaries(st.text(min_size=1), st.text()))
def test_with_extra_keeps_every_filter_or_raises(params: dict[str, object], extra: dict[str, object]) -> None:
    try:
        merged = wire.with_extra(params, extra)
    except ConfigurationError:
        assert params.keys() & extra.keys()
    else:
        assert merged == params | extra
        assert len(merged) == len(params) + len(extra)
