"""What the faults of REST and of the streams have in common: the rules of their attributes, and their form as JSON."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self, cast

__all__ = ["RETRY_AFTER", "SIZE", "FaultMembers", "Rule", "counts", "is_header", "is_text", "is_whole"]

Rule = tuple[Callable[[object], bool], str]
"""A check of an attribute's value, and the words for what the value must be."""


def is_whole(low: int, high: int) -> Callable[[object], bool]:
    """Return a check whether a value is a whole number between two others, these included."""
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_text(value: object) -> bool:
    """Return whether a value is text."""
    return isinstance(value, str)


def is_header(value: object) -> bool:
    """Return whether a value can be that of a header."""
    return isinstance(value, str) and value.isprintable() and value.isascii() and bool(value)


def counts(one: str, several: str) -> Mapping[str, Rule]:
    """Return the rules of ``times`` and ``after``, with the words for what is counted."""
    return {
        "times": (is_whole(1, 1_000_000), f"a whole number from 1, or null for every {one}"),
        "after": (is_whole(0, 1_000_000), f"a whole number of {several} to let pass"),
    }


RETRY_AFTER: Rule = (is_header, "seconds or an HTTP date, as text")
SIZE: Rule = (is_whole(1, 1 << 30), "a number of bytes, up to a gibibyte")


@dataclass(frozen=True, slots=True)
class FaultMembers:
    """A fault as the members of a JSON object. A subclass adds its attributes and the rules for them."""

    RULES: ClassVar[Mapping[str, Rule]] = {}
    """One rule for each attribute."""

    @classmethod
    def read(cls, members: Mapping[str, object]) -> Self:
        """Return a fault with the members of a JSON object as its attributes.

        Raises:
            ValueError: a member is wrong, or unknown, or ``kind`` is missing.
        """
        unknown = members.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
        if "kind" not in members:
            raise ValueError(f"kind must be {cls.RULES['kind'][1]}")
        return cls(**cast("dict[str, Any]", members))

    @property
    def members(self) -> dict[str, object]:
        """The attributes that are given, and ``times``, which is null for every time."""
        given: dict[str, object] = asdict(self)
        return {name: value for name, value in given.items() if value is not None or name == "times"}

    def check(self, known: Callable[[], frozenset[str]]) -> None:
        """Check the attributes by their rules.

        Args:
            known: returns the names of the attributes that a fault of this kind takes; called once the kind is right.

        Raises:
            ValueError: an attribute is wrong, or not one of this kind; the sentence says what it should be.
        """
        # `times` may be null, which strikes every time; a null `kind` or `after` is no fault at all.
        given = {name: value for name, value in asdict(self).items() if value is not None or name in {"kind", "after"}}
        for name, value in given.items():
            is_right, wanted = self.RULES[name]
            if not is_right(value):
                raise ValueError(f"{name} must be {wanted}, not {value!r}")
        surplus = given.keys() - known()
        if surplus:
            raise ValueError(f"a fault of kind {given['kind']} takes no {', '.join(sorted(surplus))}")
