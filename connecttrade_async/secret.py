"""Below the waterline: a secret that can be carried anywhere and shows itself nowhere.

Its vow: the text leaves only through ``reveal()``. Not by ``repr``, ``str``, formatting, pickling, copying into a
log record, or the local variables of a traceback.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING, Any, SupportsIndex

from connecttrade_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Secret"]

MASK = "***"


class MaskedText(str):
    """A header value whose ``repr`` is masked: HTTP libraries keep headers in variables, and tracebacks show those.

    So are its slices and what is stripped or joined of it, which they keep too.
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
        """Return the text without white space, or these characters, at its ends; masked too."""
        return MaskedText(str.strip(self, chars))

    def lower(self) -> MaskedText:
        """Return the text in lower case; masked too."""
        return MaskedText(str.lower(self))

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        """Return the parts of the text; each masked too."""
        return [MaskedText(part) for part in str.split(self, sep, maxsplit)]

    def partition(self, sep: str, /) -> tuple[str, str, str]:
        """Return the text before a separator, the separator, and the text behind it; each masked too."""
        before, found, behind = str.partition(self, sep)
        return MaskedText(before), MaskedText(found), MaskedText(behind)

    def __repr__(self) -> str:
        return repr(MASK)

    def __reduce__(self) -> tuple[Any, ...]:
        return MaskedText, (MASK,)


def header_problem(text: str, name: str, *, ascii_only: bool = False) -> str | None:
    """Say why a text cannot be a header value, or None: a line break in one would end the header and begin another."""
    if not text:
        return f"the {name} is empty"
    if text != text.strip():
        return f"the {name} begins or ends with white space, often a line break read along from a file: strip it"
    if not text.isprintable() or (ascii_only and not text.isascii()):
        return f"the {name} has a line break or another character in it that no header can carry: copy it again"
    return None


def _is_text(value: object) -> bool:
    return isinstance(value, str | Secret)


class Secret:
    """A client secret, user secret or token.

    Args:
        text: the clear text, or another Secret.

    Raises:
        ConfigurationError: it is no text.
    """

    __slots__ = ("_text", "wrong_kind")

    def __init__(self, text: str | Secret) -> None:
        if not _is_text(text):
            msg = f"a secret must be text, not {type(text).__name__}"
            del text  # tracebacks can print variables
            raise ConfigurationError(msg)
        self.wrong_kind: str | None = None
        self._text: MaskedText | None = text.reveal() if isinstance(text, Secret) else MaskedText(text)

    @classmethod
    def wrap(cls, value: object) -> Secret:
        """Return a value of any kind as a secret, without raising.

        The caller rebinds its variable before anything is checked: an exception would show the frame that still holds
        the value. Of no text, ``wrong_kind`` is the name of its type, and ``check`` and ``reveal`` raise.
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
        """Refuse a secret that could not be sent as an HTTP header.

        Wrapping and checking are two steps, so that whoever holds the clear text in a variable can let go of it before
        anything is raised: tracebacks can print variables.

        Raises:
            ConfigurationError: it is empty, or has in it what no header can carry; the sentence begins with the name.
        """
        problem = header_problem(self.reveal(), name, ascii_only=True)
        if problem is not None:
            raise ConfigurationError(problem)

    def reveal(self) -> MaskedText:
        """Return the clear text. Its ``repr`` is masked; every other use of it is not.

        Raises:
            ConfigurationError: this secret went through a pickle, which never carries the text, or it is no text.
        """
        if self.wrong_kind is not None:
            msg = f"a secret must be text, not {self.wrong_kind}"
            raise ConfigurationError(msg)
        if self._text is None:
            msg = "this secret was pickled, and secrets do not travel in pickles: give it to the new process yourself"
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
        # Whether anything came: the wire may send an empty text for what it lacks.
        return self._text != ""

    def __hash__(self) -> int:
        return hash(self._text)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        # A copy stays in this process, so it needs no pickle; without this, it would come out without its text.
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Secret._pickled, ()


def without_frames(exc: BaseException) -> BaseException:
    """Return a foreign exception that is about to become a cause, without the frames it came through.

    The variables in those frames hold requests and answers to the byte, secrets included, and some tracebacks print
    variables. What the exception says is kept.
    """
    steps: list[BaseException | None] = [exc]
    seen: set[int] = set()
    while steps:
        step = steps.pop()
        if step is not None and id(step) not in seen:
            seen.add(id(step))
            step.__traceback__ = None
            steps += (step.__cause__, step.__context__)
    return exc
