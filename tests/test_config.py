from __future__ import annotations

import math
import re
import traceback
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from connecttrade_async import config
from connecttrade_async.config import Endpoints, Limits, Reconnect, Retry, Timeouts, check_address, from_environment
from connecttrade_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

CANARY = "canary-7f3a-of-the-mine"
DURATIONS: list[tuple[Callable[..., Any], str]] = [
    (Timeouts, "call"),
    (Timeouts, "connect"),
    (Timeouts, "close"),
    (Retry, "budget"),
    (Retry, "base"),
    (Retry, "cap"),
    (Limits, "requests_per_second"),
]
COUNTS: list[tuple[Callable[..., Any], str]] = [(Retry, "attempts"), (Limits, "connections")]
SETTINGS: list[Callable[[], Any]] = [Endpoints, Timeouts, Retry, Limits]


def test_defaults_are_those_of_the_contract() -> None:
    assert (Timeouts().call, Timeouts().connect, Timeouts().close) == (30, 10, 5)
    assert (Retry().attempts, Retry().budget, Retry().base, Retry().cap) == (4, 75, 0.25, 8)
    assert (Limits().connections, Limits().requests_per_second) == (100, None)
    assert Endpoints() == Endpoints(
        "https://api.connecttrade.com",
        "wss://stream.connecttrade.com",
        "wss://mdstream.connecttrade.com",
    )


@pytest.mark.parametrize("make", SETTINGS)
def test_settings_are_frozen_values(make: Callable[[], Any]) -> None:
    value = make()
    assert value == make()
    assert hash(value) == hash(make())
    for name in value.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(value, name, getattr(value, name))


@pytest.mark.parametrize("make", [Timeouts, Retry, Limits])
def test_settings_are_named_where_they_are_given(make: Callable[..., Any]) -> None:
    with pytest.raises(TypeError):
        make(5)


@pytest.mark.parametrize("bad", [0, -1, -0.5, math.inf, -math.inf, math.nan, True, "5", b"5", Decimal(5), [5]])
def test_a_bad_duration_is_refused_by_name(bad: object) -> None:
    for make, name in DURATIONS:
        sentence = re.escape(f"{type(make()).__name__}.{name} must be a number above zero, not {bad!r}")
        with pytest.raises(ConfigurationError, match=f"^{sentence}$"):
            make(**{name: bad})


@pytest.mark.parametrize("bad", [0, -1, 1.5, 4.0, math.inf, math.nan, True, "5", None, Decimal(5)])
def test_a_bad_count_is_refused_by_name(bad: object) -> None:
    for make, name in COUNTS:
        sentence = re.escape(f"{type(make()).__name__}.{name} must be a whole number from 1 on, not {bad!r}")
        with pytest.raises(ConfigurationError, match=f"^{sentence}$"):
            make(**{name: bad})


@pytest.mark.parametrize(("make", "name"), [pair for pair in DURATIONS if pair[1] != "requests_per_second"])
def test_a_duration_cannot_be_none(make: Callable[..., Any], name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        make(**{name: None})


@given(st.floats(min_value=1e-9, max_value=1e9) | st.integers(min_value=1, max_value=10**9))
def test_a_good_number_is_kept(value: float) -> None:
    for make, name in DURATIONS:
        assert getattr(make(**{name: value}), name) == value


def test_a_setting_can_be_a_callers_error_or_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"Timeouts.call"):
        Timeouts(call=0)


GOOD = [
    "https://api.example",
    "http://127.0.0.1:8900",
    "http://[::1]:80",
    "https://api.example/v2",
    "https://bücher.example",
]
BAD = [
    "",
    "api.example",
    "//api.example",
    "https://",
    "https:///orders",
    "ftp://api.example",
    "wss://api.example",
    "https://:443",
    "https://api.example:0",
    "https://api.example:99999",
    "https://api.example:port",
    "https://[::1",
    "https://api.example?key=1",
    "https://api.example/?",
    "https://api.example#part",
    "https://api.example#",
    "https://someone@api.example",
    "https://@api.example",
    "https://api.example/a b",
    "https://api.example/\n",
    " https://api.example",
    "https://api.exa\tmple",
]


@pytest.mark.parametrize("address", GOOD)
def test_a_good_address_is_kept_without_its_last_slash(address: str) -> None:
    assert check_address("api", address, ("https", "http")) == address
    assert check_address("api", address + "/", ("https", "http")) == address
    assert Endpoints(api=address).api == address


