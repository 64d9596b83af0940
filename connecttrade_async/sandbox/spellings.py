"""The sandbox's spellings: which of two known forms it writes, wherever the wire contract knows two.

A client that reads every combination of these is safe from the question which of them the live API writes.
"""

from dataclasses import dataclass, fields
from typing import Literal, get_args, get_type_hints

__all__ = ["Spellings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spellings:
    """How the sandbox spells its answers. Replace `Sandbox.spellings` as a whole to change it.

    Attributes:
        orders: ``envelope`` is an object with ``orders`` and cursors (Assumed); ``array`` is a bare array with the
            cursors in the response headers ``next-cursor`` and ``prev-cursor`` (Assumed; the array is seen).
        fields: ``seen`` writes ``user_secret``, ``connection_request_url`` and ``connection_type``; ``documented``
            writes ``user-secret``, ``authorization_url``, and ``type`` with ``status``.
        times: ``rfc3339`` (Assumed), or digits that count ``epoch_seconds`` or ``epoch_milliseconds``.
        nulls: how a number that a broker lacks looks: ``null`` (documented) or ``empty``, the string ``""``
            (Assumed). A few brokers write ``""`` whatever this says.
    """

    orders: Literal["envelope", "array"] = "envelope"
    fields: Literal["seen", "documented"] = "seen"
    times: Literal["rfc3339", "epoch_seconds", "epoch_milliseconds"] = "rfc3339"
    nulls: Literal["null", "empty"] = "null"

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for entry in fields(self):
            known = get_args(hints[entry.name])
            if getattr(self, entry.name) not in known:
                raise ValueError(f"{entry.name} must be one of {', '.join(known)}, not {getattr(self, entry.name)!r}")
