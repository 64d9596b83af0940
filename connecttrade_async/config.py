"""Immutable settings, and the only module that reads the environment.

Settings are validated at construction, so that an error shows where the setting was written and not during a request.
"""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import msgspec

from connecttrade_async.errors import ConfigurationError
from connecttrade_async.secret import Secret
from connecttrade_async.validation import positive_int, positive_number

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Endpoints", "Limits", "Reconnect", "Retry", "Timeouts"]

CLIENT_ID = "CONNECTTRADE_CLIENT_ID"
CLIENT_SECRET = "CONNECTTRADE_CLIENT_SECRET"  # noqa: S105 - the name of a variable, not a secret
MIN_FRAME_BYTES = 1 << 16
CREDENTIALS = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
ADDRESSES = {
    "api": "CONNECTTRADE_API_URL",
    "stream": "CONNECTTRADE_STREAM_URL",
    "market_data": "CONNECTTRADE_MDSTREAM_URL",
}
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_PROXY_ADDRESS = re.compile(r"[^\s?#\x00-\x20\x7f]+")
MAX_HOST_NAME = 253  # characters of a host name (RFC 1035)
_PLAIN_ADDRESS = re.compile(r"[^\s?#@\x00-\x20\x7f]+")


INSECURE = "CONNECTTRADE_ALLOW_INSECURE"
DIALECT = "CONNECTTRADE_DIALECT"
_YES, _NO = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


class HasEndpoints(Protocol):
    """An object with the addresses of the API, such as ``Endpoints`` or the sandbox's ``endpoints``."""

    @property
    def api(self) -> str:
        """The address of the REST API."""
        ...


def _check_numbers(owner: object, *names: str, unit: str = "") -> None:
    for name in names:
        positive_number(f"{type(owner).__name__}.{name}", getattr(owner, name), unit)


def _check_ints(owner: object, *names: str) -> None:
    for name in names:
        positive_int(f"{type(owner).__name__}.{name}", getattr(owner, name))


def _is_host(host: str) -> bool:
    """Return whether a host is a name, or an IP address in its one common form.

    aiohttp rejects the short and the numeric forms of IP addresses, ``127.1`` or ``2130706433``. It does so during the
    request, where it looks like a failure of the network. Resolvers disagree about these forms.
    """
    if ":" in host:
        return _is_ip(host)
    try:
        encoded = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return False
    encoded = encoded.removesuffix(".")
    labels = encoded.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return encoded == host and _is_ip(host)
    return len(encoded) <= MAX_HOST_NAME and all(map(_LABEL.fullmatch, labels))


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def check_address(name: str, address: str, schemes: tuple[str, ...]) -> str:
    """Return an address without its trailing slash.

    Raises:
        ConfigurationError: the address is not absolute with one of the schemes, it has a query or a login, or its host
            is neither a name nor an IP address in its common form (``127.1`` is not).
    """
    try:
        parts = urlsplit(address)
        usable = parts.scheme in schemes and _is_host(parts.hostname or "")
        usable = usable and (parts.port is None or parts.port > 0)
    except (ValueError, AttributeError, TypeError):  # the latter two: the address is not text
        usable = False
    else:
        # Matched on the text: an empty query or fragment, white space and line breaks do not show in the parts.
        usable = usable and _PLAIN_ADDRESS.fullmatch(address) is not None
    if not usable:
        allowed = " or ".join(f"{scheme}://" for scheme in schemes)
        # The address may contain a login, so the message does not show it.
        hint = ", got an empty one, which a sandbox has before it is started" if address == "" else ""
        msg = f"the {name} address must be {allowed} and a host, without a query or a login{hint}"
        raise ConfigurationError(msg)
    return address.rstrip("/")


def check_secure(name: str, address: str, proxy: Secret | None = None) -> None:
    """Reject an address to which secrets would be sent unencrypted over a network.

    Args:
        name: the name of the address in the message, such as ``api``.
        address: a validated address; empty for none.
        proxy: the validated address of a proxy, or None.

    Raises:
        ConfigurationError: the address begins with ``http://`` or ``ws://``, and its host, or the proxy, is not this
            machine.
    """
    parts = urlsplit(address)
    if parts.scheme not in {"http", "ws"}:
        return
    if not _is_this_machine(parts.hostname or ""):
        msg = f"the {name} address begins with {parts.scheme}:// and names another host than this machine"
    elif proxy is not None and not _is_this_machine(urlsplit(proxy.reveal()).hostname or ""):
        msg = f"the {name} address begins with {parts.scheme}:// and is reached through a proxy on another host"
    else:
        return
    msg = f"{msg}, so secrets would be sent unencrypted: use {parts.scheme}s://, or pass allow_insecure=True"
    raise ConfigurationError(f"{msg}, or {INSECURE}=1 in the environment")


