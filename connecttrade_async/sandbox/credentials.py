"""The sandbox's credentials: the one pair of client id and secret that it knows."""

import hmac
from collections.abc import Mapping

from .refusals import UnauthorizedError

__all__ = ["Credentials"]


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
            UnauthorizedError: a header is missing, or the pair is not ours; which half is wrong is not told.
        """
        client_id, secret = headers.get("client-id"), headers.get("client-secret")
        if not client_id or not secret:
            raise UnauthorizedError("The headers client-id and client-secret are required.")
        if not self.are(client_id, secret):
            raise UnauthorizedError("The client-id or the client-secret is wrong.")
