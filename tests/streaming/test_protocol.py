from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from connecttrade_async.market_data.codec import MarketDataCodec
from connecttrade_async.market_data.registry import ChannelKey, SubscriptionKey, SubscriptionRegistry
from connecttrade_async.market_data.subscription_sync import MarketDataSync
from connecttrade_async.market_data.sync_events import SubscriptionConfirmed, SubscriptionRejected
from connecttrade_async.models.events import BalanceUpdate, OrderUpdate, UnknownMessage
from connecttrade_async.secret import Secret
from connecttrade_async.streaming.brokerage_codec import BrokerageCodec
from connecttrade_async.streaming.codec import Refusal
from connecttrade_async.streaming.protocol import CODES, Closed, CloseReason, ConnectionState, StreamProtocol, TopicSync

TOPICS = ("orders", "balances")
WELCOME = b'{"type": "welcome", "message": "hello"}'
AUTHENTICATED = b'{"type": "authenticated"}'
SUBSCRIBED = b'{"type": "subscribed", "topics": ["orders", "balances"]}'
UNSUBSCRIBED = b'{"type": "unsubscribed", "topics": ["orders"]}'
ORDER = b'{"type": "order", "user_id": "u", "account_id": "a", "data": {"order_id": "o"}}'
LADDER = (WELCOME, AUTHENTICATED, SUBSCRIBED)


def refusal(code: object) -> bytes:
    return json.dumps({"type": "error", "code": code, "message": "no"}).encode()


def life(**settings: Any) -> StreamProtocol:
    options: dict[str, Any] = {"now": 0.0, "login": 10.0} | settings
    dialect = BrokerageCodec("client", Secret("hush"))
    return StreamProtocol(dialect, TopicSync(dialect, TOPICS), **options)


def climbed(steps: int, **settings: Any) -> StreamProtocol:
    one = life(**settings)
    for frame in LADDER[:steps]:
        one.receive(frame, 0.0)
    return one


def state_of(one: StreamProtocol) -> ConnectionState:
    # By a call, since type checkers take it that an attribute stays as it was last seen.
    return one.state


def ending_of(one: StreamProtocol) -> Closed | None:
    return one.closed


def test_protocol_passes_all_states_from_welcome_to_live() -> None:
    one = life()
    assert (state_of(one), one.outbox, one.deadline) == (ConnectionState.WELCOMING, [], 10.0)
    assert one.receive(WELCOME, 0.1) is None
    assert state_of(one) is ConnectionState.AUTHENTICATING
    [login] = one.outbox
    assert json.loads(login) == {"action": "authenticate", "client_id": "client", "client_secret": "hush"}
    one.receive(AUTHENTICATED, 0.2)
    assert state_of(one) is ConnectionState.SUBSCRIBING
    assert json.loads(one.outbox[1]) == {"action": "subscribe", "topics": ["orders", "balances"]}
    one.receive(SUBSCRIBED, 0.3)
    assert (one.state, len(one.outbox), one.deadline, one.closed) == (ConnectionState.LIVE, 2, None, None)


@pytest.mark.parametrize("steps", range(1, 4))
def test_receive_update_returns_it_in_every_state(steps: int) -> None:
    one = climbed(steps)
    before = (one.state, list(one.outbox))
    event = one.receive(ORDER, 1.0)
    assert isinstance(event, OrderUpdate)
    assert isinstance(one.receive(b"\xff nonsense", 1.0), UnknownMessage)
    assert (one.state, one.outbox) == before


@pytest.mark.parametrize("steps", range(1, 4))
@pytest.mark.parametrize("frame", LADDER)
def test_receive_unexpected_reply_changes_no_state(steps: int, frame: bytes) -> None:
    one = climbed(steps)
    if steps < 3 and frame == LADDER[steps]:
        return
    before = (one.state, list(one.outbox))
    assert one.receive(frame, 1.0) is None
    assert (one.state, one.outbox) == before


