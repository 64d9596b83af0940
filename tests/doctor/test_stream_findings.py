"""What a probe of a stream says, and the dialect that matches it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connecttrade_async.dialect.value import Dialect
from connecttrade_async.doctor.attempts import Attempt
from connecttrade_async.doctor.findings import Finding, FindingOutcome, is_all_understood
from connecttrade_async.doctor.stream_findings import StreamProbe, dialect_of_probe, stream_findings

DEFAULT = Dialect.default
CONFIGURED = Attempt("as configured", DEFAULT.brokerage.authenticate, DEFAULT.brokerage.subscribe)
TYPED = Attempt("typed", {"type": "authenticate", "s": "{client_secret}"}, {"type": "subscribe", "t": "{topics}"})
WELCOME = b'{"type":"welcome","message":"hello Ada"}'
ORDER = {"order_id": "o1", "account_id": "a1", "symbol": "AAPL", "status": "working", "order_qty": "5"}


def probe(*frames: Any, **fields: Any) -> StreamProbe:
    options: dict[str, Any] = {
        "attempt": CONFIGURED,
        "welcome": WELCOME,
        "login": b'{"type":"authenticated"}',
        "subscription": b'{"type":"subscribed"}',
        "frames": [json.dumps(frame).encode() for frame in frames],
    }
    return StreamProbe("brokerage", **(options | fields))


def by_subject(seen: StreamProbe, dialect: Dialect = DEFAULT) -> dict[str, Finding]:
    return {each.subject: each for each in stream_findings(seen, dialect)}


def test_a_probe_of_the_assumed_form_is_understood_and_changes_nothing() -> None:
    seen = probe({"type": "order", "user_id": "u", "account_id": "a1", "data": ORDER}, {"type": "heartbeat"}, {})
    findings = stream_findings(seen, DEFAULT)
    assert is_all_understood(findings)
    assert {each.outcome for each in findings if each.subject == "updates: order"} == {FindingOutcome.OK}
    assert {each.outcome for each in findings if each.subject == "updates: balance"} == {FindingOutcome.NOT_SEEN}
    assert dialect_of_probe(seen, DEFAULT) == DEFAULT
    assert "Ada" not in str(findings)
    assert "o1" not in str(findings)


def test_a_probe_in_another_form_of_login_is_written_to_the_dialect() -> None:
    seen = probe(attempt=TYPED, is_configured=False)
    assert by_subject(seen)["login"].outcome is FindingOutcome.NOT_UNDERSTOOD
    assert "{client_secret}" in by_subject(seen)["login"].saw
    written = dialect_of_probe(seen, DEFAULT)
    assert written.brokerage.authenticate == TYPED.authenticate
    assert written.brokerage.subscribe == TYPED.subscribe
    assert by_subject(probe(attempt=TYPED), written)["login"].outcome is FindingOutcome.OK


def test_a_silent_server_is_written_to_the_dialect_and_understood_with_it() -> None:
    seen = probe(welcome=None, login=None, subscription=None)
    found = by_subject(seen)
    for subject in ("first frame", "reply to the login", "reply to the subscription"):
        assert found[subject].outcome is FindingOutcome.NOT_UNDERSTOOD
    written = dialect_of_probe(seen, DEFAULT)
    handshake = written.brokerage.handshake
    assert (handshake.welcome, handshake.login, handshake.subscription) == ("none", "assume", "assume")
    assert is_all_understood(stream_findings(seen, written))


def test_other_forms_are_learned_and_unknown_updates_are_not_understood() -> None:
    other = {"topic": "orders", "user_id": "u", "account_id": "a1", "payload": ORDER}
    seen = probe(other, [other], {"what": "fill", "account_id": "a1", "order_id": "o9"}, welcome=b'["hi"]')
    found = by_subject(seen)
    assert found["first frame"].outcome is FindingOutcome.UNDERSTOOD
    assert found["updates: order"].outcome is FindingOutcome.UNDERSTOOD
    assert found["updates: order"].saw.startswith("2, such as")
    assert found["other frames"].outcome is FindingOutcome.NOT_UNDERSTOOD
    assert dialect_of_probe(seen, DEFAULT).brokerage.tag == "topic"


def test_a_refused_login_and_a_refused_subscription_are_not_understood() -> None:
    refused = probe(attempt=None, refusal="wrong secret")
    assert by_subject(refused)["login"].saw == "wrong secret"
    assert dialect_of_probe(refused, DEFAULT) is DEFAULT
    assert by_subject(probe(refusal="no such topic"))["subscription"].outcome is FindingOutcome.NOT_UNDERSTOOD


@pytest.mark.parametrize("frame", [{"type": "quote", "symbol": "AAPL", "bid_price": "1"}, {"type": "trade"}])
def test_a_probe_of_market_data_counts_quotes_and_writes_its_own_part(frame: dict[str, str]) -> None:
    part = DEFAULT.market_data
    attempt = Attempt("as configured", part.authenticate, part.subscribe)
    seen = StreamProbe("market_data", attempt, welcome=WELCOME, frames=[json.dumps(frame).encode()])
    expected = FindingOutcome.OK if frame["type"] == "quote" else FindingOutcome.NOT_SEEN
    assert by_subject(seen)["updates: quote"].outcome is expected
    written = dialect_of_probe(seen, DEFAULT)
    assert written.market_data.handshake.login == "assume"
    assert written.brokerage == DEFAULT.brokerage
