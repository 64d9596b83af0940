"""The front door: what is said to a person. Asides go to stderr, so that stdout stays what was asked for."""

from __future__ import annotations

import shutil
import sys
import textwrap

import click

__all__ = ["announce", "plain", "tell"]


def plain(text: str) -> str:
    """Return a text on one line without what could steer a terminal: it may come from the other side."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def tell(text: str) -> None:
    """Say a sentence, broken between words where a terminal shows it."""
    click.echo(_broken(text) if sys.stderr.isatty() else text, err=True)


def announce(text: str) -> None:
    """Say on stdout in one sentence what was done, broken between words where a terminal shows it."""
    click.echo(_broken(plain(text)) if sys.stdout.isatty() else plain(text))


def _broken(text: str) -> str:
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
