"""One side of ``peers_rest.py``: httpx + pydantic, and requests + pydantic in threads, as many programs are written.

Numbers become Decimals and times become datetimes, because the models are for that.
"""

from __future__ import annotations

import asyncio
import threading

import httpx
import requests
from plain_models import Balance, Page
from pydantic import TypeAdapter

from measurement import arguments, measure_in_threads, measure_requests

HEADERS = {"client-id": "client", "client-secret": "secret", "user-id": "user", "user-secret": "secret"}
PATHS = {"balance": "/balances", "page": "/orders?status=all&limit=500"}
SHAPES = {"balance": TypeAdapter(list[Balance]), "page": TypeAdapter(Page)}


async def by_httpx(url: str, case: str, count: int) -> None:
    """Measure one shared client."""
    validate = SHAPES[case].validate_json
    # Its own limits: keeping all 100 connections alive makes it five times slower.
    async with httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=None) as http:  # noqa: S113 - loopback

        async def send() -> object:
            reply = await http.get(PATHS[case])
            return validate(reply.content)

        await measure_requests(send, count)


def by_requests(url: str, case: str, count: int) -> None:
    """Measure one session for each thread, because sessions are not thread-safe."""
    validate = SHAPES[case].validate_json
    own = threading.local()

    def send() -> object:
        if not hasattr(own, "session"):
            own.session = requests.Session()
            own.session.headers.update(HEADERS)
        return validate(own.session.get(url + PATHS[case], timeout=60).content)

    measure_in_threads(send, count)


def main() -> None:
    """Measure the side and case of the arguments."""
    url, name, count = arguments()
    side, _, case = name.partition(" ")
    if side == "httpx":
        asyncio.run(by_httpx(url, case, count))
    else:
        by_requests(url, case, count)


if __name__ == "__main__":
    main()
