from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given, strategies as st

from connecttrade_async.clock import SystemClock
from connecttrade_async.ids import OrderIdGenerator, issued_at, new_order_id, uuid7

SHAPE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
MANY = 100_000
TICKS = st.integers(0, 2**60 - 1)
TAILS = st.integers(0, 2**64 - 1)


class HeldClock(SystemClock):
    def __init__(self) -> None:
        self.present = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def wall(self) -> datetime:
        return self.present


def test_a_hundred_thousand_ids_are_unique_and_sorted() -> None:
    ids = [new_order_id() for _ in range(MANY)]
    assert len(set(ids)) == MANY
    assert sorted(ids) == ids
    assert all(SHAPE.fullmatch(one) for one in ids)


def test_ids_of_many_threads_are_unique() -> None:
    def draw(many: int) -> list[str]:
        return [new_order_id() for _ in range(many)]

    with ThreadPoolExecutor(8) as pool:
        drawn = pool.map(draw, [1000] * 8)
        assert len({one for ids in drawn for one in ids}) == 8000


def test_uuid7_contains_its_time() -> None:
    clock = HeldClock()
    drawn = UUID(OrderIdGenerator(clock)())
    assert drawn.version == 7
    assert drawn.variant == "specified in RFC 4122"
    assert datetime.fromtimestamp((drawn.int >> 80) / 1000, UTC) == clock.present


def test_ids_rise_while_the_clock_stands_or_goes_back() -> None:
    clock = HeldClock()
    draw = OrderIdGenerator(clock, entropy=bytes)
    ids = [draw() for _ in range(5000)]  # more than the 4096 of one millisecond
    clock.present -= timedelta(hours=1)
    ids += [draw() for _ in range(10)]
    clock.present += timedelta(hours=2)
    ids += [draw()]
    assert sorted(set(ids)) == ids


def test_two_processes_that_share_a_past_draw_different_ids() -> None:
    # What a fork leaves behind: the same counter at the same time.
    clock = HeldClock()
    assert OrderIdGenerator(clock)() != OrderIdGenerator(clock)()


@given(st.tuples(TICKS, TAILS), st.tuples(TICKS, TAILS))
def test_text_sorts_as_the_ticks_do(one: tuple[int, int], other: tuple[int, int]) -> None:
    first, second = sorted([one, other])
    if first[0] != second[0]:
        assert uuid7(*first) < uuid7(*second)
    assert SHAPE.fullmatch(uuid7(*first))
    assert len(uuid7(*first)) == 36


def test_issued_at_returns_the_time_of_generated_ids_only() -> None:
    assert issued_at(uuid7(1_772_461_800_123 << 12, 7)) == datetime(2026, 3, 2, 14, 30, 0, 123_000, tzinfo=UTC)
    assert issued_at("mine") is None
    assert issued_at("ffffffff-ffff-7ab0-9233-7a89c1325f90") is None
    assert issued_at("6ba7b810-9dad-41d1-80b4-00c04fd430c8") is None
