"""The balances of many users at once, on one client. A failure stays a failure and never looks like an empty account.

It makes its own sandbox, with users and one fault in it. ``balances_of`` is what you would take home.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

from connecttrade_async import Balance, ConnectTrade, ConnectTradeError, User
from connecttrade_async.sandbox import Fault, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterable

HOW_MANY = 25


async def balances_of(users: Iterable[User]) -> dict[str, list[Balance] | ConnectTradeError]:
    """Ask for everybody's balances; the client keeps to its own limit of requests in flight."""

    async def ask(user: User) -> list[Balance] | ConnectTradeError:
        try:
            return await user.balances.list()
        except ConnectTradeError as error:
            return error

    users = list(users)
    answers = await asyncio.gather(*(ask(user) for user in users))
    return {user.user_id: answer for user, answer in zip(users, answers, strict=True)}


async def connected_user(ct: ConnectTrade, sandbox: Sandbox, user_id: str) -> User:
    """Make a user with one broker connected; the last one has none."""
    new = await ct.users.create(user_id)
    user = ct.user(new.user_id, new.user_secret)
    if user_id != f"user-{HOW_MANY}":
        request = await user.connections.create("readonly", redirect_url="https://app.example/done", broker="FIDELITY")
        await sandbox.approve(request.url)
    return user


async def main() -> None:
    """Make the users, let one request fail, and tell the three kinds of answer apart."""
    async with (
        Sandbox() as sandbox,
        ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct,
    ):
        users = [await connected_user(ct, sandbox, f"user-{number}") for number in range(1, HOW_MANY + 1)]
        sandbox.faults.add(Fault("status", path="/balances", status=500, after=10))  # 500 is never asked again
        answers = await balances_of(users)
    cash = Decimal(0)
    for user_id, answer in answers.items():
        if isinstance(answer, ConnectTradeError):
            print(f"{user_id}: not known now ({answer})")
        elif not answer:
            print(f"{user_id}: no accounts")
        else:
            cash += sum((balance.cash or Decimal(0) for balance in answer), Decimal(0))
    print(f"cash of all that answered: {cash}")


if __name__ == "__main__":
    asyncio.run(main())
