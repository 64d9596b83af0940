"""The world as a whole: users, their connections, and the accounts behind them.

Pure and seeded: it reads no clock and rolls no unseeded die, so the same questions in any process, at the same times,
have the same answers to the byte. Ids depend on what they are for and not on the order in which requests arrive.
"""

import hmac
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from connecttrade_async.sandbox.arithmetic import with_arithmetic
from connecttrade_async.sandbox.errors import BadRequestError, ConflictError, GoneError, NotFoundError
from connecttrade_async.sandbox.world.account import Account, Balance
from connecttrade_async.sandbox.world.account_store import AccountStore
from connecttrade_async.sandbox.world.bars import Bars
from connecttrade_async.sandbox.world.brokers import CONNECTION_TYPES, Broker
from connecttrade_async.sandbox.world.exchange import Exchange
from connecttrade_async.sandbox.world.hours import Hours
from connecttrade_async.sandbox.world.market import Market
from connecttrade_async.sandbox.world.order_writer import OrderWriter
from connecttrade_async.sandbox.world.orders import Order
from connecttrade_async.sandbox.world.seeded import IdGenerator
from connecttrade_async.sandbox.world.tokens import Tokens
from connecttrade_async.sandbox.world.trades import Trades
from connecttrade_async.sandbox.world.users import Connection, LoginRequest, Token, User

__all__ = ["World"]

_LINK_LIFE = timedelta(minutes=15)


