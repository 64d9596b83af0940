from __future__ import annotations

import inspect
import pydoc
from datetime import UTC, datetime, timedelta
from typing import Any, get_type_hints

import pytest

from connecttrade_async.client import ConnectTrade
from connecttrade_async.polling.config import PollConfig
from connecttrade_async.polling.outcomes import PollCounters
from connecttrade_async.polling.polled_books import PolledUserState
from connecttrade_async.polling.poller import Poller
from connecttrade_async.polling.results import Outage, OutageEnded, PollResult, PollStatistics, RateLimited
from connecttrade_async.polling.schedule import PolledUser, Turn
from connecttrade_async.rest.wire import Request, Response
from connecttrade_async.user import User
from scripted_calls import lazy

NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
REQUEST = Request(method="GET", path="/positions", query="?symbols=A")
RESPONSE = Response(200, {}, b"[1]")


def result(value: object = None, error: Exception | None = None, *, changed: bool = True) -> PollResult[Any]:
    user = ConnectTrade("client", "hush").user("ada", "whisper")
    return PollResult(user, value, error, changed, 0.5, 0.1, 8.0, (10.0, NOW))


def test_poll_result_get_returns_the_value_or_raises_the_error() -> None:
    assert result([1]).value == result([1]).get() == [1]
    error = KeyError("mine")
    failed = result(error=error)
    assert failed.value is None
    with pytest.raises(KeyError) as caught:
        failed.get()
    assert caught.value is error


def test_poll_result_can_be_matched_by_pattern() -> None:
    def seen(item: PollResult[Any] | Outage) -> object:
        match item:
            case Outage(failures=failures):
                return failures
            case PollResult(error=None, value=value):
                return value
            case PollResult(error=error):
                return error

    error = KeyError("mine")
    assert seen(result([1])) == [1]
    assert seen(result(error=error)) is error
    assert seen(Outage(since=NOW, error=error, failures=3)) == 3


def test_unchanged_value_is_decoded_once_when_it_is_read() -> None:
    item = result(unread := lazy([7]), changed=False)
    assert not unread.is_decoded
    assert item.value == item.get() == [7]
    assert unread.is_decoded


def test_poll_result_repr_shows_the_user_and_hides_the_value() -> None:
    assert repr(result(["x"])) == "<PollResult 'ada' changed 0.500 s>"
    assert repr(result(["x"], changed=False)) == "<PollResult 'ada' unchanged 0.500 s>"
    assert repr(result(error=KeyError("x"))) == "<PollResult 'ada' KeyError 0.500 s>"


def test_poll_result_due_is_computed_from_the_clock() -> None:
    assert result().due == NOW - timedelta(seconds=2)


PUBLIC = [Poller, PollResult, PollStatistics, Outage, OutageEnded, RateLimited]
STRUCTS = [*PUBLIC[1:], PollConfig, PolledUser, Turn, PollCounters, PolledUserState]


@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: kind.__name__)
def test_help_of_a_public_class_shows_its_fields(kind: type) -> None:
    text = pydoc.render_doc(kind)
    assert kind.__name__ in text
    for name in getattr(kind, "__struct_fields__", ()):
        assert name in text


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
def test_type_hints_of_a_struct_cover_its_fields(kind: type) -> None:
    fields = getattr(kind, "__struct_fields__", None) or getattr(kind, "_fields", ())
    assert fields
    assert set(inspect.signature(kind).parameters) == set(fields)
    assert set(fields) <= get_type_hints(kind).keys()


def test_poll_result_user_is_typed_as_user() -> None:
    assert get_type_hints(PollResult)["user"] is User
