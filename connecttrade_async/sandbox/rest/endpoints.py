"""The sandbox's endpoints: what each path of the wire contract does to the world, and what it answers.

Plain functions of a call; none awaits, and none knows a socket. Listing orders has a file of its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, cast

import msgspec

from connecttrade_async.sandbox.dialect.rest import RestForms
from connecttrade_async.sandbox.errors import BadRequestError, NotFoundError, UnauthorizedError
from connecttrade_async.sandbox.parameters import Fields, choice, day, fields, redirect, symbols, text
from connecttrade_async.sandbox.payloads import Json, Payloads
from connecttrade_async.sandbox.rest.cursors import Cursors
from connecttrade_async.sandbox.rest.jwt import user_token
from connecttrade_async.sandbox.rest.translator import PageCursors, Translator
from connecttrade_async.sandbox.settings import Spellings
from connecttrade_async.sandbox.world import CONNECTION_TYPES, Account, Connection, User, World, find_broker

__all__ = ["Answer", "Call", "Entitlements", "RestContext"]


@dataclass(slots=True, kw_only=True)
class Entitlements:
    """What the client has bought; without it, the documentation says, 401.

    Attributes:
        trading: ``trade`` connections, and user tokens with the scope ``trade``.
        market_data: ``market_data`` connections, and market-data tokens.
    """

    trading: bool = True
    market_data: bool = True

    def check(self, connection_type: str) -> None:
        """Refuse what the client is not entitled to.

        Raises:
            UnauthorizedError: the type needs an entitlement that is switched off.
        """
        if connection_type == "trade" and not self.trading:
            raise UnauthorizedError("This client has no trading entitlement.")
        if connection_type == "market_data" and not self.market_data:
            raise UnauthorizedError("This client has no market data entitlement.")


@dataclass(slots=True, kw_only=True)
class RestContext:
    """What every endpoint works with."""

    world: World
    cursors: Cursors
    signing_key: str
    url: str = ""
    spellings: Spellings = field(default_factory=Spellings)
    entitlements: Entitlements = field(default_factory=Entitlements)
    strict: bool = False
    forms: RestForms = field(default_factory=RestForms)
    ids: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def is_strict(self) -> bool:
        """Whether names that the wire contract does not have are answered 400."""
        return self.strict or self.forms.strict

    @property
    def translator(self) -> Translator:
        """The translation of the moment. ``Spellings(orders="envelope")`` counts where the forms have the default."""
        forms, default = self.forms, RestForms()
        if self.spellings.orders == "envelope" and (forms.orders, forms.cursors) == (default.orders, default.cursors):
            forms = msgspec.structs.replace(forms, cursors="body")
        return Translator(forms, self.ids)


class Answer(NamedTuple):
    """What an endpoint answers with status 200, and the cursors if it has pages."""

    payload: Json
    page: PageCursors | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request with valid credentials.

    Attributes:
        path: the parts of the path that vary, unquoted.
        query: the parameters, each at most once.
        body: the bytes of the body, empty but for POST and PATCH.
        now: when it arrived.
        known: the user, if the endpoint needs one.
    """

    desk: RestContext
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    now: datetime
    known: User | None

    @property
    def user(self) -> User:
        """The user that the headers of the call name.

        Raises:
            UnauthorizedError: none came.
        """
        if self.known is None:
            raise UnauthorizedError("user-id and user-secret are required.")
        return self.known

    @property
    def payloads(self) -> Payloads:
        """The spelling of the moment."""
        return Payloads(self.desk.spellings)

    @property
    def fields(self) -> Fields:
        """The body's members, under the names of the wire contract."""
        return self.desk.translator.members(fields(self.body))

    def accounts(self) -> Iterator[tuple[Connection, Account]]:
        """The user's accounts that the filters ``account_id``, ``connection_id`` and ``broker`` let through.

        Raises:
            UnknownError: a filter names an account or a connection that the user does not have.
        """
        connection_id, account_id = self.query.get("connection_id"), self.query.get("account_id")
        broker = self.query.get("broker", "").upper()
        pairs = list(self.desk.world.accounts(self.user))
        if connection_id is not None:
            self.desk.world.connection(self.user, connection_id)
        if account_id is not None and all(account.account_id != account_id for _, account in pairs):
            raise NotFoundError(f"There is no account {account_id!r}.")
        return (
            (connection, account)
            for connection, account in pairs
            if account_id in {None, account.account_id}
            and connection_id in {None, connection.connection_id}
            and broker in {"", account.broker.code}
        )


