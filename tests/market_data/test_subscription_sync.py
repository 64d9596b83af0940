from __future__ import annotations

import json
from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from connecttrade_async.market_data.codec import Entry, MarketDataCodec, Snapshot, Subscriptions
from connecttrade_async.market_data.registry import (
    ChannelKey,
    Detail,
    Question,
    SubscriptionKey,
    SubscriptionRegistry,
    covers,
)
from connecttrade_async.market_data.subscription_sync import MarketDataSync, ReplyPolicy
from connecttrade_async.market_data.sync_events import (
    DataMissed,
    ReplyReceived,
    SubscriptionConfirmed,
    SubscriptionDiff,
    SubscriptionRejected,
)
from connecttrade_async.secret import Secret
from connecttrade_async.streaming.codec import Refusal, Subscribed, Unsubscribed

QUOTES = ChannelKey("quotes")
TRADES = ChannelKey("trades")
DEPTH = ChannelKey("depth")
MINUTES = ChannelKey("bars", (("interval", "1m"),))
FIVES = ChannelKey("bars", (("interval", "5m"),))
CHAIN = ChannelKey("options_chain", (("expiration", None),))
READ = MarketDataCodec(Secret("token")).read


def hear(talk: MarketDataSync, message: object, now: float) -> None:
    """Hand a message over as the link's life does."""
    if isinstance(message, Refusal):
        talk.refuse(message, now)
    else:
        talk.receive(message, now)


