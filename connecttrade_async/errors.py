"""The hierarchy of exceptions, by the party that can correct the error: caller, network or server.

Each exception has its facts as attributes, and its message is built from them. Neither ever contains a secret. Every
exception can be pickled together with its attributes.
"""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NoReturn, TypeVar

import connecttrade_async  # names of higher modules, imported on first use

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
    "IncompleteListError",
    "MalformedResponseError",
    "MarketDataRefusedError",
    "NotFoundError",
    "OAuthError",
    "OrderNotReplacedError",
    "OrderOutcomeUnknownError",
    "RateLimitedError",
    "RelayError",
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
_MAX_LINE = 200
_MAX_VALUE = 40
_REOPEN = "open a new one, or keep this one open until its last call has returned"


def one_line(text: str, most: int = _MAX_LINE) -> str:
    """Return a received text for use in a message: printable, on one line, of at most ``most`` characters."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: most * 8]).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def shown(value: object) -> str:
    """Return an argument's value for use in a message: short, on one line; the type's name where it has no text."""
    if isinstance(value, str):
        return repr(value[:_MAX_VALUE]) + ("..." if value[_MAX_VALUE:] else "")
    # An int may have more digits than Python converts, and a container may hold a secret.
    return str(value) if value is None or isinstance(value, bool | float) else type(value).__name__


def _unpickle(kind: type[_E], args: tuple[Any, ...], facts: dict[str, Any]) -> _E:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class ConnectTradeError(Exception):
    """Base class of every exception that this library raises."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with the message alone, which keyword-only constructors reject. A response may
        # hold secrets, so pickles do not carry it.
        facts = {name: None if name == "response" else value for name, value in self.__dict__.items()}
        return _unpickle, (type(self), self.args, facts)


class CallerError(ConnectTradeError):
    """The call or its settings are wrong; a retry does not help."""


class ConfigurationError(CallerError, ValueError):
    """A setting, a credential or an argument is invalid; nothing was sent."""


class ClosedError(CallerError):
    """The client, or an object opened from it, was closed before or during the call.

    Attributes:
        what: the closed object, as text.
        may_be_done: whether the request was already sent, so that the server may have executed it.
        hint: what to do next.
    """

    def __init__(self, what: str = "this client", *, may_be_done: bool = False, hint: str = _REOPEN) -> None:
        """Build the message from the attributes."""
        self.what = what
        self.may_be_done = may_be_done
        self.hint = hint
        super().__init__(f"{what} is closed: {hint}")


class CursorError(CallerError):
    """A listing was stopped at a cursor: the cursor repeats, or page after page has no new row.

    Attributes:
        cursor: the cursor that was not followed.
        why: the reason.
    """

    def __init__(self, *, cursor: str, why: str) -> None:
        """Build the message from the attributes."""
        self.cursor = cursor
        self.why = why
        super().__init__(f"the listing was stopped at cursor {cursor[:80]!r}: {why}")


class SlowConsumerError(CallerError):
    """A subscription's queue overflowed and the subscription ended; the stream continues.

    Attributes:
        waiting: events in the queue when the subscription ended; they can still be received.
        bytes_waiting: the size of their frames, in bytes.
    """

    def __init__(self, *, waiting: int, bytes_waiting: int) -> None:
        """Build the message from the attributes."""
        self.waiting = waiting
        self.bytes_waiting = bytes_waiting
        super().__init__(
            f"the subscription's queue overflowed with {waiting} events of {bytes_waiting} bytes: "
            "receive faster, subscribe with a larger capacity, or with overflow='drop_oldest'",
        )


class SymbolError(CallerError, ValueError):
    """A symbol is not well formed.

    Attributes:
        symbol: the parsed text, or, where a symbol was being built, its text up to the error.
        position: the position of the error in that text, counted from 0; its length if the end is missing.
        problem: the reason.
    """

    def __init__(self, *, symbol: str, position: int, problem: str) -> None:
        """Build the message from the attributes."""
        self.symbol = symbol
        self.position = position
        self.problem = problem
        super().__init__(f"the symbol {shown(symbol)} is not well formed at position {position}: {problem}")


