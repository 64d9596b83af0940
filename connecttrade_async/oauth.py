"""Below the waterline: the address a person comes back to after the broker's login."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

from connecttrade_async.errors import ConfigurationError, OAuthError
from connecttrade_async.models.fields import Model

__all__ = ["Redirect", "check_redirect_url", "parse_redirect"]

_DOTS_OF_AN_ADDRESS = 3
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE | re.ASCII)
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home.arpa")


class Redirect(Model, frozen=True, kw_only=True, gc=False):
    """What a good redirect says.

    Attributes:
        connection_id: the new connection.
    """

    connection_id: str


def parse_redirect(url: str) -> Redirect:
    """Read the address that the person's browser was sent back to (documented).

    Args:
        url: the whole address, or just its query. Whatever your own address had in its query is passed over.

    Returns:
        The redirect, with its ``connection_id``.

    Raises:
        OAuthError: the person declined, or the login failed; it has ``.error`` and ``.details``.
        ConfigurationError: the address is no text, or says neither, so it is not the one the person came back to.
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
        msg = "this address has neither connection_id nor error in it: pass the one the person came back to, whole"
        raise ConfigurationError(msg)
    return Redirect(connection_id=fields["connection_id"][-1])


def _check_text(url: object) -> None:
    # Web frameworks have address objects of their own.
    if not isinstance(url, str):
        msg = f"the address must be text, not {type(url).__name__}: pass str(request.url), or what your framework has"
        raise ConfigurationError(msg)


def check_redirect_url(url: str) -> list[str]:
    """Say what may be wrong with an address before it is sent as ``redirect_url``.

    Args:
        url: the address people shall come back to.

    Returns:
        One plain sentence for each documented cause of trouble; empty where none is seen. Nothing is refused for it:
        the sandbox accepts every address.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        _ = parts.port  # raises where it is no number
    except ValueError:
        return ["This is not an address: write https://, a host and a path."]
    if parts.scheme not in {"http", "https"} or not host or not host.isprintable() or " " in host:
        return ["This is not a web address: write https://, a host and a path."]
    problems: list[str] = []
    if parts.scheme == "http":
        problems.append("It begins with http: brokers send people back to https addresses only.")
    if host == "localhost" or host.endswith(_LOCAL_SUFFIXES) or _is_private(host):
        problems.append(
            f"{host} is this machine or a private network: brokers refuse it, so use a public address or a tunnel.",
        )
    elif _is_number(host):
        problems.append(f"{host} is an address in numbers: brokers want a name, such as app.example.com.")
    elif "." not in host and ":" not in host:
        problems.append(f"{host} is a name of your own network only: use one that the whole internet knows.")
    if parts.fragment:
        problems.append("It has a part after #, which browsers do not send to your server: leave it out.")
    return problems


def _is_private(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        return False


def _is_number(host: str) -> bool:
    # Browsers read a host as numbers where its last part is one, in any base: 127.1, 0x7f.1, 2130706433.
    is_plain = host.count(".") == _DOTS_OF_AN_ADDRESS and host.replace(".", "").isdecimal()
    return not is_plain and _NUMBER.fullmatch(host.rpartition(".")[2]) is not None
