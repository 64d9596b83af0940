from __future__ import annotations

import json
from typing import Any, cast

import msgspec
import pytest

from connecttrade_async import Dialect
from connecttrade_async.models.events import OrderUpdate, UnknownMessage
from connecttrade_async.secret import Secret
from connecttrade_async.streaming.brokerage_codec import BrokerageCodec
from connecttrade_async.streaming.codec import (
    AwaitedReply,
    Heartbeat,
    JsonCodec,
    Refusal,
    Welcome,
    decode_control,
    decode_leniently,
    masked,
    presentable,
)

TROUBLE = ValueError("odd")


def named(said: object, frame: dict[str, object]) -> object:
    if said == "wrong":
        raise KeyError
    return said, dict(frame)


@pytest.mark.parametrize("name", ["type", "event", "topic"])
def test_decode_leniently_finds_the_type_under_three_keys(name: str) -> None:
    assert decode_leniently(f'{{"{name}": "x"}}'.encode(), TROUBLE, named) == ("x", {name: "x"})


@pytest.mark.parametrize("raw", [b"", b"[7]", b"\xff", b"7", b'{"type": "wrong"}', b"[" * 100_000])
def test_decode_leniently_with_failing_build_returns_unknown_message(raw: bytes) -> None:
    assert decode_leniently(raw, TROUBLE, named) == UnknownMessage(raw=raw, problem="odd")


def test_decode_leniently_turns_numbers_into_text_except_ids_and_codes() -> None:
    raw = b'{"type": "x", "id": 7, "code": 401, "data": {"a": 1.50, "b": [12345678901234567890123, true, null, "t"]}}'
    expected = {
        "type": "x",
        "id": 7,
        "code": 401,
        "data": {"a": "1.50", "b": ["12345678901234567890123", True, None, "t"]},
    }
    assert decode_leniently(raw, TROUBLE, named) == ("x", expected)


def test_decode_control_builds_each_control_message() -> None:
    assert decode_control("welcome", {"event": "welcome", "message": "hello"}) == Welcome("hello")
    assert decode_control("error", {"code": 401, "id": 7}) == Refusal(401, None, 7)


@pytest.mark.parametrize("secret", ['pre"tend\\sec/ret', "plain"])
def test_masked_finds_every_encoding_of_the_secret(secret: str) -> None:
    echo = json.dumps({"type": "weird", "echo": {"client_secret": secret}})
    for raw in (echo, echo.replace("/", "\\/"), json.dumps({"echo": echo})):
        shown = masked(UnknownMessage(raw=raw.encode(), problem="odd"), Secret(secret))
        assert secret.encode() not in shown.raw
        assert json.dumps(secret)[1:-1].encode() not in shown.raw


def test_masked_masks_the_secret_before_cutting() -> None:
    message = UnknownMessage(raw=b"x" * 4090 + b"hush-hush", problem="what is hush-hush?\n")
    shown = masked(message, Secret("hush-hush"))
    assert shown.raw == b"x" * 4090 + b"***"
    assert shown.problem == "what is ***?"
    assert presentable("hush-hush\n", Secret("hush-hush")) == "***"


class Parrot(JsonCodec[Welcome | Refusal | OrderUpdate]):
    """Knows two messages, and one of them by another name."""

    __slots__ = ()

    decoder = msgspec.json.Decoder(Welcome | Refusal | OrderUpdate)
    updates = frozenset({OrderUpdate})

    def decode_alternative(self, said: Any, frame: dict[str, Any]) -> Welcome:
        if said != "hello":
            raise KeyError(said)
        return Welcome(frame.get("message"))


def test_codec_reads_expected_and_other_forms_and_masks_invalid_frames() -> None:
    parrot = Parrot(Secret("hush-hush"))
    assert parrot.read(b'{"type": "welcome"}') == Welcome()
    assert parrot.read(b'{"event": "hello", "message": "you"}') == Welcome("you")
    order = parrot.read(b'{"type": "order", "data": {"order_id": "1"}}')
    assert isinstance(order, OrderUpdate)
    assert order.raw == b'{"type": "order", "data": {"order_id": "1"}}'
    strange = parrot.read(b'{"type": "hush-hush"}')
    assert isinstance(strange, UnknownMessage)
    assert strange.raw == b'{"type": "***"}'
    assert parrot.presentable("hush-hush?") == "***?"


def test_codec_reads_by_the_rules_of_the_dialect_before_the_connection_is_live() -> None:
    rules = [{"when": {"type": "parrot"}, "is": "welcome"}]
    codec = Parrot(Secret("hush"), Dialect.from_dict({"market_data": {"rules": rules}}))
    codec.awaits = AwaitedReply.WELCOME
    assert isinstance(codec.read(b'{"type": "parrot"}'), Welcome)


def test_codec_without_a_census_or_another_form_has_none() -> None:
    codec: Any = cast("Any", JsonCodec)(Secret("hush"))
    assert codec.census(codec) is None
    assert codec.read_again(codec) is codec
    with pytest.raises(NotImplementedError):
        codec.decode_alternative("", {})


@pytest.mark.parametrize("raw", [b"", b" ", b"{}", b"[]", b"null", b'""'])
def test_empty_frame_is_a_heartbeat_in_every_state(raw: bytes) -> None:
    codec = BrokerageCodec("client", Secret("hush"))
    for awaited in AwaitedReply:
        codec.awaits = awaited
        assert isinstance(codec.read(raw), Heartbeat)
