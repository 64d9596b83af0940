"""The sandbox's spellings: which of two known forms it writes, wherever the wire contract knows two.

A client that reads every combination of these is safe from the question which of them the live API writes.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple, get_args, get_type_hints

from connecttrade_async.sandbox.errors import UnauthorizedError

__all__ = ["Credentials", "Endpoints", "Spellings"]


class Credentials:
    """The client's id and secret. Never shown, and compared in constant time."""

    def __init__(self, client_id: str, client_secret: str) -> None:
        self._id = client_id.encode()
        self._secret = client_secret.encode()

    def are(self, client_id: object, secret: object) -> bool:
        """Whether these are the two."""
        if not isinstance(client_id, str) or not isinstance(secret, str):
            return False
        is_id = hmac.compare_digest(client_id.encode("utf-8", "surrogateescape"), self._id)
        is_secret = hmac.compare_digest(secret.encode("utf-8", "surrogateescape"), self._secret)
        return is_id and is_secret

    def check(self, headers: Mapping[str, str]) -> None:
        """Let the client pass.

        Raises:
            UnauthorizedError: a header is missing, or the pair is not ours; not saying which half is wrong.
        """
        client_id, secret = headers.get("client-id"), headers.get("client-secret")
        if not client_id or not secret:
            raise UnauthorizedError("The headers client-id and client-secret are required.")
        if not self.are(client_id, secret):
            raise UnauthorizedError("The client-id or the client-secret is wrong.")


class Endpoints(NamedTuple):
    """Where the sandbox is served, without a slash at the end.

    Attributes:
        api: the base of the REST paths.
        stream: the brokerage data stream.
        market_data: the market-data stream.
    """

    api: str
    stream: str
    market_data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spellings:
    """How the sandbox spells its answers. Replace `Sandbox.spellings` as a whole to change it.

    Attributes:
        orders: ``array`` is a bare array (seen) with the cursors in the response headers ``next-cursor`` and
            ``prev-cursor`` (Assumed); ``envelope`` is an object with ``orders`` and cursors (Assumed).
        fields: ``seen`` writes ``user_secret``, ``connection_request_url`` and ``connection_type``; ``documented``
            writes ``user-secret``, ``authorization_url``, and ``type`` with ``status``.
        times: ``rfc3339`` (Assumed), or digits that count ``epoch_seconds`` or ``epoch_milliseconds``.
        nulls: how a number that a broker lacks looks: ``null`` (documented) or ``empty``, the string ``""``
            (Assumed). A few brokers write ``""`` whatever this says.
    """

    orders: Literal["array", "envelope"] = "array"
    fields: Literal["seen", "documented"] = "seen"
    times: Literal["rfc3339", "epoch_seconds", "epoch_milliseconds"] = "rfc3339"
    nulls: Literal["null", "empty"] = "null"

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for entry in fields(self):
            known = get_args(hints[entry.name])
            if getattr(self, entry.name) not in known:
                raise ValueError(f"{entry.name} must be one of {', '.join(known)}, not {getattr(self, entry.name)!r}")
