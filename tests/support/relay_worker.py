"""A worker process of a relay, for tests that kill and stop processes.

It follows one user and one stream, and prints a JSON object for each event of the account ``numbers`` and for each gap.
The line ``book`` on its standard input makes it print its book.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

from connecttrade_async import ConnectTrade, Endpoints, Gap, OrderUpdate
from connecttrade_async.config import Reconnect, Timeouts
from connecttrade_async.relay import Relay
from live_fixtures import in_the_book

NUMBERS = "numbers"


def report(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


class EpochHandler(logging.Handler):
    """Reports each epoch in which this worker leads."""

    def emit(self, record: logging.LogRecord) -> None:
        epoch = getattr(record, "epoch", None)
        if record.levelno == logging.INFO and epoch is not None:
            report(leads=epoch)


async def main(config: dict[str, Any]) -> None:
    logger = logging.getLogger("connecttrade_async.relay")
    logger.setLevel(logging.INFO)
    logger.addHandler(EpochHandler())
    endpoints = Endpoints(api=config["api"], stream=config["stream"])
    reconnect = Reconnect(base=0.02, cap=0.1, standby=0.3)
    async with ConnectTrade(
        config["client_id"],
        config["client_secret"],
        endpoints=endpoints,
        reconnect=reconnect,
        timeouts=Timeouts(close=1.0),
    ) as ct:
        user = ct.user(config["user_id"], config["user_secret"])
        stream = ct.brokerage_stream(relay=Relay(config["redis"], lease=config["lease"]))
        events = stream.subscribe("orders", user_id=NUMBERS)
        async with stream:
            report(ready=True)
            async with ct.live([user], stream, sweep_every=None) as live, asyncio.TaskGroup() as group:
                group.create_task(_print_events(events))
                reader = asyncio.StreamReader()
                protocol = asyncio.StreamReaderProtocol(reader)
                await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
                while await reader.readline():
                    report(book=repr(in_the_book(live, config["account_id"])), is_current=live.is_current)


async def _print_events(events: Any) -> None:
    async for event in events:
        if isinstance(event, Gap):
            report(gap=event.cause)
        elif isinstance(event, OrderUpdate):
            report(event=int(str(event.order.order_id)[1:]))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
