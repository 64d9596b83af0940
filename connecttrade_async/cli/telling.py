"""The front door: what is said to a person beside the output, on stderr, so that stdout stays what was asked for."""

from __future__ import annotations

import shutil
import sys
import textwrap

import click

__all__ = ["plain", "tell"]


def plain(text: str) -> str:
    """Return a text on one line without what could steer a terminal: it may come from the other side."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def tell(text: str) -> None:
    """Say a sentence, broken between words where a terminal shows it."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns
        text = textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
    click.echo(text, err=True)
