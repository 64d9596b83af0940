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
    Query,
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


def receive(sync: MarketDataSync, message: object, now: float) -> None:
    """Hand a message over as the link's life does."""
    if isinstance(message, Refusal):
        sync.refuse(message, now)
    else:
        sync.receive(message, now)


class SyncDriver:
    """A talk, who wants, and what was sent."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.registry = SubscriptionRegistry()
        self.sync = MarketDataSync(self.registry, ReplyPolicy(1.0, 3))
        if is_open:
            self.sync.start(0.0)

    def subscribe(
        self, requester: str, channel_key: ChannelKey, *symbols: str, detail: Detail = None, now: float = 0.0
    ) -> list[dict[str, Any]]:
        keys = [SubscriptionKey(channel_key, symbol) for symbol in symbols]
        self.registry.add(requester, keys, detail)
        self.sync.sync(keys, now)
        return self.sent()

    def unsubscribe(self, requester: str, channel_key: ChannelKey, *symbols: str) -> list[dict[str, Any]]:
        keys = [SubscriptionKey(channel_key, symbol) for symbol in symbols]
        self.registry.remove(requester, keys)
        self.sync.sync(keys, 0.0)
        return self.sent()

    def sent(self) -> list[dict[str, Any]]:
        frames = [json.loads(frame) for frame in self.sync.outbox]
        self.sync.outbox.clear()
        return frames

    def receive(self, message: object, now: float = 0.0) -> list[dict[str, Any]]:
        receive(self.sync, message, now)
        return self.sent()

    def check(self, now: float) -> list[dict[str, Any]]:
        self.sync.check(now)
        return self.sent()

    def events(self) -> list[Any]:
        news = list(self.sync.sync_events)
        self.sync.sync_events.clear()
        return news

    def deadline(self) -> float | None:
        return self.sync.deadline

    def is_settled(self) -> bool:
        # By a call, since type checkers take it that an attribute stays as it was last seen.
        return self.sync.is_settled

    def held(self, channel_key: ChannelKey, *symbols: str, detail: Detail = None) -> None:
        for frame in self.subscribe("somebody", channel_key, *symbols, detail=detail):
            self.receive(Subscribed(id=frame["id"]))
        self.events()


def test_the_second_who_wants_it_sends_nothing_and_the_last_to_leave_gives_it_up() -> None:
    one = SyncDriver()
    [frame] = one.subscribe("a", QUOTES, "AAPL", "MSFT")
    assert frame == {"action": "subscribe", "id": "1", "channel": "quotes", "symbols": ["AAPL", "MSFT"]}
    assert one.subscribe("b", QUOTES, "AAPL") == []  # in flight
    assert not one.sync.holds(SubscriptionKey(QUOTES, "AAPL"), None)
    assert one.receive(Subscribed(id="1", channel="quotes", symbols=("AAPL", "MSFT"))) == []
    assert one.events() == [SubscriptionConfirmed((SubscriptionKey(QUOTES, "AAPL"), SubscriptionKey(QUOTES, "MSFT")))]
    assert one.sync.holds(SubscriptionKey(QUOTES, "AAPL"), None)
    assert one.subscribe("c", QUOTES, "AAPL") == []
    assert one.unsubscribe("a", QUOTES, "AAPL") == one.unsubscribe("b", QUOTES, "AAPL") == []
    [frame] = one.unsubscribe("c", QUOTES, "AAPL")
    assert frame == {"action": "unsubscribe", "id": "2", "channel": "quotes", "symbols": ["AAPL"]}
    assert one.subscribe("d", QUOTES, "AAPL") == []  # its end is in flight
    [frame] = one.receive(Unsubscribed(id="2"))
    assert (frame["action"], frame["symbols"]) == ("subscribe", ["AAPL"])


def test_a_line_of_its_own_for_what_a_message_tells_apart() -> None:
    one = SyncDriver()
    [first] = one.subscribe("a", MINUTES, "AAPL")
    [second] = one.subscribe("b", FIVES, "AAPL")
    assert (first["interval"], second["interval"]) == ("1m", "5m")


def test_what_only_widens_is_asked_for_once_in_the_widest_form() -> None:
    one = SyncDriver()
    one.held(DEPTH, "AAPL", detail=10)
    assert one.subscribe("b", DEPTH, "AAPL", detail=5) == []
    assert one.sync.holds(SubscriptionKey(DEPTH, "AAPL"), 5)
    given_up, asked = one.subscribe("c", DEPTH, "AAPL", detail=20)
    assert (given_up["action"], given_up["levels"]) == ("unsubscribe", "10")
    assert (asked["action"], asked["levels"]) == ("subscribe", "20")
    assert one.receive(Unsubscribed(id=given_up["id"])) == one.receive(Subscribed(id=asked["id"])) == []
    assert one.sync.holds(SubscriptionKey(DEPTH, "AAPL"), 20)


def test_who_had_the_narrower_form_is_told_that_some_may_be_missed_once_the_wider_one_is_held() -> None:
    one = SyncDriver()
    one.held(DEPTH, "A", "B", detail=10)
    asked = one.subscribe("c", DEPTH, "A", "B", detail=20, now=1.0)[-1]
    one.receive(Subscribed(id=asked["id"]), 1.5)
    settled, missed = one.events()
    assert type(settled) is SubscriptionConfirmed
    assert missed == DataMissed("somebody", 0.5, "depth of A, B was resubscribed")
    one.receive(Subscribed(id=asked["id"]), 2.0)
    assert one.events() == []


@pytest.mark.parametrize("ending", ["refused", "the link is lost"])
def test_what_may_be_missed_counts_from_where_it_was_given_up_whatever_happens_before_it_is_held(ending: str) -> None:
    one = SyncDriver()
    one.held(TRADES, "A", detail="regular")
    asked = one.subscribe("b", TRADES, "A", detail="all", now=1.0)[-1]
    if ending == "refused":
        [again] = one.receive(Refusal("400", "no", asked["id"]), 2.0)
        assert one.events() == [SubscriptionRejected(SubscriptionKey(TRADES, "A"), "400", "no", ("b",))]
    else:
        one.sync.end()
        one.sync = MarketDataSync(one.registry)
        one.sync.start(2.0)
        [again] = one.sent()
    one.receive(Subscribed(id=again["id"]), 3.0)
    assert one.events()[1:] == [DataMissed("somebody", 2.0, "trades of A was resubscribed")]


def test_a_wider_form_that_is_refused_harms_only_who_asked_for_it() -> None:
    one = SyncDriver()
    one.held(DEPTH, "AAPL", detail=10)
    _, asked = one.subscribe("c", DEPTH, "AAPL", detail=20)
    [again] = one.receive(Refusal("400", "too deep", asked["id"]))
    assert (again["action"], again["levels"]) == ("subscribe", "10")
    assert one.events() == [SubscriptionRejected(SubscriptionKey(DEPTH, "AAPL"), "400", "too deep", ("c",))]


def test_hours_of_both_sorts_together_are_all() -> None:
    one = SyncDriver()
    one.held(TRADES, "AAPL", detail="regular")
    _, asked = one.subscribe("b", TRADES, "AAPL", detail="extended")
    assert asked["session"] == "all"
    [again] = one.receive(Refusal("401", None, asked["id"]))
    assert again["session"] == "regular"
    assert one.events() == [
        SubscriptionRejected(SubscriptionKey(TRADES, "AAPL"), "401", "no explanation given", ("b",))
    ]


def test_a_chain_is_asked_for_by_itself_and_acknowledged_in_any_words() -> None:
    one = SyncDriver()
    first, second = one.subscribe("a", CHAIN, "TSLA", "SPY", detail=True)
    assert first["underlying"] == "TSLA"
    assert first["greeks"] is True
    assert "expiration" not in first
    assert one.receive(Subscribed(id=int(first["id"]), symbols=("TSLA251031C00437500",))) == []
    assert one.receive(Refusal(None, "no", second["id"])) == []
    assert one.events() == [
        SubscriptionConfirmed((SubscriptionKey(CHAIN, "TSLA"),)),
        SubscriptionRejected(SubscriptionKey(CHAIN, "SPY"), "", "no", ("a",)),
    ]


def test_a_refusal_of_many_is_traced_to_the_one() -> None:
    one = SyncDriver()
    frames = deque(one.subscribe("a", QUOTES, "A", "B", "BAD", "C"))
    asked = 0
    while frames:
        frame = frames.popleft()
        asked += 1
        said = (
            Refusal("400", "no such symbol", frame["id"]) if "BAD" in frame["symbols"] else Subscribed(id=frame["id"])
        )
        frames.extend(one.receive(said))
    news = one.events()
    assert SubscriptionRejected(SubscriptionKey(QUOTES, "BAD"), "400", "no such symbol", ("a",)) in news
    assert {key.symbol for each in news if isinstance(each, SubscriptionConfirmed) for key in each.keys} == {
        "A",
        "B",
        "C",
    }
    assert asked == 5
    assert one.deadline() is None


def test_an_answer_that_leaves_one_out_is_asked_again_for_that_one() -> None:
    one = SyncDriver()
    [frame] = one.subscribe("a", QUOTES, "A", "B")
    for _ in range(2):
        [frame] = one.receive(Subscribed(id=frame["id"], symbols=("A",)))
        assert frame["symbols"] == ["B"]
    [frame] = one.receive(Subscribed(id=frame["id"], symbols=()))
    assert (frame["action"], frame["symbols"]) == ("unsubscribe", ["B"])  # it may be held all the same
    assert one.events() == [
        SubscriptionConfirmed((SubscriptionKey(QUOTES, "A"),)),
        SubscriptionRejected(
            SubscriptionKey(QUOTES, "B"), "", "the server acknowledged only other symbols of the request", ("a",)
        ),
    ]


def test_without_an_answer_it_is_asked_again_and_a_late_answer_counts() -> None:
    one = SyncDriver()
    [first] = one.subscribe("a", QUOTES, "A")
    assert one.deadline() == 1.0
    assert one.check(0.9) == []
    [second] = one.check(1.0)
    assert second["id"] != first["id"]
    assert one.deadline() == 2.0
    one.receive(Subscribed(id=first["id"]))
    assert one.sync.holds(SubscriptionKey(QUOTES, "A"), None)
    assert one.deadline() is None
    assert one.receive(Subscribed(id=second["id"])) == []


def test_what_is_never_answered_is_told_and_given_up_in_case_it_is_held() -> None:
    one = SyncDriver()
    one.subscribe("a", QUOTES, "A")
    assert [len(one.check(now)) for now in (1.0, 2.0)] == [1, 1]
    [frame] = one.check(3.0)
    assert frame["action"] == "unsubscribe"
    assert one.events() == [
        SubscriptionRejected(SubscriptionKey(QUOTES, "A"), "", "the server did not answer 3 requests", ("a",))
    ]
    assert one.check(9.0) == []


def test_what_is_refused_after_an_attempt_without_an_answer_is_given_up_in_case_it_is_held() -> None:
    one = SyncDriver()
    one.subscribe("a", QUOTES, "A")
    [again] = one.check(1.0)
    [frame] = one.receive(Refusal("403", "no more", again["id"]))
    assert (frame["action"], frame["symbols"]) == ("unsubscribe", ["A"])


def test_an_end_that_is_never_answered_or_refused_is_taken_for_one() -> None:
    one = SyncDriver()
    one.held(QUOTES, "A", "B")
    one.unsubscribe("somebody", QUOTES, "A")
    for now in (1.0, 2.0, 3.0):
        one.check(now)
    assert one.deadline() is None
    [frame] = one.unsubscribe("somebody", QUOTES, "B")
    [asked] = one.receive(Refusal("404", "not subscribed", frame["id"]))
    assert asked["action"] == "list_subscriptions"
    assert one.events() == []
    assert len(one.subscribe("b", QUOTES, "A", "B")) == 1


def test_a_refusal_that_may_pass_is_asked_again_in_time_and_told_in_the_end() -> None:
    one = SyncDriver()
    [frame] = one.subscribe("a", QUOTES, "A", "B")
    for now in (1.0, 2.0):
        assert one.receive(Refusal("429", "slow down", frame["id"]), now - 0.5) == []
        [frame] = one.check(now)
    one.receive(Refusal(503, "later", frame["id"]), 2.5)
    one.check(3.0)
    assert [(each.code, each.cause) for each in one.events()] == [("503", "later")] * 2


def test_answers_without_an_id_belong_to_the_oldest_that_they_could_answer() -> None:
    one = SyncDriver()
    one.held(DEPTH, "A", detail=5)
    one.subscribe("a", QUOTES, "A")
    one.subscribe("a", TRADES, "A", detail="all")
    one.unsubscribe("somebody", DEPTH, "A")
    one.receive(Subscribed(channel="trades"))
    one.receive(Unsubscribed())
    [again] = one.receive(Refusal("400", "no quotes"))
    assert (again["action"], again["channel"]) == ("subscribe", "quotes")
    one.receive(Refusal("400", "no quotes"))
    assert [type(each) for each in one.events()] == [SubscriptionConfirmed, SubscriptionRejected]
    for message in (Subscribed(), Unsubscribed(), Refusal()):
        assert one.receive(message) == []
    assert one.events() == []


def test_a_refusal_without_an_id_turns_nothing_down_before_it_is_repeated() -> None:
    one = SyncDriver()
    [first] = one.subscribe("a", QUOTES, "A")
    [again] = one.receive(Refusal("400", "what was that?"), 0.5)
    assert (again["symbols"], again["id"] != first["id"], one.events()) == (["A"], True, [])
    assert one.deadline() == 1.5
    one.receive(Subscribed(id=first["id"]))  # the answer to what was asked first still counts
    assert one.events() == [SubscriptionConfirmed((SubscriptionKey(QUOTES, "A"),))]
    assert one.receive(Subscribed(id=again["id"])) == []
    assert (one.events(), one.deadline()) == ([], None)


def test_of_what_is_asked_in_one_breath_refusals_without_an_id_find_those_that_are_meant() -> None:
    one = SyncDriver()
    for symbol in ("A", "BAD", "B", "WORSE"):
        one.subscribe("a", QUOTES, symbol)
    frames, bad = deque(f'{{"symbols": ["{symbol}"]}}' for symbol in ("A", "BAD", "B", "WORSE")), {"BAD", "WORSE"}
    while frames:
        # A server that answers in order, and never says what.
        [symbol] = json.loads(frames.popleft())["symbols"]
        said = Refusal("400", f"no {symbol}") if symbol in bad else Subscribed(channel="quotes")
        frames.extend(json.dumps(frame) for frame in one.receive(said))
    news = one.events()
    assert [each.keys[0].symbol for each in news if isinstance(each, SubscriptionConfirmed)] == ["A", "B"]
    assert [(each.key.symbol, each.cause) for each in news if isinstance(each, SubscriptionRejected)] == [
        ("BAD", "no BAD"),
        ("WORSE", "no WORSE"),
    ]


def test_a_refusal_of_many_without_an_id_is_traced_to_the_one() -> None:
    one = SyncDriver()
    frames, asked = deque(one.subscribe("a", QUOTES, "A", "B", "BAD", "C")), 0
    while frames:
        frame, asked = frames.popleft(), asked + 1
        frames.extend(one.receive(Refusal("400", "no") if "BAD" in frame["symbols"] else Subscribed()))
    news = one.events()
    assert [each.key.symbol for each in news if isinstance(each, SubscriptionRejected)] == ["BAD"]
    assert {key.symbol for each in news if isinstance(each, SubscriptionConfirmed) for key in each.keys} == {
        "A",
        "B",
        "C",
    }
    assert (asked, one.deadline()) == (6, None)


def test_a_refusal_without_an_id_may_mean_a_question_where_that_is_the_oldest() -> None:
    one = SyncDriver()
    request_ids = [next(one.registry.request_ids) for _ in range(2)]
    one.registry.queries |= dict.fromkeys(request_ids, Query(b"{}"))
    one.subscribe("a", QUOTES, "A")
    later = next(one.registry.request_ids)
    one.registry.queries[later] = Query(b"{}")
    no = Refusal("404", "no such symbol")
    assert one.receive(no) == one.receive(no) == []
    assert one.events() == [ReplyReceived(number, no) for number in request_ids]
    [again] = one.receive(no)
    assert (again["symbols"], one.events()) == (["A"], [])
    assert one.receive(no) == []  # the question is older than what was asked once more
    assert one.events() == [ReplyReceived(later, no)]
    one.receive(no)
    assert one.events() == [SubscriptionRejected(SubscriptionKey(QUOTES, "A"), "404", "no such symbol", ("a",))]
    assert one.registry.queries == {}


def test_an_answer_of_the_wrong_sort_or_to_nothing_moves_nothing() -> None:
    one = SyncDriver()
    [frame] = one.subscribe("a", QUOTES, "A")
    assert one.receive(Subscribed(id="99")) == []
    assert one.receive(Unsubscribed(id=frame["id"])) == []
    assert one.receive(Refusal("400", "what?", "77")) == []
    assert one.events() == [ReplyReceived("77", Refusal("400", "what?", "77"))]
    [again] = one.check(1.0)
    assert again["symbols"] == ["A"]


def test_all_that_is_wanted_is_asked_for_again_on_a_new_link_in_few_frames() -> None:
    one = SyncDriver()
    symbols = [f"S{number}" for number in range(100)]
    one.held(QUOTES, *symbols)
    one.held(MINUTES, *symbols)
    one.sync.end()
    assert one.deadline() is None
    assert one.subscribe("b", QUOTES, "MORE") == []
    one.sync.send(b"{}")
    assert one.sent() == []
    one.sync = MarketDataSync(one.registry)
    assert one.is_settled()
    one.sync.start(0.0)
    first, second = one.sent()
    assert len(first["symbols"]) == 101
    assert not one.is_settled()
    one.receive(Subscribed(id=first["id"]))
    one.receive(Subscribed(id=second["id"]))
    assert one.is_settled()


def test_it_is_settled_when_what_it_began_with_is_and_what_was_wanted_meanwhile() -> None:
    one = SyncDriver(is_open=False)
    one.subscribe("a", QUOTES, "A", "BAD")
    one.sync.start(0.0)
    [frame] = one.sent()
    halves = one.receive(Refusal("400", "no", frame["id"]))
    [meanwhile] = one.subscribe("b", QUOTES, "MEANWHILE")
    one.receive(Subscribed(id=halves[0]["id"]))
    one.receive(Refusal("400", "no", halves[1]["id"]))
    assert not one.is_settled()
    one.receive(Subscribed(id=meanwhile["id"]))
    assert one.is_settled()
    one.subscribe("b", QUOTES, "LATER")
    assert one.is_settled()


def test_questions_are_answered_by_id() -> None:
    one = SyncDriver()
    one.sync.send(b'{"id": "5"}')
    assert one.sent() == [{"id": "5"}]
    snapshot = Snapshot("5", "AAPL", ())
    one.receive(snapshot)
    assert one.events() == [ReplyReceived("5", snapshot)]


def listed(*lines: dict[str, Any]) -> Subscriptions:
    return Subscriptions("1", lines)


def test_the_server_s_list_is_compared_and_the_difference_mended() -> None:
    one = SyncDriver()
    one.held(QUOTES, "A", "B")
    one.held(MINUTES, "A")
    one.held(DEPTH, "A", detail=5)
    [flying] = one.subscribe("x", QUOTES, "FLYING")
    frames = one.receive(
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
    [answer] = one.events()
    assert answer.difference == SubscriptionDiff(
        (SubscriptionKey(DEPTH, "A"), SubscriptionKey(QUOTES, "B")),
        (Entry("quotes", ("STRAY",), {}), Entry("depth", ("A",), {"levels": 10})),
    )
    one.receive(Subscribed(id=flying["id"]))
    for frame in frames[2:]:
        one.receive(Subscribed(id=frame["id"]))
    assert one.receive(listed({"channel": "quotes", "symbols": ["A", "B", "FLYING"]})) != []  # bars and depth are gone


def test_a_list_that_names_no_options_means_every_line_of_that_symbol() -> None:
    one = SyncDriver()
    one.held(MINUTES, "A")
    one.held(FIVES, "A")
    one.held(CHAIN, "TSLA", detail=True)
    chain = {"channel": "options_chain", "underlying": "TSLA", "expiration": "2026-12-18", "greeks": "true"}
    assert one.receive(listed({"channel": "bars", "symbols": ["A"]}, chain)) == []
    [answer] = one.events()
    assert answer.difference == ((), ())


def test_when_one_line_of_a_symbol_is_left_the_server_is_asked_for_the_others() -> None:
    one = SyncDriver()
    one.held(MINUTES, "A")
    one.held(FIVES, "A")
    [left] = one.unsubscribe("somebody", FIVES, "A")
    [asked] = one.receive(Unsubscribed(id=left["id"]))
    assert asked["action"] == "list_subscriptions"
    [again] = one.receive(listed())
    assert (again["action"], again["interval"]) == ("subscribe", "1m")


def test_after_its_farewell_nothing_is_asked_and_its_answer_is_the_end() -> None:
    one = SyncDriver()
    one.held(QUOTES, "A")
    one.subscribe("a", QUOTES, "B")
    one.sync.drain()
    [asked] = one.sent()
    assert asked["action"] == "list_subscriptions"
    assert one.deadline() is None
    assert one.subscribe("a", QUOTES, "C") == one.check(9.0) == []
    for answer, is_over in ((listed(), False), (Subscriptions(asked["id"], ()), True), (listed(), True)):
        assert one.receive(answer) == one.events() == []
        assert one.sync.is_over is is_over


def test_after_its_farewell_a_refusal_of_it_is_the_end_and_any_other_is_none() -> None:
    one = SyncDriver()
    one.subscribe("a", QUOTES, "A")
    one.sync.drain()
    [asked] = one.sent()
    assert one.sync.refuse(Refusal("400", "no", "1"), 0.0)
    assert not one.sync.is_over
    assert one.sync.refuse(Refusal("400", "no", asked["id"]), 0.0)
    assert (one.sync.is_over, one.sent(), one.events()) == (True, [], [])


def test_what_another_link_left_unanswered_is_asked_again() -> None:
    one = SyncDriver(is_open=False)
    one.registry.queries["5"] = Query(b'{"id": "5"}')
    one.sync.start(0.0)
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
            channel_key = {name: value for name, value in fields.items() if name not in {"action", "id"}}
            if action == "subscribe":
                self.held[self.key(channel_key)] = channel_key
            else:
                self.held.pop(self.key(channel_key), None)
        return json.dumps({**frame, "type": f"{action}d"}).encode()

    def key(self, channel_key: dict[str, Any]) -> tuple[str, ...]:
        named = {"channel", "interval"} if self.keeps_one_form else set(channel_key) - {"symbols"}
        return (channel_key["symbols"][0], *sorted(f"{name}={channel_key[name]}" for name in named & set(channel_key)))

    def tells(self, key: SubscriptionKey, detail: Detail) -> bool:
        """Whether it tells this, at least in this form."""
        for channel_key in self.held.values():
            form: Any = int(channel_key["levels"]) if "levels" in channel_key else channel_key.get("session")
            is_meant = (channel_key["channel"], channel_key["symbols"][0], channel_key.get("interval")) == (
                key.channel_key.channel,
                key.symbol,
                dict(key.channel_key.options).get("interval"),
            )
            if is_meant and covers(key.channel_key.channel, form, detail):
                return True
        return False

    @property
    def keys(self) -> list[tuple[str, str, str]]:
        return sorted(
            (channel_key["channel"], channel_key.get("interval", ""), channel_key["symbols"][0])
            for channel_key in self.held.values()
        )


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


def deeds_with(keys: list[Wanted]) -> st.SearchStrategy[list[tuple[str, Any, Any]]]:
    """Whatever may be done with these."""
    of_items = st.tuples(st.sampled_from(["add", "add", "remove"]), st.sampled_from("xyz"), st.sampled_from(keys))
    return st.lists(of_items | st.tuples(st.sampled_from(TURNS), st.none(), st.none()), max_size=40)


class World:
    """Somebody who wants, a talk, a server, and what is on its way between them."""

    def __init__(self, *, keeps_one_form: bool) -> None:
        self.talked = SyncDriver()
        self.keeps_one_form = keeps_one_form
        self.server = Server(keeps_one_form=keeps_one_form)
        self.answers: deque[bytes] = deque()
        self.now = 0.0
        self.was_ignored = False
        self.content: set[tuple[str, SubscriptionKey]] = set()
        self.missing: set[tuple[str, SubscriptionKey]] = set()
        self.read = 0

    def do(self, deed: str, requester: str, what: Wanted) -> None:
        sync, registry = self.talked.sync, self.talked.registry
        if deed in {"add", "remove"}:
            key = SubscriptionKey(*what[:2])
            registry.add(requester, [key], what[2]) if deed == "add" else registry.remove(requester, [key])
            self.content.discard((requester, key))
            sync.sync([key], self.now)
            self.look()
        elif deed == "step":
            self.now += 0.6
            sync.check(self.now)
        elif deed == "hear":
            self.receive()
        elif deed == "settle":
            self.come_to_rest()
        elif deed == "drop":
            sync.end()
            # What is missed with a link is told with its loss, but for what was given up before.
            self.content &= {(str(requester), key) for key, whos in registry._broken.items() for requester in whos}
            self.read = 0
            self.server = Server(keeps_one_form=self.keeps_one_form)
            self.answers.clear()
            self.talked.sync = MarketDataSync(registry, ReplyPolicy(1.0, 3))
            self.talked.sync.start(self.now)
        elif sync.outbox:
            self.pass_on(json.loads(sync.outbox.pop(0)), deed)

    def pass_on(self, frame: dict[str, Any], deed: str) -> None:
        if deed == "ignore":
            self.was_ignored = True
            return
        answer = self.server.answer(frame)
        self.compare()
        if deed == "serve":
            self.answers.append(answer)

    def ask_for_the_list(self) -> None:
        number = next(self.talked.registry.request_ids)
        self.pass_on({"action": "list_subscriptions", "id": number}, "serve")

    def receive(self) -> None:
        if self.answers:
            receive(self.talked.sync, READ(self.answers.popleft()), self.now)
            self.look()

    def wish(self, requester: str, key: SubscriptionKey) -> tuple[SubscriptionKey, Detail]:
        return key, self.talked.registry._requesters[key][requester]

    def look(self) -> None:
        """See who is told that he may have missed some, and who has what he wants."""
        sync, wants = self.talked.sync, self.talked.registry._requesters
        for news in sync.sync_events[self.read :]:
            if isinstance(news, SubscriptionRejected):
                self.content -= {(str(requester), news.key) for requester in news.requesters}
            elif isinstance(news, DataMissed):
                of, symbols = news.cause.removesuffix(" was resubscribed").split(" of ")
                self.missing = {
                    (requester, key)
                    for requester, key in self.missing
                    if requester != news.requester
                    or key.channel_key.channel != of
                    or key.symbol not in symbols.split(", ")
                }
        self.read = len(sync.sync_events)
        self.content |= {
            (str(requester), key)
            for key, whos in wants.items()
            for requester, detail in whos.items()
            if sync.holds(key, detail)
        }
        self.compare()

    def compare(self) -> None:
        """Note who wants what he had and the server tells no more."""
        self.missing &= self.content
        self.missing |= {each for each in self.content if not self.server.tells(*self.wish(*each))}

    def come_to_rest(self) -> None:
        sync = self.talked.sync
        while sync.outbox or self.answers or sync.deadline is not None:
            while sync.outbox:
                self.pass_on(json.loads(sync.outbox.pop(0)), "serve")
            if not self.answers:
                self.do("step", "", (QUOTES, "", None))
            self.receive()

    @property
    def wanted(self) -> list[tuple[str, str, str]]:
        return sorted(
            (key.channel_key.channel, dict(key.channel_key.options).get("interval") or "", key.symbol)
            for key in self.talked.registry.keys
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
        assert world.server.keys == world.wanted
    world.ask_for_the_list()
    world.come_to_rest()
    assert world.server.keys == world.wanted
    sync, registry = world.talked.sync, world.talked.registry
    assert all(sync.holds(key, registry.detail(key)) for key in registry.keys)
    world.ask_for_the_list()
    world.talked.sync.sync_events.clear()
    world.read = 0
    world.come_to_rest()
    assert world.missing == set()
    [answer] = world.talked.events()
    assert answer.difference == ((), ())


def test_refuse_with_an_id_and_a_symbol_turns_down_that_symbol_and_asks_for_the_others_again() -> None:
    one = SyncDriver()
    [frame] = one.subscribe("a", QUOTES, "A", "BAD", "B", "WORSE")
    [again] = one.receive(Refusal("403", "no BAD", frame["id"], symbol="BAD"))
    assert again["symbols"] == ["A", "B", "WORSE"]
    [again] = one.receive(Refusal("403", "no WORSE", frame["id"], symbols=["WORSE"]))  # under the first id as well
    assert again["symbols"] == ["A", "B"]
    one.receive(Subscribed(id=again["id"]))
    assert one.events() == [
        SubscriptionRejected(SubscriptionKey(QUOTES, "BAD"), "403", "no BAD", ("a",)),
        SubscriptionRejected(SubscriptionKey(QUOTES, "WORSE"), "403", "no WORSE", ("a",)),
        SubscriptionConfirmed((SubscriptionKey(QUOTES, "A"), SubscriptionKey(QUOTES, "B"))),
    ]
    assert one.deadline() is None


def test_refuse_with_an_id_that_echoes_every_symbol_is_traced_to_the_one() -> None:
    one = SyncDriver()
    frames = deque(one.subscribe("a", QUOTES, "A", "BAD", "B"))
    while frames:
        frame = frames.popleft()
        is_bad = "BAD" in frame["symbols"]
        said = Refusal("400", "no", frame["id"], symbols=frame["symbols"]) if is_bad else Subscribed(id=frame["id"])
        frames.extend(one.receive(said))
    assert [each.key.symbol for each in one.events() if isinstance(each, SubscriptionRejected)] == ["BAD"]


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
    one = SyncDriver()
    [frame] = one.subscribe("a", QUOTES, "A", "B")
    for _ in range(3):
        assert not one.sync.refuse(Refusal("400", "no", frame["id"] if has_id else None, **named), 0.5)
    assert (one.sent(), one.events()) == ([], [])
    one.receive(Subscribed(id=frame["id"]))
    assert one.events() == [SubscriptionConfirmed((SubscriptionKey(QUOTES, "A"), SubscriptionKey(QUOTES, "B")))]


@pytest.mark.parametrize("named", [{"user_id": "bob"}, {"account_id": "a1"}, {"topic": "orders"}, {"channel": "news"}])
def test_refuse_of_a_user_an_account_or_a_foreign_topic_is_charged_to_no_request(named: dict[str, Any]) -> None:
    one = SyncDriver()
    one.subscribe("a", QUOTES, "A")
    assert not one.sync.refuse(Refusal("400", "no", **named), 0.5)
    assert (one.sent(), one.events()) == ([], [])


def test_refuse_by_name_without_an_id_turns_down_the_newest_request_and_not_the_oldest() -> None:
    one = SyncDriver()
    one.subscribe("a", QUOTES, "A")
    one.subscribe("a", TRADES, "A", detail="all")
    one.subscribe("a", QUOTES, "B", "C")
    assert one.sync.refuse(Refusal("403", "no", channel="quote", symbol="C"), 0.5)
    [again] = one.sent()
    assert (again["channel"], again["symbols"]) == ("quotes", ["B"])
    assert one.sync.refuse(Refusal("403", "no", channel="trades", symbol="A"), 0.5)
    assert [each.key for each in one.events()] == [SubscriptionKey(QUOTES, "C"), SubscriptionKey(TRADES, "A")]


def test_refuse_by_a_symbol_that_two_requests_have_asks_once_more_before_it_turns_one_down() -> None:
    one = SyncDriver()
    one.subscribe("a", QUOTES, "A")
    one.subscribe("a", TRADES, "A", detail="all")
    assert one.sync.refuse(Refusal("403", "no", symbol="A"), 0.5)
    [again] = one.sent()
    assert (again["channel"], one.events()) == ("quotes", [])


def test_refuse_by_name_may_mean_a_question_for_the_past() -> None:
    one = SyncDriver()
    number = next(one.registry.request_ids)
    one.registry.queries[number] = Query(b"{}", "bars", "IBM")
    one.subscribe("a", QUOTES, "A")
    no = Refusal("404", "no past", symbol="IBM")
    assert one.sync.refuse(no, 0.5)
    assert (one.events(), one.registry.queries) == ([ReplyReceived(number, no)], {})


def test_refuse_of_what_is_held_asks_for_the_list_after_pauses_that_grow() -> None:
    one = SyncDriver()
    one.held(QUOTES, "A")
    no, asked_at, now = Refusal("403", "no more", channel="quotes", symbol="A"), list[float](), 0.0
    while now < 300.0:
        assert not one.sync.refuse(no, now)
        asked_at += [now for frame in one.sent() + one.check(now) if frame["action"] == "list_subscriptions"]
        now += 0.5
    assert asked_at == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 123.0, 183.0, 243.0]
    assert not one.sync.refuse(no, 1000.0)
    [frame] = one.sent() + one.check(1000.0)
    assert frame["action"] == "list_subscriptions"
    assert (one.events(), one.deadline()) == ([], None)


def test_an_unsubscribed_that_was_not_asked_for_has_the_list_asked_for() -> None:
    one = SyncDriver()
    one.held(QUOTES, "A")
    one.held(TRADES, "B", detail="all")
    assert (
        one.receive(Unsubscribed(channel="quotes", symbols=("B",))) == one.receive(Unsubscribed(symbols=("C",))) == []
    )
    [frame] = one.receive(Unsubscribed(id="srv-1", channel="trades", symbols=("B",)))
    assert frame["action"] == "list_subscriptions"


def test_an_acknowledgement_without_an_id_belongs_to_the_request_for_its_symbols() -> None:
    one = SyncDriver()
    one.subscribe("a", QUOTES, "A")
    one.subscribe("a", QUOTES, "B")
    one.receive(Subscribed(channel="quotes", symbols=("B",)))
    assert one.events() == [SubscriptionConfirmed((SubscriptionKey(QUOTES, "B"),))]
    assert one.receive(Subscribed(channel="quotes", symbols=("C",))) == []


def test_a_refusal_with_an_id_that_was_never_issued_belongs_to_no_request() -> None:
    one = SyncDriver()
    [frame] = one.subscribe("a", QUOTES, "A")
    for strange in ("99", "srv-1", "9" * 5000, "0", "\u0661", 10**30):
        assert not one.sync.refuse(Refusal("400", "no", strange), 0.0)
    one.receive(Subscribed(id=frame["id"]))
    assert one.sync.refuse(Refusal("400", "no", frame["id"]), 0.0)  # late


def test_a_list_that_never_names_a_symbol_has_it_asked_for_again_after_pauses_that_grow() -> None:
    one = SyncDriver()
    one.held(QUOTES, "A")
    asked_at: list[float] = []
    for now in map(float, range(100)):
        for frame in one.receive(listed(), now):
            asked_at.append(now)
            one.receive(Subscribed(id=frame["id"]), now)
    assert asked_at == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0]
    assert one.sync.holds(SubscriptionKey(QUOTES, "A"), None)


def test_lists_that_were_not_asked_for_are_mended_after_pauses_that_grow() -> None:
    one = SyncDriver()
    one.held(QUOTES, "A")
    channel_key = {"channel": "quotes", "symbols": ["A", "STRAY"]}
    sent_at = [
        now
        for now in map(float, range(40))
        for _ in one.receive(Subscriptions("srv", (channel_key,)), now)
        + one.receive(Subscriptions(None, (channel_key,)), now)
    ]
    assert sent_at == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0]
    [asked] = one.receive(Subscriptions(next(one.registry.request_ids), (channel_key,)), 39.0)
    assert (asked["action"], asked["symbols"]) == ("unsubscribe", ["STRAY"])


def test_an_answer_of_another_kind_to_a_question_is_handed_over() -> None:
    one = SyncDriver()
    number = next(one.registry.request_ids)
    one.registry.queries[number] = Query(b"{}", "bars", "IBM")
    for answer in (Subscribed(id=number), Unsubscribed(id=int(number))):
        one.receive(answer)
        assert one.events() == [ReplyReceived(number, answer)]


CHAINS = b'{"type": "options_chain", "underlying": "TSLA", "contracts": [{"symbol": "TSLA251031C00437500"'


def test_an_event_that_outgrows_the_limit_twice_refuses_what_it_is_of_and_nothing_else() -> None:
    one = SyncDriver()
    one.held(CHAIN, "TSLA", "SPY", detail=True)
    one.held(QUOTES, "TSLA")
    for _ in range(2):
        assert one.events() == []
        one.sync.outgrown(CHAINS, 0.0)
    [news] = one.events()
    assert (news.key, news.code, news.requesters) == (SubscriptionKey(CHAIN, "TSLA"), "1009", ("somebody",))
    assert sorted(key.symbol for key in one.registry.keys) == ["SPY", "TSLA"]


def test_what_outgrows_the_limit_seldom_is_not_refused() -> None:
    one = SyncDriver()
    one.held(CHAIN, "TSLA", detail=True)
    for now in (0.0, 600.0, 1200.0):
        one.sync.outgrown(CHAINS, now)
    assert one.events() == []
    one.sync.outgrown(CHAINS, 1799.9)
    assert len(one.events()) == 1


def test_a_wider_form_that_outgrows_the_limit_harms_only_who_asked_for_it() -> None:
    one = SyncDriver()
    one.held(DEPTH, "A", detail=10)
    for frame in one.subscribe("b", DEPTH, "A", detail=5000):
        one.receive(Subscribed(id=frame["id"]))
    one.events()
    for _ in range(2):
        one.sync.outgrown(b'{"type":"depth","symbol":"A","bids":[', 0.0)
    [news] = one.events()
    assert (news.requesters, one.registry.detail(SubscriptionKey(DEPTH, "A"))) == (("b",), 10)


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
    one = SyncDriver()
    one.held(QUOTES, "A")
    one.registry.queries |= {number: Query(b"{}", "bars", "A") for number in "12"}
    for _ in range(2):
        one.sync.outgrown(frame, 0.0)
    [news] = one.events()
    assert (news.request_id, news.message.code, list(one.registry.queries)) == (
        refused,
        "1009",
        [number for number in "12" if number != refused],
    )


@pytest.mark.parametrize("frame", [b"", b'{"type":"quote","symbol":"B"', b'{"type":"chain","symbol":"A"', b'{"type":'])
def test_a_frame_that_outgrows_the_limit_and_names_nothing_that_is_held_refuses_nothing(frame: bytes) -> None:
    one = SyncDriver()
    one.held(QUOTES, "A")
    for _ in range(3):
        one.sync.outgrown(frame, 0.0)
    assert (one.events(), one.registry.keys) == ([], (SubscriptionKey(QUOTES, "A"),))


def test_a_subscription_of_very_many_symbols_is_spread_over_frames() -> None:
    one = SyncDriver()
    symbols = [f"S{number}" for number in range(2500)]
    frames = one.subscribe("a", QUOTES, *symbols)
    assert [len(frame["symbols"]) for frame in frames] == [1000, 1000, 500]
    assert [symbol for frame in frames for symbol in frame["symbols"]] == symbols
    for frame in frames:
        one.receive(Subscribed(id=frame["id"]))
    assert sum(len(frame["symbols"]) for frame in one.unsubscribe("a", QUOTES, *symbols)) == 2500


def test_an_answer_without_an_id_after_asking_again_belongs_to_what_was_asked_first() -> None:
    one = SyncDriver()
    one.subscribe("a", QUOTES, "A")
    one.subscribe("a", QUOTES, "B", now=0.5)
    [again] = one.check(1.0)
    assert again["symbols"] == ["A"]
    one.receive(Subscribed())
    assert one.events() == [SubscriptionConfirmed((SubscriptionKey(QUOTES, "A"),))]
    one.receive(Subscribed())
    assert one.events() == [SubscriptionConfirmed((SubscriptionKey(QUOTES, "B"),))]
    assert one.deadline() is None


@pytest.mark.parametrize("code", ["404", "503", None])
def test_a_refused_unsubscribe_is_over_and_what_is_wanted_anew_is_asked_for(code: str | None) -> None:
    one = SyncDriver()
    one.held(QUOTES, "A", "B", "C")
    [frame] = one.unsubscribe("somebody", QUOTES, "A", "B")
    assert one.subscribe("b", QUOTES, "A") == []  # its end is in flight
    asked, again = one.receive(Refusal(code, "not subscribed", frame["id"]))
    assert {asked["action"], again["action"]} == {"list_subscriptions", "subscribe"}
    [symbols] = [each["symbols"] for each in (asked, again) if "symbols" in each]
    assert symbols == ["A"]
    [number] = [each["id"] for each in (asked, again) if each["action"] == "subscribe"]
    one.receive(Subscribed(id=number))
    assert one.deadline() is None
    assert one.sync.holds(SubscriptionKey(QUOTES, "A"), None)
    assert not one.sync.holds(SubscriptionKey(QUOTES, "B"), None)
    assert one.sync.holds(SubscriptionKey(QUOTES, "C"), None)


def test_after_its_end_a_talk_holds_nothing_and_has_nothing_to_see_to() -> None:
    one = SyncDriver()
    one.held(QUOTES, "A")
    for _ in range(2):
        one.sync.refuse(Refusal("403", "no more", symbol="A"), 0.0)
    one.subscribe("a", QUOTES, "B")
    assert one.deadline() == 1.0
    one.sync.end()
    assert one.deadline() is None
    assert not one.sync.holds(SubscriptionKey(QUOTES, "A"), None)
    assert one.sync.is_settled


def test_refuse_that_names_nothing_belongs_to_a_request_or_a_question_or_to_nothing() -> None:
    one = SyncDriver()
    assert not one.sync.refuse(Refusal("400", "no"), 0.0)
    one.registry.queries[next(one.registry.request_ids)] = Query(b"{}")
    assert one.sync.refuse(Refusal("400", "no"), 0.0)
    one.subscribe("a", QUOTES, "A")
    assert one.sync.refuse(Refusal("400", "no"), 0.0)


def test_what_awaits_an_answer_is_left_alone_until_it_comes() -> None:
    one = SyncDriver()
    [first] = one.subscribe("a", DEPTH, "A", detail=5)
    assert one.subscribe("b", DEPTH, "A", detail=10) == []
    assert one.unsubscribe("a", DEPTH, "A") == one.unsubscribe("b", DEPTH, "A") == []
    assert one.subscribe("b", DEPTH, "A", detail=10) == []
    given_up, wider = one.receive(Subscribed(id=first["id"]))
    assert [(frame["action"], frame["levels"]) for frame in (given_up, wider)] == [
        ("unsubscribe", "5"),
        ("subscribe", "10"),
    ]


def with_backfill(one: SyncDriver, symbol: str, count: int) -> SubscriptionKey:
    key = SubscriptionKey(MINUTES, symbol)
    one.registry.backfills[key] = count
    return key


def test_bars_of_the_past_are_asked_for_with_the_subscription_and_once() -> None:
    one = SyncDriver()
    key = with_backfill(one, "A", 5)
    [frame] = one.subscribe("a", MINUTES, "A")
    assert (frame["backfill"], frame["interval"]) == ("5", "1m")
    one.receive(Subscribed(id=frame["id"]))
    assert (one.registry.backfilled, one.registry.backfills) == ({key: 5}, {})
    one.sync.end()
    one.sync = MarketDataSync(one.registry)
    one.sync.start(0.0)
    [again] = one.sent()
    assert "backfill" not in again
    one.receive(Subscribed(id=again["id"]))
    assert one.registry.backfilled == {key: 5}
    one.unsubscribe("a", MINUTES, "A")
    assert one.registry.backfilled == {}


def test_where_the_past_is_refused_it_is_not_asked_for_again_and_where_the_symbol_is_it_may_be() -> None:
    one = SyncDriver()
    bad = with_backfill(one, "BAD", 5)
    [frame] = one.subscribe("a", MINUTES, "BAD")
    [plain] = one.receive(Refusal("400", "no", frame["id"]))
    assert (plain["symbols"], "backfill" in plain) == (["BAD"], False)
    assert one.receive(Refusal("400", "no", plain["id"])) == []
    assert [type(each) for each in one.events()] == [SubscriptionRejected]
    assert bad not in one.registry.backfills
    key = with_backfill(one, "A", 5)
    [frame] = one.subscribe("a", MINUTES, "A")
    assert frame["backfill"] == "5"
    [plain] = one.receive(Refusal("400", "no backfill", frame["id"]))
    one.receive(Subscribed(id=plain["id"]))
    assert one.registry.backfilled == {key: 0}
    with_backfill(one, "B", 5)
    [frame] = one.subscribe("a", MINUTES, "B")
    assert "backfill" not in frame


def test_where_a_subscription_with_the_past_is_not_answered_it_is_asked_for_without() -> None:
    one = SyncDriver()
    key = with_backfill(one, "A", 5)
    one.subscribe("a", MINUTES, "A")
    [again] = one.check(1.0)
    assert "backfill" not in again
    one.receive(Subscribed(id=again["id"]))
    assert one.registry.backfilled == {key: 0}


@pytest.mark.parametrize("message", [Subscribed(id="1"), Refusal("400", "no", "1")])
def test_nothing_is_heard_of_a_link_that_is_over(message: object) -> None:
    one = SyncDriver()
    one.subscribe("a", QUOTES, "A")
    one.sync.end()
    assert one.receive(message) == []