@pytest.mark.parametrize("address", BAD)
def test_a_bad_address_is_refused_by_name(address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^the api address must be https:// or http:// and a host"):
        Endpoints(api=address)


def test_an_address_that_is_empty_is_called_so() -> None:
    with pytest.raises(ConfigurationError, match=r"without a query or a login in it; it is empty, as a sandbox's"):
        Endpoints(api="")


@pytest.mark.parametrize("address", [None, 5, b"https://api.example", ["https://api.example"]])
def test_an_address_that_is_no_text_is_refused_by_name(address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^the api address must be"):
        Endpoints(api=address)


def test_streams_have_schemes_of_their_own() -> None:
    assert Endpoints(stream="ws://127.0.0.1:1", market_data="ws://127.0.0.1:1").stream == "ws://127.0.0.1:1"
    with pytest.raises(ConfigurationError, match=r"^the stream address must be wss:// or ws:// and a host"):
        Endpoints(stream="https://stream.example")
    with pytest.raises(ConfigurationError, match=r"^the market_data address must be wss:// or ws:// and a host"):
        Endpoints(market_data="https://stream.example")


def test_a_login_in_an_address_is_not_repeated_in_the_message() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Endpoints(api=f"https://someone:{CANARY}@api.example")
    assert CANARY not in str(caught.value)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (config.CLIENT_ID, config.CLIENT_SECRET, *config.ADDRESSES.values()):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_the_environment_gives_credentials_and_addresses(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CONNECTTRADE_CLIENT_ID", "client-1")
    environment.setenv("CONNECTTRADE_CLIENT_SECRET", CANARY)
    environment.setenv("CONNECTTRADE_API_URL", "http://127.0.0.1:1/")
    environment.setenv("CONNECTTRADE_STREAM_URL", "ws://127.0.0.1:2")
    environment.setenv("CONNECTTRADE_MDSTREAM_URL", "ws://127.0.0.1:3")
    found = from_environment()
    assert sorted(found) == ["client_id", "client_secret", "endpoints"]
    assert found["client_id"] == "client-1"
    assert found["client_secret"].reveal() == CANARY
    assert found["endpoints"] == Endpoints("http://127.0.0.1:1/", "ws://127.0.0.1:2", "ws://127.0.0.1:3")
    assert CANARY not in repr(found)


def test_addresses_that_are_not_set_are_the_real_ones(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CONNECTTRADE_CLIENT_ID", "client-1")
    environment.setenv("CONNECTTRADE_CLIENT_SECRET", CANARY)
    environment.setenv("CONNECTTRADE_API_URL", "")
    assert from_environment()["endpoints"] == Endpoints()


@pytest.mark.parametrize(
    ("given_names", "missing"),
    [
        ([], "CONNECTTRADE_CLIENT_ID and CONNECTTRADE_CLIENT_SECRET"),
        (["CONNECTTRADE_CLIENT_ID"], "CONNECTTRADE_CLIENT_SECRET"),
        (["CONNECTTRADE_CLIENT_SECRET"], "CONNECTTRADE_CLIENT_ID"),
    ],
)
def test_what_is_missing_is_named(environment: pytest.MonkeyPatch, given_names: list[str], missing: str) -> None:
    for name in given_names:
        environment.setenv(name, "something")
    with pytest.raises(ConfigurationError, match=f"^set {missing} in the environment$"):
        from_environment()


def shown_by_the_library(error: BaseException) -> str:
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    told.stack[:] = [frame for frame in told.stack if "connecttrade_async" in frame.filename]
    assert len(told.stack) > 0
    return "".join(told.format())


@pytest.mark.parametrize(
    "trouble",
    [
        {"CONNECTTRADE_CLIENT_SECRET": CANARY, "CONNECTTRADE_API_URL": "nonsense"},
        {"CONNECTTRADE_CLIENT_SECRET": CANARY, "CONNECTTRADE_CLIENT_ID": ""},
    ],
)
def test_no_frame_of_an_error_holds_the_secret(environment: pytest.MonkeyPatch, trouble: dict[str, str]) -> None:
    for name, value in ({"CONNECTTRADE_CLIENT_ID": "client-1"} | trouble).items():
        environment.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        from_environment()
    assert CANARY not in shown_by_the_library(caught.value)


def test_a_secret_that_cannot_be_sent_is_named_by_its_variable(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CONNECTTRADE_CLIENT_ID", "client-1")
    environment.setenv("CONNECTTRADE_CLIENT_SECRET", f"{CANARY}\n")
    with pytest.raises(ConfigurationError, match=r"^the CONNECTTRADE_CLIENT_SECRET begins or ends with white space"):
        from_environment()


def test_what_is_given_is_not_looked_for(environment: pytest.MonkeyPatch) -> None:
    assert from_environment({"client_id", "client_secret", "endpoints"}) == {}
    environment.setenv("CONNECTTRADE_CLIENT_ID", "client-1")
    assert from_environment(["client_secret"]) == {"client_id": "client-1", "endpoints": Endpoints()}


@pytest.mark.parametrize("name", ["base", "cap", "settled", "standby", "attempts"])
@pytest.mark.parametrize("value", [0, -1, True, "1"])
def test_a_reconnect_that_cannot_be_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"Reconnect\.{name}"):
        Reconnect(**{name: value})


def test_a_reconnect_without_an_end_and_a_stream_without_a_limit_to_its_silence() -> None:
    assert Reconnect().attempts is None
    assert Reconnect(attempts=3).attempts == 3
    assert Timeouts().silence is None
    assert Timeouts(silence=5).silence == 5
    with pytest.raises(ConfigurationError, match=r"Timeouts\.silence"):
        Timeouts(silence=0)
