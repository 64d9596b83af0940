"""The front door: what is said to a person. Asides go to stderr, so that stdout stays what was asked for."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap

import click

__all__ = ["announce", "echo_line", "escaped", "plain"]


def plain(text: str) -> str:
    """Return a text on one line without what could steer a terminal: it may come from the other side."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def escaped(text: str) -> str:
    """Return a line of JSON that reads the same, without a character that could steer a terminal."""
    if text.isprintable():
        return text
    # JSON's own escapes end below the space; C1 controls and changes of direction lie above it.
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)


def echo_line(text: str) -> None:
    """Say a sentence, broken between words where a terminal shows it."""
    text = "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)
    click.echo(_broken(text) if sys.stderr.isatty() else text, err=True)


def announce(text: str) -> None:
    """Say on stdout in one sentence what was done, broken between words where a terminal shows it."""
    click.echo(_broken(plain(text)) if sys.stdout.isatty() else plain(text))


def _broken(text: str) -> str:
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
