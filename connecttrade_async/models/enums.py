"""Below the waterline: the wire's closed lists, kept open.

Each is a ``str``. A value that is not listed keeps its text and is equal to it, so a new status or broker is never an
error; ``is_known`` tells them apart. A listed value is read in any spelling: letter case, spaces, dashes, underscores
and the American ``canceled`` make no difference. Only the spelling is folded, never the meaning: another word for the
same thing stays unknown.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Self, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Broker",
    "ConnectionType",
    "Instrument",
    "OpenEnum",
    "OrderStatus",
    "OrderType",
    "Side",
    "TimeInForce",
]


_LONGEST_SPELLING = 40
_SEPARATORS = str.maketrans("", "", " \t-_")


def _folded(text: str) -> str:
    return text.translate(_SEPARATORS).casefold().replace("cancelled", "canceled")


class OpenEnum(StrEnum):
    """A list of known texts that takes any other text too."""

    @property
    def is_known(self) -> bool:
        """Whether the value was listed when this library was written."""
        return self._value_ in type(self)._value2member_map_

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        # Not entered in the enum's table: what the wire sends must not make it grow.
        if not isinstance(value, str):
            return None
        # The length is bounded because a response may hold a text of a megabyte here.
        if len(value) <= _LONGEST_SPELLING and value.isascii():
            known = _spellings(cls).get(_folded(value))
            if known is not None:
                return cast("Self", known)
        member = str.__new__(cls, value)
        member._name_ = value
        member._value_ = value
        return member


@cache
def _spellings(cls: type[OpenEnum]) -> Mapping[str, OpenEnum]:
    return {_folded(member.value): member for member in cls}


class Broker(OpenEnum):
    """A brokerage, read in any case (documented). The vendor has more, whose codes it does not publish."""

    ALPACA = "ALPACA"
    BANKOFAMERICA = "BANKOFAMERICA"
    CAPITALONE = "CAPITALONE"
    CHASE = "CHASE"
    CITI = "CITI"
    FIDELITY = "FIDELITY"
    LIGHTSPEED = "LIGHTSPEED"
    PNC = "PNC"
    PUBLIC = "PUBLIC"
    TASTYTRADE = "TASTYTRADE"
    TD = "TD"
    TRADESTATION = "TRADESTATION"
    TRADEZERO = "TRADEZERO"
    USBANK = "USBANK"
    WEBULL = "WEBULL"
    WELLSFARGO = "WELLSFARGO"


class ConnectionType(OpenEnum):
    """What a connection may be used for (``trade`` and ``readonly`` seen, ``market_data`` documented)."""

    TRADE = "trade"
    READONLY = "readonly"
    MARKET_DATA = "market_data"


class Instrument(OpenEnum):
    """What an order or position is in (documented)."""

    STOCK = "STK"
    OPTION = "OPT"
    MULTI_LEG_OPTION = "MLEG_OPT"


class OrderStatus(OpenEnum):
    """Where an order stands (documented)."""

    PENDING = "pending"
    WORKING = "working"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    REPLACED = "replaced"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"

    @property
    def is_terminal(self) -> bool:
        """Whether the order can never change again. An unknown status counts as one that still can."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {
        OrderStatus.FILLED,
        OrderStatus.CANCELLED,
        OrderStatus.REJECTED,
        OrderStatus.EXPIRED,
        OrderStatus.REPLACED,
    },
)


class OrderType(OpenEnum):
    """How an order is priced (documented)."""

    MARKET = "MKT"
    LIMIT = "LMT"
    STOP = "STP"
    STOP_LIMIT = "STPLMT"


class Side(OpenEnum):
    """Which way an order goes; the last four are for options (documented)."""

    BUY = "BUY"
    SELL = "SELL"
    SELL_SHORT = "SELL_SHORT"
    BUY_TO_COVER = "BUY_TO_COVER"
    BUY_TO_OPEN = "BUY_TO_OPEN"
    BUY_TO_CLOSE = "BUY_TO_CLOSE"
    SELL_TO_OPEN = "SELL_TO_OPEN"
    SELL_TO_CLOSE = "SELL_TO_CLOSE"


class TimeInForce(OpenEnum):
    """How long an order works; ``+`` is with extended hours (documented)."""

    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    OPEN = "OPEN"
    CLOSE = "CLOSE"
    DAY_EXTENDED = "DAY+"
    GTC_EXTENDED = "GTC+"