class Talked:
    """A talk, who wants, and what was sent."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.demands = SubscriptionRegistry()
        self.talk = MarketDataSync(self.demands, ReplyPolicy(1.0, 3))
        if is_open:
            self.talk.start(0.0)

    def want(
        self, who: str, line: ChannelKey, *symbols: str, width: Detail = None, now: float = 0.0
    ) -> list[dict[str, Any]]:
        items = [SubscriptionKey(line, symbol) for symbol in symbols]
        self.demands.add(who, items, width)
        self.talk.sync(items, now)
        return self.sent()

    def leave(self, who: str, line: ChannelKey, *symbols: str) -> list[dict[str, Any]]:
        items = [SubscriptionKey(line, symbol) for symbol in symbols]
        self.demands.remove(who, items)
        self.talk.sync(items, 0.0)
        return self.sent()

    def sent(self) -> list[dict[str, Any]]:
        frames = [json.loads(frame) for frame in self.talk.outbox]
        self.talk.outbox.clear()
        return frames

    def hear(self, message: object, now: float = 0.0) -> list[dict[str, Any]]:
        hear(self.talk, message, now)
        return self.sent()

    def check(self, now: float) -> list[dict[str, Any]]:
        self.talk.check(now)
        return self.sent()

    def told(self) -> list[Any]:
        news = list(self.talk.sync_events)
        self.talk.sync_events.clear()
        return news

    def deadline(self) -> float | None:
        return self.talk.deadline

    def is_settled(self) -> bool:
        # By a call, since type checkers take it that an attribute stays as it was last seen.
        return self.talk.is_settled

    def held(self, line: ChannelKey, *symbols: str, width: Detail = None) -> None:
        for frame in self.want("somebody", line, *symbols, width=width):
            self.hear(Subscribed(id=frame["id"]))
        self.told()


def test_the_second_who_wants_it_sends_nothing_and_the_last_to_leave_gives_it_up() -> None:
    one = Talked()
    [frame] = one.want("a", QUOTES, "AAPL", "MSFT")
    assert frame == {"action": "subscribe", "id": "1", "channel": "quotes", "symbols": ["AAPL", "MSFT"]}
    assert one.want("b", QUOTES, "AAPL") == []  # in flight
    assert not one.talk.holds(SubscriptionKey(QUOTES, "AAPL"), None)
    assert one.hear(Subscribed(id="1", channel="quotes", symbols=("AAPL", "MSFT"))) == []
    assert one.told() == [SubscriptionConfirmed((SubscriptionKey(QUOTES, "AAPL"), SubscriptionKey(QUOTES, "MSFT")))]
    assert one.talk.holds(SubscriptionKey(QUOTES, "AAPL"), None)
    assert one.want("c", QUOTES, "AAPL") == []
    assert one.leave("a", QUOTES, "AAPL") == one.leave("b", QUOTES, "AAPL") == []
    [frame] = one.leave("c", QUOTES, "AAPL")
    assert frame == {"action": "unsubscribe", "id": "2", "channel": "quotes", "symbols": ["AAPL"]}
    assert one.want("d", QUOTES, "AAPL") == []  # its end is in flight
    [frame] = one.hear(Unsubscribed(id="2"))
    assert (frame["action"], frame["symbols"]) == ("subscribe", ["AAPL"])


def test_a_line_of_its_own_for_what_a_message_tells_apart() -> None:
    one = Talked()
    [first] = one.want("a", MINUTES, "AAPL")
    [second] = one.want("b", FIVES, "AAPL")
    assert (first["interval"], second["interval"]) == ("1m", "5m")


def test_what_only_widens_is_asked_for_once_in_the_widest_form() -> None:
    one = Talked()
    one.held(DEPTH, "AAPL", width=10)
    assert one.want("b", DEPTH, "AAPL", width=5) == []
    assert one.talk.holds(SubscriptionKey(DEPTH, "AAPL"), 5)
    given_up, asked = one.want("c", DEPTH, "AAPL", width=20)
    assert (given_up["action"], given_up["levels"]) == ("unsubscribe", "10")
    assert (asked["action"], asked["levels"]) == ("subscribe", "20")
    assert one.hear(Unsubscribed(id=given_up["id"])) == one.hear(Subscribed(id=asked["id"])) == []
    assert one.talk.holds(SubscriptionKey(DEPTH, "AAPL"), 20)


def test_who_had_the_narrower_form_is_told_that_some_may_be_missed_once_the_wider_one_is_held() -> None:
    one = Talked()
    one.held(DEPTH, "A", "B", width=10)
    asked = one.want("c", DEPTH, "A", "B", width=20, now=1.0)[-1]
    one.hear(Subscribed(id=asked["id"]), 1.5)
    settled, missed = one.told()
    assert type(settled) is SubscriptionConfirmed
    assert missed == DataMissed("somebody", 0.5, "depth of A, B was asked for anew")
    one.hear(Subscribed(id=asked["id"]), 2.0)
    assert one.told() == []


@pytest.mark.parametrize("ending", ["refused", "the link is lost"])
def test_what_may_be_missed_counts_from_where_it_was_given_up_whatever_happens_before_it_is_held(ending: str) -> None:
    one = Talked()
    one.held(TRADES, "A", width="regular")
    asked = one.want("b", TRADES, "A", width="all", now=1.0)[-1]
    if ending == "refused":
        [again] = one.hear(Refusal("400", "no", asked["id"]), 2.0)
        assert one.told() == [SubscriptionRejected(SubscriptionKey(TRADES, "A"), "400", "no", ("b",))]
    else:
        one.talk.end()
        one.talk = MarketDataSync(one.demands)
        one.talk.start(2.0)
        [again] = one.sent()
    one.hear(Subscribed(id=again["id"]), 3.0)
    assert one.told()[1:] == [DataMissed("somebody", 2.0, "trades of A was asked for anew")]


def test_a_wider_form_that_is_refused_harms_only_who_asked_for_it() -> None:
    one = Talked()
    one.held(DEPTH, "AAPL", width=10)
    _, asked = one.want("c", DEPTH, "AAPL", width=20)
    [again] = one.hear(Refusal("400", "too deep", asked["id"]))
    assert (again["action"], again["levels"]) == ("subscribe", "10")
    assert one.told() == [SubscriptionRejected(SubscriptionKey(DEPTH, "AAPL"), "400", "too deep", ("c",))]


def test_hours_of_both_sorts_together_are_all() -> None:
    one = Talked()
    one.held(TRADES, "AAPL", width="regular")
    _, asked = one.want("b", TRADES, "AAPL", width="extended")
    assert asked["session"] == "all"
    [again] = one.hear(Refusal("401", None, asked["id"]))
    assert again["session"] == "regular"
    assert one.told() == [SubscriptionRejected(SubscriptionKey(TRADES, "AAPL"), "401", "no explanation given", ("b",))]


def test_a_chain_is_asked_for_by_itself_and_acknowledged_in_any_words() -> None:
    one = Talked()
    first, second = one.want("a", CHAIN, "TSLA", "SPY", width=True)
    assert first["underlying"] == "TSLA"
    assert first["greeks"] is True
    assert "expiration" not in first
    assert one.hear(Subscribed(id=int(first["id"]), symbols=("TSLA251031C00437500",))) == []
    assert one.hear(Refusal(None, "no", second["id"])) == []
    assert one.told() == [
        SubscriptionConfirmed((SubscriptionKey(CHAIN, "TSLA"),)),
        SubscriptionRejected(SubscriptionKey(CHAIN, "SPY"), "", "no", ("a",)),
    ]


def test_a_refusal_of_many_is_traced_to_the_one() -> None:
    one = Talked()
    frames = deque(one.want("a", QUOTES, "A", "B", "BAD", "C"))
    asked = 0
    while frames:
        frame = frames.popleft()
        asked += 1
        said = (
            Refusal("400", "no such symbol", frame["id"]) if "BAD" in frame["symbols"] else Subscribed(id=frame["id"])
        )
        frames.extend(one.hear(said))
    news = one.told()
    assert SubscriptionRejected(SubscriptionKey(QUOTES, "BAD"), "400", "no such symbol", ("a",)) in news
    assert {item.symbol for each in news if isinstance(each, SubscriptionConfirmed) for item in each.items} == {
        "A",
        "B",
        "C",
    }
    assert asked == 5
    assert one.deadline() is None


def test_an_answer_that_leaves_one_out_is_asked_again_for_that_one() -> None:
    one = Talked()
    [frame] = one.want("a", QUOTES, "A", "B")
    for _ in range(2):
        [frame] = one.hear(Subscribed(id=frame["id"], symbols=("A",)))
        assert frame["symbols"] == ["B"]
    [frame] = one.hear(Subscribed(id=frame["id"], symbols=()))
    assert (frame["action"], frame["symbols"]) == ("unsubscribe", ["B"])  # it may be held all the same
    assert one.told() == [
        SubscriptionConfirmed((SubscriptionKey(QUOTES, "A"),)),
        SubscriptionRejected(SubscriptionKey(QUOTES, "B"), "", "the server acknowledged others, and not this", ("a",)),
    ]


def test_without_an_answer_it_is_asked_again_and_a_late_answer_counts() -> None:
    one = Talked()
    [first] = one.want("a", QUOTES, "A")
    assert one.deadline() == 1.0
    assert one.check(0.9) == []
    [second] = one.check(1.0)
    assert second["id"] != first["id"]
    assert one.deadline() == 2.0
    one.hear(Subscribed(id=first["id"]))
    assert one.talk.holds(SubscriptionKey(QUOTES, "A"), None)
    assert one.deadline() is None
    assert one.hear(Subscribed(id=second["id"])) == []


def test_what_is_never_answered_is_told_and_given_up_in_case_it_is_held() -> None:
    one = Talked()
    one.want("a", QUOTES, "A")
    assert [len(one.check(now)) for now in (1.0, 2.0)] == [1, 1]
    [frame] = one.check(3.0)
    assert frame["action"] == "unsubscribe"
    assert one.told() == [
        SubscriptionRejected(SubscriptionKey(QUOTES, "A"), "", "it was asked for 3 times, and no answer came", ("a",))
    ]
    assert one.check(9.0) == []


def test_what_is_refused_after_an_attempt_without_an_answer_is_given_up_in_case_it_is_held() -> None:
    one = Talked()
    one.want("a", QUOTES, "A")
    [again] = one.check(1.0)
    [frame] = one.hear(Refusal("403", "no more", again["id"]))
    assert (frame["action"], frame["symbols"]) == ("unsubscribe", ["A"])


def test_an_end_that_is_never_answered_or_refused_is_taken_for_one() -> None:
    one = Talked()
    one.held(QUOTES, "A", "B")
    one.leave("somebody", QUOTES, "A")
    for now in (1.0, 2.0, 3.0):
        one.check(now)
    assert one.deadline() is None
    [frame] = one.leave("somebody", QUOTES, "B")
    [asked] = one.hear(Refusal("404", "not subscribed", frame["id"]))
    assert asked["action"] == "list_subscriptions"
    assert one.told() == []
    assert len(one.want("b", QUOTES, "A", "B")) == 1


def test_a_refusal_that_may_pass_is_asked_again_in_time_and_told_in_the_end() -> None:
    one = Talked()
    [frame] = one.want("a", QUOTES, "A", "B")
    for now in (1.0, 2.0):
        assert one.hear(Refusal("429", "slow down", frame["id"]), now - 0.5) == []
        [frame] = one.check(now)
    one.hear(Refusal(503, "later", frame["id"]), 2.5)
    one.check(3.0)
    assert [(each.code, each.cause) for each in one.told()] == [("503", "later")] * 2


def test_answers_without_an_id_belong_to_the_oldest_that_they_could_answer() -> None:
    one = Talked()
    one.held(DEPTH, "A", width=5)
    one.want("a", QUOTES, "A")
    one.want("a", TRADES, "A", width="all")
    one.leave("somebody", DEPTH, "A")
    one.hear(Subscribed(channel="trades"))
    one.hear(Unsubscribed())
    [again] = one.hear(Refusal("400", "no quotes"))
    assert (again["action"], again["channel"]) == ("subscribe", "quotes")
    one.hear(Refusal("400", "no quotes"))
    assert [type(each) for each in one.told()] == [SubscriptionConfirmed, SubscriptionRejected]
    for message in (Subscribed(), Unsubscribed(), Refusal()):
        assert one.hear(message) == []
    assert one.told() == []


def test_a_refusal_without_an_id_turns_nothing_down_before_it_is_repeated() -> None:
    one = Talked()
    [first] = one.want("a", QUOTES, "A")
    [again] = one.hear(Refusal("400", "what was that?"), 0.5)
    assert (again["symbols"], again["id"] != first["id"], one.told()) == (["A"], True, [])
    assert one.deadline() == 1.5
    one.hear(Subscribed(id=first["id"]))  # the answer to what was asked first still counts
    assert one.told() == [SubscriptionConfirmed((SubscriptionKey(QUOTES, "A"),))]
    assert one.hear(Subscribed(id=again["id"])) == []
    assert (one.told(), one.deadline()) == ([], None)


def test_of_what_is_asked_in_one_breath_refusals_without_an_id_find_those_that_are_meant() -> None:
    one = Talked()
    for symbol in ("A", "BAD", "B", "WORSE"):
        one.want("a", QUOTES, symbol)
    frames, bad = deque(f'{{"symbols": ["{symbol}"]}}' for symbol in ("A", "BAD", "B", "WORSE")), {"BAD", "WORSE"}
    while frames:
        # A server that answers in order, and never says what.
        [symbol] = json.loads(frames.popleft())["symbols"]
        said = Refusal("400", f"no {symbol}") if symbol in bad else Subscribed(channel="quotes")
        frames.extend(json.dumps(frame) for frame in one.hear(said))
    news = one.told()
    assert [each.items[0].symbol for each in news if isinstance(each, SubscriptionConfirmed)] == ["A", "B"]
    assert [(each.item.symbol, each.cause) for each in news if isinstance(each, SubscriptionRejected)] == [
        ("BAD", "no BAD"),
        ("WORSE", "no WORSE"),
    ]


def test_a_refusal_of_many_without_an_id_is_traced_to_the_one() -> None:
    one = Talked()
    frames, asked = deque(one.want("a", QUOTES, "A", "B", "BAD", "C")), 0
    while frames:
        frame, asked = frames.popleft(), asked + 1
        frames.extend(one.hear(Refusal("400", "no") if "BAD" in frame["symbols"] else Subscribed()))
    news = one.told()
    assert [each.item.symbol for each in news if isinstance(each, SubscriptionRejected)] == ["BAD"]
    assert {item.symbol for each in news if isinstance(each, SubscriptionConfirmed) for item in each.items} == {
        "A",
        "B",
        "C",
    }
    assert (asked, one.deadline()) == (6, None)


def test_a_refusal_without_an_id_may_mean_a_question_where_that_is_the_oldest() -> None:
    one = Talked()
    numbers = [next(one.demands.numbers) for _ in range(2)]
    one.demands.request_ids |= dict.fromkeys(numbers, Question(b"{}"))
    one.want("a", QUOTES, "A")
    later = next(one.demands.numbers)
    one.demands.request_ids[later] = Question(b"{}")
    no = Refusal("404", "no such symbol")
    assert one.hear(no) == one.hear(no) == []
    assert one.told() == [ReplyReceived(number, no) for number in numbers]
    [again] = one.hear(no)
    assert (again["symbols"], one.told()) == (["A"], [])
    assert one.hear(no) == []  # the question is older than what was asked once more
    assert one.told() == [ReplyReceived(later, no)]
    one.hear(no)
    assert one.told() == [SubscriptionRejected(SubscriptionKey(QUOTES, "A"), "404", "no such symbol", ("a",))]
    assert one.demands.request_ids == {}


def test_an_answer_of_the_wrong_sort_or_to_nothing_moves_nothing() -> None:
    one = Talked()
    [frame] = one.want("a", QUOTES, "A")
    assert one.hear(Subscribed(id="99")) == []
    assert one.hear(Unsubscribed(id=frame["id"])) == []
    assert one.hear(Refusal("400", "what?", "77")) == []
    assert one.told() == [ReplyReceived("77", Refusal("400", "what?", "77"))]
    [again] = one.check(1.0)
    assert again["symbols"] == ["A"]


def test_all_that_is_wanted_is_asked_for_again_on_a_new_link_in_few_frames() -> None:
    one = Talked()
    symbols = [f"S{number}" for number in range(100)]
    one.held(QUOTES, *symbols)
    one.held(MINUTES, *symbols)
    one.talk.end()
    assert one.deadline() is None
    assert one.want("b", QUOTES, "MORE") == []
    one.talk.send(b"{}")
    assert one.sent() == []
    one.talk = MarketDataSync(one.demands)
    assert one.is_settled()
    one.talk.start(0.0)
    first, second = one.sent()
    assert len(first["symbols"]) == 101
    assert not one.is_settled()
    one.hear(Subscribed(id=first["id"]))
    one.hear(Subscribed(id=second["id"]))
    assert one.is_settled()


def test_it_is_settled_when_what_it_began_with_is_and_what_was_wanted_meanwhile() -> None:
    one = Talked(is_open=False)
    one.want("a", QUOTES, "A", "BAD")
    one.talk.start(0.0)
    [frame] = one.sent()
    halves = one.hear(Refusal("400", "no", frame["id"]))
    [meanwhile] = one.want("b", QUOTES, "MEANWHILE")
    one.hear(Subscribed(id=halves[0]["id"]))
    one.hear(Refusal("400", "no", halves[1]["id"]))
    assert not one.is_settled()
    one.hear(Subscribed(id=meanwhile["id"]))
    assert one.is_settled()
    one.want("b", QUOTES, "LATER")
    assert one.is_settled()


def test_questions_are_answered_by_id() -> None:
    one = Talked()
    one.talk.send(b'{"id": "5"}')
    assert one.sent() == [{"id": "5"}]
    snapshot = Snapshot("5", "AAPL", ())
    one.hear(snapshot)
    assert one.told() == [ReplyReceived("5", snapshot)]


def listed(*lines: dict[str, Any]) -> Subscriptions:
    return Subscriptions("1", lines)


def test_the_server_s_list_is_compared_and_the_difference_mended() -> None:
    one = Talked()
    one.held(QUOTES, "A", "B")
    one.held(MINUTES, "A")
    one.held(DEPTH, "A", width=5)
    [flying] = one.want("x", QUOTES, "FLYING")
    frames = one.hear(
        listed(
            {"channel": "quotes", "symbols": ["A", "STRAY"]},
            {"channel": "bars", "symbols": ["A"], "interval": "1m"},
            {"channel": "depth", "symbols": ["A"], "levels": 10},
            {"nonsense": True},
        )
    )
    assert [(frame["action"], frame["channel"], frame["symbols"]) for frame in frames] == [
        ("unsubscribe", "quotes", ["STRAY"]),
        ("unsubscribe", "depth", ["A"]),
        ("subscribe", "depth", ["A"]),
        ("subscribe", "quotes", ["B"]),
    ]
    [answer] = one.told()
    assert answer.difference == SubscriptionDiff(
        (SubscriptionKey(DEPTH, "A"), SubscriptionKey(QUOTES, "B")),
        (Entry("quotes", ("STRAY",), {}), Entry("depth", ("A",), {"levels": 10})),
    )
    one.hear(Subscribed(id=flying["id"]))
    for frame in frames[2:]:
        one.hear(Subscribed(id=frame["id"]))
    assert one.hear(listed({"channel": "quotes", "symbols": ["A", "B", "FLYING"]})) != []  # bars and depth are gone


def test_a_list_that_names_no_options_means_every_line_of_that_symbol() -> None:
    one = Talked()
    one.held(MINUTES, "A")
    one.held(FIVES, "A")
    one.held(CHAIN, "TSLA", width=True)
    chain = {"channel": "options_chain", "underlying": "TSLA", "expiration": "2026-12-18", "greeks": "true"}
    assert one.hear(listed({"channel": "bars", "symbols": ["A"]}, chain)) == []
    [answer] = one.told()
    assert answer.difference == ((), ())


def test_when_one_line_of_a_symbol_is_left_the_server_is_asked_for_the_others() -> None:
    one = Talked()
    one.held(MINUTES, "A")
    one.held(FIVES, "A")
    [left] = one.leave("somebody", FIVES, "A")
    [asked] = one.hear(Unsubscribed(id=left["id"]))
    assert asked["action"] == "list_subscriptions"
    [again] = one.hear(listed())
    assert (again["action"], again["interval"]) == ("subscribe", "1m")


def test_after_its_farewell_nothing_is_asked_and_its_answer_is_the_end() -> None:
    one = Talked()
    one.held(QUOTES, "A")
    one.want("a", QUOTES, "B")
    one.talk.drain()
    [asked] = one.sent()
    assert asked["action"] == "list_subscriptions"
    assert one.deadline() is None
    assert one.want("a", QUOTES, "C") == one.check(9.0) == []
    for answer, is_over in ((listed(), False), (Subscriptions(asked["id"], ()), True), (listed(), True)):
        assert one.hear(answer) == one.told() == []
        assert one.talk.is_over is is_over


def test_after_its_farewell_a_refusal_of_it_is_the_end_and_any_other_is_none() -> None:
    one = Talked()
    one.want("a", QUOTES, "A")
    one.talk.drain()
    [asked] = one.sent()
    assert one.talk.refuse(Refusal("400", "no", "1"), 0.0)
    assert not one.talk.is_over
    assert one.talk.refuse(Refusal("400", "no", asked["id"]), 0.0)
    assert (one.talk.is_over, one.sent(), one.told()) == (True, [], [])


def test_what_another_link_left_unanswered_is_asked_again() -> None:
    one = Talked(is_open=False)
    one.demands.request_ids["5"] = Question(b'{"id": "5"}')
    one.talk.start(0.0)
    assert one.sent() == [{"id": "5"}]


class Server:
    """A server by the wire's contract: it holds what it was asked for, until it is given up."""

    def __init__(self, *, keeps_one_form: bool) -> None:
        self.keeps_one_form = keeps_one_form
        self.held: dict[tuple[str, ...], dict[str, Any]] = {}

    def answer(self, frame: dict[str, Any]) -> bytes:
        action, number = frame["action"], frame["id"]
        if action == "list_subscriptions":
            return json.dumps(
                {"type": "subscriptions", "id": number, "subscriptions": list(self.held.values())}
            ).encode()
        if "BAD" in frame["symbols"] and action == "subscribe":
            return json.dumps({"type": "error", "id": number, "code": "400", "message": "no"}).encode()
        for symbol in frame["symbols"]:
            fields = {**frame, "symbols": [symbol]}
            line = {name: value for name, value in fields.items() if name not in {"action", "id"}}
            if action == "subscribe":
                self.held[self.key(line)] = line
            else:
                self.held.pop(self.key(line), None)
        return json.dumps({**frame, "type": f"{action}d"}).encode()

    def key(self, line: dict[str, Any]) -> tuple[str, ...]:
        named = {"channel", "interval"} if self.keeps_one_form else set(line) - {"symbols"}
        return (line["symbols"][0], *sorted(f"{name}={line[name]}" for name in named & set(line)))

    def tells(self, item: SubscriptionKey, width: Detail) -> bool:
        """Whether it tells this, at least in this form."""
        for line in self.held.values():
            form: Any = int(line["levels"]) if "levels" in line else line.get("session")
            is_meant = (line["channel"], line["symbols"][0], line.get("interval")) == (
                item.line.channel,
                item.symbol,
                dict(item.line.options).get("interval"),
            )
            if is_meant and covers(item.line.channel, form, width):
                return True
        return False

    @property
    def items(self) -> list[tuple[str, str, str]]:
        return sorted((line["channel"], line.get("interval", ""), line["symbols"][0]) for line in self.held.values())


