"""The sandbox's way of saying no: one exception per status that the wire documents.

Anything below the HTTP door raises one of these with a sentence for the caller; the door turns it into the JSON object
with ``message`` that the documentation shows.
"""

from typing import ClassVar

__all__ = [
    "BadRequestError",
    "ConflictError",
    "ForbiddenError",
    "GoneError",
    "NotFoundError",
    "RefusalError",
    "UnauthorizedError",
]


class RefusalError(Exception):
    """A request that the pretend API answers with an error.

    Attributes:
        status: the HTTP status of the answer.
        message: the sentence sent as ``message``.
    """

    status: ClassVar[int] = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadRequestError(RefusalError):
    """400, documented: malformed or invalid."""

    status = 400


class UnauthorizedError(RefusalError):
    """401, documented: authentication **or entitlement**."""

    status = 401


class ForbiddenError(RefusalError):
    """403, Assumed: the one thing that was asked for is not for this client. REST says 401 of that."""

    status = 403


class NotFoundError(RefusalError):
    """404, documented: not found, which is also the answer for another user's data."""

    status = 404


class ConflictError(RefusalError):
    """409, documented: it already exists, or that brokerage account is linked to another user."""

    status = 409


class GoneError(RefusalError):
    """410: a login link that was used or has expired. Only the login pages answer this."""

    status = 410
