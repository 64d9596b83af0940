"""What the package offers: one list, made of its parts, and fetched when it is used."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

import connecttrade_async

if TYPE_CHECKING:
    from types import ModuleType

SOURCE = Path(connecttrade_async.__file__).read_text(encoding="utf-8")
ROOT = Path(connecttrade_async.__file__).parent
# Modules with a public list of names.
WHOLE = ["client", "clock", "config", "dialect.value", "errors", "models", "oauth", "rest.pagination", "secret"]
# The rooms of which some names are; the rest is for the house.
SOME = {
    "live.accounts": {"LiveAccounts"},
    "books.book": {"Book"},
    "books.changes": {"BalanceChanged", "OrderChanged", "PositionChanged"},
    "live.status": {"LiveHealth", "LiveStatistics"},
    "books.change_feed": {"ChangeSubscription"},
    "books.order_tracker": {"OrderRetention"},
    "models.events": {
        "BalanceUpdate",
        "StreamConnecting",
        "StreamEnded",
        "Event",
        "Gap",
        "StreamLive",
        "StreamLost",
        "OrderUpdate",
        "PositionUpdate",
        "StreamRetrying",
        "UnknownMessage",
    },
    "models.market": {
        "Bar",
        "Depth",
        "Greeks",
        "Level",
        "OptionContract",
        "OptionsChain",
        "Quote",
        "SymbolRefused",
        "Trade",
    },
    "market_data.bar_feed": {"BarFeed"},
    "market_data.feeds": {"DepthFeed", "Feed"},
    "market_data.stream": {"MarketDataStream", "ServerSubscription", "ServerSubscriptions"},
    "polling.results": {"Outage", "PollResult", "PollStatistics", "OutageEnded", "RateLimited"},
    "polling.poller": {"Poller"},
    "recording.recorder": {"Recorder"},
    "streaming.subscriptions": {"SubscriptionStatistics", "Subscription"},
    "streaming.protocol": {"CloseReason"},
    "streaming.brokerage_stream": {"BrokerageStream"},
    "streaming.stream": {"StreamHealth"},
    "relay.relay": {"Relay", "RelayStatus"},
    "relay.settings": {"Keep"},
    "rest.wire": {"Response"},
    "symbology": {
        "EquityKind",
        "EquitySymbol",
        "OptionRight",
        "OptionSymbol",
        "parse_dashed",
        "parse_dotted",
        "parse_equity",
        "parse_option",
        "parse_symbol",
    },
    "tickets": {"OrderTicket", "TicketLeg"},
    "user": {"User"},
}
# The rooms that are offered as they are: ``tickets.limit(...)``.
AS_THEY_ARE = ["analytics", "symbology", "tickets"]
HEAVY = ["aiohttp", "anyio", "asyncio", "backoff", "click", "msgspec", "redis", "rich", "websockets", "yarl"]
INSIDE = ["sandbox", "cli", "cli.demo", "client", "rest", "models", "errors"]

NAMES = [name for name in connecttrade_async.__all__ if name not in {"__version__", *AS_THEY_ARE}]


def room(name: str) -> ModuleType:
    return import_module(f"connecttrade_async.{name}")


def lazy_table() -> dict[str, str]:
    """Read ``_ROOMS`` from the source: name to room."""
    (node,) = [
        node.value
        for node in ast.parse(SOURCE).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_ROOMS"
    ]
    rooms = cast("dict[str, tuple[str, ...]]", ast.literal_eval(node))
    pairs = [(name, home) for home, names in rooms.items() for name in names]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def imported_for_type_checkers() -> dict[str, str]:
    (block,) = [
        node
        for node in ast.parse(SOURCE).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    found: dict[str, str] = {}
    for node in block.body:
        if isinstance(node, ast.AnnAssign):
            continue  # the type of ``__all__``
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name  # the mark of a public name for type checkers
            found[alias.name] = (node.module or "").removeprefix("connecttrade_async").removeprefix(".")
    return found


def public_rooms() -> list[str]:
    found: list[str] = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name and parts[0] not in {"sandbox", "cli"} and "__all__" in path.read_text(encoding="utf-8"):
            found.append(name)
    return found


def test_the_list_is_the_union_of_the_parts() -> None:
    parts = {name for home in WHOLE for name in room(home).__all__}
    some = {name for names in SOME.values() for name in names}
    assert set(connecttrade_async.__all__) == parts | some | {"__version__", *AS_THEY_ARE}
    for home, names in SOME.items():
        assert names <= set(room(home).__all__)


def test_the_list_is_sorted_and_names_nothing_twice() -> None:
    assert sorted(set(connecttrade_async.__all__)) == connecttrade_async.__all__


def test_the_lazy_table_and_the_type_checkers_agree() -> None:
    assert lazy_table() | dict.fromkeys(AS_THEY_ARE, "") == imported_for_type_checkers()
    assert sorted(lazy_table()) == NAMES


@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_a_room_that_is_offered_as_it_is(name: str) -> None:
    assert getattr(connecttrade_async, name) is room(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_the_one_of_its_room(name: str) -> None:
    assert getattr(connecttrade_async, name) is getattr(room(lazy_table()[name]), name)


@pytest.mark.parametrize("name", public_rooms())
def test_the_list_of_every_room_is_sorted_and_real(name: str) -> None:
    offered: list[str] = room(name).__all__
    assert offered == sorted(set(offered), key=lambda each: (not each.isupper(), each.islower(), each))
    for each in offered:
        thing: Any = getattr(room(name), each)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            # A package may export names of its own modules, but a module none of another.
            assert thing.__module__.startswith(f"connecttrade_async.{name}")
            assert thing.__doc__


def test_dir_lists_every_name() -> None:
    assert set(connecttrade_async.__all__) <= set(dir(connecttrade_async))
    assert dir(connecttrade_async) == sorted(dir(connecttrade_async))


@pytest.mark.parametrize("name", ["Sandbox", "nonsense", "_nonsense", "__wrapped__"])
def test_an_unknown_name_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match=f"^module 'connecttrade_async' has no attribute '{name}'$"):
        getattr(connecttrade_async, name)
    assert not hasattr(connecttrade_async, name)


def test_the_version_is_one() -> None:
    assert [part.isdecimal() for part in connecttrade_async.__version__.split(".")[:3]] == [True] * 3


def fresh(code: str) -> list[str]:
    done = subprocess.run(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-I", "-W", "error", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.split()


HERE = f"import sys; sys.path.insert(0, {str(ROOT.parent)!r})"
LOADED = "print(*sys.modules)"


def test_importing_the_package_is_light() -> None:
    before = fresh(f"{HERE}; {LOADED}")
    after = fresh(f"{HERE}; import connecttrade_async; {LOADED}")
    new = set(after) - set(before)
    assert "connecttrade_async" in new
    assert new & set(HEAVY) == set()
    assert new & {f"connecttrade_async.{name}" for name in INSIDE} == set()


def test_a_dir_and_a_name_of_a_light_room_stay_light() -> None:
    loaded = fresh(
        f"{HERE}; import connecttrade_async as c; dir(c); c.APIError; {LOADED}",
    )
    assert "connecttrade_async.errors" in loaded
    assert set(loaded) & {"aiohttp", "asyncio", "msgspec", "connecttrade_async.client"} == set()


def test_a_client_that_only_asks_needs_no_websockets() -> None:
    loaded = fresh(f"{HERE}; import connecttrade_async; connecttrade_async.ConnectTrade('c', 's'); {LOADED}")
    assert "aiohttp" in loaded
    assert "websockets" not in loaded


def test_the_whole_client_needs_neither_sandbox_nor_command() -> None:
    loaded = fresh(f"{HERE}; from connecttrade_async import *; {LOADED}")
    assert "connecttrade_async.client" in loaded
    assert set(loaded) & {"click", "rich"} == set()
    assert {name.split(".")[1] for name in loaded if name.startswith("connecttrade_async.")} & {
        "sandbox",
        "cli",
    } == set()
