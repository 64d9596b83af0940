"""Templates of frames: JSON with placeholders such as ``{message}``.

A member with a placeholder alone has the placeholder's value, of whatever type. A member with a placeholder that has no
value in this frame is left out. A template that is text is sent as that text, which need not be JSON.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec

__all__ = ["Template", "encoded", "encoded_raw", "placeholders", "render", "rendered"]

Template = dict[str, Any] | list[Any] | str | None
"""A frame to be filled in, or None for no frame at all."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_MISSING = object()


def encoded(value: object) -> str:
    """Return a value as compact JSON."""
    return json.dumps(value, separators=(",", ":"))


def encoded_raw(value: object) -> str:
    """Return a value as compact JSON; it may contain `msgspec.Raw`."""
    return msgspec.json.encode(value).decode()


def placeholders(template: Template) -> set[str]:
    """Return the names of a template's placeholders."""
    return set(_PLACEHOLDER.findall(json.dumps(template)))


def rendered(template: Template, values: Mapping[str, object]) -> object:
    """Return a template with its placeholders filled in, as plain JSON values."""
    filled = _filled(template, values)
    return None if filled is _MISSING else filled


def render(template: Template, values: Mapping[str, object]) -> str | None:
    """Return the text of a frame, None for no frame.

    Args:
        template: the frame.
        values: the values of the placeholders; those that are None count as missing.
    """
    if template is None:
        return None
    if isinstance(template, str):
        return _PLACEHOLDER.sub(lambda found: str(values.get(found[1], "")), template)
    return encoded_raw(_filled(template, values)) if _has_raw(values) else encoded(_filled(template, values))


def _filled(template: object, values: Mapping[str, object]) -> object:
    if isinstance(template, dict):
        members = {name: _filled(value, values) for name, value in cast("dict[str, object]", template).items()}
        return {name: value for name, value in members.items() if value is not _MISSING}
    if isinstance(template, list):
        items = [_filled(value, values) for value in cast("list[object]", template)]
        return [value for value in items if value is not _MISSING]
    if not isinstance(template, str):
        return template
    names = _PLACEHOLDER.findall(template)
    if any(values.get(name) is None for name in names):
        return _MISSING
    if len(names) == 1 and template == f"{{{names[0]}}}":
        return values[names[0]]
    return _PLACEHOLDER.sub(lambda found: str(values[found[1]]), template)


def _has_raw(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_raw, cast("dict[str, object]", value).values()))
    if isinstance(value, list):
        return any(map(_has_raw, cast("list[object]", value)))
    return isinstance(value, msgspec.Raw)
