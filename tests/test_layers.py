"""The layers of the package: the modules that a module may import, and those that may use each library and input."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

from connecttrade_async import Dialect

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "connecttrade_async"
ROOT = Path(__file__).parents[1] / PACKAGE

# From the bottom up. A module imports from its own layer or a lower one, never from a higher one.
LAYERS = ["base", "values", "rules", "io", "loops", "resources", "public api", "command", "demo", "entry"]
SANS_IO = {"base", "values", "rules"}

LAYER_OF = {
    "_version": "base",
    "errors": "base",
    "secret": "base",
    "config": "values",
    "dialect": "values",
    "dialect.checks": "values",
    "dialect.names": "values",
    "dialect.parts": "values",
    "dialect.shape": "values",
    "dialect.templates": "values",
    "dialect.tolerance": "values",
    "dialect.toml_text": "values",
    "dialect.value": "values",
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
    "models.variants": "values",
    "amounts": "values",
    "census": "rules",
    "symbology": "rules",
    "symbology.classification": "rules",
    "symbology.equities": "rules",
    "symbology.options": "rules",
    "tickets": "rules",
    "tickets.builders": "rules",
    "tickets.validation": "rules",
    "tickets.legs": "rules",
    "tickets.ticket": "rules",
    "tickets.strategies": "rules",
    "analytics": "rules",
    "oauth": "rules",
    "pacing": "rules",
    "doctor": "rules",
    "doctor.answers": "rules",
    "doctor.attempts": "rules",
    "doctor.client_probe": "public api",
    "doctor.stream_findings": "rules",
    "doctor.stream_probe": "loops",
    "doctor.rest_checks": "public api",
    "doctor.traffic": "public api",
    "doctor.comparison": "rules",
    "doctor.contract": "rules",
    "doctor.document_source": "io",
    "doctor.findings": "rules",
    "doctor.openapi": "rules",
    "doctor.written_dialect": "rules",
    "doctor.document_dialect": "rules",
    "doctor.our_contract": "public api",
    "recording": "rules",
    "recording.entries": "rules",
    "recording.leaks": "rules",
    "recording.pseudonyms": "rules",
    "recording.recorder": "public api",
    "recording.redaction": "rules",
    "recording.taps": "rules",
    "recording.vocabulary": "rules",
    "recording.writer": "io",
    "rest": "rules",
    "rest.wire": "rules",
    "rest.codec": "rules",
    "rest.envelopes": "rules",
    "rest.retry": "rules",
    "rest.digests": "rules",
    "live.doubt_budget": "rules",
    "validation": "values",
    "futures": "io",
    "polling.config": "rules",
    "polling.results": "rules",
    "polling.schedule": "rules",
    "polling.outage": "rules",
    "streaming": "rules",
    "streaming.batches": "rules",
    "streaming.brokerage_codec": "rules",
    "streaming.census": "rules",
    "streaming.digits": "rules",
    "streaming.frame_types": "rules",
    "streaming.signs": "rules",
    "streaming.update_forms": "rules",
    "market_data.registry": "rules",
    "streaming.filters": "rules",
    "market_data.codec": "rules",
    "market_data.encoder": "rules",
    "market_data.event_forms": "rules",
    "market_data.event_types": "rules",
    "market_data.names": "rules",
    "streaming.forms": "rules",
    "streaming.frames": "rules",
    "streaming.codec": "rules",
    "market_data.sync_events": "rules",
    "market_data.quiet_hours": "rules",
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
    "relay": "loops",
    "relay.alarm": "io",
    "relay.engine": "loops",
    "relay.fanout": "io",
    "relay.follower": "loops",
    "relay.leader": "loops",
    "relay.lease": "rules",
    "relay.log": "rules",
    "relay.outbox": "rules",
    "relay.redis": "io",
    "relay.relay": "loops",
    "relay.scripts": "rules",
    "relay.settings": "rules",
    "clock": "io",
    "ids": "io",
    "rest.connector": "io",
    "rest.deadlines": "io",
    "rest.limiter": "io",
    "rest.rate_limiter": "io",
    "rest.transport": "io",
    "streaming.fanout": "io",
    "streaming.subscriptions": "io",
    "streaming.fast_connection": "io",
    "streaming.websocket": "io",
    "books.change_feed": "io",
    "live.accounts": "loops",
    "live.engine": "loops",
    "live.updates": "loops",
    "live.snapshot_limit": "loops",
    "live.missing_accounts": "loops",
    "books.followed_users": "loops",
    "books.snapshots": "loops",
    "live.resync": "loops",
    "live.sweep": "loops",
    "market_data.replies": "io",
    "market_data.fanout": "io",
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
    "streaming.brokerage_stream": "loops",
    "polling.result_queue": "io",
    "polling.worker_pool": "loops",
    "polling.fetcher": "loops",
    "polling.polled_books": "loops",
    "polling.poll_loop": "loops",
    "polling.outcomes": "loops",
    "polling.poller": "loops",
    "rest.sender": "loops",
    "rest.call": "loops",
    "polling.polled_api": "loops",
    "rest.pagination": "loops",
    "rest.order_lookup": "loops",
    "rest.reconciliation": "loops",
    "rest.resources": "resources",
    "rest.resources.accounts": "resources",
    "rest.resources.balances": "resources",
    "rest.resources.connections": "resources",
    "rest.resources.orders": "resources",
    "rest.resources.positions": "resources",
    "rest.resources.resource": "resources",
    "rest.resources.tokens": "resources",
    "rest.resources.transactions": "resources",
    "rest.resources.users": "resources",
    "client": "public api",
    "user": "public api",
    "": "public api",
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
    "cli.commands.relay": "command",
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
    "cli.commands.doctor": "command",
    "cli.doctor_output": "command",
    "cli.commands.record": "command",
    "cli.commands.sandbox": "command",
    "cli.demo.narrator": "command",
    "cli.commands.option": "command",
    "cli.live_view": "command",
    "cli.commands.trade": "command",
    "cli.columns": "command",
    "cli.watch_state": "command",
    "cli.progress": "command",
    "cli.commands.watch": "command",
    "cli.account_choice": "command",
    "cli.order_text": "command",
    "cli.demo": "demo",
    "cli.demo.live": "demo",
    "cli.demo.quotes": "demo",
    "cli.demo.accounts": "demo",
    "cli.demo.stream": "demo",
    "cli.demo.orders": "demo",
    "__main__": "entry",
}

# Imports that point up, each with its reason.
UPWARDS = {
    ("errors", ""): "the order and the response in signatures, imported when these are evaluated",
    ("tickets.ticket", "ids"): "a ticket has its id from the start, and an id needs the clock and random bits",
    ("polling.results", "user"): "the user of a result; the type of a field, which help() reads",
    ("polling.fetcher", "user"): "the polled user; imported for type checkers only",
    ("polling.poll_loop", "user"): "the polled user; imported for type checkers only",
    ("polling.outcomes", "user"): "the polled user; imported for type checkers only",
    ("polling.polled_books", "user"): "the polled user; imported for type checkers only",
    ("polling.poller", ""): "the user in signatures, imported when these are evaluated",
    ("client", ""): "names in signatures, imported when these are evaluated",
    ("user", ""): "names in signatures, imported when these are evaluated",
    (
        "cli.commands.sandbox",
        "cli.demo",
    ): "`connecttrade demo` runs the demo, which prints with the command's own tables",
}

# The modules or layers that may import each outside library.
LIBRARIES = {
    "aiohttp": {"rest.connector", "rest.transport"},
    "yarl": {"rest.transport"},
    "multidict": {"rest.transport"},
    "backoff": {"pacing"},
    "websockets": {"streaming.fast_connection", "streaming.websocket"},
    "redis": {"relay.redis"},
    "click": {"command", "demo"},
    "rich": {"command", "demo"},
    "anyio": {"live.engine", "polling.poller", "streaming.stream"},  # a close that a cancel scope does not interrupt
    "random": {"pacing"},
    "time": {"clock"},
    "asyncio": {"io", "loops", "public api", "command", "demo"},
    "msgspec": {"values", "rules", "loops", "resources", "public api", "command"},
}

# Inputs from the machine, and the modules that may read them.
INPUTS = {
    "os.environ": {"config", "cli.credentials"},  # the command prompts for missing variables
    "os.getenv": set[str](),
    "datetime.now": {"clock", "cli.options"},  # the command resolves the word "today"
    "datetime.utcnow": set[str](),
    "datetime.today": set[str](),
    "date.today": set[str](),
    "time.time": set[str](),
    "time.monotonic": {"clock"},
}

# Status numbers stand only in the wire format and in the table of retries.
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
}  # without 200 and 500, which are other limits too

# The values of the dialect that are names, and its templates.
ENVELOPES = (
    "lists",
    "next_cursor",
    "prev_cursor",
    "next_header",
    "prev_header",
    "next_parameter",
    "prev_parameter",
    "error_message",
)
SETTINGS = {"handshake", "ids", "counts"}
TEMPLATES = {"authenticate", "subscribe", "unsubscribe", "list", "snapshot", "pong"}
# The packages in which no text may be a wire name of a frame, an envelope or a cursor: these stand in the defaults of
# the dialect only. The exceptions are words of this library that the wire shares.
READERS_OF_THE_WIRE = ("streaming", "market_data", "rest", "live", "books")
KEYS = "keys of the dialect: the wire's name is what the dialect has under them"
FIELDS = "fields of models and messages: attributes, which the dialect's names rename on the wire"
PLACEHOLDERS = "placeholders of the dialect's templates"
TOPICS = "topics as arguments and attributes of the public API; the dialect has the wire's"
SENT = "members and parameters of requests, which the dialect's rest.names rename"
ARGUMENTS = "arguments and attributes of this library's own objects"
REMAINDER = "spelled here as in the defaults of the dialect, which another dialect does not change"
SPELLED: dict[str, dict[str, str]] = {
    "streaming.brokerage_codec": {
        "order position balance subscribed unsubscribed": KEYS,
        "client_id client_secret topics id": PLACEHOLDERS,
        "user_id account_id": FIELDS,
    },
    "streaming.brokerage_stream": {"positions balances": TOPICS},
    "streaming.codec": {
        "welcome authenticated subscribed unsubscribed error ping": KEYS,
        "user_id account_id topics channel symbols id message": FIELDS,
    },
    "streaming.fanout": {"user_id account_id": FIELDS},
    "streaming.filters": {"orders positions balances": TOPICS, "user_id account_id": FIELDS},
    "streaming.frame_types": {"order balance": KEYS, "user_id account_id timestamp data": FIELDS},
    "streaming.signs": {"id": "the end of the names of ids; their values hold no words"},
    "streaming.supervisor": {"error": "a field of a log record"},
    "streaming.update_forms": {
        "order orders position positions balance balances": KEYS,
        "user_id account_id timestamp data": FIELDS,
    },
    "market_data.bar_feed": {"symbols error": ARGUMENTS},
    "market_data.codec": {
        "subscriptions snapshot subscribed unsubscribed error bar bars": KEYS,
        "symbols channel id topics": FIELDS,
        "type": REMAINDER,
    },
    "market_data.encoder": {"id channel symbols access_token": PLACEHOLDERS, "bars": KEYS},
    "market_data.event_forms": {
        "quote trade bar depth": KEYS,
        "id channel timestamp": FIELDS,
        "type": REMAINDER,
    },
    "market_data.names": {"options_chain quotes trades bars depth": KEYS},
    "market_data.registry": {"trades depth options_chain": KEYS},
    "market_data.requests": {"subscriptions bars": KEYS},
    "market_data.stream": {"options_chain quotes trades bars depth subscriptions": KEYS},
    "market_data.subscription_sync": {
        "subscribe unsubscribe": KEYS,
        "id": FIELDS,
        "429 500 502 503 504": REMAINDER,
    },
    "rest.codec": {"next_cursor prev_cursor": SENT},
    "rest.resources.accounts": {"account_id": FIELDS},
    "rest.resources.balances": {"account_id": FIELDS},
    "rest.resources.orders": {"next_cursor prev_cursor account_id symbols": SENT},
    "rest.resources.positions": {"account_id symbols": SENT},
    "rest.resources.tokens": {"trade": "the access of a connection, and not the tag of a trade"},
    "rest.resources.transactions": {"account_id": SENT},
    "rest.resources.users": {"user_id": SENT},
    "rest.sender": {"user_id": ARGUMENTS},
    "rest.wire": {"message": ARGUMENTS},
    "live.accounts": {"user_id positions": ARGUMENTS},
    "books.change_feed": {"orders": TOPICS},
    "books.changes": {"orders positions balances": TOPICS},
    "books.merge": {"account_id": FIELDS},
    "books.snapshots": {"orders positions balances": "names of the lists of a snapshot, in a message"},
}

PLACE_IT = "enter {name} in LAYER_OF in tests/test_layers.py, in one of the layers {layers}"


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
CLIENT_MODULES = [name for name in MODULES if name.partition(".")[0] != "sandbox"]
SANDBOX_MODULES = [name for name in MODULES if name.partition(".")[0] == "sandbox"]


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

    def probe(node: ast.AST, *, is_only_types: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, is_only_types) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = absolute(node, name, is_package=is_package)
            for alias in node.names:
                inside = f"{origin}.{alias.name}".removeprefix(f"{PACKAGE}.")
                found.append(Import(f"{PACKAGE}.{inside}" if inside in MODULES else origin, is_only_types))
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for statement in node.body:
                probe(statement, is_only_types=True)
            for statement in node.orelse:
                probe(statement, is_only_types=is_only_types)
        else:
            for child in ast.iter_child_nodes(node):
                probe(child, is_only_types=is_only_types)

    probe(ast.parse(source), is_only_types=False)
    return found


def own_module(target: str) -> str | None:
    if target == PACKAGE:
        return ""
    return target.removeprefix(f"{PACKAGE}.") if target.startswith(f"{PACKAGE}.") else None


def unplaced_module(name: str) -> list[str]:
    return [] if name in LAYER_OF else [PLACE_IT.format(name=repr(name), layers=", ".join(LAYERS))]


def upward_imports(name: str, source: str, *, is_package: bool = False) -> list[str]:
    problems: list[str] = []
    for found in imports(source, name, is_package=is_package):
        target = own_module(found.target)
        if target is None or (name, target) in UPWARDS:
            continue
        if target.partition(".")[0] == "sandbox":
            if LAYER_OF[name] not in {"command", "demo"}:
                problems.append(f"{name} imports the sandbox, which only the command and the demo may")
            continue
        if name == "" and found.is_only_types:
            continue  # the package names its public API for type checkers, and imports it when it is used
        if LAYERS.index(LAYER_OF[target]) > LAYERS.index(LAYER_OF[name]):
            problems.append(f"{name} ({LAYER_OF[name]}) imports {target} ({LAYER_OF[target]}), which is above it")
    return problems


def misplaced_libraries(name: str, source: str) -> list[str]:
    problems: list[str] = []
    for found in imports(source, name):
        library = found.target.partition(".")[0]
        known = library == PACKAGE or library in sys.stdlib_module_names
        allowed = LIBRARIES.get(library, None if known else set[str]())
        if allowed is not None and not {name, LAYER_OF[name]} & allowed:
            problems.append(f"{name} imports {library}, which only {sorted(allowed) or 'no module'} may")
    return problems


def misplaced_inputs(name: str, source: str) -> list[str]:
    return [
        f"{name} reads {source_name}, which only {sorted(INPUTS[source_name]) or 'no module'} may"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and (source_name := ast.unparse(node)) in INPUTS
        and name not in INPUTS[source_name]
    ] + [
        f"{name} imports {node.module}.{alias.name} by name: import the module, so that its use is visible"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if f"{node.module}.{alias.name}" in INPUTS and name not in INPUTS[f"{node.module}.{alias.name}"]
    ]


def waits_in(name: str, source: str) -> list[str]:
    waits = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    return [
        f"{name} waits in line {getattr(node, 'lineno', 0)}, but its layer does no I/O"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, waits) or (isinstance(node, ast.comprehension) and node.is_async)
    ]


def status_numbers_in(name: str, source: str) -> list[str]:
    return [
        f"{name} has the status number {node.value} in line {node.lineno}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and type(node.value) is int and node.value in STATUSES
        if name not in STATUS_NUMBERS
    ]


def wire_names() -> frozenset[str]:
    """Return the names of frames, envelopes and cursors in the defaults of the dialect."""
    dialect = Dialect.default.to_dict()
    parts = [dialect["errors"], *(dialect["rest"][name] for name in ENVELOPES)]
    for name in ("brokerage", "market_data"):
        stream: dict[str, Any] = dialect[name]
        parts += [value for key, value in stream.items() if key not in SETTINGS]
        parts += [list(stream[key]) for key in TEMPLATES & stream.keys()]
    found = {word for text in texts_in(parts) for word in re.split(r"\[\]|\.", text)}
    return frozenset(word for word in found if re.fullmatch(r"[\w-]+", word))


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from texts_in(list(cast("dict[str, Any]", value).values()))
    elif isinstance(value, list | tuple):
        for each in cast("list[Any]", value):
            yield from texts_in(each)


WIRE_NAMES = wire_names()


def wire_names_in(source: str) -> dict[str, int]:
    """Return the wire names that texts of a module are, or quote, with the line of the last."""
    tree = ast.parse(source)
    documentation = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and node not in documentation:
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            words = {text, *re.findall(r'"([\w-]+)"', text)}
            found |= dict.fromkeys(words & WIRE_NAMES, node.lineno)
    return found


def spelled_wire_names(name: str, source: str) -> list[str]:
    allowed = {word for words in SPELLED.get(name, {}) for word in words.split()}
    return [
        f"{name} spells the wire name {word!r} in line {line}: read it from the dialect, or say in SPELLED why not"
        for word, line in wire_names_in(source).items()
        if word not in allowed
    ]


def is_package(name: str) -> bool:
    return (ROOT.joinpath(*name.split(".")) / "__init__.py").is_file() if name else True


# --- the package


@pytest.mark.parametrize("name", CLIENT_MODULES)
def test_every_module_is_in_a_layer(name: str) -> None:
    assert unplaced_module(name) == []


def test_layer_of_names_only_modules_that_exist() -> None:
    assert set(LAYER_OF) - set(CLIENT_MODULES) == set()
    assert set(LAYER_OF.values()) <= set(LAYERS)
    assert {name for pair in UPWARDS for name in pair} <= set(CLIENT_MODULES)


@pytest.mark.parametrize("name", [name for name in CLIENT_MODULES if name in LAYER_OF])
def test_module_imports_point_down_and_libraries_stay_in_their_modules(name: str) -> None:
    source = MODULES[name]
    assert upward_imports(name, source, is_package=is_package(name)) == []
    assert misplaced_libraries(name, source) == []


@pytest.mark.parametrize("name", [name for name in CLIENT_MODULES if name in LAYER_OF])
def test_module_reads_only_its_inputs_and_has_no_status_number(name: str) -> None:
    source = MODULES[name]
    assert misplaced_inputs(name, source) == []
    if LAYERS.index(LAYER_OF[name]) <= LAYERS.index("public api"):
        assert status_numbers_in(name, source) == []


@pytest.mark.parametrize("name", [name for name in CLIENT_MODULES if name.partition(".")[0] in READERS_OF_THE_WIRE])
def test_module_reads_wire_names_from_the_dialect(name: str) -> None:
    assert spelled_wire_names(name, MODULES[name]) == []


@pytest.mark.parametrize("name", [name for name in CLIENT_MODULES if LAYER_OF.get(name) in SANS_IO])
def test_module_of_a_sans_io_layer_does_not_wait(name: str) -> None:
    assert waits_in(name, MODULES[name]) == []


@pytest.mark.parametrize("name", SANDBOX_MODULES)
def test_sandbox_module_imports_nothing_of_the_client(name: str) -> None:
    known = [own_module(found.target) for found in imports(MODULES[name], name, is_package=is_package(name))]
    assert [target for target in known if target is not None and target.partition(".")[0] != "sandbox"] == []


def test_exceptions_are_all_used() -> None:
    for importer, target in UPWARDS:
        found = imports(MODULES[importer], importer, is_package=is_package(importer))
        assert target in [own_module(each.target) for each in found]
        assert LAYERS.index(LAYER_OF[target]) >= LAYERS.index(LAYER_OF[importer])
    for source_name, names in INPUTS.items():
        used = {
            name
            for name in names
            if any(source_name in problem for problem in misplaced_inputs("other", MODULES[name]))
        }
        assert used == names, source_name
    for name, reasons in SPELLED.items():
        words = [word for row in reasons for word in row.split()]
        assert set(words) <= wire_names_in(MODULES[name]).keys(), name


# --- the checks themselves


def test_unplaced_module_names_a_module_without_a_layer() -> None:
    (problem,) = unplaced_module("live.nowhere")
    assert problem.startswith("enter 'live.nowhere' in LAYER_OF")


def test_imports_finds_imports_in_any_block() -> None:
    source = """