@pytest.mark.parametrize("steps", range(3))
def test_check_after_the_login_deadline_closes(steps: int) -> None:
    one = climbed(steps)
    state = one.state
    one.check(9.9)
    assert ending_of(one) is None
    one.check(10.0)
    ending = ending_of(one)
    assert ending is not None
    assert ending.reason is CloseReason.AGAIN
    assert ending.cause.startswith(f"no answer while {state.value} within 10 s")
    assert (one.state, one.outbox, one.deadline) == (ConnectionState.OVER, [], None)


def test_silence_closes_only_a_live_connection_with_that_limit() -> None:
    one = climbed(3)
    one.check(1e9)
    assert one.state is ConnectionState.LIVE
    one = climbed(3, silence=5.0)
    assert one.deadline == 5.0
    one.receive(ORDER, 3.0)
    one.check(7.9)
    assert ending_of(one) is None
    one.check(8.0)
    assert ending_of(one) == Closed(CloseReason.AGAIN, "no frame was received within 5 s")


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("401", CloseReason.REFUSED),
        (401, CloseReason.REFUSED),
        ("409", CloseReason.TAKEN),
        ("500", CloseReason.AGAIN),
        (503, CloseReason.AGAIN),
    ],
)
@pytest.mark.parametrize("steps", range(3))
def test_error_before_live_closes_with_the_reason_of_its_code(steps: int, code: object, verdict: CloseReason) -> None:
    one = climbed(steps)
    assert one.receive(refusal(code), 1.0) is None
    assert one.closed is not None
    assert one.closed.reason is verdict
    assert "no" in one.closed.cause


def test_error_while_live_closes_only_for_listed_codes() -> None:
    one = climbed(3)
    one.receive(refusal("500"), 1.0)
    assert one.state is ConnectionState.LIVE
    one.receive(refusal("409"), 1.0)
    assert one.closed is not None
    assert one.closed.reason is CloseReason.TAKEN


def test_error_without_message_has_a_default_cause() -> None:
    one = climbed(0)
    one.receive(b'{"type": "error", "code": "500"}', 1.0)
    assert one.closed == Closed(CloseReason.AGAIN, "the server sent error 500: no explanation given")


@pytest.mark.parametrize(
    ("code", "verdict"),
    [(4401, CloseReason.REFUSED), (4409, CloseReason.TAKEN), (1006, CloseReason.AGAIN), (None, CloseReason.AGAIN)],
)
def test_close_codes_have_the_reasons_of_the_table(code: int | None, verdict: CloseReason) -> None:
    one = climbed(3)
    one.connection_lost("gone", code)
    assert one.closed == Closed(verdict, "gone")


SCOPES = [
    {"user_id": "bob"},
    {"account_id": "a7"},
    {"topic": "orders"},
    {"channel": "quotes"},
    {"symbol": "AAPL"},
    {"topics": ["orders", "balances"]},
    {"data": {"account_id": "a7"}},
    {"connection_id": "c1"},
    {"user_id": ["bob", "ann"]},
]


@pytest.mark.parametrize("code", ["401", "403", "409", 401, "500", None])
@pytest.mark.parametrize("scope", SCOPES, ids=str)
def test_error_with_a_scope_is_published_and_closes_nothing(scope: dict[str, Any], code: object) -> None:
    frame = json.dumps({"type": "error", "code": code, "message": "hush is not entitled", **scope}).encode()
    for steps in (2, 3):
        one = climbed(steps)
        state = one.state
        assert one.receive(frame, 1.0) is None
        [event] = one.sync_events
        assert isinstance(event, UnknownMessage)
        assert (one.state, one.closed) == (state, None)
        name, value = next(iter((scope.get("data") or scope).items()))
        error = "an error" if code is None else f"error {code}"
        assert event.problem == f"the server sent {error} for {name} {value}: *** is not entitled"
        assert b"hush" not in event.raw
        assert b"entitled" in event.raw


def test_error_without_scope_and_listed_code_is_published() -> None:
    one = climbed(3)
    one.receive(refusal("500"), 1.0)
    [event] = one.sync_events
    assert isinstance(event, UnknownMessage)
    assert (one.state, event.problem) == (ConnectionState.LIVE, "the server sent error 500: no")


