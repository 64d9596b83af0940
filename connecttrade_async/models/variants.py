"""Read objects with other names or with numbers for text, and compile models that read them fast.

A lenient reading finds a field in any case of its name, and takes a number for the text of its digits. It is about ten
times slower than decoding. So what it learns is compiled: ``compile_model`` returns a model with the other names.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from connecttrade_async.dialect.tolerance import fold_name
from connecttrade_async.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "CASES",
    "LearnedNames",
    "ModelVariant",
    "NumberText",
    "compile_model",
    "convert_hook",
    "model_in",
    "models_inside",
    "respell",
]

_PARSED = "_text"  # the end of the names of fields that a descriptor parses
Model = type[msgspec.Struct]


class NumberText(str):
    """The text of a JSON number, where a decoder has it as its ``float_hook``."""

    __slots__ = ()


class _AnyText(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, str)


class Text(metaclass=_AnyText):
    """The type of a field that takes a number for its text. Its values are plain text: msgspec asks ``isinstance``."""


def _camel(name: str) -> str:
    first, *rest = name.replace("-", "_").split("_")
    return first + "".join(word.capitalize() for word in rest)


# The cases of names, by name of the case; each rewrites a documented name, which is in snake case.
CASES: Mapping[str, Callable[[str], str]] = {
    "snake": str,
    "camel": _camel,
    "pascal": lambda name: _camel(f"_{name}"),
    "kebab": lambda name: name.replace("_", "-"),
    "upper": str.upper,
}


class LearnedNames:
    """The names and numbers of one server: those that are configured, and those that its objects have shown.

    Args:
        case: the case of names that were not seen yet; a key of ``CASES``.
        aliases: names on the wire that no case explains, by model and documented name.

    Attributes:
        aliases: the same by model and field.
        names: the seen name on the wire, by model and field.
        numbers: the fields of text that came as numbers, by model.
        is_mixed: whether one field came under different names.
        version: grows with everything learned.
    """

    __slots__ = ("_by_alias", "_case", "aliases", "is_mixed", "names", "numbers", "version")

    def __init__(self, case: str = "snake", aliases: Mapping[tuple[Model, str], str] | None = None) -> None:
        self._case = case
        self.aliases = {
            (model, _fields(model).by_wire_name[documented].name): alias
            for (model, documented), alias in (aliases or {}).items()
        }
        self._by_alias = {(model, name): field for (model, field), name in self.aliases.items()}
        self.names: dict[tuple[Model, str], str] = {}
        self.numbers: set[tuple[Model, str]] = set()
        self.is_mixed = False
        self.version = 0

    def learn_name(self, model: Model, field: str, name: str) -> None:
        """Record the name of a field on the wire."""
        alias = self.aliases.get((model, field))
        if alias is not None:
            # An alias holds for the streams too, and the API may write another name there.
            self.is_mixed |= name != alias
            return
        known = self.names.get((model, field))
        if known is None:
            self.names[model, field] = name
            self.version += 1
        elif known != name:
            self.is_mixed = True

    def learn_number(self, model: Model, field: str) -> None:
        """Record that a field of text came as a number."""
        if (model, field) not in self.numbers:
            self.numbers.add((model, field))
            self.version += 1

    def has_numbers(self, model: Model, field: str) -> bool:
        """Return whether a field may come as a number: it did, or another of the same model that holds a number did."""
        if field.endswith(_PARSED):
            return any(each is model and name.endswith(_PARSED) for each, name in self.numbers)
        return (model, field) in self.numbers

    @property
    def case(self) -> str | None:
        """The case of all names, as far as they were seen; None where no single case explains them."""
        if self.is_mixed:
            return None
        seen = Counter[str]()
        for (model, field), name in self.names.items():
            documented = _fields(model).by_field[field].wire_name
            seen.update(case for case, rewrite in CASES.items() if rewrite(documented) == name)
        order = [self._case, *(case for case in CASES if case != self._case)]
        return next((case for case in order if seen[case] == len(self.names)), None)

    def field_of(self, model: Model, name: str) -> _Field | None:
        """Return the field that a name on the wire stands for, in any case of it; None where there is none."""
        fields = _fields(model)
        alias = self._by_alias.get((model, name))
        if alias is not None:
            return fields.by_field[alias]
        return fields.by_wire_name.get(name) or fields.by_fold.get(fold_name(name))

    def name_of(self, model: Model, field: str, case: str) -> str:
        """Return the name of a field on the wire: its alias, as it was seen, or in a case."""
        known = self.aliases.get((model, field)) or self.names.get((model, field))
        return known or CASES[case](_fields(model).by_field[field].wire_name)


class _Field(NamedTuple):
    """One field of a model.

    Attributes:
        name: its name in the model.
        wire_name: its documented name.
        model: the model of its value or of the items of its value, or None.
    """

    name: str
    wire_name: str
    model: Model | None


class _FieldIndex(NamedTuple):
    by_field: Mapping[str, _Field]
    by_wire_name: Mapping[str, _Field]
    by_fold: Mapping[str, _Field]


@lru_cache(maxsize=256)
def _fields(model: Model) -> _FieldIndex:
    kinds = {each.name: each.type for each in cast("Any", msgspec.inspect.type_info(model)).fields}
    fields = [
        _Field(each.name, each.encode_name, model_in(kinds[each.name]))
        for each in msgspec.structs.fields(model)
        if not each.encode_name.startswith("_")
    ]
    return _FieldIndex(
        {each.name: each for each in fields},
        {each.wire_name: each for each in fields},
        {fold_name(each.wire_name): each for each in reversed(fields)},
    )


def model_in(kind: msgspec.inspect.Type) -> Model | None:
    """Return the model of a field: of its value, of the items of its list, or of one of its types."""
    match kind:
        case msgspec.inspect.StructType():
            return kind.cls
        case msgspec.inspect.CollectionType():
            return model_in(kind.item_type)
        case msgspec.inspect.UnionType():
            return next(filter(None, map(model_in, kind.types)), None)
        case _:
            return None


def models_inside(model: Model) -> tuple[Model, ...]:
    """Return a model and every model inside it."""
    inner = (each.model for each in _fields(model).by_field.values() if each.model is not None)
    return (model, *(each for found in inner for each in models_inside(found)))


def respell(value: dict[str, object], model: Model, learned: LearnedNames) -> dict[str, object]:
    """Return a JSON object with the documented names of a model, and with text for its numbers.

    The object is decoded with ``float_hook=Digits``, so that each number keeps its digits. Unknown names are left out.

    Args:
        value: the object.
        model: the model that will read it.
        learned: records the names and numbers of the value.

    Raises:
        ValidationError: two names of one field have different values.
    """
    named: dict[str, tuple[_Field, str, object]] = {}
    for name, each in value.items():
        field = learned.field_of(model, name)
        if field is None:
            continue
        other = named.get(field.name)
        # A documented name takes precedence, and an alternative that is null says nothing.
        if other is None or other[2] is None or (name == field.wire_name and each is not None):
            named[field.name] = field, name, each
        elif each is not None and other[1] != field.wire_name and other[2] != each:
            msg = f"Object has `{other[1]}` and `{name}` with different values"
            raise msgspec.ValidationError(msg)
    for field, name, _ in named.values():
        learned.learn_name(model, field.name, name)
    return {field.wire_name: _value(each, model, field, learned) for field, _, each in named.values()}


def _value(value: object, model: Model, field: _Field, learned: LearnedNames) -> object:
    if field.model is not None:
        items = cast("list[object]", value) if isinstance(value, list) else [value]
        read = [
            respell(cast("dict[str, object]", each), field.model, learned) if isinstance(each, dict) else each
            for each in items
        ]
        return read if isinstance(value, list) else read[0]
    if isinstance(value, NumberText) or (isinstance(value, int) and not isinstance(value, bool)):
        learned.learn_number(model, field.name)
        return str(value)
    return value


def convert_hook(kind: type, value: object) -> object:
    """Build a ``Secret`` or the text of a number from a decoded value; a ``dec_hook`` of msgspec."""
    if kind is Secret:
        return Secret(cast("str", value))
    if isinstance(value, bool) or not isinstance(value, str | int):
        msg = "Expected `str`"
        raise ValueError(msg)  # noqa: TRY004 - msgspec turns it into a ValidationError
    return str(value)


class ModelVariant(NamedTuple):
    """A model with other names, and how its instances become those of the documented model.

    Attributes:
        model: the documented model.
        variant: the class to decode; ``model`` itself where nothing differs.
        inner: the fields with tuples of other variants.
    """

    model: Model
    variant: Model
    inner: tuple[tuple[str, ModelVariant], ...]

    def restore(self, instances: Iterable[object]) -> None:
        """Turn instances of the variant into instances of the model, in place.

        A variant is equal to no model, and cannot be pickled. Its layout is that of the model, so changing the class
        costs 0.1 us, and copying the fields 2 us.
        """
        if self.variant is self.model:
            return
        for each in instances:
            _set_class(each, self.model)
            for name, compiled in self.inner:
                compiled.restore(getattr(each, name) or ())


_set_class: Callable[[object, type], None] = object.__dict__["__class__"].__set__  # the model's own setter refuses


def compile_model(model: Model, learned: LearnedNames) -> ModelVariant:
    """Return a model that reads the names and numbers of a server as fast as the documented ones.

    A field that was not seen yet gets the case of the others.

    Args:
        model: the documented model.
        learned: what was seen, of a case that is known.
    """
    case = learned.case or "snake"
    inner: list[tuple[str, ModelVariant]] = []
    names: dict[str, str] = {}
    defined: list[Any] = []
    is_other = False
    fields = _fields(model).by_field
    for each in msgspec.structs.fields(model):
        field, kind = fields.get(each.name), each.type
        if field is None:
            names[each.name] = each.encode_name
        else:
            names[each.name] = learned.name_of(model, each.name, case)
            is_other |= names[each.name] != field.wire_name
            if field.model is not None and (compiled := compile_model(field.model, learned)).variant is not field.model:
                inner.append((each.name, compiled))
                kind = cast("Any", tuple)[compiled.variant, ...] | None
            elif learned.has_numbers(model, each.name):
                kind = Text | None if each.default is None else Text
        defined.append((each.name, kind) if each.required else (each.name, kind, each.default))
    if not (is_other or inner or any(kind is model for kind, _ in learned.numbers)):
        return ModelVariant(model, model, ())
    # Two fields may be forms of one name, such as ``user_secret`` and ``user-secret``: the first gets it.
    taken: dict[str, str] = {}
    for field_name, name in names.items():
        if taken.setdefault(name, field_name) != field_name:
            names[field_name] = f"_{field_name}"
    variant = msgspec.defstruct(
        model.__name__, defined, bases=(model,), rename=names, frozen=True, kw_only=True, gc=False
    )
    return ModelVariant(model, variant, tuple(inner))