from __future__ import annotations
import aiohttp.web as web
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from connecttrade_async.user import User
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
    assert Import("connecttrade_async.user", is_only_types=True) in found
    assert {each.target for each in found if not each.is_only_types} >= {
        "yarl",
        "asyncio",
        "connecttrade_async.rest.wire",
        "connecttrade_async.rest.resources",
        "connecttrade_async.secret",
        "connecttrade_async.models",
    }


def test_imports_resolves_relative_imports() -> None:
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
def test_upward_imports_finds_an_import_of_a_higher_layer(name: str, source: str) -> None:
    assert len(upward_imports(name, source, is_package=is_package(name))) == 1


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
def test_misplaced_libraries_finds_a_library_in_another_module(name: str, source: str) -> None:
    assert len(misplaced_libraries(name, source)) == 1
    assert misplaced_libraries("rest.transport", "import aiohttp") == []


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
def test_misplaced_inputs_finds_an_input_in_another_module(name: str, source: str) -> None:
    assert len(misplaced_inputs(name, source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "async def f(): ...",
        "x = [a async for a in b]",
        "async def f():\n    await g()",
        "async def f():\n    async with g():\n        pass",
    ],
)
def test_waits_in_finds_each_kind_of_wait(source: str) -> None:
    assert waits_in("rest.wire", source)


