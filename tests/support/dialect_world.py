"""A small world in a sandbox that speaks any dialect, the clients that meet it, and what each has to see."""

from __future__ import annotations

import asyncio
import contextlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self, cast

from msgspec.structs import asdict

from connecttrade_async import ConnectTrade, ConnectTradeError, Dialect, Reconnect, Retry, Timeouts
from connecttrade_async.sandbox import Sandbox
from connecttrade_async.sandbox.dialect import PRESETS, SandboxDialect
from connecttrade_async.sandbox.dialect.members import IDS, id_number
from live_fixtures import bare_newcomer
from manual_clock import BEGIN
from matching_dialects import matching_dialect

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from connecttrade_async import User

__all__ = [
    "CLIENTS",
    "LISTS",
    "NAMES",
    "DialectWorld",
    "client_dialect",
    "comparable",
    "in_parallel",
    "quick",
    "rows_of",
    "said_by",
    "written_id",
]

NAMES = ("ada", "bob")
CLIENTS = ("tolerant", "matching")
LISTS = ("connections", "accounts", "balances", "positions", "transactions")
PATIENT = Timeouts(login=20.0, close=1.0, settle=20.0)
HURRIED = Reconnect(base=0.01, cap=0.02, standby=0.02, attempts=1)
ONCE = Retry(attempts=1, base=0.01, budget=20.0)


def quick(login: float = 0.5, settle: float = 0.5) -> dict[str, Any]:
    """Return settings of a client that gives up soon."""
    timeouts = Timeouts(login=login, close=0.5, settle=settle, call=20.0)
    return {"timeouts": timeouts, "reconnect": HURRIED, "retry": ONCE}


def client_dialect(kind: str, spoken: SandboxDialect, stream: Any = "brokerage", **handshake: Any) -> Dialect:
    """Return the dialect of one of ``CLIENTS`` for a dialect of the sandbox."""
    return Dialect.default if kind == "tolerant" else matching_dialect(spoken, stream, **handshake)


def written_id(spoken: SandboxDialect, name: str) -> str:
    """Return an id as text in the form in which a dialect writes it."""
    return str(id_number(name)) if spoken.rest.ids == "number" else name


def comparable(row: Any, spoken: SandboxDialect | None = None) -> Any:
    """Return the values of models, with numbers as numbers.

    Args:
        row: a model, or a list of them.
        spoken: the dialect in which ids have to be read that were read in the assumed one; None leaves them.
    """
    if isinstance(row, tuple | list):
        return [comparable(each, spoken) for each in cast("Sequence[Any]", row)]
    if not hasattr(row, "__struct_fields__"):
        return row
    return {name: _value(name, value, spoken) for name, value in asdict(row).items()}


def _value(name: str, value: Any, spoken: SandboxDialect | None) -> Any:
    if isinstance(value, tuple | list) or hasattr(value, "__struct_fields__"):
        return comparable(value, spoken)
    if name.startswith("connection_type"):
        return None  # the model has a field for each of its names
    if name in IDS and value and spoken is not None:
        return written_id(spoken, value)
    if name.endswith("_text") and value:
        with contextlib.suppress(ArithmeticError):
            return Decimal(value)
    return str(value) if isinstance(value, str) else value


class DialectWorld:
    """A sandbox with two users, each with an account, orders, positions and transactions; its clock is held."""

    def __init__(self) -> None:
        self.sandbox = Sandbox(seed=5, latency=0.0)
        self.accounts: dict[str, str] = {}
        self.secrets: dict[str, Any] = {}
        self.assumed: dict[tuple[str, str], list[Any]] = {}

    async def __aenter__(self) -> Self:
        await self.sandbox.start()
        self.sandbox.clock.hold(BEGIN)
        world = self.sandbox.world
        async with self.client() as ct:
            for name in NAMES:
                _, account_id = bare_newcomer(self.sandbox, ct, name)
                self.accounts[name] = account_id
                for number, status in enumerate(("filled", "working", "partially_filled", "cancelled", "filled")):
                    symbol = ("MSFT", "AAPL")[number % 2]
                    at = self.sandbox.clock.advance(0.001)
                    world.add_order(account_id, at, symbol=symbol, qty=number + 2, status=status)
            for name in NAMES:
                user = self.user(ct, name)
                for noun in (*LISTS, "orders"):
                    self.assumed[name, noun] = await rows_of(user, noun)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.sandbox.aclose()

    def speak(self, spoken: SandboxDialect | str) -> SandboxDialect:
        """Change the dialect of the sandbox, and return it."""
        self.sandbox.dialect = PRESETS[spoken] if isinstance(spoken, str) else spoken
        return self.sandbox.dialect

    @contextlib.asynccontextmanager
    async def client(
        self, dialect: Dialect | None = None, secret: str | None = None, **settings: Any
    ) -> AsyncGenerator[ConnectTrade]:
        """Yield a client of the sandbox, with the right secret or another one."""
        options: dict[str, Any] = {"timeouts": PATIENT, "reconnect": HURRIED, "retry": ONCE, "dialect": dialect}
        sandbox = self.sandbox
        options |= {"endpoints": sandbox.endpoints, **settings}
        async with ConnectTrade(sandbox.client_id, secret or sandbox.client_secret, **options) as ct:
            yield ct

    def user(self, ct: ConnectTrade, name: str) -> User:
        """Return the handle on a user."""
        return ct.user(name, self.sandbox.world.users[name].secret)

    def expected(self, name: str, noun: str, spoken: SandboxDialect) -> list[Any]:
        """Return the rows of a user, as they have to be read in a dialect."""
        return cast("list[Any]", comparable(self.assumed[name, noun], spoken))


def said_by(error: ConnectTradeError) -> str:
    """Return what an error says, which is never nothing."""
    assert str(error).strip()
    return f"{type(error).__name__}: {error}"


async def rows_of(user: User, noun: str, limit: int = 2) -> list[Any]:
    """Return every row of a listing; orders are read in pages."""
    if noun == "orders":
        return [row async for row in user.orders.list(status="all", limit=limit)]
    return list(await getattr(user, noun).list())


async def in_parallel(items: Sequence[Any], work: Any, count: int = 8) -> list[Any]:
    """Return the results of a coroutine function for each item, several at once, each with a world of its own."""
    queue = list(enumerate(items))[::-1]
    results: dict[int, Any] = {}

    async def worker() -> None:
        async with DialectWorld() as world:
            while queue:
                index, item = queue.pop()
                results[index] = await work(world, item)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(count, len(queue))):
            group.create_task(worker())
    return [results[index] for index in range(len(items))]
