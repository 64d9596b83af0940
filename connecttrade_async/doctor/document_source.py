"""Read a document from a file or over HTTP, within bounds of size and time and without credentials."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from connecttrade_async.clock import SystemClock
from connecttrade_async.errors import ConfigurationError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_BYTES", "read_document"]

MAX_BYTES = 32 << 20
TIMEOUT = 30.0  # seconds in all
CHUNK = 1 << 16
SCHEMES = ("http://", "https://")
NOW = SystemClock.now


class ReadableSource(Protocol):
    """What a file and a response have in common."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes; an empty value at the end."""
        ...


async def read_document(source: str, *, max_bytes: int = MAX_BYTES, timeout: float = TIMEOUT) -> bytes:
    """Read a document.

    Args:
        source: the path of a file, or an address with ``http://`` or ``https://``.
        max_bytes: the largest document.
        timeout: the time limit in seconds.

    Raises:
        ConfigurationError: it cannot be read, is too large or took too long, or its address has another scheme.

    Cancelling abandons a thread, which ends within the time limit.
    """
    scheme, separator, _ = source.partition("://")
    if separator and not source.lower().startswith(SCHEMES):
        msg = f"the document must be a file or an http or https address, got the scheme {one_line(scheme)}"
        raise ConfigurationError(msg)
    read = _read_address if separator else _read_file
    return await asyncio.to_thread(read, source, max_bytes, timeout)


def _read_file(source: str, max_bytes: int, timeout: float) -> bytes:
    try:
        with Path(source).open("rb") as file:
            return _read_all(file, max_bytes, timeout)
    except OSError as exc:
        msg = f"the document {source!r} cannot be read: {exc.strerror}"
        raise ConfigurationError(msg) from exc


def _read_address(source: str, max_bytes: int, timeout: float) -> bytes:
    # The handlers are listed, since the default ones also open files and FTP, to which a redirect could lead.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    headers = {"accept": "application/json", "user-agent": "connecttrade-async"}
    try:
        request = urllib.request.Request(source, headers=headers)  # noqa: S310 - the scheme was checked
        with opener.open(request, timeout=timeout) as response:
            return _read_all(response, max_bytes, timeout)
    except urllib.error.HTTPError as exc:
        exc.close()
        msg = f"the document cannot be read: the server answered {exc.code}"
        raise ConfigurationError(msg) from None
    except (OSError, HTTPException, ValueError) as exc:
        reason = getattr(exc, "reason", None) or exc
        msg = f"the document cannot be read: {one_line(str(reason)) or type(exc).__name__}"
        raise ConfigurationError(msg) from exc


def _read_all(source: ReadableSource, max_bytes: int, timeout: float, now: Callable[[], float] = NOW) -> bytes:
    blocks: list[bytes] = []
    size, deadline = 0, now() + timeout
    while block := source.read(CHUNK):
        blocks.append(block)
        size += len(block)
        if size > max_bytes:
            msg = f"the document must have at most {max_bytes:,} bytes, got more"
            raise ConfigurationError(msg)
        if now() > deadline:
            msg = f"the document must arrive within {timeout:g} s, got {size:,} bytes of it"
            raise ConfigurationError(msg)
    return b"".join(blocks)
