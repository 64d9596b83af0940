"""Parsing of one field of a ticket.

No function here raises. Each adds a text to the problems and returns None, so that the next field is parsed too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from connecttrade_async.amounts import plain, read_amount
from connecttrade_async.errors import shown
from connecttrade_async.models.enums import Broker, OpenEnum

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["parse_enum", "parse_quantity_or_notional", "read_number", "read_text", "read_whole"]

_LONGEST = 256  # (assumed) no id and no code is longer
_Listed = TypeVar("_Listed", bound=OpenEnum)


def read_text(name: str, value: object, problems: list[str]) -> str | None:
    """Parse a text that must be printable, not empty, and at most 256 characters."""
    if isinstance(value, str) and value.strip():
        if len(value) > _LONGEST:
            problems.append(f"the {name} must be at most {_LONGEST} characters, got {len(value)}")
            return None
        if not value.isprintable():
            problems.append(f"the {name} must be printable characters, got {shown(value)}")
            return None
        return value
    if value is None:
        problems.append(f"the {name} is missing")
    else:
        problems.append(f"the {name} must be a text that is not empty, got {shown(value)}")
    return None


def parse_enum(kind: type[_Listed], name: str, value: object, problems: list[str]) -> _Listed | None:
    """Parse a text that must be a known member of an enumeration."""
    # Models accept any spelling from the API. An argument must match exactly, except for the broker's letter case.
    if isinstance(value, str) and (member := kind(value)).is_known and (value == member or kind is Broker):
        return member
    known = ", ".join(kind)
    problems.append(
        f"the {name} is missing: {known}" if value is None else f"the {name} must be one of {known}, got {shown(value)}"
    )
    return None


def read_number(name: str, value: object, problems: list[str]) -> Decimal | None:
    """Parse an amount; None where it is missing."""
    if value is None:
        return None
    try:
        return read_amount(value)
    except ValueError as exc:
        problems.append(f"the {name} {exc}")
        return None


def read_whole(name: str, value: object, problems: list[str]) -> Decimal | None:
    """Parse a number of contracts, which must be whole; None where it is missing."""
    amount = read_number(name, value, problems)
    if amount is not None and amount != int(amount):
        problems.append(f"the {name} must be a whole number of contracts, got {plain(amount)}")
        return None
    return amount


def parse_quantity_or_notional(
    qty: object, notional: object, problems: list[str], *, whole: bool = False
) -> tuple[Decimal | None, Decimal | None]:
    """Parse a quantity, whole if it counts contracts, and a notional; an order has at most one of them (documented)."""
    if qty is not None and notional is not None:
        problems.append("the order must have a quantity or a notional, got both")
    read_quantity = read_whole if whole else read_number
    return read_quantity("quantity", qty, problems), read_number("notional", notional, problems)