@pytest.mark.parametrize(("scope", "named"), [({}, ""), ({"user_id": "bob"}, " for user_id bob")])
def test_error_without_code_is_called_an_error(scope: dict[str, str], named: str) -> None:
    one = climbed(3)
    one.receive(json.dumps({"type": "error", "message": "no", **scope}).encode(), 1.0)
    [event] = one.sync_events
    assert isinstance(event, UnknownMessage)
    assert event.problem == f"the server sent an error{named}: no"
    one = climbed(1)
    one.receive(b'{"type": "error", "message": "no"}', 1.0)
    assert one.closed == Closed(CloseReason.DENIED, "the server sent an error: no")


@pytest.mark.parametrize("scope", [{"symbol": "AAPL"}, {"user_id": "bob"}])
def test_error_before_the_login_is_accepted_refuses_it_despite_a_scope(scope: dict[str, str]) -> None:
    one = climbed(1)
    one.receive(json.dumps({"type": "error", "code": "401", "message": "no", **scope}).encode(), 1.0)
    assert one.closed == Closed(CloseReason.REFUSED, "the server sent error 401: no")


@pytest.mark.parametrize(("code", "verdict"), [(None, CloseReason.DENIED), ("bad_secret", CloseReason.DENIED)])
def test_error_of_any_code_refuses_a_pending_login(code: object, verdict: CloseReason) -> None:
    one = climbed(1)
    one.receive(refusal(code), 1.0)
    assert one.closed is not None
    assert one.closed.reason is verdict
    for steps in (0, 2):
        other = climbed(steps)
        other.receive(refusal(code), 1.0)
        assert other.closed is not None
        assert other.closed.reason is CloseReason.AGAIN


@pytest.mark.parametrize(
    ("code", "reason", "verdict"),
    [
        (1008, "", CloseReason.DENIED),
        (3000, "", CloseReason.DENIED),
        (4001, "", CloseReason.DENIED),
        (1000, "bad credentials", CloseReason.DENIED),
        (1000, "", CloseReason.AGAIN),
        (1001, "bye", CloseReason.AGAIN),
        (1011, "trouble", CloseReason.AGAIN),
        (1013, "later", CloseReason.AGAIN),
        (4408, "too slow", CloseReason.AGAIN),
        (4429, "too fast", CloseReason.AGAIN),
        (None, "", CloseReason.AGAIN),
    ],
)
def test_close_during_the_login_refuses_it_for_refusal_codes(
    code: int | None, reason: str, verdict: CloseReason
) -> None:
    one = climbed(1)
    one.connection_lost("closed", code, reason=reason)
    assert one.closed == Closed(verdict, "closed")


@pytest.mark.parametrize(
    ("code", "reason", "verdict"),
    [
        (1000, "", CloseReason.CLOSED),
        (1000, "maintenance", CloseReason.CLOSED),
        (1000, "Another session has logged in", CloseReason.TAKEN),
        (1008, "session replaced", CloseReason.TAKEN),
        (4000, "Logged in elsewhere", CloseReason.TAKEN),
        (1008, "", CloseReason.AGAIN),
        (1001, "", CloseReason.AGAIN),
        (None, "", CloseReason.AGAIN),
    ],
)
def test_close_of_a_live_connection_depends_on_code_and_reason(
    code: int | None, reason: str, verdict: CloseReason
) -> None:
    one = climbed(3)
    one.connection_lost("closed", code, reason=reason)
    assert one.closed == Closed(verdict, "closed")


@pytest.mark.parametrize("code", [1000, 1001, None])
def test_error_about_another_session_explains_the_next_close(code: int | None) -> None:
    one = climbed(3)
    one.receive(b'{"type": "error", "code": "X", "message": "Your session was taken by a new login"}', 1.0)
    assert one.state is ConnectionState.LIVE
    one.connection_lost("closed", code)
    assert one.closed == Closed(CloseReason.TAKEN, "closed")


