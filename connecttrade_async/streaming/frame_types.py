"""Compile a dialect into msgspec types, so that one decode reads its frames.

Each compiled class is a subclass of a public one with other names and tags and no further field. So a decoded object
can become one of its public class in place, and every other module sees public classes only.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from connecttrade_async.dialect.names import wire_name, wire_path
from connecttrade_async.dialect.tolerance import WRAPPERS
from connecttrade_async.dialect.value import Dialect
from connecttrade_async.models.events import BalanceUpdate, OrderUpdate
from connecttrade_async.streaming.codec import CONTROLS
from connecttrade_async.streaming.digits import quote_numbers
from connecttrade_async.streaming.update_forms import INNER, KINDS, form_text, payload_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connecttrade_async.dialect.parts import FieldNames

__all__ = ["FrameDecoders", "become_public", "compile_controls", "compiled", "decode_compiled", "derive", "reads_alike"]

keep = msgspec.structs.force_setattr
UPDATES: dict[Any, str] = {kind.update: name for name, kind in KINDS.items()}
CONTAINERS = (*WRAPPERS, *(name for kind in KINDS.values() for name in (kind.name, kind.plural)))
MAX_CACHED = 16  # dialects: their classes are never freed while they are cached


class FlatPayload(NamedTuple):
    """How to decode the payload of a frame in which it stands beside the tag.

    Attributes:
        decode: decodes the payload from the whole frame.
        update: the public class of the update.
        form: the text of the form, for the update.
    """

    decode: Any
    update: Any
    form: str


class FrameDecoders(NamedTuple):
    """The decoders of one dialect.

    Attributes:
        decode: decodes a frame to a compiled class.
        decode_list: decodes a list of frames.
        public: the public class of each compiled one.
        payloads: how to decode the payload in a second pass, by compiled class, where it stands beside the tag.
        user_key: the name of the user's id, quoted, as in a frame.
        first_second_user: the least offset of a second user id in a frame; 0 where the payload stands beside the tag.
    """

    decode: Any
    decode_list: Any
    public: Mapping[type, type]
    payloads: Mapping[type, FlatPayload]
    user_key: bytes
    first_second_user: int


def derive(
    model: type[msgspec.Struct],
    names: Mapping[str, str],
    types: Mapping[str, Any] | None = None,
    *,
    defaults: Mapping[str, Any] | None = None,
    **options: Any,  # noqa: ANN401 - options of a struct
) -> Any:  # noqa: ANN401 - a class made here
    """Return a subclass of a model with other names on the wire.

    Args:
        model: the model.
        names: other names of fields, by their name in the model's own encoding.
        types: other types of fields, by field.
        defaults: other defaults of fields, by field.
        options: options of the struct, such as its tag.
    """
    fields: list[Any] = []
    for each in msgspec.structs.fields(model):
        name, kind = names.get(each.encode_name, each.encode_name), (types or {}).get(each.name, each.type)
        if each.name in (defaults or {}):
            described = msgspec.field(default=(defaults or {})[each.name], name=name)
        elif each.required:
            described = msgspec.field(name=name)
        else:
            described = msgspec.field(default=each.default, name=name)
        fields.append((each.name, kind, described))
    return msgspec.defstruct(
        model.__name__, fields, bases=(model,), module=model.__module__, frozen=True, kw_only=True, gc=False, **options
    )


def names_for(names: FieldNames, model: str, fields: tuple[str, ...]) -> dict[str, str]:
    """Return the names of a model's fields on the wire; private ones keep theirs."""
    return {field: field if field.startswith("_") else wire_name(names, model, field) for field in fields}


def compiled(dialect: Dialect) -> FrameDecoders | None:
    """Return the decoders of a dialect, or None for a form that only the slow reading understands."""
    part = dialect.brokerage
    if "." in part.tag + part.time + part.payload[0]:
        return None
    try:
        return _compiled(msgspec.json.encode(dialect))
    except ValueError:
        return None  # two fields of a frame have one name, such as the tag's


@lru_cache(maxsize=MAX_CACHED)
def _compiled(encoded: bytes) -> FrameDecoders:
    dialect = msgspec.json.decode(encoded, type=Dialect)
    part, names = dialect.brokerage, dialect.names
    public: dict[type, type] = {}
    payloads: dict[type, FlatPayload] = {}
    classes: list[Any] = []
    ids = {
        "user_id": wire_path(names, part.user_id),
        "account_id": wire_path(names, part.account_id),
        "timestamp": wire_path(names, part.time),
    }
    inner: dict[str, Any] = {}
    for field, (model, item) in INNER.items():
        derived = derive(item, names_for(names, model, item.__struct_encode_fields__))
        inner[f"{field}_listed"] = tuple.__class_getitem__((derived, ...)) | None
        public[derived] = item
    for name, kind in KINDS.items():
        fields = kind.model.__struct_encode_fields__
        payload = derive(
            kind.model,
            names_for(names, name, fields),
            inner if name == "order" else None,
            # A frame that names its account need not repeat it in the payload.
            defaults={"account_id": ""} if name == "balance" else None,
        )
        public[payload] = kind.model
        path = payload_path(part.payload[0], kind)
        frame_names = {"data": path, **ids}
        defaults = {"form": form_text(dialect, name, path)}
        for tag in getattr(part.updates, name):
            options: dict[str, Any] = {"tag_field": part.tag, "tag": tag}
            if path:
                update = derive(kind.update, frame_names, {name: payload}, defaults=defaults, **options)
                public[update] = kind.update
            else:
                update = _envelope(name, frame_names, options)
                payloads[update] = FlatPayload(msgspec.json.Decoder(payload).decode, kind.update, defaults["form"])
            classes.append(update)
    controls = compile_controls(dialect.brokerage.tag, part.controls, names)
    public |= controls
    union: Any = classes[0]
    for each in (*classes[1:], *controls):
        union = union | each
    path, user = part.payload[0], f'"{ids["user_id"]}"'
    second = len(f'{{"{path}":{{{user}:1}},') if path and "{" not in path else 0
    decode, decode_list = msgspec.json.Decoder(union).decode, msgspec.json.Decoder(list.__class_getitem__(union)).decode
    return FrameDecoders(decode, decode_list, public, payloads, user.encode(), second)


