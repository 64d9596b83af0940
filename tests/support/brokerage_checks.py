"""The brokerage stream in any dialect: every event right, or said in time; never silent."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from connecttrade_async import ConnectTradeError, Fill, Order
from connecttrade_async.models.balances import Balance
from connecttrade_async.models.events import (
    BalanceUpdate,
    Gap,
    OrderUpdate,
    PositionUpdate,
    StreamEnded,
    StreamLost,
    UnknownMessage,
)
from connecttrade_async.models.positions import Position
from connecttrade_async.sandbox.dialect.members import IDS
from dialect_world import NAMES, quick, said_by, written_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import msgspec

    from connecttrade_async import Dialect
    from connecttrade_async.sandbox.dialect import SandboxDialect
    from connecttrade_async.streaming.brokerage_stream import BrokerageStream
    from connecttrade_async.streaming.subscriptions import Subscription
    from dialect_world import DialectWorld

__all__ = ["Published", "check_brokerage", "drained", "is_lying", "payloads", "publish_all", "verdict_of"]

TOPICS = ("orders", "positions", "balances")
MODELS: Mapping[str, type[msgspec.Struct]] = {"orders": Order, "positions": Position, "balances": Balance}
Update = OrderUpdate | PositionUpdate | BalanceUpdate
CALM = 2.0  # seconds without a further frame after which no more of them come
PATIENCE = 20.0


class Published:
    """One event that the server published.

    Attributes:
        topic: the topic.
        user_id: the owner.
        account_id: the owner's account.
        mark: a text that stands in this event alone, whatever the names in it.
        data: the payload.
    """

    def __init__(self, topic: str, user_id: str, account_id: str, mark: str) -> None:
        self.topic, self.user_id, self.account_id, self.mark = topic, user_id, account_id, mark
        self.data = payloads(topic, account_id, mark)


def payloads(topic: str, account_id: str, mark: str) -> dict[str, Any]:
    """Return a payload of a topic, with a mark in it."""
    number = str(Decimal(sum(map(ord, mark))) / 8)
    if topic == "orders":
        fill = {"fill_id": f"fill-{mark}", "quantity": number, "price": "7.125", "time": "2026-03-02T14:30:01Z"}
        return {
            "order_id": f"order-{mark}",
            "cl_order_id": f"own-{mark}",
            "account_id": account_id,
            "broker": "ALPACA",
            "symbol": mark,
            "instrument": "STK",
            "side": "SELL_SHORT",
            "order_type": "STPLMT",
            "order_tif": "DAY",
            "order_qty": "100.5",
            "status": "partially_filled",
            "broker_status": "partial",
            "filled_qty": number,
            "avg_fill_price": "7.125",
            "fills": [fill],
            "created_at": "2026-03-02T14:30:00Z",
        }
    if topic == "positions":
        return {
            "account_id": account_id,
            "account_number": "0042",
            "symbol": mark,
            "instrument": "STK",
            "quantity": number,
            "average_price": "7.125",
            "market_value": "-12.50",
            "daily_pl": "0.10",
        }
    return {"account_id": account_id, "account_number": mark, "currency": "USD", "cash": number, "equity": "9.125"}


def is_lying(spoken: SandboxDialect, stream: str = "brokerage") -> bool:
    """Return whether a server holds only the first name of a request, and its word for that names none.

    No client can know then what it is subscribed to.
    """
    said = getattr(spoken, stream).messages
    names = ("{topics}", "{topic}", "{symbols}", "{symbol}")
    return said.acknowledges == "first" and not any(name in repr(said.subscribed) for name in names)


def publish_all(world: DialectWorld, label: str, topics: Iterable[str] = TOPICS) -> list[Published]:
    """Publish an event of each topic for each user."""
    events = [
        Published(topic, name, world.accounts[name], f"{label}{topic[0].upper()}{name[0].upper()}")
        for topic in topics
        for name in NAMES
    ]
    for event in events:
        at = "2026-03-02T14:30:02Z"
        world.sandbox.stream.publish(event.topic, event.user_id, event.account_id, event.data, timestamp=at)
    return events


async def drained(events: Subscription, published: Iterable[Published], found: list[Any]) -> list[Any]:
    """Take events until each published one came or was set aside, the stream ended, or no more come."""
    marks = [event.mark.encode() for event in published]
    while not all(any(mark in getattr(event, "raw", b"") for event in found) for mark in marks):
        try:
            async with asyncio.timeout(CALM):
                event = await events.receive()
        except (TimeoutError, ConnectTradeError):
            break
        found.append(event)
    return found


def verdict_of(
    event: Published, received: list[Any], spoken: SandboxDialect, unread: Mapping[str, tuple[str, ...]]
) -> str:
    """Return what was said of an event: ``""`` where it is right.

    Raises:
        AssertionError: it is wrong, or lost in silence.
    """
    mark = event.mark.encode()
    updates = [each for each in received if isinstance(each, Update) and mark in each.raw]
    aside = [each for each in received if isinstance(each, UnknownMessage) and mark in each.raw]
    lost = [each for each in received if isinstance(each, Gap | StreamLost | StreamEnded)]
    assert len(updates) <= 1, f"{event.mark} was delivered twice"
    if not updates:
        assert aside or lost, f"{event.mark} was lost in silence"
        return f"set aside: {aside[0].problem}" if aside else "the stream was lost"
    [update] = updates
    account_id = written_id(spoken, event.account_id)
    assert update.topic == event.topic
    assert update.account_id == account_id, f"{event.mark} went to {update.account_id}"
    where = spoken.brokerage.events.user_id
    assert update.user_id == (None if where == "absent" else event.user_id), f"{event.mark} went to {update.user_id}"
    model = getattr(update, event.topic.removesuffix("s"))
    # The account may be named beside the payload, or in an object with its number.
    missing = sorted(_wrong_fields(event.data, model, spoken) - {"account_id", "account_number"})
    if missing:
        assert any(unread.values()), f"{event.mark} lacks {missing}, and no name is reported as not read"
        return f"lacks {missing}"
    return ""


def _wrong_fields(data: Mapping[str, Any], model: Any, spoken: SandboxDialect) -> set[str]:
    """Return the fields that are missing; a value that is wrong fails."""
    missing: set[str] = set()
    names = dict(zip(model.__struct_encode_fields__, model.__struct_fields__, strict=True))
    for name, sent in data.items():
        value = getattr(model, names[name])
        if value is None or (name == "account_id" and not value):
            missing.add(name)
        elif isinstance(sent, list):
            listed: list[dict[str, Any]] = sent  # pyright: ignore[reportUnknownVariableType]
            assert len(value) == len(listed)
            for one, fill in zip(listed, value, strict=True):
                assert isinstance(fill, Fill)
                missing |= {f"{name}.{each}" for each in _wrong_fields(one, fill, spoken)}
        elif name in IDS:
            assert value == written_id(spoken, sent), f"{name} is {value}"
        elif isinstance(sent, str) and names[name].endswith("_text") and "T" not in sent:
            assert Decimal(value) == Decimal(sent), f"{name} is {value}"
        else:
            assert str(value) == str(sent), f"{name} is {value}"
    return missing


async def opened(world: DialectWorld, stream: BrokerageStream) -> str:
    """Open a stream, and wait until the server holds its topics; return why it did not open, or ``""``."""
    try:
        async with asyncio.timeout(PATIENCE):
            await stream.open()
    except ConnectTradeError as error:
        return said_by(error)
    held = world.sandbox.stream
    try:
        async with asyncio.timeout(CALM):
            await held.log.until(lambda: any(set(TOPICS) <= set(each.topics) for each in held.sessions))
    except TimeoutError:
        # A step was assumed: whether the server refuses it shows later.
        assert stream.health().state != "LIVE" or held.sessions == (), "live without the topics"
        return "not live"
    return ""


async def check_brokerage(
    world: DialectWorld, spoken: SandboxDialect, dialect: Dialect, *, login: float = 0.5
) -> list[str]:
    """Connect, receive events of all topics, lose the connection, and receive again.

    Returns:
        What was said where something is not right; empty if everything is.

    Raises:
        AssertionError: an event is wrong, or lost in silence.
    """
    world.speak(spoken)
    said: list[str] = []
    async with world.client(dialect, **quick(login)) as ct:
        stream = ct.brokerage_stream()
        events = stream.subscribe()
        try:
            problem = await opened(world, stream)
            if problem:
                return [problem]
            for label in ("1", "2"):
                received: list[Any] = []
                if label == "2":
                    world.sandbox.stream.drop(1001)
                    if ended := await _until_live_again(world, events, received):
                        return [*said, ended]
                published = publish_all(world, label)
                await drained(events, published, received)
                unread = stream.health().unread
                said += filter(None, (verdict_of(event, received, spoken, unread) for event in published))
        finally:
            await stream.aclose()
    return said


async def _until_live_again(world: DialectWorld, events: Subscription, received: list[Any]) -> str:
    """Take events up to the gap, until the server holds the topics again; return why the stream ended, or ``""``."""
    held = world.sandbox.stream
    try:
        async with asyncio.timeout(PATIENCE):
            while not any(isinstance(each, Gap) for each in received):
                received.append(await events.receive())
            await held.log.until(lambda: any(set(TOPICS) <= set(each.topics) for each in held.sessions))
    except ConnectTradeError as error:
        return said_by(error)
    received[:] = [each for each in received if not isinstance(each, Gap | StreamLost)]
    return ""
