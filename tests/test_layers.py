"""The plan of the house: who may know whom, and through which door the outside comes in."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = "connecttrade_async"
ROOT = Path(__file__).parents[1] / PACKAGE

# From the ground up. A module imports from its own floor or from below, never from above.
FLOORS = ["ground", "values", "rules", "doors", "loops", "rooms", "front door", "command", "cli.demo", "entry"]
WATERLINE = {"ground", "values", "rules"}
SANDBOX = "across the wire"

PLAN = {
    "errors": "ground",
    "secret": "ground",
    "config": "values",
    "models": "values",
    "models.accounts": "values",
    "models.balances": "values",
    "models.connections": "values",
    "models.enums": "values",
    "models.events": "values",
    "models.fields": "values",
    "models.market": "values",
    "models.mentions": "values",
    "models.orders": "values",
    "models.pages": "values",
    "models.positions": "values",
    "models.tokens": "values",
    "models.transactions": "values",
    "models.users": "values",
    "amounts": "values",
    "symbology": "rules",
    "symbology.classification": "rules",
    "symbology.equities": "rules",
    "symbology.options": "rules",
    "tickets": "rules",
    "tickets.builders": "rules",
    "tickets.validation": "rules",
    "tickets.legs": "rules",
    "tickets.ticket": "rules",
    "tickets.parsing": "rules",
    "tickets.strategies": "rules",
    "analytics": "rules",
    "oauth": "rules",
    "pacing": "rules",
    "rest": "rules",
    "rest.wire": "rules",
    "rest.retry": "rules",
    "rest.digests": "rules",
    "live.doubt_budget": "rules",
    "validation": "values",
    "rate_limiter": "rules",
    "polling.config": "rules",
    "polling.results": "rules",
    "polling.schedule": "rules",
    "polling.outage": "rules",
    "streaming": "rules",
    "streaming.brokerage_codec": "rules",
    "market_data.registry": "rules",
    "streaming.filters": "rules",
    "market_data.codec": "rules",
    "streaming.frames": "rules",
    "streaming.codec": "rules",
    "market_data.sync_events": "rules",
    "market_data.handover": "rules",
    "streaming.protocol": "rules",
    "live": "rules",
    "cli.commands": "command",
    "polling": "rules",
    "market_data": "rules",
    "books": "rules",
    "books.book": "rules",
    "books.changes": "rules",
    "books.fills": "rules",
    "books.merge": "rules",
    "live.status": "rules",
    "books.keyed_state": "rules",
    "books.order_tracker": "rules",
    "market_data.filters": "rules",
    "market_data.subscription_sync": "rules",
    "clock": "doors",
    "ids": "doors",
    "rest.connector": "doors",
    "rest.deadlines": "doors",
    "rest.limiter": "doors",
    "rest.transport": "doors",
    "streaming.fanout": "doors",
    "streaming.subscriptions": "doors",
    "streaming.fast_connection": "doors",
    "streaming.websocket": "doors",
    "books.change_feed": "doors",
    "live.accounts": "loops",
    "live.engine": "loops",
    "live.updates": "loops",
    "live.snapshot_limit": "loops",
    "live.missing_accounts": "loops",
    "books.followed_users": "loops",
    "books.snapshots": "loops",
    "live.resync": "loops",
    "live.sweep": "loops",
    "market_data.replies": "doors",
    "market_data.fanout": "doors",
    "market_data.requests": "loops",
    "market_data.bar_feed": "loops",
    "market_data.feeds": "loops",
    "market_data.stream": "loops",
    "market_data.stream_token": "loops",
    "streaming.connection": "loops",
    "streaming.config": "loops",
    "streaming.supervisor": "loops",
    "streaming.watchdog": "loops",
    "streaming.stream": "loops",
    "polling.result_queue": "doors",
    "polling.rate_limiter": "doors",
    "polling.worker_pool": "loops",
    "polling.fetcher": "loops",
    "polling.polled_books": "loops",
    "polling.poll_loop": "loops",
    "polling.outcomes": "loops",
    "polling.poller": "loops",
    "rest.sender": "loops",
    "rest.digest_api": "loops",
    "rest.pagination": "loops",
    "rest.order_lookup": "loops",
    "rest.reconciliation": "loops",
    "rest.resources": "rooms",
    "rest.resources.accounts": "rooms",
    "rest.resources.balances": "rooms",
    "rest.resources.connections": "rooms",
    "rest.resources.orders": "rooms",
    "rest.resources.positions": "rooms",
    "rest.resources.resource": "rooms",
    "rest.resources.single_get": "rooms",
    "rest.resources.tokens": "rooms",
    "rest.resources.transactions": "rooms",
    "rest.resources.users": "rooms",
    "client": "front door",
    "": "front door",
    "cli": "command",
    "cli.watch_output": "command",
    "cli.event_text": "command",
    "cli.commands.quotes": "command",
    "cli.candles": "command",
    "cli.commands.chain": "command",
    "cli.commands.change_order": "command",
    "cli.commands.bars": "command",
    "cli.commands.connect": "command",
    "cli.credentials": "command",
    "cli.commands.depth": "command",
    "cli.options": "command",
    "cli.errors": "command",
    "cli.commands.stream": "command",
    "cli.commands.connections": "command",
    "cli.main": "command",
    "cli.market_options": "command",
    "cli.commands.orders": "command",
    "cli.output": "command",
    "cli.commands.users": "command",
    "cli.commands.poll": "command",
    "cli.prompts": "command",
    "cli.commands.accounts": "command",
    "cli.watch_screen": "command",
    "cli.order_lookup": "command",
    "cli.order_submit": "command",
    "cli.commands.sandbox": "command",
    "cli.demo.narrator": "command",
    "cli.commands.option": "command",
    "cli.live_view": "command",
    "cli.commands.trade": "command",
    "cli.columns": "command",
    "cli.watch_state": "command",
    "cli.demo.browser": "command",
    "cli.progress": "command",
    "cli.commands.watch": "command",
    "cli.account_choice": "command",
    "cli.order_text": "command",
    "cli.demo": "cli.demo",
    "cli.demo.live": "cli.demo",
    "cli.demo.quotes": "cli.demo",
    "cli.demo.accounts": "cli.demo",
    "cli.demo.stream": "cli.demo",
    "cli.demo.orders": "cli.demo",
    "__main__": "entry",
}

# What points up all the same, each with its reason.
UPWARDS = {
    ("errors", ""): "the order and the answer in signatures, fetched when these are evaluated",
    ("tickets.ticket", "ids"): "a ticket has its id from birth, and an id needs the time and dice of a door",
    ("polling.results", "client"): "whose result it is; the type of a field, which help() reads",
    ("polling.fetcher", "client"): "whom it asks for; known to type checkers only",
    ("polling.poll_loop", "client"): "whom it polls; known to type checkers only",
    ("polling.outcomes", "client"): "whom it judges; known to type checkers only",
    ("polling.polled_books", "client"): "whom it reads; known to type checkers only",
    ("polling.poller", ""): "the user in signatures, fetched when these are evaluated",
    ("client", ""): "the version that is sent as the user agent, and names in signatures, fetched when evaluated",
    (
        "cli.commands.sandbox",
        "cli.demo",
    ): "`connecttrade demo` tells the story, which is drawn with the command's own tables",
}

# Each outside library enters through its one door, a module or a whole floor.
LIBRARIES = {
    "aiohttp": {"rest.connector", "rest.transport"},
    "yarl": {"rest.transport"},
    "multidict": {"rest.transport"},
    "backoff": {"pacing"},
    "websockets": {"streaming.fast_connection", "streaming.websocket"},
    "click": {"command", "cli.demo"},
    "rich": {"command", "cli.demo"},
    "anyio": set[str](),
    "random": {"pacing"},
    "time": {"clock"},
    "asyncio": {"doors", "loops", "front door", "command", "cli.demo"},
    "msgspec": {"values", "rules", "loops", "rooms", "front door", "command"},
}

# What is asked of the machine, and who may ask.
ASKING = {
    "os.environ": {"config", "cli.credentials"},  # the command asks a person for what its environment lacks
    "os.getenv": set[str](),
    "datetime.now": {"clock", "cli.options"},  # the command reads the word "today", which nobody hands in
    "datetime.utcnow": set[str](),
    "datetime.today": set[str](),
    "date.today": set[str](),
    "time.time": set[str](),
    "time.monotonic": {"clock"},
}

# Status numbers live in the wire's spelling and in the table of what may be asked again.
STATUS_NUMBERS = {"rest.wire", "rest.retry"}
STATUSES = {
    201,
    204,
    301,
    302,
    400,
    401,
    403,
    404,
    409,
    422,
    429,
    502,
    503,
    504,
}  # not 200 and 500, which bound other things too

SENTENCE = "decide where {name} lives and enter it in PLAN, in tests/test_layers.py, on one of the floors {floors}"


class Import(NamedTuple):
    target: str
    is_only_types: bool


def modules() -> dict[str, str]:
    """Return the source of each module, by its name without the package's."""
    found: dict[str, str] = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return found