def _is_this_machine(host: str) -> bool:
    if host.removesuffix(".") == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    # Connecting to the unspecified address, 0.0.0.0 or ::, reaches this machine over loopback.
    return address.is_loopback or address.is_unspecified


def allows_insecure() -> bool:
    """Return whether the environment allows unencrypted connections to other hosts.

    Raises:
        ConfigurationError: ``CONNECTTRADE_ALLOW_INSECURE`` is neither true nor false.
    """
    given = os.environ.get(INSECURE, "").strip().lower()
    if given not in (*_YES, *_NO):
        msg = f"{INSECURE} must be 1 or 0, got {given[:20]!r}"
        raise ConfigurationError(msg)
    return given in _YES


def dialect_path() -> str | None:
    """Return the path of the dialect's file, as ``CONNECTTRADE_DIALECT`` has it, or None."""
    return os.environ.get(DIALECT) or None


class Endpoints(msgspec.Struct, frozen=True):
    """The addresses of Connect Trade (documented).

    Attributes:
        api: the REST API, ``https://...``.
        stream: the brokerage data stream, ``wss://...``.
        market_data: the market data stream, ``wss://...``.
    """

    api: str = "https://api.connecttrade.com"
    stream: str = "wss://stream.connecttrade.com"
    market_data: str = "wss://mdstream.connecttrade.com"

    def __post_init__(self) -> None:
        """Reject an invalid address."""
        check_address("api", self.api, ("https", "http"))
        check_address("stream", self.stream, ("wss", "ws"))
        check_address("market_data", self.market_data, ("wss", "ws"))


class DialOptions(msgspec.Struct, frozen=True, eq=False):
    """The options of new connections, for REST and both streams.

    Attributes:
        ssl: the TLS context, or None for the system's certificates.
        proxy: the address of an HTTP proxy, which may carry a login, or None for a direct connection. Its ``repr`` is
            masked.
    """

    ssl: SSLContext | None = None
    proxy: Secret | None = None

    @classmethod
    def of(cls, context: object, proxy: object) -> DialOptions:
        """Return the options for the arguments ``ssl=`` and ``proxy=``.

        Raises:
            ConfigurationError: one of them has the wrong type, or the proxy is not the address of one.
        """
        if context is not None and not isinstance(context, SSLContext):
            msg = f"ssl must be an ssl.SSLContext or None, got {type(context).__name__}"
            raise ConfigurationError(msg)
        if proxy is None:
            return cls(context)
        proxy = Secret.wrap(proxy)  # rebound before it is checked: tracebacks can print variables
        if proxy.wrong_kind is not None:
            msg = f"proxy must be the address of a proxy as text, or None, got {proxy.wrong_kind}"
            raise ConfigurationError(msg)
        if not _is_proxy(proxy):
            msg = "proxy must be http:// or https://, optionally user:password@, a host and a port, and nothing else"
            raise ConfigurationError(msg)
        return cls(context, proxy)