CONFIRMATIONS: list[tuple[list[dict[str, Any]], tuple[str, ...]]] = [
    ([{"topics": ["orders"]}], ("balances",)),
    ([{"topics": ["ORDERS"]}, {"topics": ["balance"]}], ()),
    ([{"topic": "balances"}], ("orders",)),
    ([{"channel": "orders"}, {"channel": "balances"}], ()),
    ([{"topics": ["positions"]}], ("orders", "balances")),
    ([{"topics": []}], ()),
    ([{}], ()),
]


@pytest.mark.parametrize(("frames", "missing"), CONFIRMATIONS, ids=str)
def test_confirmation_confirms_only_its_topics(frames: list[dict[str, Any]], missing: tuple[str, ...]) -> None:
    one = climbed(2)
    for frame in frames:
        one.receive(json.dumps({"type": "subscribed", **frame}).encode(), 1.0)
    assert one.sync.missing == missing
    assert (one.state is ConnectionState.LIVE) == (not missing)
    if missing:
        one.check(10.0)
        assert one.closed is not None
        assert f"not confirmed: {', '.join(missing)}; the last frame was: {{" in one.closed.cause


def test_update_confirms_its_topic() -> None:
    one = climbed(2)
    assert isinstance(one.receive(ORDER, 1.0), OrderUpdate)
    assert one.sync.missing == ("balances",)
    balance = b'{"type": "balance", "user_id": "u", "account_id": "a", "data": {"account_id": "a"}}'
    assert one.receive(balance, 1.0) is None
    [update] = [event for event in one.sync_events if type(event) is OrderUpdate or type(event) is BalanceUpdate]
    assert isinstance(update, BalanceUpdate)
    assert one.state is ConnectionState.LIVE


def test_update_before_the_request_confirms_nothing() -> None:
    one = climbed(1)
    one.receive(ORDER, 1.0)
    one.receive(AUTHENTICATED, 1.0)
    assert one.sync.missing == TOPICS


@pytest.mark.parametrize(
    ("frame", "lost"),
    [
        ({"topics": ["orders"]}, "orders"),
        ({"topic": "balance"}, "balances"),
        ({}, "orders, balances"),
        ({"topics": ["positions"]}, ""),
    ],
    ids=str,
)
def test_subscription_ended_by_the_server_closes_the_connection(frame: dict[str, Any], lost: str) -> None:
    one = climbed(3)
    one.receive(json.dumps({"type": "unsubscribed", **frame}).encode(), 1.0)
    expected = Closed(CloseReason.AGAIN, f"the server ended the subscription of {lost}") if lost else None
    assert one.closed == expected


def test_subscription_ended_while_subscribing_closes_the_connection() -> None:
    one = climbed(2)
    one.receive(b'{"type": "subscribed", "topics": ["orders"]}', 1.0)
    one.receive(UNSUBSCRIBED, 1.0)
    assert one.closed == Closed(CloseReason.AGAIN, "the server ended the subscription of orders")


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (None, "; no frame was received"),
        (WELCOME, '; the last frame was: {"type": "welcome", "message": "hello"}'),
        (b'{"status": "hush is fine"}', '; the last frame was not understood: {"status": "*** is fine"}'),
        (b"\xffodd", "; the last frame was not understood: \ufffdodd"),
    ],
)
def test_login_timeout_cause_quotes_the_last_frame(last: bytes | None, words: str) -> None:
    one = life()
    if last is not None:
        one.receive(WELCOME, 0.0)
        one.receive(last, 0.0)
    one.check(10.0)
    state = "welcoming" if last is None else "authenticating"
    assert one.closed == Closed(CloseReason.AGAIN, f"no answer while {state} within 10 s{words}")


def test_codes_can_be_extended() -> None:
    one = climbed(3, codes={**CODES, "4000": CloseReason.TAKEN})
    one.connection_lost("gone", 4000)
    assert one.closed == Closed(CloseReason.TAKEN, "gone")