MODULES = modules()
OURS = [name for name in MODULES if name.partition(".")[0] != "sandbox"]
THEIRS = [name for name in MODULES if name.partition(".")[0] == "sandbox"]


def absolute(node: ast.ImportFrom, name: str, *, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = [PACKAGE, *name.split(".")] if name else [PACKAGE]
    parts = parts[: len(parts) - node.level + is_package]
    return ".".join([*parts, *([node.module] if node.module else [])])


def imports(source: str, name: str = "", *, is_package: bool = False) -> list[Import]:
    """Collect all imports, also those in functions and those for type checkers.

    ``from package import name`` counts as the module of that name where there is one.
    """
    found: list[Import] = []

    def visit(node: ast.AST, *, is_only_types: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, is_only_types) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = absolute(node, name, is_package=is_package)
            for alias in node.names:
                inside = f"{origin}.{alias.name}".removeprefix(f"{PACKAGE}.")
                found.append(Import(f"{PACKAGE}.{inside}" if inside in MODULES else origin, is_only_types))
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for statement in node.body:
                visit(statement, is_only_types=True)
            for statement in node.orelse:
                visit(statement, is_only_types=is_only_types)
        else:
            for child in ast.iter_child_nodes(node):
                visit(child, is_only_types=is_only_types)

    visit(ast.parse(source), is_only_types=False)
    return found


def of_ours(target: str) -> str | None:
    if target == PACKAGE:
        return ""
    return target.removeprefix(f"{PACKAGE}.") if target.startswith(f"{PACKAGE}.") else None


def complaints_of_place(name: str) -> list[str]:
    return [] if name in PLAN else [SENTENCE.format(name=repr(name), floors=", ".join(FLOORS))]


def complaints_of_direction(name: str, source: str, *, is_package: bool = False) -> list[str]:
    complaints: list[str] = []
    for found in imports(source, name, is_package=is_package):
        target = of_ours(found.target)
        if target is None or (name, target) in UPWARDS:
            continue
        if target.partition(".")[0] == "sandbox":
            if PLAN[name] not in {"command", "cli.demo"}:
                complaints.append(f"{name} imports the sandbox, which only the command and the demo may")
            continue
        if name == "" and found.is_only_types:
            continue  # the front door names every public thing for type checkers, and fetches it when it is used
        if FLOORS.index(PLAN[target]) > FLOORS.index(PLAN[name]):
            complaints.append(f"{name} ({PLAN[name]}) imports {target} ({PLAN[target]}), which lies above it")
    return complaints


def complaints_of_doors(name: str, source: str) -> list[str]:
    complaints: list[str] = []
    for found in imports(source, name):
        library = found.target.partition(".")[0]
        known = library == PACKAGE or library in sys.stdlib_module_names
        allowed = LIBRARIES.get(library, None if known else set[str]())
        if allowed is not None and not {name, PLAN[name]} & allowed:
            complaints.append(f"{name} imports {library}, which enters only through {sorted(allowed) or 'no door yet'}")
    return complaints


def complaints_of_asking(name: str, source: str) -> list[str]:
    return [
        f"{name} asks {asked}, which only {sorted(ASKING[asked]) or 'nobody'} may"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and (asked := ast.unparse(node)) in ASKING and name not in ASKING[asked]
    ] + [
        f"{name} imports {node.module}.{alias.name} by name: import the module, so that its use is seen"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if f"{node.module}.{alias.name}" in ASKING and name not in ASKING[f"{node.module}.{alias.name}"]
    ]


def complaints_of_waiting(name: str, source: str) -> list[str]:
    waits = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    return [
        f"{name} waits in line {getattr(node, 'lineno', 0)}, and below the waterline nothing does"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, waits) or (isinstance(node, ast.comprehension) and node.is_async)
    ]