def test_status_numbers_in_finds_a_number_in_another_module() -> None:
    assert status_numbers_in("client", "if status == 404: ...") == ["client has the status number 404 in line 1"]
    assert status_numbers_in("rest.wire", "if status == 404: ...") == []
    assert status_numbers_in("client", "x = True, 1, '404'") == []


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("x = frame['user_id']", "user_id"),
        ("class A(Struct, tag='order'): ...", "order"),
        ("KEY = b'\"account_id\"'", "account_id"),
        ("x = f'{{\"type\": {kind}}}'", "type"),
        ('x = \'{"action": "subscribe"}\'', "action"),
        ("match frame:\n    case {'data': x}: ...", "data"),
        ("x = headers.get('next-cursor')", "next-cursor"),
        ("x = body['next_cursor']", "next_cursor"),
        ("if code == '4401': ...", "4401"),
        ("x = [row for row in body['transactions']]", "transactions"),
    ],
)
def test_spelled_wire_names_finds_a_name_of_the_dialect(source: str, word: str) -> None:
    problems = spelled_wire_names("live.sweep", source)
    assert any(f"the wire name {word!r} in line" in problem for problem in problems)


def test_spelled_wire_names_passes_over_documentation_and_exceptions() -> None:
    assert spelled_wire_names("live.sweep", '"""data"""\ndef f():\n    "user_id"\n    return other.user_id') == []
    assert spelled_wire_names("rest.resources.users", "x = {'user_id': user_id}") == []
