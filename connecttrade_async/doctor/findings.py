"""What the doctor found: one finding for each assumption."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Finding", "FindingOutcome", "is_all_understood"]


class FindingOutcome(Enum):
    """How an assumption compares with what was seen."""

    OK = "ok"
    UNDERSTOOD = "differs, understood"
    NOT_UNDERSTOOD = "NOT UNDERSTOOD"
    NOT_SEEN = "not seen"


class Finding(msgspec.Struct, frozen=True):
    """One assumption, and what was seen of it.

    Attributes:
        subject: what it is about, such as ``GET /orders: query limit``.
        assumed: what this library assumes.
        saw: what was seen, without values that identify a person.
        outcome: how the two compare.
    """

    subject: str
    assumed: str
    saw: str
    outcome: FindingOutcome


def is_all_understood(findings: Iterable[Finding]) -> bool:
    """Return whether this library understands everything that was seen."""
    return all(finding.outcome is not FindingOutcome.NOT_UNDERSTOOD for finding in findings)
