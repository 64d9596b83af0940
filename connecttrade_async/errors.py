"""Below the waterline: every error as one tree, sorted by who must act.

Facts are attributes and the message is built from them, so a program reads the attributes and a person reads the
message. No secret is ever in either. Every error pickles with its facts.
"""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NoReturn, TypeVar

import connecttrade_async  # names that it fetches when they are used, since they lie above this module

__all__ = [
    "APIError",
    "AuthenticationError",
    "AuthenticationRefusedError",
    "BadRequestError",
    "BrokerError",
    "CallerError",
    "ClosedError",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "ConnectTradeError",
    "CursorError",
    "HandshakeError",
    "MalformedResponseError",
    "MarketDataRefusedError",
    "NotFoundError",
    "OAuthError",
    "OrderNotReplacedError",
    "OrderOutcomeUnknownError",
    "RateLimitedError",
    "RequestTimeoutError",
    "ServerError",
    "SessionTakenError",
    "SlowConsumerError",
    "StreamRefusedError",
    "SymbolError",
    "TicketError",
    "TransportError",
]

_E = TypeVar("_E", bound="ConnectTradeError")
_SHOWN = 200
_SHOWN_OF_A_VALUE = 40
_REOPEN = "open a new one, or keep this one open until its last call has returned"


def one_line(text: str, most: int = _SHOWN) -> str:
    """Return a text from outside as a message can hold it: on one line, and not longer than ``most``."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: most * 8]).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def shown(value: object) -> str:
    """Return a value that a caller gave as a message can hold it: short, on one line, its type where it has no text."""
    if isinstance(value, str):
        return repr(value[:_SHOWN_OF_A_VALUE]) + ("..." if value[_SHOWN_OF_A_VALUE:] else "")
    # An int may have more digits than Python converts, and a container holds anything.
    return str(value) if value is None or isinstance(value, bool | float) else f"of type {type(value).__name__}"


def _unpickle(kind: type[_E], args: tuple[Any, ...], facts: dict[str, Any]) -> _E:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class ConnectTradeError(Exception):
    """The root: everything that this library raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with the message alone, which keyword-only constructors refuse. An answer may
        # hold secrets, which do not travel in pickles.
        facts = {name: None if name == "response" else value for name, value in self.__dict__.items()}
        return _unpickle, (type(self), self.args, facts)


class CallerError(ConnectTradeError):
    """You must act: the call or its settings are wrong, and asking again will not help."""


class ConfigurationError(CallerError, ValueError):
    """A setting, a credential or an argument cannot be used; nothing was sent."""


class ClosedError(CallerError):
    """The client, or what was opened of it, was closed, before the call or while it was under way.

    Attributes:
        what: what is closed.
        may_be_done: whether the request had left, so that what it asked may have been done all the same.
        advice: what can be done.
    """

    def __init__(self, what: str = "this client", *, may_be_done: bool = False, advice: str = _REOPEN) -> None:
        """Say what is closed, and what can be done."""
        self.what = what
        self.may_be_done = may_be_done
        self.advice = advice
        super().__init__(f"{what} is closed: {advice}")


class CursorError(CallerError):
    """A cursor leads nowhere: it repeats, or page after page has no new row.

    Attributes:
        cursor: the cursor that was not followed.
        why: what is wrong with it.
    """

    def __init__(self, *, cursor: str, why: str) -> None:
        """Say which cursor, and why it was not followed."""
        self.cursor = cursor
        self.why = why
        super().__init__(f"the listing was stopped at cursor {cursor[:80]!r}: {why}")


class SlowConsumerError(CallerError):
    """A consumer of a stream was slower than its bound allows, and was let go; the stream goes on.

    Attributes:
        waiting: events in its queue when it was let go; they can still be taken.
        bytes_waiting: the size of their frames.
    """

    def __init__(self, *, waiting: int, bytes_waiting: int) -> None:
        """Build the message from the facts."""
        self.waiting = waiting
        self.bytes_waiting = bytes_waiting
        super().__init__(
            f"this consumer was too slow: {waiting} events of {bytes_waiting} bytes waited; "
            "take them faster, subscribe with a larger capacity, or with overflow='drop_oldest'",
        )


class SymbolError(CallerError, ValueError):
    """A symbol is not well formed.

    Attributes:
        symbol: the text that was read, or, where a symbol was being built, what was written of it up to the fault.
        position: where in that text the fault is, counted from 0; its length if something is missing at the end.
        problem: what is wrong there.
    """

    def __init__(self, *, symbol: str, position: int, problem: str) -> None:
        """Build the message from the facts."""
        self.symbol = symbol
        self.position = position
        self.problem = problem
        shown = repr(symbol[:40]) + ("..." if symbol[40:] else "")
        super().__init__(f"the symbol {shown} is not well formed at position {position}: {problem}")


