"""Documentation tools on every public object: ``help()``, signatures and type hints."""

from __future__ import annotations

import inspect
import pydoc
import subprocess
import sys
import typing
from typing import Any

import pytest

import connecttrade_async
from connecttrade_async import ConnectTrade, User
from connecttrade_async.rest.resources import resource

NAMES = [name for name in connecttrade_async.__all__ if name != "__version__"]
RESOURCES = ["accounts", "balances", "connections", "orders", "positions", "tokens", "transactions"]


def client() -> ConnectTrade:
    return ConnectTrade("client", "secret")


def documented(name: str) -> list[Any]:
    """Return a public object and, of a class, its public methods and what its properties call."""
    thing: Any = getattr(connecttrade_async, name)
    members: list[tuple[str, Any]] = inspect.getmembers(thing) if isinstance(thing, type) else []
    parts: list[Any] = [
        part.fget if isinstance(part, property) else part for key, part in members if not key.startswith("_")
    ]
    return [thing, *(part for part in parts if inspect.isfunction(part))]


def is_exception(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, Exception)


@pytest.mark.parametrize("name", NAMES)
def test_help_of_every_public_name_is_text(name: str) -> None:
    assert pydoc.render_doc(getattr(connecttrade_async, name))


@pytest.mark.parametrize("name", NAMES)
def test_the_signature_of_every_public_name_can_be_evaluated(name: str) -> None:
    for thing in documented(name):
        # An exception without an __init__ of its own has no signature in Python itself.
        is_bare_error = is_exception(thing) and not inspect.isfunction(thing.__init__)
        if callable(thing) and not is_bare_error:
            assert inspect.signature(thing, eval_str=True) is not None
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert isinstance(typing.get_type_hints(thing), dict)


@pytest.mark.parametrize("name", RESOURCES)
def test_help_of_a_resource_of_a_user_is_text(name: str) -> None:
    handle: Any = getattr(client().user("ann", "secret"), name)
    kind: type[object] = handle.__class__
    assert pydoc.render_doc(handle)
    assert isinstance(typing.get_type_hints(kind), dict)
    methods = [part for key, part in inspect.getmembers(handle, inspect.ismethod) if not key.startswith("_")]
    assert methods
    for method in methods:
        assert inspect.signature(method, eval_str=True) is not None
        assert isinstance(typing.get_type_hints(method), dict)


def test_help_of_the_handles_of_a_client_is_text() -> None:
    ct = client()
    user = ct.user("ann", "secret")
    handles = [ct, user, ct.users, ct.brokerage_stream(), ct.live(), ct.poll([user]), user.market_data("c")]
    for handle in handles:
        assert pydoc.render_doc(handle)
    assert type(ct.users).__mro__[1] is resource.Resource
    assert isinstance(user, User)


@pytest.mark.parametrize("name", ["PollResult", "Book", "LiveHealth", "StreamHealth", "OrderOutcomeUnknownError"])
def test_help_works_in_a_fresh_interpreter_without_any_other_import(name: str) -> None:
    program = f"from connecttrade_async import {name}; import pydoc; assert pydoc.render_doc({name})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - our own program
    assert done.stderr == ""
