"""Users of the client, as the API creates and lists them."""

from __future__ import annotations

from msgspec import field

from connecttrade_async.models.fields import Model
from connecttrade_async.secret import Secret  # noqa: TC001 - msgspec reads the annotations

__all__ = ["NewUser", "UserRecord"]


class NewUser(Model, frozen=True, kw_only=True, gc=False):
    """The response of ``POST /users``. The API shows the secret only this once (documented): store it.

    Attributes:
        user_id: the id given in the request.
        user_secret_seen: the secret under the name ``user_secret`` (seen).
        user_secret_documented: the secret under the name ``user-secret`` (documented).
    """

    user_id: str
    user_secret_seen: Secret | None = field(default=None, name="user_secret")
    user_secret_documented: Secret | None = field(default=None, name="user-secret")

    def __post_init__(self) -> None:
        """Reject a response without a secret: no request could be made for such a user."""
        if not (self.user_secret_seen or self.user_secret_documented):
            msg = "Object missing required field `user_secret`"
            raise ValueError(msg)

    @property
    def user_secret(self) -> Secret:
        """The secret, under either name."""
        secret = self.user_secret_seen or self.user_secret_documented
        assert secret is not None  # noqa: S101 - held by __post_init__
        return secret


class UserRecord(Model, frozen=True, kw_only=True, gc=False):
    """One row of ``GET /users``.

    Attributes:
        user_id: the id given at creation.
    """

    user_id: str
