"""Read an update of the brokerage stream in any form that can mean one thing, and learn the form.

This reading is slow. What it learns is a dialect, which compiles to a decoder that reads the same frames fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

import msgspec

from connecttrade_async.dialect.names import AmbiguousFrameError, FieldTable, camel, wire_name, wire_path
from connecttrade_async.dialect.parts import FieldNames, UpdateTags
from connecttrade_async.dialect.tolerance import TAG_FIELDS, WRAPPERS, fold_name, fold_tag
from connecttrade_async.dialect.value import Dialect
from connecttrade_async.models.balances import Balance
from connecttrade_async.models.events import BalanceUpdate, OrderUpdate, PositionUpdate
from connecttrade_async.models.orders import Fill, Leg, Order
from connecttrade_async.models.positions import Position
from connecttrade_async.streaming.digits import number_text
from connecttrade_async.streaming.signs import value_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "INNER",
    "KINDS",
    "FrameNames",
    "UpdateForm",
    "UpdateForms",
    "UpdateKind",
    "UpdateReading",
    "form_text",
    "payload_path",
]

Update: TypeAlias = OrderUpdate | PositionUpdate | BalanceUpdate
OWNERS = ("user_id", "account_id")
ACCOUNT = "account"
UNSPECIFIC = frozenset({"account_id", "account_number", "currency"})  # fields that say nothing of their own


class UpdateKind(NamedTuple):
    """One kind of update.

    Attributes:
        name: the name: ``order``, ``position`` or ``balance``.
        plural: the plural of the name.
        update: the class of the event.
        model: the class of its payload.
    """

    name: str
    plural: str
    update: type[Update]
    model: type[Order | Position | Balance]


KINDS = {
    "order": UpdateKind("order", "orders", OrderUpdate, Order),
    "position": UpdateKind("position", "positions", PositionUpdate, Position),
    "balance": UpdateKind("balance", "balances", BalanceUpdate, Balance),
}
INNER: dict[str, tuple[str, type[Fill | Leg]]] = {"fills": ("fill", Fill), "legs": ("leg", Leg)}
"""The lists of models in an order, by field: the name of the model, and its class."""


class UpdateForm(NamedTuple):
    """Where a frame has the parts of its update.

    Attributes:
        kind: the kind of update.
        tag: the member that names the kind, or ``""`` if the payload's own name does.
        path: the names of the members on the way to the payload; empty where its fields stand beside the tag.
    """

    kind: UpdateKind
    tag: str
    path: tuple[str, ...]


class FrameNames(NamedTuple):
    """The names in one frame.

    Attributes:
        tag: the text that names the kind.
        paths: the members with the owner's ids and the time, by the name of the setting in the dialect.
        names: the names on the wire by model and field.
    """

    tag: str
    paths: dict[str, str]
    names: dict[str, dict[str, str]]


class UpdateReading(NamedTuple):
    """An update and the form of its frame.

    Attributes:
        update: the event; its ``raw`` is not set.
        form: the form of its frame.
        spelled: the names in its frame.
        has_numbers: whether the frame has numbers where text is documented.
    """

    update: Update
    form: UpdateForm
    spelled: FrameNames
    has_numbers: bool


class UpdateForms:
    """Reads updates in the forms of one dialect and in all forms that are unambiguous.

    Args:
        dialect: the dialect.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._part = dialect.brokerage
        self._kinds: dict[str, UpdateKind] = {}
        for name, kind in KINDS.items():
            for tag in (name, *getattr(self._part.updates, name)):
                self._kinds[tag.casefold()] = self._kinds[fold_tag(tag)] = kind
        models = {name: kind.model for name, kind in KINDS.items()} | dict(INNER.values())
        self._tables = {
            name: FieldTable(dialect.names, name, model.__struct_encode_fields__) for name, model in models.items()
        }

    def form_of(self, frame: Mapping[str, Any]) -> UpdateForm | None:
        """Return the form of an update; None for a frame that is no update.

        Raises:
            AmbiguousFrameError: the frame can be read in two forms.
        """
        tags = list(self._tags(frame))
        named = [(tag, kind) for tag, text in tags if (kind := self._kind_of(text)) is not None]
        if len({kind.name for _, kind in named}) > 1:
            problem = f"the frame names two kinds: {' and '.join(sorted({kind.name for _, kind in named}))}"
            raise AmbiguousFrameError(problem)
        if named:
            tag, kind = named[0]
            return UpdateForm(kind, tag, self._path(frame, kind))
        if any(fold_tag(text) for _, text in tags):
            return None
        return self._untagged_form(frame)

    def _tags(self, frame: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield the members that may name the kind, with their texts; the dialect's own comes first."""
        own = value_at(frame, self._part.tag)
        if isinstance(own, str):
            yield self._part.tag, own
        for name, value in frame.items():
            is_tag = name in TAG_FIELDS or name.lower() in TAG_FIELDS[:4]
            if is_tag and name != self._part.tag and isinstance(value, str):
                yield name, value

    def _kind_of(self, text: str) -> UpdateKind | None:
        return self._kinds.get(text[:100].casefold()) or self._kinds.get(fold_tag(text))

    def _untagged_form(self, frame: Mapping[str, Any]) -> UpdateForm | None:
        """Return the form of a frame without a kind, of which the payload's own name is one."""
        found: list[UpdateForm] = []
        for name in ("", *_containers(frame, WRAPPERS)):
            inner: Any = frame[name] if name else frame
            members = cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}
            for kind in KINDS.values():
                path = (name,) if name else ()
                found += [
                    UpdateForm(kind, "", (*path, each)) for each in _containers(members, (kind.name, kind.plural))
                ]
        if len(found) > 1:
            problem = f"the frame has more than one payload: {', '.join('.'.join(form.path) for form in found)}"
            raise AmbiguousFrameError(problem)
        return found[0] if found else None

    def _path(self, frame: Mapping[str, Any], kind: UpdateKind) -> tuple[str, ...]:
        for pattern in self._part.payload:
            path = payload_path(pattern, kind)
            if path and isinstance(value_at(frame, path), dict | list):
                return _innermost(frame, tuple(path.split(".")), kind)
        found = _containers(frame, (*WRAPPERS, kind.name, kind.plural))
        if not found:
            return ()
        if len(found) > 1:
            problem = f"the frame has more than one payload: {', '.join(found)}"
            raise AmbiguousFrameError(problem)
        return _innermost(frame, (found[0],), kind)

    def has_other_names(self, frame: Mapping[str, Any]) -> bool:
        """Return whether an update has fields under other names than those of the dialect.

        Raises:
            AmbiguousFrameError: the frame can be read in two forms.
        """
        names, part, form = self._dialect.names, self._part, self.form_of(frame)
        heads = {fold_name(each): wire_path(names, each) for each in (part.user_id, part.account_id, part.time)}
        if any(heads.get(fold_name(name), name) != name for name in frame):
            return True
        if form is None:
            return False
        payload = value_at(frame, ".".join(form.path)) if form.path else frame
        model = form.kind.name
        fields = ((name, self._tables[model].field_of(name)) for name in cast("Mapping[str, Any]", payload))
        return any(field is not None and wire_name(names, model, field) != name for name, field in fields)

    def read(self, frame: Mapping[str, Any], form: UpdateForm) -> UpdateReading:
        """Return the update of a frame with one payload.

        Args:
            frame: the frame.
            form: its form.

        Raises:
            AmbiguousFrameError: the frame names two owners, or has one field twice with two values.
            msgspec.ValidationError: the payload does not fit its model.
        """
        payload = value_at(frame, ".".join(form.path)) if form.path else frame
        members = cast("dict[str, Any]", payload)
        owners, spelled = self._owners(frame, form, members)
        values, names = self._fields(form.kind.name, members)
        if not values.keys() - UNSPECIFIC:
            problem = f"the frame has no field of the kind {form.kind.name}"
            raise msgspec.ValidationError(problem)
        values = {"account_id": owners.get("account_id"), **values}
        if values["account_id"] is None:
            values["account_id"] = owners.get("account_id")
        time_name = self._time_name(frame)
        time = value_at(frame, time_name)
        texts, has_numbers = number_text({**owners, "timestamp": time, "data": values})
        tag = str(value_at(frame, form.tag)) if form.tag else ""
        update = msgspec.convert(
            {"_form": self._form_text(form, names), **cast("dict[str, Any]", texts)},
            form.kind.update,
        )
        return UpdateReading(update, form, FrameNames(tag, {**spelled, "time": time_name}, names), has_numbers)

    def _form_text(self, form: UpdateForm, names: Mapping[str, Mapping[str, str]]) -> str:
        own = names[form.kind.name].items()
        is_default = form.path == Dialect.default.brokerage.payload and all(field == wire for field, wire in own)
        return "" if is_default else form_text(self._dialect, form.kind.name, ".".join(form.path))

    def owners(self, frame: Mapping[str, Any], form: UpdateForm) -> dict[str, str]:
        """Return the owner's ids in a frame, by name.

        Raises:
            AmbiguousFrameError: the frame names two owners.
        """
        payload = value_at(frame, ".".join(form.path)) if form.path else frame
        return self._owners(frame, form, cast("Mapping[str, Any]", payload))[0]

    def _owners(
        self, frame: Mapping[str, Any], form: UpdateForm, payload: Mapping[str, Any]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Return the owner's ids by name, and the paths at which the frame itself has them."""
        parts: list[Mapping[str, Any]] = [frame]
        for name in form.path:
            parts.append(cast("Mapping[str, Any]", parts[-1][name]))
        accounts = [each[name] for each in parts for name in _containers(each, (ACCOUNT,))]
        parts += [cast("Mapping[str, Any]", account) for account in accounts if isinstance(account, dict)]
        owners: dict[str, str] = {}
        paths: dict[str, str] = {}
        for owner in OWNERS:
            own_path = wire_path(self._dialect.names, getattr(self._part, owner))
            named = [(name, value) for part in parts for name, value in _ids(part, owner)]
            named += [(own_path, value) for part in (frame, payload) if (value := value_at(part, own_path)) is not None]
            found = {str(value) for _, value in named if value != "" and isinstance(value, str | int)}
            if len(found) > 1:
                problem = f"the frame names more than one {owner}: {', '.join(sorted(found))}"
                raise AmbiguousFrameError(problem)
            if found:
                owners[owner] = found.pop()
            spelled = [name for name, _ in _ids(frame, owner)]
            paths[owner] = spelled[0] if spelled and value_at(frame, own_path) is None else own_path
        return owners, paths

    def _time_name(self, frame: Mapping[str, Any]) -> str:
        own_path = wire_path(self._dialect.names, self._part.time)
        if value_at(frame, own_path) is not None:
            return own_path
        found = [name for name in frame if fold_name(name) == fold_name(self._part.time)]
        return found[0] if found else own_path

    def _fields(self, model: str, members: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
        """Return the fields of an object, and their names on the wire by model."""
        values, spelled = self._tables[model].pick(members)
        names = {model: spelled}
        for field, (inner, _) in INNER.items():
            if model == "order" and isinstance(values.get(field), list):
                listed = cast("list[Any]", values[field])
                picked = [
                    self._tables[inner].pick(cast("dict[str, Any]", row)) for row in listed if isinstance(row, dict)
                ]
                for _, found in picked:
                    names.setdefault(inner, {}).update(found)
                if len(picked) == len(listed):
                    values[field] = [row for row, _ in picked]
        return values, names

    def learned(self, reading: UpdateReading) -> Dialect | None:
        """Return the dialect that the form of a frame belongs to, or None for a form that no dialect has."""
        form, spelled, part = reading.form, reading.spelled, self._part
        if not form.tag:
            return None
        tags = {name: getattr(part.updates, name) for name in KINDS}
        known: tuple[str, ...] = tags[form.kind.name]
        if spelled.tag not in known:
            tags[form.kind.name] = (spelled.tag, *(each for each in known if each.casefold() != spelled.tag.casefold()))
        names = _learned_names(self._dialect.names, spelled.names)
        known_paths = {name: getattr(part, name) for name in spelled.paths}
        paths = {
            name: known_paths[name] if path == wire_path(names, known_paths[name]) else path
            for name, path in spelled.paths.items()
        }
        updates, payload = UpdateTags(**tags), (payload_pattern(form),)
        brokerage = msgspec.structs.replace(part, tag=form.tag, updates=updates, payload=payload, **paths)
        return msgspec.structs.replace(self._dialect, brokerage=brokerage, names=names)


def _innermost(frame: Mapping[str, Any], path: tuple[str, ...], kind: UpdateKind) -> tuple[str, ...]:
    """Return the path of a payload, one level deeper where a member there has the name of the kind."""
    inner = value_at(frame, ".".join(path))
    members = cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}
    deeper = _containers(members, (kind.name, kind.plural))
    return (*path, deeper[0]) if len(deeper) == 1 else path


def payload_path(pattern: str, kind: UpdateKind) -> str:
    """Return the path of a dialect for one kind: ``{kind}`` and ``{kinds}`` stand for its name and its plural."""
    return pattern.replace("{kind}", kind.name).replace("{kinds}", kind.plural)


def payload_pattern(form: UpdateForm) -> str:
    """Return the path of a form for the dialect."""
    names = {form.kind.name: "{kind}", form.kind.plural: "{kinds}"}
    return ".".join(names.get(name, name) for name in form.path)


def _containers(members: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    """Return the members with one of these names that hold an object or a list."""
    return [name for name, value in members.items() if isinstance(value, dict | list) and fold_name(name) in names]


def _ids(part: Mapping[str, Any], owner: str) -> list[tuple[str, Any]]:
    folded = fold_name(owner)
    return [(name, value) for name, value in part.items() if fold_name(name) == folded and value is not None]


def _learned_names(names: FieldNames, found: Mapping[str, Mapping[str, str]]) -> FieldNames:
    """Return names under which all found ones are expected."""
    if any(wire == camel(field) != field for spelled in found.values() for field, wire in spelled.items()):
        names = FieldNames(case="camel", aliases=names.aliases)
    aliases = {model: dict(known) for model, known in names.aliases.items()}
    for model, spelled in found.items():
        for field, wire in spelled.items():
            if wire != wire_name(names, model, field):
                aliases.setdefault(model, {})[field] = wire
    return FieldNames(case=names.case, aliases=aliases)


def form_text(dialect: Dialect, model: str, path: str) -> str:
    """Return what an event keeps of its frame's form: the path of the payload, and the aliases of its fields.

    Args:
        dialect: the dialect.
        model: the model of the payload, such as ``order``.
        path: the path of the payload, or ``""`` where its fields stand beside the tag.
    """
    aliases = sorted(dialect.names.aliases.get(model, {}).items())
    return ";".join((path or ".", *(f"{field}={wire}" for field, wire in aliases)))