Wanted = tuple[ChannelKey, str, Detail]
ITEMS: list[Wanted] = [
    (QUOTES, "A", None),
    (QUOTES, "B", None),
    (QUOTES, "BAD", None),
    (DEPTH, "A", 5),
    (DEPTH, "A", 10),
    (TRADES, "A", "regular"),
    (TRADES, "A", "extended"),
    (MINUTES, "A", None),
    (FIVES, "A", None),
]
OF_ONE: list[Wanted] = [(DEPTH, "A", 5), (DEPTH, "A", 10), (DEPTH, "A", 20)]
TURNS = ["settle", "serve", "lose the answer", "ignore", "step", "drop", "hear"]


def deeds_with(items: list[Wanted]) -> st.SearchStrategy[list[tuple[str, Any, Any]]]:
    """Whatever may be done with these."""
    of_items = st.tuples(st.sampled_from(["add", "add", "remove"]), st.sampled_from("xyz"), st.sampled_from(items))
    return st.lists(of_items | st.tuples(st.sampled_from(TURNS), st.none(), st.none()), max_size=40)


class World:
    """Somebody who wants, a talk, a server, and what is on its way between them."""

    def __init__(self, *, keeps_one_form: bool) -> None:
        self.talked = Talked()
        self.keeps_one_form = keeps_one_form
        self.server = Server(keeps_one_form=keeps_one_form)
        self.answers: deque[bytes] = deque()
        self.now = 0.0
        self.was_ignored = False
        self.content: set[tuple[str, SubscriptionKey]] = set()
        self.missing: set[tuple[str, SubscriptionKey]] = set()
        self.read = 0

    def do(self, deed: str, who: str, what: Wanted) -> None:
        talk, demands = self.talked.talk, self.talked.demands
        if deed in {"add", "remove"}:
            item = SubscriptionKey(*what[:2])
            demands.add(who, [item], what[2]) if deed == "add" else demands.remove(who, [item])
            self.content.discard((who, item))
            talk.sync([item], self.now)
            self.look()
        elif deed == "step":
            self.now += 0.6
            talk.check(self.now)
        elif deed == "hear":
            self.hear()
        elif deed == "settle":
            self.come_to_rest()
        elif deed == "drop":
            talk.end()
            # What is missed with a link is told with its loss, but for what was given up before.
            self.content &= {(str(who), item) for item, whos in demands._broken.items() for who in whos}
            self.read = 0
            self.server = Server(keeps_one_form=self.keeps_one_form)
            self.answers.clear()
            self.talked.talk = MarketDataSync(demands, ReplyPolicy(1.0, 3))
            self.talked.talk.start(self.now)
        elif talk.outbox:
            self.pass_on(json.loads(talk.outbox.pop(0)), deed)

    def pass_on(self, frame: dict[str, Any], deed: str) -> None:
        if deed == "ignore":
            self.was_ignored = True
            return
        answer = self.server.answer(frame)
        self.compare()
        if deed == "serve":
            self.answers.append(answer)

    def ask_for_the_list(self) -> None:
        number = next(self.talked.demands.numbers)
        self.pass_on({"action": "list_subscriptions", "id": number}, "serve")

    def hear(self) -> None:
        if self.answers:
            hear(self.talked.talk, READ(self.answers.popleft()), self.now)
            self.look()

    def wish(self, who: str, item: SubscriptionKey) -> tuple[SubscriptionKey, Detail]:
        return item, self.talked.demands._requesters[item][who]

    def look(self) -> None:
        """See who is told that he may have missed some, and who has what he wants."""
        talk, wants = self.talked.talk, self.talked.demands._requesters
        for news in talk.sync_events[self.read :]:
            if isinstance(news, SubscriptionRejected):
                self.content -= {(str(who), news.item) for who in news.requester}
            elif isinstance(news, DataMissed):
                of, symbols = news.cause.removesuffix(" was asked for anew").split(" of ")
                self.missing = {
                    (who, item)
                    for who, item in self.missing
                    if who != news.requester or item.line.channel != of or item.symbol not in symbols.split(", ")
                }
        self.read = len(talk.sync_events)
        self.content |= {
            (str(who), item) for item, whos in wants.items() for who, width in whos.items() if talk.holds(item, width)
        }
        self.compare()

    def compare(self) -> None:
        """Note who wants what he had and the server tells no more."""
        self.missing &= self.content
        self.missing |= {each for each in self.content if not self.server.tells(*self.wish(*each))}

    def come_to_rest(self) -> None:
        talk = self.talked.talk
        while talk.outbox or self.answers or talk.deadline is not None:
            while talk.outbox:
                self.pass_on(json.loads(talk.outbox.pop(0)), "serve")
            if not self.answers:
                self.do("step", "", (QUOTES, "", None))
            self.hear()

    @property
    def wanted(self) -> list[tuple[str, str, str]]:
        return sorted(
            (item.line.channel, dict(item.line.options).get("interval") or "", item.symbol)
            for item in self.talked.demands.items
        )


