"""Probe the streams of a client, with its addresses, credentials and dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from connecttrade_async.client import ClientTraffic, ConnectTrade, traffic_of
from connecttrade_async.doctor.stream_probe import ProbeOptions, probe_stream
from connecttrade_async.errors import ConfigurationError, ConnectError
from connecttrade_async.market_data.names import MarketDataNames
from connecttrade_async.streaming.websocket import ConnectionLostError, ConnectOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connecttrade_async.dialect.value import Dialect
    from connecttrade_async.doctor.stream_findings import StreamProbe
    from connecttrade_async.models import ConnectionToken
    from connecttrade_async.recording.taps import StreamName
    from connecttrade_async.secret import Secret

__all__ = ["ProbeResult", "probe_brokerage", "probe_market_data"]

# The channels to subscribe to, quotes first; an options chain would need an expiration.
WANTED: dict[str, dict[str, object]] = {"quotes": {}, "trades": {}, "bars": {"interval": "1m"}, "depth": {"levels": 5}}


class ProbeResult(NamedTuple):
    """A probe, and the dialect that was configured for it."""

    probe: StreamProbe
    dialect: Dialect


async def probe_brokerage(ct: ConnectTrade, *, listen: float, wait: float) -> ProbeResult:
    """Probe the brokerage stream of a client. It takes the one session.

    Args:
        ct: the client.
        listen: seconds to listen for.
        wait: seconds to wait for each reply.

    Raises:
        ConfigurationError: the client has no address of the stream.
        ConnectError: the stream cannot be reached.
    """
    traffic = traffic_of(ct)
    part = traffic.dialect.brokerage
    topics = [part.topics.orders, part.topics.positions, part.topics.balances]
    chosen = [[topic] for topic in topics] if part.each_topic else [topics]
    wanted = [{"topics": each, "topic": each[0], "id": str(number)} for number, each in enumerate(chosen, 2)]
    values: dict[str, str | Secret] = {
        "client_id": traffic.client_id,
        "client_secret": traffic.client_secret,
        "id": "1",
    }
    return await _probe(traffic, "brokerage", values, wanted, listen, wait)


async def probe_market_data(
    ct: ConnectTrade, token: ConnectionToken, symbol: str, *, listen: float, wait: float
) -> ProbeResult:
    """Probe the market data stream of a client with a token, and subscribe to quotes, trades, bars and depth.

    Args:
        ct: the client.
        token: the token of a connection.
        symbol: the symbol.
        listen: seconds to listen for.
        wait: seconds to wait for each reply.

    Raises:
        ConfigurationError: the client has no address of the stream.
        ConnectError: the stream cannot be reached.
    """
    traffic = traffic_of(ct)
    part, names = traffic.dialect.market_data, MarketDataNames(traffic.dialect)
    wanted = [
        {
            "id": number if part.ids == "number" else str(number),
            "channel": names.channel(channel),
            "symbols": [symbol],
            "symbol": symbol,
            "options": names.to_wire(options),
        }
        for number, (channel, options) in enumerate(WANTED.items(), 2)
    ]
    values: dict[str, str | Secret] = {"access_token": token.access_token, "id": "1"}
    return await _probe(traffic, "market_data", values, wanted, listen, wait)


async def _probe(  # noqa: PLR0917 - the parts of the options
    traffic: ClientTraffic,
    stream: StreamName,
    values: Mapping[str, str | Secret],
    wanted: Sequence[Mapping[str, object]],
    listen: float,
    wait: float,
) -> ProbeResult:
    url = traffic.urls[stream]
    if not url:
        msg = f"endpoints must have an address of the {stream.replace('_', ' ')} stream, got none"
        raise ConfigurationError(msg)
    tap_point = traffic.tap_point.of_stream(stream)
    dialing = ConnectOptions(traffic.frame_bytes, traffic.dial.ssl, traffic.dial.proxy, tap_point)
    try:
        probe = await probe_stream(ProbeOptions(stream, url, dialing, values, wanted, listen, wait), traffic.dialect)
    except ConnectionLostError as exc:
        raise ConnectError(method="STREAM", path=url, kind="unreachable", detail=exc.cause) from exc
    return ProbeResult(probe, traffic.dialect)
