"""Record and replay: a session of the sandbox, recorded and served again, gives the same data and the same events.

Both times the client does the same. What it gets must be equal once the pseudonyms are put in place of the first.
"""

from __future__ import annotations

import asyncio
import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest

from connecttrade_async import ConnectTrade, Gap, OrderUpdate, Recorder, Timeouts, tickets
from connecttrade_async.sandbox import Sandbox
from manual_clock import BEGIN
from market_data_fixtures import linked
from stream_fixtures import HURRIED, client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from connecttrade_async import User

USER_ID = "grace-hopper@example.com/7"
TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
CL_ORDER_IDS = ["grace-order-1", "grace-order-2"]


class Controls(NamedTuple):
    """What the test does to the server; nothing in a replay, which does it by itself."""

    drop: Callable[[], object] = int
    hold: Callable[[], object] = int
    publish: Callable[[], object] = int


async def used(ct: ConnectTrade, user: User, cl_order_ids: list[str], controls: Controls) -> list[Any]:
    """Use REST, the stream with a lost connection, and market data; return everything that came."""
    seen: list[Any] = []
    connections = await user.connections.list()
    accounts = await user.accounts.list()
    seen += [connections, accounts, await user.balances.list()]
    account_id = accounts[0].account_id
    stream = ct.brokerage_stream()
    # Subscribed before it opens: without waits, a replay sends its events as soon as it is subscribed to.
    events = stream.subscribe("orders")
    async with asyncio.timeout(20), stream:
        for cl_order_id in cl_order_ids:
            ticket = tickets.market(
                "AAPL", "BUY", qty=3, account_id=account_id, broker="ALPACA", cl_order_id=cl_order_id
            )
            seen.append(await user.orders.place(ticket))
            update = await events.receive()
            while not (isinstance(update, OrderUpdate) and update.order.status == "filled"):
                seen.append(update)
                update = await events.receive()
            seen.append(update)
            if cl_order_id == cl_order_ids[0]:
                controls.drop()
                gap = await events.receive()
                assert isinstance(gap, Gap)
    seen.append(await user.positions.list())
    seen.append([order async for order in user.orders.list(status="all", limit=1)])
    controls.hold()
    market = next(each for each in connections if each.connection_type == "market_data")
    async with user.market_data(market.connection_id) as md, md.trades("AAPL", "MSFT") as trades:
        controls.publish()
        seen.extend([await trades.receive() for _ in range(3)])
    return seen


def recorded_ids(path: Path) -> list[str]:
    """Return the ids of the orders that a recording places."""
    found = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    placed = [line["request"] for line in found if line.get("operation") == "POST /orders"]
    return [json.loads(body)["cl_order_id"] for body in placed]


def plain(seen: list[Any]) -> list[str]:
    """Return what came as JSON texts: the frames as they were received."""
    return [(getattr(each, "raw", b"") or msgspec.json.encode(each)).decode() for each in seen]


def pseudonyms_between(before: list[str], after: list[str]) -> dict[str, str]:
    """Return which text became which; fail where the form differs, or one text became two."""
    pairs: dict[str, str] = {}
    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        assert TEXT.sub("", one) == TEXT.sub("", other)
        for text, pseudonym in zip(TEXT.findall(one), TEXT.findall(other), strict=True):
            assert pairs.setdefault(text, pseudonym) == pseudonym
    return pairs


@pytest.mark.parametrize("speed", [None, 20.0], ids=["at once", "twenty times as fast"])
async def test_a_recorded_session_replayed_gives_the_same_events(tmp_path: Path, speed: float | None) -> None:
    path = tmp_path / "session.jsonl"
    async with Sandbox(seed=7) as sandbox, client(sandbox) as ct:
        user, _ = await linked(sandbox, ct, USER_ID)
        trade = await user.connections.create("trade", redirect_url="https://app.example/done", broker="ALPACA")
        await sandbox.approve(trade.url)

        def publish() -> None:
            for size, symbol in enumerate(("AAPL", "MSFT", "AAPL"), 1):
                payload = {"price": f"{size}.50", "size": str(size), "session": "regular"}
                sandbox.market.publish("trades", symbol, payload)

        controls = Controls(sandbox.stream.drop, partial(sandbox.clock.hold, BEGIN), publish)
        async with Recorder(ct, path) as recorder:
            before = await used(ct, user, CL_ORDER_IDS, controls)
    assert recorder.withheld == 0
    async with Sandbox.replay(path, speed=speed) as replay:
        options: dict[str, Any] = {"reconnect": HURRIED, "timeouts": Timeouts(close=1.0)}
        async with ConnectTrade(replay.client_id, replay.client_secret, endpoints=replay.endpoints, **options) as ct:
            after = await used(ct, ct.user("someone", "any-secret"), recorded_ids(path), Controls())
        assert replay.unmatched == ()
    old, new = plain(before), plain(after)
    pairs = pseudonyms_between(old, new)
    assert len(set(pairs.values())) == len(pairs)
    changed = {text for text, pseudonym in pairs.items() if text != pseudonym}
    accounts = [account for connection in before[0] for account in connection.accounts]
    hidden = {USER_ID, *(account.account_id for account in accounts), *(each.account_number for each in accounts)}
    assert {f'"{text}"' for text in hidden} <= changed
    assert not changed & {'"AAPL"', '"MSFT"', '"filled"', '"BUY"', '"3"', '"regular"', '"1.50"', '"price"'}
    # Byte for byte: what came first, with its pseudonyms put in, is what came from the replay.
    assert [TEXT.sub(lambda found: pairs[found[0]], one) for one in old] == new
