"""The front door: asking a person. Questions go to stderr, so that stdout stays what was asked for."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

__all__ = ["agreed", "ask_choice", "is_interactive", "prompt", "read_line", "require_interactive"]


class _Question(NamedTuple):
    """What is asked, what Enter means, and whether the answer stays unseen."""

    words: str
    default: str | None = None
    hidden: bool = False


def is_interactive() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin.isatty()


def prompt(words: str, *, default: str | None = None, hidden: bool = False) -> str:
    """Ask for a line of text.

    Args:
        words: the question.
        default: what Enter means; None asks until there is an answer.
        hidden: whether the answer is not shown while it is typed.

    Raises:
        click.Abort: the person pressed Ctrl-C or Ctrl-D.
    """
    return _asked(_Question(words, default, hidden))


def ask_choice(words: str, choices: Sequence[str], *, default: str) -> str:
    """Ask for one of some words, in any case.

    Raises:
        click.Abort: the person pressed Ctrl-C or Ctrl-D.
    """
    with _interruptible():
        kind = click.Choice(choices, case_sensitive=False)
        return str(click.prompt(words, default=default, type=kind, err=True))


def read_line(words: str) -> str:
    """Ask a person for a line, or read it from a program's pipe.

    Raises:
        click.Abort: the person pressed Ctrl-C or Ctrl-D.
        click.UsageError: the pipe ended without a line.
    """
    if is_interactive():
        return prompt(words)
    line = sys.stdin.readline().strip()
    if not line:
        msg = "no address came on stdin: run this at a terminal, or write the address you came back to into the pipe"
        raise click.UsageError(msg)
    return line


def agreed(question: str, *, yes: bool) -> bool:
    """Return whether the person wants it.

    Args:
        question: what is about to be done.
        yes: whether the person said so beforehand.

    Raises:
        click.Abort: the person pressed Ctrl-C or Ctrl-D.
        click.UsageError: nobody is there to ask.
    """
    require_interactive(yes=yes)
    if yes:
        return True
    with _interruptible():
        return click.confirm(question, err=True)


def require_interactive(*, yes: bool) -> None:
    """See to it that a person can be asked, or has said yes beforehand.

    Raises:
        click.UsageError: neither is so.
    """
    if not yes and not is_interactive():
        msg = "this cannot be undone and nobody is there to ask, so add --yes"
        raise click.UsageError(msg)


def _asked(question: _Question) -> str:
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
