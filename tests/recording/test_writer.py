"""The writing thread: bounds, and the end of a recording."""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async import ConfigurationError
from connecttrade_async.recording.entries import EntryEncoder, SocketClosed
from connecttrade_async.recording.redaction import Redactor, ValuePolicy
from connecttrade_async.recording.writer import RecordingLimits, RecordingWriter

if TYPE_CHECKING:
    from pathlib import Path

    from connecttrade_async.recording.entries import Entry

ENTRY = SocketClosed(0.0, 1, 1000, "")
ROOMY = RecordingLimits(1 << 20, 1 << 20)


class HeldEncoder(EntryEncoder):
    """An encoder that waits for the test before its first entry, and fails if the test wants it to."""

    def __init__(self) -> None:
        super().__init__(Redactor(ValuePolicy()))
        self.reached = threading.Event()
        self.released = threading.Event()
        self.fails = False

    def encode(self, entry: Entry) -> bytes:
        self.reached.set()
        assert self.released.wait(5)
        if self.fails:
            raise LookupError
        return super().encode(entry)


def reason(path: Path) -> str:
    last: dict[str, Any] = json.loads(path.read_text().splitlines()[-1])
    assert last["kind"] == "end"
    return str(last["reason"])


def test_writer_ends_when_more_traffic_waits_than_its_limit(tmp_path: Path) -> None:
    encoder, path = HeldEncoder(), tmp_path / "x"
    writer = RecordingWriter(path, encoder, RecordingLimits(1 << 20, 1000), lambda: 1.0)
    writer.put(ENTRY, 600)
    assert encoder.reached.wait(5)
    for _ in range(10):
        writer.put(ENTRY, 600)
    assert writer.is_ended
    encoder.released.set()
    assert writer.close(5)
    assert "1,000 bytes of traffic waited" in reason(path)
    assert writer.entries == 3


def test_writer_that_fails_unexpectedly_logs_it_and_takes_nothing_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = HeldEncoder()
    encoder.fails = True
    writer = RecordingWriter(tmp_path / "x", encoder, ROOMY, lambda: 1.0)
    writer.put(ENTRY, 1)
    encoder.released.set()
    assert writer.close(5)
    writer.put(ENTRY, 1)
    assert writer.is_ended
    assert writer.entries == 0
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_close_reports_a_file_that_is_not_closed_in_time(tmp_path: Path) -> None:
    encoder = HeldEncoder()
    writer = RecordingWriter(tmp_path / "x", encoder, ROOMY, lambda: 1.0)
    writer.put(ENTRY, 1)
    assert encoder.reached.wait(5)
    assert not writer.close(0.01)
    encoder.released.set()
    assert writer.close(5)
    assert reason(tmp_path / "x") == "the recorder was closed"


def test_writer_refuses_a_path_that_it_cannot_create(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing" / "x"):
        with pytest.raises(ConfigurationError, match="path must be a new file"):
            RecordingWriter(path, EntryEncoder(Redactor(ValuePolicy())), ROOMY, lambda: 1.0)
