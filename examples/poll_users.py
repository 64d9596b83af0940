"""Poll the positions of many users that no stream covers: print changes, failures and an outage.

It makes its own sandbox, with users and a short outage. ``watch`` is the part to reuse.
"""

from __future__ import annotations

import asyncio

from connecttrade_async import ConnectTrade, Outage, OutageEnded, PollResult, RateLimited, User
from connecttrade_async.sandbox import Fault, Sandbox

USER_COUNT = 10


async def watch(ct: ConnectTrade, users: list[User]) -> None:
    """Print results and events until an outage is over."""
    async with ct.poll(users, lambda user: user.positions.list(), every=0.2, only_changed=True) as results:
        async for item in results.with_events():
            match item:
                case PollResult(user=user, error=None, value=positions):
                    print(f"{user.user_id}: {len(positions or ())} positions")
                case PollResult(user=user, error=error):
                    print(f"{user.user_id}: not known now ({type(error).__name__})")
                case Outage(failures=failures):
                    print(f"all requests fail, {failures} in a row: one probe at a time is sent")
                case RateLimited(seconds=seconds):
                    print(f"no request is sent for {seconds:.0f} s")
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
    """Create the users, and let all requests fail for a while after the first poll of each."""
    async with (
        Sandbox() as sandbox,
        ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct,
    ):
        users = [await connected_user(ct, sandbox, f"user-{number}") for number in range(1, USER_COUNT + 1)]
        sandbox.faults.add(Fault("status", status=503, path="/positions", after=USER_COUNT, times=USER_COUNT))
        await watch(ct, users)


if __name__ == "__main__":
    asyncio.run(main())
