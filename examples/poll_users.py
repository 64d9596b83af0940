"""Watch the positions of many users whom no stream tells about: what changed, who failed, and when everything did.

It makes its own sandbox, with users and a short outage. ``watch`` is what you would take home.
"""

from __future__ import annotations

import asyncio

from connecttrade_async import ConnectTrade, Outage, OutageEnded, PollResult, RateLimited, User
from connecttrade_async.sandbox import Fault, Sandbox

HOW_MANY = 10


async def watch(ct: ConnectTrade, users: list[User]) -> None:
    """Tell what happens, until the platform was away and has come back."""
    async with ct.poll(users, lambda user: user.positions.list(), every=0.2, only_changed=True) as results:
        async for told in results.with_events():
            match told:
                case PollResult(user=user, error=None, value=positions):
                    print(f"{user.user_id}: {len(positions or ())} positions")
                case PollResult(user=user, error=error):
                    print(f"{user.user_id}: not known now ({type(error).__name__})")
                case Outage(failures=failures):
                    print(f"everything fails, {failures} in a row: one probe at a time looks for the end")
                case RateLimited(seconds=seconds):
                    print(f"nobody is asked for {seconds:.0f} s")
                case OutageEnded():
                    print("the platform answers again")
                    break


async def connected_user(ct: ConnectTrade, sandbox: Sandbox, user_id: str) -> User:
    """Make a user with one broker connected."""
    user = ct.user(user_id, (await ct.users.create(user_id)).user_secret)
    request = await user.connections.create("readonly", redirect_url="https://app.example/done", broker="FIDELITY")
    await sandbox.approve(request.url)
    return user


async def main() -> None:
    """Make the users, and let everything fail for a while once each has been asked."""
    async with (
        Sandbox() as sandbox,
        ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct,
    ):
        users = [await connected_user(ct, sandbox, f"user-{number}") for number in range(1, HOW_MANY + 1)]
        sandbox.faults.add(Fault("status", status=503, path="/positions", after=HOW_MANY, times=HOW_MANY))
        await watch(ct, users)


if __name__ == "__main__":
    asyncio.run(main())
