"""The redirect after a broker's login: its parameters, and checks of the redirect URL."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

from connecttrade_async.errors import ConfigurationError, OAuthError
from connecttrade_async.models.fields import Model

__all__ = ["ConnectionRedirect", "check_redirect_url", "parse_redirect"]

_DOTS_OF_AN_ADDRESS = 3
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE | re.ASCII)
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home.arpa")


class ConnectionRedirect(Model, frozen=True, kw_only=True, gc=False):
    """The parameters of a successful redirect.

    Attributes:
        connection_id: the id of the new connection.
    """

    connection_id: str


def parse_redirect(url: str) -> ConnectionRedirect:
    """Parse the address that the API redirected the person's browser to (documented).

    Args:
        url: the whole address, or only its query. Other parameters of the query are ignored.

    Returns:
        The redirect, with its ``connection_id``.

    Raises:
        OAuthError: the person declined, or the login failed; it has ``.error`` and ``.details``.
        ConfigurationError: the address is not text, or has neither ``connection_id`` nor ``error`` in its query.
    """
    _check_text(url)
    try:
        parts = urlsplit(url)
    except ValueError:
        fields: dict[str, list[str]] = {}
    else:
        fields = parse_qs(parts.query or ("" if parts.scheme or "=" not in url else parts.path))
    # The API appends to the caller's own query (seen), so of several values the last is the API's.
    if "error" in fields:
        raise OAuthError(error=fields["error"][-1], details=fields.get("error_details", [""])[-1])
    if "connection_id" not in fields:
        msg = "url must have connection_id or error in its query, got neither: pass the whole address of the redirect"
        raise ConfigurationError(msg)
    return ConnectionRedirect(connection_id=fields["connection_id"][-1])


def _check_text(url: object) -> None:
    # Web frameworks have their own URL types, which look like text when printed.
    if not isinstance(url, str):
        msg = f"url must be text, got {type(url).__name__}: pass str(request.url), or your framework's equivalent"
        raise ConfigurationError(msg)


def check_redirect_url(url: str) -> list[str]:
    """Return the likely problems of an address before it is sent as ``redirect_url``.

    Args:
        url: the address that the browser shall be redirected to.

    Returns:
        One sentence for each documented problem; empty where there is none. The client sends the address all the same,
        and the sandbox accepts every address.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        _ = parts.port  # raises where it is no number
    except ValueError:
        return ["This is not a URL: write https://, a host and a path."]
    if parts.scheme not in {"http", "https"} or not host or not host.isprintable() or " " in host:
        return ["This is not a web address: write https://, a host and a path."]
    problems: list[str] = []
    if parts.scheme == "http":
        problems.append("It begins with http: brokers redirect to https addresses only.")
    if host == "localhost" or host.endswith(_LOCAL_SUFFIXES) or _is_private(host):
        problems.append(
            f"{host} is this machine or in a private network: brokers refuse it, so use a public address or a tunnel.",
        )
    elif _is_number(host):
        problems.append(f"{host} is a numeric address: brokers require a name, such as app.example.com.")
    elif "." not in host and ":" not in host:
        problems.append(f"{host} is a name of a local network: use one that resolves on the public internet.")
    if parts.fragment:
        problems.append("It has a part after #, which browsers do not send to your server: remove it.")
    return problems


def _is_private(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        return False


def _is_number(host: str) -> bool:
    # Browsers parse a host as an IPv4 address where its last part is a number in any base: 127.1, 0x7f.1, 2130706433.
    is_plain = host.count(".") == _DOTS_OF_AN_ADDRESS and host.replace(".", "").isdecimal()
    return not is_plain and _NUMBER.fullmatch(host.rpartition(".")[2]) is not None