def test_closed_protocol_returns_nothing_and_keeps_the_first_end() -> None:
    one = climbed(3)
    one.connection_lost("first")
    one.connection_lost("second", 4401)
    one.check(1e9)
    assert one.receive(ORDER, 1.0) is None
    assert one.receive(refusal("401"), 1.0) is None
    assert one.closed == Closed(CloseReason.AGAIN, "first")


QUOTES = ChannelKey("quotes")


def talked(*symbols: str) -> tuple[StreamProtocol, MarketDataSync]:
    demands = SubscriptionRegistry()
    demands.add("somebody", [SubscriptionKey(QUOTES, symbol) for symbol in symbols])
    codec = MarketDataCodec(Secret("hush"), registry=demands)
    talk = MarketDataSync(demands, codec)
    one = StreamProtocol(codec, talk, now=0.0, login=10.0)
    one.receive(WELCOME, 0.0)
    return one, talk


def test_connection_without_subscriptions_is_live_after_the_login() -> None:
    one, _ = talked()
    assert json.loads(one.outbox.pop()) == {"action": "authenticate", "access_token": "hush"}
    one.receive(AUTHENTICATED, 0.1)
    assert (one.state, one.outbox, one.deadline) == (ConnectionState.LIVE, [], None)


def test_connection_with_subscriptions_is_live_after_their_replies() -> None:
    one, talk = talked("AAPL", "BAD")
    one.outbox.clear()
    one.receive(AUTHENTICATED, 0.1)
    assert (state_of(one), len(one.outbox), one.deadline) == (ConnectionState.SUBSCRIBING, 1, talk.deadline)
    one.receive(b'{"type": "error", "id": "1", "code": "401", "message": "not entitled"}', 0.2)
    assert (state_of(one), len(one.outbox)) == (ConnectionState.SUBSCRIBING, 3)
    one.receive(b'{"type": "subscribed", "id": "2"}', 0.3)
    for _ in range(2):
        one.receive(b'{"type": "error", "code": "400", "message": "hush has no such right"}', 0.4)
    assert one.sync_events[1].cause == "*** has no such right"
    assert (state_of(one), [type(each) for each in one.sync_events]) == (
        ConnectionState.LIVE,
        [SubscriptionConfirmed, SubscriptionRejected],
    )
    one.receive(refusal("401"), 0.5)
    assert state_of(one) is ConnectionState.OVER
    assert not talk.holds(SubscriptionKey(QUOTES, "AAPL"), None)


def test_overdue_request_is_repeated_within_the_login_deadline() -> None:
    one, talk = talked("AAPL")
    one.receive(AUTHENTICATED, 0.0)
    assert one.deadline == talk.deadline == 3.0
    one.outbox.clear()
    one.check(3.0)
    assert len(one.outbox) == 1
    for now in (6.0, 9.0, 9.9):
        one.check(now)
    assert (state_of(one), one.sync_events, one.deadline) == (ConnectionState.SUBSCRIBING, [], 10.0)
    one.check(10.0)
    assert one.closed is not None
    assert one.closed.cause.startswith("no answer while subscribing within 10 s")


def test_reply_before_the_login_is_ignored_and_an_error_closes() -> None:
    one, _ = talked("AAPL")
    one.receive(SUBSCRIBED, 0.0)
    assert (state_of(one), one.sync_events) == (ConnectionState.AUTHENTICATING, [])
    one.receive(b'{"type": "error", "id": "1", "code": "500", "message": "no"}', 0.0)
    assert one.closed == Closed(CloseReason.AGAIN, "the server sent error 500: no")


def test_error_with_an_unknown_request_id_is_published() -> None:
    one, _ = talked()
    one.receive(AUTHENTICATED, 0.1)
    one.receive(b'{"type": "error", "id": "99", "code": "500", "message": "hush is late"}', 0.2)
    [*_, event] = one.sync_events
    assert isinstance(event, UnknownMessage)
    assert event.problem == "the server sent error 500: *** is late"
    assert one.closed is None


OVERSIZED_QUOTE = b'{"type": "quote", "symbol": "AAPL", "more": "'


