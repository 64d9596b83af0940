"""Below the waterline: frozen settings, and the only reader of the environment.

Every setting is checked when it is made, so a mistake is met where it was written and not in the middle of a call.
"""

from __future__ import annotations

import math
import os
import re
from ipaddress import ip_address
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import msgspec

from connecttrade_async.errors import ConfigurationError
from connecttrade_async.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Endpoints", "Limits", "Reconnect", "Retry", "Timeouts"]

CLIENT_ID = "CONNECTTRADE_CLIENT_ID"
CLIENT_SECRET = "CONNECTTRADE_CLIENT_SECRET"  # noqa: S105 - the name of a variable, not a secret
LEAST_FRAME = 1 << 16
CREDENTIALS = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
ADDRESSES = {
    "api": "CONNECTTRADE_API_URL",
    "stream": "CONNECTTRADE_STREAM_URL",
    "market_data": "CONNECTTRADE_MDSTREAM_URL",
}
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_PROXY_ADDRESS = re.compile(r"[^\s?#\x00-\x20\x7f]+")
LONGEST_NAME = 253  # characters of a host name (RFC 1035)
_PLAIN_ADDRESS = re.compile(r"[^\s?#@\x00-\x20\x7f]+")


INSECURE = "CONNECTTRADE_ALLOW_INSECURE"
_YES, _NO = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


class HasEndpoints(Protocol):
    """Anything that says where the API is, such as the sandbox's own ``endpoints``."""

    @property
    def api(self) -> str:
        """The address of the REST API."""
        ...


def _positive(owner: object, **values: object) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            msg = f"{type(owner).__name__}.{name} must be a number above zero, not {value!r}"
            raise ConfigurationError(msg)


def _count(owner: object, **values: object) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            msg = f"{type(owner).__name__}.{name} must be a whole number from 1 on, not {value!r}"
            raise ConfigurationError(msg)


def _is_host(host: str) -> bool:
    """Say whether connections can be made to a host: a name, or an IP address in its one common form.

    aiohttp refuses the short and the numeric forms of IP addresses, ``127.1`` or ``2130706433``, before it sends
    anything, and so late that it looks like a failure of a request. Resolvers disagree about them.
    """
    if ":" in host:
        return _is_ip(host)
    try:
        spelled = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return False
    spelled = spelled.removesuffix(".")
    labels = spelled.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return spelled == host and _is_ip(host)
    return len(spelled) <= LONGEST_NAME and all(map(_LABEL.fullmatch, labels))


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def check_address(name: str, address: str, schemes: tuple[str, ...]) -> str:
    """Return an address without its trailing slash.

    Raises:
        ConfigurationError: it is no absolute address of one of the schemes, it carries a query or a login, or its host
            is neither a name nor an IP address in its common form, as ``127.1`` is not.
    """
    try:
        parts = urlsplit(address)
        usable = parts.scheme in schemes and _is_host(parts.hostname or "")
        usable = usable and (parts.port is None or parts.port > 0)
    except (ValueError, AttributeError, TypeError):  # the latter two: it is no text at all
        usable = False
    else:
        # Sought in the text: an empty query or fragment, white space and line breaks do not show in the parts.
        usable = usable and _PLAIN_ADDRESS.fullmatch(address) is not None
    if not usable:
        wanted = " or ".join(f"{scheme}://" for scheme in schemes)
        # What was given may have a login in it, so it is not shown.
        hint = "; it is empty, as a sandbox's is before it is started" if address == "" else ""
        msg = f"the {name} address must be {wanted} and a host, without a query or a login in it{hint}"
        raise ConfigurationError(msg)
    return address.rstrip("/")


