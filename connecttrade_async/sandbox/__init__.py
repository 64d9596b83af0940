"""The sandbox: Connect Trade has none, so this is one, with real HTTP on loopback and a world that is seeded.

It stands alone on the far side of the wire and imports nothing else of this package, so that it cannot share a
mistake with the client.
"""

from connecttrade_async.sandbox.clock import Clock
from connecttrade_async.sandbox.dialect import SandboxDialect
from connecttrade_async.sandbox.errors import RefusalError
from connecttrade_async.sandbox.faults.rest import LOSSES, Fault, Faults
from connecttrade_async.sandbox.faults.schedule import ActiveFault
from connecttrade_async.sandbox.faults.stream import StreamFault, StreamFaults
from connecttrade_async.sandbox.paper_broker import PaperBroker
from connecttrade_async.sandbox.replay.records import RecordingError
from connecttrade_async.sandbox.replay.server import Replay
from connecttrade_async.sandbox.rest.endpoints import Entitlements
from connecttrade_async.sandbox.rest.request_log import RequestLog, RequestRecord
from connecttrade_async.sandbox.server import Sandbox
from connecttrade_async.sandbox.settings import Endpoints, Spellings
from connecttrade_async.sandbox.streams.brokerage import BrokerageSessionInfo, BrokerageStream
from connecttrade_async.sandbox.streams.channels import Subscription
from connecttrade_async.sandbox.streams.encoding import FrameEncoding
from connecttrade_async.sandbox.streams.market_data import MarketDataSessionInfo, MarketDataStream
from connecttrade_async.sandbox.streams.message_log import MessageLog, SentMessage
from connecttrade_async.sandbox.thread import SandboxThread
from connecttrade_async.sandbox.world import BROKERS, Broker, World

__all__ = [
    "BROKERS",
    "LOSSES",
    "ActiveFault",
    "Broker",
    "BrokerageSessionInfo",
    "BrokerageStream",
    "Clock",
    "Endpoints",
    "Entitlements",
    "Fault",
    "Faults",
    "FrameEncoding",
    "MarketDataSessionInfo",
    "MarketDataStream",
    "MessageLog",
    "PaperBroker",
    "RecordingError",
    "RefusalError",
    "Replay",
    "RequestLog",
    "RequestRecord",
    "Sandbox",
    "SandboxDialect",
    "SandboxThread",
    "SentMessage",
    "Spellings",
    "StreamFault",
    "StreamFaults",
    "Subscription",
    "World",
]
