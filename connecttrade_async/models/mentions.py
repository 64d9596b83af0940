"""Identifiers found in the text of a frame that could not be decoded."""

from __future__ import annotations

import re
from typing import NamedTuple, cast

import msgspec

__all__ = ["Mentions", "mentions_in"]

# A value of any other form leaves the group empty: the identifier is present but cannot be parsed.
_IDENTIFIER = re.compile(
    rb'"(user|account|order)_?id"\s*:\s*("(?:[^"\\]|\\.)*"|-?[0-9]+(?![0-9.eE])|null(?![a-z])|)',
    re.IGNORECASE | re.DOTALL,
)
# Other names under which a frame may hold an identifier, such as ``account`` or ``acct_ref``. Their values count only
# where they are known: an account number, for example, is no identifier. A credential must not get into a log.
_REFERENCE = re.compile(
    rb'"(?=[^"]{0,40}(?:user|account|acct|owner|customer))(?![^"]{0,40}(?:secret|token|password|key))[^"]{1,40}"\s*:\s*'
    rb'("(?:[^"\\]|\\.){1,200}"|-?[0-9]{1,40}(?![0-9.eE]))',
    re.IGNORECASE | re.DOTALL,
)
_KIND = re.compile(rb'"(?:type|event|topic|channel|kind|action|msg_?type|op|t|ev|e)"\s*:\s*"([^"]*)"', re.IGNORECASE)
_UPDATE_KIND = re.compile(rb"order|position|balance|fill|execution|holding|account", re.IGNORECASE)
_UPDATE_WORD = re.compile(rb"\b(?:order|position|balance|fill|execution|holding)s?\b", re.IGNORECASE)
_HEARTBEAT_KIND = re.compile(rb"heart|beat|ping|pong|keep|alive|^hb$", re.IGNORECASE)
# Names that only the payloads of orders, positions and balances have.
_PAYLOAD = re.compile(
    rb'"(?:cl_?order_?id|order_?(?:type|tif|qty|status|side)|broker_?status|filled_?qty|fills|avg_?fill_?price'
    rb'|quantity|qty|average_?price|market_?value|unrealized_?pl|cash|buying_?power|equity)"\s*:',
    re.IGNORECASE,
)
# Names that a quote or a notice may have too.
_SHARED = re.compile(rb'"(?:symbol|instrument|currency)"\s*:', re.IGNORECASE)
# A frame with more references than this is taken as one that may concern any account.
MAX_REFERENCES = 1_000
_WRAPPERS = frozenset({"data", "payload", "body", "order", "position", "balance"})


class Mentions(NamedTuple):
    """The identifiers that a frame contains.

    Attributes:
        users: user ids, each once, in order of appearance.
        accounts: account ids.
        orders: order ids.
        is_unclear: whether the frame has an identifier with a value that cannot be parsed.
        is_update: whether the frame may be an order, a position or a balance; False for a heartbeat of any form.
        references: values under other names that may be identifiers; one that is not known means nothing.
    """

    users: tuple[str, ...]
    accounts: tuple[str, ...]
    orders: tuple[str, ...]
    is_unclear: bool
    is_update: bool
    references: tuple[str, ...] = ()


def mentions_in(raw: bytes) -> Mentions:
    """Return the identifiers in a frame of any format, JSON or not.

    Args:
        raw: the whole frame.
    """
    found: dict[bytes, dict[str, None]] = {b"user": {}, b"account": {}, b"order": {}}
    is_unclear = False
    for name, value in _IDENTIFIER.findall(raw):
        if value.lower() == b"null":
            continue
        identifier = _text(value)
        if identifier is None:
            is_unclear = True
        elif identifier:
            found[name.lower()][identifier] = None
    users, accounts, orders = map(tuple, found.values())
    is_update = bool(users or accounts or orders or is_unclear) or _is_update(raw)
    references = {text: None for value in _REFERENCE.findall(raw) if (text := _text(value))}
    for name in (*users, *accounts):
        references.pop(name, None)
    if len(references) > MAX_REFERENCES:
        return Mentions(users, accounts, orders, is_unclear=True, is_update=True)
    return Mentions(users, accounts, orders, is_unclear, is_update, tuple(references))


def _text(value: bytes) -> str | None:
    """Return an identifier as text; None where it cannot be parsed."""
    if not value.startswith(b'"'):
        return value.decode() or None
    try:
        return msgspec.json.decode(value, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _is_update(raw: bytes) -> bool:
    """Return whether a frame without identifiers may be an update."""
    kinds = _KIND.findall(raw)
    if _PAYLOAD.search(raw) is not None:
        return True
    if not kinds:
        return _SHARED.search(raw) is not None or (_UPDATE_WORD.search(raw) is not None and not _is_json(raw))
    if not any(map(_UPDATE_KIND.search, kinds)):
        return False
    return _SHARED.search(raw) is not None or (not any(map(_HEARTBEAT_KIND.search, kinds)) and not _is_bare(raw))


def _is_json(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _is_bare(raw: bytes) -> bool:
    """Return whether a frame is a JSON object without a payload."""
    try:
        frame = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    if not isinstance(frame, dict):
        return False
    members = cast("dict[str, object]", frame)
    return not any(value and (name in _WRAPPERS or isinstance(value, dict | list)) for name, value in members.items())
