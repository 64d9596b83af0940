"""The world of the sandbox: pretend brokerages with users, accounts, orders, fills and prices; pure and seeded.

Nothing in here awaits, reads a clock, or knows how the wire spells anything. Time comes in as an argument.
"""

from .account import Account, Balance
from .brokers import BROKERS, CONNECTION_TYPES, Broker, find_broker
from .holdings import Position
from .listing import Filter, Page, Place, page_of
from .market import Market
from .people import Connection, LoginLink, Token, User
from .records import CLOSED, OPEN, SIDES, STATUSES, Fill, Leg, Order, Transaction
from .state import World

__all__ = [
    "BROKERS",
    "CLOSED",
    "CONNECTION_TYPES",
    "OPEN",
    "SIDES",
    "STATUSES",
    "Account",
    "Balance",
    "Broker",
    "Connection",
    "Fill",
    "Filter",
    "Leg",
    "LoginLink",
    "Market",
    "Order",
    "Page",
    "Place",
    "Position",
    "Token",
    "Transaction",
    "User",
    "World",
    "find_broker",
    "page_of",
]
