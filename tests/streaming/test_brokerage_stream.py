from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connecttrade_async import ConfigurationError, Timeouts
from connecttrade_async.clock import SystemClock
from connecttrade_async.config import Reconnect
from connecttrade_async.errors import ClosedError, ConnectError, SlowConsumerError
from connecttrade_async.models.events import StreamConnecting, StreamLive
from connecttrade_async.sandbox import Sandbox
from connecttrade_async.sandbox.faults.stream import StreamFault
from connecttrade_async.secret import Secret
from connecttrade_async.streaming.brokerage_codec import BrokerageCodec
from connecttrade_async.streaming.brokerage_stream import BrokerageStream
from connecttrade_async.streaming.subscriptions import DropOldestSubscription, LatestSubscription, Subscription
from manual_clock import BEGIN, SteppedClock
from stream_fixtures import Forever, client, nothing_left, publish, story, taken, waiting


def stream_of(**settings: Any) -> BrokerageStream:
    options: dict[str, Any] = {
        "topics": ("orders", "positions", "balances"),
        "timeouts": Timeouts(),
        "reconnect": Reconnect(),
        "clock": SystemClock(),
        "on_taken": "stop",
        "codes": {},
        "owner": Forever(),
    }
    return BrokerageStream("ws://127.0.0.1:1", BrokerageCodec("client", Secret("s")), **(options | settings))


@pytest.mark.parametrize(
    "settings",
    [
        {"topics": ()},
        {"topics": ("orders", "weather")},
        {"topics": ("unknown",)},
        {"on_taken": "give up"},
        {"watchdog": 0},
    ],
    ids=str,
)
def test_brokerage_stream_rejects_invalid_arguments(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="must be"):
        stream_of(**settings)


@pytest.mark.parametrize("topics", [("weather",), ("positions",)], ids=str)
def test_subscribe_rejects_a_topic_of_another_stream(topics: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="must be one or more of orders, unknown, lifecycle"):
        stream_of(topics=("orders",)).subscribe(*topics)


@pytest.mark.parametrize(
    "settings",
    [
        {"capacity": 0},
        {"capacity": "3"},
        {"capacity": 1.5},
        {"capacity": True},
        {"max_bytes": 0},
        {"overflow": "ignore"},
        {"overflow": []},
    ],
    ids=str,
)
def test_subscribe_rejects_an_invalid_queue(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="must be"):
        stream_of().subscribe(**settings)


@pytest.mark.parametrize(
    ("topics", "overflow", "kind"),
    [
        ((), None, Subscription),
        (("orders",), None, Subscription),
        (("positions", "orders"), None, Subscription),
        (("unknown",), None, Subscription),
        (("lifecycle", "balances"), None, Subscription),
        (("positions",), None, LatestSubscription),
        (("positions", "balances"), None, LatestSubscription),
        (("positions",), "close", Subscription),
        (("orders",), "latest", LatestSubscription),
        (("orders",), "drop_oldest", DropOldestSubscription),
    ],
)
def test_default_overflow_policy_depends_on_the_topics(
    topics: tuple[str, ...],
    overflow: str | None,
    kind: type[Subscription],
) -> None:
    assert type(stream_of().subscribe(*topics, overflow=overflow)) is kind


async def test_subscription_before_entering_receives_all_lifecycle_events() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left():
        stream = ct.brokerage_stream()
        events, life = stream.subscribe(), stream.subscribe("lifecycle")
        async with stream:
            publish(sandbox, 1)
            assert story(await taken(events, 1)) == ["o1"]
            assert waiting(life) == [StreamConnecting(attempt=1), StreamLive()]


async def test_subscription_to_a_stream_that_fails_to_enter_raises_the_error() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left():
        sandbox.stream.faults.add(StreamFault("refuse_upgrade"))
        stream = ct.brokerage_stream()
        events = stream.subscribe()
        with pytest.raises(ConnectError) as caught:
            await stream.__aenter__()
        with pytest.raises(ConnectError) as met:
            await events.receive()
        assert met.value is caught.value


async def test_slow_consumer_error_reaches_only_the_slow_subscription() -> None:
    async with (
        Sandbox(seed=1) as sandbox,
        client(sandbox) as ct,
        nothing_left(),
        ct.brokerage_stream() as stream,
        stream.subscribe(capacity=2) as slow,
        stream.subscribe() as other,
    ):
        publish(sandbox, 1, 2, 3, 4)
        assert story(await taken(other, 4)) == ["o1", "o2", "o3", "o4"]
        assert story([await slow.receive() for _ in range(2)]) == ["o1", "o2"]
        with pytest.raises(SlowConsumerError) as caught:
            await slow.receive()
        assert caught.value.waiting == 2
        async with stream.subscribe() as anew:
            publish(sandbox, 5)
            assert story(await taken(other, 1)) == story(await taken(anew, 1)) == ["o5"]
        assert stream.health().state == "LIVE"


async def test_topics_are_requested_from_the_server() -> None:
    async with (
        Sandbox(seed=1) as sandbox,
        client(sandbox) as ct,
        nothing_left(),
        ct.brokerage_stream(["balances"]) as stream,
    ):
        assert sandbox.stream.sessions[0].topics == ("balances",)
        events = stream.subscribe()
        publish(sandbox, 1)
        sandbox.stream.publish("balances", "u", "a", {"cash": "1.00"})
        assert story(await taken(events, 1)) == ["balances"]


async def test_health_has_plain_values_and_repr_shows_the_state() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=1) as sandbox, client(sandbox, clock=clock) as ct, nothing_left():
        stream = ct.brokerage_stream()
        assert repr(stream) == "<BrokerageStream CONNECTING 0 subscriptions 0 gaps>"
        async with stream:
            events = stream.subscribe()
            publish(sandbox, 1)
            sandbox.stream.send("?")
            await taken(events, 2)
            health = stream.health()
            assert repr(stream) == "<BrokerageStream LIVE 1 subscriptions 0 gaps>"
            assert (health.state, health.live_since, health.reconnects, health.gaps) == ("LIVE", BEGIN, 0, 0)
            assert (health.set_aside, health.consumers) == (1, ((2, 0, 0, 0),))
            assert health.messages == {"orders": 1, "unknown": 1}
            assert health.last_message == BEGIN
            clock.advance(5)
            assert stream.health().last_message == BEGIN
            assert b'"state":"LIVE"' in msgspec.json.encode(health)
        assert repr(stream) == "<BrokerageStream ENDED 0 subscriptions 0 gaps>"
        assert stream.health().live_since is None


async def test_error_inside_the_stream_closes_it_and_propagates() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left():
        stream = ct.brokerage_stream()
        with pytest.raises(ZeroDivisionError):
            async with stream:
                raise ZeroDivisionError
        assert stream.health().state == "ENDED"
        with pytest.raises(ClosedError):
            stream.subscribe()


@pytest.mark.parametrize("key", ["account_id", "user_id", "symbol"])
@pytest.mark.parametrize("value", ["", 5, 0, [], b"a"], ids=repr)
async def test_subscribe_rejects_an_invalid_filter_and_the_stream_continues(key: str, value: Any) -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct, nothing_left(), ct.brokerage_stream() as stream:
        odd: dict[str, Any] = {key: value}
        with pytest.raises(ConfigurationError, match=f"{key} must be a non-empty text"):
            stream.subscribe(**odd)
        odd[key] = "u→ \u2028\x00"
        events = stream.subscribe(**odd)
        publish(sandbox, 1)
        assert len(stream.health().consumers) == 1
        assert events.receive_nowait() is None
