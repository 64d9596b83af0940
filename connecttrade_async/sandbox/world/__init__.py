"""The world of the sandbox: pretend brokerages with users, accounts, orders, fills and prices; pure and seeded.

Nothing in here awaits, reads a clock, or knows how the wire spells anything. Time comes in as an argument.
"""

from .account import Account, Balance
from .brokers import BROKERS, CONNECTION_TYPES, Broker, find_broker
from .floor import Floor
from .holdings import Position
from .hours import Hours, Keeping
from .journal import Change, Journal
from .listing import Filter, Page, Place, page_of
from .market import Market, Quote
from .people import Connection, LoginLink, Token, User
from .records import CLOSED, EDGES, OPEN, SIDES, STATUSES, TIFS, TYPES, Fill, Leg, Order, Transaction
from .state import World
from .ticket import LEG_SIDES, STOCK_SIDES, Ticket

__all__ = [
    "BROKERS",
    "CLOSED",
    "CONNECTION_TYPES",
    "EDGES",
    "LEG_SIDES",
    "OPEN",
    "SIDES",
    "STATUSES",
    "STOCK_SIDES",
    "TIFS",
    "TYPES",
    "Account",
    "Balance",
    "Broker",
    "Change",
    "Connection",
    "Fill",
    "Filter",
    "Floor",
    "Hours",
    "Journal",
    "Keeping",
    "Leg",
    "LoginLink",
    "Market",
    "Order",
    "Page",
    "Place",
    "Position",
    "Quote",
    "Ticket",
    "Token",
    "Transaction",
    "User",
    "World",
    "find_broker",
    "page_of",
]
