"""The sandbox: Connect Trade has none, so this is one, with real HTTP on loopback and a world that is seeded.

It stands alone on the far side of the wire and imports nothing else of this package, so that it cannot share a
mistake with the client.
"""

from .addresses import Endpoints
from .armed import ActiveFault
from .broadcast import BrokerageSessionInfo
from .channels import Subscription
from .clock import Clock
from .endpoints import Entitlements
from .fault import Fault
from .faults import LOSSES, Faults
from .ledger import MessageLog, Sent
from .marketcast import MarketDataSessionInfo
from .marketdata import MarketDataStream
from .paper import PaperBroker
from .refusals import RefusalError
from .served import RequestLog, RequestRecord
from .server import Sandbox
from .spellings import Spellings
from .stream import BrokerageStream
from .streamfault import StreamFault
from .streamfaults import StreamFaults
from .wording import FrameEncoding
from .world import BROKERS, Broker, World

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
    "RefusalError",
    "RequestLog",
    "RequestRecord",
    "Sandbox",
    "Sent",
    "Spellings",
    "StreamFault",
    "StreamFaults",
    "Subscription",
    "World",
]
