"""One request together with the decoder of its response.

A caller may take the response instead of the value, and decode it later or not at all: most polls and snapshots return
the bytes of the previous one, and decoding costs more than a digest.
"""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from connecttrade_async.rest.wire import Request, Response

__all__ = ["Call", "RequestApi", "ResponseDecoder"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class RequestApi(Protocol):
    """Sends requests; ``Api`` does."""

    def send(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Send a request and return its response."""
        ...


class ResponseDecoder(Protocol[T_co]):
    """Decodes the response to a request."""

    def __call__(self, response: Response, request: Request, /) -> T_co:
        """Return the value; ``request`` is for the message of an error."""
        ...


class Call(Coroutine[Any, Any, T], Generic[T]):
    """A request that is sent when it is awaited; ``await`` returns its decoded response.

    It is a coroutine, which ``asyncio.create_task``, ``gather``, ``wait_for`` and ``TaskGroup.create_task`` accept:
    ``asyncio.iscoroutine`` and ``inspect.isawaitable`` are true. Only ``inspect.iscoroutine`` is false, since it is
    true of ``async def`` alone. A call that is never awaited sends nothing and warns of nothing.

    Raises:
        RuntimeError: it is awaited a second time; nothing is sent then.

    Cancelling drops the request.
    """

    __slots__ = ("_api", "_coroutine", "_decode", "_is_started", "request")

    def __init__(self, api: RequestApi, request: Request, decode: ResponseDecoder[T]) -> None:
        self.request = request
        self._api = api
        self._decode = decode
        self._is_started = False
        self._coroutine: Coroutine[Any, Any, T] | None = None

    def response(self) -> Coroutine[Any, Any, Response]:
        """Send the request and return its response undecoded.

        Raises:
            RuntimeError: at once, if the call was awaited before.
        """
        self._start()
        return self._api.send(self.request)

    def decode(self, response: Response) -> T:
        """Decode a response to the request."""
        return self._decode(response, self.request)

    def __await__(self) -> Generator[Any, Any, T]:
        # Not ``self._run().__await__()``: most calls are awaited, and the coroutine inside would cost each of them.
        self._start()
        response = yield from self._api.send(self.request).__await__()
        return self._decode(response, self.request)

    def send(self, value: Any, /) -> Any:  # noqa: ANN401 - an event loop alone reads it
        """Run to the next suspension, as a task does."""
        return self._running().send(value)

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        error: BaseException | object = None,
        trace: TracebackType | None = None,
        /,
    ) -> Any:  # noqa: ANN401 - as for ``send``
        """Raise an exception at the current suspension, as a task that is cancelled does."""
        exc = kind if isinstance(kind, BaseException) else error if isinstance(error, BaseException) else kind()
        return self._running().throw(exc if trace is None else exc.with_traceback(trace))

    def close(self) -> None:
        """Drop the request, or never send it. Idempotent."""
        if self._coroutine is not None:
            self._coroutine.close()
        self._is_started = True

    def _running(self) -> Coroutine[Any, Any, T]:
        # A coroutine, since a generator that has ended would return None to a second task.
        if self._coroutine is None:
            self._start()
            self._coroutine = self._run()
        return self._coroutine

    def _start(self) -> None:
        if self._is_started:
            # Silently sending again would double the requests of a program that awaits one call twice by mistake.
            msg = f"{self._name()} was awaited before, and a call is sent once: call the method again"
            raise RuntimeError(msg)
        self._is_started = True

    async def _run(self) -> T:
        return self._decode(await self._api.send(self.request), self.request)

    @property
    def __name__(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] - of a call, not of the class
        # asyncio shows it in the repr of a task.
        return self._name()

    def _name(self) -> str:
        return f"{self.request.method} {self.request.path}"

    def __repr__(self) -> str:
        # Shows up if the ``await`` is missing. Without the query, which has account ids.
        state = "sent" if self._is_started else "not sent yet: await it"
        return f"<{type(self).__name__} {self._name()}, {state}>"
