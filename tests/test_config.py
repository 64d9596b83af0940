from __future__ import annotations

import math
import ssl
import traceback
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from connecttrade_async import ConnectTrade, config
from connecttrade_async.config import (
    DialOptions,
    Endpoints,
    Limits,
    Reconnect,
    Retry,
    Timeouts,
    allows_insecure,
    check_address,
    check_secure,
    from_environment,
)
from connecttrade_async.errors import ConfigurationError
from connecttrade_async.secret import Secret

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
COUNTS: list[tuple[Callable[..., Any], str]] = [
    (Retry, "attempts"),
    (Limits, "connections"),
    (Limits, "response_bytes"),
    (Limits, "header_bytes"),
]
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
def test_settings_reject_an_invalid_duration_by_name(bad: object) -> None:
    for make, name in DURATIONS:
        unit = "" if name == "requests_per_second" else " of seconds"
        with pytest.raises(ConfigurationError, match=rf"^\w+\.{name} must be a positive number{unit}, got "):
            make(**{name: bad})


@pytest.mark.parametrize("bad", [0, -1, 1.5, 4.0, math.inf, math.nan, True, "5", None, Decimal(5)])
def test_settings_reject_an_invalid_count_by_name(bad: object) -> None:
    for make, name in COUNTS:
        with pytest.raises(ConfigurationError, match=rf"^\w+\.{name} must be a positive whole number, got "):
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


def test_endpoints_reject_an_empty_address_with_a_hint() -> None:
    with pytest.raises(ConfigurationError, match=r"without a query or a login, got an empty one, which a sandbox has"):
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
    for name in (config.CLIENT_ID, config.CLIENT_SECRET, config.INSECURE, config.DIALECT, *config.ADDRESSES.values()):
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


def test_from_environment_names_the_variable_of_an_invalid_secret(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CONNECTTRADE_CLIENT_ID", "client-1")
    environment.setenv("CONNECTTRADE_CLIENT_SECRET", f"{CANARY}\n")
    with pytest.raises(ConfigurationError, match=r"^the CONNECTTRADE_CLIENT_SECRET must not begin or end with"):
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


# --- hosts to which no connection can be made

BAD_HOSTS = [
    "127.1", "2130706433", "0", "0x7f.1", "0x7f000001", "127.0.0.01", "256.1.1.1", "1.2.3", "1.2.3.4.5", "example.1",
    "a..b", ".", "-a.example", "a-.example", "%41", "h%20st", "ho st", "a,b", "a*b", "a'b", "[::g]", "[127.0.0.1]",
    "fe80::1",
    "u:p@host", "host:0", "host:65536", "host:x", "host:-1", "a" * 64 + ".example", "a." * 127 + "example",
    "\u200d.example", "\uff11\uff12\uff17.\uff11", "\uff11.\uff11.\uff11.\uff11", "",
]  # fmt: skip


@pytest.mark.parametrize("host", BAD_HOSTS)
@pytest.mark.parametrize(("name", "scheme"), [("api", "https"), ("stream", "wss"), ("market_data", "wss")])
def test_host_that_no_connection_can_be_made_to_is_refused_when_the_client_is_made(
    host: str, name: str, scheme: str
) -> None:
    class Ends:
        api = "https://api.example"

    setattr(Ends, name, f"{scheme}://{host}/v1")
    with pytest.raises(ConfigurationError, match=f"the {name} address must be"):
        ConnectTrade("client", "hush", endpoints=Ends())


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "[fe80::1%25eth0]", "[::ffff:127.0.0.1]:80", "localhost", "localhost.", "a_b:8000",
     "xn--bcher-kva.example", "b\u00fccher.example", "1a.example", "3com.example", "a" * 63 + ".example"],
)  # fmt: skip
def test_host_that_a_connection_can_be_made_to_is_taken(host: str) -> None:
    assert check_address("api", f"https://{host}", ("https",)) == f"https://{host}"


@given(st.tuples(*[st.integers(0, 255)] * 4), st.integers(1, 3))
def test_short_forms_of_ip_addresses_are_refused(parts: tuple[int, ...], kept: int) -> None:
    assert check_address("api", "https://{}.{}.{}.{}".format(*parts), ("https",))
    with pytest.raises(ConfigurationError):
        check_address("api", "https://" + ".".join(map(str, parts[:kept])), ("https",))


# --- how connections are made

PROXIES = [
    "", "10.0.0.1:3128", "socks5://ada:s3cr3t@host", "http://ada:s3cr3t@", "http://ada:s3cr3t@host:0",
    "http://ada:s3cr3t@host:99999", "http://ada:s3cr3t@host/path", "http://ada:s3cr3t@host?x",
    "http://ada:s3cr3t@ho st", "http://ada:s3cr3t@127.1", "http://[::1",
]  # fmt: skip


@pytest.mark.parametrize("proxy", PROXIES)
def test_proxy_that_cannot_be_is_refused_without_showing_its_password(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="proxy must be http:// or https://") as caught:
        DialOptions.of(None, Secret(proxy))
    assert "s3cr3t" not in shown_by_the_library(caught.value)