@given(deeds=deeds_with(ITEMS) | deeds_with(OF_ONE), keeps_one_form=st.booleans())
@settings(deadline=None, max_examples=300)
def test_at_rest_the_server_holds_what_is_wanted_whatever_happened(
    deeds: list[tuple[str, Any, Any]],
    keeps_one_form: bool,  # noqa: FBT001 - hypothesis hands it in
) -> None:
    world = World(keeps_one_form=keeps_one_form)
    for deed in deeds:
        world.do(*deed)
    world.come_to_rest()
    if not world.was_ignored:
        assert world.server.items == world.wanted
    world.ask_for_the_list()
    world.come_to_rest()
    assert world.server.items == world.wanted
    talk, demands = world.talked.talk, world.talked.demands
    assert all(talk.holds(item, demands.width(item)) for item in demands.items)
    world.ask_for_the_list()
    world.talked.talk.sync_events.clear()
    world.read = 0
    world.come_to_rest()
    assert world.missing == set()
    [answer] = world.talked.told()
    assert answer.difference == ((), ())


def test_refuse_with_an_id_and_a_symbol_turns_down_that_symbol_and_asks_for_the_others_again() -> None:
    one = Talked()
    [frame] = one.want("a", QUOTES, "A", "BAD", "B", "WORSE")
    [again] = one.hear(Refusal("403", "no BAD", frame["id"], symbol="BAD"))
    assert again["symbols"] == ["A", "B", "WORSE"]
    [again] = one.hear(Refusal("403", "no WORSE", frame["id"], symbols=["WORSE"]))  # under the first id as well
    assert again["symbols"] == ["A", "B"]
    one.hear(Subscribed(id=again["id"]))
    assert one.told() == [
        SubscriptionRejected(SubscriptionKey(QUOTES, "BAD"), "403", "no BAD", ("a",)),
        SubscriptionRejected(SubscriptionKey(QUOTES, "WORSE"), "403", "no WORSE", ("a",)),
        SubscriptionConfirmed((SubscriptionKey(QUOTES, "A"), SubscriptionKey(QUOTES, "B"))),
    ]
    assert one.deadline() is None


