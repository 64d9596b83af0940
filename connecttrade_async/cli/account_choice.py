"""The front door: whose order it is. The user's one account, or the one that was named; never a guess."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from connecttrade_async.models import Broker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connecttrade_async.client import User
    from connecttrade_async.models import Account

__all__ = ["AccountChoice", "choose_account", "named_accounts"]


class AccountChoice(NamedTuple):
    """An account to trade in.

    Attributes:
        account_id: its id.
        broker: its broker's code.
        name: the account as people know it.
    """

    account_id: str
    broker: str
    name: str


async def choose_account(user: User, account: str | None, broker: str | None) -> AccountChoice:
    """Return the account that is meant.

    Args:
        user: whose accounts.
        account: its id, or the broker's number for it; None where the user has but one.
        broker: a code that narrows the choice, and that is sent where the account does not tell its broker.

    Raises:
        click.UsageError: the account is not there, or it is not clear which is meant.
        TransportError: the wire failed.
        BrokerError: the API said no, or something unreadable.
    """
    every = await user.accounts.list()
    fitting = [one for one in every if _fits(one, account, broker)]
    if len(fitting) != 1:
        raise click.UsageError(_question(every, fitting, account, broker))
    (one,) = fitting
    code = one.broker or broker
    if not code:
        msg = f"the account {_name(one)} does not tell its broker, so say it with --broker"
        raise click.UsageError(msg)
    return AccountChoice(one.account_id, code, f"{_name(one)} at {code}")


async def named_accounts(user: User, wanted: Sequence[str]) -> dict[str, str]:
    """Return the accounts that are meant, by id, each as people know it.

    Args:
        user: whose accounts.
        wanted: their ids, or the broker's numbers for them; none for all there are.

    Raises:
        click.UsageError: one of them is not there.
        TransportError: the wire failed.
        BrokerError: the API said no, or something unreadable.
    """
    every = await user.accounts.list()
    for account in wanted:
        if not any(_fits(one, account, None) for one in every):
            raise click.UsageError(_question(every, [], account, None, "watch"))
    fitting = [one for one in every if not wanted or {one.account_id, one.account_number} & set(wanted)]
    names = [_name(one) for one in fitting]
    # Two brokers may give the same number; the id is always the account's own.
    return {
        one.account_id: one.account_id if names.count(name) > 1 else name
        for one, name in zip(fitting, names, strict=True)
    }


def _fits(one: Account, account: str | None, broker: str | None) -> bool:
    at_broker = not broker or one.broker is None or one.broker == Broker(broker)
    return at_broker and account in {None, one.account_id, one.account_number}


def _question(
    every: Sequence[Account],
    fitting: Sequence[Account],
    account: str | None,
    broker: str | None,
    use: str = "trade in",
) -> str:
    if not every:
        return f"there is no account to {use}: `connecttrade connect` links a broker"
    if fitting:
        return f"say with --account which one is meant: {_listed(fitting)}"
    asked = ("account", None if account is None else repr(account), broker and f"at {broker!r}")
    return f"there is no {' '.join(filter(None, asked))}: {_listed(every)}"


def _listed(accounts: Sequence[Account]) -> str:
    names = [_name(one) for one in accounts]
    # Two brokers may give the same number, and many mask theirs; the id is always the account's own.
    named = [one.account_id if names.count(name) > 1 else name for one, name in zip(accounts, names, strict=True)]
    return ", ".join(f"{name} at {one.broker or 'a broker'}" for one, name in zip(accounts, named, strict=True))


def _name(one: Account) -> str:
    return one.account_number or one.account_id
