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
FLOORS = ["ground", "values", "rules", "doors", "loops", "rooms", "front door", "command", "demo", "entry"]
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
    "tickets.checks": "rules",
    "tickets.legs": "rules",
    "tickets.order": "rules",
    "tickets.reading": "rules",
    "tickets.strategies": "rules",
    "analytics": "rules",
    "analytics.results": "rules",
    "redirects": "rules",
    "pacing": "rules",
    "rest": "rules",
    "rest.wire": "rules",
    "rest.retry": "rules",
    "rest.comparing": "rules",
    "live.doubts": "rules",
    "live.handles": "rules",
    "live.pace": "rules",
    "live.plan": "rules",
    "live.polled": "rules",
    "live.schedule": "rules",
    "live.standing": "rules",
    "streaming": "rules",
    "streaming.brokerage": "rules",
    "streaming.claims": "rules",
    "streaming.demands": "rules",
    "streaming.interests": "rules",
    "streaming.market_data": "rules",
    "streaming.cutter": "rules",
    "streaming.messages": "rules",
    "streaming.outcomes": "rules",
    "streaming.overlap": "rules",
    "streaming.protocol": "rules",
    "live": "rules",
    "live.book": "rules",
    "live.changes": "rules",
    "live.fills": "rules",
    "live.merging": "rules",
    "live.reports": "rules",
    "live.shelf": "rules",
    "live.tracker": "rules",
    "streaming.sieves": "rules",
    "streaming.talk": "rules",
    "clock": "doors",
    "ids": "doors",
    "rest.connector": "doors",
    "rest.deadlines": "doors",
    "rest.gate": "doors",
    "rest.transport": "doors",
    "streaming.fanout": "doors",
    "streaming.subscriptions": "doors",
    "streaming.link": "doors",
    "live.telling": "doors",
    "live.accounts": "loops",
    "live.following": "loops",
    "live.intake": "loops",
    "live.limits": "loops",
    "live.linked": "loops",
    "live.roster": "loops",
    "live.snapshots": "loops",
    "live.surveyor": "loops",
    "live.sweep": "loops",
    "streaming.routes": "doors",
    "streaming.desk": "loops",
    "streaming.bar_feed": "loops",
    "streaming.feeds": "loops",
    "streaming.market_stream": "loops",
    "streaming.tokens": "loops",
    "streaming.voice": "loops",
    "streaming.plan": "loops",
    "streaming.supervisor": "loops",
    "streaming.watchdog": "loops",
    "streaming.streams": "loops",
    "live.inbox": "doors",
    "live.turnstile": "doors",
    "live.workers": "loops",
    "live.asking": "loops",
    "live.polled_books": "loops",
    "live.rounds": "loops",
    "live.verdicts": "loops",
    "live.poller": "loops",
    "rest.caller": "loops",
    "rest.noting": "loops",
    "rest.recalling": "loops",
    "rest.watching": "loops",
    "rest.pagination": "loops",
    "rest.lookups": "loops",
    "rest.settling": "loops",
    "rest.resources": "rooms",
    "rest.resources.accounts": "rooms",
    "rest.resources.balances": "rooms",
    "rest.resources.connections": "rooms",
    "rest.resources.orders": "rooms",
    "rest.resources.positions": "rooms",
    "rest.resources.resource": "rooms",
    "rest.resources.single": "rooms",
    "rest.resources.tokens": "rooms",
    "rest.resources.transactions": "rooms",
    "rest.resources.users": "rooms",
    "client": "front door",
    "": "front door",
    "cli": "command",
    "cli.bulletins": "command",
    "cli.changed": "command",
    "cli.board": "command",
    "cli.candles": "command",
    "cli.chains": "command",
    "cli.changing": "command",
    "cli.charting": "command",
    "cli.connecting": "command",
    "cli.credentials": "command",
    "cli.deepening": "command",
    "cli.endings": "command",
    "cli.failures": "command",
    "cli.following": "command",
    "cli.guessing": "command",
    "cli.happenings": "command",
    "cli.ladder": "command",
    "cli.links": "command",
    "cli.main": "command",
    "cli.market": "command",
    "cli.options": "command",
    "cli.orders": "command",
    "cli.output": "command",
    "cli.people": "command",
    "cli.polling": "command",
    "cli.prompting": "command",
    "cli.quoting": "command",
    "cli.reading": "command",
    "cli.screen": "command",
    "cli.seeking": "command",
    "cli.sending": "command",
    "cli.series": "command",
    "cli.serving": "command",
    "cli.sheet": "command",
    "cli.stage": "command",
    "cli.strategies": "command",
    "cli.tables": "command",
    "cli.telling": "command",
    "cli.ticking": "command",
    "cli.trading": "command",
    "cli.views": "command",
    "cli.vigil": "command",
    "cli.visitor": "command",
    "cli.waiting": "command",
    "cli.watching": "command",
    "cli.whose": "command",
    "cli.wording": "command",
    "demo": "demo",
    "demo.living": "demo",
    "demo.quoting": "demo",
    "demo.reading": "demo",
    "demo.streaming": "demo",
    "demo.trading": "demo",
    "__main__": "entry",
}

# What points up all the same, each with its reason.
UPWARDS = {
    ("errors", ""): "the order and the answer in signatures, fetched when these are evaluated",
    ("tickets.order", "ids"): "a ticket has its id from birth, and an id needs the time and dice of a door",
    ("live.polled", "client"): "whose result it is; the type of a field, which help() reads",
    ("live.asking", "client"): "whom it asks for; known to type checkers only",
    ("live.rounds", "client"): "whom it polls; known to type checkers only",
    ("live.verdicts", "client"): "whom it judges; known to type checkers only",
    ("live.polled_books", "client"): "whom it reads; known to type checkers only",
    ("live.poller", ""): "the user in signatures, fetched when these are evaluated",
    ("client", ""): "the version that is sent as the user agent, and names in signatures, fetched when evaluated",
    ("cli.serving", "demo"): "`connecttrade demo` tells the story, which is drawn with the command's own tables",
}

# Each outside library enters through its one door, a module or a whole floor.
LIBRARIES = {
    "aiohttp": {"rest.connector", "rest.transport"},
    "yarl": {"rest.transport"},
    "multidict": {"rest.transport"},
    "backoff": {"pacing"},
    "websockets": {"streaming.link"},
    "click": {"command", "demo"},
    "rich": {"command", "demo"},
    "anyio": set[str](),
    "random": {"pacing"},
    "time": {"clock"},
    "asyncio": {"doors", "loops", "front door", "command", "demo"},
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
            if PLAN[name] not in {"command", "demo"}:
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
        ("rest.wire", "from .caller import Caller"),
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
        ("rest.caller", "import aiohttp"),
        ("client", "import aiohttp"),
        ("rest.resources.orders", "from yarl import URL"),
        ("rest.retry", "import backoff"),
        ("rest.transport", "import websockets"),
        ("client", "import click"),
        ("rest.caller", "def f():\n    import random"),
        ("rest.retry", "import asyncio"),
        ("rest.gate", "from time import monotonic"),
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
        ("rest.gate", "import time\nx = time.monotonic()"),
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
