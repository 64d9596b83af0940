from __future__ import annotations

from decimal import Decimal

import pytest

from connecttrade_async import MarketDataRefusedError
from connecttrade_async.models.market import Quote
from marketend import MarketEnd
from onstream import nothing_left


async def test_quotes() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md, md.quotes("AAPL", "MSFT") as quotes:
        assert end.subscribed == [("quotes", "AAPL"), ("quotes", "MSFT")]
        await end.quote("AAPL", "190.10")
        async for quote in quotes:
            assert isinstance(quote, Quote)
            assert (quote.symbol, quote.bid_price) == ("AAPL", Decimal("190.10"))
            break


async def test_a_refused_subscription_raises_where_it_is_opened_and_harms_no_other() -> None:
    async with MarketEnd() as end, nothing_left(), end.stream() as md, md.quotes("AAPL") as quotes:
        end.refused = {"IBM"}
        with pytest.raises(MarketDataRefusedError, match="quotes of IBM is not given: not entitled to IBM") as caught:
            await md.quotes("AAPL", "IBM", "MSFT").__aenter__()
        assert (caught.value.symbol, caught.value.code) == ("IBM", "403")
        await end.until(lambda: end.subscribed == [("quotes", "AAPL")])
        await end.quote("AAPL", "1")
        assert isinstance(await quotes.receive(), Quote)
