from __future__ import annotations

import pytest

from connecttrade_async.errors import ConfigurationError
from connecttrade_async.validation import (
    check_each,
    check_iterable,
    check_one,
    non_empty_text,
    one_of,
    positive_int,
    positive_number,
)


def is_handle(user: object) -> bool:
    return isinstance(user, Handle)


class Handle(list[int]):
    """A handle, which could be iterated over."""


def test_checks_accept_handles() -> None:
    check_one(Handle(), is_handle)
    check_each([Handle(), Handle()], is_handle)
    check_each([], is_handle)


def test_checks_reject_other_objects_and_show_only_their_type() -> None:
    with pytest.raises(ConfigurationError, match=r"^user must be a handle, as ct\.user\(\.\.\.\) returns it, got str$"):
        check_one("hush", is_handle)
    with pytest.raises(ConfigurationError, match=r"^each of users must be a handle, as .*, got tuple$"):
        check_each([Handle(), ("ada", "hush")], is_handle)


def test_check_iterable_does_not_consume_an_iterator() -> None:
    users = iter([Handle(), "ada"])
    check_iterable(users, is_handle)
    assert len(list(users)) == 2
    check_iterable((), is_handle)


@pytest.mark.parametrize("users", ["ada", b"ada", 5, None])
def test_check_iterable_rejects_texts_and_objects_that_are_not_iterable(users: object) -> None:
    with pytest.raises(
        ConfigurationError, match=f"^users must be an iterable of handles, .*, got {type(users).__name__}$"
    ):
        check_iterable(users, is_handle)


def test_check_iterable_rejects_a_single_handle() -> None:
    with pytest.raises(ConfigurationError, match=r"^users must be .* for one user, pass \[user\]$"):
        check_iterable(Handle(), is_handle)


@pytest.mark.parametrize("value", [1, 0.5, 10**9])
def test_positive_number_accepts_positive_finite_numbers(value: float) -> None:
    assert positive_number("timeout", value) == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (-1.5, "-1.5"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        (True, "True"),
        ("5", "'5'"),
        (None, "None"),
        ([5], "list"),
        pytest.param(-(10**5_000), "int", id="a long int"),
    ],
)
def test_positive_number_of_another_value_names_the_argument_the_rule_and_the_value(value: object, shown: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        positive_number("timeout", value, "seconds")
    assert str(caught.value) == f"timeout must be a positive number of seconds, got {shown}"
    with pytest.raises(ConfigurationError, match=f"^rate must be a positive number, or None, got {shown}$"):
        positive_number("rate", value, alternative="None")


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "1", None])
def test_positive_int_rejects_everything_but_ints_from_1(value: object) -> None:
    assert positive_int("count", 1) == 1
    with pytest.raises(ConfigurationError, match=r"^count must be a positive whole number, got"):
        positive_int("count", value)


@pytest.mark.parametrize("value", [0, 6, 7**40, True, None])
def test_positive_int_with_a_largest_value_names_both_bounds(value: object) -> None:
    assert positive_int("limit", 5, most=5) == 5
    with pytest.raises(ConfigurationError, match=r"^limit must be a whole number from 1 to 5, got"):
        positive_int("limit", value, most=5)


@pytest.mark.parametrize(("value", "shown"), [("fight", "'fight'"), (["stop"], "list"), (None, "None")])
def test_one_of_rejects_a_value_that_is_not_allowed(value: object, shown: str) -> None:
    assert one_of("on_taken", "stop", {"stop"}) == "stop"
    with pytest.raises(ConfigurationError, match=f"^on_taken must be one of stop, standby, got {shown}$"):
        one_of("on_taken", value, ("stop", "standby"))


@pytest.mark.parametrize("value", ["", 5, None])
def test_non_empty_text_rejects_empty_texts_and_other_types(value: object) -> None:
    assert non_empty_text("symbol", "AAPL") == "AAPL"
    with pytest.raises(ConfigurationError, match=r"^symbol must be a non-empty text, got"):
        non_empty_text("symbol", value)