def _envelope(name: str, names: Mapping[str, str], options: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a class made here
    fields: list[Any] = [
        (field, str | None, msgspec.field(default=None, name=names[wire]))
        for field, wire in (("user_id", "user_id"), ("account_id", "account_id"), ("time_text", "timestamp"))
    ]
    # A frame with one of these has a payload, and so is not flat.
    taken = {options["tag_field"], *names.values()}
    fields += [
        (
            member,
            msgspec.Raw,
            msgspec.field(default=msgspec.Raw(), name=member if member not in taken else f"_{member}"),
        )
        for member in CONTAINERS
    ]
    return msgspec.defstruct(f"Flat{name.title()}", fields, frozen=True, kw_only=True, gc=False, **options)


def compile_controls(tag_field: str, tags: Any, names: FieldNames) -> dict[type, type]:  # noqa: ANN401 - ControlTags
    """Return a compiled class for each tag of a control message, with its public class."""
    found: dict[type, type] = {}
    for name, kind in CONTROLS.items():
        spelled = names_for(names, name, kind.__struct_encode_fields__)
        # The tag takes the member of a field with its name; the field gets a name that does not occur.
        spelled = {field: f"_{wire}" if wire == tag_field else wire for field, wire in spelled.items()}
        for tag in getattr(tags, name):
            found[derive(kind, spelled, tag_field=tag_field, tag=tag)] = kind
    return found


def decode_compiled(found: FrameDecoders, raw: bytes, *, has_numbers: bool) -> Any:  # noqa: ANN401 - a message
    """Decode a frame with compiled types, and make each object one of its public class.

    Args:
        found: the types.
        raw: the frame, which an update keeps.
        has_numbers: whether the frame may have numbers where text is documented.

    Raises:
        msgspec.MsgspecError: the frame is not of the form of the types.
        UnicodeDecodeError: a text in it is no UTF-8.
    """
    text = quote_numbers(raw) if has_numbers else raw
    return become_public(found, found.decode(text), raw, text)


def become_public(found: FrameDecoders, message: Any, raw: bytes, text: bytes) -> Any:  # noqa: ANN401 - a message
    """Make each object of a decoded message one of its public class.

    Args:
        found: the types.
        message: the message, of one of them.
        raw: the frame, which an update keeps.
        text: the frame as it was decoded.

    Raises:
        msgspec.MsgspecError: the frame is not of the form of the types.
    """
    public = found.public.get(message.__class__)
    if public is None:
        message, payload = _decode_flat(message, found.payloads[message.__class__], text)
        public = message.__class__
    else:
        keep(message, "__class__", public)
        if public is OrderUpdate:
            payload = message.order
        elif public in UPDATES:
            payload = getattr(message, UPDATES[public])
        else:
            return message
    keep(message, "raw", raw)
    keep(payload, "__class__", found.public[payload.__class__])
    if public is OrderUpdate:
        if payload.fills_listed or payload.legs_listed:
            for item in (*(payload.fills_listed or ()), *(payload.legs_listed or ())):
                keep(item, "__class__", found.public[item.__class__])
    elif public is BalanceUpdate and not payload.account_id:
        # A frame that names its account need not repeat it in the payload.
        if not message.account_id or not any(msgspec.structs.astuple(payload)):
            msg = "the balance names no account, or has no number"
            raise msgspec.ValidationError(msg)
        keep(payload, "account_id", message.account_id)
    return message


def _decode_flat(envelope: Any, flat: FlatPayload, text: bytes) -> tuple[Any, Any]:  # noqa: ANN401 - classes made here
    if any(map(envelope.__getattribute__, CONTAINERS)):
        msg = "the frame has a payload, but its fields were beside the tag before"
        raise msgspec.ValidationError(msg)
    payload = flat.decode(text)
    owner = {"user_id": envelope.user_id, "account_id": envelope.account_id, "time_text": envelope.time_text}
    return flat.update(**owner, form=flat.form, **{UPDATES[flat.update]: payload}), payload


def reads_alike(found: FrameDecoders, raw: bytes, update: Any, *, has_numbers: bool) -> bool:  # noqa: ANN401 - an update
    """Return whether compiled types read a frame as the slow reading did.

    Args:
        found: the types.
        raw: the frame.
        update: what the slow reading returned.
        has_numbers: as for ``decode_compiled``.
    """
    try:
        message = decode_compiled(found, raw, has_numbers=has_numbers)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    # The slow reading sets the owner, which is otherwise set later, and may describe the same form in other words.
    for name in ("form", "user_id", "account_id"):
        keep(message, name, getattr(update, name))
    payload = getattr(message, UPDATES[type(message)])
    if payload.account_id is None:
        keep(payload, "account_id", update.account_id)
    return type(message) is type(update) and bool(message == update)
