from __future__ import annotations

from typing import Any

import click
import pytest

from connecttrade_async import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ClosedError,
    ConfigurationError,
    ConflictError,
    ConnectError,
    ConnectTradeError,
    CursorError,
    MalformedResponseError,
    NotFoundError,
    OAuthError,
    Order,
    OrderNotReplacedError,
    OrderOutcomeUnknownError,
    RateLimitedError,
    RequestTimeoutError,
    ServerError,
    TicketError,
    TransportError,
)
from connecttrade_async.cli.errors import ExitCode, explain, fail, report


def api(kind: type[APIError], status: int, path: str = "/orders", retry_after: float | None = None) -> APIError:
    return kind(status=status, message="Said so.", method="GET", path=path, retry_after=retry_after)


def wire(kind: type[TransportError]) -> TransportError:
    return kind(method="GET", path="/orders", kind="dropped", detail="the link was dropped")


async def never(_seconds: float) -> Order:
    raise NotImplementedError


def unknown(**ids: str | None) -> OrderOutcomeUnknownError:
    facts: dict[str, Any] = {"cl_order_id": None, "order_id": None, "is_known": False, **ids}
    return OrderOutcomeUnknownError(what="it was placed", **facts, last_error=None, look_again=never)


THEIRS: list[ConnectTradeError] = [
    unknown(cl_order_id="c-1"),
    unknown(order_id="o-1"),
    OrderNotReplacedError(order_id="o-1", status="filled"),
    api(BadRequestError, 400),
    api(AuthenticationError, 401),
    api(NotFoundError, 404),
    api(ConflictError, 409),
    api(RateLimitedError, 429),
    api(ServerError, 500),
    api(APIError, 302),
    wire(TransportError),
    wire(ConnectError),
    wire(RequestTimeoutError),
    MalformedResponseError(where="$", problem="JSON is malformed", excerpt="<html>", request="GET /orders"),
    OAuthError(error="access_denied", details="The person declined."),
]
YOURS: list[Exception] = [
    ConfigurationError("the client secret must not be empty"),
    ClosedError(),
    CursorError(cursor="abc", why="it repeats"),
    TicketError(["the quantity is missing", "the side is missing"]),
    click.UsageError("there is no such option"),
]


@pytest.mark.parametrize(
    ("error", "code"),
    [*((error, ExitCode.REMOTE_ERROR) for error in THEIRS), *((error, ExitCode.USAGE_ERROR) for error in YOURS)],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.name,
)
def test_explain_returns_one_sentence_and_the_exit_code(error: Exception, code: ExitCode) -> None:
    sentence, ending = explain(error)
    assert ending is code
    assert "\n" not in sentence
    assert ".." not in sentence
    if not isinstance(error, click.ClickException):
        assert sentence.endswith(".")


@pytest.mark.parametrize("error", THEIRS, ids=lambda error: type(error).__name__)
def test_explain_of_a_remote_error_says_what_to_do(error: ConnectTradeError) -> None:
    assert "; " in explain(error)[0]


def test_explain_of_an_unknown_outcome_names_the_lookup_command() -> None:
    assert "`connecttrade orders --find c-1` before you send anything again" in explain(unknown(cl_order_id="c-1"))[0]
    assert "`connecttrade orders --find o-1`" in explain(unknown(order_id="o-1"))[0]


def test_report_prints_each_problem_of_a_ticket(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(TicketError(["the quantity is\nmissing", "the side is missing"])) is ExitCode.USAGE_ERROR
    assert capsys.readouterr().err == ("connecttrade: the quantity is missing.\nconnecttrade: the side is missing.\n")


def test_fail_prints_a_sentence_and_exits(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(click.exceptions.Exit) as caught:
        fail("there is none")
    assert caught.value.exit_code == ExitCode.REMOTE_ERROR
    assert capsys.readouterr() == ("", "connecttrade: there is none.\n")


def test_explain_names_only_credentials_that_were_sent() -> None:
    assert "CONNECTTRADE_USER_ID" not in explain(api(AuthenticationError, 401, "/users"))[0]
    assert "CONNECTTRADE_USER_ID" in explain(api(AuthenticationError, 401, "/positions"))[0]


def test_explain_of_a_rate_limit_names_the_delay() -> None:
    assert "wait 30 s" in explain(api(RateLimitedError, 429, retry_after=30.0))[0]
    assert "wait a minute" in explain(api(RateLimitedError, 429))[0]


def test_explain_replaces_control_characters() -> None:
    error = BadRequestError(status=400, message="a\x1b[2J\nb", method="GET", path="/x")
    assert explain(error)[0].isprintable()


def test_explain_of_an_unexpected_error_omits_its_text() -> None:
    with pytest.raises(ValueError, match="perhaps") as caught:
        int("perhaps a secret")
    sentence, code = explain(caught.value)
    assert "perhaps" not in sentence
    assert "ValueError at test_errors.py:" in sentence
    assert code is ExitCode.REMOTE_ERROR
    assert "KeyError" in explain(KeyError())[0]