def test_outgrown_frame_rejects_its_subscription_the_second_time() -> None:
    one, _ = talked("AAPL")
    assert not one.outgrown(OVERSIZED_QUOTE, 0.0)  # not logged in
    one.receive(AUTHENTICATED, 0.0)
    one.receive(b'{"type": "subscribed", "id": "1"}', 0.0)
    assert [one.outgrown(OVERSIZED_QUOTE, now) for now in (1.0, 2.0)] == [False, True]
    [*_, event] = one.sync_events
    assert isinstance(event, SubscriptionRejected)
    assert event.key == SubscriptionKey(QUOTES, "AAPL")


def test_topic_sync_without_request_ids_rejects_nothing() -> None:
    one = climbed(3)
    assert not one.sync.refuse(Refusal(code="400", message="no", id="1"), 1.0)
    assert [one.outgrown(ORDER, now) for now in (1.0, 2.0)] == [False, False]
    assert (one.sync.missing, one.sync_events, one.state) == ((), [], ConnectionState.LIVE)


def test_protocol_renew_ends_the_connection_once() -> None:
    one = climbed(3)
    one.renew()
    assert one.closed == Closed(CloseReason.RENEWED, "token renewed")
    one.connection_lost("closed", 4409)
    one.check(1e9)
    assert one.closed == Closed(CloseReason.RENEWED, "token renewed")


FRAMES = st.one_of(
    st.sampled_from([*LADDER, UNSUBSCRIBED, ORDER]),
    st.sampled_from(["401", "409", "500", None, 403]).map(refusal),
    st.binary(max_size=40),
    st.dictionaries(
        st.sampled_from(["type", "event", "data", "x"]),
        st.none() | st.text(max_size=5) | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    ).map(lambda value: json.dumps(value).encode()),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("frame"), FRAMES),
        st.tuples(st.just("time"), st.floats(min_value=0, max_value=20)),
        st.tuples(st.just("lost"), st.sampled_from([None, 1000, 1006, 4401, 4409])),
    ),
    max_size=30,
)
LADDER_OF_STATES = list(ConnectionState)


@given(steps=STEPS, silence=st.none() | st.floats(min_value=0.1, max_value=10))
@settings(deadline=None)
def test_protocol_never_raises_or_moves_back_and_sends_the_secret_once(
    steps: list[tuple[str, Any]],
    silence: float | None,
) -> None:
    one, now = life(silence=silence), 0.0
    sent: list[bytes] = []
    endings: set[Closed] = set()
    for kind, value in steps:
        before = one.state
        if kind == "frame":
            event = one.receive(value, now)
            assert before is not ConnectionState.OVER or event is None
        elif kind == "time":
            now += value
            one.check(now)
        else:
            one.connection_lost("gone", value)
        assert LADDER_OF_STATES.index(one.state) >= LADDER_OF_STATES.index(before)
        assert before is not ConnectionState.WELCOMING or one.state is not ConnectionState.LIVE  # one rung at a time
        assert one.state is not ConnectionState.OVER or one.outbox == []
        sent += one.outbox
        one.outbox.clear()
        if one.closed is not None:
            endings.add(one.closed)
            assert (one.state, one.deadline) == (ConnectionState.OVER, None)
    assert sum(b"hush" in frame for frame in sent) <= 1
    assert len(sent) <= 2
    assert len(endings) <= 1


def test_protocol_with_a_reply_that_fits_two_requests_delivers_it_as_unknown() -> None:
    registry = SubscriptionRegistry()
    codec = MarketDataCodec(Secret("hush"), registry=registry)
    sync = MarketDataSync(registry, codec)
    registry.add("a", [SubscriptionKey(ChannelKey(channel), "A") for channel in ("quotes", "trades")], None)
    two = StreamProtocol(codec, sync, now=0.0, login=10.0)
    for frame in (WELCOME, AUTHENTICATED, b'{"type": "subscribed"}'):
        assert two.receive(frame, 0.0) is None
    said: list[Any] = list(two.sync_events)
    assert [(each.topic, each.raw) for each in said] == [("unknown", b'{"type": "subscribed"}')]
    assert state_of(two) is ConnectionState.SUBSCRIBING
