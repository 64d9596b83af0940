"""Split a frame that holds several frames or several updates into single ones."""

from __future__ import annotations

from typing import Any, cast

import msgspec

__all__ = ["split_frames", "split_list", "split_payload"]

OPENING_BRACE = 0x7B
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def split_frames(raw: bytes) -> list[bytes] | None:
    """Return the frames in a list of frames, or in lines of one frame each; None for anything else.

    Args:
        raw: the text that was received.
    """
    if raw.lstrip()[:1] == b"[":
        return _split_frames_of_list(raw)
    lines = [line for line in raw.splitlines() if line.strip()]
    if len(lines) <= 1 or not all(map(_is_object, lines)):
        return None
    return lines


def split_list(raw: bytes) -> list[bytes]:
    """Return the text of each item of a list.

    Raises:
        msgspec.MsgspecError: the text is no list.
        UnicodeDecodeError: the text is no UTF-8.
        RecursionError: the text is nested too deeply.
    """
    return list(map(bytes, _ITEMS.decode(raw)))


def _split_frames_of_list(raw: bytes) -> list[bytes] | None:
    try:
        items = split_list(raw)
    except _ERRORS:
        return None
    # An item begins with its first byte: the decoder skips the spaces before it.
    return items if items and {item[0] for item in items} == {OPENING_BRACE} else None


def _is_object(line: bytes) -> bool:
    try:
        _MEMBERS.decode(line)
    except _ERRORS:
        return False
    return True


def split_payload(raw: bytes, path: tuple[str, ...]) -> list[bytes]:
    """Return one frame for each item of the list at a path, each with that item in place of the list.

    Args:
        raw: the frame.
        path: the names of the members on the way to the list.
    """
    return [msgspec.json.encode(frame) for frame in _expanded(msgspec.Raw(raw), path)]


def _expanded(raw: msgspec.Raw, path: tuple[str, ...]) -> list[Any]:
    if not path:
        return cast("list[Any]", _ITEMS.decode(raw))
    members = _MEMBERS.decode(raw)
    return [{**members, path[0]: inner} for inner in _expanded(members[path[0]], path[1:])]
