"""What all resources are: a noun, asked for in somebody's name."""

# ruff: noqa: TC001 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

import msgspec

from connecttrade_async.rest.sender import Api

__all__ = ["Resource"]


class Resource(msgspec.Struct, eq=False):
    """A noun of the API. It costs some bytes and holds no state."""

    _api: Api

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"
