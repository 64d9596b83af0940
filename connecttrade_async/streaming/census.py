"""Compare the names in a frame with those of its model: what came and is not read, and what did not come."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from connecttrade_async.models.fields import number

if TYPE_CHECKING:
    from collections.abc import Collection

    import msgspec

__all__ = ["Census", "census_of"]


class Census(NamedTuple):
    """The names in the first frame of one kind on a connection.

    Attributes:
        kind: the kind, such as ``order``.
        unread: names in the frame that no field of the model has.
        absent: fields of the model that the frame lacks.
        lacks_numbers: whether all numbers of the model are None, which is more likely a wrong name than a fact.
    """

    kind: str
    unread: tuple[str, ...]
    absent: tuple[str, ...]
    lacks_numbers: bool


@cache
def _numbers_of(model: type[msgspec.Struct]) -> tuple[str, ...]:
    fields = set(model.__struct_fields__)
    names = (f"{name}_text" for name in dir(model) if isinstance(getattr(model, name), number))
    return tuple(name for name in names if name in fields)


def census_of(kind: str, payload: msgspec.Struct, given: Collection[str], read: Collection[str] = ()) -> Census:
    """Return the census of one payload.

    Args:
        kind: the name of the kind.
        payload: the decoded payload.
        given: the names that came, as the model has them.
        read: names outside the model that are read too.
    """
    fields = [name for name in payload.__struct_encode_fields__ if not name.startswith("_")]
    unread = sorted(name for name in given if name not in fields and name not in read)
    absent = [name for name in fields if name not in given]
    numbers = _numbers_of(type(payload))
    lacks_numbers = bool(numbers) and all(getattr(payload, name) is None for name in numbers)
    return Census(kind, tuple(unread), tuple(absent), lacks_numbers)
