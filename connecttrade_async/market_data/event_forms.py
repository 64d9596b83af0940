"""Read market data in any form that can mean one thing, and learn the form.

This reading is slow. What it learns is a dialect, which compiles to a decoder that reads the same frames fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from connecttrade_async.dialect.names import AmbiguousFrameError, FieldTable, camel, wire_name
from connecttrade_async.dialect.parts import FieldNames, MarketTags
from connecttrade_async.errors import ConfigurationError
from connecttrade_async.market_data.names import CHAIN, HOURS, INTERVALS, MarketDataNames
from connecttrade_async.models.market import (
    Bar,
    Depth,
    Greeks,
    Level,
    MarketUpdate,
    OptionContract,
    OptionsChain,
    Quote,
    Trade,
)
from connecttrade_async.streaming.digits import number_text
from connecttrade_async.streaming.forms import FormFinder, FrameForm
from connecttrade_async.streaming.signs import value_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connecttrade_async.dialect.value import Dialect

__all__ = ["ENVELOPE", "INNER", "KINDS", "MODELS", "SUBJECTS", "EventForms", "MarketReading", "ambient_of"]

KINDS: dict[str, type[MarketUpdate]] = {
    "quote": Quote,
    "trade": Trade,
    "bar": Bar,
    "depth": Depth,
    CHAIN: OptionsChain,
}
PLURALS = {kind: f"{kind}s" for kind in KINDS}
MODELS: dict[str, type[msgspec.Struct]] = {**KINDS, "level": Level, "option_contract": OptionContract, "greeks": Greeks}
INNER = {"bids": "level", "asks": "level", "contracts": "option_contract", "greeks": "greeks"}
"""The models inside of models, by field."""
# Fields that name what an event is about. A frame may have them beside the payload.
SUBJECTS = ("symbol", "underlying", "interval", "expiration")
# Names of the frame that no event reads, and that are no news.
ENVELOPE = ("id", "channel", "topic", "sequence", "seq")


def fields_of(model: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the names of a model's fields; private ones are not on the wire."""
    return tuple(name for name in model.__struct_encode_fields__ if not name.startswith("_"))


def ambient_of(kind: str) -> tuple[str, ...]:
    """Return the fields of a kind that may stand beside its payload."""
    return tuple(name for name in fields_of(KINDS[kind]) if name in {*SUBJECTS, "timestamp"})


class MarketReading(NamedTuple):
    """Market data and the form of its frame.

    Attributes:
        event: the event; its ``raw`` is not set.
        form: the form of its frame.
        tag: the text that names the kind, or ``""``.
        names: the names on the wire by model and field.
        outer: the fields that stood beside the payload.
        fields: the members of the payload, by the names of the model where it has them.
        has_numbers: whether the frame has numbers where text is documented.
    """

    event: MarketUpdate
    form: FrameForm
    tag: str
    names: dict[str, dict[str, str]]
    outer: dict[str, str]
    fields: dict[str, Any]
    has_numbers: bool


