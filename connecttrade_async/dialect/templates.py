"""Templates of the frames that the client sends: JSON with placeholders such as ``{client_id}``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import msgspec

from connecttrade_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

__all__ = ["Template", "check_template", "encode_template", "placeholders_in"]

Template = dict[str, Any] | list[Any]
"""A JSON object or array. An empty one means that the frame is not sent."""

MAX_DEPTH = 16
SPREAD = "{options}"  # as the name of a member: the options stand as members in its place
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def check_template(key: str, template: Template, *, allowed: Collection[str], needed: Collection[str]) -> None:
    """Validate a template.

    Args:
        key: the key of the template in the dialect, for the message.
        template: the template.
        allowed: the placeholders that it may have.
        needed: the placeholders that it must have.

    Raises:
        ConfigurationError: the template has a placeholder that is not allowed, or misses a needed one. The message
            shows no text of the template: a secret may have been written there in place of its placeholder.
    """
    used = placeholders_in(template, key)
    for name in sorted(used):
        if name not in allowed:
            expected = " ".join(f"{{{each}}}" for each in allowed) or "none"
            shown = f"{{{name}}}" if name.isidentifier() else "another text in braces"
            msg = f"{key} must have no placeholders but {expected}, got {shown}"
            raise ConfigurationError(msg)
    missing = [name for name in needed if name not in used]
    if missing:
        msg = f"{key} must have the placeholder {{{missing[0]}}}, got a template without it"
        raise ConfigurationError(msg)


def placeholders_in(template: Template, key: str = "template") -> frozenset[str]:
    """Return the names of the placeholders in a template.

    Raises:
        ConfigurationError: the template is nested more than 16 levels deep.
    """
    return frozenset(_placeholders(template, key, MAX_DEPTH))


def _placeholders(node: Any, key: str, depth: int) -> Iterator[str]:  # noqa: ANN401 - JSON is anything
    if not depth:
        msg = f"{key} must be nested at most {MAX_DEPTH} levels deep"
        raise ConfigurationError(msg)
    if node is None:
        msg = f"{key} must have no null: leave the member out"
        raise ConfigurationError(msg)
    if isinstance(node, str):
        yield from _PLACEHOLDER.findall(node)
    elif isinstance(node, dict):
        for name, value in cast("dict[str, Any]", node).items():
            if name == SPREAD:
                yield "options"
            else:
                yield from _PLACEHOLDER.findall(name)
                yield from _placeholders(value, key, depth - 1)
    elif isinstance(node, list):
        for value in cast("list[object]", node):
            yield from _placeholders(value, key, depth - 1)


def encode_template(template: Template, values: Mapping[str, object]) -> bytes:
    """Encode the frame of a template.

    A text that is one placeholder becomes its value. A placeholder inside a longer text becomes text there, a sequence
    joined by commas. A member of which the value is None is left out. A member named ``{options}`` is replaced by the
    options as members.

    Args:
        template: the template.
        values: the values by placeholder; a placeholder without a value counts as None.
    """
    return msgspec.json.encode(_filled(template, values))


def _filled(node: Any, values: Mapping[str, object]) -> Any:  # noqa: ANN401 - JSON is anything
    if isinstance(node, str):
        whole = _PLACEHOLDER.fullmatch(node)
        if whole is not None:
            return values.get(whole[1])
        return _PLACEHOLDER.sub(lambda found: _as_text(values.get(found[1])), node)
    if isinstance(node, dict):
        filled: dict[str, Any] = {}
        for name, value in cast("dict[str, Any]", node).items():
            if name == SPREAD:
                options = cast("Mapping[str, object]", values.get("options") or {})
                filled.update((option, each) for option, each in options.items() if each is not None)
            elif (member := _filled(value, values)) is not None:
                filled[str(_filled(name, values))] = member
        return filled
    if isinstance(node, list):
        return [_filled(value, values) for value in cast("list[object]", node)]
    return node


def _as_text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, cast("list[object]", value)))
    return "" if value is None else str(value)
