"""The sandbox's addresses: where a client finds it."""

from typing import NamedTuple

__all__ = ["Endpoints"]


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
