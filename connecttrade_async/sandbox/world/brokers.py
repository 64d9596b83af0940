"""The brokers, their abilities, and their small differences.

Codes and abilities are the wire contract's. The differences (missing profit fields, an empty
string for a missing number) are invented, because real brokers differ in just these ways.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connecttrade_async.sandbox.errors import BadRequestError

__all__ = ["BROKERS", "CONNECTION_TYPES", "Broker", "find_broker"]

CONNECTION_TYPES = ("trade", "readonly", "market_data")
"""``trade`` and ``readonly`` are seen, ``market_data`` is documented."""

_PROFIT = frozenset({"unrealized_pl", "daily_pl", "total_pl"})
_MARGIN = frozenset({"margin_buying_power", "maintenance_margin", "initial_margin"})

_PLAIN = {
    "pending": "pending_new",
    "working": "new",
    "partially_filled": "partially_filled",
    "filled": "filled",
    "cancelled": "canceled",
    "rejected": "rejected",
    "expired": "expired",
    "replaced": "replaced",
    "pending_cancel": "pending_cancel",
    "pending_replace": "pending_replace",
}
_LOUD = {status: word.upper() for status, word in _PLAIN.items()} | {"working": "LIVE", "cancelled": "CXLD"}
_PROSE = {status: word.replace("_", " ").capitalize() for status, word in _PLAIN.items()} | {
    "pending": "Received",
    "working": "Open",
    "filled": "Executed",
    "cancelled": "Canceled by client",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """One brokerage.

    Attributes:
        code: the wire's code, upper case.
        name: what a person calls it; sent as ``institution_name``.
        trading: whether orders can be placed (seen); only such a broker has market data here.
        crypto: whether cryptocurrency can be traded (by a third party's reading of the vendor's pages).
        words: its own word for each status, sent as ``broker_status``.
        lacks: the number fields that it leaves out.
        blank: whether it writes ``""`` for such a number instead of null.
    """

    code: str
    name: str
    trading: bool = False
    crypto: bool = False
    words: Mapping[str, str] = field(default_factory=lambda: _PROSE)
    lacks: frozenset[str] = frozenset()
    blank: bool = False

    @property
    def has_margin(self) -> bool:
        """Whether its accounts may borrow; a bank's may not."""
        return not self.lacks & _MARGIN

    def can(self, connection_type: str) -> bool:
        """Whether a connection of this type can be made: everyone can be read, traders also trade and quote."""
        return self.trading or connection_type == "readonly"

    def check(self, connection_type: str) -> None:
        """Refuse what cannot be made.

        Raises:
            BadRequestError: the broker can be read only.
        """
        if not self.can(connection_type):
            raise BadRequestError(f"{self.name} can be read only: it offers no {connection_type} connection.")


_ALL = (
    Broker(code="ALPACA", name="Alpaca", trading=True, crypto=True, words=_PLAIN),
    Broker(code="BANKOFAMERICA", name="Merrill Edge by Bank of America", lacks=_MARGIN),
    Broker(code="CAPITALONE", name="Capital One Investing", lacks=_MARGIN | _PROFIT),
    Broker(code="CHASE", name="Chase Self-Directed Investing", lacks=_MARGIN | {"daily_pl"}),
    Broker(code="CITI", name="Citi Self Invest", lacks=_MARGIN | _PROFIT),
    Broker(code="FIDELITY", name="Fidelity", lacks=frozenset({"total_pl"})),
    Broker(code="LIGHTSPEED", name="Lightspeed", trading=True, words=_LOUD),
    Broker(code="PNC", name="PNC Investments", lacks=_MARGIN | _PROFIT, blank=True),
    Broker(code="PUBLIC", name="Public", trading=True, crypto=True, lacks=frozenset({"daily_pl"})),
    Broker(code="TASTYTRADE", name="tastytrade", trading=True, crypto=True, lacks=_PROFIT),
    Broker(code="TD", name="TD Direct Investing", lacks=frozenset({"total_pl"})),
    Broker(code="TRADESTATION", name="TradeStation", trading=True, words=_LOUD),
    Broker(code="TRADEZERO", name="TradeZero", trading=True, words=_LOUD, lacks=frozenset({"daily_pl"})),
    Broker(code="USBANK", name="U.S. Bancorp Investments", lacks=_MARGIN | {"total_pl"}),
    Broker(
        code="WEBULL",
        name="Webull",
        trading=True,
        crypto=True,
        words=_PLAIN,
        lacks=frozenset({"daily_pl"}),
        blank=True,
    ),
    Broker(code="WELLSFARGO", name="WellsTrade by Wells Fargo", lacks=_MARGIN),
)

BROKERS: Mapping[str, Broker] = {broker.code: broker for broker in _ALL}
"""Every broker of the sandbox by its code. The five unpublished codes are not among them."""


def find_broker(code: str) -> Broker:
    """The broker with this code, which is case-insensitive (documented).

    Raises:
        BadRequestError: no broker has this code.
    """
    broker = BROKERS.get(code.upper())
    if broker is None:
        raise BadRequestError(f"There is no broker {code!r}. Known are {', '.join(BROKERS)}.")
    return broker
