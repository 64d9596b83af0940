"""What every test stands on: asyncio in debug mode, and nothing left behind."""

from __future__ import annotations

import gc
import signal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=[pytest.param(("asyncio", {"debug": True}), id="asyncio")])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(autouse=True, scope="module")
def _nothing_searched_again() -> None:
    """What is alive before a module's first test is none of its litter, and much: no later collection looks at it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """An unclosed socket or an unheard exception is reported when it is collected, so collect inside its test."""
    yield
    if "anyio_backend" in request.fixturenames:
        gc.collect()


@pytest.fixture(autouse=True, scope="session")
def _interrupts_raise() -> Iterator[None]:
    """Restore Ctrl-C: a shell that runs tests in the background ignores SIGINT, and child processes inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
