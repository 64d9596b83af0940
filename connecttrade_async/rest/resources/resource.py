"""The base class of all resources."""

# ruff: noqa: TC001 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

import msgspec

from connecttrade_async.rest.sender import Api

__all__ = ["Resource"]


class Resource(msgspec.Struct, eq=False):
    """A group of requests of one user. It is cheap to create and has no state."""

    _api: Api

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"
