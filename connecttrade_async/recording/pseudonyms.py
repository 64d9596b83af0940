"""Stable pseudonyms of the same shape: a letter for a letter, a digit for a digit, and equal for equal."""

from __future__ import annotations

import hashlib
import re
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Pseudonyms"]

LETTERS = "abcdefghijklmnopqrstuvwxyz"
DIGITS = "0123456789"
HEX = "0123456789abcdef"
MAX_ATTEMPTS = 64  # for a token of few characters, most pseudonyms of its length may be taken
_TOKEN = re.compile(r"[^\W_]+(?:[-_]+[^\W_]+)*")
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)


class Pseudonyms:
    """Replaces the tokens of texts by pseudonyms. A token is a run of letters and digits, with dashes inside.

    No two tokens get the same pseudonym, and none gets a token that was replaced before. So ids stay distinct, and a
    text that quotes an id quotes its pseudonym.

    Args:
        salt: random bytes. Without them a pseudonym cannot be computed from a guessed token.
    """

    __slots__ = ("_by_token", "_salt", "_taken")

    def __init__(self, salt: bytes) -> None:
        self._salt = salt
        self._by_token: dict[str, str] = {}
        self._taken: set[str] = set()

    def of_text(self, text: str, stays: Callable[[str], bool] | None = None) -> str:
        """Return a text with each token replaced.

        Args:
            text: the text.
            stays: returns whether a token stays; None replaces all.
        """
        if stays is None:
            return _TOKEN.sub(lambda found: self.of_token(found[0]), text)
        return _TOKEN.sub(lambda found: found[0] if stays(found[0]) else self.of_token(found[0]), text)

    def of_token(self, token: str) -> str:
        """Return the pseudonym of one token."""
        known = self._by_token.get(token)
        if known is None:
            known = self._by_token[token] = self._new(token)
            self._taken.add(known)
        return known

    def _new(self, token: str) -> str:
        # After many attempts all of this shape may be taken, as after ten ids of one digit: a longer one is free.
        tried = (
            self._candidate(token.ljust(len(token) + max(attempt - MAX_ATTEMPTS, 0), token[-1]), attempt)
            for attempt in count()
        )
        return next(
            found for found in tried if found != token and found not in self._taken and found not in self._by_token
        )

    def _candidate(self, token: str, attempt: int) -> str:
        seed = self._salt + attempt.to_bytes(4, "big") + token.encode("utf-8", "surrogatepass")
        stream = hashlib.shake_128(seed).digest(len(token))
        if _UUID.fullmatch(token):
            return _uuid_like(token, stream)
        return "".join(map(_like, token, stream, range(len(token))))


def _like(character: str, byte: int, index: int) -> str:
    if character.isdecimal():
        # A number must not begin with a zero, in JSON.
        return DIGITS[1 + byte % 9] if index == 0 and character != "0" else DIGITS[byte % 10]
    if not character.isalpha():
        return character
    letter = LETTERS[byte % 26]
    return letter.upper() if character.isupper() else letter


def _uuid_like(token: str, stream: bytes) -> str:
    digits = [HEX[byte % 16] for byte in stream]
    places = [index for index, character in enumerate(token) if character != "-"]
    kept = {places[12], places[16]}  # the version and the variant
    replaced = (
        character if character == "-" or index in kept else digits[index] for index, character in enumerate(token)
    )
    text = "".join(replaced)
    return text.upper() if token.isupper() else text
