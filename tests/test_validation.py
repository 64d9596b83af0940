from __future__ import annotations

import pytest

from connecttrade_async.errors import ConfigurationError
from connecttrade_async.validation import check_each, check_iterable, check_one


def is_handle(user: object) -> bool:
    return isinstance(user, Handle)


class Handle(list[int]):
    """A handle, which could be iterated over."""


def test_handles_are_taken() -> None:
    check_one(Handle(), is_handle)
    check_each([Handle(), Handle()], is_handle)
    check_each([], is_handle)


def test_what_is_no_handle_is_refused_by_its_kind_only() -> None:
    with pytest.raises(ConfigurationError, match=r"^user must be a handle, as ct\.user\(\.\.\.\) returns it, not str$"):
        check_one("hush", is_handle)
    with pytest.raises(ConfigurationError, match=r"^each of users must be a handle, as .*, not tuple$"):
        check_each([Handle(), ("ada", "hush")], is_handle)


def test_what_can_be_iterated_over_is_not_iterated_over_yet() -> None:
    users = iter([Handle(), "ada"])
    check_iterable(users, is_handle)
    assert len(list(users)) == 2
    check_iterable((), is_handle)


@pytest.mark.parametrize("users", ["ada", b"ada", 5, None])
def test_what_cannot_be_many_handles_is_refused(users: object) -> None:
    with pytest.raises(
        ConfigurationError, match=f"^users must be an iterable of handles, .*, not {type(users).__name__}$"
    ):
        check_iterable(users, is_handle)


def test_one_handle_is_not_many() -> None:
    with pytest.raises(ConfigurationError, match=r"^users must be .* for one user, pass \[user\]$"):
        check_iterable(Handle(), is_handle)
