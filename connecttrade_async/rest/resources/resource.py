"""What all resources are: a noun, asked for in somebody's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connecttrade_async.rest.caller import Requester

__all__ = ["Resource"]


class Resource:
    """A noun of the API. It costs some bytes and holds no state."""

    __slots__ = ("_requester",)

    def __init__(self, requester: Requester) -> None:
        self._requester = requester