@pytest.mark.parametrize(
    ("context", "proxy", "why"),
    [
        (True, None, r"ssl must be an ssl\.SSLContext or None, got bool"),
        ("ca.pem", None, "ssl must be .* got str"),
        (None, 3128, "proxy must be the address of a proxy as text, or None, got int"),
    ],
)
def test_dial_option_of_another_kind_is_refused(context: Any, proxy: Any, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        DialOptions.of(context, proxy)


def test_dial_options_keep_what_was_passed_and_mask_the_proxy() -> None:
    context = ssl.create_default_context()
    assert (DialOptions.of(context, None).ssl, DialOptions.of(context, None).proxy) == (context, None)
    dial = DialOptions.of(None, f"https://ada:{CANARY}@proxy.example:3128/")
    assert dial.proxy == Secret(f"https://ada:{CANARY}@proxy.example:3128/")
    assert CANARY not in repr(dial)


# --- unencrypted addresses

HERE = [
    "127.0.0.1",
    "127.8.8.8:1",
    "localhost",
    "LOCALHOST:1",
    "localhost.",
    "[::1]:1",
    "[::ffff:127.0.0.1]",
    "0.0.0.0",  # noqa: S104 - nothing is bound
    "[::]",
]
ELSEWHERE = ["api.example", "10.0.0.1", "192.168.1.1:8000", "100.64.0.1", "[2001:db8::1]", "[::ffff:10.0.0.1]",
             "localhost.example", "127.0.0.1.example", "sandbox"]  # fmt: skip


@pytest.mark.parametrize("host", HERE)
@pytest.mark.parametrize("scheme", ["http", "ws", "https", "wss"])
def test_address_of_this_machine_may_be_unencrypted(host: str, scheme: str) -> None:
    check_secure("api", f"{scheme}://{host}/v1")
    check_secure("api", f"{scheme}://{host}/v1", Secret("http://ada:pw@127.0.0.1:3128"))


@pytest.mark.parametrize("host", ELSEWHERE)
def test_address_of_another_host_must_be_encrypted(host: str) -> None:
    check_secure("api", f"https://{host}", Secret("http://proxy.example"))
    check_secure("stream", f"wss://{host}")
    for scheme, secure in (("http", "https"), ("ws", "wss")):
        with pytest.raises(ConfigurationError, match=f"unencrypted: use {secure}://, or pass allow_insecure=True, or"):
            check_secure("api", f"{scheme}://{host}")


def test_unencrypted_address_of_this_machine_may_not_be_reached_through_a_proxy_elsewhere() -> None:
    with pytest.raises(ConfigurationError, match="through a proxy on another host") as caught:
        check_secure("stream", "ws://127.0.0.1:1", Secret("http://ada:s3cr3t@proxy.example"))
    assert "s3cr3t" not in shown_by_the_library(caught.value)
    check_secure("stream", "", Secret("http://proxy.example"))


@pytest.mark.parametrize("name", ["api", "stream", "market_data"])
def test_client_refuses_an_unencrypted_address_unless_it_is_allowed(name: str) -> None:
    insecure = Endpoints(**{name: f"{'http' if name == 'api' else 'ws'}://sandbox.example:8000"})
    with pytest.raises(ConfigurationError, match=f"the {name} address begins with"):
        ConnectTrade("client", "hush", endpoints=insecure)
    assert ConnectTrade("client", "hush", endpoints=insecure, allow_insecure=True).client_id == "client"
    wrong: Any = "yes"
    with pytest.raises(ConfigurationError, match="allow_insecure must be True or False, got str"):
        ConnectTrade("client", "hush", endpoints=insecure, allow_insecure=wrong)


@pytest.mark.parametrize(
    ("text", "allows"),
    [("1", True), ("true", True), (" Yes ", True), ("on", True), ("", False), ("0", False), ("no", False)],
)
def test_environment_allows_unencrypted_addresses(text: str, environment: pytest.MonkeyPatch, *, allows: bool) -> None:
    environment.setenv("CONNECTTRADE_CLIENT_ID", "client-1")
    environment.setenv("CONNECTTRADE_CLIENT_SECRET", CANARY)
    environment.setenv("CONNECTTRADE_API_URL", "http://sandbox.example")
    environment.setenv("CONNECTTRADE_ALLOW_INSECURE", text)
    assert allows_insecure() is allows
    assert from_environment().get("allow_insecure", False) is allows
    assert "allow_insecure" not in from_environment(["allow_insecure"])
    if allows:
        assert ConnectTrade.from_env().client_id == "client-1"
    with pytest.raises(ConfigurationError, match="the api address begins with"):
        ConnectTrade.from_env(allow_insecure=False)


def test_environment_that_says_neither_yes_nor_no_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CONNECTTRADE_ALLOW_INSECURE", "maybe")
    with pytest.raises(ConfigurationError, match="CONNECTTRADE_ALLOW_INSECURE must be 1 or 0, got 'maybe'"):
        allows_insecure()


def test_limits_reject_frames_below_the_minimum() -> None:
    with pytest.raises(ConfigurationError, match=r"^Limits\.frame_bytes must be at least 65536, got 65535$"):
        Limits(frame_bytes=65_535)


def test_from_environment_names_the_file_of_the_dialect(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CONNECTTRADE_CLIENT_ID", "client-1")
    environment.setenv("CONNECTTRADE_CLIENT_SECRET", "s")
    assert "dialect" not in from_environment()
    environment.setenv("CONNECTTRADE_DIALECT", "wire.toml")
    assert from_environment()["dialect"] == "wire.toml"
    assert "dialect" not in from_environment({"dialect"})
