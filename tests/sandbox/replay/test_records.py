"""Recordings are read strictly: a malformed file is one error that names its line."""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from connecttrade_async.sandbox import RecordingError
from connecttrade_async.sandbox.replay import records
from connecttrade_async.sandbox.replay.records import read_recording

HEADER: dict[str, object] = {"kind": "header", "format": "connecttrade-recording", "version": 1}
EXCHANGE: dict[str, object] = {"kind": "exchange", "at": 0.5, "method": "GET", "path": "/users", "status": 200}
OPEN: dict[str, object] = {"kind": "open", "at": 1, "stream": "brokerage", "session": 1}
FRAME: dict[str, object] = {"kind": "frame", "at": 2, "session": 1, "direction": "in", "text": "{}"}
CLOSE: dict[str, object] = {"kind": "close", "at": 3, "session": 1, "code": 1001, "reason": "bye"}


def write(path: Path, *lines: Any) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), "utf-8")
    return path


def test_recording_holds_exchanges_by_time_and_sessions_as_opened(tmp_path: Path) -> None:
    later = {**EXCHANGE, "at": 0.1, "path": "/accounts", "user": "u", "unknown": {"member": 1}}
    lines = ({**HEADER, "made_by": "x"}, EXCHANGE, later, {"kind": "weather"}, OPEN, "", FRAME, CLOSE)
    recording = read_recording(write(tmp_path / "one.jsonl", *lines))
    assert [exchange.path for exchange in recording.exchanges] == ["/accounts", "/users"]
    [session] = recording.sessions
    assert (session.stream, [frame.payload for frame in session.frames]) == ("brokerage", ["{}"])
    assert session.close is not None
    assert (session.close.code, session.close.reason) == (1001, "bye")


def test_binary_frame_holds_its_bytes(tmp_path: Path) -> None:
    binary = {**FRAME, "text": None, "base64": "AAEC"}
    [session] = read_recording(write(tmp_path / "one.jsonl", HEADER, OPEN, binary)).sessions
    assert session.frames[0].payload == b"\x00\x01\x02"
    assert session.close is None


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "line 1: must be the header of a recording, got an empty file"),
        ([""], "line 1: must be the header of a recording, got an empty"),
        (["", HEADER], "line 1: must be the header of a recording, got an empty line"),
        ([EXCHANGE], "line 1: must be the header of a recording, got a line of kind 'exchange'"),
        ([{**HEADER, "format": "har"}], "line 1: format must be 'connecttrade-recording', got 'har'"),
        ([{**HEADER, "version": 2}], "line 1: version must be 1, got 2"),
        ([HEADER, "{"], "line 2: must be a JSON object of a recording"),
        ([HEADER, "[]"], "line 2: must be a JSON object of a recording"),
        ([HEADER, '{"kind": "exchange", "at"'], "line 2: must be a JSON object of a recording"),
        ([HEADER, {}], "line 2: must be a JSON object of a recording"),
        ([HEADER, {**EXCHANGE, "at": -1}], "line 2: must be a JSON object of a recording"),
        ([HEADER, {**EXCHANGE, "status": 99}], "line 2: must be a JSON object of a recording"),
        ([HEADER, {**EXCHANGE, "query": [["a"]]}], "line 2: must be a JSON object of a recording"),
        ([HEADER, {**EXCHANGE, "path": "users"}], "line 2: path must begin with a slash, got 'users'"),
        ([HEADER, {**EXCHANGE, "headers": [["a", "b\r\nc: d"]]}], "line 2: method, path and headers must be printable"),
        ([HEADER, {**OPEN, "stream": "news"}], "line 2: must be a JSON object of a recording"),
        ([HEADER, OPEN, OPEN], "line 3: session must be a new number, got 1 again"),
        ([HEADER, FRAME], "line 2: session must be opened before, got 1"),
        ([HEADER, OPEN, CLOSE, FRAME], "line 4: session must not be closed before, got 1"),
        ([HEADER, OPEN, {**FRAME, "text": None}], "line 3: a frame must have either text or base64"),
        ([HEADER, OPEN, {**FRAME, "base64": "AA=="}], "line 3: a frame must have either text or base64"),
        ([HEADER, OPEN, {**FRAME, "text": None, "base64": "?"}], "line 3: base64 must be base64"),
        ([HEADER, OPEN, {**FRAME, "direction": "up"}], "line 3: must be a JSON object of a recording"),
    ],
)
def test_malformed_recording_is_an_error_with_its_line(tmp_path: Path, lines: list[Any], words: str) -> None:
    with pytest.raises(RecordingError, match=re.escape(f"one.jsonl, {words}")):
        read_recording(write(tmp_path / "one.jsonl", *lines))


def test_recording_is_bounded_in_lines_and_their_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_MOST_LINES", 3)
    monkeypatch.setattr(records, "_LONGEST_LINE", 200)
    read_recording(write(tmp_path / "one.jsonl", HEADER, EXCHANGE, EXCHANGE))
    with pytest.raises(RecordingError, match="line 4: must be the last, a recording has at most 3 lines"):
        read_recording(write(tmp_path / "one.jsonl", HEADER, EXCHANGE, EXCHANGE, EXCHANGE))
    with pytest.raises(RecordingError, match="line 2: must be at most 200 bytes long"):
        read_recording(write(tmp_path / "one.jsonl", HEADER, {**EXCHANGE, "response": "x" * 200}))


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_any_bytes_are_a_recording_or_one_error_with_a_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "one.jsonl"
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(RecordingError, match=r"^one\.jsonl, line \d+: "):
        read_recording(path)
    path.write_bytes(b"\n".join([json.dumps(HEADER).encode(), *lines]))
    with suppress(RecordingError):
        read_recording(path)
