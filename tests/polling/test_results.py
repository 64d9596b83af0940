from __future__ import annotations

import inspect
import pydoc
from datetime import UTC, datetime, timedelta
from typing import Any, get_type_hints

import msgspec
import pytest

from connecttrade_async.client import ConnectTrade, User
from connecttrade_async.polling.config import PollConfig
from connecttrade_async.polling.outcomes import PollCounters
from connecttrade_async.polling.polled_books import PolledUserState
from connecttrade_async.polling.poller import Poller
from connecttrade_async.polling.results import Outage, OutageEnded, PollResult, PollStatistics, RateLimited
from connecttrade_async.polling.schedule import PolledUser, Turn
from connecttrade_async.rest import wire
from connecttrade_async.rest.digests import UndecodedResponse, digest, digest_of_all, is_strong, slow_digest
from connecttrade_async.rest.wire import Request, Response

NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
REQUEST = Request(method="GET", path="/positions", query="?symbols=A")
RESPONSE = Response(200, {}, b"[1]")


def result(value: object = None, error: Exception | None = None, *, changed: bool = True) -> PollResult[Any]:
    user = ConnectTrade("client", "hush").user("ada", "whisper")
    return PollResult(user, value, error, changed, 0.5, 0.1, 8.0, (10.0, NOW))


def test_a_result_has_a_value_or_raises_why_it_has_none() -> None:
    assert result([1]).value == result([1]).get() == [1]
    trouble = KeyError("mine")
    failed = result(error=trouble)
    assert failed.value is None
    with pytest.raises(KeyError) as caught:
        failed.get()
    assert caught.value is trouble


def test_a_result_can_be_matched() -> None:
    def seen(told: PollResult[Any] | Outage) -> object:
        match told:
            case Outage(failures=failures):
                return failures
            case PollResult(error=None, value=value):
                return value
            case PollResult(error=error):
                return error

    trouble = KeyError("mine")
    assert seen(result([1])) == [1]
    assert seen(result(error=trouble)) is trouble
    assert seen(Outage(since=NOW, error=trouble, failures=3)) == 3


def test_what_is_unread_is_read_once_and_only_when_it_is_wanted() -> None:
    reads: list[int] = []

    def reading(body: int, other: int) -> list[int]:
        reads.append(1)
        return [body + other]

    told = result(unread := UndecodedResponse(reading, 3, 4), changed=False)
    assert (repr(unread), reads) == ("<Unread>", [])
    assert told.value == told.value == [7]
    assert reads == [1]
    assert repr(unread) == "[7]"


def test_a_result_shows_whose_it_is_and_no_value() -> None:
    assert repr(result(["x"])) == "<PollResult 'ada' changed 0.500 s>"
    assert repr(result(["x"], changed=False)) == "<PollResult 'ada' unchanged 0.500 s>"
    assert repr(result(error=KeyError("x"))) == "<PollResult 'ada' KeyError 0.500 s>"


@pytest.mark.parametrize(
    ("request_", "response"),
    [
        (REQUEST, Response(200, {}, b"[2]")),
        (REQUEST, Response(200, {}, b"")),
        (REQUEST, Response(201, {}, b"[1]")),
        (REQUEST, Response(200, {wire.NEXT_CURSOR: "n"}, b"[1]")),
        (REQUEST, Response(200, {wire.PREV_CURSOR: "n"}, b"[1]")),
        (msgspec.structs.replace(REQUEST, path="/balances"), RESPONSE),
        (msgspec.structs.replace(REQUEST, query=""), RESPONSE),
        (msgspec.structs.replace(REQUEST, method="PUT"), RESPONSE),
    ],
)
def test_whatever_differs_is_seen(request_: Request, response: Response) -> None:
    assert digest(REQUEST, RESPONSE) == digest(REQUEST, Response(200, {"date": "now"}, b"[1]"))
    assert digest(request_, response) != digest(REQUEST, RESPONSE)


def test_many_answers_are_the_same_in_any_order_and_never_those_of_one() -> None:
    one, other = digest(REQUEST, RESPONSE), digest(REQUEST, Response(200, {}, b"[2]"))
    assert digest_of_all([]) is None
    assert digest_of_all([one, other]) == digest_of_all([other, one])
    assert len({digest_of_all([one]), digest_of_all([one, one]), digest_of_all([one, other]), one, other}) == 5


def test_where_the_hash_of_the_interpreter_is_too_short_or_has_no_key_another_is_taken() -> None:
    assert is_strong("siphash13", 64)
    assert not is_strong("siphash13", 32)
    assert not is_strong("fnv", 64)
    parts = ("/positions", None, 200, b"[1]")
    assert slow_digest(parts) == slow_digest(("/positions", None, 200, b"[1]"))
    assert (
        len({slow_digest(parts), slow_digest((*parts[:3], b"[2]")), slow_digest(("/positions", "", *parts[2:]))}) == 3
    )
    assert 2**32 < slow_digest(parts) < 2**64


def test_a_result_reckons_when_it_was_due() -> None:
    assert result().due == NOW - timedelta(seconds=2)


PUBLIC = [Poller, PollResult, PollStatistics, Outage, OutageEnded, RateLimited]
STRUCTS = [*PUBLIC[1:], PollConfig, PolledUser, Turn, PollCounters, PolledUserState]


@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: kind.__name__)
def test_help_of_a_poll_class_shows_its_fields(kind: type) -> None:
    text = pydoc.render_doc(kind)
    assert kind.__name__ in text
    for name in getattr(kind, "__struct_fields__", ()):
        assert name in text


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
def test_types_of_fields_of_a_poll_struct_can_be_read(kind: type) -> None:
    fields = getattr(kind, "__struct_fields__", None) or getattr(kind, "_fields", ())
    assert fields
    assert set(inspect.signature(kind).parameters) == set(fields)
    assert set(fields) <= get_type_hints(kind).keys()


def test_a_result_says_whose_it_is() -> None:
    assert get_type_hints(PollResult)["user"] is User


def test_no_two_answers_come_to_the_same_digest_by_where_one_part_ends() -> None:
    answers = (
        Response(200, {"next-cursor": "a", "prev-cursor": "b"}, b"c"),
        Response(200, {"next-cursor": "a b", "prev-cursor": ""}, b"c"),
        Response(200, {"next-cursor": "a"}, b"b\nc"),
    )
    assert len({digest(REQUEST, answer) for answer in answers}) == len(answers)
