"""Probes of market data with a client, in each dialect of the sandbox, and clients with the written dialect."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from connecttrade_async import ConnectTrade, HandshakeError, StreamRefusedError, Timeouts
from connecttrade_async.dialect.value import Dialect
from connecttrade_async.doctor.client_probe import ProbeResult, probe_brokerage, probe_market_data
from connecttrade_async.doctor.findings import FindingOutcome
from connecttrade_async.doctor.stream_findings import dialect_of_probe, stream_findings
from connecttrade_async.models.market import Quote, Trade
from connecttrade_async.sandbox import Sandbox
from stream_fixtures import client

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from connecttrade_async import Secret

PRESETS = [
    *("assumed", "rest_object", "topic_data", "topic_list", "channel_payload", "type_update", "camel", "numbers"),
    *("messages", "no_acks", "silent_heartbeat", "event_heartbeat", "strict", "type_not_action"),
]
# What tolerance alone does not cover: these need the dialect.
NEEDS_DIALECT = ["no_acks", "type_not_action"]
UPDATES = ("quote", "trade", "bar", "depth")


@contextlib.asynccontextmanager
async def published(sandbox: Sandbox) -> AsyncGenerator[None]:
    """Publish an event of each channel again and again."""

    async def publish() -> None:
        bar = {"interval": "1m", "open": "1", "close": "1", "start_time": "2026-03-02T14:30:00Z"}
        while True:
            await asyncio.sleep(0.05)
            sandbox.market.publish("trades", "AAPL", {"price": "190.25", "size": "3", "session": "regular"})
            sandbox.market.publish("bars", "AAPL", bar, interval="1m")

    task = asyncio.create_task(publish())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def new_connection(ct: ConnectTrade, sandbox: Sandbox) -> tuple[Secret, str]:
    """Return the secret of a new user, and the id of a connection for market data."""
    secret = (await ct.users.create("ada")).user_secret
    user = ct.user("ada", secret)
    request = await user.connections.create("market_data", redirect_url="https://a.example", broker="ALPACA")
    await sandbox.approve(request.url)
    return secret, (await user.connections.list())[0].connection_id


async def probed(ct: ConnectTrade, secret: Secret, connection_id: str) -> ProbeResult:
    token = await ct.user("ada", secret).connections.token(connection_id)
    return await probe_market_data(ct, token, "AAPL", listen=0.6, wait=0.3)


async def first_events(
    sandbox: Sandbox, secret: Secret, connection_id: str, dialect: Dialect | str | Path
) -> tuple[object, object, int]:
    """Return a quote, a trade and the count of past bars that a plain client with a dialect gets."""
    async with client(sandbox, dialect=dialect, timeouts=Timeouts(close=1.0, login=1.0)) as ct:
        user = ct.user("ada", secret)
        async with asyncio.timeout(15), published(sandbox), user.market_data(connection_id) as stream:
            async with stream.quotes("AAPL") as quotes:
                quote = await quotes.receive()
            async with stream.trades("AAPL") as trades:
                trade = await trades.receive()
            bars = await stream.history("AAPL", interval="5m", limit=3)
            assert (await stream.list_subscriptions()).missing == ()
    return quote, trade, len(bars)


@pytest.mark.parametrize("preset", PRESETS)
async def test_the_written_dialect_makes_market_data_of_a_plain_client_work(preset: str, tmp_path: Path) -> None:
    path = tmp_path / "connecttrade-wire.toml"
    async with Sandbox(seed=7) as sandbox, client(sandbox) as ct:
        secret, connection_id = await new_connection(ct, sandbox)
        sandbox.dialect = preset
        if preset in NEEDS_DIALECT:
            with pytest.raises((HandshakeError, StreamRefusedError)):
                await first_events(sandbox, secret, connection_id, Dialect.default)
        async with published(sandbox):
            probe, dialect = await probed(ct, secret, connection_id)
        findings = {each.subject: each.outcome for each in stream_findings(probe, dialect)}
        for update in UPDATES:
            assert findings[f"updates: {update}"] in {FindingOutcome.OK, FindingOutcome.UNDERSTOOD}
        assert "other frames" not in findings
        dialect_of_probe(probe, dialect).dump(path)
        quote, trade, bars = await first_events(sandbox, secret, connection_id, path)
    assert isinstance(quote, Quote)
    assert quote.bid_price is not None
    assert isinstance(trade, Trade)
    assert trade.price is not None
    assert bars == 3


async def test_a_heartbeat_before_the_reply_hides_no_confirmation() -> None:
    async with Sandbox(seed=7, dialect="silent_heartbeat") as sandbox, client(sandbox) as ct:
        probe, dialect = await probe_brokerage(ct, listen=0.6, wait=0.5)
    assert probe.subscription is not None
    assert dialect_of_probe(probe, dialect) == dialect