class TicketError(CallerError, ValueError):
    """An order is invalid; nothing was sent.

    Attributes:
        problems: every problem, each a clause.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        """Build the message from the problems."""
        self.problems = tuple(problems)
        super().__init__("the order was not sent: " + "; ".join(self.problems))


class TransportError(ConnectTradeError):
    """The network failed; a later retry may succeed.

    Attributes:
        method: the HTTP method, ``GET``.
        path: the requested path, ``/orders``, without its query.
        kind: the kind of failure, a row of the table in ``rest/retry.py``: ``dropped``, ``timeout``, ``dns``, ...
        detail: the message of the underlying error.
    """

    def __init__(self, *, method: str, path: str, kind: str, detail: str) -> None:
        """Build the message from the attributes."""
        self.method = method
        self.path = path
        self.kind = kind
        self.detail = detail
        super().__init__(f"{method} {path}: {detail}")


class ConnectError(TransportError):
    """No connection could be opened, so the request was not sent."""


class HandshakeError(TransportError):
    """A stream connected, but its login did not complete; the login may have been sent.

    ``detail`` quotes the server's last frame, if any, without secrets.
    """


class RequestTimeoutError(TransportError, TimeoutError):
    """No complete response was received in time."""


class RelayError(ConnectTradeError):
    """The Redis or Valkey server of a relay could not be used; no session was opened without it.

    Attributes:
        kind: ``unreachable``, ``refused`` (the password or the user), ``permission``, ``read-only``, ``full``,
            ``version``, ``key`` (a key of the relay has another type or a foreign entry), ``evicted`` or ``failed``.
        detail: the reason, as text.
    """

    def __init__(self, *, kind: str, detail: str) -> None:
        """Build the message from the attributes."""
        self.kind = kind
        self.detail = one_line(detail)
        super().__init__(f"the relay cannot use its Redis server: {self.detail}")


class BrokerError(ConnectTradeError):
    """The server responded with an error, or with an unusable response."""


class MalformedResponseError(BrokerError):
    """A response, a frame or a field could not be parsed.

    Attributes:
        where: the place in the body, ``$[3].quantity``, or the field of a model, ``Position.quantity``.
        problem: the reason.
        excerpt: the beginning of the received text, shortened and free of secrets. Of a response that may carry a new
            secret or a token, only its shape: ``{user_id: text(6), jwt: text(212)}``.
        request: the request, ``GET /positions``; ``""`` for a frame of a stream or a field of a model.
        response: the whole response, secrets included; its ``repr`` shows nothing of the body. None for a frame of a
            stream or a field of a model, and after unpickling.
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
        """Build the message from the attributes."""
        self.response = response
        self.where = where
        self.problem = problem
        self.excerpt = excerpt
        self.request = request
        source = f"the response to {request} cannot be parsed: " if request else ""
        beginning = f"; it begins {excerpt!r}" if excerpt else ""
        super().__init__(f"{source}{problem} at {where}{beginning}")


class OAuthError(BrokerError):
    """The login at the broker failed, or the person declined.

    Attributes:
        error: the code from the redirect.
        details: the explanation from the redirect, or ``""``.
    """

    def __init__(self, *, error: str, details: str = "") -> None:
        """Build the message from the attributes."""
        self.error = error
        self.details = details
        # Both come from a URL that an attacker may write: the attributes keep them raw, the message on one line.
        explained = f" ({one_line(details)})" if details else ""
        super().__init__(f"the broker connection was not made: {one_line(error)}{explained}")


class MarketDataRefusedError(BrokerError):
    """The server rejected a request on the market data stream; the stream's other subscriptions continue.

    Attributes:
        what: the kind of request: a channel, ``encode_snapshot`` or ``subscriptions``.
        symbol: the requested symbol, or ``""``.
        code: the server's code, or ``""`` where it sent none.
        cause: the reason, as the server gave it.
    """

    def __init__(self, *, what: str, symbol: str, code: str, cause: str) -> None:
        """Build the message from the attributes."""
        self.what = what
        self.symbol = symbol
        self.code = one_line(code)
        self.cause = one_line(cause)
        named = f"{what} of {symbol}" if symbol else what
        coded = f" ({self.code})" if self.code else ""
        super().__init__(f"the server rejected {named}: {self.cause}{coded}")


class StreamRefusedError(BrokerError):
    """The server ended a stream, and the stream does not reconnect.

    Attributes:
        cause: the reason, as text.
        hint: what to do next; empty where nothing helps but other credentials.
    """

    def __init__(self, *, cause: str, hint: str = "") -> None:
        """Build the message from the attributes."""
        self.cause = one_line(cause)
        self.hint = hint
        super().__init__(f"the stream ended: {self.cause}" + (f"; {hint}" if hint else ""))


class AuthenticationRefusedError(StreamRefusedError):
    """The login to a stream was rejected, and another attempt would be rejected too."""


class SessionTakenError(StreamRefusedError):
    """Another client took the one session that these credentials allow (documented)."""


class IncompleteListError(BrokerError):
    """A list may be cut off, where only a whole one proves that something is absent.

    Attributes:
        request: the request, ``GET /orders``.
    """

    def __init__(self, *, request: str) -> None:
        """Build the message from the attributes."""
        self.request = request
        super().__init__(
            f"the list from {request} may be cut off: it is full and names no next page, so what it lacks may exist"
        )


