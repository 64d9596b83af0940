"""The sandbox's wording: the messages of the streams as text, in the spelling of the moment.

Assumed, all of it but the words for topics and the credentials' names; which is why the spelling can be changed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, get_args, get_type_hints

__all__ = ["KINDS", "FrameEncoding", "encoded"]

KINDS: Mapping[str, str] = {"orders": "order", "positions": "position", "balances": "balance"}
"""The topics (documented), and the type of each one's messages (Assumed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameEncoding:
    """How messages are spelled. Replace `Stream.wording` as a whole to change it.

    Attributes:
        name: the member that holds the type of a message.
        payload: ``nested`` writes what changed under ``data`` (Assumed); ``flat`` writes it beside the type.
    """

    name: Literal["type", "event", "topic"] = "type"
    payload: Literal["nested", "flat"] = "nested"

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for entry in fields(self):
            known = get_args(hints[entry.name])
            if getattr(self, entry.name) not in known:
                raise ValueError(f"{entry.name} must be one of {', '.join(known)}, not {getattr(self, entry.name)!r}")

    def message(self, kind: str, **members: object) -> str:
        """A message that is no event."""
        return encoded({self.name: kind, **members})

    def event(self, kind: str, owner: Mapping[str, object], data: Mapping[str, object]) -> str:
        """An event: its owner, and what changed."""
        if self.payload == "flat":
            return encoded({self.name: kind, **data, **owner})
        return encoded({self.name: kind, **owner, "data": data})


def encoded(value: object) -> str:
    """A value as compact JSON."""
    return json.dumps(value, separators=(",", ":"))
