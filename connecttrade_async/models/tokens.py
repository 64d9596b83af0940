"""Access tokens of a user for other services of the vendor."""

from __future__ import annotations

from connecttrade_async.models.fields import Model
from connecttrade_async.secret import Secret  # noqa: TC001 - msgspec reads the annotations

__all__ = ["UserToken"]


class UserToken(Model, frozen=True, kw_only=True, gc=False):
    """The response of ``POST /auth/tokens/user``: a JWT for the vendor's MCP server, valid for one hour (documented).

    Attributes:
        access_token: the token.
    """

    access_token: Secret

    def __post_init__(self) -> None:
        """Reject a response without a token."""
        if not self.access_token:
            msg = "Object missing required field `access_token`"
            raise ValueError(msg)