def test_refuse_with_an_id_that_echoes_every_symbol_is_traced_to_the_one() -> None:
    one = Talked()
    frames = deque(one.want("a", QUOTES, "A", "BAD", "B"))
    while frames:
        frame = frames.popleft()
        is_bad = "BAD" in frame["symbols"]
        said = Refusal("400", "no", frame["id"], symbols=frame["symbols"]) if is_bad else Subscribed(id=frame["id"])
        frames.extend(one.hear(said))
    assert [each.item.symbol for each in one.told() if isinstance(each, SubscriptionRejected)] == ["BAD"]


@pytest.mark.parametrize(
    "named",
    [
        {"channel": "trades"},
        {"channel": "quotes", "symbol": "OTHER"},
        {"topic": "trade", "symbols": ["A"]},
        {"data": {"symbol": "OTHER"}},
    ],
)
@pytest.mark.parametrize("has_id", [True, False])
def test_refuse_of_what_was_not_requested_is_charged_to_no_request(named: dict[str, Any], *, has_id: bool) -> None:
    one = Talked()
    [frame] = one.want("a", QUOTES, "A", "B")
    for _ in range(3):
        assert not one.talk.refuse(Refusal("400", "no", frame["id"] if has_id else None, **named), 0.5)
    assert (one.sent(), one.told()) == ([], [])
    one.hear(Subscribed(id=frame["id"]))
    assert one.told() == [SubscriptionConfirmed((SubscriptionKey(QUOTES, "A"), SubscriptionKey(QUOTES, "B")))]


