"""Below the waterline: one field of a ticket, read from whatever was given for it.

Nothing here raises: a reader adds a sentence to the problems and returns None, so that the next field is read too.
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
    """Read a text that must be printable, not empty, and at most 256 characters."""
    if isinstance(value, str) and value.strip():
        if len(value) > _LONGEST:
            problems.append(f"the {name} must be at most {_LONGEST} characters, got {len(value)}")
            return None
        if not value.isprintable():
            problems.append(f"the {name} must be made of printable characters, got {shown(value)}")
            return None
        return value
    problems.append(f"the {name} is {'empty' if isinstance(value, str) else 'missing' if value is None else 'no text'}")
    return None


def parse_enum(kind: type[_Listed], name: str, value: object, problems: list[str]) -> _Listed | None:
    """Read a text that must be one of those that the API takes."""
    # Models accept any spelling from a broker. What a caller writes is checked to the letter, but for the broker.
    if isinstance(value, str) and (member := kind(value)).is_known and (value == member or kind is Broker):
        return member
    known = ", ".join(kind)
    problems.append(
        f"the {name} is missing: {known}" if value is None else f"the {name} {shown(value)} is none of {known}"
    )
    return None


def read_number(name: str, value: object, problems: list[str]) -> Decimal | None:
    """Read an amount, or None where none was given."""
    if value is None:
        return None
    try:
        return read_amount(value)
    except ValueError as exc:
        problems.append(f"the {name} {exc}")
        return None


def read_whole(name: str, value: object, problems: list[str]) -> Decimal | None:
    """Read an amount that counts contracts, which are not divided; None where none was given."""
    amount = read_number(name, value, problems)
    if amount is not None and amount != int(amount):
        problems.append(f"the {name} must be whole, and is {plain(amount)}: contracts are not divided")
        return None
    return amount


def parse_quantity_or_notional(
    qty: object, notional: object, problems: list[str], *, whole: bool = False
) -> tuple[Decimal | None, Decimal | None]:
    """Read a quantity, whole if it counts contracts, or a notional; an order has one of them at most (documented)."""
    if qty is not None and notional is not None:
        problems.append("the order has both a quantity and a notional: give one of them")
    read_quantity = read_whole if whole else read_number
    return read_quantity("quantity", qty, problems), read_number("notional", notional, problems)
