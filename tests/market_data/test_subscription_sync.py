from __future__ import annotations

import json
from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from connecttrade_async.market_data.codec import (
    BarSnapshot,
    ListedSubscription,
    MarketDataCodec,
    ProvenSubscription,
    SubscriptionList,
)
from connecttrade_async.market_data.registry import (
    ChannelKey,
    Detail,
    PendingQuery,
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
from connecttrade_async.streaming.protocol import StreamProtocol

QUOTES = ChannelKey("quotes")
TRADES = ChannelKey("trades")
DEPTH = ChannelKey("depth")
MINUTES = ChannelKey("bars", (("interval", "1m"),))
FIVES = ChannelKey("bars", (("interval", "5m"),))
CHAIN = ChannelKey("options_chain", (("expiration", None),))
READ = MarketDataCodec(Secret("token")).read


def receive(sync: MarketDataSync, message: object, now: float) -> None:
    """Pass a message as the protocol does."""
    if isinstance(message, Refusal):
        sync.refuse(message, now)
    else:
        sync.receive(message, now)


class SyncDriver:
    """A subscription sync with its registry, and the frames that it sent."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.registry = SubscriptionRegistry()
        self.sync = MarketDataSync(self.registry, MarketDataCodec(Secret("token")), ReplyPolicy(1.0, 3))
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
        for frame in self.subscribe("first", channel_key, *symbols, detail=detail):
            self.receive(Subscribed(id=frame["id"]))
        self.events()


def test_sync_with_a_second_requester_sends_nothing_until_the_last_one_removes_the_key() -> None:
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


def test_sync_with_options_that_messages_carry_sends_one_subscription_for_each() -> None:
    one = SyncDriver()
    [first] = one.subscribe("a", MINUTES, "AAPL")
    [second] = one.subscribe("b", FIVES, "AAPL")
    assert (first["interval"], second["interval"]) == ("1m", "5m")


def test_sync_with_several_details_subscribes_once_to_the_widest() -> None:
    one = SyncDriver()
    one.held(DEPTH, "AAPL", detail=10)
    assert one.subscribe("b", DEPTH, "AAPL", detail=5) == []
    assert one.sync.holds(SubscriptionKey(DEPTH, "AAPL"), 5)
    given_up, asked = one.subscribe("c", DEPTH, "AAPL", detail=20)
    assert (given_up["action"], given_up["levels"]) == ("unsubscribe", "10")
    assert (asked["action"], asked["levels"]) == ("subscribe", "20")
    assert one.receive(Unsubscribed(id=given_up["id"])) == one.receive(Subscribed(id=asked["id"])) == []
    assert one.sync.holds(SubscriptionKey(DEPTH, "AAPL"), 20)


def test_sync_widening_a_subscription_reports_missed_data_to_the_narrower_requester() -> None:
    one = SyncDriver()
    one.held(DEPTH, "A", "B", detail=10)
    asked = one.subscribe("c", DEPTH, "A", "B", detail=20, now=1.0)[-1]
    one.receive(Subscribed(id=asked["id"]), 1.5)
    settled, missed = one.events()
    assert type(settled) is SubscriptionConfirmed
    assert missed == DataMissed("first", 0.5, "depth of A, B was resubscribed")
    one.receive(Subscribed(id=asked["id"]), 2.0)
    assert one.events() == []


@pytest.mark.parametrize("ending", ["refused", "the link is lost"])
def test_sync_reports_missed_data_since_the_unsubscribe_whatever_happens_before_it_is_held(ending: str) -> None:
    one = SyncDriver()
    one.held(TRADES, "A", detail="regular")
    asked = one.subscribe("b", TRADES, "A", detail="all", now=1.0)[-1]
    if ending == "refused":
        [again] = one.receive(Refusal("400", "no", asked["id"]), 2.0)
        assert one.events() == [SubscriptionRejected(SubscriptionKey(TRADES, "A"), "400", "no", ("b",))]
    else:
        one.sync.end()
        one.sync = MarketDataSync(one.registry, MarketDataCodec(Secret("token")))
        one.sync.start(2.0)
        [again] = one.sent()
    one.receive(Subscribed(id=again["id"]), 3.0)
    assert one.events()[1:] == [DataMissed("first", 2.0, "trades of A was resubscribed")]


def test_sync_with_a_rejected_wider_detail_restores_the_narrower_one() -> None:
    one = SyncDriver()
    one.held(DEPTH, "AAPL", detail=10)
    _, asked = one.subscribe("c", DEPTH, "AAPL", detail=20)
    [again] = one.receive(Refusal("400", "too deep", asked["id"]))
    assert (again["action"], again["levels"]) == ("subscribe", "10")
    assert one.events() == [SubscriptionRejected(SubscriptionKey(DEPTH, "AAPL"), "400", "too deep", ("c",))]


def test_sync_with_regular_and_extended_hours_requests_all_hours() -> None:
    one = SyncDriver()
    one.held(TRADES, "AAPL", detail="regular")
    _, asked = one.subscribe("b", TRADES, "AAPL", detail="extended")
    assert asked["session"] == "all"
    [again] = one.receive(Refusal("401", None, asked["id"]))
    assert again["session"] == "regular"
    assert one.events() == [
        SubscriptionRejected(SubscriptionKey(TRADES, "AAPL"), "401", "no explanation given", ("b",))
    ]


def test_sync_requests_each_chain_by_itself_and_accepts_any_acknowledgement() -> None:
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


def test_sync_with_a_rejection_of_many_symbols_finds_the_bad_one() -> None:
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


def test_sync_with_an_acknowledgement_that_omits_a_symbol_requests_it_again() -> None:
    one = SyncDriver()
    [frame] = one.subscribe("a", QUOTES, "A", "B")
    for now in (1.0, 2.0):
        assert one.receive(Subscribed(id=frame["id"], symbols=("A",)), now - 0.5) == []
        assert one.sync.missing == ()  # the connection was live before
        [frame] = one.check(now)
        assert frame["symbols"] == ["B"]
    assert one.receive(Subscribed(id=frame["id"], symbols=()), 2.5) == []
    [frame] = one.check(3.0)
    assert (frame["action"], frame["symbols"]) == ("unsubscribe", ["B"])  # it may be held all the same
    assert one.events() == [
        SubscriptionConfirmed((SubscriptionKey(QUOTES, "A"),)),
        SubscriptionRejected(
            SubscriptionKey(QUOTES, "B"), "", "the server acknowledged only other symbols of the request", ("a",)
        ),
    ]


def test_sync_without_a_reply_requests_again_and_a_late_reply_counts() -> None:
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


def test_sync_without_any_reply_rejects_the_symbol_and_unsubscribes() -> None:
    one = SyncDriver()
    one.subscribe("a", QUOTES, "A")
    assert [len(one.check(now)) for now in (1.0, 2.0)] == [1, 1]
    [frame] = one.check(3.0)
    assert frame["action"] == "unsubscribe"
    assert one.events() == [
        SubscriptionRejected(SubscriptionKey(QUOTES, "A"), "", "the server did not answer 3 requests", ("a",))
    ]
    assert one.check(9.0) == []


def test_sync_with_a_rejection_after_a_lost_reply_unsubscribes() -> None:
    one = SyncDriver()
    one.subscribe("a", QUOTES, "A")
    [again] = one.check(1.0)
    [frame] = one.receive(Refusal("403", "no more", again["id"]))
    assert (frame["action"], frame["symbols"]) == ("unsubscribe", ["A"])


def test_sync_with_an_unsubscribe_never_answered_or_rejected_takes_it_as_done() -> None:
    one = SyncDriver()
    one.held(QUOTES, "A", "B")
    one.unsubscribe("first", QUOTES, "A")
    for now in (1.0, 2.0, 3.0):
        one.check(now)
    assert one.deadline() is None
    [frame] = one.unsubscribe("first", QUOTES, "B")
    [asked] = one.receive(Refusal("404", "not subscribed", frame["id"]))
    assert asked["action"] == "list_subscriptions"
    assert one.events() == []
    assert len(one.subscribe("b", QUOTES, "A", "B")) == 1


def test_sync_with_a_transient_rejection_requests_again_after_the_time_out() -> None:
    one = SyncDriver()
    [frame] = one.subscribe("a", QUOTES, "A", "B")
    for now in (1.0, 2.0):
        assert one.receive(Refusal("429", "slow down", frame["id"]), now - 0.5) == []
        [frame] = one.check(now)
    one.receive(Refusal(503, "later", frame["id"]), 2.5)
    one.check(3.0)
    assert [(each.code, each.cause) for each in one.events()] == [("503", "later")] * 2


def test_sync_assigns_replies_without_id_to_the_only_request_that_fits() -> None:
    one = SyncDriver()
    one.held(DEPTH, "A", detail=5)
    one.subscribe("a", QUOTES, "A")
    one.subscribe("a", TRADES, "A", detail="all")
    one.unsubscribe("first", DEPTH, "A")
    assert one.receive(Subscribed(channel="trades")) == []
    assert one.receive(Refusal("400", "no quotes")) == []  # two are open
    one.receive(Unsubscribed())
    [again] = one.receive(Refusal("400", "no quotes"))
    assert (again["action"], again["channel"]) == ("subscribe", "quotes")
    one.receive(Refusal("400", "no quotes"))
    assert [type(each) for each in one.events()] == [SubscriptionConfirmed, SubscriptionRejected]
    for message in (Subscribed(), Unsubscribed(), Refusal()):
        assert one.receive(message) == []
    assert one.events() == []


@given(
    requests=st.lists(
        st.tuples(st.sampled_from([QUOTES, TRADES, MINUTES, FIVES]), st.sampled_from("ABC")),
        min_size=2,
        max_size=6,
        unique=True,
    ),
    message=st.sampled_from([Subscribed(), Refusal("400", "no"), Refusal("503", "later"), Refusal()]),
    queries=st.integers(0, 2),
)
def test_sync_with_several_open_requests_applies_a_reply_that_names_nothing_to_none(
    requests: list[tuple[ChannelKey, str]], message: Subscribed | Refusal, queries: int
) -> None:
    one = SyncDriver()
    for channel_key, symbol in requests:
        one.subscribe("a", channel_key, symbol)
    ids = [next(one.registry.request_ids) for _ in range(queries)]
    one.registry.queries |= dict.fromkeys(ids, PendingQuery(b"{}"))
    before = one.deadline()
    is_placed = one.sync.receive(message, 0.5) if isinstance(message, Subscribed) else one.sync.refuse(message, 0.5)
    assert (is_placed, one.events(), one.sent(), one.deadline()) == (False, [], [], before)
    assert len(one.check(1.0)) == len(requests)
    assert list(one.registry.queries) == ids


@pytest.mark.parametrize(
    "message",
    [
        Subscribed(channel="bars", symbols=("A",)),
        Subscribed(symbols=("A",)),
        Subscribed(symbols=("C",)),
        Subscribed(id="srv-1"),
        Unsubscribed(),
        BarSnapshot(bars=()),
        BarSnapshot(symbol="A"),
        BarSnapshot("srv-1"),
        SubscriptionList(),
        Refusal("400", "no", symbol="A"),
        Refusal("400", "no", channel="bars"),
    ],
    ids=str,
)
def test_sync_with_a_reply_that_fits_two_requests_or_none_applies_it_to_none(message: Any) -> None:
    one = SyncDriver()
    one.subscribe("a", MINUTES, "A")
    one.subscribe("a", FIVES, "A")
    one.registry.queries |= {"8": PendingQuery(b"{}", "bars", "A"), "9": PendingQuery(b"{}", "bars", "A")}
    one.registry.queries |= {"6": PendingQuery(b"{}"), "7": PendingQuery(b"{}")}
    is_placed = one.sync.refuse(message, 0.5) if isinstance(message, Refusal) else one.sync.receive(message, 0.5)
    assert not is_placed
    assert all(isinstance(each, ReplyReceived) and each.request_id in {"None", "srv-1"} for each in one.events())
    assert len(one.registry.queries) == 4


def test_sync_assigns_a_snapshot_without_id_by_its_symbol() -> None:
    one = SyncDriver()
    one.registry.queries |= {"8": PendingQuery(b"{}", "bars", "A"), "9": PendingQuery(b"{}", "bars", "B")}
    assert one.sync.receive(BarSnapshot(symbol="B"), 0.0)
    assert [each.request_id for each in one.events()] == ["9"]
    del one.registry.queries["8"]
    assert not one.sync.receive(BarSnapshot(symbol="A"), 0.0)  # a late reply to the other


def test_sync_with_an_event_of_a_held_chain_proves_no_other_chain() -> None:
    one = SyncDriver()
    dated = ChannelKey("options_chain", (("expiration", "2026-01-16"),))
    event = READ(b'{"type": "options_chain", "underlying": "A", "expiration": "2026-01-16"}')
    one.held(CHAIN, "A", detail=True)
    one.subscribe("a", dated, "A", detail=True)
    assert one.sync.receive(ProvenSubscription(event), 0.5)
    assert len(one.check(1.0)) == 1  # repeated rather than confirmed


def test_sync_with_an_event_of_two_awaited_chains_proves_none() -> None:
    one = SyncDriver()
    dated = ChannelKey("options_chain", (("expiration", "2026-01-16"),))
    one.subscribe("a", CHAIN, "A", detail=True)
    one.subscribe("a", dated, "A", detail=True)
    one.receive(
        ProvenSubscription(READ(b'{"type": "options_chain", "underlying": "A", "expiration": "2026-01-16"}')), 0.5
    )
    assert len(one.check(1.0)) == 2
    one.receive(
        ProvenSubscription(READ(b'{"type": "options_chain", "underlying": "A", "expiration": "2026-02-20"}')), 1.5
    )
    [again] = one.check(2.0)
    assert again["expiration"] == "2026-01-16"


def test_sync_with_a_rejection_without_id_rejects_only_on_the_second() -> None:
    one = SyncDriver()
    [first] = one.subscribe("a", QUOTES, "A")
    [again] = one.receive(Refusal("400", "what was that?"), 0.5)
    assert (again["symbols"], again["id"] != first["id"], one.events()) == (["A"], True, [])
    assert one.deadline() == 1.5
    one.receive(Subscribed(id=first["id"]))  # the answer to what was asked first still counts
    assert one.events() == [SubscriptionConfirmed((SubscriptionKey(QUOTES, "A"),))]
    assert one.receive(Subscribed(id=again["id"])) == []
    assert (one.events(), one.deadline()) == ([], None)


def test_sync_with_rejections_without_id_of_one_request_at_a_time_finds_the_bad_symbols() -> None:
    one = SyncDriver()
    bad = {"BAD", "WORSE"}
    for symbol in ("A", "BAD", "B", "WORSE"):
        frames = deque(one.subscribe("a", QUOTES, symbol))
        while frames:
            # A server that answers in order, and never says what.
            [asked] = frames.popleft()["symbols"]
            frames.extend(one.receive(Refusal("400", f"no {asked}") if asked in bad else Subscribed(channel="quotes")))
    news = one.events()
    assert [each.keys[0].symbol for each in news if isinstance(each, SubscriptionConfirmed)] == ["A", "B"]
    assert [(each.key.symbol, each.cause) for each in news if isinstance(each, SubscriptionRejected)] == [
        ("BAD", "no BAD"),
        ("WORSE", "no WORSE"),
    ]


def test_sync_with_a_rejection_of_many_without_id_finds_the_bad_one() -> None:
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


def test_sync_with_a_rejection_without_id_rejects_the_only_query_that_is_open() -> None:
    one = SyncDriver()
    first, second = (next(one.registry.request_ids) for _ in range(2))
    no = Refusal("404", "no such symbol")
    one.registry.queries |= dict.fromkeys((first, second), PendingQuery(b"{}"))
    assert not one.sync.refuse(no, 0.0)
    del one.registry.queries[first]
    assert one.sync.refuse(no, 0.0)
    assert (one.events(), one.registry.queries) == ([ReplyReceived(second, no)], {})


def test_sync_with_a_reply_of_the_wrong_kind_or_to_nothing_changes_nothing() -> None:
    one = SyncDriver()
    [frame] = one.subscribe("a", QUOTES, "A")
    assert one.receive(Subscribed(id="99")) == []
    assert one.receive(Unsubscribed(id=frame["id"])) == []
    assert one.receive(Refusal("400", "what?", "77")) == []
    assert one.events() == [ReplyReceived("77", Refusal("400", "what?", "77"))]
    [again] = one.check(1.0)
    assert again["symbols"] == ["A"]


def test_sync_start_on_a_new_connection_subscribes_to_every_key_in_few_frames() -> None:
    one = SyncDriver()
    symbols = [f"S{number}" for number in range(100)]
    one.held(QUOTES, *symbols)
    one.held(MINUTES, *symbols)
    one.sync.end()
    assert one.deadline() is None
    assert one.subscribe("b", QUOTES, "MORE") == []
    one.sync.send(b"{}")
    assert one.sent() == []
    one.sync = MarketDataSync(one.registry, MarketDataCodec(Secret("token")))
    assert one.is_settled()
    one.sync.start(0.0)
    first, second = one.sent()
    assert len(first["symbols"]) == 101
    assert not one.is_settled()
    one.receive(Subscribed(id=first["id"]))
    one.receive(Subscribed(id=second["id"]))
    assert one.is_settled()


def test_sync_is_settled_once_the_requests_of_the_start_are_answered() -> None:
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


def test_sync_delivers_replies_to_queries_by_id() -> None:
    one = SyncDriver()
    one.sync.send(b'{"id": "5"}')
    assert one.sent() == [{"id": "5"}]
    snapshot = BarSnapshot("5", "AAPL", ())
    one.receive(snapshot)
    assert one.events() == [ReplyReceived("5", snapshot)]


def listed(*lines: dict[str, Any]) -> SubscriptionList:
    return SubscriptionList("1", lines)


def test_sync_corrects_differences_from_the_list_of_the_server() -> None:
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
        (ListedSubscription("quotes", ("STRAY",), {}), ListedSubscription("depth", ("A",), {"levels": 10})),
    )
    one.receive(Subscribed(id=flying["id"]))
    for frame in frames[2:]:
        one.receive(Subscribed(id=frame["id"]))
    assert one.receive(listed({"channel": "quotes", "symbols": ["A", "B", "FLYING"]})) != []  # bars and depth are gone


def test_sync_with_a_list_entry_without_options_matches_every_key_of_its_symbol() -> None:
    one = SyncDriver()
    one.held(MINUTES, "A")
    one.held(FIVES, "A")
    one.held(CHAIN, "TSLA", detail=True)
    chain = {"channel": "options_chain", "underlying": "TSLA", "expiration": "2026-12-18", "greeks": "true"}
    assert one.receive(listed({"channel": "bars", "symbols": ["A"]}, chain)) == []
    [answer] = one.events()
    assert answer.difference == ((), ())


def test_sync_after_releasing_one_key_of_a_symbol_requests_the_list() -> None:
    one = SyncDriver()
    one.held(MINUTES, "A")
    one.held(FIVES, "A")
    [left] = one.unsubscribe("first", FIVES, "A")
    [asked] = one.receive(Unsubscribed(id=left["id"]))
    assert asked["action"] == "list_subscriptions"
    [again] = one.receive(listed())
    assert (again["action"], again["interval"]) == ("subscribe", "1m")


def test_sync_start_repeats_open_queries_of_the_last_connection() -> None:
    one = SyncDriver(is_open=False)
    one.registry.queries["5"] = PendingQuery(b'{"id": "5"}')
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

    def sends(self, key: SubscriptionKey, detail: Detail) -> bool:
        """Whether the server sends this key, with at least this detail."""
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


RequestedKey = tuple[ChannelKey, str, Detail]
ITEMS: list[RequestedKey] = [
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
OF_ONE: list[RequestedKey] = [(DEPTH, "A", 5), (DEPTH, "A", 10), (DEPTH, "A", 20)]
STEPS = ["settle", "serve", "lose the answer", "ignore", "step", "drop", "receive"]


def steps_with(keys: list[RequestedKey]) -> st.SearchStrategy[list[tuple[str, Any, Any]]]:
    """Return a strategy of steps with these keys."""
    of_items = st.tuples(st.sampled_from(["add", "add", "remove"]), st.sampled_from("xyz"), st.sampled_from(keys))
    return st.lists(of_items | st.tuples(st.sampled_from(STEPS), st.none(), st.none()), max_size=40)


class World:
    """Requesters, a subscription sync, a server, and the replies on their way between them."""

    def __init__(self, *, keeps_one_form: bool) -> None:
        self.driver = SyncDriver()
        self.keeps_one_form = keeps_one_form
        self.server = Server(keeps_one_form=keeps_one_form)
        self.answers: deque[bytes] = deque()
        self.now = 0.0
        self.was_ignored = False
        self.content: set[tuple[str, SubscriptionKey]] = set()
        self.missing: set[tuple[str, SubscriptionKey]] = set()
        self.read = 0

    def do(self, step: str, requester: str, what: RequestedKey) -> None:
        sync, registry = self.driver.sync, self.driver.registry
        if step in {"add", "remove"}:
            key = SubscriptionKey(*what[:2])
            registry.add(requester, [key], what[2]) if step == "add" else registry.remove(requester, [key])
            self.content.discard((requester, key))
            sync.sync([key], self.now)
            self.observe()
        elif step == "step":
            self.now += 0.6
            sync.check(self.now)
        elif step == "receive":
            self.receive()
        elif step == "settle":
            self.settle()
        elif step == "drop":
            sync.end()
            # The gap of the lost connection covers everything but what was unsubscribed before.
            broken = registry._broken.items()
            self.content &= {(str(requester), key) for key, details in broken for requester in details}
            self.read = 0
            self.server = Server(keeps_one_form=self.keeps_one_form)
            self.answers.clear()
            self.driver.sync = MarketDataSync(registry, MarketDataCodec(Secret("token")), ReplyPolicy(1.0, 3))
            self.driver.sync.start(self.now)
        elif sync.outbox:
            self.pass_on(json.loads(sync.outbox.pop(0)), step)

    def pass_on(self, frame: dict[str, Any], step: str) -> None:
        if step == "ignore":
            self.was_ignored = True
            return
        answer = self.server.answer(frame)
        self.compare()
        if step == "serve":
            self.answers.append(answer)

    def request_list(self) -> None:
        number = next(self.driver.registry.request_ids)
        self.pass_on({"action": "list_subscriptions", "id": number}, "serve")

    def receive(self) -> None:
        if self.answers:
            receive(self.driver.sync, READ(self.answers.popleft()), self.now)
            self.observe()

    def request_of(self, requester: str, key: SubscriptionKey) -> tuple[SubscriptionKey, Detail]:
        return key, self.driver.registry._requesters[key][requester]

    def observe(self) -> None:
        """Record the requesters with a reported gap, and those that hold what they request."""
        sync, wants = self.driver.sync, self.driver.registry._requesters
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
            for key, details in wants.items()
            for requester, detail in details.items()
            if sync.holds(key, detail)
        }
        self.compare()

    def compare(self) -> None:
        """Record the requesters of held keys that the server no longer sends."""
        self.missing &= self.content
        self.missing |= {each for each in self.content if not self.server.sends(*self.request_of(*each))}

    def settle(self) -> None:
        sync = self.driver.sync
        while sync.outbox or self.answers or sync.deadline is not None:
            while sync.outbox:
                self.pass_on(json.loads(sync.outbox.pop(0)), "serve")
            if not self.answers:
                self.do("step", "", (QUOTES, "", None))
            self.receive()

    @property
    def requested(self) -> list[tuple[str, str, str]]:
        return sorted(
            (key.channel_key.channel, dict(key.channel_key.options).get("interval") or "", key.symbol)
            for key in self.driver.registry.keys
        )


@given(steps=steps_with(ITEMS) | steps_with(OF_ONE), keeps_one_form=st.booleans())
@settings(deadline=None, max_examples=300)
def test_sync_with_any_events_agrees_with_the_server_once_all_is_answered(
    steps: list[tuple[str, Any, Any]],
    keeps_one_form: bool,  # noqa: FBT001 - hypothesis hands it in
) -> None:
    world = World(keeps_one_form=keeps_one_form)
    for step in steps:
        world.do(*step)
    world.settle()
    if not world.was_ignored:
        assert world.server.keys == world.requested
    world.request_list()
    world.settle()
    assert world.server.keys == world.requested
    sync, registry = world.driver.sync, world.driver.registry
    assert all(sync.holds(key, registry.detail(key)) for key in registry.keys)
    world.request_list()
    world.driver.sync.sync_events.clear()
    world.read = 0
    world.settle()
    assert world.missing == set()
    [answer] = world.driver.events()
    assert answer.difference == ((), ())


def test_sync_with_a_rejection_by_id_and_symbol_rejects_that_symbol_and_requests_the_others() -> None:
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


def test_sync_with_a_rejection_by_id_that_echoes_every_symbol_finds_the_bad_one() -> None:
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
def test_sync_with_a_rejection_of_unrequested_symbols_affects_no_request(
    named: dict[str, Any], *, has_id: bool
) -> None:
    one = SyncDriver()
    [frame] = one.subscribe("a", QUOTES, "A", "B")
    for _ in range(3):
        assert not one.sync.refuse(Refusal("400", "no", frame["id"] if has_id else None, **named), 0.5)
    assert (one.sent(), one.events()) == ([], [])
    one.receive(Subscribed(id=frame["id"]))
    assert one.events() == [SubscriptionConfirmed((SubscriptionKey(QUOTES, "A"), SubscriptionKey(QUOTES, "B")))]


@pytest.mark.parametrize("named", [{"user_id": "bob"}, {"account_id": "a1"}, {"topic": "orders"}, {"channel": "news"}])
def test_sync_with_a_rejection_of_a_user_account_or_other_topic_affects_no_request(named: dict[str, Any]) -> None:
    one = SyncDriver()
    one.subscribe("a", QUOTES, "A")
    assert not one.sync.refuse(Refusal("400", "no", **named), 0.5)
    assert (one.sent(), one.events()) == ([], [])


def test_sync_with_a_rejection_by_name_rejects_the_matching_request_only() -> None:
    one = SyncDriver()
    one.subscribe("a", QUOTES, "A")
    one.subscribe("a", TRADES, "A", detail="all")
    one.subscribe("a", QUOTES, "B", "C")
    assert one.sync.refuse(Refusal("403", "no", channel="quote", symbol="C"), 0.5)
    [again] = one.sent()
    assert (again["channel"], again["symbols"]) == ("quotes", ["B"])
    assert one.sync.refuse(Refusal("403", "no", channel="trades", symbol="A"), 0.5)
    assert [each.key for each in one.events()] == [SubscriptionKey(QUOTES, "C"), SubscriptionKey(TRADES, "A")]


def test_sync_with_a_rejection_by_a_symbol_of_two_requests_applies_it_to_none() -> None:
    one = SyncDriver()
    one.subscribe("a", QUOTES, "A")
    one.subscribe("a", TRADES, "A", detail="all")
    assert not one.sync.refuse(Refusal("403", "no", symbol="A"), 0.5)
    assert (one.sent(), one.events()) == ([], [])


@pytest.mark.parametrize(
    "frame", [b'{"type": "error", "message": "zebra"}', b'{"type": "subscribed", "note": "zebra"}']
)
def test_sync_with_an_ambiguous_frame_delivers_it_as_unknown_and_quotes_it_at_the_time_out(frame: bytes) -> None:
    registry = SubscriptionRegistry()
    codec = MarketDataCodec(Secret("token"), registry=registry)
    sync = MarketDataSync(registry, codec, ReplyPolicy(1.0, 1))
    protocol = StreamProtocol(codec, sync, now=0.0, login=10.0)
    for each in (b'{"type": "welcome"}', b'{"type": "authenticated"}'):
        protocol.receive(each, 0.0)
    keys = [SubscriptionKey(channel_key, "A") for channel_key in (QUOTES, TRADES)]
    for key in keys:
        registry.add("a", [key], None)
        sync.sync([key], 0.0)
    assert protocol.receive(frame, 0.5) is None
    said: list[Any] = list(sync.sync_events)
    [unknown] = said
    assert (unknown.topic, unknown.raw) == ("unknown", frame)
    sync.sync_events.clear()
    protocol.check(1.0)
    rejected = [each for each in sync.sync_events if isinstance(each, SubscriptionRejected)]
    assert [(each.key, "zebra" in each.cause) for each in rejected] == [(key, True) for key in keys]


def test_sync_with_a_rejection_by_name_rejects_a_matching_query() -> None:
    one = SyncDriver()
    number = next(one.registry.request_ids)
    one.registry.queries[number] = PendingQuery(b"{}", "bars", "IBM")
    one.subscribe("a", QUOTES, "A")
    no = Refusal("404", "no past", symbol="IBM")
    assert one.sync.refuse(no, 0.5)
    assert (one.events(), one.registry.queries) == ([ReplyReceived(number, no)], {})


def test_sync_with_a_rejection_of_a_held_symbol_requests_the_list_after_growing_pauses() -> None:
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


def test_sync_with_an_unsolicited_unsubscribed_requests_the_list() -> None:
    one = SyncDriver()
    one.held(QUOTES, "A")
    one.held(TRADES, "B", detail="all")
    assert (
        one.receive(Unsubscribed(channel="quotes", symbols=("B",))) == one.receive(Unsubscribed(symbols=("C",))) == []
    )
    [frame] = one.receive(Unsubscribed(id="srv-1", channel="trades", symbols=("B",)))
    assert frame["action"] == "list_subscriptions"


def test_sync_assigns_an_acknowledgement_without_id_by_its_symbols() -> None:
    one = SyncDriver()
    one.subscribe("a", QUOTES, "A")
    one.subscribe("a", QUOTES, "B")
    one.receive(Subscribed(channel="quotes", symbols=("B",)))
    assert one.events() == [SubscriptionConfirmed((SubscriptionKey(QUOTES, "B"),))]
    assert one.receive(Subscribed(channel="quotes", symbols=("C",))) == []


def test_sync_with_a_rejection_by_an_id_never_issued_affects_no_request() -> None:
    one = SyncDriver()
    [frame] = one.subscribe("a", QUOTES, "A")
    for strange in ("99", "srv-1", "9" * 5000, "0", "\u0661", 10**30):
        assert not one.sync.refuse(Refusal("400", "no", strange), 0.0)
    one.receive(Subscribed(id=frame["id"]))
    assert one.sync.refuse(Refusal("400", "no", frame["id"]), 0.0)  # late


def test_sync_with_a_list_that_never_names_a_symbol_resubscribes_after_growing_pauses() -> None:
    one = SyncDriver()
    one.held(QUOTES, "A")
    asked_at: list[float] = []
    for now in map(float, range(100)):
        for frame in one.receive(listed(), now):
            asked_at.append(now)
            one.receive(Subscribed(id=frame["id"]), now)
    assert asked_at == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0]
    assert one.sync.holds(SubscriptionKey(QUOTES, "A"), None)


def test_sync_with_unsolicited_lists_corrects_differences_after_growing_pauses() -> None:
    one = SyncDriver()
    one.held(QUOTES, "A")
    channel_key = {"channel": "quotes", "symbols": ["A", "STRAY"]}
    sent_at = [
        now
        for now in map(float, range(40))
        for _ in one.receive(SubscriptionList("srv", (channel_key,)), now)
        + one.receive(SubscriptionList(None, (channel_key,)), now)
    ]
    assert sent_at == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0]
    [asked] = one.receive(SubscriptionList(next(one.registry.request_ids), (channel_key,)), 39.0)
    assert (asked["action"], asked["symbols"]) == ("unsubscribe", ["STRAY"])


def test_sync_delivers_a_reply_of_another_kind_to_its_query() -> None:
    one = SyncDriver()
    number = next(one.registry.request_ids)
    one.registry.queries[number] = PendingQuery(b"{}", "bars", "IBM")
    for answer in (Subscribed(id=number), Unsubscribed(id=int(number))):
        one.receive(answer)
        assert one.events() == [ReplyReceived(number, answer)]


CHAINS = b'{"type": "options_chain", "underlying": "TSLA", "contracts": [{"symbol": "TSLA251031C00437500"'


def test_sync_with_a_second_oversized_event_rejects_its_symbol_only() -> None:
    one = SyncDriver()
    one.held(CHAIN, "TSLA", "SPY", detail=True)
    one.held(QUOTES, "TSLA")
    for _ in range(2):
        assert one.events() == []
        one.sync.outgrown(CHAINS, 0.0)
    [news] = one.events()
    assert (news.key, news.code, news.requesters) == (SubscriptionKey(CHAIN, "TSLA"), "1009", ("first",))
    assert sorted(key.symbol for key in one.registry.keys) == ["SPY", "TSLA"]


def test_sync_with_rare_oversized_events_rejects_nothing() -> None:
    one = SyncDriver()
    one.held(CHAIN, "TSLA", detail=True)
    for now in (0.0, 600.0, 1200.0):
        one.sync.outgrown(CHAINS, now)
    assert one.events() == []
    one.sync.outgrown(CHAINS, 1799.9)
    assert len(one.events()) == 1


def test_sync_with_an_oversized_wider_detail_keeps_the_narrower_requester() -> None:
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
        (b'{"type": "subscriptions", "subscriptions": [', "12"),
        (b"[[[[", "12"),
        (b"", "12"),
    ],
)
def test_sync_with_a_second_oversized_reply_rejects_its_query_or_each_open_one(frame: bytes, refused: str) -> None:
    one = SyncDriver()
    one.held(QUOTES, "A")
    one.registry.queries |= {number: PendingQuery(b"{}", "bars", "A") for number in "12"}
    for _ in range(2):
        one.sync.outgrown(frame, 0.0)
    assert [(news.request_id, news.message.code) for news in one.events()] == [(number, "1009") for number in refused]
    assert list(one.registry.queries) == [number for number in "12" if number not in refused]


@pytest.mark.parametrize("frame", [b"", b'{"type":"quote","symbol":"B"', b'{"type":"chain","symbol":"A"', b'{"type":'])
def test_sync_with_an_oversized_frame_of_nothing_held_rejects_nothing(frame: bytes) -> None:
    one = SyncDriver()
    one.held(QUOTES, "A")
    for _ in range(3):
        one.sync.outgrown(frame, 0.0)
    assert (one.events(), one.registry.keys) == ([], (SubscriptionKey(QUOTES, "A"),))


def test_sync_with_very_many_symbols_splits_them_into_frames() -> None:
    one = SyncDriver()
    symbols = [f"S{number}" for number in range(2500)]
    frames = one.subscribe("a", QUOTES, *symbols)
    assert [len(frame["symbols"]) for frame in frames] == [1000, 1000, 500]
    assert [symbol for frame in frames for symbol in frame["symbols"]] == symbols
    for frame in frames:
        one.receive(Subscribed(id=frame["id"]))
    assert sum(len(frame["symbols"]) for frame in one.unsubscribe("a", QUOTES, *symbols)) == 2500


def test_sync_with_a_reply_without_id_after_a_repetition_assigns_it_to_the_only_request() -> None:
    one = SyncDriver()
    one.subscribe("a", QUOTES, "A")
    [again] = one.check(1.0)
    assert again["symbols"] == ["A"]
    one.subscribe("a", QUOTES, "B", now=1.0)
    assert not one.sync.receive(Subscribed(), 1.0)
    one.receive(Subscribed(id=again["id"]))
    assert one.events() == [SubscriptionConfirmed((SubscriptionKey(QUOTES, "A"),))]
    one.receive(Subscribed())
    assert one.events() == [SubscriptionConfirmed((SubscriptionKey(QUOTES, "B"),))]
    assert one.deadline() is None


@pytest.mark.parametrize("code", ["404", "503", None])
def test_sync_with_a_rejected_unsubscribe_subscribes_again_where_requested(code: str | None) -> None:
    one = SyncDriver()
    one.held(QUOTES, "A", "B", "C")
    [frame] = one.unsubscribe("first", QUOTES, "A", "B")
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


def test_sync_end_clears_what_is_held_and_its_deadline() -> None:
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


def test_sync_with_a_rejection_that_names_nothing_affects_a_request_a_query_or_nothing() -> None:
    one = SyncDriver()
    assert not one.sync.refuse(Refusal("400", "no"), 0.0)
    one.registry.queries[next(one.registry.request_ids)] = PendingQuery(b"{}")
    assert one.sync.refuse(Refusal("400", "no"), 0.0)
    one.subscribe("a", QUOTES, "A")
    assert one.sync.refuse(Refusal("400", "no"), 0.0)


def test_sync_with_a_deferred_half_names_it_in_the_login_error_and_drops_it_at_the_end() -> None:
    one = SyncDriver(is_open=False)
    one.registry.add("a", [SubscriptionKey(QUOTES, symbol) for symbol in "AB"], None)
    one.sync.start(0.0)
    one.sent()
    [half] = one.receive(Refusal("400", "no"))
    assert (half["symbols"], one.sync.missing) == (["A"], ("quotes of A", "quotes of B"))
    [other] = one.receive(Subscribed())
    assert (other["symbols"], one.is_settled()) == (["B"], False)
    one.sync.end()
    assert one.is_settled()


def test_sync_skips_symbols_that_await_a_reply() -> None:
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


def test_sync_requests_past_bars_with_the_subscription_once() -> None:
    one = SyncDriver()
    key = with_backfill(one, "A", 5)
    [frame] = one.subscribe("a", MINUTES, "A")
    assert (frame["backfill"], frame["interval"]) == ("5", "1m")
    one.receive(Subscribed(id=frame["id"]))
    assert (one.registry.backfilled, one.registry.backfills) == ({key: 5}, {})
    one.sync.end()
    one.sync = MarketDataSync(one.registry, MarketDataCodec(Secret("token")))
    one.sync.start(0.0)
    [again] = one.sent()
    assert "backfill" not in again
    one.receive(Subscribed(id=again["id"]))
    assert one.registry.backfilled == {key: 5}
    one.unsubscribe("a", MINUTES, "A")
    assert one.registry.backfilled == {}


def test_sync_with_a_rejected_backfill_subscribes_without_it() -> None:
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


def test_sync_without_a_reply_to_a_backfill_subscribes_without_it() -> None:
    one = SyncDriver()
    key = with_backfill(one, "A", 5)
    one.subscribe("a", MINUTES, "A")
    [again] = one.check(1.0)
    assert "backfill" not in again
    one.receive(Subscribed(id=again["id"]))
    assert one.registry.backfilled == {key: 0}


@pytest.mark.parametrize("message", [Subscribed(id="1"), Refusal("400", "no", "1")])
def test_protocol_ignores_every_message_after_its_end(message: object) -> None:
    one = SyncDriver()
    one.subscribe("a", QUOTES, "A")
    one.sync.end()
    assert one.receive(message) == []