@pytest.mark.parametrize("named", [{"user_id": "bob"}, {"account_id": "a1"}, {"topic": "orders"}, {"channel": "news"}])
def test_refuse_of_a_user_an_account_or_a_foreign_topic_is_charged_to_no_request(named: dict[str, Any]) -> None:
    one = Talked()
    one.want("a", QUOTES, "A")
    assert not one.talk.refuse(Refusal("400", "no", **named), 0.5)
    assert (one.sent(), one.told()) == ([], [])


def test_refuse_by_name_without_an_id_turns_down_the_newest_request_and_not_the_oldest() -> None:
    one = Talked()
    one.want("a", QUOTES, "A")
    one.want("a", TRADES, "A", width="all")
    one.want("a", QUOTES, "B", "C")
    assert one.talk.refuse(Refusal("403", "no", channel="quote", symbol="C"), 0.5)
    [again] = one.sent()
    assert (again["channel"], again["symbols"]) == ("quotes", ["B"])
    assert one.talk.refuse(Refusal("403", "no", channel="trades", symbol="A"), 0.5)
    assert [each.item for each in one.told()] == [SubscriptionKey(QUOTES, "C"), SubscriptionKey(TRADES, "A")]


def test_refuse_by_a_symbol_that_two_requests_have_asks_once_more_before_it_turns_one_down() -> None:
    one = Talked()
    one.want("a", QUOTES, "A")
    one.want("a", TRADES, "A", width="all")
    assert one.talk.refuse(Refusal("403", "no", symbol="A"), 0.5)
    [again] = one.sent()
    assert (again["channel"], one.told()) == ("quotes", [])


def test_refuse_by_name_may_mean_a_question_for_the_past() -> None:
    one = Talked()
    number = next(one.demands.numbers)
    one.demands.request_ids[number] = Question(b"{}", "bars", "IBM")
    one.want("a", QUOTES, "A")
    no = Refusal("404", "no past", symbol="IBM")
    assert one.talk.refuse(no, 0.5)
    assert (one.told(), one.demands.request_ids) == ([ReplyReceived(number, no)], {})


def test_refuse_of_what_is_held_asks_for_the_list_after_pauses_that_grow() -> None:
    one = Talked()
    one.held(QUOTES, "A")
    no, asked_at, now = Refusal("403", "no more", channel="quotes", symbol="A"), list[float](), 0.0
    while now < 300.0:
        assert not one.talk.refuse(no, now)
        asked_at += [now for frame in one.sent() + one.check(now) if frame["action"] == "list_subscriptions"]
        now += 0.5
    assert asked_at == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 123.0, 183.0, 243.0]
    assert not one.talk.refuse(no, 1000.0)
    [frame] = one.sent() + one.check(1000.0)
    assert frame["action"] == "list_subscriptions"
    assert (one.told(), one.deadline()) == ([], None)


def test_an_unsubscribed_that_was_not_asked_for_has_the_list_asked_for() -> None:
    one = Talked()
    one.held(QUOTES, "A")
    one.held(TRADES, "B", width="all")
    assert one.hear(Unsubscribed(channel="quotes", symbols=("B",))) == one.hear(Unsubscribed(symbols=("C",))) == []
    [frame] = one.hear(Unsubscribed(id="srv-1", channel="trades", symbols=("B",)))
    assert frame["action"] == "list_subscriptions"


