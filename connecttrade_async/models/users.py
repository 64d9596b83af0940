"""Below the waterline: users of the client, as the API lists and makes them."""

from __future__ import annotations

from msgspec import field

from connecttrade_async.models.fields import Model
from connecttrade_async.secret import Secret  # noqa: TC001 - msgspec reads the annotations

__all__ = ["NewUser", "UserRecord"]


class NewUser(Model, frozen=True, kw_only=True, gc=False):
    """What ``POST /users`` answers. The secret is shown this once (documented): keep it.

    Attributes:
        user_id: the name you gave.
        user_secret_seen: the secret under the name seen on the wire, ``user_secret``.
        user_secret_documented: the secret under the name in the documentation's prose, ``user-secret``.
    """

    user_id: str
    user_secret_seen: Secret | None = field(default=None, name="user_secret")
    user_secret_documented: Secret | None = field(default=None, name="user-secret")

    def __post_init__(self) -> None:
        """Refuse an answer without a secret: the user would exist, and nobody could act for it."""
        if not (self.user_secret_seen or self.user_secret_documented):
            msg = "Object missing required field `user_secret`"
            raise ValueError(msg)

    @property
    def user_secret(self) -> Secret:
        """The secret, under whichever name it came."""
        secret = self.user_secret_seen or self.user_secret_documented
        assert secret is not None  # noqa: S101 - held by __post_init__
        return secret


class UserRecord(Model, frozen=True, kw_only=True, gc=False):
    """One entry of ``GET /users``.

    Attributes:
        user_id: the name you gave.
    """

    user_id: str
