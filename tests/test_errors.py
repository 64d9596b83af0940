from __future__ import annotations

import copy
import inspect
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings, strategies as st

from connecttrade_async import errors
from connecttrade_async.errors import (
    APIError,
    AuthenticationError,
    ClosedError,
    ConfigurationError,
    ConnectTradeError,
    CursorError,
    IncompleteListError,
    MalformedResponseError,
    OAuthError,
    OrderNotReplacedError,
    OrderOutcomeUnknownError,
    RequestTimeoutError,
    TransportError,
    one_line,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The hierarchy of exceptions, by the party that can correct the error.
TREE: dict[str, object] = {
    "ConnectTradeError": {
        "CallerError": {
            "ConfigurationError": {},
            "ClosedError": {},
            "CursorError": {},
            "SlowConsumerError": {},
            "SymbolError": {},
            "TicketError": {},
        },
        "RelayError": {},
        "TransportError": {"ConnectError": {}, "HandshakeError": {}, "RequestTimeoutError": {}},
        "BrokerError": {
            "MalformedResponseError": {},
            "IncompleteListError": {},
            "OAuthError": {},
            "APIError": {
                "BadRequestError": {},
                "AuthenticationError": {},
                "NotFoundError": {},
                "ConflictError": {},
                "RateLimitedError": {},
                "ServerError": {},
            },
            "MarketDataRefusedError": {},
            "OrderNotReplacedError": {},
            "StreamRefusedError": {"AuthenticationRefusedError": {}, "SessionTakenError": {}},
        },
        "OrderOutcomeUnknownError": {},
    },
}
ALSO = {
    "ConfigurationError": ValueError,
    "SymbolError": ValueError,
    "TicketError": ValueError,
    "RequestTimeoutError": TimeoutError,
}


def every_class(kind: type[ConnectTradeError] = ConnectTradeError) -> Iterator[type[ConnectTradeError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from every_class(child)


def tree_of(kind: type[ConnectTradeError]) -> dict[str, object]:
    return {child.__name__: tree_of(child) for child in kind.__subclasses__() if child.__module__ == errors.__name__}


FACTS: dict[str, object] = {
    "what": "this client",
    "code": "403",
    "may_be_done": True,
    "hint": "open a new one",
    "is_known": False,
    "waiting": 3,
    "bytes_waiting": 1500,
    "cause": "another session took its place",
    "symbol": "IBM/",
    "position": 4,
    "problems": ("the price is missing",),
    "cl_order_id": "mine",
    "order_id": "o-1",
    "last_error": "GET /orders: the link was dropped",
    "answered": "its response was lost",
    "listed": "order o-1 is listed as working",
    "look_again": errors._unpickled_resolve,
    "cursor": "abc",
    "why": "it was followed before",
    "method": "GET",
    "path": "/orders",
    "kind": "dropped",
    "detail": "the link was dropped",
    "where": "$[3].quantity",
    "problem": "Expected `str`, got `int`",
    "excerpt": "[{}]",
    "request": "GET /positions",
    "error": "access_denied",
    "details": "The person declined",
    "status": 429,
    "message": "slow down",
    "retry_after": 1.5,
    "response": None,
}


def facts_of(kind: type[ConnectTradeError]) -> list[str]:
    # The plain ones take what Exception takes, and so have no facts but their words.
    return list(inspect.signature(kind).parameters) if inspect.isfunction(kind.__init__) else []


def an_error(kind: type[ConnectTradeError]) -> ConnectTradeError:
    make: Callable[..., ConnectTradeError] = kind
    wanted = facts_of(kind)
    return make(**{name: FACTS[name] for name in wanted}) if wanted else make("something in words")


def test_tree_is_the_one_of_the_design() -> None:
    assert {"ConnectTradeError": tree_of(ConnectTradeError)} == TREE
    assert sorted(kind.__name__ for kind in every_class()) == sorted(errors.__all__)


def test_some_are_builtin_errors_too() -> None:
    for kind in every_class():
        builtins = {base for base in kind.__mro__ if base.__module__ == "builtins"}
        expected = {ALSO[kind.__name__]} if kind.__name__ in ALSO else set[type]()
        assert expected <= builtins
        assert (ValueError in builtins, TimeoutError in builtins) == (
            ValueError in expected,
            TimeoutError in expected,
        )


@pytest.mark.parametrize("kind", list(every_class()), ids=lambda kind: kind.__name__)
def test_pickle_and_copy_keep_type_message_and_facts(kind: type[ConnectTradeError]) -> None:
    error = an_error(kind)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own bytes
        assert type(again) is kind
        assert str(again) == str(error)
        assert again.args == error.args
        assert vars(again) == vars(error)
    assert vars(copy.deepcopy(error)) == vars(error)


def test_a_note_survives_a_pickle() -> None:
    error = ConfigurationError("a sentence")
    error.add_note("seen while starting")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["seen while starting"]  # noqa: S301 - our own bytes


@pytest.mark.parametrize("kind", list(every_class()), ids=lambda kind: kind.__name__)
def test_every_fact_is_an_attribute_and_every_message_a_line(kind: type[ConnectTradeError]) -> None:
    error = an_error(kind)
    assert "\n" not in str(error)
    if kind is not ClosedError:
        assert {name: getattr(error, name) for name in facts_of(kind)} == {name: FACTS[name] for name in facts_of(kind)}


def test_messages_are_built_from_the_attributes() -> None:
    assert str(ClosedError()).startswith("this client is closed: ")
    assert str(ClosedError("the session that this client borrowed")).startswith("the session that this client borrowed")
    assert str(CursorError(cursor="c1", why="it repeats")) == "the listing was stopped at cursor 'c1': it repeats"
    wire = {"method": "GET", "path": "/orders", "kind": "timeout", "detail": "no complete answer within 30 s"}
    assert str(RequestTimeoutError(**wire)) == "GET /orders: no complete answer within 30 s"
    assert str(TransportError(**wire)) == "GET /orders: no complete answer within 30 s"
    bare = MalformedResponseError(where="$", problem="the body is empty")
    assert str(bare) == "the body is empty at $"
    full = MalformedResponseError(where="$.a", problem="Expected `str`", excerpt="{}", request="GET /users")
    assert str(full) == "the response to GET /users cannot be parsed: Expected `str` at $.a; it begins '{}'"
    assert str(IncompleteListError(request="GET /orders")) == (
        "the list from GET /orders may be cut off: it is full and names no next page, so what it lacks may exist"
    )
    no = APIError(status=404, message="no such order", method="GET", path="/orders")
    assert str(no) == "GET /orders answered 404: no such order"
    unheard = AuthenticationError(status=401, message="no", method="GET", path="/orders")
    assert str(unheard) == "GET /orders answered 401: no" + AuthenticationError.hint
    assert "not entitled" in AuthenticationError.hint


def test_errors_about_an_order_describe_its_outcome() -> None:
    late = OrderNotReplacedError(order_id="o-1", status="filled")
    assert str(late) == "order o-1 was not replaced: it is filled"
    facts: dict[str, Any] = {"what": "the order was placed", "look_again": errors._unpickled_resolve}
    new = OrderOutcomeUnknownError(cl_order_id="mine", order_id=None, is_known=False, last_error=None, **facts)
    assert str(new) == (
        "it is unknown whether the order was placed: "
        "cl_order_id mine was sent, its response was lost, and it is not listed yet"
    )
    old = OrderOutcomeUnknownError(cl_order_id=None, order_id="o-1", is_known=False, last_error="no link", **facts)
    assert str(old).endswith("order o-1 was sent, its response was lost, and the look-up failed (no link)")
    taken = OrderOutcomeUnknownError(cl_order_id="mine", order_id=None, is_known=True, last_error=None, **facts)
    assert str(taken).endswith("was sent, the API reported the id as known, and it is not listed yet")
    listed = "order o-1 is listed as working"
    alive = OrderOutcomeUnknownError(
        cl_order_id=None, order_id="o-1", is_known=False, last_error=None, listed=listed, **facts
    )
    assert str(alive).endswith("its response was lost, and order o-1 is listed as working")


def test_resolve_calls_the_function_of_the_client_and_needs_it() -> None:
    asked: list[float] = []

    answer: Any = object()

    def reconcile(seconds: float) -> Any:
        asked.append(seconds)
        return answer

    facts: dict[str, Any] = {
        "what": "x",
        "cl_order_id": "mine",
        "order_id": None,
        "is_known": False,
        "last_error": None,
    }
    error = OrderOutcomeUnknownError(**facts, look_again=reconcile)
    assert error.resolve(timeout=3) is answer
    assert asked == [3]
    with pytest.raises(ConfigurationError, match="timeout must be 0 or a positive number of seconds, got -1"):
        error.resolve(timeout=-1)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    with pytest.raises(ClosedError, match="the client of a pickled error is closed"):
        again.resolve()


def test_a_refused_login_with_and_without_details() -> None:
    assert str(OAuthError(error="access_denied")) == "the broker connection was not made: access_denied"
    assert OAuthError(error="access_denied").details == ""
    full = OAuthError(error="access_denied", details="The person declined")
    assert str(full) == "the broker connection was not made: access_denied (The person declined)"


def test_what_an_address_says_cannot_break_or_flood_the_log() -> None:
    error = OAuthError(error="bad\r\nFAKE LOG LINE", details="x" * 100_000)
    assert error.error == "bad\r\nFAKE LOG LINE"
    assert len(error.details) == 100_000
    assert "bad FAKE LOG LINE" in str(error)
    assert len(str(error)) < 500


def test_a_long_cursor_is_shortened_in_the_message_only() -> None:
    error = CursorError(cursor="c" * 5_000, why="it repeats")
    assert len(error.cursor) == 5_000
    assert len(str(error)) < 200


@given(text=st.text(max_size=400), most=st.integers(min_value=1, max_value=300))
@settings(deadline=None)
def test_one_line_is_one_bounded_printable_line(text: str, most: int) -> None:
    line = one_line(text, most)
    assert len(line) <= most
    assert line.isprintable()
    assert one_line(line, most) == line


@given(st.text(alphabet=st.characters(categories=["L", "N", "P"]), max_size=200))
def test_one_line_leaves_plain_text_alone(text: str) -> None:
    assert one_line(text) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("AAPL", "'AAPL'"),
        ("a\nb\ud800\x1b", "'a\\nb\\ud800\\x1b'"),
        ("x" * 41, f"'{'x' * 40}'..."),
        (None, "None"),
        (True, "True"),
        (1.5, "1.5"),
        pytest.param(10**5_000, "int", id="a long int"),
        (["x" * 10_000], "list"),
    ],
)
def test_a_value_in_a_message_is_short_and_on_one_line(value: object, text: str) -> None:
    assert shown(value) == text
