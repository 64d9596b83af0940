"""The last pass over redacted text: finds a known secret or identity in any spelling.

A spelling is plain, in other case, with or without separators, encoded for a URL, JSON or HTML, in base64 or in hex.
What a text encodes for a URL, JSON or HTML is decoded. Of base64 and hex the encoded forms of each value are searched
for instead: nearly every text has runs that could be base64, and decoding them all would take longer than the rest.
"""

from __future__ import annotations

import base64
import html
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from connecttrade_async.recording.vocabulary import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

__all__ = ["LeakDetector"]

GRAM = 8  # characters; a form of at least as many is found anywhere, also across separators
MIN_TOKEN = 3  # characters; a shorter value is not searched for
MIN_DIGITS = 6  # digits; a shorter number is as likely a quantity
MIN_LONG_DIGITS = 12  # digits; a shorter number is found only as a whole token, since prices have digits too
STEP, OVERLAP = 4_096, 4_096  # characters that are searched at a time; a value that is cut at one end is in the next
MAX_DEPTH = 3  # encodings inside each other
_SEPARATORS = re.compile(r"[\W_]+")
_TOKENS = re.compile(r"[^\W_]+")
_JOINED = re.compile(r"[^\W_]+(?:[-_/][^\W_]+)+|\d+(?: \d+)+")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\(.)", re.DOTALL)


class LeakDetector:
    """Finds known values in a text."""

    __slots__ = ("_by_gram", "_tokens")

    def __init__(self) -> None:
        self._by_gram: dict[str, set[str]] = {}
        self._tokens: set[str] = set()

    def add(self, value: str, *, is_secret: bool = False) -> None:
        """Add a value to find. A short value, or one that is a word of the API, is ignored: other text has it too.

        Args:
            value: the value.
            is_secret: whether to search for more of its encoded forms; they take about 5 kB.
        """
        plain = _plain(value)
        if value.lower() in WORDS or len(plain) < (MIN_DIGITS if plain.isdecimal() else MIN_TOKEN):
            return
        if len(plain) < GRAM or (plain.isdecimal() and len(plain) < MIN_LONG_DIGITS):
            self._tokens.add(plain)
        else:
            self._by_gram.setdefault(plain[:GRAM], set()).add(plain)
        for form in _encoded(value, depth=2 if is_secret else 1):
            self._by_gram.setdefault(form[:GRAM], set()).add(form)

    def finds(self, text: str, excused: Collection[str] = (), pause: Callable[[], object] = int) -> bool:
        """Return whether a text holds a known value.

        Args:
            text: the text.
            excused: numbers that were kept because their member holds a number. A short account number that equals
                one of them does not count.
            pause: called between the parts of a long text.
        """
        if not self._by_gram and not self._tokens:
            return False
        for begin in range(0, max(len(text) - OVERLAP, 1), STEP):
            forms: set[str] = set()
            _collect(text[begin : begin + STEP + OVERLAP], MAX_DEPTH, forms)
            for form in forms:
                if self._is_in(form, excused):
                    return True
                pause()
        return False

    def _is_in(self, text: str, excused: Collection[str]) -> bool:
        text = text.casefold()
        if self._tokens:
            found = self._tokens.intersection(_TOKENS.findall(text))
            found.update(self._tokens.intersection(map(_plain, _JOINED.findall(text))))
            if not found.issubset(excused):
                return True
        plain, by_gram = _plain(text), self._by_gram
        for at in range(len(plain) - GRAM + 1):
            if (gram := plain[at : at + GRAM]) in by_gram and any(plain.startswith(form, at) for form in by_gram[gram]):
                return True
        return False


def _plain(text: str) -> str:
    """Return the letters and digits of a text, without regard to case."""
    return _SEPARATORS.sub("", text).casefold()


def _encoded(value: str, depth: int) -> Iterator[str]:
    """Yield what base64 and hex make of a value, also inside each other, as far as no neighbor changes it."""
    spellings = {value}
    if depth > 1:
        quoted = json.dumps(value)[1:-1]
        spellings |= {value.lower(), value.upper(), _SEPARATORS.sub("", value), quote(value, safe=""), quoted}
    for spelling in spellings:
        data = spelling.encode("utf-8", "surrogatepass")
        encoded = [_core(data, offset) for offset in range(3)] + [data.hex()]
        for text in encoded:
            if len(plain := _plain(text)) >= GRAM:
                yield plain
        if depth > 1:
            for text in (encoded[0], encoded[3]):
                yield from _encoded(text, depth - 1)


def _core(data: bytes, offset: int) -> str:
    """Return the symbols of base64 that depend on the data alone, where it begins at a byte of a group of three."""
    symbols = base64.b64encode(bytes(offset) + data).decode()
    return symbols[(offset * 8 + 5) // 6 : (offset + len(data)) * 8 // 6]


def _collect(text: str, depth: int, forms: set[str]) -> None:
    """Add a text, and what it decodes to, to ``forms``."""
    if text in forms:
        return
    forms.add(text)
    if not depth:
        return
    if "%" in text or "+" in text:
        _collect(unquote(text), depth - 1, forms)
        _collect(unquote(text.replace("+", " ")), depth - 1, forms)
    if "&" in text:
        _collect(html.unescape(text), depth - 1, forms)
    if "\\" in text:
        _collect(_ESCAPE.sub(_unescaped, text), depth - 1, forms)


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else found[2]
