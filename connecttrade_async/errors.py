"""Below the waterline: every error as one tree, sorted by who must act.

Facts are attributes and the message is built from them, so a program reads the attributes and a person reads the
message. No secret is ever in either. Every error pickles with its facts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "APIError",
    "AuthenticationError",
    "BadRequestError",
    "BrokerError",
    "CallerError",
    "ClosedError",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "ConnectTradeError",
    "CursorError",
    "MalformedResponseError",
    "NotFoundError",
    "OAuthError",
    "RateLimitedError",
    "RequestTimeoutError",
    "ServerError",
    "SymbolError",
    "TicketError",
    "TransportError",
]

_E = TypeVar("_E", bound="ConnectTradeError")


def _revive(kind: type[_E], args: tuple[Any, ...], facts: dict[str, Any]) -> _E:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class ConnectTradeError(Exception):
    """The root: everything that this library raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with the message alone, which keyword-only constructors refuse.
        return _revive, (type(self), self.args, dict(self.__dict__))


class CallerError(ConnectTradeError):
    """You must act: the call or its settings are wrong, and asking again will not help."""


class ConfigurationError(CallerError, ValueError):
    """A setting, a credential or an argument cannot be used; nothing was sent."""


class ClosedError(CallerError):
    """The client was closed, before the call or while it was under way."""

    def __init__(self, what: str = "this client") -> None:
        """Say what is closed."""
        super().__init__(f"{what} is closed: open a new one, or keep this one open until its last call has returned")


class CursorError(CallerError):
    """A cursor leads nowhere: it repeats, or page after page is empty.

    Attributes:
        cursor: the cursor that was not followed.
    """

    def __init__(self, *, cursor: str, why: str) -> None:
        """Say which cursor, and why it was not followed."""
        self.cursor = cursor
        super().__init__(f"the listing was stopped at cursor {cursor[:80]!r}: {why}")


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


class RequestTimeoutError(TransportError, TimeoutError):
    """No complete answer came in time."""


class BrokerError(ConnectTradeError):
    """The other side answered, and the answer is the trouble."""


class MalformedResponseError(BrokerError):
    """An answer came and could not be read.

    Attributes:
        where: the place in the body, ``$[3].quantity``, or the field of a model, ``Position.quantity``.
        problem: what is wrong there.
        excerpt: the beginning of what came, shortened and free of secrets.
    """

    def __init__(self, *, where: str, problem: str, excerpt: str = "", request: str = "") -> None:
        """Build the message from the facts."""
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
        super().__init__(f"the broker connection was not made: {error}" + (f" ({details})" if details else ""))


class APIError(BrokerError):
    """The API said no.

    Attributes:
        status: the HTTP status.
        message: what the API said, or the status in words where it said nothing readable.
        method: the HTTP method, ``GET``.
        path: the path asked for, without its query.
        retry_after: seconds to wait before asking again, as the server asked, or None where it did not say.
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
    ) -> None:
        """Build the message from the facts."""
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
