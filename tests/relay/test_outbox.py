from __future__ import annotations

from connecttrade_async.relay.log import LIVE, LOST, LogPosition
from connecttrade_async.relay.outbox import ENTRY_BYTES, Outbox


def outbox_of(*values: bytes, max_bytes: int = 1000, max_seconds: float = 10.0) -> Outbox:
    outbox = Outbox(7, max_bytes=max_bytes, max_seconds=max_seconds)
    for number, value in enumerate(values):
        outbox.put(b"orders", value, float(number))
    return outbox


def test_empty_outbox_has_no_batch() -> None:
    assert outbox_of().batch(10, 1000) is None


def test_batch_is_the_same_until_it_is_acknowledged() -> None:
    outbox = outbox_of(b"a", b"b", b"c")
    batch = outbox.batch(2, 1000)
    assert batch is not None
    assert batch == outbox.batch(2, 1000)
    assert (batch.first, batch.last) == (LogPosition(7, 1), LogPosition(7, 2))
    assert batch.entries == ((b"orders", b"a"), (b"orders", b"b"))
    outbox.acknowledge(batch.last.sequence)
    assert outbox.acknowledged == LogPosition(7, 2)
    assert len(outbox) == 1


def test_batch_is_bounded_in_bytes_but_never_empty() -> None:
    outbox = outbox_of(b"a" * 500, b"b" * 500)
    batch = outbox.batch(10, 100)
    assert batch is not None
    assert len(batch.entries) == 1


def test_new_epoch_numbers_the_entries_that_are_not_acknowledged() -> None:
    outbox = outbox_of(b"a", b"b")
    batch = outbox.batch(1, 1000)
    assert batch is not None
    outbox.acknowledge(batch.last.sequence)
    outbox.begin_epoch(9)
    again = outbox.batch(10, 1000)
    assert again is not None
    assert (again.first, again.entries) == (LogPosition(9, 1), ((b"orders", b"b"),))


def test_outbox_is_live_as_the_acknowledged_entries_say() -> None:
    outbox = outbox_of()
    for kind in (LIVE, b"orders", LOST):
        outbox.put(kind, b"", 0.0)
    states: list[tuple[bytes | None, bool]] = []
    while (batch := outbox.batch(1, 1000)) is not None:
        outbox.acknowledge(batch.last.sequence)
        states.append((batch.state, outbox.is_live))
    assert states == [(LIVE, True), (None, True), (LOST, False)]


def test_outbox_is_over_in_bytes() -> None:
    outbox = outbox_of(b"a" * 100, max_bytes=100 + ENTRY_BYTES)
    assert not outbox.is_over(0.0)
    outbox.put(b"orders", b"", 0.0)
    assert outbox.is_over(0.0)
    batch = outbox.batch(10, 10_000)
    assert batch is not None
    outbox.acknowledge(batch.last.sequence)
    assert not outbox.is_over(1e9)


def test_outbox_is_over_when_its_oldest_entry_has_waited_too_long() -> None:
    outbox = outbox_of(b"a", max_seconds=10.0)
    assert not outbox.is_over(10.0)
    assert outbox.is_over(10.1)


def test_outbox_is_unbroken_until_the_session_is_lost() -> None:
    outbox = outbox_of(b"a")
    assert outbox.is_unbroken
    outbox.put(LOST, b"", 0.0)
    outbox.put(LIVE, b"", 0.0)
    assert not outbox.is_unbroken


def test_outbox_that_exceeds_its_bytes_drops_the_rest_and_is_over_for_good() -> None:
    outbox = outbox_of(b"a" * 600, b"b" * 600, b"c" * 600)
    outbox.acknowledge(1)
    outbox.put(b"orders", b"d", 0.0)  # there is room again, but an entry before it is missing
    batch = outbox.batch(10, 10_000)
    assert batch is not None
    assert batch.entries == ((b"orders", b"b" * 600),)
    outbox.acknowledge(2)
    assert len(outbox) == 0
    assert outbox.is_over(0.0)
    assert not outbox.is_unbroken
