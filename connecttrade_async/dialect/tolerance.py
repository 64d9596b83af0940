"""Words and names by which frames of other forms are understood, whatever the dialect says.

Each rule holds only where a frame can mean one thing. All names here are (assumed): they are what servers of this kind
use, and no frame of this one has been published.
"""

from __future__ import annotations

import re

__all__ = [
    "ACCEPTED_FLAGS",
    "ACCEPTED_WORDS",
    "CODE_FIELDS",
    "ERROR_FIELDS",
    "ERROR_TEXT_FIELDS",
    "HEARTBEATS",
    "IMPERATIVES",
    "MESSAGE_FIELDS",
    "NEGATIONS",
    "STATUS_FIELDS",
    "TAG_FIELDS",
    "WRAPPERS",
    "fold_name",
    "fold_tag",
    "words_in",
]

TAG_FIELDS = ("type", "event", "topic", "channel", "T", "ev")
WRAPPERS = ("data", "payload", "body")
ERROR_FIELDS = frozenset({"error", "errors"})
MESSAGE_FIELDS = ("message", "msg", "detail", "reason", "description")
CODE_FIELDS = ("code", "errorcode", "status")
STATUS_FIELDS = frozenset({"status", "result", "state"})
ACCEPTED_FLAGS = frozenset({"success", "ok"})
ACCEPTED_WORDS = frozenset({"ok", "success", "authenticated"})
ERROR_TEXT_FIELDS = (
    "message",
    "error",
    "errors",
    "detail",
    "details",
    "errordescription",
    "description",
    "errormessage",
    "msg",
    "reason",
    "title",
)
HEARTBEATS = frozenset({"heartbeat", "ping", "pong", "hb", "keepalive", "keep_alive", "heart_beat"})
IMPERATIVES = frozenset({"authenticate"})  # words of requests, which accept nothing
NEGATIONS = frozenset(
    {"not", "no", "please", "must", "require", "required", "requires", "expired", "timeout", "pending"}
)
_SUFFIXES = frozenset({"update", "updated", "updates", "event", "events", "change", "changed", "changes", "data"})
_SEPARATORS = str.maketrans("", "", "_- ")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_LONGEST = 100  # characters of a tag


def words_in(text: str) -> list[str]:
    """Return the words of a text in lower case, split at separators and where camelCase begins one."""
    return [word.lower() for word in _WORDS.findall(text)]


def fold_tag(text: str) -> str:
    """Return a tag without regard to case, camelCase, separators, a plural, and words such as ``_update`` at its end.

    ``orderUpdate``, ``ORDERS`` and ``order.updated`` all fold to ``order``; ``update`` folds to ``""``.
    """
    words = words_in(text[:_LONGEST])
    while words and words[-1] in _SUFFIXES:
        words.pop()
    if words and not words[-1].endswith("ss"):
        words[-1] = words[-1].removesuffix("s")
    return "_".join(words)


def fold_name(name: str) -> str:
    """Return a name without its case and its separators: equal for ``orderId``, ``order_id`` and ``Order-ID``."""
    return name.translate(_SEPARATORS).casefold()
