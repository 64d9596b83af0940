"""What all resources are: a noun, asked for in somebody's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from connecttrade_async.rest.caller import Requester

__all__ = ["Resource"]


class Resource(msgspec.Struct, eq=False):
    """A noun of the API. It costs some bytes and holds no state."""

    _requester: Requester

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"
