"""Two choices of a stream's dialect under a short name, and the kinds of the brokerage stream's events."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self, TypeVar, get_args, get_type_hints

import msgspec

from connecttrade_async.sandbox.dialect.streams import BrokerageForms, MarketForms, Tag
from connecttrade_async.sandbox.dialect.templates import Template

__all__ = ["KINDS", "FrameEncoding"]

KINDS: Mapping[str, str] = {"orders": "order", "positions": "position", "balances": "balance"}
"""The topics (documented), and the kind of each one's events (Assumed)."""

_FormsT = TypeVar("_FormsT", BrokerageForms, MarketForms)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameEncoding:
    """How messages are spelled. Replace `Stream.wording` as a whole to change it; `Sandbox.dialect` has every choice.

    Attributes:
        name: the member that holds the type of a message.
        payload: ``nested`` writes what changed under ``data`` (Assumed); ``flat`` writes it beside the type.
    """

    name: Tag = "type"
    payload: Literal["nested", "flat"] = "nested"

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for entry in fields(self):
            known = get_args(hints[entry.name])
            if getattr(self, entry.name) not in known:
                raise ValueError(f"{entry.name} must be one of {', '.join(known)}, not {getattr(self, entry.name)!r}")

    @classmethod
    def of(cls, forms: BrokerageForms | MarketForms) -> Self:
        """Return the two choices as a dialect has them."""
        return cls(name=forms.events.tag, payload="nested" if forms.events.payload else "flat")

    def applied_to(self, forms: _FormsT) -> _FormsT:
        """Return a dialect with these two choices; messages that have the tag of events change it with them."""
        events: Any = forms.events
        path = (events.payload or "data") if self.payload == "nested" else ""
        messages: dict[str, Any] = {
            name: _retagged(template, events.tag, self.name)
            for name, template in msgspec.structs.asdict(forms.messages).items()
        }
        return msgspec.structs.replace(
            forms,
            events=msgspec.structs.replace(events, tag=self.name, payload=path),
            messages=type(forms.messages)(**messages),
        )


def _retagged(template: Template, old: str, new: str) -> Template:
    if not isinstance(template, dict):
        return template
    return {new if name == old else name: value for name, value in template.items()}
