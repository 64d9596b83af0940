"""Below the waterline: a secret that can be carried anywhere and shows itself nowhere.

Its vow: the text leaves only through ``reveal()``. Not by ``repr``, ``str``, formatting, pickling, copying into a
log record, or the local variables of a traceback.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Any

from connecttrade_async.errors import ConfigurationError

__all__ = ["Secret"]

MASK = "***"


class MaskedText(str):
    """A header value whose ``repr`` is masked: HTTP libraries keep headers in variables, and tracebacks show those."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)


def header_problem(text: str, name: str, *, ascii_only: bool = False) -> str | None:
    """Say why a text cannot be a header value, or None: a line break in one would end the header and begin another."""
    if not text:
        return f"the {name} is empty"
    if text != text.strip():
        return f"the {name} begins or ends with white space, often a line break read along from a file: strip it"
    if not text.isprintable() or (ascii_only and not text.isascii()):
        return f"the {name} has a line break or another character in it that no header can carry: copy it again"
    return None


class Secret:
    """A client secret, user secret or token.

    Args:
        text: the clear text, or another Secret.
        name: what it is, for the error message.

    Raises:
        ConfigurationError: the text is empty, or could not be sent as an HTTP header.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str | Secret, name: str = "secret") -> None:
        self._text: MaskedText | None = text.reveal() if isinstance(text, Secret) else MaskedText(text)
        # Tracebacks can print local variables, so the clear text must be gone before anything is raised here.
        del text
        problem = header_problem(self._text, name, ascii_only=True)
        if problem is not None:
            raise ConfigurationError(problem)

    @classmethod
    def received(cls, text: object) -> Secret:
        """Wrap what the wire sent. What it holds is checked when it is about to be sent back.

        Raises:
            TypeError: it is no text.
        """
        if not isinstance(text, str):
            msg = f"Expected `str`, got `{type(text).__name__}`"
            raise TypeError(msg)
        return cls._holding(MaskedText(text))

    @classmethod
    def _holding(cls, text: MaskedText | None = None) -> Secret:
        secret = cls.__new__(cls)
        secret._text = text  # noqa: SLF001 - its own kind
        return secret

    def reveal(self) -> MaskedText:
        """Return the clear text. Its ``repr`` is masked; every other use of it is not.

        Raises:
            ConfigurationError: this secret went through a pickle, which never carries the text.
        """
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

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[Any, ...]:
        return Secret._holding, ()
