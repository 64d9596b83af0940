"""Invalid arguments of live accounts raise at the call, before any request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async import ConfigurationError, ConnectTrade

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from connecttrade_async import User


def ada(ct: ConnectTrade) -> User:
    return ct.user("ada", "whisper")


async def one_by_one(ct: ConnectTrade) -> AsyncGenerator[User]:
    yield ada(ct)


USERS: list[tuple[Callable[[ConnectTrade], object], str]] = [
    (ada, r"users must be an iterable of handles, got one handle: for one user, pass \[user\]$"),
    (lambda _: "ada", "users must be an iterable of handles, .*, got str$"),
    (one_by_one, "users must be an iterable of handles, .*, got async_generator$"),
    (lambda ct: [ada(ct), "eve"], r"each of users must be a handle, as ct.user\(...\) returns it, got str$"),
    (lambda ct: iter([ada(ct), "eve"]), "each of users must be a handle, .*, got str$"),
    (lambda _: [("ada", "hush")], "each of users must be a handle, .*, got tuple$"),
]


@pytest.mark.parametrize(("users", "says"), USERS)
def test_live_with_anything_but_user_handles_raises(users: Callable[[ConnectTrade], Any], says: str) -> None:
    ct = ConnectTrade("client", "secret")
    with pytest.raises(ConfigurationError, match=f"^{says}") as caught:
        ct.live(users(ct))
    assert "hush" not in str(caught.value)


CALLS: list[tuple[Callable[[Any], Awaitable[object]], str]] = [
    (lambda live: live.add("ada"), "user must be a handle, .*, got str$"),
    (lambda live: live.remove(3), "user must be a handle, .*, got int$"),
    (
        lambda live: live.wait(True),  # noqa: FBT003 - that is the mistake
        "predicate must be a function such as lambda live: live.is_current, got bool$",
    ),
    (lambda live: live.order_done(3), "order must be an Order or its order_id, got int$"),
]


@pytest.mark.parametrize(("call", "says"), CALLS)
async def test_methods_with_arguments_of_a_wrong_type_raise(
    call: Callable[[Any], Awaitable[object]], says: str
) -> None:
    ct = ConnectTrade("client", "secret")
    with pytest.raises(ConfigurationError, match=f"^{says}"):
        await call(ct.live([ada(ct)]))
    await ct.aclose()
