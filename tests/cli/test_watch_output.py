"""Changes and states of books, as lines and as JSON."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from connecttrade_async.books.changes import BalanceChanged, OrderChanged, PositionChanged
from connecttrade_async.cli.event_text import book_object, change_line, change_object
from connecttrade_async.cli.watch_output import JsonWatchOutput, TextWatchOutput
from connecttrade_async.cli.watch_state import WatchUpdate
from connecttrade_async.models import Balance, Fill, OrderStatus, Position
from watch_fixtures import NOW, OWNER, book, order


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            OrderChanged(
                **OWNER,
                cause="recovered",
                before=None,
                after=order(status=OrderStatus.PARTIALLY_FILLED, filled_qty_text="4", avg_fill_price_text="190.480"),
                fills=tuple(Fill(quantity_text="1", price_text=f"190.{n}0") for n in range(1, 5)),
            ),
            (
                "recovered  mine  1 at 190.10, 1 at 190.20, 1 at 190.30 and 1 more: "
                "buy 10 AAPL: partially filled, 4 filled at 190.48"
            ),
        ),
        (
            OrderChanged(**OWNER, cause="stream", before=None, after=order(), fills=(Fill(),)),
            "stream     mine  ? at ?: buy 10 AAPL: working",
        ),
        (
            PositionChanged(
                **OWNER,
                cause="sweep",
                before=Position(symbol="AAPL", quantity_text="1234"),
                after=Position(symbol="AAPL", quantity_text="0"),
            ),
            "sweep      mine  AAPL: 0 held, before 1,234",
        ),
        (
            PositionChanged(**OWNER, cause="stream", before=None, after=Position(symbol="A\x1b[2J")),
            "stream     mine  A [2J: held",
        ),
        (
            BalanceChanged(
                **OWNER,
                cause="stream",
                before=Balance(account_id="a1", cash_text="1"),
                after=Balance(account_id="a1", cash_text="98000.10", currency="USD"),
            ),
            "stream     mine  cash 98,000.10 USD, before 1",
        ),
        (
            BalanceChanged(**OWNER, cause="stream", before=None, after=Balance(account_id="a1")),
            "stream     mine  cash unknown",
        ),
    ],
)
def test_change_line_formats_a_change(change: Any, said: str) -> None:
    assert change_line(change, "mine", NOW).plain == f"14:30:05  {said}"


def test_change_object_holds_the_text_of_the_wire() -> None:
    fill = Fill(fill_id="f1", quantity_text="1.500", price_text="190.480")
    change = OrderChanged(**OWNER, cause="stream", before=order(), after=order(filled_qty_text="1.500"), fills=(fill,))
    told = json.loads(msgspec.json.encode(change_object(change, NOW)))
    assert list(told) == ["type", "user_id", "account_id", "time", "cause", "before", "after", "fills"]
    assert (told["type"], told["before"]["filled_qty"], told["after"]["filled_qty"]) == ("order", None, "1.500")
    assert told["fills"] == [{"fill_id": "f1", "time": None, "quantity": "1.500", "price": "190.480"}]
    paid = BalanceChanged(**OWNER, cause="stream", before=None, after=Balance(account_id="a1"))
    assert "fills" not in change_object(paid, NOW)
    whole = json.loads(msgspec.json.encode(book_object(book(), NOW)))
    assert (whole["type"], whole["is_current"], whole["balances"][0]["cash"]) == ("book", True, "98000.10")


class Names:
    """The part of a watch state that the outputs read."""

    stream_problem = "the stream was lost: cut"

    def name(self, account_id: str) -> str:
        return f"no. {account_id}"


NAMES: Any = Names()
NOTHING = WatchUpdate((), (), 0, (), (), None, None)


def test_text_output_prints_states_and_dropped_changes(capsys: pytest.CaptureFixture[str]) -> None:
    lines = TextWatchOutput(NAMES)
    lines.print(NOTHING._replace(fresh=(book("a1"), book("a2", is_current=False))))
    moved = PositionChanged(**OWNER, cause="recovered", before=None, after=Position(symbol="S", quantity_text="1"))
    stale, fresh = (book("a1", is_current=False),), (book("a3"),)
    lines.print(NOTHING._replace(stale=stale, changes=(moved,), fresh=fresh, current=(book("a2"),)))
    lines.print(NOTHING._replace(dropped=3, fresh=(book("a1"),), failure="GET /orders answered 503"))
    out, err = capsys.readouterr()
    assert [line[10:] for line in out.splitlines()] == [
        "no. a2 is not current: it was not read yet",
        "no. a1 is not current: the stream was lost: cut",
        "recovered  no. a1  S: 1 held",
        "no. a2 is current again",
        "no. a3 is watched now",
    ]
    assert err.splitlines() == [
        "Watching no. a1, no. a2. Ctrl-C ends it.",
        "3 changes were dropped; the books include them.",
        "A read failed and will be retried: GET /orders answered 503.",
    ]


def test_json_output_prints_states_and_whole_books_after_dropped_changes(capsys: pytest.CaptureFixture[str]) -> None:
    moved = PositionChanged(**OWNER, cause="recovered", before=None, after=Position(symbol="S"))
    stale, fresh = (book("a1", is_current=False),), (book("a3"),)
    JsonWatchOutput(NAMES).print(WatchUpdate(stale, (moved,), 3, fresh, (book("a2"),), "answered 503", None))
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["type"] for one in told] == ["not_current", "position", "gap", "book", "current", "failed"]
    assert (told[0]["cause"], told[2]["dropped"], told[5]["cause"]) == ("the stream was lost: cut", 3, "answered 503")


def test_text_output_omits_changes_of_prices_alone() -> None:
    before = Position(symbol="S", quantity_text="1", last_price_text="1")
    passed = PositionChanged(
        **OWNER, cause="stream", before=before, after=msgspec.structs.replace(before, last_price_text="2")
    )
    assert not TextWatchOutput(NAMES).is_printed(passed)
    assert JsonWatchOutput(NAMES).is_printed(passed)
