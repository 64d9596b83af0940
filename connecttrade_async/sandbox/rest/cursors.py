"""Cursors of the list of orders: opaque texts that hold a position and the query to which it belongs.

A cursor is signed, so one that was made up, cut short or carried to another query is noticed and refused.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from connecttrade_async.sandbox.errors import BadRequestError
from connecttrade_async.sandbox.world import PagePosition

__all__ = ["Cursor", "Cursors"]

_SIGNATURE = 12
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Cursor(NamedTuple):
    """Where a walk stands. `since` is the start that the first page had by default, which later pages must share."""

    place: PagePosition
    since: datetime | None


class Cursors:
    """Writes and reads cursors.

    Args:
        key: the key of the signature. Cursors with another signature are rejected.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def write(self, cursor: Cursor, query: Mapping[str, str]) -> str:
        """Return the cursor as text, bound to a query."""
        (at, order_id), backwards = cursor.place
        since = None if cursor.since is None else _micros(cursor.since)
        words = json.dumps([_micros(at), order_id, backwards, since], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._sign(words, query) + words).decode().rstrip("=")

    def read(self, text: str, query: Mapping[str, str], *, backwards: bool) -> Cursor:
        """Parse a cursor that `write` returned for the same query and direction.

        Raises:
            BadRequestError: the text is no cursor, or it belongs to another query or direction.
        """
        name = "prev_cursor" if backwards else "next_cursor"
        try:
            # The padding was stripped, because "=" would have to be quoted in a query.
            blob = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (binascii.Error, ValueError):
            raise BadRequestError(f"{name} is no cursor of ours.") from None
        signature, words = blob[:_SIGNATURE], blob[_SIGNATURE:]
        if not hmac.compare_digest(signature, self._sign(words, query)):
            raise BadRequestError(f"{name} is no cursor of this query. Send the same parameters as for the first page.")
        at, order_id, is_backwards, since = json.loads(words)
        if is_backwards is not backwards:
            raise BadRequestError(f"{name} leads the other way: next_cursor and prev_cursor are not interchangeable.")
        return Cursor(PagePosition((_moment(at), order_id), backwards), None if since is None else _moment(since))

    def _sign(self, words: bytes, query: Mapping[str, str]) -> bytes:
        # Sorted, since the sequence of the parameters has no meaning.
        asked = json.dumps(sorted(query.items())).encode()
        return hmac.digest(self._key, words + b"\n" + asked, hashlib.sha256)[:_SIGNATURE]


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _moment(micros: int) -> datetime:
    return _EPOCH + micros * _MICROSECOND