class APIError(BrokerError):
    """The API responded with an error status.

    Attributes:
        status: the HTTP status.
        message: the API's message, on one line and free of secrets; or the name of the status and the beginning of the
            body.
        method: the HTTP method, ``GET``.
        path: the requested path, without its query.
        retry_after: the server's ``Retry-After`` in seconds, from 0 to a century, or None where it sent none.
        response: the whole response; of a long one, its beginning. Its ``repr`` shows nothing of the body. None after
            unpickling.
    """

    hint = ""

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
        """Build the message from the attributes."""
        self.response = response
        self.status = status
        self.message = message
        self.method = method
        self.path = path
        self.retry_after = retry_after
        super().__init__(f"{method} {path} answered {status}: {message}{self.hint}")


class BadRequestError(APIError):
    """400 or 422: the request is malformed, or a value in it is invalid."""


class AuthenticationError(APIError):
    """401 or 403: the credentials were rejected, or the account is not entitled to the request.

    The API uses 401 for both (documented); only the message distinguishes them.
    """

    hint = " (the credentials are wrong, or they are not entitled to this)"


class NotFoundError(APIError):
    """404: no such user, connection, account or order, or it belongs to another user."""


class ConflictError(APIError):
    """409: the resource already exists."""


class RateLimitedError(APIError):
    """429: too many requests; ``retry_after`` has the seconds to wait, where the server sent them."""


class ServerError(APIError):
    """5xx: the server failed."""


class OrderNotReplacedError(BrokerError):
    """The response to a replacement was lost, and reconciling found that the order ended unreplaced.

    Attributes:
        order_id: the order that was to be replaced.
        status: the order's final status: ``filled``, ``cancelled``, ...
    """

    def __init__(self, *, order_id: str, status: str) -> None:
        """Build the message from the attributes."""
        self.order_id = order_id
        self.status = status
        super().__init__(f"order {order_id} was not replaced: it is {status}")


class OrderOutcomeUnknownError(ConnectTradeError):
    """An order request was sent without a usable response, and its outcome is unknown so far.

    The order may be live: do not send it again.

    Attributes:
        what: the unknown fact, such as ``the order was placed``.
        cl_order_id: the id of the ticket or the replacement; None for a cancellation.
        order_id: the order that was to be replaced or cancelled; None for a new one.
        is_known: whether the API reported the id as known, although it does not list the order yet.
        last_error: the error of the latest look-up, or None where it succeeded.
        answered: the state of the response, as text: it was lost, it was empty, or it could not be parsed.
        listed: an inconclusive finding of the latest look-up, as text; None where the order was not listed.
        look_again: the function that ``resolve`` calls, with the time limit in seconds.
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
        answered: str = "its response was lost",
    ) -> None:
        """Build the message from the attributes."""
        self.what = what
        self.cl_order_id = cl_order_id
        self.order_id = order_id
        self.is_known = is_known
        self.last_error = last_error
        self.look_again = look_again
        self.listed = listed
        self.answered = "the API reported the id as known" if is_known else answered
        named = f"cl_order_id {cl_order_id}" if cl_order_id else f"order {order_id}"
        looked_up = f"the look-up failed ({last_error})" if last_error else listed or "it is not listed yet"
        super().__init__(f"it is unknown whether {what}: {named} was sent, {self.answered}, and {looked_up}")

    def resolve(self, *, timeout: float = 30.0) -> Awaitable[connecttrade_async.Order]:
        """Reconcile again, for at most ``timeout`` seconds; 0 makes one look-up.

        Returns:
            An awaitable of the order.

        Raises:
            OrderOutcomeUnknownError: the outcome is still unknown.
            OrderNotReplacedError: the request was a replacement, and the order ended unreplaced.
            ConflictError: the id belongs to another order than was sent.
            ConfigurationError: the timeout is negative.
            ClosedError: this error was unpickled and has no client: use ``orders.find`` instead.

        Cancelling stops the look-ups and changes nothing on the server.
        """
        if not timeout >= 0:
            msg = f"timeout must be 0 or a positive number of seconds, got {timeout!r}"
            raise ConfigurationError(msg)
        return self.look_again(timeout)

    def __reduce__(self) -> tuple[Any, ...]:
        facts = {name: value for name, value in self.__dict__.items() if name != "look_again"}
        return _unpickle, (type(self), self.args, facts | {"look_again": _unpickled_resolve})


def _unpickled_resolve(timeout: float) -> NoReturn:
    del timeout
    raise ClosedError("the client of a pickled error")