def test_an_acknowledgement_without_an_id_belongs_to_the_request_for_its_symbols() -> None:
    one = Talked()
    one.want("a", QUOTES, "A")
    one.want("a", QUOTES, "B")
    one.hear(Subscribed(channel="quotes", symbols=("B",)))
    assert one.told() == [SubscriptionConfirmed((SubscriptionKey(QUOTES, "B"),))]
    assert one.hear(Subscribed(channel="quotes", symbols=("C",))) == []


def test_a_refusal_with_an_id_that_was_never_issued_belongs_to_no_request() -> None:
    one = Talked()
    [frame] = one.want("a", QUOTES, "A")
    for strange in ("99", "srv-1", "9" * 5000, "0", "\u0661", 10**30):
        assert not one.talk.refuse(Refusal("400", "no", strange), 0.0)
    one.hear(Subscribed(id=frame["id"]))
    assert one.talk.refuse(Refusal("400", "no", frame["id"]), 0.0)  # late


def test_a_list_that_never_names_a_symbol_has_it_asked_for_again_after_pauses_that_grow() -> None:
    one = Talked()
    one.held(QUOTES, "A")
    asked_at: list[float] = []
    for now in map(float, range(100)):
        for frame in one.hear(listed(), now):
            asked_at.append(now)
            one.hear(Subscribed(id=frame["id"]), now)
    assert asked_at == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0]
    assert one.talk.holds(SubscriptionKey(QUOTES, "A"), None)


def test_lists_that_were_not_asked_for_are_mended_after_pauses_that_grow() -> None:
    one = Talked()
    one.held(QUOTES, "A")
    line = {"channel": "quotes", "symbols": ["A", "STRAY"]}
    sent_at = [
        now
        for now in map(float, range(40))
        for _ in one.hear(Subscriptions("srv", (line,)), now) + one.hear(Subscriptions(None, (line,)), now)
    ]
    assert sent_at == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0]
    [asked] = one.hear(Subscriptions(next(one.demands.numbers), (line,)), 39.0)
    assert (asked["action"], asked["symbols"]) == ("unsubscribe", ["STRAY"])


def test_an_answer_of_another_kind_to_a_question_is_handed_over() -> None:
    one = Talked()
    number = next(one.demands.numbers)
    one.demands.request_ids[number] = Question(b"{}", "bars", "IBM")
    for answer in (Subscribed(id=number), Unsubscribed(id=int(number))):
        one.hear(answer)
        assert one.told() == [ReplyReceived(number, answer)]


CHAINS = b'{"type": "options_chain", "underlying": "TSLA", "contracts": [{"symbol": "TSLA251031C00437500"'


def test_an_event_that_outgrows_the_limit_twice_refuses_what_it_is_of_and_nothing_else() -> None:
    one = Talked()
    one.held(CHAIN, "TSLA", "SPY", width=True)
    one.held(QUOTES, "TSLA")
    for _ in range(2):
        assert one.told() == []
        one.talk.outgrown(CHAINS, 0.0)
    [news] = one.told()
    assert (news.item, news.code, news.who) == (SubscriptionKey(CHAIN, "TSLA"), "1009", ("somebody",))
    assert sorted(item.symbol for item in one.demands.items) == ["SPY", "TSLA"]


def test_what_outgrows_the_limit_seldom_is_not_refused() -> None:
    one = Talked()
    one.held(CHAIN, "TSLA", width=True)
    for now in (0.0, 600.0, 1200.0):
        one.talk.outgrown(CHAINS, now)
    assert one.told() == []
    one.talk.outgrown(CHAINS, 1799.9)
    assert len(one.told()) == 1


def test_a_wider_form_that_outgrows_the_limit_harms_only_who_asked_for_it() -> None:
    one = Talked()
    one.held(DEPTH, "A", width=10)
    for frame in one.want("b", DEPTH, "A", width=5000):
        one.hear(Subscribed(id=frame["id"]))
    one.told()
    for _ in range(2):
        one.talk.outgrown(b'{"type":"depth","symbol":"A","bids":[', 0.0)
    [news] = one.told()
    assert (news.who, one.demands.width(SubscriptionKey(DEPTH, "A"))) == (("b",), 10)


@pytest.mark.parametrize(
    ("frame", "refused"),
    [
        (b'{"type": "snapshot", "id": "2", "bars": [{"symbol": "A"', "2"),
        (b'{"id":2,"type":"snapshot","bars":[', "2"),
        (b'{"type": "subscriptions", "subscriptions": [', "1"),
        (b"[[[[", "1"),
        (b"", "1"),
    ],
)
def test_an_answer_that_outgrows_the_limit_twice_refuses_its_question_or_the_oldest(frame: bytes, refused: str) -> None:
    one = Talked()
    one.held(QUOTES, "A")
    one.demands.request_ids |= {number: Question(b"{}", "bars", "A") for number in "12"}
    for _ in range(2):
        one.talk.outgrown(frame, 0.0)
    [news] = one.told()
    assert (news.number, news.message.code, list(one.demands.request_ids)) == (
        refused,
        "1009",
        [number for number in "12" if number != refused],
    )


@pytest.mark.parametrize("frame", [b"", b'{"type":"quote","symbol":"B"', b'{"type":"chain","symbol":"A"', b'{"type":'])
def test_a_frame_that_outgrows_the_limit_and_names_nothing_that_is_held_refuses_nothing(frame: bytes) -> None:
    one = Talked()
    one.held(QUOTES, "A")
    for _ in range(3):
        one.talk.outgrown(frame, 0.0)
    assert (one.told(), one.demands.items) == ([], (SubscriptionKey(QUOTES, "A"),))


def test_a_subscription_of_very_many_symbols_is_spread_over_frames() -> None:
    one = Talked()
    symbols = [f"S{number}" for number in range(2500)]
    frames = one.want("a", QUOTES, *symbols)
    assert [len(frame["symbols"]) for frame in frames] == [1000, 1000, 500]
    assert [symbol for frame in frames for symbol in frame["symbols"]] == symbols
    for frame in frames:
        one.hear(Subscribed(id=frame["id"]))
    assert sum(len(frame["symbols"]) for frame in one.leave("a", QUOTES, *symbols)) == 2500


