"""Consent: how a visit to a login page ends, and the redirect URL.

Documented: the redirect carries ``connection_id``, or ``error`` and ``error_details``; a query that the URL already
had is kept and extended with ``&``.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import quote, urlencode, urlsplit

from connecttrade_async.sandbox.errors import BadRequestError, ConflictError, NotFoundError
from connecttrade_async.sandbox.world import Broker, LoginRequest, World, find_broker

__all__ = ["DECLINED", "LINKED", "LOGIN_FAILED", "approve", "decline", "extend", "token_of"]

DECLINED = ("access_denied", "The person declined to share these accounts.")
LOGIN_FAILED = ("login_failed", "The person could not log in at the broker.")
LINKED = "account_already_linked"
_DEFAULT_BROKER = "ALPACA"


def extend(url: str, extra: Mapping[str, str]) -> str:
    """Add parameters behind the query that a URL already has, before its fragment; not a byte else is touched."""
    front, hash_mark, fragment = url.partition("#")
    _, mark, query = front.partition("?")
    joint = "?" if not mark else "" if not query or query.endswith("&") else "&"
    return f"{front}{joint}{urlencode(extra, quote_via=quote)}{hash_mark}{fragment}"


def token_of(url: str) -> str:
    """The secret part of a login link's URL, wherever the sandbox is served.

    Raises:
        UnknownError: this is no login link.
    """
    parts = urlsplit(url).path.strip("/").split("/")
    if len(parts) < 2 or parts[0] != "connect":  # noqa: PLR2004  /connect/{token}
        raise NotFoundError("This is no login link of the sandbox.")
    return parts[1]


def approve(
    world: World,
    link: LoginRequest,
    now: datetime,
    broker: Broker | None = None,
    login: str = "",
    *,
    write_id: Callable[[str], str] = str,
) -> str:
    """Let the person consent, and answer with the URL to which the browser goes.

    Args:
        world: where the link was made.
        link: a link that is still good.
        now: the present moment.
        broker: the person's choice; None takes the one asked for, else Alpaca.
        login: the person's name at the broker; empty takes the one last used there.
        write_id: returns the ``connection_id`` as the answers of REST write it.

    Raises:
        BadRequestError: the broker cannot do what was asked for. The link stays good.
    """
    chosen = broker or link.broker or find_broker(_DEFAULT_BROKER)
    name = login or world.users[link.user_id].login(chosen)
    try:
        connection = world.consent(link, chosen, name, now)
    except ConflictError as conflict:
        return extend(link.redirect_url, {"error": LINKED, "error_details": conflict.message})
    return extend(link.redirect_url, {"connection_id": write_id(connection.connection_id)})


def decline(link: LoginRequest, error: str = DECLINED[0], details: str = DECLINED[1]) -> str:
    """Let the person say no, and answer with the URL to which the browser goes. The link is used up.

    Raises:
        BadRequestError: `error` is empty; the answer would look like a success.
    """
    if not error:
        raise BadRequestError("error must say something.")
    link.is_used = True
    return extend(link.redirect_url, {"error": error, "error_details": details})
