"""One side of ``peers_stream.py``: alpaca-py's TradingStream, and its StockDataStream."""

from __future__ import annotations

from alpaca.data.live import StockDataStream
from alpaca.trading.stream import TradingStream

from measurement import EventCounter, arguments


def main() -> None:
    """Count ``count`` typed events."""
    url, case, count = arguments()
    counter = EventCounter(count)
    override = {"url_override": url}
    stream = (
        StockDataStream("key", "secret", **override) if case == "quotes" else TradingStream("key", "secret", **override)
    )

    async def on_event(_event: object) -> None:
        if counter.add():
            await stream.stop_ws()

    if case == "quotes":
        stream.subscribe_quotes(on_event, "MSFT")
    else:
        stream.subscribe_trade_updates(on_event)
    stream.run()


if __name__ == "__main__":
    main()