def test_an_answer_without_an_id_after_asking_again_belongs_to_what_was_asked_first() -> None:
    one = Talked()
    one.want("a", QUOTES, "A")
    one.want("a", QUOTES, "B", now=0.5)
    [again] = one.check(1.0)
    assert again["symbols"] == ["A"]
    one.hear(Subscribed())
    assert one.told() == [SubscriptionConfirmed((SubscriptionKey(QUOTES, "A"),))]
    one.hear(Subscribed())
    assert one.told() == [SubscriptionConfirmed((SubscriptionKey(QUOTES, "B"),))]
    assert one.deadline() is None


@pytest.mark.parametrize("code", ["404", "503", None])
def test_a_refused_unsubscribe_is_over_and_what_is_wanted_anew_is_asked_for(code: str | None) -> None:
    one = Talked()
    one.held(QUOTES, "A", "B", "C")
    [frame] = one.leave("somebody", QUOTES, "A", "B")
    assert one.want("b", QUOTES, "A") == []  # its end is in flight
    asked, again = one.hear(Refusal(code, "not subscribed", frame["id"]))
    assert {asked["action"], again["action"]} == {"list_subscriptions", "subscribe"}
    [symbols] = [each["symbols"] for each in (asked, again) if "symbols" in each]
    assert symbols == ["A"]
    [number] = [each["id"] for each in (asked, again) if each["action"] == "subscribe"]
    one.hear(Subscribed(id=number))
    assert one.deadline() is None
    assert one.talk.holds(SubscriptionKey(QUOTES, "A"), None)
    assert not one.talk.holds(SubscriptionKey(QUOTES, "B"), None)
    assert one.talk.holds(SubscriptionKey(QUOTES, "C"), None)


def test_after_its_end_a_talk_holds_nothing_and_has_nothing_to_see_to() -> None:
    one = Talked()
    one.held(QUOTES, "A")
    for _ in range(2):
        one.talk.refuse(Refusal("403", "no more", symbol="A"), 0.0)
    one.want("a", QUOTES, "B")
    assert one.deadline() == 1.0
    one.talk.end()
    assert one.deadline() is None
    assert not one.talk.holds(SubscriptionKey(QUOTES, "A"), None)
    assert one.talk.is_settled


def test_refuse_that_names_nothing_belongs_to_a_request_or_a_question_or_to_nothing() -> None:
    one = Talked()
    assert not one.talk.refuse(Refusal("400", "no"), 0.0)
    one.demands.request_ids[next(one.demands.numbers)] = Question(b"{}")
    assert one.talk.refuse(Refusal("400", "no"), 0.0)
    one.want("a", QUOTES, "A")
    assert one.talk.refuse(Refusal("400", "no"), 0.0)


def test_what_awaits_an_answer_is_left_alone_until_it_comes() -> None:
    one = Talked()
    [first] = one.want("a", DEPTH, "A", width=5)
    assert one.want("b", DEPTH, "A", width=10) == []
    assert one.leave("a", DEPTH, "A") == one.leave("b", DEPTH, "A") == []
    assert one.want("b", DEPTH, "A", width=10) == []
    given_up, wider = one.hear(Subscribed(id=first["id"]))
    assert [(frame["action"], frame["levels"]) for frame in (given_up, wider)] == [
        ("unsubscribe", "5"),
        ("subscribe", "10"),
    ]


def with_backfill(one: Talked, symbol: str, count: int) -> SubscriptionKey:
    item = SubscriptionKey(MINUTES, symbol)
    one.demands.backfills[item] = count
    return item


def test_bars_of_the_past_are_asked_for_with_the_subscription_and_once() -> None:
    one = Talked()
    item = with_backfill(one, "A", 5)
    [frame] = one.want("a", MINUTES, "A")
    assert (frame["backfill"], frame["interval"]) == ("5", "1m")
    one.hear(Subscribed(id=frame["id"]))
    assert (one.demands.backfilled, one.demands.backfills) == ({item: 5}, {})
    one.talk.end()
    one.talk = MarketDataSync(one.demands)
    one.talk.start(0.0)
    [again] = one.sent()
    assert "backfill" not in again
    one.hear(Subscribed(id=again["id"]))
    assert one.demands.backfilled == {item: 5}
    one.leave("a", MINUTES, "A")
    assert one.demands.backfilled == {}


def test_where_the_past_is_refused_it_is_not_asked_for_again_and_where_the_symbol_is_it_may_be() -> None:
    one = Talked()
    bad = with_backfill(one, "BAD", 5)
    [frame] = one.want("a", MINUTES, "BAD")
    [plain] = one.hear(Refusal("400", "no", frame["id"]))
    assert (plain["symbols"], "backfill" in plain) == (["BAD"], False)
    assert one.hear(Refusal("400", "no", plain["id"])) == []
    assert [type(each) for each in one.told()] == [SubscriptionRejected]
    assert bad not in one.demands.backfills
    item = with_backfill(one, "A", 5)
    [frame] = one.want("a", MINUTES, "A")
    assert frame["backfill"] == "5"
    [plain] = one.hear(Refusal("400", "no backfill", frame["id"]))
    one.hear(Subscribed(id=plain["id"]))
    assert one.demands.backfilled == {item: 0}
    with_backfill(one, "B", 5)
    [frame] = one.want("a", MINUTES, "B")
    assert "backfill" not in frame


def test_where_a_subscription_with_the_past_is_not_answered_it_is_asked_for_without() -> None:
    one = Talked()
    item = with_backfill(one, "A", 5)
    one.want("a", MINUTES, "A")
    [again] = one.check(1.0)
    assert "backfill" not in again
    one.hear(Subscribed(id=again["id"]))
    assert one.demands.backfilled == {item: 0}


@pytest.mark.parametrize("message", [Subscribed(id="1"), Refusal("400", "no", "1")])
def test_nothing_is_heard_of_a_link_that_is_over(message: object) -> None:
    one = Talked()
    one.want("a", QUOTES, "A")
    one.talk.end()
    assert one.hear(message) == []
