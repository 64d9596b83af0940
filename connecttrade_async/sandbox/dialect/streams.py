"""The forms of the frames of both streams."""

import msgspec

__all__ = ["BrokerageForms", "MarketForms"]


class BrokerageForms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The forms of the brokerage stream. The default is the form that the wire contract assumes."""


class MarketForms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The forms of the market data stream. The default is the form that the wire contract assumes."""
