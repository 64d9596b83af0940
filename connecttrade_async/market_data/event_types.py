"""Compile a dialect into msgspec types, so that one decode reads its market data.

Each compiled class is a subclass of a public one with other names and tags and no further field. So a decoded event
can become one of its public class in place, and every other module sees public classes only.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from connecttrade_async.dialect.names import wire_name
from connecttrade_async.dialect.parts import FieldNames, MarketTags
from connecttrade_async.market_data.event_forms import INNER, KINDS, MODELS, SUBJECTS, ambient_of
from connecttrade_async.models.market import Depth, OptionsChain
from connecttrade_async.streaming.digits import quote_numbers
from connecttrade_async.streaming.frame_types import derive, names_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connecttrade_async.dialect.value import Dialect

__all__ = ["CompiledEvents", "compiled_events", "decode_event"]

keep = msgspec.structs.force_setattr
MAX_CACHED = 16  # dialects: their classes are never freed while they are cached
UNTAGGED = "\x00"  # the tag field of a payload inside its frame, which no object has


class AmbientField(NamedTuple):
    """A field that may stand beside the payload.

    Attributes:
        name: the name of the attribute.
        default: its value in a payload without it.
        is_subject: whether the event is about it, so that the frame and its payload must agree.
    """

    name: str
    default: str | None
    is_subject: bool


class CompiledEvents(NamedTuple):
    """The decoder of one dialect.

    Attributes:
        decode: decodes a frame to a compiled class.
        public: the public class of each compiled one, of models inside of models too.
        frames: the fields that may stand beside the payload, by the compiled class of a frame around a payload.
    """

    decode: Any
    public: Mapping[type, type]
    frames: Mapping[type, tuple[AmbientField, ...]]


def compiled_events(dialect: Dialect) -> CompiledEvents | None:
    """Return the decoder of a dialect, or None for a form that only the slow reading understands."""
    part = dialect.market_data
    if "." in part.tag + part.payload[0]:
        return None
    try:
        return _compiled(msgspec.json.encode((part.tag, part.updates, part.payload[0], dialect.names)))
    except ValueError:
        return None  # two fields of a frame have one name, such as the tag's


@lru_cache(maxsize=MAX_CACHED)
def _compiled(encoded: bytes) -> CompiledEvents:
    tag_field, updates, path, names = msgspec.json.decode(encoded, type=tuple[str, MarketTags, str, FieldNames])
    public: dict[type, type] = {}
    frames: dict[type, tuple[AmbientField, ...]] = {}
    inner = {name: _inner(name, names, public) for name in ("level", "greeks")}
    inner["option_contract"] = _inner("option_contract", names, public, {"greeks": inner["greeks"] | None})
    union: Any = None
    for kind, model in KINDS.items():
        types = {
            field: tuple.__class_getitem__((inner[INNER[field]], ...))
            for field in model.__struct_fields__
            if field in INNER
        }
        spelled = names_for(names, kind, model.__struct_encode_fields__)
        payload: Any = None
        if path:
            defaults = dict.fromkeys({"symbol", "underlying", "interval"} & set(model.__struct_fields__), "")
            payload = derive(model, spelled, types, defaults=defaults, tag_field=UNTAGGED, tag=kind)
            public[payload] = model
        for tag in getattr(updates, kind):
            if path:
                each, ambient = _frame(kind, path, payload, names, {"tag_field": tag_field, "tag": tag})
                frames[each] = ambient
            else:
                each = derive(model, spelled, types, tag_field=tag_field, tag=tag)
                public[each] = model
            union = each if union is None else union | each
    return CompiledEvents(msgspec.json.Decoder(union).decode, public, frames)


def _inner(name: str, names: FieldNames, public: dict[type, type], types: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - a class made here
    """Return the class of a model inside of models; the public one where its names are the same."""
    model = MODELS[name]
    spelled = names_for(names, name, model.__struct_encode_fields__)
    changed = any(field != wire for field, wire in spelled.items())
    if not changed and all(kind.__args__[0] not in public for kind in (types or {}).values()):
        return model
    derived = derive(model, spelled, types)
    public[derived] = model
    return derived


def _frame(
    kind: str,
    path: str,
    payload: Any,  # noqa: ANN401 - a class made here
    names: FieldNames,
    options: Mapping[str, Any],
) -> tuple[type, tuple[AmbientField, ...]]:
    """Return the class of a frame around a payload, and its fields."""
    model = KINDS[kind]
    attributes = dict(zip(model.__struct_encode_fields__, model.__struct_fields__, strict=True))
    fields: list[Any] = [("payload", payload, msgspec.field(name=path))]
    ambient: list[AmbientField] = []
    for field in ambient_of(kind):
        wire = wire_name(names, kind, field)
        if wire in {path, options["tag_field"]}:
            continue
        fields.append((attributes[field], str | None, msgspec.field(default=None, name=wire)))
        required = attributes[field] in {"symbol", "underlying", "interval"}
        ambient.append(AmbientField(attributes[field], "" if required else None, field in SUBJECTS))
    frame = msgspec.defstruct(f"{model.__name__}Frame", fields, frozen=True, kw_only=True, gc=False, **options)
    return frame, tuple(ambient)


def decode_event(found: CompiledEvents, raw: bytes, *, has_numbers: bool) -> Any:  # noqa: ANN401 - market data
    """Decode a frame with compiled types, and make each object one of its public class.

    Args:
        found: the types.
        raw: the frame.
        has_numbers: whether the frame may have numbers where text is documented.

    Raises:
        msgspec.MsgspecError: the frame is not of the form of the types.
        UnicodeDecodeError: a text in it is no UTF-8.
    """
    event = found.decode(quote_numbers(raw) if has_numbers else raw)
    ambient = found.frames.get(event.__class__)
    if ambient is not None:
        event = _with_ambient(event, ambient)
    model = found.public[event.__class__]
    keep(event, "__class__", model)
    if model is Depth:
        _publish(event.bids, found.public)
        _publish(event.asks, found.public)
    elif model is OptionsChain:
        _publish(event.contracts, found.public)
        for contract in event.contracts:
            if contract.greeks is not None:
                _publish((contract.greeks,), found.public)
    return event


def _publish(items: tuple[Any, ...], public: Mapping[type, type]) -> None:
    for item in items:
        model = public.get(item.__class__)
        if model is None:
            return  # its names are the same, and so its class is
        keep(item, "__class__", model)


def _with_ambient(frame: Any, ambient: tuple[AmbientField, ...]) -> Any:  # noqa: ANN401 - classes made here
    """Return the payload of a frame with the fields that stand beside it."""
    event = frame.payload
    for name, default, is_subject in ambient:
        value, outer = getattr(event, name), getattr(frame, name)
        if outer is not None and value == default:
            keep(event, name, outer)
        elif (is_subject and outer is not None and value != outer) or (outer is None and value == ""):
            problem = f"the frame has no {name}, or two"
            raise msgspec.ValidationError(problem)
    return event
