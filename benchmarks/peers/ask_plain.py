"""One side of ``peers_rest.py``: httpx + pydantic, and requests + pydantic in threads: what most would write.

Numbers become Decimals and times become datetimes, since that is what the models are for.
"""

from __future__ import annotations

import asyncio
import threading

import httpx
import requests
from plain_models import Balance, Page
from pydantic import TypeAdapter

from measurement import arguments, asked, asked_by_threads

HEADERS = {"client-id": "client", "client-secret": "secret", "user-id": "user", "user-secret": "secret"}
PATHS = {"balance": "/balances", "page": "/orders?status=all&limit=500"}
SHAPES = {"balance": TypeAdapter(list[Balance]), "page": TypeAdapter(Page)}


async def by_httpx(url: str, case: str, count: int) -> None:
    """Measure one client that all share."""
    validate = SHAPES[case].validate_json
    # Its own limits: to keep all 100 connections alive makes it five times slower still.
    async with httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=None) as http:  # noqa: S113 - loopback

        async def ask() -> object:
            reply = await http.get(PATHS[case])
            return validate(reply.content)

        await asked(ask, count)


def by_requests(url: str, case: str, count: int) -> None:
    """Measure one session for each thread, since sessions are not made to be shared."""
    validate = SHAPES[case].validate_json
    own = threading.local()

    def ask() -> object:
        if not hasattr(own, "session"):
            own.session = requests.Session()
            own.session.headers.update(HEADERS)
        return validate(own.session.get(url + PATHS[case], timeout=60).content)

    asked_by_threads(ask, count)


def main() -> None:
    """Measure the side and case that are asked for."""
    url, wanted, count = arguments()
    side, _, case = wanted.partition(" ")
    if side == "httpx":
        asyncio.run(by_httpx(url, case, count))
    else:
        by_requests(url, case, count)


if __name__ == "__main__":
    main()
