"""What a command of the doctor adds to a dialect that earlier ones have written."""

from __future__ import annotations

from typing import Any

from connecttrade_async.dialect.value import Dialect
from connecttrade_async.doctor.written_dialect import merge_stream


def dialect(**parts: Any) -> Dialect:
    return Dialect.from_dict(parts)


def test_merge_without_a_written_dialect_is_the_learned_one() -> None:
    learned = dialect(brokerage={"tag": "ev"})
    assert merge_stream(None, learned, "brokerage") is learned


def test_merge_stream_replaces_the_part_of_one_stream_and_adds_names() -> None:
    written = dialect(
        brokerage={"tag": "ev", "payload": ["body"]},
        market_data={"tag": "T"},
        rest={"next_parameter": "cursor"},
        names={"case": "camel", "aliases": {"order": {"order_id": "oid"}, "bar": {"open": "o"}}},
    )
    learned = dialect(
        brokerage={"tag": "topic"}, names={"aliases": {"order": {"symbol": "sym"}, "quote": {"symbol": "S"}}}
    )
    merged = merge_stream(written, learned, "brokerage")
    assert merged.brokerage == learned.brokerage
    assert merged.market_data == written.market_data
    assert merged.rest == written.rest
    assert merged.names.case == "camel"
    assert merged.names.aliases == {
        "order": {"order_id": "oid", "symbol": "sym"},
        "bar": {"open": "o"},
        "quote": {"symbol": "S"},
    }
    assert merge_stream(written, dialect(market_data={"tag": "ev"}), "market_data").market_data.tag == "ev"


def test_merge_where_two_names_meet_takes_those_that_were_seen_last() -> None:
    written = dialect(names={"aliases": {"order": {"symbol": "x"}}})
    merged = merge_stream(written, dialect(names={"aliases": {"order": {"side": "x"}}}), "brokerage")
    assert merged.names.aliases == {"order": {"side": "x"}}
