"""Handshakes in forms of which no list exists: accepted, refused in the server's words, or said at the deadline."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connecttrade_async import Dialect
from connecttrade_async.models.events import OrderUpdate, UnknownMessage
from connecttrade_async.secret import Secret
from connecttrade_async.streaming.brokerage_codec import BrokerageCodec
from connecttrade_async.streaming.protocol import CloseReason, ConnectionState, StreamProtocol, TopicSync
from connecttrade_async.streaming.signs import code_of, message_of, phrase_pattern, signs_of

TOPICS = ("orders", "positions", "balances")
ERRORS = Dialect.default.errors
ORDER = b'{"type": "order", "user_id": "u", "account_id": "a", "data": {"order_id": "o"}}'
WELCOMES: list[Any] = [
    "hello",
    "Welcome! Invalid frames are refused with an error.",
    {"type": "welcome"},
    {"type": "connected", "message": "errors are reported"},
    {"T": "success", "msg": "connected"},
    [{"T": "success", "msg": "connected"}],
    {"event": "heartbeat"},
    {"status": "ok", "success": True},
    {"type": "order", "data": {"order_id": "o"}},
    {},
    7,
]
ACCEPTANCES: list[Any] = [
    {"type": "authenticated"},
    {"event": "auth", "status": "success"},
    {"type": "auth_success"},
    {"type": "auth_response", "data": {"success": True, "errors": []}},
    {"ok": True},
    {"status": "OK"},
    {"T": "success", "msg": "authenticated"},
    [{"T": "success", "msg": "authenticated"}],
    {"action": "login", "result": "authenticated", "error": None},
    {"authenticated": True},
    "authenticated",
    {"success": "true", "error_code": 0},
]
REFUSALS: list[Any] = [
    {"type": "error", "code": "401", "message": "bad key"},
    {"event": "auth", "status": "failed", "message": "bad key"},
    {"type": "auth_error", "error": {"code": 401, "message": "bad key"}},
    {"success": False, "message": "bad key"},
    {"error": "bad key"},
    {"errors": [{"message": "bad key"}]},
    {"type": "response", "code": 401, "detail": "bad key"},
    {"status": False, "reason": "bad key"},
    "rejected: bad key",
    {"type": "auth", "data": {"result": "denied", "msg": "bad key"}},
    [{"T": "error", "code": 402, "msg": "bad key"}],
]
UNCLEAR: list[Any] = [
    {"type": "info", "message": "please authenticate"},
    {"type": "auth_required"},
    {"event": "authenticate"},
    {"status": "success", "message": "no errors"},
    {"type": "heartbeat", "status": "ok"},
    {"type": "notice"},
    {"message": "authentication pending"},
    "not authenticated yet",
]
CONFIRMATIONS: list[Any] = [
    {"type": "subscribed"},
    {"type": "subscribed", "topics": list(TOPICS)},
    {"event": "subscription_succeeded", "channels": ["ORDERS", "Positions", "balance"]},
    {"T": "subscription", "orders": ["*"], "positions": ["*"], "balances": ["*"]},
    {"type": "ack", "action": "subscribe", "ok": True},
    {"result": "subscribed to orders"},
    "subscribed",
]


def raw_of(frame: Any) -> bytes:
    return frame.encode() if isinstance(frame, str) else json.dumps(frame).encode()


def connection(steps: int, **brokerage: Any) -> StreamProtocol:
    dialect = Dialect.from_dict({"brokerage": brokerage})
    codec = BrokerageCodec("client", Secret("hush"), dialect)
    one = StreamProtocol(codec, TopicSync(codec, TOPICS), now=0.0, login=10.0)
    for frame in (b"hello", b'{"type": "authenticated"}', b'{"type": "subscribed"}')[:steps]:
        one.receive(frame, 0.0)
    return one


def deadline_of(one: StreamProtocol) -> float | None:
    return one.deadline


def state_of(one: StreamProtocol) -> ConnectionState:
    return one.state


@pytest.mark.parametrize("frame", WELCOMES, ids=range(len(WELCOMES)))
def test_first_frame_of_any_form_is_the_welcome(frame: Any) -> None:
    one = connection(0)
    one.receive(raw_of(frame), 1.0)
    assert state_of(one) is ConnectionState.AUTHENTICATING
    assert len(one.outbox) == 1


@pytest.mark.parametrize("frame", [{"type": "error", "message": "full"}, {"status": "error"}, {"success": False}])
def test_first_frame_that_refuses_ends_the_connection(frame: Any) -> None:
    one = connection(0)
    one.receive(raw_of(frame), 1.0)
    assert one.closed is not None
    assert one.outbox == []


@pytest.mark.parametrize("frame", ACCEPTANCES, ids=range(len(ACCEPTANCES)))
def test_frame_with_a_sign_of_acceptance_accepts_the_login(frame: Any) -> None:
    one = connection(1)
    one.receive(raw_of(frame), 1.0)
    assert state_of(one) is ConnectionState.SUBSCRIBING


@pytest.mark.parametrize("frame", REFUSALS, ids=range(len(REFUSALS)))
def test_frame_with_a_sign_of_refusal_refuses_the_login_in_its_words(frame: Any) -> None:
    one = connection(1)
    one.receive(raw_of(frame), 1.0)
    assert one.closed is not None
    assert one.closed.reason in {CloseReason.REFUSED, CloseReason.DENIED}
    assert "bad key" in one.closed.cause


@pytest.mark.parametrize("frame", UNCLEAR, ids=range(len(UNCLEAR)))
def test_frame_without_a_clear_sign_is_quoted_at_the_deadline(frame: Any) -> None:
    one = connection(1)
    one.receive(raw_of(frame), 1.0)
    assert state_of(one) is ConnectionState.AUTHENTICATING
    one.check(10.0)
    assert one.closed is not None
    assert one.closed.cause.startswith("no answer while authenticating within 10 s; the last frame was")
    assert one.closed.cause.endswith(raw_of(frame).decode())


@pytest.mark.parametrize("frame", CONFIRMATIONS, ids=range(len(CONFIRMATIONS)))
def test_frame_with_a_sign_of_confirmation_confirms_the_subscription(frame: Any) -> None:
    one = connection(2)
    one.receive(raw_of(frame), 1.0)
    missing = one.sync.missing
    assert missing in {(), ("positions", "balances")}
    assert (state_of(one) is ConnectionState.LIVE) is (missing == ())


@pytest.mark.parametrize(
    "frame", [{"type": "subscribed", "rejected": ["orders"]}, {"message": "not subscribed"}, {"event": "unsubscribed"}]
)
def test_frame_with_contradicting_signs_confirms_nothing(frame: Any) -> None:
    one = connection(2)
    one.receive(raw_of(frame), 1.0)
    assert state_of(one) is not ConnectionState.LIVE or frame.get("type") == "subscribed"


def test_partial_confirmation_names_the_missing_topics_at_the_deadline() -> None:
    one = connection(2)
    one.receive(b'{"event": "subscribed", "channels": ["orders"]}', 1.0)
    one.receive(ORDER.replace(b"order", b"position").replace(b"position_id", b"symbol"), 2.0)
    one.check(10.0)
    assert one.closed is not None
    assert "not confirmed: balances" in one.closed.cause


def test_second_update_of_its_kind_confirms_its_topic_too() -> None:
    one = connection(1)
    assert isinstance(one.receive(ORDER, 1.0), OrderUpdate)
    one.receive(b'{"type": "authenticated"}', 1.0)
    one.receive(b'{"type": "subscribed", "topics": ["positions", "balances"]}', 1.0)
    assert one.receive(ORDER, 1.0) is None
    assert state_of(one) is ConnectionState.LIVE


def test_temporary_refusal_of_the_login_is_no_refusal() -> None:
    for frame in ({"type": "error", "code": 503}, {"error": "too many connections"}, {"error": "rate limit"}):
        one = connection(1)
        one.receive(raw_of(frame), 1.0)
        assert one.closed is not None
        assert one.closed.reason is CloseReason.AGAIN


def test_refusal_because_of_another_session_is_taken() -> None:
    one = connection(1)
    one.receive(b'{"error": "another session is active"}', 1.0)
    assert one.closed is not None
    assert one.closed.reason is CloseReason.TAKEN


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (1011, "invalid credentials", CloseReason.DENIED),
        (1008, "too many connections", CloseReason.AGAIN),
        (4429, "denied", CloseReason.AGAIN),
    ],
)
def test_close_while_the_login_is_pending_has_the_meaning_of_its_words(
    code: int, reason: str, expected: CloseReason
) -> None:
    one = connection(1)
    one.connection_lost("gone", code, reason=reason)
    assert one.closed is not None
    assert one.closed.reason is expected


def test_batch_of_frames_is_processed_in_order() -> None:
    one = connection(1)
    batch = b'[{"type": "authenticated"}, {"type": "ping", "id": 1}, {"event": "subscribed"}, ' + ORDER + b"]"
    [event] = one.receive(batch, 1.0)  # type: ignore[misc]
    assert isinstance(event, OrderUpdate)
    assert state_of(one) is ConnectionState.LIVE
    found = one.receive(b'[{"type": "weather"}, ' + ORDER + b', {"type": "error", "code": "409"}, ' + ORDER + b"]", 2.0)
    assert isinstance(found, list)
    assert [type(event) for event in found] == [UnknownMessage, OrderUpdate, OrderUpdate]
    assert one.closed is not None
    assert one.receive(ORDER, 3.0) is None


def test_batch_before_the_welcome_is_the_welcome_and_its_update_is_published() -> None:
    one = connection(0)
    [event] = one.receive(b"[" + ORDER + b", " + ORDER + b"]", 1.0)[:1]  # type: ignore[index]
    assert isinstance(event, OrderUpdate)
    assert state_of(one) is ConnectionState.AUTHENTICATING


def test_handshake_of_the_dialect_can_assume_every_step() -> None:
    one = connection(0, handshake={"welcome": "none", "welcome_after": 1, "login": "assume", "subscription": "assume"})
    assert one.deadline == 1.0
    one.check(1.0)
    assert (state_of(one), one.deadline) == (ConnectionState.AUTHENTICATING, 3.0)
    one.check(3.0)
    assert (state_of(one), one.deadline) == (ConnectionState.SUBSCRIBING, 5.0)
    one.check(5.0)
    assert state_of(one) is ConnectionState.LIVE
    assert deadline_of(one) is None
    assert len(one.outbox) == 2


def test_subscriptions_with_ids_are_never_assumed() -> None:
    class WithIds(TopicSync):
        has_ids = True

    codec = BrokerageCodec(
        "client", Secret("hush"), Dialect.from_dict({"brokerage": {"handshake": {"subscription": "assume"}}})
    )
    one = StreamProtocol(codec, WithIds(codec, TOPICS), now=0.0, login=10.0)
    for frame in (b"hello", b'{"type": "authenticated"}'):
        one.receive(frame, 0.0)
    one.check(2.0)
    assert state_of(one) is ConnectionState.SUBSCRIBING


def test_refusal_after_an_assumed_login_is_one_of_the_login() -> None:
    one = connection(1, handshake={"login": "assume", "login_after": 1})
    one.check(1.0)
    one.receive(b'{"type": "error", "message": "bad key"}', 2.0)
    assert one.closed is not None
    assert one.closed.reason is CloseReason.DENIED


def test_handshake_of_the_dialect_can_wait_for_known_forms() -> None:
    one = connection(0, handshake={"welcome": "wait", "subscription": "wait"})
    one.receive(b"hello", 0.0)
    assert state_of(one) is ConnectionState.WELCOMING
    for frame in (b'{"type": "welcome"}', b'{"type": "authenticated"}'):
        one.receive(frame, 0.0)
    for topic in ("order", "position", "balance"):
        one.receive(ORDER.replace(b"order", topic.encode()).replace(b"position_id", b"symbol"), 0.0)
    assert state_of(one) is ConnectionState.SUBSCRIBING


def test_ping_is_answered_by_the_pong_of_the_dialect_only() -> None:
    silent, speaking = connection(3), connection(3, pong={"op": "pong"})
    for one in (silent, speaking):
        one.outbox.clear()
        assert one.receive(b'{"type": "ping"}', 1.0) is None
        assert one.receive(b'{"event": "heartbeat"}', 1.0) is None
    assert (silent.outbox, speaking.outbox) == ([], [b'{"op":"pong"}'])
    first = connection(0, pong={"op": "pong"})
    first.receive(b'{"type": "ping"}', 0.0)
    assert first.outbox[-1] == b'{"op":"pong"}'


def test_unexpected_unsubscribed_of_another_form_ends_the_connection() -> None:
    one = connection(3)
    one.receive(b'{"event": "unsubscribe", "channel": "orders"}', 1.0)
    assert one.closed is not None
    assert one.closed.cause == "the server ended the subscription of orders"


def test_first_position_under_other_names_is_read_again() -> None:
    one = connection(3)
    frame = {"type": "position", "userId": "u", "accountId": "a", "data": {"symbol": "A", "lastPrice": "1"}}
    event: Any = one.receive(raw_of(frame), 1.0)
    assert (event.user_id, event.account_id, event.position.last_price_text) == ("u", "a", "1")
    two = connection(3)
    mixed = {"type": "position", "user_id": "u", "data": {"symbol": "A", "last_price": "1", "lastPrice": "2"}}
    assert isinstance(two.receive(raw_of(mixed), 1.0), UnknownMessage)


def test_message_of_and_code_of_find_them_in_any_form() -> None:
    assert message_of({"data": {"x": 1}}) is None
    assert message_of([{"a": 1}, {"message": "x"}, "y"]) == "x; y"
    assert message_of(5) is None
    assert code_of({"status": "failed", "data": {"code": True}}) is None
    assert code_of({"status": "403"}) == "403"
    assert code_of({"a": {"b": {"c": {"d": {"code": 1}}}}}) is None


def test_signs_ignore_ids_and_long_tails() -> None:
    assert not signs_of({"client_id": "error", "message": "x" * 600 + "error"}, ERRORS).is_bad


def test_phrase_pattern_matches_optional_words_and_nothing_without_phrases() -> None:
    pattern = phrase_pattern(("session was|is? taken",))
    assert pattern.search("the Session is  taken")
    assert pattern.search("session taken")
    assert not pattern.search("sessions taken")
    assert not phrase_pattern(()).search("")


def test_heartbeat_does_not_hide_a_frame_that_was_not_understood() -> None:
    one = connection(1)
    for frame in (b'{"type": "notice", "message": "pending K-17"}', b"{}", b'{"event": "heartbeat"}'):
        one.receive(frame, 1.0)
    one.check(10.0)
    assert one.closed is not None
    assert "not understood" in one.closed.cause
    assert "pending K-17" in one.closed.cause
