"""The sandbox's figures: the market as the market-data stream spells it.

Assumed, all of it. As on the rest of the wire, every value is a string or a boolean, and prices are exact.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from .parameters import Fields
from .payloads import Payloads
from .world import Bar, Contract, Depth, Greeks, Level, Trade

__all__ = ["MarketPayloads"]


@dataclass(frozen=True, slots=True)
class MarketPayloads:
    """Writes what the market tells, each as the members of a message."""

    payloads: Payloads

    def quote(self, symbol: str, depth: Depth, at: datetime) -> Fields:
        """A quote. What is worth nothing has no bid: its price and its size are zero."""
        bid, ask = depth.bids[0] if depth.bids else None, depth.asks[0]
        return {
            "symbol": symbol,
            "bid_price": "0.00" if bid is None else str(bid.price),
            "bid_size": "0" if bid is None else str(bid.size),
            "ask_price": str(ask.price),
            "ask_size": str(ask.size),
            "last_price": str(depth.last),
            "timestamp": self.payloads.time(at),
        }

    def trade(self, symbol: str, found: Trade) -> Fields:
        """A print."""
        return {
            "symbol": symbol,
            "price": str(found.price),
            "size": str(found.size),
            "session": found.session,
            "timestamp": self.payloads.time(found.at),
        }

    def bar(self, symbol: str, interval: str, bar: Bar, *, closed: bool) -> Fields:
        """A bar; `closed` says that it will not change any more."""
        return {
            "symbol": symbol,
            "interval": interval,
            "open": str(bar.open),
            "high": str(bar.high),
            "low": str(bar.low),
            "close": str(bar.close),
            "volume": str(bar.volume),
            "start_time": self.payloads.time(bar.start),
            "closed": closed,
        }

    def depth(self, symbol: str, depth: Depth, at: datetime) -> Fields:
        """A full book."""
        return {
            "symbol": symbol,
            "bids": [_level(level) for level in depth.bids],
            "asks": [_level(level) for level in depth.asks],
            "timestamp": self.payloads.time(at),
        }

    def chain(
        self, root: str, expiry: date, contracts: Iterable[Contract], at: datetime, *, with_greeks: bool
    ) -> Fields:
        """The options of one expiry."""
        return {
            "underlying": root,
            "expiration": expiry.isoformat(),
            "contracts": [_contract(contract, with_greeks=with_greeks) for contract in contracts],
            "timestamp": self.payloads.time(at),
        }


def _level(level: Level) -> Fields:
    return {"price": str(level.price), "size": str(level.size)}


def _contract(contract: Contract, *, with_greeks: bool) -> Fields:
    told: dict[str, object] = {
        "symbol": contract.symbol,
        "bid_price": str(contract.quote.bid),
        "ask_price": str(contract.quote.ask),
        "last_price": str(contract.quote.last),
        "volume": str(contract.volume),
        "open_interest": str(contract.open_interest),
    }
    return told | {"greeks": _greeks(contract.greeks)} if with_greeks else told


def _greeks(greeks: Greeks) -> Fields:
    return {name: f"{value:.6f}" for name, value in greeks._asdict().items()}