def check_secure(name: str, address: str, proxy: Secret | None = None) -> None:
    """Refuse an address to which secrets would travel unencrypted over a network.

    Args:
        name: what the address is for.
        address: one that was checked; empty for none.
        proxy: the address of a proxy that was checked, or None.

    Raises:
        ConfigurationError: it begins with ``http://`` or ``ws://``, and its host, or the proxy, is not this machine.
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
    msg = f"{msg}, so secrets would travel unencrypted: use {parts.scheme}s://, or say allow_insecure=True"
    raise ConfigurationError(f"{msg}, or {INSECURE}=1 in the environment")


def _is_this_machine(host: str) -> bool:
    if host.removesuffix(".") == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    # What listens at every address of this machine is reached at the unspecified one, and nothing leaves it.
    return address.is_loopback or address.is_unspecified


def allows_insecure() -> bool:
    """Say whether the environment allows unencrypted connections to other hosts.

    Raises:
        ConfigurationError: ``CONNECTTRADE_ALLOW_INSECURE`` is neither yes nor no.
    """
    given = os.environ.get(INSECURE, "").strip().lower()
    if given not in (*_YES, *_NO):
        msg = f"{INSECURE} must be 1 or 0, got {given[:20]!r}"
        raise ConfigurationError(msg)
    return given in _YES


class Endpoints(msgspec.Struct, frozen=True):
    """Where Connect Trade is (documented).

    Attributes:
        api: the REST API, ``https://...``.
        stream: the brokerage data stream, ``wss://...``.
        market_data: the market data stream, ``wss://...``.
    """

    api: str = "https://api.connecttrade.com"
    stream: str = "wss://stream.connecttrade.com"
    market_data: str = "wss://mdstream.connecttrade.com"

    def __post_init__(self) -> None:
        """Refuse an address that cannot be one."""
        check_address("api", self.api, ("https", "http"))
        check_address("stream", self.stream, ("wss", "ws"))
        check_address("market_data", self.market_data, ("wss", "ws"))


class DialOptions(msgspec.Struct, frozen=True, eq=False):
    """How connections are made, for REST and both streams.

    Attributes:
        ssl: the TLS context, or None for the system's certificates.
        proxy: the address of an HTTP proxy, which may carry a login, or None for a direct connection. Its ``repr`` is
            masked.
    """

    ssl: SSLContext | None = None
    proxy: Secret | None = None

    @classmethod
    def of(cls, context: object, proxy: object) -> DialOptions:
        """Return the options for what was passed as ``ssl=`` and ``proxy=``.

        Raises:
            ConfigurationError: one of them is of another kind, or the proxy is no address of one.
        """
        if context is not None and not isinstance(context, SSLContext):
            msg = f"ssl must be an ssl.SSLContext or None, got {type(context).__name__}"
            raise ConfigurationError(msg)
        if proxy is None:
            return cls(context)
        proxy = Secret.wrap(proxy)  # rebound before it is checked: tracebacks can print variables
        if proxy.wrong_kind is not None:
            msg = f"proxy must be the address of a proxy as text or None, got {proxy.wrong_kind}"
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
    """How long things may take, in seconds.

    Attributes:
        call: one HTTP exchange, from asking to the last byte of the answer; and one call of a ``token_source``.
        connect: making a connection, with name look-up and TLS.
        login: a stream, from the open link until it is logged in and subscribed.
        silence: a live stream without a frame before its link counts as dead; None trusts its pings.
        ping: between two pings of a stream's link, and as long again until anything comes after one; None for no pings.
        settle: finding out what became of an order whose answer was lost.
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
        """Refuse what is no duration."""
        names = ("call", "connect", "login", "settle", "close")
        _positive(self, **{name: getattr(self, name) for name in names})
        optional = {"silence": self.silence, "ping": self.ping}
        _positive(self, **{name: value for name, value in optional.items() if value is not None})


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """How patiently a call that may harmlessly be asked again is asked again.

    Attributes:
        attempts: exchanges a call may take in all; 1 switches retries off.
        budget: seconds that all attempts and the pauses between them may take together. By default more than two
            attempts that end by ``Timeouts.call``, so that a GET that timed out is sent again.
        base: the upper bound of the first pause, in seconds; it doubles each time.
        cap: the upper bound of every pause, in seconds.
    """

    attempts: int = 4
    budget: float = 75.0
    base: float = 0.25
    cap: float = 8.0

    def __post_init__(self) -> None:
        """Refuse what is no count and no duration."""
        _count(self, attempts=self.attempts)
        _positive(self, budget=self.budget, base=self.base, cap=self.cap)


