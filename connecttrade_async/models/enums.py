"""Enumerations of the API that accept unlisted values.

Each member is a ``str``. A value that is not listed keeps its text and compares equal to it. So a new status or broker
is never an error; ``is_known`` is False for it. A listed value is recognized in any spelling: letter case, spaces,
dashes, underscores and the American ``canceled`` make no difference. Only the spelling is normalized: a synonym stays
unknown.
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
    """An enumeration of known texts that accepts any other text too."""

    @property
    def is_known(self) -> bool:
        """Whether the value was listed when this library was written."""
        return self._value_ in type(self)._value2member_map_

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        # An unlisted value is not added to the enum's table: texts from the wire must not make it grow without bound.
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
    """A brokerage's code, recognized in any letter case (documented). Further codes are unpublished."""

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
    """The permitted use of a connection: ``trade`` and ``readonly`` (seen), ``market_data`` (documented)."""

    TRADE = "trade"
    READONLY = "readonly"
    MARKET_DATA = "market_data"


class Instrument(OpenEnum):
    """The kind of instrument of an order or position (documented)."""

    STOCK = "STK"
    OPTION = "OPT"
    MULTI_LEG_OPTION = "MLEG_OPT"


class OrderStatus(OpenEnum):
    """The state of an order (documented)."""

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
        """Whether the order can no longer change. An unknown status is not terminal."""
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
    """The pricing of an order (documented)."""

    MARKET = "MKT"
    LIMIT = "LMT"
    STOP = "STP"
    STOP_LIMIT = "STPLMT"


class Side(OpenEnum):
    """The side of an order; the last four are for options (documented)."""

    BUY = "BUY"
    SELL = "SELL"
    SELL_SHORT = "SELL_SHORT"
    BUY_TO_COVER = "BUY_TO_COVER"
    BUY_TO_OPEN = "BUY_TO_OPEN"
    BUY_TO_CLOSE = "BUY_TO_CLOSE"
    SELL_TO_OPEN = "SELL_TO_OPEN"
    SELL_TO_CLOSE = "SELL_TO_CLOSE"


class TimeInForce(OpenEnum):
    """The time in force of an order; ``+`` includes extended hours (documented)."""

    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    OPEN = "OPEN"
    CLOSE = "CLOSE"
    DAY_EXTENDED = "DAY+"
    GTC_EXTENDED = "GTC+"
