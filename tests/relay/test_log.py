from __future__ import annotations

import pytest

from connecttrade_async.relay.log import (
    EPOCH,
    FOREIGN,
    LEFT,
    LIVE,
    LOST,
    MARK,
    ControlPayload,
    LogEntry,
    LogPosition,
    LogReader,
    LogSnapshot,
    MissedEntries,
    ReceivedEntry,
    decode_entry,
    encode_control,
    encode_value,
)

NOTHING = ReceivedEntry()


def live_reader(epoch: int = 10, sequence: int = 5, at: int = 100) -> LogReader:
    """Return a reader that is live at a position."""
    reader = LogReader()
    reader.attach(LogSnapshot(LogPosition(epoch, sequence), is_live=True))
    reader.last_at = at
    return reader


def event(epoch: int, sequence: int, at: int = 200, payload: bytes = b"{}") -> LogEntry:
    return LogEntry(LogPosition(epoch, sequence), b"orders", at, payload)


def control(epoch: int, sequence: int, kind: bytes, at: int = 200, **fields: object) -> LogEntry:
    return LogEntry(LogPosition(epoch, sequence), kind, at, control=ControlPayload(**fields))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "1", "1-", "-1", "1-*", "01-1", "1-01", "1-1 ", " 1-1", "1_0-1", "٣-1", "1-1\n"])
def test_position_rejects_another_form(text: str) -> None:
    assert LogPosition.parse(text) is None


def test_position_is_equal_to_its_text_and_ordered_by_epoch_first() -> None:
    assert LogPosition.parse(b"12-3") == LogPosition.parse("12-3") == LogPosition(12, 3)
    assert str(LogPosition(12, 3)) == "12-3"
    assert LogPosition(1, 9) < LogPosition(2, 0)
    assert LogPosition((1 << 53) - 1, 0).is_usable
    assert not LogPosition(1 << 53, 0).is_usable


def test_entry_of_an_event_keeps_the_frame_as_it_is() -> None:
    frame = b'{"type":"order", "x": 1 }'
    entry = decode_entry(b"7-3", [b"orders", encode_value(1234, frame)])
    assert entry == LogEntry(LogPosition(7, 3), b"orders", 1234, frame)


def test_entry_of_the_relay_keeps_its_control() -> None:
    wanted = ControlPayload(by="w", after="6-9", is_live=True, since=5, cause="why")
    assert decode_entry(b"7-0", [b"epoch", encode_control(9, wanted)]).control == wanted


@pytest.mark.parametrize(
    ("entry_id", "fields"),
    [
        (b"7-3", [b"orders"]),
        (b"7-3", []),
        (b"7-3", [b"orders", b"1 {}", b"more", b""]),
        (b"7-3", [b"weather", b"1 {}"]),
        (b"7-3", [b"orders", b"{}"]),
        (b"7-3", [b"orders", b"-1 {}"]),
        (b"7-3", [b"orders", b"99999999999999999999 {}"]),
        (b"7-3", [b"live", b"1 "]),
        (b"7-3", [b"live", b'1 {"by":3}']),
        (b"7-3", [b"live", b"1 \xff"]),
        (b"7-3", [b"epoch", b"1 {}"]),
        (b"7-0", [b"live", b"1 {}"]),
        (b"18446744073709551615-1", [b"orders", b"1 {}"]),
    ],
    ids=str,
)
def test_entry_that_the_relay_did_not_write_is_foreign(entry_id: bytes, fields: list[bytes]) -> None:
    assert decode_entry(entry_id, fields).kind == FOREIGN


def test_reader_takes_the_next_event_of_a_live_session() -> None:
    reader = live_reader()
    assert reader.take(b"10-6", b"orders", b"300 {}") == b"{}"
    assert (reader.position, reader.last_at) == (LogPosition(10, 6), 300)
    assert reader.take(b"10-7", b"balances", b"301 []") == b"[]"


@pytest.mark.parametrize(
    ("entry_id", "kind", "value"),
    [
        (b"10-7", b"orders", b"300 {}"),
        (b"10-5", b"orders", b"300 {}"),
        (b"11-6", b"orders", b"300 {}"),
        (b"10-6", b"live", b"300 {}"),
        (b"10-6", b"orders", b"{}"),
        (b"10-6", b"orders", b"x {}"),
    ],
    ids=str,
)
def test_reader_takes_no_other_entry(entry_id: bytes, kind: bytes, value: bytes) -> None:
    reader = live_reader()
    assert reader.take(entry_id, kind, value) is None
    assert reader.position == LogPosition(10, 5)