class Reconnect(msgspec.Struct, frozen=True, kw_only=True):
    """How a stream comes back when its link is lost.

    Attributes:
        base: the upper bound of the first delay, in seconds; it doubles each time.
        cap: the upper bound of every delay, in seconds; a server's ``Retry-After`` may ask for up to ten minutes.
        attempts: links that may fail in a row before the stream ends; None for no end.
        settled: seconds that a link must have been live before the delays begin anew.
        standby: the longest delay, in seconds, while somebody else has the session and we stand by.
    """

    base: float = 0.5
    cap: float = 30.0
    attempts: int | None = None
    settled: float = 10.0
    standby: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what is no duration and no count."""
        _positive(self, base=self.base, cap=self.cap, settled=self.settled, standby=self.standby)
        if self.attempts is not None:
            _count(self, attempts=self.attempts)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be asked at once, over all users of the client.

    Attributes:
        connections: requests in flight at once; the rest wait in line, first come, first served.
        requests_per_second: None for as fast as it goes.
        response_bytes: the largest body of a good answer, decompressed; a larger one is a ``TransportError`` of the
            kind ``too-large``. Of an answer that is an error, the first 64 KiB are kept.
        header_bytes: the longest line in the head of an answer; the default is what curl takes.
        frame_bytes: the size of the largest frame that a stream takes, at least 65,536. A larger one ends its link; a
            stream that meets one on five links in a row ends.
    """

    connections: int = 100
    requests_per_second: float | None = None
    response_bytes: int = 33_554_432
    header_bytes: int = 102_400
    frame_bytes: int = 4_194_304

    def __post_init__(self) -> None:
        """Refuse what is no count and no rate."""
        _count(
            self,
            connections=self.connections,
            response_bytes=self.response_bytes,
            header_bytes=self.header_bytes,
            frame_bytes=self.frame_bytes,
        )
        if self.frame_bytes < LEAST_FRAME:
            msg = f"Limits.frame_bytes must be {LEAST_FRAME} or more, got {self.frame_bytes}"
            raise ConfigurationError(msg)
        if self.requests_per_second is not None:
            _positive(self, requests_per_second=self.requests_per_second)


def from_environment(given: Collection[str] = ()) -> dict[str, Any]:
    """Read the credentials and, where they are set, the addresses.

    Args:
        given: settings that the caller has already; they are not looked for.

    Returns:
        Keyword arguments of ``ConnectTrade``: those of ``client_id``, ``client_secret`` and ``endpoints`` that are not
        given, and ``allow_insecure`` where the environment says so.

    Raises:
        ConfigurationError: a credential is missing or could not be sent, or an address cannot be one.
    """
    # os.environ is never bound to a variable here: a traceback that prints variables would print every secret in it.
    wanted = {field: name for field, name in CREDENTIALS.items() if field not in given}
    missing = [name for name in wanted.values() if not os.environ.get(name)]
    if missing:
        msg = f"set {' and '.join(missing)} in the environment"
        raise ConfigurationError(msg)
    settings: dict[str, Any] = {}
    if "client_id" in wanted:
        settings["client_id"] = os.environ[CLIENT_ID]
    if "client_secret" in wanted:
        settings["client_secret"] = secret = Secret(os.environ[CLIENT_SECRET])
        secret.check(CLIENT_SECRET)
    if "endpoints" not in given:
        addresses = {field: os.environ[name] for field, name in ADDRESSES.items() if os.environ.get(name)}
        settings["endpoints"] = Endpoints(**addresses)
    if "allow_insecure" not in given and allows_insecure():
        settings["allow_insecure"] = True
    return settings
