from __future__ import annotations

import gc
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, strategies as st
from yarl import URL

from connecttrade_async.errors import ConfigurationError, OAuthError
from connecttrade_async.oauth import ConnectionRedirect, check_redirect_url, parse_redirect

TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example/done?connection_id=c-1",
        "https://app.example/done?connection_id=c-1#top",
        "https://app.example?tenant=7&connection_id=c-1",
        "http://localhost:8000/done?connection_id=c-1",
        "myapp://done?connection_id=c-1",
        "/done?connection_id=c-1",
        "?connection_id=c-1",
        "connection_id=c-1",
        "connection_id=c-1#top",
        "tenant=7&connection_id=c-1",
        "https://app.example/done?connection_id=stale&connection_id=c-1",
        "https://app.example/done?connection_id=c%2D1",
        "https://app.example/done?error_details=old&connection_id=c-1",
    ],
)
def test_a_good_redirect_names_the_connection(url: str) -> None:
    assert parse_redirect(url) == ConnectionRedirect(connection_id="c-1")


@pytest.mark.parametrize(
    ("url", "error", "details"),
    [
        ("https://app.example/done?error=access_denied", "access_denied", ""),
        (
            "https://app.example/done?error=access_denied&error_details=The+person%20declined",
            "access_denied",
            "The person declined",
        ),
        ("https://app.example/done?tenant=7&error=login_failed&error_details=", "login_failed", ""),
        ("?error=old&error_details=old&error=new&error_details=newer", "new", "newer"),
        ("error=login_failed", "login_failed", ""),
        ("https://app.example/done?connection_id=c-1&error=login_failed", "login_failed", ""),
    ],
)
def test_a_bad_redirect_is_an_error_with_its_facts(url: str, error: str, details: str) -> None:
    with pytest.raises(OAuthError) as caught:
        parse_redirect(url)
    assert (caught.value.error, caught.value.details) == (error, details)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "?",
        "https://app.example/done",
        "https://app.example/done?connection_id=",
        "https://app.example/done?tenant=7",
        "https://app.example/done#connection_id=c-1",
        "https://app.example/connection_id=c-1",
        "https://[::1/done?connection_id=c-1",
    ],
)
def test_parse_redirect_without_its_parameters_raises_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="url must have connection_id or error in its query"):
        parse_redirect(url)


@pytest.mark.parametrize("address", [None, b"?connection_id=c-1", URL("https://app.example/done?connection_id=c-1")])
def test_parse_redirect_of_another_type_names_what_to_pass(address: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"must be text, got {type(address).__name__}: pass str\("):
        parse_redirect(address)


@given(connection_id=TEXTS, tenant=TEXTS)
def test_any_connection_id_comes_back_beside_a_kept_query(connection_id: str, tenant: str) -> None:
    query = urlencode({"tenant": tenant, "connection_id": connection_id})
    for url in (f"https://app.example/done?{query}", f"?{query}", query):
        assert parse_redirect(url).connection_id == connection_id


@given(error=TEXTS, details=TEXTS)
def test_any_error_comes_back_with_its_details(error: str, details: str) -> None:
    with pytest.raises(OAuthError) as caught:
        parse_redirect("https://app.example/?" + urlencode({"error": error, "error_details": details}))
    assert (caught.value.error, caught.value.details) == (error, details)


def test_a_redirect_is_a_frozen_value_that_no_collector_follows() -> None:
    redirect = parse_redirect("?connection_id=c-1")
    assert not gc.is_tracked(redirect)
    with pytest.raises(AttributeError):
        setattr(redirect, "connection_id", "c-2")  # noqa: B010 - a type checker refuses the plain way


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example/done",
        "https://app.example:8443/done?tenant=7",
        "https://8.8.8.8/done",
        "https://[2606:4700:4700::1111]/done",
        "https://localhost.example/done",
        "https://local.example/done",
        "HTTPS://APP.EXAMPLE/done",
    ],
)
def test_check_redirect_url_of_a_public_https_address_is_empty(url: str) -> None:
    assert check_redirect_url(url) == []


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "app.localhost",
        "box.local",
        "box.internal",
        "box.lan",
        "box.home.arpa",
        "127.0.0.1",
        "0.0.0.0",  # noqa: S104 - an address to be refused
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.1.1",
        "100.64.0.1",
        "[::1]",
        "[fe80::1]",
        "[fd00::1]",
        "[::]",
    ],
)
def test_check_redirect_url_reports_a_private_address(host: str) -> None:
    shown = host.strip("[].").lower()
    (problem,) = check_redirect_url(f"https://{host}:8000/done")
    assert problem.startswith(f"{shown} is this machine or in a private network: brokers refuse it")


def test_check_redirect_url_reports_plain_http() -> None:
    (problem,) = check_redirect_url("http://app.example/done")
    assert problem == "It begins with http: brokers redirect to https addresses only."


def test_check_redirect_url_reports_a_fragment() -> None:
    (problem,) = check_redirect_url("https://app.example/done#top")
    assert "after #" in problem


def test_check_redirect_url_returns_every_problem() -> None:
    problems = check_redirect_url("http://localhost:8000/#top")
    assert len(problems) == 3
    assert all(problem[0] and problem.endswith(".") for problem in problems)


@pytest.mark.parametrize(
    ("url", "beginning"),
    [
        ("", "This is not a web address"),
        ("app.example/done", "This is not a web address"),
        ("//app.example/done", "This is not a web address"),
        ("ftp://app.example/done", "This is not a web address"),
        ("myapp://done", "This is not a web address"),
        ("javascript:alert(1)", "This is not a web address"),
        ("https://", "This is not a web address"),
        ("https:///done", "This is not a web address"),
        ("https://[::1", "This is not a URL"),
        ("https://app.example:port/", "This is not a URL"),
        ("https://app.example:99999/", "This is not a URL"),
    ],
)
def test_check_redirect_url_of_a_text_that_is_not_a_url_never_raises(url: str, beginning: str) -> None:
    (problem,) = check_redirect_url(url)
    assert problem.startswith(beginning)


@given(st.text(max_size=60) | TEXTS.map(lambda host: f"https://{host}/done"))
def test_checking_never_raises_and_answers_in_sentences(url: str) -> None:
    assert all(problem.endswith(".") for problem in check_redirect_url(url))


@pytest.mark.parametrize(
    ("url", "clue"),
    [
        ("https://127.1/", "a numeric address"),
        ("https://2130706433/", "a numeric address"),
        ("https://0x7f.1/", "a numeric address"),
        ("https://0X7F000001/", "a numeric address"),
        ("https://a b.example/", "not a web address"),
        ("https://intranet/", "a name of a local network"),
    ],
)
def test_check_redirect_url_reports_unusual_forms_of_unreachable_hosts(url: str, clue: str) -> None:
    [problem] = check_redirect_url(url)
    assert clue in problem


def test_an_address_of_the_whole_internet_is_fine_however_it_is_spelled() -> None:
    assert check_redirect_url("https://app.example.com/done") == []
    assert check_redirect_url("https://[2606:4700:4700::1111]/done") == []
