"""What the members of the wire contract's objects hold, and how a dialect writes each kind of them."""

import hashlib

__all__ = ["ENUMS", "IDS", "NUMBERS", "camel_name", "enum_word", "id_number"]

NUMBERS = frozenset(
    {
        "amount",
        "average_price",
        "avg_fill_price",
        "buying_power",
        "cash",
        "daily_pl",
        "equity",
        "fees",
        "filled_qty",
        "initial_margin",
        "last_price",
        "maintenance_margin",
        "margin_buying_power",
        "market_value",
        "order_limit_price",
        "order_notional",
        "order_qty",
        "price",
        "quantity",
        "ratio",
        "stop_price",
        "total_pl",
        "unrealized_pl",
    }
)
"""Members that hold a number as text."""

IDS = frozenset({"account_id", "connection_id", "fill_id", "order_id", "replaced_by", "replaces", "transaction_id"})
"""Members that hold an id that the server makes. A caller chooses ``user_id`` and ``cl_order_id``."""

ENUMS = frozenset({"action", "connection_type", "instrument", "order_tif", "order_type", "side", "status"})
"""Members that hold one word of a closed set."""


def camel_name(name: str) -> str:
    """Return a snake_case name in camelCase."""
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def enum_word(word: str, spelling: str) -> str:
    """Return a word of an enum in another spelling.

    Args:
        word: as the wire contract has it.
        spelling: ``upper`` or ``lower`` case; ``spaced`` or ``dashed`` in place of underscores; any other keeps it.
    """
    match spelling:
        case "upper":
            return word.upper()
        case "lower":
            return word.lower()
        case "spaced":
            return word.replace("_", " ")
        case "dashed":
            return word.replace("_", "-")
        case _:
            return word


def id_number(name: str) -> int:
    """Return the whole number of at most 52 bits by which a dialect with numbers for ids writes an id."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8]) >> 12
