"""The sandbox's market-data stream, with a test's hand on it: events by hand, tokens that end, symbols refused.

What moves the market itself is `Sandbox.broker`; this acts on the sessions.
"""

import asyncio
from collections.abc import Mapping

from connecttrade_async.sandbox.errors import BadRequestError, UnknownError
from connecttrade_async.sandbox.streams.channels import CHANNELS, Subscription
from connecttrade_async.sandbox.streams.market_data import MarketDataServer
from connecttrade_async.sandbox.streams.market_feed import MarketEvent
from connecttrade_async.sandbox.streams.market_session import listing
from connecttrade_async.sandbox.world import Connection

__all__ = ["MarketDataStream"]

_NUMBER = "{number}"
"""Stands in a burst's text for the number of the quote, so that the rest of it is written once."""
_BATCH = 500
"""Events of a burst that leave at once; between two batches the loop serves others."""


class MarketDataStream(MarketDataServer):
    """The market-data stream as `Sandbox.market` has it. Its connections end on request."""

    # What is listened to ----------------------------------------------------------------------------------------------

    def subscriptions(self) -> dict[int, list[dict[str, object]]]:
        """What each live link listens to, by its number, as ``list_subscriptions`` would answer it."""
        return {session.link.number: listing(session.subscriptions) for session in self._live_ones()}

    def listened(self) -> dict[int, frozenset[Subscription]]:
        """The same as sets, in which the order of subscribing does not matter."""
        return {session.link.number: frozenset(session.subscriptions) for session in self._live_ones()}

    async def until_subscribed(self, channel: str, *symbols: str) -> None:
        """Wait until a live link listens to a channel of all these symbols, with whatever options.

        Cancelling it leaves nothing behind.
        """
        await self.log.until(lambda: any(self._hears(one, channel, symbols) for one in self.listened().values()))

    # Events by hand ---------------------------------------------------------------------------------------------------

    def publish(self, channel: str, symbol: str, data: Mapping[str, object], **options: str | bool) -> int:
        """Send an event to every live session that listens to a channel of a symbol.

        Args:
            channel: ``quotes``, ``trades``, ``bars``, ``depth`` or ``options_chain``.
            symbol: the symbol of the event; a chain's underlying.
            data: the other members of the message.
            options: only to subscriptions with these, such as ``interval="1m"``.

        Returns:
            Its serial number, by which the ledger knows it.

        Raises:
            RefusalError: there is no such channel.
        """
        if channel not in CHANNELS:
            raise BadRequestError(f"channel must be one of {', '.join(CHANNELS)}.")
        self.publish_due()
        wanted = {one for session in self._live_ones() for one in session.subscriptions}
        topics = tuple(
            one
            for one in sorted(wanted, key=repr)
            if (one.channel, one.symbol) == (channel, symbol) and options.items() <= one.given.items()
        )
        name = "underlying" if channel == "options_chain" else "symbol"
        told = MarketEvent(topics or (Subscription(channel, symbol),), {name: symbol, **data})
        self._spread(told.kind, told.topics, symbol, self._text(told))
        self._flush()
        return self.published

    async def burst(self, count: int, *symbols: str) -> int:
        """Send `count` quotes, as fast as they can be written, of symbols in turn (of ``AAPL`` if none is named).

        The ``bid_size`` of each is its number, from 1 on.

        Cancelling it stops between two batches.

        Returns:
            The serial number of the last one.
        """
        self.publish_due()
        at = self._payloads().time(self.clock.now())
        prices = {"bid_price": "100.00", "bid_size": _NUMBER, "ask_price": "100.02", "ask_size": "100"}
        names = symbols or ("AAPL",)
        topics = [(Subscription("quotes", symbol),) for symbol in names]
        quotes = [{"symbol": symbol, **prices, "last_price": "100.01", "timestamp": at} for symbol in names]
        texts = [self.wording.event("quote", {}, quote).split(_NUMBER) for quote in quotes]
        for number in range(count):
            place = number % len(names)
            self._spread("quote", topics[place], names[place], str(number + 1).join(texts[place]))
            if number % _BATCH == _BATCH - 1:
                self._flush()
                await asyncio.sleep(0)
        self._flush()
        return self.published

    def tick(self) -> None:
        """Publish what is new, and every quote, depth and chain, changed or not."""
        self._feeds.forget()
        self.publish_due()

    # What is refused, and what ends -----------------------------------------------------------------------------------

    def refuse(self, symbol: str, message: str = "") -> None:
        """Refuse every subscription to a symbol from now on, with code 403 (Assumed); those that there are stay."""
        self.refused[symbol] = message or f"There is no entitlement to {symbol}."

    def allow(self, symbol: str | None = None) -> None:
        """Refuse a symbol no longer, or none (None)."""
        if symbol is None:
            self.refused.clear()
        else:
            self.refused.pop(symbol, None)

    def expire_token(self, connection_id: str | None = None) -> None:
        """Let the 24 hours of a connection's tokens be over now, or those of every connection's (None).

        Raises:
            RefusalError: there is no such connection.
        """
        chosen = self._connections() if connection_id is None else [self._connection(connection_id)]
        for connection in chosen:
            self._world.tokens.expire(connection, self.clock.now())
        self.publish_due()

    def replace_token(self, connection_id: str) -> str:
        """Mint a token of a connection, as a request over REST does, and return it.

        Raises:
            RefusalError: there is no such connection, or its broker has no market data.
        """
        token = self._world.mint(self._connection(connection_id), self.clock.now())
        self.publish_due()
        return token.text

    def _connections(self) -> list[Connection]:
        return [one for user in self._world.users.values() for one in user.connections.values()]

    def _connection(self, connection_id: str) -> Connection:
        for connection in self._connections():
            if connection.connection_id == connection_id:
                return connection
        raise UnknownError(f"There is no connection {connection_id!r}.")

    @staticmethod
    def _hears(known: frozenset[Subscription], channel: str, symbols: tuple[str, ...]) -> bool:
        return {one.symbol for one in known if one.channel == channel}.issuperset(symbols)
