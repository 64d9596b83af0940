"""Secrets that do not show in logs, tracebacks or pickles.

Only ``reveal()`` returns the text. ``repr``, ``str``, formatting, pickling, a log record and the local variables of a
traceback show a mask or nothing.
"""

from __future__ import annotations

import json
import re
from hmac import compare_digest
from html import escape
from typing import TYPE_CHECKING, Any, SupportsIndex
from urllib.parse import quote

from connecttrade_async.errors import ConfigurationError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Secret"]

MASK = "***"
MAX_EXCERPT = 200  # characters of a redacted text
REDACTION_WINDOW = 65_536  # characters, or bytes, of a text that are searched for secrets; the rest is dropped
_NAMES = (
    "secret|token|jwt|bearer|passw(?:or)?d|passphrase|authorization|credential|cookie|signature"
    "|(?:api|private)[-_]?key|session[-_]?(?:id|key)"
)
_SENSITIVE = re.compile(
    # The key is bounded, so that the search stays linear on garbage. The value is text, a list, an object or a number,
    # and may be cut off anywhere; the backslashes are those of JSON inside a JSON text.
    rf'("[^"]{{0,64}}(?:{_NAMES})[^"]{{0,64}}"\s*:\s*)'
    r'(?:\\*"(?:[^"\\]|\\.)*"?|[\[{][^\]}]*[\]}]?|[^\s",}\]]+)',
    re.IGNORECASE | re.DOTALL,
)
_SENSITIVE_LINE = re.compile(
    # It begins at the word itself: matching a prefix of the name as well would take minutes on a long text. "token"
    # counts only as part of a name, since "invalid token: expired" is a reason that the user needs.
    r"((?:secret|[-_]token|token(?==)|jwt|passw(?:or)?d|passphrase|authorization|cookie|(?:api|private)[-_]?key"
    r"|session[-_]?(?:id|key))\s{0,8}[:=]\s{0,8})[^\s,;<>\"']+",
    re.IGNORECASE,
)
# By shape, under any name: a JSON web token, and the credentials after the scheme of an authorization header. "Bearer"
# is also a word of sentences, so the credentials must have a digit.
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}")
_BEARER = re.compile(r"(bearer\s{1,8})(?=[^\s\d]{0,512}\d)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)


_CREDENTIAL_NAME = re.compile(_NAMES, re.IGNORECASE)


def is_credential_name(name: str) -> bool:
    """Return whether a member, a header or a parameter of this name holds a secret or a token."""
    return _CREDENTIAL_NAME.search(name) is not None


class MaskedText(str):
    """A header value with a masked ``repr``: HTTP libraries keep headers in variables, and tracebacks show those.

    Slices, stripped copies and joined copies are masked too, since the libraries keep those as well.
    """

    __slots__ = ()

    def __getitem__(self, key: SupportsIndex | slice) -> MaskedText:
        return MaskedText(str.__getitem__(self, key))

    def __iter__(self) -> Iterator[str]:
        return map(MaskedText, str.__iter__(self))

    def __add__(self, other: str) -> MaskedText:
        return MaskedText(str.__add__(self, other))

    def __radd__(self, other: str) -> MaskedText:
        return MaskedText(str.__add__(other, self))

    def strip(self, chars: str | None = None, /) -> MaskedText:
        """Return the text without white space, or these characters, at its ends; the result is masked too."""
        return MaskedText(str.strip(self, chars))

    def lower(self) -> MaskedText:
        """Return the text in lower case; the result is masked too."""
        return MaskedText(str.lower(self))

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        """Return the parts of the text; each is masked too."""
        return [MaskedText(part) for part in str.split(self, sep, maxsplit)]

    def partition(self, sep: str, /) -> tuple[str, str, str]:
        """Return the text before a separator, the separator, and the text after it; each is masked too."""
        before, found, behind = str.partition(self, sep)
        return MaskedText(before), MaskedText(found), MaskedText(behind)

    def __repr__(self) -> str:
        return repr(MASK)

    def __reduce__(self) -> tuple[Any, ...]:
        return MaskedText, (MASK,)


def header_problem(text: str, name: str, *, ascii_only: bool = False) -> str | None:
    """Return the reason why a text cannot be a header value, or None.

    A line break in a header value would end the header and begin another.
    """
    if not text:
        return f"the {name} must not be empty"
    if text != text.strip():
        return f"the {name} must not begin or end with white space, such as a line break at the end of a file: strip it"
    if not text.isprintable() or (ascii_only and not text.isascii()):
        return f"the {name} must not have a line break or another character that no header can carry: copy it again"
    return None


def _is_text(value: object) -> bool:
    return isinstance(value, str | Secret)


class Secret:
    """A client secret, user secret or token.

    Args:
        text: the clear text, or another Secret.

    Raises:
        ConfigurationError: the argument is not text.
    """

    __slots__ = ("_text", "wrong_kind")

    def __init__(self, text: str | Secret) -> None:
        if not _is_text(text):
            msg = f"a secret must be text, got {type(text).__name__}"
            del text  # tracebacks can print variables
            raise ConfigurationError(msg)
        self.wrong_kind: str | None = None
        self._text: MaskedText | None = text.reveal() if isinstance(text, Secret) else MaskedText(text)

    @classmethod
    def wrap(cls, value: object) -> Secret:
        """Return a value of any type as a secret, without raising.

        The caller rebinds its variable before anything is checked: the traceback of an exception would show the frame
        that still holds the value. Of a value that is not text, ``wrong_kind`` is the name of its type, and ``check``
        and ``reveal`` raise.
        """
        if isinstance(value, Secret):
            return value
        if isinstance(value, str):
            return cls(value)
        secret = cls("-")
        secret._text, secret.wrong_kind = None, type(value).__name__
        return secret

    @classmethod
    def _pickled(cls) -> Secret:
        secret = cls("-")
        secret._text = None
        return secret

    def check(self, name: str) -> None:
        """Reject a secret that could not be sent as an HTTP header.

        Wrapping and checking are two steps, so that the caller can drop the clear text from its variables before
        anything is raised: tracebacks can print variables.

        Raises:
            ConfigurationError: the secret is empty, or has a character that no header can carry; the message begins
                with ``name``.
        """
        problem = header_problem(self.reveal(), name, ascii_only=True)
        if problem is not None:
            raise ConfigurationError(problem)

    def reveal(self) -> MaskedText:
        """Return the clear text. Its ``repr`` is masked; every other use of it is not.

        Raises:
            ConfigurationError: this secret was unpickled, and pickles never carry the text; or it is not text.
        """
        if self.wrong_kind is not None:
            msg = f"a secret must be text, got {self.wrong_kind}"
            raise ConfigurationError(msg)
        if self._text is None:
            msg = "this secret was unpickled, and pickles do not carry the text: pass the text to the new process"
            raise ConfigurationError(msg)
        return self._text

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        if self._text is None or other._text is None:
            return self is other
        return compare_digest(self._text.encode(), other._text.encode())

    def __bool__(self) -> bool:
        # False for an empty secret: the API may send an empty text for an absent one.
        return self._text != ""

    def __hash__(self) -> int:
        return hash(self._text)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        # deepcopy would use __reduce__ otherwise, and return a secret without its text.
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Secret._pickled, ()


def without_frames(exc: BaseException) -> BaseException:
    """Return an exception of another library without its traceback, before it becomes a ``__cause__``.

    The variables of its frames hold whole requests and responses, secrets included, and some tools print the variables
    of a traceback. The exception's message is kept.
    """
    pending: list[BaseException | None] = [exc]
    seen: set[int] = set()
    while pending:
        error = pending.pop()
        if error is not None and id(error) not in seen:
            seen.add(id(error))
            error.__traceback__ = None
            pending += (error.__cause__, error.__context__)
    return exc


def redact(text: str, secrets: Iterable[Secret | None]) -> str:
    """Return a text on one line, shortened, with everything masked that is a secret, or is named or formed like one.

    Args:
        text: a text of the server, of any length.
        secrets: the secrets that the server knows, and may echo in any encoding.
    """
    forms = secret_forms(secrets)
    if len(text) > REDACTION_WINDOW:
        text = _without_cut_secret(text[:REDACTION_WINDOW], forms)
    text = mask_named(text)
    for form in forms:
        text = text.replace(form, MASK)
    return one_line(text, MAX_EXCERPT)


def mask_named(text: str) -> str:
    """Return a text with everything masked that is named or formed like a secret."""
    # A named value is masked up to the next space, the word "Bearer" included. So tokens are masked before names.
    text = _BEARER.sub(rf"\1{MASK}", _JWT.sub(MASK, text))
    return _SENSITIVE_LINE.sub(rf"\1{MASK}", _SENSITIVE.sub(rf'\1"{MASK}"', text))


def redact_bytes(body: bytes, secrets: Iterable[Secret | None]) -> str:
    """Return the beginning of a body as ``redact`` does, without decoding all of it."""
    secrets = tuple(secrets)
    text = body[:REDACTION_WINDOW].decode("utf-8", "replace")
    if len(body) > REDACTION_WINDOW:
        text = _without_cut_secret(text, secret_forms(secrets))
    return redact(text, secrets)


def secret_forms(secrets: Iterable[Secret | None]) -> list[str]:
    """Return every form in which secrets may be in a text: as they are, and as JSON, HTML and URLs encode them."""
    forms: set[str] = set()
    for secret in secrets:
        if secret:
            text = str.__str__(secret.reveal())
            quoted = json.dumps(text, ensure_ascii=False)[1:-1]
            forms |= {text, quoted, quoted.replace("/", r"\/"), escape(text), quote(text, safe="")}
    # The longest first, since one form may be the beginning of another.
    return sorted(forms, key=len, reverse=True)


def _without_cut_secret(text: str, forms: Iterable[str]) -> str:
    # A secret that the cut divides is not found as a whole, so its first part is removed from the end.
    for form in forms:
        for length in range(len(form) - 1, 0, -1):
            if text.endswith(form[:length]):
                text = text[:-length]
                break
    return text
