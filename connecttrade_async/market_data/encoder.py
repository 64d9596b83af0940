"""Encode the requests of the market data stream from the templates of the dialect."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from connecttrade_async.dialect.templates import Template, encode_template
from connecttrade_async.dialect.value import Dialect
from connecttrade_async.market_data.names import CHAIN, MarketDataNames

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["MAX_SYMBOLS", "RequestEncoder", "format_time"]

MAX_SYMBOLS = 1000  # of one frame, some 10 kB: servers close a connection for a frame that is too large


class RequestEncoder:
    """Encodes requests. A request with an empty template has no frame: the server has no such request.

    Args:
        dialect: how the server speaks.

    Attributes:
        names: the names of channels and options.
        handshake: the steps until a subscription is confirmed.
    """

    __slots__ = ("_part", "handshake", "names")

    def __init__(self, dialect: Dialect = Dialect.default) -> None:
        self._part = dialect.market_data
        self.handshake = dialect.market_data.handshake
        self.names = MarketDataNames(dialect)

    @property
    def has_unsubscribe(self) -> bool:
        """Whether the server ends subscriptions on request."""
        return bool(self._part.unsubscribe)

    def authenticate(self, token: str, request_id: str) -> bytes:
        """Encode the login; only this frame holds the token."""
        return encode_template(self._part.authenticate, {"access_token": token, "id": self._id(request_id)})

    def batches(self, channel: str, symbols: Sequence[str]) -> list[tuple[str, ...]]:
        """Split symbols into those of one frame each: at most 1,000, and one underlying of a chain."""
        size = 1 if channel == CHAIN or self._part.each_symbol else MAX_SYMBOLS
        return [tuple(symbols[at : at + size]) for at in range(0, len(symbols), size)]

    def subscribe(
        self, request_id: str, channel: str, symbols: Sequence[str], options: Mapping[str, object]
    ) -> list[bytes]:
        """Encode a subscription.

        Args:
            request_id: the id.
            channel: the channel.
            symbols: the symbols of one frame; for a chain one underlying, which is sent as an option too, since it is
                not known where the server reads it.
            options: the options by name; those that are None are left out.
        """
        return self._encode(self._part.subscribe, request_id, channel, symbols, options)

    def unsubscribe(
        self, request_id: str, channel: str, symbols: Sequence[str], options: Mapping[str, object]
    ) -> list[bytes]:
        """Encode the end of a subscription; the arguments are those of ``subscribe``."""
        return self._encode(self._part.unsubscribe, request_id, channel, symbols, options)

    def snapshot(self, request_id: str, symbol: str, options: Mapping[str, object]) -> list[bytes]:
        """Encode a request for past bars of one symbol."""
        return self._encode(self._part.snapshot, request_id, "bars", [symbol], options)

    def listing(self, request_id: str) -> list[bytes]:
        """Encode a request for the list of subscriptions."""
        return [encode_template(self._part.list, {"id": self._id(request_id)})] if self._part.list else []

    def _encode(
        self,
        template: Template,
        request_id: str,
        channel: str,
        symbols: Sequence[str],
        options: Mapping[str, object],
    ) -> list[bytes]:
        if not template:
            return []
        if channel == CHAIN:
            options = {"underlying": symbols[0], **options}
        values = {
            "id": self._id(request_id),
            "channel": self.names.channel(channel),
            "symbols": list(symbols),
            "symbol": symbols[0],
            "options": self.names.to_wire(options),
        }
        return [encode_template(template, values)]

    def _id(self, request_id: str) -> str | int:
        return int(request_id) if self._part.ids == "number" else request_id


def format_time(moment: datetime) -> str:
    """Format an aware time as RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
