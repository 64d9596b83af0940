"""Find the kind and the payload of a frame, in the form of a dialect or in any form that can mean one thing only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from connecttrade_async.dialect.names import AmbiguousFrameError
from connecttrade_async.dialect.tolerance import TAG_FIELDS, WRAPPERS, fold_name, fold_tag
from connecttrade_async.streaming.signs import value_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from connecttrade_async.dialect.parts import BrokerageDialect, MarketDataDialect

__all__ = ["FormFinder", "FrameForm"]


class FrameForm(NamedTuple):
    """Where a frame has the parts of its event.

    Attributes:
        kind: the kind of event.
        tag: the member that names the kind, or ``""`` if the payload's own name does.
        path: the names of the members on the way to the payload; empty where its fields stand beside the tag.
    """

    kind: str
    tag: str
    path: tuple[str, ...]


class FormFinder:
    """Finds the form of frames.

    Args:
        part: the part of the dialect for the stream.
        kinds: the plural of each kind of event; the tags of the dialect are named by the kinds.
    """

    def __init__(self, part: BrokerageDialect | MarketDataDialect, kinds: Mapping[str, str]) -> None:
        self._part = part
        self._plurals = kinds
        self._kinds: dict[str, str] = {}
        for kind, plural in kinds.items():
            for tag in (kind, plural, *getattr(part.updates, kind)):
                self._kinds[tag.casefold()] = self._kinds[fold_tag(tag)] = kind

    def form_of(self, frame: Mapping[str, Any]) -> FrameForm | None:
        """Return the form of an event; None for a frame that is no event.

        Raises:
            AmbiguousFrameError: the frame can be read in two forms.
        """
        tags = list(self._tags(frame))
        named = [(tag, kind) for tag, text in tags if (kind := self.kind_of(text)) is not None]
        kinds = sorted({kind for _, kind in named})
        if len(kinds) > 1:
            problem = f"the frame names two kinds: {' and '.join(kinds)}"
            raise AmbiguousFrameError(problem)
        if named:
            tag, kind = named[0]
            return FrameForm(kind, tag, self._path(frame, kind))
        if any(fold_tag(text) for _, text in tags):
            return None
        return self._untagged_form(frame)

    def kind_of(self, text: str) -> str | None:
        """Return the kind with this tag, or None."""
        return self._kinds.get(text[:100].casefold()) or self._kinds.get(fold_tag(text))

    def _tags(self, frame: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield the members that may name the kind, with their texts; the dialect's own comes first."""
        own = value_at(frame, self._part.tag)
        if isinstance(own, str):
            yield self._part.tag, own
        for name, value in frame.items():
            is_tag = name in TAG_FIELDS or name.lower() in TAG_FIELDS[:4]
            if is_tag and name != self._part.tag and isinstance(value, str):
                yield name, value

    def _untagged_form(self, frame: Mapping[str, Any]) -> FrameForm | None:
        """Return the form of a frame without a kind, of which the payload's own name is one."""
        found: list[FrameForm] = []
        for name in ("", *containers(frame, WRAPPERS)):
            inner: Any = frame[name] if name else frame
            members = cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}
            for kind in self._plurals:
                path = (name,) if name else ()
                found += [FrameForm(kind, "", (*path, each)) for each in containers(members, self._own(kind))]
        if len(found) > 1:
            problem = f"the frame has more than one payload: {', '.join('.'.join(form.path) for form in found)}"
            raise AmbiguousFrameError(problem)
        return found[0] if found else None

    def _own(self, kind: str) -> tuple[str, ...]:
        return (fold_name(kind), fold_name(self._plurals[kind]))

    def _path(self, frame: Mapping[str, Any], kind: str) -> tuple[str, ...]:
        for pattern in self._part.payload:
            path = pattern.replace("{kinds}", self._plurals[kind]).replace("{kind}", kind)
            if path and isinstance(value_at(frame, path), dict | list):
                return self._innermost(frame, tuple(path.split(".")), kind)
        found = containers(frame, (*WRAPPERS, *self._own(kind)))
        if not found:
            return ()
        if len(found) > 1:
            problem = f"the frame has more than one payload: {', '.join(found)}"
            raise AmbiguousFrameError(problem)
        return self._innermost(frame, (found[0],), kind)

    def _innermost(self, frame: Mapping[str, Any], path: tuple[str, ...], kind: str) -> tuple[str, ...]:
        """Return the path to the payload, which may stand under its own name in the container."""
        inner = value_at(frame, ".".join(path))
        deeper = containers(cast("Mapping[str, Any]", inner), self._own(kind)) if isinstance(inner, dict) else []
        return (*path, deeper[0]) if len(deeper) == 1 else path


def containers(members: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    """Return the members with one of these names that hold an object or a list."""
    return [name for name, value in members.items() if isinstance(value, dict | list) and fold_name(name) in names]
