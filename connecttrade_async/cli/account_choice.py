"""Choose the account of an order: the user's only account, or the one that an option names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from connecttrade_async.models import Broker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connecttrade_async.models import Account
    from connecttrade_async.user import User

__all__ = ["AccountChoice", "choose_account", "named_accounts"]


class AccountChoice(NamedTuple):
    """The account of an order.

    Attributes:
        account_id: the id of the account.
        broker: the code of its broker.
        name: its number (or id) and broker, for messages.
    """

    account_id: str
    broker: str
    name: str


async def choose_account(user: User, account: str | None, broker: str | None) -> AccountChoice:
    """Return the account that the options name, or the user's only one.

    An ambiguous choice is an error: an order in the wrong account cannot be undone.

    Args:
        user: the user of the accounts.
        account: the id of the account or its number at the broker; None for the only account.
        broker: a code that narrows the choice. It is sent if the account names no broker.

    Raises:
        click.UsageError: no account matches, or several do.
        TransportError: the request failed in transit.
        BrokerError: the API refused the request, or its response is malformed.
    """
    accounts = await user.accounts.list()
    matching = [one for one in accounts if _matches(one, account, broker)]
    if len(matching) != 1:
        raise click.UsageError(_choice_problem(accounts, matching, account, broker))
    (one,) = matching
    code = one.broker or broker
    if not code:
        msg = f"the account {_name(one)} names no broker: give one with --broker"
        raise click.UsageError(msg)
    return AccountChoice(one.account_id, code, f"{_name(one)} at {code}")


async def named_accounts(user: User, wanted: Sequence[str]) -> dict[str, str]:
    """Return the display names of accounts, by account id.

    Args:
        user: the user of the accounts.
        wanted: ids or numbers at the broker; empty for all accounts.

    Raises:
        click.UsageError: an account does not exist.
        TransportError: the request failed in transit.
        BrokerError: the API refused the request, or its response is malformed.
    """
    accounts = await user.accounts.list()
    for account in wanted:
        if not any(_matches(one, account, None) for one in accounts):
            raise click.UsageError(_choice_problem(accounts, [], account, None, "watch"))
    matching = [one for one in accounts if not wanted or {one.account_id, one.account_number} & set(wanted)]
    names = [_name(one) for one in matching]
    # Two brokers may use the same number; the id is unique.
    return {
        one.account_id: one.account_id if names.count(name) > 1 else name
        for one, name in zip(matching, names, strict=True)
    }


def _matches(one: Account, account: str | None, broker: str | None) -> bool:
    at_broker = not broker or one.broker is None or one.broker == Broker(broker)
    return at_broker and account in {None, one.account_id, one.account_number}


def _choice_problem(
    accounts: Sequence[Account],
    matching: Sequence[Account],
    account: str | None,
    broker: str | None,
    use: str = "trade in",
) -> str:
    if not accounts:
        return f"there is no account to {use}: `connecttrade connect` connects a broker"
    if matching:
        return f"--account must name one of: {_listed(matching)}"
    criteria = ("account", None if account is None else repr(account), broker and f"at {broker!r}")
    return f"there is no {' '.join(filter(None, criteria))}: {_listed(accounts)}"


def _listed(accounts: Sequence[Account]) -> str:
    names = [_name(one) for one in accounts]
    # Two brokers may use the same number, and many brokers mask theirs; the id is unique.
    named = [one.account_id if names.count(name) > 1 else name for one, name in zip(accounts, names, strict=True)]
    return ", ".join(f"{name} at {one.broker or 'a broker'}" for one, name in zip(accounts, named, strict=True))


def _name(one: Account) -> str:
    return one.account_number or one.account_id
