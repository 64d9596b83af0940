"""The sandbox in a thread of its own, for notebooks and for tests that are not async."""

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from anyio import move_on_after
from anyio.from_thread import BlockingPortal, start_blocking_portal

from connecttrade_async.sandbox.settings import Endpoints

__all__ = ["SandboxThread"]

_CLOSE_LIMIT = 5.0
"""Seconds after which the thread ends, even if the server has not closed."""


class ThreadedServer(Protocol):
    """A server that a thread can run."""

    client_id: str
    client_secret: str

    @property
    def endpoints(self) -> Endpoints: ...
    async def start(self) -> None: ...
    async def aclose(self) -> None: ...


_Server = TypeVar("_Server", bound=ThreadedServer)
_P = ParamSpec("_P")
_T = TypeVar("_T")


class SandboxThread(Generic[_Server]):
    """A sandbox that is served by an event loop in another thread.

    Use it as ``with Sandbox(seed=7).in_thread() as sandbox:``, or call `open` and `close`, for example from two cells
    of a notebook. The caller may have an event loop or none.

    The attributes of the sandbox belong to its thread. `call` is the way to all of them but these:

    Attributes:
        client_id: what a client sends as ``client-id``.
        client_secret: what a client sends as ``client-secret``.
    """

    def __init__(self, server: _Server) -> None:
        self._server = server
        self.client_id = server.client_id
        self.client_secret = server.client_secret
        self._open: tuple[BlockingPortal, ExitStack] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'closed' if self._open is None else 'open'} {self._server!r}>"

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def endpoints(self) -> Endpoints:
        """Where a client finds it."""
        return self._server.endpoints

    def open(self) -> None:
        """Start the thread and the sandbox in it, and return once it listens. It can be opened again after `close`.

        Raises:
            RuntimeError: it is already open.
            OSError: a port is taken; the thread has ended.
        """
        if self._open is not None:
            raise RuntimeError("the thread of the sandbox is already open")
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal("asyncio"))
            stack.callback(portal.call, self._stop, portal)
            portal.call(self._server.start)
            self._open = portal, stack.pop_all()

    def close(self) -> None:
        """End every connection and the thread, within five seconds. Twice is once.

        A `call` that another thread still waits for raises ``concurrent.futures.CancelledError``. Only a function that
        does not await, and never returns, can hold the thread.
        """
        opened, self._open = self._open, None
        if opened is not None:
            opened[1].close()

    async def _stop(self, portal: BlockingPortal) -> None:
        with move_on_after(_CLOSE_LIMIT, shield=True):
            await self._server.aclose()
        # Without this the portal waits for the calls of other threads, however long they take.
        await portal.stop(cancel_remaining=True)

    @overload
    def call(
        self, function: Callable[Concatenate[_Server, _P], Awaitable[_T]], *args: _P.args, **options: _P.kwargs
    ) -> _T: ...
    @overload
    def call(self, function: Callable[Concatenate[_Server, _P], _T], *args: _P.args, **options: _P.kwargs) -> _T: ...
    def call(self, function: Callable[..., object], *args: object, **options: object) -> Any:
        """Call a function with the sandbox in its thread, and return its result; a coroutine is awaited there.

        ``sandbox.call(Sandbox.approve, url, "ALPACA")`` or
        ``sandbox.call(lambda inner: inner.broker.set_price("MSFT", "410.50"))``.

        Args:
            function: what to call; its first argument is the sandbox.
            args: its other arguments.
            options: its keyword arguments.

        Raises:
            RuntimeError: the thread is closed, or this is called in it.
            Exception: what the function raises.
        """
        if self._open is None:
            raise RuntimeError("the thread of the sandbox is closed: use `with`, or call open() first")
        return self._open[0].call(lambda: function(self._server, *args, **options))
