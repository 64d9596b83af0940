"""The world's books: every account that the brokers keep, whether or not a user of the API may see it."""

import uuid
from datetime import datetime
from random import Random

from connecttrade_async.sandbox.errors import NotFoundError
from connecttrade_async.sandbox.world.account import Account
from connecttrade_async.sandbox.world.account_history import furnish
from connecttrade_async.sandbox.world.brokers import Broker
from connecttrade_async.sandbox.world.market import Market
from connecttrade_async.sandbox.world.order_writer import OrderWriter
from connecttrade_async.sandbox.world.seeded import IdGenerator

__all__ = ["AccountStore"]


class AccountStore:
    """Accounts by id and by owner: a login name at a broker has a paper and a live one."""

    def __init__(self, serials: IdGenerator, market: Market) -> None:
        self._serials = serials
        self._market = market
        self._accounts: dict[str, Account] = {}
        self._logins: dict[tuple[str, str], tuple[Account, ...]] = {}
        self._names: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._accounts)

    def open(self, broker: Broker, login: str, now: datetime) -> tuple[Account, ...]:
        """The paper and the live account that a login has at a broker, furnished at the first look."""
        accounts = self._logins.get((broker.code, login))
        if accounts is None:
            accounts = tuple(self._furnished(broker, login, kind, now) for kind in ("paper", "live"))
            self._logins[broker.code, login] = accounts
        return accounts

    def account(self, account_id: str) -> Account:
        """Return an account of any user.

        Raises:
            UnknownError: no broker has opened one of this id.
        """
        account = self._accounts.get(account_id)
        if account is None:
            raise NotFoundError(f"There is no account {account_id!r}.")
        return account

    def login(self, account: Account) -> str:
        """The name at the broker that the account belongs to."""
        return self._names[account.account_id]

    def holder(self, order_id: str) -> Account:
        """The account that has an order.

        Raises:
            UnknownError: none has one of this id.
        """
        for account in self._accounts.values():
            if account.has(order_id):
                return account
        raise NotFoundError(f"There is no order {order_id!r}.")

    def _furnished(self, broker: Broker, login: str, kind: str, now: datetime) -> Account:
        serial = self._serials.draw("account", broker.code, login, kind)
        number = str(int(serial[32:], 16))[-8:].zfill(8)
        account = Account(str(uuid.UUID(serial[:32])), number, broker, kind)
        random = Random(serial)  # noqa: S311  a pretend history needs no secrecy
        furnish(OrderWriter(account, self._market, random, now))
        self._accounts[account.account_id] = account
        self._names[account.account_id] = login
        return account
