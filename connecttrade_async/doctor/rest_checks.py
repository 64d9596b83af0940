"""Read what a user has over REST, each answer by its model and as plain JSON. Nothing is written."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from connecttrade_async.doctor.answers import answer_findings, page_findings
from connecttrade_async.doctor.findings import Finding, FindingOutcome
from connecttrade_async.errors import (
    APIError,
    AuthenticationError,
    BrokerError,
    ConnectTradeError,
    MalformedResponseError,
    RateLimitedError,
    ServerError,
    TransportError,
)
from connecttrade_async.models import (
    Account,
    Balance,
    Connection,
    ConnectionToken,
    ConnectionType,
    Order,
    Position,
    Transaction,
)
from connecttrade_async.rest.call import Call
from connecttrade_async.rest.codec import ObjectShape
from connecttrade_async.rest.wire import path_segment
from connecttrade_async.user import api_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import msgspec

    from connecttrade_async.models.pages import Page
    from connecttrade_async.user import User

__all__ = ["check_rest"]

T = TypeVar("T")
TOKEN = ObjectShape(ConnectionToken, "/connections/{connection_id}/token")
TOKEN_SUBJECT = f"GET {TOKEN.endpoint}"
LIMIT = 2  # orders of a page: the smallest that shows whether the next page repeats one


async def check_rest(user: User, *, with_token: bool) -> list[Finding]:
    """Read everything that a user has, and compare it with what is assumed.

    Args:
        user: the user.
        with_token: whether to mint a token for market data, too. It replaces the active one of that connection.

    Returns:
        The findings. A request that fails is a finding, too.

    Raises:
        ConnectTradeError: no request was answered, or each was refused for a reason that is no difference of form, such
            as wrong credentials; the first of these errors.

    Cancelling drops the request in flight.
    """
    check = _RestCheck(user)
    connections = await check.read("GET /connections", Connection, user.connections.list())
    await check.read("GET /accounts", Account, user.accounts.list())
    await check.read("GET /balances", Balance, user.balances.list())
    await check.read("GET /positions", Position, user.positions.list())
    await check.read("GET /transactions", Transaction, user.transactions.list())
    await check.read_orders()
    if with_token:
        await check.read_token(connections or [])
    if check.refusal is not None and not check.has_answers:
        raise check.refusal
    return check.findings


class _RestCheck:
    def __init__(self, user: User) -> None:
        self.findings: list[Finding] = []
        self.has_answers = False
        self.refusal: ConnectTradeError | None = None
        self._user = user

    async def read(self, subject: str, model: type[msgspec.Struct], call: Call[T], *, is_list: bool = True) -> T | None:
        """Read one answer twice; return what its model made of it, or None."""
        try:
            response = await call.response()
            plain = response.json()
        except ConnectTradeError as exc:
            finding = _failure(subject, exc)
            if finding.outcome is not FindingOutcome.NOT_SEEN:
                self.has_answers = True
            elif not self.has_answers and isinstance(exc, TransportError):
                raise  # nothing is there: the further requests would only wait
            self.findings.append(finding)
            self.refusal = self.refusal or exc
            return None
        self.has_answers = True
        value, problem = None, ""
        try:
            value = call.decode(response)
        except BrokerError as exc:
            problem = str(exc)
        self.findings += answer_findings(subject, model, plain, value, problem, is_list=is_list)
        return value

    async def read_orders(self) -> None:
        """Read two pages of orders, as small as possible, so that a cursor is needed."""
        orders = self._user.orders
        first = await self.read("GET /orders", Order, orders.list(status="all", limit=LIMIT))
        if first is None:
            return
        second: Page[Order] | None = None
        if first.next_cursor is not None:
            following = orders.list(status="all", limit=LIMIT, next_cursor=first.next_cursor)
            second = await self.read("GET /orders with a cursor", Order, following)
            if second is None:
                return
        self.findings += page_findings(first, second, LIMIT)

    async def read_token(self, connections: Sequence[Connection]) -> None:
        """Read a token of the first connection for market data."""
        chosen = next((each for each in connections if each.connection_type is ConnectionType.MARKET_DATA), None)
        if chosen is None:
            self.findings.append(
                Finding(TOKEN_SUBJECT, "answers", "no connection for market data", FindingOutcome.NOT_SEEN)
            )
            return
        path = f"/connections/{path_segment(chosen.connection_id, 'connection_id')}/token"
        await self.read(TOKEN_SUBJECT, ConnectionToken, _token_call(path, self._user), is_list=False)


def _token_call(path: str, user: User) -> Call[ConnectionToken]:
    """Return the call of ``connections.token``, with its response."""
    api = api_of(user)
    return Call(api, api.get_request(path, None), partial(api.sender.codec.read, TOKEN))


def _failure(subject: str, error: ConnectTradeError) -> Finding:
    # A wrong secret, a missing entitlement and a server that is down are no difference of form.
    is_form = isinstance(error, APIError | MalformedResponseError)
    is_form = is_form and not isinstance(error, AuthenticationError | RateLimitedError | ServerError)
    outcome = FindingOutcome.NOT_UNDERSTOOD if is_form else FindingOutcome.NOT_SEEN
    return Finding(subject, "answers", str(error), outcome)
