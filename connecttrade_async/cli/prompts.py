"""Prompt a person. Questions go to stderr, so that stdout holds only the output."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

__all__ = ["confirm", "is_interactive", "prompt", "prompt_choice", "read_line", "require_interactive"]


class _Question(NamedTuple):
    """The text of a prompt, its default for Enter, and whether the answer is hidden."""

    words: str
    default: str | None = None
    hidden: bool = False


def is_interactive() -> bool:
    """Return whether stdin is a terminal."""
    return sys.stdin.isatty()


def prompt(words: str, *, default: str | None = None, hidden: bool = False) -> str:
    """Prompt for a line of text.

    Args:
        words: the question.
        default: the answer for Enter; None repeats the question until there is an answer.
        hidden: whether the answer is not echoed.

    Raises:
        click.Abort: the person pressed Ctrl-C or Ctrl-D.
    """
    return _prompt(_Question(words, default, hidden))


def prompt_choice(words: str, choices: Sequence[str], *, default: str) -> str:
    """Prompt for one of several words, in upper or lower case.

    Raises:
        click.Abort: the person pressed Ctrl-C or Ctrl-D.
    """
    with _interruptible():
        kind = click.Choice(choices, case_sensitive=False)
        return str(click.prompt(words, default=default, type=kind, err=True))


def read_line(words: str) -> str:
    """Prompt for a line on a terminal, or read it from a pipe.

    Raises:
        click.Abort: the person pressed Ctrl-C or Ctrl-D.
        click.UsageError: the pipe ended without a line.
    """
    if is_interactive():
        return prompt(words)
    line = sys.stdin.readline().strip()
    if not line:
        msg = "stdin must hold the address of the redirect, got nothing: write it into the pipe, or use a terminal"
        raise click.UsageError(msg)
    return line


def confirm(question: str, *, yes: bool) -> bool:
    """Ask for confirmation, and return the answer.

    Args:
        question: the question.
        yes: whether ``--yes`` was given, which skips the question.

    Raises:
        click.Abort: the person pressed Ctrl-C or Ctrl-D.
        click.UsageError: stdin is not a terminal and ``--yes`` is missing.
    """
    require_interactive(yes=yes)
    if yes:
        return True
    with _interruptible():
        return click.confirm(question, err=True)


def require_interactive(*, yes: bool) -> None:
    """Check that a question can be confirmed, by a person or by ``--yes``.

    Raises:
        click.UsageError: stdin is not a terminal and ``--yes`` is missing.
    """
    if not yes and not is_interactive():
        msg = "this cannot be undone: add --yes, or confirm it on a terminal"
        raise click.UsageError(msg)


def _prompt(question: _Question) -> str:
    with _interruptible():
        return str(
            click.prompt(
                question.words,
                default=question.default,
                hide_input=question.hidden,
                show_default=bool(question.default),
                err=True,
            ),
        )


@contextlib.contextmanager
def _interruptible() -> Generator[None]:
    # asyncio handles a signal by a callback of its loop, which cannot run while a prompt blocks the loop.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [
        (number, signal.signal(number, handler))
        for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL))
    ]
    wakeup = signal.set_wakeup_fd(-1)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before:
            signal.signal(number, handler)