def test_reader_takes_no_event_before_the_session_is_live() -> None:
    reader = LogReader()
    assert reader.take(b"1-1", b"orders", b"1 {}") is None
    reader.attach(LogSnapshot(LogPosition(10, 5)))
    assert reader.take(b"10-6", b"orders", b"1 {}") is None


def test_next_event_has_no_gap_before_it() -> None:
    assert live_reader().receive(event(10, 6)) == ReceivedEntry(None, b"{}")


@pytest.mark.parametrize("sequence", [5, 4, 0])
def test_entry_that_was_received_is_skipped(sequence: int) -> None:
    reader = live_reader()
    assert reader.receive(event(10, sequence)) == NOTHING
    assert reader.position == LogPosition(10, 5)


@pytest.mark.parametrize(
    ("epoch", "sequence"), [(10, 7), (11, 1), (11, 6), (9, 6)], ids=["hole", "no epoch", "other epoch", "earlier"]
)
def test_any_other_event_has_one_gap_before_it(epoch: int, sequence: int) -> None:
    reader = live_reader(at=100)
    received = reader.receive(event(epoch, sequence, at=200))
    assert received.payload == b"{}"
    assert received.missed is not None
    assert (received.missed.since, received.missed.until) == (100, 200)
    assert reader.receive(event(epoch, sequence + 1)) == ReceivedEntry(None, b"{}")


def test_new_epoch_has_one_gap_that_ends_when_its_session_is_live() -> None:
    reader = live_reader(at=100)
    assert reader.receive(control(11, 0, EPOCH, at=150)) == NOTHING
    assert not reader.is_live
    assert reader.receive(control(11, 1, LIVE, at=300)) == ReceivedEntry(
        MissedEntries("the relay has a new leader", 100, 300)
    )
    assert reader.receive(event(11, 2)) == ReceivedEntry(None, b"{}")


def test_lost_session_has_one_gap_since_the_leader_received_last() -> None:
    reader = live_reader(at=100)
    assert reader.receive(control(10, 6, LOST, at=150, cause="network")) == NOTHING
    assert (reader.is_live, reader.cause) == (False, "network")
    assert reader.receive(control(10, 7, LIVE, at=300, since=90)) == ReceivedEntry(MissedEntries("network", 90, 300))


def test_leader_that_left_begins_the_gap_of_the_next_epoch() -> None:
    reader = live_reader(at=100)
    assert reader.receive(control(10, 6, LEFT, at=150, cause="closed")) == NOTHING
    assert reader.receive(control(11, 0, EPOCH, at=160)) == NOTHING
    assert reader.receive(control(11, 1, LIVE, at=170)) == ReceivedEntry(MissedEntries("closed", 100, 170))


def test_mark_shows_a_hole_at_once() -> None:
    reader = live_reader(at=100)
    assert reader.receive(control(10, 6, MARK)) == NOTHING
    assert reader.receive(control(10, 9, MARK, at=300)).missed is not None


def test_epoch_after_the_position_continues_without_a_gap() -> None:
    reader = live_reader()
    assert reader.receive(control(11, 0, EPOCH, after="10-5", is_live=True)) == NOTHING
    assert reader.is_live
    assert reader.receive(event(11, 1)) == ReceivedEntry(None, b"{}")


def test_epoch_after_an_earlier_entry_skips_what_the_reader_has() -> None:
    reader = live_reader(10, 5)
    assert reader.receive(control(11, 0, EPOCH, after="10-3", is_live=True)) == NOTHING
    assert [reader.receive(event(11, number)).payload for number in (1, 2, 3)] == [None, None, b"{}"]


@pytest.mark.parametrize("after", ["10-6", "9-5", "nonsense"])
def test_epoch_after_another_entry_is_a_gap(after: str) -> None:
    reader = live_reader(at=100)
    missed = reader.receive(control(11, 0, EPOCH, at=200, after=after, is_live=True)).missed
    assert missed == MissedEntries("the relay has a new leader", 100, 200)


def test_epoch_that_continues_keeps_an_open_gap_open() -> None:
    reader = live_reader()
    reader.receive(control(10, 6, LOST, cause="network"))
    assert reader.receive(control(11, 0, EPOCH, after="10-6")) == NOTHING
    assert reader.receive(control(11, 1, LIVE)).missed is not None


def test_foreign_entry_is_a_gap_and_ends_no_session() -> None:
    reader = live_reader(at=100)
    missed = reader.receive(LogEntry(LogPosition(10, 6), FOREIGN)).missed
    assert missed is not None
    assert missed.since == missed.until == 100
    assert reader.is_live
    assert reader.receive(event(10, 7)) == ReceivedEntry(None, b"{}")