def complaints_of_numbers(name: str, source: str) -> list[str]:
    return [
        f"{name} has the status number {node.value} in line {node.lineno}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and type(node.value) is int and node.value in STATUSES
        if name not in STATUS_NUMBERS
    ]


def is_package(name: str) -> bool:
    return (ROOT.joinpath(*name.split(".")) / "__init__.py").is_file() if name else True


# --- the house


@pytest.mark.parametrize("name", OURS)
def test_every_module_has_its_place(name: str) -> None:
    assert complaints_of_place(name) == []


def test_the_plan_names_no_module_that_is_gone() -> None:
    assert set(PLAN) - set(OURS) == set()
    assert set(PLAN.values()) <= set(FLOORS)
    assert {name for pair in UPWARDS for name in pair} <= set(OURS)


@pytest.mark.parametrize("name", [name for name in OURS if name in PLAN])
def test_imports_point_down_and_libraries_enter_through_their_door(name: str) -> None:
    source = MODULES[name]
    assert complaints_of_direction(name, source, is_package=is_package(name)) == []
    assert complaints_of_doors(name, source) == []


@pytest.mark.parametrize("name", [name for name in OURS if name in PLAN])
def test_clock_dice_environment_and_status_numbers_stay_where_they_live(name: str) -> None:
    source = MODULES[name]
    assert complaints_of_asking(name, source) == []
    if FLOORS.index(PLAN[name]) <= FLOORS.index("front door"):
        assert complaints_of_numbers(name, source) == []