class World:
    """Everything that the pretend brokers know.

    Args:
        seed: worlds of one seed are the same world.
        hours: when the market is open; None is always.

    Attributes:
        market: what everything costs.
        floor: where orders are placed and trade.
        serials: where ids and secrets come from.
        books: the accounts of all users.
        tokens: the market-data tokens; `tape` and `bars` are the data that they open.
        users: by user id, oldest first.
    """

    def __init__(self, seed: int, hours: Hours | None = None) -> None:
        self.seed = seed
        self.market = Market(seed, hours)
        self.serials = IdGenerator(seed)
        self.floor = Exchange(self.market, self.serials)
        self.books = AccountStore(self.serials, self.market)
        self.tokens = Tokens(self.serials)
        self.tape = Trades(self.market, seed)
        self.bars = Bars(self.tape)
        self.users: dict[str, User] = {}
        self._links: dict[str, LoginRequest] = {}
        self._owners: dict[tuple[str, str], str] = {}

    def __repr__(self) -> str:
        return f"<World seed {self.seed}, {len(self.users)} users, {len(self.books)} accounts>"

    # Users ------------------------------------------------------------------------------------------------------------

    def create_user(self, user_id: str) -> User:
        """Make a user, with a secret of its own.

        Raises:
            BadRequestError: the id is empty or could not travel in a header.
            ConflictError: there is one of this id.
        """
        if not user_id.strip() or not user_id.isprintable():
            raise BadRequestError("user_id must be some text without control characters.")
        if user_id in self.users:
            raise ConflictError(f"There is already a user {user_id!r}.")
        user = self.users[user_id] = User(user_id, self.serials.draw("user", user_id))
        return user

    def delete_user(self, user_id: str) -> None:
        """Delete a user with all its connections (documented) and login links.

        Raises:
            UnknownError: there is none of this id.
        """
        user = self.users.pop(user_id, None)
        if user is None:
            raise NotFoundError(f"There is no user {user_id!r}.")
        for connection in user.connections.values():
            self.tokens.revoke(connection)
            self._owners.pop((connection.broker.code, connection.login), None)
        self._links = {token: link for token, link in self._links.items() if link.user_id != user_id}

    def recognize(self, user_id: str, secret: str) -> User | None:
        """The user of this id if the secret is theirs, else None, in the same time for every wrong secret."""
        user = self.users.get(user_id)
        known = b"" if user is None else user.secret.encode()
        is_right = hmac.compare_digest(known, secret.encode("utf-8", "surrogateescape"))
        return user if is_right else None

    # Connecting -------------------------------------------------------------------------------------------------------

    def invite(
        self, user: User, connection_type: str, redirect_url: str, now: datetime, *, broker: Broker | None = None
    ) -> LoginRequest:
        """Make the link at which the person connects a broker; it is good for a quarter of an hour.

        Raises:
            BadRequestError: there is no such type, or the broker cannot do it.
            ConflictError: the person's account at this broker is linked to another user of the client (documented).
        """
        if connection_type not in CONNECTION_TYPES:
            raise BadRequestError(f"connection_type must be one of {', '.join(CONNECTION_TYPES)}.")
        if broker is not None:
            broker.check(connection_type)
            self._check_owner(user, broker, user.login(broker))
        token = self.serials.draw("link", user.user_id)
        expires_at = now + _LINK_LIFE
        link = self._links[token] = LoginRequest(token, user.user_id, connection_type, broker, redirect_url, expires_at)
        return link

    def link(self, token: str, now: datetime) -> LoginRequest:
        """The login link of this token.

        Raises:
            UnknownError: there is none, or its user is gone.
            GoneError: it was used, or its time is over.
        """
        link = self._links.get(token)
        if link is None:
            raise NotFoundError("There is no such login link.")
        if link.is_used:
            raise GoneError("This login link has already been used.")
        if now >= link.expires_at:
            raise GoneError("This login link has expired.")
        return link

    def consent(self, link: LoginRequest, broker: Broker, login: str, now: datetime) -> Connection:
        """Connect the link's user to the accounts that `login` has at `broker`, and use the link up.

        The same login at the same broker keeps its connection_id and takes on the new type; a ``market_data``
        connection is one of its own, without accounts.

        Raises:
            BadRequestError: the broker cannot do what was asked for.
            ConflictError: another user of the client has these accounts. The login is remembered.
        """
        broker.check(link.connection_type)
        user = self.users[link.user_id]
        user.logins[broker.code] = login
        link.is_used = True
        self._check_owner(user, broker, login)
        self._owners[broker.code, login] = user.user_id
        is_market_data = link.connection_type == "market_data"
        for known in user.connections.values():
            is_same = known.broker is broker and known.login == login
            if is_same and (known.connection_type == "market_data") is is_market_data:
                known.connection_type = link.connection_type
                return known
        name = str(uuid.UUID(self.serials.draw("connection", user.user_id, broker.code, login)[:32]))
        accounts = () if is_market_data else self.books.open(broker, login, now)
        connection = Connection(name, user.user_id, broker, link.connection_type, login, accounts)
        user.connections[name] = connection
        return connection

    def connection(self, user: User, connection_id: str) -> Connection:
        """A connection of this user.

        Raises:
            UnknownError: the user has none of this id.
        """
        connection = user.connections.get(connection_id)
        if connection is None:
            raise NotFoundError(f"There is no connection {connection_id!r}.")
        return connection

    def disconnect(self, user: User, connection_id: str) -> Connection:
        """Delete a connection, which revokes its tokens (documented).

        Raises:
            UnknownError: the user has none of this id.
        """
        connection = self.connection(user, connection_id)
        self.tokens.revoke(connection)
        del user.connections[connection_id]
        if not any(self._is_same_login(connection, other) for other in user.connections.values()):
            self._owners.pop((connection.broker.code, connection.login), None)
        return connection

    def mint(self, connection: Connection, now: datetime) -> Token:
        """A market-data token, valid 24 hours, in the place of the one before (documented).

        Raises:
            BadRequestError: the connection is of another type, or the broker has no market data.
        """
        if connection.connection_type != "market_data":
            raise BadRequestError(f"A connection of type {connection.connection_type} has no market data.")
        connection.broker.check("market_data")
        return self.tokens.mint(connection, now)

    # Accounts ---------------------------------------------------------------------------------------------------------

    def accounts(self, user: User) -> Iterator[tuple[Connection, Account]]:
        """Every account of a user beside the connection that it came by."""
        for connection in user.connections.values():
            for account in connection.accounts:
                yield connection, account

    def owner(self, account: Account) -> str | None:
        """Return the id of the user that sees an account, or None: no two users see the same account (documented)."""
        user = self.users.get(self._owners.get((account.broker.code, self.books.login(account)), ""))
        seen = () if user is None else (pair[1] for pair in self.accounts(user))
        return user.user_id if user is not None and account in seen else None

    def balance(self, account: Account, at: datetime) -> Balance:
        """An account's money at a moment, less what its open orders will need."""
        return account.balance(self.market, at, self.floor.reserved(account))

    @with_arithmetic
    def add_order(
        self,
        account_id: str,
        at: datetime,
        *,
        symbol: str = "AAPL",
        side: str = "BUY",
        qty: Decimal | int = 1,
        status: str = "working",
        order_type: str = "LMT",
    ) -> Order:
        """Write an order into an account as if it had been placed elsewhere; fills, cash and positions follow.

        Raises:
            BadRequestError: side or status is none of the documented ones.
            UnknownError: there is no such account.
        """
        account = self.books.account(account_id)
        random = Random(self.serials.draw("order", account_id))  # noqa: S311  a pretend broker's ids need no secrecy
        teller = OrderWriter(account, self.market, random, at)
        order = teller.order(at, symbol, side, qty, status=status, order_type=order_type)
        self.floor.journal.note(at, order, len(order.fills))
        return order

    def _check_owner(self, user: User, broker: Broker, login: str) -> None:
        if self._owners.get((broker.code, login), user.user_id) != user.user_id:
            raise ConflictError(f"That {broker.name} account is already linked to another user.")

    @staticmethod
    def _is_same_login(one: Connection, other: Connection) -> bool:
        return one.broker is other.broker and one.login == other.login
