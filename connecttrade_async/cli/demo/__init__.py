"""The front door: ``connecttrade demo``, the whole story in some seconds on the embedded sandbox.

Its vow: what it prints is what happened. Each line of code that it shows is a line that it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from connecttrade_async import AuthenticationError, ConnectTrade, Retry
from connecttrade_async.cli.demo.accounts import (
    connect_brokers,
    follow_orders,
    make_a_user,
    read_money,
    read_positions,
    sum_transactions,
)
from connecttrade_async.cli.demo.live import keep_a_book
from connecttrade_async.cli.demo.narrator import LogEcho, Narrator
from connecttrade_async.cli.demo.orders import trade
from connecttrade_async.cli.demo.quotes import follow_quotes
from connecttrade_async.cli.demo.stream import follow_fills
from connecttrade_async.cli.errors import explain
from connecttrade_async.cli.progress import waiting
from connecttrade_async.clock import SystemClock
from connecttrade_async.sandbox import Fault, Sandbox

if TYPE_CHECKING:
    from connecttrade_async.client import User

__all__ = ["tell"]

CLOCK = SystemClock()
WIDEST = 110


async def tell(*, seed: int = 7, console: Console | None = None) -> None:
    """Tell the story.

    Args:
        seed: which world.
        console: where to; None is stdout.

    Raises:
        ConnectTradeError: the story took a turn that it should not.

    Cancelling closes the sandbox and the client.
    """
    console = console or Console(highlight=False)
    console.width = min(console.width, WIDEST)
    stage = Narrator(console)
    began = CLOCK.now()
    async with (
        Sandbox(seed=seed) as sandbox,
        ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct,
    ):
        console.print(Text("connecttrade_async, from the first call to the last", style="bold"))
        stage.fact(
            f"A sandbox is served at {sandbox.url} (seed {seed}). All below goes over the wire, on this machine."
        )
        user = await make_a_user(stage, ct)
        await connect_brokers(stage, user, sandbox)
        await read_money(stage, user)
        await read_positions(stage, user)
        await follow_orders(stage, ct, user)
        await sum_transactions(stage, user)
        await trade(stage, ct, user, sandbox)
        await follow_quotes(stage, user, sandbox)
        await follow_fills(stage, ct, user, sandbox)
        await _heal_a_fault(stage, ct, user, sandbox)
        await _be_refused(stage, sandbox)
        await keep_a_book(stage, ct, user, sandbox)
        await _clean_up(stage, ct, user)
        _end(stage, ct, CLOCK.now() - began)


async def _heal_a_fault(stage: Narrator, ct: ConnectTrade, user: User, sandbox: Sandbox) -> None:
    stage.chapter("A fault, healed before your eyes")
    stage.code('fault = Fault("status", path="/positions", status=503, retry_after="1")')
    fault = Fault("status", path="/positions", status=503, retry_after="1")
    armed = sandbox.faults.add(fault)
    stage.code("positions = await user.positions.list()")
    began, retries = CLOCK.now(), ct.health().retries
    with LogEcho(stage):
        async with waiting("The server asked for a second of patience", ct, console=stage.console):
            positions = await user.positions.list()
    stage.fact(
        f"{len(positions)} positions after {CLOCK.now() - began:.1f} s; faults that struck: {armed.fired}, "
        f"requests asked again: {ct.health().retries - retries}",
        "green",
    )


async def _be_refused(stage: Narrator, sandbox: Sandbox) -> None:
    stage.chapter("A mistake of yours, said clearly")
    stage.code('stranger = ConnectTrade(sandbox.client_id, "not-the-secret", endpoints=sandbox.endpoints)')
    stranger = ConnectTrade(sandbox.client_id, "not-the-secret", endpoints=sandbox.endpoints)
    async with stranger:
        try:
            await stranger.with_options(retry=Retry(attempts=1)).users.list()
        except AuthenticationError as exc:
            stage.fact(f"{type(exc).__name__}: {explain(exc)[0]}", "red")


async def _clean_up(stage: Narrator, ct: ConnectTrade, user: User) -> None:
    stage.chapter("Clean up")
    for connection in await user.connections.list():
        await user.connections.delete(connection.connection_id)
        stage.fact(f"connection {connection.connection_id} at {connection.broker} deleted")
    stage.code("await ct.users.delete(user.user_id)")
    await ct.users.delete(user.user_id)
    stage.fact(f"{len(await ct.users.list())} users left")


def _end(stage: Narrator, ct: ConnectTrade, seconds: float) -> None:
    health = ct.health()
    stage.console.print()
    stage.fact(
        f"Done: {health.exchanges} requests to the API, {health.retries} asked again, in {seconds:.1f} s.", "bold green"
    )
    stage.fact("Next: README.md has the quickstart and examples/ has programs to begin from;")
    stage.fact("`connecttrade sandbox` serves this world to your own.")