class TicketError(CallerError, ValueError):
    """An order cannot be sent as it is; nothing was sent.

    Attributes:
        problems: all that is wrong, each a sentence.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        """Build the message from the problems."""
        self.problems = tuple(problems)
        super().__init__("the order was not sent: " + "; ".join(self.problems))


class TransportError(ConnectTradeError):
    """The wire failed; trying later may work.

    Attributes:
        method: the HTTP method, ``GET``.
        path: the path asked for, ``/orders``, without its query.
        kind: what happened, a row of the table in ``rest/retry.py``: ``dropped``, ``timeout``, ``dns``, ...
        detail: what the network said.
    """

    def __init__(self, *, method: str, path: str, kind: str, detail: str) -> None:
        """Build the message from the facts."""
        self.method = method
        self.path = path
        self.kind = kind
        self.detail = detail
        super().__init__(f"{method} {path}: {detail}")


class ConnectError(TransportError):
    """No connection could be made, so the request never left this machine."""


class HandshakeError(TransportError):
    """A stream was connected, but its login was not complete; the login was perhaps sent.

    ``detail`` quotes the last frame of the server without secrets, where there was one.
    """


class RequestTimeoutError(TransportError, TimeoutError):
    """No complete answer came in time."""


class BrokerError(ConnectTradeError):
    """The other side answered, and the answer is the trouble."""


class MalformedResponseError(BrokerError):
    """An answer came and could not be read.

    Attributes:
        where: the place in the body, ``$[3].quantity``, or the field of a model, ``Position.quantity``.
        problem: what is wrong there.
        excerpt: the beginning of what came, shortened and free of secrets. Of an answer that may carry a new secret or
            a token, only its shape: ``{user_id: text(6), jwt: text(212)}``.
        request: what was asked, ``GET /positions``, or ``""`` where it came by a stream or out of a model.
        response: the whole answer, secrets included, whose ``repr`` shows none of it; None where it came by a stream or
            out of a model, and after a pickle.
    """

    def __init__(
        self,
        *,
        where: str,
        problem: str,
        excerpt: str = "",
        request: str = "",
        response: connecttrade_async.Response | None = None,
    ) -> None:
        """Build the message from the facts."""
        self.response = response
        self.where = where
        self.problem = problem
        self.excerpt = excerpt
        self.request = request
        asked = f"the answer to {request} cannot be read: " if request else ""
        shown = f"; it begins {excerpt!r}" if excerpt else ""
        super().__init__(f"{asked}{problem} at {where}{shown}")


class OAuthError(BrokerError):
    """The person's login at the broker failed, or the person declined.

    Attributes:
        error: the code from the redirect.
        details: the explanation from the redirect, or ``""``.
    """

    def __init__(self, *, error: str, details: str = "") -> None:
        """Build the message from the facts."""
        self.error = error
        self.details = details
        # Both come out of an address that anybody can write, so they are facts as they came, and a message only tamed.
        explained = f" ({one_line(details)})" if details else ""
        super().__init__(f"the broker connection was not made: {one_line(error)}{explained}")


class MarketDataRefusedError(BrokerError):
    """The server does not give what was asked for on the market data stream; everything else on it goes on.

    Attributes:
        what: what was asked for: a channel, ``encode_snapshot`` or ``subscriptions``.
        symbol: of what, or ``""``.
        code: the server's code, or ``""`` where it gave none.
        cause: why, in the server's words.
    """

    def __init__(self, *, what: str, symbol: str, code: str, cause: str) -> None:
        """Build the message from the facts."""
        self.what = what
        self.symbol = symbol
        self.code = one_line(code)
        self.cause = one_line(cause)
        named = f"{what} of {symbol}" if symbol else what
        coded = f" ({self.code})" if self.code else ""
        super().__init__(f"{named} is not given: {self.cause}{coded}")


class StreamRefusedError(BrokerError):
    """The server ended a stream for good.

    Attributes:
        cause: why, in words.
    """

    def __init__(self, *, cause: str) -> None:
        """Build the message from the facts."""
        self.cause = one_line(cause)
        super().__init__(f"the stream ended: {self.cause}")


class AuthenticationRefusedError(StreamRefusedError):
    """The login to a stream was refused, and would be again."""


class SessionTakenError(StreamRefusedError):
    """The one session that these credentials allow was taken by somebody else (documented: there is only one)."""


class APIError(BrokerError):
    """The API said no.

    Attributes:
        status: the HTTP status.
        message: what the API said, on one line and free of secrets; or the status in words, and how the answer begins.
        method: the HTTP method, ``GET``.
        path: the path asked for, without its query.
        retry_after: seconds to wait before asking again, as the server asked, or None where it did not say. At least 0
            and finite, a century at most.
        response: the whole answer, whose ``repr`` shows none of it; of a long one, its beginning. None after a pickle.
    """

    advice = ""

    def __init__(
        self,
        *,
        status: int,
        message: str,
        method: str,
        path: str,
        retry_after: float | None = None,
        response: connecttrade_async.Response | None = None,
    ) -> None:
        """Build the message from the facts."""
        self.response = response
        self.status = status
        self.message = message
        self.method = method
        self.path = path
        self.retry_after = retry_after
        super().__init__(f"{method} {path} answered {status}: {message}{self.advice}")


class BadRequestError(APIError):
    """400 or 422: the request is malformed, or a value in it is not valid."""


class AuthenticationError(APIError):
    """401 or 403: the credentials were refused, or the account is not entitled to this.

    The API uses 401 for both (documented), so the message is the only way to tell them apart.
    """

    advice = " (the credentials are wrong, or they are not entitled to this)"


class NotFoundError(APIError):
    """404: no such user, connection, account or order, or it belongs to somebody else."""


class ConflictError(APIError):
    """409: it exists already."""


class RateLimitedError(APIError):
    """429: too many requests; ``retry_after`` says for how long, where the server did."""


class ServerError(APIError):
    """5xx: the trouble is on their side."""


class OrderNotReplacedError(BrokerError):
    """The answer to a replacement was lost, and the order turned out to have ended unreplaced.

    Attributes:
        order_id: the order that was to be replaced.
        status: how it ended: ``filled``, ``cancelled``, ...
    """

    def __init__(self, *, order_id: str, status: str) -> None:
        """Build the message from the facts."""
        self.order_id = order_id
        self.status = status
        super().__init__(f"order {order_id} was not replaced: it is {status}")


class OrderOutcomeUnknownError(ConnectTradeError):
    """It was sent, its answer holds no order, and the outcome is not known yet. It may be live: do not send it again.

    Attributes:
        what: the question, ``the order was placed``.
        cl_order_id: the id to look for, on a ticket or a replacement; None for a cancellation.
        order_id: the order that was to be replaced or cancelled; None for a new one.
        is_known: whether the API said that it knows the id, and only does not list the order yet.
        last_error: why the latest look-up failed, or None where it did not.
        answered: what became of the answer, in words: it was lost, it was empty, or it could not be read.
        listed: what the latest look-up found that settles nothing, in words, or None where the order was not listed.
        look_again: what ``resolve`` calls, with the seconds it may take.
    """

    def __init__(
        self,
        *,
        what: str,
        cl_order_id: str | None,
        order_id: str | None,
        is_known: bool,
        last_error: str | None,
        look_again: Callable[[float], Awaitable[connecttrade_async.Order]],
        listed: str | None = None,
        answered: str = "its answer was lost",
    ) -> None:
        """Build the message from the facts."""
        self.what = what
        self.cl_order_id = cl_order_id
        self.order_id = order_id
        self.is_known = is_known
        self.last_error = last_error
        self.look_again = look_again
        self.listed = listed
        self.answered = "the API said that it knows the id" if is_known else answered
        named = f"cl_order_id {cl_order_id}" if cl_order_id else f"order {order_id}"
        looked = f"looking it up failed ({last_error})" if last_error else listed or "it is not listed yet"
        super().__init__(f"nobody can say yet whether {what}: {named} was sent, {self.answered}, and {looked}")

    def resolve(self, *, timeout: float = 30.0) -> Awaitable[connecttrade_async.Order]:
        """Look again, for so many seconds; 0 looks once.

        Returns:
            The order, once awaited.

        Raises:
            OrderOutcomeUnknownError: still nobody can say.
            OrderNotReplacedError: it was a replacement, and the order ended unreplaced.
            ConflictError: the id belongs to another order than was sent.
            ConfigurationError: the time-out is below zero.
            ClosedError: this error came out of a pickle: use ``orders.find`` then.

        Cancelling stops looking and changes nothing.
        """
        if not timeout >= 0:
            msg = f"timeout must be seconds, 0 or more, not {timeout!r}"
            raise ConfigurationError(msg)
        return self.look_again(timeout)

    def __reduce__(self) -> tuple[Any, ...]:
        facts = {name: value for name, value in self.__dict__.items() if name != "look_again"}
        return _unpickle, (type(self), self.args, facts | {"look_again": _unpickled_resolve})


def _unpickled_resolve(timeout: float) -> NoReturn:
    del timeout
    raise ClosedError("the client of a pickled error")
