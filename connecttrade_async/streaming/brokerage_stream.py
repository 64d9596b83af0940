"""The brokerage stream: orders, positions and balances of all users of a client."""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from connecttrade_async.clock import Clock
from connecttrade_async.config import Reconnect, Timeouts
from connecttrade_async.errors import ConfigurationError
from connecttrade_async.streaming.brokerage_codec import BrokerageCodec
from connecttrade_async.streaming.config import Engine, Lifetime, OnTaken, StreamConfig, StreamRelay, Upstream
from connecttrade_async.streaming.fanout import Fanout
from connecttrade_async.streaming.filters import TOPICS, EventFilter
from connecttrade_async.streaming.protocol import CloseReason, StreamProtocol, TopicCodec, TopicSync, codes_of
from connecttrade_async.streaming.stream import Stream
from connecttrade_async.streaming.subscriptions import CAPACITY, MAX_BYTES, QueueCapacity, Subscription
from connecttrade_async.streaming.websocket import ConnectOptions
from connecttrade_async.validation import one_of

__all__ = ["BrokerageStream"]

SIDE_TOPICS = ("unknown", "lifecycle")


class BrokerageStream(Stream):
    """Orders, positions and balances of all users of a client, over one connection that reconnects.

    Use it as an async context manager: entering it connects, logs in and subscribes, or raises.
    """

    def __init__(
        self,
        url: str,
        codec: BrokerageCodec,
        *,
        topics: tuple[str, ...],
        timeouts: Timeouts,
        reconnect: Reconnect,
        clock: Clock,
        on_taken: OnTaken,
        codes: Mapping[str, CloseReason],
        owner: Lifetime,
        watchdog: float | None = None,
        dialing: ConnectOptions | None = None,
        relay: StreamRelay | None = None,
    ) -> None:
        if not topics or not set(topics) <= set(TOPICS):
            msg = f"topics must be one or more of {', '.join(TOPICS)}, got {', '.join(map(repr, topics)) or 'none'}"
            raise ConfigurationError(msg)
        one_of("on_taken", on_taken, ("stop", "standby", "retake"))
        self.topics = topics
        all_codes = {**codes_of(codec.errors), **codes}

        def make_protocol(codec: TopicCodec, now: float, topics: tuple[str, ...] = TOPICS) -> StreamProtocol:
            own = codec.for_connection()
            sync, login, silence = TopicSync(own, topics), timeouts.login, timeouts.silence
            return StreamProtocol(own, sync, now=now, login=login, silence=silence, codes=all_codes)

        fanout = Fanout(clock.wall) if relay is None else relay.make_fanout(clock.wall)
        own_protocol = partial(make_protocol, codec, topics=topics)
        config = StreamConfig(url, own_protocol, fanout, clock, timeouts, reconnect, on_taken, None, dialing)
        self._relay = relay
        self._upstream = Upstream(config, codec, topics, make_protocol)
        super().__init__(config, watchdog, owner)

    @property
    def position(self) -> str | None:
        """The position in the relay's log up to which every subscription has received all events.

        Save it together with the effect of an event, and pass it as ``since`` to continue behind that event. None
        without a relay, and before the first entry.
        """
        return None if self._relay is None else self._relay.position

    def _make_engine(self) -> Engine:
        return super()._make_engine() if self._relay is None else self._relay.make_engine(self._upstream)

    def subscribe(
        self,
        *topics: str,
        account_id: str | None = None,
        user_id: str | None = None,
        symbol: str | None = None,
        capacity: int = CAPACITY,
        max_bytes: int = MAX_BYTES,
        overflow: str | None = None,
    ) -> Subscription:
        """Add a subscription: an async context manager and an async iterator.

        A subscription added before the stream is entered also receives the lifecycle events of connecting. It waits
        until the stream is entered. If that does not happen within ``timeouts.connect`` seconds, a warning is logged.

        Args:
            topics: topics of the stream, ``unknown`` for frames that could not be decoded, ``lifecycle`` for the
                events of the stream itself. Without topics: those of the stream, and ``unknown``.
            account_id: deliver only the events of this account; events of ``lifecycle`` are always delivered.
            user_id: deliver only the events of this user, and those of ``lifecycle``.
            symbol: deliver only the events of this symbol, and those of ``lifecycle``.
            capacity: the greatest number of queued events.
            max_bytes: the greatest size of their frames together, in bytes.
            overflow: the policy for a full queue. ``close`` ends the subscription with ``SlowConsumerError``,
                ``drop_oldest`` drops events and delivers a ``Gap`` in their place, ``latest`` keeps the latest event
                of each key. The default is ``latest`` for positions and balances, and ``close`` otherwise.

        Returns:
            The subscription.

        Raises:
            ConfigurationError: a topic, a filter, the capacity or the overflow policy is invalid.
            ConnectTradeError: the stream has ended, with the reason.
        """
        selected, allowed = topics or (*self.topics, "unknown"), (*self.topics, *SIDE_TOPICS)
        if not set(selected) <= set(allowed):
            msg = f"topics must be one or more of {', '.join(allowed)}, got {', '.join(map(repr, selected))}"
            raise ConfigurationError(msg)
        if overflow is None:
            overflow = "latest" if set(selected) <= {"positions", "balances"} else "close"
        event_filter = EventFilter(selected, account_id, user_id, symbol)
        return self._subscribe(event_filter, overflow, QueueCapacity(capacity, max_bytes))
