"""Redaction of traffic: JSON, texts, paths, queries and headers, without changing their form.

JSON is rewritten token by token, so that its spacing, its order and the digits of its numbers stay. A
``RedactionPolicy`` decides what replaces a value: a pseudonym, its shape, or itself.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec

from connecttrade_async.recording.leaks import LeakDetector
from connecttrade_async.recording.vocabulary import (
    WORDS,
    NameKind,
    is_decimal,
    is_plain_name,
    is_symbol,
    is_time,
    is_word,
    kind_of_name,
)
from connecttrade_async.secret import MASK, Secret, mask_named, secret_forms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from connecttrade_async.recording.pseudonyms import Pseudonyms

__all__ = ["PseudonymPolicy", "RedactionPolicy", "Redactor", "RequestTarget", "ShapePolicy", "ValuePolicy"]

MAX_NESTED = 3  # JSON inside the texts of JSON
PAUSE_EVERY = 200  # parts of JSON
MAX_AMOUNT_DIGITS = 9  # before the point of a number with a fraction, in a member of unknown kind
MIN_NAMED = 12  # characters of a text that can hold a secret together with its name
MIN_SECRET = 6  # characters of a secret that is masked wherever it stands; a shorter one is masked in its member only
MAX_KEPT_DIGITS = 4  # of a whole number in a member of unknown kind: a longer one may be an account number
# The paths of the API, with the segments in braces that are ids.
TEMPLATES = (
    "/users/{user_id}",
    "/connections/{connection_id}",
    "/connections/{connection_id}/token",
    "/accounts/{account_id}/orders/{order_id}",
    "/auth/tokens/user",
)
PLAIN_HEADERS = frozenset({"content-type", "date", "retry-after", "server", "cache-control", "vary", "allow", "age"})
OMITTED_HEADERS = frozenset({"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"})
_LEXEME = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|[{}\[\],:]|[a-z]+|\s+|.', re.DOTALL)
_URL = re.compile(r"((?:https?|wss?)://[^\s\"'<>\\]+)")
_NAME = re.compile(r"[A-Za-z_$@][A-Za-z0-9_.$@-]{0,40}")
_WHOLE = re.compile(r"\d+")
_DIGITS = re.compile(r"\d")
_RATE_HEADER = re.compile(r"(?:x-)?rate-?limit")
_ANY: msgspec.json.Decoder[object] = msgspec.json.Decoder()


class RequestTarget(NamedTuple):
    """A redacted path.

    Attributes:
        path: the path, with its ids replaced.
        template: the path with the names of its ids in braces.
    """

    path: str
    template: str


class RedactionPolicy(ABC):
    """Decides what replaces the values of members that are no credentials."""

    @abstractmethod
    def text(self, kind: NameKind, text: str) -> str:
        """Return what replaces a text."""

    @abstractmethod
    def number(self, kind: NameKind, digits: str) -> str:
        """Return what replaces a bare JSON number, as JSON."""

    @abstractmethod
    def name(self, name: str) -> str:
        """Return what replaces the name of a member that is no ordinary name."""


class PseudonymPolicy(RedactionPolicy):
    """Replaces what may identify a person by pseudonyms of the same shape; numbers, times, words and symbols stay.

    Args:
        pseudonyms: the pseudonyms.

    Attributes:
        kept: the numbers that stayed since the last ``clear``.
    """

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms
        self._identities: set[str] = set()
        self.kept: set[str] = set()

    def add_identity(self, value: str) -> None:
        """Replace a value wherever it stands alone, also where such a value would stay."""
        if value.lower() not in WORDS:
            self._identities.add(value)

    def text(self, kind: NameKind, text: str) -> str:
        """Return the text, or its pseudonym."""
        if kind is NameKind.NUMBER and is_decimal(text):
            self._keep(text)
            return text
        if kind in {NameKind.IDENTITY, NameKind.CURSOR} or text in self._identities:
            return self._pseudonyms.of_text(text)
        return text if _stays(kind, text) else self._pseudonyms.of_text(text, self._stays_in_text)

    def _keep(self, digits: str) -> None:
        self.kept.update(part for part in re.split(r"\D+", digits) if part)

    def _stays_in_text(self, token: str) -> bool:
        if token in self._identities:
            return False
        return is_plain_name(token) or (token.isdecimal() and len(token) <= MAX_KEPT_DIGITS)

    def number(self, kind: NameKind, digits: str) -> str:
        """Return the number, or another one with as many digits."""
        if kind in {NameKind.NUMBER, NameKind.TIME}:
            self._keep(digits)
            return digits
        is_identity = kind is NameKind.IDENTITY or digits in self._identities
        if _is_small(digits) and not is_identity:
            return digits
        # The digits before the point alone: an exponent with other digits would be out of range.
        return _WHOLE.sub(lambda found: self._pseudonyms.of_token(found[0]), digits, count=1)

    def name(self, name: str) -> str:
        """Return the pseudonym of a name."""
        return self._pseudonyms.of_text(name)


def _stays(kind: NameKind, text: str) -> bool:
    """Return whether a text identifies no person, under a member of this kind."""
    match kind:
        case NameKind.NUMBER:
            return is_time(text) or text.lower() in WORDS
        case NameKind.TIME:
            return is_time(text)
        case NameKind.WORD:
            return is_word(text) or _is_iso_time(text) or all(map(is_word, text.split(",")))
        case NameKind.SYMBOL:
            return all(is_symbol(part) for part in text.split(","))
        case NameKind.REQUEST:
            return is_decimal(text) and len(text) <= MAX_KEPT_DIGITS
        case _:
            return _is_iso_time(text) or _is_small(text) or not text


def _is_small(text: str) -> bool:
    """Return whether a text is a number that is no account number: with a fraction, or with few digits."""
    if not is_decimal(text):
        return False
    whole = _WHOLE.findall(text)[0]
    return len(whole) <= (MAX_KEPT_DIGITS if text.lstrip("+-") == whole else MAX_AMOUNT_DIGITS)


def _is_iso_time(text: str) -> bool:
    return "-" in text and is_time(text)


class ShapePolicy(RedactionPolicy):
    """Replaces each value by its class, such as ``decimal(9,2)`` or ``uuid:A``; equal values get equal letters."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}
        self._number = 0
        self._identities: set[str] = set()

    def add_identity(self, value: str) -> None:
        """Use no letters that equal an id, as ``ADA`` for the user ada."""
        self._identities.add(value.lower())

    def text(self, kind: NameKind, text: str) -> str:
        """Return the class of a text. A word of the API, and one where words are expected, stays."""
        is_word_here = kind is NameKind.WORD and is_word(text) and text.lower() not in self._identities
        if not text or is_word_here or (text.lower() in WORDS and kind is not NameKind.IDENTITY):
            return text
        return f"{_shape(text)}:{self._letter(text)}"

    def number(self, kind: NameKind, digits: str) -> str:
        """Return the class of a bare number, as a text."""
        del kind
        return json.dumps(f"number {_shape(digits)}:{self._letter(digits)}")

    def name(self, name: str) -> str:
        """Return the class of a name."""
        return f"{_shape(name)}:{self._letter(name)}"

    def _letter(self, value: str) -> str:
        while value not in self._letters:
            self._number += 1
            letters = _letters(self._number)
            if letters.lower() not in self._identities:
                self._letters[value] = letters
        return self._letters[value]


