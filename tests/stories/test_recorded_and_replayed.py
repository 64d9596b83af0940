"""A client's session with the sandbox, recorded and replayed, is the same session again."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from connecttrade_async import Event, Gap, OrderUpdate, Recorder, tickets
from connecttrade_async.sandbox import Sandbox
from market_data_fixtures import linked, taken
from stream_fixtures import PATIENCE, client

if TYPE_CHECKING:
    from pathlib import Path


async def session(server: Any, path: Path, user_id: str) -> list[Any]:
    """Connect, trade, lose the stream, and follow market data; record it, and return what the client was given."""
    given: list[Any] = []
    async with client(server) as ct, Recorder(ct, path):
        user, market = await linked(server, ct, user_id)
        request = await user.connections.create("trade", redirect_url="https://app.example/", broker="ALPACA")
        await server.approve(request.url)
        account_id = (await user.accounts.list())[0].account_id
        async with ct.brokerage_stream() as stream, stream.subscribe("orders") as events:

            async def until(kind: type[Event]) -> None:
                while not given or not isinstance(given[-1], kind):
                    async with asyncio.timeout(PATIENCE):
                        given.append(await anext(events))

            ticket = tickets.market("AAPL", "BUY", qty=1, account_id=account_id, broker="ALPACA")
            given.append((await user.orders.place(ticket)).status)
            await until(OrderUpdate)
            server.stream.drop()
            await until(Gap)
            ticket = tickets.limit("MSFT", "BUY", qty=2, price="1.50", account_id=account_id, broker="ALPACA")
            given.append((await user.orders.place(ticket)).status)
            await until(OrderUpdate)
        given += await user.positions.list()
        given += await user.balances.list(account_id=account_id)
        given += [order async for order in user.orders.list(status="all", limit=20)]
        async with user.market_data(market) as md, md.quotes("AAPL") as quotes:
            given += await taken(quotes, 1)
    return given


def spoken(path: Path) -> list[Any]:
    """Return what the server said in a recording: answers in their order, then frames and closes by session."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    answers = [(line["operation"], line["status"], line["response"]) for line in lines if line["kind"] == "exchange"]
    frames = [line for line in lines if line["kind"] == "frame" and line["direction"] == "in"]
    said = [(line["session"], line["text"]) for line in sorted(frames, key=lambda line: line["session"])]
    return [*answers, *said, *((line["code"], line["reason"]) for line in lines if line["kind"] == "close")]


def shape_of(value: Any, names: dict[str, str]) -> Any:
    """Return a JSON value with each text replaced by the order of its first appearance.

    Two recordings of one session have other pseudonyms, and nothing else that differs.
    """
    if isinstance(value, dict):
        return {name: shape_of(item, names) for name, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [shape_of(item, names) for item in cast("list[Any]", value)]
    if isinstance(value, str) and value[:1] in {"{", "["}:
        return shape_of(json.loads(value), names)
    return names.setdefault(value, f"text {len(names)}") if isinstance(value, str) else value


@pytest.mark.parametrize("speed", [None, 1.0, 5.0], ids=["without_waits", "as_recorded", "five_times"])
async def test_recorded_session_replayed_gives_the_same_events(tmp_path: Path, speed: float | None) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    async with Sandbox(seed=7) as sandbox:
        sandbox.clock.hold()
        before = await session(sandbox, first, "jane")
    async with Sandbox.replay(first, speed=speed) as replay:
        nothing = SimpleNamespace(drop=lambda: None)

        async def approve(url: str) -> str:
            return url

        server = SimpleNamespace(
            approve=approve,
            stream=nothing,
            client_id=replay.client_id,
            client_secret=replay.client_secret,
            endpoints=replay.endpoints,
        )
        after = await session(server, second, "john")
        assert (replay.unmatched, replay.unused) == ((), ())
    assert [type(item) for item in after] == [type(item) for item in before]
    for one, other in zip(before, after, strict=True):
        for name in ("symbol", "status", "quantity", "cash", "bid_price", "filled_qty", "avg_fill_price"):
            assert getattr(one, name, None) == getattr(other, name, None)
    assert shape_of(spoken(second), {}) == shape_of(spoken(first), {})