def create_user(call: Call) -> Answer:
    """``POST /users``. The secret is shown this once."""
    return Answer(call.payloads.new_user(call.desk.world.create_user(text(call.fields, "user_id"))))


def list_users(call: Call) -> Answer:
    """``GET /users``."""
    return Answer([call.payloads.user(user) for user in call.desk.world.users.values()])


def delete_user(call: Call) -> Answer:
    """``DELETE /users/{user_id}``, and all its connections with it."""
    user_id = call.path["user_id"]
    call.desk.world.delete_user(user_id)
    return Answer({"user_id": user_id, "deleted": True})


def create_connection(call: Call) -> Answer:
    """``POST /connections``: a link at which the person logs in."""
    members = call.fields
    kind = choice("connection_type", text(members, "connection_type"), CONNECTION_TYPES)
    back = redirect(text(members, "redirect_url"))
    broker = None if members.get("broker") is None else find_broker(text(members, "broker"))
    call.desk.entitlements.check(kind)
    link = call.desk.world.invite(call.user, kind, back, call.now, broker=broker)
    return Answer(call.payloads.connection_request(f"{call.desk.url}/connect/{link.token}", link))


def list_connections(call: Call) -> Answer:
    """``GET /connections``."""
    return Answer([call.payloads.connection(connection) for connection in call.user.connections.values()])


def delete_connection(call: Call) -> Answer:
    """``DELETE /connections/{connection_id}``, which revokes its tokens."""
    connection = call.desk.world.disconnect(call.user, call.path["connection_id"])
    return Answer({"connection_id": connection.connection_id, "deleted": True})


def mint_market_token(call: Call) -> Answer:
    """``GET /connections/{connection_id}/token``, for 24 hours; the one before is worth nothing now."""
    connection = call.desk.world.connection(call.user, call.path["connection_id"])
    call.desk.entitlements.check("market_data")
    return Answer(call.payloads.market_token(call.desk.world.mint(connection, call.now)))


def mint_user_token(call: Call) -> Answer:
    """``POST /auth/tokens/user``: a JWT for an hour."""
    scopes = call.fields.get("scopes")
    if scopes not in (["read"], ["read", "trade"], ["trade", "read"]):
        raise BadRequestError('scopes must be ["read"] or ["read", "trade"].')
    granted = cast("list[str]", scopes)
    if "trade" in granted:
        call.desk.entitlements.check("trade")
    serial = call.desk.world.serials.draw("jwt", call.user.user_id)
    return Answer({"access_token": user_token(call.desk.signing_key, call.user.user_id, granted, call.now, serial)})


def list_accounts(call: Call) -> Answer:
    """``GET /accounts``, by ``connection_id`` and ``broker``."""
    return Answer([call.payloads.account(connection, account) for connection, account in call.accounts()])


def list_balances(call: Call) -> Answer:
    """``GET /balances``, by ``account_id`` and ``connection_id``."""
    balance, write = call.desk.world.balance, call.payloads.balance
    return Answer([write(account, balance(account, call.now)) for _, account in call.accounts()])


def list_positions(call: Call) -> Answer:
    """``GET /positions``, by ``account_id``, ``connection_id`` and ``symbols``."""
    wanted = symbols(call.query["symbols"]) if "symbols" in call.query else None
    market, write = call.desk.world.market, call.payloads.position
    return Answer(
        [
            write(account, position)
            for _, account in call.accounts()
            for position in account.positions(market, call.now)
            if wanted is None or position.symbol in wanted
        ]
    )


def list_transactions(call: Call) -> Answer:
    """``GET /transactions``, by ``account_id``, ``connection_id`` and days, both included; newest first."""
    start = day("start_date", call.query["start_date"]) if "start_date" in call.query else None
    end = day("end_date", call.query["end_date"]) if "end_date" in call.query else None
    if start is not None and end is not None and start > end:
        raise BadRequestError("start_date lies after end_date.")
    found = [
        (transaction, account.broker)
        for _, account in call.accounts()
        for transaction in account.transactions
        if (start is None or transaction.date >= start) and (end is None or transaction.date <= end)
    ]
    found.sort(key=lambda pair: (pair[0].date, pair[0].transaction_id), reverse=True)
    return Answer([call.payloads.transaction(transaction, broker) for transaction, broker in found])