@pytest.mark.parametrize("name", [name for name in OURS if PLAN.get(name) in WATERLINE])
def test_below_the_waterline_nothing_waits(name: str) -> None:
    assert complaints_of_waiting(name, MODULES[name]) == []


@pytest.mark.parametrize("name", THEIRS)
def test_the_sandbox_knows_nothing_of_ours(name: str) -> None:
    known = [of_ours(found.target) for found in imports(MODULES[name], name, is_package=is_package(name))]
    assert [target for target in known if target is not None and target.partition(".")[0] != "sandbox"] == []


def test_every_exception_is_needed() -> None:
    for importer, target in UPWARDS:
        found = imports(MODULES[importer], importer, is_package=is_package(importer))
        assert target in [of_ours(each.target) for each in found]
        assert FLOORS.index(PLAN[target]) >= FLOORS.index(PLAN[importer])
    for asked, names in ASKING.items():
        used = {name for name in names if any(asked in told for told in complaints_of_asking("nobody", MODULES[name]))}
        assert used == names, asked


# --- what the tests above would say


def test_a_module_without_a_place_is_asked_for_one() -> None:
    (complaint,) = complaints_of_place("live.nowhere")
    assert complaint.startswith("decide where 'live.nowhere' lives and enter it in PLAN")


def test_imports_are_found_wherever_they_hide() -> None:
    source = """
from __future__ import annotations
import aiohttp.web as web
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from connecttrade_async.client import User
else:
    import yarl
def f():
    import asyncio
    class C:
        from connecttrade_async.rest import wire, resources
try:
    from . import secret
    from .models import Order
except ImportError:
    from ..outside import x
"""
    found = imports(source, "", is_package=True)
    assert Import("aiohttp.web", is_only_types=False) in found
    assert Import("connecttrade_async.client", is_only_types=True) in found
    assert {each.target for each in found if not each.is_only_types} >= {
        "yarl",
        "asyncio",
        "connecttrade_async.rest.wire",
        "connecttrade_async.rest.resources",
        "connecttrade_async.secret",
        "connecttrade_async.models",
    }


def test_relative_imports_are_read_from_where_they_stand() -> None:
    wire, errors = (Import(f"connecttrade_async.{name}", is_only_types=False) for name in ("rest.wire", "errors"))
    assert imports("from .wire import read", "rest.retry") == [wire]
    assert imports("from ..errors import APIError", "rest.retry") == [errors]
    assert imports("from .wire import read", "rest", is_package=True) == [wire]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("errors", "from connecttrade_async.config import Retry"),
        ("rest.wire", "from connecttrade_async.rest import transport"),
        ("rest.wire", "from .sender import Sender"),
        ("rest.retry", "def f():\n    import connecttrade_async.client"),
        (
            "models.orders",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from connecttrade_async import User",
        ),
        ("client", "from connecttrade_async.sandbox import Sandbox"),
        ("", "from connecttrade_async.cli import main"),
    ],
)
def test_an_import_that_points_up_is_told(name: str, source: str) -> None:
    assert len(complaints_of_direction(name, source, is_package=is_package(name))) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("rest.sender", "import aiohttp"),
        ("client", "import aiohttp"),
        ("rest.resources.orders", "from yarl import URL"),
        ("rest.retry", "import backoff"),
        ("rest.transport", "import websockets"),
        ("client", "import click"),
        ("rest.sender", "def f():\n    import random"),
        ("rest.retry", "import asyncio"),
        ("rest.limiter", "from time import monotonic"),
        ("errors", "import msgspec"),
        ("client", "import requests"),
    ],
)
def test_a_library_at_another_door_is_told(name: str, source: str) -> None:
    assert len(complaints_of_doors(name, source)) == 1
    assert complaints_of_doors("rest.transport", "import aiohttp") == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("client", "import os\nx = os.environ['A']"),
        ("client", "from os import environ"),
        ("config", "import os\nx = os.getenv('A')"),
        ("rest.wire", "now = datetime.now(UTC)"),
        ("rest.limiter", "import time\nx = time.monotonic()"),
    ],
)
def test_asking_the_machine_elsewhere_is_told(name: str, source: str) -> None:
    assert len(complaints_of_asking(name, source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "async def f(): ...",
        "x = [a async for a in b]",
        "async def f():\n    await g()",
        "async def f():\n    async with g():\n        pass",
    ],
)
def test_waiting_is_told(source: str) -> None:
    assert complaints_of_waiting("rest.wire", source)


def test_a_status_number_elsewhere_is_told() -> None:
    assert complaints_of_numbers("client", "if status == 404: ...") == ["client has the status number 404 in line 1"]
    assert complaints_of_numbers("rest.wire", "if status == 404: ...") == []
    assert complaints_of_numbers("client", "x = True, 1, '404'") == []
