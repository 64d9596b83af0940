"""The demo: the whole client in a few seconds on an embedded sandbox.

Each line of code that it prints is a line that it runs, and each fact is a result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from connecttrade_async import AuthenticationError, ConnectTrade, Retry
from connecttrade_async.cli.demo.accounts import (
    connect_brokers,
    create_user,
    follow_orders,
    read_money,
    read_positions,
    sum_transactions,
)
from connecttrade_async.cli.demo.live import follow_book
from connecttrade_async.cli.demo.narrator import LogEcho, Narrator
from connecttrade_async.cli.demo.orders import trade
from connecttrade_async.cli.demo.quotes import follow_quotes
from connecttrade_async.cli.demo.stream import follow_fills
from connecttrade_async.cli.errors import explain
from connecttrade_async.cli.progress import spinner
from connecttrade_async.clock import SystemClock
from connecttrade_async.sandbox import Fault, Sandbox

if TYPE_CHECKING:
    from connecttrade_async.user import User

__all__ = ["run_demo"]

CLOCK = SystemClock()
WIDEST = 110


async def run_demo(*, seed: int = 7, console: Console | None = None) -> None:
    """Run the demo.

    Args:
        seed: the seed of the sandbox.
        console: where to print; None is stdout.

    Raises:
        ConnectTradeError: a step failed.

    Cancelling closes the sandbox and the client.
    """
    console = console or Console(highlight=False)
    console.width = min(console.width, WIDEST)
    narrator = Narrator(console)
    began = CLOCK.now()
    async with (
        Sandbox(seed=seed) as sandbox,
        ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct,
    ):
        console.print(Text("connecttrade_async, from the first call to the last", style="bold"))
        narrator.fact(
            f"A sandbox is served at {sandbox.url} (seed {seed}). All below goes over the wire, on this machine."
        )
        user = await create_user(narrator, ct)
        await connect_brokers(narrator, user, sandbox)
        await read_money(narrator, user)
        await read_positions(narrator, user)
        await follow_orders(narrator, ct, user)
        await sum_transactions(narrator, user)
        await trade(narrator, ct, user, sandbox)
        await follow_quotes(narrator, user, sandbox)
        await follow_fills(narrator, ct, user, sandbox)
        await _retry_a_fault(narrator, ct, user, sandbox)
        await _show_refusal(narrator, sandbox)
        await follow_book(narrator, ct, user, sandbox)
        await _clean_up(narrator, ct, user)
        _end(narrator, ct, CLOCK.now() - began)


async def _retry_a_fault(narrator: Narrator, ct: ConnectTrade, user: User, sandbox: Sandbox) -> None:
    narrator.chapter("A fault, and the retry after it")
    narrator.code('fault = Fault("status", path="/positions", status=503, retry_after="1")')
    fault = Fault("status", path="/positions", status=503, retry_after="1")
    active = sandbox.faults.add(fault)
    narrator.code("positions = await user.positions.list()")
    began, retries = CLOCK.now(), ct.health().retries
    with LogEcho(narrator):
        async with spinner("Waiting as long as the server requested", ct, console=narrator.console):
            positions = await user.positions.list()
    narrator.fact(
        f"{len(positions)} positions after {CLOCK.now() - began:.1f} s; faults that fired: {active.fired}, "
        f"retries: {ct.health().retries - retries}",
        "green",
    )


async def _show_refusal(narrator: Narrator, sandbox: Sandbox) -> None:
    narrator.chapter("A wrong secret, and its error")
    narrator.code('wrong_client = ConnectTrade(sandbox.client_id, "not-the-secret", endpoints=sandbox.endpoints)')
    wrong_client = ConnectTrade(sandbox.client_id, "not-the-secret", endpoints=sandbox.endpoints)
    async with wrong_client:
        try:
            await wrong_client.with_options(retry=Retry(attempts=1)).users.list()
        except AuthenticationError as exc:
            narrator.fact(f"{type(exc).__name__}: {explain(exc)[0]}", "red")


async def _clean_up(narrator: Narrator, ct: ConnectTrade, user: User) -> None:
    narrator.chapter("Clean up")
    for connection in await user.connections.list():
        await user.connections.delete(connection.connection_id)
        narrator.fact(f"connection {connection.connection_id} at {connection.broker} deleted")
    narrator.code("await ct.users.delete(user.user_id)")
    await ct.users.delete(user.user_id)
    narrator.fact(f"{len(await ct.users.list())} users left")


def _end(narrator: Narrator, ct: ConnectTrade, seconds: float) -> None:
    health = ct.health()
    narrator.console.print()
    narrator.fact(
        f"Done: {health.exchanges} requests to the API, {health.retries} retries, in {seconds:.1f} s.", "bold green"
    )
    narrator.fact("Next: README.md has the quickstart and examples/ has programs to start from;")
    narrator.fact("`connecttrade sandbox` serves this sandbox to your own programs.")
