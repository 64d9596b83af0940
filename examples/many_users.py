"""Read the balances of many users at once with one client. A failure never looks like an empty account.

It makes its own sandbox, with users and one fault in it. ``balances_of`` is the part to reuse.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

from connecttrade_async import Balance, ConnectTrade, ConnectTradeError, User
from connecttrade_async.sandbox import Fault, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterable

USER_COUNT = 25


async def balances_of(users: Iterable[User]) -> dict[str, list[Balance] | ConnectTradeError]:
    """Read the balances of all users; the client limits the requests in flight."""

    async def balances(user: User) -> list[Balance] | ConnectTradeError:
        try:
            return await user.balances.list()
        except ConnectTradeError as error:
            return error

    users = list(users)
    answers = await asyncio.gather(*(balances(user) for user in users))
    return {user.user_id: answer for user, answer in zip(users, answers, strict=True)}


async def connected_user(ct: ConnectTrade, sandbox: Sandbox, user_id: str) -> User:
    """Make a user with one broker connected; the last one has none."""
    new = await ct.users.create(user_id)
    user = ct.user(new.user_id, new.user_secret)
    if user_id != f"user-{USER_COUNT}":
        request = await user.connections.create("readonly", redirect_url="https://app.example/done", broker="FIDELITY")
        await sandbox.approve(request.url)
    return user


async def main() -> None:
    """Create the users, let one request fail, and print the three kinds of answer."""
    async with (
        Sandbox() as sandbox,
        ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct,
    ):
        users = [await connected_user(ct, sandbox, f"user-{number}") for number in range(1, USER_COUNT + 1)]
        sandbox.faults.add(Fault("status", path="/balances", status=500, after=10))  # 500 is never retried
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
