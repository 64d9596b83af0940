"""The sandbox: Connect Trade has none, so this is one, with real HTTP on loopback and a world that is seeded.

It stands alone on the far side of the wire and imports nothing else of this package, so that it cannot share a
mistake with the client.
"""

from .addresses import Endpoints
from .armed import Armed
from .broadcast import Talk
from .channels import Subscription
from .clock import Clock
from .endpoints import Entitlements
from .fault import Fault
from .faults import LOSSES, Faults
from .ledger import Ledger, Sent
from .marketcast import Ear
from .marketdata import MarketData
from .paper import PaperBroker
from .refusals import RefusalError
from .served import Served, Visit
from .server import Sandbox
from .spellings import Spellings
from .stream import Stream
from .streamfault import StreamFault
from .streamfaults import StreamFaults
from .wording import Wording
from .world import BROKERS, Broker, World

__all__ = [
    "BROKERS",
    "LOSSES",
    "Armed",
    "Broker",
    "Clock",
    "Ear",
    "Endpoints",
    "Entitlements",
    "Fault",
    "Faults",
    "Ledger",
    "MarketData",
    "PaperBroker",
    "RefusalError",
    "Sandbox",
    "Sent",
    "Served",
    "Spellings",
    "Stream",
    "StreamFault",
    "StreamFaults",
    "Subscription",
    "Talk",
    "Visit",
    "Wording",
    "World",
]
