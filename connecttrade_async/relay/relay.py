"""``Relay``: one session of the brokerage stream for many processes."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import msgspec

from connecttrade_async.errors import ConfigurationError, RelayError, shown
from connecttrade_async.ids import new_order_id
from connecttrade_async.relay.log import LogPosition
from connecttrade_async.relay.scripts import RelayKeys
from connecttrade_async.relay.settings import Keep, RelaySettings
from connecttrade_async.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from connecttrade_async.relay.fanout import PositionedFanout
    from connecttrade_async.relay.redis import RedisAddress
    from connecttrade_async.streaming.config import Engine, Upstream

__all__ = ["Relay", "RelayStatus"]

STATUS_TIMEOUT = 5.0  # seconds
"""The time limit of ``Relay.status``."""


class RelayStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a relay, as plain values.

    Attributes:
        leader: the worker that has the session, or None.
        epoch: the epoch of the leader, or None.
        lease: the seconds until the lease ends unless it is renewed; 0 without a leader.
        standby: the seconds for which the whole relay stands by, because another client has the session.
        is_live: whether the session of the leader is live.
        position: the position of the latest entry of the log, or None if it is empty.
        entries: the number of entries in the log.
        age: the seconds since the latest entry, or None if there is none.
    """

    leader: str | None
    epoch: int | None
    lease: float
    standby: float
    is_live: bool
    position: str | None
    entries: int
    age: float | None


class Relay:
    """One session of the brokerage stream for many processes, on a Redis or Valkey server.

    One worker, the leader, holds a lease and the session. It appends every frame to a log on the server. All workers
    read the log, so each receives every event. When the leader ends, another worker leads.

    A relay needs no event loop and no I/O before a stream is opened with it. It can be used by several streams.

    Args:
        url_or_client: the server: ``redis://``, ``rediss://`` (TLS) or ``unix://``, with a username and a password as
            redis-py takes them; or a ``redis.asyncio.Redis``, also one of a Sentinel (``sentinel.master_for(...)``).
            Of a client only the settings are used, on connections of the relay's own; it is not closed.
        lease: the seconds after which another worker leads if the leader is silent.
        keep: how much of the log is kept.
        lead: whether this worker may lead. False for a worker that only reads.
        prefix: the beginning of all keys, for relays that share a server.

    Raises:
        ConfigurationError: a setting is invalid, or redis-py is not installed.
    """

    def __init__(
        self,
        url_or_client: object,
        *,
        lease: float = 3.0,
        keep: Keep = Keep(),  # noqa: B008 - it is frozen
        lead: bool = True,
        prefix: str = "ct",
    ) -> None:
        if isinstance(url_or_client, str):
            url_or_client = Secret(url_or_client)  # rebound before it is checked: tracebacks can print variables
        self._address = _address_of(url_or_client)
        self._settings = RelaySettings(lease=lease, keep=keep, lead=lead, prefix=prefix)

    async def status(self, client_id: str) -> RelayStatus:
        """Return the state of the relay of a client.

        Args:
            client_id: the client's id.

        Raises:
            RelayError: the server could not be used.
        """
        channel = self._address.channel(RelayKeys.of(self._settings.prefix, client_id), STATUS_TIMEOUT)
        try:
            view = await channel.view()
        except RelayError as exc:
            if exc.kind not in ("unreachable", "refused"):
                await channel.check(leads=False)  # it finds the reason that a failed script does not name
            raise
        finally:
            await channel.aclose()
        return RelayStatus(
            leader=view.leader,
            epoch=view.epoch,
            lease=view.remaining / 1000,
            standby=view.standby / 1000,
            is_live=view.is_live and view.leader is not None,
            position=None if view.top is None else str(view.top),
            entries=view.entries,
            age=max(view.now - view.last_at, 0) / 1000 if view.last_at else None,
        )

    def bind(self, client_id: str, client_secret: Secret, since: str | None) -> BoundRelay:
        """Return what one stream of a client needs of this relay; ``ConnectTrade.brokerage_stream`` calls it.

        Raises:
            ConfigurationError: ``since`` is not a position.
        """
        position = None
        if since is not None:
            position = LogPosition.parse(since) if _is_text(since) else None
            if position is None or not position.is_usable:
                raise ConfigurationError(f"since must be a position of the stream, got {shown(since)}")
        keys = RelayKeys.of(self._settings.prefix, client_id)
        secrets = (client_secret, *self._address.secrets)
        return BoundRelay(self._address, keys, self._settings, position, secrets)

    def __repr__(self) -> str:
        if not hasattr(self, "_settings"):
            return "<Relay uninitialized>"
        settings = self._settings
        return f"<Relay {self._address.name} lease={settings.lease:g} lead={settings.lead} prefix={settings.prefix!r}>"


class BoundRelay:
    """A relay for one stream of one client.

    Args:
        address: the Redis server.
        keys: the keys of the client's relay.
        settings: the settings of the relay.
        since: the position to continue behind, or None.
        secrets: the secrets that must not be written to the log.
    """

    __slots__ = ("_address", "_fanout", "_keys", "_secrets", "_settings", "_since")

    def __init__(
        self,
        address: RedisAddress,
        keys: RelayKeys,
        settings: RelaySettings,
        since: LogPosition | None,
        secrets: tuple[Secret, ...],
    ) -> None:
        self._address = address
        self._keys = keys
        self._settings = settings
        self._since = since
        self._secrets = secrets
        self._fanout: PositionedFanout | None = None

    @property
    def position(self) -> str | None:
        """The position up to which every subscription has received the log, or None before the first entry."""
        position = None if self._fanout is None else self._fanout.position
        return None if position is None else str(position)

    def make_fanout(self, wall: Callable[[], datetime]) -> PositionedFanout:
        """Return the fan-out of the stream."""
        from connecttrade_async.relay.fanout import PositionedFanout  # noqa: PLC0415 - it knows the streams

        self._fanout = PositionedFanout(wall)
        self._fanout.latest = self._since
        return self._fanout

    def make_engine(self, upstream: Upstream) -> Engine:
        """Return the engine of the stream."""
        from connecttrade_async.relay.engine import RelayEngine  # noqa: PLC0415 - it knows the streams

        fanout = self._fanout if self._fanout is not None else self.make_fanout(upstream.config.clock.wall)
        return RelayEngine(
            _worker_name(),
            upstream,
            address=self._address,
            keys=self._keys,
            settings=self._settings,
            fanout=fanout,
            since=self._since,
            secrets=self._secrets,
        )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _address_of(target: object) -> RedisAddress:
    try:
        from connecttrade_async.relay.redis import RedisAddress  # noqa: PLC0415 - an optional dependency
    except ImportError as exc:
        msg = 'a relay needs redis-py: install it with pip install "connecttrade-async[relay]"'
        raise ConfigurationError(msg) from exc
    return RedisAddress(target)


def _worker_name() -> str:
    # The host and the process are for people. The id makes the name unique: two streams of a process are two workers.
    return f"{socket.gethostname()}-{os.getpid()}-{new_order_id()[-8:]}"
