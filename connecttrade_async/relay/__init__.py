"""The relay: one session of the brokerage stream for many processes, on Redis or Valkey."""

from __future__ import annotations

from connecttrade_async.relay.relay import Relay, RelayStatus
from connecttrade_async.relay.settings import Keep

__all__ = ["Keep", "Relay", "RelayStatus"]
