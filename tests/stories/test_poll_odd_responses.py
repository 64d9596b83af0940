"""The poller and its other users survive any response to one user and any behavior of its ``fetch``."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from connecttrade_async import (
    APIError,
    CallerError,
    ConnectTradeError,
    Outage,
    OutageEnded,
    RateLimitedError,
    Retry,
    ServerError,
)
from connecttrade_async.polling.outage import ErrorScope, classify_error, error_text, retry_after_of
from manual_clock import SteppedClock
from poll_fixtures import Watcher, client, make_users, settle, steps
from scripted_server import ScriptedEnd, answer, drop, raw, reset
from stream_fixtures import nothing_left

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from connecttrade_async import Poller, User
    from scripted_server import Act, Seen

FACTS: dict[str, Any] = {"message": "no", "method": "GET", "path": "/positions"}
GOOD = answer()


def no(*_: object) -> Any:
    """Raise, whatever the arguments are."""
    raise LookupError("it cannot be touched")


def ignore(*_: object) -> None:
    """Accept any arguments."""


RAISING_METHODS: dict[str, Any] = dict.fromkeys(
    ["__str__", "__repr__", "__eq__", "__hash__", "__bool__", "__lt__", "__gt__"], no
)
OddValue: Any = type("OddValue", (), RAISING_METHODS)
"""A value with methods that all raise."""
OddError: Any = type(
    "OddError",
    (Exception,),
    RAISING_METHODS
    | {"with_traceback": no, "__cause__": property(no), "__traceback__": property(no), "__class__": property(no)},
)
"""An error with methods and attributes that all raise."""
OddGroup: Any = type("OddGroup", (ExceptionGroup,), {"exceptions": property(no)})
OddLimit: Any = type("OddLimit", (RateLimitedError,), {"retry_after": property(no, ignore)})
Wordless: Any = type("Wordless", (Exception,), {"__str__": no, "__cause__": ServerError(status=503, **FACTS)})


class UnsetError(APIError):
    """An error of the library without any of its attributes."""

    def __init__(self) -> None:
        Exception.__init__(self, "bare")


class OddEnd(BaseException):
    """An exception that ``except Exception`` does not catch."""


class OddAwaitable:
    """An awaitable that yields an object that no event loop accepts."""

    def __await__(self) -> Generator[Any]:
        yield "nonsense"


def odd(kind: type[APIError], **facts: Any) -> APIError:
    error = kind(status=429, **FACTS)
    for name, value in facts.items():
        setattr(error, name, value)
    return error


def caused(inside: BaseException) -> Exception:
    error = KeyError("mine")
    error.__cause__ = inside
    return error


def nested_groups() -> Any:
    """Groups within groups, each of them a hundred times: without a bound there are 100 ** 9 paths through them."""
    group: Any = ServerError(status=503, **FACTS)
    for _ in range(9):
        group = ExceptionGroup("many", [group] * 100)
    return group


ERRORS: list[Callable[[], BaseException]] = [
    OddError,
    lambda: OddGroup("odd", [KeyError("mine")]),
    lambda: odd(RateLimitedError, retry_after="30"),
    lambda: odd(RateLimitedError, retry_after=OddValue()),
    lambda: odd(RateLimitedError, retry_after=10**5000),
    lambda: odd(RateLimitedError, retry_after=True),
    lambda: odd(ServerError, status=OddValue()),
    lambda: odd(APIError, status=OddValue()),
    lambda: odd(APIError, status=None),
    lambda: odd(APIError, status="401"),
    lambda: OddLimit(status=429, **FACTS),
    UnsetError,
    lambda: caused(OddError()),
    lambda: caused(OddEnd()),
    lambda: ExceptionGroup("all", [OddError(), odd(RateLimitedError, retry_after=OddValue()), KeyError("mine")]),
    nested_groups,
    lambda: StopAsyncIteration("odd"),
    lambda: StopIteration("odd"),
    lambda: RecursionError("odd"),
    lambda: MemoryError("odd"),
    OddEnd,
    lambda: BaseExceptionGroup("all", [OddEnd(), KeyError("mine")]),
    lambda: BaseExceptionGroup("all", [BaseExceptionGroup("one", [asyncio.CancelledError()])]),
    lambda: BaseExceptionGroup("all", [KeyboardInterrupt()]),
    asyncio.CancelledError,
]
VALUES: list[Callable[[], Any]] = [OddValue, lambda: float("nan"), lambda: [OddValue()], lambda: Exception("returned")]


def raising(make: Callable[[], BaseException]) -> Callable[[], Any]:
    async def act() -> Any:
        raise make()

    def at_once() -> Any:
        raise make()

    return at_once if make is ERRORS[0] else act


def returning(make: Callable[[], Any]) -> Callable[[], Any]:
    async def act() -> Any:
        return make()

    return act


def cancelled_inside() -> Any:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    return future


ACTS: list[Callable[[], Any]] = [
    *map(raising, ERRORS),
    *map(returning, VALUES),
    OddAwaitable,
    OddValue,
    lambda: None,
    cancelled_inside,
]


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(range(len(ACTS))), min_size=1, max_size=30))
def test_poller_with_an_odd_fetch_of_one_user_serves_the_others(numbers: list[int]) -> None:
    async def story() -> None:
        clock, left = SteppedClock(), list(numbers)

        def fetch(user: User) -> Any:
            if user.user_id == "u0" and left:
                return ACTS[left.pop()]()
            return good(user)

        async def good(user: User) -> str:
            return user.user_id

        async with client(clock=clock) as ct, ct.poll(make_users(ct, 3), fetch, every=1.0, slowest=1.0) as results:
            watcher = Watcher(results)
            await until_served(clock, watcher, results, lambda: not left)
            for name in ("u1", "u2"):
                assert all(result.error is None for result in watcher.of(name))
                assert watcher.of(name)[-1].get() == name
        await watcher.aclose()

    asyncio.run(story())


async def until_served(
    clock: SteppedClock, watcher: Watcher, results: Poller[Any], is_over: Callable[[], bool]
) -> None:
    """Advance the clock until the odd responses are used up, and then until each user had a success again."""
    everyone = {"u0", "u1", "u2"}

    def is_served() -> bool:
        return {result.user.user_id for result in watcher.results if result.error is None} == everyone

    for is_so in (is_over, is_served):
        watcher.results.clear()
        for _ in range(1000):
            clock.advance(5.0)
            # During a pause, polls with several requests stay in flight until time passes.
            await watcher.until(lambda: results.statistics().state == "SLOWED" or is_idle(results))
            await asyncio.sleep(0.001)
            if is_so():
                break
        assert is_so()
    assert results.statistics().state == "POLLING"


def is_idle(results: Poller[Any]) -> bool:
    seen = results.statistics()
    return not (seen.running or seen.waiting)


@pytest.mark.parametrize("number", range(len(ERRORS)))
def test_classify_error_with_an_odd_error_never_raises(number: int) -> None:
    error = ERRORS[number]()
    assert isinstance(classify_error(error), ErrorScope)
    assert type(retry_after_of(error)) in {int, float, type(None)}
    assert "\n" not in error_text(error)


def test_classify_error_finds_errors_beside_odd_ones() -> None:
    limit = RateLimitedError(status=429, retry_after=7.0, **FACTS)
    error = ExceptionGroup("all", [OddError(), OddLimit(status=429, **FACTS), limit])
    assert classify_error(error) is ErrorScope.RATE_LIMIT
    assert retry_after_of(error) == 7.0
    assert error_text(OddError()) == "OddError"
    assert error_text(KeyError("one\ntwo")) == r"'one\ntwo'"
    assert error_text(ValueError("one\n\x1b[31mtwo")) == "one [31mtwo"


@pytest.mark.parametrize("make", ERRORS[-6:])
async def test_fetch_that_raises_a_base_exception_gives_a_result_with_an_error(
    make: Callable[[], BaseException],
) -> None:
    clock = SteppedClock()

    async def fetch(user: User) -> str:
        del user
        raise make()

    async with (
        client(clock=clock) as ct,
        nothing_left(),
        ct.poll(make_users(ct, 1), fetch, every=1.0, slowest=1.0) as results,
    ):
        for _ in range(2):
            await steps(clock, 3.0)
            error = (await anext(results)).error
            assert isinstance(error, Exception)
            if not isinstance(make(), Exception):
                assert isinstance(error, CallerError)
                assert type(error.__cause__) is type(make())
        assert results.statistics().running == 0


async def test_outage_of_errors_without_a_text_is_logged_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    clock, is_away = SteppedClock(), True

    async def fetch(user: User) -> str:
        if is_away:
            raise Wordless
        return user.user_id

    caplog.set_level(logging.INFO, "connecttrade_async.live")
    async with client(clock=clock) as ct, ct.poll(make_users(ct, 3), fetch, every=1.0) as results:
        watcher = Watcher(results)
        await steps(clock, 5.0)
        is_away = False
        await steps(clock, 35.0)
        assert [type(event) for event in watcher.events] == [Outage, OutageEnded]
    await watcher.aclose()
    assert "one probe at a time is sent: Wordless" in caplog.text


async def test_users_iterator_that_is_cancelled_or_raises_a_group_ends_the_poller() -> None:
    for error in (asyncio.CancelledError(), BaseExceptionGroup("all", [OddEnd()])):

        async def users(error: BaseException = error) -> AsyncGenerator[User]:
            yield make_users(ct, 1)[0]
            raise error

        async def fetch(user: User) -> str:
            return user.user_id

        async with client() as ct, nothing_left(), ct.poll(users(), fetch, every=1e6) as results:
            with pytest.raises(CallerError, match=r"users raised .*, so no more users are added"):
                await asyncio.wait_for(anext(results), 10)
            assert results.statistics().state == "ENDED"


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
HEADER_VALUES = st.sampled_from(["0", "1", "-1", "9" * 400, "soon", "Fri, 31 Dec 9999 23:59:59 GMT", "\xff", ""])


STATUSES = [200, 201, 202, 206, 302, 400, 401, 403, 404, 409, 418, 429, 500, 503, 599, 600, 999]


@st.composite
def odd_answers(draw: st.DrawFn) -> Act:
    """Draw a response of any kind: a status, a body and headers; bytes that are not HTTP; or none."""
    match draw(st.sampled_from(["json", "bytes", "deep", "raw", "drop", "reset", "short"])):
        case "json":
            body = json.dumps(draw(JSON)).encode()
        case "bytes":
            body = draw(st.binary(max_size=50))
        case "deep":
            body = b"[" * 5000 + b"]" * 5000
        case "raw":
            return raw(draw(st.binary(max_size=50)) + b"\r\n\r\n")
        case "short":
            return answer(200, b"[", declared=10)
        case "drop":
            return drop
        case _:
            return reset
    status = draw(
        st.sampled_from([200, 201, 202, 206, 302, 400, 401, 403, 404, 409, 418, 429, 500, 503, 599, 600, 999])
    )
    headers: dict[str, Any] = {
        name: draw(HEADER_VALUES) for name in draw(st.sets(st.sampled_from(["retry_after", "content_type"])))
    }
    if draw(st.booleans()):
        headers["content_encoding"] = draw(st.sampled_from(["gzip", "deflate", "br", "nonsense"]))
    return answer(status, body, **headers)


FETCHES: list[Callable[[User], Any] | None] = [
    None,
    lambda user: user.positions.list(),
    lambda user: user.orders.list(),
    lambda user: user.request("GET", "/anything"),
]


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(odd_answers(), min_size=1, max_size=8), st.sampled_from(FETCHES))
def test_poller_with_odd_answers_for_one_user_serves_the_others(acts: list[Act], fetch: Any) -> None:
    async def story() -> None:
        clock, left = SteppedClock(), list(acts)

        def choose(seen: Seen) -> Act | None:
            return left.pop() if left and seen.headers.get("user-id") == "u0" else None

        async with (
            ScriptedEnd(GOOD, choose=choose) as end,
            client(end, clock, retry=Retry(attempts=1)) as ct,
            ct.poll(make_users(ct, 3), fetch, every=1.0, slowest=1.0) as results,
        ):
            watcher = Watcher(results)
            await until_served(clock, watcher, results, lambda: not left)
            assert all(
                isinstance(result.error, ConnectTradeError) for result in watcher.results if result.error is not None
            )
            for name in ("u1", "u2"):
                assert all(result.error is None for result in watcher.of(name))
            await settle()
        await watcher.aclose()

    asyncio.run(story())
