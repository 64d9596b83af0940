"""The names of fields on the wire: of each model, by the name that this library gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connecttrade_async.dialect.tolerance import fold_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from connecttrade_async.dialect.parts import FieldNames

__all__ = ["AmbiguousFrameError", "FieldTable", "camel", "wire_name", "wire_path"]


class AmbiguousFrameError(ValueError):
    """A frame can mean two things, so that it is taken for neither."""


def camel(name: str) -> str:
    """Return a name in snake_case in camelCase."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def wire_name(names: FieldNames, model: str, field: str) -> str:
    """Return the name of a field on the wire.

    Args:
        names: the names of a dialect.
        model: the model, such as ``order``.
        field: the field's name in snake_case.
    """
    alias = names.aliases.get(model, {}).get(field)
    if alias is not None:
        return alias
    return camel(field) if names.case == "camel" else field


def wire_path(names: FieldNames, path: str) -> str:
    """Return a path on the wire, of which the names in snake_case follow the case of the dialect."""
    return ".".join(map(camel, path.split("."))) if names.case == "camel" else path


class FieldTable:
    """Finds the fields of one model among the members of an object, in any case and under their aliases.

    Args:
        names: the names of a dialect.
        model: the model, such as ``order``.
        fields: the fields' names in snake_case.
    """

    __slots__ = ("_aliases", "_fields")

    def __init__(self, names: FieldNames, model: str, fields: Iterable[str]) -> None:
        # An alias takes the name that another field would have: it is what the caller knows of the server.
        self._fields = {fold_name(field): field for field in fields}
        # Exact too: two aliases may differ by case alone, as ``b`` for a price and ``B`` for a size.
        self._aliases = {alias: field for field, alias in names.aliases.get(model, {}).items()}
        for alias, field in self._aliases.items():
            self._fields[fold_name(alias)] = field

    def field_of(self, name: str) -> str | None:
        """Return the field with this name on the wire, or None."""
        return self._aliases.get(name) or self._fields.get(fold_name(name))

    def pick(self, members: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the fields of an object.

        Args:
            members: the object.

        Returns:
            The values by field, and the names on the wire by field.

        Raises:
            AmbiguousFrameError: two members are the same field and differ.
        """
        values: dict[str, Any] = {}
        found: dict[str, str] = {}
        for name, value in members.items():
            field = self.field_of(name)
            if field is None:
                continue
            if field in values and values[field] != value:
                problem = f"the frame has {found[field]!r} and {name!r}, which are the same field, with two values"
                raise AmbiguousFrameError(problem)
            values[field] = value
            found[field] = name
        return values, found