def test_foreign_entry_of_another_epoch_is_a_gap_until_the_leader_answers_it() -> None:
    reader = live_reader(at=100)
    assert reader.receive(LogEntry(LogPosition(99, 0), FOREIGN)) == NOTHING
    assert not reader.is_live
    assert reader.receive(control(100, 0, EPOCH, after="10-5", is_live=True)).missed is not None


def test_reader_without_a_history_misses_nothing() -> None:
    reader = LogReader()
    assert reader.attach(LogSnapshot(None)) == (LogPosition(0, 0), None)
    assert reader.receive(LogEntry(LogPosition(3, 9), FOREIGN)) == NOTHING
    assert reader.receive(control(11, 0, EPOCH)) == NOTHING
    assert reader.receive(control(11, 1, LIVE)) == NOTHING
    assert reader.is_live


def test_reader_without_a_position_begins_at_the_top() -> None:
    reader = LogReader()
    assert reader.attach(LogSnapshot(LogPosition(10, 5), is_live=True)) == (LogPosition(10, 5), None)
    assert reader.is_live
    assert reader.position == LogPosition(10, 5)


def test_reader_that_resumes_continues_behind_its_position() -> None:
    reader = LogReader(LogPosition(10, 3))
    assert reader.attach(LogSnapshot(LogPosition(10, 5), is_live=True)) == (LogPosition(10, 3), None)
    assert not reader.is_live  # the entries in between may say something else
    assert reader.receive(event(10, 4)) == ReceivedEntry(None, b"{}")
    assert reader.is_live


def test_reader_that_resumes_at_the_top_knows_at_once_whether_it_is_live() -> None:
    reader = LogReader(LogPosition(10, 5))
    assert reader.attach(LogSnapshot(LogPosition(10, 5), is_live=True)) == (LogPosition(10, 5), None)
    assert reader.is_live


def test_reader_that_resumes_behind_the_trimmed_part_has_a_gap_since_its_epoch() -> None:
    reader = LogReader(LogPosition(10, 3))
    reader.attach(LogSnapshot(LogPosition(10, 9), is_live=True))
    missed = reader.receive(event(10, 8, at=500)).missed
    assert missed is not None
    assert (missed.since, missed.until) == (10, 500)


def test_reader_of_an_empty_log_waits_for_an_epoch() -> None:
    reader = live_reader()
    assert reader.attach(LogSnapshot(None)) == (LogPosition(0, 0), None)
    assert reader.receive(control(11, 0, EPOCH, after="10-5", is_live=True)) == NOTHING


def test_reader_above_the_top_continues_with_the_leader_of_its_epoch() -> None:
    reader = live_reader(10, 5)
    assert reader.attach(LogSnapshot(LogPosition(10, 3), is_live=True, epoch=10)) == (LogPosition(10, 3), None)
    assert reader.receive(event(10, 4)) == NOTHING  # an append that was sent again
    assert reader.receive(event(10, 6)) == ReceivedEntry(None, b"{}")


def test_reader_above_the_top_of_an_earlier_leader_has_a_gap_at_once() -> None:
    reader = live_reader(10, 5, at=100)
    view = LogSnapshot(LogPosition(9, 3), is_live=True, epoch=9, now=900)
    assert reader.is_reset(view)
    cursor, missed = reader.attach(view)
    assert cursor == reader.position == LogPosition(9, 3)
    assert missed is not None
    assert (missed.since, missed.until) == (100, 900)


def test_reader_is_not_reset_without_a_position_a_log_or_a_leader() -> None:
    assert not LogReader().is_reset(LogSnapshot(LogPosition(9, 3), epoch=9))
    assert not live_reader().is_reset(LogSnapshot(None, epoch=9))
    assert not live_reader().is_reset(LogSnapshot(LogPosition(9, 3)))


def test_reader_with_an_open_gap_at_the_top_stays_not_live() -> None:
    reader = live_reader()
    reader.receive(control(10, 6, LOST, cause="network"))
    reader.attach(LogSnapshot(LogPosition(10, 6), is_live=True))
    assert not reader.is_live
    assert reader.take(b"10-7", b"orders", b"1 {}") is None


def test_gap_never_ends_before_it_begins() -> None:
    reader = live_reader(at=500)
    missed = reader.receive(event(10, 9, at=200)).missed
    assert missed is not None
    assert missed.since == missed.until == 200