def _is_proxy(proxy: Secret) -> bool:
    try:
        parts = urlsplit(proxy.reveal())
        usable = parts.scheme in {"http", "https"} and _is_host(parts.hostname or "")
        usable = usable and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return usable and parts.path in {"", "/"} and _PROXY_ADDRESS.fullmatch(proxy.reveal()) is not None


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Time limits, in seconds.

    Attributes:
        call: one HTTP request, from sending it to the last byte of the response; and one call of a ``token_source``.
        connect: opening a connection, with name resolution and TLS.
        login: a stream's login and subscriptions, from the open WebSocket on.
        silence: the longest time without a frame before a live stream reconnects; None relies on pings.
        ping: the interval between pings of a stream, and the time limit for any frame after one; None for no pings.
        settle: reconciling an order after its response was lost.
        close: closing the client.
    """

    call: float = 30.0
    connect: float = 10.0
    login: float = 10.0
    silence: float | None = None
    ping: float | None = 20.0
    settle: float = 30.0
    close: float = 5.0

    def __post_init__(self) -> None:
        """Reject values that are not durations."""
        optional = [name for name in ("silence", "ping") if getattr(self, name) is not None]
        _check_numbers(self, "call", "connect", "login", "settle", "close", *optional, unit="seconds")


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """The retry policy of idempotent requests.

    Attributes:
        attempts: the number of attempts in all; 1 disables retries.
        budget: seconds that all attempts and the delays between them may take together. The default exceeds two
            attempts that end by ``Timeouts.call``, so that a GET that timed out is sent again.
        base: the upper bound of the first delay, in seconds; it doubles each time.
        cap: the upper bound of every delay, in seconds.
    """

    attempts: int = 4
    budget: float = 75.0
    base: float = 0.25
    cap: float = 8.0

    def __post_init__(self) -> None:
        """Reject values that are not counts or durations."""
        _check_ints(self, "attempts")
        _check_numbers(self, "budget", "base", "cap", unit="seconds")


class Reconnect(msgspec.Struct, frozen=True, kw_only=True):
    """The reconnect policy of a stream.

    Attributes:
        base: the upper bound of the first delay, in seconds; it doubles each time.
        cap: the upper bound of every delay, in seconds. A server's ``Retry-After`` may extend it to ten minutes.
        attempts: connections that may fail in a row before the stream ends; None for no limit.
        settled: seconds that a connection must have been live before the delays restart at ``base``.
        standby: the longest delay, in seconds, while another client holds the session and the stream is on standby.
    """

    base: float = 0.5
    cap: float = 30.0
    attempts: int | None = None
    settled: float = 10.0
    standby: float = 60.0

    def __post_init__(self) -> None:
        """Reject values that are not durations or counts."""
        _check_numbers(self, "base", "cap", "settled", "standby", unit="seconds")
        if self.attempts is not None:
            _check_ints(self, "attempts")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Concurrency, rate and size limits, over all users of the client.

    Attributes:
        connections: requests in flight at once; further requests wait in first-in, first-out order.
        requests_per_second: the rate limit; None for no limit.
        response_bytes: the largest body of a successful response, decompressed. A larger one raises a
            ``TransportError`` of the kind ``too-large``. Of an error response, the first 64 KiB are kept.
        header_bytes: the longest header line of a response; the default is curl's.
        frame_bytes: the size of the largest frame that a stream accepts, at least 65,536. A larger one closes its
            connection; after such a frame on five connections in a row the stream ends.
    """

    connections: int = 100
    requests_per_second: float | None = None
    response_bytes: int = 33_554_432
    header_bytes: int = 102_400
    frame_bytes: int = 4_194_304

    def __post_init__(self) -> None:
        """Reject values that are not counts or rates."""
        _check_ints(self, "connections", "response_bytes", "header_bytes", "frame_bytes")
        if self.frame_bytes < MIN_FRAME_BYTES:
            msg = f"Limits.frame_bytes must be at least {MIN_FRAME_BYTES}, got {self.frame_bytes}"
            raise ConfigurationError(msg)
        if self.requests_per_second is not None:
            _check_numbers(self, "requests_per_second")


def from_environment(given: Collection[str] = ()) -> dict[str, Any]:
    """Read the credentials and, where they are set, the addresses from the environment.

    Args:
        given: the names of settings that the caller passes itself; their variables are not read.

    Returns:
        Keyword arguments of ``ConnectTrade``: ``client_id``, ``client_secret`` and ``endpoints`` unless they are given,
        and ``allow_insecure`` and the path ``dialect`` where the environment sets them.

    Raises:
        ConfigurationError: a credential is missing or could not be sent, or an address is invalid.
    """
    # os.environ is never bound to a variable here: a traceback that prints variables would print every secret in it.
    required = {field: name for field, name in CREDENTIALS.items() if field not in given}
    missing = [name for name in required.values() if not os.environ.get(name)]
    if missing:
        msg = f"set {' and '.join(missing)} in the environment"
        raise ConfigurationError(msg)
    settings: dict[str, Any] = {}
    if "client_id" in required:
        settings["client_id"] = os.environ[CLIENT_ID]
    if "client_secret" in required:
        settings["client_secret"] = secret = Secret(os.environ[CLIENT_SECRET])
        secret.check(CLIENT_SECRET)
    if "endpoints" not in given:
        addresses = {field: os.environ[name] for field, name in ADDRESSES.items() if os.environ.get(name)}
        settings["endpoints"] = Endpoints(**addresses)
    if "allow_insecure" not in given and allows_insecure():
        settings["allow_insecure"] = True
    if "dialect" not in given and (path := dialect_path()) is not None:
        settings["dialect"] = path
    return settings
