"""A user with a scripted API, and the orders and responses that the tests of order requests share."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

from connecttrade_async import (
    ConnectTrade,
    Endpoints,
    Order,
    Retry,
    Timeouts,
    tickets,
)
from connecttrade_async.ids import uuid7
from scripted_server import Act, ScriptedEnd, answer, drop, reset, silence

if TYPE_CHECKING:
    from connecttrade_async import OrderTicket, User

FAST_RETRY = Retry(base=0.001, cap=0.002)
REFUSAL = b'{"message": "not like this"}'
SHORT_SETTLE: Any = {"timeouts": Timeouts(call=0.2, settle=0.02)}
LOST_RESPONSES: dict[str, Act] = {
    "dropped": drop,
    "reset": reset,
    "cut in half": answer(200, b'{"order_id": "1"', declared=80),
    "not JSON": answer(200, b"<html>done</html>"),
    "empty": answer(200, b""),
    "500": answer(500, REFUSAL),
    "502": answer(502, b"<html>"),
    "503": answer(503, REFUSAL, retry_after="0"),
    "504": answer(504, REFUSAL),
    "silence": silence,
}


def ticket(cl_order_id: str | None = None) -> OrderTicket:
    options: Any = {} if cl_order_id is None else {"cl_order_id": cl_order_id}
    return tickets.limit("MSFT", "BUY", qty=1, price="410.50", account_id="a", broker="ALPACA", **options)


def order(status: str = "working", order_id: str = "o-1", **facts: Any) -> dict[str, Any]:
    least = {"order_id": order_id, "account_id": "a", "broker": "ALPACA", "status": status}
    # None omits the time; by default the order was created just now.
    made = {"created_at": facts.pop("created_at", datetime.now(UTC).isoformat())}
    return least | {name: value for name, value in made.items() if value is not None} | facts


def order_page(*orders: dict[str, Any], following: str | None = None) -> Act:
    return answer(200, json.dumps({"orders": orders, "next_cursor": following}))


def order_response(one: dict[str, Any]) -> Act:
    return answer(200, json.dumps(one))


class ScriptedUser:
    """A user of a client with a scripted API."""

    def __init__(self, *acts: Act, **settings: Any) -> None:
        defaults: Any = {"retry": FAST_RETRY, "timeouts": Timeouts(call=0.2, settle=5)}
        self.end = ScriptedEnd(*acts)
        self._settings = defaults | settings

    async def __aenter__(self) -> Self:
        await self.end.__aenter__()
        self.ct = ConnectTrade("client", "hush", endpoints=Endpoints(self.end.url), **self._settings)
        self.user: User = self.ct.user("u", "whisper")
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.ct.aclose()
        await self.end.__aexit__()

    def sent(self, method: str) -> int:
        return sum(seen.method == method for seen in self.end.seen)

    def queries(self) -> list[dict[str, list[str]]]:
        return [parse_qs(urlsplit(seen.target).query) for seen in self.end.seen if seen.method == "GET"]


WORKING_ORDER = Order(order_id="o-1", account_id="a", broker=None, created_at_text="2026-03-01T10:00:00Z")


def time_before(**ago: float) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).isoformat()


def own_id(**ago: float) -> str:
    """Return an id as this library generates it, issued some time ago."""
    milliseconds = int((datetime.now(UTC) - timedelta(**ago)).timestamp() * 1000)
    return uuid7(milliseconds << 12, 7)