def _letters(number: int) -> str:
    """Return A for 1, Z for 26, AA for 27."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CAPITALS = re.compile(r"(?=.*[A-Z])[A-Z0-9./^]{1,21}")


def _shape(text: str) -> str:
    if _UUID.fullmatch(text):
        return "uuid"
    if _is_iso_time(text):
        return "day" if len(text) == len("2026-01-31") else "rfc3339"
    if text.isdecimal():
        return f"digits({len(text)})"
    if "://" in text:
        return f"address({len(text)})"
    if is_decimal(text):
        whole, _, part = text.lstrip("+-").lower().partition("e")[0].partition(".")
        return f"decimal({len(whole) + len(part)},{len(part)})"
    return "symbol" if _CAPITALS.fullmatch(text) else f"text({len(text)})"


class ValuePolicy(RedactionPolicy):
    """Leaves each value as it is."""

    def text(self, kind: NameKind, text: str) -> str:
        """Return the text."""
        del kind
        return text

    def number(self, kind: NameKind, digits: str) -> str:
        """Return the number."""
        del kind
        return digits

    def name(self, name: str) -> str:
        """Return the name."""
        return name


class Redactor:
    """Redacts the parts of requests, responses and frames by one policy. Credentials become ``***`` under each.

    Args:
        policy: what replaces other values.
        secrets: the secrets that are known from the start.
        hides_identities: whether ``is_clean`` also searches for ids and account numbers.

    Attributes:
        pause: called again and again during the work on a long text, so that a thread can let others run.
    """

    def __init__(
        self, policy: RedactionPolicy, secrets: Iterable[Secret] = (), *, hides_identities: bool = True
    ) -> None:
        self._policy = policy
        self._hides_identities = hides_identities
        self.pause: Callable[[], object] = int
        self._leaks = LeakDetector()
        self._forms: list[str] = []
        self._secrets: set[str] = set()
        self._known: set[str] = set()
        for secret in secrets:
            self.add_secret(secret)

    def add_secret(self, secret: Secret) -> None:
        """Mask a secret wherever it stands from now on, in any form in which a server may echo it."""
        text = str.__str__(secret.reveal())
        if len(text) >= MIN_SECRET and text.lower() not in WORDS and text not in self._secrets:
            self._secrets.add(text)
            self._leaks.add(text, is_secret=True)
            self._forms = sorted({*self._forms, *secret_forms((secret,))}, key=len, reverse=True)

    def add_identity(self, value: str) -> None:
        """Replace an id or an account number wherever it stands alone, and search for it in ``is_clean``."""
        if value in self._known:
            return
        self._known.add(value)
        if isinstance(self._policy, PseudonymPolicy | ShapePolicy):
            self._policy.add_identity(value)
        if self._hides_identities:
            self._leaks.add(value)

    def is_clean(self, text: str) -> bool:
        """Return whether no known secret, and no known id or account number, is in a redacted text in any spelling."""
        excused: set[str] = set()
        if isinstance(self._policy, PseudonymPolicy):
            excused, self._policy.kept = self._policy.kept, set()
        return not self._leaks.finds(text, excused, self.pause)

    def body(self, text: str) -> str:
        """Redact the body of a request or response, or a frame: JSON, a JSON value in each line, or any text."""
        if _is_json(text) or all(map(_is_json, text.splitlines() or (text,))):
            return self._json(text, MAX_NESTED)
        return self._text(NameKind.OTHER, text, 0)

    def value(self, name: str, text: str) -> str:
        """Redact one value under its name, as in a query."""
        kind = kind_of_name(name)
        return MASK if kind is NameKind.CREDENTIAL else self._text(kind, text, MAX_NESTED)

    def words(self, text: str) -> str:
        """Redact a message."""
        return self._text(NameKind.OTHER, text, 0)

    def target(self, path: str) -> RequestTarget:
        """Redact the ids in a path."""
        segments = path.split("/")
        for template in TEMPLATES:
            names = template.split("/")
            if len(names) == len(segments) and all(
                name == segment or name.startswith("{") for name, segment in zip(names, segments, strict=True)
            ):
                shown = map(self._segment, names, segments)
                return RequestTarget("/".join(shown), template)
        names = [segment if segment in WORDS or not segment else "{id}" for segment in segments]
        return RequestTarget("/".join(map(self._segment, names, segments)), "/".join(names))

    def query(self, query: str) -> list[tuple[str, str]]:
        """Redact a query, with or without its question mark; return its names and values."""
        pairs = parse_qsl(query.removeprefix("?"), keep_blank_values=True)
        return [(self._member(name), self.value(name, value)) for name, value in pairs]

    def headers(self, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Redact the headers of a response. Those that describe the connection or the encoding are omitted."""
        shown: list[tuple[str, str]] = []
        for given, value in headers:
            name = given.lower()
            if name in OMITTED_HEADERS:
                continue
            if name in PLAIN_HEADERS or _RATE_HEADER.match(name):
                shown.append((name, self._masked(value)))
            else:
                shown.append((name, self.value(name, value)))
        return shown

    def _segment(self, name: str, segment: str) -> str:
        if not name.startswith("{"):
            return segment
        value = unquote(segment)
        if name in {"{user_id}", "{account_id}", "{connection_id}"}:
            self.add_identity(value)
        return quote(self._policy.text(NameKind.IDENTITY, self._masked(value)), safe="")

    def _member(self, name: str) -> str:
        if is_plain_name(name):
            return name
        is_ordinary = _NAME.fullmatch(name) is not None and len(_DIGITS.findall(name)) <= MAX_KEPT_DIGITS
        return name if is_ordinary and not self._leaks.finds(name) else self._policy.name(self._masked(name))

    def _masked(self, text: str) -> str:
        if len(text) >= MIN_NAMED:
            text = mask_named(text)
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        return text

    def _text(self, kind: NameKind, text: str, depth: int) -> str:
        if kind is NameKind.IDENTITY and text:
            self.add_identity(text)
        if "://" in text:
            parts = _URL.split(text)  # every other part is an address
            return "".join(self._url(part) if odd % 2 else self._plain(kind, part) for odd, part in enumerate(parts))
        if depth and text[:1] in {"{", "["} and _is_json(text):
            return self._json(text, depth - 1)
        return self._plain(kind, text)

    def _plain(self, kind: NameKind, text: str) -> str:
        masked = text if kind is NameKind.CURSOR else self._masked(text)
        # A mask is no word: replacing it would hide that a secret stood there.
        if MASK not in masked:
            return self._policy.text(kind, masked)
        return MASK.join(self._policy.text(kind, part) if part else "" for part in masked.split(MASK))

    def _url(self, url: str) -> str:
        try:
            parts = urlsplit(url)
        except ValueError:
            return self._policy.text(NameKind.OTHER, url.replace("://", " "))
        if isinstance(self._policy, ShapePolicy):
            return self._policy.text(NameKind.OTHER, url)
        host = self._policy.text(NameKind.IDENTITY, parts.netloc)
        path = "/".join(self._policy.text(NameKind.OTHER, unquote(part)) for part in parts.path.split("/"))
        query = "&".join(f"{name}={quote(value, safe='*,:')}" for name, value in self.query(parts.query))
        fragment = f"#{self._policy.text(NameKind.IDENTITY, parts.fragment)}" if parts.fragment else ""
        return f"{parts.scheme}://{host}{quote(path, safe='/')}{'?' if query else ''}{query}{fragment}"

    def _json(self, text: str, depth: int) -> str:
        shown: list[str] = []
        stack: list[NameKind] = []  # the kind of the name under which each open object or array stands
        kind, is_name = NameKind.OTHER, False
        is_object: list[bool] = []
        for count, found in enumerate(_LEXEME.finditer(text), 1):
            if not count % PAUSE_EVERY:
                self.pause()
            lexeme = found[0]
            first = lexeme[0]
            if first == '"':
                if is_name:
                    name = json.loads(lexeme) if "\\" in lexeme else lexeme[1:-1]
                    shown_name = self._member(name)
                    shown.append(lexeme if shown_name == name else _quoted(shown_name))
                    outer = stack[-1] if stack else NameKind.OTHER
                    kind = NameKind.CREDENTIAL if outer is NameKind.CREDENTIAL else kind_of_name(name)
                    is_name = False
                else:
                    shown.append(self._json_text(kind, lexeme, depth))
            elif first.isdigit() or first == "-":
                shown.append(f'"{MASK}"' if kind is NameKind.CREDENTIAL else self._json_number(kind, lexeme))
            else:
                shown.append(lexeme)
                if first in "{[":
                    stack.append(kind)
                    is_object.append(first == "{")
                    is_name = first == "{"
                elif first in "}]":
                    kind = stack.pop()
                    is_object.pop()
                elif first == ",":
                    kind = stack[-1] if stack else NameKind.OTHER
                    is_name = bool(is_object) and is_object[-1]
        return "".join(shown)

    def _json_text(self, kind: NameKind, lexeme: str, depth: int) -> str:
        if kind is NameKind.CREDENTIAL:
            self.add_secret(Secret(json.loads(lexeme)))
            return f'"{MASK}"'
        text = json.loads(lexeme) if "\\" in lexeme else lexeme[1:-1]
        shown = self._text(kind, text, depth)
        return lexeme if shown == text else _quoted(shown)

    def _json_number(self, kind: NameKind, digits: str) -> str:
        if kind is NameKind.IDENTITY:
            self.add_identity(digits)
        return self._policy.number(kind, digits)


def _quoted(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which only the escaped form carries
        return json.dumps(text)
    return json.dumps(text, ensure_ascii=False)


def _is_json(text: str) -> bool:
    try:
        _ANY.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        try:
            json.loads(text)  # it accepts a lone surrogate and NaN, which some servers send
        except (ValueError, RecursionError):
            return False
    return True
