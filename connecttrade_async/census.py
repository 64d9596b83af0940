"""Compare the names in a JSON object with the fields of its model.

A name that no field reads is no error, and a field that never comes is None. So without this comparison, a server with
other names would go unnoticed. Decoding skips names, so the objects are compared once for each kind, not each time.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec

from connecttrade_async.dialect.tolerance import fold_name
from connecttrade_async.models.fields import number
from connecttrade_async.models.variants import model_in

if TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Iterable, Mapping

__all__ = ["NameCensus", "NameReport", "compare_names", "safe_name"]

MAX_OBJECTS = 10  # objects of one list that are compared
MAX_NAMES = 20  # names in one line of the log
# A name may be a secret too, as where an object maps tokens to values; the names of the API are short, without digits.
_SAFE_NAME = re.compile(r"[A-Za-z][A-Za-z_-]{0,31}")


class NameReport(NamedTuple):
    """The result of a comparison. Names are paths, such as ``fills[].venue``.

    Attributes:
        unread: names that came and that no field reads.
        absent: names of fields that did not come.
        respelled: names that came in another case, so that only a lenient reading finds their fields.
        numberless: names of the models of which no number came, although they have fields for numbers.
    """

    unread: tuple[str, ...]
    absent: tuple[str, ...]
    respelled: tuple[str, ...]
    numberless: tuple[str, ...]


class _ModelFields(NamedTuple):
    """The fields of a model, by their names on the wire."""

    models: Mapping[str, type[msgspec.Struct] | None]  # the model of the values, or None
    folded: Mapping[str, str]
    numbers: frozenset[str]


def safe_name(name: str) -> str:
    """Return a name of the wire for a message; only its length where it may be a secret."""
    return name if _SAFE_NAME.fullmatch(name) else f"name({len(name)})"


def compare_names(
    objects: Iterable[object], model: type[msgspec.Struct], *, also_read: Collection[str] = ()
) -> NameReport:
    """Compare the names of objects with the fields of a model, and of the models inside it.

    A name counts as absent if no object has it, and as unread if any has it. At most ten objects are compared.

    Args:
        objects: the decoded JSON values; those that are no object are skipped.
        model: the model.
        also_read: names that something else reads, such as those of the frame around a payload.
    """
    found: tuple[list[str], ...] = ([], [], [], [])
    _compare(_objects(islice(objects, MAX_OBJECTS)), model, "", frozenset(map(fold_name, also_read)), found)
    return NameReport(*map(tuple, found))


def _compare(
    objects: list[dict[str, object]],
    model: type[msgspec.Struct],
    prefix: str,
    also_read: frozenset[str],
    found: tuple[list[str], ...],
) -> None:
    unread, absent, respelled, numberless = found
    fields = _fields(model)
    values: dict[str, list[object]] = {}
    for name in dict.fromkeys(name for each in objects for name in each):
        field = name if name in fields.models else fields.folded.get(fold_name(name))
        if field is None:
            if fold_name(name) not in also_read:
                unread.append(prefix + safe_name(name))
            continue
        if field != name:
            respelled.append(prefix + safe_name(name))
        values.setdefault(field, []).extend(each[name] for each in objects if name in each)
    absent.extend(prefix + name for name in fields.models if name not in values)
    numbers = (value for name in fields.numbers for value in values.get(name, ()))
    if fields.numbers and all(value is None or value == "" for value in numbers):
        numberless.append(model.__name__)
    for name, inner in fields.models.items():
        if inner is None:
            continue
        for suffix, kept in (("[].", _items(values.get(name, ()))), (".", _objects(values.get(name, ())))):
            if kept:
                _compare(kept, inner, prefix + name + suffix, frozenset(), found)


def _objects(values: Iterable[object]) -> list[dict[str, object]]:
    return [cast("dict[str, object]", value) for value in values if isinstance(value, dict)]


def _items(values: Iterable[object]) -> list[dict[str, object]]:
    return [item for value in values if isinstance(value, list) for item in _objects(cast("list[object]", value))]


@lru_cache(maxsize=256)
def _fields(model: type[msgspec.Struct]) -> _ModelFields:
    info = msgspec.inspect.type_info(model)
    fields = [each for each in cast("msgspec.inspect.StructType", info).fields if not each.encode_name.startswith("_")]
    models = {each.encode_name: model_in(each.type) for each in fields}
    folded = {fold_name(name): name for name in models}
    for tag in filter(None, [model.__struct_config__.tag_field]):
        folded[fold_name(tag)] = tag
    for base in model.__mro__[1:]:
        # A compiled model has other names; under its documented one a field is there all the same.
        if model.__struct_fields__ == getattr(base, "__struct_fields__", ()):
            documented = cast("type[msgspec.Struct]", base).__struct_encode_fields__
            for name, own in zip(documented, model.__struct_encode_fields__, strict=True):
                folded.setdefault(fold_name(name), own)
    numbers = frozenset(each.encode_name for each in fields if _is_number(model, each.name))
    return _ModelFields(models, folded, numbers)


def _is_number(model: type[msgspec.Struct], field: str) -> bool:
    return isinstance(getattr(model, field.removesuffix("_text"), None), number)


class NameCensus:
    """Compares the first objects of each kind, and logs the names that differ.

    Args:
        log: the logger for the findings.
    """

    __slots__ = ("_known", "_log", "_unread")

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._known: set[str] = set()
        self._unread: dict[str, tuple[str, ...]] = {}

    @property
    def unread(self) -> dict[str, tuple[str, ...]]:
        """The names that came and are not read, by kind; a copy."""
        return dict(self._unread)

    def is_due(self, kind: str) -> bool:
        """Return whether no object of a kind was compared yet."""
        return kind not in self._known

    def add(
        self, kind: str, objects: Iterable[object], model: type[msgspec.Struct], *, also_read: Collection[str] = ()
    ) -> NameReport:
        """Compare the first objects of a kind and log the result; the arguments are those of ``compare_names``.

        Args:
            kind: the kind of the objects, such as ``GET /orders`` or the tag of a frame.
            objects: the decoded JSON values.
            model: the model.
            also_read: names that something else reads.
        """
        report = compare_names(objects, model, also_read=also_read)
        self._known.add(kind)
        if report.unread:
            self._unread[kind] = report.unread
            self._log.info("%s: names that came and are not read: %s", kind, _listed(report.unread))
        if report.absent:
            self._log.info("%s: names that did not come: %s", kind, _listed(report.absent))
        if report.numberless:
            models = _listed(report.numberless)
            self._log.warning("%s: no number of %s came, so each of them is None", kind, models, extra={"kind": kind})
        return report


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more
