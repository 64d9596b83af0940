"""The thread that redacts and writes a recording, so that the event loop waits neither for the redaction nor a disk."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from connecttrade_async.clock import SystemClock
from connecttrade_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from connecttrade_async.recording.entries import Entry, EntryEncoder

__all__ = ["RecordingLimits", "RecordingWriter"]

OWNER_ONLY = 0o600
INTERVAL = 0.05  # seconds between two batches
# The thread holds the interpreter's lock while it redacts. It pauses after each share of work, since a thread that
# waits for the lock, as the event loop does, else gets it only after 5 ms.
WORK = 0.001  # seconds
PAUSE = 0.001  # seconds
LAST_LINE = 512  # bytes that are reserved for it
NOW = SystemClock.now  # the real clock: a clock that a test has stopped does not mean that no work was done
log = logging.getLogger("connecttrade_async.recording")


class RecordingLimits(NamedTuple):
    """The bounds of a recording.

    Attributes:
        file_bytes: the largest file.
        backlog_bytes: the traffic that may wait for being written.
    """

    file_bytes: int
    backlog_bytes: int


class RecordingWriter:
    """Writes entries to a new file, which only its owner can read.

    Args:
        path: the file; it must not exist.
        encoder: encodes the entries.
        limits: the bounds; the recording ends with a last line that says which one was reached.
        now: returns the seconds since the recording began, for the last line.

    Attributes:
        is_ended: whether entries are ignored from now on.
        entries: the entries written so far.
        error: why writing failed, or None.

    Raises:
        ConfigurationError: the file exists, or cannot be created.
    """

    def __init__(self, path: Path, encoder: EntryEncoder, limits: RecordingLimits, now: Callable[[], float]) -> None:
        self.is_ended = False
        self.entries = 0
        self.error: OSError | None = None
        self._path = path
        self._encoder = encoder
        self._limits = limits
        self._now = now
        self._reason = ""
        self._queue: deque[tuple[Entry, int]] = deque()
        # Each counter has one writing thread, so that no update is lost.
        self._bytes_queued = 0
        self._bytes_taken = 0
        self._bytes_written = 0
        self._begun = 0.0
        self._is_over = threading.Event()
        self._resting = threading.Event()  # never set: waiting for it is a sleep that a stopped clock does not stop
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
        except OSError as exc:
            msg = f"path must be a new file in a folder that can be written, got {str(path)!r}: {exc.strerror}"
            raise ConfigurationError(msg) from exc
        self._file = os.fdopen(descriptor, "wb")
        self._thread = threading.Thread(target=self._run, name="connecttrade recording", daemon=True)
        self._thread.start()

    def put(self, entry: Entry, size: int) -> None:
        """Queue an entry. It neither waits nor raises.

        Args:
            entry: the entry.
            size: the bytes that it holds in memory.
        """
        if self.is_ended:
            return
        if self._bytes_queued - self._bytes_taken > self._limits.backlog_bytes:
            self._end(f"more than {self._limits.backlog_bytes:,} bytes of traffic waited for being written")
            return
        self._bytes_queued += size
        self._queue.append((entry, size))

    def close(self, timeout: float) -> bool:
        """Write what is queued and the last line, and close the file. It blocks the calling thread.

        Args:
            timeout: the time limit in seconds.

        Returns:
            Whether the file was closed within the time limit.
        """
        self._end("the recorder was closed")
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _end(self, reason: str) -> None:
        if not self.is_ended:
            self._reason = reason
            self.is_ended = True
        self._is_over.set()

    def _run(self) -> None:
        try:
            with self._file:
                self._write(self._encoder.header())
                self._write_all()
                if self.error is None:
                    self._file.write(self._encoder.end(self._now(), self._reason))
        except OSError as exc:
            self.error = exc
            log.error("the recording has ended: %s cannot be written: %s", self._path, exc.strerror)  # noqa: TRY400 - a full disk needs no traceback
        except Exception:
            log.exception("the recording has ended on an unexpected error")
        finally:
            self.is_ended = True
            self._queue.clear()

    def _write_all(self) -> None:
        is_over = False
        self._encoder.pause_with(self._pause)
        while not is_over:
            is_over = self._is_over.wait(INTERVAL)
            self._begun = NOW()
            while self._queue:
                entry, size = self._queue.popleft()
                self._bytes_taken += size
                line = self._encoder.encode(entry)
                if self._bytes_written + len(line) > self._limits.file_bytes - LAST_LINE:
                    self._reason = f"the file has reached its limit of {self._limits.file_bytes:,} bytes"
                    self.is_ended = True
                    log.warning("the recording has ended: %s", self._reason)
                    return
                self._write(line)
                self.entries += 1
                self._pause()
            self._file.flush()

    def _pause(self) -> None:
        """Let other threads run after a share of work."""
        if NOW() - self._begun > WORK:
            self._resting.wait(PAUSE)
            self._begun = NOW()

    def _write(self, line: bytes) -> None:
        self._file.write(line)
        self._bytes_written += len(line)
