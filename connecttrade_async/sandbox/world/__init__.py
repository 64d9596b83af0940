"""The world of the sandbox: pretend brokerages with users, accounts, orders, fills and prices; pure and seeded.

Nothing in here awaits, reads a clock, or knows how the wire spells anything. Time comes in as an argument.
"""

from .account import Account, Balance
from .bars import INTERVALS, Bar, Bars, span
from .brokers import BROKERS, CONNECTION_TYPES, Broker, find_broker
from .chains import Chains, Contract
from .depth import Depth, Depths, Level
from .floor import Exchange
from .holdings import Position
from .hours import Hours, Keeping
from .journal import Change, OrderLog
from .listing import Filter, Page, Place, page_of
from .market import Market, Quote
from .people import Connection, LoginLink, Token, User
from .pricing import Greeks
from .records import CLOSED, EDGES, OPEN, SIDES, STATUSES, TIFS, TYPES, Fill, Leg, Order, Transaction
from .state import World
from .symbols import is_listed, is_stock, parse_option
from .tape import Trade, Trades
from .ticket import LEG_SIDES, STOCK_SIDES, Ticket
from .tokens import Grant, Tokens
from .walk import anchor, moment_of, tick_of

__all__ = [
    "BROKERS",
    "CLOSED",
    "CONNECTION_TYPES",
    "EDGES",
    "INTERVALS",
    "LEG_SIDES",
    "OPEN",
    "SIDES",
    "STATUSES",
    "STOCK_SIDES",
    "TIFS",
    "TYPES",
    "Account",
    "Balance",
    "Bar",
    "Bars",
    "Broker",
    "Chains",
    "Change",
    "Connection",
    "Contract",
    "Depth",
    "Depths",
    "Exchange",
    "Fill",
    "Filter",
    "Grant",
    "Greeks",
    "Hours",
    "Keeping",
    "Leg",
    "Level",
    "LoginLink",
    "Market",
    "Order",
    "OrderLog",
    "Page",
    "Place",
    "Position",
    "Quote",
    "Ticket",
    "Token",
    "Tokens",
    "Trade",
    "Trades",
    "Transaction",
    "User",
    "World",
    "anchor",
    "find_broker",
    "is_listed",
    "is_stock",
    "moment_of",
    "page_of",
    "parse_option",
    "span",
    "tick_of",
]
