"""The forms of a login, and what the reply to one says about the next."""

from __future__ import annotations

from typing import Any

import pytest

from connecttrade_async.dialect.parts import ErrorMeanings
from connecttrade_async.dialect.templates import placeholders_in
from connecttrade_async.dialect.value import Dialect
from connecttrade_async.doctor.attempts import (
    Attempt,
    LoginReply,
    attempts_for,
    classify_login,
    configured_attempt,
    decode_frame,
)

ERRORS = ErrorMeanings()


@pytest.mark.parametrize("stream", ["brokerage", "market_data"])
def test_attempts_are_ten_different_forms_with_the_same_placeholders(stream: str) -> None:
    part = getattr(Dialect.default, stream)
    first = configured_attempt(part)
    attempts = attempts_for(first)
    assert attempts[0] is first
    assert len(attempts) == 10
    assert len({str(attempt.authenticate) for attempt in attempts}) == 10
    for attempt in attempts:
        assert placeholders_in(attempt.authenticate) == placeholders_in(first.authenticate)
        assert placeholders_in(attempt.subscribe) == placeholders_in(first.subscribe)
        assert attempt.others.keys() == first.others.keys()
        for name, template in attempt.others.items():
            assert placeholders_in(template) == placeholders_in(first.others[name])
            assert "unsubscribe" in str(template) or name != "unsubscribe"


def test_attempts_after_a_list_have_no_members_to_take() -> None:
    first = Attempt("as configured", ["auth", "{client_secret}"], ["sub", "{topics}"])
    assert attempts_for(first)[1].authenticate == {"type": "authenticate"}


@pytest.mark.parametrize(
    ("frame", "reply"),
    [
        ({"type": "authenticated"}, LoginReply.ACCEPTED),
        ({"status": "ok"}, LoginReply.ACCEPTED),
        ({"type": "error", "code": "401", "message": "Authenticate first."}, LoginReply.OTHER_FORM),
        ({"error": "unknown action"}, LoginReply.OTHER_FORM),
        ({"success": False, "message": "missing field type"}, LoginReply.OTHER_FORM),
        ({"type": "error", "message": "busy"}, LoginReply.OTHER_FORM),
        ({"type": "error", "code": 401, "message": "no"}, LoginReply.SECRET_REFUSED),
        ({"type": "error", "message": "the client_secret is wrong"}, LoginReply.SECRET_REFUSED),
        ("invalid credentials", LoginReply.SECRET_REFUSED),
        ({"type": "notice", "text": "hello"}, LoginReply.UNCLEAR),
        ({}, LoginReply.UNCLEAR),
    ],
    ids=str,
)
def test_classify_login_separates_a_refused_form_from_refused_credentials(frame: Any, reply: LoginReply) -> None:
    assert classify_login(frame, ERRORS) is reply


def test_decode_frame_returns_json_or_text() -> None:
    assert decode_frame(b'{"a": 1.10}') == {"a": "1.10"}
    assert decode_frame(b"hello \xff") == "hello \ufffd"