class EventForms:
    """Reads market data in the forms of one dialect and in all forms that are unambiguous.

    Args:
        dialect: how the server speaks.
        words: translates the values of options; by default those of the dialect.
    """

    def __init__(self, dialect: Dialect, words: MarketDataNames | None = None) -> None:
        self._dialect = dialect
        self._words = words or MarketDataNames(dialect)
        self._finder = FormFinder(dialect.market_data, PLURALS)
        self._tables = {name: FieldTable(dialect.names, name, fields_of(model)) for name, model in MODELS.items()}

    def form_of(self, frame: Mapping[str, Any]) -> FrameForm | None:
        """Return the form of market data; None for a frame that is none.

        Raises:
            AmbiguousFrameError: the frame can be read in two forms.
        """
        return self._finder.form_of(frame)

    def has_values(self, frame: Mapping[str, Any], form: FrameForm) -> bool:
        """Whether the payload has a field that says more than what it is about, as no confirmation has."""
        payload = value_at(frame, ".".join(form.path)) if form.path else frame
        if not isinstance(payload, dict):
            return isinstance(payload, list)
        table, common = self._tables[form.kind], {*SUBJECTS, "timestamp", "session"}
        named = {table.field_of(name) for name in cast("dict[str, Any]", payload) if name != form.tag}
        return not named <= {*common, None}

    def read(self, frame: Mapping[str, Any], form: FrameForm) -> MarketReading:
        """Return the event of a frame with one payload.

        Args:
            frame: the frame.
            form: its form.

        Raises:
            AmbiguousFrameError: the frame names two symbols, has one field twice with two values, or has a word that
                is not clear.
            msgspec.ValidationError: the payload does not fit its model.
        """
        payload = value_at(frame, ".".join(form.path)) if form.path else frame
        if not isinstance(payload, dict):
            problem = f"the frame has no {form.kind} in it"
            raise msgspec.ValidationError(problem)
        members = {
            name: value for name, value in cast("dict[str, Any]", payload).items() if form.path or name != form.tag
        }
        values, names = self.fields(form.kind, members)
        outer = self._add_outer(frame, form, values) if form.path else {}
        fields = {self._tables[form.kind].field_of(name) or name: value for name, value in members.items()}
        texts, has_numbers = number_text(values)
        event = msgspec.convert({**cast("dict[str, Any]", texts), "type": form.kind}, KINDS[form.kind])
        tag = str(value_at(frame, form.tag)) if form.tag else ""
        return MarketReading(self.with_words(event), form, tag, names, outer, {**fields, **outer}, has_numbers)

    def with_words(self, event: MarketUpdate) -> MarketUpdate:
        """Return an event with its interval or hours in the words of this library.

        Raises:
            AmbiguousFrameError: the interval is none of those that can be requested.
        """
        if isinstance(event, Bar) and event.interval not in INTERVALS:
            return msgspec.structs.replace(event, interval=self.interval(event.interval))
        if isinstance(event, Trade) and event.hours is not None and event.hours not in HOURS:
            word = self._words.word("session", event.hours)
            folded = word.strip().casefold()
            return msgspec.structs.replace(event, hours=folded if folded in HOURS else word)
        return event

    def interval(self, text: str) -> str:
        """Return the interval that a text of the wire names.

        Raises:
            AmbiguousFrameError: it is none of those that can be requested. ``1M`` may be a month as well.
        """
        word = str(self._words.word("interval", text))
        folded = word.replace(" ", "")
        folded = folded if folded.endswith("M") else folded.lower()
        if folded not in INTERVALS:
            known = ", ".join(INTERVALS)
            problem = f"the interval {text!r} is none of {known}; a Dialect can say which one it is"
            raise AmbiguousFrameError(problem)
        return folded

    def fields(self, model: str, members: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
        """Return the fields of an object by the names of its model, and their names on the wire by model.

        Raises:
            AmbiguousFrameError: the object has one field twice with two values.
        """
        values, spelled = self._tables[model].pick(members)
        names = {model: spelled}
        for field, inner in INNER.items():
            value = values.get(field)
            if isinstance(value, dict):
                values[field] = self._inner(inner, cast("dict[str, Any]", value), names)
            elif isinstance(value, list):
                values[field] = [
                    self._inner(inner, cast("dict[str, Any]", item), names) if isinstance(item, dict) else item
                    for item in cast("list[object]", value)
                ]
        return values, names

    def _inner(self, model: str, members: Mapping[str, Any], names: dict[str, dict[str, str]]) -> dict[str, Any]:
        values, found = self.fields(model, members)
        for name, spelled in found.items():
            names.setdefault(name, {}).update(spelled)
        return values

    def inner_fields(self, field: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Return a value with the names of the models inside it, where its field holds some."""
        model = INNER.get(field)
        if model is None:
            return value
        if isinstance(value, list):
            return [self.inner_fields(field, item) for item in cast("list[object]", value)]
        if not isinstance(value, dict):
            return value
        table = self._tables[model]
        named = {table.field_of(name) or name: each for name, each in cast("dict[str, Any]", value).items()}
        return {name: self.inner_fields(name, each) for name, each in named.items()}

    def _add_outer(self, frame: Mapping[str, Any], form: FrameForm, values: dict[str, Any]) -> dict[str, str]:
        """Add the fields that stand beside the payload; return their names on the wire."""
        around: list[Mapping[str, Any]] = [frame]
        for name in form.path[:-1]:
            around.append(cast("Mapping[str, Any]", around[-1][name]))
        outer: dict[str, str] = {}
        for part in around:
            found, spelled = self._tables[form.kind].pick(
                {name: each for name, each in part.items() if name != form.tag}
            )
            for field in ambient_of(form.kind):
                value = found.get(field)
                if value is None or not isinstance(value, str | int):
                    continue
                known = values.get(field)
                if known is None:
                    values[field], outer[field] = value, spelled[field]
                elif field in SUBJECTS and str(known) != str(value):
                    problem = f"the frame has two values of {field}: {value!r} and {known!r}"
                    raise AmbiguousFrameError(problem)
        return outer

    def learned(self, reading: MarketReading) -> Dialect | None:
        """Return the dialect that the form of a frame belongs to, or None for a form that no dialect has."""
        form, part = reading.form, self._dialect.market_data
        if not form.tag or len(form.path) > 1:
            return None
        tags = {name: getattr(part.updates, name) for name in part.updates.__struct_fields__}
        known: tuple[str, ...] = tags[form.kind]
        if reading.tag not in known:
            # Another spelling replaces the one that it differs from by case alone: tags must differ in more.
            tags[form.kind] = (reading.tag, *(each for each in known if each.casefold() != reading.tag.casefold()))
        path = ".".join(form.path)
        payload = (path, *(each for each in part.payload if each != path))
        names = _learned_names(self._dialect.names, reading.names)
        try:
            market_data = msgspec.structs.replace(part, tag=form.tag, updates=MarketTags(**tags), payload=payload)
            return msgspec.structs.replace(self._dialect, market_data=market_data, names=names)
        except ConfigurationError:
            return None  # a tag or name that no dialect may have, for example with spaces


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
